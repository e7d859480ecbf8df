//! Calls of the relay: repeated when the connection is lost under them, so each is one that may be.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::Client;
use crate::client::fleet::Pieces;
use crate::client::{Error, FleetEvent};
use crate::fleet::{Machine, MachineId, Session, SessionId, SessionSpec, is_called};
use crate::wire::{self, Channel, refusal_of, v1};

/// Where requests and answers are told to.
pub(in crate::client) const DEBUG: &str = "fleetmux::client::debug";

impl Client {
    /// The fleet once.
    pub async fn fleet(&self) -> Result<(Vec<Machine>, Vec<Session>), Error> {
        self.snapshot(Vec::new()).await
    }

    /// The machines that are called so, by display name, host name, id or the beginning of an id, and their sessions. Where a
    /// name fits none the answer is the whole fleet, for whoever has to say what there is instead.
    pub async fn fleet_of(&self, names: &[&str]) -> Result<(Vec<Machine>, Vec<Session>), Error> {
        let wanted = names.iter().map(|name| (*name).to_string()).collect();
        let (machines, sessions) = self.snapshot(wanted).await?;
        let is_known = |name: &&str| machines.iter().any(|machine| is_called(machine, name));
        if names.iter().all(is_known) { Ok((machines, sessions)) } else { self.fleet().await }
    }

    async fn snapshot(&self, machines: Vec<String>) -> Result<(Vec<Machine>, Vec<Session>), Error> {
        let call = |channel| {
            let request = v1::WatchRequest { machines: machines.clone(), once: true, pieces: true };
            async {
                let mut events = wire::client_service(channel).watch(request).await?.into_inner();
                let mut pieces = Pieces::default();
                while let Some(event) = events.message().await? {
                    if let Some(event) = pieces.take(event) {
                        return Ok(Some(event));
                    }
                }
                Ok(None)
            }
        };
        match self.call("fleet", call).await? {
            Some(FleetEvent::Snapshot { machines, sessions }) => Ok((machines, sessions)),
            _ => Err(Error::Refused("the relay sent no snapshot of the fleet".into())),
        }
    }

    /// Makes a session on a machine; repeated with the same id it makes one.
    pub async fn create_session(&self, machine: MachineId, spec: SessionSpec) -> Result<Session, Error> {
        self.create(machine, &spec, false).await
    }

    /// The machine's active session, the newest shared one whose program runs; if there is none, a shared one is made like
    /// this. However many ask at one instant, they get the same one.
    pub async fn join_session(&self, machine: MachineId, spec: SessionSpec) -> Result<Session, Error> {
        self.create(machine, &SessionSpec { is_shared: true, ..spec }, true).await
    }

    async fn create(&self, machine: MachineId, spec: &SessionSpec, join: bool) -> Result<Session, Error> {
        let machine = Bytes::copy_from_slice(machine.as_bytes());
        let request = v1::CreateSessionRequest { machine, spec: Some(spec.into()), join };
        let call = |channel| {
            let request = request.clone();
            async { wire::client_service(channel).create_session(request).await }
        };
        let session = self.call("create session", call).await?.into_inner();
        session.try_into().map_err(|err: crate::fleet::IdError| Error::Refused(err.to_string()))
    }

    /// Ends a session and its programs.
    pub async fn destroy_session(&self, session: SessionId) -> Result<(), Error> {
        let request = v1::DestroySessionRequest { session: Bytes::copy_from_slice(session.as_bytes()) };
        let asked = AtomicU32::new(0);
        let call = |channel| {
            let request = request.clone();
            asked.fetch_add(1, Ordering::Relaxed);
            async { wire::client_service(channel).destroy_session(request).await }
        };
        match self.call("destroy session", call).await {
            // The first request did it, and its answer was lost.
            Err(Error::SessionNotFound(_)) if asked.load(Ordering::Relaxed) > 1 => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// Gives a session another name; an empty one means that of its program.
    pub async fn rename_session(&self, session: SessionId, name: &str) -> Result<Session, Error> {
        let session = Bytes::copy_from_slice(session.as_bytes());
        let request = v1::RenameSessionRequest { session, name: name.into() };
        let call = |channel| {
            let request = request.clone();
            async { wire::client_service(channel).rename_session(request).await }
        };
        let session = self.call("rename session", call).await?.into_inner();
        session.try_into().map_err(|err: crate::fleet::IdError| Error::Refused(err.to_string()))
    }

    pub(in crate::client) async fn channel(&self) -> Result<Channel, Error> {
        self.connected(self.timeout()).await?;
        let channel = self.shared.channel_tx.borrow().clone();
        channel.ok_or_else(|| Error::NoRelay("the connection to the relay was just lost".into()))
    }

    pub(in crate::client) async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.timeout(), call).await {
            Ok(outcome) => outcome.map_err(|status| refusal_of(&status).into()),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> Error {
        let timeout = self.timeout();
        Error::Timeout(format!("no answer within {timeout:?}; is the machine online? see `fleetmux machines`"))
    }

    /// Calls the relay; repeated when the connection is lost under it, so a call must be one that may be.
    async fn call<T, F>(&self, what: &'static str, call: impl Fn(Channel) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, tonic::Status>>,
    {
        let began = Instant::now();
        self.told(what, "request");
        let outcome = self.repeated(call).await;
        if self.shared.options.is_debug {
            let (ms, error) = (began.elapsed().as_millis() as u64, outcome.as_ref().err().map(Error::kind));
            tracing::debug!(target: DEBUG, request = what, ms, error, "answer");
        }
        outcome
    }

    /// Tells of a request, for whoever debugs a program.
    pub(in crate::client) fn told(&self, request: &'static str, what: &'static str) {
        if self.shared.options.is_debug {
            let server = self.shared.endpoint.to_string();
            tracing::debug!(target: DEBUG, request, server, "{what}");
        }
    }

    async fn repeated<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, tonic::Status>>,
    {
        let mut retries = self.shared.options.max_retries;
        loop {
            let channel = self.channel().await?;
            let status = match tokio::time::timeout(self.timeout(), call(channel)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => status,
                Err(_) => return Err(self.late()),
            };
            // What the relay itself answered has no cause on our side; a transport that broke has.
            if std::error::Error::source(&status).is_none() {
                return Err(refusal_of(&status).into());
            }
            if retries == 0 {
                return Err(Error::Unavailable(format!(
                    "the connection was lost under a request: {}",
                    status.message()
                )));
            }
            retries -= 1;
            tracing::debug!(error = status.message(), retries, "the connection was lost under a request; repeating it");
            tokio::time::sleep(self.shared.options.request_retry_delay).await;
        }
    }
}

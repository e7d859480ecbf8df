//! The service that the published CMDOP SDKs speak, on the relay's own port.
//!
//! A facade and nothing else: each call becomes what a native client would send to the hub, by the same caller, so
//! roles, workspaces, the machine's own rules and the audit log are the same. There is no second path to a PTY here and
//! no second notion of a session. Only what the SDKs want and the native protocol has no word for lives here: a session
//! id for a machine whose shell nobody has started yet, and a copy of the newest output to poll.

mod admit;
mod attach;
mod call;
mod client;
mod door;
mod entries;
mod files;
pub(super) mod fuzz;
mod io;
mod local;
mod output;
mod places;
mod pool;
mod service;
mod sessions;
mod wish;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::auth::Auth;
use super::hub::EventsTx;
use super::limits::{FILE_MESSAGE_CAP, FILE_TIME};
use crate::fleet::Secret;
use crate::wire::cmdop::terminal_streaming_service_server::TerminalStreamingServiceServer;
pub use local::Discovery;
pub(super) use local::{Port, publish};

use admit::Admissions;
use call::Call;
use io::Wheel;
use output::Copies;
use places::Defaults;
use pool::Pool;

/// How long a call may take: a Node client without an answer waits for ever, a Python one gives up after 30 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Facade {
    inner: Arc<Inner>,
    /// On a loopback port of local mode: what proves this user.
    local: Option<Secret>,
}

struct Inner {
    auth: Arc<Auth>,
    events_tx: EventsTx,
    /// Numbers of connections, shared with the native services.
    conns: Arc<AtomicU64>,
    defaults: Defaults,
    admissions: Admissions,
    copies: Copies,
    wheels: Pool<Wheel>,
    /// Bytes that wait for the clients of attach streams.
    buffered: Arc<AtomicUsize>,
}

impl Facade {
    pub(super) fn new(events_tx: EventsTx, auth: Arc<Auth>, conns: Arc<AtomicU64>) -> Facade {
        let inner = Inner {
            auth,
            events_tx,
            conns,
            defaults: Defaults::default(),
            admissions: Admissions::default(),
            copies: Copies::default(),
            wheels: Pool::new(io::WHEELS_CAP),
            buffered: Arc::default(),
        };
        Facade { inner: Arc::new(inner), local: None }
    }

    /// The same for a loopback port of this user's own, which wants this token.
    pub(super) fn local(&self, token: Secret) -> Facade {
        Facade { inner: self.inner.clone(), local: Some(token) }
    }

    /// As tonic serves it.
    pub(super) fn server(&self) -> TerminalStreamingServiceServer<Facade> {
        TerminalStreamingServiceServer::new(self.clone())
            .max_decoding_message_size(FILE_MESSAGE_CAP)
            .max_encoding_message_size(FILE_MESSAGE_CAP)
    }

    fn conn(&self) -> u64 {
        self.inner.conns.fetch_add(1, Ordering::Relaxed)
    }

    /// Authenticates, handles, and gives up in time.
    async fn serve<T, R, F>(
        &self,
        request: Request<T>,
        handle: impl FnOnce(Facade, Call, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, Status>>,
    {
        let call = self.call(&request)?;
        within(CALL_TIMEOUT, handle(self.clone(), call, request.into_inner())).await
    }

    /// The same for what moves files.
    async fn serve_file<T, R, F>(
        &self,
        request: Request<T>,
        handle: impl FnOnce(Facade, Call, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, Status>>,
    {
        let call = self.call(&request)?;
        within(FILE_TIME, handle(self.clone(), call, request.into_inner())).await
    }

    /// A call of the schema that this relay has no answer to; whoever may not call at all hears that first.
    fn not_offered<T, R>(&self, request: &Request<T>, what: &str) -> Result<Response<R>, Status> {
        self.call(request)?;
        Err(not_offered(what))
    }
}

async fn within<R>(limit: Duration, handled: impl Future<Output = Result<R, Status>>) -> Result<Response<R>, Status> {
    let outcome = tokio::time::timeout(limit, handled).await;
    outcome.unwrap_or_else(|_| Err(Status::deadline_exceeded("the machine did not answer in time"))).map(Response::new)
}

fn not_offered(what: &str) -> Status {
    Status::unimplemented(format!("a fleetmux relay does not offer {what}"))
}

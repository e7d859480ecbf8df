//! The connection: dialled, lost and dialled again here and only here.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::attachment::AttachmentState;
use super::core::{Core, Frame};
use super::fleet::event_from;
use super::hooks::ConnectionHooks;
use super::inbox::Reader;
use super::{
    AttachEvent, AttachOptions, ConnectionInfo, ConnectionState, Error, FleetEvent, FleetWatch, Inbox, Options,
};
use crate::fleet::{ClientId, Code, Endpoint, MachineId, Refusal, Role, Session, SessionId, SessionSpec, Size};
use crate::stream::{Backoff, Down, Up};
use crate::wire::{self, Channel, DialError, refusal_of, v1};

/// Fleet changes waiting for one watcher.
const WATCH_CAP: usize = 4096;
/// How often the round trips are measured.
const PING_EVERY: Duration = Duration::from_secs(3);
/// Delay before the fleet is watched again after the relay cut a watcher off.
const REWATCH: Duration = Duration::from_millis(200);
/// Delay after the relay refused the key: each attempt counts against this address there.
const REFUSED_DELAY: Duration = Duration::from_secs(30);

struct Shared {
    core: Mutex<Core>,
    endpoint: Endpoint,
    options: Options,
    state_tx: watch::Sender<ConnectionState>,
    channel_tx: watch::Sender<Option<Channel>>,
    /// Why the last attempt failed for a reason that waiting does not cure.
    verdict: Mutex<Option<Error>>,
    started: Instant,
    retry: Notify,
    /// A frame came that may have acknowledged input.
    progress: Notify,
    /// Token of the last ping that the relay has answered: it has everything that was sent before it.
    answered_tx: watch::Sender<u64>,
    hooks: ConnectionHooks,
    /// Selected with `set_machine`.
    machine: Mutex<Option<MachineId>>,
}

/// A client of one relay; clones share the connection, and the last one to go ends it.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    task: Arc<Task>,
    /// Another timeout than the options say, for this clone's calls.
    timeout: Option<Duration>,
}

struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// Starts connecting, and stays connected; must be called within a runtime.
    pub fn connect(endpoint: Endpoint, options: Options) -> Client {
        Client::connect_with(endpoint, options, ConnectionHooks::default())
    }

    pub(super) fn connect_with(endpoint: Endpoint, options: Options, hooks: ConnectionHooks) -> Client {
        let shared = Arc::new(Shared {
            core: Mutex::default(),
            endpoint,
            options,
            state_tx: watch::Sender::new(ConnectionState::default()),
            channel_tx: watch::Sender::new(None),
            verdict: Mutex::default(),
            started: Instant::now(),
            retry: Notify::new(),
            progress: Notify::new(),
            answered_tx: watch::Sender::new(0),
            hooks,
            machine: Mutex::default(),
        });
        let task = tokio::spawn(run(Arc::downgrade(&shared)));
        Client { shared, task: Arc::new(Task(task)), timeout: None }
    }

    /// The connection's state, now and as it changes.
    pub fn connection(&self) -> watch::Receiver<ConnectionState> {
        self.shared.state_tx.subscribe()
    }

    /// Waits until connected; the error says why that took too long, or comes at once if waiting does not help.
    pub async fn connected(&self, timeout: Duration) -> Result<(), Error> {
        let mut state = self.connection();
        let is_decided = |state: &ConnectionState| {
            !matches!(state, ConnectionState::Connecting { .. }) || self.shared.verdict().is_some()
        };
        let _ = tokio::time::timeout(timeout, state.wait_for(is_decided)).await;
        if let Some(verdict) = self.shared.verdict() {
            return Err(verdict);
        }
        match &*self.shared.state_tx.borrow() {
            ConnectionState::Connected { .. } => Ok(()),
            other => Err(match other {
                ConnectionState::Connecting { error: Some(error), .. } => Error::NoRelay(error.clone()),
                ConnectionState::Stopped { error } => Error::NoRelay(error.clone()),
                _ => Error::NoRelay(format!("no relay answers at {}", self.shared.endpoint)),
            }),
        }
    }

    /// Whether the relay is connected now.
    pub fn is_connected(&self) -> bool {
        matches!(&*self.shared.state_tx.borrow(), ConnectionState::Connected { .. })
    }

    /// Where it is connected to, or will be.
    pub fn connection_info(&self) -> ConnectionInfo {
        let latency_ms = match &*self.shared.state_tx.borrow() {
            ConnectionState::Connected { latency_us: Some(us), .. } => Some(f64::from(*us) / 1000.0),
            _ => None,
        };
        ConnectionInfo { server: self.shared.endpoint.to_string(), latency_ms }
    }

    /// Opens the connection again if it is lost or given up.
    pub async fn reconnect(&self) -> Result<(), Error> {
        if !self.is_connected() {
            self.shared.state_tx.send_if_modified(|state| {
                let is_stopped = matches!(state, ConnectionState::Stopped { .. });
                if is_stopped {
                    *state = ConnectionState::default();
                }
                is_stopped
            });
            self.retry_now();
        }
        self.connected(self.timeout()).await
    }

    /// This client with another timeout for its calls.
    pub fn with_timeout(&self, timeout: Duration) -> Client {
        Client { timeout: Some(timeout), ..self.clone() }
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.shared.options.timeout)
    }

    /// Called each time the connection is there from now on.
    pub fn on_connect(&self, hook: impl FnMut() + Send + 'static) {
        self.shared.hooks.connect.add(Box::new(hook));
    }

    /// Called each time the connection is lost.
    pub fn on_disconnect(&self, hook: impl FnMut() + Send + 'static) {
        self.shared.hooks.disconnect.add(Box::new(hook));
    }

    /// Called with what went wrong: an attempt that failed, or the end of all attempts.
    pub fn on_error(&self, hook: impl FnMut(&Error) + Send + 'static) {
        self.shared.hooks.error.add(Box::new(hook));
    }

    /// Ends the connection for all clones; sessions live on.
    pub fn close(&self) {
        self.task.0.abort();
        self.shared.channel_tx.send_replace(None);
        self.shared.core().disconnected(None);
        self.shared.state_tx.send_replace(ConnectionState::Stopped { error: "the client is closed".into() });
    }

    pub(super) fn machine(&self) -> Option<MachineId> {
        *self.shared.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn select(&self, machine: MachineId) {
        *self.shared.machine.lock().unwrap_or_else(PoisonError::into_inner) = Some(machine);
    }

    /// Tries to reconnect now instead of at the end of the current delay.
    pub fn retry_now(&self) {
        self.shared.retry.notify_one();
    }

    /// The fleet from now on.
    pub fn watch_fleet(&self) -> FleetWatch {
        let (events_tx, events_rx) = mpsc::channel(WATCH_CAP);
        tokio::spawn(watch_fleet(self.shared.channel_tx.subscribe(), events_tx));
        FleetWatch { events_rx }
    }

    /// The fleet once.
    pub async fn fleet(&self) -> Result<(Vec<crate::fleet::Machine>, Vec<Session>), Error> {
        let call = |channel| async {
            let request = v1::WatchRequest {};
            let mut events = wire::client_service(channel).watch(request).await?.into_inner();
            events.message().await
        };
        let event = self.call(call).await?;
        match event.and_then(event_from) {
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
        let session = self.call(call).await?.into_inner();
        session.try_into().map_err(|err: crate::fleet::IdError| Error::Refused(err.to_string()))
    }

    /// Ends a session and its programs.
    pub async fn destroy_session(&self, session: SessionId) -> Result<(), Error> {
        let request = v1::DestroySessionRequest { session: Bytes::copy_from_slice(session.as_bytes()) };
        let call = |channel| {
            let request = request.clone();
            async { wire::client_service(channel).destroy_session(request).await }
        };
        self.call(call).await.map(|_| ())
    }

    /// Gives a session another name; an empty one means that of its program.
    pub async fn rename_session(&self, session: SessionId, name: &str) -> Result<Session, Error> {
        let session = Bytes::copy_from_slice(session.as_bytes());
        let request = v1::RenameSessionRequest { session, name: name.into() };
        let call = |channel| {
            let request = request.clone();
            async { wire::client_service(channel).rename_session(request).await }
        };
        let session = self.call(call).await?.into_inner();
        session.try_into().map_err(|err: crate::fleet::IdError| Error::Refused(err.to_string()))
    }

    /// Says that what this program types goes to all of these sessions at once from now on, and with none that it does so
    /// no longer; for the relay's audit log. Sessions that this client is not attached to do not count.
    pub fn broadcast(&self, sessions: Vec<SessionId>) {
        self.shared.core().broadcast(sessions);
    }

    /// Attaches with an inbox of its own.
    pub fn attach(&self, session: SessionId, options: AttachOptions) -> Attachment {
        let inbox = Inbox::new();
        let handle = self.attach_to(&inbox, 0, session, options);
        Attachment { handle, inbox }
    }

    /// Attaches, with events going to a shared inbox under a tag.
    pub fn attach_to(&self, inbox: &Inbox, tag: u64, session: SessionId, options: AttachOptions) -> AttachHandle {
        let state = AttachmentState::new(session, options);
        let client = state.client;
        let weak = Arc::downgrade(&self.shared);
        let reader = |channel: u32| -> Reader {
            Arc::new(move |offset, is_drained| {
                if let Some(shared) = weak.upgrade() {
                    shared.core().act(channel, |state| state.processed(offset, is_drained));
                }
            })
        };
        let channel = self.shared.core().attach(state, inbox.clone(), tag, reader);
        AttachHandle { owner: self.clone(), channel, session, client }
    }

    pub(super) async fn channel(&self) -> Result<Channel, Error> {
        self.connected(self.timeout()).await?;
        let channel = self.shared.channel_tx.borrow().clone();
        channel.ok_or_else(|| Error::NoRelay("the connection to the relay was just lost".into()))
    }

    pub(super) async fn in_time<T>(&self, call: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, Error> {
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
    async fn call<T, F>(&self, call: impl Fn(Channel) -> F) -> Result<T, Error>
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

impl Shared {
    fn verdict(&self) -> Option<Error> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn judge(&self, verdict: Option<Error>) {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = verdict;
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the relay has every frame that was sent so far; without a connection there is none to wait for.
    async fn drained(&self) {
        let mut answered = self.answered_tx.subscribe();
        let token = self.token();
        if self.core().ping(token) {
            let _ = answered.wait_for(|answered| *answered >= token).await;
        }
    }

    /// A ping's token: microseconds since this client's birth.
    fn token(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Microseconds since a ping's token was made, at least 1.
    fn since(&self, token: u64) -> u32 {
        let elapsed = self.token().saturating_sub(token);
        elapsed.clamp(1, u32::MAX.into()) as u32
    }
}

/// An attachment with its own events.
pub struct Attachment {
    handle: AttachHandle,
    inbox: Inbox,
}

impl Attachment {
    /// The next event; nothing follows [`AttachEvent::Closed`].
    pub async fn recv(&mut self) -> AttachEvent {
        self.inbox.recv().await.1
    }

    /// The next event, if one waits.
    pub fn try_recv(&mut self) -> Option<AttachEvent> {
        self.inbox.try_recv().map(|(_, event)| event)
    }

    /// What is sent goes through here.
    pub fn handle(&self) -> &AttachHandle {
        &self.handle
    }
}

/// The sending end of an attachment; the session lives on when it is dropped or detached.
pub struct AttachHandle {
    /// An attachment keeps its connection alive.
    owner: Client,
    channel: u32,
    session: SessionId,
    client: ClientId,
}

impl AttachHandle {
    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// This client's id: a program that knows it may continue the input.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Types; kept and sent again until the keeper has it. Refused when a mebibyte waits already.
    pub fn input(&self, data: Bytes) -> Result<(), Refusal> {
        if data.is_empty() {
            return Ok(());
        }
        let mut core = self.owner.shared.core();
        let Some(state) = core.state(self.channel) else {
            return Err(Refusal::new(crate::fleet::Code::NotFound, "the session has ended"));
        };
        if let Some(up) = state.input(data)? {
            core.send(Frame::Up { channel: self.channel, up });
        }
        Ok(())
    }

    /// Number of the next input byte, counted since the client's birth.
    pub fn input_offset(&self) -> u64 {
        self.owner.shared.core().state(self.channel).map_or(0, |state| state.input_offset())
    }

    /// Whether the keeper has acknowledged all input.
    pub fn is_input_acked(&self) -> bool {
        self.owner.shared.core().state(self.channel).is_none_or(|state| state.is_input_acked())
    }

    /// Waits until the keeper has all input and the relay every frame, at most for `patience`; before a program ends.
    pub async fn settle(&self, patience: Duration) {
        // Out of time the program ends all the same.
        let _ = tokio::time::timeout(patience, async {
            self.input_acked().await;
            self.owner.shared.drained().await;
        })
        .await;
    }

    async fn input_acked(&self) {
        loop {
            let progress = self.owner.shared.progress.notified();
            tokio::pin!(progress);
            // From here on no progress is missed.
            progress.as_mut().enable();
            if self.is_input_acked() {
                return;
            }
            progress.await;
        }
    }

    /// This client's screen has another size.
    pub fn resize(&self, size: Size) {
        self.owner.shared.core().act(self.channel, |state| state.resize(size));
    }

    /// Signals the foreground programs.
    pub fn signal(&self, number: u32) {
        self.owner.shared.core().act(self.channel, |state| state.is_live().then_some(Up::Signal(number)));
    }

    /// Asks for another role, in place.
    pub fn set_role(&self, role: Role) {
        self.owner.shared.core().act(self.channel, |state| state.set_role(role));
    }

    /// Asks for a keyframe with so much history.
    pub fn refresh(&self, history_bytes: u32) {
        self.owner.shared.core().act(self.channel, |state| state.refresh(history_bytes));
    }

    /// Sends a frame as it is, whatever this client's role; the keeper judges. For tests of that judgement.
    pub fn send_unchecked(&self, up: Up) {
        self.owner.shared.core().act(self.channel, |_| Some(up));
    }

    /// Lets the session go; it lives on.
    pub fn detach(&self) {
        self.owner.shared.core().detach(self.channel);
    }
}

impl Drop for AttachHandle {
    fn drop(&mut self) {
        self.detach();
    }
}

async fn run(shared: Weak<Shared>) {
    let seed = u64::from(std::process::id()) << 20 | 1;
    let Some((delay, cap)) = shared.upgrade().map(|s| (s.options.retry_delay, s.options.retry_cap)) else { return };
    let mut backoff = Backoff::new(delay, cap, seed);
    while let Some(shared) = shared.upgrade() {
        let outcome = attempt(&shared, &mut backoff).await;
        let was_connected = shared.channel_tx.send_replace(None).is_some();
        let Failure { message: error, verdict } = outcome.err().unwrap_or_default();
        shared.core().disconnected(denial(verdict.as_ref()).as_ref());
        tracing::debug!(server = %shared.endpoint, error, attempt = backoff.attempt(), was_connected, "not connected");
        let is_over = shared.options.reconnect_attempts.is_some_and(|attempts| backoff.attempt() >= attempts);
        let is_refused = matches!(verdict, Some(Error::Unauthenticated(_) | Error::Refused(_)));
        let delay = backoff.next_delay().max(if is_refused { REFUSED_DELAY } else { Duration::ZERO });
        shared.judge(verdict.clone());
        shared.state_tx.send_replace(match is_over {
            true => ConnectionState::Stopped { error: error.clone() },
            false => ConnectionState::Connecting { attempt: backoff.attempt(), error: Some(error.clone()) },
        });
        if was_connected {
            shared.hooks.disconnect.each(|hook| hook());
        }
        let told = verdict.unwrap_or_else(|| Error::NoRelay(error.clone()));
        shared.hooks.error.each(|hook| hook(&told));
        if is_over {
            shared.retry.notified().await;
            backoff.reset();
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = shared.retry.notified() => {}
        }
    }
}

/// What attachments are to hear: the relay does not let this program in, so nothing comes back by waiting.
fn denial(verdict: Option<&Error>) -> Option<Refusal> {
    match verdict {
        Some(Error::Unauthenticated(message)) => Some(Refusal::new(Code::Unauthenticated, message.clone())),
        _ => None,
    }
}

/// Why an attempt ended.
#[derive(Default)]
struct Failure {
    message: String,
    /// Set if waiting does not cure it.
    verdict: Option<Error>,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure { message, verdict: None }
    }
}

impl From<DialError> for Failure {
    fn from(err: DialError) -> Failure {
        let message = err.to_string();
        Failure { verdict: err.is_final().then(|| Error::Untrusted(message.clone())), message }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Failure {
        let refusal = refusal_of(&status);
        let is_final = matches!(refusal.code, Code::Unauthenticated | Code::PermissionDenied | Code::Exhausted);
        let message = refusal.message.clone();
        Failure { message, verdict: is_final.then(|| refusal.into()) }
    }
}

async fn attempt(shared: &Arc<Shared>, backoff: &mut Backoff) -> Result<(), Failure> {
    let channel = wire::dial(&shared.endpoint, &shared.options.credentials).await?;
    let epoch = shared.core().epoch;
    let upstream = Upstream { shared: Arc::downgrade(shared), epoch, is_greeted: false };
    let mut frames = wire::client_service(channel.clone()).link(upstream).await?.into_inner();
    match frames.message().await?.and_then(|frame| frame.frame) {
        Some(v1::client_down::Frame::Hello(hello)) => wire::check_hello(&hello).map_err(|err| err.to_string())?,
        _ => return Err("the relay did not open with a hello".to_string().into()),
    }
    shared.judge(None);
    backoff.reset();
    shared.core().connected();
    shared.channel_tx.send_replace(Some(channel));
    let server = shared.endpoint.to_string();
    shared.state_tx.send_replace(ConnectionState::Connected { server: server.clone(), latency_us: None });
    tracing::debug!(server, "connected");
    shared.hooks.connect.each(|hook| hook());
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        tokio::select! {
            frame = frames.message() => match frame? {
                Some(frame) => take(shared, frame, &server),
                None => return Err("the relay closed the connection".to_string().into()),
            },
            _ = ping.tick() => {
                let token = shared.token();
                let mut core = shared.core();
                core.ping(token);
                core.ping_all(token);
            }
        }
    }
}

fn take(shared: &Shared, frame: v1::ClientDown, server: &str) {
    use v1::client_down::Frame;
    match frame.frame {
        Some(Frame::Down(down)) => match wire::down_from(down) {
            Some(Down::Pong(token)) => shared.core().measured(frame.channel, shared.since(token)),
            Some(down) => {
                shared.core().down(frame.channel, down);
                shared.progress.notify_waiters();
            }
            None => {}
        },
        Some(Frame::Lost(lost)) => {
            let refused = v1::Refused { code: lost.code, message: lost.message, frame: String::new() };
            shared.core().lost(frame.channel, wire::refusal_from(&refused));
            shared.progress.notify_waiters();
        }
        Some(Frame::Ready(_)) => shared.core().ready(frame.channel),
        Some(Frame::Pong(pong)) => {
            shared.answered_tx.send_replace(pong.token);
            let latency_us = Some(shared.since(pong.token));
            shared.state_tx.send_replace(ConnectionState::Connected { server: server.into(), latency_us });
        }
        Some(Frame::Hello(_)) | None => {}
    }
}

async fn watch_fleet(mut channel_rx: watch::Receiver<Option<Channel>>, events_tx: mpsc::Sender<FleetEvent>) {
    loop {
        let channel = match channel_rx.wait_for(Option::is_some).await {
            Ok(channel) => channel.clone(),
            Err(_) => return,
        };
        let Some(channel) = channel else { continue };
        if let Ok(events) = wire::client_service(channel).watch(v1::WatchRequest {}).await {
            let mut events = events.into_inner();
            while let Ok(Some(event)) = events.message().await {
                let Some(event) = event_from(event) else { continue };
                if events_tx.send(event).await.is_err() {
                    return;
                }
            }
        }
        if events_tx.is_closed() {
            return;
        }
        tokio::time::sleep(REWATCH).await;
    }
}

/// Frames on their way to the relay, hello first.
struct Upstream {
    shared: Weak<Shared>,
    epoch: u64,
    is_greeted: bool,
}

impl Stream for Upstream {
    type Item = v1::ClientUp;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::ClientUp>> {
        use v1::client_up::Frame as Wire;
        if !self.is_greeted {
            self.is_greeted = true;
            return Poll::Ready(Some(v1::ClientUp { channel: 0, frame: Some(Wire::Hello(wire::hello())) }));
        }
        let Some(shared) = self.shared.upgrade() else { return Poll::Ready(None) };
        let frame = match shared.core().next_frame(self.epoch, cx.waker()) {
            Err(()) => return Poll::Ready(None),
            Ok(None) => return Poll::Pending,
            Ok(Some(frame)) => frame,
        };
        let (channel, frame) = match frame {
            Frame::Open { channel, session, client, attach } => {
                let open = v1::OpenChannel {
                    session: Bytes::copy_from_slice(session.as_bytes()),
                    client: Bytes::copy_from_slice(client.as_bytes()),
                    attach: Some(attach.into()),
                };
                (channel, Wire::Open(open))
            }
            Frame::Up { channel, up } => (channel, Wire::Up(wire::up(None, up))),
            Frame::Ping { token } => (0, Wire::Ping(v1::Ping { token })),
            Frame::Broadcast { sessions } => {
                let sessions = sessions.iter().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect();
                (0, Wire::Broadcast(v1::Broadcast { sessions }))
            }
        };
        Poll::Ready(Some(v1::ClientUp { channel, frame: Some(frame) }))
    }
}

//! The connection: dialled, lost and dialled again here and only here.

mod attach;
mod calls;
mod link;

pub use attach::{AttachHandle, Attachment};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::attachment::AttachmentState;
use super::core::Core;
use super::hooks::ConnectionHooks;
use super::inbox::Reader;
use super::{AttachOptions, ConnectionInfo, ConnectionState, Error, FleetWatch, Inbox, Options};
use crate::fleet::{Endpoint, MachineId, SessionId};
use crate::wire::Channel;

/// Fleet changes waiting for one watcher.
const WATCH_CAP: usize = 4096;

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
        let task = tokio::spawn(link::run(Arc::downgrade(&shared)));
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

    /// As [`Client::on_connect`], with something that waits: a task of its own for each call.
    pub fn on_connect_async<F>(&self, hook: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.shared.hooks.add_connect_async(hook);
    }

    /// As [`Client::on_disconnect`], with something that waits.
    pub fn on_disconnect_async<F>(&self, hook: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.shared.hooks.add_disconnect_async(hook);
    }

    /// As [`Client::on_error`], with something that waits.
    pub fn on_error_async<F>(&self, hook: impl FnMut(Error) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.shared.hooks.add_error_async(hook);
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
        tokio::spawn(link::watch_fleet(self.shared.channel_tx.subscribe(), events_tx));
        FleetWatch { events_rx }
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
}

impl Drop for Shared {
    /// The stream of frames to the relay waits for the next one: it hears that there is none, and the connection ends.
    fn drop(&mut self) {
        self.core().disconnected(None);
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

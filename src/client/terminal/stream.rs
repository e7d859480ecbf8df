//! A stream: one client's part in a session, with handlers for what happens there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::buffered::{Batch, Buffer, BufferStats, Buffering};
use super::events::{Events, Phase};
use super::signal::Signal;
use crate::client::{AttachHandle, AttachOptions, Client, Error, Inbox};
use crate::fleet::{Code, Exit, Refusal, Role, SessionId, Size, Viewer};
use crate::rules::{Found, Hit, Pattern, Search};
use crate::stream::{Delivery, KeyframeKind};

/// Output kept for `wait_for` while nobody waits, bytes; the oldest goes first, and the next wait says how much.
const TRANSCRIPT_CAP: usize = 256 * 1024;
/// Largest piece of input handed over at once.
const PIECE: usize = 64 * 1024;
/// How long closing waits for typed input to arrive.
const SETTLE: Duration = Duration::from_secs(1);

/// Where a stream's output begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With bytes that paint the session's screen as it is, then what comes.
    #[default]
    Screen,
    /// With what comes from now on.
    Now,
    /// With the session's first byte, or the screen if the session's log no longer has it.
    Beginning,
    /// With the byte at this offset since the session's birth, or the screen.
    Offset(u64),
}

/// How a stream takes part.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Where output begins.
    pub start: Start,
    /// Whether every byte is delivered, at the stream's own pace, as far as the session's log reaches; otherwise a
    /// stream that falls behind gets the newest screen.
    pub is_lossless: bool,
    /// Size of this client's screen; a session has the size of its smallest driver.
    pub size: Size,
    /// Shown to others: "ada@laptop".
    pub label: String,
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions { start: Start::Screen, is_lossless: true, size: Size::DEFAULT, label: String::new() }
    }
}

/// A stream; clones are the same stream, and it detaches when the last one is gone.
///
/// Handlers run one after the other in the order of the output, on a task of the stream: one that takes long holds
/// back its own stream and nobody else's. A handler that types uses a [`StreamInput`], not a clone of the stream, which
/// would keep the stream alive through itself.
#[derive(Clone)]
pub struct TerminalStream {
    shared: Arc<Shared>,
}

/// The typing end of a stream; does nothing once the stream is gone.
#[derive(Clone)]
pub struct StreamInput {
    link: Arc<Mutex<Option<Arc<AttachHandle>>>>,
    role: Role,
    timeout: Duration,
    events: Weak<Events>,
}

struct Shared {
    client: Client,
    options: StreamOptions,
    events: Arc<Events>,
    input: StreamInput,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.input.set(None);
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl TerminalStream {
    pub(super) fn new(client: Client, role: Role, options: StreamOptions) -> TerminalStream {
        let events = Arc::new(Events::new(TRANSCRIPT_CAP));
        let input =
            StreamInput { link: Arc::default(), role, timeout: client.timeout(), events: Arc::downgrade(&events) };
        TerminalStream { shared: Arc::new(Shared { client, options, events, input, task: Mutex::default() }) }
    }

    /// Called with each piece of output, in order.
    pub fn on_output(&self, handler: impl FnMut(&[u8]) + Send + 'static) {
        self.shared.events.output.add(Box::new(handler));
    }

    /// Called with each piece of output; the next one waits until the future is done. For handlers that write to
    /// databases, sockets and the like.
    pub fn on_output_async<F>(&self, mut handler: impl FnMut(Bytes) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.shared.events.output_async.add(Box::new(move |data| Box::pin(handler(data))));
    }

    /// Called with output in batches: bounded in bytes, at most one per interval, and with the number of bytes that
    /// found no room. Must be called within a runtime.
    pub fn on_output_buffered<F>(
        &self,
        options: Buffering,
        handler: impl FnMut(Batch) -> F + Send + 'static,
    ) -> BufferStats
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (buffer, stats) = Buffer::start(options, handler);
        self.on_output_async(move |data| buffer.push(data));
        stats
    }

    /// Called once for every line in which the pattern is found, escape sequences aside; for a line without an end, such
    /// as a prompt, when output pauses.
    pub fn on_pattern(&self, name: &str, pattern: impl Into<Pattern>, handler: impl FnMut(&Hit) + Send + 'static) {
        self.shared.events.add_pattern(name, pattern.into(), handler);
    }

    /// Lines in which the pattern of this name was found so far.
    pub fn pattern_count(&self, name: &str) -> u64 {
        self.shared.events.pattern_count(name)
    }

    /// Called when the way to the session is cut; it is tried again by itself.
    pub fn on_disconnect(&self, handler: impl FnMut() + Send + 'static) {
        self.shared.events.disconnect.add(Box::new(handler));
    }

    /// Called when the stream continues, at the exact byte, after a cut.
    pub fn on_reconnect(&self, handler: impl FnMut() + Send + 'static) {
        self.shared.events.reconnect.add(Box::new(handler));
    }

    /// Called with what was refused or went wrong.
    pub fn on_error(&self, handler: impl FnMut(&Error) + Send + 'static) {
        self.shared.events.error.add(Box::new(handler));
    }

    /// Called with the number of output bytes that this stream did not get and will not get; the screen follows.
    pub fn on_skipped(&self, handler: impl FnMut(u64) + Send + 'static) {
        self.shared.events.skipped.add(Box::new(handler));
    }

    /// Called when the session's program has ended, after all its output.
    pub fn on_exit(&self, handler: impl FnMut(Exit) + Send + 'static) {
        self.shared.events.exit.add(Box::new(handler));
    }

    /// Called with everybody attached, each time that changes.
    pub fn on_presence(&self, handler: impl FnMut(&[Viewer]) + Send + 'static) {
        self.shared.events.presence.add(Box::new(handler));
    }

    /// Called once each time there was no output for so long; again after the next output.
    pub fn on_idle(&self, after: Duration, handler: impl FnMut(Duration) + Send + 'static) {
        self.shared.events.add_idle(after, Box::new(handler));
        // The task looks at its timers anew.
        self.shared.events.news_tx.send_modify(|news| *news += 1);
    }

    /// Time since the last output.
    pub fn idle_for(&self) -> Duration {
        self.shared.events.idle_for()
    }

    /// Attaches; returns when output flows. A stream that is attached lets go of its session first.
    ///
    /// # Errors
    /// [`Error::SessionNotFound`], [`Error::PermissionDenied`], [`Error::MachineOffline`] when its machine does not come
    /// online within the timeout, [`Error::Timeout`].
    pub async fn attach(&self, session: SessionId) -> Result<(), Error> {
        self.let_go();
        let shared = &self.shared;
        let options = AttachOptions {
            delivery: if shared.options.is_lossless { Delivery::Lossless } else { Delivery::Latest },
            keyframe: KeyframeKind::Terminal,
            label: shared.options.label.clone(),
            from_offset: match shared.options.start {
                Start::Screen | Start::Now => None,
                Start::Beginning => Some(0),
                Start::Offset(offset) => Some(offset),
            },
            ..AttachOptions::new(shared.input.role, shared.options.size)
        };
        shared.events.phase_tx.send_replace(Phase::Detached);
        let inbox = Inbox::new();
        let handle = Arc::new(shared.client.attach_to(&inbox, 0, session, options));
        shared.input.set(Some(handle));
        shared.events.attached();
        let has_screen = shared.options.start != Start::Now;
        *lock(&shared.task) = Some(tokio::spawn(pump(shared.events.clone(), inbox, has_screen, shared.input.role)));
        let timeout = shared.client.timeout();
        let mut phase_rx = shared.events.phase_tx.subscribe();
        let settled = phase_rx.wait_for(|phase| !matches!(phase, Phase::Detached | Phase::Lost(_)));
        let settled = tokio::time::timeout(timeout, settled).await.map(|phase| phase.map(|phase| phase.clone()));
        let error = match settled {
            Ok(Ok(Phase::Closed(Some(refusal)))) => refusal.into(),
            Ok(Ok(Phase::Closed(None))) => Error::SessionNotFound(format!("session {session} has ended")),
            Ok(_) => return Ok(()),
            Err(_) => match &*shared.events.phase_tx.borrow() {
                Phase::Lost(refusal) => refusal.clone().into(),
                _ => Error::Timeout(format!(
                    "session {session} did not answer within {timeout:?}; is its machine online?"
                )),
            },
        };
        self.let_go();
        Err(error)
    }

    /// The session it is attached to.
    pub fn session(&self) -> Option<SessionId> {
        lock(&self.shared.input.link).as_ref().map(|handle| handle.session())
    }

    /// The typing end, for handlers and other tasks.
    pub fn input(&self) -> StreamInput {
        self.shared.input.clone()
    }

    /// Types; see [`StreamInput::send_input`].
    pub async fn send_input(&self, data: impl AsRef<[u8]>) -> Result<(), Error> {
        self.shared.input.send_input(data).await
    }

    /// Sends a signal; see [`StreamInput::send_signal`].
    pub async fn send_signal<S>(&self, signal: S) -> Result<(), Error>
    where
        S: TryInto<Signal>,
        Error: From<S::Error>,
    {
        self.shared.input.send_signal(signal).await
    }

    /// Tells this client's size; see [`StreamInput::resize`].
    pub async fn resize(&self, rows: u16, cols: u16) -> Result<(), Error> {
        self.shared.input.resize(rows, cols).await
    }

    /// Waits for a pattern in the output: in what has come since the last match of a wait, then in what comes. A `&str`
    /// is taken literally; see [`Pattern::regex`] for expressions. What it finds is taken out, so that the next wait
    /// begins after it.
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Unavailable`] when the session ends before the pattern comes.
    pub async fn wait_for(&self, pattern: impl Into<Pattern>, timeout: Duration) -> Result<Found, Error> {
        let pattern = pattern.into();
        let events = &self.shared.events;
        let (mut news_rx, mut phase_rx) = (events.news_tx.subscribe(), events.phase_tx.subscribe());
        let mut search = Search::new(pattern.clone());
        let wait = async {
            loop {
                news_rx.borrow_and_update();
                // Looked at before the transcript: the program's end comes after all its output.
                let phase = phase_rx.borrow_and_update().clone();
                if let Some(found) = search.advance(&mut events.transcript()) {
                    return Ok(found);
                }
                match phase {
                    Phase::Exited(exit) => {
                        return Err(Error::Unavailable(format!("the program {exit} before {pattern} came")));
                    }
                    Phase::Closed(_) => {
                        return Err(Error::Unavailable(format!("the session ended before {pattern} came")));
                    }
                    Phase::Detached | Phase::Live | Phase::Lost(_) => {}
                }
                tokio::select! {
                    _ = news_rx.changed() => {}
                    _ = phase_rx.changed() => {}
                }
            }
        };
        match tokio::time::timeout(timeout, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout(format!("{pattern} did not come within {timeout:?}"))),
        }
    }

    /// Waits until the session's program has ended.
    pub async fn exited(&self) -> Result<Exit, Error> {
        let mut phase_rx = self.shared.events.phase_tx.subscribe();
        let ended = |phase: &Phase| matches!(phase, Phase::Exited(_) | Phase::Closed(_));
        let phase = phase_rx.wait_for(ended).await.map(|phase| phase.clone());
        match phase {
            Ok(Phase::Exited(exit)) => Ok(exit),
            Ok(Phase::Closed(Some(refusal))) => Err(refusal.into()),
            _ => Err(Error::Unavailable("the stream is closed".into())),
        }
    }

    /// Detaches, when what was typed has arrived; the session lives on. Handlers stay for the next `attach`.
    pub async fn close(&self) {
        let handle = lock(&self.shared.input.link).clone();
        if let Some(handle) = handle {
            handle.settle(SETTLE).await;
        }
        self.let_go();
    }

    fn let_go(&self) {
        if let Some(handle) = self.shared.input.set(None) {
            handle.detach();
        }
        if let Some(task) = lock(&self.shared.task).take() {
            task.abort();
        }
        self.shared.events.phase_tx.send_replace(Phase::Detached);
    }
}

impl StreamInput {
    /// Types; exactly once, whatever happens to connections on the way. Waits while a mebibyte is under way already.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] for an observer, [`Error::Invalid`] when not attached, [`Error::Timeout`] when the
    /// program takes nothing.
    pub async fn send_input(&self, data: impl AsRef<[u8]>) -> Result<(), Error> {
        let handle = self.driving("type")?;
        for piece in data.as_ref().chunks(PIECE) {
            let piece = Bytes::copy_from_slice(piece);
            if let Err(refusal) = handle.input(piece.clone()) {
                if refusal.code != Code::Exhausted {
                    return Err(refusal.into());
                }
                handle.settle(self.timeout).await;
                handle.input(piece).map_err(|refusal: Refusal| Error::Timeout(refusal.message))?;
            }
        }
        Ok(())
    }

    /// Signals the foreground programs: `"SIGINT"`, `"SIGTERM"`, `"SIGKILL"`, … or a [`Signal`].
    ///
    /// # Errors
    /// As for [`Self::send_input`]; [`Error::Unavailable`] while the way to the session is cut, since a signal is not kept.
    pub async fn send_signal<S>(&self, signal: S) -> Result<(), Error>
    where
        S: TryInto<Signal>,
        Error: From<S::Error>,
    {
        let signal: Signal = signal.try_into()?;
        let handle = self.driving("send signals")?;
        if !self.is_live() {
            return Err(Error::Unavailable("the way to the session is cut; the signal is not sent".into()));
        }
        handle.signal(signal.number());
        Ok(())
    }

    /// Tells this client's size; the session has that of its smallest driver, and its program gets SIGWINCH.
    ///
    /// # Errors
    /// As for [`Self::send_input`].
    pub async fn resize(&self, rows: u16, cols: u16) -> Result<(), Error> {
        self.driving("resize")?.resize(Size::new(rows.into(), cols.into()));
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.events.upgrade().is_some_and(|events| *events.phase_tx.borrow() == Phase::Live)
    }

    fn driving(&self, what: &str) -> Result<Arc<AttachHandle>, Error> {
        if self.role == Role::Observer {
            let message = format!("an observer may not {what}; attach with `terminal().stream()` to drive");
            return Err(Error::PermissionDenied(message));
        }
        let handle = lock(&self.link).clone();
        handle.ok_or_else(|| Error::Invalid("the stream is attached to no session; call `attach` first".into()))
    }

    fn set(&self, handle: Option<Arc<AttachHandle>>) -> Option<Arc<AttachHandle>> {
        std::mem::replace(&mut *lock(&self.link), handle)
    }
}

async fn pump(events: Arc<Events>, inbox: Inbox, has_screen: bool, mut role: Role) {
    let mut news_rx = events.news_tx.subscribe();
    loop {
        let deadline = events.deadline();
        tokio::select! {
            biased;
            (_, event) = inbox.recv() => {
                events.take(event, has_screen, &mut role).await;
                news_rx.mark_unchanged();
            }
            () = tokio::time::sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)), if deadline.is_some() => {
                events.tick();
            }
            _ = news_rx.changed() => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

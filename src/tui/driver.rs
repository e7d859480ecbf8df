//! The wall's edges: the client's events become messages, effects become calls of the client.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::client::{AttachEvent, AttachHandle, AttachOptions, Client, Error, FleetEvent, Inbox};

use super::effect::{Effect, Effects};
use super::model::{Model, PaneId};
use super::msg::Msg;
use super::stage::Stage;
use super::terminal::{self, Terminal};

/// Output taken in one turn before the terminal and the keyboard are looked at again, bytes.
const TURN_BYTES: usize = 256 * 1024;
/// The same while a key's answer is awaited: about half a millisecond of parsing.
const ANSWER_TURN_BYTES: usize = 48 * 1024;
/// Events of other kinds taken in one turn.
const TURN_EVENTS: usize = 512;
/// Busy panes send at most every so many milliseconds: the wall draws no faster.
const PACE_MS: u32 = 16;
/// Ages and timeouts are looked at so often when nothing happens.
const IDLE: Duration = Duration::from_secs(1);

/// Runs the wall until it is left.
pub(super) async fn drive(
    client: Client,
    model: Model,
    terminal: Terminal,
    label: String,
    history: u32,
) -> io::Result<()> {
    let mut wall = Wall {
        stage: Stage::new(model, terminal),
        client,
        inbox: Inbox::new(),
        handles: HashMap::new(),
        calls: JoinSet::new(),
        label,
        history,
        is_over: false,
        is_stopping: None,
    };
    wall.run().await
}

struct Wall {
    stage: Stage,
    client: Client,
    inbox: Inbox,
    handles: HashMap<PaneId, AttachHandle>,
    calls: JoinSet<Msg>,
    label: String,
    history: u32,
    is_over: bool,
    is_stopping: Option<Stopping>,
}

/// Who stops: we, or the job that we are part of.
#[derive(Clone, Copy)]
enum Stopping {
    Process,
    Job,
}

/// What woke the wall.
enum Woken {
    Typed(usize),
    Arrived(u64, AttachEvent),
    Fleet(FleetEvent),
    Connection,
    Called(Msg),
    Resized,
    /// Continued, after a stop that nobody was told of.
    Continued,
    Ended,
    Writable,
    Flush,
    Time,
}

impl Wall {
    async fn run(&mut self) -> io::Result<()> {
        let mut fleet = self.client.watch_fleet();
        let mut connection = self.client.connection();
        let mut ends = Ends::new()?;
        let mut resized = signal(SignalKind::window_change())?;
        let mut stops = signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
        let mut continues = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        let mut buffer = vec![0u8; 16 * 1024];
        let mut has_fleet = true;
        self.stage.tell_time();
        let state = connection.borrow_and_update().clone();
        self.take(Msg::Connection(state));
        while !self.is_over {
            self.stage.draw()?;
            crate::runtime::may_panic("the first frame");
            let wake_at = self.stage.next_frame().unwrap_or_else(|| Instant::now() + IDLE);
            let sequence_wait = self.stage.input_wait();
            let awaited = self.stage.awaited();
            let is_lagging = self.stage.model.lagging().next().is_some();
            let woken = tokio::select! {
                biased;
                read = self.stage.terminal.read(&mut buffer) => match read {
                    Ok(n) => Woken::Typed(n),
                    // The terminal is gone; nobody is left to tell.
                    Err(_) => Woken::Ended,
                },
                () = ends.end() => Woken::Ended,
                (tag, event) = self.inbox.recv_before(&awaited) => Woken::Arrived(tag, event),
                _ = resized.recv() => Woken::Resized,
                _ = continues.recv() => Woken::Continued,
                _ = stops.recv() => {
                    self.is_stopping = Some(Stopping::Process);
                    Woken::Time
                }
                Some(Ok(msg)) = self.calls.join_next(), if !self.calls.is_empty() => Woken::Called(msg),
                event = fleet.recv(), if has_fleet => match event {
                    Some(event) => Woken::Fleet(event),
                    None => {
                        has_fleet = false;
                        continue;
                    }
                },
                Ok(()) = connection.changed() => Woken::Connection,
                () = self.stage.terminal.writable() => Woken::Writable,
                () = tokio::time::sleep(sequence_wait.unwrap_or(IDLE)), if sequence_wait.is_some() => Woken::Flush,
                () = tokio::time::sleep_until(wake_at.into()), if !is_lagging => Woken::Time,
                // Whatever else is ready comes before what a replica has not taken.
                () = tokio::task::yield_now(), if is_lagging => Woken::Time,
            };
            self.stage.tell_time();
            if is_lagging {
                self.take(Msg::Digest);
            }
            match woken {
                Woken::Typed(n) => {
                    for input in self.stage.decode(&buffer[..n]) {
                        self.take(Msg::Input(input));
                    }
                    // The key is under way before a frame that happens to be due is built.
                    tokio::task::yield_now().await;
                }
                Woken::Flush => {
                    for input in self.stage.flush_input() {
                        self.take(Msg::Input(input));
                    }
                }
                Woken::Arrived(tag, event) => self.arrived(tag, event),
                Woken::Fleet(event) => self.take(fleet_msg(event)),
                Woken::Connection => {
                    let state = connection.borrow_and_update().clone();
                    self.take(Msg::Connection(state));
                }
                Woken::Called(msg) => self.take(msg),
                Woken::Resized => {
                    let effects = self.stage.resize();
                    self.perform(effects);
                }
                Woken::Continued => self.resume(),
                Woken::Writable => self.stage.terminal.write_now()?,
                Woken::Ended => self.is_over = true,
                Woken::Time => {}
            }
            if let Some(stopping) = self.is_stopping.take() {
                suspend(stopping);
                continues.recv().await;
                self.resume();
            }
        }
        for handle in self.handles.values() {
            handle.detach();
        }
        // The detaches and a last call may go out.
        tokio::task::yield_now().await;
        let _ =
            tokio::time::timeout(Duration::from_millis(300), async { while self.calls.join_next().await.is_some() {} })
                .await;
        Ok(())
    }

    /// Takes what arrived for panes, and what waits behind it up to this turn's bound.
    fn arrived(&mut self, tag: u64, event: AttachEvent) {
        let mut left = if self.stage.is_awaiting() { ANSWER_TURN_BYTES } else { TURN_BYTES };
        let awaited = self.stage.awaited();
        let mut next = Some((tag, event));
        let mut events = 0;
        while let Some((tag, event)) = next.take() {
            if let AttachEvent::Output { data, .. } | AttachEvent::Keyframe { data, .. } = &event {
                left = left.saturating_sub(data.len());
            }
            self.take(Msg::Attach { pane: PaneId(tag), event });
            events += 1;
            if left > 0 && events < TURN_EVENTS {
                next = self.inbox.try_recv_before(&awaited);
            }
        }
    }

    fn take(&mut self, msg: Msg) {
        let effects = self.stage.take(msg);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Attach { pane, session, role, size } => {
                    let mut options = AttachOptions::new(role, size);
                    options.history_bytes = self.history;
                    options.label = self.label.clone();
                    options.pace_ms = Some(PACE_MS);
                    let handle = self.client.attach_to(&self.inbox, pane.0, session, options);
                    self.handles.insert(pane, handle);
                }
                Effect::Detach { pane } => {
                    if let Some(handle) = self.handles.remove(&pane) {
                        handle.detach();
                    }
                }
                Effect::Input { pane, bytes } => {
                    if let Some(Err(refusal)) = self.handles.get(&pane).map(|handle| handle.input(bytes)) {
                        self.take(Msg::InputRefused { pane, refusal });
                    }
                }
                Effect::Broadcast { sessions } => self.client.broadcast(sessions),
                Effect::Resize { pane, size } => self.with(pane, |handle| handle.resize(size)),
                Effect::SetRole { pane, role } => self.with(pane, |handle| handle.set_role(role)),
                Effect::Refresh { pane } => self.with(pane, |handle| handle.refresh(self.history)),
                Effect::Create { machine, spec } => {
                    let client = self.client.clone();
                    self.calls.spawn(async move {
                        let session = spec.id;
                        match client.create_session(machine, *spec).await {
                            Ok(session) => Msg::Created(session),
                            Err(error) => Msg::CreateFailed { session, machine, message: error.to_string() },
                        }
                    });
                }
                Effect::Destroy { session } => {
                    let client = self.client.clone();
                    self.calls.spawn(async move {
                        match client.destroy_session(session).await {
                            Ok(()) => Msg::SessionRemoved(session),
                            // It has ended without us, or its keeper was killed.
                            Err(Error::SessionNotFound(_)) => Msg::SessionRemoved(session),
                            Err(error) => Msg::DestroyFailed { session, message: error.to_string() },
                        }
                    });
                }
                Effect::Suspend => self.is_stopping = Some(Stopping::Job),
                // Done on the stage.
                Effect::Redraw | Effect::Bell => {}
                Effect::Quit => self.is_over = true,
            }
        }
    }

    fn with(&self, pane: PaneId, call: impl FnOnce(&AttachHandle)) {
        if let Some(handle) = self.handles.get(&pane) {
            call(handle);
        }
    }

    /// Takes the terminal again, where others may have been meanwhile, and draws everything.
    fn resume(&mut self) {
        if let Err(error) = self.stage.terminal.raw() {
            tracing::warn!(%error, "cannot take the terminal again");
        }
        let effects = self.stage.resize();
        self.perform(effects);
    }
}

/// Gives the terminal back and stops. Not by SIGTSTP: that one is ours to handle.
fn suspend(stopping: Stopping) {
    terminal::restore();
    let _ = match stopping {
        Stopping::Process => rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP),
        Stopping::Job => rustix::process::kill_current_process_group(rustix::process::Signal::STOP),
    };
}

/// Signals that ask the wall to end.
struct Ends {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn new() -> io::Result<Ends> {
        Ok(Ends {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn fleet_msg(event: FleetEvent) -> Msg {
    match event {
        FleetEvent::Snapshot { machines, sessions } => Msg::Fleet { machines, sessions },
        FleetEvent::Machine(machine) => Msg::Machine(machine),
        FleetEvent::MachineRemoved(id) => Msg::MachineRemoved(id),
        FleetEvent::Session(session) => Msg::Session(session),
        FleetEvent::SessionRemoved { session, .. } => Msg::SessionRemoved(session),
    }
}

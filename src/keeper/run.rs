//! The keeper's loop: poll(2) over the PTY, the program, the socket and its links.
//!
//! Order of a turn: input first (a person waits for it), then output onto the links, then the screen model, so that no
//! echo waits for the emulator. A busy program is read at about 60 turns a second; a flood, and whatever follows input,
//! at once.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};

use super::core::{Core, Effect, LinkId};
use super::pty::{Pty, Read};
use super::socket::{Link, Listener};
use super::turnstile::{self, Turnstile};
use crate::config::paths;
use crate::fleet::{Refusal, SessionSpec};
use crate::wire::{self, v1};

/// Turns a second in which a busy program is read.
const PACE: Duration = Duration::from_micros(16_667);
/// Reads that go at once before the pace applies; refilled by time and by input.
const BURST: u32 = 4;
/// So many bytes within one pace are a flood, and waiting for the next one would only slow the program.
const FLOOD_BYTES: usize = 16 * 1024;
/// In a flood the terminal is read this often when there is little: the kernel's buffer, 64 KiB, must not fill.
const FLOOD_NAP: Duration = Duration::from_micros(250);
/// A terminal that every program has let go of is looked at again after this long.
const REOPEN: Duration = Duration::from_secs(1);
/// What a program that ended left in its terminal is read up to here, bytes: the kernel keeps less, and whoever else still
/// writes there is not waited for.
const LEFT_CAP: usize = 1024 * 1024;
/// How long hung-up programs may take before they are killed.
const GRACE: Duration = Duration::from_secs(2);

/// How often a keeper that sleeps looks whether its socket can still be found, and how soon after the last look one that
/// is woken does.
const LOOK: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(1));

/// Why a keeper could not start.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The socket's path cannot be bound.
    #[error("cannot listen at {path}: {err}; is the directory writable and the path short enough (107 bytes)?")]
    Bind {
        /// The path.
        path: String,
        /// What the system said.
        err: io::Error,
    },
    /// The session's program could not be started.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The system refused something else.
    #[error("the keeper cannot go on: {0}")]
    Io(#[from] io::Error),
}

/// Runs a session to its end; `ready` is called once, when the program runs and the socket listens.
/// The program has a login's variables, the kept ones of this process, and those of the specification.
pub fn run(
    spec: &SessionSpec,
    socket: &Path,
    kept_variables: &[String],
    ready: impl FnOnce(v1::SessionInfo),
) -> Result<(), KeeperError> {
    let listener =
        Listener::bind(socket).map_err(|err| KeeperError::Bind { path: socket.display().to_string(), err })?;
    let programs = socket.parent().and_then(Path::parent).map(paths::programs_dir);
    let pty = Pty::spawn(spec, kept_variables, programs.as_deref())?;
    let guardian = spec
        .until_pid
        .and_then(|pid| Pid::from_raw(pid as i32))
        .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
    let mut keeper = Keeper {
        core: Core::new(spec, now_ms()),
        spec: spec.clone(),
        is_guarded: spec.until_pid.is_some(),
        guardian,
        pid: pty.pid(),
        pty: Some(pty),
        listener,
        links: HashMap::new(),
        next_link: 0,
        gate: Gate::new(),
        kill_at: None,
        is_flooded: false,
        looked: Instant::now(),
        is_look_due: false,
        turnstile: Turnstile::new(socket.parent().unwrap_or(Path::new("."))),
    };
    ready(keeper.info());
    keeper.run()
}

/// Milliseconds since the epoch.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

struct Keeper {
    core: Core,
    spec: SessionSpec,
    pty: Option<Pty>,
    pid: u32,
    listener: Listener,
    links: HashMap<LinkId, Link>,
    next_link: LinkId,
    gate: Gate,
    guardian: Option<OwnedFd>,
    is_guarded: bool,
    kill_at: Option<Instant>,
    is_flooded: bool,
    /// When the socket's path was looked at.
    looked: Instant,
    /// Something happened since, too soon for another look.
    is_look_due: bool,
    turnstile: Turnstile,
}

/// What poll found, by owner.
#[derive(Default)]
struct Readiness {
    pty_in: bool,
    pty_out: bool,
    program_ended: bool,
    peer_waits: bool,
    guardian_gone: bool,
    links_in: Vec<LinkId>,
    links_out: Vec<LinkId>,
}

impl Keeper {
    fn run(&mut self) -> Result<(), KeeperError> {
        if self.is_guarded && self.guardian.is_none() {
            // The process this session was bound to is gone already.
            self.hang_up();
        }
        while !self.core.is_over() {
            let ready = self.wait()?;
            self.turn(ready);
        }
        self.flush();
        Ok(())
    }

    fn turn(&mut self, ready: Readiness) {
        let now = now_ms();
        for id in ready.links_in {
            self.read_link(id, now);
        }
        if ready.pty_out || self.core.pending_input().is_some() {
            self.write_pty();
        }
        self.perform();
        // A screen that lags is caught up with first: the program waits for it, and nobody else.
        if ready.pty_in && self.gate.is_open() && self.may_take_output() && self.may_read() {
            self.read_pty(now);
        } else {
            self.is_flooded = false;
        }
        if ready.program_ended {
            self.program_ended(now);
        }
        if ready.peer_waits {
            while let Some(stream) = self.listener.accept(self.links.len()) {
                self.next_link += 1;
                self.links.insert(self.next_link, Link::new(self.next_link, stream));
            }
        }
        if ready.guardian_gone {
            self.guardian = None;
            self.hang_up();
        }
        for link in self.links.values() {
            self.core.link_room(link.id, link.may_ask());
        }
        self.core.tick(now);
        self.perform();
        for id in ready.links_out {
            if let Some(link) = self.links.get_mut(&id) {
                link.flush();
            }
        }
        self.flush();
        if !self.is_flooded || !self.may_take_output() {
            self.core.settle(now);
        }
        if self.core.take_panics() > 0 {
            tracing::error!("the screen model panicked at this session's output and was built anew; please report it");
        }
        if self.core.pending_input().is_some() {
            self.write_pty();
        }
        self.perform();
        self.flush();
        if self.turnstile.leave() {
            self.gate.nap(turnstile::RETRY);
        }
        self.bury_links(now);
        self.look();
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill_at = None;
            if let Some(pty) = &self.pty {
                pty.signal_leader(Signal::KILL);
            }
        }
    }

    /// Makes sure that agents find this session.
    fn look(&mut self) {
        self.is_look_due = self.looked.elapsed() < LOOK.1;
        if self.is_look_due {
            return;
        }
        self.looked = Instant::now();
        match self.listener.restore() {
            Ok(false) => {}
            Ok(true) => tracing::warn!("the socket was gone and is there again"),
            Err(err) => tracing::warn!(%err, "the socket is gone and cannot be made anew yet"),
        }
    }

    fn wait(&mut self) -> io::Result<Readiness> {
        let gate_wait = if self.pty.is_some() { self.gate.wait() } else { None };
        let due = self.core.deadline().map(|at| Duration::from_millis(at.saturating_sub(now_ms())));
        let kill = self.kill_at.map(|at| at.saturating_duration_since(Instant::now()));
        // Frames that were held back and may be taken now are in no socket that poll could report.
        let is_unheld = |link: &Link| link.is_held && link.may_ask();
        let held = self.links.values().any(is_unheld).then_some(Duration::ZERO);
        // The next turn takes up where the last one left the screen, after whatever came meanwhile.
        let lag = (self.core.is_lagging() && !self.is_flooded).then_some(Duration::ZERO);
        let every = if self.is_look_due { LOOK.1 } else { LOOK.0 };
        let look = Some(every.saturating_sub(self.looked.elapsed()));
        let timeout = [gate_wait, due, kill, held, lag, look].into_iter().flatten().min();
        let timeout =
            timeout.map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() });
        let order: Vec<LinkId> = self.links.keys().copied().collect();
        let mut fds = Vec::with_capacity(4 + order.len());
        let listener = self.listener.as_fd();
        fds.push(PollFd::from_borrowed_fd(listener, PollFlags::IN));
        for id in &order {
            let link = &self.links[id];
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, link.may_ask());
            flags.set(PollFlags::OUT, link.has_backlog());
            fds.push(PollFd::from_borrowed_fd(link.as_fd(), flags));
        }
        let program = fds.len();
        if let Some(pty) = &self.pty {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, gate_wait.is_none() && self.may_take_output());
            flags.set(PollFlags::OUT, self.core.pending_input().is_some() && self.gate.closed_at.is_none());
            fds.push(PollFd::from_borrowed_fd(pty.pidfd(), PollFlags::IN));
            // Without flags poll still reports a hang-up, and would spin on it.
            if !flags.is_empty() {
                fds.push(PollFd::from_borrowed_fd(pty.as_fd(), flags));
            }
        }
        let pty_polled = self.pty.is_some() && fds.len() == program + 2;
        let guardian = fds.len();
        if let Some(fd) = &self.guardian {
            fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
        let came = |index: usize, flags: PollFlags| fds.get(index).is_some_and(|fd| fd.revents().intersects(flags));
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let mut ready = Readiness { peer_waits: came(0, readable), ..Readiness::default() };
        for (index, id) in order.iter().enumerate() {
            if came(index + 1, readable) || is_unheld(&self.links[id]) {
                ready.links_in.push(*id);
            }
            if came(index + 1, PollFlags::OUT) {
                ready.links_out.push(*id);
            }
        }
        if self.pty.is_some() {
            ready.program_ended = came(program, readable);
            if pty_polled {
                ready.pty_in = came(program + 1, readable);
                ready.pty_out = came(program + 1, PollFlags::OUT);
            }
        }
        ready.guardian_gone = self.guardian.is_some() && came(guardian, readable);
        Ok(ready)
    }

    fn may_take_output(&self) -> bool {
        self.core.may_take_output(self.gate.urgent > 0)
    }

    /// A flood takes its turn with the other floods of this machine.
    fn may_read(&mut self) -> bool {
        if !self.gate.is_flooding() {
            self.turnstile.abandon();
            return true;
        }
        let may = self.turnstile.enter();
        if !may {
            self.gate.nap(self.turnstile.backoff());
        }
        may
    }

    fn read_pty(&mut self, now: u64) {
        self.is_flooded = false;
        let Some(pty) = &mut self.pty else { return };
        match pty.read(false) {
            Read::Output(data, is_more) => {
                // While more is waiting the screen model can wait too: `Core::may_take_output` bounds for how long.
                self.is_flooded = is_more && data.len() >= FLOOD_BYTES;
                self.gate.spend(data.len());
                self.core.output(data, now);
            }
            Read::Closed => self.gate.close(),
        }
    }

    /// The program is gone: read what it left, tell everybody how it ended, let the terminal go.
    fn program_ended(&mut self, now: u64) {
        let Some(pty) = &mut self.pty else { return };
        let Some((code, signal)) = pty.try_wait() else { return };
        let mut left = LEFT_CAP;
        while let Read::Output(data, is_more) = pty.read(true) {
            left = left.saturating_sub(data.len());
            self.core.output(data, now);
            if !is_more || left == 0 {
                break;
            }
        }
        self.pty = None;
        self.kill_at = None;
        self.turnstile.abandon();
        self.core.exited(code, signal, now);
    }

    fn write_pty(&mut self) {
        let Some(pty) = &self.pty else { return };
        while let Some(data) = self.core.pending_input() {
            match pty.write(data) {
                Ok(0) => return,
                Ok(count) => {
                    self.core.input_written(count);
                    self.gate.refill();
                }
                Err(err) => {
                    tracing::debug!(%err, "the terminal takes no input");
                    return;
                }
            }
        }
    }

    /// Takes a link's frames one by one, so that the answers to one are counted before the next is looked at: a peer that
    /// does not read them is not listened to either.
    fn read_link(&mut self, id: LinkId, now: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !link.is_held {
            link.read();
        }
        while let Some(link) = self.links.get_mut(&id) {
            let Some(frame) = link.next_frame() else { return };
            if !link.is_open {
                self.greet(id, frame);
                continue;
            }
            match wire::up_from(frame) {
                Ok((client, Some(up))) => self.core.frame(id, client, up, now),
                Ok((_, None)) => {}
                Err(err) => {
                    tracing::warn!(link = id, %err, "closing the link");
                    link.is_dead = true;
                    return;
                }
            }
            self.perform();
        }
    }

    fn greet(&mut self, id: LinkId, frame: v1::SessionUp) {
        let info = self.info();
        let Some(link) = self.links.get_mut(&id) else { return };
        link.send(v1::keeper_down::Frame::Hello(wire::hello()));
        match frame.frame {
            Some(v1::session_up::Frame::Hello(hello)) if wire::check_hello(&hello).is_ok() => {
                link.is_open = true;
                link.send(v1::keeper_down::Frame::Info(info));
                self.core.link_opened(id);
            }
            _ => {
                tracing::warn!(link = id, "the peer did not open with a hello that is understood");
                link.flush();
                link.is_dead = true;
            }
        }
    }

    fn perform(&mut self) {
        for effect in self.core.take_effects() {
            if !matches!(effect, Effect::Send { .. }) {
                // What was typed before it comes before it.
                self.write_pty();
            }
            match effect {
                Effect::Send { link, client, down } => {
                    if let Some(link) = self.links.get_mut(&link) {
                        link.send(v1::keeper_down::Frame::Down(wire::down(client, down)));
                    }
                }
                Effect::Resize(size) => {
                    if let Some(pty) = &self.pty {
                        pty.resize(size);
                    }
                }
                Effect::Signal(number) => {
                    self.gate.refill();
                    if let Some(pty) = &self.pty {
                        pty.signal(number);
                    }
                }
                Effect::HangUp => self.hang_up_programs(),
            }
        }
    }

    fn hang_up(&mut self) {
        let now = now_ms();
        self.core.frame(0, None, crate::stream::Up::Close, now);
        self.perform();
    }

    fn hang_up_programs(&mut self) {
        if let Some(pty) = &self.pty {
            pty.signal_leader(Signal::HUP);
            pty.signal_leader(Signal::CONT);
            self.kill_at = Some(Instant::now() + GRACE);
        }
    }

    fn flush(&mut self) {
        for link in self.links.values_mut() {
            if link.has_backlog() {
                link.flush();
            }
        }
    }

    fn bury_links(&mut self, now: u64) {
        let dead: Vec<LinkId> = self.links.values().filter(|link| link.is_dead).map(|link| link.id).collect();
        for id in dead {
            self.links.remove(&id);
            self.core.link_closed(id, now);
        }
        self.perform();
    }

    fn info(&self) -> v1::SessionInfo {
        let mut spec = v1::SessionSpec::from(&self.spec);
        // They may be secrets, and whoever looks at the session would see them.
        spec.env.clear();
        if let Some(name) = self.core.name() {
            spec.name = name.into();
        }
        v1::SessionInfo {
            spec: Some(spec),
            pid: self.pid,
            created_ms: self.core.created_ms(),
            summary: Some((&self.core.summary()).into()),
        }
    }
}

/// When the PTY may be read: a bucket of immediate reads, refilled at [`PACE`] and by input.
///
/// The pace follows the system's clock, so that the keepers of a machine wake together and the agent, the relay and
/// the wall meet their output in one turn.
struct Gate {
    tokens: u32,
    /// The last tick of the system's clock that refilled the bucket.
    tick: u128,
    /// Bytes read since that tick, and since the one before it.
    bytes: [usize; 2],
    /// In a flood: not before this.
    nap_until: Option<Instant>,
    /// Reads that go at once even in a flood, since somebody typed.
    urgent: u32,
    /// The terminal has no other side; looked at again at each [`REOPEN`].
    closed_at: Option<Instant>,
}

impl Gate {
    fn new() -> Gate {
        Gate { tokens: BURST, tick: 0, bytes: [0; 2], nap_until: None, urgent: 0, closed_at: None }
    }

    fn is_open(&self) -> bool {
        self.tokens > 0 && self.closed_at.is_none() && self.nap_until.is_none()
    }

    /// How long to wait before reading; `None` for not at all.
    fn wait(&mut self) -> Option<Duration> {
        if let Some(closed) = self.closed_at {
            let wait = REOPEN.saturating_sub(closed.elapsed());
            if !wait.is_zero() {
                return Some(wait);
            }
            self.closed_at = None;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let tick = since / PACE.as_nanos();
        if tick != self.tick {
            // A clock that was set back refills too: a read too many harms nobody.
            let periods = tick.abs_diff(self.tick).min(BURST.into()) as u32;
            self.tokens = (self.tokens + periods).min(BURST);
            self.tick = tick;
            self.bytes = [0, if periods == 1 { self.bytes[0] } else { 0 }];
        }
        if let Some(until) = self.nap_until {
            let wait = until.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Some(wait);
            }
            self.nap_until = None;
        }
        let into = (since % PACE.as_nanos()) as u64;
        (self.tokens == 0).then(|| PACE - Duration::from_nanos(into))
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes[0] += bytes;
        if self.bytes.iter().all(|bytes| *bytes < FLOOD_BYTES) {
            self.tokens = self.tokens.saturating_sub(1);
        } else if bytes < FLOOD_BYTES {
            self.nap(FLOOD_NAP);
        }
        self.urgent = self.urgent.saturating_sub(1);
    }

    /// Whether the program floods and nobody typed just now.
    fn is_flooding(&self) -> bool {
        self.urgent == 0 && self.bytes.iter().any(|bytes| *bytes >= FLOOD_BYTES)
    }

    fn nap(&mut self, wait: Duration) {
        self.nap_until = Some(Instant::now() + wait);
    }

    fn refill(&mut self) {
        self.urgent = BURST;
        self.tokens = BURST;
        self.nap_until = None;
    }

    /// The terminal has no other side any more: nothing to read until the program's end, or until somebody opens it.
    fn close(&mut self) {
        self.closed_at = Some(Instant::now());
    }
}

//! The session as a pure machine: frames and output in, effects out.
//!
//! The log and the offset move in [`Core::output`] only, and the screen follows in [`Core::settle`] (`model.rs`), so they cannot
//! disagree. Attaching takes keyframe and subscription in one call. Roles are checked here and nowhere later.

mod clients;
mod delivery;
mod model;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::fleet::ClientId;
use crate::fleet::{Code, Exit, Refusal, Role, SessionSpec, Size, Summary, Viewer};
use crate::stream::{Accepted, Down, INPUT_CAP, OutputLog, Up};
use crate::term::Event as TermEvent;
use clients::Clients;
use model::Model;

/// Output kept for resuming clients unless the session says otherwise.
pub(super) const LOG_BYTES: u64 = 4 * 1024 * 1024;
/// Scrollback kept by the screen model unless the session says otherwise.
pub(super) const HISTORY_BYTES: u64 = 4 * 1024 * 1024;
/// Largest log or history a session may ask for.
pub(super) const KEPT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Work of so many turns, about a tenth of a second, is done at once for who is shown the screen: more than may wait, unless it
/// is dearer than what came before. What is left then is sent as it is.
const CATCH_UP_TURNS: u32 = 12;
/// Input of at most so many bytes is keys, whose acknowledgement their echo may take along.
const KEY_BYTES: usize = 64;
/// How long an acknowledgement waits for an echo, milliseconds.
const ACK_MS: u64 = 10;
/// Viewers told of in a millisecond, each to each: a pair costs some 100 bytes, so this is 10 MB/s at the most. Ten of them
/// hear of a change at once, a hundred within 100 ms, a thousand within 10 s.
const PRESENCE_VIEWERS_PER_MS: u64 = 100;
/// Title changes and the like are told at most this often, milliseconds.
const SUMMARY_MS: u64 = 1000;
/// Clients named in a summary; of more there is the number.
const SUMMARY_CLIENTS: usize = 64;
/// Answers to a program's questions that wait for it to read, bytes: as much as a terminal holds.
const REPLIES_WAITING: usize = 64 * 1024;

/// One connection to the keeper's socket.
pub(super) type LinkId = u32;

/// What the driver does for the core.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Send a frame: to one client, or to all viewers behind the link.
    Send { link: LinkId, client: Option<ClientId>, down: Down },
    /// Give the PTY this size.
    Resize(Size),
    /// Signal the foreground process group.
    Signal(u32),
    /// Hang up the session's programs.
    HangUp,
}

/// A link that said hello.
#[derive(Clone, Copy)]
struct Link {
    id: LinkId,
    /// Its peer takes what it is sent.
    has_room: bool,
}

/// The state of a session.
pub(super) struct Core {
    created_ms: u64,
    model: Model,
    /// The screen has done what it may for its viewers in this turn, and lags.
    is_turn_spent: bool,
    log: OutputLog,
    clients: Clients,
    /// Accepted input on its way into the PTY.
    input: VecDeque<Bytes>,
    input_bytes: usize,
    size: Size,
    exit: Option<Exit>,
    is_exit_seen: bool,
    is_closing: bool,
    /// The name it was given after its birth.
    name: Option<String>,
    title: String,
    cwd: String,
    last_output_ms: Option<u64>,
    /// When a client attached last.
    attached_ms: Option<u64>,
    summary_due: Option<u64>,
    summary_sent_ms: u64,
    /// When everybody is told who is there, if somebody came or left since; milliseconds since the epoch.
    presence_due: Option<u64>,
    presence_sent_ms: u64,
    /// When input that was taken is acknowledged, if no output takes the word along before; milliseconds since the epoch.
    acks_due: Option<u64>,
    links: Vec<Link>,
    effects: Vec<Effect>,
}

impl Core {
    /// A session that was just born; times are milliseconds since the epoch.
    pub(super) fn new(spec: &SessionSpec, now: u64) -> Core {
        let kept = |bytes: Option<u64>, default| bytes.unwrap_or(default).min(KEPT_BYTES_MAX) as usize;
        let mut core = Core {
            created_ms: now,
            model: Model::new(spec.size, kept(spec.history_bytes, HISTORY_BYTES)),
            is_turn_spent: false,
            log: OutputLog::new(kept(spec.log_bytes, LOG_BYTES)),
            clients: Clients::default(),
            input: VecDeque::new(),
            input_bytes: 0,
            size: spec.size,
            exit: None,
            is_exit_seen: false,
            is_closing: false,
            name: None,
            title: String::new(),
            cwd: String::new(),
            last_output_ms: None,
            attached_ms: None,
            summary_due: None,
            summary_sent_ms: 0,
            presence_due: None,
            presence_sent_ms: 0,
            acks_due: None,
            links: Vec::new(),
            effects: Vec::new(),
        };
        if !spec.greeting.is_empty() {
            let lines = format!("Connected to {}\r\nSession: {}\r\n", spec.greeting, spec.id.short());
            core.output(lines.into(), now);
        }
        core
    }

    /// What the driver has to do now, in order.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Birth of the session, milliseconds since the epoch.
    pub(super) fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// The name it was given after its birth.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A link opened; it gets summaries from now on.
    pub(super) fn link_opened(&mut self, link: LinkId) {
        self.links.push(Link { id: link, has_room: true });
    }

    /// Whether a link's peer takes what it is sent; what can wait does so while it does not.
    pub(super) fn link_room(&mut self, link: LinkId, has_room: bool) {
        if let Some(link) = self.links.iter_mut().find(|open| open.id == link) {
            link.has_room = has_room;
        }
    }

    /// A link is gone: its clients are no longer attached, but their input numbers stay.
    pub(super) fn link_closed(&mut self, link: LinkId, now: u64) {
        self.links.retain(|open| open.id != link);
        if self.clients.detach_link(link) {
            self.attendance_changed(now);
        }
    }

    /// The program wrote something: onto the log and to the viewers at once; the screen follows in [`Self::settle`].
    pub(super) fn output(&mut self, data: Bytes, now: u64) {
        if data.is_empty() {
            return;
        }
        let offset = self.log.end();
        self.log.append(data.clone());
        self.model.output(data.clone());
        self.last_output_ms = Some(now);
        self.summary_changed(now);
        self.acknowledge();
        self.fan_out(offset, data, now);
    }

    /// Whether the terminal may be read: the screen does not lag too far behind, or `is_answer` to what somebody typed.
    pub(super) fn may_take_output(&self, is_answer: bool) -> bool {
        self.model.may_take() || is_answer && self.model.may_take_answer()
    }

    /// Whether [`Self::settle`] has more to do.
    pub(super) fn is_lagging(&self) -> bool {
        self.model.is_lagging()
    }

    /// How often the screen model panicked, and went on, since last asked.
    pub(super) fn take_panics(&mut self) -> u32 {
        self.model.take_panics()
    }

    /// Feeds the screen what the log has, as far as a turn's work goes; answers the program's queries.
    pub(super) fn settle(&mut self, now: u64) {
        self.model.settle(&self.log);
        self.settled(now);
    }

    /// Likewise, for somebody who is shown the screen; however many there are, they cost the work of one.
    fn catch_up(&mut self, now: u64) {
        for _ in 0..CATCH_UP_TURNS {
            if self.is_turn_spent || !self.model.is_lagging() {
                break;
            }
            self.model.settle(&self.log);
        }
        self.is_turn_spent |= self.model.is_lagging();
        self.settled(now);
    }

    /// Answers what the program asked, notes what it told.
    fn settled(&mut self, now: u64) {
        let replies = self.model.take_replies();
        // A program that asks and does not read gets no more answers than a terminal's buffer holds; what people type has room.
        if !replies.is_empty() && self.exit.is_none() && self.input_bytes < REPLIES_WAITING {
            self.push_input(replies.into());
        }
        for event in self.model.take_events() {
            match event {
                TermEvent::Title(title) => self.title = title,
                TermEvent::Cwd(cwd) => self.cwd = cwd,
                _ => continue,
            }
            self.summary_changed(now);
        }
    }

    /// A frame from a client behind a link.
    pub(super) fn frame(&mut self, link: LinkId, client: Option<ClientId>, up: Up, now: u64) {
        let Some(id) = client else {
            // The link itself speaks: the agent, with the machine's own authority.
            match up {
                Up::Close => self.close(),
                Up::Rename(name) => self.rename(name),
                Up::Ping(token) => self.effects.push(Effect::Send { link, client: None, down: Down::Pong(token) }),
                _ => {}
            }
            return;
        };
        if let Up::Attach(attach) = up {
            return self.attach(link, id, attach, now);
        }
        let kind = up.kind();
        let Some(client) = self.clients.attached(id, link) else {
            let message = "this client is not attached to the session; attach first";
            return self.refuse(link, id, kind, Refusal::new(Code::NotFound, message));
        };
        if up.needs_driver() && client.role != Role::Driver {
            // Its sender drops it and goes on counting.
            if let Up::Input { offset, data } = &up {
                client.input.skip(*offset, data.len());
            }
            let message = format!("an observer may not send {kind}; take the wheel first (role driver)");
            return self.refuse(link, id, kind, Refusal::new(Code::PermissionDenied, message));
        }
        match up {
            Up::Attach(_) => {}
            Up::Input { offset, data } => {
                client.typed_ms = now;
                self.take_input(link, id, offset, data, now);
            }
            Up::Resize(size) => {
                client.size = size;
                client.is_sizeless = false;
                self.attendance_changed(now);
            }
            Up::Signal(number) => self.signal(link, id, number),
            Up::SetRole(role) => {
                client.role = role;
                self.effects.push(Effect::Send { link, client: Some(id), down: Down::RoleSet(role) });
                self.attendance_changed(now);
            }
            Up::Consumed(offset) => self.consumed(id, offset, now),
            Up::Refresh { from_offset, keyframe, history_bytes } => {
                self.refresh(id, from_offset, keyframe, history_bytes, now)
            }
            Up::Ping(token) => self.effects.push(Effect::Send { link, client: Some(id), down: Down::Pong(token) }),
            Up::Detach => {
                self.clients.detach(id);
                self.attendance_changed(now);
            }
            Up::Close => self.close(),
            Up::Rename(_) => {
                let message = "a session is renamed through its machine's agent; see `fleetmux session rename`";
                self.refuse(link, id, kind, Refusal::new(Code::PermissionDenied, message));
            }
        }
    }

    /// The program ended and its output is read to the end.
    pub(super) fn exited(&mut self, code: i32, signal: Option<u32>, now: u64) {
        self.settle(now);
        let exit = Exit { code, signal, offset: self.log.end() };
        self.exit = Some(exit);
        self.input.clear();
        self.input_bytes = 0;
        self.acknowledge();
        self.tell_exit();
        self.summary_due = Some(now);
        self.tick(now);
    }

    /// The next moment something is due, milliseconds since the epoch.
    pub(super) fn deadline(&self) -> Option<u64> {
        let told = self.summary_due.into_iter().chain(self.presence_due);
        told.chain(self.keyframe_due()).chain(self.acks_due).min()
    }

    /// Does what is due; once in each turn.
    pub(super) fn tick(&mut self, now: u64) {
        self.catch_up_due(now);
        self.refresh_due(now);
        self.is_turn_spent = false;
        if self.acks_due.is_some_and(|due| due <= now) {
            self.acknowledge();
        }
        if self.presence_due.is_some_and(|due| due <= now) {
            self.tell_presence(now);
        }
        if self.summary_due.is_some_and(|due| due <= now) {
            self.summary_due = None;
            self.summary_sent_ms = now;
            let summary = self.summary();
            for link in &self.links {
                self.effects.push(Effect::Send { link: link.id, client: None, down: Down::Summary(summary.clone()) });
            }
        }
    }

    /// Whether the keeper may leave: the program ended and somebody has seen how, or was told to close.
    pub(super) fn is_over(&self) -> bool {
        self.exit.is_some() && (self.is_closing || (self.is_exit_seen && self.clients.attached_count() == 0))
    }

    /// Accepted input for the PTY; [`Self::input_written`] takes it off.
    pub(super) fn pending_input(&self) -> Option<&Bytes> {
        self.input.front()
    }

    /// The PTY took so many bytes of the first pending piece.
    pub(super) fn input_written(&mut self, count: usize) {
        let Some(first) = self.input.front_mut() else { return };
        let count = count.min(first.len());
        let _ = first.split_to(count);
        self.input_bytes -= count;
        if first.is_empty() {
            self.input.pop_front();
        }
        if self.input_bytes > INPUT_CAP / 2 {
            return;
        }
        // Clients that were cut short send the rest again from here.
        for (id, client) in self.clients.attached_mut() {
            if std::mem::take(&mut client.is_input_cut) {
                let down = Down::InputAck { next: client.input.next(), is_resend: true };
                self.effects.push(Effect::Send { link: client.link, client: Some(id), down });
            }
        }
    }

    /// What is known without watching.
    pub(super) fn summary(&self) -> Summary {
        let (mut drivers, mut observers) = (0, 0);
        self.clients.for_each_attached(|_, client| match client.role {
            Role::Driver => drivers += 1,
            Role::Observer => observers += 1,
        });
        Summary {
            offset: self.log.end(),
            title: self.title.clone(),
            cwd: self.cwd.clone(),
            size: self.size,
            drivers,
            observers,
            clients: self.viewers().into_iter().take(SUMMARY_CLIENTS).collect(),
            last_output_ms: self.last_output_ms,
            attached_ms: self.attached_ms,
            exit: self.exit,
        }
    }

    /// Tells every client that has been sent all output how the program ended: the end comes last in everybody's stream.
    fn tell_exit(&mut self) {
        let Some(exit) = self.exit else { return };
        for (id, client) in self.clients.attached_mut() {
            if !client.is_exit_sent && client.sent >= exit.offset {
                client.is_exit_sent = true;
                self.effects.push(Effect::Send { link: client.link, client: Some(id), down: Down::Exited(exit) });
            }
        }
    }

    fn take_input(&mut self, link: LinkId, id: ClientId, offset: u64, data: Bytes, now: u64) {
        if self.exit.is_some() {
            let refusal = Refusal::new(Code::Unavailable, "the program has ended; nothing reads this input");
            return self.refuse(link, id, "input", refusal);
        }
        let room = INPUT_CAP.saturating_sub(self.input_bytes);
        let Some(client) = self.clients.attached(id, link) else { return };
        let end = offset.saturating_add(data.len() as u64);
        let is_key = data.len() <= KEY_BYTES;
        let taken = client.input.take(offset, data, room);
        let next = client.input.next();
        client.is_input_cut |= next < end;
        // The echo of a key takes the word along: every hop is woken once for both.
        client.is_ack_due = is_key && next == end && matches!(taken, Accepted::New(_));
        if client.is_ack_due {
            self.acks_due.get_or_insert(now + ACK_MS);
        } else {
            self.effects.push(Effect::Send { link, client: Some(id), down: Down::InputAck { next, is_resend: false } });
        }
        if let Accepted::New(data) = taken {
            self.push_input(data);
        }
    }

    /// Tells clients how much of their input was taken, where that is not said yet.
    fn acknowledge(&mut self) {
        if self.acks_due.take().is_none() {
            return;
        }
        for (id, client) in self.clients.attached_mut() {
            if std::mem::take(&mut client.is_ack_due) {
                let down = Down::InputAck { next: client.input.next(), is_resend: false };
                self.effects.push(Effect::Send { link: client.link, client: Some(id), down });
            }
        }
    }

    fn push_input(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.input_bytes += data.len();
            self.input.push_back(data);
        }
    }

    fn signal(&mut self, link: LinkId, id: ClientId, number: u32) {
        // HUP INT QUIT KILL USR1 USR2 TERM CONT STOP TSTP: what a person sends to a program.
        const KNOWN: [u32; 10] = [1, 2, 3, 9, 10, 12, 15, 18, 19, 20];
        if KNOWN.contains(&number) {
            self.effects.push(Effect::Signal(number));
        } else {
            let refusal = Refusal::new(Code::Invalid, format!("signal {number} cannot be sent; known are {KNOWN:?}"));
            self.refuse(link, id, "signal", refusal);
        }
    }

    /// Another name; every link hears it and the summary's readers through them.
    fn rename(&mut self, name: String) {
        self.name = Some(name.clone());
        for link in &self.links {
            self.effects.push(Effect::Send { link: link.id, client: None, down: Down::Renamed(name.clone()) });
        }
    }

    fn close(&mut self) {
        self.is_closing = true;
        self.effects.push(Effect::HangUp);
    }

    /// Roles, sizes or attendance changed: the size follows the smallest driver, and everybody is told.
    fn attendance_changed(&mut self, now: u64) {
        if let Some((_, size)) = self.clients.smallest_driver()
            && size != self.size
            && self.exit.is_none()
        {
            self.size = size;
            let offset = self.log.end();
            // The log first: should the screen panic, it is replayed from there, at its new size.
            let is_forgotten = self.log.resized(size);
            self.model.resized(size);
            self.catch_up(now);
            if is_forgotten {
                self.clients.resize_forgotten(offset);
            }
            self.effects.push(Effect::Resize(size));
            self.resized(offset, size);
        }
        // Everybody hears of everybody: of many it is told the more rarely.
        let viewers = self.clients.attached_count() as u64;
        let due = self.presence_sent_ms.min(now) + viewers * viewers / PRESENCE_VIEWERS_PER_MS;
        if due <= now {
            self.tell_presence(now);
        } else {
            self.presence_due = Some(due);
        }
        self.summary_changed(now);
    }

    fn tell_presence(&mut self, now: u64) {
        (self.presence_due, self.presence_sent_ms) = (None, now);
        self.tell_all(Down::Presence(self.viewers()));
    }

    /// Everybody attached, by number.
    fn viewers(&self) -> Vec<Viewer> {
        let owner = self.clients.smallest_driver().map(|(id, _)| id);
        let mut viewers = Vec::new();
        self.clients.for_each_attached(|id, client| {
            viewers.push(Viewer {
                number: client.number,
                role: client.role,
                label: client.label.clone(),
                size: client.size,
                owns_size: owner == Some(id),
                principal: client.principal.clone(),
            });
        });
        viewers.sort_by_key(|viewer| viewer.number);
        viewers
    }

    fn summary_changed(&mut self, now: u64) {
        if self.summary_due.is_none() {
            self.summary_due = Some(now.max(self.summary_sent_ms.min(now) + SUMMARY_MS));
        }
    }

    fn has_room(&self, link: LinkId) -> bool {
        self.links.iter().any(|open| open.id == link && open.has_room)
    }

    fn tell_all(&mut self, down: Down) {
        let effects = &mut self.effects;
        self.clients.for_each_attached(|id, client| {
            effects.push(Effect::Send { link: client.link, client: Some(id), down: down.clone() });
        });
    }

    fn refuse(&mut self, link: LinkId, id: ClientId, frame: &str, refusal: Refusal) {
        self.effects.push(Effect::Send {
            link,
            client: Some(id),
            down: Down::Refused { refusal, frame: frame.into() },
        });
    }
}

#[cfg(test)]
mod tests;

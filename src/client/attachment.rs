//! One attachment as a pure machine: frames in, events and frames out.
//!
//! Invariants: events carry every byte once and in order, or say how many were skipped; input is sent again until the
//! keeper has it; the role wished for is asked for again after every cut.

use bytes::{Buf, Bytes};

use super::{AttachEvent, AttachOptions};
use crate::fleet::{ClientId, Code, Refusal, Role, SessionId, Size};
use crate::stream::{Attach, Down, InputSender, Up};

/// Processed bytes are told to the keeper in steps of this size: below its smallest burst.
const CONSUMED_STEP: u64 = 8 * 1024;

/// What a handled frame leads to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) events: Vec<AttachEvent>,
    pub(super) up: Vec<Up>,
    /// The channel must be opened anew.
    pub(super) needs_open: bool,
    /// Nothing follows.
    pub(super) is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Opened or waiting to be; frames of an earlier opening are passed over.
    Opening,
    /// The keeper took us in.
    Live,
    /// The way is cut.
    Cut,
    Over,
}

/// An attachment's state.
#[derive(Debug)]
pub(super) struct AttachmentState {
    pub(super) session: SessionId,
    pub(super) client: ClientId,
    options: AttachOptions,
    /// The role it has; the one in the options is the one it asks for.
    granted: Role,
    phase: Phase,
    /// Next output offset; `None` before anything came.
    next: Option<u64>,
    input: InputSender,
    consumed: u64,
    consumed_told: u64,
    is_behind: bool,
    exit_offset: Option<u64>,
    /// The keeper knows that this client saw the exit.
    is_exit_told: bool,
    reopening: Reopening,
}

/// Opening the channel anew because the keeper knows nothing of this client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reopening {
    /// It may be done at once.
    Free,
    /// It was done a moment ago.
    Used,
    /// It is to be done after a while.
    Waits,
}

impl AttachmentState {
    pub(super) fn new(session: SessionId, options: AttachOptions) -> AttachmentState {
        AttachmentState {
            session,
            client: options.client.unwrap_or_else(ClientId::random),
            next: options.from_offset,
            consumed: options.from_offset.unwrap_or(0),
            consumed_told: options.from_offset.unwrap_or(0),
            granted: options.role,
            options,
            phase: Phase::Opening,
            input: InputSender::default(),
            is_behind: false,
            exit_offset: None,
            is_exit_told: false,
            reopening: Reopening::Free,
        }
    }

    /// Some time has passed since this was asked; whether the channel is to be opened anew.
    pub(super) fn may_open_again(&mut self) -> bool {
        let waited = self.reopening == Reopening::Waits && self.phase == Phase::Cut;
        self.reopening = Reopening::Free;
        waited
    }

    /// What to open the channel with, now.
    pub(super) fn attach(&mut self) -> Attach {
        self.phase = Phase::Opening;
        Attach {
            role: self.options.role,
            delivery: self.options.delivery,
            from_offset: self.next,
            keyframe: self.options.keyframe,
            size: self.options.size,
            // The relay fills in whom it authenticated.
            principal: String::new(),
            label: self.options.label.clone(),
            window: self.options.window,
            history_bytes: self.options.history_bytes,
            pace_ms: self.options.pace_ms,
            is_sizeless: false,
            is_from_oldest: false,
        }
    }

    /// The stream to the relay is gone; `denial` says that the relay does not let this program in any more.
    pub(super) fn disconnected(&mut self, denial: Option<&Refusal>) -> Outcome {
        if self.phase == Phase::Over || (self.phase == Phase::Cut && denial.is_none()) {
            return Outcome::default();
        }
        self.phase = Phase::Cut;
        let lost = || Refusal::new(Code::Unavailable, "the connection to the relay is lost; reconnecting");
        let refusal = denial.cloned().unwrap_or_else(lost);
        Outcome { events: vec![AttachEvent::Lost(refusal)], ..Outcome::default() }
    }

    /// The way to the keeper is cut, or there is none.
    pub(super) fn lost(&mut self, refusal: Refusal) -> Outcome {
        if refusal.code == Code::Unavailable {
            self.phase = Phase::Cut;
            return Outcome { events: vec![AttachEvent::Lost(refusal)], ..Outcome::default() };
        }
        self.close(Some(refusal))
    }

    /// The way is open again.
    pub(super) fn ready(&mut self) -> Outcome {
        Outcome { needs_open: self.phase != Phase::Over, ..Outcome::default() }
    }

    /// A frame from the keeper.
    pub(super) fn down(&mut self, down: Down) -> Outcome {
        let mut outcome = Outcome::default();
        if self.phase == Phase::Over {
            return outcome;
        }
        let is_answer = match &down {
            Down::Attached { .. } => true,
            Down::Refused { frame, .. } => frame == "attach",
            _ => false,
        };
        if self.phase != Phase::Live && !is_answer {
            return outcome;
        }
        let events = &mut outcome.events;
        match down {
            Down::Attached { role, offset, input_next, size, skipped, number } => {
                // A machine that gives more than was asked for has its reasons: only the lower of the two is believed.
                let role = role.min(self.options.role);
                let is_resumed = self.next == Some(offset) && skipped == 0;
                self.phase = Phase::Live;
                self.granted = role;
                self.is_behind = false;
                self.consumed = offset;
                self.consumed_told = offset;
                if is_resumed {
                    self.next = Some(offset);
                } else {
                    // A keyframe follows and says where output continues.
                    self.next = None;
                }
                if input_next < self.input.acknowledged() {
                    // What it wants was dropped here when it was refused, or it has forgotten this client: what it took of what
                    // is kept here nobody knows, and nothing is typed twice.
                    let lost = self.input.next() - self.input.acknowledged();
                    self.input.adopt(input_next);
                    if lost > 0 {
                        let message = format!(
                            "the session has forgotten this client; {lost} bytes typed while the way was cut are dropped"
                        );
                        events.push(AttachEvent::Refused(Refusal::new(Code::Unavailable, message)));
                    }
                }
                if self.input.is_fresh() && input_next > 0 {
                    self.input.adopt(input_next);
                }
                self.input.acknowledge(input_next);
                outcome.up.extend(self.resend());
                events.push(AttachEvent::Attached { role, offset, skipped, size, number, is_resumed });
            }
            Down::Output { offset, data } => match self.take(offset, data) {
                Some((offset, data)) => events.push(AttachEvent::Output { offset, data }),
                None => {
                    if let Some(next) = self.next.filter(|next| offset > *next) {
                        // Never a silent gap: whatever swallowed the bytes between, the keeper says what is there now.
                        self.next = None;
                        outcome.up.push(self.refresh_from(next, self.options.history_bytes));
                    }
                }
            },
            Down::Keyframe { offset, skipped, size, data, .. } => {
                // Output may have come since the keyframe was asked for: what is skipped is what this client has not had.
                let skipped = self.next.map_or(skipped, |next| offset.saturating_sub(next));
                self.next = Some(offset);
                self.consumed = offset;
                self.consumed_told = offset;
                self.is_behind = false;
                events.push(AttachEvent::Keyframe { offset, skipped, size, data });
            }
            Down::Resized { size, .. } => events.push(AttachEvent::Resized(size)),
            Down::Presence(viewers) => events.push(AttachEvent::Presence(viewers)),
            Down::InputAck { next, is_resend } => {
                self.input.acknowledge(next);
                if is_resend {
                    outcome.up.extend(self.resend());
                }
            }
            Down::Exited(exit) => {
                self.exit_offset = Some(exit.offset);
                events.push(AttachEvent::Exited(exit));
            }
            Down::Refused { refusal, frame } => {
                if frame == "attach" {
                    return self.close(Some(refusal));
                }
                if refusal.code == Code::NotFound {
                    // Sent to a keeper that an agent which is new there linked to: it has not heard of this client. What was
                    // typed is kept, and goes out again when it has.
                    // Once at once, and then at the pace of pings: a machine that always says so is no reason to hurry.
                    match std::mem::replace(&mut self.reopening, Reopening::Used) {
                        Reopening::Free => {
                            self.phase = Phase::Opening;
                            outcome.needs_open = true;
                        }
                        Reopening::Used | Reopening::Waits => {
                            (self.phase, self.reopening) = (Phase::Cut, Reopening::Waits);
                            events.push(AttachEvent::Lost(refusal));
                        }
                    }
                    return outcome;
                }
                if frame == "set_role" {
                    // What was not granted is not asked for again at the next attach.
                    self.options.role = self.granted;
                }
                if frame == "input" {
                    // It will not be taken later either: forget it, or it would be sent after every cut.
                    self.input.adopt(self.input.next());
                }
                events.push(AttachEvent::Refused(refusal));
            }
            Down::RoleSet(role) => {
                let role = role.min(self.options.role);
                self.options.role = role;
                self.granted = role;
                events.push(AttachEvent::RoleChanged(role));
            }
            Down::Behind => {
                self.is_behind = true;
                if self.next == Some(self.consumed) {
                    // Everything is read already: no later event would say so.
                    self.consumed_told = self.consumed;
                    outcome.up.push(Up::Consumed(self.consumed));
                }
            }
            Down::Detached(reason) => return self.close(Some(Refusal::new(Code::Unavailable, reason))),
            Down::Pong(_) | Down::Summary(_) | Down::Renamed(_) => {}
        }
        outcome
    }

    /// The program took everything before this offset from the inbox; whether the keeper should hear of it now.
    pub(super) fn processed(&mut self, offset: u64, is_drained: bool) -> Option<Up> {
        self.consumed = self.consumed.max(offset);
        let is_step = self.consumed >= self.consumed_told + CONSUMED_STEP;
        let is_end = is_drained && self.is_behind;
        let is_exit_seen = !self.is_exit_told && self.exit_offset.is_some_and(|exit| self.consumed >= exit);
        if self.phase != Phase::Live || !(is_step || is_end || is_exit_seen) {
            return None;
        }
        self.is_exit_told |= is_exit_seen;
        self.consumed_told = self.consumed;
        Some(Up::Consumed(self.consumed))
    }

    /// Takes input in; what to send now, if the way is open.
    pub(super) fn input(&mut self, data: Bytes) -> Result<Option<Up>, Refusal> {
        if self.phase == Phase::Over {
            return Err(Refusal::new(Code::NotFound, "the session has ended"));
        }
        let full = |err: crate::stream::InputSenderFull| Refusal::new(Code::Exhausted, err.to_string());
        let offset = self.input.push(data.clone()).map_err(full)?;
        Ok((self.phase == Phase::Live).then_some(Up::Input { offset, data }))
    }

    /// Wishes for another role.
    pub(super) fn set_role(&mut self, role: Role) -> Option<Up> {
        self.options.role = role;
        (self.phase == Phase::Live).then_some(Up::SetRole(role))
    }

    /// This client's screen has another size.
    pub(super) fn resize(&mut self, size: Size) -> Option<Up> {
        self.options.size = size;
        (self.phase == Phase::Live && self.options.role == Role::Driver).then_some(Up::Resize(size))
    }

    /// Another keyframe, with so much history.
    pub(super) fn refresh(&mut self, history_bytes: u32) -> Option<Up> {
        let next = self.next.filter(|_| self.phase == Phase::Live)?;
        Some(self.refresh_from(next, history_bytes))
    }

    /// Whether frames may be sent.
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Number of input bytes the keeper has or will get.
    pub(super) fn input_offset(&self) -> u64 {
        self.input.next()
    }

    /// Whether the keeper has all input.
    pub(super) fn is_input_acked(&self) -> bool {
        self.input.unacknowledged().next().is_none()
    }

    fn refresh_from(&self, next: u64, history_bytes: u32) -> Up {
        Up::Refresh { from_offset: next, keyframe: self.options.keyframe, history_bytes }
    }

    fn resend(&self) -> Vec<Up> {
        self.input.unacknowledged().map(|(offset, data)| Up::Input { offset, data }).collect()
    }

    /// The part of a piece that is next, if it is contiguous.
    fn take(&mut self, offset: u64, mut data: Bytes) -> Option<(u64, Bytes)> {
        let next = self.next?;
        let end = offset.saturating_add(data.len() as u64);
        if offset > next || end <= next {
            return None;
        }
        data.advance((next - offset) as usize);
        self.next = Some(end);
        Some((next, data))
    }

    fn close(&mut self, refusal: Option<Refusal>) -> Outcome {
        self.phase = Phase::Over;
        Outcome { events: vec![AttachEvent::Closed(refusal)], is_over: true, ..Outcome::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(state: &mut AttachmentState, offset: u64, input_next: u64, skipped: u64) -> Outcome {
        state.attach();
        state.down(Down::Attached { role: Role::Driver, offset, input_next, size: Size::DEFAULT, skipped, number: 1 })
    }

    fn fresh() -> AttachmentState {
        AttachmentState::new(SessionId::random(), AttachOptions::new(Role::Driver, Size::DEFAULT))
    }

    fn keyframe(offset: u64, skipped: u64) -> Down {
        let kind = crate::stream::KeyframeKind::Replica;
        Down::Keyframe { offset, skipped, size: Size::DEFAULT, kind, data: Bytes::new() }
    }

    fn output(offset: u64, data: &'static [u8]) -> Down {
        Down::Output { offset, data: Bytes::from_static(data) }
    }

    #[test]
    fn a_keeper_that_wants_what_was_dropped_here_is_followed() {
        let mut state = fresh();
        attached(&mut state, 0, 0, 0);
        state.input(Bytes::from_static(b"lost")).unwrap();
        let refusal = Refusal::new(Code::PermissionDenied, "an observer may not send input");
        state.down(Down::Refused { refusal, frame: "input".into() });
        attached(&mut state, 0, 0, 0);
        assert!(matches!(state.input(Bytes::from_static(b"ls")), Ok(Some(Up::Input { offset: 0, .. }))));
    }

    #[test]
    fn after_a_cut_it_asks_for_the_next_byte_and_sends_unacknowledged_input_again() {
        let mut state = fresh();
        attached(&mut state, 10, 0, 0);
        state.down(keyframe(10, 0));
        state.down(output(10, b"abc"));
        state.input(Bytes::from_static(b"hello")).unwrap();
        state.down(Down::InputAck { next: 2, is_resend: false });
        assert!(matches!(state.disconnected(None).events[..], [AttachEvent::Lost(_)]));
        assert_eq!(state.input(Bytes::from_static(b"!")), Ok(None), "kept while the way is cut");
        assert_eq!(state.attach().from_offset, Some(13));
        let outcome = attached(&mut state, 13, 3, 0);
        assert!(matches!(outcome.events[..], [AttachEvent::Attached { is_resumed: true, .. }]));
        let resent: Vec<Up> = outcome.up;
        assert_eq!(
            resent,
            [
                Up::Input { offset: 3, data: Bytes::from_static(b"lo") },
                Up::Input { offset: 5, data: Bytes::from_static(b"!") }
            ]
        );
    }

    #[test]
    fn output_is_trimmed_to_what_is_new_and_a_gap_asks_for_a_keyframe() {
        let mut state = fresh();
        attached(&mut state, 0, 0, 0);
        state.down(keyframe(0, 0));
        let events = |outcome: Outcome| outcome.events;
        assert!(matches!(&events(state.down(output(0, b"abcd")))[..], [AttachEvent::Output { offset: 0, .. }]));
        let trimmed = events(state.down(output(2, b"cdef")));
        assert_eq!(trimmed, [AttachEvent::Output { offset: 4, data: Bytes::from_static(b"ef") }]);
        let outcome = state.down(output(100, b"far"));
        assert!(outcome.events.is_empty());
        assert!(matches!(outcome.up[..], [Up::Refresh { from_offset: 6, .. }]));
        assert!(events(state.down(output(103, b"more"))).is_empty(), "nothing before the keyframe");
        assert!(matches!(events(state.down(keyframe(200, 194)))[..], [AttachEvent::Keyframe { skipped: 194, .. }]));
    }

    /// A viewer that had read everything when it was put off the stream said so only with its next event, seconds later.
    #[test]
    fn a_client_put_off_the_stream_with_nothing_to_read_says_so_at_once() {
        let mut state = fresh();
        attached(&mut state, 0, 0, 0);
        state.down(keyframe(0, 0));
        state.down(output(0, b"abc"));
        assert_eq!(state.processed(3, true), None, "too little to tell");
        assert_eq!(state.down(Down::Behind).up, [Up::Consumed(3)]);
    }

    /// A refused switch was asked for again at the next cut, which ended an attachment that had been let in as observer.
    #[test]
    fn a_role_that_was_refused_is_not_asked_for_after_a_cut() {
        let mut state = AttachmentState::new(SessionId::random(), AttachOptions::new(Role::Observer, Size::DEFAULT));
        state.attach();
        let attached = Down::Attached {
            role: Role::Observer,
            offset: 0,
            input_next: 0,
            size: Size::DEFAULT,
            skipped: 0,
            number: 1,
        };
        state.down(attached);
        assert_eq!(state.set_role(Role::Driver), Some(Up::SetRole(Role::Driver)));
        let refusal = Refusal::new(Code::PermissionDenied, "no");
        state.down(Down::Refused { refusal, frame: "set_role".into() });
        state.disconnected(None);
        assert_eq!(state.attach().role, Role::Observer);
    }

    #[test]
    fn another_programs_input_is_continued_where_the_keeper_is() {
        let mut state = fresh();
        attached(&mut state, 0, 700, 0);
        assert_eq!(state.input_offset(), 700);
        let up = state.input(Bytes::from_static(b"x")).unwrap();
        assert_eq!(up, Some(Up::Input { offset: 700, data: Bytes::from_static(b"x") }));
    }

    /// Who asked to observe was told to drive by a hostile machine, and lost what protects an observer's terminal.
    #[test]
    fn a_role_higher_than_the_one_asked_for_is_not_believed() {
        let mut state = AttachmentState::new(SessionId::random(), AttachOptions::new(Role::Observer, Size::DEFAULT));
        let outcome = attached(&mut state, 0, 0, 0);
        assert!(matches!(outcome.events[..], [AttachEvent::Attached { role: Role::Observer, .. }]));
        let told = |state: &mut AttachmentState, role| state.down(Down::RoleSet(role)).events;
        assert_eq!(told(&mut state, Role::Driver), [AttachEvent::RoleChanged(Role::Observer)]);
        state.set_role(Role::Driver);
        assert_eq!(told(&mut state, Role::Driver), [AttachEvent::RoleChanged(Role::Driver)]);
        assert_eq!(told(&mut state, Role::Observer), [AttachEvent::RoleChanged(Role::Observer)]);
        assert_eq!(told(&mut state, Role::Driver), [AttachEvent::RoleChanged(Role::Observer)]);
    }

    #[test]
    fn an_offline_machine_is_waited_for_and_a_session_that_is_gone_is_not() {
        let mut state = fresh();
        state.attach();
        assert!(!state.lost(Refusal::new(Code::Unavailable, "offline")).is_over);
        assert!(state.ready().needs_open);
        let outcome = state.lost(Refusal::new(Code::NotFound, "gone"));
        assert!(outcome.is_over && matches!(outcome.events[..], [AttachEvent::Closed(Some(_))]));
        assert!(!state.ready().needs_open);
    }

    /// It was said in red, and what had been typed was forgotten.
    #[test]
    fn who_is_not_attached_any_more_attaches_again_and_keeps_what_was_typed() {
        let mut state = fresh();
        attached(&mut state, 0, 0, 0);
        state.input(Bytes::from_static(b"ls\n")).unwrap();
        let refused = |frame: &str| Down::Refused {
            refusal: Refusal::new(Code::NotFound, "this client is not attached to the session; attach first"),
            frame: frame.into(),
        };
        let outcome = state.down(refused("input"));
        assert!(outcome.needs_open && outcome.events.is_empty(), "{outcome:?}");
        state.attach();
        // What was under way is refused as well, which is of no interest any more.
        let outcome = state.down(refused("resize"));
        assert!(!outcome.needs_open && outcome.events.is_empty(), "{outcome:?}");
        let number = 1;
        let attached =
            Down::Attached { role: Role::Driver, offset: 0, input_next: 0, size: Size::DEFAULT, skipped: 0, number };
        assert_eq!(state.down(attached).up, [Up::Input { offset: 0, data: Bytes::from_static(b"ls\n") }]);
        // A machine that says so again and again sets no pace.
        let outcome = state.down(refused("ping"));
        assert!(!outcome.needs_open && matches!(outcome.events[..], [AttachEvent::Lost(_)]), "{outcome:?}");
        assert!(state.may_open_again() && !state.may_open_again());
    }

    /// Whoever had been forgotten typed into the void: its numbers were beyond what the keeper wanted, for ever.
    #[test]
    fn who_was_forgotten_by_the_keeper_begins_anew_and_types_nothing_twice() {
        let mut state = fresh();
        attached(&mut state, 0, 0, 0);
        state.input(Bytes::from_static(b"one")).unwrap();
        state.down(Down::InputAck { next: 3, is_resend: false });
        state.disconnected(None);
        state.input(Bytes::from_static(b"two")).unwrap();
        let outcome = attached(&mut state, 0, 0, 0);
        assert!(outcome.up.is_empty(), "{outcome:?}");
        assert!(outcome.events.iter().any(|event| matches!(event, AttachEvent::Refused(_))), "{outcome:?}");
        let up = state.input(Bytes::from_static(b"three")).unwrap();
        assert_eq!(up, Some(Up::Input { offset: 0, data: Bytes::from_static(b"three") }));
    }
}

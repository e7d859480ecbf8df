//! All attachments of a client and the frames that wait for the stream, as one state.
//!
//! Handles and the stream share it behind a mutex that is held for moments only: a keystroke is encoded and queued by
//! the caller itself and wakes the stream directly, without a task between.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::Duration;

use super::attachment::{AttachmentState, Outcome};
use super::inbox::Reader;
use super::{AttachEvent, Inbox};
use crate::fleet::{ClientId, Refusal, SessionId};
use crate::stream::{Attach, Down, Up};

/// A frame for the relay.
#[derive(Debug)]
pub(super) enum Frame {
    Open { channel: u32, session: SessionId, client: ClientId, attach: Attach },
    Up { channel: u32, up: Up },
    Ping { token: u64 },
    Broadcast { sessions: Vec<SessionId> },
}

struct Entry {
    state: AttachmentState,
    inbox: Inbox,
    tag: u64,
    reader: Reader,
    /// Pings that wait for an answer; anything that comes answers them all.
    unanswered: u32,
}

/// The shared state.
#[derive(Default)]
pub(super) struct Core {
    attachments: HashMap<u32, Entry>,
    outgoing: VecDeque<Frame>,
    next_channel: u32,
    is_connected: bool,
    /// Sessions that this program broadcasts to; every relay is told anew.
    broadcast: Vec<SessionId>,
    /// Counts streams: a stream of an earlier connection takes no frames any more.
    pub(super) epoch: u64,
    waker: Option<Waker>,
}

impl Core {
    /// A new attachment; opens at once when connected.
    pub(super) fn attach(
        &mut self,
        state: AttachmentState,
        inbox: Inbox,
        tag: u64,
        reader: impl FnOnce(u32) -> Reader,
    ) -> u32 {
        self.next_channel += 1;
        let channel = self.next_channel;
        let entry = Entry { state, inbox, tag, reader: reader(channel), unanswered: 0 };
        self.attachments.insert(channel, entry);
        if self.is_connected {
            self.open(channel);
        }
        channel
    }

    /// The attachment is not wanted any more.
    pub(super) fn detach(&mut self, channel: u32) {
        if self.attachments.remove(&channel).is_some() && self.is_connected {
            self.send(Frame::Up { channel, up: Up::Detach });
        }
    }

    /// The stream is up: every attachment opens anew.
    pub(super) fn connected(&mut self) {
        self.is_connected = true;
        self.outgoing.clear();
        for channel in self.attachments.keys().copied().collect::<Vec<_>>() {
            self.open(channel);
        }
        if !self.broadcast.is_empty() {
            self.send(Frame::Broadcast { sessions: self.broadcast.clone() });
        }
    }

    /// What is typed goes to these sessions from now on.
    pub(super) fn broadcast(&mut self, sessions: Vec<SessionId>) {
        if self.broadcast != sessions {
            self.broadcast.clone_from(&sessions);
            if self.is_connected {
                self.send(Frame::Broadcast { sessions });
            }
        }
    }

    /// The stream is gone, or could not be had; `denial` says that the key is good no longer.
    pub(super) fn disconnected(&mut self, denial: Option<&Refusal>) {
        self.is_connected = false;
        self.epoch += 1;
        self.outgoing.clear();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        for channel in self.attachments.keys().copied().collect::<Vec<_>>() {
            self.with(channel, |state| state.disconnected(denial));
        }
    }

    pub(super) fn down(&mut self, channel: u32, down: Down) {
        self.answered(channel);
        self.with(channel, |state| state.down(down));
    }

    pub(super) fn lost(&mut self, channel: u32, refusal: Refusal) {
        self.with(channel, |state| state.lost(refusal));
    }

    pub(super) fn ready(&mut self, channel: u32) {
        self.with(channel, AttachmentState::ready);
    }

    /// Changes an attachment and sends what follows from it.
    pub(super) fn act(&mut self, channel: u32, act: impl FnOnce(&mut AttachmentState) -> Option<Up>) {
        let up = self.attachments.get_mut(&channel).and_then(|entry| act(&mut entry.state));
        if let Some(up) = up {
            self.send(Frame::Up { channel, up });
        }
    }

    pub(super) fn state(&mut self, channel: u32) -> Option<&mut AttachmentState> {
        self.attachments.get_mut(&channel).map(|entry| &mut entry.state)
    }

    pub(super) fn send(&mut self, frame: Frame) {
        self.outgoing.push_back(frame);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The next frame for the stream of this epoch; `Err` when that stream is over.
    pub(super) fn next_frame(&mut self, epoch: u64, waker: &Waker) -> Result<Option<Frame>, ()> {
        if epoch != self.epoch {
            return Err(());
        }
        let frame = self.outgoing.pop_front();
        if frame.is_none() {
            self.waker = Some(waker.clone());
        }
        Ok(frame)
    }

    fn open(&mut self, channel: u32) {
        let Some(entry) = self.attachments.get_mut(&channel) else { return };
        let (session, client) = (entry.state.session, entry.state.client);
        let attach = entry.state.attach();
        entry.unanswered = 0;
        self.send(Frame::Open { channel, session, client, attach });
    }

    fn with(&mut self, channel: u32, act: impl FnOnce(&mut AttachmentState) -> Outcome) {
        let Some(entry) = self.attachments.get_mut(&channel) else { return };
        let Outcome { events, up, needs_open, is_over } = act(&mut entry.state);
        for event in events {
            entry.inbox.push(entry.tag, event, &entry.reader);
        }
        for up in up {
            self.send(Frame::Up { channel, up });
        }
        if needs_open && self.is_connected {
            self.open(channel);
        }
        if is_over {
            self.attachments.remove(&channel);
        }
    }

    /// Asks the relay for a sign of life, behind everything that was sent before; `false` without a connection.
    pub(super) fn ping(&mut self, token: u64) -> bool {
        if self.is_connected {
            self.send(Frame::Ping { token });
        }
        self.is_connected
    }

    /// Measures the way to every keeper; done so often, that is how long those are silent who have not answered yet.
    pub(super) fn ping_all(&mut self, token: u64, every: Duration) {
        let waiting = self.attachments.iter_mut().filter_map(|(id, entry)| entry.state.may_open_again().then_some(*id));
        let waiting: Vec<u32> = waiting.collect();
        waiting.into_iter().for_each(|channel| self.open(channel));
        let mut live = Vec::new();
        for (channel, entry) in self.attachments.iter_mut().filter(|(_, entry)| entry.state.is_live()) {
            if entry.unanswered > 0 {
                entry.inbox.push(entry.tag, AttachEvent::Unanswered(every * entry.unanswered), &entry.reader);
            }
            entry.unanswered += 1;
            live.push(*channel);
        }
        for channel in live {
            self.send(Frame::Up { channel, up: Up::Ping(token) });
        }
    }

    fn answered(&mut self, channel: u32) {
        if let Some(entry) = self.attachments.get_mut(&channel) {
            entry.unanswered = 0;
        }
    }

    /// An answer came.
    pub(super) fn measured(&mut self, channel: u32, latency_us: u32) {
        self.answered(channel);
        if let Some(entry) = self.attachments.get(&channel) {
            entry.inbox.push(entry.tag, AttachEvent::Latency(latency_us), &entry.reader);
        }
    }
}

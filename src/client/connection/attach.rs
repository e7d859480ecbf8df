//! An attachment as a program holds it: events out of its inbox, and a handle that sends.

use std::time::Duration;

use bytes::Bytes;

use super::Client;
use crate::client::core::Frame;
use crate::client::{AttachEvent, Inbox};
use crate::fleet::{ClientId, Refusal, Role, SessionId, Size};
use crate::stream::Up;

/// An attachment with its own events.
pub struct Attachment {
    pub(super) handle: AttachHandle,
    pub(super) inbox: Inbox,
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
    pub(super) owner: Client,
    pub(super) channel: u32,
    pub(super) session: SessionId,
    pub(super) client: ClientId,
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

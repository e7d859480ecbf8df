//! Where events of attachments wait for their reader: one queue for as many attachments as a program likes.
//!
//! Bounded by the windows of the attachments: the keeper sends no more than a window ahead of what was read here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::AttachEvent;

/// Small outputs of one attachment are joined up to this size while nobody reads.
const JOIN_BYTES: usize = 16 * 1024;

/// Told when the reader takes an output: the tag, the offset after it, and whether nothing else waits.
pub(super) type Reader = Arc<dyn Fn(u64, bool) + Send + Sync>;

struct Waiting {
    tag: u64,
    event: AttachEvent,
    reader: Reader,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<VecDeque<Waiting>>,
    notify: Notify,
}

/// A queue of events, each with the tag of its attachment.
#[derive(Clone, Default)]
pub struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    /// An empty one.
    pub fn new() -> Inbox {
        Inbox::default()
    }

    /// The next event; waits for one. Cancel-safe.
    pub async fn recv(&self) -> (u64, AttachEvent) {
        self.recv_before(&[]).await
    }

    /// The next event, waiting for one; what came for the tags named goes before the others. Cancel-safe.
    pub async fn recv_before(&self, urgent: &[u64]) -> (u64, AttachEvent) {
        loop {
            if let Some(event) = self.try_recv_before(urgent) {
                return event;
            }
            self.shared.notify.notified().await;
        }
    }

    /// The next event, if one waits.
    pub fn try_recv(&self) -> Option<(u64, AttachEvent)> {
        self.try_recv_before(&[])
    }

    /// The next event, if one waits; what came for the tags named goes before the others.
    pub fn try_recv_before(&self, urgent: &[u64]) -> Option<(u64, AttachEvent)> {
        let mut queue = self.lock();
        let first = queue.iter().position(|waiting| urgent.contains(&waiting.tag)).unwrap_or(0);
        let Waiting { tag, event, reader } = queue.remove(first)?;
        let is_drained = !queue.iter().any(|waiting| waiting.tag == tag);
        drop(queue);
        let offset = match &event {
            AttachEvent::Output { offset, data } => offset.saturating_add(data.len() as u64),
            AttachEvent::Keyframe { offset, .. } => *offset,
            AttachEvent::Exited(exit) => exit.offset,
            // Nothing of the stream; but it may have been the last thing that waited.
            _ => 0,
        };
        reader(offset, is_drained);
        Some((tag, event))
    }

    pub(super) fn push(&self, tag: u64, event: AttachEvent, reader: &Reader) {
        let mut queue = self.lock();
        if let AttachEvent::Output { offset, data } = &event
            && let Some(Waiting { event: AttachEvent::Output { offset: before, data: held }, .. }) =
                queue.back_mut().filter(|waiting| waiting.tag == tag)
            && held.len() + data.len() <= JOIN_BYTES
            && *before + held.len() as u64 == *offset
        {
            let mut joined = BytesMut::with_capacity(held.len() + data.len());
            joined.extend_from_slice(held);
            joined.extend_from_slice(data);
            *held = Bytes::from(joined);
            return;
        }
        queue.push_back(Waiting { tag, event, reader: reader.clone() });
        drop(queue);
        self.shared.notify.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_goes_before_the_rest_and_each_tag_keeps_its_order() {
        let inbox = Inbox::new();
        let reader: Reader = Arc::new(|_, _| {});
        let bell = |offset| AttachEvent::Output { offset, data: Bytes::from_static(b"x") };
        for (tag, offset) in [(1, 0), (2, 0), (1, 5), (2, 5)] {
            inbox.push(tag, bell(offset), &reader);
        }
        let took: Vec<(u64, u64)> = std::iter::from_fn(|| inbox.try_recv_before(&[2]))
            .map(|(tag, event)| match event {
                AttachEvent::Output { offset, .. } => (tag, offset),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(took, [(2, 0), (2, 5), (1, 0), (1, 5)]);
    }
}

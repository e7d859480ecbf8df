//! The queue towards one client: bounded in bytes per channel, never waited for.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tonic::Status;

use crate::stream::OUTBOX_CAP;
use crate::wire::v1;
use v1::client_down::Frame;
use v1::session_down::Frame as Down;

/// Cost of a frame beyond its payload, so that floods of small frames count too.
const FRAME_BYTES: usize = 64;
/// Bytes for one client over all channels; beyond it the connection is given up and resumes later.
const CLIENT_CAP: usize = 256 * 1024 * 1024;

/// What a push led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Queued.
    Queued,
    /// The channel's backlog was dropped; the viewer has everything before this offset.
    Overflowed(u64),
    /// The client takes nothing any more.
    Full,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<v1::ClientDown>,
    bytes: HashMap<u32, usize>,
    total: usize,
    waker: Option<Waker>,
    /// Whoever reads the client's own half.
    reader: Option<Waker>,
    is_closed: bool,
    /// Why, if the client is to know.
    reason: Option<Status>,
}

/// The hub's end.
#[derive(Clone, Default)]
pub(super) struct Outgoing {
    queue: Arc<Mutex<Queue>>,
}

/// The stream's end.
pub(super) struct OutgoingStream {
    queue: Arc<Mutex<Queue>>,
}

impl Outgoing {
    pub(super) fn stream(&self) -> OutgoingStream {
        OutgoingStream { queue: self.queue.clone() }
    }

    /// Queues a frame.
    pub(super) fn push(&self, frame: v1::ClientDown) -> Pushed {
        let mut queue = lock(&self.queue);
        if queue.is_closed {
            return Pushed::Queued;
        }
        let cost = cost(&frame);
        if queue.total + cost > CLIENT_CAP {
            return Pushed::Full;
        }
        let channel = frame.channel;
        let held = queue.bytes.entry(channel).or_default();
        *held += cost;
        let is_over = *held > OUTBOX_CAP && offset_of(&frame).is_some();
        queue.total += cost;
        queue.frames.push_back(frame);
        let outcome = if is_over { queue.drop_backlog(channel) } else { Pushed::Queued };
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        outcome
    }

    /// Ends the stream once it is drained.
    pub(super) fn close(&self) {
        lock(&self.queue).close();
    }

    /// Completes when the stream was closed or cut.
    pub(super) async fn closed(&self) {
        std::future::poll_fn(|cx| {
            let mut queue = lock(&self.queue);
            if queue.is_closed {
                return Poll::Ready(());
            }
            if queue.reader.as_ref().is_none_or(|reader| !reader.will_wake(cx.waker())) {
                queue.reader = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Ends the stream at once: whoever lost the right to it gets nothing of what waits, but the reason.
    pub(super) fn cut(&self, reason: Status) {
        let mut queue = lock(&self.queue);
        queue.frames.clear();
        queue.bytes.clear();
        queue.total = 0;
        queue.reason = Some(reason);
        queue.close();
    }
}

impl Queue {
    fn close(&mut self) {
        self.is_closed = true;
        self.waker.take().into_iter().chain(self.reader.take()).for_each(Waker::wake);
    }

    /// Drops a channel's output; control frames stay.
    fn drop_backlog(&mut self, channel: u32) -> Pushed {
        let mut first = None;
        let mut freed = 0;
        self.frames.retain(|frame| match offset_of(frame) {
            Some(offset) if frame.channel == channel => {
                first.get_or_insert(offset);
                freed += cost(frame);
                false
            }
            _ => true,
        });
        self.total -= freed;
        if let Some(held) = self.bytes.get_mut(&channel) {
            *held = held.saturating_sub(freed);
        }
        first.map_or(Pushed::Queued, Pushed::Overflowed)
    }
}

impl Stream for OutgoingStream {
    type Item = Result<v1::ClientDown, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut queue = lock(&self.queue);
        match queue.frames.pop_front() {
            Some(frame) => {
                let cost = cost(&frame);
                queue.total -= cost;
                let is_empty = queue.bytes.get_mut(&frame.channel).is_some_and(|held| {
                    *held = held.saturating_sub(cost);
                    *held == 0
                });
                if is_empty {
                    queue.bytes.remove(&frame.channel);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            None if queue.is_closed => Poll::Ready(queue.reason.take().map(Err)),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cost(frame: &v1::ClientDown) -> usize {
    let payload = match &frame.frame {
        Some(Frame::Down(v1::SessionDown { frame: Some(Down::Output(output)), .. })) => output.data.len(),
        Some(Frame::Down(v1::SessionDown { frame: Some(Down::Keyframe(keyframe)), .. })) => keyframe.data.len(),
        _ => 0,
    };
    payload + FRAME_BYTES
}

/// The offset a viewer has everything before, for frames that may be dropped.
fn offset_of(frame: &v1::ClientDown) -> Option<u64> {
    match &frame.frame {
        Some(Frame::Down(v1::SessionDown { frame: Some(Down::Output(output)), .. })) => Some(output.offset),
        Some(Frame::Down(v1::SessionDown { frame: Some(Down::Keyframe(keyframe)), .. })) => {
            Some(keyframe.offset - keyframe.skipped.min(keyframe.offset))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn output(channel: u32, offset: u64, len: usize) -> v1::ClientDown {
        let frame = Down::Output(v1::Output { offset, data: Bytes::from(vec![0; len]) });
        let down = v1::SessionDown { client: Bytes::new(), frame: Some(frame) };
        v1::ClientDown { channel, frame: Some(Frame::Down(down)) }
    }

    #[test]
    fn a_channel_that_overflows_drops_its_own_backlog_only() {
        let outgoing = Outgoing::default();
        assert_eq!(outgoing.push(output(1, 0, 100)), Pushed::Queued);
        assert_eq!(outgoing.push(output(2, 50, OUTBOX_CAP / 2)), Pushed::Queued);
        assert_eq!(outgoing.push(output(2, 60, OUTBOX_CAP)), Pushed::Overflowed(50));
        let frames: Vec<_> = lock(&outgoing.queue).frames.iter().map(|frame| frame.channel).collect();
        assert_eq!(frames, [1]);
    }
}

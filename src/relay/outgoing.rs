//! The queue towards one client: bounded in bytes per channel, never waited for.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tonic::Status;

use super::limits::CONTROL_WAITING;
use super::quota::Account;
use crate::stream::OUTBOX_CAP;
use crate::wire::{Message, v1};
use v1::client_down::Frame;
use v1::session_down::Frame as Down;

/// What a frame costs beyond its payload: the place that it has in the queue, and what comes with each allocation.
const FRAME_BYTES: usize = size_of::<v1::ClientDown>() + 32;

/// What a push led to.
#[derive(Debug, PartialEq)]
pub(super) enum Pushed {
    /// Queued.
    Queued,
    /// The channel's backlog was dropped; the viewer has everything before this offset.
    Overflowed(u64),
    /// The client takes nothing any more.
    Full,
    /// Not queued: all that waits for its reader's key, at all its clients, is too much.
    Crowded(v1::ClientDown),
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<v1::ClientDown>,
    bytes: HashMap<u32, usize>,
    /// Bytes of frames that are never dropped.
    control: usize,
    /// What waits here counts for whoever reads it.
    account: Option<Account>,
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
    /// A queue whose bytes are charged to its reader.
    pub(super) fn charged_to(account: Account) -> Outgoing {
        Outgoing { queue: Arc::new(Mutex::new(Queue { account: Some(account), ..Queue::default() })) }
    }

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
        let is_control = offset_of(&frame).is_none();
        if is_control && queue.control + cost > CONTROL_WAITING {
            return Pushed::Full;
        }
        if queue.account.as_ref().is_some_and(|account| !account.try_add(cost)) {
            return Pushed::Crowded(frame);
        }
        queue.control += if is_control { cost } else { 0 };
        let channel = frame.channel;
        let held = queue.bytes.entry(channel).or_default();
        *held += cost;
        let is_over = *held > OUTBOX_CAP && !is_control;
        queue.frames.push_back(frame);
        let outcome = if is_over { queue.drop_backlog(channel) } else { Pushed::Queued };
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        outcome
    }

    /// Bytes that wait for the client.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.queue).account.as_ref().map_or(0, Account::own)
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
        let waiting = queue.frames.drain(..).map(|frame| cost(&frame)).sum();
        queue.read(waiting);
        queue.bytes.clear();
        queue.control = 0;
        queue.reason = Some(reason);
        queue.close();
    }
}

impl Queue {
    /// So many bytes wait no longer.
    fn read(&self, bytes: usize) {
        if let Some(account) = &self.account {
            account.remove(bytes);
        }
    }

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
        self.read(freed);
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
                queue.read(cost);
                queue.control -= if offset_of(&frame).is_none() { cost } else { 0 };
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
        Some(Frame::Pong(_) | Frame::Ready(_)) | None => 0,
        // Rare, and of any size: a list of who is there, a sentence.
        Some(_) => frame.encoded_len(),
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

    /// Pongs that were not read cost 176 bytes each and counted as 64: one connection took a relay to 724 MiB.
    #[test]
    fn frames_that_nobody_reads_cost_what_they_take_and_are_soon_too_many() {
        let outgoing = Outgoing::default();
        let pong = || v1::ClientDown { channel: 0, frame: Some(Frame::Pong(v1::Pong { token: 7 })) };
        let most = (0..).find(|_| outgoing.push(pong()) == Pushed::Full).unwrap();
        assert!(most * size_of::<v1::ClientDown>() <= CONTROL_WAITING && most > 1000, "{most}");
        assert_eq!(outgoing.push(output(1, 0, 100)), Pushed::Queued, "output has a bound of its own");
        let mut stream = outgoing.stream();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut stream).poll_next(&mut cx).is_ready());
        assert_eq!(outgoing.push(pong()), Pushed::Queued);
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

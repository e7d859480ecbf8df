//! Output in batches, bounded: for handlers that are slower than a program.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

/// What happens to output that finds the buffer full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest output goes; the handler sees the newest.
    DropOldest,
    /// The new output goes; the handler sees the oldest.
    #[default]
    DropNewest,
    /// Nothing goes: the stream waits, and the machine keeps what comes meanwhile in the session's log.
    Wait,
}

/// How output is gathered.
#[derive(Clone, Copy, Debug)]
pub struct Buffering {
    /// Bytes held; 1 MiB unless said otherwise.
    pub capacity: usize,
    /// Time between two batches; 100 ms unless said otherwise.
    pub flush_interval: Duration,
    /// What happens when more comes: the oldest output is preserved and the newest dropped, unless said otherwise.
    pub when_full: WhenFull,
}

impl Default for Buffering {
    fn default() -> Buffering {
        Buffering { capacity: 1 << 20, flush_interval: Duration::from_millis(100), when_full: WhenFull::default() }
    }
}

/// Output of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The bytes, in order.
    pub data: Bytes,
    /// Bytes that went missing since the batch before.
    pub dropped: u64,
}

/// What a buffer has done so far.
#[derive(Clone)]
pub struct BufferStats {
    shared: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    dropped: AtomicU64,
}

impl BufferStats {
    /// Bytes that were handed on in batches.
    pub fn delivered(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// Bytes that found no room.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// The buffer as a value.
struct Bounded {
    pieces: VecDeque<Bytes>,
    held: usize,
    options: Buffering,
    dropped: u64,
}

impl Bounded {
    fn new(options: Buffering) -> Bounded {
        Bounded { pieces: VecDeque::new(), held: 0, options, dropped: 0 }
    }

    /// Takes a piece in; gives back what has to wait for room.
    fn push(&mut self, mut data: Bytes) -> Option<Bytes> {
        let capacity = self.options.capacity.max(1);
        let room = capacity - self.held;
        let rest = match self.options.when_full {
            WhenFull::DropNewest => {
                self.dropped += data.len().saturating_sub(room) as u64;
                data.truncate(room);
                None
            }
            WhenFull::DropOldest => {
                let surplus = data.len().saturating_sub(capacity);
                let _ = data.split_to(surplus);
                self.dropped += surplus as u64;
                self.drop_front((self.held + data.len()).saturating_sub(capacity));
                None
            }
            WhenFull::Wait if data.len() > room => {
                let rest = data.split_off(room);
                Some(rest)
            }
            WhenFull::Wait => None,
        };
        self.held += data.len();
        if !data.is_empty() {
            self.pieces.push_back(data);
        }
        rest
    }

    fn drop_front(&mut self, mut count: usize) {
        self.dropped += count as u64;
        self.held -= count;
        while let Some(first) = self.pieces.front_mut().filter(|_| count > 0) {
            let step = first.len().min(count);
            let _ = first.split_to(step);
            count -= step;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }

    /// Everything held, if anything is or was dropped.
    fn take(&mut self) -> Option<Batch> {
        if self.held == 0 && self.dropped == 0 {
            return None;
        }
        let pieces: Vec<Bytes> = self.pieces.drain(..).collect();
        self.held = 0;
        let data = match pieces.as_slice() {
            [one] => one.clone(),
            several => Bytes::from(several.concat()),
        };
        Some(Batch { data, dropped: std::mem::take(&mut self.dropped) })
    }
}

/// The stream's end of a buffer; the handler's task ends, after a last batch, when it is gone.
pub(super) struct Buffer {
    shared: Arc<Shared>,
}

struct Shared {
    bounded: Mutex<Bounded>,
    room: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Bounded> {
        self.bounded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// Starts handing batches to `handler`.
    pub(super) fn start<F>(
        options: Buffering,
        mut handler: impl FnMut(Batch) -> F + Send + 'static,
    ) -> (Buffer, BufferStats)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::new(Shared { bounded: Mutex::new(Bounded::new(options)), room: Notify::new() });
        let counts = Arc::new(Counts::default());
        let stats = BufferStats { shared: counts.clone() };
        let held = shared.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(options.flush_interval.max(Duration::from_millis(1)));
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                // Looked at before the last take: whatever was pushed before the end is in it.
                let is_over = Arc::strong_count(&held) == 1;
                let batch = held.lock().take();
                held.room.notify_waiters();
                if let Some(batch) = batch {
                    counts.taken.fetch_add(batch.data.len() as u64, Ordering::Relaxed);
                    counts.dropped.fetch_add(batch.dropped, Ordering::Relaxed);
                    handler(batch).await;
                }
                if is_over {
                    return;
                }
            }
        });
        (Buffer { shared }, stats)
    }

    /// Takes output in; waits only if that was asked for.
    pub(super) fn push(&self, data: Bytes) -> impl Future<Output = ()> + Send + 'static + use<> {
        let shared = self.shared.clone();
        let mut rest = shared.lock().push(data);
        async move {
            while let Some(data) = rest {
                let room = shared.room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                rest = shared.lock().push(data);
                if rest.is_some() {
                    room.await;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]
mod tests {
    use super::*;

    fn bounded(capacity: usize, when_full: WhenFull) -> Bounded {
        Bounded::new(Buffering { capacity, when_full, ..Buffering::default() })
    }

    fn batch(data: &'static [u8], dropped: u64) -> Option<Batch> {
        Some(Batch { data: Bytes::from_static(data), dropped })
    }

    #[test]
    fn a_full_buffer_drops_what_it_was_told_to_and_counts_it() {
        let mut oldest = bounded(4, WhenFull::DropOldest);
        for piece in [&b"ab"[..], b"cd", b"e", b"fghijk"] {
            assert_eq!(oldest.push(Bytes::from_static(piece)), None);
        }
        assert_eq!(oldest.take(), batch(b"hijk", 7));
        assert_eq!(oldest.take(), None);
        let mut newest = bounded(4, WhenFull::DropNewest);
        for piece in [&b"abc"[..], b"def", b"g"] {
            assert_eq!(newest.push(Bytes::from_static(piece)), None);
        }
        assert_eq!(newest.take(), batch(b"abcd", 3));
    }

    #[test]
    fn a_full_buffer_that_waits_gives_the_rest_back() {
        let mut waits = bounded(4, WhenFull::Wait);
        assert_eq!(waits.push(Bytes::from_static(b"abcdef")), Some(Bytes::from_static(b"ef")));
        assert_eq!(waits.take(), batch(b"abcd", 0));
        assert_eq!(waits.push(Bytes::from_static(b"ef")), None);
        assert_eq!(waits.take(), batch(b"ef", 0));
    }
}

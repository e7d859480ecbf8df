//! The output log: the newest bytes of a session by offset, with the resizes that happened among them.
//!
//! Bounded in bytes; whole chunks leave at the old end. An offset is always the number of bytes since birth.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::fleet::Size;

/// Small writes are gathered into chunks of this many bytes, so that a keystroke costs no chunk of its own.
const CHUNK_BYTES: usize = 16 * 1024;
/// Resizes remembered; older ones are forgotten with the bytes before them.
const RESIZES_CAP: usize = 256;

/// A piece of the log on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// Bytes from an offset on.
    Output(u64, Bytes),
    /// The session has this size from this offset on.
    Resized(u64, Size),
}

/// The newest output of a session.
#[derive(Debug)]
pub struct OutputLog {
    /// Full chunks, oldest first, with the offset of their first byte.
    chunks: VecDeque<(u64, Bytes)>,
    /// What does not fill a chunk yet.
    tail: BytesMut,
    start: u64,
    end: u64,
    capacity: usize,
    resizes: VecDeque<(u64, Size)>,
}

impl OutputLog {
    /// An empty log that keeps at least the newest `capacity` bytes, and at most a chunk more.
    pub fn new(capacity: usize) -> OutputLog {
        OutputLog {
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            start: 0,
            end: 0,
            capacity,
            resizes: VecDeque::new(),
        }
    }

    /// An empty log of a session whose output before `offset` is not to be had.
    pub fn starting_at(offset: u64, capacity: usize) -> OutputLog {
        OutputLog { start: offset, end: offset, ..OutputLog::new(capacity) }
    }

    /// Offset of the oldest byte kept.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Offset after the newest byte: the length of the output since birth.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends output; large pieces are kept as they are, without a copy.
    pub fn append(&mut self, data: Bytes) {
        self.end += data.len() as u64;
        if data.len() >= CHUNK_BYTES {
            self.seal();
            self.chunks.push_back((self.end - data.len() as u64, data));
        } else {
            self.tail.extend_from_slice(&data);
            if self.tail.len() >= CHUNK_BYTES {
                self.seal();
            }
        }
        self.trim();
    }

    /// Notes a resize at the current end; `true` if an earlier one at the same place, which it replaces, was forgotten for it.
    pub fn resized(&mut self, size: Size) -> bool {
        let end = self.end;
        self.resizes.push_back((end, size));
        if self.resizes.len() <= RESIZES_CAP {
            return false;
        }
        let here = self.resizes.partition_point(|(at, _)| *at < end);
        if self.resizes.len() - here > 1 {
            self.resizes.remove(here);
            return true;
        }
        if let Some((offset, _)) = self.resizes.pop_front() {
            // Bytes before a forgotten resize could be replayed at a wrong size only: they leave with it.
            while self.start <= offset && self.drop_oldest() {}
        }
        false
    }

    /// The next piece at `offset`, at most `limit` bytes, or `None` at the end.
    ///
    /// The second value tells whether resizes at exactly `offset` were already delivered. Asking for an offset before
    /// [`start`](Self::start) or after [`end`](Self::end) is the caller's mistake and answers `None`.
    pub fn next(&self, offset: u64, resizes_done: usize, limit: usize) -> Option<LogItem> {
        let here = self.resizes.iter().filter(|(at, _)| *at == offset).nth(resizes_done);
        if let Some((at, size)) = here {
            return Some(LogItem::Resized(*at, *size));
        }
        if offset < self.start || offset >= self.end {
            return None;
        }
        let bound = self.resizes.iter().map(|(at, _)| *at).find(|at| *at > offset).unwrap_or(self.end);
        let limit = limit.min((bound - offset) as usize);
        let tail_start = self.end - self.tail.len() as u64;
        if offset >= tail_start {
            let from = (offset - tail_start) as usize;
            let to = (from + limit).min(self.tail.len());
            return Some(LogItem::Output(offset, Bytes::copy_from_slice(&self.tail[from..to])));
        }
        let index = self.chunks.partition_point(|(at, _)| *at <= offset) - 1;
        let (at, chunk) = &self.chunks[index];
        let from = (offset - at) as usize;
        let to = (from + limit).min(chunk.len());
        Some(LogItem::Output(offset, chunk.slice(from..to)))
    }

    /// How many resizes happened at exactly this offset.
    pub fn resizes_at(&self, offset: u64) -> usize {
        self.resizes.iter().filter(|(at, _)| *at == offset).count()
    }

    /// Whether everything from `offset` on is still here.
    pub fn holds(&self, offset: u64) -> bool {
        (self.start..=self.end).contains(&offset)
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let chunk = self.tail.split().freeze();
            self.chunks.push_back((self.end_of_chunks(), chunk));
        }
    }

    fn end_of_chunks(&self) -> u64 {
        self.chunks.back().map_or(self.start, |(at, chunk)| at + chunk.len() as u64)
    }

    fn trim(&mut self) {
        while let Some((_, oldest)) = self.chunks.front() {
            if self.end - self.start - oldest.len() as u64 <= self.capacity as u64 {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        if self.chunks.is_empty() {
            self.seal();
        }
        let Some((at, chunk)) = self.chunks.pop_front() else { return false };
        self.start = at + chunk.len() as u64;
        let start = self.start;
        self.resizes.retain(|(offset, _)| *offset >= start);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(log: &OutputLog, mut offset: u64, limit: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut resizes = 0;
        while let Some(item) = log.next(offset, resizes, limit) {
            match item {
                LogItem::Output(at, data) => {
                    assert_eq!(at, offset);
                    offset += data.len() as u64;
                    resizes = 0;
                    out.extend_from_slice(&data);
                }
                LogItem::Resized(..) => resizes += 1,
            }
        }
        out
    }

    #[test]
    fn a_resize_is_met_at_its_offset() {
        let mut log = OutputLog::new(1000);
        let size = Size::new(5, 5);
        log.append(Bytes::from_static(b"abc"));
        log.resized(size);
        log.append(Bytes::from_static(b"def"));
        assert_eq!(log.next(1, 0, 100), Some(LogItem::Output(1, Bytes::from_static(b"bc"))));
        assert_eq!(log.next(3, 0, 100), Some(LogItem::Resized(3, size)));
        assert_eq!(log.next(3, 1, 100), Some(LogItem::Output(3, Bytes::from_static(b"def"))));
        assert_eq!(log.next(6, 0, 100), None);
    }

    proptest! {
        #[test]
        fn what_is_held_reads_back_byte_for_byte(
            pieces in prop::collection::vec((0usize..40_000, any::<bool>()), 1..30),
            capacity in 0usize..100_000,
            limit in 1usize..20_000,
        ) {
            let mut log = OutputLog::new(capacity);
            let mut all = Vec::new();
            for (n, (len, resize)) in pieces.into_iter().enumerate() {
                let data: Vec<u8> = (0..len).map(|i| (i * 31 + n) as u8).collect();
                all.extend_from_slice(&data);
                log.append(data.into());
                if resize {
                    log.resized(Size::new(n as u32, 80));
                }
            }
            prop_assert_eq!(log.end(), all.len() as u64);
            prop_assert!(log.end() - log.start() >= (capacity as u64).min(log.end()));
            for offset in [log.start(), (log.start() + log.end()) / 2, log.end()] {
                prop_assert!(log.holds(offset));
                prop_assert_eq!(read(&log, offset, limit), &all[offset as usize..]);
            }
        }
    }
}

//! What a hop knows of one viewer's stream: where it is, and whether a piece may pass.
//!
//! A session's output comes once for all viewers. A viewer that missed a piece gets nothing until a keyframe puts it
//! back on the stream: never a silent gap, never a byte twice.

use bytes::{Buf, Bytes};

/// Bytes queued for one viewer before its backlog is dropped; above the keeper's window, so that only a peer that
/// ignores its window meets it.
pub(crate) const OUTBOX_CAP: usize = 8 * 1024 * 1024;

/// Where a viewer is on a session's stream.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Next offset the viewer wants; `None` before it was attached.
    next: Option<u64>,
}

/// What to do with a piece of output for a viewer.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send this: the piece, less what the viewer has.
    Send(u64, Bytes),
    /// The viewer has it, or is not on the stream.
    Skip,
}

impl Outbox {
    /// Puts the viewer on the stream at an offset: it was attached, or got a keyframe.
    pub fn start_at(&mut self, offset: u64) {
        self.next = Some(offset);
    }

    /// Takes the viewer off the stream until the next [`start_at`](Self::start_at).
    pub fn stop(&mut self) {
        self.next = None;
    }

    /// Next offset the viewer wants, if it is on the stream.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Judges a piece that starts at `offset`.
    pub fn offer(&mut self, offset: u64, data: &Bytes) -> Verdict {
        let Some(next) = self.next else { return Verdict::Skip };
        let end = offset.saturating_add(data.len() as u64);
        if offset > next || end <= next {
            return Verdict::Skip;
        }
        let mut data = data.clone();
        data.advance((next - offset) as usize);
        self.next = Some(end);
        Verdict::Send(next, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_gets_neither_a_gap_nor_a_byte_twice() {
        let data = Bytes::from_static(b"0123456789");
        let mut outbox = Outbox::default();
        assert_eq!(outbox.offer(0, &data), Verdict::Skip, "not attached yet");
        outbox.start_at(4);
        assert_eq!(outbox.offer(0, &data), Verdict::Send(4, Bytes::from_static(b"456789")));
        assert_eq!(outbox.offer(0, &data), Verdict::Skip, "already sent");
        assert_eq!(outbox.offer(11, &data), Verdict::Skip, "a byte is missing before it");
        assert_eq!(outbox.next(), Some(10));
        outbox.start_at(11);
        assert_eq!(outbox.offer(11, &data), Verdict::Send(11, data));
    }
}

//! Exactly-once input: the sender numbers its bytes and keeps what is unacknowledged, the receiver takes only the next.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Unacknowledged bytes a sender keeps; beyond it input is refused, never dropped.
pub(crate) const INPUT_CAP: usize = 1024 * 1024;

/// The keeper's end, one per client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputReceiver {
    next: u64,
}

/// What became of a numbered piece of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// These bytes are new; hand them on.
    New(Bytes),
    /// Everything in it was there already.
    Known,
    /// It starts beyond the next byte wanted: something before it is missing.
    Gap,
}

impl InputReceiver {
    /// The next byte wanted.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Refuses a piece: what follows it is the next to be wanted, as after one that was taken.
    pub fn skip(&mut self, offset: u64, len: usize) {
        if offset <= self.next {
            self.next = self.next.max(offset.saturating_add(len as u64));
        }
    }

    /// Takes a piece that starts at `offset`, as much of it as `room` allows.
    pub fn take(&mut self, offset: u64, mut data: Bytes, room: usize) -> Accepted {
        if offset > self.next {
            return Accepted::Gap;
        }
        let known = self.next - offset;
        if known >= data.len() as u64 {
            return Accepted::Known;
        }
        data.advance(known as usize);
        data.truncate(room);
        self.next += data.len() as u64;
        Accepted::New(data)
    }
}

/// More unacknowledged input than 1 MiB; nothing of the refused piece was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{INPUT_CAP} bytes of input wait for the session to take them; wait, or press Ctrl-C in it")]
pub struct InputSenderFull;

/// The client's end, one per attachment.
#[derive(Debug, Default)]
pub struct InputSender {
    /// Unacknowledged pieces, oldest first.
    pieces: VecDeque<Bytes>,
    held: usize,
    /// Offset of the first unacknowledged byte.
    acked: u64,
}

impl InputSender {
    /// Takes the next bytes and gives back the offset to send them with.
    pub fn push(&mut self, data: Bytes) -> Result<u64, InputSenderFull> {
        if self.held + data.len() > INPUT_CAP {
            return Err(InputSenderFull);
        }
        let offset = self.next();
        self.held += data.len();
        if !data.is_empty() {
            self.pieces.push_back(data);
        }
        Ok(offset)
    }

    /// The offset of the next byte to come.
    pub fn next(&self) -> u64 {
        self.acked + self.held as u64
    }

    /// The offset of the first byte that is not acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acked
    }

    /// The receiver has everything before `next`. A number beyond what was sent is ignored.
    pub fn acknowledge(&mut self, next: u64) {
        if next > self.next() {
            return;
        }
        while self.acked < next {
            let Some(first) = self.pieces.front_mut() else { return };
            let step = first.len().min((next - self.acked) as usize);
            first.advance(step);
            if first.is_empty() {
                self.pieces.pop_front();
            }
            self.acked += step as u64;
            self.held -= step;
        }
    }

    /// Starts anew where a keeper says it is; for a client that continues another one's input.
    pub fn adopt(&mut self, next: u64) {
        self.pieces.clear();
        self.held = 0;
        self.acked = next;
    }

    /// Whether nothing was ever sent or kept.
    pub fn is_fresh(&self) -> bool {
        self.acked == 0 && self.held == 0
    }

    /// Everything unacknowledged with its offsets, to be sent again.
    pub fn unacknowledged(&self) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        let mut at = self.acked;
        self.pieces.iter().map(move |piece| {
            let offset = at;
            at += piece.len() as u64;
            (offset, piece.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_piece_after_a_gap_is_not_taken() {
        let mut receiver = InputReceiver::default();
        assert_eq!(receiver.take(1, Bytes::from_static(b"b"), 100), Accepted::Gap);
        assert_eq!(receiver.next(), 0);
    }

    #[test]
    fn beyond_its_bound_input_is_refused_whole() {
        let mut sender = InputSender::default();
        assert_eq!(sender.push(Bytes::from(vec![0; INPUT_CAP])), Ok(0));
        assert_eq!(sender.push(Bytes::from_static(b"x")), Err(InputSenderFull));
        sender.acknowledge(1);
        assert_eq!(sender.push(Bytes::from_static(b"x")), Ok(INPUT_CAP as u64));
    }

    proptest! {
        /// Frames and acknowledgements are lost at random, everything unacknowledged is sent again at random times.
        #[test]
        fn lossy_links_deliver_every_byte_once(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..40),
            luck in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 1usize..30), 40..80),
        ) {
            let (mut sender, mut receiver, mut got) = (InputSender::default(), InputReceiver::default(), Vec::new());
            let sent: Vec<u8> = pieces.concat();
            let mut luck = luck.into_iter().cycle();
            let mut deliver = |sender: &mut InputSender, offset: u64, data: Bytes, got: &mut Vec<u8>, receiver: &mut InputReceiver, sure: bool| {
                let (arrives, acked, _, room) = luck.next().unwrap();
                if arrives || sure {
                    let room = if sure { usize::MAX } else { room };
                    if let Accepted::New(data) = receiver.take(offset, data, room) {
                        got.extend_from_slice(&data);
                    }
                    if acked || sure {
                        sender.acknowledge(receiver.next());
                    }
                }
            };
            for piece in pieces {
                let data = Bytes::from(piece);
                let offset = sender.push(data.clone()).unwrap();
                deliver(&mut sender, offset, data, &mut got, &mut receiver, false);
                if got.len() % 3 == 0 {
                    for (offset, data) in sender.unacknowledged().collect::<Vec<_>>() {
                        deliver(&mut sender, offset, data, &mut got, &mut receiver, false);
                    }
                }
            }
            for (offset, data) in sender.unacknowledged().collect::<Vec<_>>() {
                deliver(&mut sender, offset, data, &mut got, &mut receiver, true);
            }
            prop_assert_eq!(got, sent);
            prop_assert_eq!(sender.unacknowledged().count(), 0);
        }
    }
}

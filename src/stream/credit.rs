//! Flow control of a command's streams: a sender spends what the receiver has granted.
//!
//! A chunk costs its bytes and a little more, so that floods of tiny chunks are bounded as well. A sender may send while
//! anything is left, so it overdraws by one chunk at most and no chunk ever has to be split.

/// Cost of a chunk beyond its bytes.
const CHUNK_COST: u64 = 64;
/// Longest chunk.
pub const EXEC_CHUNK_CAP: usize = 64 * 1024;
/// Standard output and error of one command under way between agent and client, unconsumed.
pub const EXEC_OUTPUT_WINDOW: u64 = 1024 * 1024;
/// Standard input of one command under way between client and agent, unconsumed.
pub const EXEC_INPUT_WINDOW: u64 = 256 * 1024;

/// Contents of files of one request under way, unconsumed, in either direction.
pub const FILE_WINDOW: u64 = 512 * 1024;

/// What a chunk of so many bytes costs.
pub fn chunk_cost(len: usize) -> u64 {
    len as u64 + CHUNK_COST
}

/// Most chunks that can be under way in a window.
pub const fn chunks_in(window: u64) -> usize {
    (window / CHUNK_COST) as usize + 1
}

/// The sender's end of a window, or a watcher of it between the two.
#[derive(Clone, Copy, Debug)]
pub struct CreditOut {
    window: u64,
    left: i64,
}

impl CreditOut {
    /// A window, all of it left.
    pub fn new(window: u64) -> CreditOut {
        CreditOut { window, left: window as i64 }
    }

    /// Another chunk may be sent.
    pub fn is_open(&self) -> bool {
        self.left > 0
    }

    /// A chunk was sent.
    pub fn spend(&mut self, len: usize) {
        self.left -= chunk_cost(len) as i64;
    }

    /// The receiver consumed so much; never more is left than the window, whatever it claims.
    pub fn grant(&mut self, credit: u64) {
        self.left = self.left.saturating_add(credit.min(i64::MAX as u64) as i64).min(self.window as i64);
    }
}

/// The receiver's end of a window.
#[derive(Clone, Copy, Debug)]
pub struct CreditIn {
    step: u64,
    owed: u64,
}

impl CreditIn {
    /// Of a window of this size.
    pub fn new(window: u64) -> CreditIn {
        CreditIn { step: window / 4, owed: 0 }
    }

    /// A chunk was consumed; the credit to grant, when it has become worth a frame.
    pub fn consume(&mut self, len: usize) -> Option<u64> {
        self.owed += chunk_cost(len);
        (self.owed >= self.step).then(|| std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sender and receiver never wait for each other, and never more is under way than the window and one chunk.
        #[test]
        fn a_window_neither_deadlocks_nor_overflows(
            lens in proptest::collection::vec(0usize..EXEC_CHUNK_CAP, 1..200),
            lazy in proptest::collection::vec(any::<bool>(), 200),
        ) {
            let (mut out, mut credit) = (CreditOut::new(EXEC_INPUT_WINDOW), CreditIn::new(EXEC_INPUT_WINDOW));
            let mut under_way = std::collections::VecDeque::new();
            for (len, is_lazy) in lens.into_iter().zip(lazy) {
                while !out.is_open() || !is_lazy && !under_way.is_empty() {
                    let Some(len) = under_way.pop_front() else { return Err(TestCaseError::fail("stuck")) };
                    if let Some(granted) = credit.consume(len) {
                        out.grant(granted);
                    }
                }
                out.spend(len);
                under_way.push_back(len);
                let total: u64 = under_way.iter().map(|len| chunk_cost(*len)).sum();
                prop_assert!(total <= EXEC_INPUT_WINDOW + chunk_cost(EXEC_CHUNK_CAP));
            }
        }
    }

    #[test]
    fn a_receiver_that_claims_more_than_it_got_opens_no_larger_window() {
        let mut out = CreditOut::new(1000);
        out.grant(u64::MAX);
        out.spend(1000);
        assert!(!out.is_open());
    }
}

//! Exponential backoff with jitter.

use std::time::Duration;

/// Delays between attempts: doubling from `first` to `cap`, each shortened by up to a half at random so that a
/// fleet does not come back in one wave.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempt: u32,
    seed: u64,
}

impl Backoff {
    /// Starts before the first attempt; `seed` differs between peers.
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Backoff {
        Backoff { first, cap, attempt: 0, seed: seed | 1 }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.attempt.min(20)).min(self.cap);
        self.attempt += 1;
        // xorshift64: jitter needs no better randomness.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        full.mul_f64(0.5 + (self.seed >> 11) as f64 / (1u64 << 54) as f64)
    }

    /// Attempts since the last success.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// It worked: begin with the first delay again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_never_leave_half_of_it() {
        let (first, cap) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, cap, 42);
        for attempt in 0..40 {
            let full = first.saturating_mul(1 << attempt.min(20)).min(cap);
            let delay = backoff.next_delay();
            assert!(delay >= full / 2 && delay <= full, "{attempt}: {delay:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= first);
    }
}

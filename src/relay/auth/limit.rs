//! How often one address may fail to authenticate: a bucket of tries that refills slowly.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::relay::connections::network;

/// Failures in a row that an address may have.
const BURST: f64 = 10.0;
/// Milliseconds until one more is allowed.
const REFILL_MS: f64 = 6_000.0;
/// Addresses remembered; beyond it the fullest buckets are forgotten, since they limit nobody.
const ADDRESSES_CAP: usize = 10_000;

struct Bucket {
    tries: f64,
    since_ms: u64,
}

/// The buckets of all addresses that failed lately.
#[derive(Default)]
pub(super) struct Limits {
    buckets: HashMap<IpAddr, Bucket>,
}

impl Limits {
    /// Seconds until this address may try again; `None` if it may now.
    pub(super) fn wait_s(&mut self, address: IpAddr, now: u64) -> Option<u64> {
        let bucket = self.buckets.get_mut(&network(address))?;
        bucket.refill(now);
        (bucket.tries < 1.0).then(|| ((1.0 - bucket.tries) * REFILL_MS / 1000.0).ceil() as u64)
    }

    /// The address failed; true when that was its last try for now.
    pub(super) fn failed(&mut self, address: IpAddr, now: u64) -> bool {
        if self.buckets.len() >= ADDRESSES_CAP {
            self.buckets.retain(|_, bucket| {
                bucket.refill(now);
                bucket.tries < BURST - 1.0
            });
            if self.buckets.len() >= ADDRESSES_CAP {
                self.buckets.clear();
            }
        }
        let bucket = self.buckets.entry(network(address)).or_insert(Bucket { tries: BURST, since_ms: now });
        bucket.refill(now);
        bucket.tries = (bucket.tries - 1.0).max(0.0);
        bucket.tries < 1.0
    }
}

impl Bucket {
    fn refill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.since_ms) as f64;
        self.tries = (self.tries + elapsed / REFILL_MS).min(BURST);
        self.since_ms = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_empty_the_bucket_and_time_fills_it() {
        let mut limits = Limits::default();
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for n in 1..=10 {
            assert_eq!(limits.wait_s(one, 0), None);
            assert_eq!(limits.failed(one, 0), n == 10);
        }
        assert_eq!(limits.wait_s(one, 0), Some(6));
        assert_eq!(limits.wait_s(other, 0), None);
        assert_eq!(limits.wait_s(one, 6_000), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_bucket() {
        let mut limits = Limits::default();
        (0..10).for_each(|n| {
            limits.failed(format!("2001:db8::{n}").parse().unwrap(), 0);
        });
        assert!(limits.wait_s("2001:db8::ffff".parse().unwrap(), 0).is_some());
        assert!(limits.wait_s("2001:db8:1::1".parse().unwrap(), 0).is_none());
    }
}

//! What each key has under way and waiting at once; its neighbours have their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{CALLS_PER_KEY, FILE_CALLS_PER_KEY, WAITING_OF_OWNER, WAITING_PER_KEY};
use crate::fleet::{Caller, Code, KeyId, Refusal};

#[derive(Debug)]
struct Share {
    calls: usize,
    files: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Share {
    fn default() -> Share {
        Share { calls: 0, files: Arc::new(Semaphore::new(FILE_CALLS_PER_KEY)), waiting: Arc::default() }
    }
}

/// All shares that are in use; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    shares: Arc<Mutex<HashMap<KeyId, Share>>>,
    /// Bytes that wait for this machine's own user.
    owner: Arc<AtomicUsize>,
}

/// What waits for one reader, counted among all that waits for its key; the last clone gives back what is left.
#[derive(Clone, Debug)]
pub(super) struct Account {
    inner: Arc<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
    cap: usize,
}

impl Account {
    /// So many bytes more wait; false, and nothing happened, if the key has as many waiting as may.
    pub(super) fn try_add(&self, bytes: usize) -> bool {
        let Waiting { own, all, cap } = &*self.inner;
        if all.fetch_add(bytes, Ordering::Relaxed) + bytes > *cap {
            all.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        own.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Bytes that wait for this reader.
    pub(super) fn own(&self) -> usize {
        self.inner.own.load(Ordering::Relaxed)
    }

    /// So many were read, or dropped.
    pub(super) fn remove(&self, bytes: usize) {
        self.inner.own.fetch_sub(bytes, Ordering::Relaxed);
        self.inner.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.own.get_mut(), Ordering::Relaxed);
    }
}

/// One call under way.
#[derive(Debug)]
pub(super) struct Held {
    quotas: Quotas,
    key: KeyId,
    files: Arc<Semaphore>,
}

impl Quotas {
    /// One more call of a key.
    pub(super) fn enter(&self, key: KeyId) -> Result<Held, Refusal> {
        let mut shares = self.shares();
        let share = shares.entry(key).or_default();
        if share.calls >= CALLS_PER_KEY {
            let message =
                format!("{CALLS_PER_KEY} calls of this key are under way, as many as may; let some end first");
            return Err(Refusal::new(Code::Exhausted, message));
        }
        share.calls += 1;
        Ok(Held { quotas: self.clone(), key, files: share.files.clone() })
    }

    /// An account of what waits for a caller's reader; to be had while a call of the key is under way.
    pub(super) fn account(&self, caller: &Caller) -> Account {
        let (all, cap) = match caller.key {
            None => (self.owner.clone(), WAITING_OF_OWNER),
            Some(key) => {
                (self.shares().get(&key).map(|share| share.waiting.clone()).unwrap_or_default(), WAITING_PER_KEY)
            }
        };
        Account { inner: Arc::new(Waiting { own: AtomicUsize::new(0), all, cap }) }
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<KeyId, Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Waits for the turn of a call that carries a whole file.
    pub(super) async fn file_turn(&self) -> Option<OwnedSemaphorePermit> {
        self.files.clone().acquire_owned().await.ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shares = self.quotas.shares();
        if let Some(share) = shares.get_mut(&self.key) {
            share.calls -= 1;
            if share.calls == 0 {
                shares.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_key_is_counted_over_all_its_readers_and_given_back_with_them() {
        let (quotas, key) = (Quotas::default(), KeyId::random());
        let caller = |key| Caller { key, ..Caller::local(crate::fleet::Principal::key("ci")) };
        let _call = quotas.enter(key).unwrap();
        let (one, other) = (quotas.account(&caller(Some(key))), quotas.account(&caller(Some(key))));
        assert!(one.try_add(WAITING_PER_KEY - 10) && other.try_add(10) && !other.try_add(1));
        assert!(quotas.account(&caller(None)).try_add(WAITING_PER_KEY), "its neighbour has its own");
        other.remove(5);
        assert!(other.try_add(5) && !one.try_add(1));
        drop(one);
        assert!(other.try_add(WAITING_PER_KEY - 10));
    }

    #[tokio::test]
    async fn a_key_has_so_many_calls_and_file_turns_and_gets_them_back() {
        let (quotas, key) = (Quotas::default(), KeyId::random());
        let mut held: Vec<Held> = (0..CALLS_PER_KEY).map(|_| quotas.enter(key).unwrap()).collect();
        assert_eq!(quotas.enter(key).unwrap_err().code, Code::Exhausted);
        let other = quotas.enter(KeyId::random()).unwrap();
        held.pop();
        let last = quotas.enter(key).unwrap();
        let mut turns = Vec::new();
        for _ in 0..FILE_CALLS_PER_KEY {
            turns.push(last.file_turn().await);
        }
        assert!(last.files.try_acquire().is_err());
        turns.pop();
        assert!(last.files.try_acquire().is_ok());
        drop((held, last, other));
        assert!(quotas.shares.lock().unwrap().is_empty());
    }
}

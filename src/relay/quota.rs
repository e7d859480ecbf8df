//! What each key has under way at once; its neighbours have their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::{CALLS_PER_KEY, FILE_CALLS_PER_KEY};
use crate::fleet::{Code, KeyId, Refusal};

#[derive(Debug)]
struct Share {
    calls: usize,
    files: Arc<Semaphore>,
}

/// All shares that are in use; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    shares: Arc<Mutex<HashMap<KeyId, Share>>>,
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
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Share { calls: 0, files: Arc::new(Semaphore::new(FILE_CALLS_PER_KEY)) };
        let share = shares.entry(key).or_insert_with(fresh);
        if share.calls >= CALLS_PER_KEY {
            let message = format!("{CALLS_PER_KEY} calls of this key are under way, as many as may; let some end first");
            return Err(Refusal::new(Code::Exhausted, message));
        }
        share.calls += 1;
        Ok(Held { quotas: self.clone(), key, files: share.files.clone() })
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
        let mut shares = self.quotas.shares.lock().unwrap_or_else(PoisonError::into_inner);
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

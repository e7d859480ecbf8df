//! What is kept per caller and session between calls: bounded in number, and let go when nobody asks any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fleet::{Caller, KeyId, SessionId};

/// One caller's view of one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    key: Option<KeyId>,
    principal: String,
    pub(super) session: SessionId,
}

impl Key {
    pub(super) fn of(caller: &Caller, session: SessionId) -> Key {
        Key { key: caller.key, principal: caller.principal.to_string(), session }
    }
}

/// What a pool keeps.
pub(super) trait Pooled {
    /// It is of no use any more.
    fn is_over(&self) -> bool;
    /// When it was last asked for, milliseconds since the epoch.
    fn used_ms(&self) -> u64;
}

/// Its table holds the only lasting reference: what leaves it ends.
pub(super) struct Pool<T> {
    table: Mutex<HashMap<Key, Arc<T>>>,
    cap: usize,
}

impl<T: Pooled> Pool<T> {
    pub(super) fn new(cap: usize) -> Pool<T> {
        Pool { table: Mutex::default(), cap }
    }

    /// What is kept for a key, or something new.
    pub(super) fn get(&self, key: Key, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut table = self.table();
        if let Some(found) = table.get(&key).filter(|found| !found.is_over()) {
            return found.clone();
        }
        table.retain(|_, kept| !kept.is_over());
        if table.len() >= self.cap {
            drop_oldest(&mut table, &key);
        }
        let made = make();
        table.insert(key, made.clone());
        made
    }

    /// Lets go of what was not asked for longest, other than `spared`; `false` if there is nothing else.
    pub(super) fn drop_oldest(&self, spared: &Key) -> bool {
        drop_oldest(&mut self.table(), spared)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Key, Arc<T>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_oldest<T: Pooled>(table: &mut HashMap<Key, Arc<T>>, spared: &Key) -> bool {
    let others = table.iter().filter(|(key, _)| *key != spared);
    let oldest = others.min_by_key(|(_, kept)| kept.used_ms()).map(|(key, _)| key.clone());
    oldest.is_some_and(|key| table.remove(&key).is_some())
}

//! How many keys there may be, and for how long one that opens nothing is remembered.

use super::super::token::Token;
use super::{KEYS_CAP, Key, Keyring};
use crate::fleet::{Code, KeyId, MachineId, Refusal};

/// Machines that join with one token; an image for the largest fleet and its replacements. One more is refused.
pub(in crate::relay) const JOINS_PER_TOKEN: u32 = 10_000;
/// How long a key that was revoked or has expired is remembered, so that its holder is told what became of it.
const ENDED_MEMORY_MS: u64 = 90 * 24 * 3600 * 1000;
/// Ended keys that are remembered of one machine: one that joins again and again has no more.
const ENDED_PER_MACHINE: usize = 4;

impl Key {
    /// When it was revoked or expired, whichever came first.
    pub(super) fn ended_ms(&self, now: u64) -> Option<u64> {
        self.revoked_ms.into_iter().chain(self.expires_ms.filter(|at| *at <= now)).min()
    }
}

impl Keyring {
    /// Drops keys that ended long ago; gives their ids.
    pub(in crate::relay) fn forget_ended(&mut self, now: u64) -> Vec<KeyId> {
        self.forget(|key| key.ended_ms(now).is_some_and(|at| at + ENDED_MEMORY_MS <= now))
    }

    /// Drops all but the last ended keys of a machine; gives their ids.
    pub(super) fn forget_former(&mut self, machine: MachineId) -> Vec<KeyId> {
        let id = machine.to_string();
        let is_ended = |key: &&Key| key.revoked_ms.is_some() && key.machine.as_ref() == Some(&id);
        let ended: Vec<KeyId> = self.keys.iter().filter(is_ended).map(|key| key.id).collect();
        let former = &ended[..ended.len().saturating_sub(ENDED_PER_MACHINE)];
        if former.is_empty() { Vec::new() } else { self.forget(|key| former.contains(&key.id)) }
    }

    fn forget(&mut self, is_over: impl Fn(&Key) -> bool) -> Vec<KeyId> {
        let (over, kept): (Vec<Key>, Vec<Key>) = std::mem::take(&mut self.keys).into_iter().partition(is_over);
        self.by_id.clear();
        self.by_hash.clear();
        kept.into_iter().for_each(|key| self.insert(key));
        over.iter().map(|key| key.id).collect()
    }

    /// Whether one more machine may join with a token.
    pub(super) fn check_room(&self, token: &Token, machine: MachineId, now: u64) -> Result<(), Refusal> {
        let exhausted = |message: String| Err(Refusal::new(Code::Exhausted, message));
        if token.joins >= JOINS_PER_TOKEN {
            return exhausted(format!(
                "{JOINS_PER_TOKEN} machines have joined with this token, as many as may; make another with \
                 `fleetmux relay token --reusable`"
            ));
        }
        let id = machine.to_string();
        let is_other = |key: &&Key| key.machine.as_ref() != Some(&id);
        if self.living(&token.workspace, now).filter(is_other).count() >= KEYS_CAP {
            return exhausted(format!("workspace {} has as many keys as it may; revoke some", token.workspace));
        }
        Ok(())
    }
}

//! What a machine may say of itself: so many sessions, so many bytes, so often. What is beyond is not taken, and nobody but
//! the machine notices.

use std::collections::HashMap;

use super::Core;
use crate::fleet::{MachineId, Session, SessionId, truncate_chars};
use crate::relay::limits::{
    COMMAND_SHOWN, REGISTRY_BURST, REGISTRY_PER_MACHINE, REGISTRY_RATE, SESSIONS_PER_MACHINE, VIEWER_SHOWN,
    VIEWERS_SHOWN,
};
use crate::wire::{Message, v1};

/// What is known of one machine's sessions, by size.
#[derive(Default)]
pub(super) struct Registry {
    sizes: HashMap<SessionId, usize>,
    bytes: usize,
}

impl Core {
    /// Counts a session as it is now; false, and it is not to be taken, if its machine has as much here as may be.
    pub(super) fn count(&mut self, session: &Session) -> bool {
        let size = v1::Session::from(session).encoded_len();
        let registry = self.registries.entry(session.machine).or_default();
        let old = registry.sizes.get(&session.id()).copied();
        let bytes = registry.bytes - old.unwrap_or(0) + size;
        let is_too_many = old.is_none() && registry.sizes.len() >= SESSIONS_PER_MACHINE;
        if is_too_many || bytes > REGISTRY_PER_MACHINE {
            tracing::warn!(machine = %session.machine, session = %session.id(), "a machine shows more than it may");
            return false;
        }
        registry.sizes.insert(session.id(), size);
        registry.bytes = bytes;
        true
    }

    /// A session is gone.
    pub(super) fn uncount(&mut self, machine: MachineId, session: SessionId) {
        let Some(registry) = self.registries.get_mut(&machine) else { return };
        registry.bytes -= registry.sizes.remove(&session).unwrap_or(0);
        if registry.sizes.is_empty() {
            self.registries.remove(&machine);
        }
    }
}

/// A session as the fleet is shown it: nobody needs its variables, which may be secrets, or more of its command than a line.
pub(super) fn shown(mut session: Session) -> Session {
    session.spec.env.clear();
    let mut left = COMMAND_SHOWN;
    session.spec.command.retain_mut(|word| {
        let cut = (0..=word.len().min(left)).rev().find(|&at| word.is_char_boundary(at)).unwrap_or(0);
        let is_kept = left > 0;
        left = left.saturating_sub(word.len() + 1);
        word.truncate(cut);
        is_kept
    });
    session.summary.clients.truncate(VIEWERS_SHOWN);
    for text in session.summary.clients.iter_mut().flat_map(|client| [&mut client.label, &mut client.principal]) {
        truncate_chars(text, VIEWER_SHOWN);
    }
    session
}

/// How often a machine may change what is known of it: a bucket that refills.
#[derive(Debug)]
pub(in crate::relay) struct Pace {
    left: f64,
    since_ms: u64,
}

impl Pace {
    pub(in crate::relay) fn new(now_ms: u64) -> Pace {
        Pace { left: REGISTRY_BURST, since_ms: now_ms }
    }

    /// Takes so many changes; false if there are not so many left now. What `may_wait` leaves a part for the rest.
    pub(in crate::relay) fn take(&mut self, changes: usize, may_wait: bool, now_ms: u64) -> bool {
        let elapsed_s = now_ms.saturating_sub(self.since_ms) as f64 / 1000.0;
        self.left = (self.left + elapsed_s * REGISTRY_RATE).min(REGISTRY_BURST);
        self.since_ms = now_ms;
        let kept = if may_wait { REGISTRY_BURST / 2.0 } else { 0.0 };
        let is_enough = self.left >= changes as f64 + kept;
        if is_enough {
            self.left -= changes as f64;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_beyond_the_burst_wait_for_the_refill() {
        let mut pace = Pace::new(0);
        assert!(pace.take(REGISTRY_BURST as usize, false, 0) && !pace.take(1, false, 0));
        assert!(
            !pace.take(1, false, 1) && pace.take(REGISTRY_RATE as usize, false, 1000) && !pace.take(1, false, 1000)
        );
        // Summaries of a thousand busy sessions leave enough for a heartbeat and a session that comes.
        let mut pace = Pace::new(0);
        while pace.take(1, true, 0) {}
        assert!(pace.take(1000, false, 0));
    }
}

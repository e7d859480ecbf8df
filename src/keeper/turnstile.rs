//! Floods take turns: of the keepers in one directory only as many read a flood at once as leave processors free.
//!
//! Sixteen programs that write as fast as they can would otherwise keep thirty-two processes runnable, and each hop of an
//! idle session's echo would queue behind them. A turn is a lock on one of a few files; the kernel lets go of it with the
//! process. A keeper that waits for long goes on without: a stopped one stops nobody else.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

/// How long to leave the terminal alone when all turns are taken, at first; twice as long after each try that failed.
pub(super) const RETRY: Duration = Duration::from_micros(700);
/// Longest such wait.
const RETRY_MAX: Duration = Duration::from_millis(6);
/// Whoever waited for so long reads all the same.
const PATIENCE: Duration = Duration::from_millis(50);

struct Slots {
    turns: Vec<File>,
    /// Locked by everybody who waits.
    queue: Option<File>,
}

/// More turns at once would only cost descriptors and calls.
const TURNS_CAP: usize = 8;

/// This keeper's way to a turn.
pub(super) struct Turnstile {
    dir: PathBuf,
    /// Opened at the first flood.
    slots: Option<Slots>,
    held: Option<usize>,
    waiting_since: Option<Instant>,
    /// The next wait, while waiting.
    retry: Duration,
}

impl Turnstile {
    /// With the keepers whose sockets are in the same directory.
    pub(super) fn new(dir: &Path) -> Turnstile {
        Turnstile { dir: dir.to_path_buf(), slots: None, held: None, waiting_since: None, retry: RETRY }
    }

    /// How long to wait before the next try.
    pub(super) fn backoff(&mut self) -> Duration {
        let wait = self.retry;
        self.retry = (wait * 2).min(RETRY_MAX);
        wait
    }

    /// Takes a turn, if one is free or was waited for long enough.
    pub(super) fn enter(&mut self) -> bool {
        if self.held.is_some() {
            return true;
        }
        let slots = self.slots.get_or_insert_with(|| open(&self.dir));
        self.held = slots.turns.iter().position(|turn| lock(turn, FlockOperation::NonBlockingLockExclusive));
        let is_first = self.waiting_since.is_none();
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let may = self.held.is_some() || slots.turns.is_empty() || since.elapsed() >= PATIENCE;
        if let Some(queue) = &slots.queue {
            if may && !is_first {
                lock(queue, FlockOperation::Unlock);
            } else if !may {
                // Tried anew each time: somebody may just have looked whether anybody waits.
                lock(queue, FlockOperation::NonBlockingLockShared);
            }
        }
        if may {
            self.waiting_since = None;
            self.retry = RETRY;
        }
        may
    }

    /// Waits no longer: the flood is over, or somebody typed into it.
    pub(super) fn abandon(&mut self) {
        if self.waiting_since.take().is_some()
            && let Some(queue) = self.slots.as_ref().and_then(|slots| slots.queue.as_ref())
        {
            lock(queue, FlockOperation::Unlock);
        }
    }

    /// Gives the turn back; says whether somebody waits for it.
    pub(super) fn leave(&mut self) -> bool {
        let (Some(held), Some(slots)) = (self.held.take(), &self.slots) else { return false };
        if let Some(turn) = slots.turns.get(held) {
            lock(turn, FlockOperation::Unlock);
        }
        let Some(queue) = &slots.queue else { return false };
        let is_alone = lock(queue, FlockOperation::NonBlockingLockExclusive);
        if is_alone {
            lock(queue, FlockOperation::Unlock);
        }
        !is_alone
    }
}

fn lock(file: &File, operation: FlockOperation) -> bool {
    rustix::fs::flock(file, operation).is_ok()
}

/// One file for every two processors: a flood keeps one busy with its keeper and one with its program.
fn open(dir: &Path) -> Slots {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let file = |name: String| {
        let path = dir.join(name);
        OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path).ok()
    };
    let turns =
        (0..(processors / 2).clamp(1, TURNS_CAP)).filter_map(|turn| file(format!("flood.{turn}.lock"))).collect();
    Slots { turns, queue: file("flood.queue.lock".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_waited_for_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let slots = open(dir.path()).turns.len();
        let mut holders: Vec<Turnstile> = (0..slots).map(|_| Turnstile::new(dir.path())).collect();
        assert!(holders.iter_mut().all(Turnstile::enter));
        let mut other = Turnstile::new(dir.path());
        assert!(!other.enter());
        assert!(holders[0].leave(), "somebody waits");
        assert!(other.enter());
        assert!(!other.leave(), "nobody waits any more");
        assert!(holders[0].enter());
        // The first one stopped and keeps its turn: nobody else stops with it.
        let mut patient = Turnstile::new(dir.path());
        while !patient.enter() {
            std::thread::yield_now();
        }
        assert!(patient.held.is_none());
    }
}

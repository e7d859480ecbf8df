//! The limit of open files: raised for processes that hold many connections, and as it was for the programs of sessions.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit this process was started with; `None` if it was not raised.
static BEFORE: OnceLock<u64> = OnceLock::new();

/// Raises the soft limit of open files to the hard one; a session takes two here, and 1024 are soon used up.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let Some(soft) = limit.current.filter(|soft| limit.maximum.is_none_or(|hard| *soft < hard)) else { return };
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => {
            let _ = BEFORE.set(soft);
        }
        Err(err) => tracing::warn!(%err, soft, "cannot raise the limit of open files"),
    }
}

/// How many files this process may have open.
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The soft limit of open files before [`raise_open_files`] raised it: what a program expects, since select(2) breaks
/// beyond 1024.
pub fn open_files_before() -> Option<u64> {
    BEFORE.get().copied()
}

/// Sets the soft limit of open files.
pub fn set_open_files(soft: u64) {
    let limit = getrlimit(Resource::Nofile);
    if let Err(err) = setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: limit.maximum }) {
        tracing::warn!(%err, soft, "cannot set the limit of open files");
    }
}

/// Calls `spawn` under the soft limit of open files that this process was started with, which a child then has from its
/// first instruction on. Only for a call whose descriptors are all below that limit; a new one beyond it cannot be had.
pub fn with_open_files_before<T>(spawn: impl FnOnce() -> T) -> T {
    let Some(soft) = open_files_before() else { return spawn() };
    let raised = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: raised.maximum });
    let spawned = spawn();
    let _ = setrlimit(Resource::Nofile, raised);
    spawned
}

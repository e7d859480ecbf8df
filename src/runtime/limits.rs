//! The limit of open files: raised for processes that hold many connections, and as it was for the programs of sessions.

use std::io;
use std::process::Child;
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

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

/// Starts a child with the soft limit of open files that this process was started with. The limit is lowered around the
/// call, which must open no file of its own: a descriptor beyond the lower limit could not be had. Where the call finds
/// that out, it is made once more under the raised limit, and the child's is lowered from outside.
pub fn with_open_files_before(spawn: &mut dyn FnMut() -> io::Result<Child>) -> io::Result<Child> {
    let Some(soft) = open_files_before() else { return spawn() };
    let raised = getrlimit(Resource::Nofile);
    let lowered = Rlimit { current: Some(soft), maximum: raised.maximum };
    let _ = setrlimit(Resource::Nofile, lowered);
    let spawned = spawn();
    let _ = setrlimit(Resource::Nofile, Rlimit { current: raised.current, maximum: raised.maximum });
    match spawned {
        Err(err) if err.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            let child = spawn()?;
            let lowered = Rlimit { current: Some(soft), maximum: raised.maximum };
            let _ = prlimit(Pid::from_raw(child.id() as i32), Resource::Nofile, lowered);
            Ok(child)
        }
        spawned => spawned,
    }
}

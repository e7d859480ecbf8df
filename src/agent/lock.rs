//! One agent per directory: a locked file that names the process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::config::paths;

/// Held for the agent's life; the kernel lets it go with the process.
pub struct AgentLock {
    file: File,
    dir: PathBuf,
}

/// The directory is taken, or unusable.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// By a living agent.
    #[error("an agent already runs for {dir} (process {pid}); stop it with `fleetmux agent stop`")]
    Running {
        /// The directory.
        dir: PathBuf,
        /// Its process id.
        pid: u32,
    },
    /// By the system.
    #[error("cannot lock {path}: {err}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        err: io::Error,
    },
}

impl AgentLock {
    /// Takes the directory.
    pub fn take(dir: &Path) -> Result<AgentLock, LockError> {
        let path = paths::lock_file(dir);
        let failed = |err: io::Error| LockError::Io { path: path.clone(), err };
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let mut wanted = OpenOptions::new();
        wanted.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(no_link);
        let options = || wanted.open(&path);
        let mut file = options().map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(LockError::Running { dir: dir.into(), pid: pid_in(&mut file).unwrap_or(0) });
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(AgentLock { file, dir: dir.into() })
    }

    /// The directory that is taken.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes the directory again if somebody took the file away: a lock that nobody finds keeps no other agent out.
    pub fn renew(&mut self) -> Result<(), LockError> {
        let here = std::fs::metadata(paths::lock_file(&self.dir)).ok().map(|meta| (meta.dev(), meta.ino()));
        let own = self.file.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        if here != own {
            *self = AgentLock::take(&self.dir)?;
        }
        Ok(())
    }
}

/// Process id of the agent that runs for a directory, if one does.
pub fn lock_holder(dir: &Path) -> Option<u32> {
    let mut file = paths::held_lock(dir)?;
    pid_in(&mut file).filter(|pid| is_own(*pid))
}

/// Whether a process is this user's: its number may be old, and what is done to an agent is done to no other.
fn is_own(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
    uid == Some(rustix::process::getuid().as_raw())
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

//! What is the agent's own, and closed to whoever asks for files, whatever the rules say: its identity and key, its
//! sockets, the configuration of its user with their keys, a relay's directory, and what the system tells of processes.
//!
//! Who may only read would otherwise read the machine's key, and with it be the machine.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::place::way_to;
use crate::fleet::{Code, Refusal};

/// Secrets of a relay, wherever its directory is.
const RELAY_SECRETS: [&str; 3] = ["ca.key", "server.key", "relay.redb"];
/// Files that a relay's directory has beside them.
const RELAY_FILES: [&str; 2] = ["ca.pem", "relay.redb"];

/// Directories that are closed; clones are the same.
#[derive(Clone, Debug)]
pub(in crate::agent) struct Private {
    dirs: Arc<[PathBuf]>,
    /// Which they are, wherever else they are mounted.
    identities: Vec<(u64, u64)>,
}

impl Private {
    /// These directories, wherever their links lead.
    pub(in crate::agent) fn new(dirs: impl Iterator<Item = PathBuf>) -> Private {
        let dirs = dirs.filter_map(|dir| way_to(&dir).pop()).filter(|dir| dir.parent().is_some()).collect();
        Private { dirs, identities: Vec::new() }.looked_up()
    }

    /// The same for one request: which directories they are is asked once, and not for each of the files that it meets.
    pub(super) fn looked_up(self) -> Private {
        let identities = self.dirs.iter().filter_map(|dir| identity(dir)).collect();
        Private { identities, ..self }
    }

    /// Whether a path without links is closed.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.dirs.iter().any(|dir| path.starts_with(dir))
            || is_of_process(path)
            || is_relay_secret(path)
            || self.is_mounted_at(path)
    }

    /// Whether a path leads into a closed directory that is mounted elsewhere as well, as /var may be in a chroot.
    fn is_mounted_at(&self, path: &Path) -> bool {
        path.ancestors().filter_map(identity).any(|found| self.identities.contains(&found))
    }

    /// Refuses what is closed.
    pub(super) fn check(&self, path: &Path, host: &str) -> Result<(), Refusal> {
        if self.covers(path) { Err(refusal(path, host)) } else { Ok(()) }
    }

    /// Refuses a directory that has something closed in it: it does not go, or come, as a whole.
    pub(super) fn check_tree(&self, path: &Path, host: &str) -> Result<(), Refusal> {
        match self.dirs.iter().find(|dir| dir.starts_with(path)) {
            Some(dir) => Err(refusal(dir, host)),
            None => self.check(path, host),
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

fn refusal(path: &Path, host: &str) -> Refusal {
    let message = format!(
        "{path:?} on {host} is closed to everybody: keys, state and rules of fleetmux, and other processes' memory, are not \
         read or changed from afar"
    );
    Refusal::new(Code::PermissionDenied, message)
}

/// `/proc/PID` and all beneath it, and the system's own: environments and memory.
fn is_of_process(path: &Path) -> bool {
    let mut parts = path.components();
    let is_proc =
        parts.next() == Some(Component::RootDir) && parts.next() == Some(Component::Normal(OsStr::new("proc")));
    let is_closed = |part: Component<'_>| {
        let part = part.as_os_str();
        part == "kcore" || part.to_str().is_some_and(|part| part.parse::<u32>().is_ok())
    };
    is_proc && parts.next().is_some_and(is_closed)
}

fn is_relay_secret(path: &Path) -> bool {
    let is_named = path.file_name().is_some_and(|name| RELAY_SECRETS.iter().any(|secret| name == *secret));
    is_named && RELAY_FILES.iter().any(|other| path.with_file_name(other).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_agents_own_is_closed_and_its_neighbours_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("state")).unwrap();
        let private = Private::new([root.join("state"), root.join("new/config"), PathBuf::from("/")].into_iter());
        for closed in ["real", "real/joined.toml", "new/config/permissions.toml"] {
            assert!(private.covers(&root.join(closed)), "{closed}");
        }
        for open in ["", "real2", "new", "ca.key", "relay.redb.txt"] {
            assert!(!private.covers(&root.join(open)), "{open}");
        }
        for tree in ["", "new", "real/x"] {
            assert!(private.check_tree(&root.join(tree), "web-1").is_err(), "{tree}");
        }
        std::fs::write(root.join("ca.pem"), "").unwrap();
        assert!(private.covers(&root.join("ca.key")) && !private.covers(&root.join("ca.pem")));
        for closed in ["/proc/kcore", "/proc/1/environ", "/proc/77", "/proc/77/task/78/mem"] {
            assert!(private.covers(Path::new(closed)), "{closed}");
        }
        for open in ["/proc/meminfo", "/proc", "/proc/sys/kernel", "/srv/proc/1"] {
            assert!(!private.covers(Path::new(open)), "{open}");
        }
    }
}

//! Where a path leads, and whether whoever asks may go there.
//!
//! A thing is opened for its path only (`O_PATH`), which reads nothing and starts no device; the kernel then tells
//! where that is, without links and without `..`, and the machine's rules judge that. What is done is done with the
//! descriptor that was judged, so nobody can put something else there in between.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::private::Private;
use crate::agent::permissions::{Action, Effect, Permissions, Subject};
use crate::fleet::{Code, Refusal};
use crate::wire;
use crate::wire::v1;

/// Who asks, and what the machine's rules say to that.
pub(super) struct Guard {
    permissions: Arc<Permissions>,
    principal: String,
    home: PathBuf,
    /// The machine's own rules, which have the last word and are not changed from afar: the file, and every link on the way to
    /// it, for without one of them there would be no rules.
    rules: Vec<PathBuf>,
    /// What is the agent's own and nobody's to see.
    private: Private,
}

impl Guard {
    /// The rules that are about whoever asks.
    pub(super) fn rules_told(&self) -> v1::MachineRules {
        let told = self.permissions.told_to(&self.principal);
        let rules = told.rules.into_iter().map(|(number, text)| v1::MachineRule { number, text }).collect();
        let file = self.permissions.path().display().to_string();
        v1::MachineRules {
            file,
            default_allow: told.default == Effect::Allow,
            broken: told.broken,
            rules,
            none: told.is_none,
        }
    }

    pub(super) fn new(permissions: Arc<Permissions>, private: Private, principal: String, home: PathBuf) -> Guard {
        let rules = way_to(permissions.path());
        Guard { permissions, principal, home, rules, private: private.looked_up() }
    }

    /// Whether the rules allow it; the refusal says which one does not.
    pub(super) fn check(&self, action: Action, path: &Path) -> Result<(), Refusal> {
        if self.changes_rules(action, path) {
            return Err(self.is_rules());
        }
        self.private.check(path, self.permissions.host())?;
        let path = path.to_string_lossy();
        self.permissions.check(&self.principal, action, &Subject { path: Some(&path), ..Subject::default() })
    }

    /// As `check`, for one of many.
    pub(super) fn allows(&self, action: Action, path: &Path) -> bool {
        let text = path.to_string_lossy();
        let subject = Subject { path: Some(&text), ..Subject::default() };
        let is_open = !self.changes_rules(action, path) && !self.private.covers(path);
        is_open && self.permissions.allows(&self.principal, action, &subject)
    }

    /// Whether what is beneath a directory may be judged otherwise than the directory itself.
    pub(super) fn has_paths(&self) -> bool {
        self.permissions.has_paths()
    }

    /// Whether a directory may go, or come, with all that is in it: not with the machine's rules or the agent's own state.
    pub(super) fn may_go(&self, path: &Path) -> Result<(), Refusal> {
        self.private.check_tree(path, self.permissions.host())?;
        if self.rules.iter().any(|rules| rules.starts_with(path)) { Err(self.is_rules()) } else { Ok(()) }
    }

    fn changes_rules(&self, action: Action, path: &Path) -> bool {
        action == Action::Write && self.rules.iter().any(|rules| rules == path)
    }

    fn is_rules(&self) -> Refusal {
        let (host, rules) = (self.permissions.host(), self.permissions.path().display());
        let message =
            format!("{host} lets nobody change its own rules from afar; run `fleetmux permissions` there ({rules})");
        Refusal::new(Code::PermissionDenied, message)
    }

    /// The path as it was meant: from the agent's home, unless it begins at the root.
    pub(super) fn absolute(&self, path: &[u8]) -> Result<PathBuf, Refusal> {
        if path.contains(&0) {
            return Err(Refusal::new(Code::Invalid, "a NUL byte can be in no path"));
        }
        let path = wire::path_from(path);
        let rest = path.strip_prefix("~").unwrap_or(&path);
        Ok(self.home.join(rest))
    }

    /// A thing that is there, if it may be used; `follows` a link at the end of the path too.
    pub(super) fn find(&self, action: Action, path: &Path, follows: bool) -> Result<Found, Refusal> {
        let found = self.judged(action, path, find(path, follows))?;
        self.check(action, &found.path)?;
        Ok(found)
    }

    /// A name in a directory, whether it is taken or not.
    pub(super) fn slot(&self, action: Action, path: &Path) -> Result<Slot, Refusal> {
        let slot = self.judged(action, path, slot(path))?;
        self.check(action, &slot.path)?;
        Ok(slot)
    }

    /// The name that a file is to be written under: that of the file itself, if the path is a link to it.
    pub(super) fn target(&self, path: &Path) -> Result<Slot, Refusal> {
        let slot = self.judged(Action::Write, path, target(path))?;
        self.check(Action::Write, &slot.path)?;
        Ok(slot)
    }

    /// An error says nothing about places that the rules close: there it is their denial.
    pub(super) fn judged<T>(&self, action: Action, path: &Path, outcome: io::Result<T>) -> Result<T, Refusal> {
        outcome.or_else(|err| {
            self.check(action, &nearest(path, 0))?;
            Err(self.refusal(path, &err))
        })
    }

    /// What the system refused, in words.
    pub(super) fn refusal(&self, path: &Path, err: &io::Error) -> Refusal {
        let host = self.permissions.host();
        let errno = err.raw_os_error().map(Errno::from_raw_os_error);
        let (code, text) = match errno {
            Some(Errno::NOENT) => (Code::NotFound, "there is no such file or directory; see `fleetmux files ls`"),
            Some(Errno::EXIST) => (Code::Exists, "it is there already, and was not to be replaced"),
            Some(Errno::ACCESS | Errno::PERM) => {
                (Code::PermissionDenied, "the user that the agent runs as may not do that")
            }
            Some(Errno::ROFS) => (Code::PermissionDenied, "its file system is read-only"),
            Some(Errno::NOSPC) => (Code::Exhausted, "its file system is full"),
            Some(Errno::DQUOT) => (Code::Exhausted, "the quota of the agent's user is used up"),
            Some(Errno::FBIG) => (Code::Exhausted, "the file is larger than it may be there"),
            Some(Errno::MFILE | Errno::NFILE) => (Code::Exhausted, "too many files are open there; try again"),
            Some(Errno::ISDIR) => (Code::Invalid, "it is a directory"),
            Some(Errno::NOTDIR) => (Code::Invalid, "it is no directory"),
            Some(Errno::NOTEMPTY) => {
                (Code::Invalid, "the directory is not empty; say that all in it is meant (recursive)")
            }
            Some(Errno::LOOP) => (Code::Invalid, "its links lead in a circle"),
            Some(Errno::NAMETOOLONG) => (Code::Invalid, "the name is too long"),
            Some(Errno::INVAL) => (Code::Invalid, "that cannot be done with it"),
            Some(Errno::BUSY) => (Code::Invalid, "it is in use"),
            Some(Errno::STALE) => (Code::Unavailable, "it was moved while it was looked at; try again"),
            _ => return Refusal::new(Code::Internal, format!("{path:?} on {host}: {err}")),
        };
        Refusal::new(code, format!("{path:?} on {host}: {text}"))
    }
}

/// A thing that is there, opened for its path only.
pub(super) struct Found {
    pub(super) fd: OwnedFd,
    /// Where it really is.
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

impl Found {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Opens the very same thing.
    pub(super) fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let path = proc_path(&self.fd);
        // A device or a pipe that waits must not keep the thread.
        Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?)
    }
}

/// A name in a directory that is held open.
pub(super) struct Slot {
    pub(super) dir: OwnedFd,
    pub(super) name: OsString,
    /// Where that really is.
    pub(super) path: PathBuf,
}

impl Slot {
    /// What has the name now; a link is one.
    pub(super) fn stat(&self) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Where a path leads or would lead, without links, and before that every link that is followed on the way.
pub(super) fn way_to(path: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (mut way, mut here) = (Vec::new(), PathBuf::new());
    let mut rest: VecDeque<OsString> = absolute.iter().map(OsString::from).collect();
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        // A part that is absolute begins anew.
        let next = here.join(&part);
        match std::fs::read_link(&next) {
            Ok(target) if way.len() < LINKS_CAP => {
                way.push(next);
                target.iter().rev().for_each(|part| rest.push_front(part.into()));
            }
            _ => here = next,
        }
    }
    way.push(here);
    way
}

fn proc_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn find(path: &Path, follows: bool) -> io::Result<Found> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follows);
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    let real = rustix::fs::readlink(proc_path(&fd), Vec::new())?;
    let path = PathBuf::from(OsStr::from_bytes(real.as_bytes()));
    // A thing that has been removed or moved away says so in a way that could also be its name.
    let there = rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Errno::STALE)?;
    if (there.st_dev, there.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(Errno::STALE.into());
    }
    Ok(Found { fd, path, stat })
}

fn slot(path: &Path) -> io::Result<Slot> {
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return Err(Errno::INVAL.into()) };
    let dir = find(parent, true)?;
    if dir.kind() != FileType::Directory {
        return Err(Errno::NOTDIR.into());
    }
    Ok(Slot { path: dir.path.join(name), name: name.into(), dir: dir.fd })
}

fn target(path: &Path) -> io::Result<Slot> {
    let named = slot(path)?;
    let is_link = |stat: Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    if !named.stat()?.is_some_and(is_link) {
        return Ok(named);
    }
    // A link to nothing ends here.
    let found = find(path, true)?;
    let real = slot(&found.path)?;
    if real.path != found.path || real.stat()?.is_some_and(is_link) {
        return Err(Errno::STALE.into());
    }
    Ok(real)
}

/// Links to nothing that are followed, one behind the other.
const LINKS_CAP: usize = 16;

/// Where a path that leads to nothing would lead: its part that is there, and the rest as it is written.
fn nearest(path: &Path, links: usize) -> PathBuf {
    for ancestor in path.ancestors() {
        let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
        let with_rest = |path: PathBuf| if rest.as_os_str().is_empty() { path } else { path.join(rest) };
        if let Ok(found) = find(ancestor, true) {
            return with_rest(found.path);
        }
        if let (Ok(target), Some(parent)) = (std::fs::read_link(ancestor), ancestor.parent())
            && links < LINKS_CAP
        {
            return nearest(&with_rest(parent.join(target)), links + 1);
        }
    }
    path.to_path_buf()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A link to the rules was removed from afar, and then everything was allowed.
    #[test]
    fn every_link_on_the_way_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("dotfiles/fleetmux")).unwrap();
        std::fs::create_dir(root.join("home")).unwrap();
        std::fs::write(root.join("dotfiles/p.toml"), "").unwrap();
        symlink("../dotfiles", root.join("home/.config")).unwrap();
        symlink("../p.toml", root.join("dotfiles/fleetmux/permissions.toml")).unwrap();
        let way = way_to(&root.join("home/.config/fleetmux/permissions.toml"));
        let expected = ["home/.config", "dotfiles/fleetmux/permissions.toml", "dotfiles/p.toml"];
        assert_eq!(way, expected.map(|path| root.join(path)));
        assert_eq!(way_to(&root.join("home/.config/new/x")), [root.join("home/.config"), root.join("dotfiles/new/x")]);
        symlink("circle", root.join("circle")).unwrap();
        assert_eq!(way_to(&root.join("circle")).len(), LINKS_CAP + 1);
    }

    #[test]
    fn a_path_is_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/file"), "").unwrap();
        symlink(root.join("a/b"), root.join("link")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let real = |path: &str| find(&root.join(path), true).map(|found| found.path);
        assert_eq!(real("link/../b/file").unwrap(), root.join("a/b/file"), "`..` is that of the real directory");
        assert_eq!(find(&root.join("link"), false).unwrap().path, root.join("link"));
        assert_eq!(slot(&root.join("link/new")).unwrap().path, root.join("a/b/new"));
        assert_eq!(target(&root.join("link/file")).unwrap().path, root.join("a/b/file"));
        assert_eq!(target(&root.join("dangling")).err().unwrap().kind(), io::ErrorKind::NotFound);
        assert_eq!(nearest(&root.join("link/x/y"), 0), root.join("a/b/x/y"));
        assert_eq!(nearest(&root.join("dangling/x"), 0), root.join("nowhere/x"));
        assert!(slot(&root.join("a/..")).is_err() && slot(Path::new("/")).is_err());
    }
}

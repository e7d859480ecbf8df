//! A file that is replaced as a whole or not at all.
//!
//! What is written has no name until it is complete, where the file system can do that, so that not even a killed
//! process leaves anything behind; elsewhere it has a hidden name beside the file. The old file stays as it is until the
//! new one is on the disk.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

/// Attempts at a name that nobody else has.
const ATTEMPTS: usize = 8;

/// Who may do what with the file.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// A new file's mode, less the umask.
    New(u32),
    /// As the file that is replaced; set-id bits do not outlive its contents.
    Like(Stat),
}

/// The file that will be there; dropped, it never was.
pub struct Replacement {
    dir: OwnedFd,
    name: OsString,
    file: File,
    access: Access,
    /// Its name until then; `None` while it has none.
    temporary: Option<OsString>,
}

impl Replacement {
    /// Begins a file of this path; its directory is there.
    pub fn at(path: &Path, access: Access) -> io::Result<Replacement> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let dir = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Replacement::begin(dir.as_fd(), name, access)
    }

    /// Begins a file that will be called `name` in `dir`, which may be open for its path only.
    pub fn begin(dir: BorrowedFd<'_>, name: &OsStr, access: Access) -> io::Result<Replacement> {
        let mode = match access {
            Access::New(mode) => mode & 0o777,
            // Nobody else may look before it has the rights of the old one.
            Access::Like(_) => 0o600,
        };
        let (dir, name) = (dir.try_clone_to_owned()?, name.to_owned());
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&dir, ".", flags, Mode::from_raw_mode(mode)) {
            Ok(fd) => Ok(Replacement { dir, name, file: fd.into(), access, temporary: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {
                let (file, temporary) = named(&dir, mode)?;
                Ok(Replacement { dir, name, file, access, temporary: Some(temporary) })
            }
            Err(err) => Err(err.into()),
        }
    }

    /// What is to be in it.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it in its place, on the disk; an existing file is replaced only if that is wanted.
    pub fn commit(mut self, may_replace: bool) -> io::Result<()> {
        self.settle()?;
        self.file.sync_all()?;
        self.place(may_replace)?;
        // The name is on the disk as well when this can be had.
        if let Ok(dir) = rustix::fs::openat(&self.dir, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            let _ = rustix::fs::fsync(dir);
        }
        Ok(())
    }

    /// As [`Replacement::commit`], for one of many files that are brought to the disk together.
    pub fn commit_unsynced(mut self, may_replace: bool) -> io::Result<()> {
        self.settle()?;
        self.place(may_replace)
    }

    fn settle(&self) -> io::Result<()> {
        let Access::Like(old) = self.access else { return Ok(()) };
        let new = rustix::fs::fstat(&self.file)?;
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) {
            let owner = rustix::process::Uid::from_raw(old.st_uid);
            let group = rustix::process::Gid::from_raw(old.st_gid);
            // Who may not give files away keeps this one.
            let _ = rustix::fs::fchown(&self.file, Some(owner), Some(group));
        }
        Ok(rustix::fs::fchmod(&self.file, Mode::from_raw_mode(old.st_mode & 0o777))?)
    }

    fn place(&mut self, may_replace: bool) -> io::Result<()> {
        if self.temporary.is_none() {
            match self.link(&self.name) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) if may_replace => {}
                Err(err) => return Err(err.into()),
            }
            // A link replaces nothing: it needs a name to be renamed from.
            self.temporary = Some(unique(|name| self.link(name))?);
        }
        let Some(temporary) = &self.temporary else { return Ok(()) };
        if may_replace {
            rustix::fs::renameat(&self.dir, temporary, &self.dir, &self.name)?;
        } else {
            rustix::fs::renameat_with(&self.dir, temporary, &self.dir, &self.name, RenameFlags::NOREPLACE)?;
        }
        self.temporary = None;
        Ok(())
    }

    fn link(&self, name: &OsStr) -> rustix::io::Result<()> {
        let from = format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd());
        rustix::fs::linkat(CWD, from, &self.dir, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = rustix::fs::unlinkat(&self.dir, temporary, AtFlags::empty());
        }
    }
}

fn named(dir: &OwnedFd, mode: u32) -> io::Result<(File, OsString)> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = None;
    let name = unique(|name| {
        file = Some(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode))?);
        Ok(())
    })?;
    let file = file.ok_or_else(|| io::Error::other("no name was free"))?;
    Ok((file.into(), name))
}

fn unique(mut take: impl FnMut(&OsStr) -> rustix::io::Result<()>) -> io::Result<OsString> {
    for _ in 0..ATTEMPTS {
        let name = OsString::from(format!(".fleetmux-{}", uuid::Uuid::new_v4().simple()));
        match take(&name) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn begin(dir: &Path, access: Access) -> Replacement {
        let fd = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        Replacement::begin(fd.as_fd(), OsStr::new("file"), access).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_is_there_before_the_commit_and_the_whole_file_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut dropped = begin(dir.path(), Access::New(0o644));
        dropped.file().write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(names(dir.path()), Vec::<String>::new());
        let mut whole = begin(dir.path(), Access::New(0o640));
        whole.file().write_all(b"whole").unwrap();
        whole.commit(false).unwrap();
        assert_eq!(names(dir.path()), ["file"]);
        let path = dir.path().join("file");
        assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o777), (b"whole".to_vec(), 0o640));
    }

    #[test]
    fn an_old_file_stays_until_it_is_replaced_and_its_mode_beyond_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).unwrap();
        let old = rustix::fs::stat(&path).unwrap();
        let refused = begin(dir.path(), Access::New(0o644)).commit(false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let mut new = begin(dir.path(), Access::Like(old));
        new.file().write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        new.commit(true).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(dir.path()).len()), (b"new".to_vec(), 1));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o751, "a set-id bit is for the old contents only");
    }

    #[test]
    fn a_file_system_without_nameless_files_leaves_nothing_behind_either() {
        let dir = tempfile::tempdir().unwrap();
        let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let replacement = || {
            let (file, temporary) = named(&fd, 0o600).unwrap();
            let (dir, name) = (fd.try_clone().unwrap(), OsString::from("file"));
            Replacement { dir, name, file, access: Access::New(0o600), temporary: Some(temporary) }
        };
        drop(replacement());
        assert_eq!(names(dir.path()), Vec::<String>::new());
        replacement().commit(false).unwrap();
        assert!(replacement().commit(false).is_err());
        replacement().commit(true).unwrap();
        assert_eq!(names(dir.path()), ["file"]);
    }
}

//! Copying and moving on the machine itself.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::job::{Job, Stop};
use super::list::{must_be_file, names_of};
use super::place::{Slot, is_directory};
use super::sparse::copy_contents;
use super::tree::{Count, judge, must_be_shallow, remove_tree};
use super::write::{entry_at, may_be_replaced, open_beneath};
use crate::agent::permissions::Action;
use crate::fleet::{Code, Refusal};
use crate::runtime::{Access, Replacement};
use crate::wire::v1;

pub(super) fn copy(job: &Job, copy: &v1::FileCopy) -> Result<v1::FileDone, Stop> {
    let (from, to) = (job.guard.absolute(&copy.from)?, job.guard.absolute(&copy.to)?);
    let found = job.guard.find(Action::Read, &from, true)?;
    let mut count = Count::default();
    let slot = if found.kind() == FileType::Directory {
        if !copy.recursive {
            let message = format!("{:?} is a directory; say that all in it is meant (recursive)", found.path);
            return Err(Refusal::new(Code::Invalid, message).into());
        }
        let slot = job.guard.slot(Action::Write, &to)?;
        let inner = found.open(OFlags::RDONLY | OFlags::DIRECTORY);
        let inner = inner.map_err(|err| job.guard.refusal(&found.path, &err))?;
        copy_directory(job, &inner, &found.path, found.stat.st_mode, &slot, copy.overwrite, &mut count)?;
        slot
    } else {
        must_be_file(job, &found)?;
        let slot = job.guard.target(&to)?;
        let file = found.open(OFlags::RDONLY).map_err(|err| job.guard.refusal(&found.path, &err))?;
        must_be_another(&slot, (found.stat.st_dev, found.stat.st_ino))?;
        copy_file(job, file.into(), found.stat.st_mode, &slot, copy.overwrite, Sync::Each, &mut count)?;
        slot
    };
    Ok(done(job, &slot, &count)?)
}

pub(super) fn rename(job: &Job, rename: &v1::FileRename) -> Result<v1::FileDone, Stop> {
    let (from, to) = (job.guard.absolute(&rename.from)?, job.guard.absolute(&rename.to)?);
    let old = job.guard.slot(Action::Write, &from)?;
    // What may not be read here might be read there.
    job.guard.check(Action::Read, &old.path)?;
    let new = job.guard.slot(Action::Write, &to)?;
    let fail = |path: &Path, err: Errno| job.guard.refusal(path, &err.into());
    let stat = old.stat().map_err(|err| job.guard.refusal(&from, &err))?.ok_or_else(|| fail(&from, Errno::NOENT))?;
    let is_tree = is_directory(&stat);
    if is_tree {
        job.guard.may_go(&old.path)?;
        job.guard.may_go(&new.path)?;
        judge(job, old.dir.as_fd(), &old.name, &old.path, &|path| {
            job.guard.check(Action::Write, path)?;
            job.guard.check(Action::Read, path)?;
            let there = path.strip_prefix(&old.path).map(|rest| new.path.join(rest));
            job.guard.check(Action::Write, there.as_deref().unwrap_or(&new.path))
        })?;
    } else {
        may_be_replaced(job, &new, rename.overwrite)?;
    }
    let moved = if rename.overwrite {
        rustix::fs::renameat(&old.dir, &old.name, &new.dir, &new.name)
    } else {
        rustix::fs::renameat_with(&old.dir, &old.name, &new.dir, &new.name, RenameFlags::NOREPLACE)
    };
    let mut count = Count { files: u64::from(!is_tree), directories: u64::from(is_tree), bytes: 0 };
    match moved {
        Ok(()) => {}
        Err(Errno::XDEV) => count = move_over(job, &old, &new, rename.overwrite)?,
        Err(Errno::INVAL) if new.path.starts_with(&old.path) => return Err(into_itself(&new.path).into()),
        Err(err) => return Err(fail(&to, err).into()),
    }
    Ok(done(job, &new, &count)?)
}

/// Moves to another file system: a copy, and the old one goes when that is complete.
fn move_over(job: &Job, old: &Slot, new: &Slot, overwrite: bool) -> Result<Count, Stop> {
    let fail = |err: io::Error| job.guard.refusal(&old.path, &err);
    let stat = old.stat().map_err(fail)?.ok_or_else(|| fail(Errno::NOENT.into()))?;
    let mut count = Count::default();
    if is_directory(&stat) {
        let inner = open_beneath(&old.dir, &old.name).map_err(fail)?;
        copy_directory(job, &inner, &old.path, stat.st_mode, new, overwrite, &mut count)?;
        remove_tree(job, old.dir.as_fd(), &old.name, &old.path, &mut Count::default(), 0)?;
        return Ok(count);
    }
    copy_entry(job, old.dir.as_fd(), &old.name, &old.path, new, overwrite, Sync::Each, &mut count, 0)?;
    rustix::fs::unlinkat(&old.dir, &old.name, AtFlags::empty()).map_err(|err| fail(err.into()))?;
    Ok(count)
}

/// When a copy is on the disk.
#[derive(Clone, Copy)]
enum Sync {
    /// With each file.
    Each,
    /// All at the end.
    Together,
}

fn copy_directory(
    job: &Job,
    from: &OwnedFd,
    from_path: &Path,
    mode: u32,
    to: &Slot,
    overwrite: bool,
    count: &mut Count,
) -> Result<(), Stop> {
    if to.path.starts_with(from_path) {
        return Err(into_itself(&to.path).into());
    }
    copy_tree(job, from, from_path, mode, to, overwrite, count, 0)?;
    let synced = rustix::fs::openat(&to.dir, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    synced.and_then(rustix::fs::syncfs).map_err(|err| job.guard.refusal(&to.path, &err.into()))?;
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "one step of a recursion: two places, and what goes down with them")]
fn copy_tree(
    job: &Job,
    from: &OwnedFd,
    from_path: &Path,
    mode: u32,
    to: &Slot,
    overwrite: bool,
    count: &mut Count,
    depth: usize,
) -> Result<(), Stop> {
    let fail = |path: &Path, err: io::Error| job.guard.refusal(path, &err);
    must_be_shallow(from_path, depth)?;
    job.guard.check(Action::Read, from_path)?;
    job.guard.check(Action::Write, &to.path)?;
    // We have to be able to write into it.
    let mode = Mode::from_raw_mode(mode & 0o777 | 0o700);
    match rustix::fs::mkdirat(&to.dir, &to.name, mode) {
        Ok(()) => count.directories += 1,
        Err(Errno::EXIST) if overwrite => {}
        Err(err) => return Err(fail(&to.path, err.into()).into()),
    }
    let inner = open_beneath(&to.dir, &to.name).map_err(|err| fail(&to.path, err))?;
    for name in names_of(from).map_err(|err| fail(from_path, err))? {
        job.go_on()?;
        let dir = inner.try_clone().map_err(|err| fail(&to.path, err))?;
        let to = Slot { dir, path: to.path.join(&name), name: name.clone() };
        copy_entry(job, from.as_fd(), &name, &from_path.join(&name), &to, overwrite, Sync::Together, count, depth)?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "one step of a recursion: two places, and what goes down with them")]
fn copy_entry(
    job: &Job,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
    to: &Slot,
    overwrite: bool,
    sync: Sync,
    count: &mut Count,
    depth: usize,
) -> Result<(), Stop> {
    let fail = |err: io::Error| job.guard.refusal(path, &err);
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|err| fail(err.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let inner = open_beneath(dir, name).map_err(fail)?;
            copy_tree(job, &inner, path, stat.st_mode, to, overwrite, count, depth + 1)
        }
        FileType::RegularFile => {
            job.guard.check(Action::Read, path)?;
            job.guard.check(Action::Write, &to.path)?;
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|err| fail(err.into()))?;
            copy_file(job, file.into(), stat.st_mode, to, overwrite, sync, count)
        }
        FileType::Symlink => {
            job.guard.check(Action::Read, path)?;
            job.guard.check(Action::Write, &to.path)?;
            let target = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(|err| fail(err.into()))?;
            copy_link(job, &target, to, overwrite)?;
            count.files += 1;
            Ok(())
        }
        _ => {
            let message = format!("{path:?} is a device, a pipe or a socket, and is not copied");
            Err(Refusal::new(Code::Invalid, message).into())
        }
    }
}

fn copy_link(job: &Job, target: &std::ffi::CStr, to: &Slot, overwrite: bool) -> Result<(), Refusal> {
    let fail = |err: Errno| job.guard.refusal(&to.path, &err.into());
    match rustix::fs::symlinkat(target, &to.dir, &to.name) {
        Err(Errno::EXIST) if overwrite => {
            rustix::fs::unlinkat(&to.dir, &to.name, AtFlags::empty()).map_err(fail)?;
            rustix::fs::symlinkat(target, &to.dir, &to.name).map_err(fail)
        }
        outcome => outcome.map_err(fail),
    }
}

fn copy_file(
    job: &Job,
    from: File,
    mode: u32,
    to: &Slot,
    overwrite: bool,
    sync: Sync,
    count: &mut Count,
) -> Result<(), Stop> {
    let fail = |err: io::Error| job.guard.refusal(&to.path, &err);
    let old = may_be_replaced(job, to, overwrite)?;
    let access = old.map_or(Access::New(mode), Access::Like);
    let mut replacement = Replacement::begin(to.dir.as_fd(), &to.name, access).map_err(fail)?;
    count.bytes +=
        copy_contents(&from, replacement.file(), || job.go_on().map_err(Halt::Stopped)).map_err(|halt| match halt {
            Halt::Stopped(stop) => stop,
            Halt::Failed(err) => fail(err).into(),
        })?;
    replacement.file().flush().map_err(fail)?;
    match sync {
        Sync::Each => replacement.commit(overwrite),
        Sync::Together => replacement.commit_unsynced(overwrite),
    }
    .map_err(fail)?;
    count.files += 1;
    Ok(())
}

/// Why a copy ends early.
enum Halt {
    Stopped(Stop),
    Failed(io::Error),
}

impl From<io::Error> for Halt {
    fn from(err: io::Error) -> Halt {
        Halt::Failed(err)
    }
}

fn must_be_another(slot: &Slot, (dev, ino): (u64, u64)) -> Result<(), Refusal> {
    let is_same = slot.stat().is_ok_and(|stat| stat.is_some_and(|stat| (stat.st_dev, stat.st_ino) == (dev, ino)));
    if is_same {
        return Err(Refusal::new(Code::Invalid, format!("{:?} is the very file that was to be copied", slot.path)));
    }
    Ok(())
}

fn into_itself(path: &Path) -> Refusal {
    Refusal::new(Code::Invalid, format!("{path:?} lies within the directory that was to go there"))
}

fn done(job: &Job, slot: &Slot, count: &Count) -> Result<v1::FileDone, Refusal> {
    let entry = Some(entry_at(job, slot)?);
    let Count { files, directories, bytes } = *count;
    Ok(v1::FileDone { entry, bytes, files, directories, ..Default::default() })
}

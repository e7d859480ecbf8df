//! Directories with all that is in them: judged before anything happens, and removed.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::job::{Job, Stop};
use super::list::names_of;
use super::place::is_directory;
use super::write::{entry_at, open_beneath};
use crate::agent::permissions::Action;
use crate::fleet::{Code, Refusal};
use crate::wire::v1;

/// Directories within directories that are followed; each is held open.
pub(super) const DEPTH_CAP: usize = 200;

pub(super) fn remove(job: &Job, remove: &v1::FileRemove) -> Result<v1::FileDone, Stop> {
    let asked = job.guard.absolute(&remove.path)?;
    let slot = job.guard.slot(Action::Write, &asked)?;
    let fail = |err: std::io::Error| job.guard.refusal(&asked, &err);
    let stat = slot.stat().map_err(fail)?.ok_or_else(|| fail(Errno::NOENT.into()))?;
    let entry = Some(entry_at(job, &slot)?);
    let mut count = Count::default();
    if !is_directory(&stat) {
        rustix::fs::unlinkat(&slot.dir, &slot.name, AtFlags::empty()).map_err(|err| fail(err.into()))?;
        count.files = 1;
    } else if remove.recursive {
        job.guard.may_go(&slot.path)?;
        judge(job, slot.dir.as_fd(), &slot.name, &slot.path, &|path| job.guard.check(Action::Write, path))?;
        remove_tree(job, slot.dir.as_fd(), &slot.name, &slot.path, &mut count, 0)?;
    } else {
        rustix::fs::unlinkat(&slot.dir, &slot.name, AtFlags::REMOVEDIR).map_err(|err| fail(err.into()))?;
        count.directories = 1;
    }
    Ok(v1::FileDone { entry, files: count.files, directories: count.directories, ..Default::default() })
}

/// What happened to how many.
#[derive(Default)]
pub(super) struct Count {
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) bytes: u64,
}

/// Judges everything beneath a directory, where the rules look at paths at all.
pub(super) fn judge(
    job: &Job,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
    check: &dyn Fn(&Path) -> Result<(), Refusal>,
) -> Result<(), Stop> {
    if !job.guard.has_paths() {
        return Ok(());
    }
    judge_beneath(job, dir, name, path, check, 0)
}

fn judge_beneath(
    job: &Job,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
    check: &dyn Fn(&Path) -> Result<(), Refusal>,
    depth: usize,
) -> Result<(), Stop> {
    let fail = |path: &Path, err: std::io::Error| job.guard.refusal(path, &err);
    must_be_shallow(path, depth)?;
    let dir = open_beneath(dir, name).map_err(|err| fail(path, err))?;
    for name in names_of(&dir).map_err(|err| fail(path, err))? {
        job.go_on()?;
        let path = path.join(&name);
        check(&path)?;
        let stat = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|stat| is_directory(&stat)) {
            judge_beneath(job, dir.as_fd(), &name, &path, check, depth + 1)?;
        }
    }
    Ok(())
}

pub(super) fn must_be_shallow(path: &Path, depth: usize) -> Result<(), Refusal> {
    if depth < DEPTH_CAP {
        return Ok(());
    }
    let message = format!("{path:?} lies {DEPTH_CAP} directories deep, and no deeper ones are followed; begin there");
    Err(Refusal::new(Code::Exhausted, message))
}

/// Removes a directory and all in it; links are removed, not followed.
pub(super) fn remove_tree(
    job: &Job,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
    count: &mut Count,
    depth: usize,
) -> Result<(), Stop> {
    let fail = |path: &Path, err: std::io::Error| job.guard.refusal(path, &err);
    must_be_shallow(path, depth)?;
    let inner = open_beneath(dir, name).map_err(|err| fail(path, err))?;
    for name in names_of(&inner).map_err(|err| fail(path, err))? {
        job.go_on()?;
        let path = path.join(&name);
        job.guard.check(Action::Write, &path)?;
        let stat = rustix::fs::statat(&inner, &name, AtFlags::SYMLINK_NOFOLLOW);
        match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Directory) => remove_tree(job, inner.as_fd(), &name, &path, count, depth + 1)?,
            // Somebody else was faster.
            Err(Errno::NOENT) => {}
            _ => {
                let gone = rustix::fs::unlinkat(&inner, &name, AtFlags::empty());
                gone.map_err(|err| fail(&path, err.into()))?;
                count.files += 1;
            }
        }
    }
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).map_err(|err| fail(path, err.into()))?;
    count.directories += 1;
    Ok(())
}

//! Writing a file as a whole, and making directories.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Access as May, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::entry::Names;
use super::job::{Job, Stop};
use super::place::{Slot, is_directory};
use crate::agent::permissions::Action;
use crate::fleet::{Code, Refusal};
use crate::runtime::{Access, Replacement};
use crate::wire::v1;
use v1::file_down::Frame as Down;

/// Mode of a new file, less the umask.
const NEW_FILE: u32 = 0o644;
/// Mode of a new directory, less the umask.
const NEW_DIRECTORY: u32 = 0o777;

pub(super) fn write(job: &mut Job, write: &v1::FileWrite) -> Result<v1::FileDone, Stop> {
    let asked = job.guard.absolute(&write.path)?;
    if write.parents
        && let Some(parent) = asked.parent()
    {
        make_parents(job, parent)?;
    }
    let slot = job.guard.target(&asked)?;
    let old = may_be_replaced(job, &slot, write.overwrite)?;
    let mode = if write.mode == 0 { NEW_FILE } else { write.mode };
    let access = old.map_or(Access::New(mode), Access::Like);
    let fail = |job: &Job, err: std::io::Error| job.guard.refusal(&slot.path, &err);
    let begun = Replacement::begin(slot.dir.as_fd(), &slot.name, access);
    let mut replacement = begun.map_err(|err| fail(job, err))?;
    job.tell(Down::Opened(v1::FileEntry { path: crate::wire::path(&slot.path), ..Default::default() }))?;
    let mut bytes = 0;
    while let Some(data) = job.contents()? {
        replacement.file().write_all(&data).map_err(|err| fail(job, err))?;
        bytes += data.len() as u64;
    }
    replacement.commit(write.overwrite).map_err(|err| fail(job, err))?;
    Ok(v1::FileDone { entry: Some(entry_at(job, &slot)?), bytes, files: 1, ..Default::default() })
}

/// What a file is to be put in the place of; refused when that is no file, may not be written or is not to be replaced.
pub(super) fn may_be_replaced(job: &Job, slot: &Slot, overwrite: bool) -> Result<Option<Stat>, Refusal> {
    let fail = |err: std::io::Error| job.guard.refusal(&slot.path, &err);
    let Some(old) = slot.stat().map_err(fail)? else { return Ok(None) };
    match FileType::from_raw_mode(old.st_mode) {
        FileType::Directory => return Err(fail(Errno::ISDIR.into())),
        FileType::RegularFile => {}
        _ => {
            let message = format!("{:?} is there and no file; nothing is put in its place", slot.path);
            return Err(Refusal::new(Code::Invalid, message));
        }
    }
    if !overwrite {
        return Err(fail(Errno::EXIST.into()));
    }
    // Its directory would let it be replaced all the same.
    let may = rustix::fs::accessat(&slot.dir, &slot.name, May::WRITE_OK, AtFlags::empty());
    may.map_err(|err| fail(err.into()))?;
    Ok(Some(old))
}

pub(super) fn make_directory(job: &Job, make: &v1::FileMakeDirectory) -> Result<v1::FileDone, Stop> {
    let asked = job.guard.absolute(&make.path)?;
    if make.parents {
        let directories = make_parents(job, &asked)?;
        let found = job.guard.find(Action::Write, &asked, true)?;
        let entry = Some(Names::default().found(&found));
        return Ok(v1::FileDone { entry, directories, ..Default::default() });
    }
    let slot = job.guard.slot(Action::Write, &asked)?;
    make_one(job, &slot)?;
    Ok(v1::FileDone { entry: Some(entry_at(job, &slot)?), directories: 1, ..Default::default() })
}

fn make_one(job: &Job, slot: &Slot) -> Result<(), Refusal> {
    let made = rustix::fs::mkdirat(&slot.dir, &slot.name, Mode::from_raw_mode(NEW_DIRECTORY));
    made.map_err(|err| job.guard.refusal(&slot.path, &err.into()))
}

/// Makes a directory and those that lead to it, each if the rules let it be made there; how many were missing.
pub(super) fn make_parents(job: &Job, path: &Path) -> Result<u64, Stop> {
    job.go_on()?;
    let there = std::fs::metadata(path);
    if there.is_ok_and(|meta| meta.is_dir()) {
        return Ok(0);
    }
    let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
        return Err(job.guard.refusal(path, &Errno::INVAL.into()).into());
    };
    let made = make_parents(job, parent)?;
    let slot = job.guard.slot(Action::Write, path)?;
    match slot.stat().map_err(|err| job.guard.refusal(path, &err))? {
        // Somebody else was faster.
        Some(stat) if is_directory(&stat) => Ok(made),
        Some(_) => Err(job.guard.refusal(path, &Errno::NOTDIR.into()).into()),
        None => make_one(job, &slot).map(|()| made + 1).map_err(Stop::from),
    }
}

/// The entry that has the name now.
pub(super) fn entry_at(job: &Job, slot: &Slot) -> Result<v1::FileEntry, Refusal> {
    let dir = slot.path.parent().unwrap_or(&slot.path);
    let entry = Names::default().entry(&slot.dir, dir, &slot.name);
    entry.map_err(|err| job.guard.refusal(&slot.path, &err))
}

/// A directory beneath one that is held open, itself and no link that has its name.
pub(super) fn open_beneath(dir: impl AsFd, name: &std::ffi::OsStr) -> std::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

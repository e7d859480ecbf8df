//! Looking: the entries of a directory, and what a path leads to.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FileType, OFlags};

use super::entry::Names;
use super::job::{Job, Stop};
use super::place::Found;
use crate::agent::permissions::Action;
use crate::fleet::{Code, Refusal};
use crate::wire::{Message, v1};
use v1::file_down::Frame as Down;

/// Names of one directory held at once, to be sorted.
const NAMES_CAP: usize = 1_000_000;
/// Bytes of entries in one frame; one entry more fits into a chunk.
pub(super) const FRAME_BYTES: usize = 40 * 1024;

pub(super) fn list(job: &Job, list: &v1::FileList) -> Result<v1::FileDone, Stop> {
    let asked = job.guard.absolute(&list.path)?;
    let found = job.guard.find(Action::Read, &asked, true)?;
    let fail = |err: std::io::Error| job.guard.refusal(&asked, &err);
    let dir = found.open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
    let mut names = Vec::new();
    for name in names_of(&dir).map_err(fail)? {
        if list.hidden || !name.as_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort_unstable();
    let total = names.len();
    let first = names.partition_point(|name| name.as_bytes() <= &list.after[..] && !list.after.is_empty());
    let limit = if list.limit == 0 { usize::MAX } else { list.limit as usize };
    let last = first.saturating_add(limit).min(total);
    let known = Names::default();
    let mut batch = Batch::default();
    for name in &names[first..last] {
        // One that has just gone is none.
        if let Ok(entry) = known.entry(&dir, &found.path, name) {
            batch.add(job, entry)?;
        }
    }
    batch.flush(job)?;
    let entry = Some(known.found(&found));
    Ok(v1::FileDone { entry, total: total as u64, more: last < total, ..Default::default() })
}

/// Entries on their way, a frame at a time.
#[derive(Default)]
struct Batch {
    entries: v1::FileEntries,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, job: &Job, entry: v1::FileEntry) -> Result<(), Stop> {
        self.bytes += entry.encoded_len();
        self.entries.entries.push(entry);
        if self.bytes >= FRAME_BYTES { self.flush(job) } else { Ok(()) }
    }

    fn flush(&mut self, job: &Job) -> Result<(), Stop> {
        let Batch { entries, .. } = std::mem::take(self);
        if entries.entries.is_empty() { Ok(()) } else { job.tell(Down::Entries(entries)) }
    }
}

/// All names in a directory but `.` and `..`.
pub(super) fn names_of(dir: &OwnedFd) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == NAMES_CAP {
            return Err(std::io::Error::other(format!("there are more than {NAMES_CAP} names in it")));
        }
        names.push(OsStr::from_bytes(name).to_owned());
    }
    Ok(names)
}

pub(super) fn stat(job: &Job, stat: &v1::FileStat) -> Result<v1::FileDone, Stop> {
    let asked = job.guard.absolute(&stat.path)?;
    let found = job.guard.find(Action::Read, &asked, stat.follow)?;
    Ok(v1::FileDone { entry: Some(entry_of(job, &found)?), ..Default::default() })
}

/// The entry of a thing that was found; a link is one itself.
fn entry_of(job: &Job, found: &Found) -> Result<v1::FileEntry, Refusal> {
    let names = Names::default();
    let (FileType::Symlink, Some(dir), Some(name)) = (found.kind(), found.path.parent(), found.path.file_name()) else {
        return Ok(names.found(found));
    };
    let open = rustix::fs::open(dir, OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty());
    let entry = open.map_err(std::io::Error::from).and_then(|fd| names.entry(fd.as_fd(), dir, name));
    entry.map_err(|err| job.guard.refusal(&found.path, &err))
}

/// What only regular files are good for.
pub(super) fn must_be_file(job: &Job, found: &Found) -> Result<(), Refusal> {
    match found.kind() {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(job.guard.refusal(&found.path, &rustix::io::Errno::ISDIR.into())),
        _ => Err(Refusal::new(Code::Invalid, format!("{:?} is a device, a pipe or a socket, and no file", found.path))),
    }
}

//! What is told of a file.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Stat};

use super::place::is_directory;
use crate::fleet::{FileEntry, FileKind};
use crate::wire::{self, v1};

/// Names of owners and groups, read when the first is asked for.
#[derive(Default)]
pub(super) struct Names {
    users: OnceCell<HashMap<u32, String>>,
    groups: OnceCell<HashMap<u32, String>>,
}

impl Names {
    /// The entry of this name in a directory that is really called `dir_path`; a link is one itself.
    pub(super) fn entry(&self, dir: impl AsFd, dir_path: &Path, name: &OsStr) -> io::Result<v1::FileEntry> {
        let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let target = is_link.then(|| rustix::fs::readlinkat(&dir, name, Vec::new()).ok()).flatten();
        let followed = is_link.then(|| rustix::fs::statat(&dir, name, AtFlags::empty()).ok()).flatten();
        let may = |access| rustix::fs::accessat(&dir, name, access, AtFlags::empty()).is_ok();
        let entry = FileEntry {
            target: target.map(|target| PathBuf::from(OsStr::from_bytes(target.as_bytes()))),
            leads_to_directory: followed.as_ref().is_some_and(is_directory),
            is_readable: may(Access::READ_OK),
            is_writable: may(Access::WRITE_OK),
            ..self.of_stat(dir_path.join(name), &stat)
        };
        Ok(wire::file_entry(&entry))
    }

    /// The entry of a thing that was found, and is no link.
    pub(super) fn found(&self, found: &super::place::Found) -> v1::FileEntry {
        let may = |access| rustix::fs::access(&found.path, access).is_ok();
        let (is_readable, is_writable) = (may(Access::READ_OK), may(Access::WRITE_OK));
        let entry = FileEntry { is_readable, is_writable, ..self.of_stat(found.path.clone(), &found.stat) };
        wire::file_entry(&entry)
    }

    fn of_stat(&self, path: PathBuf, stat: &Stat) -> FileEntry {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Link,
            _ => FileKind::Other,
        };
        FileEntry {
            path,
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode & 0o7777,
            owner: name_of(self.users.get_or_init(|| names_in("/etc/passwd")), stat.st_uid),
            group: name_of(self.groups.get_or_init(|| names_in("/etc/group")), stat.st_gid),
            modified_ms: stat.st_mtime.saturating_mul(1000).saturating_add(stat.st_mtime_nsec as i64 / 1_000_000),
            target: None,
            leads_to_directory: false,
            is_readable: false,
            is_writable: false,
        }
    }
}

fn name_of(names: &HashMap<u32, String>, id: u32) -> String {
    names.get(&id).cloned().unwrap_or_else(|| id.to_string())
}

/// Names by number: the first and the third field of each line. The first name of a number counts.
fn names_in(file: &str) -> HashMap<u32, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(id))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(id).or_insert_with(|| name.to_string());
        }
    }
    names
}

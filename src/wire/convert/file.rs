//! Entries of directories. A path stays as it is, whatever bytes it has: it is cleaned when it is printed.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use prost::Message;

use crate::fleet::{FileEntry, FileKind, NAME_CAP, cleaned};
use crate::wire::v1;

/// A path as the wire has it.
pub fn path(path: &Path) -> Bytes {
    Bytes::copy_from_slice(path.as_os_str().as_bytes())
}

/// A path from the wire; any bytes are one.
pub fn path_from(path: &[u8]) -> PathBuf {
    OsString::from_vec(path.to_vec()).into()
}

/// Bytes of a frame that its receiver gives credit for.
pub fn file_frame_len(frame: &v1::file_down::Frame) -> Option<usize> {
    use v1::file_down::Frame;
    match frame {
        Frame::Data(data) => Some(data.len()),
        Frame::Entries(entries) => Some(entries.encoded_len()),
        Frame::Matches(matches) => Some(matches.encoded_len()),
        Frame::Rules(rules) => Some(rules.encoded_len()),
        Frame::Opened(_) | Frame::Credit(_) | Frame::Done(_) | Frame::Refused(_) => None,
    }
}

/// To the wire.
pub fn file_entry(entry: &FileEntry) -> v1::FileEntry {
    let kind = match entry.kind {
        FileKind::File => v1::FileKind::File,
        FileKind::Directory => v1::FileKind::Directory,
        FileKind::Link => v1::FileKind::Link,
        FileKind::Other => v1::FileKind::Other,
    };
    v1::FileEntry {
        path: path(&entry.path),
        kind: kind as i32,
        size: entry.size,
        mode: entry.mode,
        owner: entry.owner.clone(),
        group: entry.group.clone(),
        modified_ms: entry.modified_ms,
        target: entry.target.as_deref().map(path).unwrap_or_default(),
        leads_to_directory: entry.leads_to_directory,
        readable: entry.is_readable,
        writable: entry.is_writable,
    }
}

/// From the wire.
pub fn file_entry_from(entry: v1::FileEntry) -> FileEntry {
    let kind = match entry.kind() {
        v1::FileKind::File => FileKind::File,
        v1::FileKind::Directory => FileKind::Directory,
        v1::FileKind::Link => FileKind::Link,
        v1::FileKind::Other | v1::FileKind::Unspecified => FileKind::Other,
    };
    FileEntry {
        kind,
        path: path_from(&entry.path),
        size: entry.size,
        mode: entry.mode & 0o7777,
        owner: cleaned(entry.owner, NAME_CAP),
        group: cleaned(entry.group, NAME_CAP),
        modified_ms: entry.modified_ms,
        target: (!entry.target.is_empty()).then(|| path_from(&entry.target)),
        leads_to_directory: entry.leads_to_directory,
        is_readable: entry.readable,
        is_writable: entry.writable,
    }
}

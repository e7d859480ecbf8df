//! Files of machines: what an entry of a directory is.

use std::ffi::OsStr;
use std::path::PathBuf;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

impl FileKind {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Link => "link",
            FileKind::Other => "other",
        }
    }
}

/// An entry of a directory on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Absolute; links on the way to it are resolved. Any bytes but NUL may be in it.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner's name, or number without one.
    pub owner: String,
    /// Group's name, or number without one.
    pub group: String,
    /// Last change of its contents, milliseconds since the epoch.
    pub modified_ms: i64,
    /// Where a link leads, as it is written there.
    pub target: Option<PathBuf>,
    /// A link that leads to a directory.
    pub leads_to_directory: bool,
    /// The agent's user may read it.
    pub is_readable: bool,
    /// The agent's user may change it.
    pub is_writable: bool,
}

impl FileEntry {
    /// Its name in its directory; that of the root is `/`.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or(OsStr::new("/"))
    }

    /// Whether there may be entries in it: a directory, or a link to one.
    pub fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory || self.leads_to_directory
    }

    /// Its kind and permissions as `ls -l` writes them.
    pub fn mode_text(&self) -> String {
        let kind = match self.kind {
            FileKind::File => '-',
            FileKind::Directory => 'd',
            FileKind::Link => 'l',
            FileKind::Other => '?',
        };
        let bit = |number: u32, letter: char| if self.mode & (1 << number) != 0 { letter } else { '-' };
        let bits = (0..9).rev().map(|number| bit(number, ['x', 'w', 'r'][number as usize % 3]));
        std::iter::once(kind).chain(bits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_ls_writes_them() {
        let entry = FileEntry {
            path: "/srv/run".into(),
            kind: FileKind::Directory,
            size: 0,
            mode: 0o754,
            owner: String::new(),
            group: String::new(),
            modified_ms: 0,
            target: None,
            leads_to_directory: false,
            is_readable: true,
            is_writable: true,
        };
        assert_eq!(entry.mode_text(), "drwxr-xr--");
        assert_eq!((entry.name(), entry.is_directory()), (OsStr::new("run"), true));
    }
}

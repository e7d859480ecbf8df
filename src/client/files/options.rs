//! What can be asked for beside a path, and what comes back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use crate::fleet::FileEntry;
use crate::wire::{self, v1};

/// How a directory is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOptions {
    /// Names that begin with a dot too.
    pub include_hidden: bool,
    /// Entries of a page; 0 for all of them.
    pub page_size: u32,
    /// That of the page before; `None` for the first one.
    pub page_token: Option<Bytes>,
}

impl Default for ListOptions {
    fn default() -> ListOptions {
        ListOptions { include_hidden: false, page_size: 100, page_token: None }
    }
}

/// A page of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePage {
    /// The directory; links on the way to it are resolved.
    pub path: PathBuf,
    /// Sorted by name.
    pub entries: Vec<FileEntry>,
    /// For the next page; `None` after the last one.
    pub next_page_token: Option<Bytes>,
    /// Entries of the directory, whatever was asked for.
    pub total: u64,
}

impl FilePage {
    pub(super) fn new(entries: Vec<FileEntry>, done: &v1::FileDone) -> FilePage {
        let last = entries.last().filter(|_| done.more);
        let next_page_token = last.map(|entry| wire::path(Path::new(entry.name())));
        let path = done.entry.as_ref().map(|entry| wire::path_from(&entry.path)).unwrap_or_default();
        FilePage { path, entries, next_page_token, total: done.total }
    }
}

/// Which part of a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Where to begin; beyond the end there is nothing.
    pub offset: u64,
    /// Bytes at most; `None` for all of them.
    pub length: Option<u64>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Replace one that is there.
    pub overwrite: bool,
    /// Make the directories that lead to it.
    pub create_parents: bool,
    /// Permission bits of a new file, less the umask of the machine's agent; `None` for 0644. One that is there keeps
    /// its own.
    pub mode: Option<u32>,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { overwrite: true, create_parents: false, mode: None }
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Files, and links.
    pub files: u64,
    /// Directories.
    pub directories: u64,
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchOptions {
    /// Glob over the name (`*.log`), or a part of it when it has no wildcard; empty for any.
    pub filename_pattern: String,
    /// Regular expression over the lines of text files; empty: they are not looked into.
    pub content_pattern: String,
    /// Capital letters count.
    pub case_sensitive: bool,
    /// Names that begin with a dot too.
    pub include_hidden: bool,
    /// Files found at most; 0 for 100, never more than 10,000.
    pub max_results: u32,
    /// Levels of directories looked into, 1 for the first one only; 0 for all there are.
    pub max_depth: u32,
    /// Lines shown before and after one that matches, 10 at most.
    pub context_lines: u32,
}

impl SearchOptions {
    pub(super) fn request(self, path: &Path) -> v1::FileSearch {
        v1::FileSearch {
            path: wire::path(path),
            name: self.filename_pattern,
            content: self.content_pattern,
            case_sensitive: self.case_sensitive,
            hidden: self.include_hidden,
            limit: self.max_results,
            depth: self.max_depth,
            context: self.context_lines,
        }
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchResult {
    /// In the order of their paths.
    pub matches: Vec<FileMatch>,
    /// There is more than was asked for.
    pub is_truncated: bool,
    /// Files looked at.
    pub files: u64,
    /// Directories looked into.
    pub directories: u64,
    /// How long it took, as the machine measured.
    pub duration: Duration,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMatch {
    /// The file, or a directory when names alone were looked for.
    pub entry: FileEntry,
    /// Its lines that match, the first 50 at most.
    pub lines: Vec<LineMatch>,
}

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMatch {
    /// From 1.
    pub number: u64,
    /// Without its end; a long one is cut.
    pub text: Bytes,
    /// Where in `text` the match lies, bytes.
    pub start: usize,
    /// Behind the match.
    pub end: usize,
    /// Lines before it.
    pub before: Vec<Bytes>,
    /// Lines after it.
    pub after: Vec<Bytes>,
}

impl FileMatch {
    pub(super) fn from_wire(found: v1::FileMatch) -> Option<FileMatch> {
        let line = |line: v1::FileLine| {
            let within = |at: u32| (at as usize).min(line.text.len());
            LineMatch {
                number: line.number,
                start: within(line.start),
                end: within(line.end),
                text: line.text,
                before: line.before,
                after: line.after,
            }
        };
        Some(FileMatch {
            entry: wire::file_entry_from(found.entry?),
            lines: found.lines.into_iter().map(line).collect(),
        })
    }
}

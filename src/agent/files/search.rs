//! Searching where the files are: by name, and in the lines of text.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use regex::bytes::{Regex, RegexBuilder};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::entry::Names;
use super::job::{Job, Stop};
use super::list::names_of;
use super::tree::DEPTH_CAP;
use super::write::open_beneath;
use crate::agent::permissions::Action;
use crate::fleet::{Code, Refusal};
use crate::wire::v1;
use v1::file_down::Frame as Down;

/// Matches unless more or fewer are asked for, and the most that can be.
const MATCHES: (usize, usize) = (100, 10_000);
/// Lines shown of one file.
const LINES_CAP: usize = 50;
/// Lines shown around one.
const CONTEXT_CAP: usize = 10;
/// Bytes shown of a line, and looked into.
const LINE_CAP: (usize, usize) = (256, 64 * 1024);
/// Bytes of lines shown of one file: with them a match fits into a chunk.
const MATCH_BYTES: usize = 24 * 1024;
/// A file with a NUL byte in so many of its first is no text.
const HEAD: usize = 8 * 1024;
/// Memory that a pattern may take, compiled.
const PATTERN_BYTES: usize = 1024 * 1024;

pub(super) fn search(job: &Job, search: &v1::FileSearch) -> Result<v1::FileDone, Stop> {
    let started = Instant::now();
    let asked = job.guard.absolute(&search.path)?;
    let found = job.guard.find(Action::Read, &asked, true)?;
    let limit = if search.limit == 0 { MATCHES.0 } else { (search.limit as usize).min(MATCHES.1) };
    let mut walk = Walk {
        job,
        name: name_pattern(&search.name, search.case_sensitive)?,
        content: content_pattern(&search.content, search.case_sensitive)?,
        is_hidden_too: search.hidden,
        depth: if search.depth == 0 { DEPTH_CAP } else { (search.depth as usize).min(DEPTH_CAP) },
        context: (search.context as usize).min(CONTEXT_CAP),
        left: limit,
        is_more: false,
        files: 0,
        directories: 0,
        names: Names::default(),
    };
    let fail = |err: std::io::Error| job.guard.refusal(&asked, &err);
    if found.kind() == FileType::Directory {
        let dir = found.open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
        walk.directory(&dir, &found.path, 0)?;
    } else if let (Some(parent), Some(name)) = (found.path.parent(), found.path.file_name()) {
        let dir = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        walk.entry(&dir.map_err(|err| fail(err.into()))?, parent, name, 0)?;
    }
    Ok(v1::FileDone {
        entry: Some(walk.names.found(&found)),
        files: walk.files,
        directories: walk.directories,
        more: walk.is_more,
        total: (limit - walk.left) as u64,
        duration_ms: started.elapsed().as_millis() as u64,
        ..Default::default()
    })
}

fn invalid(message: String) -> Refusal {
    Refusal::new(Code::Invalid, message)
}

/// A glob for the whole name, or a part of it when it has no wildcard; `None` for any.
fn name_pattern(name: &str, is_case_sensitive: bool) -> Result<Option<Regex>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    for c in name.chars() {
        match c {
            '*' => text.push_str("(?s-u:.)*"),
            '?' => text.push_str("(?s:.)"),
            c => text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    let is_glob = name.contains(['*', '?']);
    let text = if is_glob { format!(r"\A{text}\z") } else { text };
    let built = RegexBuilder::new(&text).case_insensitive(!is_case_sensitive).size_limit(PATTERN_BYTES).build();
    built.map(Some).map_err(|_| invalid(format!("{name:?} is too large a pattern for names")))
}

fn content_pattern(content: &str, is_case_sensitive: bool) -> Result<Option<Regex>, Refusal> {
    if content.is_empty() {
        return Ok(None);
    }
    let built = RegexBuilder::new(content).case_insensitive(!is_case_sensitive).size_limit(PATTERN_BYTES).build();
    built.map(Some).map_err(|err| invalid(format!("{content:?} is no regular expression: {err}")))
}

struct Walk<'a> {
    job: &'a Job,
    name: Option<Regex>,
    content: Option<Regex>,
    is_hidden_too: bool,
    depth: usize,
    context: usize,
    left: usize,
    is_more: bool,
    files: u64,
    directories: u64,
    names: Names,
}

impl Walk<'_> {
    /// What cannot be opened, or may not be read, is passed by.
    fn directory(&mut self, dir: &OwnedFd, path: &Path, depth: usize) -> Result<(), Stop> {
        self.directories += 1;
        let mut names = names_of(dir).unwrap_or_default();
        names.sort_unstable();
        for name in names {
            self.job.go_on()?;
            if self.is_more {
                return Ok(());
            }
            if self.is_hidden_too || !name.as_bytes().starts_with(b".") {
                self.entry(dir, path, &name, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &OwnedFd, dir_path: &Path, name: &OsStr, depth: usize) -> Result<(), Stop> {
        let path = dir_path.join(name);
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        let Some(stat) = stat.ok().filter(|_| self.job.guard.allows(Action::Read, &path)) else { return Ok(()) };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_named = self.name.as_ref().is_none_or(|pattern| pattern.is_match(name.as_bytes()));
        if kind != FileType::Directory {
            self.files += 1;
        }
        if is_named {
            let lines = match &self.content {
                None => Some(Vec::new()),
                Some(pattern) if kind == FileType::RegularFile => {
                    let lines = lines(self.job, dir, name, pattern, self.context)?;
                    Some(lines).filter(|lines| !lines.is_empty())
                }
                Some(_) => None,
            };
            if let Some(lines) = lines {
                self.found(dir, dir_path, name, lines)?;
            }
        }
        if kind == FileType::Directory
            && depth + 1 < self.depth
            && !self.is_more
            && let Ok(inner) = open_beneath(dir.as_fd(), name)
        {
            self.directory(&inner, &path, depth + 1)?;
        }
        Ok(())
    }

    fn found(&mut self, dir: &OwnedFd, path: &Path, name: &OsStr, lines: Vec<v1::FileLine>) -> Result<(), Stop> {
        if self.left == 0 {
            self.is_more = true;
            return Ok(());
        }
        let Ok(entry) = self.names.entry(dir, path, name) else { return Ok(()) };
        self.left -= 1;
        let found = v1::FileMatch { entry: Some(entry), lines };
        self.job.tell(Down::Matches(v1::FileMatches { matches: vec![found] }))
    }
}

/// The lines of a text file that match.
fn lines(job: &Job, dir: &OwnedFd, name: &OsStr, pattern: &Regex, context: usize) -> Result<Vec<v1::FileLine>, Stop> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut found: Vec<v1::FileLine> = Vec::new();
    let Ok(fd) = rustix::fs::openat(dir, name, flags, Mode::empty()) else { return Ok(found) };
    let mut reader = BufReader::with_capacity(LINE_CAP.1, File::from(fd));
    if !is_text(&mut reader) {
        return Ok(found);
    }
    let mut before: VecDeque<Bytes> = VecDeque::new();
    let mut line = Vec::new();
    let (mut number, mut bytes) = (0, 0);
    while read_line(&mut reader, &mut line) {
        number += 1;
        if number % 1024 == 1 {
            job.go_on()?;
        }
        let shown = Bytes::copy_from_slice(&line[..line.len().min(LINE_CAP.0)]);
        for earlier in found.iter_mut().filter(|earlier| number - earlier.number <= context as u64) {
            bytes += shown.len();
            earlier.after.push(shown.clone());
        }
        let is_full = found.len() == LINES_CAP || bytes > MATCH_BYTES;
        let hit = if is_full { None } else { pattern.find(&line) };
        if let Some(hit) = hit {
            let end = |at: usize| at.min(shown.len()) as u32;
            let before: Vec<Bytes> = before.iter().cloned().collect();
            bytes += shown.len() + before.iter().map(Bytes::len).sum::<usize>();
            let (start, end) = (end(hit.start()), end(hit.end()));
            found.push(v1::FileLine { number, text: shown.clone(), start, end, before, after: Vec::new() });
        }
        let is_over = is_full && found.last().is_none_or(|last| number - last.number >= context as u64);
        if is_over {
            break;
        }
        before.push_back(shown);
        if before.len() > context {
            before.pop_front();
        }
    }
    Ok(found)
}

fn is_text(reader: &mut BufReader<File>) -> bool {
    reader.fill_buf().is_ok_and(|head| !head[..head.len().min(HEAD)].contains(&0))
}

/// The next line, without its end and cut where it is longer than anything to look into; `false` at the end.
fn read_line(reader: &mut BufReader<File>, line: &mut Vec<u8>) -> bool {
    line.clear();
    let read = reader.by_ref().take(LINE_CAP.1 as u64).read_until(b'\n', line);
    if read.is_err() || line.is_empty() {
        return false;
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    } else {
        let _ = reader.skip_until(b'\n');
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_globs_or_parts() {
        let fits = |pattern: &str, is_case_sensitive, name: &[u8]| {
            name_pattern(pattern, is_case_sensitive).unwrap().is_none_or(|pattern| pattern.is_match(name))
        };
        assert!(fits("", false, b"any") && fits("log", false, b"App.LOG.1") && !fits("log", true, b"App.LOG.1"));
        assert!(fits("*.log", true, b"a.log") && !fits("*.log", true, b"a.log.1") && fits("a?c", true, b"a.c"));
        assert!(fits("*", true, b"\xff\n") && fits("a(b)[*", true, b"a(b)[x") && !fits("a.c", true, b"abc"));
    }
}

//! One log on the disk: lines appended whole, files put aside by size and by age.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

/// When a file is put aside, and how many are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// A file that would grow past this is put aside: `.1` is the youngest of the old ones. Bytes.
    bytes: u64,
    /// So is one that was begun so long ago, milliseconds.
    age_ms: u64,
    /// Files kept, the current one included.
    files: u32,
}

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Of what was done: 200 MiB, and at least 19 weeks where there is less of it.
pub(super) const DONE: Keep = Keep { bytes: 10 * 1024 * 1024, age_ms: 7 * DAY_MS, files: 20 };
/// Of what was refused: 10 MiB, for whoever is refused may choose how much there is.
pub(super) const REFUSED: Keep = Keep { bytes: 2 * 1024 * 1024, age_ms: 7 * DAY_MS, files: 5 };

pub(super) struct Log {
    path: PathBuf,
    keep: Keep,
    file: File,
    bytes: u64,
    /// When its first line was written, as far as is known.
    begun_ms: u64,
    /// The file ends within a line that could not be written whole.
    is_torn: bool,
}

impl Log {
    pub(super) fn open(path: PathBuf, keep: Keep, now: u64) -> io::Result<Log> {
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        let mut last = [b'\n'];
        let is_torn = bytes > 0 && file.read_at(&mut last, bytes - 1)? == 1 && last != *b"\n";
        let begun_ms = first_ms(&file).filter(|begun| bytes > 0 && *begun <= now).unwrap_or(now);
        Ok(Log { path, keep, file, bytes, begun_ms, is_torn })
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, lines: &[u8], now: u64) -> io::Result<()> {
        let newline: &[u8] = if self.is_torn { b"\n" } else { b"" };
        let text = [newline, lines].concat();
        let is_full = self.bytes + text.len() as u64 > self.keep.bytes;
        if self.bytes > 0 && (is_full || now.saturating_sub(self.begun_ms) > self.keep.age_ms) {
            self.rotate(now)?;
        }
        let written = self.file.write_all(&text);
        if written.is_err() {
            // A full disk takes half a line; a file can be made shorter on it all the same.
            let _ = self.file.set_len(self.bytes);
            let len = self.file.metadata().map_or(self.bytes, |meta| meta.len());
            self.is_torn |= len != self.bytes;
            self.bytes = len;
            return written;
        }
        self.is_torn = false;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self, now: u64) -> io::Result<()> {
        let old = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..self.keep.files - 1).rev() {
            // The first times there are fewer.
            let _ = std::fs::rename(old(number), old(number + 1));
        }
        std::fs::rename(&self.path, old(1))?;
        *self = Log::open(self.path.clone(), self.keep, now)?;
        Ok(())
    }
}

/// The time of the first line.
fn first_ms(file: &File) -> Option<u64> {
    let mut begin = [0; 64];
    let len = file.read_at(&mut begin, 0).ok()?;
    let text = std::str::from_utf8(&begin[..len]).ok()?;
    let (_, after) = text.split_once("\"ts_ms\":")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep { bytes: 100, age_ms: 1000, files: 5 };

    fn line(number: u64) -> Vec<u8> {
        format!("{{\"ts_ms\":{number},\"event\":\"test\",\"peer\":\"10.0.0.{number}\"}}\n").into_bytes()
    }

    /// A disk that was full left half a line, and the first event after it was glued to that.
    #[test]
    fn after_a_full_disk_the_log_goes_on_with_a_fresh_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let keep = Keep { bytes: 10_000, ..KEEP };
        let mut log = Log::open(path.clone(), keep, 1).unwrap();
        log.append(&line(1), 1).unwrap();
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let good = std::mem::replace(&mut log.file, full);
        assert!(log.append(&line(2), 1).is_err());
        log.file = good;
        // What a system that wrote a part of it before it gave up would leave.
        log.file.write_all(b"{\"ts_ms\":1,\"eve").unwrap();
        log = Log::open(path.clone(), keep, 1).unwrap();
        assert!(log.is_torn);
        log.append(&line(3), 1).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("10.0.0.1") && lines[2].contains("10.0.0.3"), "{text}");
    }

    #[test]
    fn full_files_and_old_ones_are_put_aside_and_five_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let mut log = Log::open(path.clone(), KEEP, 0).unwrap();
        for number in 0..20 {
            log.append(&line(number), number).unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2", "audit.jsonl.3", "audit.jsonl.4"]);
        assert!(std::fs::read_to_string(&path).unwrap().contains("10.0.0.19"));
        // By age too, also when it was begun by a process of before.
        let mut log = Log::open(path.clone(), Keep { bytes: 10_000, ..KEEP }, 500).unwrap();
        log.append(&line(30), 900).unwrap();
        log.append(&line(31), 1020).unwrap();
        let newest = std::fs::read_to_string(&path).unwrap();
        assert!(newest.contains("10.0.0.31") && !newest.contains("10.0.0.30"), "{newest}");
    }
}

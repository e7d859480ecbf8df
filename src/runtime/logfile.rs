//! A log file that does not grow without end: rotated by size, for its owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file of this many bytes is put aside and a new one begun: about a day of a busy relay.
const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Files put aside that are kept: `agent.log.1` is the younger, `agent.log.2` the older.
const KEPT: u32 = 2;

/// A log file, appended to.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    cap: u64,
    /// Standard error goes here too, so that a panic leaves its trace.
    takes_stderr: bool,
}

impl LogFile {
    pub(super) fn open(path: &Path, takes_stderr: bool) -> io::Result<LogFile> {
        LogFile::with_cap(path, takes_stderr, FILE_BYTES)
    }

    fn with_cap(path: &Path, takes_stderr: bool, cap: u64) -> io::Result<LogFile> {
        let file = append(path)?;
        let mut log = LogFile { path: path.into(), bytes: file.metadata()?.len(), file, cap, takes_stderr };
        log.take_stderr()?;
        Ok(log)
    }

    fn take_stderr(&mut self) -> io::Result<()> {
        if self.takes_stderr {
            rustix::stdio::dup2_stderr(&self.file)?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Another process that writes here may have put the file aside already.
        let is_ours = std::fs::metadata(&self.path).is_ok_and(|at_path| {
            self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (at_path.dev(), at_path.ino()))
        });
        if is_ours {
            for number in (1..KEPT).rev() {
                let _ = std::fs::rename(aside(&self.path, number), aside(&self.path, number + 1));
            }
            std::fs::rename(&self.path, aside(&self.path, 1))?;
        }
        self.file = append(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        self.take_stderr()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

impl Write for LogFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // A line is written whole; a file that cannot be put aside goes on growing.
        if self.bytes > 0 && self.bytes + data.len() as u64 > self.cap {
            let _ = self.rotate();
        }
        self.file.write_all(data)?;
        self.bytes += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_two_of_them_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.log");
        let mut log = LogFile::with_cap(&path, false, 10).unwrap();
        for line in ["one 789\n", "two 789\n", "three\n", "four 89\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).ok();
        assert_eq!(read("agent.log").as_deref(), Some("four 89\n"));
        assert_eq!(read("agent.log.1").as_deref(), Some("three\n"));
        assert_eq!(read("agent.log.2").as_deref(), Some("two 789\n"));
        assert_eq!(read("agent.log.3"), None);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_processes_on_one_file_lose_no_line_when_it_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.log");
        let mut one = LogFile::with_cap(&path, false, 10).unwrap();
        let mut other = LogFile::with_cap(&path, false, 10).unwrap();
        one.write_all(b"one 789\n").unwrap();
        other.write_all(b"o1\n").unwrap();
        one.write_all(b"two 789\n").unwrap();
        other.write_all(b"other 9\n").unwrap();
        let all: String = ["relay.log.2", "relay.log.1", "relay.log"]
            .iter()
            .filter_map(|n| std::fs::read_to_string(dir.path().join(n)).ok())
            .collect();
        for line in ["one 789\n", "o1\n", "two 789\n", "other 9\n"] {
            assert!(all.contains(line), "{line}: {all}");
        }
    }
}

//! `fleetmux logs`: the log files of agent and relay, as they are and as they grow.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::cli::host_args::{LogPart, LogsArgs};
use crate::config::paths;
use crate::fleet::visible;
use crate::runtime;

/// From the end of a file, so much is looked through for its last lines.
const TAIL_BYTES: u64 = 1024 * 1024;

pub(in crate::cli) async fn run(args: &LogsArgs) -> Result<ExitCode> {
    let state = paths::agent_state_dir(args.dir.as_deref());
    let dir = paths::logs_dir(&state);
    // A background server is agent and relay in one process.
    let parts: &[&str] = match args.part {
        None => &["server", "relay", "agent"],
        Some(LogPart::Agent) => &["server", "agent"],
        Some(LogPart::Relay) => &["server", "relay"],
    };
    let mut tails: Vec<Tail> = parts.iter().map(|part| Tail::new(part, dir.join(format!("{part}.log")))).collect();
    // Watching before reading: what is written between the two is seen twice by nobody and missed by nobody.
    let watch = if args.follow {
        paths::make_private_dir(&state)?;
        paths::make_private_dir(&dir)?;
        Some(watch(&dir)?)
    } else if tails.iter().all(|tail| !tail.path.exists()) {
        bail!(
            "there is no log yet in {}; agents and relays write there (`fleetmux agent start`), and `fleetmux logs -f` waits",
            dir.display()
        );
    } else {
        None
    };
    let mut last = Vec::new();
    for tail in &mut tails {
        last.extend(tail.last(args.lines)?);
    }
    let is_labelled = args.part.is_none() && tails.iter().filter(|tail| tail.path.exists()).count() > 1;
    // Lines begin with their time; those of a panic, which do not, stay with the line before them.
    last.sort_by(|a, b| a.time.cmp(&b.time));
    let skip = last.len().saturating_sub(args.lines);
    let mut out = Out { is_labelled, is_closed: false };
    for line in &last[skip..] {
        out.line(line.part, &line.text)?;
    }
    let Some(watch) = watch else { return Ok(ExitCode::SUCCESS) };
    while !out.is_closed {
        for tail in &mut tails {
            for text in tail.grown()? {
                out.line(tail.part, &text)?;
            }
        }
        io::stdout().flush()?;
        if !out.is_closed {
            wait(&watch).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line of the past.
struct Line<'a> {
    part: &'a str,
    time: String,
    text: String,
}

/// Standard output until its reader leaves.
struct Out {
    is_labelled: bool,
    is_closed: bool,
}

impl Out {
    fn line(&mut self, part: &str, text: &str) -> io::Result<()> {
        // What a hostile peer got into a log line must not reach this terminal as an escape.
        let clean = visible(text);
        let label = if self.is_labelled { format!("{part:<6}  ") } else { String::new() };
        match writeln!(io::stdout(), "{label}{clean}") {
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// A log file being read.
struct Tail<'a> {
    part: &'a str,
    path: PathBuf,
    file: Option<File>,
    read: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl<'a> Tail<'a> {
    fn new(part: &'a str, path: PathBuf) -> Tail<'a> {
        Tail { part, path, file: None, read: 0, partial: Vec::new() }
    }

    /// The last lines there are; what follows them is read by [`Tail::grown`].
    fn last(&mut self, count: usize) -> io::Result<Vec<Line<'a>>> {
        self.file = open(&self.path)?;
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let end = file.metadata()?.len();
        let start = end.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut data = Vec::new();
        file.take(end - start).read_to_end(&mut data)?;
        self.read = start + data.len() as u64;
        let mut lines = self.split(&data);
        if start > 0 && !lines.is_empty() {
            // Its beginning was not read.
            lines.remove(0);
        }
        let lines = lines.split_off(lines.len().saturating_sub(count));
        let mut time = String::new();
        let line = |text: String| {
            let word = text.split(' ').next().unwrap_or_default();
            if word.len() >= 20 && word.starts_with(|c: char| c.is_ascii_digit()) {
                time = word.to_string();
            }
            Line { part: self.part, time: time.clone(), text }
        };
        Ok(lines.into_iter().map(line).collect())
    }

    /// Lines written since the last look; a file that was put aside is read to its end first.
    fn grown(&mut self) -> io::Result<Vec<String>> {
        let mut lines = self.rest()?;
        let at_path = std::fs::metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        let own = self.file.as_ref().and_then(|file| file.metadata().ok()).map(|meta| (meta.dev(), meta.ino()));
        if at_path.is_some() && at_path != own {
            // Written between the look above and the rename.
            lines.extend(self.rest()?);
            self.file = open(&self.path)?;
            self.read = 0;
            self.partial.clear();
            lines.extend(self.rest()?);
        }
        Ok(lines)
    }

    fn rest(&mut self) -> io::Result<Vec<String>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        if file.metadata()?.len() < self.read {
            // Somebody emptied it.
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut data = Vec::new();
        file.read_to_end(&mut data)?;
        self.read += data.len() as u64;
        Ok(self.split(&data))
    }

    fn split(&mut self, data: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(data);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(end + 1);
        let whole = std::mem::replace(&mut self.partial, rest);
        String::from_utf8_lossy(&whole).lines().map(str::to_string).collect()
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(io::Error::new(err.kind(), format!("{}: {err}", path.display()))),
    }
}

/// Watches what is written, made or renamed in a directory.
pub(super) fn watch(dir: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&fd, dir, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
    runtime::watch_fd(fd, Interest::READABLE)
}

/// Waits until something in the directory changes.
pub(super) async fn wait(watch: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut ready = watch.readable().await?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(watch.get_ref().as_fd(), &mut buffer);
    loop {
        match events.next() {
            Ok(_) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => break,
            Err(err) => return Err(err.into()),
        }
    }
    ready.clear_ready();
    Ok(())
}

//! The log: to standard error or a file, at the level `FLEETMUX_LOG` names.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use super::logfile::LogFile;

/// Where log lines go.
#[derive(Clone, Debug)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// A file for its owner only, rotated by size. It takes standard error as well: a panic leaves its trace there. Standard
    /// error if it cannot be opened: nothing fails for want of a log.
    File(PathBuf),
    /// Standard error and such a file; without the file if it cannot be opened.
    Both(PathBuf),
}

/// Starts the log; `FLEETMUX_LOG` overrides the level (`debug`, `fleetmux::relay=trace`).
pub fn init_log(to: LogTo, level: &str) {
    let filter = EnvFilter::try_from_env("FLEETMUX_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // It would tell of a log line that cannot be written with a panic, where standard error is a terminal that was closed.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).log_internal_errors(false);
    let mut trouble = None;
    let mut open = |path: PathBuf, takes_stderr| {
        LogFile::open(&path, takes_stderr).map_err(|err| trouble = Some((path, err))).ok().map(Mutex::new)
    };
    let (file, has_stderr) = match to {
        LogTo::Stderr => (None, true),
        LogTo::File(path) => (open(path, true), false),
        LogTo::Both(path) => (open(path, false), true),
    };
    let started = match (file, has_stderr) {
        (Some(file), true) => builder.with_writer(io::stderr.and(file)).try_init(),
        (Some(file), false) => builder.with_writer(file).try_init(),
        (None, _) => builder.with_writer(io::stderr).try_init(),
    };
    // A second start keeps the first one's log.
    let _ = started;
    if let Some((path, err)) = trouble {
        tracing::warn!(path = %path.display(), %err, "no log file; the log goes to standard error only");
    }
}

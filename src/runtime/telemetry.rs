//! The log: to standard error or a file, at the level `FLEETMUX_LOG` names.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

/// Where log lines go.
#[derive(Clone, Debug)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// A file, appended, for its owner only.
    File(PathBuf),
}

/// Starts the log; `FLEETMUX_LOG` overrides the level (`debug`, `fleetmux::relay=trace`).
pub fn init_log(to: LogTo, level: &str) -> io::Result<()> {
    let filter = || EnvFilter::try_from_env("FLEETMUX_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let started = match to {
        LogTo::Stderr => {
            tracing_subscriber::fmt().with_env_filter(filter()).with_writer(io::stderr).with_ansi(false).try_init()
        }
        LogTo::File(path) => {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            tracing_subscriber::fmt()
                .with_env_filter(filter())
                .with_writer(Mutex::new(file))
                .with_ansi(false)
                .try_init()
        }
    };
    // A second start keeps the first one's log.
    let _ = started;
    Ok(())
}

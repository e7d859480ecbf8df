//! What every process needs around its role: a runtime, a log, an end.

mod environment;
mod hooks;
mod limits;
mod logfile;
mod passwd;
mod ready;
mod replace;
mod service;
mod shutdown;
mod ssh_auth;
#[cfg(feature = "app")]
mod telemetry;

pub use environment::{Variables, find_programs, login_variables, shell_function};
pub use hooks::may_panic;
pub use limits::{open_files, open_files_before, raise_open_files, set_open_files, with_open_files_before};
pub use passwd::{Login, login};
pub use ready::watch_fd;
pub use replace::{Access, Replacement};
pub use service::{catch_ignored_signals, shed_inheritance};
pub use shutdown::ended_by_signal;
pub use ssh_auth::refresh_ssh_auth;
#[cfg(feature = "app")]
pub use telemetry::{LogTo, init_log};

use std::future::Future;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs a role on a current-thread runtime: a keystroke crosses no thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

/// Milliseconds since the epoch.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

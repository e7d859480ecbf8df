//! Readiness of a file descriptor that tokio has no type for.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime; it stays open as long as the returned value lives, which `AsFd` promises.
#[expect(deprecated, reason = "the successor is unsafe for types without I/O safety; the bound on AsFd gives it")]
pub fn watch_fd<T: AsFd + AsRawFd>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(fd, interest)
}

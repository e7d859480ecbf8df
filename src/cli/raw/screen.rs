//! The person's terminal as an output that never blocks the program.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::dumb::{PlainText, is_dumb};

/// Bytes waiting for the terminal before no more events are taken: the keeper then sends keyframes instead.
const BACKLOG_CAP: usize = 64 * 1024;

/// Output to the terminal, through a description of its own: its non-blocking mode is nobody else's.
pub(super) struct Output {
    tty: AsyncFd<File>,
    backlog: BytesMut,
    /// For a terminal that takes nothing else.
    plain: Option<PlainText>,
}

impl Output {
    pub(super) fn open() -> io::Result<Output> {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags((rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits() as i32)
            .open("/proc/self/fd/1")
            .map_err(|err| {
                let message = format!("this terminal cannot be opened ({err}); it belongs to whoever logged in on it, and `script -q /dev/null` makes one of your own");
                io::Error::new(err.kind(), message)
            })?;
        Ok(Output {
            tty: crate::runtime::watch_fd(file, Interest::WRITABLE)?,
            backlog: BytesMut::new(),
            plain: is_dumb().then(PlainText::default),
        })
    }

    pub(super) fn has_room(&self) -> bool {
        self.backlog.len() < BACKLOG_CAP
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        match &mut self.plain {
            Some(plain) => self.backlog.extend_from_slice(&plain.pass(data)),
            None => self.backlog.extend_from_slice(data),
        }
    }

    /// Writes what the terminal takes now.
    pub(super) fn flush(&mut self) {
        while !self.backlog.is_empty() {
            match rustix::io::write(self.tty.get_ref(), &self.backlog) {
                Ok(count) => self.backlog.advance(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The terminal is gone; reading it says so too.
                Err(_) => self.backlog.clear(),
            }
        }
    }

    /// Waits until the terminal takes more. Cancel-safe.
    pub(super) async fn writable(&self) {
        if let Ok(mut ready) = self.tty.writable().await {
            ready.clear_ready();
        }
    }

    /// Writes everything.
    pub(super) async fn drain(&mut self) {
        self.flush();
        while self.has_backlog() {
            self.writable().await;
            self.flush();
        }
    }
}

/// Writes to the terminal as it is, at the very end.
pub(super) fn write_through(mut data: &[u8]) {
    while !data.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), data) {
            Ok(count) => data = &data[count..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

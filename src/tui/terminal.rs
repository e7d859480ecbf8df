//! The outer terminal: opened without blocking, put into raw mode, and given back on every way out.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{self, OptionalActions, Termios};
use tokio::io::unix::AsyncFd;

/// Why there is no outer terminal to draw on.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// Input or output is a pipe or a file.
    #[error("the wall needs a terminal; in a script use `fleetmux machines` or `fleetmux session list`")]
    NotATerminal,
    /// The operating system refused.
    #[error("cannot use the terminal: {0}")]
    Io(#[from] io::Error),
}

/// Alternate screen, cursor hidden, bracketed paste, focus events, mouse (buttons and drags, SGR), title kept.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[?1000h\x1b[?1002h\x1b[?1006h\x1b[22;2t";
/// The reverse, with pen, cursor shape, and a string or a synchronized update that may be open.
const LEAVE: &[u8] =
    b"\x1b\\\x1b[?2026l\x1b[m\x1b[?1006l\x1b[?1002l\x1b[?1000l\x1b[?1004l\x1b[?2004l\x1b[0 q\x1b[?25h\x1b[23;2t\x1b[?1049l";

/// What a panic hook or a drop needs to give the terminal back; written once per process.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// The outer terminal in raw mode; dropping it gives it back.
#[derive(Debug)]
pub struct Terminal {
    tty: AsyncFd<OwnedFd>,
    pending: Vec<u8>,
    written: usize,
}

impl Terminal {
    /// Takes the terminal over.
    pub fn enter() -> Result<Terminal, TerminalError> {
        let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        if !termios::isatty(input) || !termios::isatty(output) {
            return Err(TerminalError::NotATerminal);
        }
        // A file description of our own: the shell's must not become non-blocking.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let name = termios::ttyname(output, Vec::new()).map_err(io::Error::from)?;
        let tty = rustix::fs::open(name.as_c_str(), flags, Mode::empty())
            .or_else(|_| rustix::fs::open("/dev/tty", flags, Mode::empty()))
            .map_err(io::Error::from)?;
        let before = termios::tcgetattr(&tty).map_err(io::Error::from)?;
        let _ = BEFORE.set(before);
        hook_panics();
        let tty = crate::runtime::watch_fd(tty, tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE)?;
        let terminal = Terminal { tty, pending: Vec::new(), written: 0 };
        terminal.raw()?;
        Ok(terminal)
    }

    /// Raw mode and all reports on, also after the process was suspended.
    pub fn raw(&self) -> io::Result<()> {
        if let Some(before) = BEFORE.get() {
            let mut raw = before.clone();
            raw.make_raw();
            termios::tcsetattr(self.tty.get_ref(), OptionalActions::Now, &raw)?;
        }
        write_all(ENTER);
        Ok(())
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        match termios::tcgetwinsize(self.tty.get_ref()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        }
    }

    /// Reads what a person did; an end of file or an error means that the terminal is gone.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.tty.async_io(tokio::io::Interest::READABLE, |tty| {
            rustix::io::read(tty, &mut *buffer).map_err(io::Error::from)
        });
        match read.await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }

    /// Bytes wait for the terminal; no new frame is made until they are gone.
    pub fn is_writing(&self) -> bool {
        self.written < self.pending.len()
    }

    /// The buffer for the next frame's bytes, empty.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        debug_assert!(!self.is_writing(), "a frame is still on its way");
        self.pending.clear();
        self.written = 0;
        &mut self.pending
    }

    /// Writes as much as the terminal takes at once.
    pub fn write_now(&mut self) -> io::Result<()> {
        while self.is_writing() {
            match rustix::io::write(self.tty.get_ref(), &self.pending[self.written..]) {
                Ok(n) => self.written += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Ready when the terminal takes more of a frame that waits; never when there is nothing to write.
    pub async fn writable(&self) {
        if !self.is_writing() {
            return std::future::pending().await;
        }
        let ready = self.tty.async_io(tokio::io::Interest::WRITABLE, |tty| {
            let mut fds = [rustix::event::PollFd::new(tty, rustix::event::PollFlags::OUT)];
            match rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())) {
                Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        // An error shows in the write that follows.
        let _ = ready.await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was.
pub fn restore() {
    let Some(before) = BEFORE.get() else { return };
    write_all(LEAVE);
    let _ = termios::tcsetattr(rustix::stdio::stdout(), OptionalActions::Flush, before);
}

/// Writes through the shell's own file description, which blocks: at the very end that is right.
fn write_all(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// A panic's message must reach a sane screen.
fn hook_panics() {
    static HOOKED: OnceLock<()> = OnceLock::new();
    HOOKED.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

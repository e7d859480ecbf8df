//! Standard output, or a pager once there is more than a screen of it.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output::unwritten;
use crate::cli::raw;

/// Where text goes.
pub(super) struct Page {
    state: State,
    cols: usize,
    /// The last line that was written has no end.
    is_open: bool,
}

enum State {
    /// It may still fit.
    Held {
        text: String,
        rows_left: usize,
    },
    Direct,
    Pager(Child),
    /// Nobody reads it any more.
    Left,
}

impl Page {
    /// Standard output, with a pager if wanted.
    pub(super) fn new(is_paged: bool) -> Page {
        let size = raw::terminal_size().ok().filter(|_| is_paged);
        let state = match size {
            // The last row is the prompt's.
            Some(size) => State::Held { text: String::new(), rows_left: usize::from(size.rows()).saturating_sub(1) },
            None => State::Direct,
        };
        Page { state, cols: size.map_or(usize::MAX, |size| usize::from(size.cols()).max(1)), is_open: false }
    }

    /// Rows that a line of this width takes on the screen.
    pub(super) fn rows_of(&self, width: usize) -> usize {
        width.div_ceil(self.cols).max(1)
    }

    /// Whether it is still open if all of it fits, so that rows count.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// Writes text of so many rows; whether somebody still reads.
    pub(super) fn write(&mut self, text: &str, rows: usize) -> io::Result<bool> {
        self.is_open = if text.is_empty() { self.is_open } else { !text.ends_with('\n') };
        if let State::Held { text: held, rows_left } = &mut self.state {
            held.push_str(text);
            match rows_left.checked_sub(rows) {
                Some(left) => *rows_left = left,
                None => {
                    let held = std::mem::take(held);
                    self.state = pager().map_or(State::Direct, State::Pager);
                    return self.bytes(held.as_bytes());
                }
            }
            return Ok(true);
        }
        self.bytes(text.as_bytes())
    }

    /// What follows begins on a line of its own.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        if self.is_open {
            self.write("\n", 0)?;
        }
        Ok(())
    }

    /// Readable once the pager has been left; `None` while there is none.
    pub(super) fn pager_end(&self) -> Option<OwnedFd> {
        match &self.state {
            State::Pager(child) => pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok(),
            _ => None,
        }
    }

    /// Writes bytes as they are, behind what was held.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.flow()?;
        let written = match &mut self.state {
            State::Pager(child) => child.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(bytes)),
            State::Left => return Ok(false),
            _ => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
        };
        match written {
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => {
                self.finish()?;
                Ok(false)
            }
            written => written.map(|()| true).map_err(|err| unwritten("standard output", &err)),
        }
    }

    /// What comes is shown as it comes from now on.
    pub(super) fn flow(&mut self) -> io::Result<()> {
        if let State::Held { text, .. } = &mut self.state {
            let held = std::mem::take(text);
            self.state = State::Direct;
            self.bytes(held.as_bytes())?;
        }
        Ok(())
    }

    /// Everything is written; waits for the pager to be left.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.flow()?;
        if let State::Pager(mut child) = std::mem::replace(&mut self.state, State::Left) {
            drop(child.stdin.take());
            let status = child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!("the pager failed ({status}); see PAGER and --no-pager")));
            }
        }
        Ok(())
    }
}

/// The pager that the user has chosen, or less; `None` if there is none.
fn pager() -> Option<Child> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let line = variable("FLEETMUX_PAGER").or_else(|| variable("PAGER")).unwrap_or_else(|| "less".into());
    let mut words = line.split_whitespace();
    let program = words.next()?;
    let mut command = Command::new(program);
    command.args(words);
    if Path::new(program).file_name().is_some_and(|name| name == "less") {
        command.arg("-R");
    } else if std::env::var_os("LESS").is_none() {
        // It may be less by another name.
        command.env("LESS", "R");
    }
    // From now on Ctrl+C is the pager's; before it ends us as always.
    drop(signal(SignalKind::interrupt()));
    command.stdin(Stdio::piped()).spawn().ok()
}

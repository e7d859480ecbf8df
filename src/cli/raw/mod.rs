//! A session in the person's own terminal: bytes through; what is said to the person leaves no trace.

mod clip;
mod dumb;
mod escape;
mod filter;
mod gate;
mod mode;
mod queries;
mod screen;
mod sequence;
mod shield;
mod view;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::client::Attachment;
use crate::fleet::{Exit, Refusal, Role, Size};
use crate::runtime;
use escape::{Keys, Typed};
use filter::ReplyFilter;
use mode::RawMode;
pub(in crate::cli) use mode::{INTERRUPT, Silence};
use screen::Output;
use view::View;

/// Bytes read from the terminal at once.
const READ_BYTES: usize = 64 * 1024;
/// How long the last frames may take at the end.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the beginning of a terminal's answer waits for the rest before it counts as typed: answers come in one
/// piece, or in packets that follow each other.
const ANSWER_WAIT: Duration = Duration::from_millis(75);

/// Shown when an observer types.
const OBSERVING: &str = "you observe this session; what you type is not sent";

/// How it ended.
pub(super) enum Ended {
    /// By the detach key, a signal, or a closed terminal.
    Detached,
    /// By `~.`: nothing is waited for.
    Cut,
    /// The program ended.
    Exited(Exit),
    /// The session cannot be attached to.
    Closed(Refusal),
}

/// Size of the person's terminal.
pub(super) fn terminal_size() -> io::Result<Size> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout())?;
    Ok(if size.ws_row == 0 { Size::DEFAULT } else { Size::new(size.ws_row.into(), size.ws_col.into()) })
}

/// Output for a terminal whose person only watches.
pub(super) struct Shield(gate::Gate);

impl Shield {
    pub(super) fn new() -> Shield {
        Shield(gate::Gate::new(Role::Observer))
    }

    /// The next piece, as far as the terminal may have it.
    pub(super) fn pass(&mut self, data: &[u8]) -> Vec<u8> {
        self.0.pass(data)
    }

    /// What ends it wherever it stands, and gives the terminal back as it was.
    pub(super) fn end(mut self) -> Vec<u8> {
        let mut bytes = self.0.interrupt();
        bytes.extend_from_slice(mode::MODES_OFF);
        bytes
    }
}

/// What an observer's terminal is shown of these pieces of output, and what ends it.
pub(super) fn observer_shield(pieces: &[&[u8]]) -> Vec<u8> {
    let mut gate = gate::Gate::new(Role::Observer);
    let mut shown: Vec<u8> = pieces.iter().flat_map(|piece| gate.pass(piece)).collect();
    shown.append(&mut gate.interrupt());
    shown
}

/// Runs an attachment in this terminal until it ends; `role` is the one it asks for, `greeting` is shown for a moment.
pub(super) async fn run(
    mut attachment: Attachment,
    role: Role,
    detach_key: Option<u8>,
    greeting: String,
) -> io::Result<Ended> {
    let ended = pump(&mut attachment, role, detach_key, greeting).await?;
    if !matches!(ended, Ended::Cut) {
        // What was typed before the detach key, and word that the exit was seen.
        attachment.handle().settle(SETTLE).await;
    }
    Ok(ended)
}

async fn pump(attachment: &mut Attachment, role: Role, detach_key: Option<u8>, greeting: String) -> io::Result<Ended> {
    let mut signals = Signals::listen()?;
    let stdin = runtime::watch_fd(rustix::stdio::stdin(), Interest::READABLE)?;
    let mut output = Output::open()?;
    let size = terminal_size()?;
    let raw = RawMode::enter()?;
    output.push(mode::ENTER);
    // The screen is the session's from its first row on; what was there goes up into the scrollback.
    if !dumb::is_dumb() {
        output.push("\r\n".repeat(size.rows().into()).as_bytes());
    }
    output.flush();
    let mut pumped = Pump {
        view: View::new(role, size, greeting),
        keys: Keys::new(detach_key),
        filter: ReplyFilter::default(),
        output: &mut output,
    };
    let ended = pumped.run(attachment, &stdin, &mut signals).await;
    let Pump { mut view, .. } = pumped;
    view.leave(&mut output);
    // A terminal that takes nothing any more is not waited for.
    let _ = tokio::time::timeout(SETTLE, output.drain()).await;
    raw.leave(view.is_alternate());
    ended
}

/// What the person's terminal, or somebody from outside, tells us.
struct Signals {
    winch: Signal,
    stop: Signal,
    /// Also after a SIGSTOP, which nobody sees.
    cont: Signal,
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals {
            winch: signal(SignalKind::window_change())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            cont: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }
}

struct Pump<'a> {
    view: View,
    keys: Keys,
    filter: ReplyFilter,
    output: &'a mut Output,
}

impl Pump<'_> {
    async fn run(
        &mut self,
        attachment: &mut Attachment,
        stdin: &AsyncFd<rustix::fd::BorrowedFd<'static>>,
        signals: &mut Signals,
    ) -> io::Result<Ended> {
        let mut buffer = vec![0; READ_BYTES];
        let mut release_at = Instant::now();
        let end = runtime::ended_by_signal();
        tokio::pin!(end);
        loop {
            let due = self.view.deadline();
            tokio::select! {
                biased;
                ready = stdin.readable() => {
                    let mut ready = ready?;
                    let count = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                        Ok(0) => return Ok(Ended::Detached),
                        Ok(count) => count,
                        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
                        // The terminal is gone.
                        Err(_) => return Ok(Ended::Detached),
                    };
                    // One read takes what a terminal has; if more is there, it is readable again.
                    ready.clear_ready();
                    let typed = self.filter.pass(&buffer[..count]);
                    release_at = Instant::now() + ANSWER_WAIT;
                    if let Some(ended) = self.typed(&typed, attachment) {
                        return Ok(ended);
                    }
                }
                () = tokio::time::sleep_until(release_at), if self.filter.is_holding() => {
                    let typed = self.filter.release();
                    if let Some(ended) = self.typed(&typed, attachment) {
                        return Ok(ended);
                    }
                }
                event = attachment.recv(), if self.has_room() => {
                    let mut next = Some(event);
                    while let Some(event) = next {
                        if let Some(ended) = self.view.take(event, self.output) {
                            return Ok(ended);
                        }
                        next = if self.has_room() { attachment.try_recv() } else { None };
                    }
                    self.output.flush();
                }
                () = self.output.writable(), if self.output.has_backlog() => self.output.flush(),
                () = tokio::time::sleep_until(due.unwrap_or(release_at)), if due.is_some() => {
                    self.view.tick(self.output);
                    self.output.flush();
                }
                _ = signals.winch.recv() => {
                    self.view.resized(self.output);
                    self.output.flush();
                    attachment.handle().resize(terminal_size()?);
                }
                _ = signals.stop.recv() => {
                    self.stop(signals).await?;
                    attachment.handle().resize(terminal_size()?);
                }
                _ = signals.cont.recv() => {
                    self.resume(false)?;
                    attachment.handle().resize(terminal_size()?);
                }
                () = &mut end => return Ok(Ended::Detached),
                () = tokio::task::yield_now(), if self.view.is_lagging() => self.view.digest(),
            }
        }
    }

    /// Gives the terminal back and stops, until somebody continues us.
    async fn stop(&mut self, signals: &mut Signals) -> io::Result<()> {
        self.view.leave(self.output);
        let _ = tokio::time::timeout(SETTLE, self.output.drain()).await;
        mode::pause(self.view.is_alternate());
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        signals.cont.recv().await;
        self.resume(true)
    }

    /// Takes the terminal, where others may have been meanwhile.
    fn resume(&mut self, was_given_back: bool) -> io::Result<()> {
        mode::again()?;
        if was_given_back {
            self.view.was_given_back();
            self.output.push(mode::ENTER);
        }
        self.view.resized(self.output);
        self.output.flush();
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.output.has_room() && self.view.has_room()
    }

    /// Sends what was typed, up to the detach key.
    fn typed(&mut self, bytes: &[u8], to: &Attachment) -> Option<Ended> {
        if !bytes.is_empty() {
            runtime::may_panic("the first keystroke");
        }
        for typed in self.keys.take(bytes) {
            match typed {
                Typed::Send(data) if self.view.role == Role::Driver => {
                    if let Err(refusal) = to.handle().input(Bytes::from(data)) {
                        self.view.say(&refusal.to_string(), self.output);
                    }
                }
                Typed::Send(_) => self.view.say(OBSERVING, self.output),
                Typed::Detach => return Some(Ended::Detached),
                Typed::End => return Some(Ended::Cut),
                Typed::Help => self.view.help(self.output),
                Typed::Info => self.view.info(self.output),
            }
        }
        self.output.flush();
        None
    }
}

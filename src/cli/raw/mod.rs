//! A session in the person's own terminal: bytes through, nothing drawn by us.

mod filter;
mod screen;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use rustix::termios::{OptionalActions, Termios};
use tokio::io::Interest;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::client::{AttachEvent, Attachment};
use crate::fleet::{Exit, Refusal, Role, Size};
use crate::runtime;
use filter::ReplyFilter;
use screen::Output;

/// Bytes read from the terminal at once.
const READ_BYTES: usize = 64 * 1024;
/// How long the last frames may take at the end.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the beginning of a terminal's answer waits for the rest before it counts as typed: answers come in one
/// piece, or in packets that follow each other.
const ANSWER_WAIT: Duration = Duration::from_millis(75);

/// How it ended.
pub(super) enum Ended {
    /// By the detach key, a signal, or a closed terminal.
    Detached,
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

/// Raw mode for the time of its life.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn enter() -> io::Result<RawMode> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(RawMode { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Everything a program may have switched on: mouse, paste, focus, keypad, cursor, colours, other screen.
        const RESET: &[u8] = b"\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?1049l\x1b[r\x1b[?7h\x1b[?25h\x1b[0 q\x1b[m";
        screen::write_through(RESET);
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Runs an attachment in this terminal until it ends.
pub(super) async fn run(mut attachment: Attachment, detach_key: Option<u8>) -> io::Result<Ended> {
    let ended = pump(&mut attachment, detach_key).await;
    // What was typed before the detach key, and word that the exit was seen.
    attachment.handle().settle(SETTLE).await;
    ended
}

async fn pump(attachment: &mut Attachment, detach_key: Option<u8>) -> io::Result<Ended> {
    let mut winch = signal(SignalKind::window_change())?;
    let stdin = runtime::watch_fd(rustix::stdio::stdin(), Interest::READABLE)?;
    let mut output = Output::open()?;
    let _raw = RawMode::enter()?;
    let mut filter = ReplyFilter::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut exit = None;
    let mut view = View::default();
    let mut release_at = Instant::now();
    let end = runtime::ended_by_signal();
    tokio::pin!(end);
    loop {
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
                let typed = filter.pass(&buffer[..count]);
                release_at = Instant::now() + ANSWER_WAIT;
                if let Some(ended) = view.typed(&typed, detach_key, attachment, &mut output) {
                    return Ok(ended);
                }
            }
            () = tokio::time::sleep_until(release_at), if filter.is_holding() => {
                if let Some(ended) = view.typed(&filter.release(), detach_key, attachment, &mut output) {
                    return Ok(ended);
                }
            }
            event = attachment.recv(), if output.has_room() => {
                let mut next = Some(event);
                while let Some(event) = next {
                    if let Some(ended) = view.take(event, &mut output, &mut exit) {
                        output.drain().await;
                        return Ok(ended);
                    }
                    next = if output.has_room() { attachment.try_recv() } else { None };
                }
                output.flush();
            }
            () = output.writable(), if output.has_backlog() => output.flush(),
            _ = winch.recv() => attachment.handle().resize(terminal_size()?),
            () = &mut end => return Ok(Ended::Detached),
        }
    }
}

/// What is known about the session while it is shown.
struct View {
    role: Role,
    observers: usize,
    number: u32,
    is_lost: bool,
}

impl Default for View {
    fn default() -> View {
        View { role: Role::Driver, observers: 0, number: 0, is_lost: false }
    }
}

impl View {
    /// Sends what was typed, up to the detach key.
    fn typed(&self, bytes: &[u8], detach_key: Option<u8>, to: &Attachment, output: &mut Output) -> Option<Ended> {
        let detach = detach_key.and_then(|key| bytes.iter().position(|byte| *byte == key));
        let typed = &bytes[..detach.unwrap_or(bytes.len())];
        if self.role == Role::Driver
            && !typed.is_empty()
            && let Err(refusal) = to.handle().input(Bytes::copy_from_slice(typed))
        {
            output.notice(&refusal.to_string());
        }
        detach.map(|_| Ended::Detached)
    }

    fn take(&mut self, event: AttachEvent, output: &mut Output, exit: &mut Option<Exit>) -> Option<Ended> {
        match event {
            AttachEvent::Output { data, .. } | AttachEvent::Keyframe { data, .. } => output.push(&data),
            AttachEvent::Attached { role, number, .. } => {
                self.role = role;
                self.number = number;
                if std::mem::take(&mut self.is_lost) {
                    output.notice("reconnected");
                }
            }
            AttachEvent::RoleChanged(role) => self.role = role,
            AttachEvent::Presence(viewers) => {
                let observers = viewers.iter().filter(|viewer| viewer.role == Role::Observer).count();
                if self.role == Role::Driver && observers != self.observers {
                    output.notice(&match observers {
                        0 => "nobody observes this session any more".to_string(),
                        1 => "1 observer is watching this session".to_string(),
                        many => format!("{many} observers are watching this session"),
                    });
                }
                self.observers = observers;
            }
            AttachEvent::Lost(refusal) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    output.notice(&refusal.to_string());
                }
            }
            AttachEvent::Refused(refusal) => output.notice(&refusal.to_string()),
            AttachEvent::Exited(ended) => {
                *exit = Some(ended);
                return Some(Ended::Exited(ended));
            }
            AttachEvent::Closed(refusal) => {
                return Some(match (*exit, refusal) {
                    (Some(ended), _) => Ended::Exited(ended),
                    (None, Some(refusal)) => Ended::Closed(refusal),
                    (None, None) => Ended::Detached,
                });
            }
            AttachEvent::Resized(_) | AttachEvent::Latency(_) => {}
        }
        None
    }
}

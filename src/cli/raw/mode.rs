//! Raw mode of the person's terminal, given back whatever ends this program short of SIGKILL.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::screen;
use crate::term::is_guarded;

/// How the terminal was before; taken by whoever gives it back first: the guard's end or the panic hook.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Everything a program may have switched on: synchronized update, strings, the other screen, margins, keyboard protocols,
/// mouse, focus, paste, charsets, insert and origin mode, reverse video, cursor, colours. The cursor stays where it is.
const RESET: &[u8] = b"\x1b\\\x1b[?2026l\x1b[<u\x1b[=0u\x1b[>4m\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\
\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?2004l\x1b[?1l\x1b>\x1b[4l\x1b[20l\x1b[?5l\x1b7\x1b[?6l\x1b[?69l\x1b[r\x1b8\
\x0f\x1b(B\x1b[?7h\x1b[?25h\x1b[0 q\x1b]8;;\x1b\\\x1b[m";
/// Back from the other screen; only when it is shown, since it moves the cursor.
const LEAVE_ALTERNATE: &[u8] = b"\x1b[?1049l";

/// Raw mode for the time of its life.
pub(super) struct RawMode(());

impl RawMode {
    pub(super) fn enter() -> io::Result<RawMode> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                if is_guarded() {
                    // It is caught and the program goes on, in raw mode: a message would garble the screen.
                    return;
                }
                // The message must be readable, and it comes before any guard is dropped.
                give_back(true);
                next(info);
            }));
        });
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(RawMode(()))
    }

    /// Gives the terminal back now; `is_alternate` when the other screen is shown.
    pub(super) fn leave(self, is_alternate: bool) {
        give_back(is_alternate);
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        give_back(true);
    }
}

/// Ctrl+C, as a line typed under [`Silence`] ends with it.
pub(in crate::cli) const INTERRUPT: u8 = 3;

/// A terminal that does not show what is typed, for the time of its life.
pub(in crate::cli) struct Silence(Termios);

impl Silence {
    pub(in crate::cli) fn begin() -> io::Result<Silence> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin())?;
        let mut silent = before.clone();
        // An interrupt would end this program before it gives the terminal back: it ends the line instead.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Silence(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

fn give_back(is_alternate: bool) {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(before) = before else { return };
    if is_alternate {
        screen::write_through(LEAVE_ALTERNATE);
    }
    screen::write_through(RESET);
    let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
}

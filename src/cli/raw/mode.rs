//! Raw mode of the person's terminal, given back whatever ends this program short of SIGKILL.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::dumb::is_dumb;
use super::screen;
use crate::term::is_guarded;

/// How the terminal was before; taken by whoever gives it back first: the guard's end or the panic hook.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// What the session has left behind in the terminal so far.
static TRACES: Mutex<Traces> = Mutex::new(Traces::NONE);

/// Before the session's first byte: its keyboard flags and its title lie above the person's own.
pub(super) const ENTER: &[u8] = b"\x1b[>0u\x1b[22;0t";

/// Everything a program may have switched on and every terminal begins without: strings, keyboard protocols and resources,
/// a locked keyboard, local echo, no auto-repeat, mouse, focus, paste, reports of size and colours, charsets, margins, insert
/// and origin mode, reverse video and wrap, hidden cursor, links, colours, title. The cursor stays where it is.
const RESET: &[u8] = b"\x1b[>4m\x1b[>m\x1b[2l\x1b[12h\x1b[?8h\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\
\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?2004l\x1b[?2031l\x1b[?2048l\x1b[?5522l\x1b[?1l\x1b>\x1b[4l\
\x1b[20l\x1b[?5l\x1b[?45l\x1b7\x1b[>f\x1b[?6l\x1b[?69l\x1b[r\x1b8\x0f\x1b(B\x1b[?7h\x1b[?25h\x1b[0 q\x1b]8;;\x1b\\\x1b[m\
\x1b[23;0t";
/// What makes a terminal send anything but keys, and what changes its keys: off when somebody drives no longer.
pub(super) const MODES_OFF: &[u8] =
    b"\x1b\\\x1b[=0u\x1b[>4m\x1b[?9l\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1004l\
\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?2004l\x1b[?1l\x1b>";
/// What ends a string and a synchronized update, whatever follows.
const BEFORE_RESET: &[u8] = b"\x1b\\\x1b[?2026l";
/// Back from the other screen; only when it is shown, since it moves the cursor.
const LEAVE_ALTERNATE: &[u8] = b"\x1b[?1049l";

/// Modes that terminals begin with, or that people configure: what a program set of them is not taken back by resetting them.
/// The screens and synchronized update are ended by themselves.
const KEPT_MODES: [u16; 16] = [7, 8, 12, 25, 47, 1007, 1014, 1034, 1035, 1036, 1039, 1047, 1048, 1049, 2026, 2027];
/// The wheel as arrow keys on the other screen.
const WHEEL: u16 = 1007;
/// Modes that are remembered to be taken back; a program that sets more of them is up to no good.
const MODES_CAP: usize = 64;
/// Entries of the keyboard's stack that are counted: more than any terminal has.
const KEYBOARD_CAP: u16 = 64;
/// Columns between tab stops as terminals begin.
const TAB: u16 = 8;

/// What a session has switched on in the terminal that is not the same in every terminal, so that it is taken back only
/// when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Traces {
    pub(super) has_tabs: bool,
    /// Whether the wheel's mode was set or reset.
    has_wheel: bool,
    /// By bit: 0 for OSC 4, 5 for OSC 5, and 10 to 19.
    colors: u32,
    has_pointer: bool,
    /// Private modes that are set.
    modes: Vec<u16>,
    /// Entries pushed on the keyboard's stack, on each screen.
    keyboard: [u16; 2],
    is_alternate: bool,
}

impl Traces {
    const NONE: Traces = Traces {
        has_tabs: false,
        has_wheel: false,
        colors: 0,
        has_pointer: false,
        modes: Vec::new(),
        keyboard: [0, 0],
        is_alternate: false,
    };

    /// A private mode was set or reset.
    pub(super) fn mode(&mut self, mode: u16, is_set: bool) {
        match mode {
            47 | 1047 | 1049 => self.is_alternate = is_set,
            WHEEL => self.has_wheel = true,
            _ if KEPT_MODES.contains(&mode) => {}
            _ if !is_set => self.modes.retain(|set| *set != mode),
            _ if self.modes.len() < MODES_CAP && !self.modes.contains(&mode) => self.modes.push(mode),
            _ => {}
        }
    }

    /// An operating system command set something.
    pub(super) fn command(&mut self, number: &str) {
        match number.parse() {
            Ok(number @ (4 | 5 | 10..=19)) => self.colors |= 1 << number,
            // Kitty's names for all of them.
            Ok(21) => self.colors |= 1 << 4 | 0x3ff << 10,
            Ok(22) => self.has_pointer = true,
            _ => {}
        }
    }

    pub(super) fn push_keyboard(&mut self) {
        let pushed = &mut self.keyboard[usize::from(self.is_alternate)];
        *pushed = (*pushed + 1).min(KEYBOARD_CAP);
    }

    /// How many of so many entries are the program's own.
    pub(super) fn pop_keyboard(&mut self, count: u16) -> u16 {
        let pushed = &mut self.keyboard[usize::from(self.is_alternate)];
        let own = count.min(*pushed);
        *pushed -= own;
        own
    }

    /// RIS: the terminal has forgotten its screens and its keyboard's stack.
    pub(super) fn forget(&mut self) {
        (self.keyboard, self.is_alternate) = ([0, 0], false);
    }

    /// What takes it all back in a terminal of so many columns.
    fn taken_back(&self, is_alternate: bool, cols: u16) -> Vec<u8> {
        let mut out = BEFORE_RESET.to_vec();
        if self.is_alternate {
            out.extend_from_slice(format!("\x1b[<{}u", self.keyboard[1].max(1)).as_bytes());
        }
        if is_alternate {
            out.extend_from_slice(LEAVE_ALTERNATE);
        }
        // With our own one.
        out.extend_from_slice(format!("\x1b[<{}u", self.keyboard[0] + 1).as_bytes());
        for mode in &self.modes {
            out.extend_from_slice(format!("\x1b[?{mode}l").as_bytes());
        }
        if self.has_wheel {
            // As most terminals begin; where they do not (xterm), it does no harm.
            out.extend_from_slice(format!("\x1b[?{WHEEL}h").as_bytes());
        }
        for number in (4..=5).chain(10..=19).filter(|number| self.colors & 1 << number != 0) {
            out.extend_from_slice(format!("\x1b]{}\x1b\\", 100 + number).as_bytes());
        }
        if self.has_pointer {
            out.extend_from_slice(b"\x1b]22;\x1b\\");
        }
        out.extend_from_slice(RESET);
        if self.has_tabs {
            out.extend_from_slice(b"\x1b7\x1b[3g");
            for col in (0..cols).step_by(usize::from(TAB)).skip(1) {
                out.extend_from_slice(format!("\x1b[{}G\x1bH", col + 1).as_bytes());
            }
            out.extend_from_slice(b"\x1b8");
        }
        out
    }
}

impl Default for Traces {
    fn default() -> Traces {
        Traces::NONE
    }
}

/// Remembers what is to be taken back.
pub(super) fn note(traces: &Traces) {
    let mut known = TRACES.lock().unwrap_or_else(PoisonError::into_inner);
    if *known != *traces {
        known.clone_from(traces);
    }
}

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
        again()?;
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

/// Raw mode; how the terminal was is remembered if it was given back before.
pub(super) fn again() -> io::Result<()> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut raw = match &*before {
        Some(before) => before.clone(),
        None => before.insert(rustix::termios::tcgetattr(rustix::stdio::stdin())?).clone(),
    };
    raw.make_raw();
    rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
    Ok(())
}

/// Gives the terminal back until [`again`]; `is_alternate` when the other screen is shown.
pub(super) fn pause(is_alternate: bool) {
    give_back(is_alternate);
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
    let traces = std::mem::take(&mut *TRACES.lock().unwrap_or_else(PoisonError::into_inner));
    let cols = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map_or(0, |size| size.ws_col);
    if !is_dumb() {
        screen::write_through(&traces.taken_back(is_alternate, cols));
    }
    let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(traces: &Traces, is_alternate: bool) -> String {
        String::from_utf8(traces.taken_back(is_alternate, 24)).unwrap()
    }

    /// A program's tab stops, colours and reports of the window stayed in the terminal when its session was left.
    #[test]
    fn what_was_switched_on_is_switched_off_and_nothing_else() {
        let untouched = text(&Traces::NONE, false);
        for not_touched in ["[3g", "]104", "]111", "]22;", "?3l", "?1049l", "?1007"] {
            assert!(!untouched.contains(not_touched), "{not_touched}");
        }
        for always in ["?2031l", "?2048l", "?1016l", "?45l", "?1004l", "?2004l", "?2026l", "[<1u", "[23;0t"] {
            assert!(untouched.contains(always), "{always}");
        }
        let mut traces = Traces { has_tabs: true, ..Traces::NONE };
        for mode in [3, 80, 1007, 1049] {
            traces.mode(mode, true);
        }
        traces.mode(81, true);
        traces.mode(81, false);
        for command in ["4", "11", "12", "22", "0", "52", "x"] {
            traces.command(command);
        }
        let touched = text(&traces, true);
        for taken_back in
            ["\x1b[3g\x1b[9G\x1bH\x1b[17G\x1bH\x1b8", "?3l", "?80l", "?1007h", "?1049l", "]104", "]111", "]112", "]22;"]
        {
            assert!(touched.contains(taken_back), "{taken_back}");
        }
        assert!(!touched.contains("?81l") && !touched.contains("]110"));
    }

    /// The flags of the shell that started us were lost, for a program's own lay on the same stack.
    #[test]
    fn the_keyboard_s_stack_is_the_person_s_again() {
        let mut traces = Traces::NONE;
        traces.push_keyboard();
        traces.push_keyboard();
        assert_eq!(traces.pop_keyboard(1), 1);
        traces.mode(1049, true);
        assert_eq!(traces.pop_keyboard(3), 0, "each screen has its own");
        traces.push_keyboard();
        assert!(text(&traces, true).starts_with("\x1b\\\x1b[?2026l\x1b[<1u\x1b[?1049l\x1b[<2u"));
        for _ in 0..1000 {
            traces.push_keyboard();
        }
        assert_eq!(traces.pop_keyboard(u16::MAX), KEYBOARD_CAP);
    }
}

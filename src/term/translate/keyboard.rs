//! The kitty keyboard protocol's flags: set, pushed, popped and asked for, on each screen by itself.

use super::Term;
use crate::term::params::Params;

/// The flags we act on: 1, escape codes are told apart from keys. What a program asks beyond that it is not given.
const SUPPORTED: u16 = 1;
/// Flags kept below the current ones; the oldest are forgotten.
const STACK_CAP: usize = 16;

/// The resource of `CSI > Pp ; Pv m` that is modifyOtherKeys.
const MODIFY_OTHER_KEYS: u16 = 4;
/// Its largest value.
const MODIFY_MAX: u16 = 3;

/// Flags of one screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::term) struct Keyboard {
    pub(in crate::term) flags: u16,
    pub(in crate::term) stack: Vec<u16>,
}

impl Term {
    /// `CSI > 4 ; value m` sets modifyOtherKeys; without a value, or with `n`, it is off, as it is with `CSI > m`.
    pub(super) fn modify_keys(&mut self, last: u8, params: &Params) {
        let is_all = last == b'm' && params.len() == 0;
        if is_all || params.get(0) == MODIFY_OTHER_KEYS {
            let value = if last == b'm' { params.get(1) } else { 0 };
            self.modes.modify_keys = if value <= MODIFY_MAX { value } else { 0 };
        }
    }

    /// The flags of the screen that is shown.
    pub(in crate::term) fn keyboard(&self) -> &Keyboard {
        &self.keyboards[usize::from(self.is_alternate)]
    }

    /// `CSI ? u`, `CSI = flags ; mode u`, `CSI > flags u` and `CSI < count u` by their marker.
    pub(super) fn keyboard_flags(&mut self, marker: u8, params: &Params) {
        let keyboard = &mut self.keyboards[usize::from(self.is_alternate)];
        let flags = params.get(0) & SUPPORTED;
        match marker {
            b'=' => match params.get_or(1, 1) {
                1 => keyboard.flags = flags,
                2 => keyboard.flags |= flags,
                3 => keyboard.flags &= !flags,
                _ => {}
            },
            b'>' => {
                if keyboard.stack.len() == STACK_CAP {
                    keyboard.stack.remove(0);
                }
                keyboard.stack.push(keyboard.flags);
                keyboard.flags = flags;
            }
            b'<' => {
                for _ in 0..params.get_or(0, 1).min(STACK_CAP as u16 + 1) {
                    keyboard.flags = keyboard.stack.pop().unwrap_or(0);
                }
            }
            _ => {
                let reply = format!("\x1b[?{}u", keyboard.flags);
                self.reply(reply);
            }
        }
    }
}

//! C0 controls and ESC sequences.

use super::Term;
use crate::term::charset::Charset;
use crate::term::types::Event;

impl Term {
    /// A C0 control or DEL.
    pub(in crate::term) fn control(&mut self, byte: u8) {
        self.last_char = None;
        match byte {
            0x07 => self.event(Event::Bell),
            0x08 => self.back(1),
            b'\t' => self.tab_forward(1),
            b'\n' | 0x0b | 0x0c => {
                self.index();
                if self.modes.newline {
                    self.carriage_return();
                }
            }
            b'\r' => self.carriage_return(),
            0x0e => self.charsets.locked = 1,
            0x0f => self.charsets.locked = 0,
            _ => {}
        }
    }

    /// An escape sequence: its intermediates and final byte.
    pub(in crate::term) fn escape(&mut self, intermediates: &[u8], byte: u8) {
        self.last_char = None;
        match (intermediates, byte) {
            ([], b'6' | b'9') => self.column_index(byte, 1),
            ([], b'7') => self.save_cursor(),
            ([], b'8') => self.restore_cursor(),
            ([], b'=') => self.modes.app_keypad = true,
            ([], b'>') => self.modes.app_keypad = false,
            ([], b'D') => self.index(),
            ([], b'E') => {
                self.index();
                self.carriage_return();
            }
            ([], b'H') => self.tabs.set(self.pos().1, true),
            ([], b'M') => self.reverse_index(),
            ([], b'N') => self.charsets.single = Some(2),
            ([], b'O') => self.charsets.single = Some(3),
            ([], b'Z') => self.device_attributes(),
            ([], b'c') => self.reset(),
            ([], b'g') => self.event(Event::Bell),
            ([], b'n') => self.charsets.locked = 2,
            ([], b'o') => self.charsets.locked = 3,
            ([], b'~') => self.charsets.right = Some(1),
            ([], b'}') => self.charsets.right = Some(2),
            ([], b'|') => self.charsets.right = Some(3),
            ([b'#'], b'8') => self.align(),
            ([slot @ b'('..=b'+'], _) => {
                self.charsets.designated[usize::from(slot - b'(')] = Charset::from_final(byte);
            }
            ([slot @ b'-'..=b'/'], b'A') => {
                // A 96-set: Latin-1 in its upper half, plain here.
                self.charsets.designated[usize::from(slot - b',')] = Charset::Ascii;
            }
            _ => {}
        }
    }
}

//! SM, RM, DECSET, DECRST, and the switch between the two screens.

use super::Term;
use crate::term::damage::{Fill, Filled};
use crate::term::engine::Engine;
use crate::term::types::{Color, MouseEncoding, MouseMode};

/// A screen that was cleared.
const BLANK: Filled = Filled::all(Fill::Blank(Color::Default));

impl Term {
    /// Sets or resets one mode; unknown ones are ignored.
    pub(super) fn set_mode(&mut self, is_private: bool, mode: u16, on: bool) {
        if !is_private {
            match mode {
                4 => self.modes.insert = on,
                20 => self.modes.newline = on,
                _ => {}
            }
            return;
        }
        match mode {
            1 => self.modes.app_cursor = on,
            3 => self.column_mode(),
            5 => {
                self.modes.reverse_screen = on;
                self.damage.all();
            }
            6 => {
                self.modes.origin = on;
                self.to(0, 0);
            }
            7 => {
                self.modes.autowrap = on;
                if !on {
                    let (row, col) = self.pos();
                    self.go(row, col);
                }
            }
            9 => self.mouse(MouseMode::Press, on),
            12 => self.modes.cursor_blink = on,
            25 => self.modes.cursor_visible = on,
            45 => self.modes.reverse_wrap = on,
            69 => self.sides_mode(on),
            47 => self.show_alternate(on, false),
            66 => self.modes.app_keypad = on,
            1000 => self.mouse(MouseMode::PressRelease, on),
            1002 => self.mouse(MouseMode::ButtonMotion, on),
            1003 => self.mouse(MouseMode::AnyMotion, on),
            1004 => self.modes.focus = on,
            1005 => self.mouse_encoding(MouseEncoding::Utf8, on),
            1006 => self.mouse_encoding(MouseEncoding::Sgr, on),
            1007 => self.modes.alternate_scroll = on,
            1047 => self.show_alternate(on, !on),
            1048 if on => self.save_cursor(),
            1048 => self.restore_cursor(),
            1049 if on => {
                if !self.is_alternate {
                    self.save_cursor();
                }
                self.show_alternate(true, true);
            }
            1049 => {
                let was_alternate = self.is_alternate;
                self.show_alternate(false, false);
                if was_alternate {
                    self.restore_cursor();
                }
            }
            2004 => self.modes.paste = on,
            2026 => self.modes.synchronized = on,
            _ => {}
        }
    }

    fn mouse(&mut self, mode: MouseMode, on: bool) {
        if on {
            self.modes.mouse = mode;
        } else {
            self.modes.mouse = MouseMode::Off;
        }
    }

    fn mouse_encoding(&mut self, encoding: MouseEncoding, on: bool) {
        if on {
            self.modes.mouse_encoding = encoding;
        } else if self.modes.mouse_encoding == encoding {
            self.modes.mouse_encoding = MouseEncoding::Default;
        }
    }

    /// DECCOLM: the width is not the program's to change, but the rest of what it does holds.
    fn column_mode(&mut self) {
        (self.top, self.bottom) = (0, self.last_row());
        self.sides_mode(false);
        self.set_margins();
        self.erase_display(2);
        self.to(0, 0);
    }

    /// Switches screens, taking the cursor, pen and margins along; clears the alternate one if asked, before it is
    /// shown or after it was.
    fn show_alternate(&mut self, on: bool, clears: bool) {
        if on == self.is_alternate {
            if on && clears {
                // The engine's own save slot keeps pen, cursor and pending wrap.
                self.engine_mut().write(b"\x1b7");
                let blank = self.clear_alternate(self.damage.filled());
                self.engine_mut().write(b"\x1b8");
                self.damage.fill(blank);
            }
            return;
        }
        let ((row, col), is_wrap_pending) = (self.pos(), self.is_wrap_pending());
        let mut fill = self.damage.filled();
        if !on && clears {
            fill = self.clear_alternate(fill);
        }
        self.is_alternate = on;
        let mut shown_fill = None;
        if on {
            let size = self.size;
            if self.alternate.is_none() {
                self.alternate = Some(Engine::new(size, false));
                self.spend_rows(size.rows());
                self.hidden_fill = Some(BLANK);
            }
            shown_fill = if clears { self.clear_alternate(self.hidden_fill) } else { self.hidden_fill };
        } else {
            self.hidden_fill = fill;
        }
        self.set_margins();
        self.set_pen();
        self.damage.fill(shown_fill);
        self.engine_mut().go(row, col);
        if is_wrap_pending {
            self.force_wrap_pending();
            self.damage.span(row, row);
        }
    }

    /// Clears the alternate screen, which is shown, of what it holds but blank cells; pen and cursor are left anyhow.
    fn clear_alternate(&mut self, filled: Option<Filled>) -> Option<Filled> {
        self.engine_mut().write(b"\x1b[m");
        self.clear_rows(Filled::stale(filled, Fill::Blank(Color::Default), 0, self.last_row()));
        Some(BLANK)
    }

    /// The state of a mode as DECRQM reports it: 0 unknown, 1 set, 2 reset, 3 and 4 for ever so.
    pub(in crate::term) fn mode_state(&self, is_private: bool, mode: u16) -> u8 {
        let modes = &self.modes;
        let is_set = match (is_private, mode) {
            (false, 4) => modes.insert,
            (false, 20) => modes.newline,
            (true, 1) => modes.app_cursor,
            (true, 5) => modes.reverse_screen,
            (true, 6) => modes.origin,
            (true, 7) => modes.autowrap,
            (true, 9) => modes.mouse == MouseMode::Press,
            (true, 12) => modes.cursor_blink,
            (true, 25) => modes.cursor_visible,
            (true, 45) => modes.reverse_wrap,
            (true, 47 | 1047 | 1049) => self.is_alternate,
            (true, 69) => modes.sides,
            (true, 66) => modes.app_keypad,
            (true, 1000) => modes.mouse == MouseMode::PressRelease,
            (true, 1002) => modes.mouse == MouseMode::ButtonMotion,
            (true, 1003) => modes.mouse == MouseMode::AnyMotion,
            (true, 1004) => modes.focus,
            (true, 1005) => modes.mouse_encoding == MouseEncoding::Utf8,
            (true, 1006) => modes.mouse_encoding == MouseEncoding::Sgr,
            (true, 1007) => modes.alternate_scroll,
            (true, 2004) => modes.paste,
            (true, 2026) => modes.synchronized,
            (true, 3) => return 4,
            _ => return 0,
        };
        if is_set { 1 } else { 2 }
    }
}

//! The keyframe for a terminal that is not ours: standard sequences only, and its scrollback is left alone.
//!
//! Everything that later output can meet is in it: the screen behind the alternate one, both saved cursors, tab stops,
//! a pending wrap, the character that REP repeats. What a terminal remembers of printing only it learns by printing:
//! so the last thing in the keyframe is, where it matters, the last character again, in its place.

use super::engine::{Engine, is_blank, style_of, width_of};
use super::keyframe::{pen_of, write_link_and_protection, write_pen};
use super::marks;
use super::pen::Pen;
use super::translate::Term;
use super::types::CursorShape;
use std::io::Write as _;
use unicode_width::UnicodeWidthChar;

/// Ends what may be on: charset shifts, margins, origin and insert mode, autowrap off, links, colours.
const BEGIN: &[u8] = b"\x0f\x1b(B\x1b[?6l\x1b[?69l\x1b[r\x1b[4l\x1b[20l\x1b[?7h\x1b]8;;\x1b\\\x1b[0\"q\x1b[m";
/// The reports and keys that a program may have switched on.
const KEYS_OFF: &[u8] = b"\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l";

/// A character to print once more.
struct Again {
    col: u16,
    width: u16,
    text: String,
    pen: Pen,
}

impl Term {
    /// What is visible and what is behind it, and the modes.
    pub(super) fn for_terminal(&self) -> Vec<u8> {
        // It restores a cursor, and with that charsets and origin mode: so it comes before they are reset.
        let mut out = b"\x1b\\\x1b[?2026h\x1b[?1049l".to_vec();
        out.extend_from_slice(BEGIN);
        self.write_palette(&mut out);
        out.extend_from_slice(b"\x1b[3g");
        for col in self.tabs.columns() {
            let _ = write!(out, "\x1b[1;{}H\x1bH", col + 1);
        }
        self.write_blank(&mut out);
        self.write_shown(&mut out, &self.primary);
        // The cursor that 1049 saves by itself is the saved one, whatever slot a terminal keeps it in.
        self.write_saved_state(&mut out, 0);
        if let Some(alternate) = self.alternate.as_ref().filter(|_| self.is_alternate) {
            let _ = write!(out, "\x1b[={}u\x1b[?1049h", self.keyboards[0].flags);
            self.end_saved_state(&mut out, 0);
            self.write_blank(&mut out);
            self.write_grid(&mut out, alternate);
            self.write_saved_state(&mut out, 1);
            self.end_saved_state(&mut out, 1);
        } else {
            self.end_saved_state(&mut out, 0);
        }
        self.write_modes_off(&mut out);
        if (self.top, self.bottom) != (0, self.size.rows() - 1) {
            let _ = write!(out, "\x1b[{};{}r", self.top + 1, self.bottom + 1);
        }
        self.write_sides(&mut out);
        if !self.title.is_empty() {
            let _ = write!(out, "\x1b]2;{}\x1b\\", self.title);
        }
        self.write_modes(&mut out);
        if !self.modes.synchronized {
            out.extend_from_slice(b"\x1b[?2026l");
        }
        // Also when there are none: the program may have given them back in what was skipped.
        let _ = write!(out, "\x1b[={}u", self.keyboard().flags);
        self.write_end(&mut out);
        out
    }

    /// The modes that decide what keys send.
    pub(super) fn key_modes(&self) -> Vec<u8> {
        let modes = &self.modes;
        let mut out = Vec::new();
        for (is_set, mode) in [(modes.app_cursor, 1), (modes.focus, 1004), (modes.paste, 2004)] {
            let _ = write!(out, "\x1b[?{mode}{}", if is_set { 'h' } else { 'l' });
        }
        out.extend_from_slice(if modes.app_keypad { b"\x1b=" } else { b"\x1b>" });
        let _ = write!(out, "\x1b[>4;{}m\x1b[={}u", modes.modify_keys, self.keyboard().flags);
        out
    }

    /// Blank rows, and what may be left below them.
    fn write_blank(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[m");
        for row in 1..=self.size.rows() {
            let erase = if row == self.size.rows() { "J" } else { "K" };
            let _ = write!(out, "\x1b[{row};1H\x1b[{erase}");
        }
    }

    fn write_modes_off(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(KEYS_OFF);
        let modes = &self.modes;
        let off = [
            (modes.app_cursor, 1),
            (modes.reverse_screen, 5),
            (modes.reverse_wrap, 45),
            (modes.focus, 1004),
            (modes.paste, 2004),
        ];
        for (_, mode) in off.into_iter().filter(|(is_set, _)| !is_set) {
            let _ = write!(out, "\x1b[?{mode}l");
        }
        if !modes.app_keypad {
            out.extend_from_slice(b"\x1b>");
        }
        if modes.modify_keys == 0 {
            out.extend_from_slice(b"\x1b[>4m");
        }
        if modes.cursor_visible {
            out.extend_from_slice(b"\x1b[?25h");
        }
        if modes.cursor_shape == CursorShape::Default {
            out.extend_from_slice(b"\x1b[0 q");
        }
    }

    /// Puts the cursor as it was saved, and saves it, in the screen that is shown. Margins are off.
    fn write_saved_state(&self, out: &mut Vec<u8>, screen: usize) {
        let saved = &self.saved[screen];
        if saved.is_origin {
            out.extend_from_slice(b"\x1b[?6h");
        }
        let (row, col) = (saved.row.min(self.size.rows() - 1), saved.col.min(self.size.cols() - 1));
        let _ = write!(out, "\x1b[{};{}H", row + 1, col + 1);
        let engine = if screen == 0 { Some(&self.primary) } else { self.alternate.as_ref() };
        let engine = engine.filter(|_| saved.is_wrap_pending && !self.is_ahead());
        if let Some(again) = engine.and_then(|engine| self.cell_again(engine, row, col)) {
            let _ = write!(out, "\x1b[{};{}H", row + 1, again.col + 1);
            write_pen(out, &again.pen);
            out.extend_from_slice(again.text.as_bytes());
            write_link_and_protection(out, &again.pen, &Pen::default());
        }
        write_pen(out, &saved.pen);
        // A single shift would hold for what is painted next.
        let charsets = super::charset::Charsets { single: None, right: None, ..saved.charsets };
        self.write_charsets(out, &charsets);
        out.extend_from_slice(b"\x1b7");
    }

    /// Back to what paints.
    fn end_saved_state(&self, out: &mut Vec<u8>, screen: usize) {
        write_link_and_protection(out, &self.saved[screen].pen, &Pen::default());
        self.write_charsets(out, &Default::default());
        out.extend_from_slice(b"\x1b[?6l\x1b[m");
    }

    /// Charsets, pen and cursor; and the last character once more where a wrap is pending or REP may come.
    fn write_end(&self, out: &mut Vec<u8>) {
        let again = self.again();
        // Nothing may come between it and REP, so it is printed under the charsets it was printed under.
        let repeated = again.as_ref().filter(|_| self.last_char.is_some()).and_then(|again| self.typed(&again.text));
        let is_repeated = repeated.is_some();
        let charsets_come_first = is_repeated || self.charsets.is_plain();
        if charsets_come_first {
            self.write_charsets(out, &self.charsets);
        }
        let (row, col) = self.pos_from_origin();
        match again.filter(|_| is_repeated || self.is_wrap_pending()) {
            Some(again) => {
                let pen = if is_repeated { &self.pen } else { &again.pen };
                write_pen(out, pen);
                let left = if self.modes.origin { self.left } else { 0 };
                let _ = write!(out, "\x1b[{};{}H", row + 1, again.col.saturating_sub(left) + 1);
                if self.modes.insert {
                    let _ = write!(out, "\x1b[{}P", again.width);
                }
                out.extend_from_slice(repeated.as_ref().unwrap_or(&again.text).as_bytes());
                if !is_repeated {
                    write_link_and_protection(out, pen, &Pen::default());
                    write_pen(out, &self.pen);
                }
            }
            None => {
                write_pen(out, &self.pen);
                let _ = write!(out, "\x1b[{};{}H", row + 1, col + 1);
            }
        }
        if !charsets_come_first {
            self.write_charsets(out, &self.charsets);
        }
    }

    /// What comes out as this text under the charsets that are in force.
    fn typed(&self, text: &str) -> Option<String> {
        let mut charsets = self.charsets;
        let mut is_from = |typed: char, c: char| charsets.map(typed) == c;
        let typed = |c: char| if is_from(c, c) { Some(c) } else { (' '..='~').find(|typed| is_from(*typed, c)) };
        text.chars().map(typed).collect()
    }

    /// The character before the cursor, if it can be printed again without moving anything else.
    fn again(&self) -> Option<Again> {
        let is_outside = self.modes.origin && !self.is_in_margins();
        if is_outside || (self.modes.insert && self.modes.sides) {
            return None;
        }
        let (row, col) = self.pos();
        let is_pending = self.is_wrap_pending();
        let last = self.last_char.map(|c| if c == marks::REPLACEMENT_STANDIN { '\u{FFFD}' } else { c });
        if self.is_ahead() {
            let text = last?;
            let width = text.width().unwrap_or(1) as u16;
            let col = (col + u16::from(is_pending)).checked_sub(width)?;
            return Some(Again { col, width, text: text.into(), pen: self.pen.clone() });
        }
        let col = if is_pending { col } else { col.checked_sub(1)? };
        // Where autowrap is off the cursor stays on the last character: that one is not before it.
        let again = self.cell_again(self.engine(), row, col)?;
        let is_last = last.is_none_or(|c| again.text.starts_with(c));
        (is_pending || is_last).then_some(again)
    }

    fn cell_again(&self, engine: &Engine, row: u16, col: u16) -> Option<Again> {
        let mut col = col;
        let mut cell = engine.raw(row, col)?;
        if width_of(cell) == 0 {
            col = col.checked_sub(1)?;
            cell = engine.raw(row, col)?;
        }
        let (style, mark) = style_of(cell, &self.marks);
        let mut scratch = String::new();
        let text = if is_blank(cell) { " " } else { marks::clean(cell.contents(), &mut scratch) };
        let text = text.to_string();
        Some(Again { col, width: width_of(cell).max(1).into(), text, pen: pen_of(style, mark, &self.marks) })
    }
}

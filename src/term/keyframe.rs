//! Keyframes: a screen as escape bytes, for a replica of our own or for a person's terminal.
//!
//! A replica must go on as the original would, so everything that later bytes can meet is in it: both screens, saved
//! cursors, margins, tabs, charsets, modes, history. What no standard sequence can set goes into private strings
//! (`DCS + f`), which hold nothing that a program could not have caused by itself.

use super::engine::{Engine, is_blank, style_of};
use super::history::LineBuf;
use super::marks::{self, Marks};
use super::osc;
use super::params::Params;
use super::pen::{self, Pen};
use super::translate::{Keyboard, Saved, Term, paint_grid};
use super::types::{CursorShape, MouseEncoding, MouseMode};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use unicode_width::UnicodeWidthChar;

/// Lines a session may have had before its keyframe: at a billion a second that is three days, and far from an overflow.
const LINES_MAX: u64 = 1 << 48;

impl Term {
    /// Everything, for a fresh screen of the same size.
    pub(super) fn replica(&self, history_bytes: usize) -> Vec<u8> {
        let mut out = b"\x1bc".to_vec();
        self.write_history(&mut out, history_bytes);
        self.write_palette(&mut out);
        self.write_shown(&mut out, &self.primary);
        write_keyboard(&mut out, &self.keyboards[0]);
        if let Some(alternate) = &self.alternate {
            if !self.is_alternate {
                // The alternate grid keeps its cells while hidden, and mode 47 shows them again.
                self.write_saved(&mut out, 0);
                out.extend_from_slice(b"\x1b[?47h");
                self.write_grid(&mut out, alternate);
                self.write_saved(&mut out, 1);
                write_keyboard(&mut out, &self.keyboards[1]);
                out.extend_from_slice(b"\x1b[?47l");
            } else {
                let (row, col) = self.primary.pos();
                let _ = write!(out, "\x1b[{};{}H", row + 1, col.min(self.size.cols() - 1) + 1);
                self.write_saved(&mut out, 0);
                out.extend_from_slice(b"\x1b[?47h");
                self.write_grid(&mut out, alternate);
                self.write_saved(&mut out, 1);
                write_keyboard(&mut out, &self.keyboards[1]);
            }
        } else {
            self.write_saved(&mut out, 0);
        }
        out.extend_from_slice(b"\x1b[3g");
        if self.tabs.is_default() {
            out.extend_from_slice(b"\x1bP+ft\x1b\\");
        } else {
            for col in self.tabs.columns() {
                let _ = write!(out, "\x1b[1;{}H\x1bH", col + 1);
            }
        }
        let _ = write!(out, "\x1b[{};{}r", self.top + 1, self.bottom + 1);
        self.write_sides(&mut out);
        self.write_titles(&mut out);
        self.write_modes(&mut out);
        self.write_cursor(&mut out);
        self.write_charsets(&mut out, &self.charsets);
        // Painting left the last character painted there, so that none must be told as well.
        let told = self.last_char.map(|c| if c == marks::REPLACEMENT_STANDIN { '\u{FFFD}' } else { c });
        let last = told.map_or_else(String::new, |c| format!("{:x}", u32::from(c)));
        let _ = write!(out, "\x1bP+fc{last}\x1b\\");
        out
    }

    /// The grid of the primary screen or the one shown, or the rows that are ahead of it.
    pub(super) fn write_shown(&self, out: &mut Vec<u8>, engine: &Engine) {
        out.extend_from_slice(b"\x1b[m\x1b]8;;\x1b\\\x1b[0\"q");
        if self.paint_ahead(out) {
            out.extend_from_slice(b"\x1b[m");
        } else {
            self.write_grid(out, engine);
        }
    }

    pub(super) fn write_grid(&self, out: &mut Vec<u8>, engine: &Engine) {
        out.extend_from_slice(b"\x1b[m\x1b]8;;\x1b\\\x1b[0\"q");
        let mut last = Pen::default();
        let mut scratch = String::new();
        paint_grid(
            out,
            engine,
            0..self.size.rows(),
            self.size.cols(),
            &mut |out, cell| {
                let (style, mark) = cell.map(|cell| style_of(cell, &self.marks)).unwrap_or_default();
                let wanted = pen_of(style, mark, &self.marks);
                if wanted.style != last.style {
                    let _ = write!(out, "\x1b[{}m", pen::style_params(&wanted.style));
                }
                write_link_and_protection(out, &last, &wanted);
                last = wanted;
            },
            &mut |out, cell| {
                let is_text = !is_blank(cell);
                let text = if is_text { marks::clean(cell.contents(), &mut scratch) } else { "\x1b[X" };
                out.extend_from_slice(text.as_bytes());
                is_text
            },
        );
        write_link_and_protection(out, &last, &Pen::default());
        out.extend_from_slice(b"\x1b[m");
    }

    /// A DECSC of what was saved, in the screen that is shown; nothing if it equals the default.
    fn write_saved(&self, out: &mut Vec<u8>, screen: usize) {
        let saved = &self.saved[screen];
        if *saved == Saved::default() {
            return;
        }
        self.write_charsets(out, &saved.charsets);
        write_pen(out, &saved.pen);
        if saved.is_origin {
            out.extend_from_slice(b"\x1b[?6h");
        }
        let _ = write!(out, "\x1b[{};{}H", saved.row + 1, saved.col + 1);
        out.extend_from_slice(b"\x1b7");
        if saved.is_wrap_pending {
            out.extend_from_slice(b"\x1bP+fW\x1b\\");
        }
        if saved.is_origin {
            out.extend_from_slice(b"\x1b[?6l");
        }
        write_pen(out, &Pen::default());
        write_link_and_protection(out, &saved.pen, &Pen::default());
        self.write_charsets(out, &Default::default());
        if saved.charsets.single.is_some() || saved.charsets.right.is_some() {
            out.extend_from_slice(b"\x1bP+fs\x1b\\");
        }
    }

    pub(super) fn write_charsets(&self, out: &mut Vec<u8>, charsets: &super::charset::Charsets) {
        for (slot, set) in charsets.designated.iter().enumerate() {
            out.extend_from_slice(&[0x1b, b'(' + slot as u8, set.final_byte()]);
        }
        out.extend_from_slice(match charsets.locked {
            1 => b"\x0e",
            2 => b"\x1bn",
            3 => b"\x1bo",
            _ => b"\x0f",
        });
        out.extend_from_slice(match charsets.right {
            Some(1) => b"\x1b~",
            Some(2) => b"\x1b}",
            Some(_) => b"\x1b|",
            None => b"",
        });
        match charsets.single {
            Some(2) => out.extend_from_slice(b"\x1bN"),
            Some(_) => out.extend_from_slice(b"\x1bO"),
            None => {}
        }
    }

    /// Modes that differ from a terminal's first ones.
    pub(super) fn write_modes(&self, out: &mut Vec<u8>) {
        let modes = &self.modes;
        let mouse = match modes.mouse {
            MouseMode::Off => 0,
            MouseMode::Press => 9,
            MouseMode::PressRelease => 1000,
            MouseMode::ButtonMotion => 1002,
            MouseMode::AnyMotion => 1003,
        };
        let encoding = match modes.mouse_encoding {
            MouseEncoding::Default => 0,
            MouseEncoding::Utf8 => 1005,
            MouseEncoding::Sgr => 1006,
        };
        let set = [
            (modes.app_cursor, 1),
            (modes.reverse_screen, 5),
            (modes.reverse_wrap, 45),
            (modes.focus, 1004),
            (modes.alternate_scroll, 1007),
            (modes.paste, 2004),
            (modes.synchronized, 2026),
            (mouse != 0, mouse),
            (encoding != 0, encoding),
            (modes.origin, 6),
        ];
        for (_, mode) in set.into_iter().filter(|(is_set, _)| *is_set) {
            let _ = write!(out, "\x1b[?{mode}h");
        }
        if modes.app_keypad {
            out.extend_from_slice(b"\x1b=");
        }
        if modes.modify_keys != 0 {
            let _ = write!(out, "\x1b[>4;{}m", modes.modify_keys);
        }
        if modes.newline {
            out.extend_from_slice(b"\x1b[20h");
        }
        if modes.insert {
            out.extend_from_slice(b"\x1b[4h");
        }
        if !modes.autowrap {
            out.extend_from_slice(b"\x1b[?7l");
        }
        if !modes.cursor_visible {
            out.extend_from_slice(b"\x1b[?25l");
        }
        let steady = u8::from(!modes.cursor_blink);
        let style = match modes.cursor_shape {
            CursorShape::Default => 0,
            CursorShape::Block => 1 + steady,
            CursorShape::Underline => 3 + steady,
            CursorShape::Bar => 5 + steady,
        };
        if style != 0 {
            let _ = write!(out, "\x1b[{style} q");
        } else if modes.cursor_blink {
            out.extend_from_slice(b"\x1b[?12h");
        }
    }

    fn write_cursor(&self, out: &mut Vec<u8>) {
        let (row, col) = self.pos_from_origin();
        let _ = write!(out, "\x1b[{};{}H", row + 1, col + 1);
        if self.modes.origin && !self.is_in_margins() {
            let (row, col) = self.pos();
            let _ = write!(out, "\x1bP+fg{};{}\x1b\\", row + 1, col + 1);
        }
        if self.is_wrap_pending() {
            out.extend_from_slice(b"\x1bP+fw\x1b\\");
        }
        write_pen(out, &self.pen);
    }

    pub(super) fn write_sides(&self, out: &mut Vec<u8>) {
        if self.modes.sides {
            let _ = write!(out, "\x1b[?69h\x1b[{};{}s", self.left + 1, self.right + 1);
        }
    }

    fn write_titles(&self, out: &mut Vec<u8>) {
        for title in &self.title_stack {
            let _ = write!(out, "\x1bP+fp{title}\x1b\\");
        }
        let _ = write!(out, "\x1bP+fT{}\x1b\\", self.title);
        if let Some(cwd) = &self.cwd {
            let _ = write!(out, "\x1bP+fd{cwd}\x1b\\");
        }
    }

    pub(super) fn write_palette(&self, out: &mut Vec<u8>) {
        for (&index, (r, g, b)) in &self.palette.set {
            let _ = match index {
                0..=255 => write!(out, "\x1b]4;{index};rgb:{r:02x}/{g:02x}/{b:02x}\x1b\\"),
                _ => write!(out, "\x1b]{};rgb:{r:02x}/{g:02x}/{b:02x}\x1b\\", index - 246),
            };
        }
    }

    /// The newest lines that fit, oldest first, and how many lines there ever were before them.
    fn write_history(&self, out: &mut Vec<u8>, budget: usize) {
        let mut lines = Vec::new();
        let mut used = 0;
        for index in (0..self.history.len()).rev() {
            let line = self.encode_line(index);
            used += line.len();
            if used > budget {
                break;
            }
            lines.push(line);
        }
        let before = self.history.total() - lines.len() as u64;
        if before > 0 {
            let _ = write!(out, "\x1bP+fn{before}\x1b\\");
        }
        for line in lines.iter().rev() {
            out.extend_from_slice(line.as_bytes());
        }
    }

    /// `h`, the wrapped flag, the number of runs, each as bytes, style, length of link, link; then the text.
    fn encode_line(&self, index: usize) -> String {
        let Some(line) = self.history.line(index) else { return String::new() };
        let mut runs = String::new();
        let mut count = 0;
        for (text, look) in line.runs() {
            let link = look.link.as_deref().unwrap_or("");
            let _ = write!(runs, "{}|{}|{}|{link}", text.len(), pen::style_params(&look.style), link.len());
            count += 1;
        }
        format!("\x1bP+fh{}|{count}|{runs}{}\x1b\\", u8::from(line.is_wrapped), line.text)
    }

    /// A private string of our own keyframes; only while one is read. The machine it comes from may be hostile, so it can set
    /// nothing that a program could not: no controls, nothing that deceives, all numbers within bounds.
    pub(super) fn private(&mut self, data: &[u8]) {
        let Ok(data) = std::str::from_utf8(data) else { return };
        let Some(kind) = data.chars().next().filter(char::is_ascii) else { return };
        let data = &data[1..];
        match kind {
            'h' => {
                if let Some(line) = decode_line(data) {
                    self.history.push(&line);
                }
            }
            'n' => self.history.set_total(data.parse().unwrap_or(0).min(LINES_MAX)),
            's' => (self.charsets.single, self.charsets.right) = (None, None),
            'W' => self.saved[usize::from(self.is_alternate)].is_wrap_pending = true,
            'w' => self.force_wrap_pending(),
            'g' => {
                let params = Params::parse(data.as_bytes());
                self.go(params.get_or(0, 1) - 1, params.get_or(1, 1) - 1);
            }
            't' => self.tabs = super::tabs::Tabs::new(self.size.cols()),
            'c' => {
                let c = u32::from_str_radix(data, 16).ok().and_then(char::from_u32);
                let c = c.filter(|&c| c.width().is_some_and(|width| width > 0) && !marks::is_ours(c));
                self.last_char = c.map(|c| if c == '\u{FFFD}' { marks::REPLACEMENT_STANDIN } else { c });
            }
            'p' => self.push_title(data),
            'T' => self.restore_title(data),
            'd' => self.restore_cwd(data),
            _ => {}
        }
    }
}

fn decode_line(data: &str) -> Option<LineBuf> {
    let mut line = LineBuf::default();
    let (flag, rest) = data.split_once('|')?;
    line.is_wrapped = flag == "1";
    let (count, mut rest) = rest.split_once('|')?;
    for _ in 0..count.parse::<u32>().ok()? {
        let (bytes, after) = rest.split_once('|')?;
        let (style, after) = after.split_once('|')?;
        let (length, after) = after.split_once('|')?;
        let (link, after) = after.split_at_checked(length.parse().ok()?)?;
        let mut look = super::history::Look::default();
        pen::apply_sgr(&mut look.style, &Params::parse(style.as_bytes()));
        look.link = (!link.is_empty() && osc::is_clean_link(link)).then(|| Arc::from(link));
        line.cover(&look, bytes.parse().ok()?);
        rest = after;
    }
    let mut end = 0;
    let fits = line.runs.iter().all(|(_, bytes)| {
        end = usize::saturating_add(end, *bytes);
        rest.is_char_boundary(end)
    });
    line.text.extend_from_slice(rest.as_bytes());
    (fits && !rest.chars().any(|c| c.is_control() || marks::is_ours(c))).then_some(line)
}

pub(super) fn pen_of(style: super::types::Style, mark: Option<u32>, marks: &Marks) -> Pen {
    let extra = mark.and_then(|index| marks.get(index));
    Pen {
        style,
        link: extra.and_then(|extra| extra.link.clone()),
        is_protected: extra.is_some_and(|extra| extra.is_protected),
    }
}

pub(super) fn write_pen(out: &mut Vec<u8>, pen: &Pen) {
    let _ = write!(out, "\x1b[{}m", pen::style_params(&pen.style));
    write_link_and_protection(out, &Pen::default(), pen);
}

/// What was pushed, oldest first, and what is set.
fn write_keyboard(out: &mut Vec<u8>, keyboard: &Keyboard) {
    let mut all = keyboard.stack.iter().chain([&keyboard.flags]);
    if let Some(&first) = all.next().filter(|_| *keyboard != Keyboard::default()) {
        let _ = write!(out, "\x1b[={first}u");
        for flags in all {
            let _ = write!(out, "\x1b[>{flags}u");
        }
    }
}

pub(super) fn write_link_and_protection(out: &mut Vec<u8>, from: &Pen, to: &Pen) {
    if from.link != to.link {
        let _ = write!(out, "\x1b]8;;{}\x1b\\", to.link.as_deref().unwrap_or(""));
    }
    if from.is_protected != to.is_protected {
        let _ = write!(out, "\x1b[{}\"q", u8::from(to.is_protected));
    }
}

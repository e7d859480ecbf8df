//! Printing: whole runs straight to the engine where that is right, character by character where it is not.

use super::Term;
use crate::term::engine::is_blank;
use crate::term::marks;
use crate::term::params::Params;
use crate::term::parser::{Decoded, first_char};
use crate::term::types::Color;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

impl Term {
    /// Whether text may go to the engine as it is.
    pub(in crate::term) fn may_pass(&self) -> bool {
        self.modes.autowrap
            && !self.modes.insert
            && self.mark.is_none()
            && self.pen.style.bg == Color::Default
            && self.charsets.is_plain()
            && !self.has_sides()
    }

    /// Whether CR and LF may go with it.
    pub(in crate::term) fn may_pass_newline(&self) -> bool {
        !self.modes.newline
    }

    /// Bytes that the engine handles right by itself: text, CR, LF, plain SGR.
    pub(in crate::term) fn pass(&mut self, bytes: &[u8]) {
        // Only a cursor that was put there can be behind a blank last cell; text fills it.
        if self.engine().is_wrap_pending() && prints_first(bytes) {
            self.fill_before_wrap();
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            self.spend(16);
            let (first, col) = self.engine().pos();
            let below = if first <= self.bottom { self.bottom - first } else { u16::MAX };
            // Rows above the cursor may leave during one write; more than those must wait for the next.
            let (length, moves) = self.reach(rest, col, usize::from(self.bottom.max(1)));
            let (piece, after) = rest.split_at(length);
            // A single character may count for more rows than it takes; it leaves those above its own alone.
            let scrolls = moves.saturating_sub(below.into()).min(first.max(u16::from(self.bottom == 0)).into());
            if scrolls == 0 || self.bottom == 0 {
                self.pen_engine().write(piece);
                self.settle();
                let (last, _) = self.engine().pos();
                self.damage.span(first.min(last), first.max(last));
                if self.bottom == 0 {
                    self.damage.all();
                }
            } else {
                self.write_scrolling(piece, scrolls as u16);
                self.scrolled += scrolls;
                if self.top > 0 || self.is_alternate || self.engine().pos().0 < first {
                    self.damage.all();
                } else if !piece.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                    // What was printed before the last scroll has moved up.
                    self.damage.span(first.saturating_sub(scrolls as u16), self.bottom);
                }
            }
            rest = after;
        }
    }

    /// Puts a space into a blank last cell that a wrap is pending behind: vt100 takes no row for continued without.
    fn fill_before_wrap(&mut self) {
        let (row, last) = (self.pos().0, self.last_col());
        let is_blank = self.engine().raw(row, last).is_some_and(|cell| !cell.has_contents());
        if self.modes.autowrap && self.engine().is_wrap_pending() && is_blank && self.engine().width(row, last) == 1 {
            // The engine's pen may lag behind ours: its own save slot keeps it.
            let (line, column) = (u32::from(row) + 1, u32::from(last) + 1);
            self.engine_mut().put(format_args!("\x1b7\x1b[{line};{column}H\x1b[m \x1b8"));
        }
    }

    /// How many of the bytes move the cursor down at most `limit` rows, and how many rows that may be.
    fn reach(&self, bytes: &[u8], col: u16, limit: usize) -> (usize, usize) {
        let cols = usize::from(self.size.cols());
        // Of this many bytes alone the wraps stay below the limit.
        let mut most = bytes.len().min((limit * cols).saturating_sub(col.into()).max(1)).min(PASS);
        // Never within a character: vte loses the next one when it puts the halves together.
        let is_within = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, 0x80..=0xBF));
        let whole = (1..=most).rev().find(|&at| !is_within(at));
        most = whole.unwrap_or_else(|| (most..).find(|&at| !is_within(at)).unwrap_or(most));
        let moves = |feeds: usize, length: usize| feeds + (usize::from(col) + length) / cols;
        let (mut feeds, mut length) = (0, 0);
        for at in memchr::memchr_iter(b'\n', &bytes[..most]) {
            if moves(feeds + 1, at + 1) > limit {
                // The line before is the last one in reach, or this line without its end.
                let end = if length > 0 { length } else { at.max(1) };
                return (end, moves(feeds, end).max(usize::from(end == at + 1)));
            }
            (feeds, length) = (feeds + 1, at + 1);
        }
        if moves(feeds, most) > limit && length > 0 {
            return (length, moves(feeds, length));
        }
        (most, moves(feeds, most))
    }

    /// Applies SGR that the engine reads alike; false, and nothing happened, if the engine must not see it.
    pub(in crate::term) fn try_pass_sgr(&mut self, params: &Params) -> bool {
        let mut style = self.pen.style;
        crate::term::pen::apply_sgr(&mut style, params);
        let is_alike = style.bg == Color::Default && !(style.bold && style.dim);
        if is_alike {
            self.last_char = None;
            self.pen.style = style;
        }
        is_alike
    }

    /// CR or LF that passes: what was printed before is not to be repeated.
    pub(in crate::term) fn note_newline(&mut self) {
        self.last_char = None;
    }

    /// Whether a wrap may be pending once this text, in which nothing but CR moves back, has been printed.
    pub(in crate::term) fn may_wrap_after(&self, text: &[u8]) -> bool {
        let cols = usize::from(self.size.cols());
        match memchr::memrchr(b'\r', text) {
            Some(at) => text.len() - at > cols,
            None => usize::from(self.engine().pos().1) + text.len() >= cols,
        }
    }

    /// Remembers the last character of printed text, for REP.
    pub(in crate::term) fn note_last(&mut self, bytes: &[u8]) {
        if let Some(&byte @ 0x20..=0x7e) = bytes.last() {
            self.last_char = Some(char::from(byte));
            return;
        }
        let text = std::str::from_utf8(bytes).unwrap_or("");
        if let Some(c) = text.chars().rev().find(|c| c.width().unwrap_or(0) > 0) {
            self.last_char = Some(c);
        }
    }

    /// Whether all ASCII goes into one cell: in the last column without autowrap.
    pub(in crate::term) fn prints_in_place(&self) -> bool {
        let is_simple = !self.modes.autowrap && !self.modes.insert && self.charsets.single.is_none();
        is_simple && !self.has_sides() && self.engine().pos().1 == self.last_col()
    }

    /// Prints text from the start of the bytes as far as it fits into the row, in one go; says how many bytes. None if the
    /// first character is not of that simple kind.
    pub(in crate::term) fn print_run(&mut self, bytes: &[u8]) -> usize {
        let (row, start) = self.engine().pos();
        let cols = self.size.cols();
        if self.has_sides() || self.charsets.single.is_some() || start >= cols {
            return 0;
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let (mut used, mut col, mut last) = (0, start, None);
        while let Some((c, length)) = next_printed(&bytes[used..]) {
            let c = self.charsets.map(c);
            let c = if matches!(c, '\u{FFFD}' | marks::ERASED) { marks::REPLACEMENT_STANDIN } else { c };
            let width = match c {
                ' '..='~' => 1,
                c if marks::is_mark(c) => break,
                c => c.width().unwrap_or(0).min(2) as u16,
            };
            if width == 0 || col + width > cols {
                break;
            }
            text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            if let Some(mark) = self.mark {
                marks::push_marks(&mut text, mark);
            }
            (used, col, last) = (used + length, col + width, Some(c));
        }
        if last.is_some() {
            if self.modes.insert {
                self.insert_cells(col - start);
            }
            self.write(&text);
            if !self.modes.autowrap {
                self.end_wrap();
            }
            self.last_char = last;
            self.damage.span(row, row);
        }
        self.text = text;
        used
    }

    /// Prints one character under whatever modes hold.
    pub(in crate::term) fn print(&mut self, c: char) {
        let c = match self.charsets.map(c) {
            c if marks::is_mark(c) => return,
            '\u{FFFD}' | marks::REPLACEMENT_STANDIN | marks::ERASED => marks::REPLACEMENT_STANDIN,
            c => c,
        };
        match c.width() {
            None => {}
            Some(0) if self.is_wrap_at_side => {
                // It joins the character on the margin, so the cursor must stand behind it.
                let (row, col) = self.pos();
                self.go(row, col + 1);
                if c != '\u{FE0F}' {
                    self.print_zero_width(c);
                }
                self.wrap_at_side(row);
            }
            Some(0) => self.print_zero_width(c),
            Some(width) if self.has_sides() => self.print_between_sides(c, width.min(2) as u16),
            Some(width) => self.print_wide(c, width.min(2) as u16),
        }
    }

    fn print_zero_width(&mut self, c: char) {
        let (row, col) = self.engine().pos();
        if c == '\u{FE0F}' {
            self.widen(row, col);
            return;
        }
        if marks::is_diacritic(c) && self.diacritics_before(row, col) >= marks::DIACRITICS_CAP {
            return;
        }
        let before = self.engine().raw(row, col.saturating_sub(1));
        if col > 0 && before.is_some_and(|cell| is_blank(cell) && !cell.is_wide_continuation()) {
            // Nothing to combine with.
            return;
        }
        self.engine_mut().write(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.settle();
        self.damage.span(row, row);
    }

    /// How many diacritics end the character before a column.
    fn diacritics_before(&self, row: u16, col: u16) -> usize {
        let before = col.saturating_sub(1);
        let before = before.saturating_sub(u16::from(self.engine().width(row, before) == 0));
        let contents = self.engine().raw(row, before).map_or("", vt100::Cell::contents);
        contents.chars().rev().filter(|&c| !marks::is_mark(c)).take_while(|&c| marks::is_diacritic(c)).count()
    }

    /// U+FE0F: makes the character before the cursor wide if it has a wide form, and is dropped otherwise; past the
    /// last column, where vt100 would panic, always.
    fn widen(&mut self, row: u16, col: u16) {
        if col >= self.size.cols() || col == 0 {
            return;
        }
        let Some(cell) = self.engine().raw(row, col - 1).filter(|cell| !is_blank(cell) && !cell.is_wide()) else {
            return;
        };
        let mark = marks::index_of(cell.contents());
        let mut scratch = String::new();
        let wide = format!("{}\u{FE0F}", marks::clean(cell.contents(), &mut scratch));
        if wide.width() < 2 || mark != self.mark {
            return;
        }
        match mark {
            None => self.engine_mut().write("\u{FE0F}".as_bytes()),
            Some(mark) => {
                // The marks stand between the character and its variant: written anew in the right order.
                let mut bytes = wide.into_bytes();
                marks::push_marks(&mut bytes, mark);
                self.engine_mut().go(row, col - 1);
                self.engine_mut().write(&bytes);
            }
        }
        self.settle();
        if self.has_sides() {
            self.stop_at_side(row, col - 1);
        }
        self.damage.span(row, row);
    }

    fn print_wide(&mut self, c: char, width: u16) {
        self.fill_before_wrap();
        let (row, col) = self.engine().pos();
        let cols = self.size.cols();
        let needs_wrap = col + width > cols;
        let is_scrolling = needs_wrap && self.modes.autowrap && row == self.bottom;
        if needs_wrap && !self.modes.autowrap {
            self.go(row, cols - width);
        }
        if self.modes.insert {
            if !needs_wrap || !self.modes.autowrap {
                self.insert_cells(width);
            } else if !is_scrolling && row < self.last_row() {
                // The character goes to the start of the next row; make room there and come back.
                self.engine_mut().write(b"\x1b7");
                self.engine_mut().go(row + 1, 0);
                self.engine_mut().put(format_args!("\x1b[{width}@\x1b8"));
            }
        }
        let mut bytes = Vec::with_capacity(12);
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        if let Some(mark) = self.mark {
            marks::push_marks(&mut bytes, mark);
        }
        // A character costs more than its bytes where it is not one of many.
        self.spend(16);
        if is_scrolling && self.bottom > 0 {
            self.write_scrolling(&bytes, 1);
        } else {
            self.write(&bytes);
        }
        if is_scrolling {
            self.fill_behind_cursor();
            self.damage.all();
        }
        if !self.modes.autowrap {
            let (row, col) = self.pos();
            self.go(row, col);
        }
        self.last_char = Some(c);
        let after = self.pos().0;
        self.damage.span(row.min(after), row.max(after));
    }

    /// REP: the last character again, with what combined with it, if nothing but text came since. A count wider than
    /// the screen fills the row, as in libvterm; a smaller one may wrap, as in xterm and alacritty.
    pub(super) fn repeat(&mut self, n: u16) {
        let Some(c) = self.last_char else { return };
        let (row, col) = self.engine().pos();
        // Without autowrap the cursor stays on a character in the last column.
        let is_on_it = self.is_wrap_at_side || (!self.modes.autowrap && col == self.right_edge(col));
        let before = col.saturating_sub(u16::from(!is_on_it));
        let before = before.saturating_sub(u16::from(self.engine().width(row, before) == 0));
        let mut scratch = String::new();
        let cell = self.engine().raw(row, before).map_or("", |cell| marks::clean(cell.contents(), &mut scratch));
        let c = if c == marks::REPLACEMENT_STANDIN { '\u{FFFD}' } else { c };
        let text: Vec<char> = if cell.starts_with(c) { cell.chars().collect() } else { vec![c] };
        let n = if n > self.size.cols() { self.room_for(c) } else { n };
        let charsets = std::mem::take(&mut self.charsets);
        let mut left = usize::from(n);
        let run = if text.len() == 1 { String::from(c).repeat(left) } else { String::new() };
        while left > 0 {
            let printed = self.print_run(&run.as_bytes()[..run.len().min(left * c.len_utf8())]) / c.len_utf8();
            if printed == 0 {
                text.iter().for_each(|&c| self.print(c));
            }
            left -= printed.max(1);
        }
        self.charsets = charsets;
    }

    /// How many of a character fit from the cursor to the edge.
    fn room_for(&self, c: char) -> u16 {
        if self.is_wrap_pending() {
            return 0;
        }
        let col = self.pos().1;
        (self.right_edge(col) + 1 - col) / c.width().map_or(1, |width| width.clamp(1, 2) as u16)
    }
}

/// The character that is printed next, and its length in bytes; nothing at controls and what is begun only.
fn next_printed(bytes: &[u8]) -> Option<(char, usize)> {
    if bytes.is_empty() {
        return None;
    }
    match first_char(&bytes[..bytes.len().min(4)]) {
        Decoded::Char('\0'..'\u{20}' | '\u{7f}'..='\u{9f}') | Decoded::Partial => None,
        Decoded::Char(c) => Some((c, c.len_utf8())),
        Decoded::Invalid(used) => Some(('\u{FFFD}', used)),
    }
}

/// Whether bytes that pass begin with text, but for SGR before it.
fn prints_first(mut bytes: &[u8]) -> bool {
    while let Some(sequence) = bytes.strip_prefix(b"\x1b[") {
        let end = memchr::memchr(b'm', sequence).map_or(sequence.len(), |at| at + 1);
        bytes = &sequence[end..];
    }
    bytes.first().is_some_and(|&byte| byte >= b' ')
}

const PASS: usize = super::PASS_BYTES;

//! Erasing, inserting, deleting and scrolling. What vt100 leaves blank is filled with the pen's background.

use super::Term;
use crate::term::damage::{Fill, Filled};
use crate::term::marks;
use crate::term::pen::Attrs;
use crate::term::types::Color;
use std::io::Write as _;

impl Term {
    fn has_background(&self) -> bool {
        self.pen.style.bg != Color::Default
    }

    /// Erases columns `from..=to` of a row to the background; cursor and pen stay.
    pub(super) fn erase_span(&mut self, row: u16, from: u16, to: u16) {
        self.erase_spans([(row, from, to)]);
    }

    pub(super) fn erase_spans(&mut self, spans: impl IntoIterator<Item = (u16, u16, u16)>) {
        let mut out = Vec::new();
        for (row, from, to) in spans {
            if from > to {
                continue;
            }
            let count = to - from + 1;
            self.spend(usize::from(count) * self.blank_work());
            let _ = write!(out, "\x1b[{};{}H\x1b[{count}X", u32::from(row) + 1, u32::from(from) + 1);
            self.push_blanks(&mut out, count);
        }
        self.erase_with(&out);
    }

    /// What a cell costs that is erased: one with a background is printed.
    fn blank_work(&self) -> usize {
        if self.has_background() { 8 } else { 1 }
    }

    /// Appends what fills so many cells from the cursor on with the background, if there is one.
    fn push_blanks(&self, out: &mut Vec<u8>, count: u16) {
        if self.has_background() {
            out.extend_from_slice(marks::ERASED_TEXT.as_bytes());
            if count > 1 {
                let _ = write!(out, "\x1b[{}b", count - 1);
            }
        }
    }

    /// Erases whole rows to the background, as far as they are not that blank already; cursor and pen stay.
    fn erase_rows(&mut self, first: u16, last: u16) {
        let fill = Fill::Blank(self.pen.style.bg);
        let Some((first, last)) = Filled::stale(self.damage.filled(), fill, first, last) else { return };
        if self.has_background() {
            (0..8).for_each(|_| self.spend_rows(last - first + 1));
        }
        self.spend_blank_rows(last - first + 1);
        let mut out = Vec::new();
        if (first, last) == (0, self.last_row()) {
            out.extend_from_slice(b"\x1b[2J");
        }
        for row in u32::from(first) + 1..=u32::from(last) + 1 {
            let _ = write!(out, "\x1b[{row}H\x1b[2K");
            self.push_blanks(&mut out, self.size.cols());
        }
        self.erase_with(&out);
    }

    /// Runs erasing sequences with only the background set; cursor and pen stay.
    fn erase_with(&mut self, bytes: &[u8]) {
        let mut out = Vec::with_capacity(bytes.len() + 32);
        out.extend_from_slice(b"\x1b7");
        Attrs::background(self.pen.style.bg).write_sgr(&mut out);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\x1b8");
        self.write(&out);
    }

    /// Clamps a pending wrap away.
    pub(in crate::term) fn end_wrap(&mut self) {
        let (row, col) = self.pos();
        self.go(row, col);
    }

    /// ED.
    pub(super) fn erase_display(&mut self, mode: u16) {
        self.end_wrap();
        let ((row, col), last_row, last_col) = (self.pos(), self.last_row(), self.last_col());
        match mode {
            0 if (row, col) == (0, 0) => self.erase_all(),
            0 => {
                self.erase_span(row, col, last_col);
                if row < last_row {
                    self.erase_rows(row + 1, last_row);
                    self.damage.erased(row + 1, last_row, self.pen.style.bg);
                }
                self.damage.span(row, row);
            }
            1 if (row, col) == (last_row, last_col) => self.erase_all(),
            1 => {
                if row > 0 {
                    self.erase_rows(0, row - 1);
                    self.damage.erased(0, row - 1, self.pen.style.bg);
                }
                self.erase_span(row, 0, col);
                self.damage.span(row, row);
            }
            2 => self.erase_all(),
            3 => self.history.clear(),
            _ => {}
        }
    }

    /// Erases everything to the background.
    fn erase_all(&mut self) {
        self.erase_rows(0, self.last_row());
        self.damage.fill(Some(Filled::all(Fill::Blank(self.pen.style.bg))));
    }

    /// EL. A pending wrap stays: the cursor is past the last column then, so nothing is to its right.
    pub(super) fn erase_line(&mut self, mode: u16) {
        let ((row, col), last_col) = (self.pos(), self.last_col());
        match mode {
            0 if self.engine().is_wrap_pending() => return,
            0 => self.erase_span(row, col, last_col),
            1 => self.erase_span(row, 0, col),
            2 => self.erase_span(row, 0, last_col),
            _ => return,
        }
        self.damage.span(row, row);
    }

    /// DECSED and DECSEL from the cursor on (0) and up to it (1): spares protected cells. The whole (2) is left alone:
    /// alacritty knows no selective erase, and its reference recordings are our measure.
    pub(super) fn erase_unprotected(&mut self, mode: u16, is_display: bool) {
        self.end_wrap();
        if mode <= 1 && !self.marks.has_protected() {
            return if is_display { self.erase_display(mode) } else { self.erase_line(mode) };
        }
        let ((row, col), last_row, last_col) = (self.pos(), self.last_row(), self.last_col());
        let (first, last) = match mode {
            0 => ((row, col), (if is_display { last_row } else { row }, last_col)),
            1 => ((if is_display { 0 } else { row }, 0), (row, col)),
            _ => return,
        };
        let mut spans = Vec::new();
        for row in first.0..=last.0 {
            let from = if row == first.0 { first.1 } else { 0 };
            let to = if row == last.0 { last.1 } else { last_col };
            let mut col = from;
            while col <= to {
                let end = (col..=to).find(|&col| self.is_protected(row, col)).unwrap_or(to + 1);
                if end > col {
                    spans.push((row, col, end - 1));
                }
                col = end + 1;
            }
        }
        (0..4).for_each(|_| self.spend_rows(last.0 - first.0 + 1));
        self.erase_spans(spans);
        self.damage.span(first.0, last.0);
    }

    /// Whether a cell was printed under DECSCA; a second half is what its first half is.
    fn is_protected(&self, row: u16, col: u16) -> bool {
        let col = col.saturating_sub(u16::from(self.engine().width(row, col) == 0));
        let extra = self.engine().mark(row, col).and_then(|index| self.marks.get(index));
        extra.is_some_and(|extra| extra.is_protected)
    }

    /// ECH.
    pub(super) fn erase_cells(&mut self, n: u16) {
        self.end_wrap();
        let (row, col) = self.pos();
        self.erase_span(row, col, col.saturating_add(n - 1).min(self.last_col()));
        self.damage.span(row, row);
    }

    /// Erases the wide character whose second half is here, so that an edit does not cut it.
    pub(super) fn free_half(&mut self, row: u16, col: u16) {
        if col > 0 && col < self.size.cols() && self.engine().width(row, col) == 0 {
            self.erase_span(row, col - 1, col);
        }
    }

    /// ICH.
    pub(super) fn insert_cells(&mut self, n: u16) {
        self.end_wrap();
        let (row, col) = self.pos();
        if self.has_sides() {
            if (self.left..=self.right).contains(&col) {
                self.shift_between_sides(n, false);
            }
            return;
        }
        let n = n.min(self.size.cols() - col);
        self.spend_rows(1);
        self.free_half(row, col);
        self.free_half(row, self.size.cols() - n);
        self.engine_mut().put(format_args!("\x1b[{n}@"));
        if self.has_background() {
            self.erase_cells(n);
        }
        self.damage.span(row, row);
    }

    /// DCH.
    pub(super) fn delete_cells(&mut self, n: u16) {
        self.end_wrap();
        let (row, col) = self.pos();
        if self.has_sides() {
            if (self.left..=self.right).contains(&col) {
                self.shift_between_sides(n, true);
            }
            return;
        }
        let n = n.min(self.size.cols() - col);
        self.spend_rows(1);
        self.free_half(row, col);
        self.free_half(row, col + n);
        self.engine_mut().put(format_args!("\x1b[{n}P"));
        if self.has_background() {
            self.erase_span(row, self.size.cols() - n, self.last_col());
        }
        self.damage.span(row, row);
    }

    /// SL and SR, DECDC and DECIC: shifts the columns of every row within the margins, from a column on.
    pub(super) fn shift_columns(&mut self, from: u16, n: u16, is_left: bool) {
        if !self.is_in_margins() {
            return;
        }
        let (row, col) = self.pos();
        for line in self.top..=self.bottom {
            self.go(line, from);
            if is_left { self.delete_cells(n) } else { self.insert_cells(n) }
        }
        self.go(row, col);
    }

    /// Whether the cursor is within the scrolling region.
    pub(in crate::term) fn is_in_margins(&self) -> bool {
        let (row, col) = self.pos();
        (self.top..=self.bottom).contains(&row) && (self.left..=self.right).contains(&col)
    }

    /// Fills rows that were scrolled or inserted in.
    fn fill_rows(&mut self, first: u16, count: u16) {
        if !self.has_background() {
            return;
        }
        let (end, last_col) = (first.saturating_add(count).min(self.size.rows()), self.last_col());
        self.erase_spans((first..end).map(|row| (row, 0, last_col)));
    }

    /// Whether rows are known to be blank in the pen's background: moving them changes nothing.
    fn is_blank_between(&self, first: u16, last: u16) -> bool {
        Filled::stale(self.damage.filled(), Fill::Blank(self.pen.style.bg), first, last).is_none()
    }

    /// IL.
    pub(super) fn insert_lines(&mut self, n: u16) {
        if !self.is_in_margins() {
            return;
        }
        self.end_wrap();
        let (row, bottom) = (self.pos().0, self.bottom);
        let n = n.min(bottom - row + 1);
        if self.is_blank_between(row, bottom) {
            return self.carriage_return();
        }
        self.spend_blank_rows(n);
        if self.has_sides() {
            self.scroll_between_sides(row, bottom, n, false);
        } else {
            self.engine_mut().put(format_args!("\x1b[{n}L"));
            self.fill_rows(row, n);
            self.damage.span(row, bottom);
        }
        self.carriage_return();
    }

    /// DL.
    pub(super) fn delete_lines(&mut self, n: u16) {
        if !self.is_in_margins() {
            return;
        }
        self.end_wrap();
        let (row, bottom) = (self.pos().0, self.bottom);
        let n = n.min(bottom - row + 1);
        if self.is_blank_between(row, bottom) {
            return self.carriage_return();
        }
        self.spend_blank_rows(n);
        if self.has_sides() {
            self.scroll_between_sides(row, bottom, n, true);
        } else {
            self.engine_mut().put(format_args!("\x1b[{n}M"));
            self.fill_rows(bottom + 1 - n, n);
            self.damage.span(row, bottom);
        }
        self.carriage_return();
    }

    /// SU; rows leaving the top of the primary screen enter the history.
    pub(super) fn scroll_up(&mut self, n: u16) {
        let n = n.min(self.bottom - self.top + 1);
        self.spend_blank_rows(n);
        if self.has_sides() {
            self.scroll_between_sides(self.top, self.bottom, n, true);
            return;
        }
        self.write_scrolling(format!("\x1b[{n}S").as_bytes(), n);
        self.fill_rows(self.bottom + 1 - n, n);
        self.note_scrolled();
    }

    /// After the rows within the margins moved up: what is not noted yet by whoever wrote.
    fn note_scrolled(&mut self) {
        let is_noted = (self.top, self.bottom) == (0, self.last_row()) && !self.is_alternate && !self.has_background();
        if !is_noted {
            self.damage.all();
        }
    }

    /// SD.
    pub(super) fn scroll_down(&mut self, n: u16) {
        let n = n.min(self.bottom - self.top + 1);
        if self.is_blank_between(self.top, self.bottom) {
            return;
        }
        self.spend_blank_rows(n);
        if self.has_sides() {
            self.scroll_between_sides(self.top, self.bottom, n, false);
            return;
        }
        self.engine_mut().put(format_args!("\x1b[{n}T"));
        self.fill_rows(self.top, n);
        self.damage.all();
    }

    /// IND: down, scrolling at the bottom margin.
    pub(super) fn index(&mut self) {
        self.end_wrap();
        let row = self.pos().0;
        if row == self.bottom && self.has_sides() {
            if self.is_in_margins() {
                self.scroll_up(1);
            }
            return;
        }
        if row == self.bottom {
            self.write_scrolling(b"\n", 1);
        } else {
            self.write(b"\n");
        }
        if row == self.bottom {
            self.fill_rows(row, 1);
            self.note_scrolled();
        }
    }

    /// RI: up, scrolling at the top margin.
    pub(super) fn reverse_index(&mut self) {
        if self.pos().0 == self.top {
            self.end_wrap();
            if self.is_in_margins() {
                self.scroll_down(1);
            }
        } else {
            self.up(1);
        }
    }

    /// DECBI (`6`) and DECFI (`9`), so many times: left or right, shifting the columns the other way at the margin.
    pub(in crate::term) fn column_index(&mut self, byte: u8, times: usize) {
        self.last_char = None;
        let is_back = byte == b'6';
        let mut left = times;
        // To the margin step by step, or as far as the cursor goes.
        while left > 0 {
            let col = self.pos().1;
            if col == if is_back { self.left } else { self.right } && self.is_in_margins() {
                return self.shift_columns(self.left, u16::try_from(left).unwrap_or(u16::MAX), !is_back);
            }
            if is_back {
                self.left(1)
            } else {
                self.right(1)
            }
            left -= 1;
            if self.pos().1 == col {
                return;
            }
        }
    }

    /// After a character wrapped into a row that scrolled in: the rest of it takes the background.
    pub(super) fn fill_behind_cursor(&mut self) {
        let (row, col) = self.engine().pos();
        if self.has_background() && col < self.size.cols() {
            self.erase_span(row, col, self.last_col());
        }
    }
}

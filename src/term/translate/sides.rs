//! Left and right margins (DECLRMM and DECSLRM).
//!
//! The engine knows none: while they leave out a column, text is printed character by character, rectangles are
//! moved cell by cell, and a wrap that is pending at the right margin is ours to remember.

use super::Term;
use crate::term::marks;
use std::ops::{Range, RangeInclusive};

impl Term {
    /// Whether the margins leave out a column.
    pub(in crate::term) fn has_sides(&self) -> bool {
        (self.left, self.right) != (0, self.last_col())
    }

    /// Mode 69; the margins are the screen's edges before and after.
    pub(super) fn sides_mode(&mut self, on: bool) {
        self.modes.sides = on;
        self.reset_sides();
    }

    pub(super) fn reset_sides(&mut self) {
        (self.left, self.right) = (0, self.last_col());
        self.is_wrap_at_side = false;
    }

    /// DECSLRM, one-based; `right` 0 is the last column. Bad margins are ignored.
    pub(super) fn sides(&mut self, left: u16, right: u16) {
        let cols = self.size.cols();
        let right = if right == 0 { cols } else { right.min(cols) };
        if left >= right {
            return;
        }
        (self.left, self.right) = (left - 1, right - 1);
        self.to(0, 0);
    }

    /// The last column that text or a motion from this column reaches.
    pub(super) fn right_edge(&self, col: u16) -> u16 {
        if col <= self.right { self.right } else { self.last_col() }
    }

    /// The first column that a motion from this column reaches.
    pub(super) fn left_edge(&self, col: u16) -> u16 {
        if col >= self.left { self.left } else { 0 }
    }

    /// Puts the cursor on the right margin with a wrap pending there.
    pub(super) fn wrap_at_side(&mut self, row: u16) {
        self.go(row, self.right);
        self.is_wrap_at_side = true;
    }

    /// Prints one character of a width.
    pub(super) fn print_between_sides(&mut self, c: char, width: u16) {
        let (row, col) = self.pos();
        let last = col + (width - 1);
        let fits = last <= self.right_edge(col);
        if self.modes.autowrap && (self.is_wrap_pending() || !fits) {
            self.carriage_return();
            self.index();
        } else {
            self.go(row, if fits { col } else { self.right_edge(col) + 1 - width });
        }
        if self.modes.insert {
            let (row, col) = self.pos();
            // At the edge nothing is pushed aside that is not printed over.
            if col + (width - 1) < self.right_edge(col) {
                self.insert_cells(width);
            } else {
                self.free_half(row, col);
            }
        }
        let (row, col) = self.pos();
        let mut bytes = Vec::with_capacity(12);
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        if let Some(mark) = self.mark {
            marks::push_marks(&mut bytes, mark);
        }
        self.write(&bytes);
        self.stop_at_side(row, col);
        self.last_char = Some(c);
        self.damage.span(row, row);
    }

    /// After text from a column on: the cursor goes no further than the edge.
    pub(super) fn stop_at_side(&mut self, row: u16, from: u16) {
        let (edge, col) = (self.right_edge(from), self.engine().pos().1);
        if col > edge && !self.modes.autowrap {
            self.go(row, edge);
        } else if col > edge && edge < self.last_col() {
            self.wrap_at_side(row);
        }
    }

    /// ICH and DCH: shifts the cells from the cursor to the right margin.
    pub(super) fn shift_between_sides(&mut self, n: u16, is_left: bool) {
        let ((row, col), right) = (self.pos(), self.right);
        let n = n.min(right - col + 1);
        // No wide character lies across an end of what moves, or of what goes.
        for cut in [col, right + 1, if is_left { col + n } else { right + 1 - n }] {
            self.free_half(row, cut);
        }
        let mut cells = self.cells(row, col..right + 1);
        let at = if is_left {
            cells.drain(..usize::from(n));
            col
        } else {
            cells.truncate(usize::from(right - col + 1 - n));
            col + n
        };
        self.engine_mut().paint(row, at, &cells);
        self.set_pen();
        self.go(row, col);
        self.erase_span(row, if is_left { right + 1 - n } else { col }, if is_left { right } else { col + n - 1 });
        self.damage.span(row, row);
    }

    /// Moves the rows between the sides, from one row to another, up or down; blank ones come in.
    pub(super) fn scroll_between_sides(&mut self, top: u16, bottom: u16, n: u16, is_up: bool) {
        let (row, col) = self.pos();
        for line in top..=bottom {
            self.free_half(line, self.left);
            self.free_half(line, self.right + 1);
        }
        let (left, right, cols) = (self.left, self.right, self.size.cols());
        // Between narrow margins there is less to move than to look at outside of them.
        let blanks = if right - left >= cols / 4 && self.has_less_outside(top, bottom, n) {
            self.scroll_whole_rows(top, bottom, n, is_up)
        } else {
            self.scroll_cells(top, bottom, n, is_up)
        };
        self.set_pen();
        self.go(row, col);
        self.erase_spans(blanks.map(|line| (line, left, right)));
        self.damage.span(top, bottom);
    }

    /// Whether fewer cells change outside of the sides than between them.
    fn has_less_outside(&mut self, top: u16, bottom: u16, n: u16) -> bool {
        self.spend_rows(bottom - top + 1);
        let (left, right, cols) = (self.left, self.right, self.size.cols());
        let outside = self.changes(top, bottom, n, 0..left) + self.changes(top, bottom, n, right + 1..cols);
        outside < self.changes(top, bottom, n, left..right + 1)
    }

    /// How many cells of some columns differ from those so many rows below, which take their place or whose place they take.
    fn changes(&self, top: u16, bottom: u16, n: u16, cols: Range<u16>) -> usize {
        let differ = |line: u16, col: u16| self.engine().raw(line, col) != self.engine().raw(line + n, col);
        (top..(bottom + 1 - n).max(top)).map(|line| cols.clone().filter(|&col| differ(line, col)).count()).sum()
    }

    /// Moves whole rows and puts back what is outside of the sides, which is less; says which rows came in.
    fn scroll_whole_rows(&mut self, top: u16, bottom: u16, n: u16, is_up: bool) -> RangeInclusive<u16> {
        let (left, right) = (self.left, self.right);
        self.spend_painted_rows(bottom - top + 1);
        let outside: Vec<_> = (top..=bottom)
            .map(|line| (line, self.cells(line, 0..left), self.cells(line, right + 1..self.size.cols())))
            .collect();
        let engine = self.engine_mut();
        engine.go(top, 0);
        engine.put(format_args!("\x1b[{n}{}", if is_up { 'M' } else { 'L' }));
        for (line, before, behind) in &outside {
            engine.paint(*line, 0, before);
            engine.paint(*line, right + 1, behind);
        }
        if is_up { bottom + 1 - n..=bottom } else { top..=top + n - 1 }
    }

    /// Moves cell by cell; says which rows come in.
    fn scroll_cells(&mut self, top: u16, bottom: u16, n: u16, is_up: bool) -> RangeInclusive<u16> {
        // Painted one by one, which is dear.
        self.spend(usize::from(bottom - top + 1) * usize::from(self.right - self.left + 1) * 2);
        let rows: Vec<_> = (top..=bottom).map(|line| self.cells(line, self.left..self.right + 1)).collect();
        let left = self.left;
        let kept = usize::from(bottom + 1 - top - n);
        let (moved, first) = if is_up { (&rows[rows.len() - kept..], top) } else { (&rows[..kept], top + n) };
        for (cells, line) in moved.iter().zip(first..) {
            self.engine_mut().paint(line, left, cells);
        }
        if is_up { bottom + 1 - n..=bottom } else { top..=top + n - 1 }
    }

    /// Copies of cells of a row.
    fn cells(&self, row: u16, cols: Range<u16>) -> Vec<vt100::Cell> {
        cols.filter_map(|col| self.engine().raw(row, col).cloned()).collect()
    }
}

//! Cursor motion, tabs, margins, and saving and restoring the cursor.

use super::{Saved, Term};

impl Term {
    /// Moves within the screen; a pending wrap is over.
    pub(in crate::term) fn go(&mut self, row: u16, col: u16) {
        self.is_wrap_at_side = false;
        let (row, col) = (row.min(self.last_row()), col.min(self.last_col()));
        if self.engine().pos() != (row, col) {
            self.pen_engine().go(row, col);
        }
    }

    /// Moves to a row and column counted from the origin.
    pub(super) fn to(&mut self, row: u16, col: u16) {
        let (row, col) = (self.row_of(row), self.col_of(col));
        self.go(row, col);
    }

    pub(super) fn row_to(&mut self, row: u16) {
        self.go(self.row_of(row), self.pos().1);
    }

    pub(super) fn col_to(&mut self, col: u16) {
        self.go(self.pos().0, self.col_of(col));
    }

    /// The row that is so many from the origin.
    fn row_of(&self, row: u16) -> u16 {
        if self.modes.origin { row.saturating_add(self.top).min(self.bottom) } else { row }
    }

    /// The column that is so many from the origin.
    fn col_of(&self, col: u16) -> u16 {
        if self.modes.origin { col.saturating_add(self.left).min(self.right) } else { col }
    }

    /// To the left margin, or to the first column from left of it; in origin mode always to the margin.
    pub(super) fn carriage_return(&mut self) {
        let (row, col) = self.pos();
        self.go(row, if self.modes.origin { self.left } else { self.left_edge(col) });
    }

    /// Up, stopping at the top margin if the cursor is not above it.
    pub(super) fn up(&mut self, n: u16) {
        let (row, col) = self.pos();
        let limit = if row >= self.top { self.top } else { 0 };
        self.go(row.saturating_sub(n).max(limit), col);
    }

    /// Down, stopping at the bottom margin if the cursor is not below it.
    pub(super) fn down(&mut self, n: u16) {
        let (row, col) = self.pos();
        let limit = if row <= self.bottom { self.bottom } else { self.last_row() };
        self.go(row.saturating_add(n).min(limit), col);
    }

    /// VPR and VPB: rows down or up, heedless of the margins unless they are the origin.
    pub(super) fn row_by(&mut self, n: i32) {
        let (row, col) = self.pos();
        let (first, last) = if self.modes.origin { (self.top, self.bottom) } else { (0, self.last_row()) };
        let row = (i32::from(row) + n).clamp(i32::from(first), i32::from(last));
        self.go(row as u16, col);
    }

    pub(super) fn right(&mut self, n: u16) {
        let (row, col) = self.pos();
        self.go(row, col.saturating_add(n).min(self.right_edge(col)));
    }

    pub(super) fn left(&mut self, n: u16) {
        let (row, col) = self.pos();
        self.go(row, col.saturating_sub(n).max(self.left_edge(col)));
    }

    /// BS and CUB; with reverse wrap a pending wrap is the first step, and from the edge it goes on at the right margin
    /// of the row above, from the first row of the last one.
    pub(super) fn back(&mut self, n: u16) {
        if !(self.modes.reverse_wrap && self.modes.autowrap) {
            self.left(n);
            return;
        }
        let (mut row, mut col) = self.pos();
        let mut n = n - u16::from(self.is_wrap_pending()).min(n);
        // Once within the margins the way goes round and round: whole rounds lead nowhere.
        let width = u32::from(self.right - self.left) + 1;
        let round = (u32::from(self.bottom - self.top) + 1) * width;
        let approach = u32::from(self.size.cols()) + u32::from(self.size.rows()) * width;
        if u32::from(n) > approach {
            n = (approach + (u32::from(n) - approach) % round) as u16;
        }
        loop {
            self.spend(1);
            let step = n.min(col - self.left_edge(col));
            (col, n) = (col - step, n - step);
            if n == 0 {
                break;
            }
            let (first, last) = if row == self.top { (self.top, self.bottom) } else { (0, self.last_row()) };
            row = if row == first { last } else { row - 1 };
            (col, n) = (self.right, n - 1);
        }
        self.go(row, col);
    }

    /// HT and CHT; a pending wrap stays.
    pub(super) fn tab_forward(&mut self, n: u16) {
        if self.is_wrap_pending() {
            return;
        }
        let (row, mut col) = self.pos();
        let edge = self.right_edge(col);
        for _ in 0..n {
            if col >= edge {
                break;
            }
            col = self.tabs.next(col);
            self.spend(1);
        }
        self.go(row, col.min(edge));
    }

    /// CBT.
    pub(super) fn tab_back(&mut self, n: u16) {
        let (row, mut col) = self.pos();
        for _ in 0..n {
            if col == 0 {
                break;
            }
            col = self.tabs.previous(col);
            self.spend(1);
        }
        self.go(row, if self.modes.origin { col.max(self.left) } else { col });
    }

    /// DECSTBM, one-based; `bottom` 0 is the last row. Bad margins are ignored.
    pub(super) fn margins(&mut self, top: u16, bottom: u16) {
        let rows = self.size.rows();
        let bottom = if bottom == 0 { rows } else { bottom.min(rows) };
        if top >= bottom {
            return;
        }
        (self.top, self.bottom) = (top - 1, bottom - 1);
        self.set_margins();
        self.to(0, 0);
    }

    /// DECSC.
    pub(super) fn save_cursor(&mut self) {
        let (row, col) = self.pos();
        self.saved[usize::from(self.is_alternate)] = Saved {
            row,
            col,
            is_wrap_pending: self.is_wrap_pending(),
            pen: self.pen.clone(),
            charsets: self.charsets,
            is_origin: self.modes.origin,
        };
    }

    /// DECRC; without a save, home and defaults.
    pub(super) fn restore_cursor(&mut self) {
        let saved = self.saved[usize::from(self.is_alternate)].clone();
        self.charsets = saved.charsets;
        self.modes.origin = saved.is_origin;
        self.change_pen(|pen| *pen = saved.pen);
        let (mut row, mut col) = (saved.row, saved.col);
        if self.modes.origin {
            (row, col) = (row.clamp(self.top, self.bottom), col.clamp(self.left, self.right));
        }
        self.go(row, col);
        if saved.is_wrap_pending && col == self.right_edge(col) {
            self.force_wrap_pending();
        }
    }

    /// Makes a wrap pending: at the right margin, or with the cursor past the last column of its row, leaving the cells as they are.
    pub(in crate::term) fn force_wrap_pending(&mut self) {
        if self.is_wrap_pending() {
            return;
        }
        let ((row, col), last) = (self.pos(), self.last_col());
        if col == self.right && col < last {
            self.is_wrap_at_side = true;
            return;
        }
        let first = if self.engine().width(row, last) == 0 { last - 1 } else { last };
        let cells: Vec<_> = (first..=last).filter_map(|col| self.engine().raw(row, col).cloned()).collect();
        let engine = self.engine_mut();
        engine.go(row, last);
        engine.write(b" \x1b7");
        engine.paint(row, first, &cells);
        engine.write(b"\x1b8");
        self.set_pen();
    }

    /// DECSCUSR.
    pub(super) fn cursor_style(&mut self, style: u16) {
        use crate::term::CursorShape;
        let (shape, blink) = match style {
            0 => (CursorShape::Default, false),
            1 | 2 => (CursorShape::Block, style == 1),
            3 | 4 => (CursorShape::Underline, style == 3),
            5 | 6 => (CursorShape::Bar, style == 5),
            _ => return,
        };
        (self.modes.cursor_shape, self.modes.cursor_blink) = (shape, blink);
    }
}

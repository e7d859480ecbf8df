//! [`Flow`]: the rows of a grid laid out for another width, as printing their lines at that width would have them.

use super::rows::Grid;
use crate::term::engine::{Engine, is_blank, style_of, width_of};
use crate::term::history::{LineBuf, Look};
use crate::term::marks::{self, Marks};
use std::ops::{Range, RangeInclusive};

/// A place to keep track of: a row and a column, which equals the width behind a full row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) col: u16,
}

/// Rows of cells that a grid holds.
pub(super) struct Flow<'a> {
    cols: u16,
    cells: Vec<&'a vt100::Cell>,
    /// Where each row's cells end, and whether it continues on the next one.
    rows: Vec<(usize, bool)>,
    /// Which row of these is the first one of a screen.
    pub(super) top: usize,
}

impl<'a> Flow<'a> {
    /// Lays out the rows of a grid; the places move along.
    pub(super) fn new(engine: &'a Engine, cols: u16, places: &mut [Place]) -> Flow<'a> {
        let mut flow = Flow { cols, cells: Vec::new(), rows: Vec::new(), top: 0 };
        let (rows, before) = (engine.size().rows(), places.to_vec());
        let mut first = 0;
        while first < rows {
            let last = (first..rows - 1).find(|&row| !engine.is_wrapped(row)).unwrap_or(rows - 1);
            let here =
                places.iter_mut().zip(&before).filter(|(_, was)| (first.into()..=last.into()).contains(&was.row));
            flow.lay(engine, first..=last, here.map(|(place, _)| place).collect());
            first = last + 1;
        }
        flow
    }

    /// Lays out the rows of one line.
    fn lay(&mut self, engine: &'a Engine, rows: RangeInclusive<u16>, mut places: Vec<&mut Place>) {
        let width = engine.size().cols();
        let (first, last) = (usize::from(*rows.start()), *rows.end());
        let offset_of = |place: &Place| (place.row - first) * usize::from(width) + usize::from(place.col);
        let offsets: Vec<_> = places.iter().map(|place| offset_of(place)).collect();
        let end = text_end(engine, last);
        let row = |row: u16, cols: Range<u16>| cols.filter_map(move |col| engine.raw(row, col));
        let (mut col, mut count) = (0, 0);
        for cell in (*rows.start()..last).flat_map(|above| row(above, 0..width)).chain(row(last, 0..end)) {
            if col + u16::from(width_of(cell)).max(1) > self.cols {
                self.end_row(col == self.cols);
                col = 0;
            }
            for (place, _) in places.iter_mut().zip(&offsets).filter(|(_, offset)| **offset == count) {
                **place = Place { row: self.rows.len(), col };
            }
            self.cells.push(cell);
            (col, count) = (col + 1, count + 1);
        }
        for (place, &offset) in places.iter_mut().zip(&offsets).filter(|(_, offset)| **offset >= count) {
            // Behind the text: a place for more of it, or one a program went to.
            let most = if offset == count { self.cols } else { self.cols - 1 };
            let behind = usize::from(col).saturating_add(offset - count).min(most.into());
            **place = Place { row: self.rows.len(), col: behind as u16 };
        }
        // What has only a background is not worth a row.
        let filled = self.cells.len();
        self.cells.extend(row(last, end..width).take(usize::from(self.cols - col)));
        let kept = self.cells[filled..].iter().rposition(|cell| cell.has_contents()).map_or(0, |at| at + 1);
        self.cells.truncate(filled + kept);
        self.end_row(false);
    }

    fn end_row(&mut self, is_wrapped: bool) {
        let is_full = self.cells.last().is_some_and(|cell| cell.has_contents() || cell.is_wide_continuation());
        self.rows.push((self.cells.len(), is_wrapped && is_full));
    }

    /// The cells of a row, up to the last one worth drawing.
    fn cells(&self, row: usize) -> &[&'a vt100::Cell] {
        let end = self.rows.get(row).map_or(self.cells.len(), |row| row.0);
        let start = row.checked_sub(1).and_then(|row| self.rows.get(row)).map_or(0, |row| row.0);
        &self.cells[start.min(end)..end]
    }

    /// Rows that leave the top of a screen of so many: as many as the text needs, but never the cursor's.
    pub(super) fn lift(&self, cursor: usize, rows: u16) -> usize {
        let text = (0..self.rows.len()).rev().find(|&row| self.cells(row).iter().any(|cell| !is_blank(cell)));
        let excess = |needed: usize| needed.saturating_sub(rows.into());
        excess(text.map_or(0, |row| row + 1)).min(cursor).max(excess(cursor + 1))
    }

    /// Reads a row as it enters the history.
    pub(super) fn read(&self, row: usize, marks: &Marks, line: &mut LineBuf) {
        line.clear();
        line.is_wrapped = self.rows.get(row).is_some_and(|row| row.1);
        let mut scratch = String::new();
        for cell in self.cells(row).iter().filter(|cell| !cell.is_wide_continuation()) {
            if !cell.has_contents() {
                line.pad(1);
                continue;
            }
            let (style, mark) = style_of(cell, marks);
            let link = mark.and_then(|index| marks.get(index)).and_then(|extra| extra.link.clone());
            let text = if is_blank(cell) { " " } else { marks::clean(cell.contents(), &mut scratch) };
            line.text.extend_from_slice(text.as_bytes());
            line.cover(&Look { style, link }, text.len());
        }
        line.fill_blanks();
    }
}

/// The column behind the text of a row.
fn text_end(engine: &Engine, row: u16) -> u16 {
    let is_text = |cell: &vt100::Cell| !is_blank(cell) || cell.is_wide_continuation();
    (0..engine.size().cols()).rev().find(|&col| engine.raw(row, col).is_some_and(is_text)).map_or(0, |col| col + 1)
}

impl Grid for Flow<'_> {
    fn cell(&self, row: u16, col: u16) -> Option<&vt100::Cell> {
        self.cells(self.top + usize::from(row)).get(usize::from(col)).copied()
    }

    fn is_wrapped(&self, row: u16) -> bool {
        self.rows.get(self.top + usize::from(row)).is_some_and(|row| row.1)
    }

    fn rows(&self) -> u16 {
        (self.rows.len() - self.top).min(u16::MAX.into()) as u16
    }

    fn cols(&self) -> u16 {
        self.cols
    }
}

//! Rows on their way out of the engine: into the history, or into an engine of another size.

use super::Term;
use super::flow::{Flow, Place};
use crate::fleet::Size;
use crate::term::damage::{Fill, Filled};
use crate::term::engine::{Engine, attrs_of, is_blank, width_of};
use crate::term::history::{LineBuf, Look};
use crate::term::marks::{self, Marks};
use crate::term::params::Params;
use crate::term::pen;
use crate::term::types::{Color, Style};
use std::io::Write as _;

impl Term {
    /// Takes the rows that left the top into the history.
    pub(super) fn collect_rows(&mut self) {
        let (marks, history, line) = (&self.marks, &mut self.history, &mut self.line);
        let engine = match &mut self.alternate {
            Some(alternate) if self.is_alternate => alternate,
            _ => &mut self.primary,
        };
        engine.take_rows(|text, is_wrapped| {
            line.clear();
            read_row(text, marks, line);
            line.is_wrapped = is_wrapped;
            history.push(line);
        });
    }

    /// Writes what makes at most `count` of the topmost rows leave, none of which the bytes themselves change.
    pub(super) fn write_scrolling(&mut self, bytes: &[u8], count: u16) {
        if self.is_alternate || self.top > 0 {
            self.write(bytes);
            return;
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.resize_with(lines.len().max(count.into()), LineBuf::default);
        lines[..usize::from(count)].iter_mut().for_each(LineBuf::clear);
        // Rows that are known to be blank need no reading.
        let blank = Fill::Blank(Color::Default);
        if let Some((first, last)) = Filled::stale(self.damage.filled(), blank, 0, count.saturating_sub(1)) {
            self.spend_rows(last - first + 1);
            let texts = self.primary.formatted_rows().skip(first.into());
            for ((row, text), line) in (first..=last).zip(texts).zip(&mut lines[first.into()..]) {
                read_row(&text, &self.marks, line);
                line.is_wrapped = self.primary.is_wrapped(row);
            }
        }
        let left = self.primary.write_counting(bytes).min(count.into());
        lines[..left].iter().for_each(|line| self.history.push(line));
        self.lines = lines;
        self.settle();
        if left > 0 && self.bottom == self.last_row() {
            self.damage.scrolled(left as u16);
        } else if left > 0 {
            self.damage.all();
        }
    }

    /// Changes the size. Lines of the primary screen are laid out for the new width; what does not fit goes from the
    /// top into the history, but never the cursor's row. The alternate screen is cut or filled: its programs draw anew.
    pub(in crate::term) fn resize(&mut self, size: Size) {
        if size == self.size {
            return;
        }
        self.keep_work();
        self.spend_rows(self.size.rows());
        let mut place = self.resize_primary(size);
        if let Some(alternate) = &self.alternate {
            let (row, col) = alternate.pos();
            let lift = (row + 1).saturating_sub(size.rows());
            let saved = &mut self.saved[1];
            // A pending wrap becomes a place behind the character where there is room for it.
            saved.col = (saved.col + u16::from(saved.is_wrap_pending)).min(size.cols() - 1);
            saved.row = saved.row.saturating_sub(lift).min(size.rows() - 1);
            saved.is_wrap_pending = false;
            self.alternate = Some(resized(alternate, size, lift));
            if self.is_alternate {
                place = (row - lift, col.min(size.cols() - 1));
            }
        }
        self.scrolled = 0;
        self.hidden_fill = None;
        self.size = size;
        self.spend_rows(size.rows());
        self.tabs.resize(size.cols());
        (self.top, self.bottom) = (0, size.rows() - 1);
        self.reset_sides();
        self.engine_mut().go(place.0, place.1.min(size.cols() - 1));
        if place.1 == size.cols() && self.modes.autowrap {
            self.force_wrap_pending();
        }
        self.set_pen();
        self.damage.all();
    }

    /// Lays out the primary screen, with what was saved there; says where its cursor is then.
    fn resize_primary(&mut self, size: Size) -> (u16, u16) {
        let (row, col) = self.primary.pos();
        let saved = &mut self.saved[0];
        let saved_place = Place { row: saved.row.into(), col: saved.col + u16::from(saved.is_wrap_pending) };
        let mut places = [Place { row: row.into(), col }, saved_place];
        let mut flow = Flow::new(&self.primary, size.cols(), &mut places);
        flow.top = flow.lift(places[0].row, size.rows());
        for row in 0..flow.top {
            flow.read(row, &self.marks, &mut self.line);
            self.history.push(&self.line);
        }
        let [(row, col), (saved_row, saved_col)] = places
            .map(|place| (place.row.saturating_sub(flow.top).min(usize::from(size.rows()) - 1) as u16, place.col));
        (saved.row, saved.col) = (saved_row, saved_col.min(size.cols() - 1));
        saved.is_wrap_pending = saved_col == size.cols();
        let mut new = Engine::new(size, true);
        paint_cells(&mut new, &flow, 0..flow.rows().min(size.rows()));
        new.go(row, col.min(size.cols() - 1));
        self.primary = new;
        (row, col)
    }
}

/// A new engine with the rows of another one from `skip` on, cut on the right.
fn resized(old: &Engine, size: Size, skip: u16) -> Engine {
    let mut new = Engine::new(size, false);
    let rows = old.rows().saturating_sub(skip).min(size.rows());
    paint_cells(&mut new, old, skip..skip + rows);
    let (row, col) = old.pos();
    new.go((row - skip.min(row)).min(size.rows() - 1), col.min(size.cols() - 1));
    new
}

/// Draws the cells of rows as they are.
fn paint_cells(new: &mut Engine, old: &impl Grid, rows: std::ops::Range<u16>) {
    let mut out = Vec::new();
    let mut attrs = None;
    paint_grid(
        &mut out,
        old,
        rows,
        new.size().cols(),
        &mut |out, cell| {
            let wanted = cell.map(attrs_of).unwrap_or_default();
            if attrs != Some(wanted) {
                wanted.write_sgr(out);
                attrs = Some(wanted);
            }
        },
        &mut |out, cell| {
            out.extend_from_slice(cell.contents().as_bytes());
            true
        },
    );
    new.write(&out);
}

/// Rows of cells to paint from.
pub(in crate::term) trait Grid {
    /// A cell, if there is one so far to the right.
    fn cell(&self, row: u16, col: u16) -> Option<&vt100::Cell>;
    /// Whether a row continues on the next one.
    fn is_wrapped(&self, row: u16) -> bool;
    fn rows(&self) -> u16;
    fn cols(&self) -> u16;
}

impl Grid for Engine {
    fn cell(&self, row: u16, col: u16) -> Option<&vt100::Cell> {
        self.raw(row, col)
    }

    fn is_wrapped(&self, row: u16) -> bool {
        Engine::is_wrapped(self, row)
    }

    fn rows(&self) -> u16 {
        self.size().rows()
    }

    fn cols(&self) -> u16 {
        self.size().cols()
    }
}

/// Writes the rows of a grid as sequences for a blank one: `look` switches to a cell's attributes or the default, `text` writes its
/// characters and tells whether the cursor is behind them. Rows that continue on the next are written so that they do there.
pub(in crate::term) fn paint_grid(
    out: &mut Vec<u8>,
    grid: &impl Grid,
    rows: std::ops::Range<u16>,
    cols: u16,
    look: &mut dyn FnMut(&mut Vec<u8>, Option<&vt100::Cell>),
    text: &mut dyn FnMut(&mut Vec<u8>, &vt100::Cell) -> bool,
) {
    let cols = cols.min(grid.cols());
    let is_same_width = cols == grid.cols();
    let mut is_continued = false;
    for row in rows.clone() {
        let at_row = u32::from(row - rows.start) + 1;
        // Where the cursor is, if it is on this row.
        let mut here = None;
        if is_continued {
            if grid.cell(row, 0).is_some_and(|cell| !is_blank(cell)) {
                here = Some(0);
            } else {
                // Something must go there for the row above to continue.
                out.push(b' ');
                look(out, None);
                let _ = write!(out, "\x1b[{at_row};1H\x1b[X");
            }
        }
        let mut col = 0;
        while col < cols {
            let Some(cell) = grid.cell(row, col) else { break };
            let width = u16::from(width_of(cell)).max(1);
            let is_cut = width == 2 && col + 1 >= cols;
            if !cell.has_contents() || is_cut {
                col += 1;
                continue;
            }
            if here != Some(col) {
                let _ = write!(out, "\x1b[{at_row};{}H", col + 1);
            }
            look(out, Some(cell));
            // What is erased leaves the cursor where it is, or moves it: better not to rely on it.
            here = if text(out, cell) { Some(col + width) } else { None };
            col += width;
        }
        let is_wrapped = is_same_width && row + 1 < rows.end && grid.is_wrapped(row);
        is_continued = is_wrapped && here == Some(cols);
        if is_wrapped && !is_continued && grid.cell(row, cols - 1).is_some_and(|cell| cell.has_contents()) {
            // A wide character did not fit behind an erased last column, and shall not again.
            look(out, None);
            let _ = write!(out, "\x1b[{at_row};{cols}H漢\x1b[{};1H\x1b[2X", at_row + 1);
        }
    }
}

/// Reads a row as the engine hands it out, text with SGR and steps over blank cells, into a line.
fn read_row(text: &str, marks: &Marks, line: &mut LineBuf) {
    let mut style = Style::default();
    let mut blanks = 0;
    let mut rest = text;
    loop {
        let end = memchr::memchr(0x1b, rest.as_bytes()).unwrap_or(rest.len());
        read_piece(&rest[..end], &style, marks, line, &mut blanks);
        let Some(sequence) = rest[end..].strip_prefix("\x1b[") else { return };
        let Some(length) = sequence.bytes().position(|byte| byte.is_ascii_alphabetic()) else { return };
        let params = Params::parse(&sequence.as_bytes()[..length]);
        match sequence.as_bytes()[length] {
            b'm' => {
                // Bold and dim exclude each other in vt100, which then does not say that the other one ends.
                let mut set = Style::default();
                pen::apply_sgr(&mut set, &params);
                style.bold &= !set.dim;
                style.dim &= !set.bold;
                pen::apply_sgr(&mut style, &params);
            }
            b'C' => blanks += usize::from(params.get_or(0, 1)),
            // What is erased in passing is blank, and what is erased at the end is left out.
            _ => {}
        }
        rest = &sequence[length + 1..];
    }
}

/// Adds blank cells that something follows; those at the end of a line are left out.
fn add_blanks(line: &mut LineBuf, blanks: &mut usize) {
    if *blanks > 0 {
        line.text.resize(line.text.len() + *blanks, b' ');
        line.cover(&Look::default(), *blanks);
        *blanks = 0;
    }
}

/// Adds text of one vt100 style, taking out the marks; NULs are blank cells, whatever their style.
fn read_piece(text: &str, style: &Style, marks: &Marks, line: &mut LineBuf, blanks: &mut usize) {
    if text.is_empty() {
        return;
    }
    if !text.bytes().any(|byte| byte >= 0xF3 || byte == 0) {
        add_blanks(line, blanks);
        line.text.extend_from_slice(text.as_bytes());
        line.cover(&Look { style: *style, link: None }, text.len());
        return;
    }
    let mut scratch = String::new();
    for (cluster, _) in crate::term::history::clusters(text) {
        let mut look = Look { style: *style, link: None };
        let cluster = match cluster {
            "\0" => {
                *blanks += 1;
                continue;
            }
            marks::ERASED_TEXT => " ",
            cluster => {
                if let Some(extra) = marks::index_of(cluster).and_then(|index| marks.get(index)) {
                    extra.apply(&mut look.style);
                    look.link = extra.link.clone();
                }
                marks::clean(cluster, &mut scratch)
            }
        };
        add_blanks(line, blanks);
        line.text.extend_from_slice(cluster.as_bytes());
        line.cover(&look, cluster.len());
    }
}

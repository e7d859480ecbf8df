//! vt100 as a grid of cells: the few sequences it does right, behind a guard that a panic cannot pass.
//!
//! The engine is always on its own primary grid with no scrollback, in no mode; margins are the only state it shares
//! with us. Its save slot is ours to use as scratch. Rows leaving its top are kept as text until collected.

use super::marks::{self, Marks};
use super::pen::Attrs;
use super::types::{Color, Style, Underline};
use crate::fleet::Size;
use std::fmt;
use std::io::Write as _;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a byte costs in vt100, against one that is only looked at.
const BYTE_WORK: u64 = 4;

/// Rows that left the top, as text with SGR; a blank cell is a NUL.
#[derive(Default)]
pub(super) struct Sink {
    text: String,
    /// End of each row in `text`, and whether it continues on the next.
    rows: Vec<(usize, bool)>,
    /// While set, rows are only counted.
    counts: bool,
    counted: usize,
    is_off: bool,
}

/// Stops a write at its first character and remembers it.
struct FirstChar(Option<char>);

impl fmt::Write for FirstChar {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = text.chars().next();
        Err(fmt::Error)
    }
}

/// Tells blank cells from spaces: vt100 writes contents as strings, blanks as single characters.
struct RowWriter<'a> {
    text: &'a mut String,
    is_sgr: bool,
}

impl fmt::Write for RowWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.is_sgr = (self.is_sgr || text.starts_with('\x1b')) && !text.ends_with('m');
        self.text.push_str(text);
        Ok(())
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        if self.is_sgr || c != ' ' {
            return self.write_str(c.encode_utf8(&mut [0; 4]));
        }
        self.text.push('\0');
        Ok(())
    }
}

impl vt100::Callbacks for Sink {
    fn on_scroll(&mut self, row: vt100::capture::RowContents<'_>, _is_alternate: bool) {
        if self.is_off {
            return;
        }
        if self.counts {
            self.counted += 1;
            return;
        }
        let mut state = vt100::capture::BasicFormattedCaptureState::new();
        let _ = row.write_formatted_basic(&mut RowWriter { text: &mut self.text, is_sgr: false }, &mut state);
        // The state is private, but it begins the next row with a line feed unless this one continues.
        let mut first = FirstChar(None);
        let _ = row.write_formatted_basic(&mut first, &mut state);
        self.rows.push((self.text.len(), first.0 != Some('\n')));
    }
}

/// One grid.
pub(super) struct Engine {
    parser: vt100::Parser<Sink>,
    size: Size,
    has_panicked: bool,
    /// What the bytes it was given cost.
    work: u64,
}

impl Engine {
    /// A blank grid; rows that leave it are kept for collection if asked.
    pub(super) fn new(size: Size, keeps_rows: bool) -> Engine {
        Engine { parser: parser(size, keeps_rows), size, has_panicked: false, work: 0 }
    }

    /// Bytes for the grid. Should vt100 panic, the grid is rebuilt from its cells and [`Engine::take_panic`] tells.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.work += BYTE_WORK * bytes.len() as u64;
        let parser = &mut self.parser;
        if catch_unwind(AssertUnwindSafe(|| parser.process(bytes))).is_err() {
            self.rebuild();
        }
    }

    /// What the bytes it was given cost so far.
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// Starts to count anew.
    pub(super) fn forget_work(&mut self) {
        self.work = 0;
    }

    /// Like [`Engine::write`] for formatted sequences.
    pub(super) fn put(&mut self, args: fmt::Arguments<'_>) {
        let mut buffer = [0u8; 64];
        let mut left = &mut buffer[..];
        if left.write_fmt(args).is_ok() {
            let used = 64 - left.len();
            self.write(&buffer[..used]);
        }
    }

    /// Writes and says how many rows left the top; their contents are the caller's to have read before.
    pub(super) fn write_counting(&mut self, bytes: &[u8]) -> usize {
        self.parser.callbacks_mut().counts = true;
        self.write(bytes);
        let sink = self.parser.callbacks_mut();
        sink.counts = false;
        std::mem::take(&mut sink.counted)
    }

    fn rebuild(&mut self) {
        let fresh = parser(self.size, !self.parser.callbacks().is_off);
        let mut old = std::mem::replace(&mut self.parser, fresh);
        *self.parser.callbacks_mut() = std::mem::take(old.callbacks_mut());
        self.has_panicked = true;
        for row in 0..self.size.rows() {
            let row = catch_unwind(AssertUnwindSafe(|| row_as_sequences(old.screen(), row, self.size.cols())));
            self.try_write(&row.unwrap_or_default());
        }
        let (row, col) = catch_unwind(AssertUnwindSafe(|| old.screen().cursor_position())).unwrap_or_default();
        self.try_write(b"\x1b[m");
        self.go(row.min(self.size.rows() - 1), col.min(self.size.cols() - 1));
    }

    /// Writes to a grid that is being rebuilt; bytes that make vt100 panic again leave it blank.
    fn try_write(&mut self, bytes: &[u8]) {
        let parser = &mut self.parser;
        if catch_unwind(AssertUnwindSafe(|| parser.process(bytes))).is_err() {
            self.parser = self::parser(self.size, !self.parser.callbacks().is_off);
        }
    }

    /// Whether the grid was rebuilt since last asked: its pen and margins are the default ones then.
    pub(super) fn take_panic(&mut self) -> bool {
        std::mem::take(&mut self.has_panicked)
    }

    /// Row and column; the column equals the width while a wrap is pending.
    pub(super) fn pos(&self) -> (u16, u16) {
        self.parser.screen().cursor_position()
    }

    /// Whether the next character goes to the next row.
    pub(super) fn is_wrap_pending(&self) -> bool {
        self.pos().1 >= self.size.cols()
    }

    /// Moves the cursor.
    pub(super) fn go(&mut self, row: u16, col: u16) {
        self.put(format_args!("\x1b[{};{}H", u32::from(row) + 1, u32::from(col) + 1));
    }

    /// Draws cells from a column on, as far as they are not there already; the pen and the cursor are left anyhow.
    pub(super) fn paint(&mut self, row: u16, col: u16, cells: &[vt100::Cell]) {
        let mut out = Vec::new();
        let (mut here, mut attrs, mut is_broken) = (None, None, false);
        for (cell, col) in cells.iter().zip(col..) {
            let before = self.raw(row, col);
            // What stands on a half of a wide character that goes is gone with it.
            let is_there = before == Some(cell) && !is_broken;
            is_broken =
                !is_there && (is_broken || before.is_some_and(|cell| cell.is_wide() || cell.is_wide_continuation()));
            if is_there || cell.is_wide_continuation() {
                continue;
            }
            if here != Some(col) {
                let _ = write!(out, "\x1b[{};{}H", u32::from(row) + 1, u32::from(col) + 1);
            }
            if attrs.replace(attrs_of(cell)) != Some(attrs_of(cell)) {
                attrs_of(cell).write_sgr(&mut out);
            }
            here = None;
            if cell.has_contents() {
                out.extend_from_slice(cell.contents().as_bytes());
                here = (!cell.is_wide()).then_some(col + 1);
            } else {
                out.extend_from_slice(b"\x1b[X");
            }
        }
        self.write(&out);
    }

    /// Whether a row continues on the next one.
    pub(super) fn is_wrapped(&self, row: u16) -> bool {
        self.parser.screen().row_wrapped(row)
    }

    /// A cell as vt100 has it.
    pub(super) fn raw(&self, row: u16, col: u16) -> Option<&vt100::Cell> {
        self.parser.screen().cell(row, col)
    }

    /// Rows from the top as text with SGR and steps over blank cells.
    pub(super) fn formatted_rows(&self) -> impl Iterator<Item = String> {
        // Asked for more columns than there are, vt100 draws each row by itself, wrapped or not.
        self.parser.screen().rows_formatted(0, u16::MAX)
    }

    /// The mark of a cell, if it has one.
    pub(super) fn mark(&self, row: u16, col: u16) -> Option<u32> {
        self.raw(row, col).and_then(|cell| marks::index_of(cell.contents()))
    }

    /// Width of a cell: 1, 2, or 0 for a second half.
    pub(super) fn width(&self, row: u16, col: u16) -> u8 {
        self.raw(row, col).map_or(1, width_of)
    }

    /// The size.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Whether rows wait to be collected.
    pub(super) fn has_rows(&self) -> bool {
        !self.parser.callbacks().rows.is_empty()
    }

    /// The rows that left the top, oldest first, as (text with SGR, continues on the next).
    pub(super) fn take_rows(&mut self, mut visit: impl FnMut(&str, bool)) {
        let sink = self.parser.callbacks_mut();
        let mut start = 0;
        for &(end, is_wrapped) in &sink.rows {
            visit(&sink.text[start..end], is_wrapped);
            start = end;
        }
        sink.rows.clear();
        sink.text.clear();
        if sink.text.capacity() > 256 * 1024 {
            sink.text = String::new();
        }
    }
}

fn parser(size: Size, keeps_rows: bool) -> vt100::Parser<Sink> {
    let one = NonZeroU16::MIN;
    let rows = NonZeroU16::new(size.rows()).unwrap_or(one);
    let cols = NonZeroU16::new(size.cols()).unwrap_or(one);
    vt100::Parser::new_with_callbacks(rows, cols, 0, Sink { is_off: !keeps_rows, ..Sink::default() })
}

/// The cells of a row, each at its place, whatever state a panic left the grid in.
fn row_as_sequences(screen: &vt100::Screen, row: u16, cols: u16) -> Vec<u8> {
    let mut out = Vec::new();
    for col in 0..cols {
        let Some(cell) = screen.cell(row, col).filter(|cell| cell.has_contents()) else { continue };
        if col + u16::from(width_of(cell)) > cols {
            continue;
        }
        let _ = write!(out, "\x1b[{};{}H", u32::from(row) + 1, u32::from(col) + 1);
        attrs_of(cell).write_sgr(&mut out);
        // On a narrow cell it is what vt100 panics at.
        let text = cell.contents().chars().filter(|&c| c != '\u{FE0F}' || cell.is_wide());
        out.extend_from_slice(text.collect::<String>().as_bytes());
    }
    out
}

/// Width of a vt100 cell.
pub(super) fn width_of(cell: &vt100::Cell) -> u8 {
    if cell.is_wide() { 2 } else { u8::from(!cell.is_wide_continuation()) }
}

/// Style of a vt100 cell with what its mark adds.
pub(super) fn style_of(cell: &vt100::Cell, marks: &Marks) -> (Style, Option<u32>) {
    if !cell.has_contents() {
        return (Style::default(), None);
    }
    let mut style = Style {
        fg: color(cell.fgcolor()),
        bg: color(cell.bgcolor()),
        bold: cell.bold(),
        dim: cell.dim(),
        italic: cell.italic(),
        inverse: cell.inverse(),
        underline: if cell.underline() { Underline::Single } else { Underline::None },
        ..Style::default()
    };
    let mark = marks::index_of(cell.contents());
    if let Some(extra) = mark.and_then(|index| marks.get(index)) {
        extra.apply(&mut style);
    }
    (style, mark)
}

/// Whether a cell shows nothing but perhaps a background.
pub(super) fn is_blank(cell: &vt100::Cell) -> bool {
    !cell.has_contents() || cell.contents() == marks::ERASED_TEXT
}

/// The bits of a vt100 cell, as [`Attrs`].
pub(super) fn attrs_of(cell: &vt100::Cell) -> Attrs {
    Attrs {
        fg: color(cell.fgcolor()),
        bg: color(cell.bgcolor()),
        bold: cell.bold(),
        dim: cell.dim(),
        italic: cell.italic(),
        underline: cell.underline(),
        inverse: cell.inverse(),
    }
}

fn color(color: vt100::Color) -> Color {
    match color {
        vt100::Color::Default => Color::Default,
        vt100::Color::Idx(i) => Color::Indexed(i),
        vt100::Color::Rgb(r, g, b) => Color::Rgb(r, g, b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_rebuilt_after_a_panic_keeps_its_cells_and_styles() {
        let mut engine = Engine::new(Size::new(2, 6), true);
        engine.write("\x1b[1;31mé漢\x1b[44mx\r\n\x1b[m1⚠\u{FE0F}345".as_bytes());
        let contents = |engine: &Engine, row| {
            (0..6).filter_map(|col| engine.raw(row, col)).map(vt100::Cell::contents).collect::<String>()
        };
        let before = [contents(&engine, 0), contents(&engine, 1)];
        engine.rebuild();
        assert!(engine.take_panic());
        assert_eq!([contents(&engine, 0), contents(&engine, 1)], before);
        assert_eq!(before, ["é漢x", "1⚠\u{FE0F}345"]);
        let cell = engine.raw(0, 3).unwrap();
        assert_eq!((cell.bold(), color(cell.bgcolor())), (true, Color::Indexed(4)));
        assert_eq!((engine.pos(), engine.width(0, 1)), ((1, 5), 2));
    }
}

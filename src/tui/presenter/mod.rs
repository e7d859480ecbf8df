//! From what should be on the outer terminal to the fewest bytes that bring it there.
//!
//! Two buffers: `back` is drawn by the view, `front` is what the terminal shows. Only cells inside touched spans
//! are compared. The bytes of a frame are built in one piece and written by the terminal as it can take them.

mod encode;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use crate::term::CursorShape;
use encode::Encoder;

/// How many colours the outer terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The 256-colour palette; 24-bit colours are brought to their nearest entry.
    Indexed,
    /// 24 bits.
    True,
}

impl Depth {
    /// What the environment says of the outer terminal.
    pub fn from_env(colorterm: &str, term: &str) -> Depth {
        let is_true = matches!(colorterm, "truecolor" | "24bit")
            || ["direct", "kitty", "alacritty", "foot", "ghostty", "wezterm"].iter().any(|name| term.contains(name));
        if is_true { Depth::True } else { Depth::Indexed }
    }
}

/// The hardware cursor of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorAt {
    /// Column.
    pub col: u16,
    /// Row.
    pub row: u16,
    /// Shape.
    pub shape: CursorShape,
    /// Whether it blinks.
    pub blink: bool,
}

/// Draws frames as escape bytes.
#[derive(Debug)]
pub struct Presenter {
    front: Buffer,
    back: Buffer,
    /// Touched columns of each row, `lo..hi`; empty when `lo >= hi`.
    touched: Vec<(u16, u16)>,
    is_blank: bool,
    cursor: Option<CursorAt>,
    encoder: Encoder,
}

/// A frame at most this long goes out without the synchronized-update brackets: one echo cannot tear.
const PLAIN_FRAME_BYTES: usize = 96;

impl Presenter {
    /// For an outer terminal of this size, of which nothing is known.
    pub fn new(cols: u16, rows: u16, depth: Depth) -> Presenter {
        let area = Rect::new(0, 0, cols, rows);
        Presenter {
            front: Buffer::empty(area),
            back: Buffer::empty(area),
            touched: vec![(u16::MAX, 0); rows.into()],
            is_blank: true,
            cursor: None,
            encoder: Encoder::new(depth),
        }
    }

    /// The outer terminal changed its size, or its contents are unknown: everything is drawn anew.
    pub fn reset(&mut self, cols: u16, rows: u16) {
        *self = Presenter::new(cols, rows, self.encoder.depth());
    }

    /// The buffer to draw the next frame into; it keeps what was drawn before.
    pub fn back(&mut self) -> &mut Buffer {
        &mut self.back
    }

    /// What the terminal shows once all bytes are written.
    pub fn front(&self) -> &Buffer {
        &self.front
    }

    /// Marks a rectangle as drawn; only touched cells are compared.
    pub fn touch(&mut self, rect: Rect) {
        let rect = rect.intersection(self.back.area);
        if rect.is_empty() {
            return;
        }
        for row in rect.top()..rect.bottom() {
            let span = &mut self.touched[row as usize];
            *span = (span.0.min(rect.left()), span.1.max(rect.right()));
        }
    }

    /// Appends the bytes of the frame to `out`; nothing if nothing changed.
    pub fn present(&mut self, cursor: Option<CursorAt>, out: &mut Vec<u8>) {
        let start = out.len();
        if self.is_blank {
            self.encoder.clear(out);
            self.is_blank = false;
            self.cursor = None;
            self.touch(self.back.area);
        }
        let mut is_hidden = self.cursor.is_none();
        // A few cells in one write do not make the cursor flicker; more do.
        let hides = self.touched.iter().filter(|(lo, hi)| lo < hi).count() > 2;
        let (width, height) = (self.back.area.width, self.back.area.height);
        for row in 0..height {
            let (lo, hi) = std::mem::replace(&mut self.touched[row as usize], (u16::MAX, 0));
            if lo >= hi {
                continue;
            }
            let first = row as usize * width as usize;
            let (lo, hi) = (lo.saturating_sub(1) as usize, (hi as usize + 1).min(width as usize));
            let back = &mut self.back.content[first..first + width as usize];
            let front = &mut self.front.content[first..first + width as usize];
            mend_halves(&mut back[lo..hi]);
            let Some(first_changed) = (lo..hi).find(|&col| !same(&back[col], &front[col])) else { continue };
            if !is_hidden && hides {
                out.extend_from_slice(b"\x1b[?25l");
                is_hidden = true;
            }
            self.encoder.row(row, first_changed, hi, back, front, height, out);
        }
        if cursor.is_some() || self.cursor.is_some() {
            self.encoder.cursor(self.cursor, cursor, is_hidden, out);
            self.cursor = cursor;
        }
        if out.len() > start + PLAIN_FRAME_BYTES {
            out.splice(start..start, *b"\x1b[?2026h");
            out.extend_from_slice(b"\x1b[?2026l");
        }
    }
}

/// Two cells look the same.
fn same(a: &Cell, b: &Cell) -> bool {
    let (left, right) = (a.symbol().as_bytes(), b.symbol().as_bytes());
    // Most cells hold one byte: comparing it is cheaper than calling memcmp.
    let is_text_same = match (left, right) {
        ([x], [y]) => x == y,
        _ => left == right,
    };
    is_text_same && a.fg == b.fg && a.bg == b.bg && a.modifier == b.modifier
}

/// Columns a cell's symbol takes: 0 marks the second half of a wide one.
fn width(symbol: &str) -> usize {
    match symbol.len() {
        0 => 0,
        1 => 1,
        _ => unicode_width::UnicodeWidthStr::width(symbol).clamp(1, 2),
    }
}

/// Half a wide character, left over where something was drawn across it, becomes a blank.
fn mend_halves(row: &mut [Cell]) {
    let mut col = 0;
    while col < row.len() {
        match width(row[col].symbol()) {
            2 if row.get(col + 1).is_some_and(|next| next.symbol().is_empty()) => col += 2,
            // At the end of the span the other half is not ours to judge.
            2 if col + 1 == row.len() => col += 1,
            0 if col == 0 => col += 1,
            1 => col += 1,
            _ => {
                row[col].set_symbol(" ");
                col += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;

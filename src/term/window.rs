//! A part of a screen as escape bytes, for a terminal that is too small for all of it.

use std::io::Write as _;
use std::ops::Range;

use super::pen::style_params;
use super::screen::Screen;
use super::types::Style;

impl Screen {
    /// The cells of these columns of a row, from the first column of a terminal on; the pen is the default one before and
    /// after. Half a wide character is blank.
    pub fn row_window(&self, row: u16, cols: &Range<u16>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut last = Style::default();
        self.visit_row(row, |col, cell| {
            let is_cut = (cell.width == 0 && col == cols.start) || (cell.width == 2 && col + 1 == cols.end);
            if !cols.contains(&col) || (cell.width == 0 && !is_cut) {
                return;
            }
            if cell.style != last {
                let _ = write!(out, "\x1b[{}m", style_params(&cell.style));
                last = cell.style;
            }
            let text = if is_cut || cell.text.is_empty() { " " } else { cell.text };
            out.extend_from_slice(text.as_bytes());
        });
        out.extend_from_slice(b"\x1b[m");
        out
    }

    /// The modes that decide what a terminal's keys send, but not its mouse.
    pub fn key_modes(&self) -> Vec<u8> {
        self.key_mode_bytes()
    }
}

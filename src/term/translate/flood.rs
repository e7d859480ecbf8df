//! The fast path for floods of lines: what will have scrolled off by the end of the bytes goes straight into the
//! history, and only the rest through the engine. The result is the same to the last cell.
//!
//! A flood is plain: printable text, SGR without a background, CR LF. At the first line that is not, it ends; enough
//! lines to fill the screen are left to be printed.

use super::Term;
use crate::term::history::{LineBuf, Look};
use crate::term::marks::Extra;
use crate::term::params::Params;
use crate::term::parser::{ascii_run, plain_text};
use crate::term::pen::{self, Attrs, Pen};
use crate::term::types::Color;
use unicode_width::UnicodeWidthChar;

/// Bytes looked at in one go: bounds what is staged.
const STAGE_BYTES: usize = 1 << 20;

/// Rows read from the flood but not yet known to scroll off.
#[derive(Default)]
struct Stage {
    text: Vec<u8>,
    runs: Vec<(Look, usize)>,
    rows: Vec<Row>,
    lines: Vec<Line>,
}

/// Ends of a row within the stage.
struct Row {
    text: usize,
    runs: usize,
    is_wrapped: bool,
}

/// Where the stage was at the end of a line of the flood.
struct Line {
    /// Bytes of the flood up to here.
    bytes: usize,
    rows: usize,
    pen: Pen,
}

impl Term {
    /// Consumes a flood at the start of the bytes, if there is one; says how much.
    pub(in crate::term) fn flood(&mut self, bytes: &[u8]) -> usize {
        if !self.may_flood() {
            return 0;
        }
        let above = usize::from(self.last_row());
        let mut stage = Stage::default();
        self.stage(&bytes[..bytes.len().min(STAGE_BYTES)], &mut stage);
        // A line that was begun but is not plain to its end does not count, nor do its rows.
        let Some((end, total)) = stage.lines.last().map(|line| (line.bytes, line.rows)) else { return 0 };
        // The line behind which just enough rows follow to fill the screen, if there is one.
        let skipped = stage.lines.iter().rev().find(|line| total - line.rows >= above);
        let (skipped_bytes, skipped_rows) = match skipped {
            Some(line) => (line.bytes, line.rows),
            None if total <= above => (0, 0),
            None => return 0,
        };
        let mut at = (0, 0);
        if skipped_rows > 0 {
            // What is on the screen goes first; then the rest is printed from the top of a blank screen.
            self.write_scrolling(&b"\n".repeat(above), self.last_row());
            for row in &stage.rows[..skipped_rows] {
                stage.copy(&mut at, row, &mut self.line);
                self.history.push(&self.line);
            }
            self.known.clear();
            if let Some(line) = skipped {
                Attrs::of(&line.pen.style).write_sgr(&mut self.sgr);
            }
            self.primary.write(&self.sgr);
            self.sgr.clear();
            self.primary.go(0, 0);
            let leaving = total - skipped_rows - above;
            for row in &stage.rows[skipped_rows..skipped_rows + leaving] {
                stage.copy(&mut at, row, &mut self.line);
                self.history.push(&self.line);
            }
            self.primary.write_counting(&bytes[skipped_bytes..end]);
        } else {
            self.write_scrolling(&bytes[..end], total as u16);
        }
        self.known.resize_with(above - (total - skipped_rows).min(above), || None);
        for row in &stage.rows[total - (total - skipped_rows).min(above)..total] {
            let mut line = LineBuf::default();
            stage.copy(&mut at, row, &mut line);
            self.known.push_back(Some(line));
        }
        if let Some(line) = stage.lines.pop() {
            self.last_char = None;
            self.pen = line.pen;
        }
        self.settle();
        self.damage.all();
        end
    }

    /// Whether the cursor is at the start of a blank last row, and nothing is set that a flood would have to heed.
    fn may_flood(&self) -> bool {
        let last = self.last_row();
        !self.is_alternate
            && self.may_pass()
            && self.may_pass_newline()
            && self.pen.link.is_none()
            && (self.top, self.bottom) == (0, last)
            && last > 0
            && self.engine().pos() == (last, 0)
            && (0..self.size.cols()).all(|col| {
                self.engine().raw(last, col).is_some_and(|cell| !cell.has_contents() && !cell.is_wide_continuation())
            })
    }

    /// Reads plain lines into the stage.
    fn stage(&self, bytes: &[u8], stage: &mut Stage) {
        let mut pen = self.pen.clone();
        let cols = usize::from(self.size.cols());
        let mut at = 0;
        let mut col = 0;
        let mut look = Look { style: pen.style, link: None };
        // Where the runs of the current row begin.
        let mut row_runs = 0;
        stage.text.reserve(bytes.len());
        while at < bytes.len() {
            let run = ascii_run(&bytes[at..]);
            let mut text = &bytes[at..at + run];
            at += run;
            while !text.is_empty() {
                if col == cols {
                    stage.end_row(true);
                    (row_runs, col) = (stage.runs.len(), 0);
                }
                let (fits, rest) = text.split_at(text.len().min(cols - col));
                stage.text.extend_from_slice(fits);
                cover(&mut stage.runs, row_runs, &look, fits.len());
                col += fits.len();
                text = rest;
            }
            match bytes.get(at) {
                Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => {
                    at += 2;
                    stage.end_row(false);
                    (row_runs, col) = (stage.runs.len(), 0);
                    let line = Line { bytes: at, rows: stage.rows.len(), pen: pen.clone() };
                    stage.lines.push(line);
                }
                Some(0x1b) => {
                    let Some(length) = read_sgr(&bytes[at..], &mut pen) else { return };
                    look.style = pen.style;
                    at += length;
                }
                Some(0x80..) => {
                    let end = bytes[at..].iter().take(256).take_while(|&&byte| byte >= 0x80).count();
                    let (plain, _) = plain_text(&bytes[at..at + end]);
                    let text = std::str::from_utf8(&bytes[at..at + plain]).unwrap_or("");
                    if text.is_empty() {
                        return;
                    }
                    for c in text.chars() {
                        let Some(width @ 1..) = c.width().map(|width| width.min(2)) else { return };
                        if col + width > cols {
                            // A wide character that does not fit leaves the last column blank, unmarked as wrapped.
                            stage.end_row(col == cols);
                            (row_runs, col) = (stage.runs.len(), 0);
                        }
                        stage.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        cover(&mut stage.runs, row_runs, &look, c.len_utf8());
                        col += width;
                    }
                    at += plain;
                }
                _ => return,
            }
        }
    }
}

impl Stage {
    /// Copies a row that begins at these ends of text and runs, and moves them behind it.
    fn copy(&self, at: &mut (usize, usize), row: &Row, line: &mut LineBuf) {
        line.clear();
        line.text.extend_from_slice(&self.text[at.0..row.text]);
        line.runs.extend_from_slice(&self.runs[at.1..row.runs]);
        line.is_wrapped = row.is_wrapped;
        *at = (row.text, row.runs);
    }

    fn end_row(&mut self, is_wrapped: bool) {
        self.rows.push(Row { text: self.text.len(), runs: self.runs.len(), is_wrapped });
    }
}

/// Like [`LineBuf::cover`], for the runs from `start` on.
fn cover(runs: &mut Vec<(Look, usize)>, start: usize, look: &Look, bytes: usize) {
    if bytes == 0 {
        return;
    }
    match runs.get_mut(start..).and_then(<[_]>::last_mut) {
        Some((last, covered)) if last == look => *covered += bytes,
        _ => runs.push((look.clone(), bytes)),
    }
}

/// Applies an SGR sequence at the start of the bytes if the flood may go on with it; says its length.
fn read_sgr(bytes: &[u8], pen: &mut Pen) -> Option<usize> {
    let body = bytes.strip_prefix(b"\x1b[")?;
    let end = body.iter().take(64).position(|byte| !matches!(byte, b'0'..=b'9' | b';'))?;
    if body[end] != b'm' {
        return None;
    }
    let params = Params::parse(&body[..end]);
    if !pen::is_native_sgr(&body[..end], &params) {
        return None;
    }
    pen.apply_sgr(&params);
    (pen.style.bg == Color::Default && Extra::of(pen).is_none()).then_some(end + 3)
}

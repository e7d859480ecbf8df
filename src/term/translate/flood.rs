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
use crate::term::pen::{self, Pen};
use crate::term::types::Color;
use unicode_width::UnicodeWidthChar;

/// Bytes per row of the screen below which nothing can be gained.
const BYTES_PER_ROW: usize = 40;
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
    last_char: Option<char>,
}

impl Term {
    /// Consumes a flood at the start of the bytes, if there is one; says how much.
    pub(in crate::term) fn flood(&mut self, bytes: &[u8]) -> usize {
        let rows = usize::from(self.size.rows());
        if bytes.len() < (rows + 2) * BYTES_PER_ROW || !self.may_flood() {
            return 0;
        }
        let mut stage = Stage::default();
        self.stage(&bytes[..bytes.len().min(STAGE_BYTES)], &mut stage);
        // So many lines must follow that the screen is full of them.
        let Some(last) = stage.lines.len().checked_sub(rows + 1) else { return 0 };
        let line = &stage.lines[last];
        // What is on the screen goes first.
        self.write_scrolling(&b"\n".repeat(rows - 1), self.last_row());
        let mut buf = LineBuf::default();
        let (mut text, mut run) = (0, 0);
        for row in &stage.rows[..line.rows] {
            buf.text.clear();
            buf.text.extend_from_slice(&stage.text[text..row.text]);
            buf.runs.clear();
            buf.runs.extend_from_slice(&stage.runs[run..row.runs]);
            buf.is_wrapped = row.is_wrapped;
            self.history.push(&buf);
            (text, run) = (row.text, row.runs);
        }
        self.last_char = line.last_char;
        self.pen = line.pen.clone();
        self.set_pen();
        self.engine_mut().go(0, 0);
        self.damage.all();
        line.bytes
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
        let mut last_char = self.last_char;
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
            if let Some(&byte) = text.last() {
                last_char = Some(char::from(byte));
            }
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
                    let line = Line { bytes: at, rows: stage.rows.len(), pen: pen.clone(), last_char };
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
                        last_char = Some(c);
                    }
                    at += plain;
                }
                _ => return,
            }
        }
    }
}

impl Stage {
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

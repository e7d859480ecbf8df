//! One file on its way to the screen: a chunk at a time, a line at a time, however long both are.

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::path::Path;

use color_eyre::eyre::{Result, bail};
use memchr::memchr;
use unicode_width::UnicodeWidthStr;

use super::Looks;
use super::page::Page;
use crate::cli::highlight_args::{HighlightArgs, Lines};
use crate::cli::output::complain;
use crate::highlight::{LINE_CAP, Languages, Painter, Worker, plain};

/// Bytes of lines that are painted at once, at first and later: a first screen does not wait for a second one.
const BATCH_MIN: usize = 1024;
const BATCH_MAX: usize = 16 * 1024;
/// Bytes in which a file without text shows itself by a NUL.
const PROBE: usize = 8 * 1024;
/// Lines before the first one shown that are read for its colours.
const LINES_BEFORE: u64 = 10_000;

pub(super) struct View<'a> {
    looks: &'a Looks,
    page: &'a mut Page,
    range: Lines,
    is_numbered: bool,
    name: Cow<'a, Path>,
    head: Option<String>,
    /// The line that the next byte belongs to, from 1.
    line: u64,
    /// The beginning of that line, as far as it has come.
    rest: Vec<u8>,
    /// A part of that line is shown already, plain.
    is_long: bool,
    /// Lines to be painted, the first of them with this number.
    batch: String,
    batch_from: u64,
    batch_cap: usize,
    /// Bytes for a pipe.
    gathered: Vec<u8>,
    state: State,
}

enum State {
    /// Nothing has come.
    Fresh,
    Painted(Worker),
    Plain,
}

impl<'a> View<'a> {
    pub(super) fn new(looks: &'a Looks, args: &HighlightArgs, page: &'a mut Page) -> View<'a> {
        View {
            looks,
            page,
            range: args.range.unwrap_or(Lines { first: 1, last: u64::MAX }),
            is_numbered: args.number && !args.plain,
            name: Cow::Borrowed(Path::new("")),
            head: None,
            line: 1,
            rest: Vec::new(),
            is_long: false,
            batch: String::new(),
            batch_from: 1,
            batch_cap: BATCH_MIN,
            gathered: Vec::new(),
            state: State::Fresh,
        }
    }

    /// What the file is called.
    pub(super) fn named(&mut self, name: &Path) {
        self.name = Cow::Owned(name.to_path_buf());
    }

    /// Says which of several files it is, once it is read.
    pub(super) fn head(&mut self, name: &str) {
        self.head = Some(plain(name)).filter(|_| !self.looks.is_raw);
    }

    fn write_head(&mut self) -> Result<()> {
        if let Some(name) = self.head.take() {
            let mut text = String::new();
            self.gutter(&format!("==> {name} <=="), &mut text);
            self.page.end_line()?;
            self.page.write(&(text + "\n"), 1)?;
        }
        Ok(())
    }

    /// The next bytes; whether more are wanted.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<bool> {
        if matches!(self.state, State::Fresh) && !chunk.is_empty() {
            self.state = self.begin(chunk)?;
            self.write_head()?;
        }
        let is_whole = self.range == (Lines { first: 1, last: u64::MAX });
        if self.looks.is_raw && !self.is_numbered && is_whole {
            return Ok(self.page.bytes(chunk)?);
        }
        let mut left = chunk;
        while !left.is_empty() && self.line <= self.range.last {
            let end = memchr(b'\n', left).map(|at| at + 1);
            let part = &left[..end.unwrap_or(left.len())];
            left = &left[part.len()..];
            let is_over = if end.is_some() && self.rest.is_empty() {
                self.piece(part, true)?
            } else {
                self.rest.extend_from_slice(part);
                let is_due = end.is_some() || self.rest.len() > LINE_CAP;
                let mut rest = if is_due { std::mem::take(&mut self.rest) } else { Vec::new() };
                if end.is_none() && is_due {
                    // A piece ends with a whole character, and with no half of a line's end.
                    self.rest = rest.split_off(rest.len() - tail_len(&rest));
                }
                is_due && self.piece(&rest, end.is_some())?
            };
            if is_over {
                return Ok(false);
            }
        }
        // Nothing that has come waits for what has not.
        Ok(self.flush()? && self.line <= self.range.last)
    }

    /// Whether it is still open if all of it fits.
    pub(super) fn is_held(&self) -> bool {
        self.page.is_held()
    }

    /// Readable once the pager has been left.
    pub(super) fn pager_end(&self) -> Option<OwnedFd> {
        self.page.pager_end()
    }

    /// Shows as it comes what may be long in coming.
    pub(super) fn flow(&mut self) -> Result<()> {
        Ok(self.page.flow()?)
    }

    /// The end of the file; whether somebody still reads.
    pub(super) fn finish(mut self) -> Result<bool> {
        self.write_head()?;
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() && self.line <= self.range.last {
            self.piece(&rest, true)?;
        }
        self.flush()
    }

    fn begin(&self, chunk: &[u8]) -> Result<State> {
        if self.looks.is_raw {
            return Ok(State::Plain);
        }
        let is_binary = memchr(0, &chunk[..chunk.len().min(PROBE)]).is_some();
        if is_binary && self.looks.language.is_none() {
            bail!(
                "{} is binary, and nothing for a terminal; send it elsewhere, or say what it is with --language",
                self.name.display()
            );
        }
        let Some((theme, depth)) = &self.looks.paint else { return Ok(State::Plain) };
        let first = chunk.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(&first[..first.len().min(LINE_CAP)]);
        let language = self.looks.language.unwrap_or_else(|| Languages::get().of_file(&self.name, &first));
        Ok(Worker::start(language, theme.clone(), *depth).map_or(State::Plain, State::Painted))
    }

    /// A line, or a piece of one that is too long to be held; whether nobody reads any more.
    fn piece(&mut self, bytes: &[u8], is_end: bool) -> Result<bool> {
        let is_start = !std::mem::replace(&mut self.is_long, !is_end);
        let number = self.line;
        self.line += u64::from(is_end);
        let is_read = if self.looks.is_raw {
            !self.is_shown(number) || self.raw(bytes, is_start.then_some(number))?
        } else if is_start && is_end {
            if self.batch.is_empty() {
                self.batch_from = number;
            }
            if number.saturating_add(LINES_BEFORE) >= self.range.first {
                self.batch.push_str(&text(bytes));
            }
            self.batch.len() < self.batch_cap || self.flush()?
        } else {
            let is_read = self.flush()?;
            let mut shown = String::new();
            if is_start && self.is_numbered {
                self.gutter(&number_text(number), &mut shown);
            }
            shown.push_str(&plain(&text(bytes)));
            is_read && (!self.is_shown(number) || self.page.write(&shown, self.page.rows_of(bytes.len()))?)
        };
        Ok(!is_read)
    }

    fn is_shown(&self, number: u64) -> bool {
        (self.range.first..=self.range.last).contains(&number)
    }

    fn raw(&mut self, bytes: &[u8], number: Option<u64>) -> Result<bool> {
        if let Some(number) = number.filter(|_| self.is_numbered) {
            self.gathered.extend_from_slice(number_text(number).as_bytes());
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < GATHERED { Ok(true) } else { self.write_gathered() }
    }

    fn write_gathered(&mut self) -> Result<bool> {
        let gathered = std::mem::take(&mut self.gathered);
        Ok(gathered.is_empty() || self.page.bytes(&gathered)?)
    }

    /// Writes the lines that have come whole; whether somebody still reads.
    fn flush(&mut self) -> Result<bool> {
        if self.batch.is_empty() {
            return self.write_gathered();
        }
        self.batch_cap = (self.batch_cap * 2).min(BATCH_MAX);
        let lines = std::mem::take(&mut self.batch);
        let painted = match &mut self.state {
            State::Painted(worker) => match worker.paint(lines.clone()) {
                Some(painted) => painted,
                None => {
                    self.state = State::Plain;
                    complain!("fleetmux: {}: no colours from line {} on", self.name.display(), self.batch_from);
                    plain(&lines)
                }
            },
            _ => plain(&lines),
        };
        let mut shown = String::with_capacity(painted.len());
        let mut rows = 0;
        for (number, (line, source)) in
            (self.batch_from..).zip(painted.split_inclusive('\n').zip(lines.split_inclusive('\n')))
        {
            if !self.is_shown(number) {
                continue;
            }
            if self.is_numbered {
                self.gutter(&number_text(number), &mut shown);
            }
            shown.push_str(line);
            if self.page.is_held() {
                rows += self.page.rows_of(width(source) + if self.is_numbered { NUMBER_WIDTH } else { 0 });
            }
        }
        Ok(self.page.write(&shown, rows)?)
    }

    /// Something beside the text.
    fn gutter(&self, text: &str, out: &mut String) {
        match &self.looks.paint {
            Some((theme, depth)) => Painter::gutter(theme, *depth, text, out),
            None => out.push_str(text),
        }
    }
}

/// Bytes that go to a pipe at once.
const GATHERED: usize = 64 * 1024;
/// Columns from one tab stop to the next.
const TAB: usize = 8;

/// Columns of a line.
fn width(line: &str) -> usize {
    let line = line.trim_end_matches('\n');
    line.split_inclusive('\t').fold(0, |col, part| match part.strip_suffix('\t') {
        Some(part) => (col + part.width()) / TAB * TAB + TAB,
        None => col + part.width(),
    })
}

/// Bytes at the end that only make sense with what follows: a part of a character, or of a line's end.
fn tail_len(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let start = bytes.len().saturating_sub(3);
    let first = bytes[start..].iter().rposition(|byte| *byte & 0xc0 == 0xc0).map(|at| start + at);
    first.map_or(0, |at| {
        let wanted = match bytes[at] {
            0xf0.. => 4,
            0xe0.. => 3,
            _ => 2,
        };
        if bytes.len() - at < wanted { bytes.len() - at } else { 0 }
    })
}

/// Columns of a line's number and of what stands behind it.
const NUMBER_WIDTH: usize = 8;

/// As cat(1) and less(1) number lines.
fn number_text(number: u64) -> String {
    format!("{number:>6}  ")
}

/// Bytes as text; a line that ends as on other systems ends as here.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => Cow::Owned(String::from_utf8_lossy(line).into_owned() + "\n"),
        None => String::from_utf8_lossy(bytes),
    }
}

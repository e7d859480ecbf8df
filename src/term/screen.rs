//! [`Screen`]: feed it a program's output, ask it for cells, replies, events and keyframes.

use super::engine::{style_of, width_of};
use super::history::visit_pieces;
use super::marks;
use super::parser::Parser;
use super::translate::Term;
use super::types::{Cell, Cursor, Event, KeyframeScope, Modes, Rows, Style};
use crate::fleet::Size;

/// A terminal screen with its history.
pub struct Screen {
    parser: Parser,
    term: Term,
}

impl Screen {
    /// A blank screen; history is bounded to so many bytes (0 keeps none).
    pub fn new(size: Size, history_bytes: usize) -> Screen {
        Screen { parser: Parser::default(), term: Term::new(size, history_bytes) }
    }

    /// Takes the next bytes of output; never panics, whatever they are.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.term.is_ahead() {
                rest = &rest[self.term.run_ahead(rest)..];
                if rest.is_empty() {
                    return;
                }
                self.leave_ahead();
            }
            rest = &rest[self.parser.feed(&mut self.term, rest)..];
            if self.parser.is_idle() && self.term.wants_ahead() {
                self.term.enter_ahead();
            }
        }
    }

    /// Brings the cells up to date.
    fn leave_ahead(&mut self) {
        let held = self.term.leave_ahead();
        self.parser.feed(&mut self.term, &held);
    }

    /// Bytes the program must get as answers to its queries; empties the store.
    pub fn take_replies(&mut self) -> Vec<u8> {
        self.term.take_replies()
    }

    /// Events since last asked; bounded, the oldest are dropped.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.term.take_events()
    }

    /// Changes the size; history stays.
    pub fn resize(&mut self, size: Size) {
        self.leave_ahead();
        self.term.resize(size);
    }

    /// Current size.
    pub fn size(&self) -> Size {
        self.term.size
    }

    /// Escape bytes that rebuild this state at this very point of the stream.
    pub fn keyframe(&self, scope: KeyframeScope) -> Vec<u8> {
        let mut out = match scope {
            KeyframeScope::Replica { history_bytes } => self.term.replica(history_bytes),
            KeyframeScope::Terminal => self.term.for_terminal(),
        };
        out.extend_from_slice(self.term.held_ahead());
        out.extend_from_slice(&self.parser.pending());
        out
    }

    /// The cursor.
    pub fn cursor(&self) -> Cursor {
        let (row, col) = self.term.pos();
        let modes = &self.term.modes;
        Cursor { row, col, visible: modes.cursor_visible, shape: modes.cursor_shape, blink: modes.cursor_blink }
    }

    /// Whether the next character goes to the next row; the cursor's column is the last one then.
    pub fn is_wrap_pending(&self) -> bool {
        self.term.is_wrap_pending()
    }

    /// Modes that matter for input and drawing.
    pub fn modes(&self) -> Modes {
        let modes = &self.term.modes;
        Modes {
            app_cursor: modes.app_cursor,
            app_keypad: modes.app_keypad,
            bracketed_paste: modes.paste,
            focus_events: modes.focus,
            mouse: modes.mouse,
            mouse_encoding: modes.mouse_encoding,
            disambiguate: self.term.keyboard().flags & 1 != 0,
            alternate: self.term.is_alternate,
            synchronized: modes.synchronized,
        }
    }

    /// The title last set, sanitised.
    pub fn title(&self) -> &str {
        &self.term.title
    }

    /// The working directory last told by OSC 7.
    pub fn cwd(&self) -> Option<&str> {
        self.term.cwd.as_deref()
    }

    /// Rows of the visible screen changed since last asked.
    pub fn take_dirty(&mut self) -> Rows {
        self.term.damage.take()
    }

    /// Number of lines in the history, oldest first; 0 while nothing has scrolled off.
    pub fn history_len(&self) -> usize {
        self.term.history.len()
    }

    /// Number of lines that ever entered the history: a line keeps its number when older ones are dropped.
    pub fn history_total(&self) -> u64 {
        self.term.history.total()
    }

    /// Bytes of memory that the history holds.
    pub fn history_memory(&self) -> usize {
        self.term.history.memory()
    }

    /// Visits the cells of a row of the visible screen, left to right; rows outside are not visited.
    pub fn visit_row(&self, row: u16, mut visit: impl FnMut(u16, Cell<'_>)) {
        if row >= self.size().rows() {
            return;
        }
        if let Some(line) = self.term.row_ahead(row) {
            let end = visit_pieces(line.pieces(), &mut |col, text, width, look| {
                let text = if text == "\0" { "" } else { text };
                visit(col, Cell { text, width, style: look.style, link: None });
            });
            let blank = Cell { text: "", width: 1, style: Style::default(), link: None };
            (end..self.size().cols()).for_each(|col| visit(col, blank));
            return;
        }
        let engine = self.term.engine();
        let is_reverse = self.term.modes.reverse_screen;
        let mut scratch = String::new();
        // The second half of a wide character is drawn like the first.
        let mut wide = (Style::default(), None);
        for col in 0..self.size().cols() {
            let Some(cell) = engine.raw(row, col) else { return };
            let width = width_of(cell);
            if width == 0 {
                let link = wide.1.and_then(|mark| self.term.marks.get(mark)).and_then(|extra| extra.link.as_deref());
                visit(col, Cell { text: "", width, style: wide.0, link });
                continue;
            }
            let (mut style, mark) = style_of(cell, &self.term.marks);
            style.inverse ^= is_reverse;
            wide = (style, mark);
            let text = marks::clean(cell.contents(), &mut scratch);
            let link = mark.and_then(|mark| self.term.marks.get(mark)).and_then(|extra| extra.link.as_deref());
            visit(col, Cell { text, width, style, link });
        }
    }

    /// Visits the cells of a history line (0 is the oldest), left to right, up to its last written cell.
    pub fn visit_history(&self, line: usize, mut visit: impl FnMut(u16, Cell<'_>)) {
        let Some(line) = self.term.history.line(line) else { return };
        line.visit(|col, text, width, look| {
            visit(col, Cell { text, width, style: look.style, link: look.link.as_deref() });
        });
    }

    /// Text of a row of the visible screen without trailing blanks.
    pub fn row_text(&self, row: u16) -> String {
        let mut text = String::new();
        self.visit_row(row, |_, cell| {
            text.push_str(if cell.text.is_empty() && cell.width == 1 { " " } else { cell.text })
        });
        text.truncate(text.trim_end().len());
        text
    }

    /// Text of a history line (0 is the oldest) without trailing blanks.
    pub fn history_text(&self, line: usize) -> String {
        self.term.history.line(line).map_or_else(String::new, |line| line.text.trim_end().to_owned())
    }

    /// Whether a row of the visible screen continues on the next one.
    pub fn is_wrapped(&self, row: u16) -> bool {
        match self.term.row_ahead(row) {
            Some(line) => line.is_wrapped,
            None if row >= self.size().rows() => false,
            None => self.term.engine().is_wrapped(row),
        }
    }

    /// Whether a history line (0 is the oldest) continues on the next one.
    pub fn is_history_wrapped(&self, line: usize) -> bool {
        self.term.history.line(line).is_some_and(|line| line.is_wrapped)
    }
}

#[cfg(test)]
impl Screen {
    /// Feeds bytes without ever running ahead.
    pub(super) fn feed_slowly(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.parser.feed(&mut self.term, &[*byte]);
            self.term.stay_behind();
        }
    }

    /// Whether the engine is behind.
    pub(super) fn is_ahead(&self) -> bool {
        self.term.is_ahead()
    }
}

//! [`Screen`]: feed it a program's output, ask it for cells, replies, events and keyframes.

use super::engine::{style_of, width_of};
use super::guard::{guarded, unguarded};
use super::history::visit_pieces;
use super::marks;
use super::parser::Parser;
use super::translate::Term;
use super::types::{Cell, Cursor, Event, KeyframeScope, Modes, Rows, Style};
use crate::fleet::Size;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Panics in one piece of output after which the rest of the piece is skipped: a program that has found a way to cause
/// them shall not keep us busy with them.
const PANICS_CAP: usize = 8;
/// Skipped ranges remembered until somebody asks; the oldest are forgotten.
const SKIPPED_CAP: usize = 64;
/// A panic so soon after another one, bytes of output, may come from the history itself: it is given up then.
const CALM_BYTES: u64 = 64 * 1024;

/// A terminal screen with its history.
pub struct Screen {
    parser: Parser,
    term: Term,
    size: Size,
    history_bytes: usize,
    /// Something panicked since last asked.
    has_panicked: AtomicBool,
    /// Bytes taken since the last panic.
    calm_bytes: u64,
    /// Where the last panic was, counted in [`Screen::fed`]: what was skipped for it.
    skipped: Vec<Range<u64>>,
    fed: u64,
}

impl Screen {
    /// A blank screen; history is bounded to so many bytes (0 keeps none).
    pub fn new(size: Size, history_bytes: usize) -> Screen {
        Screen {
            parser: Parser::default(),
            term: Term::new(size, history_bytes),
            size,
            history_bytes,
            has_panicked: AtomicBool::new(false),
            calm_bytes: CALM_BYTES,
            skipped: Vec::new(),
            fed: 0,
        }
    }

    /// The screen that a replica's keyframe tells. Only here its private strings are obeyed: what follows the keyframe in
    /// the stream is a program's output, whatever the keyframe ended with.
    pub fn from_keyframe(size: Size, history_bytes: usize, keyframe: &[u8]) -> Screen {
        let mut screen = Screen::new(size, history_bytes);
        screen.term.is_loading = true;
        screen.feed(keyframe);
        screen.term.is_loading = false;
        drop((screen.take_events(), screen.take_replies()));
        screen
    }

    /// Takes the next bytes of output; never panics, whatever they are.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.feed_within(bytes, u64::MAX);
    }

    /// Takes the next bytes of output until they have cost so much [`Screen::work`]; says how many, at least one.
    pub fn feed_within(&mut self, bytes: &[u8], work: u64) -> usize {
        self.term.work_limit = self.work().saturating_add(work);
        let (mut at, mut panics) = (0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            self.term.end = self.fed + bytes.len() as u64;
            if self.parser.is_idle() {
                self.term.begin(rest.len());
            }
            if let Some(used) = guarded(|| self.follow(rest)) {
                at += used;
                break;
            }
            panics += 1;
            let left = if panics < PANICS_CAP { self.term.to_come.min(rest.len() - 1) } else { 0 };
            let next = bytes.len() - left;
            self.recover(self.term.begun..self.fed + next as u64);
            at = next;
        }
        self.fed += at as u64;
        self.calm_bytes = self.calm_bytes.saturating_add(at as u64);
        at
    }

    /// Takes bytes; says how many.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && (at == 0 || self.term.may_work()) {
            if self.term.is_ahead() {
                at += self.term.run_ahead(&bytes[at..]);
                if at == bytes.len() {
                    break;
                }
                self.leave_ahead();
            }
            at += self.parser.feed(&mut self.term, &bytes[at..]);
            if self.parser.is_idle() && self.term.wants_ahead() {
                self.term.enter_ahead();
            }
        }
        at
    }

    /// After a panic: a new terminal that shows what can still be read of the old one. What was fed between is skipped.
    fn recover(&mut self, skipped: Range<u64>) {
        self.has_panicked.store(true, Relaxed);
        if self.skipped.len() == SKIPPED_CAP {
            self.skipped.remove(0);
        }
        self.skipped.push(skipped);
        self.parser = Parser::default();
        let keyframe = guarded(|| self.term.replica(0));
        let mut fresh = keyframe.and_then(|keyframe| self.loaded(&keyframe)).unwrap_or_else(|| self.text_only());
        (fresh.is_loading, fresh.work) = (self.term.is_loading, self.work());
        fresh.work_limit = self.term.work_limit;
        fresh.hand_over(&mut self.term);
        if self.calm_bytes >= CALM_BYTES {
            std::mem::swap(&mut fresh.history, &mut self.term.history);
        }
        fresh.damage.all();
        self.calm_bytes = 0;
        self.term = fresh;
    }

    /// A terminal of our size as a keyframe of our own tells it, unless that panics too.
    fn loaded(&self, keyframe: &[u8]) -> Option<Term> {
        guarded(|| {
            let mut term = Term::new(self.term.size, self.history_bytes);
            term.is_loading = true;
            Parser::default().feed(&mut term, keyframe);
            term.resize(self.size);
            term
        })
    }

    /// A terminal with nothing but the text of the rows.
    fn text_only(&self) -> Term {
        let mut text = String::from("\x1b[?7l");
        for row in 0..self.size.rows() {
            let _ = write!(text, "\x1b[{};1H{}", row + 1, self.row_text(row));
        }
        let blank = || Term::new(self.size, self.history_bytes);
        let written = guarded(|| {
            let mut term = blank();
            Parser::default().feed(&mut term, (text + "\x1b[?7h").as_bytes());
            term
        });
        written.unwrap_or_else(blank)
    }

    /// Reads; what it is for nothing if that panics, and the next bytes find a new terminal.
    fn read<T: Default>(&self, read: impl FnOnce() -> T) -> T {
        guarded(read).unwrap_or_else(|| {
            self.has_panicked.store(true, Relaxed);
            T::default()
        })
    }

    /// Whether something panicked since last asked, and which bytes, counted from the first one fed, were skipped for it.
    /// The screen went on with what could be read of it.
    pub fn take_panic(&mut self) -> Option<Vec<Range<u64>>> {
        let has_rebuilt = std::mem::take(&mut self.term.has_rebuilt);
        (self.has_panicked.swap(false, Relaxed) || has_rebuilt).then(|| std::mem::take(&mut self.skipped))
    }

    /// What the bytes have cost so far: bytes looked at, bytes given to the engine, cells visited, each by its weight. Grows
    /// with the time that was spent, by one in some five nanoseconds, and is the same on every machine.
    pub fn work(&self) -> u64 {
        self.term.work()
    }

    /// Brings the cells up to date.
    fn leave_ahead(&mut self) {
        let held = self.term.leave_ahead();
        // These few bytes were taken already.
        let limit = std::mem::replace(&mut self.term.work_limit, u64::MAX);
        self.parser.feed(&mut self.term, &held);
        self.term.work_limit = limit;
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
        self.size = size;
        let resized = guarded(|| {
            self.leave_ahead();
            self.term.resize(size);
        });
        if resized.is_none() {
            self.recover(self.fed..self.fed);
        }
    }

    /// Current size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Escape bytes that rebuild this state at this very point of the stream.
    pub fn keyframe(&self, scope: KeyframeScope) -> Vec<u8> {
        self.read(|| {
            let mut out = match scope {
                KeyframeScope::Replica { history_bytes } => self.term.replica(history_bytes),
                KeyframeScope::Terminal => self.term.for_terminal(),
            };
            out.extend_from_slice(self.term.held_ahead());
            out.extend_from_slice(&self.parser.pending());
            out
        })
    }

    pub(super) fn key_mode_bytes(&self) -> Vec<u8> {
        self.read(|| self.term.key_modes())
    }

    /// The cursor.
    pub fn cursor(&self) -> Cursor {
        let (row, col) = self.read(|| self.term.pos());
        let modes = &self.term.modes;
        Cursor { row, col, visible: modes.cursor_visible, shape: modes.cursor_shape, blink: modes.cursor_blink }
    }

    /// Whether the next character goes to the next row; the cursor's column is the last one then.
    pub fn is_wrap_pending(&self) -> bool {
        self.read(|| self.term.is_wrap_pending())
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
        if row < self.size.rows().min(self.term.size.rows()) {
            self.read(|| self.visit_cells(row, &mut |col, cell: Cell<'_>| unguarded(|| visit(col, cell))));
        }
    }

    fn visit_cells(&self, row: u16, visit: &mut impl FnMut(u16, Cell<'_>)) {
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
        self.read(|| {
            let Some(line) = self.term.history.line(line) else { return };
            line.visit(|col, text, width, look| {
                let cell = Cell { text, width, style: look.style, link: look.link.as_deref() };
                unguarded(|| visit(col, cell));
            });
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
        self.read(|| self.term.history.line(line).map_or_else(String::new, |line| line.text.trim_end().to_owned()))
    }

    /// Whether a row of the visible screen continues on the next one.
    pub fn is_wrapped(&self, row: u16) -> bool {
        self.read(|| match self.term.row_ahead(row) {
            Some(line) => line.is_wrapped,
            None if row >= self.size().rows() => false,
            None => self.term.engine().is_wrapped(row),
        })
    }

    /// Whether a history line (0 is the oldest) continues on the next one.
    pub fn is_history_wrapped(&self, line: usize) -> bool {
        self.read(|| self.term.history.line(line).is_some_and(|line| line.is_wrapped))
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

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: KeyframeScope = KeyframeScope::Replica { history_bytes: usize::MAX };

    /// A panic anywhere in the emulator, a division by zero in a colour for one, ended whatever process held the screen.
    #[test]
    fn a_panic_leaves_everything_but_what_caused_it() {
        let before =
            b"gone\r\n\r\n\r\n\x1b]2;title\x07\x1b[?2004h\x1b[2;3r\x1b[44mx\x1b[?1049h\x1b[1;4:3mtext\x1b[2;2H\x1b7";
        let mut screen = Screen::new(Size::new(3, 20), 1 << 16);
        screen.feed(before);
        let keyframe = screen.keyframe(ALL);
        screen.feed(b"\x1bP+f!\x1b\\");
        let begun = before.len() as u64;
        assert_eq!(screen.take_panic().map(|all| all[0].clone()), Some(begun..begun + 7));
        assert_eq!(screen.take_panic(), None);
        assert_eq!(screen.keyframe(ALL).escape_ascii().to_string(), keyframe.escape_ascii().to_string());
        assert_eq!((screen.history_text(0), screen.title()), ("gone".into(), "title"));
    }

    #[test]
    fn what_follows_a_panic_is_taken_and_endless_panics_are_not_waited_for() {
        let mut screen = Screen::new(Size::new(3, 20), 0);
        screen.feed(b"a\x1bP+f!\x1b\\b\x1bP+f!\x1b\\c");
        assert_eq!(screen.row_text(0), "abc");
        screen.feed(&[&b"\x1bP+f!\x1b\\".repeat(100)[..], b"skipped"].concat());
        assert_eq!(
            (screen.row_text(0), screen.take_panic().map(|all| all.len())),
            ("abc".into(), Some(2 + PANICS_CAP))
        );
        screen.feed(b"d");
        assert_eq!(screen.row_text(0), "abcd");
    }

    #[test]
    fn a_panic_of_who_reads_is_theirs() {
        let screen = Screen::new(Size::new(3, 20), 0);
        let read = || screen.visit_row(0, |col, _| assert!(col < 5, "expected in this test's output"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err());
    }
}

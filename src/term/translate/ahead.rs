//! Running ahead: while a program only writes lines, their text is kept as rows and the engine is left behind. It is
//! painted when anything else comes; by then at least as many rows have scrolled off as it costs to paint.
//!
//! Lines are text, SGR that the engine knows, TAB, and CR LF at the bottom of the whole primary screen. The state is the
//! same to the last cell as if the engine had followed.

use super::Term;
use crate::term::engine::{Engine, style_of};
use crate::term::history::{LineBuf, Look};
use crate::term::marks::{Extra, Marks};
use crate::term::params::Params;
use crate::term::parser::{ascii_run, plain_text};
use crate::term::pen::{self, Attrs};
use crate::term::types::Color;
use std::collections::VecDeque;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use unicode_width::UnicodeWidthChar;

/// The longest SGR sequence that is waited for, bytes.
const SEQUENCE_CAP: usize = 64;
/// From here on there are no characters of programs, only the translator's.
const PRIVATE: char = '\u{E0000}';

/// The primary screen while the engine is behind.
pub(super) struct Ahead {
    /// All rows, as many as the screen has; a NUL is a blank cell. The cursor is on the last one, behind its text.
    rows: VecDeque<LineBuf>,
    col: u16,
    look: Look,
    /// The beginning of a character or sequence at the end of the last piece.
    held: Vec<u8>,
}

/// Why a step ended.
enum Stop {
    /// At the end of the bytes.
    End,
    /// What is left may become a line with the bytes to come.
    Unfinished,
    /// At something that is for the engine.
    Other,
}

impl Term {
    /// Whether the rows are held here and the engine is behind.
    pub(in crate::term) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Whether running ahead would pay and nothing is set that it does not heed.
    pub(in crate::term) fn wants_ahead(&self) -> bool {
        let last = self.last_row();
        self.scrolled >= 2 * usize::from(self.size.rows())
            && !self.is_alternate
            && last > 0
            && (self.top, self.bottom) == (0, last)
            && self.modes.autowrap
            && !self.modes.insert
            && !self.modes.reverse_screen
            && !self.has_sides()
            && self.may_pass_newline()
            && self.charsets.is_plain()
            && self.is_line_pen()
            && self.engine().pos().0 == last
    }

    /// Whether text in this pen is what the engine prints by itself.
    fn is_line_pen(&self) -> bool {
        Extra::of(&self.pen).is_none()
    }

    /// Takes the rows over from the engine, unless they hold what only cells can.
    pub(in crate::term) fn enter_ahead(&mut self) {
        self.scrolled = 0;
        self.spend_rows(self.size.rows());
        let mut rows: VecDeque<LineBuf> = VecDeque::with_capacity(self.size.rows().into());
        for row in 0..self.size.rows() {
            let mut line = LineBuf::default();
            let is_continued = rows.back().is_some_and(|line| line.is_wrapped);
            let is_read = read_plain(&self.primary, row, &self.marks, &mut line).is_some();
            if !is_read || is_continued && line.text.first().is_none_or(|&byte| byte == 0) {
                return;
            }
            rows.push_back(line);
        }
        let Some(line) = rows.back_mut() else { return };
        let col = self.primary.pos().1;
        let Some(blanks) = usize::from(col).checked_sub(line.width()) else { return };
        if blanks > 0 && col > self.last_col() {
            // A wrap pending behind a blank cell leaves no mark on the row.
            return;
        }
        line.pad(blanks);
        let look = Look { style: self.pen.style, link: None };
        self.ahead = Some(Ahead { rows, col, look, held: Vec::new() });
    }

    /// Paints the engine; returns bytes that were held back and are still to be read.
    pub(in crate::term) fn leave_ahead(&mut self) -> Vec<u8> {
        let Some(ahead) = self.ahead.take() else { return Vec::new() };
        self.spend_rows(self.size.rows());
        let mut out = b"\x1b[m\x1b[2J".to_vec();
        ahead.paint(&mut out);
        self.primary.write(&out);
        self.set_pen();
        self.settle();
        ahead.held
    }

    /// Takes lines; says how many of the bytes. Fewer than all if the rest is for the engine.
    pub(in crate::term) fn run_ahead(&mut self, bytes: &[u8]) -> usize {
        let Some(mut ahead) = self.ahead.take() else { return 0 };
        self.begin(bytes.len());
        self.to_come = 0;
        let used = catch_unwind(AssertUnwindSafe(|| ahead.run(self, bytes)));
        // Whatever happened, what can be read of the rows is in them.
        self.ahead = Some(ahead);
        let used = used.unwrap_or_else(|panic| resume_unwind(panic));
        self.spend(used);
        used
    }

    /// Forgets what scrolled, so that running ahead does not pay.
    #[cfg(test)]
    pub(in crate::term) fn stay_behind(&mut self) {
        self.scrolled = 0;
    }

    /// Paints the rows onto a blank screen in the default pen, while ahead; false otherwise.
    pub(in crate::term) fn paint_ahead(&self, out: &mut Vec<u8>) -> bool {
        self.ahead.as_ref().map(|ahead| ahead.paint(out)).is_some()
    }

    /// What is held back of the last piece.
    pub(in crate::term) fn held_ahead(&self) -> &[u8] {
        self.ahead.as_ref().map_or(&[], |ahead| &ahead.held)
    }

    /// The row as text and looks, while ahead.
    pub(in crate::term) fn row_ahead(&self, row: u16) -> Option<&LineBuf> {
        self.ahead.as_ref()?.rows.get(usize::from(row))
    }

    /// The cursor as the engine has it or will have it: the column equals the width while a wrap is pending.
    pub(in crate::term) fn engine_pos(&self) -> (u16, u16) {
        match &self.ahead {
            // A carriage return is held back for its line feed.
            Some(ahead) if ahead.held.first() == Some(&b'\r') => (self.last_row(), 0),
            Some(ahead) => (self.last_row(), ahead.col),
            None => self.engine().pos(),
        }
    }
}

impl Ahead {
    /// Writes the rows onto a blank screen.
    fn paint(&self, out: &mut Vec<u8>) {
        let mut is_continued = false;
        let mut style = Attrs::default();
        for (line, row) in self.rows.iter().zip(1..) {
            if !is_continued {
                let _ = write!(out, "\x1b[{row}H");
            }
            for (text, look) in line.pieces() {
                if Attrs::of(&look.style) != style {
                    style = Attrs::of(&look.style);
                    style.write_sgr(out);
                }
                for piece in text.split_inclusive('\0') {
                    match piece.strip_suffix('\0') {
                        Some(piece) => write!(out, "{piece}\x1b[C").unwrap_or_default(),
                        None => out.extend_from_slice(piece.as_bytes()),
                    }
                }
            }
            is_continued = line.is_wrapped;
        }
    }

    // A function of its own: within the guard's closure the compiler knows less of what it is given.
    #[inline(never)]
    fn run(&mut self, term: &mut Term, bytes: &[u8]) -> usize {
        let mut at = 0;
        if !self.held.is_empty() {
            let mut joined = std::mem::take(&mut self.held);
            let held = joined.len();
            joined.extend_from_slice(&bytes[..bytes.len().min(SEQUENCE_CAP)]);
            let (used, stop) = self.step(term, &joined);
            if used < held {
                let is_short = joined.len() < held + SEQUENCE_CAP;
                if matches!(stop, Stop::Unfinished) && is_short {
                    self.held = joined;
                    return bytes.len();
                }
                joined.truncate(held);
                self.held = joined;
                return 0;
            }
            at = used - held;
        }
        let (used, stop) = self.step(term, &bytes[at..]);
        at += used;
        if matches!(stop, Stop::Unfinished) {
            self.held = bytes[at..].to_vec();
            at = bytes.len();
        }
        at
    }

    /// Takes lines up to what is not one; what is held back is left to the caller.
    fn step(&mut self, term: &mut Term, bytes: &[u8]) -> (usize, Stop) {
        let cols = usize::from(term.size.cols());
        let mut at = 0;
        while at < bytes.len() {
            let run = ascii_run(&bytes[at..]);
            if run > 0 {
                let mut text = &bytes[at..at + run];
                while !text.is_empty() {
                    if usize::from(self.col) == cols && !self.end_row(term, true) {
                        return (at + run - text.len(), Stop::Other);
                    }
                    let (fits, rest) = text.split_at(text.len().min(cols - usize::from(self.col)));
                    self.push(fits, fits.len());
                    term.last_char = fits.last().map(|&byte| char::from(byte));
                    text = rest;
                }
                term.damage.span(term.last_row(), term.last_row());
                at += run;
                continue;
            }
            let rest = &bytes[at..];
            let taken = match rest[0] {
                b'\r' => self.line_feed(term, rest),
                b'\t' => self.tab(term),
                0x1b => self.sgr(term, rest),
                0x80.. => self.text(term, rest),
                _ => Err(Stop::Other),
            };
            match taken {
                Ok(taken) => at += taken,
                Err(stop) => return (at, stop),
            }
        }
        (at, Stop::End)
    }

    fn line_feed(&mut self, term: &mut Term, bytes: &[u8]) -> Result<usize, Stop> {
        // A program that ends its lines with CR LF gets another CR from its terminal.
        let returns = bytes.iter().take(SEQUENCE_CAP).take_while(|&&byte| byte == b'\r').count();
        match bytes.get(returns) {
            Some(b'\n') if self.end_row(term, false) => {
                term.last_char = None;
                Ok(returns + 1)
            }
            None if returns < SEQUENCE_CAP => Err(Stop::Unfinished),
            _ => Err(Stop::Other),
        }
    }

    fn tab(&mut self, term: &mut Term) -> Result<usize, Stop> {
        if self.col > term.last_col() {
            return Err(Stop::Other);
        }
        let next = term.tabs.next(self.col);
        if let Some(line) = self.rows.back_mut() {
            line.pad(usize::from(next - self.col));
        }
        self.col = next;
        term.last_char = None;
        Ok(1)
    }

    fn sgr(&mut self, term: &mut Term, bytes: &[u8]) -> Result<usize, Stop> {
        let body = match bytes.strip_prefix(b"\x1b[") {
            Some(body) => body,
            None if bytes.len() == 1 => return Err(Stop::Unfinished),
            None => return Err(Stop::Other),
        };
        let is_param = |byte: &u8| matches!(byte, b'0'..=b'9' | b';');
        let Some(end) = body.iter().take(SEQUENCE_CAP).position(|byte| !is_param(byte)) else {
            return Err(if body.len() < SEQUENCE_CAP { Stop::Unfinished } else { Stop::Other });
        };
        let params = Params::parse(&body[..end]);
        if body[end] != b'm' || !pen::is_native_sgr(&body[..end], &params) {
            return Err(Stop::Other);
        }
        let before = term.pen.clone();
        term.pen.apply_sgr(&params);
        if !term.is_line_pen() {
            term.pen = before;
            return Err(Stop::Other);
        }
        self.look.style = term.pen.style;
        term.last_char = None;
        Ok(end + 3)
    }

    fn text(&mut self, term: &mut Term, bytes: &[u8]) -> Result<usize, Stop> {
        let cols = term.size.cols();
        let end = bytes.iter().take(256).take_while(|&&byte| byte >= 0x80).count();
        let (plain, _) = plain_text(&bytes[..end]);
        let text = std::str::from_utf8(&bytes[..plain]).unwrap_or("");
        if text.is_empty() {
            let is_begun = end == bytes.len()
                && std::str::from_utf8(&bytes[..end])
                    .is_err_and(|at| at.valid_up_to() == 0 && at.error_len().is_none());
            return Err(if is_begun { Stop::Unfinished } else { Stop::Other });
        }
        let (mut taken, mut pushed, mut fits) = (0, 0, 0);
        for c in text.chars() {
            let Some(width @ 1..) = c.width().map(|width| width.min(2) as u16) else { break };
            if self.col + fits + width > cols {
                self.push(&bytes[pushed..taken], fits.into());
                (pushed, fits) = (taken, 0);
                // A wide character that does not fit leaves the last column blank, unmarked as wrapped.
                if width > cols || !self.end_row(term, self.col == cols) {
                    break;
                }
            }
            fits += width;
            taken += c.len_utf8();
            term.last_char = Some(c);
        }
        self.push(&bytes[pushed..taken], fits.into());
        term.damage.span(term.last_row(), term.last_row());
        if taken == 0 { Err(Stop::Other) } else { Ok(taken) }
    }

    fn push(&mut self, text: &[u8], width: usize) {
        if let Some(line) = self.rows.back_mut() {
            line.text.extend_from_slice(text);
            line.cover(&self.look, text.len());
        }
        self.col += width as u16;
    }

    /// Begins a new row; false, and nothing happened, where it would be filled with a background.
    fn end_row(&mut self, term: &mut Term, is_wrapped: bool) -> bool {
        if self.look.style.bg != Color::Default {
            return false;
        }
        if let Some(line) = self.rows.back_mut() {
            line.is_wrapped = is_wrapped;
        }
        if let Some(mut line) = self.rows.pop_front() {
            line.fill_blanks();
            term.history.push(&line);
            line.clear();
            self.rows.push_back(line);
        }
        self.col = 0;
        term.damage.all();
        true
    }
}

/// Reads a row of cells that can be printed again as they are; `None` if one cannot.
fn read_plain(engine: &Engine, row: u16, marks: &Marks, line: &mut LineBuf) -> Option<()> {
    line.is_wrapped = engine.is_wrapped(row);
    let mut blanks = 0;
    for col in 0..engine.size().cols() {
        let cell = engine.raw(row, col)?;
        if !cell.has_contents() {
            blanks += usize::from(!cell.is_wide_continuation());
            continue;
        }
        line.pad(std::mem::take(&mut blanks));
        let (style, mark) = style_of(cell, marks);
        let text = cell.contents();
        let is_cut = cell.is_wide() && col + 1 == engine.size().cols();
        let mut chars = text.chars();
        if mark.is_some() || is_cut || chars.next().is_none_or(|c| c >= PRIVATE) || chars.next().is_some() {
            return None;
        }
        line.text.extend_from_slice(text.as_bytes());
        line.cover(&Look { style, link: None }, text.len());
    }
    let is_whole = !line.is_wrapped || line.width() == usize::from(engine.size().cols());
    is_whole.then_some(())
}

#[cfg(test)]
mod tests {
    use crate::fleet::Size;
    use crate::term::{Cell, KeyframeScope, Screen, Style};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Everything that can be seen of a screen.
    fn seen(screen: &Screen) -> (Vec<String>, Vec<String>, String) {
        let show = |_: u16, cell: Cell<'_>| {
            let style = (cell.style != Style::default()).then_some(cell.style);
            format!("[{:?} {} {style:?}]", cell.text, cell.width).replace(" 1 None", "")
        };
        let rows = (0..screen.size().rows()).map(|row| {
            let mut text = format!("{} ", screen.is_wrapped(row));
            screen.visit_row(row, |col, cell| text.push_str(&show(col, cell)));
            text
        });
        let history = (0..screen.history_len()).map(|line| {
            let mut text = format!("{} ", screen.is_history_wrapped(line));
            screen.visit_history(line, |col, cell| text.push_str(&show(col, cell)));
            text
        });
        let state = format!("{:?} {} {}", screen.cursor(), screen.is_wrap_pending(), screen.history_total());
        (rows.collect(), history.collect(), state)
    }

    /// Lines as programs write them, and what may stand between them.
    fn lines(count: usize) -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            8 => "[a-z0-9 ]{0,30}",
            3 => "[a-z]{0,9}".prop_map(|text| format!("\x1b[1;31m{text}\x1b[0m {text}")),
            3 => "[a-z]{0,9}".prop_map(|text| format!("\x1b[38;5;9;4m{text}漢é{text}")),
            3 => "[a-z]{0,9}".prop_map(|text| format!("{text}\t{text}\x1b[m\t\t")),
            2 => "[a-z]{0,9}".prop_map(|text| format!("\x1b[44m{text}\x1b[0m")),
            1 => Just("\x1b[44mlong enough to be wrapped here and there\x1b[0m".to_owned()),
            1 => Just("e\u{301}x\u{FFFD}⚠\u{FE0F}".to_owned()),
            1 => Just("over\rwritten".to_owned()),
            1 => Just("\x1b[4:3mcurly\x1b[9m\x1b[0m".to_owned()),
            1 => Just("\x1b[2K\x1b[A\x1b[B".to_owned()),
            1 => Just("\x1b[3;1Hup\x1b[99;1H".to_owned()),
            1 => Just("\x1bHstop\x1b(0q\x1b(B".to_owned()),
        ];
        let end = prop_oneof![40 => Just("\r\n"), 1 => Just("\n"), 2 => Just("\r\r\n"), 1 => Just("")];
        vec((line, end), 0..count)
            .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect::<String>().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn running_ahead_shows_what_following_would(
            size in (2u32..8, 2u32..24).prop_map(|(rows, cols)| Size::new(rows, cols)),
            bytes in lines(120),
            cuts in vec(1usize..200, 1..30),
            looks in vec(any::<bool>(), 1..30),
        ) {
            let (mut ahead, mut behind) = (Screen::new(size, 1 << 20), Screen::new(size, 1 << 20));
            let mut rest = &bytes[..];
            for (length, looks) in cuts.into_iter().zip(looks.into_iter().cycle()).cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at(length.min(rest.len()));
                rest = tail;
                ahead.feed(head);
                behind.feed_slowly(head);
                if looks {
                    // What is held back of a line is not yet seen, and neither is it in the engine.
                    prop_assert_eq!(seen(&ahead), seen(&behind));
                }
            }
            // A keyframe is taken from the rows as from the cells, and what it builds goes on alike.
            let scope = KeyframeScope::Replica { history_bytes: usize::MAX };
            let mut copies = [&ahead, &behind].map(|screen| {
                Screen::from_keyframe(size, 1 << 20, &screen.keyframe(scope))
            });
            for screen in copies.iter_mut().chain([&mut ahead, &mut behind]) {
                screen.feed("m\x1b[3b\x1b[A漢\x1b[K\r\n\tend".as_bytes());
            }
            for copy in &copies {
                prop_assert_eq!(seen(copy), seen(&ahead));
            }
            prop_assert_eq!(seen(&ahead), seen(&behind));
        }
    }

    #[test]
    fn a_log_is_run_ahead_of_and_anything_else_ends_it() {
        let mut screen = Screen::new(Size::new(4, 20), 1 << 16);
        (0..20).for_each(|n| screen.feed(format!("line {n}\r\n").as_bytes()));
        assert!(screen.is_ahead());
        screen.feed(b"caf\xc3");
        screen.feed(b"\xa9 \x1b[3");
        screen.feed(b"1mred\r");
        assert!(screen.is_ahead());
        screen.feed(b"\x1b[K");
        assert!(!screen.is_ahead());
        assert_eq!((screen.row_text(2), screen.row_text(3)), ("line 19".into(), String::new()));
    }
}

//! Bytes to actions: a small state machine over C0, ESC, CSI and strings, with UTF-8 held back at chunk borders.
//!
//! It keeps the raw bytes of an unfinished sequence, so that a keyframe can end with them.

use super::marks;
use super::params::Params;
use super::pen;
use super::translate::Term;
use std::ops::ControlFlow;
use unicode_width::UnicodeWidthChar;

/// Bytes kept of one OSC or DCS string; a longer one is swallowed whole. Room for a generous clipboard.
const STRING_CAP: usize = 1 << 20;
/// Bytes kept of one control sequence; a longer one is swallowed.
const SEQUENCE_CAP: usize = 256;

/// Text is passed on at least every so many bytes: for the translator to run ahead of lines, and to end in time.
const PASS_BYTES: usize = 4 * 1024;

/// One complete escape sequence as the translator gets it.
pub(super) struct Csi {
    /// `<`, `=`, `>`, `?` or 0.
    pub(super) marker: u8,
    /// Last intermediate byte or 0.
    pub(super) intermediate: u8,
    pub(super) final_byte: u8,
    pub(super) params: Params,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC, with its intermediates in `seq`.
    Escape,
    /// After CSI, with what followed in `seq`.
    Csi,
    /// Within a string begun by this byte after ESC (`]`, `P`, `X`, `^`, `_`).
    Str(u8),
    /// Within a string, after an ESC.
    StrEscape(u8),
}

/// The state machine.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    seq: Vec<u8>,
    is_too_long: bool,
    utf8: Vec<u8>,
}

impl Parser {
    /// Feeds bytes to the translator; says how many. Fewer than all where the translator would rather run ahead.
    pub(super) fn feed(&mut self, term: &mut Term, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && (at == 0 || term.may_work()) && !(self.is_idle() && term.wants_ahead()) {
            if self.is_idle() {
                term.begin(bytes.len() - at);
            }
            term.to_come = bytes.len() - at - 1;
            at += self.advance(term, &bytes[at..]);
        }
        term.spend(at);
        at
    }

    /// Consumes some of the bytes, at least one unless it ended a character by being none of it.
    fn advance(&mut self, term: &mut Term, bytes: &[u8]) -> usize {
        match self.state {
            State::Ground if self.utf8.is_empty() => self.ground(term, bytes),
            State::Ground => self.resume_utf8(term, bytes[0]),
            State::Str(_) => self.string(term, bytes),
            _ => {
                self.step(term, bytes[0]);
                1
            }
        }
    }

    /// Whether nothing is begun.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Ground && self.utf8.is_empty()
    }

    /// The raw bytes of what is begun but not finished.
    pub(super) fn pending(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.state {
            State::Ground => out.extend_from_slice(&self.utf8),
            State::Escape => out.push(0x1b),
            State::Csi => out.extend_from_slice(b"\x1b["),
            State::Str(kind) | State::StrEscape(kind) => out.extend_from_slice(&[0x1b, kind]),
        }
        out.extend_from_slice(&self.seq);
        if self.is_too_long {
            // One byte more than is kept, so that the reader finds it too long as well.
            out.push(b'0');
        }
        if let State::StrEscape(_) = self.state {
            out.push(0x1b);
        }
        out
    }

    /// Consumes text, controls and the start of a sequence; at least one byte.
    fn ground(&mut self, term: &mut Term, bytes: &[u8]) -> usize {
        let mut at = 0;
        let mut pass_from = 0;
        while at < bytes.len() && (at == 0 || term.may_work()) {
            let byte = bytes[at];
            if byte == 0x1b {
                if let Some((end, final_byte)) = complete_csi(&bytes[at..]) {
                    let body = &bytes[at + 2..at + end - 1];
                    if final_byte == b'm' && term.may_pass() {
                        let params = Params::parse(body);
                        let is_plain = body.iter().all(|&byte| matches!(byte, b'0'..=b'9' | b';'));
                        if is_plain && pen::is_native_sgr(body, &params) && term.try_pass_sgr(&params) {
                            at += end;
                            continue;
                        }
                    }
                    term.pass(&bytes[pass_from..at]);
                    term.begin(bytes.len() - at);
                    at += end;
                    pass_from = at;
                    term.to_come = bytes.len() - at;
                    dispatch_csi(term, body, final_byte);
                    continue;
                }
                term.pass(&bytes[pass_from..at]);
                term.begin(bytes.len() - at);
                let times = index_run(&bytes[at..]);
                if times > 0 {
                    term.column_index(bytes[at + 1], times);
                    return at + 2 * times;
                }
                self.enter(State::Escape);
                return at + 1;
            }
            if !term.may_pass() {
                term.pass(&bytes[pass_from..at]);
                term.begin(bytes.len() - at);
                let (used, flow) = self.slow(term, &bytes[at..]);
                at += used;
                pass_from = at;
                if flow.is_break() {
                    return at;
                }
                continue;
            }
            if at - pass_from >= PASS_BYTES {
                term.pass(&bytes[pass_from..at]);
                return at;
            }
            let run = ascii_run(&bytes[at..bytes.len().min(at + PASS_BYTES)]);
            if run > 0 {
                term.note_last(&bytes[at..at + run]);
                at += run;
                continue;
            }
            match byte {
                b'\r' if term.may_pass_newline() => {
                    term.note_newline();
                    at += 1;
                }
                b'\n' if term.may_pass_newline() => {
                    // The engine would keep a pending wrap over a line feed.
                    if (at == pass_from || bytes[at - 1] != b'\r') && term.may_wrap_after(&bytes[pass_from..at]) {
                        term.pass(&bytes[pass_from..at]);
                        term.end_wrap();
                        pass_from = at;
                    }
                    term.note_newline();
                    at += 1;
                }
                0x80.. => {
                    let (plain, looked) = plain_run(&bytes[at..]);
                    term.spend(looked);
                    if plain > 0 {
                        term.note_last(&bytes[at..at + plain]);
                        at += plain;
                        continue;
                    }
                    term.pass(&bytes[pass_from..at]);
                    term.begin(bytes.len() - at);
                    let (used, flow) = self.slow(term, &bytes[at..]);
                    at += used;
                    pass_from = at;
                    if flow.is_break() {
                        return at;
                    }
                }
                _ => {
                    term.pass(&bytes[pass_from..at]);
                    term.control(byte);
                    at += 1;
                    pass_from = at;
                }
            }
        }
        term.pass(&bytes[pass_from..at]);
        at
    }

    /// One step where text must be looked at: a control, a run of text that fits into the row, or one other character.
    fn slow(&mut self, term: &mut Term, bytes: &[u8]) -> (usize, ControlFlow<()>) {
        let byte = bytes[0];
        if byte < 0x20 || byte == 0x7f {
            term.control(byte);
            return (1, ControlFlow::Continue(()));
        }
        // What is printed over in the same place, but for the last of it, leaves nothing behind.
        if term.prints_in_place() {
            let run = ascii_run(bytes);
            if run > 1 {
                return (run - 1, ControlFlow::Continue(()));
            }
        }
        let run = term.print_run(bytes);
        if run > 0 {
            return (run, ControlFlow::Continue(()));
        }
        let window = &bytes[..bytes.len().min(4)];
        match first_char(window) {
            Decoded::Char(c) => (c.len_utf8(), self.print(term, c)),
            Decoded::Invalid(used) => {
                term.print('\u{FFFD}');
                (used, ControlFlow::Continue(()))
            }
            Decoded::Partial => {
                self.utf8.extend_from_slice(window);
                (window.len(), ControlFlow::Break(()))
            }
        }
    }

    /// One more byte for a character that began in an earlier chunk.
    fn resume_utf8(&mut self, term: &mut Term, byte: u8) -> usize {
        self.utf8.push(byte);
        match first_char(&self.utf8) {
            Decoded::Partial => 1,
            Decoded::Char(c) => {
                self.utf8.clear();
                let _ = self.print(term, c);
                1
            }
            Decoded::Invalid(_) => {
                // What was held was a valid beginning, so only the new byte can be at fault: it is read afresh.
                self.utf8.clear();
                term.print('\u{FFFD}');
                0
            }
        }
    }

    /// Prints a character, or obeys it if it is a C1 control; breaks when that began a sequence.
    fn print(&mut self, term: &mut Term, c: char) -> ControlFlow<()> {
        match c {
            '\u{80}'..='\u{9f}' => {
                let byte = c as u8 - 0x40;
                match byte {
                    b'[' => self.enter(State::Csi),
                    b']' | b'P' | b'X' | b'^' | b'_' => self.enter(State::Str(byte)),
                    _ => {
                        term.escape(&[], byte);
                        return ControlFlow::Continue(());
                    }
                }
                ControlFlow::Break(())
            }
            c => {
                term.print(c);
                ControlFlow::Continue(())
            }
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.seq.clear();
        self.is_too_long = false;
        if self.seq.capacity() > 4096 {
            self.seq = Vec::new();
        }
    }

    /// One byte within an escape or control sequence, or after an ESC in a string.
    fn step(&mut self, term: &mut Term, byte: u8) {
        match (self.state, byte) {
            (State::StrEscape(kind), _) => {
                let seq = std::mem::take(&mut self.seq);
                let is_whole = !self.is_too_long;
                self.enter(State::Ground);
                if is_whole {
                    term.string(kind, &seq);
                }
                if byte != b'\\' {
                    self.enter(State::Escape);
                    self.step(term, byte);
                }
            }
            (_, 0x18 | 0x1a) => self.enter(State::Ground),
            (_, 0x1b) => self.enter(State::Escape),
            (_, 0x00..=0x1f) => term.control(byte),
            (_, 0x7f) => {}
            (State::Escape, 0x20..=0x2f) => self.keep(byte, SEQUENCE_CAP),
            (State::Escape, b'[') if self.seq.is_empty() => self.enter(State::Csi),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') if self.seq.is_empty() => self.enter(State::Str(byte)),
            (State::Escape, 0x30..=0x7e) => {
                let seq = std::mem::take(&mut self.seq);
                let is_whole = !self.is_too_long;
                self.enter(State::Ground);
                if is_whole {
                    term.escape(&seq, byte);
                }
            }
            (State::Csi, 0x20..=0x3f) => self.keep(byte, SEQUENCE_CAP),
            (State::Csi, 0x40..=0x7e) => {
                let seq = std::mem::take(&mut self.seq);
                let is_whole = !self.is_too_long;
                self.enter(State::Ground);
                if is_whole {
                    dispatch_csi(term, &seq, byte);
                }
            }
            // A byte beyond ASCII within a sequence: the sequence is over, the byte is text.
            _ => {
                self.enter(State::Ground);
                self.advance(term, &[byte]);
            }
        }
    }

    fn keep(&mut self, byte: u8, cap: usize) {
        if self.seq.len() < cap {
            self.seq.push(byte);
        } else {
            self.is_too_long = true;
        }
    }

    /// Consumes bytes of a string up to what ends it.
    fn string(&mut self, term: &mut Term, bytes: &[u8]) -> usize {
        let State::Str(kind) = self.state else { return 0 };
        let end = bytes.iter().position(|byte| matches!(byte, 0x1b | 0x18 | 0x1a | 0x07)).unwrap_or(bytes.len());
        let room = STRING_CAP - self.seq.len().min(STRING_CAP);
        self.is_too_long |= end > room;
        self.seq.extend_from_slice(&bytes[..end.min(room)]);
        match bytes.get(end) {
            None => return end,
            Some(0x1b) => self.state = State::StrEscape(kind),
            Some(0x07) if kind == b']' => {
                let seq = std::mem::take(&mut self.seq);
                let is_whole = !self.is_too_long;
                self.enter(State::Ground);
                if is_whole {
                    term.string(kind, &seq);
                }
            }
            Some(0x07) => self.keep(0x07, STRING_CAP),
            Some(_) => self.enter(State::Ground),
        }
        end + 1
    }
}

fn dispatch_csi(term: &mut Term, body: &[u8], final_byte: u8) {
    let (marker, rest) = match body.first() {
        Some(&byte @ b'<'..=b'?') => (byte, &body[1..]),
        _ => (0, body),
    };
    let digits = rest.iter().position(|byte| !matches!(byte, b'0'..=b';')).unwrap_or(rest.len());
    let tail = &rest[digits..];
    if !tail.iter().all(|byte| matches!(byte, 0x20..=0x2f)) {
        return;
    }
    let params = Params::parse(&rest[..digits]);
    term.csi(&Csi { marker, intermediate: tail.last().copied().unwrap_or(0), final_byte, params });
}

/// Length and final byte of a control sequence that lies whole and undisturbed at the start of the bytes.
fn complete_csi(bytes: &[u8]) -> Option<(usize, u8)> {
    if bytes.get(1) != Some(&b'[') {
        return None;
    }
    let body = bytes[2..].iter().take(SEQUENCE_CAP).position(|byte| !matches!(byte, 0x20..=0x3f))?;
    let final_byte = bytes[2 + body];
    matches!(final_byte, 0x40..=0x7e).then_some((body + 3, final_byte))
}

/// How often the bytes begin with the same DECBI or DECFI: each may move every cell, and many of them move them at once.
fn index_run(bytes: &[u8]) -> usize {
    match bytes.get(..2) {
        Some(first @ [0x1b, b'6' | b'9']) => bytes.chunks_exact(2).take_while(|pair| *pair == first).count(),
        _ => 0,
    }
}

/// Length of the run of printable ASCII at the start.
#[inline]
pub(super) fn ascii_run(bytes: &[u8]) -> usize {
    let is_text = |byte: u8| byte.wrapping_sub(0x20) < 0x5f;
    let mut at = 0;
    for block in bytes.chunks_exact(16) {
        if !block.iter().fold(true, |all, &byte| all & is_text(byte)) {
            break;
        }
        at += 16;
    }
    at + bytes[at..].iter().position(|&byte| !is_text(byte)).unwrap_or(bytes.len() - at)
}

/// Length of the run without controls and escapes at the start.
fn high_run(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| byte < 0x20 || byte == 0x7f).unwrap_or(bytes.len())
}

/// Bytes looked at first for what passes; each further look is twice as far. So no more is ever looked at than a few times
/// what is taken, however often something else is in the way.
const LOOK_BYTES: usize = 64;
const LOOK_BYTES_MAX: usize = 4096;

/// Length of the text at the start, a high byte first, that the engine prints as it should; and how many bytes were looked at.
fn plain_run(bytes: &[u8]) -> (usize, usize) {
    // What combines may meet a cell that is not what it seems.
    if starts_with_zero_width(bytes) {
        return (0, 4);
    }
    let (mut done, mut far, mut looked) = (0, LOOK_BYTES, 0);
    loop {
        let rest = &bytes[done..];
        let window = &rest[..rest.len().min(far)];
        looked += window.len();
        let (plain, is_all) = plain_text(&window[..high_run(window)]);
        let is_last = window.len() == rest.len();
        // Diacritics at the end of a window may be the beginning of a heap.
        let plain = if is_last { plain } else { before_diacritics(&window[..plain]) };
        done += plain;
        if !is_all || is_last || plain == 0 || done >= PASS_BYTES {
            return (done, looked);
        }
        far = (2 * far).min(LOOK_BYTES_MAX);
    }
}

/// Length of valid text without the diacritics at its end.
fn before_diacritics(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    while let Some([0xCC, 0x80..=0xBF] | [0xCD, 0x80..=0xAF]) = end.checked_sub(2).and_then(|at| bytes.get(at..end)) {
        end -= 2;
    }
    end
}

/// Length of the valid UTF-8 at the start that the engine prints as it should; whether that was all.
pub(super) fn plain_text(bytes: &[u8]) -> (usize, bool) {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    // From U+100000 on there are the characters with a meaning of ours.
    let end = memchr::memchr(0xF4, &bytes[..valid]).unwrap_or(valid);
    let bytes = &bytes[..end];
    let mut from = 0;
    while let Some(hit) = memchr::memchr3(0xC2, 0xEF, 0xF3, &bytes[from..]).map(|hit| hit + from) {
        let next = (bytes[hit], bytes.get(hit + 1).copied().unwrap_or(0), bytes.get(hit + 2).copied().unwrap_or(0));
        // C1 controls, U+FE0F, U+FFFD, and the plane of our marks.
        if matches!(next, (0xC2, 0x80..=0x9F, _) | (0xEF, 0xB8, 0x8F) | (0xEF, 0xBF, 0xBD) | (0xF3, _, _)) {
            return (before_heap(&bytes[..hit]), false);
        }
        from = hit + 1;
    }
    let plain = before_heap(bytes);
    (plain, plain == valid)
}

/// How much of valid text comes before more diacritics in a row than a cell keeps.
fn before_heap(bytes: &[u8]) -> usize {
    let is_diacritic = |at: usize| matches!(bytes.get(at..at + 2), Some([0xCC, 0x80..=0xBF] | [0xCD, 0x80..=0xAF]));
    let mut from = 0;
    while let Some(start) = memchr::memchr2(0xCC, 0xCD, &bytes[from..]).map(|hit| hit + from) {
        from = start;
        while is_diacritic(from) {
            from += 2;
        }
        if from - start > 2 * marks::DIACRITICS_CAP {
            return start;
        }
        from = from.max(start + 1);
    }
    bytes.len()
}

fn starts_with_zero_width(bytes: &[u8]) -> bool {
    // Nothing below U+0300 has no width but the soft hyphen, and such begin with a byte below 0xCC.
    bytes.starts_with(&[0xC2, 0xAD])
        || bytes[0] >= 0xCC
            && matches!(first_char(&bytes[..bytes.len().min(4)]), Decoded::Char(c) if c.width() == Some(0))
}

pub(super) enum Decoded {
    Char(char),
    /// So many bytes can be no part of a character.
    Invalid(usize),
    /// All bytes so far begin a character.
    Partial,
}

/// The character at the start of the bytes, of which no more than four matter.
pub(super) fn first_char(bytes: &[u8]) -> Decoded {
    if let [byte @ 0..0x80, ..] = bytes {
        return Decoded::Char(char::from(*byte));
    }
    let (valid, error) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""), error.error_len()),
    };
    match (valid.chars().next(), error) {
        (Some(c), _) => Decoded::Char(c),
        (None, Some(used)) => Decoded::Invalid(used),
        (None, None) => Decoded::Partial,
    }
}

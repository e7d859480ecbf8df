//! What a session that is only watched may do to the watcher's terminal: show text, and nothing else.
//!
//! The program's bytes come from a machine whose people may not be the watcher's friends. So this is a list of what
//! passes, not of what does not: what moves the cursor, paints, erases and scrolls on the screen, the modes of painting,
//! titles, links and sixel pictures. Everything else is taken out: what writes the clipboard, makes the terminal send
//! something, moves or resizes its window, prints, notifies, loads fonts and macros, erases the scrollback, or changes
//! colours and keyboard. That is also mouse, focus, bracketed paste and keyboard protocols, for an observer's keys go
//! nowhere but to us: the detach key is seen as a plain terminal sends it.

use super::mode::Traces;
use super::sequence::{Csi, Judge, Seen, Verdict};
use crate::fleet::is_deceptive;

/// Parameters of a control sequence; terminals stop counting here or before.
const PARAMS_CAP: usize = 32;
/// How often a character is repeated at most: the widest screen there is. What asks for more is dropped.
const REPEAT_CAP: u16 = 2000;
/// Bytes of a title or a link; more than terminals show is dropped.
const COMMAND_CAP: usize = 4096;
/// Where a link may lead: what opens a page or a letter, never a file or a program of the watcher's own.
const LINKS: [&str; 4] = ["http://", "https://", "mailto:", "ftp://"];

/// Modes of SM and RM: insert mode and what a line feed does.
const MODES: [u16; 2] = [4, 20];
/// Modes of DECSET and DECRST: reverse video, origin, autowrap, blinking and visible cursor, reverse wrap, the other screen,
/// side margins, saved cursor, synchronized update (terminals end one that is not ended; so do we before we speak).
const DEC_MODES: [u16; 12] = [5, 6, 7, 12, 25, 45, 47, 69, 1047, 1048, 1049, 2026];
/// DECCOLM: it resizes the window where that is allowed, and clears the screen. The second half holds.
const COLUMN_MODE: u16 = 3;
const CLEAR: &[u8] = b"\x1b[?69l\x1b[r\x1b[2J\x1b[H";

/// What RIS does to the screen, without what it does to the scrollback and the terminal's settings.
const RESET: &[u8] = b"\x1b[?2026l\x1b[?1049l\x1b[!p\x1b[?5l\x1b[?6l\x1b[?45l\x1b[?69l\x1b[?7h\x1b[?25h\x1b[4l\x1b[20l\
\x1b[r\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b[m\x1b]8;;\x1b\\\x1b[0 q\x1b[?5W\x1b[2J\x1b[H";

/// What numbers a control sequence may have.
enum Numbers {
    /// So many, of any value.
    Upto(usize),
    /// One of these; none is 0.
    Among(&'static [u16]),
}

/// Control sequences that pass: marker, intermediates, final bytes, numbers.
const SEQUENCES: &[(u8, &[u8], &[u8], Numbers)] = &[
    // Cursor, cells and lines, scrolling, tabs, margins.
    (0, b"", b"@ABCDEFGILMPSTXZ`ade^", Numbers::Upto(1)),
    (0, b"", b"Hfrs", Numbers::Upto(2)),
    (0, b"", b"u", Numbers::Upto(0)),
    (0, b" ", b"@A", Numbers::Upto(1)),
    (0, b"'", b"}~", Numbers::Upto(1)),
    // Erasing, but not the scrollback (3) nor into it (22); `?` spares what is protected.
    (0, b"", b"JK", Numbers::Among(&[0, 1, 2])),
    (b'?', b"", b"JK", Numbers::Among(&[0, 1, 2])),
    (0, b"", b"g", Numbers::Among(&[0, 3])),
    (b'?', b"", b"W", Numbers::Among(&[5])),
    // The cursor's shape, protection, soft reset.
    (0, b" ", b"q", Numbers::Among(&[0, 1, 2, 3, 4, 5, 6])),
    (0, b"\"", b"q", Numbers::Among(&[0, 1, 2])),
    (0, b"!", b"p", Numbers::Upto(0)),
];

/// Final bytes of escape sequences that pass: saved cursor, index and lines, columns, tab stop, charsets that are shifted to,
/// and the end of a string that is over.
const ESCAPES: &[u8] = b"6789DEHMNOno|}~\\";
/// Charsets that may be designated to G0 to G3: ASCII, line drawing, UK.
const CHARSETS: &[u8] = b"B0A";

/// The judge of an observer's output.
pub(super) struct Shield {
    /// The beginning of a character that is cut.
    partial: Vec<u8>,
    /// What is to be taken back.
    pub(super) traces: Traces,
}

impl Shield {
    pub(super) fn new(traces: Traces) -> Shield {
        Shield { partial: Vec::new(), traces }
    }
}

impl Judge for Shield {
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if self.partial.is_empty() && text.is_ascii() {
            out.extend_from_slice(text);
            return;
        }
        self.partial.extend_from_slice(text);
        let text = std::mem::take(&mut self.partial);
        let mut chunks = text.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            let mut utf8 = [0; 4];
            // C1 controls are no characters, however they are written.
            for c in chunk.valid().chars().filter(|c| !c.is_control()) {
                out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
            let invalid = chunk.invalid();
            let is_cut =
                chunks.peek().is_none() && std::str::from_utf8(invalid).is_err_and(|err| err.error_len().is_none());
            if is_cut {
                self.partial = invalid.to_vec();
            } else if !invalid.is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }

    fn text_ends(&mut self, out: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.partial.clear();
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }

    fn control(&mut self, control: u8, out: &mut Vec<u8>) {
        // Bell, movement, and the charset's shifts; not the question for the answerback (5), nor flow control.
        if matches!(control, 0x07..=0x0f) {
            out.push(control);
        }
    }

    fn escape(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let passes = match body {
            b"c" => {
                out.extend_from_slice(RESET);
                false
            }
            [last] => ESCAPES.contains(last),
            [b'('..=b'+', set] => CHARSETS.contains(set),
            b"#8" => true,
            _ => false,
        };
        self.traces.has_tabs |= matches!(body, b"H" | b"c");
        if passes {
            out.push(0x1b);
            out.extend_from_slice(body);
        }
    }

    fn csi(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let Some(csi) = Csi::parse(body) else { return };
        if matches!((csi.marker, csi.intermediates, csi.last), (0 | b'?', b"", b'h' | b'l')) {
            return modes(&csi, out);
        }
        if may_pass(&csi) {
            self.traces.has_tabs |= matches!(csi.last, b'g' | b'W');
            out.extend_from_slice(b"\x1b[");
            out.extend_from_slice(body);
        }
    }

    fn string(&mut self, kind: u8, body: &[u8], seen: Seen) -> Verdict {
        match (kind, seen) {
            (b'P', Seen::Header) if is_sixel(body) => Verdict::Pass,
            (b']', Seen::Whole) => command(body).map_or(Verdict::Drop, Verdict::Replace),
            _ => Verdict::Drop,
        }
    }

    fn keeps_controls(&self) -> bool {
        false
    }
}

/// A list of modes passes without those that may not.
fn modes(csi: &Csi, out: &mut Vec<u8>) {
    let (allowed, marker): (&[u16], &str) = if csi.marker == b'?' { (&DEC_MODES, "?") } else { (&MODES, "") };
    let Some(mut numbers) = csi.numbers().filter(|numbers| numbers.len() <= PARAMS_CAP) else { return };
    let clears = csi.marker == b'?' && numbers.contains(&COLUMN_MODE);
    numbers.retain(|mode| allowed.contains(mode));
    if !numbers.is_empty() {
        let list: Vec<String> = numbers.iter().map(u16::to_string).collect();
        let set = format!("\x1b[{marker}{}{}", list.join(";"), char::from(csi.last));
        out.extend_from_slice(set.as_bytes());
    }
    if clears {
        out.extend_from_slice(CLEAR);
    }
}

fn may_pass(csi: &Csi) -> bool {
    let is_plain = (csi.marker, csi.intermediates) == (0, b"");
    if is_plain && csi.last == b'm' {
        return is_style(csi.params);
    }
    let Some(numbers) = csi.numbers() else { return false };
    if is_plain && csi.last == b'b' {
        return numbers.len() <= 1 && numbers.iter().all(|count| *count <= REPEAT_CAP);
    }
    SEQUENCES.iter().any(|(marker, intermediates, finals, allowed)| {
        (*marker, *intermediates) == (csi.marker, csi.intermediates)
            && finals.contains(&csi.last)
            && match allowed {
                Numbers::Upto(count) => numbers.len() <= *count,
                Numbers::Among(values) => numbers.len() <= 1 && values.contains(&numbers.first().copied().unwrap_or(0)),
            }
    })
}

/// Whether SGR has known attributes and colours only.
fn is_style(params: &str) -> bool {
    let mut rest = params.split(';').take(PARAMS_CAP + 1);
    let mut count = 0;
    while let Some(param) = rest.next() {
        count += 1;
        let mut parts = param.split(':');
        let code: u16 = match parts.next().unwrap_or("") {
            "" => 0,
            code => code.parse().unwrap_or(u16::MAX),
        };
        let has_parts = parts.clone().next().is_some();
        if count > PARAMS_CAP || !parts.all(|part| part.is_empty() || part.parse::<u16>().is_ok()) {
            return false;
        }
        let follow = match code {
            38 | 48 | 58 if !has_parts => match rest.next() {
                Some("5") => 1,
                Some("2") => 3,
                _ => return false,
            },
            0..=49 | 51..=55 | 58 | 59 | 73..=75 | 90..=97 | 100..=107 => 0,
            _ => return false,
        };
        for _ in 0..follow {
            if !rest.next().is_some_and(|value| value.is_empty() || value.parse::<u16>().is_ok()) {
                return false;
            }
        }
    }
    true
}

/// A picture's header: numbers and `q`.
fn is_sixel(header: &[u8]) -> bool {
    header.split_last().is_some_and(|(last, params)| {
        *last == b'q' && params.len() <= PARAMS_CAP && params.iter().all(|byte| byte.is_ascii_digit() || *byte == b';')
    })
}

/// An operating system command as it may be shown: a title or a link.
fn command(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() <= COMMAND_CAP)?;
    let (number, rest) = text.split_once(';')?;
    match number {
        "0" | "1" | "2" => {
            let title: String = rest.chars().filter(|c| !is_deceptive(*c)).collect();
            Some(format!("{number};{title}").into_bytes())
        }
        "8" => {
            let (_, target) = rest.split_once(';')?;
            let is_allowed = target.is_empty() || LINKS.iter().any(|scheme| target.starts_with(scheme));
            (is_allowed && !rest.chars().any(is_deceptive)).then(|| body.to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "shield_tests.rs"]
mod tests;

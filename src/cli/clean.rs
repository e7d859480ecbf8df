//! What others wrote, as a terminal may get it: text, tabs and colours.
//!
//! Colours (SGR) stay, and end with their line; everything else that controls or deceives is shown, not sent.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::fleet::{is_deceptive, push_visible};

/// Bytes of an attribute sequence; a longer one is text.
const SGR_CAP: usize = 64;
/// Attributes off.
const PLAIN: &str = "\x1b[m";

/// Lines for a terminal.
pub(super) fn terminal_text(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| is_deceptive(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        push_line(line.strip_suffix('\n').unwrap_or(line), &mut out);
        if line.ends_with('\n') {
            out.push('\n');
        }
    }
    Cow::Owned(out)
}

/// Lines in any bytes for a terminal; what is no text is U+FFFD.
pub(super) fn terminal_bytes(bytes: &[u8]) -> String {
    terminal_text(&String::from_utf8_lossy(bytes)).into_owned()
}

/// One line without its end.
fn push_line(line: &str, out: &mut String) {
    let mut rest = line;
    let mut is_styled = false;
    while let Some(c) = rest.chars().next() {
        let sgr = sgr_len(rest);
        if sgr > 0 {
            out.push_str(&rest[..sgr]);
            is_styled = !matches!(&rest[..sgr], PLAIN | "\x1b[0m");
            rest = &rest[sgr..];
            continue;
        }
        if is_deceptive(c) && c != '\t' {
            push_visible(c, out)
        } else {
            out.push(c)
        }
        rest = &rest[c.len_utf8()..];
    }
    if is_styled {
        out.push_str(PLAIN);
    }
}

/// Length of the attribute sequence at the front; 0 if there is none.
fn sgr_len(text: &str) -> usize {
    let Some(body) = text.strip_prefix("\x1b[") else { return 0 };
    let params =
        body.bytes().take(SGR_CAP).take_while(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')).count();
    if body.as_bytes().get(params) == Some(&b'm') { params + 3 } else { 0 }
}

/// What else than a line feed ends a line for a terminal, an editor or a language's line iterator, in UTF-8: CR, VT, FF, NEL,
/// and the line and paragraph separators. Its length at the front; 0 if there is none.
fn line_break_len(bytes: &[u8]) -> usize {
    match bytes {
        [b'\r' | 0x0b | 0x0c, ..] => 1,
        [0xc2, 0x85, ..] => 2,
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
        _ => 0,
    }
}

/// The parts of a line that somebody could take for lines, each with what ends it; the CR before the line's end is no part.
pub(super) fn line_parts(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let end = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line)).len();
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let current = rest.take()?;
        let offset = line.len() - current.len();
        let mut at = 0;
        while offset + at < end {
            let len = match current[at] {
                b'\r' | 0x0b | 0x0c | 0xc2 | 0xe2 => line_break_len(&current[at..end - offset]),
                _ => 0,
            };
            if len > 0 {
                rest = Some(&current[at + len..]);
                return Some((&current[..at], &current[at..at + len]));
            }
            at += 1;
        }
        Some((&current[..at], &current[at..]))
    })
}

/// JSON in which nothing is left that controls or deceives a terminal: written as JSON's own escapes, it stays exact.
pub(super) fn json(text: String) -> String {
    let is_told = |c: char| is_deceptive(c) && c != '\n';
    if !text.contains(is_told) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_told(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string never fails.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_end_with_their_line_and_nothing_else_reaches_the_terminal() {
        let shown = |text: &str| terminal_text(text).into_owned();
        assert_eq!(shown("a\tb\nc"), "a\tb\nc");
        assert_eq!(shown("\x1b[31mred\nplain\x1b[m\n"), "\x1b[31mred\x1b[m\nplain\x1b[m\n");
        assert_eq!(shown("\x1b[1;38:5:9mred\x1b[0m\n"), "\x1b[1;38:5:9mred\x1b[0m\n");
        assert_eq!(shown("a\x1b]52;c;x\x07\rb\u{9b}6n"), "a\u{fffd}]52;c;x\u{fffd}\u{fffd}b\u{fffd}6n");
        assert_eq!(shown("\x1b[6n\x1b[?1m\x1b[2J"), "\u{fffd}[6n\u{fffd}[?1m\u{fffd}[2J");
        assert_eq!(shown("a\u{202e}b\u{2066}"), "a<U+202E>b<U+2066>");
        assert_eq!(terminal_bytes(b"\x9b6n"), "\u{fffd}6n");
    }

    #[test]
    fn a_line_s_parts_are_the_line() {
        let parts = |line: &str| -> Vec<(String, String)> {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            line_parts(line.as_bytes()).map(|(part, end)| (text(part), text(end))).collect()
        };
        let pair = |part: &str, end: &str| (part.to_string(), end.to_string());
        assert_eq!(parts("one\n"), [pair("one", "\n")]);
        assert_eq!(parts("one\r\n"), [pair("one", "\r\n")]);
        assert_eq!(parts("no end"), [pair("no end", "")]);
        assert_eq!(parts("10%\r20%\n"), [pair("10%", "\r"), pair("20%", "\n")]);
        assert_eq!(
            parts("é\u{85}a\u{2028}b\u{2029}c\x0bd\x0c\r\n"),
            [
                pair("é", "\u{85}"),
                pair("a", "\u{2028}"),
                pair("b", "\u{2029}"),
                pair("c", "\x0b"),
                pair("d", "\x0c"),
                pair("", "\r\n")
            ]
        );
        assert_eq!(parts("\r"), [pair("", "\r"), pair("", "")]);
    }

    #[test]
    fn json_stays_exact() {
        let value = serde_json::json!({ "name": "a\u{202e}\u{7f}\u{9b}\u{e0041}\n" });
        let text = json(serde_json::to_string_pretty(&value).unwrap());
        assert!(text.contains("a\\u202e\\u007f\\u009b\\udb40\\udc41\\n"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}

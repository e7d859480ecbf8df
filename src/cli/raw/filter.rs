//! Takes a terminal's own answers out of what a person types.
//!
//! The keeper answers every query of the program, so that it gets one answer whoever watches. Queries are taken out of what
//! the person's terminal is shown (`queries.rs`); what it answers all the same must not reach the program as typing.

/// Longest answer looked for but the clipboard's; anything longer is typing.
const ANSWER_CAP: usize = 512;
/// How the answer begins that carries the clipboard: as long as that is, so it is not kept until its end.
const CLIPBOARD: &[u8] = b"\x1b]52;";
/// How device control strings begin that a terminal answers with: its version and unit, settings, capabilities, states, the
/// supplemental set, checksums, remote control.
const DCS_ANSWERS: [&[u8]; 12] =
    [b">|", b"!|", b"0$r", b"1$r", b"0+r", b"1+r", b"1$u", b"2$u", b"0!u", b"1!u", b"1!~", b"@kitty-cmd"];
/// How operating system commands begin that a terminal answers with: colours, pointer, font, what is allowed, clipboard,
/// notifications, titles, iTerm2's reports, file transfer.
const OSC_ANSWERS: [&[u8]; 24] = [
    b"4;", b"5;", b"10;", b"11;", b"12;", b"13;", b"14;", b"15;", b"16;", b"17;", b"18;", b"19;", b"21;", b"22;",
    b"50;", b"52;", b"60;", b"61;", b"99;", b"1337;", b"5113;", b"5522;", b"L", b"l",
];
/// How an application's string begins that a terminal answers with: kitty's pictures.
const APC_ANSWERS: [&[u8]; 1] = [b"G"];

/// The filter; an answer split over two reads is recognised if the second comes soon after the first.
#[derive(Default)]
pub(super) struct ReplyFilter {
    held: Vec<u8>,
    /// The clipboard's contents are passing by.
    is_swallowing: bool,
}

impl ReplyFilter {
    /// What of these bytes a person typed.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(bytes);
        let mut typed = Vec::with_capacity(input.len());
        let mut rest = input.as_slice();
        if self.is_swallowing {
            let Some(end) = clipboard_end(rest) else {
                // An ESC at the end may be half of what ends it.
                self.held = rest.strip_suffix(b"\x1b").map_or_else(Vec::new, |_| vec![0x1b]);
                return typed;
            };
            self.is_swallowing = false;
            rest = &rest[end..];
        }
        while let Some(start) = rest.iter().position(|byte| *byte == 0x1b) {
            typed.extend_from_slice(&rest[..start]);
            rest = &rest[start..];
            match answer(rest) {
                Found::Answer(len) => rest = &rest[len..],
                Found::Typing(len) => {
                    typed.extend_from_slice(&rest[..len]);
                    rest = &rest[len..];
                }
                Found::Partial if rest.starts_with(CLIPBOARD) => {
                    self.is_swallowing = true;
                    self.held = rest.strip_suffix(b"\x1b").map_or_else(Vec::new, |_| vec![0x1b]);
                    return typed;
                }
                Found::Partial => {
                    self.held = rest.to_vec();
                    return typed;
                }
            }
        }
        typed.extend_from_slice(rest);
        typed
    }

    /// Whether bytes are held back that may be the beginning of an answer.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty() || self.is_swallowing
    }

    /// What was held back, for nothing followed: a person typed it.
    pub(super) fn release(&mut self) -> Vec<u8> {
        self.is_swallowing = false;
        std::mem::take(&mut self.held)
    }
}

enum Found {
    Answer(usize),
    Typing(usize),
    Partial,
}

/// Where the clipboard's answer ends in these bytes: behind its BEL or ST, or before what can be no part of it.
fn clipboard_end(bytes: &[u8]) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b';' | b'?');
    let end = bytes.iter().position(|byte| !is_part(byte))?;
    match &bytes[end..] {
        [7, ..] => Some(end + 1),
        [0x1b, b'\\', ..] => Some(end + 2),
        [0x1b] => None,
        _ => Some(end),
    }
}

/// Judges what starts with ESC. Two bytes alone are a key with Alt and go at once; only what no key sends is waited for.
fn answer(bytes: &[u8]) -> Found {
    match bytes.get(1) {
        Some(b'[') => csi(bytes),
        Some(b']') if bytes.len() > 2 => string(bytes, &OSC_ANSWERS),
        Some(b'P') if bytes.len() > 2 => string(bytes, &DCS_ANSWERS),
        Some(b'_') if bytes.len() > 2 => string(bytes, &APC_ANSWERS),
        _ => Found::Typing(1),
    }
}

fn csi(bytes: &[u8]) -> Found {
    let body = &bytes[2..];
    let marker = body.first().copied().filter(|byte| matches!(byte, b'?' | b'>'));
    let Some(end) = body.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        // Keys come in one read; only an answer may be cut, and only a private one is surely an answer.
        return if marker.is_some() && body.len() < ANSWER_CAP { Found::Partial } else { Found::Typing(1) };
    };
    if !(0x40..=0x7e).contains(&body[end]) {
        return Found::Typing(end + 2);
    }
    let len = end + 3;
    let params = &body[..end];
    let is_answer = match (marker, body[end]) {
        (Some(_), b'c') => true,
        (Some(b'?'), b'n' | b'u' | b'R' | b'S') => true,
        (Some(b'>'), b'm' | b'f') => true,
        (Some(b'>'), b'q') => params.ends_with(b" "),
        (Some(b'?'), b'Q') => params.ends_with(b"#"),
        (_, b'y') => params.ends_with(b"$"),
        // No key sends attributes (a mouse does behind `<`); a locator, an extent, a reset; terminal parameters.
        (None, b'm') => params.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')),
        (None, b'w') => params.ends_with(b"&") || params.ends_with(b"\""),
        (None, b'q') => params.ends_with(b"*"),
        (None, b'x') => params.starts_with(b"2;") || params.starts_with(b"3;"),
        (None, b'n') => params == b"0",
        (None, b't') => !params.is_empty(),
        // Cursor position: row;column, or a function key with modifiers when the row is 1 and the column small.
        (None, b'R') => is_position(params),
        _ => false,
    };
    if is_answer { Found::Answer(len) } else { Found::Typing(len) }
}

fn is_position(params: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(params) else { return false };
    let Some((row, column)) = text.split_once(';') else { return false };
    let (Ok(row), Ok(column)) = (row.parse::<u32>(), column.parse::<u32>()) else { return false };
    row != 1 || column > 16
}

/// A string that ends with BEL or ST and begins as one of these answers; its text is printable.
fn string(bytes: &[u8], answers: &[&[u8]]) -> Found {
    let body = &bytes[2..];
    let end = body.iter().position(|byte| *byte < 0x20 || *byte == 0x7f);
    let text = &body[..end.unwrap_or(body.len())];
    let begins = answers.iter().any(|answer| text.starts_with(answer));
    match (end.map(|end| &body[end..]), end) {
        (Some([7, ..]), Some(end)) if begins => Found::Answer(end + 3),
        (Some([0x1b, b'\\', ..]), Some(end)) if begins => Found::Answer(end + 4),
        (Some([0x1b]), _) if begins && (body.len() < ANSWER_CAP || bytes.starts_with(CLIPBOARD)) => Found::Partial,
        (None, _) if body.len() < ANSWER_CAP || bytes.starts_with(CLIPBOARD) => {
            let may_begin = begins || answers.iter().any(|answer| answer.starts_with(text));
            if may_begin { Found::Partial } else { Found::Typing(1) }
        }
        _ => Found::Typing(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_out_and_keys_stay() {
        let mut filter = ReplyFilter::default();
        assert_eq!(filter.pass(b"a\x1b[?62;22cb"), b"ab");
        assert_eq!(filter.pass(b"\x1b[24;80R"), b"");
        assert_eq!(filter.pass(b"\x1b]11;rgb:0000/0000/0000\x1b\\x"), b"x");
        assert_eq!(filter.pass(b"\x1bP>|xterm(1)\x1b\\x"), b"x");
        assert_eq!(filter.pass(b"\x1b]52;c;c2VjcmV0\x07\x1b[>41;0;0c\x1b[?13nx"), b"x");
        assert_eq!(
            filter.pass(b"\x1b_Gi=31;OK\x1b\\\x1b]21;foreground=rgb:0/0/0\x1b\\\x1b]1337;ReportCellSize=1;2\x1b\\x"),
            b"x"
        );
        assert_eq!(filter.pass(b"\x1b[?0u\x1b[?997;1n\x1b[48;24;80;1;1t\x1b[?2;0;256S\x1b[?1;2$y\x1b[0;1mx"), b"x");
        for key in [
            &b"\x1b"[..],
            b"\x1b[A",
            b"\x1bOP",
            b"\x1b[1;2R",
            b"\x1b[<0;1;1M",
            b"\x1b[<0;1;1m",
            b"\x1b[200~x\x1b[201~",
            b"\x1bb",
            b"\x1b_",
            b"\x1b[I",
            b"\x1b[97;5u",
            b"\x1b[27;5;97~",
        ] {
            assert_eq!(filter.pass(key), key);
        }
    }

    /// A clipboard of more than half a kilobyte came in pieces, and what was longer than that arrived as typing.
    #[test]
    fn a_clipboard_of_any_length_is_not_typed() {
        for end in [&b"\x07"[..], b"\x1b\\"] {
            let answer = [b"\x1b]52;c;".as_slice(), &b"Zm9v".repeat(50_000), b"==", end].concat();
            for piece in [1, 7, 512, 4096, answer.len() - 1, answer.len()] {
                let mut filter = ReplyFilter::default();
                // Three bytes are what is needed to tell it from a key.
                assert_eq!(filter.pass(&[b"a", &answer[..7]].concat()), b"a");
                for piece in answer[7..].chunks(piece) {
                    assert_eq!(filter.pass(piece), b"");
                }
                assert!(!filter.is_holding());
                assert_eq!(filter.pass(b"typed"), b"typed");
            }
        }
        // One that breaks off ends with what can be no part of it, or with the silence after it.
        let mut filter = ReplyFilter::default();
        assert_eq!(filter.pass(b"\x1b]52;c;Zm9v"), b"");
        assert_eq!(filter.pass(b"Zm9v\rls\r"), b"\rls\r");
        assert_eq!(filter.pass(b"\x1b]52;c;Zm9v"), b"");
        assert!(filter.is_holding());
        assert_eq!(filter.release(), b"");
        assert_eq!(filter.pass(b"ls"), b"ls");
    }

    #[test]
    fn an_answer_in_two_reads_is_recognised() {
        let mut filter = ReplyFilter::default();
        assert_eq!(filter.pass(b"a\x1b[?62;"), b"a");
        assert_eq!(filter.pass(b"22cb"), b"b");
    }

    #[test]
    fn an_answer_cut_anywhere_after_its_first_three_bytes_is_recognised() {
        for whole in [&b"\x1b]11;rgb:0/0/0\x1b\\"[..], b"\x1bP>|xterm(1)\x1b\\", b"\x1bP1$r0m\x1b\\", b"\x1b[?62;22c"] {
            for cut in 3..whole.len() {
                let mut filter = ReplyFilter::default();
                assert_eq!(filter.pass(&whole[..cut]), b"", "{cut}");
                assert!(filter.is_holding());
                assert_eq!(filter.pass(&whole[cut..]), b"", "{cut}");
                assert!(!filter.is_holding());
            }
        }
    }

    /// Alt+P, Alt+] and what was typed after them looked like the beginning of a terminal's answer and was held back until
    /// 512 bytes of typing had followed.
    #[test]
    fn keys_that_look_like_the_beginning_of_an_answer_are_not_kept() {
        let mut filter = ReplyFilter::default();
        for key in
            [&b"\x1bP"[..], b"\x1b]", b"\x1bPx", b"\x1bP1\r", b"\x1b]1\r", b"\x1b]x", b"\x1bP\x1b]\x1b[", b"\x1b[?\r"]
        {
            assert_eq!(filter.pass(key), key);
            assert!(!filter.is_holding());
        }
        // What could still become an answer is given back when nothing follows.
        assert_eq!(filter.pass(b"a\x1b]1"), b"a");
        assert!(filter.is_holding());
        assert_eq!(filter.release(), b"\x1b]1");
        assert_eq!(filter.pass(b"b"), b"b");
    }
}

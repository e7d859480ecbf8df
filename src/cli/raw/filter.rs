//! Takes a terminal's own answers out of what a person types.
//!
//! The keeper answers every query of the program, so that it gets one answer whoever watches. The person's terminal sees
//! the same queries and answers too; those answers must not reach the program as typing.

/// Longest answer looked for; anything longer is typing.
const ANSWER_CAP: usize = 512;

/// The filter; an answer split over two reads is recognised.
#[derive(Default)]
pub(super) struct ReplyFilter {
    held: Vec<u8>,
}

impl ReplyFilter {
    /// What of these bytes a person typed.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(bytes);
        let mut typed = Vec::with_capacity(input.len());
        let mut rest = input.as_slice();
        while let Some(start) = rest.iter().position(|byte| *byte == 0x1b) {
            typed.extend_from_slice(&rest[..start]);
            rest = &rest[start..];
            match answer(rest) {
                Found::Answer(len) => rest = &rest[len..],
                Found::Typing(len) => {
                    typed.extend_from_slice(&rest[..len]);
                    rest = &rest[len..];
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
}

enum Found {
    Answer(usize),
    Typing(usize),
    Partial,
}

/// Judges what starts with ESC.
fn answer(bytes: &[u8]) -> Found {
    match bytes.get(1) {
        Some(b'[') => csi(bytes),
        // OSC 4, 10, 11, 12 and DCS answers end with BEL or ST; nobody types them.
        Some(b']' | b'P') if bytes.len() > 2 => string(bytes),
        _ => Found::Typing(1),
    }
}

fn csi(bytes: &[u8]) -> Found {
    let body = &bytes[2..];
    let is_private = matches!(body.first(), Some(b'?' | b'>' | b'='));
    let Some(end) = body.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        // Keys come in one read; only an answer may be cut, and only a private one is surely an answer.
        return if is_private && body.len() < ANSWER_CAP { Found::Partial } else { Found::Typing(1) };
    };
    let len = end + 3;
    let params = &body[..end];
    let is_answer = match body[end] {
        b'c' | b'u' | b'S' => is_private,
        b'y' => params.ends_with(b"$"),
        b'n' => params == b"0",
        b't' => !params.is_empty(),
        // Cursor position: row;column, or a function key with modifiers when the row is 1 and the column small.
        b'R' => is_private || is_position(params),
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

fn string(bytes: &[u8]) -> Found {
    let is_query_answer = bytes[1] == b'P' || bytes[2].is_ascii_digit();
    if !is_query_answer {
        return Found::Typing(1);
    }
    let bel = bytes.iter().position(|byte| *byte == 7).map(|at| at + 1);
    let st = bytes.windows(2).position(|pair| pair == b"\x1b\\").filter(|at| *at > 0).map(|at| at + 2);
    match bel.into_iter().chain(st).min() {
        Some(len) => Found::Answer(len),
        None if bytes.len() < ANSWER_CAP => Found::Partial,
        None => Found::Typing(1),
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
        for key in [&b"\x1b"[..], b"\x1b[A", b"\x1bOP", b"\x1b[1;2R", b"\x1b[<0;1;1M", b"\x1b[200~x\x1b[201~", b"\x1bb"]
        {
            assert_eq!(filter.pass(key), key);
        }
    }

    #[test]
    fn an_answer_in_two_reads_is_recognised() {
        let mut filter = ReplyFilter::default();
        assert_eq!(filter.pass(b"a\x1b[?62;"), b"a");
        assert_eq!(filter.pass(b"22cb"), b"b");
    }
}

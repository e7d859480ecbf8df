//! Text without escape sequences: colours must not hide a word from a pattern.

/// Takes escape sequences and control characters out of a stream, wherever it is cut.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// After `ESC (` and the like: one more byte.
    Designation,
    Csi,
    String,
    /// ESC within a string: its end, or another sequence's beginning.
    StringEscape,
}

impl Plain {
    /// The next byte, if it is text; line feed, carriage return and tab are.
    pub fn pass(&mut self, byte: u8) -> Option<u8> {
        let (state, text) = match (self.state, byte) {
            (State::String, 0x1b) => (State::StringEscape, None),
            (State::String, 0x07 | 0x18 | 0x1a) => (State::Ground, None),
            (State::String, _) => (State::String, None),
            (State::StringEscape, b'\\') => (State::Ground, None),
            (_, 0x1b) => (State::Escape, None),
            (State::Escape | State::StringEscape, b'[') => (State::Csi, None),
            (State::Escape | State::StringEscape, b']' | b'P' | b'X' | b'^' | b'_') => (State::String, None),
            (State::Escape | State::StringEscape, 0x20..=0x2f) => (State::Designation, None),
            (State::Escape | State::StringEscape, _) => (State::Ground, None),
            (State::Designation, 0x20..=0x2f) => (State::Designation, None),
            (State::Designation, _) => (State::Ground, None),
            (State::Csi, 0x40..=0x7e | 0x18 | 0x1a) => (State::Ground, None),
            (State::Csi, b'\n' | b'\r') => (State::Csi, Some(byte)),
            (State::Csi, _) => (State::Csi, None),
            (State::Ground, b'\n' | b'\r' | b'\t' | 0x20..=0x7e | 0x80..) => (State::Ground, Some(byte)),
            (State::Ground, _) => (State::Ground, None),
        };
        self.state = state;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_left() {
        let mut plain = Plain::default();
        let bytes = b"\x1b[1;31mER\x1b[0mROR\x07\x1b]0;title\x07 a\x1b]8;;http://x\x1b\\b\x1b(Bc\x1bMd\x1bP1$r\x1b\\e\xc3\xa9\r\n";
        let text: Vec<u8> = bytes.iter().filter_map(|byte| plain.pass(*byte)).collect();
        assert_eq!(String::from_utf8_lossy(&text), "ERROR abcde\u{e9}\r\n");
    }
}

//! A terminal that cannot move its cursor, as an editor's shell is: it gets the text of the output and its line controls.

use super::sequence::{Judge, Seen, Splitter, Verdict};
use crate::term::Screen;

/// Whether this process's terminal is one.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Output without what controls a terminal; it may come in any pieces.
#[derive(Default)]
pub(super) struct PlainText(Splitter);

impl PlainText {
    /// What is left of these bytes.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        self.0.take(bytes, &mut TextOnly, &mut out);
        out
    }
}

/// The lines of a screen down to its cursor, which stays behind the last of them.
pub(super) fn lines(screen: &Screen) -> String {
    let lines = (0..=screen.cursor().row).map(|row| screen.row_text(row).trim_end().to_string());
    lines.collect::<Vec<_>>().join("\r\n")
}

struct TextOnly;

impl Judge for TextOnly {
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(text);
    }

    fn text_ends(&mut self, _: &mut Vec<u8>) {}

    fn control(&mut self, control: u8, out: &mut Vec<u8>) {
        if matches!(control, b'\r' | b'\n' | b'\t' | 0x07 | 0x08) {
            out.push(control);
        }
    }

    fn escape(&mut self, _: &[u8], _: &mut Vec<u8>) {}

    fn csi(&mut self, _: &[u8], _: &mut Vec<u8>) {}

    fn string(&mut self, _: u8, _: &[u8], _: Seen) -> Verdict {
        Verdict::Drop
    }

    fn keeps_controls(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_left_of_output_in_any_pieces() {
        let output = "\x1b[1;31mred\x1b[m\r\n\x1b]2;title\x07\u{6f22}\tx\x08y\x1b[?25l\x0e".as_bytes();
        let mut plain = PlainText::default();
        let left: Vec<u8> = output.chunks(1).flat_map(|piece| plain.pass(piece)).collect();
        assert_eq!(String::from_utf8(left).unwrap(), "red\r\n\u{6f22}\tx\x08y");
    }
}

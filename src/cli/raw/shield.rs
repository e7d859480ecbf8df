//! What a session that is only watched may do to the watcher's terminal: show text, and nothing else.
//!
//! The program's bytes come from a machine whose people may not be the watcher's friends. A clipboard that is written, and
//! every question whose answer the terminal types, are taken out; a driver gets them, as anybody who runs the program in
//! their own terminal does. Text, colours, modes, titles, links and sixel pictures pass.

use std::mem;

/// Bytes of a control sequence that are kept until its end says what it is; what is longer shows nothing and is dropped.
const SEQUENCE_CAP: usize = 4096;
/// Operating system commands that pass: titles, the directory, links, and the shell's marks.
const OSC_PASSES: [&[u8]; 6] = [b"0", b"1", b"2", b"7", b"8", b"133"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// The first byte of a C1 control in UTF-8.
    C1,
    Escape,
    /// Between `ESC` and its final byte.
    Intermediate,
    Csi,
    Osc,
    /// A device control string whose beginning has not come yet.
    DcsHead,
    /// A sixel picture.
    Sixel,
    /// A string that goes nowhere.
    Dropped,
}

/// The filter; a sequence may come in any number of pieces.
#[derive(Default)]
pub(super) struct Shield {
    state: State,
    held: Vec<u8>,
    /// The last byte of a string was ESC, perhaps half of its end.
    is_escaped: bool,
}

impl Shield {
    /// What of these bytes may be shown.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.take(*byte, &mut shown);
        }
        shown
    }

    fn take(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match self.state {
            State::Text => self.text(byte, shown),
            State::C1 => {
                self.state = State::Text;
                match byte {
                    0xa0..=0xbf => {
                        shown.append(&mut self.held);
                        shown.push(byte);
                    }
                    // What it would begin is text without it.
                    0x80..=0x9f => self.held.clear(),
                    // Half a character: it must not wait for its other half behind something that is taken out.
                    _ => {
                        self.held.clear();
                        self.text(byte, shown);
                    }
                }
            }
            // A control within a sequence acts at once; these end it.
            State::Escape | State::Intermediate | State::Csi if matches!(byte, 0x18 | 0x1a | 0x1b | 0x80..) => {
                self.held.clear();
                self.state = State::Text;
                self.text(byte, shown);
            }
            State::Escape | State::Intermediate | State::Csi if byte < 0x20 => self.text(byte, shown),
            State::Escape => self.escape(byte, shown),
            State::Intermediate => {
                self.hold(byte);
                if byte >= 0x30 {
                    self.end(true, shown);
                }
            }
            State::Csi => {
                self.hold(byte);
                if byte >= 0x40 {
                    let is_harmless = is_harmless(&self.held[2..]);
                    self.end(is_harmless, shown);
                }
            }
            State::Osc | State::DcsHead | State::Sixel | State::Dropped => self.string(byte, shown),
        }
    }

    fn text(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match byte {
            // Asks for the answerback.
            0x05 => {}
            0x1b => {
                self.held.push(byte);
                self.state = State::Escape;
            }
            0xc2 => {
                self.held.push(byte);
                self.state = State::C1;
            }
            _ => shown.push(byte),
        }
    }

    fn escape(&mut self, byte: u8, shown: &mut Vec<u8>) {
        self.hold(byte);
        self.is_escaped = false;
        match byte {
            b'[' => self.state = State::Csi,
            b']' => self.state = State::Osc,
            b'P' => self.state = State::DcsHead,
            b'X' | b'^' | b'_' => self.drop_string(),
            0x20..=0x2f => self.state = State::Intermediate,
            // `ESC Z` asks what the terminal is; `ESC \\` ends a string that is over.
            _ => self.end(!matches!(byte, b'Z' | b'\\'), shown),
        }
    }

    fn string(&mut self, byte: u8, shown: &mut Vec<u8>) {
        if mem::take(&mut self.is_escaped) {
            if byte == b'\\' {
                return self.string_ends(b"\x1b\\", shown);
            }
            // ESC ends a string whatever follows, and begins what follows.
            self.end(false, shown);
            self.text(0x1b, shown);
            return self.take(byte, shown);
        }
        match byte {
            0x1b => self.is_escaped = true,
            0x18 | 0x1a => self.string_ends(&[byte], shown),
            0x07 if self.state == State::Osc => self.string_ends(&[byte], shown),
            // Nothing else that controls has a place in a string.
            0x00..0x20 | 0x7f => {}
            _ => match self.state {
                State::Sixel if byte < 0x80 => shown.push(byte),
                State::Osc => self.hold(byte),
                State::DcsHead => self.dcs(byte, shown),
                _ => {}
            },
        }
    }

    fn dcs(&mut self, byte: u8, shown: &mut Vec<u8>) {
        self.hold(byte);
        let is_plain = |byte: &u8| !matches!(byte, 0x20..=0x2f | 0x3c..=0x3f);
        if byte == b'q' && self.held[2..].iter().all(is_plain) {
            shown.append(&mut self.held);
            self.state = State::Sixel;
        } else if byte >= 0x40 {
            self.drop_string();
        }
    }

    fn string_ends(&mut self, end: &[u8], shown: &mut Vec<u8>) {
        let is_cancelled = matches!(end, [0x18 | 0x1a]);
        let is_shown = match self.state {
            State::Sixel => true,
            State::Osc => !is_cancelled && may_pass(&self.held),
            _ => false,
        };
        if is_shown {
            self.held.extend_from_slice(end);
        }
        self.end(is_shown, shown);
    }

    fn hold(&mut self, byte: u8) {
        self.held.push(byte);
        if self.held.len() > SEQUENCE_CAP {
            match self.state {
                State::DcsHead => self.drop_string(),
                // Too long to be shown; its own end is still waited for.
                _ => self.held.truncate(SEQUENCE_CAP),
            }
        }
    }

    fn drop_string(&mut self) {
        self.held.clear();
        self.state = State::Dropped;
    }

    fn end(&mut self, is_shown: bool, shown: &mut Vec<u8>) {
        if is_shown && self.held.len() < SEQUENCE_CAP {
            shown.append(&mut self.held);
        }
        self.held.clear();
        self.state = State::Text;
    }
}

/// Whether a control sequence, without its introducer, asks nothing.
fn is_harmless(body: &[u8]) -> bool {
    let Some((last, params)) = body.split_last() else { return false };
    let marker = params.first().copied().filter(|byte| (0x3c..=0x3f).contains(byte));
    let between = params.iter().rev().take_while(|byte| (0x20..=0x2f).contains(*byte)).last();
    match (marker, between, last) {
        // Device attributes, reports, window operations, checksums, terminal parameters.
        (_, _, b'c' | b'n' | b't' | b'x') => false,
        (_, Some(b'$'), b'p' | b'w' | b'u') | (_, Some(b'*'), b'y') | (_, Some(b'&'), b'u') => false,
        // The keyboard's and the graphics' state, and the terminal's version.
        (Some(b'?'), None, b'u' | b'm' | b'S') | (Some(b'>'), None, b'q') => false,
        _ => true,
    }
}

/// Whether an operating system command, from ESC on, changes only what the watcher sees, and hides no other one.
fn may_pass(held: &[u8]) -> bool {
    let body = &held[2..];
    let number = body.iter().position(|byte| !byte.is_ascii_digit()).map_or(body, |end| &body[..end]);
    let has_c1 = body.windows(2).any(|pair| matches!(pair, [0xc2, 0x80..=0x9f]));
    OSC_PASSES.contains(&number) && !has_c1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> Vec<u8> {
        let whole = Shield::default().pass(bytes);
        let mut shield = Shield::default();
        let pieces: Vec<u8> = bytes.iter().flat_map(|byte| shield.pass(&[*byte])).collect();
        assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&pieces), "whole and in pieces");
        whole
    }

    /// Whoever watched a hostile program had its text put into the clipboard, and the terminal's answers to its questions
    /// typed to whatever ran next.
    #[test]
    fn what_writes_the_clipboard_or_makes_the_terminal_type_is_taken_out() {
        let hostile: [&[u8]; 22] = [
            b"\x1b]52;c;cm0gLXJmIH4K\x07",
            b"\x1b]52;c;?\x1b\\",
            b"\x1b]4;1;?\x07",
            b"\x1b]10;?\x1b\\",
            b"\x1b]50;?\x07",
            b"\x1b]1337;CopyToClipboard=x\x07",
            b"\x1bP$qm\x1b\\",
            b"\x1bP+q544e\x1b\\",
            b"\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\",
            b"\x1b[21t",
            b"\x1b[c",
            b"\x1b[>c",
            b"\x1b[6n",
            b"\x1b[?6n",
            b"\x1b[?1$p",
            b"\x1b[>q",
            b"\x1b[?u",
            b"\x1b[1;1;1;1;1;1*y",
            b"\x1b_Gi=1,a=q;AAAA\x1b\\",
            b"\x1b^secret\x1b\\",
            b"\x1bZ",
            b"\x05",
        ];
        for sequence in hostile {
            let around = [b"a".as_slice(), sequence, b"b"].concat();
            assert_eq!(shown(&around), b"ab", "{}", String::from_utf8_lossy(sequence).escape_debug());
        }
        // Hidden in what passes, or put together from what is left when something is taken out.
        assert_eq!(shown(b"a\x1b]0;\x1b[6n\x07b"), b"a\x07b");
        assert_eq!(shown("a\x1b]0;\u{9c}\u{9b}6n\x07b".as_bytes()), b"ab");
        assert_eq!(shown(b"a\xc2\x1b[6n\x9b6nb"), b"a\x9b6nb", "no character, but no control either");
        assert_eq!(shown(b"a\x1b[\xc2\x9b6nb"), b"a6nb");
        assert_eq!(shown(b"a\x1bPq\x1b[6n\x1b\\b"), b"a\x1bPqb", "the picture ends where the text goes on");
        assert_eq!(shown("a\u{9d}52;c;eA==\u{9c}b".as_bytes()), b"a52;c;eA==b", "C1 controls begin nothing");
    }

    #[test]
    fn what_a_screen_is_made_of_passes_as_it_is() {
        let harmless: [&[u8]; 15] = [
            "text, é, 漢字, ©\r\n\t".as_bytes(),
            b"\x1b[1;31;48:2::1:2:3m",
            b"\x1b[?1049h\x1b[?2004l",
            b"\x1b[2J\x1b[5;7H\x1b[K",
            b"\x1b[3;20r\x1b[2S",
            b"\x1b[4 q",
            b"\x1b[!p",
            b"\x1b[>4;2m",
            b"\x1b[>1u\x1b[<u",
            b"\x1b7\x1b8\x1bM\x1b(0\x1b)B",
            b"\x1b]0;a title\x07",
            b"\x1b]2;a title\x1b\\",
            b"\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\",
            b"\x1bP0;1;0q#0;2;0;0;0~~\x1b\\",
            b"\x1b[5\x086m",
        ];
        for sequence in harmless {
            let expected: Vec<u8> = match sequence {
                // A control within a sequence acts before it.
                b"\x1b[5\x086m" => b"\x08\x1b[56m".to_vec(),
                other => other.to_vec(),
            };
            assert_eq!(shown(sequence), expected, "{}", String::from_utf8_lossy(sequence).escape_debug());
        }
    }

    #[test]
    fn a_string_without_an_end_keeps_little() {
        let mut shield = Shield::default();
        assert!(shield.pass(&[b"\x1b]0;", vec![b'x'; 1 << 20].as_slice()].concat()).is_empty());
        assert!(shield.held.len() <= SEQUENCE_CAP);
        assert_eq!(shield.pass(b"\x07back"), b"back");
        assert!(shield.pass(&[b"\x1bP", vec![b'1'; 1 << 20].as_slice()].concat()).is_empty());
        assert!(shield.held.is_empty());
        assert_eq!(shield.pass(b"\x07\x1b\\back"), b"back");
        assert!(shield.pass(&[b"\x1b[", vec![b'1'; 1 << 20].as_slice()].concat()).is_empty());
        assert!(shield.held.len() <= SEQUENCE_CAP);
        assert_eq!(shield.pass(b"mback"), b"back");
    }
}

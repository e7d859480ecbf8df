//! The outer terminal's bytes as keys, pastes, mouse and focus events.
//!
//! An incremental parser of our own rather than crossterm's reader: that one blocks on a sequence that is
//! cut in two, and spins when the terminal goes away; both would stop every pane of the wall.

use crate::term::keys::{Key, Mods, MouseAction};

use super::KeyPress;

/// A paste longer than this is delivered in parts, so that memory stays bounded.
const PASTE_CAP: usize = 1 << 20;
/// A control sequence longer than this is no sequence; its bytes are dropped.
const SEQUENCE_CAP: usize = 64;

/// One thing that a person did.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A key went down.
    Key(KeyPress),
    /// Text was pasted.
    Paste(Vec<u8>),
    /// The mouse.
    Mouse(MouseInput),
    /// The outer terminal got or lost the focus.
    Focus(bool),
}

/// A mouse event at a zero-based cell of the outer terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MouseInput {
    /// What happened.
    pub action: MouseAction,
    /// Modifiers held.
    pub mods: Mods,
    /// Column.
    pub col: u16,
    /// Row.
    pub row: u16,
}

/// Turns bytes into inputs; keeps what is incomplete.
#[derive(Debug, Default)]
pub struct Decoder {
    held: Vec<u8>,
    paste: Option<Vec<u8>>,
}

enum Step {
    Took(usize, Option<Input>),
    Incomplete,
}

impl Decoder {
    /// Takes bytes as they were read; complete inputs go to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Input>) {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while at < self.held.len() {
            if self.paste.is_some() {
                match self.take_paste(at, out) {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            }
            if self.held[at..].starts_with(b"\x1b[200~") {
                self.paste = Some(Vec::new());
                at += 6;
                continue;
            }
            match step(&self.held[at..]) {
                Step::Took(n, input) => {
                    at += n;
                    out.extend(input);
                }
                Step::Incomplete => break,
            }
        }
        self.held.drain(..at);
        // An escape that arrives alone is the key: nothing follows within the same read.
        if self.held == b"\x1b" && self.paste.is_none() && bytes.len() == 1 {
            self.flush(out);
        }
    }

    /// Whether bytes wait for the rest of their sequence; after a moment [`Decoder::flush`] takes them as they are.
    pub fn is_pending(&self) -> bool {
        !self.held.is_empty() && self.paste.is_none()
    }

    /// Takes an incomplete sequence as the keys that its bytes are.
    pub fn flush(&mut self, out: &mut Vec<Input>) {
        if self.paste.is_some() {
            return;
        }
        match std::mem::take(&mut self.held).as_slice() {
            [0x1b] => out.push(Input::Key(KeyPress::plain(Key::Escape))),
            [0x1b, byte @ (b'[' | b'O')] => out.push(Input::Key(alt(KeyPress::plain(Key::Char(*byte as char))))),
            _ => {}
        }
    }

    fn take_paste(&mut self, at: usize, out: &mut Vec<Input>) -> Option<usize> {
        const END: &[u8] = b"\x1b[201~";
        let paste = self.paste.as_mut()?;
        let rest = &self.held[at..];
        if let Some(end) = memchr::memmem::find(rest, END) {
            paste.extend_from_slice(&rest[..end]);
            out.push(Input::Paste(self.paste.take()?));
            return Some(at + end + END.len());
        }
        // The end marker may be cut: its possible beginning stays held.
        let keep = (1..END.len()).rev().find(|&n| rest.ends_with(&END[..n])).unwrap_or(0);
        let take = rest.len() - keep;
        paste.extend_from_slice(&rest[..take]);
        if paste.len() >= PASTE_CAP {
            out.push(Input::Paste(std::mem::take(paste)));
        }
        (take > 0).then_some(at + take)
    }
}

fn key(key: Key) -> Option<Input> {
    Some(Input::Key(KeyPress::plain(key)))
}

fn alt(mut press: KeyPress) -> KeyPress {
    press.mods.alt = true;
    press
}

fn step(bytes: &[u8]) -> Step {
    match bytes[0] {
        0x1b => escape(bytes),
        b'\r' | b'\n' => Step::Took(1, key(Key::Enter)),
        b'\t' => Step::Took(1, key(Key::Tab)),
        0x7f => Step::Took(1, key(Key::Backspace)),
        0 => Step::Took(1, Some(Input::Key(KeyPress::ctrl(' ')))),
        c @ 1..=26 => Step::Took(1, Some(Input::Key(KeyPress::ctrl((c + b'a' - 1) as char)))),
        c @ 28..=31 => Step::Took(1, Some(Input::Key(KeyPress::ctrl((c + 0x40) as char)))),
        first => {
            let len = match first {
                0x20..=0x7e => 1,
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => return Step::Took(1, None),
            };
            match std::str::from_utf8(&bytes[..len.min(bytes.len())]) {
                Ok(text) => Step::Took(len, text.chars().next().and_then(|c| key(Key::Char(c)))),
                Err(e) if e.error_len().is_none() => Step::Incomplete,
                Err(_) => Step::Took(1, None),
            }
        }
    }
}

fn escape(bytes: &[u8]) -> Step {
    match bytes.get(1) {
        None => Step::Incomplete,
        Some(b'[') => csi(bytes),
        Some(b'O') => match bytes.get(2) {
            None => Step::Incomplete,
            Some(&c) => Step::Took(3, letter(c).and_then(key)),
        },
        Some(0x1b) => match step(&bytes[1..]) {
            // Alt with a key that is itself a sequence.
            Step::Took(n, Some(Input::Key(press))) if n > 1 => Step::Took(n + 1, Some(Input::Key(alt(press)))),
            _ => Step::Took(1, key(Key::Escape)),
        },
        Some(_) => match step(&bytes[1..]) {
            Step::Took(n, Some(Input::Key(press))) => Step::Took(n + 1, Some(Input::Key(alt(press)))),
            Step::Took(n, other) => Step::Took(n + 1, other),
            Step::Incomplete => Step::Incomplete,
        },
    }
}

fn letter(c: u8) -> Option<Key> {
    Some(match c {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'P'..=b'S' => Key::F(c - b'P' + 1),
        b'M' => Key::Enter,
        _ => return None,
    })
}

fn csi(bytes: &[u8]) -> Step {
    // Linux console: F1 to F5 are `ESC [ [ A` and on.
    if bytes.get(2) == Some(&b'[') {
        return match bytes.get(3) {
            None => Step::Incomplete,
            Some(&c @ b'A'..=b'E') => Step::Took(4, key(Key::F(c - b'A' + 1))),
            Some(_) => Step::Took(3, None),
        };
    }
    // X10 mouse reports carry three raw bytes; only SGR is asked for, so they are dropped whole.
    if bytes.get(2) == Some(&b'M') {
        return if bytes.len() < 6 { Step::Incomplete } else { Step::Took(6, None) };
    }
    let Some(end) = bytes[2..].iter().position(|b| (0x40..=0x7e).contains(b)).map(|n| n + 2) else {
        return if bytes.len() > SEQUENCE_CAP { Step::Took(bytes.len(), None) } else { Step::Incomplete };
    };
    let body = &bytes[2..end];
    let took = end + 1;
    if let Some(report) = body.strip_prefix(b"<") {
        return Step::Took(took, mouse(report, bytes[end] == b'M').map(Input::Mouse));
    }
    let params = numbers(body);
    let mods = modifiers(params[1]);
    let plain = match bytes[end] {
        b'I' => return Step::Took(took, Some(Input::Focus(true))),
        b'O' => return Step::Took(took, Some(Input::Focus(false))),
        b'Z' => {
            return Step::Took(took, Some(Input::Key(KeyPress { key: Key::Tab, mods: Mods { shift: true, ..mods } })));
        }
        b'~' => match params[0] {
            1 | 7 => Some(Key::Home),
            2 => Some(Key::Insert),
            3 => Some(Key::Delete),
            4 | 8 => Some(Key::End),
            5 => Some(Key::PageUp),
            6 => Some(Key::PageDown),
            n @ 11..=15 => Some(Key::F((n - 10) as u8)),
            n @ 17..=21 => Some(Key::F((n - 11) as u8)),
            n @ 23..=26 => Some(Key::F((n - 12) as u8)),
            n @ 28..=29 => Some(Key::F((n - 13) as u8)),
            n @ 31..=34 => Some(Key::F((n - 14) as u8)),
            _ => None,
        },
        c => letter(c),
    };
    Step::Took(took, plain.map(|key| Input::Key(KeyPress { key, mods })))
}

fn numbers(body: &[u8]) -> [u32; 3] {
    let mut params = [0u32; 3];
    let mut at = 0;
    for &b in body {
        match b {
            b';' => at += 1,
            b'0'..=b'9' if at < 3 => params[at] = params[at].saturating_mul(10).saturating_add(u32::from(b - b'0')),
            _ => {}
        }
    }
    params
}

fn modifiers(param: u32) -> Mods {
    let bits = param.saturating_sub(1);
    Mods { shift: bits & 1 != 0, alt: bits & 2 != 0, ctrl: bits & 4 != 0 }
}

fn mouse(report: &[u8], is_press: bool) -> Option<MouseInput> {
    let [code, col, row] = numbers(report);
    let mods = Mods { shift: code & 4 != 0, alt: code & 8 != 0, ctrl: code & 16 != 0 };
    let button = (code & 3) as u8;
    let action = match code & !0x1c {
        64 => MouseAction::WheelUp,
        65 => MouseAction::WheelDown,
        32..=34 => MouseAction::Motion(Some(button)),
        35 => MouseAction::Motion(None),
        0..=2 if is_press => MouseAction::Press(button),
        0..=2 => MouseAction::Release(button),
        _ => return None,
    };
    let cell = |n: u32| u16::try_from(n.saturating_sub(1)).unwrap_or(u16::MAX);
    Some(MouseInput { action, mods, col: cell(col), row: cell(row) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk, &mut out);
        }
        decoder.flush(&mut out);
        out.iter()
            .map(|input| match input {
                Input::Key(press) => press.to_string(),
                Input::Paste(text) => format!("paste {}", String::from_utf8_lossy(text)),
                Input::Mouse(mouse) => format!("{:?} {},{}", mouse.action, mouse.col, mouse.row),
                Input::Focus(on) => format!("focus {on}"),
            })
            .collect()
    }

    #[test]
    fn keys_are_read_however_they_are_cut() {
        let text = "a\r\x07\x1b[A\x1b[1;5C\x1bOP\x1b[15~\x1bxé漢\x1b[Z\x1b[<0;5;3M\x1b[<65;1;1M\x1b[I\x1b[200~h\x1bi\x1b[201~z";
        let expected = [
            "a",
            "Enter",
            "Ctrl+g",
            "Up",
            "Ctrl+Right",
            "F1",
            "F5",
            "Alt+x",
            "é",
            "漢",
            "Shift+Tab",
            "Press(0) 4,2",
            "WheelDown 0,0",
            "focus true",
            "paste h\u{1b}i",
            "z",
        ];
        assert_eq!(decode(&[text.as_bytes()]), expected);
        for cut in 2..text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            assert_eq!(decode(&[head, tail]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_escape_alone_is_the_key_at_once() {
        assert_eq!(decode(&[b"\x1b", b"a"]), ["Esc", "a"]);
        assert_eq!(decode(&[b"\x1b\x1b[A"]), ["Alt+Up"]);
        assert_eq!(decode(&[b"\x1b["]), ["Alt+["]);
    }
}

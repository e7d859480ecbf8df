//! Keys, mouse events and pastes to the bytes a program expects, by its modes.

use super::{Modes, MouseEncoding, MouseMode};

/// A key as a person pressed it, free of any terminal library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A character; its case is already applied.
    Char(char),
    /// Enter.
    Enter,
    /// Tab.
    Tab,
    /// Backspace.
    Backspace,
    /// Escape.
    Escape,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Insert.
    Insert,
    /// Delete.
    Delete,
    /// A function key, 1 to 20.
    F(u8),
}

/// Modifiers held with a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mods {
    /// Shift.
    pub shift: bool,
    /// Alt or Meta.
    pub alt: bool,
    /// Control.
    pub ctrl: bool,
}

/// What happened with the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseAction {
    /// A button went down: 0 left, 1 middle, 2 right.
    Press(u8),
    /// A button went up.
    Release(u8),
    /// The pointer moved, with the button held if any.
    Motion(Option<u8>),
    /// The wheel turned away from the person.
    WheelUp,
    /// The wheel turned towards the person.
    WheelDown,
}

impl Mods {
    /// The number after the semicolon in xterm's sequences, 1 for none.
    fn parameter(self) -> u8 {
        1 + u8::from(self.shift) + 2 * u8::from(self.alt) + 4 * u8::from(self.ctrl)
    }
}

/// Bytes of a key press.
pub fn encode_key(key: Key, mods: Mods, modes: &Modes) -> Vec<u8> {
    if modes.disambiguate
        && let Some(bytes) = unambiguous_key(key, mods)
    {
        return bytes;
    }
    let app_cursor = modes.app_cursor && !modes.disambiguate;
    match key {
        Key::Char(c) => encode_char(c, mods),
        Key::Enter => with_alt(mods.alt, b"\r"),
        Key::Tab if mods.shift => with_alt(mods.alt, b"\x1b[Z"),
        Key::Tab => with_alt(mods.alt, b"\t"),
        Key::Backspace => with_alt(mods.alt, if mods.ctrl { b"\x08" } else { b"\x7f" }),
        Key::Escape => with_alt(mods.alt, b"\x1b"),
        Key::Up => cursor_key(b'A', mods, app_cursor),
        Key::Down => cursor_key(b'B', mods, app_cursor),
        Key::Right => cursor_key(b'C', mods, app_cursor),
        Key::Left => cursor_key(b'D', mods, app_cursor),
        Key::Home => cursor_key(b'H', mods, app_cursor),
        Key::End => cursor_key(b'F', mods, app_cursor),
        Key::Insert => tilde_key(2, mods),
        Key::Delete => tilde_key(3, mods),
        Key::PageUp => tilde_key(5, mods),
        Key::PageDown => tilde_key(6, mods),
        Key::F(n) => function_key(n, mods),
    }
}

/// Keys that the kitty keyboard protocol writes otherwise under its flag 1: Escape, characters with Ctrl or Alt, and
/// Enter, Tab and Backspace with modifiers, so that none is mistaken for another or for the start of a sequence.
fn unambiguous_key(key: Key, mods: Mods) -> Option<Vec<u8>> {
    let is_plain = mods == Mods::default();
    let (code, mods) = match key {
        Key::Escape => (27, mods),
        Key::Enter if !is_plain => (13, mods),
        Key::Tab if !is_plain => (9, mods),
        Key::Backspace if !is_plain => (127, mods),
        // A key is named by what it types without Shift.
        Key::Char(c) if mods.ctrl || mods.alt => {
            let lower = c.to_lowercase().next().filter(|_| c.is_uppercase());
            (u32::from(lower.unwrap_or(c)), Mods { shift: mods.shift || lower.is_some(), ..mods })
        }
        Key::F(n @ 1..=4) => {
            let last = ["P", "Q", "13~", "S"][usize::from(n) - 1];
            return Some(match (mods.parameter(), n) {
                (1, _) => format!("\x1b[{last}").into_bytes(),
                (m, 3) => format!("\x1b[13;{m}~").into_bytes(),
                (m, _) => format!("\x1b[1;{m}{last}").into_bytes(),
            });
        }
        Key::F(n @ 13..=20) => (57376 + u32::from(n) - 13, mods),
        _ => return None,
    };
    let text = match mods.parameter() {
        1 => format!("\x1b[{code}u"),
        m => format!("\x1b[{code};{m}u"),
    };
    Some(text.into_bytes())
}

fn with_alt(alt: bool, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    if alt {
        out.push(0x1b);
    }
    out.extend_from_slice(bytes);
    out
}

fn encode_char(c: char, mods: Mods) -> Vec<u8> {
    let control = match c {
        _ if !mods.ctrl => None,
        'a'..='z' | 'A'..='Z' | '@' | '[' | '\\' | ']' | '^' | '_' => Some(c as u8 & 0x1f),
        ' ' | '2' => Some(0),
        '3' => Some(0x1b),
        '4' => Some(0x1c),
        '5' => Some(0x1d),
        '6' => Some(0x1e),
        '7' | '/' => Some(0x1f),
        '8' | '?' => Some(0x7f),
        _ => None,
    };
    match control {
        Some(byte) => with_alt(mods.alt, &[byte]),
        None => with_alt(mods.alt, c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn cursor_key(letter: u8, mods: Mods, is_app: bool) -> Vec<u8> {
    match mods.parameter() {
        1 if is_app => vec![0x1b, b'O', letter],
        1 => vec![0x1b, b'[', letter],
        n => format!("\x1b[1;{n}{}", char::from(letter)).into_bytes(),
    }
}

fn tilde_key(number: u8, mods: Mods) -> Vec<u8> {
    match mods.parameter() {
        1 => format!("\x1b[{number}~"),
        n => format!("\x1b[{number};{n}~"),
    }
    .into_bytes()
}

fn function_key(n: u8, mods: Mods) -> Vec<u8> {
    const NUMBERS: [u8; 16] = [15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29, 31, 32, 33, 34];
    match n {
        1..=4 if mods.parameter() == 1 => vec![0x1b, b'O', b'O' + n],
        1..=4 => format!("\x1b[1;{}{}", mods.parameter(), char::from(b'O' + n)).into_bytes(),
        5..=20 => tilde_key(NUMBERS[usize::from(n) - 5], mods),
        _ => Vec::new(),
    }
}

/// Bytes of a mouse event at a zero-based cell, or nothing if the program did not ask for it.
pub fn encode_mouse(action: MouseAction, mods: Mods, row: u16, col: u16, modes: &Modes) -> Vec<u8> {
    let is_wanted = match action {
        MouseAction::Press(_) | MouseAction::WheelUp | MouseAction::WheelDown => modes.mouse != MouseMode::Off,
        MouseAction::Release(_) => !matches!(modes.mouse, MouseMode::Off | MouseMode::Press),
        MouseAction::Motion(Some(_)) => matches!(modes.mouse, MouseMode::ButtonMotion | MouseMode::AnyMotion),
        MouseAction::Motion(None) => modes.mouse == MouseMode::AnyMotion,
    };
    if !is_wanted {
        return Vec::new();
    }
    let is_sgr = modes.mouse_encoding == MouseEncoding::Sgr;
    let (mut code, is_release) = match action {
        MouseAction::Press(button) => (u32::from(button.min(2)), false),
        MouseAction::Release(button) if is_sgr => (u32::from(button.min(2)), true),
        MouseAction::Release(_) => (3, true),
        MouseAction::Motion(button) => (32 + button.map_or(3, |button| u32::from(button.min(2))), false),
        MouseAction::WheelUp => (64, false),
        MouseAction::WheelDown => (65, false),
    };
    if modes.mouse != MouseMode::Press {
        code += 4 * u32::from(mods.shift) + 8 * u32::from(mods.alt) + 16 * u32::from(mods.ctrl);
    }
    let (x, y) = (u32::from(col) + 1, u32::from(row) + 1);
    if is_sgr {
        return format!("\x1b[<{code};{x};{y}{}", if is_release { 'm' } else { 'M' }).into_bytes();
    }
    // One byte reaches 223, one UTF-8 character of two bytes 2015; beyond that nothing can be said.
    let reach = if modes.mouse_encoding == MouseEncoding::Utf8 { 2015 } else { 223 };
    if x > reach || y > reach {
        return Vec::new();
    }
    let mut out = b"\x1b[M".to_vec();
    for value in [code + 32, x + 32, y + 32] {
        match char::from_u32(value).filter(|_| modes.mouse_encoding == MouseEncoding::Utf8) {
            Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => out.push(value as u8),
        }
    }
    out
}

/// Bytes of a paste, bracketed if the program asked; an end marker inside the text cannot break out.
pub fn encode_paste(text: &[u8], modes: &Modes) -> Vec<u8> {
    const END: &[u8] = b"\x1b[201~";
    if !modes.bracketed_paste {
        // Line feeds are what Enter sends, as in xterm.
        return text.iter().map(|&byte| if byte == b'\n' { b'\r' } else { byte }).collect();
    }
    let mut out = b"\x1b[200~".to_vec();
    let start = out.len();
    for &byte in text {
        out.push(byte);
        // Checked as the output grows, so that removing one marker cannot make another.
        if out[start..].ends_with(END) {
            out.truncate(out.len() - END.len());
        }
    }
    out.extend_from_slice(END);
    out
}

/// Bytes of a focus change, or nothing if the program did not ask.
pub fn encode_focus(is_focused: bool, modes: &Modes) -> Vec<u8> {
    match (modes.focus_events, is_focused) {
        (false, _) => Vec::new(),
        (true, true) => b"\x1b[I".to_vec(),
        (true, false) => b"\x1b[O".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Mods = Mods { shift: false, alt: false, ctrl: false };
    const SHIFT: Mods = Mods { shift: true, ..NONE };
    const ALT: Mods = Mods { alt: true, ..NONE };
    const CTRL: Mods = Mods { ctrl: true, ..NONE };

    fn key(key: Key, mods: Mods) -> String {
        String::from_utf8(encode_key(key, mods, &Modes::default())).unwrap()
    }

    fn mouse(action: MouseAction, mode: MouseMode, encoding: MouseEncoding) -> Vec<u8> {
        let modes = Modes { mouse: mode, mouse_encoding: encoding, ..Modes::default() };
        encode_mouse(action, NONE, 4, 300, &modes)
    }

    #[test]
    fn arrows_follow_the_cursor_key_mode_unless_modified() {
        let app = Modes { app_cursor: true, ..Modes::default() };
        assert_eq!(key(Key::Up, NONE), "\x1b[A");
        assert_eq!(encode_key(Key::Up, NONE, &app), b"\x1bOA");
        assert_eq!(encode_key(Key::Left, CTRL, &app), b"\x1b[1;5D");
        assert_eq!(encode_key(Key::Home, NONE, &app), b"\x1bOH");
    }

    #[test]
    fn control_characters_come_from_letters_and_signs() {
        let pairs = [('a', '\x01'), ('Z', '\x1a'), (' ', '\0'), ('@', '\0'), ('[', '\x1b'), ('\\', '\x1c')];
        for (c, byte) in pairs.into_iter().chain([(']', '\x1d'), ('^', '\x1e'), ('_', '\x1f'), ('?', '\x7f')]) {
            assert_eq!(key(Key::Char(c), CTRL), byte.to_string(), "{c}");
        }
        assert_eq!(key(Key::Char('ü'), CTRL), "ü");
    }

    #[test]
    fn alt_puts_an_escape_before_the_key() {
        assert_eq!(key(Key::Char('x'), ALT), "\x1bx");
        assert_eq!(key(Key::Enter, ALT), "\x1b\r");
        assert_eq!(key(Key::Up, ALT), "\x1b[1;3A");
        assert_eq!(key(Key::Backspace, ALT), "\x1b\x7f");
    }

    #[test]
    fn under_flag_one_no_key_is_mistaken_for_another() {
        let modes = Modes { disambiguate: true, app_cursor: true, ..Modes::default() };
        let key = |key, mods| String::from_utf8(encode_key(key, mods, &modes)).unwrap();
        assert_eq!(key(Key::Escape, NONE), "\x1b[27u");
        assert_eq!(key(Key::Char('i'), CTRL), "\x1b[105;5u");
        assert_eq!(key(Key::Char('A'), ALT), "\x1b[97;4u");
        assert_eq!((key(Key::Char('A'), SHIFT), key(Key::Char('ü'), NONE)), ("A".into(), "ü".into()));
        assert_eq!((key(Key::Enter, NONE), key(Key::Enter, SHIFT)), ("\r".into(), "\x1b[13;2u".into()));
        assert_eq!((key(Key::Tab, NONE), key(Key::Tab, SHIFT)), ("\t".into(), "\x1b[9;2u".into()));
        assert_eq!((key(Key::Backspace, NONE), key(Key::Backspace, CTRL)), ("\x7f".into(), "\x1b[127;5u".into()));
        assert_eq!((key(Key::Up, NONE), key(Key::Up, CTRL)), ("\x1b[A".into(), "\x1b[1;5A".into()));
        assert_eq!((key(Key::F(1), NONE), key(Key::F(3), SHIFT)), ("\x1b[P".into(), "\x1b[13;2~".into()));
        assert_eq!((key(Key::F(5), NONE), key(Key::F(13), NONE)), ("\x1b[15~".into(), "\x1b[57376u".into()));
    }

    #[test]
    fn function_keys_are_xterms() {
        let plain: Vec<_> = [1, 4, 5, 6, 12, 13, 20].map(|n| key(Key::F(n), NONE)).into();
        assert_eq!(plain, ["\x1bOP", "\x1bOS", "\x1b[15~", "\x1b[17~", "\x1b[24~", "\x1b[25~", "\x1b[34~"]);
        assert_eq!(key(Key::F(1), SHIFT), "\x1b[1;2P");
        assert_eq!(key(Key::F(5), CTRL), "\x1b[15;5~");
        assert_eq!(key(Key::F(21), NONE), "");
    }

    #[test]
    fn shift_tab_goes_back_and_delete_takes_modifiers() {
        assert_eq!(key(Key::Tab, SHIFT), "\x1b[Z");
        assert_eq!(key(Key::Delete, CTRL), "\x1b[3;5~");
        assert_eq!(key(Key::PageUp, NONE), "\x1b[5~");
    }

    #[test]
    fn a_program_gets_only_the_mouse_events_it_asked_for() {
        use MouseAction::*;
        let is_sent = |action, mode| !mouse(action, mode, MouseEncoding::Sgr).is_empty();
        assert!(!is_sent(Press(0), MouseMode::Off));
        assert!(is_sent(Press(0), MouseMode::Press) && !is_sent(Release(0), MouseMode::Press));
        assert!(is_sent(Release(0), MouseMode::PressRelease) && !is_sent(Motion(Some(0)), MouseMode::PressRelease));
        assert!(is_sent(Motion(Some(0)), MouseMode::ButtonMotion) && !is_sent(Motion(None), MouseMode::ButtonMotion));
        assert!(is_sent(Motion(None), MouseMode::AnyMotion));
    }

    #[test]
    fn mouse_positions_are_written_in_each_encoding() {
        let all = MouseMode::AnyMotion;
        assert_eq!(mouse(MouseAction::Press(2), all, MouseEncoding::Sgr), b"\x1b[<2;301;5M");
        assert_eq!(mouse(MouseAction::Release(2), all, MouseEncoding::Sgr), b"\x1b[<2;301;5m");
        assert_eq!(mouse(MouseAction::WheelDown, all, MouseEncoding::Utf8), "\x1b[Ma\u{14d}%".as_bytes());
        assert_eq!(mouse(MouseAction::Press(0), all, MouseEncoding::Default), b"");
        let modes = Modes { mouse: all, ..Modes::default() };
        assert_eq!(encode_mouse(MouseAction::Release(0), CTRL, 0, 0, &modes), b"\x1b[M\x33!!");
    }

    #[test]
    fn a_paste_cannot_break_out_of_its_brackets() {
        let modes = Modes { bracketed_paste: true, ..Modes::default() };
        let paste = encode_paste(b"a\x1b[20\x1b[201~1~rm -rf\n", &modes);
        assert_eq!(paste, b"\x1b[200~arm -rf\n\x1b[201~");
        assert_eq!(encode_paste(b"a\nb", &Modes::default()), b"a\rb");
    }

    #[test]
    fn focus_is_told_only_when_asked_for() {
        let modes = Modes { focus_events: true, ..Modes::default() };
        assert_eq!(encode_focus(true, &modes), b"\x1b[I");
        assert_eq!(encode_focus(false, &Modes::default()), b"");
    }
}

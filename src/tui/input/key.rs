//! A key press as the keymap sees it, and its spelling: `Ctrl+g`, `PageUp`, `?`.

use std::fmt;
use std::str::FromStr;

use crate::term::keys::{Key, Mods};

/// A key with the modifiers held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyPress {
    /// The key.
    pub key: Key,
    /// Modifiers; never shift alone on a character, whose case says it already.
    pub mods: Mods,
}

/// A key's name that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key; write it like Ctrl+g, Alt+x, PageUp or ?")]
pub struct KeyError(pub String);

const NAMED: &[(&str, Key)] = &[
    ("Enter", Key::Enter),
    ("Tab", Key::Tab),
    ("Backspace", Key::Backspace),
    ("Esc", Key::Escape),
    ("Up", Key::Up),
    ("Down", Key::Down),
    ("Left", Key::Left),
    ("Right", Key::Right),
    ("Home", Key::Home),
    ("End", Key::End),
    ("PageUp", Key::PageUp),
    ("PageDown", Key::PageDown),
    ("Insert", Key::Insert),
    ("Delete", Key::Delete),
    ("Space", Key::Char(' ')),
];

impl KeyPress {
    /// A key without modifiers.
    pub fn plain(key: Key) -> KeyPress {
        KeyPress { key, mods: Mods::default() }
    }

    /// A character with control held.
    pub fn ctrl(c: char) -> KeyPress {
        KeyPress { key: Key::Char(c), mods: Mods { ctrl: true, ..Mods::default() } }
    }

    /// The character typed, if it is text rather than a command.
    pub fn text(self) -> Option<char> {
        match self.key {
            Key::Char(c) if !self.mods.ctrl && !self.mods.alt => Some(c),
            _ => None,
        }
    }

    /// Shift on a character is dropped: the character's case says it.
    pub fn normalised(mut self) -> KeyPress {
        if matches!(self.key, Key::Char(_)) {
            self.mods.shift = false;
        }
        self
    }
}

impl fmt::Display for KeyPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [(self.mods.ctrl, "Ctrl+"), (self.mods.alt, "Alt+"), (self.mods.shift, "Shift+")] {
            if held {
                f.write_str(name)?;
            }
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, key)| *key == self.key) {
            return f.write_str(name);
        }
        match self.key {
            Key::Char(c) => write!(f, "{c}"),
            Key::F(n) => write!(f, "F{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for KeyPress {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError(text.chars().take(32).collect());
        let mut mods = Mods::default();
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('+').filter(|(_, tail)| !tail.is_empty()) {
            match head.to_ascii_lowercase().as_str() {
                "ctrl" | "c" => mods.ctrl = true,
                "alt" | "m" => mods.alt = true,
                "shift" | "s" => mods.shift = true,
                _ => return Err(wrong()),
            }
            rest = tail;
        }
        let mut chars = rest.chars();
        let key = match (chars.next(), chars.next()) {
            (Some(c), None) => Key::Char(c),
            _ => match NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest)) {
                Some((_, key)) => *key,
                None => match rest.strip_prefix(['F', 'f']).and_then(|n| n.parse().ok()) {
                    Some(n @ 1..=20) => Key::F(n),
                    _ => return Err(wrong()),
                },
            },
        };
        Ok(KeyPress { key, mods }.normalised())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_spelling() {
        for text in ["Ctrl+g", "?", "PageUp", "Alt+x", "Shift+Tab", "F12", "+", "Ctrl++", "Space", "Esc"] {
            assert_eq!(text.parse::<KeyPress>().unwrap().to_string(), text);
        }
        assert!("Hyper+x".parse::<KeyPress>().is_err());
        assert!("F99".parse::<KeyPress>().is_err());
        assert!("".parse::<KeyPress>().is_err());
    }
}

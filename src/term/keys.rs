//! Keys, mouse events and pastes to the bytes a program expects, by its modes.

use super::Modes;

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

/// Bytes of a key press.
pub fn encode_key(_key: Key, _mods: Mods, _modes: &Modes) -> Vec<u8> {
    Vec::new()
}

/// Bytes of a mouse event at a zero-based cell, or nothing if the program did not ask for it.
pub fn encode_mouse(_action: MouseAction, _mods: Mods, _row: u16, _col: u16, _modes: &Modes) -> Vec<u8> {
    Vec::new()
}

/// Bytes of a paste, bracketed if the program asked; an end marker inside the text cannot break out.
pub fn encode_paste(_text: &[u8], _modes: &Modes) -> Vec<u8> {
    Vec::new()
}

/// Bytes of a focus change, or nothing if the program did not ask.
pub fn encode_focus(_is_focused: bool, _modes: &Modes) -> Vec<u8> {
    Vec::new()
}

//! What lies over the panes: a stack of one enum.

use crate::fleet::{MachineId, SessionId};

use super::PaneId;
use crate::term::keys::Key;

/// One layer over the panes; the topmost takes the keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// All keys.
    Help {
        /// First row shown.
        scroll: u16,
    },
    /// Choose a machine for a new session.
    PickMachine {
        /// Text that names must contain.
        filter: Field,
        /// Chosen row among those that match.
        selected: usize,
    },
    /// What to run on it.
    Command {
        /// The machine.
        machine: MachineId,
        /// The command line; empty for a shell.
        line: Field,
    },
    /// A question with yes and no.
    Confirm(Question),
    /// All about a pane.
    PaneInfo {
        /// The pane.
        pane: PaneId,
    },
}

/// What is asked before something that cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// End a session that may still run.
    Kill(SessionId),
    /// Take the wheel of all marked panes and type into all of them.
    Broadcast,
    /// Leave the wall.
    Quit,
}

impl Question {
    /// Keys that mean yes. What is typed into many machines, or kills, must not start by a letter of a word that was
    /// meant for a program.
    pub fn yes(self) -> &'static [Key] {
        match self {
            Question::Kill(_) => &[Key::Char('y'), Key::Char('Y')],
            Question::Broadcast => &[Key::Enter],
            Question::Quit => &[Key::Enter, Key::Char('y'), Key::Char('Y'), Key::Char('q')],
        }
    }

    /// Keys that mean no.
    pub fn no(self) -> &'static [Key] {
        match self {
            Question::Broadcast => &[Key::Escape],
            _ => &[Key::Escape, Key::Char('n'), Key::Char('N')],
        }
    }

    /// The keys in words.
    pub fn keys(self) -> &'static str {
        match self {
            Question::Kill(_) => "y ends it · n or Esc: no",
            Question::Broadcast => "Enter starts it · Esc: no",
            Question::Quit => "Enter, y or q leaves · n or Esc: stay",
        }
    }
}

/// One line of text being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// Byte offset of the cursor, always between characters.
    cursor: usize,
}

/// A field takes no more than this; a longer paste is cut.
const FIELD_CAP: usize = 4096;

impl Field {
    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part before the cursor.
    pub fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Types a character; control characters are ignored.
    pub fn insert(&mut self, c: char) {
        if !c.is_control() && self.text.len() < FIELD_CAP {
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
    }

    /// Deletes the character before the cursor.
    pub fn backspace(&mut self) {
        if let Some(c) = self.before_cursor().chars().next_back() {
            self.cursor -= c.len_utf8();
            self.text.remove(self.cursor);
        }
    }

    /// Deletes the character at the cursor.
    pub fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Moves the cursor by one character.
    pub fn step(&mut self, is_forward: bool) {
        let step = match is_forward {
            true => self.text[self.cursor..].chars().next().map(char::len_utf8),
            false => self.before_cursor().chars().next_back().map(char::len_utf8),
        };
        self.cursor = if is_forward { self.cursor + step.unwrap_or(0) } else { self.cursor - step.unwrap_or(0) };
    }

    /// Moves the cursor to an end.
    pub fn jump(&mut self, is_end: bool) {
        self.cursor = if is_end { self.text.len() } else { 0 };
    }

    /// Deletes everything before the cursor.
    pub fn clear_before(&mut self) {
        self.text.drain(..self.cursor);
        self.cursor = 0;
    }

    /// Deletes the word before the cursor.
    pub fn delete_word(&mut self) {
        let kept = self.before_cursor().trim_end();
        let start = kept.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }
}

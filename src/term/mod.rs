//! The terminal emulator behind one opaque type, [`Screen`]: the only module that says vt100.

pub mod keys;
mod screen;

pub use screen::{
    Cell, Color, Cursor, CursorShape, Event, KeyframeScope, Modes, MouseEncoding, MouseMode, Rows, Screen, Style,
    Underline,
};

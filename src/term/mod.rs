//! The terminal emulator behind one opaque type, [`Screen`]: the only module that says vt100.
//!
//! Bytes go through a small parser (`parser`) into the translator (`translate`), which owns every piece of terminal
//! state but the cells: pen, margins, modes, charsets, tabs, saved cursors. The cells live in vt100, driven with the
//! few sequences that it does right (`engine`). Lines that leave the top are kept compactly in `history`.
//!
//! What always holds: the state depends on the bytes, never on how they were cut into chunks; no input panics; every
//! store (history, replies, events, strings) is bounded.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed expectation is what a test is for"))]

mod backlog;
mod charset;
mod damage;
mod engine;
mod guard;
mod history;
mod keyframe;
pub mod keys;
mod marks;
mod osc;
mod outer;
mod params;
mod parser;
mod pen;
mod query;
mod screen;
mod tabs;
pub mod text;
mod translate;
mod types;
mod window;

pub use backlog::Backlog;
pub use guard::is_guarded;
pub use screen::Screen;
pub use types::{
    Cell, Color, Cursor, CursorShape, Event, KeyframeScope, Modes, MouseEncoding, MouseMode, Rows, Style, Underline,
};

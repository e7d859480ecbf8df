//! Source text in colours: some 290 languages and 90 themes, packed into the program and read when they are asked for.
//!
//! `tests/highlight.rs` makes the packs of the collections that they come from; `NOTICE`, at the top of the repository, says whose they are.

mod depth;
mod languages;
mod paint;
mod themes;
mod worker;

pub use depth::Depth;
pub use languages::{Language, Languages};
pub use paint::{LINE_CAP, Painter, plain};
pub use themes::{Theme, theme, theme_names};
pub use worker::Worker;

/// Whose the languages and themes are, and under which licences.
pub const NOTICE: &str = include_str!("../../NOTICE");

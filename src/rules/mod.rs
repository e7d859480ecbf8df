//! Patterns over a terminal's output: what `wait_for`, pattern callbacks, wall and agent have in common.
//!
//! Pure: bytes in, findings out. What is found does not depend on how the bytes were cut into chunks, and no byte is
//! looked at again for each chunk that follows it, beyond a bounded overlap.

mod lines;
mod pattern;
mod plain;
mod transcript;

pub use lines::{Hit, LINE_CAP, Rules};
pub use pattern::{OVERLAP, Pattern, PatternError};
pub use plain::Plain;
pub use transcript::{Found, Search, Transcript};

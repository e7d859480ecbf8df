//! The nouns of a fleet: plain values without I/O, shared by every other module.

mod size;

pub use size::Size;

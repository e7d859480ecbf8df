//! The emulator judged from outside: behaviour, properties over random streams, recordings of real programs.

#![allow(clippy::unwrap_used, reason = "a failed expectation is what a test is for")]
#[path = "emulator/behaviour.rs"]
mod behaviour;
#[path = "emulator/outer.rs"]
mod outer;
#[path = "emulator/properties.rs"]
mod properties;
#[path = "emulator/recordings.rs"]
mod recordings;
#[path = "emulator/support.rs"]
mod support;
#[path = "emulator/work.rs"]
mod work;

//! The keeper: one small process per session, and the only one that must not die.
//!
//! It owns the PTY master, the screen model, the output log, the table of clients with their roles, the size and the
//! exit status. `core` decides and knows no file descriptor; `run` is a poll(2) loop around it: no runtime, no threads,
//! so that an idle session costs next to nothing and a keystroke meets no queue.

mod core;
#[doc(hidden)]
pub mod fuzz;
/// Starting keepers.
pub mod launch;
/// Talking to keepers.
pub mod link;
mod pty;
mod run;
mod socket;
mod turnstile;

pub use run::{KeeperError, run};

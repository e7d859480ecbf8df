//! The byte discipline: output addressed by offset, input accepted exactly once, bounded queues, backoff.
//!
//! Pure machines without I/O or clocks; the roles drive them.

mod backoff;
mod input;
mod log;
mod outbox;

pub use backoff::Backoff;
pub use input::{Accepted, InputReceiver, InputSender, InputSenderFull};
pub use log::{LogItem, OutputLog};
pub use outbox::{Outbox, Verdict};

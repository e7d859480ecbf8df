//! The byte discipline: output addressed by offset, input accepted exactly once, bounded queues, backoff.
//!
//! Pure machines without I/O or clocks; the roles drive them.

mod backoff;
mod frames;
mod input;
mod log;
mod outbox;

pub use backoff::Backoff;
pub use frames::{Attach, Delivery, Down, KeyframeKind, Up};
pub(crate) use input::INPUT_CAP;
pub use input::{Accepted, InputReceiver, InputSender, InputSenderFull};
pub use log::{LogItem, OutputLog};
pub(crate) use outbox::OUTBOX_CAP;
pub use outbox::{Outbox, Verdict};

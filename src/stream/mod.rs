//! The byte discipline: output addressed by offset, input accepted exactly once, bounded queues, backoff.
//!
//! Pure machines without I/O or clocks; the roles drive them.

mod backoff;
mod credit;
mod frames;
mod input;
mod log;
mod outbox;

pub use backoff::Backoff;
pub use credit::{
    CreditIn, CreditOut, EXEC_CHUNK_CAP, EXEC_INPUT_WINDOW, EXEC_OUTPUT_WINDOW, FILE_WINDOW, chunk_cost, chunks_in,
};
pub use frames::{Attach, Delivery, Down, KeyframeKind, Up};
pub(crate) use input::INPUT_CAP;
pub use input::{Accepted, InputReceiver, InputSender, InputSenderFull};
pub use log::{LogItem, OutputLog};
pub(crate) use outbox::OUTBOX_CAP;
pub use outbox::{Outbox, Verdict};

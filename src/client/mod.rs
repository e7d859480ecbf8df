//! The SDK core: one connection to a relay, the fleet as it changes, attachments that survive cuts.

mod event;

pub use event::AttachEvent;

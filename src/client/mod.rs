//! The SDK core: one connection to a relay, the fleet as it changes, attachments that survive cuts.
//!
//! Reconnecting lives in `connection` and nowhere else. An attachment is a value: its offsets, its unacknowledged input
//! and its role outlive every stream, so that after a cut it continues at the exact byte.

mod admin;
mod attachment;
mod connection;
mod core;
mod error;
mod event;
mod exec;
mod fleet;
mod inbox;
mod options;
mod probe;

pub use admin::{KeyInfo, KeyRequest, TokenRequest, WhoAmI};
pub use connection::{AttachHandle, Attachment, Client};
pub use error::Error;
pub use event::{AttachEvent, ConnectionState, FleetEvent};
pub use exec::{EXEC_OUTPUT_CAP, ExecEvent, ExecExit, ExecHandle, ExecOptions, ExecOutput, ExecStdin, Program};
pub use fleet::FleetWatch;
pub use inbox::Inbox;
pub use options::{AttachOptions, Options};
pub use probe::{Probe, probe};

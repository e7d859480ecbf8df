//! The SDK: a client of a relay, terminals of machines, and streams that survive cuts.
//!
//! ```no_run
//! use std::time::Duration;
//! use fleetmux::client::{Client, Error};
//!
//! # async fn example() -> Result<(), Error> {
//! let client = Client::remote("relay.example:7000").connect().await?;
//! let session = client.terminal().get_active_session("my-server").await?;
//! let stream = client.terminal().stream();
//! stream.on_output(|data| print!("{}", String::from_utf8_lossy(data)));
//! stream.attach(session.session_id).await?;
//! stream.send_input("make\n").await?;
//! let output = stream.wait_for("Build complete", Duration::from_secs(30)).await?;
//! println!("{output}");
//! stream.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Reconnecting lives in `connection` and nowhere else. An attachment is a value: its offsets, its unacknowledged input
//! and its role outlive every stream, so that after a cut it continues at the exact byte. Below [`TerminalStream`] lies
//! [`Attachment`], with every event as it comes, for programs that draw screens.

mod admin;
mod attachment;
mod builder;
mod connection;
mod core;
mod error;
mod event;
mod exec;
mod files;
mod fleet;
mod hooks;
mod inbox;
mod options;
mod probe;
mod terminal;

pub use crate::rules::{Found, Hit, Pattern, PatternError};
pub use admin::{KeyInfo, KeyRequest, MachineChange, TokenRequest, WhoAmI};
pub use builder::Builder;
pub use connection::{AttachHandle, Attachment, Client};
pub use error::Error;
pub use event::{AttachEvent, ConnectionInfo, ConnectionState, FleetEvent};
pub use exec::{EXEC_OUTPUT_CAP, ExecEvent, ExecExit, ExecHandle, ExecOptions, ExecOutput, ExecStdin, Program};
pub use files::{
    Deleted, FILE_READ_CAP, FileMatch, FilePage, FileReader, FileWriter, Files, LineMatch, ListOptions, MachineRules,
    ReadOptions, SearchOptions, SearchResult, WriteOptions,
};
pub use fleet::FleetWatch;
pub use inbox::Inbox;
pub use options::{AttachOptions, Options};
pub use probe::{CERTIFICATE_DAYS_CAP, Probe, probe, reach};
pub use terminal::{
    Batch, BufferStats, Buffering, SessionInfo, Signal, Start, StreamInput, StreamOptions, Terminal, TerminalStream,
    WhenFull,
};

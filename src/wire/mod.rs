//! The wire: generated messages, their conversion to the nouns of `fleet`, framing, and the version hello.
//!
//! Only this module says prost. Formats are append-only; `tests/golden/wire.txt` holds the bytes of every message.

mod convert;
mod dial;
mod first_byte;
mod fleet_event;
mod frame;
mod hello;
#[cfg(feature = "app")]
mod serve_tls;
mod status;
mod tls;
mod validity;

#[allow(missing_docs, clippy::all, unreachable_pub)]
#[rustfmt::skip]
#[path = "generated/fleetmux.v1.rs"]
pub mod v1;

/// The contract of the published CMDOP SDKs, which the relay's facade serves.
#[allow(missing_docs, dead_code, clippy::all, unreachable_pub)]
#[rustfmt::skip]
#[path = "generated/terminal.rs"]
#[cfg(feature = "app")]
pub(crate) mod cmdop;

pub use convert::{
    OF_MACHINE, actions, actions_from, destroyed_reply, down, down_from, exit, file_entry, file_entry_from,
    file_frame_len, load_from, machine, path, path_from, refusal, refusal_from, role, role_from, session_from, size,
    size_from, spec_from, summary_from, up, up_from,
};
pub use dial::{
    Bearer, Channel, DialError, FRAME_SIZE, admin_service, agent_service, client_service, dial, exec_service,
    file_service, join_service,
};
pub use fleet_event::SharedFleetEvent;
pub use frame::{FRAME_CAP, FrameError, encode_frame, read_frame};
pub use hello::{HelloError, PROTOCOL_VERSION, TIME_HEADER, check_hello, hello};
pub use prost::Message;
#[cfg(feature = "app")]
pub(crate) use prost_types::Timestamp;
#[cfg(feature = "app")]
pub use serve_tls::{ServeError, Served, TlsServer, TlsStream, days_left};
pub use status::{refusal_of, status_of};
pub use tls::{certificate_days, fingerprint};

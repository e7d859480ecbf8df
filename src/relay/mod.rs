//! The relay: knows which machines and sessions exist, routes frames between clients and agents, fans output out.
//!
//! It never parses terminal output and holds no session truth: losing it loses nothing. One task owns `Core`; the
//! gRPC services only translate between streams and its events.

mod admin;
mod audit;
mod auth;
mod body;
mod certificate;
mod cmdop;
mod connections;
mod core;
mod event;
mod exec;
mod files;
mod gate;
mod grpc;
mod hub;
mod lane;
mod limits;
mod outgoing;
mod peer_user;
mod quota;
mod serve;
mod socket;
mod store;

pub use auth::AuthorityError;
pub use certificate::{DAYS as CERTIFICATE_DAYS, WARN_DAYS as CERTIFICATE_WARN_DAYS};
pub use cmdop::Discovery;
#[doc(hidden)]
pub mod fuzz;

pub use serve::{Initialised, Options, RelayError, init, renew, serve};

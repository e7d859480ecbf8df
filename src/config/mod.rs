//! Configuration: where things live, how a relay is named, and with which key.

/// Directories and sockets of this user.
pub mod paths;
mod places;
/// Relays by name, with keys.
pub mod profile;

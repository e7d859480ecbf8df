//! Configuration: where things live, and how a relay is named.

/// Directories and sockets of this user.
pub mod paths;

//! Configuration: where things live, and how a relay is named.

mod endpoint;
/// Directories and sockets of this user.
pub mod paths;

pub use endpoint::{Endpoint, EndpointError};

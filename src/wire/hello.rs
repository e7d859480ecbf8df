//! The version hello that opens every link.

use super::v1;

/// Version of the frame vocabulary spoken here. Additions keep the number; it grows when an old peer would misread.
pub const PROTOCOL_VERSION: u32 = 1;
/// Header of a relay's answer to a watch: its clock, milliseconds since the epoch.
pub const TIME_HEADER: &str = "fleetmux-time-ms";
/// Oldest version still understood: a keeper may be as old as its session.
const OLDEST_VERSION: u32 = 1;

/// A peer too old or too new.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the peer speaks version {theirs} ({software}); this program understands {OLDEST_VERSION} to {PROTOCOL_VERSION}: upgrade the older of the two"
)]
pub struct HelloError {
    theirs: u32,
    software: String,
}

/// Our hello.
pub fn hello() -> v1::Hello {
    v1::Hello { version: PROTOCOL_VERSION, software: concat!("fleetmux ", env!("CARGO_PKG_VERSION")).into() }
}

/// Whether we can speak with whoever sent this. A newer peer decides for itself whether it understands us.
pub fn check_hello(hello: &v1::Hello) -> Result<(), HelloError> {
    if hello.version < OLDEST_VERSION {
        let software = hello.software.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(HelloError { theirs: hello.version, software });
    }
    Ok(())
}

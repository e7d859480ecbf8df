//! What a program says about its connection and its attachments.

use std::time::Duration;

use crate::fleet::{ClientId, Credentials, Role, Size};
use crate::stream::{Delivery, KeyframeKind};

/// How a client behaves towards its relay.
#[derive(Clone, Debug)]
pub struct Options {
    /// First delay before another attempt.
    pub retry_delay: Duration,
    /// Longest delay between attempts.
    pub retry_cap: Duration,
    /// How long a call may take.
    pub timeout: Duration,
    /// Key, and the CA that may vouch for the relay; local relays need neither.
    pub credentials: Credentials,
    /// Failed attempts after which it gives up until it is asked to try again; `None` for never.
    pub reconnect_attempts: Option<u32>,
    /// How often a request is repeated when the connection is lost under it.
    pub max_retries: u32,
    /// Pause before a request is repeated.
    pub request_retry_delay: Duration,
    /// Requests, answers and changes of state are told to `tracing`.
    pub is_debug: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            retry_delay: Duration::from_millis(50),
            retry_cap: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            credentials: Credentials::default(),
            reconnect_attempts: None,
            max_retries: 3,
            request_retry_delay: Duration::from_secs(1),
            is_debug: false,
        }
    }
}

/// How a client takes part in a session.
#[derive(Clone, Debug)]
pub struct AttachOptions {
    /// Role asked for.
    pub role: Role,
    /// Size of this client's screen.
    pub size: Size,
    /// What happens when it cannot keep up.
    pub delivery: Delivery,
    /// What keyframes are for.
    pub keyframe: KeyframeKind,
    /// History asked for with keyframes, bytes.
    pub history_bytes: u32,
    /// Shown to others: "ada@laptop".
    pub label: String,
    /// Bytes that may be under way unconsumed; `None` for the keeper's default.
    pub window: Option<u32>,
    /// Shortest time between two outputs of a busy program, milliseconds, 17 to 1000; not for lossless delivery.
    pub pace_ms: Option<u32>,
    /// Continues another program's client, its input numbers included; `None` for a new one.
    pub client: Option<ClientId>,
    /// Next output offset wanted; `None` starts with a keyframe, `Some(0)` asks for everything.
    pub from_offset: Option<u64>,
}

impl AttachOptions {
    /// A driver or observer with a screen of this size, kept up to date.
    pub fn new(role: Role, size: Size) -> AttachOptions {
        AttachOptions {
            role,
            size,
            delivery: Delivery::Latest,
            keyframe: KeyframeKind::Replica,
            history_bytes: 0,
            label: String::new(),
            window: None,
            pace_ms: None,
            client: None,
            from_offset: None,
        }
    }
}

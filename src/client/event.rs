//! What an attachment tells its user.

use std::time::Duration;

use bytes::Bytes;

use crate::fleet::{Exit, Machine, MachineId, Refusal, Role, Session, SessionId, Size, Viewer};

/// Something happened on an attachment; in the order of the session's stream.
#[derive(Clone, Debug, PartialEq)]
pub enum AttachEvent {
    /// The keeper took the client in; output follows from this offset.
    Attached {
        /// Role granted.
        role: Role,
        /// Next output offset.
        offset: u64,
        /// Output bytes that this client did not get and will not get.
        skipped: u64,
        /// Size of the session.
        size: Size,
        /// This client's number in the presence list.
        number: u32,
        /// It continues exactly where this client was; no keyframe precedes the output.
        is_resumed: bool,
    },
    /// Output of the program; contiguous with what came before.
    Output {
        /// Offset of its first byte.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The state of the screen at an offset; feed it to a fresh screen of this size.
    Keyframe {
        /// Output continues here.
        offset: u64,
        /// Output bytes skipped on the way here, since the last event.
        skipped: u64,
        /// Size of the session at this point.
        size: Size,
        /// Escape bytes.
        data: Bytes,
    },
    /// The session has this size from this point of the stream on.
    Resized(Size),
    /// Everybody attached.
    Presence(Vec<Viewer>),
    /// The role changed on this client's request.
    RoleChanged(Role),
    /// The program ended.
    Exited(Exit),
    /// The keeper or a hop refused a frame; the attachment goes on unless `Closed` follows.
    Refused(Refusal),
    /// The way to the session is cut; the client keeps trying, and input is kept up to its bound.
    Lost(Refusal),
    /// Measured round trip to the keeper, microseconds.
    Latency(u32),
    /// The keeper's machine has answered nothing for so long, and nothing came from it, though the way to the relay is there: it may
    /// hang. Input is kept up to its bound. Said again while it lasts; any other event ends it.
    Unanswered(Duration),
    /// The session is gone or cannot be attached to; nothing follows.
    Closed(Option<Refusal>),
}

/// The connection to the relay as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not there; being tried.
    Connecting {
        /// Attempts since it was last there.
        attempt: u32,
        /// What the last attempt met.
        error: Option<String>,
    },
    /// There.
    Connected {
        /// The relay.
        server: String,
        /// Round trip to the relay in microseconds, once measured.
        latency_us: Option<u32>,
        /// The relay has answered nothing for so long: it, or the way to it, may be gone.
        unanswered: Option<Duration>,
    },
    /// Given up, or closed; nothing is tried until [`Client::reconnect`](super::Client::reconnect).
    Stopped {
        /// What the last attempt met.
        error: String,
    },
}

/// Where a client is connected to.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionInfo {
    /// The relay.
    pub server: String,
    /// Round trip to the relay in milliseconds, once measured and while connected.
    pub latency_ms: Option<f64>,
}

impl Default for ConnectionState {
    /// Not tried yet.
    fn default() -> ConnectionState {
        ConnectionState::Connecting { attempt: 0, error: None }
    }
}

/// The fleet changed.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetEvent {
    /// Everything, anew: on the first connection and after every cut.
    Snapshot {
        /// All machines.
        machines: Vec<Machine>,
        /// All sessions.
        sessions: Vec<Session>,
    },
    /// A machine came or changed.
    Machine(Machine),
    /// A machine is forgotten.
    MachineRemoved(MachineId),
    /// A session came or changed.
    Session(Session),
    /// A session is over.
    SessionRemoved {
        /// Where it was.
        machine: MachineId,
        /// Which.
        session: SessionId,
    },
}

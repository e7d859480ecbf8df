//! How a session is doing, in the words of the SDK.

use std::fmt;

use super::{Machine, Session};

/// How long a session on a machine that is away counts as about to come back, milliseconds: a reboot or a long cut.
const GRACE_MS: u64 = 5 * 60 * 1000;

/// How a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionStatus {
    /// Just made: its program has written nothing and nobody is attached.
    Pending,
    /// Its program runs and its machine is online.
    Connected,
    /// Its machine went offline less than five minutes ago; the session lives on there.
    GracePeriod,
    /// Its program has ended, or its machine has been away for longer.
    Disconnected,
}

impl SessionStatus {
    /// The status of a session at a time, milliseconds since the epoch; a machine that is not known is away.
    pub fn of(session: &Session, machine: Option<&Machine>, now_ms: u64) -> SessionStatus {
        let summary = &session.summary;
        match machine {
            _ if summary.exit.is_some() => SessionStatus::Disconnected,
            Some(machine) if machine.is_online => {
                let is_untouched = summary.offset == 0 && summary.drivers + summary.observers == 0;
                if is_untouched { SessionStatus::Pending } else { SessionStatus::Connected }
            }
            Some(machine) if now_ms.saturating_sub(machine.last_seen_ms) < GRACE_MS => SessionStatus::GracePeriod,
            _ => SessionStatus::Disconnected,
        }
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionStatus::Pending => "PENDING",
            SessionStatus::Connected => "CONNECTED",
            SessionStatus::GracePeriod => "GRACE_PERIOD",
            SessionStatus::Disconnected => "DISCONNECTED",
        })
    }
}

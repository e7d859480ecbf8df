//! Errors of the SDK that a program can tell apart.

use crate::fleet::{Code, Refusal};

/// What went wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such session, or it has ended.
    #[error("{0}")]
    SessionNotFound(String),
    /// There is no such machine.
    #[error("{0}")]
    MachineNotFound(String),
    /// There is no such file or directory.
    #[error("{0}")]
    FileNotFound(String),
    /// The file or directory is there already.
    #[error("{0}")]
    FileExists(String),
    /// Role or rules forbid it.
    #[error("{0}")]
    PermissionDenied(String),
    /// No answer in time.
    #[error("{0}")]
    Timeout(String),
    /// The machine's agent is not connected.
    #[error("{0}")]
    MachineOffline(String),
    /// A name fits several; the message lists them.
    #[error("{0}")]
    Ambiguous(String),
    /// A bound is reached; trying again later may do.
    #[error("{0}")]
    Exhausted(String),
    /// The connection was lost, or what was waited for cannot come any more.
    #[error("{0}")]
    Unavailable(String),
    /// The relay cannot be reached.
    #[error("{0}; check the address, and whether the relay runs there, or name another with --relay")]
    NoRelay(String),
    /// No key, or one that the relay does not accept.
    #[error("{0}")]
    Unauthenticated(String),
    /// Whoever answers does not prove to be the relay: no TLS, or another CA.
    #[error("{0}")]
    Untrusted(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Anything else that was refused.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// What it is, without the text, which may name what was asked for.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::SessionNotFound(_) => "session not found",
            Error::MachineNotFound(_) => "machine not found",
            Error::FileNotFound(_) => "file not found",
            Error::FileExists(_) => "file exists",
            Error::PermissionDenied(_) => "permission denied",
            Error::Timeout(_) => "timeout",
            Error::MachineOffline(_) => "machine offline",
            Error::Ambiguous(_) => "ambiguous",
            Error::Exhausted(_) => "exhausted",
            Error::Unavailable(_) => "unavailable",
            Error::NoRelay(_) => "no relay",
            Error::Unauthenticated(_) => "unauthenticated",
            Error::Untrusted(_) => "untrusted",
            Error::Invalid(_) => "invalid",
            Error::Refused(_) => "refused",
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let message = refusal.message;
        match refusal.code {
            Code::NotFound => Error::SessionNotFound(message),
            Code::PermissionDenied => Error::PermissionDenied(message),
            Code::Unavailable => Error::MachineOffline(message),
            Code::Ambiguous => Error::Ambiguous(message),
            Code::Unauthenticated => Error::Unauthenticated(message),
            Code::Invalid => Error::Invalid(message),
            Code::Exhausted => Error::Exhausted(message),
            Code::Exists => Error::FileExists(message),
            Code::Internal => Error::Refused(message),
        }
    }
}

//! Who may do what: roles, principals, and the typed refusal that every hop can give.

use std::fmt;

/// What an attached client may do with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees everything, changes nothing.
    Observer,
    /// Types, resizes, sends signals.
    Driver,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Observer => "observer",
            Role::Driver => "driver",
        })
    }
}

/// Who is behind a call, as the receiving end authenticated it; never taken from the caller's own words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal(String);

impl Principal {
    /// The owner of a unix-socket peer.
    pub fn local_uid(uid: u32) -> Principal {
        Principal(format!("uid:{uid}"))
    }

    /// A peer on a loopback address without further proof.
    pub fn loopback() -> Principal {
        Principal("loopback".into())
    }

    /// As text for rules and audit lines.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why something was refused, as a program tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request makes no sense.
    Invalid,
    /// The role or a rule forbids it.
    PermissionDenied,
    /// No such machine or session.
    NotFound,
    /// It exists but cannot be reached now.
    Unavailable,
    /// A bound is reached.
    Exhausted,
    /// A fault of ours.
    Internal,
    /// The name fits several.
    Ambiguous,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Code::Invalid => "invalid",
            Code::PermissionDenied => "permission denied",
            Code::NotFound => "not found",
            Code::Unavailable => "unavailable",
            Code::Exhausted => "exhausted",
            Code::Internal => "internal error",
            Code::Ambiguous => "ambiguous",
        })
    }
}

/// A typed no: what kind, and a sentence that names the thing and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What a program branches on.
    pub code: Code,
    /// What a person reads.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}

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

    /// Whoever holds the API key of this name.
    pub fn key(name: &str) -> Principal {
        Principal(format!("key:{name}"))
    }

    /// A machine's agent.
    pub fn machine(id: super::MachineId) -> Principal {
        Principal(format!("machine:{id}"))
    }

    /// A part of fleetmux that acts by itself.
    pub fn named(part: &str) -> Principal {
        Principal(part.into())
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

/// What a key may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Watch sessions.
    Observe,
    /// Type into sessions, make and end them; includes watching.
    Drive,
    /// Run one-shot commands.
    Exec,
    /// Read files; may not change them.
    Read,
    /// Read and change files.
    Files,
    /// Manage keys, tokens and machines.
    Admin,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 6] =
        [Action::Observe, Action::Drive, Action::Exec, Action::Read, Action::Files, Action::Admin];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Observe => "observe",
            Action::Drive => "drive",
            Action::Exec => "exec",
            Action::Read => "read",
            Action::Files => "files",
            Action::Admin => "admin",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no action; there are: observe, drive, exec, read, files, admin")]
pub struct ActionError(String);

impl std::str::FromStr for Action {
    type Err = ActionError;

    fn from_str(word: &str) -> Result<Action, ActionError> {
        let found = Action::ALL.into_iter().find(|action| action.name() == word);
        found.ok_or_else(|| ActionError(word.chars().take(64).collect()))
    }
}

/// A set of actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions(std::collections::BTreeSet<Action>);

impl Actions {
    /// Everything.
    pub fn all() -> Actions {
        Action::ALL.into_iter().collect()
    }

    /// Whether the set allows an action; who may drive may watch, and who may change files may read them.
    pub fn may(&self, action: Action) -> bool {
        let wider = match action {
            Action::Observe => Some(Action::Drive),
            Action::Read => Some(Action::Files),
            _ => None,
        };
        self.0.contains(&action) || wider.is_some_and(|wider| self.0.contains(&wider))
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = Action> + '_ {
        self.0.iter().copied()
    }

    /// No action at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Actions {
        Actions(actions.into_iter().collect())
    }
}

/// Who calls, in which workspace, and what the call may do: made by the relay from what the connection proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who, by name: for rules and for people. Another may come by this name later.
    pub principal: Principal,
    /// The key that was shown: the identity of whoever came with one. `None` for a process of this machine's own user.
    pub key: Option<super::KeyId>,
    /// The only workspace this caller sees; `None` sees all.
    pub workspace: Option<String>,
    /// What it may do.
    pub actions: Actions,
}

impl Caller {
    /// A process of this machine's own user: everything in every workspace.
    pub fn local(principal: Principal) -> Caller {
        Caller { principal, key: None, workspace: None, actions: Actions::all() }
    }

    /// Whether both are the same holder of the same key, or the same local user.
    pub fn is_same(&self, other: &Caller) -> bool {
        match (self.key, other.key) {
            (None, None) => self.principal == other.principal,
            (key, other) => key == other,
        }
    }

    /// Whether it may know of things in a workspace.
    pub fn sees(&self, workspace: &str) -> bool {
        self.workspace.as_deref().is_none_or(|own| own == workspace)
    }

    /// Refused unless the action is allowed.
    pub fn needs(&self, action: Action) -> Result<(), Refusal> {
        if self.actions.may(action) {
            return Ok(());
        }
        let has: Vec<&str> = self.actions.iter().map(Action::name).collect();
        let message = format!(
            "{} may not {action} (it may: {}); ask for a key made with `--actions {action}`",
            self.principal,
            has.join(", ")
        );
        Err(Refusal::new(Code::PermissionDenied, message))
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
    /// No key, or one that the relay does not accept.
    Unauthenticated,
    /// What was to be made is there already.
    Exists,
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
            Code::Unauthenticated => "unauthenticated",
            Code::Exists => "exists already",
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

//! What rules are about and what they do: actions, effects, and whom they name.

use std::fmt;
use std::str::FromStr;

use crate::fleet::MachineId;

/// What a principal wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Attach as an observer.
    Observe,
    /// Attach as a driver, or become one.
    Drive,
    /// Make a session.
    Create,
    /// End a session.
    Destroy,
    /// Run a one-shot command.
    Exec,
    /// Both that follow.
    Files,
    /// List, look at, read, search files, and copy from them.
    Read,
    /// Write, make, remove, move files, and copy to them.
    Write,
}

impl Action {
    /// All of them, in the order they are shown.
    pub const ALL: &'static [Action] = &[
        Action::Observe,
        Action::Drive,
        Action::Create,
        Action::Destroy,
        Action::Exec,
        Action::Files,
        Action::Read,
        Action::Write,
    ];

    /// Whether it is about files.
    pub fn is_of_files(self) -> bool {
        matches!(self, Action::Files | Action::Read | Action::Write)
    }

    /// Its name in rules.
    pub fn name(self) -> &'static str {
        match self {
            Action::Observe => "observe",
            Action::Drive => "drive",
            Action::Create => "create",
            Action::Destroy => "destroy",
            Action::Exec => "exec",
            Action::Files => "files",
            Action::Read => "read",
            Action::Write => "write",
        }
    }

    /// Whether rules look at a command for it.
    pub(super) fn has_command(self) -> bool {
        matches!(self, Action::Exec | Action::Create)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Action, String> {
        let known = || Action::ALL.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ");
        let found = Action::ALL.iter().copied().find(|action| action.name() == text);
        found.ok_or_else(|| format!("{text:?} is no action; there are {}", known()))
    }
}

/// What a rule does with what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Lets it happen.
    Allow,
    /// Refuses it.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Effect::Allow { "allow" } else { "deny" })
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(text: &str) -> Result<Effect, String> {
        match text {
            "allow" => Ok(Effect::Allow),
            "deny" => Ok(Effect::Deny),
            _ => Err(format!("{text:?} is no effect; write \"allow\" or \"deny\"")),
        }
    }
}
/// Whom a rule is about, as a person types it: a principal's kind that exists, or a glob; `all` is `*`.
pub fn who_from(text: &str) -> Result<String, String> {
    let is_glob = |text: &str| text.contains(['*', '?']);
    let is_known = match text.split_once(':') {
        Some(("uid", id)) => id.parse::<u32>().is_ok() || is_glob(id),
        Some(("machine", id)) => id.parse::<MachineId>().is_ok() || is_glob(id),
        Some(("key", name)) => !name.is_empty(),
        Some((kind, _)) => is_glob(kind),
        None => text == "loopback" || is_glob(text),
    };
    match text {
        "all" => Ok("*".into()),
        _ if is_known => Ok(text.into()),
        _ => Err(format!(
            "{text:?} is nobody; write key:NAME, uid:NUMBER, machine:ID, loopback, or * for everybody (* and ? are wildcards)"
        )),
    }
}

/// Actions by name; `*` and `all` are all of them.
pub fn actions_from<S: AsRef<str>>(names: &[S]) -> Result<Vec<Action>, String> {
    let names: Vec<&str> = names.iter().map(|name| name.as_ref().trim()).collect();
    if names.contains(&"*") || names.contains(&"all") {
        return Ok(Action::ALL.to_vec());
    }
    names.into_iter().map(str::parse).collect()
}

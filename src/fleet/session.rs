//! A session as the fleet knows it.

use std::collections::BTreeMap;
use std::fmt;

use super::{MachineId, Role, SessionId, Size};

/// What a session is to be; fixed at its birth.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSpec {
    /// Chosen by whoever creates it, so that a repeated request makes one session.
    pub id: SessionId,
    /// For people; may be empty.
    pub name: String,
    /// Program and arguments; empty for the user's login shell.
    pub command: Vec<String>,
    /// Working directory; empty for the user's home.
    pub cwd: String,
    /// Variables added to the agent's environment.
    pub env: BTreeMap<String, String>,
    /// First size.
    pub size: Size,
    /// `TERM`; empty for `xterm-256color`.
    pub term: String,
    /// Bytes of output kept for resuming clients; `None` for the default.
    pub log_bytes: Option<u64>,
    /// Bytes of scrollback kept; `None` for the default.
    pub history_bytes: Option<u64>,
    /// The session ends with this process; for fleets that clean up after themselves.
    pub until_pid: Option<u32>,
    /// Workspace it belongs to.
    pub workspace: String,
    /// Made for whoever connects to the machine without naming a session; see [`active_session`](super::active_session).
    pub is_shared: bool,
    /// Without a command: a shell of the POSIX family, if the login shell is none.
    pub is_posix_shell: bool,
    /// The machine's name for the two lines that the output begins with, where it is and which session it is; empty for none.
    pub greeting: String,
}

impl SessionSpec {
    /// The usual `TERM`.
    pub const DEFAULT_TERM: &str = "xterm-256color";

    /// A login shell of the default size.
    pub fn shell() -> SessionSpec {
        SessionSpec {
            id: SessionId::random(),
            name: String::new(),
            command: Vec::new(),
            cwd: String::new(),
            env: BTreeMap::new(),
            size: Size::DEFAULT,
            term: String::new(),
            log_bytes: None,
            history_bytes: None,
            until_pid: None,
            workspace: String::new(),
            is_shared: false,
            is_posix_shell: false,
            greeting: String::new(),
        }
    }

    /// A command instead of the shell.
    pub fn command<S: Into<String>>(command: impl IntoIterator<Item = S>) -> SessionSpec {
        SessionSpec { command: command.into_iter().map(Into::into).collect(), ..SessionSpec::shell() }
    }

    /// What a person calls it: its name, or its program, or "shell".
    pub fn display_name(&self) -> &str {
        if !self.name.is_empty() {
            return &self.name;
        }
        match self.command.first() {
            Some(program) => program.rsplit('/').next().unwrap_or(program),
            None => "shell",
        }
    }
}

impl fmt::Debug for SessionSpec {
    // Arguments and variables may carry secrets: only their number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSpec")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("args", &self.command.len())
            .field("env", &self.env.len())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exit {
    /// Exit code, or 128 + signal.
    pub code: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<u32>,
    /// Length of the output, bytes since birth.
    pub offset: u64,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal {
            Some(signal) => write!(f, "killed by signal {signal}"),
            None => write!(f, "exited {}", self.code),
        }
    }
}

/// What is known of a session without watching it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Length of the output so far, bytes since birth.
    pub offset: u64,
    /// Window title, sanitised.
    pub title: String,
    /// Working directory as the shell told it (OSC 7).
    pub cwd: String,
    /// Current size.
    pub size: Size,
    /// Attached drivers.
    pub drivers: u32,
    /// Attached observers.
    pub observers: u32,
    /// Attached clients by number; the first of them where there are very many.
    pub clients: Vec<Viewer>,
    /// Last output, milliseconds since the epoch; `None` before the first.
    pub last_output_ms: Option<u64>,
    /// When a client attached last, milliseconds since the epoch; `None` for never.
    pub attached_ms: Option<u64>,
    /// How the program ended, once it has.
    pub exit: Option<Exit>,
}

/// A session of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Where it lives.
    pub machine: MachineId,
    /// What it was made as.
    pub spec: SessionSpec,
    /// Process id of its program.
    pub pid: u32,
    /// Birth, milliseconds since the epoch.
    pub created_ms: u64,
    /// What it does now.
    pub summary: Summary,
}

impl Session {
    /// Its identity.
    pub fn id(&self) -> SessionId {
        self.spec.id
    }

    /// What a person calls it: its name, or its program, or "shell".
    pub fn display_name(&self) -> &str {
        self.spec.display_name()
    }
}

/// One client in a session's presence list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Number given by the keeper, stable while attached.
    pub number: u32,
    /// What it may do.
    pub role: Role,
    /// Who it is, for people: "ada@laptop".
    pub label: String,
    /// The size of its screen.
    pub size: Size,
    /// The session has its size.
    pub owns_size: bool,
    /// Who it is, as the relay authenticated it: "key:ada"; empty where an older keeper does not tell.
    pub principal: String,
}

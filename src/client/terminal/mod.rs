//! The terminal service: sessions of machines, and streams attached to them.

mod buffered;
mod events;
mod session;
mod signal;
mod stream;

pub use buffered::{Batch, BufferStats, Buffering, WhenFull};
pub use session::SessionInfo;
pub use signal::Signal;
pub use stream::{Start, StreamInput, StreamOptions, TerminalStream};

use super::{Client, EXEC_OUTPUT_CAP, Error, ExecOptions};
use crate::fleet::{Machine, MachineId, Role, SessionSpec, active_session, find_machine, find_session};

pub(super) const NO_MACHINE: &str = "no machine is selected; call `set_machine` first, or name one";

/// Terminals of a client's machines; see [`Client::terminal`].
///
/// The selected machine belongs to the client: all its `Terminal`s and clones share it.
#[derive(Clone)]
pub struct Terminal {
    client: Client,
}

impl Client {
    /// Sessions and streams.
    pub fn terminal(&self) -> Terminal {
        Terminal { client: self.clone() }
    }
}

impl Terminal {
    /// Selects the machine for what follows, by host name, display name, machine id or the beginning of one; may be
    /// called again to switch.
    ///
    /// # Errors
    /// [`Error::MachineNotFound`], or [`Error::Ambiguous`] with the candidates.
    pub async fn set_machine(&self, name: &str) -> Result<Machine, Error> {
        let (machines, _) = self.client.fleet_of(&[name]).await?;
        let machine = find(&machines, name)?.clone();
        self.client.select(machine.facts.id);
        Ok(machine)
    }

    /// Runs a command on the selected machine, or on the only one there is, and waits for its end; the text is what it wrote to
    /// standard output and standard error, in its order. [`Client::exec`] streams, and [`Client::run`] keeps the two apart. A
    /// command never runs twice: it is not repeated when the connection is lost under it, see [`max_retries`](crate::client::Builder::max_retries).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use fleetmux::client::{Client, Error, ExecOptions};
    /// # async fn example(client: Client) -> Result<(), Error> {
    /// client.terminal().set_machine("web-1").await?;
    /// let (output, code) = client.terminal().execute("uptime").await?;
    /// println!("{output}exit code {code}");
    /// let patient = ExecOptions { timeout: Some(Duration::from_secs(300)), cwd: "/app".into(), ..ExecOptions::shell("./deploy") };
    /// let (output, code) = client.terminal().execute_with(patient).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Timeout`] when the command took longer than its options allow (30 s), [`Error::PermissionDenied`],
    /// [`Error::SessionNotFound`] when the machine is not connected, [`Error::MachineNotFound`], [`Error::Unavailable`] when the
    /// connection was lost and it is not known whether it ran to its end.
    pub async fn execute(&self, command: &str) -> Result<(String, i32), Error> {
        self.execute_with(ExecOptions::shell(command)).await
    }

    /// [`Terminal::execute`] with a directory, variables, a shell or a timeout of its own.
    ///
    /// # Errors
    /// As for [`Terminal::execute`].
    pub async fn execute_with(&self, options: ExecOptions) -> Result<(String, i32), Error> {
        let machine = match self.machine() {
            Some(machine) => machine,
            None => self.only_machine().await?,
        };
        let timeout = options.timeout.unwrap_or_default();
        let options = ExecOptions { is_merged: true, ..options };
        let output = self.client.run(machine, options).await.map_err(without_session)?;
        if output.exit.is_timed_out {
            return Err(Error::Timeout(format!("the command did not end within {timeout:?}; it was stopped")));
        }
        if output.is_truncated {
            let message = format!("the command wrote more than {EXEC_OUTPUT_CAP} bytes; `Client::exec` streams them");
            return Err(Error::Exhausted(message));
        }
        // An agent that knows of no merging sends both.
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        Ok((String::from_utf8_lossy(&text).into_owned(), output.exit.code))
    }

    /// The machine of a fleet of one.
    async fn only_machine(&self) -> Result<MachineId, Error> {
        match self.client.fleet().await?.0.as_slice() {
            [one] => Ok(one.facts.id),
            _ => Err(Error::MachineNotFound(NO_MACHINE.into())),
        }
    }

    /// The machine selected last.
    pub fn machine(&self) -> Option<MachineId> {
        self.client.machine()
    }

    /// The machine's active session: the newest living one that was made by connecting, or a new one. `None` means the
    /// selected machine.
    ///
    /// # Errors
    /// [`Error::MachineNotFound`], [`Error::Ambiguous`]; [`Error::SessionNotFound`] when the machine is not connected.
    pub async fn get_active_session<'a>(&self, machine: impl Into<Option<&'a str>>) -> Result<SessionInfo, Error> {
        let machine = machine.into();
        let (machines, sessions) = match machine {
            Some(name) => self.client.fleet_of(&[name]).await?,
            None => self.client.fleet().await?,
        };
        let machine = match machine {
            Some(name) => find(&machines, name)?,
            None => self.selected(&machines)?,
        };
        let name = &machine.facts.name;
        if !machine.is_online {
            let message = format!("{name} is offline; run `fleetmux agent start` on it, and see `fleetmux machines`");
            return Err(Error::SessionNotFound(message));
        }
        if let Some(active) = active_session(&sessions, machine.facts.id) {
            return Ok(SessionInfo::new(active, Some(machine)));
        }
        let session =
            self.client.join_session(machine.facts.id, SessionSpec::shell()).await.map_err(without_session)?;
        Ok(SessionInfo::new(&session, Some(machine)))
    }

    /// Makes a session on a machine; see [`SessionSpec`] for what it can be.
    pub async fn create_session(&self, machine: &str, spec: SessionSpec) -> Result<SessionInfo, Error> {
        let (machines, _) = self.client.fleet_of(&[machine]).await?;
        let machine = find(&machines, machine)?;
        let session = self.client.create_session(machine.facts.id, spec).await?;
        Ok(SessionInfo::new(&session, Some(machine)))
    }

    /// All sessions, oldest first.
    pub async fn list_sessions(&self) -> Result<Vec<SessionInfo>, Error> {
        let (machines, mut sessions) = self.client.fleet().await?;
        sessions.sort_by_key(|session| (session.created_ms, session.id()));
        let machine_of = |id: MachineId| machines.iter().find(|machine| machine.facts.id == id);
        Ok(sessions.iter().map(|session| SessionInfo::new(session, machine_of(session.machine))).collect())
    }

    /// The session of this id, or of this beginning or end of one.
    ///
    /// # Errors
    /// [`Error::SessionNotFound`], or [`Error::Ambiguous`] with the candidates.
    pub async fn get_session(&self, session_id: impl ToString) -> Result<SessionInfo, Error> {
        let (machines, sessions) = self.client.fleet().await?;
        let session = find_session(&sessions, &session_id.to_string())?;
        let machine = machines.iter().find(|machine| machine.facts.id == session.machine);
        Ok(SessionInfo::new(session, machine))
    }

    /// A stream that types and sees: a driver.
    pub fn stream(&self) -> TerminalStream {
        TerminalStream::new(self.client.clone(), Role::Driver, StreamOptions::default())
    }

    /// A stream that only sees.
    pub fn observer(&self) -> TerminalStream {
        TerminalStream::new(self.client.clone(), Role::Observer, StreamOptions::default())
    }

    /// A stream of a role with its own ways.
    pub fn stream_with(&self, role: Role, options: StreamOptions) -> TerminalStream {
        TerminalStream::new(self.client.clone(), role, options)
    }

    fn selected<'a>(&self, machines: &'a [Machine]) -> Result<&'a Machine, Error> {
        let id = match (self.machine(), machines) {
            (Some(id), _) => id,
            (None, [one]) => return Ok(one),
            (None, _) => return Err(Error::Invalid(NO_MACHINE.into())),
        };
        machines
            .iter()
            .find(|machine| machine.facts.id == id)
            .ok_or_else(|| Error::MachineNotFound("the selected machine has left the fleet".into()))
    }
}

/// A machine that is not connected has no session for whoever asks for one.
fn without_session(err: Error) -> Error {
    match err {
        Error::MachineOffline(message) => Error::SessionNotFound(message),
        other => other,
    }
}

fn find<'a>(machines: &'a [Machine], name: &str) -> Result<&'a Machine, Error> {
    find_machine(machines, name).map_err(|refusal| match refusal.into() {
        Error::SessionNotFound(message) => Error::MachineNotFound(message),
        other => other,
    })
}

//! Processes in the background: this machine's own server, and agents.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use color_eyre::eyre::{Context, Report, Result, bail, eyre};

use super::identity;
use crate::client::{Client, Error, FleetEvent};
use crate::config::paths;
use crate::fleet::{Credentials, Endpoint};

/// What a background process prints once it serves.
const READY: &str = "ready";
/// How long a named relay may take to answer before a command gives up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the named relay, or to this machine's own one, which is started if need be.
pub(super) async fn client(relay: Option<Endpoint>) -> Result<Client> {
    let is_local = relay.is_none();
    let endpoint = match relay {
        Some(endpoint) => endpoint,
        None => local_relay().await?,
    };
    let options = identity::options(&endpoint);
    let client = Client::connect(endpoint.clone(), options);
    client.connected(CONNECT_TIMEOUT).await.map_err(|err| from_where(err, &endpoint))?;
    if is_local {
        // A server that was just started: its agent links a moment after its relay listens.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, any_machine(&client)).await;
    }
    Ok(client)
}

/// Somebody who set the variable in another hour, or shell, looks for the fault elsewhere.
fn from_where(err: Error, endpoint: &Endpoint) -> Report {
    match err {
        Error::NoRelay(message) if identity::is_from_environment(endpoint) => eyre!(
            "{message}; the address comes from {variable}: start a relay there, or `unset {variable}`",
            variable = identity::RELAY_VARIABLE
        ),
        err => err.into(),
    }
}

async fn any_machine(client: &Client) {
    let mut watch = client.watch_fleet();
    while let Some(event) = watch.recv().await {
        let is_there = match event {
            FleetEvent::Snapshot { machines, .. } => machines.iter().any(|machine| machine.is_online),
            FleetEvent::Machine(machine) => machine.is_online,
            _ => false,
        };
        if is_there {
            return;
        }
    }
}

/// This machine's own relay; starts it, and an agent beside it, if it does not run.
pub(super) async fn local_relay() -> Result<Endpoint> {
    let dir = paths::runtime_dir();
    paths::make_private_dir(&dir)?;
    let socket = paths::relay_socket(&dir);
    if tokio::net::UnixStream::connect(&socket).await.is_err() {
        let log = paths::log_file(&paths::state_dir(), "server")?;
        start_detached(&["server", "--dir", &dir.to_string_lossy()], &log).context("cannot start the local server")?;
    }
    Ok(Endpoint::Unix(socket))
}

/// Starts this program again, detached, and waits until it is ready; its errors go to `log`.
pub(super) fn start_detached(args: &[&str], log: &Path) -> Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    // What serves for long acts with no key of whoever happened to start it.
    Credentials::KEY_VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    let mut child = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim() != READY {
        let status = child.wait()?;
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let last = said.lines().last().unwrap_or("no word");
        bail!("it ended at once ({status}): {}; its log is {}", last.trim_start_matches("fleetmux: "), log.display());
    }
    Ok(())
}

/// In the background process: leaves the terminal behind and tells who waits.
pub(super) fn detach_and_tell() -> Result<()> {
    let _ = rustix::process::setsid();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(())
}

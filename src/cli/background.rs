//! Processes in the background: this machine's own server, and agents.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use color_eyre::eyre::{Context, Result, bail};
use rustix::fs::FileType;

use super::destination::{self, Origin};
use super::identity;
use crate::client::{Client, FleetEvent};
use crate::config::paths;
use crate::fleet::{Credentials, Endpoint};

/// What a background process prints once it serves.
const READY: &str = "ready";
/// How long a named relay may take to answer before a command gives up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to the relay that is meant; this machine's own one is started if need be.
pub(super) async fn client(relay: Option<Endpoint>) -> Result<Client> {
    connect(destination::for_person(relay)?).await
}

/// As [`client`], to a relay that is known already.
pub(super) async fn connect((endpoint, origin): (Endpoint, Origin)) -> Result<Client> {
    let is_local = origin == Origin::Own;
    if is_local {
        local_relay(&[]).await?;
    }
    let options = identity::options(&endpoint);
    let client = Client::connect(endpoint.clone(), options);
    client.connected(CONNECT_TIMEOUT).await.map_err(|err| destination::explain(err, &endpoint))?;
    if is_local {
        // A server that was just started: its agent links a moment after its relay listens.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, any_machine(&client)).await;
    }
    Ok(client)
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

/// Starts this machine's own relay, and an agent with these flags beside it, if it does not run; whether it was started.
pub(super) async fn local_relay(agent_flags: &[&str]) -> Result<bool> {
    let dir = paths::runtime_dir();
    paths::make_private_dir(&dir)?;
    let socket = paths::relay_socket(&dir);
    if tokio::net::UnixStream::connect(&socket).await.is_ok() {
        return Ok(false);
    }
    let log = paths::log_path(&paths::state_dir(), "server");
    let dir = dir.to_string_lossy();
    let args: Vec<&str> = ["server", "--dir", &dir].iter().chain(agent_flags).copied().collect();
    start_detached(&args, &log).context("cannot start the local server")?;
    Ok(true)
}

/// Starts this program again, detached, and waits until it is ready. It logs to `log`, as far as the disk lets it.
pub(super) fn start_detached(args: &[&str], log: &Path) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    // What serves for long acts with no key of whoever happened to start it.
    Credentials::KEY_VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    // The arguments name it, or it is the one that the machine has joined.
    command.env_remove(identity::RELAY_VARIABLE);
    let mut child = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim() != READY {
        let status = child.wait()?;
        // Before it had its log it spoke to us.
        let mut said = String::new();
        if let Some(stderr) = &mut child.stderr {
            let _ = stderr.read_to_string(&mut said);
        }
        said.insert_str(0, &std::fs::read_to_string(log).unwrap_or_default());
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
    // Without a log, standard error is still a pipe to whoever started this process and leaves now.
    let has_log =
        rustix::fs::fstat(rustix::stdio::stderr()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
    if !has_log {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(())
}

//! `fleetmux agent start|stop|status`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, bail, eyre};
use rustix::process::{Pid, Signal};

use crate::agent::{self, lock_holder};
use crate::cli::args::{AgentCommand, AgentDirArgs, AgentStartArgs};
use crate::cli::background;
use crate::cli::output::print;
use crate::config::paths;
use crate::fleet::Endpoint;
use crate::runtime::{self, LogTo};

/// How long an agent may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::cli) async fn run(relay: Option<Endpoint>, command: AgentCommand) -> Result<ExitCode> {
    match command {
        AgentCommand::Start(args) => start(relay, args).await,
        AgentCommand::Stop(args) => stop(&dir_of(&args)).await,
        AgentCommand::Status(args) => status(&dir_of(&args)),
    }
}

fn dir_of(args: &AgentDirArgs) -> PathBuf {
    args.dir.clone().unwrap_or_else(|| paths::runtime_dir().join("agent"))
}

async fn start(relay: Option<Endpoint>, args: AgentStartArgs) -> Result<ExitCode> {
    let labels = agent::local_labels(&args.labels)
        .map_err(|bad| eyre!("{bad:?} is no label; write key=value without spaces, commas or = ! ~ ^"))?;
    let dir = dir_of(&args.dir);
    let relay = relay.unwrap_or_else(|| Endpoint::Unix(paths::relay_socket(&paths::runtime_dir())));
    if !args.foreground {
        if let Some(pid) = lock_holder(&dir) {
            bail!("the agent already runs (process {pid})");
        }
        paths::make_private_dir(&dir)?;
        let relay = relay.to_string();
        let dir_text = dir.to_string_lossy();
        let mut command = vec![
            "agent",
            "start",
            "--foreground",
            "--detach",
            "--relay",
            &relay,
            "--dir",
            &dir_text,
            "--name",
            &args.name,
        ];
        for label in &args.labels {
            command.extend(["--label", label]);
        }
        background::start_detached(&command, &dir.join("agent.log"))?;
        let pid = lock_holder(&dir).unwrap_or(0);
        print(&format!("agent started (process {pid}), relay {relay}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    runtime::init_log(LogTo::Stderr, "info")?;
    runtime::raise_open_files();
    if args.die_with_parent {
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    // A machine's identity belongs to its agent's directory unless that is the user's own.
    let state_dir = if args.dir.dir.is_some() { dir.join("state") } else { paths::state_dir() };
    let permissions = paths::permissions_file(args.dir.dir.as_deref());
    let options = agent::Options { name: args.name, labels, dir, state_dir, permissions, relay };
    let end = async {
        // Whoever started it in the background waits for this line.
        if args.detach
            && let Err(err) = background::detach_and_tell()
        {
            tracing::warn!(%err, "cannot leave the terminal");
        }
        runtime::ended_by_signal().await;
    };
    agent::run(options, end).await?;
    Ok(ExitCode::SUCCESS)
}

async fn stop(dir: &std::path::Path) -> Result<ExitCode> {
    let Some(pid) = lock_holder(dir) else {
        print("no agent runs\n")?;
        return Ok(ExitCode::SUCCESS);
    };
    let process = Pid::from_raw(pid as i32).ok_or_else(|| eyre!("the agent's lock names no process"))?;
    let watch = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())?;
    rustix::process::kill_process(process, Signal::TERM)?;
    let watch = runtime::watch_fd(watch, tokio::io::Interest::READABLE)?;
    if tokio::time::timeout(STOP_TIMEOUT, watch.readable()).await.is_err() {
        bail!("the agent (process {pid}) does not end; `kill -9 {pid}` does no harm to its sessions");
    }
    print(&format!("agent stopped (process {pid}); its sessions live on\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn status(dir: &std::path::Path) -> Result<ExitCode> {
    let sessions = paths::sessions_dir(dir);
    let count = std::fs::read_dir(&sessions).map(Iterator::count).unwrap_or(0);
    match lock_holder(dir) {
        Some(pid) => {
            print(&format!("agent runs (process {pid}), {count} sessions in {}\n", sessions.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            print(&format!("no agent runs; {count} sessions in {}\n", sessions.display()))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

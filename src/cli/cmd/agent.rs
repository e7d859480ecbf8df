//! `fleetmux agent join|start|stop|restart|status`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, bail, eyre};
use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::agent::{self, JoinError, Membership, Standing, Wanted, lock_holder, standing};
use crate::cli::args::{AgentCommand, AgentDirArgs, AgentStartArgs, JoinArgs};
use crate::cli::background;
use crate::cli::output::{complain, counted, json_text, print, prompt};
use crate::config::paths;
use crate::fleet::{Code, Credentials, Endpoint, JoinToken, LABEL_CAP, Labels, labels_text};
use crate::runtime::{self, LogTo};

/// How long an agent may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// `flag` is the relay if this very line names it.
pub(in crate::cli) async fn run(
    relay: Option<Endpoint>,
    flag: Option<Endpoint>,
    command: AgentCommand,
) -> Result<ExitCode> {
    match command {
        AgentCommand::Join(args) => join(args).await,
        AgentCommand::Start(args) => start(relay, args).await,
        AgentCommand::Stop(args) => stop(&dir_of(&args)).await,
        AgentCommand::Restart(args) => restart(flag, &args).await,
        AgentCommand::Status(args) => status(&args.dir, args.json),
        AgentCommand::Install(args) => super::install::agent(relay, &args).await,
    }
}

fn dir_of(args: &AgentDirArgs) -> PathBuf {
    args.dir.clone().unwrap_or_else(|| paths::runtime_dir().join("agent"))
}

/// For commands that are proposed: they are about the same agent.
fn dir_flag(args: &AgentDirArgs) -> String {
    args.dir.as_ref().map(|dir| format!(" --dir {}", dir.display())).unwrap_or_default()
}

/// `key=value` pairs as labels.
pub(super) fn labels<S: AsRef<str>>(pairs: &[S]) -> Result<Labels> {
    let is_no_label = |bad: String| {
        eyre!("{bad:?} is no label; write key=value, each at most {LABEL_CAP} letters, digits and ._/@:+-")
    };
    agent::local_labels(pairs).map_err(is_no_label)
}

async fn join(args: JoinArgs) -> Result<ExitCode> {
    let labels = labels(&args.labels)?;
    let is_piped = args.token == "-";
    let text = if is_piped { std::io::read_to_string(std::io::stdin())? } else { args.token };
    let token: JoinToken = text.parse()?;
    if let Some(dir) = &args.dir.dir {
        paths::make_private_dir(dir)?;
    }
    let state_dir = paths::agent_state_dir(args.dir.dir.as_deref());
    let mut wanted = Wanted { name: args.name, labels, replaces: args.replace };
    let joined = match agent::join(&token, wanted.clone(), &state_dir).await {
        Err(JoinError::Refused(refusal)) if refusal.code == Code::Exists && !wanted.replaces => {
            if is_piped || !std::io::stdin().is_terminal() {
                bail!("{refusal}; to take its place, add --replace; otherwise choose another name with --name");
            }
            if !is_yes(&format!("{refusal}; replace it? [y/N] "))? {
                bail!("nothing is changed; choose another name with --name");
            }
            wanted.replaces = true;
            agent::join(&token, wanted, &state_dir).await?
        }
        joined => joined?,
    };
    let dir = dir_of(&args.dir);
    let is_linked_there = standing(&dir).is_some_and(|link| link.relay == joined.membership.relay.to_string());
    let next = match lock_holder(&dir).map(Process::of) {
        Some(_) if is_linked_there => "fleetmux agent status (the agent that runs here takes it up by itself)".into(),
        Some(process) if process.is_in_foreground() => format!("systemctl restart {}", super::install::AGENT),
        Some(_) => format!("fleetmux agent restart{}", dir_flag(&args.dir)),
        None => format!("fleetmux agent start{}", dir_flag(&args.dir)),
    };
    let replaced = if joined.has_replaced { " in the place of the one that had the name" } else { "" };
    let Membership { name, relay, workspace, labels, .. } = joined.membership;
    let labels = if labels.is_empty() { String::new() } else { format!(", labelled {}", labels_text(&labels)) };
    print(&format!("{name} has joined {relay} in workspace {workspace}{labels}{replaced}; now run: {next}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks a person; anything but a yes is none.
fn is_yes(question: &str) -> Result<bool> {
    prompt(question);
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// What is said to somebody who names what was bound when the machine joined.
fn bound_otherwise(joined: &Membership, name: &str, labels: &Labels) -> Option<String> {
    let is_other = |(key, value): (&String, &String)| joined.labels.get(key) != Some(value);
    let has_other = (!name.is_empty() && name != joined.name) || labels.iter().any(is_other);
    (joined.is_bound && has_other).then(|| {
        format!(
            "this machine joined {} as {}: its name and labels are bound there, and --name and --label change nothing; \
             `fleetmux relay machines set {}` on the relay does",
            joined.relay, joined.name, joined.name
        )
    })
}

async fn start(relay: Option<Endpoint>, args: AgentStartArgs) -> Result<ExitCode> {
    let labels = labels(&args.labels)?;
    let dir = dir_of(&args.dir);
    // A machine's identity belongs to its agent's directory unless that is the user's own.
    let state_dir = paths::agent_state_dir(args.dir.dir.as_deref());
    let joined = agent::membership(&state_dir)?;
    let named = relay.as_ref().map(Endpoint::to_string);
    let is_own = relay.is_none() && joined.is_none() && args.dir.dir.is_none();
    let local = || Endpoint::Unix(paths::relay_socket(&paths::runtime_dir()));
    let relay = relay.or_else(|| joined.as_ref().map(|joined| joined.relay.clone())).unwrap_or_else(local);
    let joined = joined.filter(|joined| joined.relay == relay);
    if joined.is_none() && matches!(relay, Endpoint::Tls(_)) {
        bail!(
            "this machine has not joined {relay}; run `fleetmux agent join TOKEN` with a token from `fleetmux relay token`"
        );
    }
    let otherwise = joined.as_ref().and_then(|joined| bound_otherwise(joined, &args.name, &labels));
    if !args.foreground {
        if let Some(otherwise) = &otherwise {
            complain!("{otherwise}");
        }
        if let Some(pid) = lock_holder(&dir) {
            bail!(
                "the agent already runs (process {pid}); see `fleetmux agent status`, or use `fleetmux agent restart`"
            );
        }
        agent::make_dirs(&dir, &state_dir)?;
        // Absolute, so that `agent restart` from elsewhere means the same.
        let dir_text = args.dir.dir.as_ref().map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.clone()));
        let dir_text = dir_text.as_ref().map(|dir| dir.to_string_lossy());
        let mut flags = vec!["--name", &args.name];
        for label in &args.labels {
            flags.extend(["--label", label]);
        }
        // A machine in nobody's fleet needs a relay of its own as much as an agent.
        if !is_own || !background::local_relay(&flags).await? {
            let mut command = vec!["agent", "start", "--foreground", "--detach"];
            command.extend(flags);
            // Only what was named: an agent that is restarted goes by what the machine has joined by then.
            for (flag, value) in [("--relay", named.as_deref()), ("--dir", dir_text.as_deref())] {
                command.extend(value.into_iter().flat_map(|value| [flag, value]));
            }
            background::start_detached(&command, &paths::log_path(&state_dir, "agent"))?;
        }
        let pid = lock_holder(&dir).unwrap_or(0);
        let link = super::agent_link::settled(&dir).await?;
        let next = super::agent_link::next_step(link.as_ref(), joined.is_some(), &dir_flag(&args.dir));
        let link = link.map_or_else(|| format!("relay {relay}"), |link| super::agent_link::words(&link));
        print(&format!("agent started (process {pid}), {link}\n{next}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = paths::log_file(&state_dir, "agent");
    let to = if args.detach { LogTo::File } else { LogTo::Both };
    runtime::init_log(log.map_or(LogTo::Stderr, to), "info");
    runtime::raise_open_files();
    runtime::catch_ignored_signals()?;
    runtime::refresh_ssh_auth();
    if args.die_with_parent {
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    if let Some(otherwise) = otherwise {
        tracing::warn!("{otherwise}");
    }
    let (mut name, mut all_labels, mut credentials) = (args.name, labels, Credentials::default());
    if let Some(joined) = joined {
        name = if name.is_empty() || joined.is_bound { joined.name } else { name };
        let own = if joined.is_bound { Labels::new() } else { all_labels };
        all_labels = joined.labels.into_iter().chain(own).collect();
        credentials = joined.credentials;
    }
    let permissions = paths::permissions_file(args.dir.dir.as_deref());
    let options = agent::Options { name, labels: all_labels, dir, state_dir, permissions, relay, credentials };
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

async fn stop(dir: &Path) -> Result<ExitCode> {
    let Some(pid) = lock_holder(dir) else {
        print("no agent runs\n")?;
        return Ok(ExitCode::SUCCESS);
    };
    end(pid).await?;
    print(&format!("agent stopped (process {pid}); its sessions live on\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Ends an agent that runs in the background, for one that somebody else will start.
pub(super) async fn end_background() -> Result<()> {
    match lock_holder(&paths::runtime_dir().join("agent")) {
        Some(pid) if !Process::of(pid).is_in_foreground() => end(pid).await,
        _ => Ok(()),
    }
}

async fn end(pid: u32) -> Result<()> {
    let process = Pid::from_raw(pid as i32).ok_or_else(|| eyre!("the agent's lock names no process"))?;
    let watch = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())?;
    rustix::process::kill_process(process, Signal::TERM)?;
    let watch = runtime::watch_fd(watch, tokio::io::Interest::READABLE)?;
    if tokio::time::timeout(STOP_TIMEOUT, watch.readable()).await.is_err() {
        bail!("the agent (process {pid}) does not end; `kill -9 {pid}` does no harm to its sessions");
    }
    Ok(())
}

/// Stops the agent and starts it with the arguments it was started with.
async fn restart(named: Option<Endpoint>, args: &AgentDirArgs) -> Result<ExitCode> {
    let dir = &dir_of(args);
    let Some(pid) = lock_holder(dir) else {
        bail!("no agent runs for {}; start one with `fleetmux agent start`", dir.display());
    };
    let process = Process::of(pid);
    if process.is_in_foreground() {
        bail!(
            "the agent (process {pid}) runs in the foreground of another program; restart it there, for example with \
             `systemctl restart {}`",
            super::install::AGENT
        );
    }
    if let Some(named) = named.map(|relay| relay.to_string())
        && let Some(present) = process.relay(dir).filter(|present| *present != named)
    {
        bail!(
            "restart keeps the relay that the agent was started with, {present}; for another one: `fleetmux agent stop` and \
             `fleetmux agent start --relay {named}`",
        );
    }
    if let Err(err) = check_start(process.own_dir(dir), dir) {
        bail!("the agent (process {pid}) goes on, for another one would not start: {err}");
    }
    end(pid).await?;
    // What was this machine's own relay and agent has joined another relay since.
    let has_joined = process.is_server() && agent::membership(&paths::state_dir())?.is_some();
    let (args, log) = if has_joined {
        (vec!["agent", "start", "--foreground", "--detach"], paths::log_path(&paths::state_dir(), "agent"))
    } else {
        (process.args.iter().map(String::as_str).collect(), process.log(dir))
    };
    background::start_detached(&args, &log).map_err(|err| {
        eyre!(
            "the agent (process {pid}) was stopped, and another one did not start: {err:#}; see `fleetmux agent start`"
        )
    })?;
    let now = lock_holder(dir).map_or_else(String::new, |now| format!(", now process {now}"));
    print(&format!("agent restarted (was process {pid}{now}); its sessions lived on\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether an agent would start here: asked before one that runs is stopped.
fn check_start(own_dir: Option<&Path>, dir: &Path) -> Result<()> {
    let state_dir = paths::agent_state_dir(own_dir);
    agent::make_dirs(dir, &state_dir)?;
    agent::membership(&state_dir)?;
    agent::permissions::load(&paths::permissions_file(own_dir))?;
    Ok(())
}

/// What a running agent's process tells of itself.
pub(super) struct Process {
    args: Vec<String>,
}

impl Process {
    pub(super) fn of(pid: u32) -> Process {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args = String::from_utf8_lossy(&args);
        // Each argument ends with a NUL, an empty last one too.
        Process { args: args.strip_suffix('\0').unwrap_or(&args).split('\0').skip(1).map(str::to_string).collect() }
    }

    fn is_server(&self) -> bool {
        self.args.first().is_some_and(|arg| arg == "server")
    }

    fn value_of(&self, flag: &str) -> Option<&str> {
        let at = self.args.iter().position(|arg| arg == flag)?;
        self.args.get(at + 1).map(String::as_str)
    }

    /// Its directory, if it was given one.
    fn own_dir<'a>(&self, dir: &'a Path) -> Option<&'a Path> {
        (!self.is_server() && self.value_of("--dir").is_some()).then_some(dir)
    }

    /// Somebody else starts it and ends it.
    pub(super) fn is_in_foreground(&self) -> bool {
        !self.is_server() && !self.args.iter().any(|arg| arg == "--detach")
    }

    /// The relay it dials.
    pub(super) fn relay(&self, dir: &Path) -> Option<String> {
        if let Some(link) = standing(dir) {
            return Some(link.relay);
        }
        if self.is_server() {
            let dir = self.value_of("--dir")?;
            return Some(Endpoint::Unix(paths::relay_socket(Path::new(dir))).to_string());
        }
        self.value_of("--relay").map(str::to_string)
    }

    /// Where it logs.
    pub(super) fn log(&self, dir: &Path) -> PathBuf {
        let own_dir = self.own_dir(dir);
        let part = if self.is_server() { "server" } else { "agent" };
        paths::log_path(&paths::agent_state_dir(own_dir), part)
    }
}

fn status(dir: &AgentDirArgs, is_json: bool) -> Result<ExitCode> {
    let (own_dir, flag) = (dir.dir.as_deref(), dir_flag(dir));
    let dir = dir_of(dir);
    let sessions = paths::sessions_dir(&dir);
    let count = agent::session_count(&sessions);
    let counted = counted(count, "session");
    let pid = lock_holder(&dir);
    let process = pid.map(Process::of);
    let log = match &process {
        Some(process) => process.log(&dir),
        None => paths::log_path(&paths::agent_state_dir(own_dir), "agent"),
    };
    let link = standing(&dir);
    let relay = link.as_ref().map(|link| link.relay.clone());
    let relay = relay.or_else(|| process.as_ref().and_then(|process| process.relay(&dir)));
    let joined = agent::membership(&paths::agent_state_dir(own_dir)).ok().flatten();
    let permissions = paths::permissions_file(own_dir);
    if is_json {
        print(&json_text(&json!({
            "running": pid.is_some(),
            "pid": pid,
            "relay": relay,
            "linked": link.as_ref().map(|link| link.is_linked),
            "machine": link.as_ref().map(|link| &link.machine),
            "machine_id": link.as_ref().map(|link| &link.machine_id),
            "link_error": link.as_ref().and_then(|link| link.error.as_ref()),
            "joined": joined.as_ref().map(|joined| joined.relay.to_string()),
            "sessions": count,
            "sessions_dir": sessions.display().to_string(),
            "log": log.display().to_string(),
            "permissions": permissions.display().to_string(),
        })))?;
    } else {
        let runs = match pid {
            Some(pid) => format!("agent runs (process {pid}), {counted} in {}\n", sessions.display()),
            None => format!("no agent runs; {counted} in {}\n", sessions.display()),
        };
        let relay = relay.map_or_else(String::new, |relay| format!("relay        {relay}\n"));
        let words = |link: &Standing| format!("link         {}\n", super::agent_link::words(link));
        let relay = relay + &link.as_ref().map_or_else(String::new, words);
        let next = match pid {
            Some(_) => super::agent_link::next_step(link.as_ref(), joined.is_some(), &flag),
            None => super::agent_link::first_step(joined.as_ref(), &flag),
        };
        let (log, permissions) = (log.display(), permissions.display());
        print(&format!("{runs}{relay}log          {log}\npermissions  {permissions}\n{next}"))?;
    }
    Ok(if pid.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! `fleetmux demo`: six machines on this one: a relay, six agents, real sessions, and the wall on them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::cli::args::{DemoArgs, WallArgs};
use crate::cli::output::print;
use crate::client::{Client, FleetEvent, Options};
use crate::config::paths;
use crate::fleet::{Endpoint, Machine, SessionSpec};
use crate::runtime;

/// Name and labels of each machine.
const MACHINES: [(&str, [&str; 3]); 6] = [
    ("web-1", ["role=web", "env=prod", "zone=a"]),
    ("web-2", ["role=web", "env=prod", "zone=b"]),
    ("db-1", ["role=db", "env=prod", "zone=a"]),
    ("cache-1", ["role=cache", "env=prod", "zone=b"]),
    ("build-1", ["role=build", "env=dev", "zone=a"]),
    ("edge-1", ["role=edge", "env=prod", "zone=c"]),
];
/// What runs where: machine, name, and the demo program, or a shell.
const SESSIONS: [(&str, &str, Option<&str>); 8] = [
    ("web-1", "shell", None),
    ("web-1", "access log", Some("access-log")),
    ("web-2", "shell", None),
    ("db-1", "top", Some("top")),
    ("cache-1", "shell", None),
    ("build-1", "build", Some("build")),
    ("edge-1", "app log", Some("app-log")),
    ("edge-1", "shell", None),
];
/// How long the fleet may take to come up.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// A killed agent or relay is started again after this long, as a service manager would.
const RESTART: Duration = Duration::from_secs(1);

pub(in crate::cli) async fn run(args: DemoArgs) -> Result<ExitCode> {
    let fleet = Fleet::start(args.dir).await?;
    let outcome = if args.headless {
        print(&format!("export FLEETMUX_RELAY={}\nexport FLEETMUX_DEMO_PID={}\n", fleet.relay, std::process::id()))?;
        runtime::ended_by_signal().await;
        Ok(ExitCode::SUCCESS)
    } else {
        let wall = WallArgs { theme: args.theme, sessions: Vec::new(), drive: false, broadcast: false, force: false };
        super::wall::run_demo(fleet.relay.clone(), &wall).await
    };
    fleet.stop().await;
    outcome
}

struct Fleet {
    relay: Endpoint,
    client: Client,
    dir: PathBuf,
    is_own_dir: bool,
    parts: tokio::task::JoinSet<()>,
}

impl Fleet {
    async fn start(dir: Option<PathBuf>) -> Result<Fleet> {
        let is_own_dir = dir.is_none();
        let dir = match dir {
            Some(dir) => std::path::absolute(dir)?,
            None => {
                let parent = paths::runtime_dir();
                paths::make_private_dir(&parent)?;
                parent.join(format!("demo-{}", std::process::id()))
            }
        };
        paths::make_private_dir(&dir)?;
        let relay = Endpoint::Unix(dir.join("relay.sock"));
        let mut parts = tokio::task::JoinSet::new();
        let store = dir.join("relay.redb");
        let relay_args = vec!["relay".into(), "--listen".into(), relay.to_string(), "--store".into(), text(&store)];
        supervise(&mut parts, relay_args, dir.join("relay.log"), true).await?;
        for (name, labels) in MACHINES {
            let mut args: Vec<String> = ["agent", "start", "--foreground", "--name", name].map(String::from).to_vec();
            args.extend(["--relay".into(), relay.to_string(), "--dir".into(), text(&dir.join(name))]);
            for label in labels {
                args.extend(["--label".into(), label.into()]);
            }
            supervise(&mut parts, args, dir.join(format!("{name}.log")), false).await?;
        }
        let client = Client::connect(relay.clone(), Options::default());
        let fleet = Fleet { relay, client, dir, is_own_dir, parts };
        match tokio::time::timeout(START_TIMEOUT, fleet.populate()).await {
            Ok(populated) => populated?,
            Err(_) => bail!("the demo's machines did not come up; their logs are in {}", fleet.dir.display()),
        }
        Ok(fleet)
    }

    /// Makes the sessions as soon as their machines are there.
    async fn populate(&self) -> Result<()> {
        let mut watch = self.client.watch_fleet();
        let mut online: Vec<Machine> = Vec::new();
        while online.len() < MACHINES.len() {
            match watch.recv().await {
                Some(FleetEvent::Snapshot { machines, .. }) => {
                    online = machines.into_iter().filter(|machine| machine.is_online).collect();
                }
                Some(FleetEvent::Machine(machine)) if machine.is_online => {
                    online.retain(|known| known.facts.id != machine.facts.id);
                    online.push(machine);
                }
                Some(_) => {}
                None => bail!("the demo's relay is gone; its log is {}", self.dir.join("relay.log").display()),
            }
        }
        let program = std::env::current_exe()?.to_string_lossy().into_owned();
        for (machine, name, app) in SESSIONS {
            let Some(machine) = online.iter().find(|online| online.facts.name == machine) else { continue };
            let command = app.map_or_else(Vec::new, |app| vec![program.clone(), "demo-app".into(), app.into()]);
            let mut spec =
                SessionSpec { name: name.into(), until_pid: Some(std::process::id()), ..SessionSpec::command(command) };
            // A prompt that says where it is: the machines share one host name.
            spec.env.insert("PS1".into(), format!("{}:\\w\\$ ", machine.facts.name));
            spec.env.insert("FLEETMUX_MACHINE".into(), machine.facts.name.clone());
            if app.is_none() {
                spec.command = vec!["bash".into(), "--norc".into(), "--noprofile".into()];
            }
            self.client
                .create_session(machine.facts.id, spec)
                .await
                .with_context(|| format!("cannot start {name:?}"))?;
        }
        Ok(())
    }

    /// Ends sessions, agents and relay, and removes what was written.
    async fn stop(mut self) {
        if let Ok((_, sessions)) = self.client.fleet().await {
            for session in sessions {
                let _ = self.client.destroy_session(session.id()).await;
            }
        }
        self.parts.shutdown().await;
        if self.is_own_dir {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Runs a part of the fleet as a child and starts it again when it dies; waits for its first line if it has one.
async fn supervise(
    set: &mut tokio::task::JoinSet<()>,
    args: Vec<String>,
    log: PathBuf,
    is_line_awaited: bool,
) -> Result<()> {
    let mut child = spawn(&args, &log)?;
    if let Some(stdout) = child.stdout.take().filter(|_| is_line_awaited) {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        if line.is_empty() {
            bail!("`fleetmux {}` ended at once; its log is {}", args.join(" "), log.display());
        }
    }
    set.spawn(async move {
        loop {
            let _ = child.wait().await;
            tokio::time::sleep(RESTART).await;
            match spawn(&args, &log) {
                Ok(again) => child = again,
                Err(err) => tracing::warn!(%err, "cannot start a part of the demo again"),
            }
        }
    });
    Ok(())
}

fn spawn(args: &[String], log: &Path) -> Result<Child> {
    let state = log.with_file_name("state");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let child = Command::new(std::env::current_exe()?)
        .env("FLEETMUX_STATE_DIR", state)
        .args(args)
        .arg("--die-with-parent")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(log)
        // Ctrl-C at the demo's terminal is for the demo, which ends its parts in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

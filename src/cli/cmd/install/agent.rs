//! `fleetmux agent install`: a unit under which sessions survive restarts of the agent.

use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};

use super::unit::Unit;
use super::{AGENT, check, installed, path, scope, show, start};
use crate::agent::membership;
use crate::cli::ALIAS;
use crate::cli::cmd::{agent, agent_link};
use crate::cli::host_args::InstallArgs;
use crate::cli::output::print;
use crate::config::paths;
use crate::fleet::Endpoint;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: &InstallArgs) -> Result<ExitCode> {
    agent::labels(&args.labels)?;
    let scope = scope(&args.scope);
    let program = std::env::current_exe()?;
    let mut command: Vec<String> =
        [&program.to_string_lossy(), "agent", "start", "--foreground"].map(Into::into).into();
    let relay_text = relay.as_ref().map(Endpoint::to_string);
    let name = Some(&args.name).filter(|name| !name.is_empty());
    let flags = [("--relay", relay_text.as_ref()), ("--name", name)].into_iter();
    let flags = flags.filter_map(|(flag, value)| Some((flag, value?)));
    for (flag, value) in flags.chain(args.labels.iter().map(|label| ("--label", label))) {
        command.extend([flag.into(), value.clone()]);
    }
    let unit = Unit::new(scope, "agent", &command).lines(
        "\
# Only the agent itself is stopped: sessions live on over `systemctl restart`, and over `stop` too.
KillMode=process
# A program that runs out of memory does not take the agent along.
OOMPolicy=continue
",
    );
    let text = unit.directories().lines(
        "\
# No sandbox here: it would bind every shell of every session, and sudo, containers and debuggers in them. What the agent
# may be asked for is limited by `fleetmux permissions`.
",
    );
    let (text, path) = (text.finish(), path(scope, AGENT)?);
    if args.scope.dry_run {
        return show(&path, &text);
    }
    check(scope, &program, "`fleetmux agent start` runs the agent in the background without it")?;
    if relay.is_none() && membership(&paths::state_dir())?.is_none() {
        bail!(
            "this machine has joined no relay, and the agent would find none; first `fleetmux agent join TOKEN`, or name a \
             relay with --relay"
        );
    }
    // One that runs in the background holds the directory; the unit's takes its sessions over.
    agent::end_background().await?;
    let dir = paths::runtime_dir().join("agent");
    start(scope, AGENT, &path, &text)?;
    let link = agent_link::settled(&dir).await?;
    let link = link.map_or_else(String::new, |link| format!("{}\n", agent_link::words(&link)));
    // Login shells set PATH anew: beside the program they find it.
    let alias = program.with_file_name(ALIAS);
    let alias = match alias.symlink_metadata().is_err() && std::os::unix::fs::symlink(&program, &alias).is_ok() {
        true => format!("{} shows files in colours\n", alias.display()),
        false => String::new(),
    };
    print(&format!("{}{link}{alias}", installed(scope, AGENT, &path)))?;
    Ok(ExitCode::SUCCESS)
}

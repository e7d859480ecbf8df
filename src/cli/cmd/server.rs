//! `fleetmux server`: relay and agent of a user's own machine in one background process.

use std::process::ExitCode;

use color_eyre::eyre::{Result, eyre};

use crate::agent;
use crate::cli::args::ServerArgs;
use crate::cli::background;
use crate::config::paths;
use crate::fleet::{Credentials, Endpoint};
use crate::relay;
use crate::runtime::{self, LogTo};

pub(in crate::cli) async fn run(args: ServerArgs) -> Result<ExitCode> {
    let (dir, labels) = (args.dir, super::agent::labels(&args.labels)?);
    let state = paths::state_dir();
    runtime::init_log(paths::log_file(&state, "server").map_or(LogTo::Stderr, LogTo::File), "info");
    runtime::raise_open_files();
    runtime::catch_ignored_signals()?;
    let listen = Endpoint::Unix(paths::relay_socket(&dir));
    let (socket_file, port_file) = paths::sdk_discovery();
    let relay_options = relay::Options {
        listen: listen.clone(),
        store: Some(state.join("relay.redb")),
        dir: None,
        discovery: Some(relay::Discovery { socket_file, port_file }),
        forget_after: None,
        may_forget: true,
    };
    let agent_options = agent::Options {
        name: args.name,
        labels,
        dir: dir.join("agent"),
        state_dir: state,
        permissions: paths::permissions_file(None),
        relay: listen,
        credentials: Credentials::default(),
    };
    // Before anybody is told that it serves.
    agent::prepare(&agent_options)?;
    let mut ready_outcome = Ok(());
    let serve = relay::serve(relay_options, |_| ready_outcome = background::detach_and_tell(), std::future::pending());
    tokio::select! {
        served = serve => served?,
        ran = agent::run(agent_options, std::future::pending()) => ran?,
        () = runtime::ended_by_signal() => {}
    }
    ready_outcome.map_err(|err| eyre!("cannot detach: {err}"))?;
    Ok(ExitCode::SUCCESS)
}

//! `fleetmux server`: relay and agent of a user's own machine in one background process.

use std::path::PathBuf;
use std::process::ExitCode;

use color_eyre::eyre::{Result, eyre};

use crate::agent;
use crate::cli::background;
use crate::config::paths;
use crate::fleet::{Credentials, Endpoint, Labels};
use crate::relay;
use crate::runtime::{self, LogTo};

pub(in crate::cli) async fn run(dir: PathBuf) -> Result<ExitCode> {
    let state = paths::state_dir();
    runtime::init_log(LogTo::File(paths::log_file(&state, "server")?), "info")?;
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
    };
    let agent_options = agent::Options {
        name: String::new(),
        labels: Labels::new(),
        dir: dir.join("agent"),
        state_dir: state,
        permissions: paths::permissions_file(None),
        relay: listen,
        credentials: Credentials::default(),
    };
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

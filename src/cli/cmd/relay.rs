//! `fleetmux relay`: a relay in the foreground.

use std::process::ExitCode;

use color_eyre::eyre::Result;

use crate::cli::args::RelayArgs;
use crate::config::paths;
use crate::fleet::Endpoint;
use crate::relay::{self, Options};
use crate::runtime::{self, LogTo};

pub(in crate::cli) async fn run(args: RelayArgs) -> Result<ExitCode> {
    let log = paths::log_file(&paths::state_dir(), "relay").map_or(LogTo::Stderr, LogTo::Both);
    runtime::init_log(log, "info")?;
    runtime::raise_open_files();
    if args.die_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    }
    let listen = match args.listen {
        Some(listen) => listen,
        None => {
            let dir = paths::runtime_dir();
            paths::make_private_dir(&dir)?;
            Endpoint::Unix(paths::relay_socket(&dir))
        }
    };
    let ready = |endpoint: &Endpoint| {
        tracing::info!(%endpoint, "relay listens");
        // For scripts: the one line on standard output.
        let _ = crate::cli::output::print(&format!("{endpoint}\n"));
    };
    relay::serve(Options { listen, store: args.store }, ready, runtime::ended_by_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

//! `fleetmux keeper`: the body of a session's process.

use std::process::ExitCode;

use color_eyre::eyre::Result;

use crate::cli::args::KeeperArgs;
use crate::keeper::launch;
use crate::runtime::{self, LogTo};

pub(in crate::cli) fn run(args: &KeeperArgs) -> Result<ExitCode> {
    // Its standard error goes nowhere else: without this file a panic would leave no trace.
    runtime::init_log(args.log.clone().map_or(LogTo::Stderr, LogTo::File), "warn");
    let log = args.log.as_ref().filter(|log| log.exists());
    // For the session's programs, which have it from here; a keeper needs a few files only.
    if let Some(soft) = args.open_files {
        runtime::set_open_files(soft);
    }
    match launch::serve(&args.socket, log.is_some(), &args.keep) {
        Ok(()) => {
            if let Some(log) = log {
                let _ = std::fs::remove_file(log);
            }
            Ok(ExitCode::SUCCESS)
        }
        // Whoever started it was told on the pipe, if that was still there.
        Err(err) => {
            tracing::error!(%err, "the keeper ends");
            Ok(ExitCode::FAILURE)
        }
    }
}

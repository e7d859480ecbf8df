//! `fleetmux keeper`: the body of a session's process.

use std::path::Path;
use std::process::ExitCode;

use color_eyre::eyre::Result;

use crate::keeper::launch;

pub(in crate::cli) fn run(socket: &Path) -> Result<ExitCode> {
    match launch::serve(socket) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever started it was told on the pipe.
        Err(_) => Ok(ExitCode::FAILURE),
    }
}

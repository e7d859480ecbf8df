//! `fleetmux keeper`: the body of a session's process.

use std::path::Path;
use std::process::ExitCode;

use color_eyre::eyre::Result;

use crate::keeper::launch;
use crate::runtime;

pub(in crate::cli) fn run(socket: &Path, open_files: Option<u64>) -> Result<ExitCode> {
    // For the session's programs, which have it from here; a keeper needs a few files only.
    if let Some(soft) = open_files {
        runtime::set_open_files(soft);
    }
    match launch::serve(socket) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever started it was told on the pipe.
        Err(_) => Ok(ExitCode::FAILURE),
    }
}

//! The `fleetmux` binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetmux::cli::main()
}

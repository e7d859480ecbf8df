//! `fleetmux`: the wall.

use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};

use crate::cli::args::WallArgs;
use crate::fleet::Endpoint;

pub(in crate::cli) async fn run(_relay: Option<Endpoint>, _args: &WallArgs) -> Result<ExitCode> {
    bail!("the wall is not built in")
}

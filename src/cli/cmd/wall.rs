//! `fleetmux`: the wall.

use std::io::IsTerminal;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};

use crate::cli::args::WallArgs;
use crate::cli::destination::{self, Origin};
use crate::cli::{background, lookup};
use crate::config::paths;
use crate::fleet::{Endpoint, SessionId};
use crate::tui;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: &WallArgs) -> Result<ExitCode> {
    show(relay, args, false).await
}

/// The wall on a fleet that ends with it.
pub(super) async fn run_demo(relay: Endpoint, args: &WallArgs) -> Result<ExitCode> {
    show(Some(relay), args, true).await
}

async fn show(relay: Option<Endpoint>, args: &WallArgs, ends_fleet: bool) -> Result<ExitCode> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!("the wall needs a terminal on standard input and output; for scripts see `fleetmux --help`");
    }
    if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        bail!(
            "the wall cannot be drawn on a terminal without cursor movement (TERM is dumb or not set); set TERM, for \
             example to xterm-256color, or use `fleetmux session list`"
        );
    }
    let destination = destination::for_person(relay)?;
    let relay_is_own = destination.1 == Origin::Own;
    let drives = args.drive || args.broadcast || relay_is_own;
    let client = background::connect(destination).await?;
    let open = if args.sessions.is_empty() {
        tui::Open::AllSessions
    } else {
        let (machines, sessions) = client.fleet().await?;
        let find = |wanted: &String| lookup::session(&machines, &sessions, wanted).map(|session| session.id());
        tui::Open::Sessions(args.sessions.iter().map(find).collect::<Result<Vec<SessionId>>>()?)
    };
    if std::env::var_os("FLEETMUX_SESSION").is_some() {
        let shown = match &open {
            tui::Open::Sessions(sessions) => sessions.clone(),
            tui::Open::AllSessions => client.fleet().await?.1.iter().map(crate::fleet::Session::id).collect(),
        };
        super::connect::not_inside(&shown, args.force)?;
    }
    let options = tui::Options {
        theme: args.theme.clone(),
        theme_dir: paths::config_dir().map(|dir| dir.join("themes")),
        open,
        drives,
        broadcasts: args.broadcast,
        // Nobody's machine in a fleet is typed into because it happens to be empty.
        shell_if_empty: relay_is_own,
        label: super::connect::label(),
        ends_fleet,
        ..tui::Options::default()
    };
    tui::run(client, options).await?;
    Ok(ExitCode::SUCCESS)
}

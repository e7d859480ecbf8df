//! `fleetmux session list|new|destroy`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use color_eyre::eyre::{Result, eyre};

use crate::cli::args::{SessionCommand, SessionNewArgs};
use crate::cli::output::{ago, print, session_json, table};
use crate::cli::{background, lookup};
use crate::fleet::{Endpoint, MachineId, SessionSpec, Size};
use crate::runtime::now_ms;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, command: SessionCommand) -> Result<ExitCode> {
    match command {
        SessionCommand::List { machine, json } => list(relay, machine.as_deref(), json).await,
        SessionCommand::New(args) => new(relay, args).await,
        SessionCommand::Destroy { session } => {
            let client = background::client(relay).await?;
            let (_, sessions) = client.fleet().await?;
            let id = lookup::session(&sessions, &session)?.id();
            client.destroy_session(id).await?;
            print(&format!("session {id} ended\n"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn list(relay: Option<Endpoint>, machine: Option<&str>, json: bool) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    let (machines, mut sessions) = client.fleet().await?;
    if let Some(wanted) = machine {
        let id = lookup::machine(&machines, wanted)?.facts.id;
        sessions.retain(|session| session.machine == id);
    }
    sessions.sort_by_key(|session| session.created_ms);
    let names: BTreeMap<MachineId, &str> =
        machines.iter().map(|machine| (machine.facts.id, machine.facts.name.as_str())).collect();
    let name = |id| names.get(&id).copied().unwrap_or("?");
    if json {
        let list: Vec<_> = sessions.iter().map(|session| session_json(session, name(session.machine))).collect();
        print(&format!("{}\n", serde_json::to_string_pretty(&list)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = now_ms();
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            let summary = &session.summary;
            vec![
                session.id().to_string(),
                name(session.machine).to_string(),
                session.display_name().to_string(),
                summary.exit.map_or("running".into(), |exit| exit.to_string()),
                format!("{} driving, {} observing", summary.drivers, summary.observers),
                ago(session.created_ms, now),
            ]
        })
        .collect();
    print(&table(&["SESSION", "MACHINE", "NAME", "STATUS", "CLIENTS", "AGE"], &rows))?;
    Ok(ExitCode::SUCCESS)
}

async fn new(relay: Option<Endpoint>, args: SessionNewArgs) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    let (machines, _) = client.fleet().await?;
    let machine = lookup::machine(&machines, &args.machine)?.facts.id;
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').ok_or_else(|| eyre!("{text:?} is no variable; write KEY=VALUE"))?;
        Ok((key.to_string(), value.to_string()))
    };
    let spec = SessionSpec {
        name: args.name,
        cwd: args.cwd,
        env: args.env.iter().map(pair).collect::<Result<_>>()?,
        size: size(&args.size)?,
        log_bytes: args.log_bytes,
        history_bytes: args.history_bytes,
        ..SessionSpec::command(args.command)
    };
    let session = client.create_session(machine, spec).await?;
    print(&format!("{}\n", session.id()))?;
    Ok(ExitCode::SUCCESS)
}

fn size(text: &str) -> Result<Size> {
    let parse = || {
        let (cols, rows) = text.split_once('x')?;
        Some(Size::new(rows.parse().ok()?, cols.parse().ok()?))
    };
    parse().ok_or_else(|| eyre!("{text:?} is no size; write COLSxROWS, for example 80x24"))
}

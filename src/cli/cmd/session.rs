//! `fleetmux session list|new|show|attach|destroy|rename`.

use std::io::IsTerminal;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail, eyre};

use crate::cli::args::{SessionAttachArgs, SessionCommand, SessionListArgs, SessionNewArgs};
use crate::cli::output::{complain, json_text, print, session_json, session_status, session_text, short_ids, table};
use crate::cli::{background, lookup};
use crate::client::{AttachEvent, AttachOptions, Client};
use crate::fleet::{Endpoint, Machine, Role, Session, SessionSpec, Size, ago};
use crate::runtime::now_ms;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, command: SessionCommand) -> Result<ExitCode> {
    match command {
        SessionCommand::List(args) => list(relay, args).await,
        SessionCommand::New(args) => new(relay, args).await,
        SessionCommand::Show { session, json } => {
            let known = Known::find(relay, &session).await?;
            print(&known.describe(json))?;
            Ok(ExitCode::SUCCESS)
        }
        SessionCommand::Attach(args) => attach(relay, args).await,
        SessionCommand::Destroy { session, json } => {
            let Known { client, session, .. } = Known::find(relay, &session).await?;
            let id = session.id();
            client.destroy_session(id).await?;
            print(&match json {
                true => json_text(&serde_json::json!({ "session_id": id.to_string(), "destroyed": true })),
                false => format!("session {id} ended\n"),
            })?;
            Ok(ExitCode::SUCCESS)
        }
        SessionCommand::Rename { session, name, json } => {
            let mut known = Known::find(relay, &session).await?;
            known.session = known.client.rename_session(known.session.id(), &name).await?;
            let (id, name) = (known.session.id(), known.session.display_name());
            print(&if json { known.describe(true) } else { format!("session {id} is now called {name}\n") })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A session that was named on the command line.
struct Known {
    client: Client,
    session: Session,
    machine: Option<Machine>,
}

impl Known {
    async fn find(relay: Option<Endpoint>, wanted: &str) -> Result<Known> {
        let client = background::client(relay).await?;
        let (machines, sessions) = client.fleet().await?;
        let session = lookup::session(&machines, &sessions, wanted)?.clone();
        let machine = machines.into_iter().find(|machine| machine.facts.id == session.machine);
        Ok(Known { client, session, machine })
    }

    /// Attaches as an observer and leaves again: the session knows when somebody attached last.
    async fn mark(&mut self) -> Result<()> {
        let options =
            AttachOptions { label: super::connect::label(), ..AttachOptions::new(Role::Observer, Size::DEFAULT) };
        let mut attachment = self.client.attach(self.session.id(), options);
        loop {
            match attachment.recv().await {
                AttachEvent::Attached { .. } => break,
                AttachEvent::Lost(refusal) | AttachEvent::Closed(Some(refusal)) => bail!("{refusal}"),
                AttachEvent::Closed(None) => bail!("the session has just ended"),
                _ => {}
            }
        }
        self.session.summary.attached_ms = Some(now_ms());
        Ok(())
    }

    fn describe(&self, json: bool) -> String {
        match json {
            true => json_text(&session_json(&self.session, self.machine.as_ref())),
            false => session_text(&self.session, self.machine.as_ref()),
        }
    }
}

async fn attach(relay: Option<Endpoint>, args: SessionAttachArgs) -> Result<ExitCode> {
    let detach_key = super::connect::detach_key(&args.detach_key)?;
    let mut known = Known::find(relay, &args.session).await?;
    if !args.interactive && (args.json || !std::io::stdout().is_terminal()) {
        known.mark().await?;
        print(&known.describe(args.json))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&known.describe(args.json))?;
    let machine = known.machine.as_ref().ok_or_else(|| eyre!("the session's machine is not known to the relay"))?;
    lookup::online(machine)?;
    let role = if args.observe { Role::Observer } else { Role::Driver };
    super::connect::not_inside(&[known.session.id()], args.force)?;
    super::connect::attach(&known.client, &machine.facts.name, known.session.id(), role, detach_key).await
}

async fn list(relay: Option<Endpoint>, args: SessionListArgs) -> Result<ExitCode> {
    let SessionListArgs { machine, selector, json } = args;
    let client = background::client(relay).await?;
    let (machines, mut sessions) = client.fleet().await?;
    if let Some(wanted) = &machine {
        let id = lookup::machine(&machines, wanted)?.facts.id;
        sessions.retain(|session| session.machine == id);
    }
    if let Some(selector) = selector {
        let chosen = lookup::chosen(&machines, &selector)?;
        sessions.retain(|session| chosen.iter().any(|machine| machine.facts.id == session.machine));
    }
    sessions.sort_by_key(|session| (session.created_ms, session.id()));
    let machine_of = |session: &Session| machines.iter().find(|machine| machine.facts.id == session.machine);
    if json {
        let list = sessions.iter().map(|session| session_json(session, machine_of(session)));
        print(&json_text(&list.collect::<Vec<_>>()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (now, ids) = (now_ms(), short_ids(&sessions));
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            let summary = &session.summary;
            vec![
                ids[&session.id()].clone(),
                machine_of(session).map_or("?".into(), |machine| machine.facts.name.clone()),
                session.display_name().to_string(),
                session_status(session, machine_of(session)),
                format!("{} driving, {} observing", summary.drivers, summary.observers),
                ago(session.created_ms, now),
            ]
        })
        .collect();
    print(&table(&["SESSION", "MACHINE", "NAME", "STATUS", "CLIENTS", "AGE"], &rows))?;
    if rows.is_empty() {
        let machine = machine.as_deref().unwrap_or("MACHINE");
        complain!("no session yet; `fleetmux connect {machine}` makes one, and `fleetmux session new {machine}`");
    }
    Ok(ExitCode::SUCCESS)
}

async fn new(relay: Option<Endpoint>, args: SessionNewArgs) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    let (machines, _) = client.fleet_of(&[&args.machine]).await?;
    let machine = lookup::machine(&machines, &args.machine)?;
    lookup::online(machine)?;
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
    let session = client.create_session(machine.facts.id, spec).await?;
    print(&if args.json { json_text(&session_json(&session, Some(machine))) } else { format!("{}\n", session.id()) })?;
    Ok(ExitCode::SUCCESS)
}

fn size(text: &str) -> Result<Size> {
    let parse = || {
        let (cols, rows) = text.split_once('x')?;
        Some(Size::new(rows.parse().ok()?, cols.parse().ok()?))
    };
    parse().ok_or_else(|| eyre!("{text:?} is no size; write COLSxROWS, for example 80x24"))
}

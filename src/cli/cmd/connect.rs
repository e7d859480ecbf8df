//! `fleetmux connect`: a machine's session in this terminal.

use std::io::IsTerminal;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail, eyre};

use crate::cli::args::ConnectArgs;
use crate::cli::output::{json_text, machine_json, print, session_json, short_ids, table};
use crate::cli::raw::{self, Ended};
use crate::cli::{background, lookup};
use crate::client::{AttachOptions, Client};
use crate::fleet::{Code, Endpoint, Machine, Role, Session, SessionId, SessionSpec, active_session, ago};
use crate::runtime::{self, now_ms};
use crate::stream::KeyframeKind;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: ConnectArgs) -> Result<ExitCode> {
    let detach_key = detach_key(&args.detach_key)?;
    let client = background::client(relay).await?;
    let (machines, sessions) = client.fleet().await?;
    let (machines, sessions) = lookup::in_workspace(machines, sessions, args.workspace.as_deref())?;
    // MACHINE/NAME is how sessions are named elsewhere.
    let (machine, name) = match args.machine.as_deref() {
        Some(text) => text.split_once('/').map_or((Some(text), None), |(machine, _)| (Some(machine), Some(text))),
        None => (None, None),
    };
    let wanted = machine.map(|wanted| lookup::machine(&machines, wanted)).transpose()?;
    if args.list {
        let shown = wanted.map_or(machines.as_slice(), std::slice::from_ref);
        print(&if args.json { list_json(shown, &sessions) } else { list(shown, &sessions) })?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_here = |session: &Session| wanted.is_none_or(|machine| session.machine == machine.facts.id);
    let here: Vec<Session> = sessions.into_iter().filter(is_here).collect();
    let named = args.session.as_deref().or(name).map(|id| lookup::session(&machines, &here, id)).transpose()?;
    let of_session = |session: &Session| machines.iter().find(|machine| machine.facts.id == session.machine);
    let machine = wanted.or_else(|| named.and_then(of_session));
    let machine = machine.ok_or_else(|| eyre!("the session's machine is not known to the relay"))?;
    lookup::online(machine)?;
    needs_terminal()?;
    let session = match named.or_else(|| active_session(&here, machine.facts.id).filter(|_| !args.new)) {
        Some(session) => session.id(),
        None if args.observe => bail!(
            "nobody has connected to {name} yet, so there is nothing to observe; name a session with --session, see \
             `fleetmux session list {name}`",
            name = machine.facts.name
        ),
        None => {
            let greeting = machine.facts.name.clone();
            let spec = SessionSpec { size: raw::terminal_size()?, is_shared: true, greeting, ..SessionSpec::shell() };
            let made = match args.new {
                true => client.create_session(machine.facts.id, spec).await?,
                // Another `connect` may be making one at this very moment.
                false => client.join_session(machine.facts.id, spec).await?,
            };
            made.id()
        }
    };
    let role = if args.observe { Role::Observer } else { Role::Driver };
    not_inside(&[session], args.force)?;
    attach(&client, &machine.facts.name, session, role, detach_key).await
}

/// A session shown in its own terminal shows itself in itself, and the keys that leave it are typed into it.
pub(super) fn not_inside(sessions: &[SessionId], is_forced: bool) -> Result<()> {
    let inside = std::env::var("FLEETMUX_SESSION").ok().and_then(|id| id.parse::<SessionId>().ok());
    match inside.filter(|inside| !is_forced && sessions.contains(inside)) {
        Some(session) => bail!(
            "this terminal is that of session {session} itself (FLEETMUX_SESSION), and it would be shown in itself; go \
             to another terminal, or add --force"
        ),
        None => Ok(()),
    }
}

/// Attaches in this terminal until it ends.
pub(super) async fn attach(
    client: &Client,
    machine: &str,
    session: SessionId,
    role: Role,
    detach_key: Option<u8>,
) -> Result<ExitCode> {
    needs_terminal()?;
    let short = session.short();
    print(&format!("Connected to {machine}\nSession: {short}\n"))?;
    let size = raw::terminal_size()?;
    let options = AttachOptions { keyframe: KeyframeKind::Terminal, label: label(), ..AttachOptions::new(role, size) };
    let attachment = client.attach(session, options);
    let back = format!("To return: fleetmux session attach {short}\n");
    runtime::refresh_ssh_auth();
    match raw::run(attachment, role, detach_key, format!("Connected to {machine}, session {short}")).await? {
        Ended::Detached => print(&format!("\nDetached; the session lives on.\n{back}"))?,
        Ended::Cut => print(&format!("\nConnection closed; the session lives on.\n{back}"))?,
        Ended::Exited(exit) => {
            print(&format!("\nThe session has ended ({exit}).\n"))?;
            return Ok(ExitCode::from(exit.code.clamp(0, 255) as u8));
        }
        Ended::Closed(refusal) if refusal.code == Code::PermissionDenied && role == Role::Driver => {
            bail!("{refusal}\nto watch without typing: fleetmux connect {machine} --session {session} --observe")
        }
        Ended::Closed(refusal) => bail!("{refusal}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn needs_terminal() -> Result<()> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    bail!("connect needs a terminal on standard input and output; for one command there is `fleetmux exec`")
}

/// Machines with their sessions below.
fn list(machines: &[Machine], sessions: &[Session]) -> String {
    let (now, ids) = (now_ms(), short_ids(sessions));
    let mut rows = Vec::new();
    for machine in sorted(machines) {
        let status = match machine.is_online {
            true => "online".to_string(),
            false => format!("offline, seen {} ago", ago(machine.last_seen_ms, now)),
        };
        let here = sessions_of(machine, sessions);
        let mut head = [machine.facts.name.clone(), status];
        if here.is_empty() {
            rows.push(head.iter().cloned().chain(["-", "-", "-", "-"].map(String::from)).collect());
        }
        for session in here {
            let summary = &session.summary;
            let row = [
                ids[&session.id()].clone(),
                session.display_name().to_string(),
                format!("{} driving, {} observing", summary.drivers, summary.observers),
                ago(session.created_ms, now),
            ];
            rows.push(std::mem::take(&mut head).into_iter().chain(row).collect());
        }
    }
    table(&["MACHINE", "STATUS", "SESSION", "NAME", "CLIENTS", "AGE"], &rows)
}

fn list_json(machines: &[Machine], sessions: &[Session]) -> String {
    let list = sorted(machines).into_iter().map(|machine| {
        let mut json = machine_json(machine);
        let here = sessions_of(machine, sessions);
        json["sessions"] = here.into_iter().map(|session| session_json(session, Some(machine))).collect();
        json
    });
    json_text(&list.collect::<Vec<_>>())
}

fn sorted(machines: &[Machine]) -> Vec<&Machine> {
    let mut machines: Vec<&Machine> = machines.iter().collect();
    machines.sort_by(|a, b| a.facts.name.cmp(&b.facts.name));
    machines
}

fn sessions_of<'a>(machine: &Machine, sessions: &'a [Session]) -> Vec<&'a Session> {
    let mut here: Vec<&Session> = sessions.iter().filter(|session| session.machine == machine.facts.id).collect();
    here.sort_by_key(|session| (session.created_ms, session.id()));
    here
}

/// Who this is, for the others on a session.
pub(super) fn label() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "someone".into());
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}

/// The control character of a key's name; `none` means no key.
pub(super) fn detach_key(text: &str) -> Result<Option<u8>> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let bad = || eyre!("{text:?} is no key; write ctrl-a to ctrl-z, ctrl-], ctrl-\\, ctrl-^, or none");
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("ctrl-").or(lower.strip_prefix("c-")).map(str::as_bytes) {
        Some([key @ (b'a'..=b'z' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(Some(key & 0x1f)),
        _ => Err(bad()),
    }
}

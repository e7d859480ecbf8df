//! `fleetmux connect`: a machine's session in this terminal.

use std::io::IsTerminal;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail, eyre};

use crate::cli::args::ConnectArgs;
use crate::cli::output::print;
use crate::cli::raw::{self, Ended};
use crate::cli::{background, lookup};
use crate::client::AttachOptions;
use crate::fleet::{Endpoint, Role, Session, SessionSpec};
use crate::stream::KeyframeKind;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: ConnectArgs) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    let (machines, sessions) = client.fleet().await?;
    let wanted = match &args.machine {
        Some(machine) if !args.list => machine,
        _ => {
            print(&super::machines::list(&machines, &sessions))?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let detach_key = detach_key(&args.detach_key)?;
    let machine = lookup::machine(&machines, wanted)?;
    let here: Vec<Session> = sessions.into_iter().filter(|session| session.machine == machine.facts.id).collect();
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!("connect needs a terminal on standard input and output");
    }
    let size = raw::terminal_size()?;
    let active = || {
        let alive = here.iter().filter(|session| session.summary.exit.is_none());
        alive.max_by_key(|session| (session.summary.last_output_ms, session.created_ms)).cloned()
    };
    let session = match &args.session {
        Some(id) => lookup::session(&here, id)?.clone(),
        None => match active().filter(|_| !args.new) {
            Some(session) => session,
            None if args.observe => bail!("{wanted} has no session to observe; see `fleetmux session list`"),
            None => client.create_session(machine.facts.id, SessionSpec { size, ..SessionSpec::shell() }).await?,
        },
    };
    print(&format!("Connected to {}\r\nSession: {}\r\n", machine.facts.name, session.id()))?;
    let role = if args.observe { Role::Observer } else { Role::Driver };
    let options = AttachOptions { keyframe: KeyframeKind::Terminal, label: label(), ..AttachOptions::new(role, size) };
    let attachment = client.attach(session.id(), options);
    match raw::run(attachment, detach_key).await? {
        Ended::Detached => print("\r\nDetached; the session lives on.\r\n")?,
        Ended::Exited(exit) => {
            print(&format!("\r\nThe session has ended ({exit}).\r\n"))?;
            return Ok(ExitCode::from(exit.code.clamp(0, 255) as u8));
        }
        Ended::Closed(refusal) => bail!("{refusal}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Who this is, for the others on a session.
pub(super) fn label() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "someone".into());
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}

fn detach_key(text: &str) -> Result<Option<u8>> {
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

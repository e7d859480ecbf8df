//! Machines and sessions by what a person types.

use color_eyre::eyre::{Result, bail};

use crate::cli::output::ago;
use crate::fleet::{Machine, Selector, Session, find_machine, find_session};
use crate::runtime::now_ms;

/// The machine of this name, host name or beginning of an id; several candidates are listed.
pub(super) fn machine<'a>(machines: &'a [Machine], wanted: &str) -> Result<&'a Machine> {
    Ok(find_machine(machines, wanted)?)
}

/// The machines that a selector means, of which there is at least one.
pub(super) fn chosen(machines: &[Machine], selector: &Selector) -> Result<Vec<Machine>> {
    if let Selector::Names(names) = selector {
        return names.iter().map(|name| machine(machines, name).cloned()).collect();
    }
    let chosen: Vec<Machine> = machines.iter().filter(|machine| selector.matches(&machine.facts)).cloned().collect();
    if chosen.is_empty() {
        bail!("no machine fits {selector}; see `fleetmux machines` for names and labels");
    }
    Ok(chosen)
}

/// The session of this id, or beginning or end of an id; several candidates are listed.
pub(super) fn session<'a>(sessions: &'a [Session], wanted: &str) -> Result<&'a Session> {
    Ok(find_session(sessions, wanted)?)
}

/// A machine that can be reached now; says what to do about one that cannot.
pub(super) fn online(machine: &Machine) -> Result<()> {
    if machine.is_online {
        return Ok(());
    }
    let (name, ago) = (&machine.facts.name, ago(machine.last_seen_ms, now_ms()));
    bail!("{name} is offline, last seen {ago} ago; run `fleetmux agent start` on it, and see `fleetmux machines`")
}

/// Keeps the machines of a workspace and their sessions; the one without a name is called "default".
pub(super) fn in_workspace(
    machines: Vec<Machine>,
    sessions: Vec<Session>,
    workspace: Option<&str>,
) -> Result<(Vec<Machine>, Vec<Session>)> {
    let Some(wanted) = workspace else { return Ok((machines, sessions)) };
    let of = |machine: &Machine| match machine.facts.workspace.as_str() {
        "" => "default".to_string(),
        name => name.to_string(),
    };
    let mut there: Vec<String> = machines.iter().map(of).collect();
    let machines: Vec<Machine> = machines.into_iter().filter(|machine| of(machine) == wanted).collect();
    if machines.is_empty() {
        there.sort_unstable();
        there.dedup();
        bail!("no machine is in workspace {wanted:?}; there are: {}", there.join(", "));
    }
    let sessions = sessions.into_iter().filter(|s| machines.iter().any(|machine| machine.facts.id == s.machine));
    let sessions = sessions.collect();
    Ok((machines, sessions))
}

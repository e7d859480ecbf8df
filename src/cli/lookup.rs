//! Machines and sessions by what a person types.

use color_eyre::eyre::{Result, bail};

use crate::fleet::{
    Code, Machine, MachineFacts, Selector, Session, SessionId, ago, find_machine, find_session, is_same_name,
};
use crate::runtime::now_ms;

/// Characters of a session's id in its short form.
const SHORT_ID: usize = 23;

/// The machine of this name, host name or beginning of an id; several candidates are listed.
pub(super) fn machine<'a>(machines: &'a [Machine], wanted: &str) -> Result<&'a Machine> {
    Ok(find_machine(machines, wanted)?)
}

/// The machines that a selector means, of which there is at least one.
pub(super) fn chosen(machines: &[Machine], selector: &Selector) -> Result<Vec<Machine>> {
    if let Selector::Names(names) = selector {
        let mut chosen = Vec::new();
        for name in names {
            match Selector::is_glob(name) {
                true => {
                    let one = Selector::Names(vec![name.clone()]);
                    let fit: Vec<&Machine> = machines.iter().filter(|machine| one.matches(&machine.facts)).collect();
                    if fit.is_empty() {
                        bail!("no machine is called {name}; see `fleetmux machines` for names and labels");
                    }
                    chosen.extend(fit.into_iter().cloned());
                }
                false => chosen.push(machine(machines, name)?.clone()),
            }
        }
        return Ok(chosen);
    }
    let chosen: Vec<Machine> = machines.iter().filter(|machine| selector.matches(&machine.facts)).cloned().collect();
    if chosen.is_empty() {
        bail!("no machine fits {selector}; see `fleetmux machines` for names and labels");
    }
    Ok(chosen)
}

/// The session of this id, name or MACHINE/NAME, or beginning or end of an id; several candidates are listed.
pub(super) fn session<'a>(machines: &[Machine], sessions: &'a [Session], wanted: &str) -> Result<&'a Session> {
    // A name comes from its machine, and must not stand for another session's id, whole or in its short form.
    let is_short = wanted.len() == SHORT_ID && wanted.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if wanted.parse::<SessionId>().is_ok() || is_short {
        match find_session(sessions, wanted) {
            Err(refusal) if is_short && refusal.code == Code::NotFound => {}
            found => return Ok(found?),
        }
    }
    let machine_of = |session: &Session| machines.iter().find(|machine| machine.facts.id == session.machine);
    let named = |is_same: fn(&str, &str) -> bool| {
        let is_named = |session: &&Session| {
            is_same(session.display_name(), wanted)
                || wanted.split_once('/').is_some_and(|(machine, name)| {
                    let is_there =
                        |facts: &MachineFacts| is_same(&facts.name, machine) || is_same(&facts.hostname, machine);
                    is_same(session.display_name(), name)
                        && machine_of(session).is_some_and(|machine| is_there(&machine.facts))
                })
        };
        sessions.iter().filter(is_named).collect::<Vec<&Session>>()
    };
    // The case only counts where two differ by nothing else.
    let exact = named(|one, other| one == other);
    let named = if exact.is_empty() { named(is_same_name) } else { exact };
    // One that has ended only counts where none of that name lives.
    let living: Vec<&Session> = named.iter().copied().filter(|session| session.summary.exit.is_none()).collect();
    match if living.is_empty() { named } else { living }.as_slice() {
        [] => Ok(find_session(sessions, wanted)?),
        [one] => Ok(one),
        several => {
            let line = |session: &&Session| {
                let machine = machine_of(session).map_or("?", |machine| machine.facts.name.as_str());
                format!("  {}  {machine}/{}", session.id(), session.display_name())
            };
            let mut list: Vec<String> = several.iter().map(line).collect();
            list.sort_unstable();
            bail!("{wanted:?} fits several sessions; write MACHINE/NAME or an id:\n{}", list.join("\n"))
        }
    }
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

//! Machines and sessions by what a person types.

use color_eyre::eyre::{Result, bail};

use crate::fleet::{Machine, Session};

/// The machine of this name, host name or beginning of an id; several candidates are listed.
pub(super) fn machine<'a>(machines: &'a [Machine], wanted: &str) -> Result<&'a Machine> {
    let by = |fits: &dyn Fn(&Machine) -> bool| machines.iter().filter(|machine| fits(machine)).collect::<Vec<_>>();
    let exact = by(&|machine| machine.facts.name == wanted);
    let candidates = [
        exact,
        by(&|machine| machine.facts.hostname == wanted),
        by(&|machine| wanted.len() >= 4 && machine.facts.id.to_string().starts_with(wanted)),
    ];
    match candidates.into_iter().find(|found| !found.is_empty()) {
        None if machines.is_empty() => bail!("no machine has joined this relay yet; run `fleetmux agent start` on one"),
        None => {
            let names: Vec<&str> = machines.iter().take(12).map(|machine| machine.facts.name.as_str()).collect();
            bail!("no machine is called {wanted:?}; there are: {}", names.join(", "))
        }
        Some(found) => match found.as_slice() {
            [one] => Ok(one),
            several => {
                let list: Vec<String> =
                    several.iter().map(|machine| format!("  {}  {}", machine.facts.id, machine.facts.name)).collect();
                bail!("{wanted:?} fits several machines; name one by its id:\n{}", list.join("\n"))
            }
        },
    }
}

/// The session of this id, or end of an id; several candidates are listed.
pub(super) fn session<'a>(sessions: &'a [Session], wanted: &str) -> Result<&'a Session> {
    let fits = |session: &&Session| {
        let id = session.id().to_string();
        id == wanted || (wanted.len() >= 4 && (id.ends_with(wanted) || id.starts_with(wanted)))
    };
    match sessions.iter().filter(fits).collect::<Vec<_>>().as_slice() {
        [] => bail!("there is no session {wanted:?}; see `fleetmux session list`"),
        [one] => Ok(one),
        several => {
            let list: Vec<String> =
                several.iter().map(|session| format!("  {}  {}", session.id(), session.display_name())).collect();
            bail!("{wanted:?} fits several sessions; write more of the id:\n{}", list.join("\n"))
        }
    }
}

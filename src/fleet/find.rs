//! Machines and sessions by what a person types.

use super::{Code, Machine, MachineId, Refusal, Session};

/// Shortest part of an id that names something.
const ID_PART: usize = 4;
/// Names listed when one is not known.
const LISTED: usize = 12;

/// Whether two names are the same to a person, who does not mind the case.
pub fn is_same_name(one: &str, other: &str) -> bool {
    let lower = |name: &str| name.chars().flat_map(char::to_lowercase).collect::<String>();
    one == other || one.eq_ignore_ascii_case(other) || (!one.is_ascii() && lower(one) == lower(other))
}

/// Whether a person may mean a machine by this: its display name, host name, id, or the beginning of its id.
pub fn is_called(machine: &Machine, wanted: &str) -> bool {
    let is_id = || machine.facts.id.to_string().starts_with(&wanted.to_ascii_lowercase());
    let names = [&machine.facts.name, &machine.facts.hostname];
    names.iter().any(|name| is_same_name(name, wanted)) || (wanted.len() >= ID_PART && is_id())
}

/// The machine of this display name, host name, id or beginning of an id; several candidates are listed. The case of names
/// only counts where two differ by nothing else.
pub fn find_machine<'a>(machines: &'a [Machine], wanted: &str) -> Result<&'a Machine, Refusal> {
    let by = |fits: &dyn Fn(&Machine) -> bool| machines.iter().filter(|machine| fits(machine)).collect::<Vec<_>>();
    let lower = wanted.to_ascii_lowercase();
    let candidates = [
        // A name comes from its machine, and must not stand for another machine's id.
        by(&|machine| machine.facts.id.to_string() == lower),
        by(&|machine| machine.facts.name == wanted),
        by(&|machine| machine.facts.hostname == wanted),
        by(&|machine| is_same_name(&machine.facts.name, wanted)),
        by(&|machine| is_same_name(&machine.facts.hostname, wanted)),
        by(&|machine| wanted.len() >= ID_PART && machine.facts.id.to_string().starts_with(&lower)),
    ];
    let Some(found) = candidates.into_iter().find(|found| !found.is_empty()) else {
        if machines.is_empty() {
            let message = "no machine has joined this relay yet; run `fleetmux agent start` on one";
            return Err(Refusal::new(Code::NotFound, message));
        }
        let mut names: Vec<&str> = machines.iter().map(|machine| machine.facts.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let more = if names.len() > LISTED { ", …" } else { "" };
        names.truncate(LISTED);
        let message = format!("no machine is called {wanted:?}; there are: {}{more}", names.join(", "));
        return Err(Refusal::new(Code::NotFound, message));
    };
    match found.as_slice() {
        [one] => Ok(one),
        several => {
            let mut list: Vec<String> = several
                .iter()
                .map(|machine| {
                    let status = if machine.is_online { "online" } else { "offline" };
                    format!("  {}  {}  {}  {status}", machine.facts.id, machine.facts.name, machine.facts.hostname)
                })
                .collect();
            list.sort_unstable();
            let message = format!("{wanted:?} fits several machines; name one by its id:\n{}", list.join("\n"));
            Err(Refusal::new(Code::Ambiguous, message))
        }
    }
}

/// The session of this id, or beginning or end of an id; several candidates are listed.
pub fn find_session<'a>(sessions: &'a [Session], wanted: &str) -> Result<&'a Session, Refusal> {
    let lower = wanted.to_ascii_lowercase();
    let fits = |session: &&Session| {
        let id = session.id().to_string();
        id == lower || (lower.len() >= ID_PART && (id.ends_with(&lower) || id.starts_with(&lower)))
    };
    match sessions.iter().filter(fits).collect::<Vec<_>>().as_slice() {
        [] => {
            let message = format!("there is no session {wanted:?}; see `fleetmux session list`");
            Err(Refusal::new(Code::NotFound, message))
        }
        [one] => Ok(one),
        several => {
            let mut list: Vec<String> =
                several.iter().map(|session| format!("  {}  {}", session.id(), session.display_name())).collect();
            list.sort_unstable();
            let message = format!("{wanted:?} fits several sessions; write more of the id:\n{}", list.join("\n"));
            Err(Refusal::new(Code::Ambiguous, message))
        }
    }
}

/// The machine's active session: the newest living one that was made for whoever connects.
pub fn active_session(sessions: &[Session], machine: MachineId) -> Option<&Session> {
    let active =
        |session: &&Session| session.machine == machine && session.spec.is_shared && session.summary.exit.is_none();
    sessions.iter().filter(active).max_by_key(|session| (session.created_ms, session.id()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]
mod tests {
    use super::*;
    use crate::fleet::{Exit, Labels, Load, MachineFacts, SessionSpec, Size, Summary};

    fn machine(id: &str, name: &str, hostname: &str) -> Machine {
        let facts = MachineFacts {
            id: id.parse().unwrap(),
            name: name.into(),
            hostname: hostname.into(),
            os: String::new(),
            kernel: String::new(),
            arch: String::new(),
            cpus: 1,
            memory_bytes: 0,
            labels: Labels::new(),
            version: String::new(),
            boot_time_s: 0,
            workspace: String::new(),
        };
        Machine { facts, is_online: true, last_seen_ms: 0, load: Load::default(), latency_us: None, connected_ms: 0 }
    }

    fn session(id: &str, machine: &Machine, created_ms: u64) -> Session {
        let summary = Summary {
            offset: 0,
            title: String::new(),
            cwd: String::new(),
            size: Size::DEFAULT,
            drivers: 0,
            observers: 0,
            clients: Vec::new(),
            last_output_ms: None,
            attached_ms: None,
            exit: None,
        };
        let spec = SessionSpec { id: id.parse().unwrap(), is_shared: true, ..SessionSpec::shell() };
        Session { machine: machine.facts.id, spec, pid: 1, created_ms, summary }
    }

    const A: &str = "0193e2c1-7a8f-7b33-8c01-000000000001";
    const B: &str = "0193e2c1-7a8f-7b33-8c01-000000000002";
    const C: &str = "0293e2c1-7a8f-7b33-8c01-000000000003";

    fn fleet() -> Vec<Machine> {
        vec![machine(A, "web-1", "vps-a"), machine(B, "web-2", "vps-a"), machine(C, "db", "web-1")]
    }

    #[test]
    fn a_machine_is_found_by_name_then_host_name_then_id() {
        let fleet = fleet();
        assert_eq!(find_machine(&fleet, "web-1").unwrap().facts.name, "web-1");
        assert_eq!(find_machine(&fleet, "db").unwrap().facts.name, "db");
        assert_eq!(find_machine(&fleet, "0293").unwrap().facts.name, "db");
        assert_eq!(find_machine(&fleet, &B.to_uppercase()).unwrap().facts.name, "web-2");
    }

    #[test]
    fn an_ambiguous_machine_lists_the_candidates() {
        let refusal = find_machine(&fleet(), "vps-a").unwrap_err();
        assert_eq!(refusal.code, Code::Ambiguous);
        assert_eq!(
            refusal.message,
            format!(
                "\"vps-a\" fits several machines; name one by its id:\n  {A}  web-1  vps-a  online\n  {B}  web-2  vps-a  online"
            )
        );
    }

    #[test]
    fn an_unknown_machine_says_which_there_are() {
        let refusal = find_machine(&fleet(), "web").unwrap_err();
        assert_eq!(refusal.code, Code::NotFound);
        assert_eq!(refusal.message, "no machine is called \"web\"; there are: db, web-1, web-2");
        let refusal = find_machine(&[], "web").unwrap_err();
        assert_eq!(refusal.message, "no machine has joined this relay yet; run `fleetmux agent start` on one");
    }

    #[test]
    fn a_session_is_found_by_either_end_of_its_id() {
        let web = machine(A, "web-1", "vps-a");
        let sessions = [session(A, &web, 1), session(B, &web, 2)];
        assert_eq!(find_session(&sessions, "0001").unwrap().id().to_string(), A);
        assert_eq!(find_session(&sessions, B).unwrap().id().to_string(), B);
        let refusal = find_session(&sessions, "0193e2c1").unwrap_err();
        assert_eq!(refusal.code, Code::Ambiguous);
        assert!(refusal.message.contains(A) && refusal.message.contains(B), "{refusal}");
        assert_eq!(find_session(&sessions, "ffff").unwrap_err().code, Code::NotFound);
        // Too short to name anything.
        assert_eq!(find_session(&sessions, "001").unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn a_status_follows_the_program_and_the_machine() {
        use crate::fleet::SessionStatus as Status;
        let mut web = machine(A, "web-1", "vps-a");
        web.last_seen_ms = 1_000;
        let mut known = session(A, &web, 1);
        assert_eq!(Status::of(&known, Some(&web), 2_000), Status::Pending);
        known.summary.offset = 1;
        assert_eq!(Status::of(&known, Some(&web), 2_000), Status::Connected);
        web.is_online = false;
        assert_eq!(Status::of(&known, Some(&web), 2_000), Status::GracePeriod);
        assert_eq!(Status::of(&known, Some(&web), 302_000), Status::Disconnected);
        assert_eq!(Status::of(&known, None, 2_000), Status::Disconnected);
        web.is_online = true;
        known.summary.exit = Some(Exit { code: 0, signal: None, offset: 1 });
        assert_eq!(Status::of(&known, Some(&web), 2_000), Status::Disconnected);
        let all = [Status::Pending, Status::Connected, Status::GracePeriod, Status::Disconnected];
        assert_eq!(all.map(|status| status.to_string()), ["PENDING", "CONNECTED", "GRACE_PERIOD", "DISCONNECTED"]);
    }

    #[test]
    fn the_active_session_is_the_newest_living_shared_one() {
        let web = machine(A, "web-1", "vps-a");
        let (older, newer) = (session(A, &web, 1), session(B, &web, 2));
        let mut dead = session(C, &web, 3);
        dead.summary.exit = Some(Exit { code: 0, signal: None, offset: 0 });
        let mut own = session("0393e2c1-7a8f-7b33-8c01-000000000003", &web, 4);
        own.spec.is_shared = false;
        let sessions = [older, newer.clone(), dead, own];
        assert_eq!(active_session(&sessions, web.facts.id), Some(&newer));
        assert_eq!(active_session(&sessions, C.parse().unwrap()), None);
    }
}

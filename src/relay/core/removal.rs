//! Machines that go for good, and what becomes of their sessions.
//!
//! A session belongs to the machine that showed it first. When that machine is removed, a living one that shows the session
//! too has it at once: a host that was made anew is another machine with the keepers of before.

use super::{Core, Effect, MachineState, bounds, bytes_of};
use crate::fleet::{Bound, Code, MachineId, Refusal, Session, SessionId};
use crate::wire::{self, v1};
use v1::session_down::Frame as Down;

/// Sessions that a machine shows though they are another one's; of a host that was made anew and has more, the rest is shown
/// when its agent links again.
pub(super) const CLAIMS_CAP: usize = 1024;

/// How a machine stands, for whoever decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Standing {
    pub(in crate::relay) machine: MachineId,
    pub(in crate::relay) name: String,
    pub(in crate::relay) workspace: String,
    pub(in crate::relay) is_online: bool,
    /// Milliseconds since the epoch.
    pub(in crate::relay) last_seen_ms: u64,
}

impl Standing {
    fn of(state: &MachineState) -> Standing {
        let facts = &state.machine.facts;
        Standing {
            machine: facts.id,
            name: facts.name.clone(),
            workspace: facts.workspace.clone(),
            is_online: state.conn.is_some(),
            last_seen_ms: state.machine.last_seen_ms,
        }
    }
}

impl Core {
    /// How the machines stand for which something holds.
    pub(in crate::relay) fn standings(&self, is_it: impl Fn(&Standing) -> bool) -> Vec<Standing> {
        self.machines.values().map(Standing::of).filter(is_it).collect()
    }

    /// Another machine of this workspace has the name.
    pub(in crate::relay) fn is_named(&self, workspace: &str, name: &str, machine: MachineId) -> bool {
        let is_it = |state: &MachineState| {
            let facts = &state.machine.facts;
            facts.id != machine && facts.workspace == workspace && facts.name == name
        };
        self.machines.values().any(is_it)
    }

    /// Something else is bound to a machine: everybody sees it at once.
    pub(in crate::relay) fn identify(&mut self, id: MachineId, name: &str, bound: &Bound) {
        if let Some(state) = self.machines.get_mut(&id) {
            state.machine.facts.bind(name, bound);
            self.effects.push(Effect::StoreMachine(id));
            self.machine_changed(id);
        }
    }

    /// A machine joined and takes the place of another one, which is offline: what was known there is its own until it
    /// comes and says what lives. Whoever waits for a session of the old one waits on.
    pub(in crate::relay) fn replace(&mut self, old: MachineId, new: MachineId, name: &str, bound: &Bound) {
        let Some(state) = self.machines.get(&old).filter(|state| state.conn.is_none() && old != new) else { return };
        let mut machine = state.machine.clone();
        machine.facts.id = new;
        machine.facts.bind(name, bound);
        let state = MachineState { machine, conn: None, stored_ms: 0 };
        self.machines.entry(new).or_insert(state);
        self.effects.push(Effect::StoreMachine(new));
        self.machine_changed(new);
        for id in self.sessions_of(old) {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.machine = new;
            let session = session.clone();
            self.uncount(old, id);
            self.count(&session);
            self.tell_watchers(new, v1::fleet_event::Event::Session((&session).into()));
            self.effects.push(Effect::StoreSession(id, Some(new)));
        }
        self.silent.values_mut().filter(|machine| **machine == old).for_each(|machine| *machine = new);
        let _ = self.forget(old);
    }

    /// Forgets a machine that is offline, and its sessions; nothing is left of it. How it stood comes back.
    pub(in crate::relay) fn forget(&mut self, id: MachineId) -> Result<Option<Standing>, Refusal> {
        let Some(state) = self.machines.get(&id) else { return Ok(None) };
        let standing = Standing::of(state);
        let name = &standing.name;
        if standing.is_online {
            let message = format!(
                "{name} is online; stop its agent first (`fleetmux agent stop` there), or cut it off with \
                 `fleetmux relay machines revoke {name}`"
            );
            return Err(Refusal::new(Code::Unavailable, message));
        }
        let gone = Refusal::new(Code::NotFound, format!("{name} was removed from the fleet, and its sessions with it"));
        self.claims.remove(&id);
        for session in self.sessions_of(id) {
            self.hand_over_session(id, session, &gone);
        }
        let silent = self.silent.iter().filter(|(_, machine)| **machine == id).map(|(session, _)| *session);
        for session in silent.collect::<Vec<_>>() {
            self.hand_over_session(id, session, &gone);
        }
        self.tell_watchers(id, v1::fleet_event::Event::MachineRemoved(bytes_of(id.as_bytes())));
        self.machines.remove(&id);
        self.effects.push(Effect::ForgetMachine(id));
        Ok(Some(standing))
    }

    /// A machine shows a session that is another one's.
    pub(super) fn claim(&mut self, session: Session) {
        let claims = self.claims.entry(session.machine).or_default();
        if claims.len() < CLAIMS_CAP || claims.contains_key(&session.id()) {
            claims.insert(session.id(), session);
        }
    }

    /// A machine does not show a session any more.
    pub(super) fn unclaim(&mut self, machine: MachineId, session: SessionId) {
        if let Some(claims) = self.claims.get_mut(&machine) {
            claims.remove(&session);
        }
    }

    /// What a machine says of a session that is another one's is kept for when it has it.
    pub(super) fn claim_changed(&mut self, machine: MachineId, id: SessionId, down: v1::SessionDown) {
        let Some(claim) = self.claims.get_mut(&machine).and_then(|claims| claims.get_mut(&id)) else { return };
        match down.frame {
            Some(Down::Summary(summary)) => {
                *claim = bounds::shown(Session { summary: wire::summary_from(summary), ..claim.clone() });
            }
            Some(Down::Renamed(rename)) => claim.spec.name = rename.name,
            _ => {}
        }
    }

    /// The session as another machine shows it that is there.
    pub(super) fn take_claim(&mut self, id: SessionId, but: MachineId) -> Option<Session> {
        let machines = &self.machines;
        let workspace = self.workspace_of(but).to_string();
        let is_there = |machine: &MachineId| {
            let is_fit = |state: &MachineState| state.conn.is_some() && state.machine.facts.workspace == workspace;
            machines.get(machine).is_some_and(is_fit)
        };
        let mut claims = self.claims.iter_mut().filter(|(machine, _)| **machine != but && is_there(machine));
        claims.find_map(|(_, claims)| claims.remove(&id))
    }

    pub(super) fn sessions_of(&self, machine: MachineId) -> Vec<SessionId> {
        self.sessions.values().filter(|session| session.machine == machine).map(Session::id).collect()
    }
}

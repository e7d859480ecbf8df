//! Machines and sessions as last told.

use std::collections::BTreeMap;

use crate::fleet::{Machine, MachineId, Session, SessionId};

/// Names of removed machines that are kept; of more the ones of the lowest ids are "?".
const REMOVED_CAP: usize = 1024;

/// Whether a machine's names or labels (`role=web`) contain a text, whatever its case.
pub(super) fn is_match(machine: &Machine, needle: &str) -> bool {
    let needle = needle.to_lowercase();
    let facts = &machine.facts;
    let contains = |text: &str| text.to_lowercase().contains(&needle);
    let mut labels = facts.labels.iter().map(|(key, value)| format!("{key}={value}"));
    contains(&facts.name) || contains(&facts.hostname) || labels.any(|label| contains(&label))
}

/// The fleet, sorted for people: machines by name, sessions by birth.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    machines: Vec<Machine>,
    sessions: BTreeMap<SessionId, Session>,
    /// Names of machines that were removed: a pane may still show what one of them showed last.
    removed: BTreeMap<MachineId, String>,
    /// The first snapshot has come.
    pub is_known: bool,
}

impl Fleet {
    /// Everything anew.
    pub fn replace(&mut self, machines: Vec<Machine>, sessions: Vec<Session>) {
        self.machines = machines;
        self.sort();
        self.sessions = sessions.into_iter().map(|session| (session.id(), session)).collect();
        self.is_known = true;
    }

    /// A machine appeared or changed.
    pub fn put_machine(&mut self, machine: Machine) {
        match self.machines.iter_mut().find(|known| known.facts.id == machine.facts.id) {
            Some(known) => *known = machine,
            None => self.machines.push(machine),
        }
        self.sort();
    }

    /// A machine is gone, its sessions with it.
    pub fn remove_machine(&mut self, id: MachineId) {
        if let Some(machine) = self.machine(id) {
            let name = machine.facts.name.clone();
            self.removed.insert(id, name);
            while self.removed.len() > REMOVED_CAP {
                self.removed.pop_first();
            }
        }
        self.machines.retain(|machine| machine.facts.id != id);
        self.sessions.retain(|_, session| session.machine != id);
    }

    /// A session appeared or changed.
    pub fn put_session(&mut self, session: Session) {
        self.sessions.insert(session.id(), session);
    }

    /// A session is gone.
    pub fn remove_session(&mut self, id: SessionId) {
        self.sessions.remove(&id);
    }

    /// All machines by name.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Machines that are online, by name.
    pub fn online(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.is_online)
    }

    /// A machine.
    pub fn machine(&self, id: MachineId) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.facts.id == id)
    }

    /// What people call a machine.
    pub fn machine_name(&self, id: MachineId) -> &str {
        let known = self.machine(id).map(|machine| &machine.facts.name);
        known.or_else(|| self.removed.get(&id)).map_or("?", String::as_str)
    }

    /// A session.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// All sessions by birth.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// Sessions of a machine by birth.
    pub fn sessions_of(&self, id: MachineId) -> impl Iterator<Item = &Session> {
        // Session ids are ordered by time.
        self.sessions.values().filter(move |session| session.machine == id)
    }

    fn sort(&mut self) {
        self.machines.sort_by(|a, b| (&a.facts.name, a.facts.id).cmp(&(&b.facts.name, b.facts.id)));
    }
}

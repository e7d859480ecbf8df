//! Who machines are, and machines that go for good.

use tokio::sync::oneshot;

use super::{AgentIs, Audited, Hub};
use crate::fleet::{Bound, MachineFacts, MachineId, Principal, Refusal};
use crate::relay::core::{ConnId, Standing};
use crate::wire::v1;

/// What identity wants of the registry; whoever sends it has asked for the caller's right to it.
pub(in crate::relay) enum MachineEvent {
    /// How the machines stand that have this name in a workspace, or this id.
    Named { workspace: String, name: String, machine: MachineId, answer_tx: oneshot::Sender<Vec<Standing>> },
    /// A machine joined in the place of others.
    Replaced { old: Vec<MachineId>, new: MachineId, name: String, bound: Bound },
    /// Something else is bound to a machine.
    Bound { machine: MachineId, name: String, bound: Bound },
    /// A machine that is offline is to be forgotten.
    Forget { machine: MachineId, answer_tx: oneshot::Sender<Result<Option<Standing>, Refusal>> },
    /// How all machines stand.
    Standings { answer_tx: oneshot::Sender<Vec<Standing>> },
}

impl Hub {
    pub(super) fn machine_event(&mut self, event: MachineEvent) {
        match event {
            MachineEvent::Named { workspace, name, machine, answer_tx } => {
                let is_it = |standing: &Standing| {
                    standing.machine == machine || standing.workspace == workspace && standing.name == name
                };
                let _ = answer_tx.send(self.core.standings(is_it));
            }
            MachineEvent::Replaced { old, new, name, bound } => {
                for old in old {
                    self.core.replace(old, new, &name, &bound);
                    self.claimed_names.remove(&old);
                }
                self.core.identify(new, &name, &bound);
            }
            MachineEvent::Bound { machine, name, bound } => self.core.identify(machine, &name, &bound),
            MachineEvent::Forget { machine, answer_tx } => {
                let forgotten = self.core.forget(machine);
                if forgotten.is_ok() {
                    self.claimed_names.remove(&machine);
                }
                let _ = answer_tx.send(forgotten);
            }
            MachineEvent::Standings { answer_tx } => drop(answer_tx.send(self.core.standings(|_| true))),
        }
    }

    /// An agent says what it is. Who a joined one is was bound when it joined: of that it says nothing. A process of this
    /// machine's own user is believed, once it is fit to be shown.
    pub(super) fn agent_facts(&mut self, conn: ConnId, facts: v1::MachineFacts, now: u64) {
        let mut facts: MachineFacts = match facts.try_into() {
            Ok(facts) => facts,
            Err(err) => {
                tracing::warn!(%err, "an agent's facts make no sense");
                return self.hang_up(conn, "the agent's facts make no sense; upgrade it");
            }
        };
        let dropped = facts.make_fit();
        if dropped > 0 {
            tracing::warn!(machine = %facts.id, dropped, "labels of a machine are none, or too many; they are left out");
        }
        if let Some((AgentIs::Joined { machine, workspace, key }, _)) = self.agents.get(&conn) {
            if facts.id != *machine {
                let principal = Principal::machine(*machine).to_string();
                let reason = "the key belongs to another machine; join with a new token".to_string();
                let (what, workspace) = (format!("be machine {}", facts.id), workspace.clone());
                self.audit.record(Audited::Denied { principal, workspace, what, reason: reason.clone() });
                return self.hang_up(conn, &reason);
            }
            let other = self.core.conn_of(*machine).filter(|other| *other != conn);
            if other.and_then(|other| self.agents.get(&other)).is_some_and(|(agent, _)| *agent == AgentIs::Local) {
                return self.hang_up(conn, "this machine is linked on the relay's own socket; stop that agent first");
            }
            facts.workspace.clone_from(workspace);
            let is_taken = |name: &str| self.core.is_named(workspace, name, *machine);
            let Some(key) = self.auth.identify(*key, &facts, is_taken) else {
                return self.hang_up(conn, "the machine's key is not known; `fleetmux agent join` with a new token");
            };
            let bound = key.bound.clone().unwrap_or_default();
            self.note_claim(&facts, &key.name, &bound);
            facts.bind(&key.name, &bound);
        }
        self.core.agent_facts(conn, facts, now);
    }

    /// A machine calls itself something else than what is bound to it: information, and worth a line once.
    fn note_claim(&mut self, facts: &MachineFacts, name: &str, bound: &Bound) {
        let claim = Bound { hostname: facts.hostname.clone(), labels: facts.labels.clone() };
        if facts.name == name && claim == *bound {
            self.claimed_names.remove(&facts.id);
            return;
        }
        let claim = (facts.name.clone(), claim);
        if self.claimed_names.get(&facts.id) == Some(&claim) {
            return;
        }
        tracing::warn!(
            machine = %facts.id,
            name,
            says_name = claim.0,
            says_hostname = claim.1.hostname,
            says_labels = ?claim.1.labels,
            "a machine says something else than what is bound to it; `fleetmux relay machines set` changes that"
        );
        self.claimed_names.insert(facts.id, claim);
    }
}

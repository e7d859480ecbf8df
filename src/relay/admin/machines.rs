//! What admins do to machines: bind something else to one, and forget one.

use std::time::Duration;

use tokio::sync::oneshot;
use tonic::Status;

use super::Admin;
use crate::fleet::{Caller, Code, MachineId, Principal, Refusal};
use crate::relay::audit::Audited;
use crate::relay::auth::{Key, SetMachine, name_taken};
use crate::relay::core::Standing;
use crate::relay::hub::{MachineEvent, stopping};
use crate::relay::store::Change;
use crate::runtime::now_ms;
use crate::wire::{status_of, v1};

/// How long after its start a relay forgets nobody by itself: whoever lives has come back by then.
const GRACE: Duration = Duration::from_secs(600);
/// Longest time between two looks for machines that are to be forgotten.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Who forgets a machine that was offline for too long.
const ITSELF: &str = "relay";

/// A machine of which nothing is left.
pub(super) struct Forgotten {
    pub(super) machine: MachineId,
    pub(super) name: String,
    pub(super) had_key: bool,
}

impl Admin {
    pub(super) async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> MachineEvent) -> Result<T, Status> {
        let (answer_tx, answer_rx) = oneshot::channel();
        self.tell(event(answer_tx)).await?;
        answer_rx.await.map_err(|_| stopping())
    }

    /// Removes a machine's entry and its sessions; refused while it is online.
    pub(super) async fn remove(&self, machine: MachineId) -> Result<Result<Option<Standing>, Refusal>, Status> {
        self.ask(|answer_tx| MachineEvent::Forget { machine, answer_tx }).await
    }

    /// Binds something else to a machine that has joined; whoever watches sees it at once.
    pub(super) async fn set(&self, caller: &Caller, asked: v1::SetMachineRequest) -> Result<Key, Status> {
        let some = |text: String| (!text.is_empty()).then_some(text);
        let refused = |refusal: Refusal| status_of(&refusal);
        let key = self.auth.machine(caller, &asked.machine).map_err(|refusal| self.not_joined(refusal, &asked.machine));
        let key = key?;
        let machine = key.machine().ok_or_else(|| Status::internal("the machine's key has no machine"))?;
        let set = SetMachine {
            name: some(asked.name),
            hostname: some(asked.hostname),
            labels: asked.labels.into_iter().collect(),
            remove_labels: asked.remove_labels,
        };
        if let Some(name) = set.name.clone() {
            let workspace = key.workspace.clone();
            let event = |answer_tx| MachineEvent::Named { workspace, name: name.clone(), machine, answer_tx };
            let named = self.ask(event).await?;
            if named.iter().any(|other| other.machine != machine) {
                return Err(refused(name_taken(&name)));
            }
        }
        let was = key.name;
        let key = self.auth.set_machine(key.id, set).await.map_err(refused)?;
        let bound = key.bound.clone().unwrap_or_default();
        self.auth.audit.record(Audited::MachineSet {
            principal: caller.principal.to_string(),
            machine: machine.to_string(),
            was,
            name: key.name.clone(),
            hostname: bound.hostname.clone(),
            labels: bound.labels.clone(),
            workspace: key.workspace.clone(),
        });
        self.tell(MachineEvent::Bound { machine, name: key.name.clone(), bound }).await?;
        Ok(key)
    }

    /// One that never joined is called as its agent says.
    fn not_joined(&self, refusal: Refusal, wanted: &str) -> Status {
        if refusal.code != Code::NotFound {
            return status_of(&refusal);
        }
        let message = format!(
            "there is no joined machine {wanted:?}; see `fleetmux relay machines list` (one that is linked on this relay's own \
             socket is called as its agent is started: `fleetmux agent start --name`)"
        );
        status_of(&Refusal::new(Code::NotFound, message))
    }

    /// Forgets the machine of this name or id.
    pub(super) async fn forget_named(&self, caller: &Caller, wanted: &str) -> Result<Forgotten, Status> {
        let standings = self.ask(|answer_tx| MachineEvent::Standings { answer_tx }).await?;
        let is_it = |standing: &&Standing| {
            caller.sees(&standing.workspace) && (standing.name == wanted || standing.machine.to_string() == wanted)
        };
        let found: Vec<&Standing> = standings.iter().filter(is_it).collect();
        let machine = match found.as_slice() {
            [one] => one.machine,
            // It may have joined and never have linked.
            [] => {
                let key = self.auth.machine(caller, wanted).map_err(|refusal| match refusal.code {
                    Code::NotFound => {
                        let message = format!("there is no machine {wanted:?}; see `fleetmux machines`");
                        status_of(&Refusal::new(Code::NotFound, message))
                    }
                    _ => status_of(&refusal),
                })?;
                key.machine().ok_or_else(|| Status::internal("the machine's key has no machine"))?
            }
            several => {
                let ids: Vec<String> = several.iter().map(|standing| standing.machine.to_string()).collect();
                let message = format!("{wanted:?} fits several machines; name one by its id: {}", ids.join(", "));
                return Err(status_of(&Refusal::new(Code::Ambiguous, message)));
            }
        };
        self.forget(caller, machine).await?.ok_or_else(|| {
            let message = format!("there is no machine {wanted:?} any more; see `fleetmux machines`");
            status_of(&Refusal::new(Code::NotFound, message))
        })
    }

    /// Forgets a machine that is offline: entry, sessions and key.
    async fn forget(&self, caller: &Caller, machine: MachineId) -> Result<Option<Forgotten>, Status> {
        let refused = |refusal: Refusal| status_of(&refusal);
        let standing = self.remove(machine).await?.map_err(refused)?;
        let id = machine.to_string();
        let sees = |workspace: &str| caller.sees(workspace);
        let revoked = self.auth.change(|keyring, now| {
            let key = keyring.revoke(&id, true, sees, now)?;
            Ok((key.clone(), Change::Key(Box::new(key))))
        });
        let key = match revoked.await {
            Ok(key) => Some(key),
            Err(refusal) if refusal.code == Code::NotFound => None,
            Err(refusal) => return Err(refused(refusal)),
        };
        if let Some(key) = &key {
            // It may have come back between the two.
            self.cut_off(key).await;
            let _ = self.remove(machine).await?;
        }
        let (name, workspace) = match (&standing, &key) {
            (Some(standing), _) => (standing.name.clone(), standing.workspace.clone()),
            (None, Some(key)) => (key.name.clone(), key.workspace.clone()),
            (None, None) => return Ok(None),
        };
        self.auth.audit.record(Audited::MachineForgotten {
            principal: caller.principal.to_string(),
            machine: id,
            name: name.clone(),
            workspace,
        });
        Ok(Some(Forgotten { machine, name, had_key: key.is_some() }))
    }

    /// Forgets machines that have been offline for longer than this, for as long as the relay lives.
    pub(in crate::relay) async fn forget_after(self, after: Duration) {
        let itself = Caller::local(Principal::named(ITSELF));
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let mut tick = tokio::time::interval((after / 4).clamp(Duration::from_secs(1), LOOK_EVERY));
        tokio::time::sleep(after.min(GRACE)).await;
        loop {
            tick.tick().await;
            let Ok(standings) = self.ask(|answer_tx| MachineEvent::Standings { answer_tx }).await else { return };
            let now = now_ms();
            let is_over =
                |standing: &Standing| !standing.is_online && now.saturating_sub(standing.last_seen_ms) > after_ms;
            for standing in standings.into_iter().filter(is_over) {
                match self.forget(&itself, standing.machine).await {
                    Ok(Some(_)) => {
                        tracing::info!(machine = %standing.machine, name = standing.name, "a machine was offline for too long; it is forgotten");
                    }
                    Ok(None) => {}
                    Err(status) => {
                        tracing::warn!(machine = %standing.machine, reason = status.message(), "a machine cannot be forgotten")
                    }
                }
            }
        }
    }
}

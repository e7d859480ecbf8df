//! Joining: a token is exchanged for a machine's key, and a name that is taken is given to one machine only.

use tonic::{Request, Response, Status};

use super::Admin;
use crate::fleet::{Code, MachineId, Refusal, ago};
use crate::relay::audit::Audited;
use crate::relay::auth::{Ask, Considered, peer_text};
use crate::relay::core::Standing;
use crate::relay::event::Event;
use crate::relay::hub::{MachineEvent, stopping};
use crate::runtime::now_ms;
use crate::wire::{status_of, v1};

/// A machine in the way of one that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    machine: MachineId,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Online,
    /// Milliseconds since the epoch.
    At(u64),
    Never,
}

#[tonic::async_trait]
impl v1::join_service_server::JoinService for Admin {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        let ca_pem = self.reach()?.ca_pem.clone();
        let asked = request.get_ref();
        let machine = MachineId::from_bytes(&asked.machine).map_err(|err| Status::invalid_argument(err.to_string()))?;
        let ask = Ask {
            machine,
            name: asked.name.clone(),
            is_name_default: asked.name_is_default,
            hostname: asked.hostname.clone(),
            labels: asked.labels.clone().into_iter().collect(),
            replaces: asked.replace,
        };
        let considered = self.auth.consider(&request, &asked.secret, &ask).map_err(|refusal| status_of(&refusal))?;
        let holders = self.holders(&considered, machine).await?;
        let replaces = decide(&considered, &ask, &holders, now_ms()).map_err(|refusal| {
            if refusal.code == Code::PermissionDenied {
                self.auth.refused_to_join(&request, &refusal);
            }
            status_of(&refusal)
        })?;
        let joined = self.auth.join(&request, &asked.secret, &ask, &replaces).await;
        let joined = joined.map_err(|refusal| status_of(&refusal))?;
        // Whoever is still linked with a key of before, a thief of it perhaps, is not this machine any more.
        for ended in &joined.ended {
            self.cut_off(ended).await;
        }
        for old in &replaces {
            self.auth.audit.record(Audited::MachineReplaced {
                machine: machine.to_string(),
                name: joined.key.name.clone(),
                workspace: joined.key.workspace.clone(),
                replaced: old.to_string(),
                peer: peer_text(&request),
            });
        }
        let (name, bound) = (joined.key.name.clone(), joined.key.bound.clone().unwrap_or_default());
        if joined.key.bound.is_some() {
            let old = replaces.iter().copied().filter(|old| *old != machine).collect::<Vec<_>>();
            let (name, bound) = (name.clone(), bound.clone());
            self.tell(MachineEvent::Replaced { old, new: machine, name, bound }).await?;
        } else {
            // Nothing is bound to an agent that does not say it here: it starts from nothing.
            for old in replaces.iter().filter(|old| **old != machine) {
                let _ = self.remove(*old).await?;
            }
        }
        // An agent that says no host name takes the labels for those of the token.
        let labels = if joined.key.bound.is_some() { bound.labels } else { joined.token.labels };
        Ok(Response::new(v1::JoinReply {
            machine_key: joined.secret.reveal().into(),
            workspace: joined.key.workspace,
            ca_pem,
            labels: labels.into_iter().collect(),
            name,
            hostname: bound.hostname,
            replaced: !replaces.is_empty(),
        }))
    }
}

impl Admin {
    /// Who has the name that a machine asks for, and the machine itself if it cannot prove that it is.
    async fn holders(&self, considered: &Considered, machine: MachineId) -> Result<Vec<Holder>, Status> {
        let (workspace, name) = (considered.workspace.clone(), considered.name.clone());
        let standings = self.ask(|answer_tx| MachineEvent::Named { workspace, name, machine, answer_tx }).await?;
        Ok(holders(considered, machine, &standings))
    }

    pub(super) async fn tell(&self, event: MachineEvent) -> Result<(), Status> {
        let told = self.events_tx.send(Event::Machine(event)).await;
        told.map_err(|_| stopping())
    }
}

fn holders(considered: &Considered, machine: MachineId, standings: &[Standing]) -> Vec<Holder> {
    // One that is known without a key, on the relay's own socket, is not to be had by its id either.
    let is_in_way = |id: MachineId| id != machine || !considered.is_proven;
    let seen = |standing: &Standing| if standing.is_online { Seen::Online } else { Seen::At(standing.last_seen_ms) };
    let known = standings.iter().filter(|standing| is_in_way(standing.machine));
    let mut holders: Vec<Holder> =
        known.map(|standing| Holder { machine: standing.machine, seen: seen(standing) }).collect();
    let unproven = considered.is_unproven.then_some(machine);
    for id in considered.namesakes.iter().copied().chain(unproven) {
        // It joined and has not linked since.
        if !holders.iter().any(|holder| holder.machine == id) {
            holders.push(Holder { machine: id, seen: Seen::Never });
        }
    }
    holders
}

/// Whose place a machine takes that joins, or why it may not.
fn decide(considered: &Considered, ask: &Ask, holders: &[Holder], now: u64) -> Result<Vec<MachineId>, Refusal> {
    let name = &considered.name;
    let no = |code, message: String| Err(Refusal::new(code, message));
    let Some(holder) = holders.iter().max_by_key(|holder| match holder.seen {
        Seen::Online => (2, 0),
        Seen::At(ms) => (1, ms),
        Seen::Never => (0, 0),
    }) else {
        return Ok(Vec::new());
    };
    let is_itself = holder.machine == ask.machine;
    let seen = match holder.seen {
        Seen::Online if is_itself => {
            return no(
                Code::PermissionDenied,
                "a machine of this id has joined already and is online; remove the file machine-id here if this is a copy of \
                 it, or revoke it first with `fleetmux relay machines revoke` on the relay"
                    .into(),
            );
        }
        Seen::Online => {
            return no(Code::Invalid, format!("{name} is online; choose another name with --name, or revoke it first"));
        }
        Seen::At(ms) => format!("was last seen {} ago", ago(ms, now)),
        Seen::Never => "joined and was not seen since".into(),
    };
    if !considered.may_replace {
        let message = if is_itself {
            format!(
                "a machine of this id has joined already (it {seen}), and this token may not replace it; make one with \
                 `fleetmux relay token`, revoke it first with `fleetmux relay machines revoke`, or remove the file machine-id here"
            )
        } else {
            format!(
                "{name} {seen}, and this token may not replace it; choose another name with --name, run `fleetmux machines \
                 forget {name}` first, or make a token that may (without --reusable, or with --replace)"
            )
        };
        return no(Code::PermissionDenied, message);
    }
    if !ask.replaces {
        let lost = if is_itself { " (it is this machine, whose key is not here)" } else { "" };
        return no(Code::Exists, format!("{name} {seen}{lost}"));
    }
    Ok(holders.iter().map(|holder| holder.machine).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::auth::{Keyring, NewToken};

    const DAY: u64 = 86_400_000;

    /// What a machine hears that asks for `web-1`, which others have as told.
    fn outcome(seen: &[Seen], is_reusable: bool, replaces: bool) -> Result<Vec<MachineId>, Refusal> {
        let mut ring = Keyring::default();
        let new = NewToken { workspace: "default".into(), expires_ms: 10, is_reusable, ..NewToken::default() };
        let token = ring.create_token(new, 0).unwrap().0;
        let ask = Ask { replaces, ..Ask::named(MachineId::random(), "web-1") };
        let considered = ring.consider(token.reveal(), &ask, None, 0).unwrap();
        let holders: Vec<Holder> =
            seen.iter().map(|seen| Holder { machine: MachineId::random(), seen: *seen }).collect();
        let decided = decide(&considered, &ask, &holders, 5 * DAY)?;
        assert_eq!(decided, holders.iter().map(|holder| holder.machine).collect::<Vec<_>>());
        Ok(decided)
    }

    #[test]
    fn a_name_that_is_taken_is_given_away_only_when_that_is_asked_for_and_nobody_is_there() {
        let says = |seen: &[Seen], is_reusable, replaces| {
            let refusal = outcome(seen, is_reusable, replaces).unwrap_err();
            (refusal.code, refusal.message)
        };
        assert!(outcome(&[], true, false).unwrap().is_empty());
        let online = says(&[Seen::At(0), Seen::Online], false, true);
        assert_eq!(
            online,
            (Code::Invalid, "web-1 is online; choose another name with --name, or revoke it first".into())
        );
        let offline = says(&[Seen::At(DAY), Seen::At(2 * DAY), Seen::Never], false, false);
        assert_eq!(offline, (Code::Exists, "web-1 was last seen 3 d ago".into()));
        assert_eq!(says(&[Seen::Never], false, false).1, "web-1 joined and was not seen since");
        assert_eq!(outcome(&[Seen::At(0), Seen::Never], false, true).unwrap().len(), 2);
        let (code, message) = says(&[Seen::At(0)], true, true);
        assert!(code == Code::PermissionDenied && message.contains("this token may not replace it"), "{message}");
    }

    #[test]
    fn a_machine_without_its_key_is_in_its_own_way() {
        let mut ring = Keyring::default();
        let new = NewToken { workspace: "default".into(), expires_ms: 10, is_reusable: true, ..NewToken::default() };
        let new = NewToken { may_replace: true, ..new };
        let token = ring.create_token(new, 0).unwrap().0;
        let ask = Ask::named(MachineId::random(), "web-1");
        let joined = ring.redeem(token.reveal(), &ask, None, &[], 0).unwrap();
        let standing = |is_online| Standing {
            machine: ask.machine,
            name: "web-1".into(),
            workspace: "default".into(),
            is_online,
            last_seen_ms: 0,
        };
        let hears = |ask: &Ask, key: Option<&str>, is_online| {
            let considered = ring.consider(token.reveal(), ask, key, 0).unwrap();
            let holders = holders(&considered, ask.machine, &[standing(is_online)]);
            decide(&considered, ask, &holders, 1000)
        };
        assert_eq!(hears(&ask, Some(joined.secret.reveal()), true).unwrap(), [], "it proves who it is");
        let again = Ask { replaces: true, ..ask.clone() };
        assert!(hears(&again, None, true).unwrap_err().message.contains("has joined already and is online"));
        assert_eq!(hears(&ask, None, false).unwrap_err().code, Code::Exists);
        assert_eq!(hears(&again, None, false).unwrap(), [ask.machine]);
        // One that is linked without a key, on the relay's own socket, is not to be had by its id.
        let own = Ask { replaces: true, ..Ask::named(MachineId::random(), "dev-7") };
        let considered = ring.consider(token.reveal(), &own, None, 0).unwrap();
        let linked = Standing { machine: own.machine, ..standing(true) };
        let holders = holders(&considered, own.machine, &[linked]);
        assert_eq!(decide(&considered, &own, &holders, 1000).unwrap_err().code, Code::PermissionDenied);
    }
}

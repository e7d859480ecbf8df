//! Which session a call means, and the session that every machine has.
//!
//! A machine's default session is its active one, as `fleetmux connect` sees it. A machine without one is named by an id
//! that is made from the machine's own, so that all who ask get the same; the first use starts a session of that id. When
//! that has ended the next one is named.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use tonic::Status;

use super::{Call, Facade};
use crate::fleet::{
    Action, Caller, Code, Machine, MachineId, Refusal, Session, SessionId, SessionSpec, active_session, find_machine,
};
use crate::relay::audit::{Audited, Surroundings};
use crate::relay::core::View;
use crate::relay::event::Event;
use crate::relay::hub::stopping;
use crate::wire::status_of;

/// The SDKs' word for "wherever I am connected to".
const HERE: &str = "local";

/// Before a session's id it asks to observe, whatever the key may.
const OBSERVE: &str = "observe:";

/// A session's id, and whether only to observe is asked for.
pub(super) fn wish_of(session: &str) -> (&str, bool) {
    session.strip_prefix(OBSERVE).map_or((session, false), |session| (session, true))
}

/// Where a call goes.
pub(super) struct Place {
    pub(super) machine: Machine,
    pub(super) session: SessionId,
    /// `None`: the machine's default session, not started yet.
    pub(super) known: Option<Session>,
}

/// How often the default session of each machine was started anew.
#[derive(Default)]
pub(super) struct Defaults {
    table: Mutex<HashMap<MachineId, Entry>>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    generation: u32,
    /// The session of this generation was seen alive.
    is_started: bool,
}

impl Defaults {
    /// The session to name for a machine without an active one.
    fn id(&self, machine: MachineId, is_alive: impl Fn(SessionId) -> bool) -> SessionId {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entry(machine).or_default();
        loop {
            let id = SessionId::of_machine(machine, entry.generation);
            if is_alive(id) {
                entry.is_started = true;
                return id;
            }
            if !entry.is_started {
                return id;
            }
            *entry = Entry { generation: entry.generation + 1, is_started: false };
        }
    }

    /// The session of this id was started, or is not wanted: the next one has another id once it is gone.
    fn used(&self, machine: MachineId, session: SessionId) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entry(machine).or_default();
        entry.is_started |= SessionId::of_machine(machine, entry.generation) == session;
    }
}

/// What the SDKs make an error of that names the session.
pub(super) fn no_session(id: &str) -> Status {
    Status::not_found(id.chars().take(256).collect::<String>())
}

/// A refusal about a session; what is not found is named by the bare id.
pub(super) fn about(session: SessionId) -> impl Fn(Refusal) -> Status {
    move |refusal| if refusal.code == Code::NotFound { no_session(&session.to_string()) } else { status_of(&refusal) }
}

impl Place {
    fn of(view: &View, machine: &Machine, defaults: &Defaults) -> Place {
        let known = default_of(view, machine, defaults);
        match known {
            Ok(session) => Place { machine: machine.clone(), session: session.id(), known: Some(session.clone()) },
            Err(session) => Place { machine: machine.clone(), session, known: None },
        }
    }
}

/// A machine's default session, or the id it will have.
pub(super) fn default_of<'a>(view: &'a View, machine: &Machine, defaults: &Defaults) -> Result<&'a Session, SessionId> {
    let id = machine.facts.id;
    if let Some(session) = active_session(&view.sessions, id) {
        defaults.used(id, session.id());
        return Ok(session);
    }
    // One whose program has ended is not alive, though its keeper may still be there.
    let is_alive = |wanted| view.sessions.iter().any(|s| s.id() == wanted && s.summary.exit.is_none());
    Err(defaults.id(id, is_alive))
}

impl Facade {
    /// What a caller may see of the fleet.
    pub(super) async fn view(&self, caller: &Caller) -> Result<View, Status> {
        self.look(caller, None).await?.map_err(|refusal| status_of(&refusal))
    }

    async fn look(&self, caller: &Caller, session: Option<SessionId>) -> Result<Result<View, Refusal>, Status> {
        let (answer_tx, answer_rx) = oneshot::channel();
        let look = Event::Look { caller: caller.clone(), session, answer_tx };
        self.inner.events_tx.send(look).await.map_err(|_| stopping())?;
        answer_rx.await.map_err(|_| stopping())
    }

    /// The session that a call names, or that of the machine it is routed to. Its machine is online.
    pub(super) async fn place(&self, call: &Call, session: &str) -> Result<Place, Status> {
        if session.is_empty() || session == HERE {
            return self.default_place(call).await;
        }
        let id: SessionId = session.parse().map_err(|_| no_session(session))?;
        match self.look(&call.caller, Some(id)).await? {
            Ok(View { machines, sessions }) => {
                let both = machines.into_iter().next().zip(sessions.into_iter().next());
                let (machine, known) = both.ok_or_else(|| no_session(session))?;
                if known.summary.exit.is_some() {
                    return Err(no_session(session));
                }
                online(&machine)?;
                Ok(Place { machine, session: id, known: Some(known) })
            }
            Err(refusal) if refusal.code == Code::NotFound => {
                let view = self.view(&call.caller).await?;
                let defaults = &self.inner.defaults;
                let named = |machine: &&Machine| default_of(&view, machine, defaults) == Err(id);
                let machine = view.machines.iter().find(named).ok_or_else(|| no_session(session))?;
                online(machine)?;
                Ok(Place { machine: machine.clone(), session: id, known: None })
            }
            Err(refusal) => Err(status_of(&refusal)),
        }
    }

    /// The default session of the machine that a call is routed to.
    async fn default_place(&self, call: &Call) -> Result<Place, Status> {
        let view = self.view(&call.caller).await?;
        if let Some(id) = call.route.as_deref().and_then(|route| route.parse::<SessionId>().ok())
            && let Some(session) = view.sessions.iter().find(|session| session.id() == id)
        {
            let machine = view.machines.iter().find(|machine| machine.facts.id == session.machine);
            let machine = machine.ok_or_else(|| no_session(&id.to_string()))?;
            online(machine)?;
            return Ok(Place { machine: machine.clone(), session: id, known: Some(session.clone()) });
        }
        let machine = self.machine(call, &view)?;
        Ok(Place::of(&view, &machine, &self.inner.defaults))
    }

    /// The machine that a call is routed to, online: by its header, or because there is one only.
    pub(super) fn machine(&self, call: &Call, view: &View) -> Result<Machine, Status> {
        let Some(route) = &call.route else {
            let mut online = view.machines.iter().filter(|machine| machine.is_online);
            return match (online.next(), online.next()) {
                (Some(machine), None) => Ok(machine.clone()),
                (None, _) => Err(Status::failed_precondition("no machine is connected; see `fleetmux machines`")),
                _ => Err(Status::failed_precondition(
                    "several machines are connected; name one: a machine's id or name, or a session's id, as agent id",
                )),
            };
        };
        let by_session = route.parse::<SessionId>().ok().and_then(|id| {
            let session = view.sessions.iter().find(|session| session.id() == id);
            let is_it = |machine: &&Machine| match session {
                Some(session) => machine.facts.id == session.machine,
                None => default_of(view, machine, &self.inner.defaults) == Err(id),
            };
            view.machines.iter().find(is_it)
        });
        let machine = match by_session {
            Some(machine) => machine,
            None => find_machine(&view.machines, route).map_err(|refusal| status_of(&refusal))?,
        };
        online(machine)?;
        Ok(machine.clone())
    }

    /// The session of a place, started if nobody has yet.
    pub(super) async fn ensure(&self, call: &Call, place: Place) -> Result<Session, Status> {
        if let Some(session) = place.known {
            return Ok(session);
        }
        let spec = SessionSpec { id: place.session, is_shared: true, is_posix_shell: true, ..SessionSpec::shell() };
        let session = self.create(call, &place.machine, spec).await?;
        self.inner.defaults.used(place.machine.facts.id, session.id());
        Ok(session)
    }

    /// Makes a session on a machine.
    pub(super) async fn create(&self, call: &Call, machine: &Machine, spec: SessionSpec) -> Result<Session, Status> {
        if let Err(refusal) = call.caller.needs(Action::Drive) {
            self.inner.auth.denied(&call.caller, "create", &refusal);
            return Err(status_of(&refusal));
        }
        let (answer_tx, answer_rx) = oneshot::channel();
        let create = Event::Create {
            caller: call.caller.clone(),
            machine: machine.facts.id,
            spec: (&spec).into(),
            is_join: false,
            answer_tx,
        };
        self.inner.events_tx.send(create).await.map_err(|_| stopping())?;
        let answer = answer_rx.await.map_err(|_| stopping())?;
        self.inner.auth.audit.record(Audited::SessionCreate {
            principal: call.caller.principal.to_string(),
            workspace: machine.facts.workspace.clone(),
            machine: machine.facts.id.to_string(),
            session: spec.id.to_string(),
            surroundings: Surroundings::new(
                spec.command.first().map_or("", String::as_str),
                &spec.cwd,
                spec.env.keys(),
            ),
            outcome: answer.as_ref().map_or_else(|refusal| refusal.message.clone(), |_| "ok".into()),
        });
        let session = answer.map_err(|refusal| status_of(&refusal))?;
        session.ok_or_else(|| Status::internal("the agent made no session"))
    }

    /// A default session that was named and never started is not wanted: the next one has another id.
    pub(super) fn forget_default(&self, place: &Place) {
        self.inner.defaults.used(place.machine.facts.id, place.session);
    }
}

fn online(machine: &Machine) -> Result<(), Status> {
    if machine.is_online {
        return Ok(());
    }
    let name = &machine.facts.name;
    Err(Status::unavailable(format!("{name} is offline; its sessions live on, see `fleetmux machines`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_its_id_until_the_session_of_it_has_ended() {
        let (defaults, machine) = (Defaults::default(), MachineId::random());
        let first = defaults.id(machine, |_| false);
        assert_eq!(defaults.id(machine, |_| false), first, "named before it is started");
        assert_ne!(defaults.id(MachineId::random(), |_| false), first);
        defaults.used(machine, first);
        assert_eq!(defaults.id(machine, |id| id == first), first, "while it lives");
        let second = defaults.id(machine, |_| false);
        assert_ne!(second, first);
        assert_eq!(defaults.id(machine, |_| false), second);
        assert_eq!(Defaults::default().id(machine, |_| false), first, "another relay names the same");
    }
}

//! The task that owns the relay's core: every stream's events come here, effects go out from here.

mod machines;

pub(super) use machines::MachineEvent;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::audit::{Audit, Audited};
use super::auth::{AgentIs, Auth};
use super::core::{ConnId, Core, Effect, Pace};
use super::event::{AgentTx, Answer, Event, WatcherTx, changes_of};
use super::lane::Lanes;
use super::limits::WATCHES_PER_KEY;
use super::outgoing::{Outgoing, Pushed};
use super::store::{Change, Store};
use crate::fleet::{Caller, Code, MachineId, Refusal, Session, SessionId};
use crate::runtime::now_ms;
use crate::wire::{self, SharedFleetEvent, status_of, v1};

/// Events waiting for the hub; a stream that finds it full waits, which is backpressure on that stream.
const EVENTS_CAP: usize = 1024;
/// Frames waiting for one agent; an agent that takes none is cut off and resumes later.
pub(super) const AGENT_CAP: usize = 16 * 1024;
/// How often agents are pinged.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long after the relay's start living agents may take to come back: an attempt takes 5 s at most, the delay before the
/// next one 10 s, and they look for their keepers for 5 s at most.
const COMEBACK: Duration = Duration::from_secs(30);
/// How long an agent may take to answer a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Events handled before effects of later ones may wait no longer.
const TURN: usize = 64;

/// What the older of two agents that say to be one machine hears.
const REPLACED: &str = "another agent linked with this machine's key; if that is a copy of this machine, remove the files \
                        machine-id and joined.toml from its state directory and join anew there";

/// The hub's mailbox.
pub(super) type EventsTx = mpsc::Sender<Event>;

/// What whoever finds the mailbox closed, or gets no answer any more, is told.
pub(super) fn stopping() -> Status {
    Status::unavailable("the relay is shutting down")
}

/// A request to a machine, and who waits for the answer.
struct Asked<T> {
    since: Instant,
    machine: MachineId,
    /// Who wants to know.
    caller: Caller,
    answer_tx: T,
    /// The session that it is about, where the answer does not say so.
    about: Option<Session>,
}

impl<T> Asked<T> {
    fn now(machine: MachineId, caller: &Caller, answer_tx: T) -> Asked<T> {
        Asked { since: Instant::now(), machine, caller: caller.clone(), answer_tx, about: None }
    }
}

struct Hub {
    core: Core,
    auth: Arc<Auth>,
    store: Store,
    audit: Audit,
    agents: HashMap<ConnId, (AgentIs, AgentTx)>,
    lanes: HashMap<ConnId, Lanes>,
    /// How often each agent may still change what is known of its machine.
    paces: HashMap<ConnId, Pace>,
    clients: HashMap<ConnId, (Caller, Outgoing)>,
    watchers: Vec<(Caller, WatcherTx)>,
    answers: HashMap<u64, Asked<Answer>>,
    /// Questions to machines' rules, by the number of the request.
    admissions: HashMap<u64, Asked<oneshot::Sender<Result<bool, Refusal>>>>,
    next_request: u64,
    /// What joined machines said of themselves that is not bound to them, as it was logged.
    claimed_names: HashMap<MachineId, (String, crate::fleet::Bound)>,
    started: Instant,
}

/// Starts the hub with what the store remembers.
pub(super) fn start(core: Core, auth: Arc<Auth>, store: Store) -> EventsTx {
    let (events_tx, events_rx) = mpsc::channel(EVENTS_CAP);
    tokio::spawn(Hub::new(core, auth, store).run(events_rx));
    events_tx
}

impl Hub {
    fn new(core: Core, auth: Arc<Auth>, store: Store) -> Hub {
        Hub {
            core,
            audit: auth.audit.clone(),
            auth,
            store,
            agents: HashMap::new(),
            lanes: HashMap::new(),
            paces: HashMap::new(),
            clients: HashMap::new(),
            watchers: Vec::new(),
            answers: HashMap::new(),
            admissions: HashMap::new(),
            next_request: 0,
            claimed_names: HashMap::new(),
            started: Instant::now(),
        }
    }

    async fn run(mut self, mut events_rx: mpsc::Receiver<Event>) {
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut turn = Vec::with_capacity(TURN);
        let comeback = tokio::time::sleep(COMEBACK);
        tokio::pin!(comeback);
        let mut is_comeback_over = false;
        loop {
            tokio::select! {
                count = events_rx.recv_many(&mut turn, TURN) => {
                    if count == 0 {
                        return;
                    }
                    for event in turn.drain(..) {
                        self.handle(event);
                        self.perform();
                    }
                }
                _ = ping.tick() => {
                    self.ping();
                    self.perform();
                }
                () = &mut comeback, if !is_comeback_over => {
                    is_comeback_over = true;
                    self.core.agents_had_time();
                    self.perform();
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let now = now_ms();
        // The one place where it counts: a key that ended while this was under way opens nothing.
        if let Some(refusal) = event.caller().and_then(|caller| self.auth.still(&caller).err()) {
            return event.refuse(refusal);
        }
        match event {
            Event::AgentCame { conn, agent, frames_tx, lanes } => {
                self.agents.insert(conn, (agent, frames_tx));
                self.lanes.insert(conn, lanes);
                self.paces.insert(conn, Pace::new(now));
            }
            Event::AgentFrame { conn, frame, room: _room } => self.agent_frame(conn, frame, now),
            Event::AgentGone { conn } => {
                self.agents.remove(&conn);
                self.lanes.remove(&conn);
                self.paces.remove(&conn);
                self.core.agent_gone(conn, now);
            }
            Event::ClientCame { conn, caller, outgoing } => {
                self.clients.insert(conn, (caller.clone(), outgoing));
                self.core.client_came(conn, caller);
            }
            Event::ClientFrame { conn, frame } => self.client_frame(conn, frame, now),
            Event::ClientGone { conn } => {
                if let Some(outgoing) = self.remove_client(conn) {
                    outgoing.close();
                }
            }
            Event::Look { caller, session, answer_tx } => {
                let view = match session {
                    Some(session) => self.core.find(&caller, session),
                    None => Ok(self.core.view(&caller)),
                };
                let _ = answer_tx.send(view);
            }
            Event::Admit { caller, machine, admit, answer_tx } => {
                self.next_request += 1;
                self.admissions.insert(self.next_request, Asked::now(machine, &caller, answer_tx));
                let admit = Some(v1::request::Request::Admit(admit));
                let admit = v1::Request { request: admit, ..Default::default() };
                self.core.request(self.next_request, &caller, machine, admit);
            }
            Event::Lanes { caller, machine, answer_tx } => {
                let _ = answer_tx.send(self.lanes_to(&caller, machine));
            }
            Event::Watch { caller, request, events_tx } => self.watch(caller, &request, events_tx),
            Event::Create { machine, spec, answer_tx, .. } if self.lives_elsewhere(machine, &spec.id) => {
                let message = "a session of this id lives on another machine; leave the id to be chosen";
                let _ = answer_tx.send(Err(Refusal::new(Code::Invalid, message)));
            }
            Event::Create { caller, machine, spec, is_join, answer_tx } => {
                let number = self.expect(machine, &caller, answer_tx);
                let create = Some(v1::request::Request::Create(spec));
                let request = v1::Request { request: create, join: is_join, ..Default::default() };
                self.core.request(number, &caller, machine, request);
            }
            Event::Rename { caller, session, name, answer_tx } => match self.machine_of(&caller, session) {
                Some(machine) => {
                    let number = self.expect(machine, &caller, answer_tx);
                    let rename = v1::RenameRequest { session: session.as_bytes().to_vec().into(), name };
                    let rename = Some(v1::request::Request::Rename(rename));
                    self.core.request(number, &caller, machine, v1::Request { request: rename, ..Default::default() });
                }
                None => {
                    let message = format!("there is no session {session}; see `fleetmux session list`");
                    let _ = answer_tx.send(Err(Refusal::new(Code::NotFound, message)));
                }
            },
            Event::Destroy { caller, session, answer_tx } => match self.machine_of(&caller, session) {
                Some(machine) => {
                    let number = self.expect(machine, &caller, answer_tx);
                    // Whoever ended it hears what it was.
                    let about = self.core.session(session).cloned();
                    self.answers.entry(number).and_modify(|asked| asked.about = about);
                    let id = session.as_bytes().to_vec().into();
                    let destroy = Some(v1::request::Request::Destroy(id));
                    self.core.request(number, &caller, machine, v1::Request { request: destroy, ..Default::default() });
                }
                None => {
                    let message = format!("there is no session {session}; see `fleetmux session list`");
                    let _ = answer_tx.send(Err(Refusal::new(Code::NotFound, message)));
                }
            },
            Event::Revoked { caller, machine, refusal } => self.revoked(&caller, machine, &refusal),
            Event::Machine(event) => self.machine_event(event),
        }
    }

    /// Tells a watcher what there is, and what changes if it wants to know.
    fn watch(&mut self, caller: Caller, request: &v1::WatchRequest, events_tx: WatcherTx) {
        self.watchers.retain(|(_, events_tx)| !events_tx.is_closed());
        let theirs = || self.watchers.iter().filter(|(watcher, _)| watcher.is_same(&caller)).count();
        if !request.once && caller.key.is_some() && theirs() >= WATCHES_PER_KEY {
            let message =
                format!("{WATCHES_PER_KEY} watches of this key follow the fleet, as many as may; end one first");
            let _ = events_tx.try_send(Err(status_of(&Refusal::new(Code::Exhausted, message))));
            return;
        }
        let pieces = match request.machines.is_empty() && request.pieces {
            true => self.core.snapshot(&caller),
            false => self.core.snapshot_of(&caller, &request.machines, !request.pieces),
        };
        let is_told = pieces.into_iter().all(|piece| events_tx.try_send(Ok(piece)).is_ok());
        if is_told && !request.once {
            self.watchers.push((caller, events_tx));
        }
    }

    /// Cuts off whoever is connected with a key: every stream that it opened ends now, commands included.
    fn revoked(&mut self, caller: &Caller, machine: Option<MachineId>, refusal: &Refusal) {
        let is_it = |agent: &AgentIs| matches!(agent, AgentIs::Joined { key, .. } if Some(*key) == caller.key);
        for conn in self.agents_that(is_it) {
            self.hang_up(conn, &refusal.message);
        }
        if machine.is_none() {
            self.forget(caller);
        }
        let status = status_of(refusal);
        let is_theirs = |other: &Caller| other.is_same(caller);
        // What a machine was asked for them and has not answered.
        let asked = self.answers.extract_if(|_, asked| is_theirs(&asked.caller));
        asked.for_each(|(_, asked)| drop(asked.answer_tx.send(Err(refusal.clone()))));
        let asked = self.admissions.extract_if(|_, asked| is_theirs(&asked.caller));
        asked.for_each(|(_, asked)| drop(asked.answer_tx.send(Err(refusal.clone()))));
        self.watchers.retain(|(watcher, events_tx)| {
            if is_theirs(watcher) {
                // A full queue loses the sentence, not the end.
                let _ = events_tx.try_send(Err(status.clone()));
            }
            !is_theirs(watcher)
        });
        for lanes in self.lanes.values() {
            lanes.revoke(is_theirs, refusal);
        }
        let clients: Vec<ConnId> =
            self.clients.iter().filter(|(_, (client, _))| is_theirs(client)).map(|(conn, _)| *conn).collect();
        for conn in clients {
            if let Some(outgoing) = self.remove_client(conn) {
                outgoing.cut(status.clone());
            }
        }
    }

    /// Lets go of a client's connection, here and in the core: nothing that it still sends does anything. Its queue is
    /// left to be closed or cut.
    fn remove_client(&mut self, conn: ConnId) -> Option<Outgoing> {
        self.core.client_gone(conn, now_ms());
        self.clients.remove(&conn).map(|(_, outgoing)| outgoing)
    }

    /// Has the machines forget what a key's holder showed them: the next key of that name is somebody else's.
    fn forget(&mut self, caller: &Caller) {
        let key = v1::RevokedKey { principal: caller.principal.to_string(), ago_ms: 0 };
        let revoked = v1::RevokedKeys { keys: vec![key] };
        for conn in self.agents_that(|agent| agent.workspace().is_none_or(|workspace| caller.sees(workspace))) {
            let frame = Some(v1::agent_down::Frame::Revoked(revoked.clone()));
            self.send_agent(conn, v1::AgentDown { frame });
        }
    }

    fn agents_that(&self, is_it: impl Fn(&AgentIs) -> bool) -> Vec<ConnId> {
        self.agents.iter().filter(|(_, (agent, _))| is_it(agent)).map(|(conn, _)| *conn).collect()
    }

    /// Ends an agent's stream with a reason.
    fn hang_up(&mut self, conn: ConnId, reason: &str) {
        if let Some((_, frames_tx)) = self.agents.get(&conn) {
            // A full queue loses the sentence, not the end.
            let _ = frames_tx.try_send(Err(Status::unauthenticated(reason)));
        }
        self.drop_agent(conn);
    }

    /// Lets an agent's stream go, and with it whatever was under way there.
    fn drop_agent(&mut self, conn: ConnId) {
        self.agents.remove(&conn);
        self.paces.remove(&conn);
        if let Some(lanes) = self.lanes.remove(&conn) {
            // It may go on sending on its half of the stream; no command's output comes from there any more.
            lanes.close();
        }
        self.core.agent_gone(conn, now_ms());
    }

    /// Another stream of the same machine took an agent's place. An agent that lost its connection never hears of it; one
    /// whose image was cloned has to.
    fn replaced(&mut self, conn: ConnId) {
        if let Some((agent, frames_tx)) = self.agents.remove(&conn) {
            tracing::warn!(?agent, "{REPLACED}");
            let _ = frames_tx.try_send(Err(Status::permission_denied(REPLACED)));
        }
        if let Some(lanes) = self.lanes.remove(&conn) {
            lanes.close();
        }
    }

    /// Where a session lives, for a caller who may know.
    fn machine_of(&self, caller: &Caller, session: SessionId) -> Option<MachineId> {
        let machine = self.core.session(session)?.machine;
        self.core.sees_session(caller, session).then_some(machine)
    }

    fn agent_frame(&mut self, conn: ConnId, frame: v1::AgentUp, now: u64) {
        use v1::agent_up::Frame;
        // What a connection that was given up still had under way says nothing any more.
        if !self.agents.contains_key(&conn) {
            return;
        }
        let (changes, is_down) = (changes_of(&frame), matches!(frame.frame, Some(Frame::Down(_))));
        if changes > 0 && !self.paces.get_mut(&conn).is_some_and(|pace| pace.take(changes, is_down, now)) {
            // What a session does is told again in a second; the rest has to be known, and this agent says too much of it.
            if !is_down {
                tracing::warn!(conn, "an agent changes its machine too often; its connection is given up");
                self.hang_up(conn, "this agent says too much of its machine; it may come back later");
            }
            return;
        }
        match frame.frame {
            Some(Frame::Down(down)) => self.core.down(conn, down),
            Some(Frame::Facts(facts)) => self.agent_facts(conn, facts, now),
            Some(Frame::Sessions(list)) => self.core.session_list(conn, list),
            Some(Frame::SessionAdded(info)) => self.core.session_added(conn, info),
            Some(Frame::SessionRemoved(id)) => {
                if let Ok(id) = SessionId::from_bytes(&id) {
                    self.core.session_removed(conn, id);
                }
            }
            Some(Frame::SessionSilent(id)) => {
                if let Ok(id) = SessionId::from_bytes(&id) {
                    self.core.session_silent(conn, id);
                }
            }
            Some(Frame::Heartbeat(load)) => self.core.heartbeat(conn, &load, now),
            // Numbers are easily guessed: nobody answers for another machine.
            Some(Frame::Reply(reply)) if self.asked(reply.number) != self.core.machine_behind(conn) => {
                tracing::warn!(conn, number = reply.number, "an agent answered what it was not asked");
            }
            Some(Frame::Reply(v1::Reply { number, reply: Some(v1::reply::Reply::Admitted(admitted)) })) => {
                if let Some(Asked { answer_tx, .. }) = self.admissions.remove(&number) {
                    let _ = answer_tx.send(Ok(admitted.needs_password));
                }
            }
            Some(Frame::Reply(reply)) => self.core.reply(conn, reply),
            Some(Frame::Pong(pong)) => {
                let elapsed = (self.started.elapsed().as_micros() as u64).saturating_sub(pong.token);
                self.core.measured(conn, elapsed.min(u32::MAX.into()) as u32);
            }
            // Commands and files find their client without the hub; see `lane`.
            Some(Frame::Exec(_) | Frame::Files(_) | Frame::Hello(_)) | None => {}
        }
    }

    fn client_frame(&mut self, conn: ConnId, frame: v1::ClientUp, now: u64) {
        use v1::client_up::Frame;
        // What a connection that was given up still had under way does nothing any more.
        if !self.clients.contains_key(&conn) {
            return;
        }
        match frame.frame {
            Some(Frame::Up(up)) => self.core.client_up(conn, frame.channel, up),
            Some(Frame::Open(open)) => self.core.open(conn, frame.channel, open),
            Some(Frame::Broadcast(broadcast)) => {
                let sessions = broadcast.sessions.iter().filter_map(|id| SessionId::from_bytes(id).ok()).collect();
                self.core.broadcast(conn, sessions, now);
            }
            Some(Frame::Ping(ping)) => {
                let frame = Some(v1::client_down::Frame::Pong(v1::Pong { token: ping.token }));
                self.send_client(conn, v1::ClientDown { channel: 0, frame });
            }
            Some(Frame::Hello(_)) | None => {}
        }
    }

    fn perform(&mut self) {
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                return;
            }
            // What they lead to is done after them.
            for effect in effects {
                match effect {
                    Effect::ToClient(conn, frame) => self.send_client(conn, frame),
                    Effect::ToAgent(conn, frame) => self.send_agent(conn, frame),
                    Effect::ToWatchers(workspace, event) => {
                        // Encoded once, and not at all when nobody looks.
                        let mut shared = None;
                        self.watchers.retain(|(caller, events_tx)| {
                            let mut event = || shared.get_or_insert_with(|| SharedFleetEvent::new(&event)).clone();
                            !caller.sees(&workspace) || events_tx.try_send(Ok(event())).is_ok()
                        });
                    }
                    Effect::Audit(event) => self.audit.record(event),
                    Effect::Answer(number, answer) => {
                        if let Some(Asked { answer_tx, about, .. }) = self.answers.remove(&number) {
                            let _ = answer_tx.send(answer.map(|session| session.or(about)));
                        } else if let (Some(asked), Err(refusal)) = (self.admissions.remove(&number), answer) {
                            let _ = asked.answer_tx.send(Err(refusal));
                        }
                    }
                    Effect::StoreMachine(id) => {
                        if let Some(machine) = self.core.machine(id) {
                            self.store.change(Change::Machine(Box::new(wire::machine(machine))));
                        }
                    }
                    Effect::ForgetMachine(id) => self.store.change(Change::MachineGone(id)),
                    Effect::StoreSession(id, None) => self.store.change(Change::SessionGone(id.as_bytes().to_vec())),
                    Effect::StoreSession(id, Some(_)) => {
                        if let Some(session) = self.core.session(id) {
                            self.store.change(Change::Session(Box::new(session.into())));
                        }
                    }
                    Effect::Hangup(conn) => self.replaced(conn),
                }
            }
        }
    }

    fn send_client(&mut self, conn: ConnId, mut frame: v1::ClientDown) {
        let channel = frame.channel;
        // Each turn but the last gives up a client.
        loop {
            let Some((_, outgoing)) = self.clients.get(&conn) else { return };
            match outgoing.push(frame) {
                Pushed::Queued => return,
                Pushed::Overflowed(from) => {
                    tracing::info!(conn, channel, "a viewer does not keep up; its backlog is dropped");
                    return self.core.overflowed(conn, channel, from);
                }
                Pushed::Full => return self.give_up(conn),
                Pushed::Crowded(back) => {
                    frame = back;
                    self.give_up(self.slowest_beside(conn));
                }
            }
        }
    }

    /// The client of the same key for which most waits.
    fn slowest_beside(&self, conn: ConnId) -> ConnId {
        let Some((caller, _)) = self.clients.get(&conn) else { return conn };
        let beside = self.clients.iter().filter(|(_, (other, _))| other.key == caller.key);
        beside.max_by_key(|(_, (_, outgoing))| outgoing.waiting()).map_or(conn, |(conn, _)| *conn)
    }

    fn give_up(&mut self, conn: ConnId) {
        tracing::warn!(conn, "a client takes nothing any more; its connection is given up");
        if let Some(outgoing) = self.remove_client(conn) {
            // What waits is given back at once.
            outgoing.cut(Status::unavailable("this client read too slowly; it may come back"));
        }
    }

    fn send_agent(&mut self, conn: ConnId, frame: v1::AgentDown) {
        let Some((_, frames_tx)) = self.agents.get(&conn) else { return };
        if let Err(err) = frames_tx.try_send(Ok(frame)) {
            tracing::warn!(conn, %err, "an agent takes no frames; its connection is given up");
            self.drop_agent(conn);
        }
    }

    fn ping(&mut self) {
        let token = self.started.elapsed().as_micros() as u64;
        for conn in self.agents.keys().copied().collect::<Vec<_>>() {
            self.send_agent(conn, v1::AgentDown { frame: Some(v1::agent_down::Frame::Ping(v1::Ping { token })) });
        }
        let late: Vec<u64> = self
            .answers
            .iter()
            .filter(|(_, asked)| asked.since.elapsed() > REQUEST_TIMEOUT || asked.answer_tx.is_closed())
            .map(|(number, _)| *number)
            .collect();
        self.admissions.retain(|_, asked| asked.since.elapsed() <= REQUEST_TIMEOUT && !asked.answer_tx.is_closed());
        for number in late {
            if let Some(Asked { answer_tx, .. }) = self.answers.remove(&number) {
                let message = "the machine's agent did not answer in time; see its log (`fleetmux agent status` there)";
                let _ = answer_tx.send(Err(Refusal::new(Code::Unavailable, message)));
            }
        }
    }

    /// The ways to a machine for requests of this caller; the machine's own rules are asked by its agent.
    fn lanes_to(&self, caller: &Caller, machine: MachineId) -> Result<(Lanes, String), Refusal> {
        let conn = self.core.way_to_machine(caller, machine)?;
        let workspace = self.core.workspace_of(machine).to_string();
        let lanes = self.lanes.get(&conn).cloned().map(|lanes| (lanes, workspace));
        lanes.ok_or_else(|| {
            Refusal::new(Code::Unavailable, "the machine's agent has just left; see `fleetmux machines`")
        })
    }

    fn lives_elsewhere(&self, machine: MachineId, id: &[u8]) -> bool {
        let known = SessionId::from_bytes(id).ok().and_then(|id| self.core.session(id));
        known.is_some_and(|session| session.machine != machine)
    }

    /// Which machine a request was put to.
    fn asked(&self, number: u64) -> Option<MachineId> {
        let answer = self.answers.get(&number).map(|asked| asked.machine);
        answer.or_else(|| self.admissions.get(&number).map(|asked| asked.machine))
    }

    fn expect(&mut self, machine: MachineId, caller: &Caller, answer_tx: Answer) -> u64 {
        self.next_request += 1;
        self.answers.insert(self.next_request, Asked::now(machine, caller, answer_tx));
        self.next_request
    }
}

pub(super) mod fuzz;
#[cfg(test)]
mod tests;

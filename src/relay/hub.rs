//! The task that owns the relay's core: every stream's events come here, effects go out from here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::core::{ConnId, Core, Effect};
use super::outgoing::{Outgoing, Pushed};
use super::store::{Change, Store};
use crate::fleet::{Code, MachineId, Principal, Refusal, Session, SessionId};
use crate::runtime::now_ms;
use crate::wire::{self, v1};

/// Events waiting for the hub; a stream that finds it full waits, which is backpressure on that stream.
const EVENTS_CAP: usize = 1024;
/// Frames waiting for one agent; an agent that takes none is cut off and resumes later.
pub(super) const AGENT_CAP: usize = 16 * 1024;
/// Fleet changes waiting for one watcher; one that takes none starts anew with a snapshot.
pub(super) const WATCHER_CAP: usize = 4096;
/// How often agents are pinged.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long after the relay's start living agents may take to come back: their longest delay between attempts is 10 s,
/// and they look for their keepers for 5 s at most.
const COMEBACK: Duration = Duration::from_secs(15);
/// How long an agent may take to answer a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Events handled before effects of later ones may wait no longer.
const TURN: usize = 64;

/// The answer to a call.
pub(super) type Answer = oneshot::Sender<Result<Option<Session>, Refusal>>;

/// What happens on the streams.
pub(super) enum Event {
    AgentCame { conn: ConnId, frames_tx: mpsc::Sender<Result<v1::AgentDown, Status>> },
    AgentFrame { conn: ConnId, frame: v1::AgentUp },
    AgentGone { conn: ConnId },
    ClientCame { conn: ConnId, principal: Principal, outgoing: Outgoing },
    ClientFrame { conn: ConnId, frame: v1::ClientUp },
    ClientGone { conn: ConnId },
    Watch { events_tx: mpsc::Sender<Result<v1::FleetEvent, Status>> },
    Create { principal: Principal, machine: MachineId, spec: v1::SessionSpec, answer_tx: Answer },
    Destroy { principal: Principal, session: SessionId, answer_tx: Answer },
    Rename { principal: Principal, session: SessionId, name: String, answer_tx: Answer },
}

/// The hub's mailbox.
pub(super) type EventsTx = mpsc::Sender<Event>;

struct Hub {
    core: Core,
    store: Store,
    agents: HashMap<ConnId, mpsc::Sender<Result<v1::AgentDown, Status>>>,
    clients: HashMap<ConnId, Outgoing>,
    watchers: Vec<mpsc::Sender<Result<v1::FleetEvent, Status>>>,
    answers: HashMap<u64, (Instant, Answer)>,
    next_request: u64,
    started: Instant,
}

/// Starts the hub with what the store remembers.
pub(super) fn start(core: Core, store: Store) -> EventsTx {
    let (events_tx, events_rx) = mpsc::channel(EVENTS_CAP);
    let hub = Hub {
        core,
        store,
        agents: HashMap::new(),
        clients: HashMap::new(),
        watchers: Vec::new(),
        answers: HashMap::new(),
        next_request: 0,
        started: Instant::now(),
    };
    tokio::spawn(hub.run(events_rx));
    events_tx
}

impl Hub {
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
        match event {
            Event::AgentCame { conn, frames_tx } => {
                self.agents.insert(conn, frames_tx);
            }
            Event::AgentFrame { conn, frame } => self.agent_frame(conn, frame, now),
            Event::AgentGone { conn } => {
                self.agents.remove(&conn);
                self.core.agent_gone(conn, now);
            }
            Event::ClientCame { conn, principal, outgoing } => {
                self.clients.insert(conn, outgoing);
                self.core.client_came(conn, &principal);
            }
            Event::ClientFrame { conn, frame } => self.client_frame(conn, frame),
            Event::ClientGone { conn } => {
                if let Some(outgoing) = self.clients.remove(&conn) {
                    outgoing.close();
                }
                self.core.client_gone(conn);
            }
            Event::Watch { events_tx } => {
                if events_tx.try_send(Ok(self.core.snapshot())).is_ok() {
                    self.watchers.push(events_tx);
                }
            }
            Event::Create { machine, spec, answer_tx, .. } if self.lives_elsewhere(machine, &spec.id) => {
                let message = "a session of this id lives on another machine; leave the id to be chosen";
                let _ = answer_tx.send(Err(Refusal::new(Code::Invalid, message)));
            }
            Event::Create { principal, machine, spec, answer_tx } => {
                let number = self.expect(answer_tx);
                self.core.request(number, &principal, machine, v1::request::Request::Create(spec));
            }
            Event::Rename { principal, session, name, answer_tx } => {
                match self.core.session(session).map(|s| s.machine) {
                    Some(machine) => {
                        let number = self.expect(answer_tx);
                        let rename = v1::RenameRequest { session: session.as_bytes().to_vec().into(), name };
                        self.core.request(number, &principal, machine, v1::request::Request::Rename(rename));
                    }
                    None => {
                        let message = format!("there is no session {session}; see `fleetmux session list`");
                        let _ = answer_tx.send(Err(Refusal::new(Code::NotFound, message)));
                    }
                }
            }
            Event::Destroy { principal, session, answer_tx } => match self.core.session(session).map(|s| s.machine) {
                Some(machine) => {
                    let number = self.expect(answer_tx);
                    let id = session.as_bytes().to_vec().into();
                    self.core.request(number, &principal, machine, v1::request::Request::Destroy(id));
                }
                None => {
                    let message = format!("there is no session {session}; see `fleetmux session list`");
                    let _ = answer_tx.send(Err(Refusal::new(Code::NotFound, message)));
                }
            },
        }
    }

    fn agent_frame(&mut self, conn: ConnId, frame: v1::AgentUp, now: u64) {
        use v1::agent_up::Frame;
        match frame.frame {
            Some(Frame::Down(down)) => self.core.down(conn, down),
            Some(Frame::Facts(facts)) => match facts.try_into() {
                Ok(facts) => self.core.agent_facts(conn, facts, now),
                Err(err) => {
                    tracing::warn!(%err, "an agent's facts make no sense");
                    self.agents.remove(&conn);
                }
            },
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
            Some(Frame::Reply(reply)) => self.core.reply(conn, reply),
            Some(Frame::Pong(pong)) => {
                let elapsed = (self.started.elapsed().as_micros() as u64).saturating_sub(pong.token);
                self.core.measured(conn, elapsed.min(u32::MAX.into()) as u32);
            }
            Some(Frame::Hello(_)) | None => {}
        }
    }

    fn client_frame(&mut self, conn: ConnId, frame: v1::ClientUp) {
        use v1::client_up::Frame;
        match frame.frame {
            Some(Frame::Up(up)) => self.core.client_up(conn, frame.channel, up),
            Some(Frame::Open(open)) => self.core.open(conn, frame.channel, open),
            Some(Frame::Ping(ping)) => {
                let frame = Some(v1::client_down::Frame::Pong(v1::Pong { token: ping.token }));
                self.send_client(conn, v1::ClientDown { channel: 0, frame });
            }
            Some(Frame::Hello(_)) | None => {}
        }
    }

    fn perform(&mut self) {
        for effect in self.core.take_effects() {
            match effect {
                Effect::ToClient(conn, frame) => self.send_client(conn, frame),
                Effect::ToAgent(conn, frame) => self.send_agent(conn, frame),
                Effect::ToWatchers(event) => {
                    self.watchers.retain(|events_tx| events_tx.try_send(Ok(event.clone())).is_ok())
                }
                Effect::Answer(number, answer) => {
                    if let Some((_, answer_tx)) = self.answers.remove(&number) {
                        let _ = answer_tx.send(answer);
                    }
                }
                Effect::StoreMachine(id) => {
                    if let Some(machine) = self.core.machine(id) {
                        self.store.change(Change::Machine(Box::new(wire::machine(machine))));
                    }
                }
                Effect::StoreSession(id, None) => self.store.change(Change::SessionGone(id.as_bytes().to_vec())),
                Effect::StoreSession(id, Some(_)) => {
                    if let Some(session) = self.core.session(id) {
                        self.store.change(Change::Session(Box::new(session.into())));
                    }
                }
                Effect::Hangup(conn) => {
                    self.agents.remove(&conn);
                }
            }
        }
    }

    fn send_client(&mut self, conn: ConnId, frame: v1::ClientDown) {
        let Some(outgoing) = self.clients.get(&conn) else { return };
        let channel = frame.channel;
        match outgoing.push(frame) {
            Pushed::Queued => {}
            Pushed::Overflowed(from) => {
                tracing::info!(conn, channel, "a viewer does not keep up; its backlog is dropped");
                self.core.overflowed(conn, channel, from);
                let effects = self.core.take_effects();
                for effect in effects {
                    if let Effect::ToAgent(conn, frame) = effect {
                        self.send_agent(conn, frame);
                    }
                }
            }
            Pushed::Full => {
                tracing::warn!(conn, "a client takes nothing any more; its connection is given up");
                outgoing.close();
                self.clients.remove(&conn);
            }
        }
    }

    fn send_agent(&mut self, conn: ConnId, frame: v1::AgentDown) {
        let Some(frames_tx) = self.agents.get(&conn) else { return };
        if let Err(err) = frames_tx.try_send(Ok(frame)) {
            tracing::warn!(conn, %err, "an agent takes no frames; its connection is given up");
            self.agents.remove(&conn);
            self.core.agent_gone(conn, now_ms());
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
            .filter(|(_, (since, answer_tx))| since.elapsed() > REQUEST_TIMEOUT || answer_tx.is_closed())
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            if let Some((_, answer_tx)) = self.answers.remove(&number) {
                let message = "the machine's agent did not answer in time; see its log (`fleetmux agent status` there)";
                let _ = answer_tx.send(Err(Refusal::new(Code::Unavailable, message)));
            }
        }
    }

    fn lives_elsewhere(&self, machine: MachineId, id: &[u8]) -> bool {
        let known = SessionId::from_bytes(id).ok().and_then(|id| self.core.session(id));
        known.is_some_and(|session| session.machine != machine)
    }

    fn expect(&mut self, answer_tx: Answer) -> u64 {
        self.next_request += 1;
        self.answers.insert(self.next_request, (Instant::now(), answer_tx));
        self.next_request
    }
}

//! Registry and router as one state: events in, effects out.
//!
//! A viewer is one channel of one client's stream. Output of a session comes once and goes to every viewer that is on
//! the stream; frames for one client find it by its secret id. Nothing here waits, and nothing here looks into output.

mod agents;
mod bounds;
mod clients;
mod removal;

pub(super) use removal::Standing;

use std::collections::{BTreeMap, HashMap};

use super::audit::Audited;
use super::limits::SNAPSHOT_PIECE;
use crate::fleet::{Action, Caller, ClientId, Code, Machine, MachineId, Refusal, Role, Session, SessionId, is_called};
use crate::stream::Outbox;
use crate::wire::{self, Message, SharedFleetEvent, v1};
use v1::session_up::Frame as Up;

pub(super) use bounds::Pace;

/// One stream of an agent or a client.
pub(super) type ConnId = u64;

/// Channels a client may have open at once: 64 panes on several pages, with room to spare.
const CHANNELS_CAP: usize = 4096;
/// Receivers of a broadcast named in the audit log; of more there is the number.
const TARGETS_CAP: usize = 1024;

/// What the hub does for the core.
#[derive(Debug)]
pub(super) enum Effect {
    /// To an agent.
    ToAgent(ConnId, v1::AgentDown),
    /// To a client.
    ToClient(ConnId, v1::ClientDown),
    /// To everybody who watches this workspace.
    ToWatchers(String, v1::FleetEvent),
    /// Answer a waiting call.
    Answer(u64, Result<Option<Session>, Refusal>),
    /// Remember a machine.
    StoreMachine(MachineId),
    /// Forget a machine.
    ForgetMachine(MachineId),
    /// Remember a session, or forget it.
    StoreSession(SessionId, Option<MachineId>),
    /// End an agent's connection.
    Hangup(ConnId),
    /// A line for the audit log.
    Audit(Audited),
}

/// What a caller may see of the fleet.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) machines: Vec<Machine>,
    pub(super) sessions: Vec<Session>,
}

struct MachineState {
    machine: Machine,
    conn: Option<ConnId>,
    /// When it was last written to the store.
    stored_ms: u64,
}

struct Channel {
    session: SessionId,
    client: ClientId,
    outbox: Outbox,
    is_lossless: bool,
    /// Kind of keyframes it attached for, as on the wire.
    keyframe: i32,
    /// Opened, and the way to the keeper has not been cut since.
    is_open: bool,
    /// The last denial of its machine's that was audited: a client that asks again and again fills no log.
    denied: String,
}

struct ClientState {
    caller: Caller,
    channels: HashMap<u32, Channel>,
    /// What it types goes to all of these at once, as it says; empty while it broadcasts to none.
    broadcast: Vec<SessionId>,
    /// Since when, milliseconds since the epoch.
    broadcast_ms: u64,
}

/// The relay's whole knowledge.
#[derive(Default)]
pub(super) struct Core {
    machines: BTreeMap<MachineId, MachineState>,
    sessions: HashMap<SessionId, Session>,
    agents: HashMap<ConnId, MachineId>,
    clients: HashMap<ConnId, ClientState>,
    viewers: HashMap<SessionId, Vec<(ConnId, u32)>>,
    by_client: HashMap<ClientId, (ConnId, u32)>,
    /// Sessions whose keeper is there and does not answer its agent; they are known or not, and have not ended.
    silent: HashMap<SessionId, MachineId>,
    /// What machines show though it is another one's.
    claims: BTreeMap<MachineId, HashMap<SessionId, Session>>,
    /// It started without a memory: a session it does not know may be that of an agent that is about to come back.
    is_new: bool,
    /// What callers of a workspace, or of all, see: made when it is asked for, until something in it changes.
    snapshots: HashMap<Option<String>, Vec<SharedFleetEvent>>,
    registries: HashMap<MachineId, bounds::Registry>,
    effects: Vec<Effect>,
}

impl Core {
    /// What the store remembered; every machine is offline until its agent comes.
    pub(super) fn new(machines: Vec<Machine>, sessions: Vec<Session>) -> Core {
        let mut core = Core { is_new: machines.is_empty(), ..Core::default() };
        for mut machine in machines {
            machine.is_online = false;
            machine.latency_us = None;
            core.machines.insert(machine.facts.id, MachineState { machine, conn: None, stored_ms: 0 });
        }
        let known = sessions.into_iter().filter(|session| core.machines.contains_key(&session.machine));
        core.sessions = known.map(|session| (session.id(), session)).collect();
        core
    }

    /// Every agent that lives has had time to come back: a session that is not known now does not exist.
    pub(super) fn agents_had_time(&mut self) {
        self.is_new = false;
        self.end_unknown();
    }

    /// Nobody waits for a session that no agent speaks of.
    fn end_unknown(&mut self) {
        let is_unknown = |id: &&SessionId| !self.sessions.contains_key(*id) && !self.silent.contains_key(*id);
        let unknown: Vec<SessionId> = self.viewers.keys().filter(is_unknown).copied().collect();
        for id in unknown {
            self.end(id, &no_session(id));
        }
    }

    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn machine(&self, id: MachineId) -> Option<&Machine> {
        self.machines.get(&id).map(|state| &state.machine)
    }

    /// The stream of a machine's agent.
    pub(super) fn conn_of(&self, id: MachineId) -> Option<ConnId> {
        self.machines.get(&id)?.conn
    }

    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Everything that a caller may know of, in pieces; all who ask before something changes share them.
    pub(super) fn snapshot(&mut self, caller: &Caller) -> Vec<SharedFleetEvent> {
        if let Some(pieces) = self.snapshots.get(&caller.workspace) {
            return pieces.clone();
        }
        let pieces = self.pieces(caller, |_| true, SNAPSHOT_PIECE);
        self.snapshots.insert(caller.workspace.clone(), pieces.clone());
        pieces
    }

    /// The same of the machines that are called so, and for a client that takes only one piece if it `is_whole`.
    pub(super) fn snapshot_of(&self, caller: &Caller, names: &[String], is_whole: bool) -> Vec<SharedFleetEvent> {
        let is_meant = |machine: &Machine| names.is_empty() || names.iter().any(|name| is_called(machine, name));
        self.pieces(caller, is_meant, if is_whole { usize::MAX } else { SNAPSHOT_PIECE })
    }

    fn pieces(&self, caller: &Caller, is_meant: impl Fn(&Machine) -> bool, cap: usize) -> Vec<SharedFleetEvent> {
        let is_shown = |machine: &Machine| caller.sees(&machine.facts.workspace) && is_meant(machine);
        let (mut pieces, mut piece, mut bytes) = (Vec::new(), v1::FleetSnapshot::default(), 0);
        let mut room = |piece: &mut v1::FleetSnapshot, len: usize| {
            bytes += len;
            if bytes > cap {
                let full = v1::FleetSnapshot { more: true, ..std::mem::take(piece) };
                pieces.push(snapshot_event(full));
                bytes = len;
            }
        };
        for state in self.machines.values().filter(|state| is_shown(&state.machine)) {
            let machine = wire::machine(&state.machine);
            room(&mut piece, machine.encoded_len());
            piece.machines.push(machine);
        }
        for session in self.sessions.values() {
            if self.machine(session.machine).is_some_and(is_shown) {
                let session = v1::Session::from(session);
                room(&mut piece, session.encoded_len());
                piece.sessions.push(session);
            }
        }
        pieces.push(snapshot_event(piece));
        pieces
    }

    /// The same as values.
    pub(super) fn view(&self, caller: &Caller) -> View {
        let machines = self.machines.values().filter(|state| caller.sees(&state.machine.facts.workspace));
        let sessions = self.sessions.values().filter(|session| caller.sees(self.workspace_of(session.machine)));
        View { machines: machines.map(|state| state.machine.clone()).collect(), sessions: sessions.cloned().collect() }
    }

    /// One session and its machine, whether that is online or not; `NotFound` is final. Unlike a native client, whoever asks
    /// here does not wait: once a machine is back, a session that no machine showed is not there.
    pub(super) fn find(&self, caller: &Caller, id: SessionId) -> Result<View, Refusal> {
        let known = self.sessions.get(&id).and_then(|session| Some((session, self.machine(session.machine)?)));
        match known.filter(|(_, machine)| caller.sees(&machine.facts.workspace)) {
            Some((session, machine)) => Ok(View { machines: vec![machine.clone()], sessions: vec![session.clone()] }),
            None if self.silent.contains_key(&id) || !self.has_online(caller) => {
                Err(self.way_to(id, caller).err().unwrap_or_else(|| no_session(id)))
            }
            None => Err(no_session(id)),
        }
    }

    /// Whether no client has anything open.
    pub(super) fn is_unwatched(&self) -> bool {
        self.clients.is_empty() && self.viewers.is_empty() && self.by_client.is_empty()
    }

    fn has_online(&self, caller: &Caller) -> bool {
        self.machines.values().any(|state| state.conn.is_some() && caller.sees(&state.machine.facts.workspace))
    }

    fn state_of(&mut self, conn: ConnId) -> Option<&mut MachineState> {
        let id = self.agents.get(&conn)?;
        self.machines.get_mut(id)
    }

    /// The agent that leads to a session; `NotFound` is final, everything else is to be waited for.
    fn way_to(&self, session: SessionId, caller: &Caller) -> Result<ConnId, Refusal> {
        if let Some(machine) = self.silent.get(&session) {
            let is_seen = caller.sees(self.workspace_of(*machine));
            return Err(if is_seen { silent(session) } else { no_session(session) });
        }
        if !self.sees_session(caller, session) {
            return Err(no_session(session));
        }
        let Some(known) = self.sessions.get(&session) else {
            let message = format!("the relay has just started and does not know session {session} yet; waiting for it");
            return Err(if self.is_new { Refusal::new(Code::Unavailable, message) } else { no_session(session) });
        };
        match self.machines.get(&known.machine) {
            Some(state) => state.conn.ok_or_else(|| offline(&state.machine)),
            None => Err(Refusal::new(Code::Unavailable, "the machine is not known")),
        }
    }

    /// Whether a caller may know of a session; nobody may be told that one exists elsewhere.
    pub(super) fn sees_session(&self, caller: &Caller, session: SessionId) -> bool {
        self.sessions.get(&session).is_none_or(|known| caller.sees(self.workspace_of(known.machine)))
    }

    pub(super) fn workspace_of(&self, machine: MachineId) -> &str {
        self.machines.get(&machine).map_or("", |state| &state.machine.facts.workspace)
    }

    /// Machine and workspace of a session, as text.
    fn place_of(&self, session: SessionId) -> (String, String) {
        let machine = self.sessions.get(&session).map(|known| known.machine);
        let name = machine.and_then(|id| self.machines.get(&id)).map(|state| state.machine.facts.name.clone());
        let workspace = machine.map(|id| self.workspace_of(id).to_string());
        (name.unwrap_or_default(), workspace.unwrap_or_default())
    }

    /// A machine that joined another workspace is gone from the one it was in.
    fn moved(&mut self, id: MachineId, workspace: &str) {
        let old = self.workspace_of(id).to_string();
        if old.is_empty() || old == workspace {
            return;
        }
        for session in self.sessions_of(id) {
            self.remove_session(id, session, &ended());
        }
        self.tell_watchers(id, v1::fleet_event::Event::MachineRemoved(bytes_of(id.as_bytes())));
    }

    fn tell_watchers(&mut self, machine: MachineId, event: v1::fleet_event::Event) {
        let workspace = self.workspace_of(machine).to_string();
        self.snapshots.remove(&None);
        self.snapshots.remove(&Some(workspace.clone()));
        self.effects.push(Effect::ToWatchers(workspace, v1::FleetEvent { event: Some(event) }));
    }

    fn denied(&mut self, caller: &Caller, what: &str, refusal: &Refusal) {
        let (principal, reason) = (caller.principal.to_string(), refusal.message.clone());
        let workspace = caller.workspace.clone().unwrap_or_default();
        self.effects.push(Effect::Audit(Audited::Denied { principal, workspace, what: what.into(), reason }));
    }

    fn agent_of(&self, session: SessionId) -> Option<ConnId> {
        let machine = self.sessions.get(&session)?.machine;
        self.machines.get(&machine)?.conn
    }

    fn up(&mut self, agent: ConnId, session: SessionId, client: ClientId, frame: Up) {
        let client = bytes::Bytes::copy_from_slice(client.as_bytes());
        let session = bytes::Bytes::copy_from_slice(session.as_bytes());
        let up = v1::RoutedUp { session, up: Some(v1::SessionUp { client, frame: Some(frame) }) };
        self.effects.push(Effect::ToAgent(agent, v1::AgentDown { frame: Some(v1::agent_down::Frame::Up(up)) }));
    }

    fn lost(&mut self, conn: ConnId, number: u32, refusal: &Refusal) {
        let code = wire::refusal(refusal, "").code;
        let lost = v1::Lost { code, message: refusal.message.clone() };
        let frame = Some(v1::client_down::Frame::Lost(lost));
        self.effects.push(Effect::ToClient(conn, v1::ClientDown { channel: number, frame }));
    }

    /// Viewers of a session cannot reach it any more.
    fn cut(&mut self, session: SessionId, refusal: &Refusal) {
        for (conn, number) in self.viewers.get(&session).cloned().unwrap_or_default() {
            let channel = self.clients.get_mut(&conn).and_then(|client| client.channels.get_mut(&number));
            if let Some(channel) = channel {
                channel.is_open = false;
                channel.outbox.stop();
            }
            self.lost(conn, number, refusal);
        }
    }

    /// Viewers of all its sessions cannot reach them any more.
    fn cut_machine(&mut self, id: MachineId, refusal: &Refusal) {
        for session in self.sessions_of(id) {
            self.cut(session, refusal);
        }
    }

    fn insert_session(&mut self, session: Session) {
        let mut session = bounds::shown(session);
        let id = session.id();
        session.spec.workspace = self.workspace_of(session.machine).to_string();
        // A session belongs to the machine that showed it first; another one cannot take it over.
        if self.sessions.get(&id).is_some_and(|known| known.machine != session.machine) {
            return self.claim(session);
        }
        if !self.count(&session) {
            return;
        }
        self.unclaim(session.machine, id);
        let event = v1::fleet_event::Event::Session((&session).into());
        self.tell_watchers(session.machine, event);
        self.effects.push(Effect::StoreSession(id, Some(session.machine)));
        self.sessions.insert(id, session);
        self.silent.remove(&id);
        for (conn, number) in self.viewers.get(&id).cloned().unwrap_or_default() {
            // Whoever waited for an id of another workspace hears what everybody hears of an id that does not exist.
            let caller = self.clients.get(&conn).map(|client| client.caller.clone());
            if caller.is_none_or(|caller| !self.sees_session(&caller, id)) {
                self.lost(conn, number, &no_session(id));
                continue;
            }
            let channel = self.clients.get_mut(&conn).and_then(|client| client.channels.get_mut(&number));
            if channel.is_some_and(|channel| !channel.is_open) {
                let frame = Some(v1::client_down::Frame::Ready(v1::Ready {}));
                self.effects.push(Effect::ToClient(conn, v1::ClientDown { channel: number, frame }));
            }
        }
    }

    /// A machine does not have a session any more; one that shows it too has it from now on.
    fn remove_session(&mut self, machine: MachineId, id: SessionId, refusal: &Refusal) {
        let is_known = self.sessions.get(&id).is_some_and(|session| session.machine == machine);
        let is_silent = self.silent.get(&id) == Some(&machine);
        if is_silent {
            self.silent.remove(&id);
        }
        if is_known {
            self.sessions.remove(&id);
            self.uncount(machine, id);
            let gone = v1::SessionRef { machine: bytes_of(machine.as_bytes()), session: bytes_of(id.as_bytes()) };
            self.tell_watchers(machine, v1::fleet_event::Event::SessionRemoved(gone));
            self.effects.push(Effect::StoreSession(id, None));
        }
        if !is_known && !is_silent {
            return;
        }
        self.end(id, refusal);
    }

    /// The same of a session whose machine goes for good: another one that shows it too has it from now on.
    fn hand_over_session(&mut self, machine: MachineId, id: SessionId, refusal: &Refusal) {
        let Some(session) = self.take_claim(id, machine) else { return self.remove_session(machine, id, refusal) };
        let viewers = self.viewers.remove(&id);
        self.remove_session(machine, id, refusal);
        if let Some(viewers) = viewers {
            self.viewers.insert(id, viewers);
        }
        self.cut(id, &Refusal::new(Code::Unavailable, "the session is another machine's now"));
        self.insert_session(session);
    }

    /// Viewers of a session have nothing to wait for.
    fn end(&mut self, id: SessionId, refusal: &Refusal) {
        self.cut(id, refusal);
        for (conn, number) in self.viewers.remove(&id).unwrap_or_default() {
            if let Some(channel) = self.clients.get_mut(&conn).and_then(|client| client.channels.remove(&number)) {
                self.by_client.remove(&channel.client);
            }
        }
    }

    fn remove_viewer(&mut self, session: SessionId, viewer: (ConnId, u32)) {
        let Some(viewers) = self.viewers.get_mut(&session) else { return };
        viewers.retain(|other| *other != viewer);
        if viewers.is_empty() {
            self.viewers.remove(&session);
        }
    }

    fn forget_viewer(&mut self, conn: ConnId, number: u32, channel: &Channel) {
        self.remove_viewer(channel.session, (conn, number));
        if self.by_client.get(&channel.client) == Some(&(conn, number)) {
            self.by_client.remove(&channel.client);
            if let Some(agent) = self.agent_of(channel.session) {
                self.up(agent, channel.session, channel.client, Up::Detach(v1::Detach {}));
            }
        }
    }

    fn machine_changed(&mut self, id: MachineId) {
        if let Some(state) = self.machines.get(&id) {
            let event = v1::fleet_event::Event::Machine(wire::machine(&state.machine));
            self.tell_watchers(id, event);
        }
    }
}

fn snapshot_event(snapshot: v1::FleetSnapshot) -> SharedFleetEvent {
    SharedFleetEvent::new(&v1::FleetEvent { event: Some(v1::fleet_event::Event::Snapshot(snapshot)) })
}

/// What a role needs.
fn action_of(role: Role) -> Action {
    match role {
        Role::Observer => Action::Observe,
        Role::Driver => Action::Drive,
    }
}

fn to_channel(channel: u32, down: v1::SessionDown) -> v1::ClientDown {
    v1::ClientDown { channel, frame: Some(v1::client_down::Frame::Down(down)) }
}

fn bytes_of(id: &[u8; 16]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id)
}

fn no_session(id: SessionId) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no session {id}; see `fleetmux session list`"))
}

fn ended() -> Refusal {
    Refusal::new(Code::NotFound, "the session has ended")
}

fn silent(id: SessionId) -> Refusal {
    let message = format!("the keeper of session {id} does not answer its agent; this continues when it does");
    Refusal::new(Code::Unavailable, message)
}

fn offline(machine: &Machine) -> Refusal {
    let name = &machine.facts.name;
    let message = format!(
        "{name} is offline; its sessions live on, and this one continues when its agent is back (`fleetmux agent start` there)"
    );
    Refusal::new(Code::Unavailable, message)
}

#[cfg(test)]
mod tests;

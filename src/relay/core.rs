//! Registry and router as one state: events in, effects out.
//!
//! A viewer is one channel of one client's stream. Output of a session comes once and goes to every viewer that is on
//! the stream; frames for one client find it by its secret id. Nothing here waits, and nothing here looks into output.

use std::collections::{BTreeMap, HashMap};

use super::audit::Audited;
use crate::fleet::{
    Action, Caller, ClientId, Code, Machine, MachineFacts, MachineId, Refusal, Role, Session, SessionId,
};
use crate::stream::{Outbox, Verdict};
use crate::wire::{self, v1};
use v1::session_down::Frame as Down;
use v1::session_up::Frame as Up;

/// One stream of an agent or a client.
pub(super) type ConnId = u64;

/// Channels a client may have open at once: 64 panes on several pages, with room to spare.
const CHANNELS_CAP: usize = 4096;

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
}

struct ClientState {
    caller: Caller,
    channels: HashMap<u32, Channel>,
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
    /// It started without a memory: a session it does not know may be that of an agent that is about to come back.
    is_new: bool,
    effects: Vec<Effect>,
}

impl Core {
    /// What the store remembered; every machine is offline until its agent comes.
    pub(super) fn new(machines: Vec<Machine>, sessions: Vec<Session>) -> Core {
        let mut core = Core { is_new: machines.is_empty(), ..Core::default() };
        for mut machine in machines {
            machine.is_online = false;
            machine.latency_us = None;
            core.machines.insert(machine.facts.id, MachineState { machine, conn: None });
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

    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Everything that a caller may know of.
    pub(super) fn snapshot(&self, caller: &Caller) -> v1::FleetEvent {
        let machines = self.machines.values().filter(|state| caller.sees(&state.machine.facts.workspace));
        let machines = machines.map(|state| wire::machine(&state.machine)).collect();
        let sessions = self.sessions.values().filter(|session| caller.sees(self.workspace_of(session.machine)));
        let sessions = sessions.map(Into::into).collect();
        let snapshot = v1::FleetSnapshot { machines, sessions };
        v1::FleetEvent { event: Some(v1::fleet_event::Event::Snapshot(snapshot)) }
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

    fn has_online(&self, caller: &Caller) -> bool {
        self.machines.values().any(|state| state.conn.is_some() && caller.sees(&state.machine.facts.workspace))
    }

    // ── agents ──

    /// An agent said who it is; an older stream of the same machine gives way.
    pub(super) fn agent_facts(&mut self, conn: ConnId, facts: MachineFacts, now: u64) {
        let id = facts.id;
        self.silent.retain(|_, machine| *machine != id);
        let machine = Machine {
            facts,
            is_online: true,
            last_seen_ms: now,
            load: Default::default(),
            latency_us: None,
            connected_ms: now,
        };
        self.moved(id, &machine.facts.workspace);
        let state = MachineState { machine, conn: Some(conn) };
        if let Some(MachineState { conn: Some(old), .. }) = self.machines.insert(id, state)
            && old != conn
        {
            self.agents.remove(&old);
            self.effects.push(Effect::Hangup(old));
            // Whoever was attached through the old stream is attached no more.
            self.cut_machine(id, &Refusal::new(Code::Unavailable, "the machine's agent came back on a new connection"));
        }
        self.agents.insert(conn, id);
        self.effects.push(Effect::StoreMachine(id));
        self.machine_changed(id);
    }

    pub(super) fn agent_gone(&mut self, conn: ConnId, now: u64) {
        let Some(id) = self.agents.remove(&conn) else { return };
        let Some(state) = self.machines.get_mut(&id) else { return };
        state.conn = None;
        state.machine.is_online = false;
        state.machine.latency_us = None;
        state.machine.last_seen_ms = now;
        let refusal = offline(&state.machine);
        self.effects.push(Effect::StoreMachine(id));
        self.machine_changed(id);
        self.cut_machine(id, &refusal);
    }

    pub(super) fn heartbeat(&mut self, conn: ConnId, load: &v1::Load, now: u64) {
        let Some(state) = self.state_of(conn) else { return };
        state.machine.load = wire::load_from(load);
        state.machine.last_seen_ms = now;
        let id = state.machine.facts.id;
        self.machine_changed(id);
    }

    pub(super) fn measured(&mut self, conn: ConnId, latency_us: u32) {
        if let Some(state) = self.state_of(conn) {
            state.machine.latency_us = Some(latency_us.max(1));
        }
    }

    /// The agent's complete list: what is not in it has ended while nobody looked, unless its keeper is silent.
    pub(super) fn session_list(&mut self, conn: ConnId, list: v1::SessionList) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        let mut living = Vec::new();
        for info in list.sessions {
            if let Ok(session) = wire::session_from(machine, info) {
                living.push(session.id());
                self.insert_session(session);
            }
        }
        let is_silent = |id: &SessionId| self.silent.contains_key(id);
        let gone = |s: &&Session| s.machine == machine && !living.contains(&s.id()) && !is_silent(&s.id());
        let gone: Vec<SessionId> = self.sessions.values().filter(gone).map(Session::id).collect();
        for id in gone {
            self.remove_session(machine, id);
        }
        if !self.is_new {
            self.end_unknown();
        }
    }

    pub(super) fn session_added(&mut self, conn: ConnId, info: v1::SessionInfo) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        if let Ok(session) = wire::session_from(machine, info) {
            let id = session.id();
            if self.sessions.get(&id).is_some_and(|known| known.machine == machine) {
                // The agent linked to the keeper anew: everybody behind the old link has to attach again.
                self.cut(id, &Refusal::new(Code::Unavailable, "the agent reopened its link to the session"));
            }
            self.insert_session(session);
        }
    }

    pub(super) fn session_removed(&mut self, conn: ConnId, id: SessionId) {
        if let Some(&machine) = self.agents.get(&conn) {
            self.remove_session(machine, id);
        }
    }

    /// A session's keeper is there and does not answer: its viewers wait.
    pub(super) fn session_silent(&mut self, conn: ConnId, id: SessionId) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        let is_anothers = self.silent.get(&id).is_some_and(|other| *other != machine);
        if !is_anothers && self.sessions.get(&id).is_none_or(|session| session.machine == machine) {
            self.silent.insert(id, machine);
            self.cut(id, &silent(id));
        }
    }

    /// The agent answered a request of ours.
    pub(super) fn reply(&mut self, conn: ConnId, reply: v1::Reply) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        let answer = match reply.reply {
            Some(v1::reply::Reply::Created(info)) => match wire::session_from(machine, info) {
                Ok(session) => {
                    let id = session.id();
                    self.insert_session(session.clone());
                    // As the relay knows it: the workspace is its own word.
                    let known = self.sessions.get(&id).filter(|known| known.machine == machine).cloned();
                    Ok(Some(known.unwrap_or(session)))
                }
                Err(err) => Err(Refusal::new(Code::Internal, format!("the agent's answer makes no sense: {err}"))),
            },
            Some(v1::reply::Reply::Renamed(info)) => self.renamed(machine, info),
            // An admission is no session: the hub has taken it already.
            Some(v1::reply::Reply::Destroyed(_) | v1::reply::Reply::Admitted(_)) => Ok(None),
            Some(v1::reply::Reply::Refused(refused)) => Err(wire::refusal_from(&refused)),
            None => Err(Refusal::new(Code::Internal, "the agent's answer is not understood; upgrade the relay")),
        };
        self.effects.push(Effect::Answer(reply.number, answer));
    }

    /// A session frame on its way to viewers.
    pub(super) fn down(&mut self, conn: ConnId, routed: v1::RoutedDown) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        let (Ok(id), Some(down)) = (SessionId::from_bytes(&routed.session), routed.down) else { return };
        // An agent speaks for its own machine only.
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.machine == machine) else { return };
        if !down.client.is_empty() {
            return self.down_to_one(id, down);
        }
        match down.frame {
            Some(Down::Summary(summary)) => {
                session.summary = wire::summary_from(summary);
                let event = v1::fleet_event::Event::Session((&*session).into());
                self.tell_watchers(machine, event);
            }
            Some(Down::Renamed(rename)) => self.set_name(id, rename.name),
            Some(Down::Output(output)) => self.fan_out(id, &output),
            _ => {}
        }
    }

    /// The agent's word that a session has another name, with all that is known of it.
    fn renamed(&mut self, machine: MachineId, info: v1::SessionInfo) -> Result<Option<Session>, Refusal> {
        let session = wire::session_from(machine, info)
            .map_err(|err| Refusal::new(Code::Internal, format!("the agent's answer makes no sense: {err}")))?;
        if self.sessions.get(&session.id()).is_some_and(|known| known.machine == machine) {
            self.set_name(session.id(), session.spec.name.clone());
        }
        Ok(Some(session))
    }

    fn set_name(&mut self, id: SessionId, name: String) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.spec.name != name) else { return };
        session.spec.name = name;
        let event = v1::fleet_event::Event::Session((&*session).into());
        let machine = session.machine;
        self.tell_watchers(machine, event);
        self.effects.push(Effect::StoreSession(id, Some(machine)));
    }

    fn fan_out(&mut self, id: SessionId, output: &v1::Output) {
        let Some(viewers) = self.viewers.get(&id) else { return };
        for (conn, number) in viewers {
            let channel = self.clients.get_mut(conn).and_then(|client| client.channels.get_mut(number));
            let Some(channel) = channel.filter(|channel| !channel.is_lossless) else { continue };
            if let Verdict::Send(offset, data) = channel.outbox.offer(output.offset, &output.data) {
                let frame = Down::Output(v1::Output { offset, data });
                let down = v1::SessionDown { client: Default::default(), frame: Some(frame) };
                self.effects.push(Effect::ToClient(*conn, to_channel(*number, down)));
            }
        }
    }

    fn down_to_one(&mut self, session: SessionId, mut down: v1::SessionDown) {
        let Ok(client) = ClientId::from_bytes(&down.client) else { return };
        let Some(&(conn, number)) = self.by_client.get(&client) else { return };
        let channel = self.clients.get_mut(&conn).and_then(|client| client.channels.get_mut(&number));
        let Some(channel) = channel.filter(|channel| channel.session == session) else { return };
        match &down.frame {
            Some(Down::Attached(attached)) => channel.outbox.start_at(attached.offset),
            Some(Down::Keyframe(keyframe)) => channel.outbox.start_at(keyframe.offset),
            Some(Down::Output(output)) => channel.outbox.start_at(output.offset + output.data.len() as u64),
            Some(Down::Behind(_)) => channel.outbox.stop(),
            _ => {}
        }
        // The id is a secret between client and keeper; the channel says it all from here on.
        down.client = Default::default();
        self.effects.push(Effect::ToClient(conn, to_channel(number, down)));
    }

    // ── clients ──

    pub(super) fn client_came(&mut self, conn: ConnId, caller: Caller) {
        self.clients.insert(conn, ClientState { caller, channels: HashMap::new() });
    }

    pub(super) fn client_gone(&mut self, conn: ConnId) {
        let Some(state) = self.clients.remove(&conn) else { return };
        for (number, channel) in state.channels {
            self.forget_viewer(conn, number, &channel);
        }
    }

    /// Binds a channel to a session and attaches there.
    pub(super) fn open(&mut self, conn: ConnId, number: u32, open: v1::OpenChannel) {
        let (session, client) = match (SessionId::from_bytes(&open.session), ClientId::from_bytes(&open.client)) {
            (Ok(session), Ok(client)) => (session, client),
            _ => {
                return self.lost(
                    conn,
                    number,
                    &Refusal::new(Code::Invalid, "a channel needs a session and a client id"),
                );
            }
        };
        let Some(state) = self.clients.get_mut(&conn) else { return };
        let mut attach = open.attach.unwrap_or_default();
        let caller = state.caller.clone();
        attach.principal = caller.principal.to_string();
        if state.channels.len() >= CHANNELS_CAP {
            let refusal = Refusal::new(Code::Exhausted, format!("{CHANNELS_CAP} sessions are open; close one first"));
            return self.lost(conn, number, &refusal);
        }
        if let Some(old) = state.channels.remove(&number) {
            self.forget_viewer(conn, number, &old);
        }
        let way = self.way_to(session, &caller);
        let role = wire::role_from(attach.role);
        if let Err(refusal) = caller.needs(action_of(role)) {
            self.denied(&caller, &format!("attach to session {session} as {role}"), &refusal);
            return self.lost(conn, number, &refusal);
        }
        if let Err(refusal) = &way
            && refusal.code == Code::NotFound
        {
            return self.lost(conn, number, refusal);
        }
        // Whoever knows the id continues that client: its former channel is cut off.
        if let Some((old_conn, old_number)) = self.by_client.insert(client, (conn, number))
            && let Some(old) = self.clients.get_mut(&old_conn).and_then(|c| c.channels.remove(&old_number))
        {
            if let Some(viewers) = self.viewers.get_mut(&old.session) {
                viewers.retain(|viewer| *viewer != (old_conn, old_number));
            }
            self.lost(
                old_conn,
                old_number,
                &Refusal::new(Code::Unavailable, "another connection continues this client"),
            );
        }
        let is_lossless = attach.delivery() == v1::Delivery::Lossless;
        let keyframe = attach.keyframe;
        let is_open = way.is_ok();
        let channel = Channel { session, client, outbox: Outbox::default(), is_lossless, keyframe, is_open };
        if let Some(state) = self.clients.get_mut(&conn) {
            state.channels.insert(number, channel);
        }
        self.viewers.entry(session).or_default().push((conn, number));
        match way {
            Ok(agent) => {
                let (machine, workspace) = self.place_of(session);
                let principal = caller.principal.to_string();
                let (session_text, role) = (session.to_string(), role.to_string());
                let attached = Audited::Attach { principal, workspace, machine, session: session_text, role };
                self.effects.push(Effect::Audit(attached));
                self.up(agent, session, client, Up::Attach(attach));
            }
            Err(refusal) => self.lost(conn, number, &refusal),
        }
    }

    /// A frame on a bound channel.
    pub(super) fn client_up(&mut self, conn: ConnId, number: u32, up: v1::SessionUp) {
        let Some(frame) = up.frame else { return };
        let Some(state) = self.clients.get_mut(&conn) else { return };
        let Some(channel) = state.channels.get(&number) else {
            return self.lost(
                conn,
                number,
                &Refusal::new(Code::Invalid, "this channel is bound to no session; open it first"),
            );
        };
        let (session, client, is_open) = (channel.session, channel.client, channel.is_open);
        if matches!(frame, Up::Attach(_) | Up::Hello(_)) {
            return self.lost(conn, number, &Refusal::new(Code::Invalid, "attach by opening the channel"));
        }
        if matches!(frame, Up::Detach(_))
            && let Some(channel) = state.channels.remove(&number)
        {
            return self.forget_viewer(conn, number, &channel);
        }
        if let Up::SetRole(set) = &frame {
            let (caller, role) = (state.caller.clone(), wire::role_from(set.role));
            if let Err(refusal) = caller.needs(action_of(role)) {
                self.denied(&caller, &format!("become {role} of session {session}"), &refusal);
                let refused = Down::Refused(wire::refusal(&refusal, "set_role"));
                let down = v1::SessionDown { client: Default::default(), frame: Some(refused) };
                return self.effects.push(Effect::ToClient(conn, to_channel(number, down)));
            }
            let (machine, workspace) = self.place_of(session);
            let principal = caller.principal.to_string();
            let (session, role) = (session.to_string(), role.to_string());
            self.effects.push(Effect::Audit(Audited::RoleChange { principal, workspace, machine, session, role }));
        }
        // While the way is cut the client keeps its input and sends it again: nothing is lost by dropping it here.
        let agent = self.agent_of(session).filter(|_| is_open);
        if let Some(agent) = agent {
            self.up(agent, session, client, frame);
        }
    }

    /// The client's queue overflowed: put the viewer off the stream and ask for a keyframe.
    pub(super) fn overflowed(&mut self, conn: ConnId, number: u32, from_offset: u64) {
        let channel = self.clients.get_mut(&conn).and_then(|client| client.channels.get_mut(&number));
        let Some(channel) = channel else { return };
        channel.outbox.stop();
        let (session, client) = (channel.session, channel.client);
        let refresh = v1::Refresh { from_offset, keyframe: channel.keyframe, history_bytes: 0 };
        if let Some(agent) = self.agent_of(session) {
            self.up(agent, session, client, Up::Refresh(refresh));
        }
    }

    /// The stream of a machine's agent.
    pub(super) fn way_to_machine(&self, caller: &Caller, machine: MachineId) -> Result<ConnId, Refusal> {
        let state = self.machines.get(&machine).filter(|state| caller.sees(&state.machine.facts.workspace));
        let state = state.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is no machine {machine}; see `fleetmux machines`"))
        })?;
        state.conn.ok_or_else(|| {
            let name = &state.machine.facts.name;
            let message =
                format!("{name} is offline; see `fleetmux machines`, or run `fleetmux agent start` on that machine");
            Refusal::new(Code::Unavailable, message)
        })
    }

    /// A call that an agent must answer; refused at once when it cannot.
    pub(super) fn request(&mut self, number: u64, caller: &Caller, machine: MachineId, request: v1::request::Request) {
        let state = self.machines.get(&machine).filter(|state| caller.sees(&state.machine.facts.workspace));
        let refusal = match state {
            None => Refusal::new(Code::NotFound, format!("there is no machine {machine}; see `fleetmux machines`")),
            Some(MachineState { conn: Some(conn), .. }) => {
                let request = v1::Request { number, principal: caller.principal.to_string(), request: Some(request) };
                let frame = Some(v1::agent_down::Frame::Request(request));
                self.effects.push(Effect::ToAgent(*conn, v1::AgentDown { frame }));
                return;
            }
            Some(state) => offline(&state.machine),
        };
        self.effects.push(Effect::Answer(number, Err(refusal)));
    }

    // ── private ──

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

    fn workspace_of(&self, machine: MachineId) -> &str {
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
        let gone: Vec<SessionId> = self.sessions.values().filter(|s| s.machine == id).map(Session::id).collect();
        for session in gone {
            self.remove_session(id, session);
        }
        self.tell_watchers(id, v1::fleet_event::Event::MachineRemoved(bytes_of(id.as_bytes())));
    }

    fn tell_watchers(&mut self, machine: MachineId, event: v1::fleet_event::Event) {
        let workspace = self.workspace_of(machine).to_string();
        self.effects.push(Effect::ToWatchers(workspace, v1::FleetEvent { event: Some(event) }));
    }

    fn denied(&mut self, caller: &Caller, what: &str, refusal: &Refusal) {
        let (principal, reason) = (caller.principal.to_string(), refusal.message.clone());
        self.effects.push(Effect::Audit(Audited::Denied { principal, what: what.into(), reason }));
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
        let cut: Vec<SessionId> = self.sessions.values().filter(|s| s.machine == id).map(Session::id).collect();
        for session in cut {
            self.cut(session, refusal);
        }
    }

    fn insert_session(&mut self, mut session: Session) {
        let id = session.id();
        session.spec.workspace = self.workspace_of(session.machine).to_string();
        // A session belongs to the machine that showed it first; another one cannot take it over.
        if self.sessions.get(&id).is_some_and(|known| known.machine != session.machine) {
            return;
        }
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

    fn remove_session(&mut self, machine: MachineId, id: SessionId) {
        let is_known = self.sessions.get(&id).is_some_and(|session| session.machine == machine);
        let is_silent = self.silent.get(&id) == Some(&machine);
        if is_silent {
            self.silent.remove(&id);
        }
        if is_known {
            self.sessions.remove(&id);
            let gone = v1::SessionRef { machine: bytes_of(machine.as_bytes()), session: bytes_of(id.as_bytes()) };
            self.tell_watchers(machine, v1::fleet_event::Event::SessionRemoved(gone));
            self.effects.push(Effect::StoreSession(id, None));
        }
        if is_known || is_silent {
            self.end(id, &Refusal::new(Code::NotFound, "the session has ended"));
        }
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

    fn forget_viewer(&mut self, conn: ConnId, number: u32, channel: &Channel) {
        if let Some(viewers) = self.viewers.get_mut(&channel.session) {
            viewers.retain(|viewer| *viewer != (conn, number));
            if viewers.is_empty() {
                self.viewers.remove(&channel.session);
            }
        }
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

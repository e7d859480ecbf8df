//! What comes from clients: channels, frames for keepers, calls, and what they say of themselves.

use std::collections::{HashMap, HashSet};

use super::super::audit::{Audited, Target};
use super::super::limits::VIEWERS_PER_KEY;
use super::{
    CHANNELS_CAP, Channel, ClientState, ConnId, Core, Effect, MachineState, TARGETS_CAP, action_of, offline, to_channel,
};
use crate::fleet::{Caller, ClientId, Code, MachineId, Refusal, SessionId};
use crate::stream::Outbox;
use crate::wire::{self, v1};
use v1::session_down::Frame as Down;
use v1::session_up::Frame as Up;

impl Core {
    pub(in crate::relay) fn client_came(&mut self, conn: ConnId, caller: Caller) {
        let state = ClientState { caller, channels: HashMap::new(), broadcast: Vec::new(), broadcast_ms: 0 };
        self.clients.insert(conn, state);
    }

    pub(in crate::relay) fn client_gone(&mut self, conn: ConnId, now: u64) {
        self.broadcast(conn, Vec::new(), now);
        let Some(state) = self.clients.remove(&conn) else { return };
        for (number, channel) in state.channels {
            self.forget_viewer(conn, number, &channel);
        }
    }

    /// What a client types goes to these sessions from now on: a line for the audit log, without a byte of it. Only those
    /// that it has opened count.
    pub(in crate::relay) fn broadcast(&mut self, conn: ConnId, sessions: Vec<SessionId>, now: u64) {
        let Some(state) = self.clients.get_mut(&conn) else { return };
        let open: HashSet<SessionId> = state.channels.values().map(|channel| channel.session).collect();
        let group: Vec<SessionId> = sessions.into_iter().filter(|id| open.contains(id)).collect();
        if group == state.broadcast {
            return;
        }
        let was = std::mem::replace(&mut state.broadcast, group.clone());
        let (principal, since) = (state.caller.principal.to_string(), state.broadcast_ms);
        let workspace = group.first().or(was.first()).map(|id| self.place_of(*id).1).unwrap_or_default();
        let target = |id: &SessionId| Target { machine: self.place_of(*id).0, session: id.to_string() };
        let (count, targets) = (group.len(), group.iter().take(TARGETS_CAP).map(target).collect());
        let audited = if group.is_empty() {
            Audited::BroadcastStop { principal, workspace, count: was.len(), duration_ms: now.saturating_sub(since) }
        } else if was.is_empty() {
            Audited::BroadcastStart { principal, workspace, count, targets }
        } else {
            Audited::BroadcastChange { principal, workspace, count, targets }
        };
        if was.is_empty()
            && let Some(state) = self.clients.get_mut(&conn)
        {
            state.broadcast_ms = now;
        }
        self.effects.push(Effect::Audit(audited));
    }

    /// Binds a channel to a session and attaches there.
    pub(in crate::relay) fn open(&mut self, conn: ConnId, number: u32, open: v1::OpenChannel) {
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
        if self.viewers_of(session, &caller) >= VIEWERS_PER_KEY {
            let message = format!("this key watches the session {VIEWERS_PER_KEY} times already; close one first");
            return self.lost(conn, number, &Refusal::new(Code::Exhausted, message));
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
            self.remove_viewer(old.session, (old_conn, old_number));
            self.lost(
                old_conn,
                old_number,
                &Refusal::new(Code::Unavailable, "another connection continues this client"),
            );
        }
        let is_lossless = attach.delivery() == v1::Delivery::Lossless;
        let keyframe = attach.keyframe;
        let is_open = way.is_ok();
        let channel = Channel {
            session,
            client,
            outbox: Outbox::default(),
            is_lossless,
            keyframe,
            is_open,
            denied: String::new(),
        };
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

    /// How often a key watches a session; this machine's own user is not counted.
    fn viewers_of(&self, session: SessionId, caller: &Caller) -> usize {
        let viewers = self.viewers.get(&session).filter(|_| caller.key.is_some());
        let is_same = |conn: &ConnId| self.clients.get(conn).is_some_and(|state| state.caller.is_same(caller));
        viewers.map_or(0, |viewers| viewers.iter().filter(|(conn, _)| is_same(conn)).count())
    }

    /// A frame on a bound channel.
    pub(in crate::relay) fn client_up(&mut self, conn: ConnId, number: u32, up: v1::SessionUp) {
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
    pub(in crate::relay) fn overflowed(&mut self, conn: ConnId, number: u32, from_offset: u64) {
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
    pub(in crate::relay) fn way_to_machine(&self, caller: &Caller, machine: MachineId) -> Result<ConnId, Refusal> {
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
    pub(in crate::relay) fn request(&mut self, number: u64, caller: &Caller, machine: MachineId, request: v1::Request) {
        let state = self.machines.get(&machine).filter(|state| caller.sees(&state.machine.facts.workspace));
        let refusal = match state {
            None => Refusal::new(Code::NotFound, format!("there is no machine {machine}; see `fleetmux machines`")),
            Some(MachineState { conn: Some(conn), .. }) => {
                let request = v1::Request { number, principal: caller.principal.to_string(), ..request };
                let frame = Some(v1::agent_down::Frame::Request(request));
                self.effects.push(Effect::ToAgent(*conn, v1::AgentDown { frame }));
                return;
            }
            Some(state) => offline(&state.machine),
        };
        self.effects.push(Effect::Answer(number, Err(refusal)));
    }
}

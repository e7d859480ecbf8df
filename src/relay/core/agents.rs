//! What comes from agents: machines, their sessions, answers, and frames for viewers.

use std::collections::HashSet;

use super::super::audit::Audited;
use super::super::limits::SESSIONS_PER_MACHINE;
use super::{ConnId, Core, Effect, MachineState, bounds, ended, offline, silent, to_channel};
use crate::fleet::{ClientId, Code, Machine, MachineFacts, MachineId, Refusal, Session, SessionId};
use crate::stream::Verdict;
use crate::wire::{self, v1};
use v1::session_down::Frame as Down;

/// How often it is stored when a machine was seen, milliseconds.
const STORE_SEEN_MS: u64 = 60_000;

impl Core {
    /// An agent said who it is; an older stream of the same machine gives way.
    pub(in crate::relay) fn agent_facts(&mut self, conn: ConnId, facts: MachineFacts, now: u64) {
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
        let state = MachineState { machine, conn: Some(conn), stored_ms: now };
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

    pub(in crate::relay) fn agent_gone(&mut self, conn: ConnId, now: u64) {
        let Some(id) = self.agents.remove(&conn) else { return };
        self.claims.remove(&id);
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

    pub(in crate::relay) fn heartbeat(&mut self, conn: ConnId, load: &v1::Load, now: u64) {
        let Some(state) = self.state_of(conn) else { return };
        state.machine.load = wire::load_from(load);
        state.machine.last_seen_ms = now;
        let id = state.machine.facts.id;
        // A relay that is killed knows afterwards when it saw the machine last.
        if now.saturating_sub(state.stored_ms) >= STORE_SEEN_MS {
            state.stored_ms = now;
            self.effects.push(Effect::StoreMachine(id));
        }
        self.machine_changed(id);
    }

    pub(in crate::relay) fn measured(&mut self, conn: ConnId, latency_us: u32) {
        if let Some(state) = self.state_of(conn) {
            state.machine.latency_us = Some(latency_us.max(1));
        }
    }

    /// The agent's complete list: what is not in it has ended while nobody looked, unless its keeper is silent.
    pub(in crate::relay) fn session_list(&mut self, conn: ConnId, list: v1::SessionList) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        self.claims.remove(&machine);
        let shown = list.sessions.into_iter().filter_map(|info| wire::session_from(machine, info).ok());
        let shown: Vec<Session> = shown.take(SESSIONS_PER_MACHINE).collect();
        let living: HashSet<SessionId> = shown.iter().map(Session::id).collect();
        let is_silent = |id: &SessionId| self.silent.contains_key(id);
        let gone = |s: &&Session| s.machine == machine && !living.contains(&s.id()) && !is_silent(&s.id());
        let gone: Vec<SessionId> = self.sessions.values().filter(gone).map(Session::id).collect();
        // Those that went make room for those that came.
        for id in gone {
            self.remove_session(machine, id, &ended());
        }
        for session in shown {
            self.insert_session(session);
        }
        if !self.is_new {
            self.end_unknown();
        }
    }

    pub(in crate::relay) fn session_added(&mut self, conn: ConnId, info: v1::SessionInfo) {
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

    pub(in crate::relay) fn session_removed(&mut self, conn: ConnId, id: SessionId) {
        if let Some(&machine) = self.agents.get(&conn) {
            self.unclaim(machine, id);
            self.remove_session(machine, id, &ended());
        }
    }

    /// A session's keeper is there and does not answer: its viewers wait.
    pub(in crate::relay) fn session_silent(&mut self, conn: ConnId, id: SessionId) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        let is_anothers = self.silent.get(&id).is_some_and(|other| *other != machine);
        let count = self.silent.values().filter(|other| **other == machine).count();
        let has_room = count < SESSIONS_PER_MACHINE || self.silent.contains_key(&id);
        if has_room && !is_anothers && self.sessions.get(&id).is_none_or(|session| session.machine == machine) {
            self.silent.insert(id, machine);
            self.cut(id, &silent(id));
        }
    }

    /// The machine whose agent this is.
    pub(in crate::relay) fn machine_behind(&self, conn: ConnId) -> Option<MachineId> {
        self.agents.get(&conn).copied()
    }

    /// The agent answered a request of ours.
    pub(in crate::relay) fn reply(&mut self, conn: ConnId, reply: v1::Reply) {
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
    pub(in crate::relay) fn down(&mut self, conn: ConnId, routed: v1::RoutedDown) {
        let Some(&machine) = self.agents.get(&conn) else { return };
        let (Ok(id), Some(down)) = (SessionId::from_bytes(&routed.session), routed.down) else { return };
        // An agent speaks for its own machine only.
        let Some(session) = self.sessions.get(&id).filter(|session| session.machine == machine) else {
            return self.claim_changed(machine, id, down);
        };
        if !down.client.is_empty() {
            return self.down_to_one(id, down);
        }
        match down.frame {
            Some(Down::Summary(summary)) => {
                let session = bounds::shown(Session { summary: wire::summary_from(summary), ..session.clone() });
                if self.count(&session) {
                    let event = v1::fleet_event::Event::Session((&session).into());
                    self.sessions.insert(id, session);
                    self.tell_watchers(machine, event);
                }
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
        let is_refused = matches!(down.frame, Some(Down::Refused(_)));
        let workspace_of = if is_refused { self.place_of(session).1 } else { String::new() };
        let Some(state) = self.clients.get_mut(&conn) else { return };
        let channel = state.channels.get_mut(&number);
        let Some(channel) = channel.filter(|channel| channel.session == session) else { return };
        match &down.frame {
            // A client that tries again and again is told again and again, and noted once.
            Some(Down::Refused(refused))
                if refused.code() == v1::Code::PermissionDenied && channel.denied != refused.message =>
            {
                channel.denied.clone_from(&refused.message);
                let (principal, reason) = (state.caller.principal.to_string(), refused.message.clone());
                let what = format!("{} session {session}", refused.frame);
                let workspace = workspace_of.clone();
                self.effects.push(Effect::Audit(Audited::Denied { principal, workspace, what, reason }));
            }
            Some(Down::Attached(attached)) => channel.outbox.start_at(attached.offset),
            Some(Down::Keyframe(keyframe)) => channel.outbox.start_at(keyframe.offset),
            Some(Down::Output(output)) => {
                channel.outbox.start_at(output.offset.saturating_add(output.data.len() as u64))
            }
            Some(Down::Resized(resized)) => channel.outbox.start_at(resized.offset),
            Some(Down::Behind(_)) => channel.outbox.stop(),
            _ => {}
        }
        // The id is a secret between client and keeper; the channel says it all from here on.
        down.client = Default::default();
        self.effects.push(Effect::ToClient(conn, to_channel(number, down)));
    }
}

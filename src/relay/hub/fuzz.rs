//! The hub with queues in place of streams, for fuzzing.

use super::*;
use crate::fleet::{Actions, KeyId, Principal};
use crate::relay::auth::Keyring;
use crate::relay::lane::Lane;
use crate::wire::Message;

/// Two agents and two clients, by connection.
const AGENTS: [ConnId; 2] = [1, 2];
const CLIENTS: [ConnId; 2] = [3, 4];

pub(in crate::relay) fn frames(pieces: &[(u8, &[u8])]) {
    let auth = Arc::new(Auth::new(Keyring::default(), Vec::new(), Store::forgetful(), Audit::default()));
    let mut hub = Hub::new(Core::new(Vec::new(), Vec::new()), auth, Store::forgetful());
    let (frames_tx, mut frames_rx) = mpsc::channel(AGENT_CAP);
    let (events_tx, mut events_rx) = mpsc::channel(64);
    AGENTS.into_iter().for_each(|conn| agent(&mut hub, conn, &frames_tx));
    CLIENTS.into_iter().for_each(|conn| client(&mut hub, conn));
    for (kind, data) in pieces {
        let which = usize::from(kind >> 7);
        match kind % 8 {
            0 => {
                hub.handle(Event::AgentGone { conn: AGENTS[which] });
                agent(&mut hub, AGENTS[which], &frames_tx);
            }
            1 => {
                hub.handle(Event::ClientGone { conn: CLIENTS[which] });
                client(&mut hub, CLIENTS[which]);
            }
            2 => {
                let Ok(request) = v1::WatchRequest::decode(*data) else { continue };
                hub.watch(caller(CLIENTS[which]), &request, events_tx.clone());
            }
            3 => {
                let Ok(request) = v1::CreateSessionRequest::decode(*data) else { continue };
                let Ok(machine) = MachineId::from_bytes(&request.machine) else { continue };
                let (answer_tx, _) = oneshot::channel();
                let (spec, is_join) = (request.spec.unwrap_or_default(), request.join);
                let caller = Caller::local(Principal::loopback());
                hub.handle(Event::Create { caller, machine, spec, is_join, answer_tx });
            }
            4 | 5 => {
                let Ok(frame) = v1::AgentUp::decode(*data) else { continue };
                hub.handle(Event::AgentFrame { conn: AGENTS[which], frame, room: None });
            }
            _ => {
                let Ok(frame) = v1::ClientUp::decode(*data) else { continue };
                hub.handle(Event::ClientFrame { conn: CLIENTS[which], frame });
            }
        }
        hub.perform();
        while frames_rx.try_recv().is_ok() {}
        while events_rx.try_recv().is_ok() {}
    }
    // Whatever they said: everybody can be told what there is, and whoever is gone is gone from everywhere.
    for conn in CLIENTS {
        let pieces = hub.core.snapshot(&caller(conn));
        assert!(pieces.iter().all(|piece| piece.encoded_len() <= wire::FRAME_CAP), "a snapshot is too large");
    }
    for conn in CLIENTS {
        hub.handle(Event::ClientGone { conn });
    }
    hub.perform();
    assert!(hub.clients.is_empty() && hub.core.is_unwatched(), "a client left something behind");
}

/// The owner, and a key of one workspace that may only watch.
fn caller(conn: ConnId) -> Caller {
    if conn == CLIENTS[0] {
        return Caller::local(Principal::loopback());
    }
    let actions: Actions = [crate::fleet::Action::Observe].into_iter().collect();
    Caller { principal: Principal::key("eve"), key: Some(KeyId::random()), workspace: Some("red".into()), actions }
}

fn agent(hub: &mut Hub, conn: ConnId, frames_tx: &AgentTx) {
    let ((exec, _), (files, _)) = (Lane::new(), Lane::new());
    let lanes = Lanes { exec, files };
    hub.handle(Event::AgentCame { conn, agent: AgentIs::Local, frames_tx: frames_tx.clone(), lanes });
}

fn client(hub: &mut Hub, conn: ConnId) {
    // Not as an event, for the key is in no keyring.
    hub.clients.insert(conn, (caller(conn), Outgoing::default()));
    hub.core.client_came(conn, caller(conn));
}

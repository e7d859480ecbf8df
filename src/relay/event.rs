//! What happens on the relay's streams, as the hub hears of it.

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tonic::Status;

use super::auth::AgentIs;
use super::core::{ConnId, View};
use super::hub::MachineEvent;
use super::lane::Lanes;
use super::outgoing::Outgoing;
use crate::fleet::{Caller, MachineId, Refusal, Session, SessionId};
use crate::wire::{SharedFleetEvent, status_of, v1};

/// The answer to a call.
pub(super) type Answer = oneshot::Sender<Result<Option<Session>, Refusal>>;

/// The stream to an agent.
pub(super) type AgentTx = mpsc::Sender<Result<v1::AgentDown, Status>>;
/// The stream to a watcher of the fleet.
pub(super) type WatcherTx = mpsc::Sender<Result<SharedFleetEvent, Status>>;

/// What happens on the streams.
pub(super) enum Event {
    AgentCame {
        conn: ConnId,
        agent: AgentIs,
        frames_tx: AgentTx,
        lanes: Lanes,
    },
    AgentFrame {
        conn: ConnId,
        frame: v1::AgentUp,
        /// The room that a large one takes on its way here.
        room: Option<OwnedSemaphorePermit>,
    },
    AgentGone {
        conn: ConnId,
    },
    ClientCame {
        conn: ConnId,
        caller: Caller,
        outgoing: Outgoing,
    },
    ClientFrame {
        conn: ConnId,
        frame: v1::ClientUp,
    },
    ClientGone {
        conn: ConnId,
    },
    Watch {
        caller: Caller,
        request: v1::WatchRequest,
        events_tx: WatcherTx,
    },
    Create {
        caller: Caller,
        machine: MachineId,
        spec: v1::SessionSpec,
        /// The machine's active session will do.
        is_join: bool,
        answer_tx: Answer,
    },
    Destroy {
        caller: Caller,
        session: SessionId,
        answer_tx: Answer,
    },
    Rename {
        caller: Caller,
        session: SessionId,
        name: String,
        answer_tx: Answer,
    },
    /// Whether the machine's own rules let a caller do something to a session of it.
    Admit {
        caller: Caller,
        machine: MachineId,
        admit: v1::AdmitRequest,
        answer_tx: oneshot::Sender<Result<bool, Refusal>>,
    },
    /// What a caller may see: everything, or one session.
    Look {
        caller: Caller,
        session: Option<SessionId>,
        answer_tx: oneshot::Sender<Result<View, Refusal>>,
    },
    /// The ways to a machine for commands and files.
    Lanes {
        caller: Caller,
        machine: MachineId,
        answer_tx: oneshot::Sender<Result<(Lanes, String), Refusal>>,
    },
    /// A key is revoked or has expired: whoever is connected with it is cut off and hears why.
    Revoked {
        caller: Caller,
        machine: Option<MachineId>,
        refusal: Refusal,
    },
    /// About who a machine is, or that it goes.
    Machine(MachineEvent),
}

impl Event {
    /// Whose key must be good at the moment this is done, however long it waited on its way.
    pub(super) fn caller(&self) -> Option<Caller> {
        match self {
            Event::AgentCame { agent, .. } => agent.caller(),
            Event::ClientCame { caller, .. }
            | Event::Watch { caller, .. }
            | Event::Create { caller, .. }
            | Event::Destroy { caller, .. }
            | Event::Rename { caller, .. }
            | Event::Admit { caller, .. }
            | Event::Look { caller, .. }
            | Event::Lanes { caller, .. } => Some(caller.clone()),
            Event::AgentFrame { .. }
            | Event::AgentGone { .. }
            | Event::ClientFrame { .. }
            | Event::ClientGone { .. }
            | Event::Revoked { .. }
            | Event::Machine(_) => None,
        }
    }

    /// Tells whoever waits for it that it is not done.
    pub(super) fn refuse(self, refusal: Refusal) {
        match self {
            Event::AgentCame { frames_tx, lanes, .. } => {
                let _ = frames_tx.try_send(Err(status_of(&refusal)));
                lanes.close();
            }
            Event::ClientCame { outgoing, .. } => outgoing.cut(status_of(&refusal)),
            Event::Watch { events_tx, .. } => drop(events_tx.try_send(Err(status_of(&refusal)))),
            Event::Create { answer_tx, .. } | Event::Destroy { answer_tx, .. } | Event::Rename { answer_tx, .. } => {
                drop(answer_tx.send(Err(refusal)));
            }
            Event::Admit { answer_tx, .. } => drop(answer_tx.send(Err(refusal))),
            Event::Look { answer_tx, .. } => drop(answer_tx.send(Err(refusal))),
            Event::Lanes { answer_tx, .. } => drop(answer_tx.send(Err(refusal))),
            Event::AgentFrame { .. }
            | Event::AgentGone { .. }
            | Event::ClientFrame { .. }
            | Event::ClientGone { .. }
            | Event::Revoked { .. }
            | Event::Machine(_) => {}
        }
    }
}

/// How many things a frame of an agent's changes that everybody who watches is shown.
pub(super) fn changes_of(frame: &v1::AgentUp) -> usize {
    use v1::agent_up::Frame;
    use v1::session_down::Frame as Down;
    match &frame.frame {
        Some(Frame::Sessions(list)) => 1 + list.sessions.len(),
        Some(Frame::Facts(_) | Frame::SessionAdded(_) | Frame::SessionRemoved(_) | Frame::SessionSilent(_)) => 1,
        Some(Frame::Heartbeat(_)) => 1,
        Some(Frame::Down(v1::RoutedDown { down: Some(down), .. })) => {
            usize::from(matches!(down.frame, Some(Down::Summary(_) | Down::Renamed(_))))
        }
        _ => 0,
    }
}

//! The fleet as it changes.

use tokio::sync::mpsc;

use super::FleetEvent;
use crate::fleet::MachineId;
use crate::wire::{SharedFleetEvent, v1};

/// Changes of the fleet, snapshot first; a new snapshot after every cut.
pub struct FleetWatch {
    pub(super) events_rx: mpsc::Receiver<FleetEvent>,
}

impl FleetWatch {
    /// The next change; `None` once the client is gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<FleetEvent> {
        self.events_rx.recv().await
    }
}

/// Puts the pieces of a snapshot together.
#[derive(Default)]
pub(super) struct Pieces {
    snapshot: v1::FleetSnapshot,
}

impl Pieces {
    /// What an event of the relay's means once it is whole; what cannot be read is passed over.
    pub(super) fn take(&mut self, event: SharedFleetEvent) -> Option<FleetEvent> {
        use v1::fleet_event::Event;
        Some(match event.event().ok()?.event? {
            Event::Snapshot(piece) => {
                self.snapshot.machines.extend(piece.machines);
                self.snapshot.sessions.extend(piece.sessions);
                if piece.more {
                    return None;
                }
                let snapshot = std::mem::take(&mut self.snapshot);
                FleetEvent::Snapshot {
                    machines: snapshot.machines.into_iter().filter_map(|machine| machine.try_into().ok()).collect(),
                    sessions: snapshot.sessions.into_iter().filter_map(|session| session.try_into().ok()).collect(),
                }
            }
            Event::Machine(machine) => FleetEvent::Machine(machine.try_into().ok()?),
            Event::MachineRemoved(id) => FleetEvent::MachineRemoved(MachineId::from_bytes(&id).ok()?),
            Event::Session(session) => FleetEvent::Session(session.try_into().ok()?),
            Event::SessionRemoved(gone) => FleetEvent::SessionRemoved {
                machine: MachineId::from_bytes(&gone.machine).ok()?,
                session: crate::fleet::SessionId::from_bytes(&gone.session).ok()?,
            },
        })
    }
}

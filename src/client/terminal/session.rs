//! A session in the words of the SDK.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::fleet::{Exit, Machine, MachineId, Session, SessionId, SessionStatus, Size, Viewer};
use crate::runtime::now_ms;

/// What is known of a session at the time it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    /// Its id, for as long as it lives.
    pub session_id: SessionId,
    /// How it is doing.
    pub status: SessionStatus,
    /// Where it lives, by display name.
    pub machine_hostname: String,
    /// Where it lives.
    pub machine_id: MachineId,
    /// Its name, or that of its program.
    pub name: String,
    /// Workspace it belongs to; empty for the default one.
    pub workspace_id: String,
    /// When it was made.
    pub created_at: SystemTime,
    /// When its machine connected it: at its birth, or when the machine's agent came back last.
    pub connected_at: Option<SystemTime>,
    /// Last sign of life of its machine.
    pub last_heartbeat_at: Option<SystemTime>,
    /// Last output of its program.
    pub last_output_at: Option<SystemTime>,
    /// Attached clients with their roles and principals, drivers and observers together; the first of them where there
    /// are very many.
    pub attached_clients: Vec<Viewer>,
    /// Those that type.
    pub drivers: u32,
    /// Those that watch.
    pub observers: u32,
    /// Its size.
    pub size: Size,
    /// Its window title.
    pub title: String,
    /// How its program ended, once it has.
    pub exit: Option<Exit>,
}

impl SessionInfo {
    pub(super) fn new(session: &Session, machine: Option<&Machine>) -> SessionInfo {
        let summary = &session.summary;
        let connected = machine.filter(|machine| machine.connected_ms > 0);
        SessionInfo {
            session_id: session.id(),
            status: SessionStatus::of(session, machine, now_ms()),
            machine_hostname: machine.map_or_else(|| "?".into(), |machine| machine.facts.name.clone()),
            machine_id: session.machine,
            name: session.display_name().into(),
            workspace_id: session.spec.workspace.clone(),
            created_at: time(session.created_ms),
            connected_at: connected.map(|machine| time(session.created_ms.max(machine.connected_ms))),
            last_heartbeat_at: machine.map(|machine| time(machine.last_seen_ms)),
            last_output_at: summary.last_output_ms.map(time),
            attached_clients: summary.clients.clone(),
            drivers: summary.drivers,
            observers: summary.observers,
            size: summary.size,
            title: summary.title.clone(),
            exit: summary.exit,
        }
    }
}

fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

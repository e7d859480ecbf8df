//! Everything that can happen to the wall.

use crate::client::{AttachEvent, ConnectionState};
use crate::fleet::{Machine, MachineId, Refusal, Session, SessionId};

use super::input::Input;
use super::model::PaneId;

/// One thing that happened; `update` is the only one who reads it.
#[derive(Clone, Debug)]
pub enum Msg {
    /// Time went on: milliseconds since the epoch.
    Time(u64),
    /// A person did something.
    Input(Input),
    /// The outer terminal has this size.
    Resized {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The way to the relay.
    Connection(ConnectionState),
    /// The fleet as it is now.
    Fleet {
        /// All machines.
        machines: Vec<Machine>,
        /// All sessions.
        sessions: Vec<Session>,
    },
    /// A machine appeared or changed.
    Machine(Machine),
    /// A machine is gone for good.
    MachineRemoved(MachineId),
    /// A session appeared or changed.
    Session(Session),
    /// A session is gone.
    SessionRemoved(SessionId),
    /// Something happened on a pane's attachment.
    Attach {
        /// Which pane.
        pane: PaneId,
        /// What.
        event: AttachEvent,
    },
    /// There is time for what replicas have not taken yet.
    Digest,
    /// Input was not taken.
    InputRefused {
        /// Which pane.
        pane: PaneId,
        /// Why.
        refusal: Refusal,
    },
    /// A session that was asked for exists.
    Created(Session),
    /// A session could not be made.
    CreateFailed {
        /// Which one was asked for.
        session: SessionId,
        /// Where.
        machine: MachineId,
        /// Why.
        message: String,
    },
    /// A session could not be ended.
    DestroyFailed {
        /// Which one.
        session: SessionId,
        /// Why.
        message: String,
    },
}

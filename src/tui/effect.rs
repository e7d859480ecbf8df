//! What the wall wants done; the driver does it and says what came of it as a message.

use bytes::Bytes;

use crate::fleet::{MachineId, Role, SessionId, SessionSpec, Size};

use super::model::PaneId;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Attach a pane to a session.
    Attach {
        /// The pane.
        pane: PaneId,
        /// Its session.
        session: SessionId,
        /// Role asked for.
        role: Role,
        /// Size of the pane's inside.
        size: Size,
    },
    /// Let go of a pane's session.
    Detach {
        /// The pane.
        pane: PaneId,
    },
    /// Send bytes to a pane's program.
    Input {
        /// The pane.
        pane: PaneId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Tell the relay, for its audit log, to whom what is typed goes from now on.
    Broadcast {
        /// The receivers; none: the broadcast is over.
        sessions: Vec<SessionId>,
    },
    /// Tell the keeper the pane's size.
    Resize {
        /// The pane.
        pane: PaneId,
        /// The size of its inside.
        size: Size,
    },
    /// Ask for another role.
    SetRole {
        /// The pane.
        pane: PaneId,
        /// The role.
        role: Role,
    },
    /// Ask for a keyframe with history.
    Refresh {
        /// The pane.
        pane: PaneId,
    },
    /// Make a session.
    Create {
        /// Where.
        machine: MachineId,
        /// What.
        spec: Box<SessionSpec>,
    },
    /// End a session and its program.
    Destroy {
        /// Which one.
        session: SessionId,
    },
    /// Stop this process until the shell continues it.
    Suspend,
    /// The outer terminal's contents are unknown: draw all of it.
    Redraw,
    /// Ring the outer terminal's bell.
    Bell,
    /// Leave the wall.
    Quit,
}

/// What one message leads to, in order.
pub type Effects = Vec<Effect>;

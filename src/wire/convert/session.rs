//! Sessions: what they are, what they do, how they end.

use super::{role, role_from, size, size_from};
use crate::fleet::{
    Exit, IdError, MachineId, NAME_CAP, PATH_CAP, Session, SessionId, SessionSpec, Summary, TITLE_CAP, Viewer, cleaned,
};
use crate::wire::v1;

impl From<&SessionSpec> for v1::SessionSpec {
    fn from(spec: &SessionSpec) -> Self {
        v1::SessionSpec {
            id: spec.id.as_bytes().to_vec().into(),
            name: spec.name.clone(),
            command: spec.command.clone(),
            cwd: spec.cwd.clone(),
            env: spec.env.clone().into_iter().collect(),
            size: Some(size(spec.size)),
            term: spec.term.clone(),
            log_bytes: spec.log_bytes.unwrap_or(0),
            history_bytes: spec.history_bytes.unwrap_or(0),
            until_pid: spec.until_pid.unwrap_or(0),
            workspace: spec.workspace.clone(),
            shared: spec.is_shared,
            posix_shell: spec.is_posix_shell,
            greeting: spec.greeting.clone(),
        }
    }
}

/// From the wire.
pub fn spec_from(spec: v1::SessionSpec) -> Result<SessionSpec, IdError> {
    Ok(SessionSpec {
        id: SessionId::from_bytes(&spec.id)?,
        name: spec.name,
        command: spec.command,
        cwd: spec.cwd,
        env: spec.env.into_iter().collect(),
        size: size_from(spec.size),
        term: spec.term,
        log_bytes: (spec.log_bytes > 0).then_some(spec.log_bytes),
        history_bytes: (spec.history_bytes > 0).then_some(spec.history_bytes),
        until_pid: (spec.until_pid > 0).then_some(spec.until_pid),
        workspace: spec.workspace,
        is_shared: spec.shared,
        is_posix_shell: spec.posix_shell,
        greeting: spec.greeting,
    })
}

impl From<Exit> for v1::Exited {
    fn from(exit: Exit) -> Self {
        v1::Exited { code: exit.code, signal: exit.signal.unwrap_or(0), offset: exit.offset }
    }
}

/// From the wire.
pub fn exit(exited: &v1::Exited) -> Exit {
    Exit { code: exited.code, signal: (exited.signal > 0).then_some(exited.signal), offset: exited.offset }
}

impl From<&Summary> for v1::Summary {
    fn from(summary: &Summary) -> Self {
        v1::Summary {
            offset: summary.offset,
            title: summary.title.clone(),
            cwd: summary.cwd.clone(),
            size: Some(size(summary.size)),
            drivers: summary.drivers,
            observers: summary.observers,
            viewers: summary.clients.iter().map(viewer).collect(),
            last_output_ms: summary.last_output_ms.unwrap_or(0),
            attached_ms: summary.attached_ms.unwrap_or(0),
            exited: summary.exit.map(Into::into),
        }
    }
}

/// From the wire.
pub fn summary_from(summary: v1::Summary) -> Summary {
    Summary {
        offset: summary.offset,
        title: cleaned(summary.title, TITLE_CAP),
        cwd: cleaned(summary.cwd, PATH_CAP),
        size: size_from(summary.size),
        drivers: summary.drivers,
        observers: summary.observers,
        clients: summary.viewers.into_iter().map(viewer_from).collect(),
        last_output_ms: (summary.last_output_ms > 0).then_some(summary.last_output_ms),
        attached_ms: (summary.attached_ms > 0).then_some(summary.attached_ms),
        exit: summary.exited.as_ref().map(exit),
    }
}

impl From<&Session> for v1::SessionInfo {
    fn from(session: &Session) -> Self {
        v1::SessionInfo {
            spec: Some((&session.spec).into()),
            pid: session.pid,
            created_ms: session.created_ms,
            summary: Some((&session.summary).into()),
        }
    }
}

/// From the wire; the machine is known from the link it came on.
pub fn session_from(machine: MachineId, info: v1::SessionInfo) -> Result<Session, IdError> {
    let mut spec = spec_from(info.spec.ok_or_else(|| IdError("session without a spec".into()))?)?;
    // A spec that is asked for is judged as it is; one that is told is for people.
    spec.name = cleaned(spec.name, NAME_CAP);
    spec.cwd = cleaned(spec.cwd, PATH_CAP);
    spec.term = cleaned(spec.term, NAME_CAP);
    spec.greeting = cleaned(spec.greeting, NAME_CAP);
    spec.workspace = cleaned(spec.workspace, NAME_CAP);
    if let Some(program) = spec.command.first_mut() {
        *program = cleaned(std::mem::take(program), PATH_CAP);
    }
    Ok(Session {
        machine,
        spec,
        pid: info.pid,
        created_ms: info.created_ms,
        summary: summary_from(info.summary.unwrap_or_default()),
    })
}

impl TryFrom<v1::Session> for Session {
    type Error = IdError;

    fn try_from(session: v1::Session) -> Result<Self, IdError> {
        let info = session.info.ok_or_else(|| IdError("session without info".into()))?;
        session_from(MachineId::from_bytes(&session.machine)?, info)
    }
}

impl From<&Session> for v1::Session {
    fn from(session: &Session) -> Self {
        v1::Session { machine: session.machine.as_bytes().to_vec().into(), info: Some(session.into()) }
    }
}

/// A client in a presence list or a summary.
pub(super) fn viewer(viewer: &Viewer) -> v1::Viewer {
    v1::Viewer {
        number: viewer.number,
        role: role(viewer.role),
        label: viewer.label.clone(),
        size: Some(size(viewer.size)),
        owns_size: viewer.owns_size,
        principal: viewer.principal.clone(),
    }
}

/// From the wire.
pub(super) fn viewer_from(viewer: v1::Viewer) -> Viewer {
    Viewer {
        number: viewer.number,
        role: role_from(viewer.role),
        label: cleaned(viewer.label, TITLE_CAP),
        size: size_from(viewer.size),
        owns_size: viewer.owns_size,
        principal: cleaned(viewer.principal, TITLE_CAP),
    }
}

/// The answer to a request to end a session.
pub fn destroyed_reply(id: SessionId) -> v1::reply::Reply {
    v1::reply::Reply::Destroyed(id.as_bytes().to_vec().into())
}

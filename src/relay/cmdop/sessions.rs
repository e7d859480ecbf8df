//! Finding, making and ending sessions.

use tokio::sync::oneshot;
use tonic::Status;

use super::places::{about, default_of, no_session, wish_of};
use super::{Call, Facade};
use crate::fleet::{Action, Code, Machine, Session, SessionId, SessionSpec, SessionStatus as Status_, Size};
use crate::relay::audit::Audited;
use crate::relay::core::View;
use crate::relay::event::Event;
use crate::relay::hub::stopping;
use crate::runtime::now_ms;
use crate::wire::cmdop::*;
use crate::wire::{Timestamp, status_of};

/// Rows of a list that asks for no number.
const LIMIT: usize = 20;
/// Workspace shown to whoever sees all of them.
const ALL_WORKSPACES: &str = "all workspaces";

pub(super) async fn health(facade: Facade, call: Call, _: HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
    let view = facade.view(&call.caller).await?;
    let living = || view.sessions.iter().filter(|session| session.summary.exit.is_none());
    let clients: u32 = living().map(|session| session.summary.drivers + session.summary.observers).sum();
    Ok(HealthCheckResponse {
        healthy: true,
        version: env!("CARGO_PKG_VERSION").into(),
        active_sessions: clamp(living().count() as u64),
        connected_clients: clamp(clients.into()),
    })
}

/// It lives, and says no more to whoever shows nothing.
pub(super) fn ping() -> HealthCheckResponse {
    HealthCheckResponse { healthy: true, version: env!("CARGO_PKG_VERSION").into(), ..Default::default() }
}

/// One line of a list: a session, or the one that a machine will have.
struct Row<'a> {
    id: SessionId,
    machine: &'a Machine,
    session: Option<&'a Session>,
    is_default: bool,
}

impl Row<'_> {
    fn status(&self, now: u64) -> &'static str {
        match self.session.map(|session| Status_::of(session, Some(self.machine), now)) {
            None | Some(Status_::Pending | Status_::Connected) => "connected",
            Some(Status_::GracePeriod) => "grace_period",
            Some(Status_::Disconnected) => "disconnected",
        }
    }

    fn shell(&self) -> String {
        self.session.and_then(|session| session.spec.command.first().cloned()).unwrap_or_else(|| "sh".into())
    }

    fn working_directory(&self) -> String {
        let told = self.session.map(|session| [&session.summary.cwd, &session.spec.cwd]);
        told.into_iter().flatten().find(|cwd| !cwd.is_empty()).cloned().unwrap_or_default()
    }

    fn connected_at(&self) -> Option<Timestamp> {
        timestamp(self.session.map_or(self.machine.connected_ms, |session| session.created_ms))
    }

    fn item(&self, now: u64) -> SessionInfoItem {
        SessionInfoItem {
            session_id: self.id.to_string(),
            machine_hostname: self.machine.facts.name.clone(),
            machine_name: self.machine.facts.name.clone(),
            status: self.status(now).into(),
            os: os(&self.machine.facts.os).into(),
            agent_version: self.machine.facts.version.clone(),
            heartbeat_age_seconds: age_s(self.machine, now) as i64,
            has_shell: true,
            shell: self.shell(),
            working_directory: self.working_directory(),
            connected_at: self.connected_at(),
        }
    }
}

/// Living sessions, and for each machine that is online its default one.
fn rows<'a>(view: &'a View, facade: &Facade, fits: impl Fn(&Machine) -> bool) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for machine in view.machines.iter().filter(|machine| fits(machine)) {
        let default = default_of(view, machine, &facade.inner.defaults);
        let here = view.sessions.iter().filter(|session| session.machine == machine.facts.id);
        rows.extend(here.filter(|session| session.summary.exit.is_none()).map(|session| Row {
            id: session.id(),
            machine,
            session: Some(session),
            is_default: default.is_ok_and(|default| default.id() == session.id()),
        }));
        if let (Err(id), true) = (default, machine.is_online) {
            rows.push(Row { id, machine, session: None, is_default: true });
        }
    }
    rows
}

pub(super) async fn list(
    facade: Facade,
    call: Call,
    request: ListSessionsRequest,
) -> Result<ListSessionsResponse, Status> {
    let view = facade.view(&call.caller).await?;
    let now = now_ms();
    let mut rows = rows(&view, &facade, |machine| is_part(machine, &request.hostname_filter));
    rows.retain(|row| request.status_filter.is_empty() || row.status(now).eq_ignore_ascii_case(&request.status_filter));
    // Who takes the first row wants what is most alive, and of one machine its own session.
    rows.sort_by_key(|row| {
        let last = row.session.and_then(|session| session.summary.last_output_ms).unwrap_or(0);
        (row.status(now) != "connected", age_s(row.machine, now), !row.is_default, u64::MAX - last, row.id)
    });
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(LIMIT);
    let offset = usize::try_from(request.offset).unwrap_or(0);
    Ok(ListSessionsResponse {
        total: clamp(rows.len() as u64),
        sessions: rows.iter().skip(offset).take(limit).map(|row| row.item(now)).collect(),
        workspace_name: call.caller.workspace.clone().unwrap_or_else(|| ALL_WORKSPACES.into()),
        error: String::new(),
    })
}

/// Shortest beginning of a machine's id that names it.
const ID_PART: usize = 8;

/// The machines that a host name, or an id or its beginning, means: the one that is called so, or else all whose name it is a
/// part of.
fn matches<'a>(machines: &'a [Machine], wanted: &str, is_partial: bool) -> Vec<&'a Machine> {
    let by = |fits: &dyn Fn(&Machine) -> bool| machines.iter().filter(|machine| fits(machine)).collect::<Vec<_>>();
    let lower = wanted.to_ascii_lowercase();
    let whole = [
        by(&|machine| machine.facts.id.to_string() == lower),
        by(&|machine| machine.facts.name == wanted),
        by(&|machine| machine.facts.name.eq_ignore_ascii_case(wanted)),
        by(&|machine| machine.facts.hostname.eq_ignore_ascii_case(wanted)),
    ];
    let by_id = || by(&|machine| lower.len() >= ID_PART && machine.facts.id.to_string().starts_with(&lower));
    let found = whole.into_iter().find(|found| !found.is_empty()).unwrap_or_else(by_id);
    if found.is_empty() && is_partial { by(&|machine| is_part(machine, wanted)) } else { found }
}

fn is_part(machine: &Machine, part: &str) -> bool {
    let part = part.to_lowercase();
    [&machine.facts.name, &machine.facts.hostname].into_iter().any(|name| name.to_lowercase().contains(&part))
}

pub(super) async fn by_hostname(
    facade: Facade,
    call: Call,
    request: GetSessionByHostnameRequest,
) -> Result<GetSessionByHostnameResponse, Status> {
    let view = facade.view(&call.caller).await?;
    let wanted = &request.hostname;
    let machine = match matches(&view.machines, wanted, request.partial_match)[..] {
        [] => {
            let error = format!(
                "no machine is called {:?}; see `fleetmux machines`",
                wanted.chars().take(100).collect::<String>()
            );
            return Ok(GetSessionByHostnameResponse { error, ..Default::default() });
        }
        [machine] if machine.is_online => machine,
        [machine] => {
            let name = &machine.facts.name;
            let error = format!("{name} is offline; run `fleetmux agent start` on it");
            return Ok(GetSessionByHostnameResponse { error, ..Default::default() });
        }
        ref several => {
            let mut names: Vec<&str> = several.iter().map(|machine| machine.facts.name.as_str()).take(12).collect();
            names.sort_unstable();
            let error = format!("{wanted:?} fits {} machines, among them {}", several.len(), names.join(", "));
            let matches_count = clamp(several.len() as u64);
            return Ok(GetSessionByHostnameResponse { ambiguous: true, matches_count, error, ..Default::default() });
        }
    };
    let (id, session) = match default_of(&view, machine, &facade.inner.defaults) {
        Ok(session) => (session.id(), Some(session)),
        Err(id) => (id, None),
    };
    let item = Row { id, machine, session, is_default: true }.item(now_ms());
    Ok(GetSessionByHostnameResponse {
        found: true,
        session_id: item.session_id,
        machine_hostname: item.machine_hostname,
        machine_name: item.machine_name,
        status: item.status,
        error: String::new(),
        connected_at: item.connected_at,
        heartbeat_age_seconds: item.heartbeat_age_seconds.clamp(0, i32::MAX.into()) as i32,
        has_shell: item.has_shell,
        shell: item.shell,
        working_directory: item.working_directory,
        ambiguous: false,
        matches_count: 1,
        os: item.os,
        agent_version: item.agent_version,
    })
}

pub(super) async fn status(
    facade: Facade,
    call: Call,
    request: GetSessionStatusRequest,
) -> Result<GetSessionStatusResponse, Status> {
    let view = facade.view(&call.caller).await?;
    let wanted = wish_of(&request.session_id).0.parse::<SessionId>().ok();
    let rows = rows(&view, &facade, |_| true);
    let Some(row) = rows.iter().find(|row| Some(row.id) == wanted) else {
        return Ok(GetSessionStatusResponse::default());
    };
    let status = match row.status(now_ms()) {
        "connected" => SessionStatus::Connected,
        // The schema has no word for a machine that is about to come back.
        "grace_period" => SessionStatus::Background,
        _ => SessionStatus::Disconnected,
    };
    Ok(GetSessionStatusResponse {
        exists: true,
        status: status as i32,
        agent_hostname: row.machine.facts.name.clone(),
        connected_at: row.connected_at(),
        last_heartbeat_at: timestamp(row.machine.last_seen_ms),
        commands_count: 0,
    })
}

pub(super) async fn create(
    facade: Facade,
    call: Call,
    request: CreateSessionRequest,
) -> Result<CreateSessionResponse, Status> {
    let config = request.config.unwrap_or_default();
    let machine = facade.machine(&call, &facade.view(&call.caller).await?)?;
    let size = config.size.filter(|size| size.rows > 0 && size.cols > 0);
    let spec = SessionSpec {
        name: request.name,
        is_posix_shell: config.shell.is_empty(),
        command: Some(config.shell).filter(|shell| !shell.is_empty()).into_iter().collect(),
        cwd: config.working_directory,
        env: config.env.into_iter().collect(),
        size: size.map_or(Size::DEFAULT, |size| Size::new(size.rows as u32, size.cols as u32)),
        ..SessionSpec::shell()
    };
    let session = facade.create(&call, &machine, spec).await?;
    Ok(CreateSessionResponse { success: true, session_id: session.id().to_string(), error: String::new() })
}

pub(super) async fn close(
    facade: Facade,
    call: Call,
    request: CloseSessionRequest,
) -> Result<CloseSessionResponse, Status> {
    let place = match facade.place(&call, &request.session_id).await {
        // Its program has ended already.
        Err(status) if status.code() == tonic::Code::NotFound => return Err(no_session(&request.session_id)),
        other => other?,
    };
    facade.may(&call, &place, Action::Drive).await?;
    let closed = CloseSessionResponse { success: true, error: String::new() };
    if place.known.is_none() {
        facade.forget_default(&place);
        return Ok(closed);
    }
    let (answer_tx, answer_rx) = oneshot::channel();
    let destroy = Event::Destroy { caller: call.caller.clone(), session: place.session, answer_tx };
    facade.inner.events_tx.send(destroy).await.map_err(|_| stopping())?;
    let answer = answer_rx.await.map_err(|_| stopping())?;
    facade.inner.auth.audit.record(Audited::SessionDestroy {
        principal: call.caller.principal.to_string(),
        workspace: place.machine.facts.workspace.clone(),
        session: place.session.to_string(),
        outcome: answer.as_ref().map_or_else(|refusal| refusal.message.clone(), |_| "ok".into()),
    });
    match answer {
        // Somebody else ended it meanwhile.
        Err(refusal) if refusal.code != Code::NotFound => Err(status_of(&refusal)),
        Err(refusal) => Err(about(place.session)(refusal)),
        Ok(_) => Ok(closed),
    }
}

/// The family of an operating system.
fn os(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    match () {
        () if name.contains("mac") || name.contains("darwin") => "macos",
        () if name.contains("windows") => "windows",
        () => "linux",
    }
}

fn age_s(machine: &Machine, now: u64) -> u64 {
    now.saturating_sub(machine.last_seen_ms) / 1000
}

fn timestamp(ms: u64) -> Option<Timestamp> {
    (ms > 0).then(|| Timestamp { seconds: (ms / 1000) as i64, nanos: (ms % 1000 * 1_000_000) as i32 })
}

fn clamp(count: u64) -> i32 {
    count.min(i32::MAX as u64) as i32
}

//! What is told of machines and sessions, and what opens by itself because of it.

use crate::fleet::{Machine, MachineId, Role, Session, SessionId, SessionSpec};

use super::super::effect::{Effect, Effects};
use super::super::model::{Model, Open, PaneId, Severity};
use super::{broadcast, panes, say};

/// Everything anew: the first snapshot opens what was asked for.
pub(super) fn snapshot(model: &mut Model, machines: Vec<Machine>, sessions: Vec<Session>, effects: &mut Effects) {
    let is_first = !model.fleet.is_known;
    model.fleet.replace(machines, sessions);
    let moved: Vec<(SessionId, MachineId)> =
        model.fleet.sessions().map(|session| (session.id(), session.machine)).collect();
    for (session, machine) in moved {
        follow(model, session, machine);
    }
    if is_first && let Open::Sessions(ids) = model.setup.open.clone() {
        let wanted: Vec<_> =
            ids.iter().filter_map(|id| model.fleet.session(*id)).map(|s| (s.machine, s.id())).collect();
        if wanted.len() < ids.len() {
            say(model, Severity::Warning, "A session that was asked for is gone");
        }
        open_all(model, wanted, effects);
        if model.setup.broadcasts && !model.panes.is_empty() {
            model.panes.values_mut().for_each(|pane| pane.is_marked = true);
            broadcast::start(model, effects);
        }
    }
    open_new(model, effects);
    ask_first_shell(model, effects);
    model.touch_sidebar();
    model.touch_frames();
}

/// A machine appeared or changed.
pub(super) fn machine(model: &mut Model, machine: Machine, effects: &mut Effects) {
    let id = machine.facts.id;
    let was_online = model.fleet.machine(id).map(|known| known.is_online);
    let name = machine.facts.name.clone();
    let is_online = machine.is_online;
    model.fleet.put_machine(machine);
    if was_online.is_some_and(|was| was != is_online) {
        if is_online {
            say(model, Severity::Success, format!("{name} is back"));
        } else {
            say(model, Severity::Warning, format!("{name} went offline; its sessions live on there"));
        }
        model.touch_frames();
    }
    ask_first_shell(model, effects);
    model.touch_sidebar();
    model.touch_status();
}

/// A session appeared or changed.
pub(super) fn session(model: &mut Model, session: Session, effects: &mut Effects) {
    let id = session.id();
    let has_new_name = model.fleet.session(id).is_none_or(|known| known.summary.title != session.summary.title);
    let machine = session.machine;
    model.fleet.put_session(session);
    follow(model, id, machine);
    if has_new_name && let Some(pane) = model.pane_of(id).and_then(|pane| model.panes.get_mut(&pane)) {
        pane.is_frame_stale = true;
    }
    open_new(model, effects);
    model.touch_sidebar();
}

/// A session is another machine's now, as when a host was made anew: its pane goes along.
fn follow(model: &mut Model, session: SessionId, machine: MachineId) {
    let pane = model.pane_of(session).and_then(|pane| model.panes.get_mut(&pane));
    if let Some(pane) = pane.filter(|pane| pane.machine != machine) {
        pane.machine = machine;
        pane.is_frame_stale = true;
    }
}

/// A machine is no part of the fleet any more; a pane of it keeps its last screen.
pub(super) fn machine_removed(model: &mut Model, id: MachineId) {
    model.fleet.remove_machine(id);
    if model.panes.values().any(|pane| pane.machine == id) {
        let name = model.fleet.machine_name(id).to_string();
        say(model, Severity::Warning, format!("{name} was removed from the fleet"));
    }
    model.touch_sidebar();
    model.touch_frames();
}

/// A session is gone; a pane that shows it keeps its last screen.
pub(super) fn session_removed(model: &mut Model, id: SessionId) {
    // The spec stays readable for a pane that may want to run it again.
    if model.pane_of(id).is_none() {
        model.fleet.remove_session(id);
    }
    model.touch_sidebar();
}

/// A session that was asked for exists.
pub(super) fn created(model: &mut Model, session: Session, effects: &mut Effects) {
    let (id, machine) = (session.id(), session.machine);
    model.mine.insert(id);
    model.fleet.put_session(session);
    if !panes::succeed(model, id, effects) && model.pane_of(id).is_none() {
        panes::open(model, machine, id, Role::Driver, true, effects);
    }
    model.touch_sidebar();
}

/// A session could not be made.
pub(super) fn create_failed(model: &mut Model, session: SessionId, machine: MachineId, message: &str) {
    for pane in model.panes.values_mut().filter(|pane| pane.successor == Some(session)) {
        pane.successor = None;
        pane.is_frame_stale = true;
    }
    let name = model.fleet.machine_name(machine).to_string();
    say(model, Severity::Error, format!("{name}: no session: {message}"));
}

/// Asks for a session on a machine; it opens with the wheel in hand.
pub(super) fn create(model: &mut Model, machine: MachineId, mut spec: SessionSpec, effects: &mut Effects) {
    spec.size = model.likely_size(model.order.len() + 1);
    // A shell is the one of its machine: who connects there joins it.
    spec.is_shared |= spec.command.is_empty();
    model.mine.insert(spec.id);
    model.known.insert(spec.id);
    effects.push(Effect::Create { machine, spec: Box::new(spec) });
}

/// `web-1 · shell`.
pub(super) fn session_label(model: &Model, id: SessionId) -> String {
    match model.fleet.session(id) {
        Some(session) => format!("{} · {}", model.fleet.machine_name(session.machine), session.display_name()),
        None => "the session".to_string(),
    }
}

/// Opens sessions that nobody here has seen yet, if the wall is to show all of them.
fn open_new(model: &mut Model, effects: &mut Effects) {
    if model.setup.open != Open::AllSessions {
        return;
    }
    let is_new = |session: &&Session| session.summary.exit.is_none() && !model.known.contains(&session.id());
    let mut fresh: Vec<&Session> = model.fleet.sessions().filter(is_new).collect();
    // Machines side by side as the sidebar has them.
    fresh.sort_by_key(|s| (model.fleet.machine_name(s.machine), s.id()));
    let wanted = fresh.iter().map(|session| (session.machine, session.id())).collect();
    open_all(model, wanted, effects);
}

fn open_all(model: &mut Model, wanted: Vec<(MachineId, SessionId)>, effects: &mut Effects) {
    let opened: Vec<PaneId> =
        wanted.into_iter().map_while(|(machine, session)| panes::open_quietly(model, machine, session)).collect();
    if opened.is_empty() {
        return;
    }
    model.focused = model.focused.or(opened.first().copied());
    model.arrange(effects);
    for id in opened {
        let is_mine = model.setup.drives || model.panes.get(&id).is_some_and(|pane| model.mine.contains(&pane.session));
        panes::attach(model, id, if is_mine { Role::Driver } else { Role::Observer }, effects);
    }
}

/// A newcomer sees a live pane at once: a fleet without sessions gets a shell on this very machine.
fn ask_first_shell(model: &mut Model, effects: &mut Effects) {
    if model.has_asked_shell || !model.fleet.is_known {
        return;
    }
    if model.fleet.sessions().any(|session| session.summary.exit.is_none()) {
        model.has_asked_shell = true;
        return;
    }
    let Some(hostname) = &model.setup.shell_on else { return };
    let here = model.fleet.online().find(|machine| machine.facts.hostname == *hostname).map(|machine| machine.facts.id);
    if let Some(machine) = here {
        model.has_asked_shell = true;
        create(model, machine, SessionSpec::shell(), effects);
    }
}

//! Opening, closing and walking between panes.

use ratatui::layout::Rect;

use crate::fleet::{MachineId, Role, SessionId, SessionSpec};

use super::super::effect::{Effect, Effects};
use super::super::model::{Model, PANE_CAP, Pane, PaneId, Severity};
use super::{broadcast, keys, say};

/// A direction on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Left,
    Down,
    Up,
    Right,
}

/// Opens a pane on a session. Several at once go through [`open_quietly`] and one `arrange`.
pub(super) fn open(
    model: &mut Model,
    machine: MachineId,
    session: SessionId,
    role: Role,
    is_focused: bool,
    effects: &mut Effects,
) {
    let Some(id) = open_quietly(model, machine, session) else {
        return say(model, Severity::Warning, format!("The wall is full: {PANE_CAP} panes are open; close one with x"));
    };
    if is_focused || model.focused.is_none() {
        model.focused = Some(id);
    }
    model.arrange(effects);
    attach(model, id, role, effects);
    model.touch_frames();
}

/// Makes the pane without arranging or attaching; `None` when the wall is full.
pub(super) fn open_quietly(model: &mut Model, machine: MachineId, session: SessionId) -> Option<PaneId> {
    if model.order.len() >= PANE_CAP {
        return None;
    }
    let id = model.next_pane_id();
    let size =
        model.fleet.session(session).map_or(model.likely_size(model.order.len() + 1), |known| known.summary.size);
    model.panes.insert(id, Pane::new(id, machine, session, size, model.setup.history_bytes));
    model.order.push(id);
    model.known.insert(session);
    Some(id)
}

/// Attaches a placed pane.
pub(super) fn attach(model: &mut Model, id: PaneId, role: Role, effects: &mut Effects) {
    let fallback = model.likely_size(model.order.len());
    let Some(pane) = model.panes.get_mut(&id) else { return };
    let size = pane.inner().unwrap_or(fallback);
    pane.asked = Some(role);
    pane.told = (role == Role::Driver).then_some(size);
    effects.push(Effect::Attach { pane: id, session: pane.session, role, size });
}

/// Closes a pane; its session lives on.
pub(super) fn close(model: &mut Model, id: PaneId, effects: &mut Effects) {
    let Some(index) = model.order.iter().position(|other| *other == id) else { return };
    model.order.remove(index);
    model.panes.remove(&id);
    effects.push(Effect::Detach { pane: id });
    if model.focused == Some(id) {
        model.focused = model.order.get(index).or(model.order.last()).copied();
        model.is_zoomed = false;
    }
    model.arrange(effects);
    broadcast::check(model);
    model.touch_frames();
}

/// Gives a pane the focus, turning the page if need be.
pub(super) fn focus(model: &mut Model, id: PaneId, effects: &mut Effects) {
    if !model.panes.contains_key(&id) {
        return;
    }
    if model.focused != Some(id) {
        if model.has_outer_focus {
            keys::focus_changed(model, false, effects);
        }
        model.focused = Some(id);
        if model.has_outer_focus {
            keys::focus_changed(model, true, effects);
        }
        let now = model.now_ms;
        for pane in model.panes.values_mut() {
            pane.settle(now, pane.id == id);
        }
    }
    if model.is_zoomed || model.page_of(id) != model.page {
        model.arrange(effects);
    }
    model.touch_frames();
}

/// The next or previous pane in order, around the ends.
pub(super) fn focus_step(model: &mut Model, by: isize, effects: &mut Effects) {
    let Some(index) = model.order.iter().position(|id| Some(*id) == model.focused) else { return };
    let next = (index as isize + by).rem_euclid(model.order.len() as isize) as usize;
    focus(model, model.order[next], effects);
}

/// The nearest pane in a direction.
pub(super) fn focus_towards(model: &mut Model, direction: Direction, effects: &mut Effects) {
    let Some(from) = model.focused_pane().and_then(|pane| pane.rect) else { return };
    let best = model
        .visible()
        .filter_map(|pane| Some((distance(from, pane.rect?, direction)?, pane.id)))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, id)) = best {
        focus(model, id, effects);
    }
}

/// How far `to` lies in a direction: first along it, then how far its middle is off to the side.
fn distance(from: Rect, to: Rect, direction: Direction) -> Option<(u16, u16)> {
    let middle = |rect: Rect| (rect.x + rect.width / 2, rect.y + rect.height / 2);
    let ((from_x, from_y), (to_x, to_y)) = (middle(from), middle(to));
    let along = match direction {
        Direction::Left => from.left().checked_sub(to.right()),
        Direction::Right => to.left().checked_sub(from.right()),
        Direction::Up => from.top().checked_sub(to.bottom()),
        Direction::Down => to.top().checked_sub(from.bottom()),
    }?;
    let aside = match direction {
        Direction::Left | Direction::Right => from_y.abs_diff(to_y),
        Direction::Up | Direction::Down => from_x.abs_diff(to_x),
    };
    Some((along, aside))
}

/// Asks for a role.
pub(super) fn ask_role(model: &mut Model, id: PaneId, role: Role, effects: &mut Effects) {
    let Some(pane) = model.panes.get_mut(&id) else { return };
    pane.asked = Some(role);
    pane.typed_ahead.clear();
    effects.push(Effect::SetRole { pane: id, role });
    model.touch_frames();
}

/// Output was skipped and somebody looks back: asks for a keyframe with history, once.
pub(super) fn fill_history_gap(model: &mut Model, effects: &mut Effects) {
    let Some(pane) = model.focused_pane_mut().filter(|pane| pane.has_history_gap) else { return };
    pane.has_history_gap = false;
    effects.push(Effect::Refresh { pane: pane.id });
}

/// Runs the ended program of the focused pane again, in the same pane.
pub(super) fn restart(model: &mut Model, effects: &mut Effects) {
    let size = model.focused_pane().and_then(Pane::inner);
    let Some(pane) = model.focused_pane().filter(|pane| pane.is_over() && pane.successor.is_none()) else { return };
    let Some(old) = model.fleet.session(pane.session) else {
        return say(model, Severity::Warning, "The session is gone, its command with it: x closes the pane");
    };
    let mut spec = SessionSpec { id: SessionId::random(), ..old.spec.clone() };
    spec.size = size.unwrap_or(spec.size);
    let (id, machine) = (spec.id, old.machine);
    model.mine.insert(id);
    model.known.insert(id);
    if let Some(pane) = model.focused_pane_mut() {
        pane.successor = Some(id);
        pane.is_frame_stale = true;
    }
    effects.push(Effect::Create { machine, spec: Box::new(spec) });
}

/// Puts a new session into the pane that waits for it; `false` if none does.
pub(super) fn succeed(model: &mut Model, session: SessionId, effects: &mut Effects) -> bool {
    let Some(id) = model.panes.values().find(|pane| pane.successor == Some(session)).map(|pane| pane.id) else {
        return false;
    };
    let new_id = model.next_pane_id();
    let Some(old) = model.panes.remove(&id) else { return false };
    effects.push(Effect::Detach { pane: id });
    effects.push(Effect::Destroy { session: old.session });
    let size = old.inner().unwrap_or(old.screen.size());
    let mut pane = Pane::new(new_id, old.machine, session, size, model.setup.history_bytes);
    pane.is_marked = old.is_marked;
    model.panes.insert(new_id, pane);
    for slot in model.order.iter_mut().filter(|slot| **slot == id) {
        *slot = new_id;
    }
    if model.focused == Some(id) {
        model.focused = Some(new_id);
    }
    model.arrange(effects);
    attach(model, new_id, Role::Driver, effects);
    true
}

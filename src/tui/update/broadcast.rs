//! One input, many panes: marking them, turning it on and off, sending.

use crate::fleet::Role;

use super::super::effect::{Effect, Effects};
use super::super::input::KeyPress;
use super::super::model::{Focus, Model, Overlay, PaneId, Question, Severity};
use super::{keys, overlays, panes, say};

/// A key to all receivers, encoded for each one's modes.
pub(super) fn key(model: &mut Model, press: KeyPress, effects: &mut Effects) {
    each(model, |model, id| {
        if let Some(pane) = model.panes.get_mut(&id) {
            keys::type_into(pane, press, effects);
        }
    });
}

/// A paste to all receivers, bracketed where asked.
pub(super) fn paste(model: &mut Model, text: &[u8], effects: &mut Effects) {
    each(model, |model, id| {
        if let Some(pane) = model.panes.get(&id) {
            keys::paste_into(pane, text, effects);
        }
    });
}

fn each(model: &mut Model, mut send: impl FnMut(&mut Model, PaneId)) {
    let receivers: Vec<PaneId> = model.receivers().map(|pane| pane.id).collect();
    for id in receivers {
        send(model, id);
    }
}

/// Marks or unmarks the focused pane; while a broadcast is on, marking takes the wheel.
pub(super) fn mark(model: &mut Model, effects: &mut Effects) {
    let is_on = model.is_broadcasting;
    let Some(pane) = model.focused_pane_mut() else { return };
    if pane.is_over() {
        return say(model, Severity::Info, "An ended session receives nothing");
    }
    pane.is_marked = !pane.is_marked;
    let ask = (is_on && pane.is_marked && !pane.is_driven()).then_some(pane.id);
    pane.is_borrowed |= ask.is_some();
    if let Some(id) = ask {
        panes::ask_role(model, id, Role::Driver, effects);
    }
    check(model);
    model.touch_frames();
    if !is_on {
        let count = model.panes.values().filter(|pane| pane.is_marked).count();
        say(
            model,
            Severity::Info,
            format!("{} marked; {} b broadcasts to them", plural(count), model.setup.keymap.leader),
        );
    }
}

/// Marks all panes on all pages, or none if all are marked.
pub(super) fn mark_all(model: &mut Model) {
    if model.is_broadcasting {
        return say(model, Severity::Info, "Turn the broadcast off first");
    }
    let is_all = model.panes.values().all(|pane| pane.is_marked || pane.is_over());
    for pane in model.panes.values_mut() {
        pane.is_marked = !is_all && !pane.is_over();
    }
    model.touch_frames();
    let count = model.panes.values().filter(|pane| pane.is_marked).count();
    say(model, Severity::Info, format!("{} marked", plural(count)));
}

/// Turns the broadcast off, or asks whether to turn it on.
pub(super) fn toggle(model: &mut Model, effects: &mut Effects) {
    if model.is_broadcasting {
        return stop(model, effects);
    }
    if !model.panes.values().any(|pane| pane.is_marked && !pane.is_over()) {
        return say(model, Severity::Warning, "No pane is marked: m marks one, M all of them");
    }
    overlays::push(model, Overlay::Confirm(Question::Broadcast));
}

/// Off again: a wheel that was taken only for the broadcast is given back.
fn stop(model: &mut Model, effects: &mut Effects) {
    model.is_broadcasting = false;
    let borrowed: Vec<PaneId> = model.panes.values().filter(|pane| pane.is_borrowed).map(|pane| pane.id).collect();
    for id in &borrowed {
        if let Some(pane) = model.panes.get_mut(id) {
            pane.is_borrowed = false;
            if pane.is_driven() && !pane.is_over() {
                panes::ask_role(model, *id, Role::Observer, effects);
            }
        }
    }
    model.touch_frames();
    let text = match borrowed.len() {
        0 => "Broadcast is off".to_string(),
        count => format!("Broadcast is off; you only observe {} again", plural(count)),
    };
    say(model, Severity::Info, text);
}

/// The answer was yes: takes the wheel of all marked panes.
pub(super) fn start(model: &mut Model, effects: &mut Effects) {
    model.is_broadcasting = true;
    model.toasts.clear();
    let marked: Vec<PaneId> =
        model.order.iter().copied().filter(|id| model.panes.get(id).is_some_and(|pane| pane.is_marked)).collect();
    for id in &marked {
        let Some(pane) = model.panes.get_mut(id) else { continue };
        pane.leave_scroll();
        if !pane.is_driven() && !pane.is_over() {
            pane.is_borrowed = true;
            panes::ask_role(model, *id, Role::Driver, effects);
        }
    }
    // The focus goes into the group: otherwise the first key would go elsewhere.
    if !model.focused_pane().is_some_and(|pane| pane.is_marked)
        && let Some(first) = marked.first()
    {
        panes::focus(model, *first, effects);
    }
    model.focus = Focus::Panes;
    model.touch_frames();
}

/// Panes that ended leave the group; a broadcast without receivers or candidates is off.
pub(super) fn check(model: &mut Model) {
    for pane in model.panes.values_mut().filter(|pane| pane.is_marked && pane.is_over()) {
        pane.is_marked = false;
        pane.is_frame_stale = true;
    }
    if model.is_broadcasting && !model.panes.values().any(|pane| pane.is_marked) {
        model.is_broadcasting = false;
        model.touch_frames();
        say(model, Severity::Warning, "Broadcast is off: no pane receives any more");
    }
}

/// Lets the relay know of a group that changed, before anything is typed into it.
pub(super) fn tell(model: &mut Model, effects: &mut Effects) {
    if !model.broadcast_group().eq(model.told_receivers.iter().copied()) {
        model.told_receivers = model.broadcast_group().collect();
        effects.insert(0, Effect::Broadcast { sessions: model.told_receivers.clone() });
    }
}

/// "1 pane", "5 panes".
pub(super) fn plural(count: usize) -> String {
    format!("{count} pane{}", if count == 1 { "" } else { "s" })
}

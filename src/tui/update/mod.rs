//! The only place where the wall changes: a message in, effects out. Deterministic but for new session ids.

mod actions;
mod attach;
mod broadcast;
mod fleet;
mod keys;
mod mouse;
mod overlays;
mod panes;

use super::effect::{Effect, Effects};
use super::input::Input;
use super::model::{Focus, Model, SKIPPED_SHOWN_MS, Severity};
use super::msg::Msg;

/// Takes one message.
pub fn update(model: &mut Model, msg: Msg) -> Effects {
    let mut effects = Effects::new();
    let emptiness = model.emptiness();
    match msg {
        Msg::Time(now_ms) => time(model, now_ms),
        Msg::Input(input) => person(model, input, &mut effects),
        Msg::Resized { cols, rows } => {
            model.screen = (cols, rows);
            model.arrange(&mut effects);
        }
        Msg::Connection(connection) => {
            if model.connection != connection {
                model.connection = connection;
                model.touch_status();
                model.touch_sidebar();
            }
        }
        Msg::Fleet { machines, sessions } => fleet::snapshot(model, machines, sessions, &mut effects),
        Msg::Machine(machine) => fleet::machine(model, machine, &mut effects),
        Msg::MachineRemoved(id) => fleet::machine_removed(model, id),
        Msg::Session(session) => fleet::session(model, session, &mut effects),
        Msg::SessionRemoved(id) => fleet::session_removed(model, id),
        Msg::Attach { pane, event } => attach::event(model, pane, event, &mut effects),
        Msg::Digest => attach::digest(model, &mut effects),
        Msg::InputRefused { pane, refusal } => attach::refused(model, pane, &refusal),
        Msg::Created(session) => fleet::created(model, session, &mut effects),
        Msg::CreateFailed { session, machine, message } => fleet::create_failed(model, session, machine, &message),
        Msg::DestroyFailed { session, message } => {
            let name = fleet::session_label(model, session);
            say(model, Severity::Error, format!("{name} could not be ended: {message}"));
        }
    }
    // A wall without panes says why it has none.
    if model.order.is_empty() && model.emptiness() != emptiness {
        model.touch_all();
    }
    broadcast::tell(model, &mut effects);
    effects
}

/// Puts a message into the status line.
fn say(model: &mut Model, severity: Severity, text: impl Into<String>) {
    let now = model.now_ms;
    model.toasts.push(now, severity, text);
    model.touch_status();
}

fn time(model: &mut Model, now_ms: u64) {
    let was = std::mem::replace(&mut model.now_ms, now_ms);
    if model.toasts.expire(now_ms) {
        model.touch_status();
    }
    // "4 min ago" and the like age by the second.
    if was / 1000 != now_ms / 1000 {
        if model.areas.sidebar.is_some() {
            model.touch_sidebar();
        }
        for pane in model.panes.values_mut() {
            let was_shown = pane.skipped_at_ms.is_some_and(|at| was < at + SKIPPED_SHOWN_MS);
            if was_shown && pane.skipped_at_ms.is_some_and(|at| now_ms >= at + SKIPPED_SHOWN_MS) {
                pane.is_frame_stale = true;
            }
        }
    }
}

fn person(model: &mut Model, input: Input, effects: &mut Effects) {
    if model.is_cramped() {
        // Nothing is to be seen, so nothing is to be hit; only leaving works.
        if let Input::Key(press) = input
            && matches!(press.to_string().as_str(), "q" | "Ctrl+c" | "Esc")
        {
            effects.push(Effect::Quit);
        }
        return;
    }
    match input {
        Input::Key(press) => keys::key(model, press.normalised(), effects),
        Input::Paste(text) => keys::paste(model, &text, effects),
        Input::Mouse(mouse) => mouse::mouse(model, mouse, effects),
        Input::Focus(is_focused) => {
            model.has_outer_focus = is_focused;
            keys::focus_changed(model, is_focused, effects);
        }
    }
}

/// Gives the keys to the panes or to the sidebar.
fn set_focus(model: &mut Model, focus: Focus, effects: &mut Effects) {
    if model.focus == focus {
        return;
    }
    model.focus = focus;
    model.sidebar.is_filtering = false;
    if focus == Focus::Sidebar {
        let rows = model.sidebar.rows(&model.fleet);
        let current = model.focused_pane().map(|pane| pane.session);
        model.sidebar.selected = rows
            .iter()
            .find(|row| row.session().is_some() && row.session() == current)
            .copied()
            .or(model.sidebar.selected)
            .or(rows.first().copied());
    }
    model.touch_frames();
    if model.is_drawer || model.areas.sidebar.is_none() {
        model.arrange(effects);
    }
}

//! Where a key goes: to an overlay, to an action, or to a program.

use bytes::Bytes;

use crate::term::keys::{Key, encode_focus, encode_key, encode_paste};

use super::super::effect::{Effect, Effects};
use super::super::input::{Action, Context, KeyPress};
use super::super::model::{Focus, Model, Pane, Severity};
use super::{actions, broadcast, overlays, say};

/// Whoever types on after less than this has not looked what has become of it.
const PAUSE_MS: u64 = 700;
/// Whoever typed less than this ago is typing still.
const TYPING_MS: u64 = 2_000;

/// What is typed into has gone: keys that follow at once are meant for it, and go nowhere.
pub(super) fn hush(model: &mut Model) {
    model.is_hushed = model.focused.is_some() && model.now_ms.saturating_sub(model.key_ms) < TYPING_MS;
}

/// A key was pressed.
pub(super) fn key(model: &mut Model, press: KeyPress, effects: &mut Effects) {
    if !model.overlays.is_empty() {
        return overlays::key(model, press, effects);
    }
    if model.is_leader_down {
        return after_leader(model, press, effects);
    }
    let paused_ms = model.now_ms.saturating_sub(std::mem::replace(&mut model.key_ms, model.now_ms));
    if press == model.setup.keymap.leader {
        model.is_hushed = false;
        model.is_leader_down = true;
        return model.touch_status();
    }
    // Closing one pane after another is no typing.
    let closes = model.focused_pane().is_some_and(|pane| !pane.is_driven())
        && model.setup.keymap.action(Context::Watching, press) == Some(Action::ClosePane);
    if model.is_hushed && paused_ms < PAUSE_MS && !closes {
        return say(
            model,
            Severity::Info,
            format!("{press} went nowhere: what you typed into is gone; pause, then go on"),
        );
    }
    model.is_hushed = false;
    if model.focus == Focus::Sidebar {
        return in_sidebar(model, press, effects);
    }
    if model.is_broadcast_here() {
        return broadcast::key(model, press, effects);
    }
    match model.focused_pane_mut() {
        Some(pane) if pane.asked.is_some_and(|role| role != pane.role) && !pane.is_driven() => pane.type_ahead(press),
        Some(pane) if pane.is_driven() && !pane.is_scrolling() => type_into(pane, press, effects),
        pane => {
            let context = if pane.is_some_and(|pane| pane.is_over()) { Context::Ended } else { Context::Watching };
            let keymap = &model.setup.keymap;
            match keymap.action(context, press).or_else(|| keymap.action(Context::Watching, press)) {
                Some(action) => actions::perform(model, action, effects),
                None => explain(model, press),
            }
        }
    }
}

/// Sends a key to a pane's program, as the program's modes want it.
pub(super) fn type_into(pane: &mut Pane, press: KeyPress, effects: &mut Effects) {
    let bytes = encode_key(press.key, press.mods, &pane.screen.modes());
    if !bytes.is_empty() {
        effects.push(Effect::Input { pane: pane.id, bytes: Bytes::from(bytes) });
    }
}

/// Text was pasted.
pub(super) fn paste(model: &mut Model, text: &[u8], effects: &mut Effects) {
    if !model.overlays.is_empty() {
        return overlays::paste(model, text);
    }
    if model.focus == Focus::Sidebar {
        if model.sidebar.is_filtering {
            String::from_utf8_lossy(text).chars().for_each(|c| model.sidebar.filter.insert(c));
            model.touch_sidebar();
        }
        return;
    }
    if model.is_broadcast_here() {
        return broadcast::paste(model, text, effects);
    }
    match model.focused_pane_mut() {
        Some(pane) if pane.is_driven() => {
            if pane.is_scrolling() {
                pane.leave_scroll();
            }
            paste_into(pane, text, effects);
        }
        Some(_) => say(model, Severity::Warning, "You only observe this pane: take the wheel with i before you paste"),
        None => {}
    }
}

/// Sends a paste to a pane's program, bracketed if the program asked.
pub(super) fn paste_into(pane: &Pane, text: &[u8], effects: &mut Effects) {
    let bytes = encode_paste(text, &pane.screen.modes());
    if !bytes.is_empty() {
        effects.push(Effect::Input { pane: pane.id, bytes: Bytes::from(bytes) });
    }
}

/// The outer terminal got or lost the focus: the focused program may want to know.
pub(super) fn focus_changed(model: &mut Model, is_focused: bool, effects: &mut Effects) {
    let Some(pane) = model.focused_pane().filter(|pane| pane.is_driven()) else { return };
    let bytes = encode_focus(is_focused, &pane.screen.modes());
    if !bytes.is_empty() {
        effects.push(Effect::Input { pane: pane.id, bytes: Bytes::from(bytes) });
    }
}

fn after_leader(model: &mut Model, press: KeyPress, effects: &mut Effects) {
    model.is_leader_down = false;
    model.touch_status();
    let leader = model.setup.keymap.leader;
    if press == leader {
        // Twice sends it.
        if model.is_broadcast_here() {
            return broadcast::key(model, press, effects);
        }
        match model.focused_pane_mut().filter(|pane| pane.is_driven()) {
            Some(pane) => type_into(pane, press, effects),
            None => say(model, Severity::Info, "Nothing is sent while you observe"),
        }
        return;
    }
    match model.setup.keymap.action(Context::Leader, press) {
        Some(action) => actions::perform(model, action, effects),
        None => say(model, Severity::Info, format!("{leader} {press} means nothing; {leader} ? shows all keys")),
    }
}

fn in_sidebar(model: &mut Model, press: KeyPress, effects: &mut Effects) {
    if model.sidebar.is_filtering {
        match press.key {
            Key::Enter | Key::Down | Key::Up | Key::Tab => model.sidebar.is_filtering = false,
            Key::Escape => {
                model.sidebar.is_filtering = false;
                model.sidebar.filter = Default::default();
            }
            _ => overlays::edit(&mut model.sidebar.filter, press),
        }
        model.touch_status();
        return model.touch_sidebar();
    }
    if press.key == Key::Escape && !model.sidebar.filter.text().is_empty() {
        model.sidebar.filter = Default::default();
        return model.touch_sidebar();
    }
    match model.setup.keymap.action(Context::Sidebar, press) {
        Some(action) => actions::perform(model, action, effects),
        None => say(model, Severity::Info, format!("{press} means nothing here; ? shows all keys")),
    }
}

/// Typing into an observed pane is the commonest surprise: say what is going on.
fn explain(model: &mut Model, press: KeyPress) {
    let leader = model.setup.keymap.leader;
    let text = match model.focused_pane() {
        None => format!("No pane is open: {leader} c starts a session"),
        Some(pane) if pane.is_over() => "This session ended: Enter runs it again, x closes the pane".to_string(),
        Some(pane) if pane.is_driven() => format!("You look back: q returns to the program ({press} was not sent)"),
        Some(_) => format!("You only observe: i takes the wheel ({press} was not sent)"),
    };

    say(model, Severity::Info, text);
}

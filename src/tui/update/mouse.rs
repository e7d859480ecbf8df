//! The mouse: focus, choice, wheel, and programs that asked for it.

use bytes::Bytes;

use crate::term::MouseMode;
use crate::term::keys::{Key, MouseAction, encode_mouse};

use super::super::effect::{Effect, Effects};
use super::super::input::{KeyPress, MouseInput};
use super::super::model::{Focus, Model, Overlay, layout};
use super::super::view;
use super::{actions, keys, panes, set_focus};

/// Lines a notch of the wheel moves.
const WHEEL_LINES: i64 = 3;

/// A mouse event.
pub(super) fn mouse(model: &mut Model, mouse: MouseInput, effects: &mut Effects) {
    if !model.overlays.is_empty() {
        return over(model, mouse);
    }
    let in_sidebar = model.areas.sidebar.is_some_and(|rect| rect.contains((mouse.col, mouse.row).into()));
    if in_sidebar {
        return sidebar(model, mouse, effects);
    }
    let Some(pane) = model.pane_at(mouse.col, mouse.row) else { return };
    let id = pane.id;
    if let MouseAction::Press(_) = mouse.action {
        let was_focused = model.focused == Some(id) && model.focus == Focus::Panes;
        set_focus(model, Focus::Panes, effects);
        panes::focus(model, id, effects);
        if !was_focused {
            // The first click only chooses the pane: it must not hit something in the program.
            return;
        }
    }
    if to_program(model, mouse, effects) {
        return;
    }
    let up = match mouse.action {
        MouseAction::WheelUp => WHEEL_LINES,
        MouseAction::WheelDown => -WHEEL_LINES,
        _ => return,
    };
    let Some(pane) = model.panes.get_mut(&id) else { return };
    if pane.is_driven() && pane.screen.modes().alternate && !pane.is_scrolling() {
        // A full-screen program without mouse: the wheel is arrows, as everywhere.
        let press = KeyPress::plain(if up > 0 { Key::Up } else { Key::Down });
        for _ in 0..WHEEL_LINES {
            keys::type_into(pane, press, effects);
        }
        return;
    }
    pane.scroll_by(up);
    if pane.has_history_gap && up > 0 {
        pane.has_history_gap = false;
        effects.push(Effect::Refresh { pane: id });
    }
    model.touch_status();
}

/// Gives the event to the program of the focused driven pane if it wants it.
fn to_program(model: &mut Model, mouse: MouseInput, effects: &mut Effects) -> bool {
    let Some(pane) = model.pane_at(mouse.col, mouse.row).filter(|pane| Some(pane.id) == model.focused) else {
        return false;
    };
    // Shift keeps the mouse for the outer terminal or the wall, as in any terminal.
    if !pane.is_driven() || pane.is_scrolling() || mouse.mods.shift || pane.screen.modes().mouse == MouseMode::Off {
        return false;
    }
    let Some(inside) = pane.rect.map(layout::inside) else { return false };
    if !inside.contains((mouse.col, mouse.row).into()) {
        return false;
    }
    let (row, col) = (mouse.row - inside.y + pane.origin.0, mouse.col - inside.x + pane.origin.1);
    let bytes = encode_mouse(mouse.action, mouse.mods, row, col, &pane.screen.modes());
    if !bytes.is_empty() {
        effects.push(Effect::Input { pane: pane.id, bytes: Bytes::from(bytes) });
    }
    true
}

fn sidebar(model: &mut Model, mouse: MouseInput, effects: &mut Effects) {
    let rows = model.sidebar.rows(&model.fleet);
    match mouse.action {
        MouseAction::WheelUp => model.sidebar.step(&rows, -1),
        MouseAction::WheelDown => model.sidebar.step(&rows, 1),
        MouseAction::Press(0) => {
            set_focus(model, Focus::Sidebar, effects);
            if let Some(row) = view::sidebar_row_at(model, mouse.row) {
                let was_selected = model.sidebar.selected == Some(row);
                model.sidebar.selected = Some(row);
                // A click on a session opens it; a second click on a machine starts something there.
                if row.session().is_some() || was_selected {
                    actions::open_selected(model, effects);
                }
            }
        }
        _ => return,
    }
    model.touch_sidebar();
    model.touch_status();
}

fn over(model: &mut Model, mouse: MouseInput) {
    let last = view::help_rows().saturating_sub(1);
    match (model.overlays.last_mut(), mouse.action) {
        (Some(Overlay::Help { scroll }), MouseAction::WheelUp) => *scroll = scroll.saturating_sub(3),
        (Some(Overlay::Help { scroll }), MouseAction::WheelDown) => *scroll = (*scroll + 3).min(last),
        (Some(Overlay::Help { .. } | Overlay::PaneInfo { .. }), MouseAction::Press(_)) => {
            model.overlays.pop();
        }
        _ => return,
    }
    model.touch_all();
}

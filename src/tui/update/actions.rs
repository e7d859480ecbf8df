//! What each action does.

use crate::fleet::Role;

use super::super::effect::{Effect, Effects};
use super::super::input::Action;
use super::super::model::{Focus, Model, Overlay, Pane, Question, Severity, SidebarRow};
use super::panes::{self, Direction};
use super::{broadcast, fleet, keys, overlays, say, set_focus};

/// Does what a key stands for.
pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Effects) {
    // A hint to the last key is of no use after the next one.
    if model.toasts.drop_hints() {
        model.touch_status();
    }
    match action {
        Action::FocusLeft => panes::focus_towards(model, Direction::Left, effects),
        Action::FocusDown => panes::focus_towards(model, Direction::Down, effects),
        Action::FocusUp => panes::focus_towards(model, Direction::Up, effects),
        Action::FocusRight => panes::focus_towards(model, Direction::Right, effects),
        Action::FocusNext => panes::focus_step(model, 1, effects),
        Action::FocusPrevious => panes::focus_step(model, -1, effects),
        Action::FocusNumber(n) => match model.order.get(usize::from(n) - 1).copied() {
            Some(id) => panes::focus(model, id, effects),
            None => say(model, Severity::Info, format!("There is no pane {n}")),
        },
        Action::Zoom => zoom(model, effects),
        Action::PageNext => turn(model, 1, effects),
        Action::PagePrevious => turn(model, -1, effects),
        Action::ToggleRole => match model.focused_pane().map(|pane| pane.role) {
            Some(Role::Driver) => ask_role(model, Role::Observer, effects),
            _ => ask_role(model, Role::Driver, effects),
        },
        Action::TakeWheel => ask_role(model, Role::Driver, effects),
        Action::GiveWheel => ask_role(model, Role::Observer, effects),
        Action::Mark => broadcast::mark(model, effects),
        Action::MarkAll => broadcast::mark_all(model),
        Action::Broadcast => broadcast::toggle(model, effects),
        Action::ScrollMode => {
            if let Some(pane) = model.focused_pane_mut() {
                pane.is_looking_back = true;
                pane.is_frame_stale = true;
            }
            panes::fill_history_gap(model, effects);
            model.touch_status();
        }
        Action::ScrollUp => scroll(model, |_| 1, effects),
        Action::ScrollDown => scroll(model, |_| -1, effects),
        Action::ScrollHalfUp => scroll(model, |height| (height / 2).max(1), effects),
        Action::ScrollHalfDown => scroll(model, |height| -(height / 2).max(1), effects),
        Action::ScrollPageUp => scroll(model, |height| (height - 1).max(1), effects),
        Action::ScrollPageDown => scroll(model, |height| -(height - 1).max(1), effects),
        Action::ScrollTop => scroll(model, |_| i64::MAX, effects),
        Action::ScrollBottom => scroll(model, |_| -i64::MAX, effects),
        Action::Leave => leave(model),
        Action::NewSession => overlays::open_picker(model, effects),
        Action::ClosePane => {
            if let Some((id, session)) = model.focused_pane().map(|pane| (pane.id, pane.session)) {
                let is_over = model.focused_pane().is_some_and(Pane::is_over);
                let name = fleet::session_label(model, session);
                panes::close(model, id, effects);
                if !is_over {
                    say(model, Severity::Info, format!("{name} is off the wall; the session lives on"));
                }
                // The pane that has the focus now is another one.
                keys::hush(model);
            }
        }
        Action::Restart => panes::restart(model, effects),
        Action::Kill => {
            if let Some(session) = model.focused_pane().map(|pane| pane.session) {
                kill(model, session, effects);
            }
        }
        Action::PaneInfo => {
            if let Some(pane) = model.focused {
                overlays::push(model, Overlay::PaneInfo { pane });
            }
        }
        Action::Sidebar => set_focus(model, Focus::Sidebar, effects),
        Action::ToggleSidebar => {
            let is_docked = model.areas.sidebar.is_some() && !model.is_drawer;
            model.sidebar.wish = Some(!is_docked);
            model.focus = if is_docked { Focus::Panes } else { model.focus };
            model.arrange(effects);
        }
        Action::SidebarUp => sidebar_step(model, -1),
        Action::SidebarDown => sidebar_step(model, 1),
        Action::SidebarTop => sidebar_step(model, isize::MIN),
        Action::SidebarBottom => sidebar_step(model, isize::MAX),
        Action::SidebarOpen => open_selected(model, effects),
        Action::SidebarNew => match selected(model) {
            Some(row) => overlays::open_command(model, row.machine()),
            None => overlays::open_picker(model, effects),
        },
        Action::SidebarKill => match selected(model).and_then(SidebarRow::session) {
            Some(session) => kill(model, session, effects),
            None => say(model, Severity::Info, "Choose a session: a machine cannot be ended from here"),
        },
        Action::SidebarFilter => {
            model.sidebar.is_filtering = true;
            model.touch_sidebar();
            model.touch_status();
        }
        Action::SidebarLeave => set_focus(model, Focus::Panes, effects),
        Action::Help => overlays::push(model, Overlay::Help { scroll: 0 }),
        Action::Theme => next_theme(model),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Quit => effects.push(Effect::Quit),
    }
}

/// Opens the chosen session in a pane, or unfolds to a new session on the chosen machine.
pub(super) fn open_selected(model: &mut Model, effects: &mut Effects) {
    match selected(model) {
        Some(SidebarRow::Session(machine, session)) => {
            match model.pane_of(session) {
                Some(pane) => panes::focus(model, pane, effects),
                None => panes::open(model, machine, session, Role::Observer, true, effects),
            }
            set_focus(model, Focus::Panes, effects);
        }
        Some(SidebarRow::Machine(machine)) => overlays::open_command(model, machine),
        None => {}
    }
}

/// The chosen row of the sidebar.
pub(super) fn selected(model: &Model) -> Option<SidebarRow> {
    let rows = model.sidebar.rows(&model.fleet);
    rows.get(model.sidebar.selected_index(&rows)).copied()
}

fn sidebar_step(model: &mut Model, by: isize) {
    let rows = model.sidebar.rows(&model.fleet);
    model.sidebar.step(&rows, by);
    model.touch_sidebar();
    model.touch_status();
}

/// Ends a session; asks first unless its program ended already.
fn kill(model: &mut Model, session: crate::fleet::SessionId, effects: &mut Effects) {
    let has_ended = model.fleet.session(session).is_some_and(|session| session.summary.exit.is_some());
    if has_ended {
        effects.push(Effect::Destroy { session });
        if let Some(pane) = model.pane_of(session) {
            panes::close(model, pane, effects);
        }
        return;
    }
    overlays::push(model, Overlay::Confirm(Question::Kill(session)));
}

/// Asks for a role in the focused pane.
fn ask_role(model: &mut Model, role: Role, effects: &mut Effects) {
    let Some(pane) = model.focused_pane_mut() else { return };
    if pane.is_over() {
        return say(model, Severity::Info, "This session ended: Enter runs it again, x closes the pane");
    }
    if pane.role == role && pane.asked.is_none() {
        let text = if role == Role::Driver { "You have the wheel already" } else { "You only observe already" };
        return say(model, Severity::Info, text);
    }
    let id = pane.id;
    // Whoever asks for the wheel keeps it.
    pane.is_borrowed = false;
    pane.leave_scroll();
    panes::ask_role(model, id, role, effects);
}

fn scroll(model: &mut Model, lines: impl Fn(i64) -> i64, effects: &mut Effects) {
    let Some(pane) = model.focused_pane_mut() else { return };
    let height = pane.inner().map_or(1, |size| i64::from(size.rows()));
    let up = lines(height);
    pane.scroll_by(up);
    if up > 0 {
        panes::fill_history_gap(model, effects);
    }
    model.touch_status();
}

fn leave(model: &mut Model) {
    match model.focused_pane_mut().filter(|pane| pane.is_scrolling()) {
        Some(pane) => pane.leave_scroll(),
        None => overlays::push(model, Overlay::Confirm(Question::Quit)),
    }
    model.touch_status();
}

fn zoom(model: &mut Model, effects: &mut Effects) {
    if model.focused.is_some() {
        model.is_zoomed = !model.is_zoomed;
        model.arrange(effects);
    }
}

fn turn(model: &mut Model, by: isize, effects: &mut Effects) {
    if model.pages == 1 {
        return say(model, Severity::Info, "All panes are on this page");
    }
    model.is_zoomed = false;
    let page = (model.page as isize + by).rem_euclid(model.pages as isize) as usize;
    if let Some(first) = model.first_of(page) {
        panes::focus(model, first, effects);
    }
}

fn next_theme(model: &mut Model) {
    let themes = &model.setup.themes;
    let now = themes.iter().position(|theme| theme.name == model.theme.name).unwrap_or(0);
    model.theme = themes[(now + 1) % themes.len()].clone();
    let text = format!("Theme: {}", model.theme.name);
    model.touch_all();
    say(model, Severity::Info, text);
}

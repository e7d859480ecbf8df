//! The last line: what mode you are in, the most useful keys, messages, page and relay.

use ratatui::layout::Rect;

use super::super::input::{Action, Context};
use super::super::model::{Focus, Link, Model, Pane, Severity};
use super::super::theme::Ink;
use super::canvas::Canvas;
use super::words;
use crate::client::ConnectionState;

/// Draws it.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let area = model.areas.status;
    if model.is_broadcasting && !model.is_leader_down && model.focus == Focus::Panes {
        return banner(model, area, canvas);
    }
    canvas.fill(area, Ink::Bar);
    let (mode, ink) = mode(model);
    let mut x = area.x + canvas.text(area.x, area.y, area.width, &format!(" {mode} "), ink) + 1;
    let right = right(model, area, canvas);
    let room = |x: u16| right.saturating_sub(x + 1);
    if model.is_broadcasting {
        x += canvas.text(x, area.y, room(x), &format!(" BROADCAST → {} ", model.receivers().count()), Ink::Broadcast)
            + 1;
    }
    if let Some(toast) = model.toasts.newest() {
        let ink = match toast.severity {
            Severity::Info => Ink::ToastInfo,
            Severity::Success => Ink::ToastSuccess,
            Severity::Warning => Ink::ToastWarning,
            Severity::Error => Ink::ToastError,
        };
        canvas.text(x, area.y, room(x), &toast.text, ink);
        return;
    }
    // Why nothing moves, and what to do about it, is worth more than keys.
    if let ConnectionState::Connecting { error: Some(why), .. } = &model.connection {
        canvas.text(x, area.y, room(x), why, Ink::ToastError);
        return;
    }
    for (key, hint) in hints(model) {
        let width = words::width(&key) + 1 + words::width(&hint);
        if width + 2 > room(x) {
            break;
        }
        x += canvas.text(x, area.y, width, &key, Ink::BarKey) + 1;
        x += canvas.text(x, area.y, width, &hint, Ink::BarDetail) + 2;
    }
}

/// While a broadcast is on the whole line says so.
fn banner(model: &Model, area: Rect, canvas: &mut Canvas<'_>) {
    canvas.fill(area, Ink::Broadcast);
    let count = model.receivers().count();
    let mut text = format!(" BROADCAST → {count} pane{}  ", if count == 1 { "" } else { "s" });
    let waiting = model.panes.values().filter(|pane| pane.is_marked && !pane.is_driven() && !pane.is_over()).count();
    if waiting > 0 {
        text.push_str(&format!("({waiting} not yet)  "));
    }
    let is_cut = |pane: &&Pane| pane.unanswered_ms.is_some() || !matches!(pane.link, Link::Live);
    let silent = model.receivers().filter(is_cut).count();
    if !matches!(model.connection, ConnectionState::Connected { unanswered: None, .. }) {
        text.push_str("NO RELAY  ");
    } else if silent > 0 {
        text.push_str(&format!("{silent} without an answer  "));
    }
    if !model.is_broadcast_here() {
        text.push_str("but not from this pane  ");
    }
    let mut names: Vec<&str> = model.receivers().map(|pane| model.fleet.machine_name(pane.machine)).collect();
    names.dedup();
    let stop = format!(" {} b stops ", model.setup.keymap.leader);
    let right = area.width.saturating_sub(words::width(&stop));
    canvas.text(right, area.y, area.width - right, &stop, Ink::Broadcast);
    let message = model.toasts.newest().map(|toast| toast.text.clone()).unwrap_or_else(|| names.join(", "));
    canvas.text(area.x, area.y, right.saturating_sub(1), &format!("{text}{message}"), Ink::Broadcast);
}

fn mode(model: &Model) -> (&'static str, Ink) {
    if model.is_leader_down {
        return ("LEADER", Ink::ModeLeader);
    }
    if model.focus == Focus::Sidebar {
        return ("FLEET", Ink::ModeFleet);
    }
    match model.focused_pane() {
        None => ("EMPTY", Ink::ModeObserve),
        Some(pane) if pane.is_over() => ("ENDED", Ink::ModeLost),
        Some(pane) if pane.is_scrolling() => ("LOOKING BACK", Ink::ModeScroll),
        Some(Pane { link: Link::Lost(_), .. }) => ("LOST", Ink::ModeLost),
        Some(Pane { unanswered_ms: Some(_), .. }) => ("NO ANSWER", Ink::ModeLost),
        Some(pane) if pane.is_driven() => ("DRIVE", Ink::ModeDrive),
        Some(_) => ("OBSERVE", Ink::ModeObserve),
    }
}

/// Page and relay, right-aligned; returns where they begin.
fn right(model: &Model, area: Rect, canvas: &mut Canvas<'_>) -> u16 {
    let (relay, ink) = match &model.connection {
        ConnectionState::Stopped { .. } => ("not connected".to_string(), Ink::BarDetail),
        ConnectionState::Connecting { attempt: 0, .. } => ("connecting…".to_string(), Ink::BarDetail),
        ConnectionState::Connecting { attempt, .. } => (format!("no relay (try {attempt})"), Ink::ToastError),
        ConnectionState::Connected { unanswered: Some(silent), .. } => {
            (format!("relay: no answer {} s", silent.as_secs()), Ink::ToastError)
        }
        ConnectionState::Connected { latency_us: Some(us), .. } => {
            (format!("relay {}", words::latency(*us)), Ink::BarDetail)
        }
        ConnectionState::Connected { .. } => ("relay".to_string(), Ink::BarDetail),
    };
    let mut end = area.right();
    let mut put = |text: String, ink: Ink| {
        let width = words::width(&text) + 1;
        if width + 24 < end {
            end -= width;
            canvas.text(end, area.y, width, &text, ink);
            end -= 1;
        }
    };
    put(relay, ink);
    if model.pages > 1 && !model.is_zoomed {
        put(format!("page {}/{}", model.page + 1, model.pages), Ink::BarKey);
    }
    if model.is_zoomed {
        put(format!("zoomed 1 of {}", model.order.len()), Ink::BarKey);
    }
    end
}

/// The most useful keys of the mode, as (keys, words).
fn hints(model: &Model) -> Vec<(String, String)> {
    use Action as A;
    let leader = model.setup.keymap.leader.to_string();
    let list = |context: Context, actions: &[Action]| -> Vec<(String, String)> {
        let hint = |action: &Action| {
            let info = action.info();
            let key = info.key(context)?.to_string();
            let key = if context == Context::Leader && !model.is_leader_down { format!("{leader} {key}") } else { key };
            Some((key, info.hint.to_string()))
        };
        actions.iter().filter_map(hint).collect()
    };
    if model.is_leader_down {
        let actions = [
            A::Help,
            A::ToggleRole,
            A::Zoom,
            A::NewSession,
            A::ScrollMode,
            A::Sidebar,
            A::Mark,
            A::Broadcast,
            A::ClosePane,
            A::Kill,
            A::Theme,
            A::Quit,
        ];
        return list(Context::Leader, &actions);
    }
    if model.focus == Focus::Sidebar {
        let actions = [A::SidebarOpen, A::SidebarNew, A::SidebarFilter, A::SidebarKill, A::SidebarLeave, A::Help];
        return list(Context::Sidebar, &actions);
    }
    match model.focused_pane() {
        None => list(Context::Watching, &[A::NewSession, A::Sidebar, A::Help, A::Leave]),
        Some(pane) if pane.is_over() => {
            let mut hints = list(Context::Ended, &[A::Restart]);
            hints.extend(list(Context::Watching, &[A::ClosePane, A::Kill, A::ScrollUp, A::FocusNext, A::Help]));
            hints
        }
        Some(pane) if pane.is_scrolling() => {
            let actions = [A::ScrollUp, A::ScrollDown, A::ScrollPageUp, A::ScrollTop, A::ScrollBottom, A::Leave];
            list(Context::Watching, &actions)
        }
        Some(pane) if pane.is_driven() => list(
            Context::Leader,
            &[A::Help, A::GiveWheel, A::Quit, A::ScrollMode, A::Zoom, A::NewSession, A::FocusNext, A::Sidebar],
        ),
        Some(_) => {
            let mut hints = list(Context::Watching, &[A::TakeWheel, A::Help]);
            hints.extend(A::Leave.info().key(Context::Watching).map(|key| (key.to_string(), "leave".to_string())));
            let more =
                [A::FocusNext, A::Zoom, A::ScrollUp, A::NewSession, A::Mark, A::Broadcast, A::Sidebar, A::ClosePane];
            hints.extend(list(Context::Watching, &more));
            hints
        }
    }
}

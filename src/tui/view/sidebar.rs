//! The fleet at the left: machines with their state, their sessions beneath.

use ratatui::layout::Rect;

use crate::fleet::{Machine, Session};

use super::super::model::{Focus, Model, SidebarRow};
use super::super::presenter::CursorAt;
use super::super::theme::Ink;
use super::canvas::Canvas;
use super::{typing_at, words};

/// Lines above the list.
const HEADER_ROWS: u16 = 3;
/// Output younger than this marks a session as active, milliseconds.
const ACTIVE_MS: u64 = 3_000;

/// Draws it.
///
/// ```text
///  fleetmux
///  5 of 6 machines · 9 sessions
///
///  ● web-1                 0.4 ms
///    1 shell               • d1 o2
///  ○ db-1       offline 4 min ago
/// ```
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let Some(area) = model.areas.sidebar else { return };
    canvas.fill(area, Ink::Sidebar);
    for row in area.top()..area.bottom() {
        canvas.text(area.right() - 1, row, 1, "│", Ink::SidebarBorder);
    }
    let width = area.width.saturating_sub(3);
    header(model, area, width, canvas);
    let list = list_area(model, area);
    let rows = model.sidebar.rows(&model.fleet);
    let first = model.sidebar.first_shown(&rows, list.height.into());
    let selected = model.sidebar.selected_index(&rows);
    for (index, row) in rows.iter().enumerate().skip(first).take(list.height.into()) {
        let y = list.y + (index - first) as u16;
        let is_selected = model.focus == Focus::Sidebar && index == selected;
        let is_current = model.focus == Focus::Panes
            && row.session().is_some_and(|id| model.focused_pane().is_some_and(|pane| pane.session == id));
        let ground = match (is_selected, is_current) {
            (true, _) => Some(Ink::SidebarSelected),
            (_, true) => Some(Ink::SidebarCurrent),
            _ => None,
        };
        if let Some(ground) = ground {
            canvas.fill(Rect::new(area.x, y, area.width - 1, 1), ground);
        }
        match row {
            SidebarRow::Machine(id) => {
                if let Some(machine) = model.fleet.machine(*id) {
                    machine_row(model, machine, area.x + 1, y, width, ground, canvas);
                }
            }
            SidebarRow::Session(_, id) => {
                if let Some(session) = model.fleet.session(*id) {
                    session_row(model, session, area.x + 1, y, width, ground, canvas);
                }
            }
        }
    }
    if rows.len() > first + usize::from(list.height) {
        let more = format!(" {} more below ", rows.len() - first - usize::from(list.height) + 1);
        let y = list.bottom() - 1;
        canvas.fill(Rect::new(area.x, y, area.width - 1, 1), Ink::Sidebar);
        canvas.text(area.x + 1, y, width, &more, Ink::SidebarDetail);
    }
    if rows.is_empty() {
        let text = match (model.fleet.is_known, model.sidebar.filter.text().is_empty()) {
            (false, _) => "asking the relay…",
            (true, true) => "no machine yet",
            (true, false) => "nothing matches",
        };
        canvas.text(area.x + 1, list.y, width, text, Ink::SidebarDetail);
    }
    if is_filter_shown(model) {
        let y = area.bottom() - 1;
        canvas.fill(Rect::new(area.x, y, area.width - 1, 1), Ink::OverlayInput);
        canvas.text(area.x + 1, y, width, &format!("/{}", model.sidebar.filter.text()), Ink::OverlayInput);
    }
}

/// The row at a line of the outer terminal.
pub(crate) fn row_at(model: &Model, y: u16) -> Option<SidebarRow> {
    let list = list_area(model, model.areas.sidebar?);
    let rows = model.sidebar.rows(&model.fleet);
    let line = y.checked_sub(list.y).filter(|line| *line < list.height)?;
    rows.get(model.sidebar.first_shown(&rows, list.height.into()) + usize::from(line)).copied()
}

/// The cursor in the filter.
pub(super) fn cursor(model: &Model) -> Option<CursorAt> {
    let area = model.areas.sidebar?;
    let col = area.x + 2 + words::width(model.sidebar.filter.before_cursor());
    typing_at(col.min(area.right() - 2), area.bottom() - 1)
}

fn is_filter_shown(model: &Model) -> bool {
    model.sidebar.is_filtering || !model.sidebar.filter.text().is_empty()
}

fn list_area(model: &Model, area: Rect) -> Rect {
    let footer = u16::from(is_filter_shown(model));
    Rect::new(area.x, area.y + HEADER_ROWS, area.width, area.height.saturating_sub(HEADER_ROWS + footer))
}

fn header(model: &Model, area: Rect, width: u16, canvas: &mut Canvas<'_>) {
    canvas.text(area.x + 1, area.y, width, "fleetmux", Ink::SidebarHeader);
    let (all, online) = (model.fleet.machines().len(), model.fleet.online().count());
    let machines = match (all, online == all) {
        (1, true) => "1 machine".to_string(),
        (_, true) => format!("{all} machines"),
        _ => format!("{online}/{all} machines"),
    };
    let sessions = model.fleet.sessions().count();
    let text = format!("{machines} · {sessions} session{}", if sessions == 1 { "" } else { "s" });
    canvas.text(area.x + 1, area.y + 1, width, &text, Ink::SidebarDetail);
}

/// Text at the right edge of a row; returns the columns it leaves.
fn right(x: u16, y: u16, width: u16, text: &str, ink: Ink, ground: Ink, canvas: &mut Canvas<'_>) -> u16 {
    let used = words::width(text).min(width);
    canvas.text_on(x + width - used, y, used, text, ink, ground);
    width - used
}

fn machine_row(model: &Model, machine: &Machine, x: u16, y: u16, width: u16, on: Option<Ink>, canvas: &mut Canvas<'_>) {
    let ground = on.unwrap_or(Ink::Sidebar);
    let name = &machine.facts.name;
    let is_silent = machine.is_online && model.is_silent(machine.facts.id);
    let (dot, dot_ink) = match machine.is_online {
        true if is_silent => ("◐", Ink::BadgeWarning),
        true => ("●", Ink::StatusOnline),
        false => ("○", Ink::StatusOffline),
    };
    canvas.text_on(x, y, 1, dot, on.unwrap_or(dot_ink), ground);
    let name_width = words::width(name).min(width.saturating_sub(4));
    canvas.text_on(x + 2, y, name_width, name, on.unwrap_or(Ink::SidebarMachine), ground);
    let room = width.saturating_sub(name_width + 3);
    let detail = if is_silent {
        ["no answer".to_string(), String::new()]
    } else if machine.is_online {
        let load = format!("{:.2}", machine.load.averages[0]);
        match machine.latency_us {
            Some(us) => [format!("load {load}  {:>6}", words::latency(us)), words::latency(us)],
            None => [format!("load {load}"), load],
        }
    } else {
        let ago = words::ago(model.now_ms, machine.last_seen_ms);
        [format!("offline {ago}"), "offline".to_string()]
    };
    if let Some(text) = detail.iter().find(|text| words::width(text) <= room) {
        right(
            x,
            y,
            width,
            text,
            on.unwrap_or(if machine.is_online { Ink::SidebarDetail } else { Ink::StatusOffline }),
            ground,
            canvas,
        );
    }
}

fn session_row(model: &Model, session: &Session, x: u16, y: u16, width: u16, on: Option<Ink>, canvas: &mut Canvas<'_>) {
    let ground = on.unwrap_or(Ink::Sidebar);
    let detail = on.unwrap_or(Ink::SidebarDetail);
    let number =
        model.pane_of(session.id()).map(|pane| model.number_of(pane).to_string()).unwrap_or_else(|| "·".into());
    canvas.text_on(x + 1, y, 3, &format!("{number:>2}"), detail, ground);
    let summary = &session.summary;
    let mut rest = width;
    let mut put = |text: &str, ink: Ink, canvas: &mut Canvas<'_>| {
        if rest > words::width(text) + 8 {
            rest = right(x, y, rest, text, on.unwrap_or(ink), ground, canvas).saturating_sub(1);
        }
    };
    if let Some(exit) = &summary.exit {
        put(&exit.to_string(), if exit.code == 0 { Ink::SidebarDetail } else { Ink::StatusOffline }, canvas);
    } else {
        // Who else is there: of a session on the wall its pane knows better than the fleet.
        let pane = model.pane_of(session.id()).and_then(|id| model.panes.get(&id));
        let (drivers, observers) =
            pane.map_or((summary.drivers as usize, summary.observers as usize), |pane| pane.others());
        if observers > 0 {
            put(&format!("{observers} obs"), Ink::SidebarDetail, canvas);
        }
        if drivers > 0 {
            put(&format!("{drivers} drv"), Ink::StatusOnline, canvas);
        }
        if summary.last_output_ms.is_some_and(|at| model.now_ms < at + ACTIVE_MS) {
            put("•", Ink::StatusActive, canvas);
        }
    }
    canvas.text_on(x + 4, y, rest.saturating_sub(5), session.display_name(), on.unwrap_or(Ink::Sidebar), ground);
}

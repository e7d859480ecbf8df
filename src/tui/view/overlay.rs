//! What lies over the panes, centred.

use ratatui::layout::Rect;

use crate::fleet::MachineId;

use super::super::model::{Emptiness, Field, Model, Overlay, PaneId, Question};
use super::super::presenter::CursorAt;
use super::super::theme::Ink;
use super::canvas::{Canvas, Line};
use super::{help, typing_at, words};

/// Draws one layer; says where the cursor belongs.
pub(super) fn draw(model: &Model, layer: &Overlay, canvas: &mut Canvas<'_>) -> Option<CursorAt> {
    match layer {
        Overlay::Help { scroll } => {
            let area = boxed(model, 86, help::rows().saturating_add(5), "Keys", canvas);
            help::draw(model, area, *scroll, canvas);
            None
        }
        Overlay::PickMachine { filter, selected } => pick(model, filter, *selected, canvas),
        Overlay::Command { machine, line } => command(model, *machine, line, canvas),
        Overlay::Confirm(question) => confirm(model, *question, canvas),
        Overlay::PaneInfo { pane } => info(model, *pane, canvas),
    }
}

/// A wall without panes says how to get one.
pub(super) fn empty_wall(model: &Model, canvas: &mut Canvas<'_>) {
    let area = model.areas.grid;
    let leader = model.setup.keymap.leader;
    let lines = match model.emptiness() {
        Emptiness::Unknown => ["Connecting to the relay …".to_string(), String::new()],
        Emptiness::NoMachine => {
            ["No machine has joined yet".to_string(), "start an agent: fleetmux agent start".to_string()]
        }
        Emptiness::AllOffline => [
            "No machine is online".to_string(),
            "they come back by themselves; the sidebar says since when".to_string(),
        ],
        Emptiness::NoPane => {
            ["No pane is open".to_string(), format!("{leader} c  starts a session      {leader} s  goes to the fleet")]
        }
    };
    for (index, (text, ink)) in lines.iter().zip([Ink::PaneTitle, Ink::PaneDetail]).enumerate() {
        let width = words::width(text).min(area.width);
        let y = area.y + area.height / 2 + index as u16 * 2;
        canvas.text(area.x + (area.width - width) / 2, y.saturating_sub(1), area.width, text, ink);
    }
}

/// A centred box with a title.
fn boxed(model: &Model, cols: u16, rows: u16, title: &str, canvas: &mut Canvas<'_>) -> Rect {
    let (screen_cols, screen_rows) = model.screen;
    let (cols, rows) = (cols.min(screen_cols.saturating_sub(2)), rows.min(screen_rows.saturating_sub(2)));
    let area = Rect::new((screen_cols - cols) / 2, (screen_rows - rows) / 2, cols, rows);
    canvas.fill(area, Ink::Overlay);
    canvas.border(area, Line::THIN, Ink::OverlayBorder);
    canvas.text(area.x + 2, area.y, cols.saturating_sub(4), &format!(" {title} "), Ink::OverlayTitle);
    area
}

/// Keys at the bottom border.
fn footer(area: Rect, text: &str, canvas: &mut Canvas<'_>) {
    canvas.text(area.x + 2, area.bottom() - 1, area.width.saturating_sub(4), &format!(" {text} "), Ink::OverlayDetail);
}

/// A line being typed; says where the cursor belongs.
fn input(area: Rect, row: u16, prompt: &str, field: &Field, hint: &str, canvas: &mut Canvas<'_>) -> Option<CursorAt> {
    let (x, y, width) = (area.x + 2, area.y + row, area.width.saturating_sub(4));
    canvas.fill(Rect::new(x, y, width, 1), Ink::OverlayInput);
    let start = x + canvas.text_on(x, y, width, prompt, Ink::OverlayKey, Ink::OverlayInput);
    let room = width.saturating_sub(words::width(prompt) + 1);
    if field.text().is_empty() {
        canvas.text_on(start, y, room, hint, Ink::OverlayDetail, Ink::OverlayInput);
        return typing_at(start, y);
    }
    // A line longer than its room shows its end up to the cursor.
    let before = field.before_cursor();
    let mut skipped = 0;
    while words::width(&before[skipped..]) > room {
        skipped += before[skipped..].chars().next().map_or(1, char::len_utf8);
    }
    canvas.text(start, y, room, &field.text()[skipped..], Ink::OverlayInput);
    typing_at(start + words::width(&before[skipped..]), y)
}

fn pick(model: &Model, filter: &Field, selected: usize, canvas: &mut Canvas<'_>) -> Option<CursorAt> {
    let machines = model.matching_machines(filter.text());
    let area = boxed(
        model,
        64,
        (model.fleet.online().count() as u16).clamp(3, 16) + 5,
        "New session: on which machine?",
        canvas,
    );
    let cursor = input(area, 1, "› ", filter, "type to filter by name or label", canvas);
    let height = usize::from(area.height.saturating_sub(5));
    let first = (selected + 1).saturating_sub(height);
    for (index, id) in machines.iter().enumerate().skip(first).take(height) {
        let Some(machine) = model.fleet.machine(*id) else { continue };
        let y = area.y + 3 + (index - first) as u16;
        let (x, width) = (area.x + 2, area.width - 4);
        let is_selected = index == selected;
        let ink = |ink: Ink| if is_selected { Ink::OverlaySelected } else { ink };
        if is_selected {
            canvas.fill(Rect::new(x, y, width, 1), Ink::OverlaySelected);
        }
        canvas.text(x + 1, y, 20, &machine.facts.name, ink(Ink::Overlay));
        let labels: Vec<String> = machine.facts.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        canvas.text(x + 22, y, width.saturating_sub(34), &labels.join(" "), ink(Ink::OverlayDetail));
        let load = format!("load {:.2} ", machine.load.averages[0]);
        let used = words::width(&load);
        canvas.text(x + width - used, y, used, &load, ink(Ink::OverlayDetail));
    }
    if machines.is_empty() {
        canvas.text(area.x + 3, area.y + 3, area.width - 6, "no machine matches", Ink::OverlayDetail);
    }
    footer(area, "Enter chooses · ↑↓ move · Esc closes", canvas);
    cursor
}

fn command(model: &Model, machine: MachineId, line: &Field, canvas: &mut Canvas<'_>) -> Option<CursorAt> {
    let title = format!("New session on {}", model.fleet.machine_name(machine));
    let area = boxed(model, 64, 5, &title, canvas);
    let cursor = input(area, 2, "$ ", line, "a command, or Enter for a shell", canvas);
    footer(area, "Enter starts it · Esc closes", canvas);
    cursor
}

fn confirm(model: &Model, question: Question, canvas: &mut Canvas<'_>) -> Option<CursorAt> {
    let (title, lines) = match question {
        Question::Kill(id) => {
            let name = model.fleet.session(id).map_or("the session".to_string(), |session| {
                format!("{} · {}", model.fleet.machine_name(session.machine), session.display_name())
            });
            ("End this session?", vec![name, "Its program is killed, for everybody who is attached.".to_string()])
        }
        Question::Broadcast => {
            let marked: Vec<_> =
                model.order.iter().filter_map(|id| model.panes.get(id)).filter(|pane| pane.is_marked).collect();
            let observed = marked.iter().filter(|pane| !pane.is_driven()).count();
            let mut names: Vec<&str> = marked.iter().map(|pane| model.fleet.machine_name(pane.machine)).collect();
            names.dedup();
            let count = marked.len();
            let plural = if count == 1 { "pane" } else { "panes" };
            let mut lines = vec![format!("What you type goes to {count} {plural}:"), names.join(", ")];
            if observed > 0 {
                lines.push(format!("You take the wheel of {observed} that you only observe now."));
            }
            ("Broadcast?", lines)
        }
        Question::Quit if model.setup.ends_fleet => {
            ("Leave the wall?", vec!["The demo ends with it, and so do all its sessions.".to_string()])
        }
        Question::Quit => {
            ("Leave the wall?", vec!["All sessions live on; fleetmux brings you back to them.".to_string()])
        }
    };
    let area = boxed(model, 62, lines.len() as u16 + 4, title, canvas);
    for (index, text) in lines.iter().enumerate() {
        canvas.text(area.x + 3, area.y + 2 + index as u16, area.width - 6, text, Ink::Overlay);
    }
    footer(area, question.keys(), canvas);
    None
}

fn info(model: &Model, id: PaneId, canvas: &mut Canvas<'_>) -> Option<CursorAt> {
    let pane = model.panes.get(&id)?;
    let session = model.fleet.session(pane.session);
    let machine = model.fleet.machine(pane.machine);
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut put = |key: &str, value: String| lines.push((key.to_string(), value));
    if let Some(machine) = machine {
        let facts = &machine.facts;
        put("machine", format!("{} ({}), {}", facts.name, facts.hostname, facts.os));
    }
    put("session", pane.session.to_string());
    if let Some(session) = session {
        put(
            "program",
            if session.spec.command.is_empty() { "login shell".into() } else { session.spec.command.join(" ") },
        );
        put("process", format!("{}, started {}", session.pid, words::ago(model.now_ms, session.created_ms)));
        if !session.summary.cwd.is_empty() {
            put("directory", session.summary.cwd.clone());
        }
    }
    if !pane.screen.title().is_empty() {
        put("title", pane.screen.title().to_string());
    }
    put("size", format!("{}, {} lines of history here", pane.screen.size(), pane.screen.history_len()));
    if let Some(us) = pane.latency_us {
        put("latency", words::latency(us));
    }
    put(
        "skipped",
        if pane.skipped == 0 {
            "nothing".to_string()
        } else {
            format!("{} never shown here", words::bytes(pane.skipped))
        },
    );
    if let Some(exit) = &pane.exit {
        put("ended", exit.to_string());
    }
    for viewer in &pane.viewers {
        let you = if viewer.number == pane.number { " (this pane)" } else { "" };
        let owns = if viewer.owns_size { ", sets the size" } else { "" };
        put(&viewer.role.to_string(), format!("{}{you}, {}{owns}", viewer.label, viewer.size));
    }
    let area = boxed(model, 76, lines.len() as u16 + 4, "About this pane", canvas);
    for (index, (key, value)) in lines.iter().enumerate().take(area.height.saturating_sub(4).into()) {
        let y = area.y + 2 + index as u16;
        canvas.text(area.x + 3, y, 10, key, Ink::OverlayDetail);
        canvas.text(area.x + 14, y, area.width.saturating_sub(17), value, Ink::Overlay);
    }
    footer(area, "any key closes", canvas);
    None
}

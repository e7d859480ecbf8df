//! A pane: border and title tell who types, who watches and how the way is; inside is the program's screen.

use ratatui::buffer::Cell;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::fleet::Role;
use crate::term;

use super::super::model::{Focus, LAG_SHOWN_US, Link, Model, Pane, SKIPPED_SHOWN_MS, layout};
use super::super::theme::{Ink, Theme};
use super::canvas::{Canvas, Line};
use super::words;

/// Border and title.
///
/// ```text
/// ┏ 1 web-1 · shell ━━━━━━ 2 observing  DRIVER ┓
/// ╰ reconnecting ──────────────── 120x40 clipped ╯
/// ```
pub(super) fn frame(model: &Model, pane: &Pane, canvas: &mut Canvas<'_>) {
    let Some(rect) = pane.rect else { return };
    let is_focused = model.focused == Some(pane.id) && model.focus == Focus::Panes;
    let is_receiver = model.is_broadcasting && pane.is_marked && pane.is_driven();
    let (line, ink) = look(pane, is_focused, is_receiver);
    canvas.border(rect, line, ink);
    top(model, pane, rect, is_focused, is_receiver, canvas);
    bottom(pane, rect, is_focused, canvas);
}

fn look(pane: &Pane, is_focused: bool, is_receiver: bool) -> (Line, Ink) {
    let line = if is_focused { Line::THICK } else { Line::THIN };
    match &pane.link {
        _ if is_receiver => (if is_focused { Line::THICK } else { Line::DOUBLE }, Ink::PaneBorderBroadcast),
        Link::Lost(_) => (if is_focused { Line::THICK } else { Line::DASHED }, Ink::PaneBorderLost),
        _ if pane.unanswered_ms.is_some() => (if is_focused { Line::THICK } else { Line::DASHED }, Ink::PaneBorderLost),
        _ if pane.is_over() => (line, if is_focused { Ink::PaneBorderFocused } else { Ink::PaneBorderEnded }),
        _ if pane.is_marked => (line, Ink::PaneBorderMarked),
        _ if is_focused && pane.is_driven() => (line, Ink::PaneBorderFocusedDriver),
        _ if is_focused => (line, Ink::PaneBorderFocused),
        _ if pane.is_driven() => (line, Ink::PaneBorderDriver),
        _ => (line, Ink::PaneBorderObserver),
    }
}

fn top(model: &Model, pane: &Pane, rect: Rect, is_focused: bool, is_receiver: bool, canvas: &mut Canvas<'_>) {
    let room = rect.width.saturating_sub(4);
    let badges = badges(model, pane, is_receiver);
    let title = Title::new(model, pane);
    // The role always, in short where the title needs the room; the others as far as they fit.
    let keep = room.saturating_sub(title.width() + 1).max(room / 3);
    let (mut shown, mut used) = (Vec::new(), 0);
    for (index, (long, short, ink)) in badges.into_iter().enumerate() {
        let fits = |text: &str| used + words::width(text) + 3 <= keep;
        let text = if fits(&long) {
            long
        } else if index == 0 || fits(&short) {
            short
        } else {
            continue;
        };
        used += words::width(&text) + 2;
        shown.push((text, ink));
    }
    let title_ink = if is_focused { Ink::PaneTitleFocused } else { Ink::PaneTitle };
    let left = rect.x + 1;
    let title_room = (rect.width - 2).saturating_sub(used + 2);
    let name = title.within(title_room.saturating_sub(2));
    let at = canvas.text(left, rect.y, title_room, &format!(" {name} "), title_ink);
    let program_title = pane.screen.title();
    if !program_title.is_empty() && title_room > at + 8 {
        let room = title_room - at;
        canvas.text(left + at, rect.y, room, &format!("{} ", words::clip(program_title, room - 1)), Ink::PaneDetail);
    }
    let mut right = rect.right() - 1;
    for (text, ink) in shown {
        let text = format!(" {text} ");
        right = right.saturating_sub(words::width(&text));
        canvas.text(right, rect.y, rect.right() - right, &text, ink);
    }
}

/// `1 web-1 · shell`.
struct Title<'a> {
    number: String,
    machine: &'a str,
    session: &'a str,
}

impl Title<'_> {
    fn new<'a>(model: &'a Model, pane: &Pane) -> Title<'a> {
        let session = model.fleet.session(pane.session).map_or("session", |session| session.display_name());
        let number = model.number_of(pane.id).to_string();
        Title { number, machine: model.fleet.machine_name(pane.machine), session }
    }

    /// Columns of what stands around the two names.
    fn frame(&self) -> u16 {
        words::width(&self.number) + 4
    }

    fn width(&self) -> u16 {
        self.frame() + words::width(self.machine) + words::width(self.session)
    }

    /// As it fits: the machine gives way to the session down to half the room, since several sessions of one machine are told
    /// apart by theirs, and loses its middle, since machines are told apart by their ends.
    fn within(&self, cols: u16) -> String {
        let room = cols.saturating_sub(self.frame());
        let session = words::width(self.session).min(room.saturating_sub(words::width(self.machine)).max(room / 2));
        let machine = words::clip_middle(self.machine, room - session);
        format!("{} {machine} · {}", self.number, words::clip(self.session, session))
    }
}

/// Words for the right of the title, the most important first: long form, short form, ink.
fn badges(model: &Model, pane: &Pane, is_receiver: bool) -> Vec<(String, String, Ink)> {
    let mut badges: Vec<(String, String, Ink)> = Vec::new();
    let mut push = |long: String, short: String, ink: Ink| badges.push((long, short, ink));
    // Before the role: while it lasts nobody drives.
    if let Some(ms) = pane.unanswered_ms.filter(|_| matches!(pane.link, Link::Live)) {
        push(format!("no answer {} s", ms / 1000), "no answer".into(), Ink::BadgeWarning);
    }
    if let Some(exit) = &pane.exit {
        let ink = if exit.code == 0 { Ink::BadgeObserver } else { Ink::BadgeError };
        let short = if exit.signal.is_some() { "killed".to_string() } else { format!("exit {}", exit.code) };
        push(exit.to_string(), short, ink);
    } else if let Link::Closed(_) = pane.link {
        push("closed".into(), "closed".into(), Ink::BadgeError);
    } else if is_receiver {
        push("BROADCAST".into(), "CAST".into(), Ink::BadgeBroadcast);
    } else if pane.role == Role::Driver {
        push("DRIVER".into(), "DRV".into(), Ink::BadgeDriver);
    } else {
        push("observer".into(), "obs".into(), Ink::BadgeObserver);
    }
    if pane.is_marked && !is_receiver {
        push("◆ marked".into(), "◆".into(), Ink::BadgeMarked);
    }
    match &pane.link {
        Link::Lost(_) => push("LOST".into(), "LOST".into(), Ink::BadgeError),
        Link::Attaching => push("attaching…".into(), "…".into(), Ink::PaneDetail),
        _ => {}
    }
    if let Some(us) = pane.latency_us.filter(|us| *us > LAG_SHOWN_US && !pane.is_over()) {
        let text = words::latency(us);
        push(format!("lag {text}"), text, Ink::BadgeWarning);
    }
    if pane.skipped_at_ms.is_some_and(|at| model.now_ms < at + SKIPPED_SHOWN_MS) {
        let text = words::bytes(pane.skipped);
        push(format!("skipped {text}"), format!("-{text}"), Ink::BadgeWarning);
    }
    let (drivers, observers) = pane.others();
    if drivers > 0 {
        push(format!("{drivers} also driving"), format!("+{drivers}d"), Ink::BadgeWarning);
    }
    if observers > 0 {
        push(format!("{observers} observing"), format!("+{observers}o"), Ink::PaneDetail);
    }
    badges
}

fn bottom(pane: &Pane, rect: Rect, is_focused: bool, canvas: &mut Canvas<'_>) {
    let row = rect.bottom() - 1;
    let mut right = rect.right() - 1;
    let mut put = |canvas: &mut Canvas<'_>, text: String, ink: Ink| {
        let text = format!(" {text} ");
        let width = words::width(&text);
        if width + 2 <= right - rect.x {
            right -= width;
            canvas.text(right, row, width, &text, ink);
        }
    };
    if let Some((back, all)) = pane.scroll_position() {
        put(canvas, format!("↑ {back}/{all}"), Ink::BadgeScroll);
    } else if pane.is_looking_back {
        put(canvas, "looking back".to_string(), Ink::BadgeScroll);
    }
    if pane.is_clipped() && pane.scroll.is_none() {
        let size = pane.screen.size();
        put(canvas, if is_focused { format!("{size} clipped") } else { size.to_string() }, Ink::PaneDetail);
    }
    let note = match &pane.link {
        _ if pane.successor.is_some() => ("starting again…".to_string(), Ink::PaneDetail),
        Link::Lost(reason) => (reason.clone(), Ink::BadgeWarning),
        Link::Closed(reason) if pane.exit.is_none() => (reason.clone(), Ink::BadgeError),
        _ if pane.is_over() => ("Enter runs it again · x closes".to_string(), Ink::PaneDetail),
        _ => return,
    };
    let room = right.saturating_sub(rect.x + 2);
    canvas.text(rect.x + 1, row, room, &format!(" {} ", words::clip(&note.0, room.saturating_sub(2))), note.1);
}

/// Rows `first..=last` of the program's screen, as far as the pane shows them.
pub(super) fn body(pane: &Pane, first: u16, last: u16, canvas: &mut Canvas<'_>) {
    let Some(rect) = pane.rect else { return };
    let inside = layout::inside(rect);
    if inside.is_empty() {
        return;
    }
    let theme = canvas.theme();
    let rows = pane.screen.size().rows();
    let is_whole = pane.scroll.is_some() || last == u16::MAX;
    let top = if is_whole { 0 } else { first.saturating_sub(pane.origin.0) };
    let end = if is_whole { inside.height } else { (last + 1).saturating_sub(pane.origin.0).min(inside.height) };
    let total = pane.screen.history_total();
    let oldest = total - pane.screen.history_len() as u64;
    for line in top..end {
        let mut painter = Painter::new(canvas, inside, inside.y + line, pane, theme);
        match pane.scroll.map(|top| top + u64::from(line)) {
            Some(number) if number < total => {
                pane.screen.visit_history((number - oldest) as usize, |col, cell| painter.cell(col, cell));
            }
            Some(number) if number - total < u64::from(rows) => {
                pane.screen.visit_row((number - total) as u16, |col, cell| painter.cell(col, cell));
            }
            None if line + pane.origin.0 < rows => {
                pane.screen.visit_row(line + pane.origin.0, |col, cell| painter.cell(col, cell));
            }
            _ => painter.filler(0),
        }
    }
    if matches!(pane.link, Link::Attaching) && pane.screen.cursor().row == 0 && pane.screen.row_text(0).is_empty() {
        let text = "attaching…";
        let col = inside.x + inside.width.saturating_sub(words::width(text)) / 2;
        canvas.text(col, inside.y + inside.height / 2, inside.width, text, Ink::PaneNotice);
    }
}

/// Paints one row of a pane.
struct Painter<'c> {
    row: &'c mut [Cell],
    from: u16,
    base: Style,
    filler: Style,
    theme: &'c Theme,
    is_odd: bool,
}

impl<'c> Painter<'c> {
    fn new(canvas: &'c mut Canvas<'_>, inside: Rect, y: u16, pane: &Pane, theme: &'c Theme) -> Painter<'c> {
        let buffer = canvas.cells(Rect::new(inside.x, y, inside.width, 1));
        let start = buffer.index_of(inside.x, y);
        let row = &mut buffer.content[start..start + usize::from(inside.width)];
        let (base, filler) = (theme.style(Ink::PaneText), theme.style(Ink::PaneFiller));
        let mut painter = Painter { row, from: pane.origin.1, base, filler, theme, is_odd: y % 2 == 1 };
        let mut blank = Cell::EMPTY;
        (blank.fg, blank.bg) = (base.fg.unwrap_or(Color::Reset), base.bg.unwrap_or(Color::Reset));
        painter.row.fill(blank);
        painter.filler(pane.screen.size().cols().saturating_sub(pane.origin.1));
        painter
    }

    /// The part of the pane that lies beside or below the screen.
    fn filler(&mut self, from: u16) {
        // Sparse dots: seen as "no screen here", not as text.
        let phase = if self.is_odd { 2 } else { 0 };
        for (col, cell) in self.row.iter_mut().enumerate().skip(from.into()) {
            cell.reset();
            cell.set_symbol(if col % 4 == phase { "·" } else { " " }).set_style(self.filler);
        }
    }

    fn cell(&mut self, col: u16, cell: term::Cell<'_>) {
        let Some(col) = col.checked_sub(self.from).map(usize::from).filter(|col| *col < self.row.len()) else { return };
        let is_cut = (cell.width == 2 && col + 1 == self.row.len()) || (cell.width == 0 && col == 0);
        let slot = &mut self.row[col];
        let style = cell.style;
        if style == term::Style::default() && cell.width == 1 {
            // The row was made blank in the pane's own colours already.
            if !cell.text.is_empty() {
                slot.set_symbol(cell.text);
            }
            return;
        }
        slot.fg = tint(style.fg, self.base.fg, self.theme);
        slot.bg = tint(style.bg, self.base.bg, self.theme);
        slot.modifier = modifier(style);
        if cell.width == 0 && !is_cut {
            slot.set_symbol("");
        } else if cell.text.is_empty() || is_cut {
            slot.set_symbol(" ");
        } else {
            slot.set_symbol(cell.text);
        }
    }
}

fn tint(colour: term::Color, base: Option<Color>, theme: &Theme) -> Color {
    match colour {
        term::Color::Default => base.unwrap_or(Color::Reset),
        term::Color::Indexed(index) => theme.indexed(index),
        term::Color::Rgb(r, g, b) => Color::Rgb(r, g, b),
    }
}

fn modifier(style: term::Style) -> Modifier {
    let mut modifier = Modifier::empty();
    for (on, bit) in [
        (style.bold, Modifier::BOLD),
        (style.dim, Modifier::DIM),
        (style.italic, Modifier::ITALIC),
        (style.underline != term::Underline::None, Modifier::UNDERLINED),
        (style.blink, Modifier::SLOW_BLINK),
        (style.inverse, Modifier::REVERSED),
        (style.hidden, Modifier::HIDDEN),
        (style.strike, Modifier::CROSSED_OUT),
    ] {
        modifier.set(bit, on);
    }
    modifier
}

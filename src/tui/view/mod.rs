//! Draws the wall. Reads the model, writes cells, names no colour, changes nothing.

mod canvas;
mod help;
mod overlay;
mod pane;
mod sidebar;
mod statusline;
mod words;

use ratatui::layout::Rect;

use super::model::{Damage, Focus, Model, layout};
use super::presenter::{CursorAt, Presenter};
use super::theme::Ink;
use crate::term::CursorShape;

use canvas::Canvas;

pub(crate) use help::rows as help_rows;
pub(crate) use sidebar::row_at as sidebar_row_at;

/// Draws what is damaged into the presenter's back buffer and says where the cursor belongs.
///
/// ```text
///  sidebar │ ┏ 1 web-1 · shell ━━ DRIVER ┓ ╭ 2 db-1 · logs ── observer ╮
///  machines│ ┃ $                         ┃ │ ...                       │
///  sessions│ ┗━━━━━━━━━━━━━━━━━━━━━━━━━━━┛ ╰───────────────────────────╯
///  DRIVE  web-1 · shell   Ctrl+g o give back  Ctrl+g ? help    relay 0.3 ms
/// ```
pub fn draw(model: &Model, damage: &Damage, presenter: &mut Presenter) -> Option<CursorAt> {
    let mut canvas = Canvas::new(model, presenter);
    if model.is_cramped() {
        cramped(model, &mut canvas);
        return None;
    }
    if damage.is_all {
        canvas.fill(Rect::new(0, 0, model.screen.0, model.screen.1), Ink::Screen);
        if model.order.is_empty() {
            overlay::empty_wall(model, &mut canvas);
        }
    }
    for part in &damage.panes {
        let Some(pane) = model.panes.get(&part.pane) else { continue };
        if part.has_frame {
            pane::frame(model, pane, &mut canvas);
        }
        if let Some((first, last)) = part.rows {
            pane::body(pane, first, last, &mut canvas);
        }
    }
    // What lies over the panes is drawn whenever anything under it was.
    if damage.has_sidebar || model.is_drawer {
        sidebar::draw(model, &mut canvas);
    }
    if damage.has_status {
        statusline::draw(model, &mut canvas);
    }
    let mut cursor = pane_cursor(model);
    if model.focus == Focus::Sidebar {
        cursor = if model.sidebar.is_filtering { sidebar::cursor(model) } else { None };
    }
    for layer in &model.overlays {
        cursor = overlay::draw(model, layer, &mut canvas);
    }
    cursor
}

fn cramped(model: &Model, canvas: &mut Canvas<'_>) {
    let (cols, rows) = model.screen;
    canvas.fill(Rect::new(0, 0, cols, rows), Ink::Screen);
    let text = format!("fleetmux needs {}x{}", layout::MIN_COLS, layout::MIN_ROWS);
    let width = words::width(&text).min(cols);
    canvas.text((cols - width) / 2, rows / 2, cols, &text, Ink::Screen);
}

/// The program's cursor, where it can be seen and what is typed goes to the program.
fn pane_cursor(model: &Model) -> Option<CursorAt> {
    let pane = model.focused_pane().filter(|pane| pane.is_driven() && !pane.is_scrolling())?;
    let inside = layout::inside(pane.rect?);
    let cursor = pane.screen.cursor();
    let row = cursor.row.checked_sub(pane.origin.0).filter(|row| *row < inside.height)?;
    let col = cursor.col.checked_sub(pane.origin.1).filter(|col| *col < inside.width)?;
    cursor.visible.then_some(CursorAt {
        col: inside.x + col,
        row: inside.y + row,
        shape: cursor.shape,
        blink: cursor.blink,
    })
}

/// A cursor in a line being typed.
fn typing_at(col: u16, row: u16) -> Option<CursorAt> {
    Some(CursorAt { col, row, shape: CursorShape::Default, blink: false })
}

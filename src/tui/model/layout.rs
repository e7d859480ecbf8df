//! Pure geometry: where sidebar, panes and status line are.

use ratatui::layout::Rect;

/// The smallest terminal that gets a wall.
pub const MIN_COLS: u16 = 40;
/// The smallest terminal that gets a wall.
pub const MIN_ROWS: u16 = 10;
/// Smallest pane worth looking at, borders included; with more panes than fit the wall has pages.
pub const PANE_MIN_COLS: u16 = 24;
/// Smallest pane worth looking at, borders included.
pub const PANE_MIN_ROWS: u16 = 6;
/// Below this width the sidebar hides by itself, so that a single pane keeps a classic 80 columns.
pub const SIDEBAR_FROM_COLS: u16 = 110;
/// Columns to rows of a pane that reads like a classic 80x24 terminal.
const IDEAL_SHAPE: f32 = 3.2;

/// Where everything is on the outer terminal.
///
/// ```text
/// ┌─sidebar─┬──────────grid──────────┐
/// │ web-1   │ ┌─pane───┐ ┌─pane────┐ │
/// │  shell  │ └────────┘ └─────────┘ │
/// ├─────────┴────────status──────────┤
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    /// The sidebar, if there is room and wish for it.
    pub sidebar: Option<Rect>,
    /// All panes.
    pub grid: Rect,
    /// The last line.
    pub status: Rect,
}

/// Splits the outer terminal.
pub fn areas(cols: u16, rows: u16, is_sidebar_wanted: bool) -> Areas {
    let body = rows.saturating_sub(1);
    let status = Rect::new(0, body, cols, rows.min(1));
    let width = sidebar_cols(cols);
    if !is_sidebar_wanted || cols < width + PANE_MIN_COLS {
        return Areas { sidebar: None, grid: Rect::new(0, 0, cols, body), status };
    }
    Areas { sidebar: Some(Rect::new(0, 0, width, body)), grid: Rect::new(width, 0, cols - width, body), status }
}

fn sidebar_cols(cols: u16) -> u16 {
    (cols / 6).clamp(33, 40)
}

/// How many panes fit on one page of an area.
pub fn page_capacity(area: Rect) -> usize {
    usize::from((area.width / PANE_MIN_COLS).max(1)) * usize::from((area.height / PANE_MIN_ROWS).max(1))
}

/// Rectangles of `count` panes that cover the area exactly, row by row, left to right, as close to a classic
/// terminal's shape as the count allows.
pub fn grid(area: Rect, count: usize) -> Vec<Rect> {
    let rows = best_rows(area, count);
    let mut rects = Vec::with_capacity(count);
    for row in 0..rows {
        // The remainder goes to the lower rows: the first panes stay wide.
        let in_row = count / rows + usize::from(row + count % rows >= rows);
        let top = part(area.height, row, rows);
        let bottom = part(area.height, row + 1, rows);
        for col in 0..in_row {
            let left = part(area.width, col, in_row);
            let right = part(area.width, col + 1, in_row);
            rects.push(Rect::new(area.x + left, area.y + top, right - left, bottom - top));
        }
    }
    rects
}

fn part(length: u16, index: usize, count: usize) -> u16 {
    (usize::from(length) * index / count.max(1)) as u16
}

fn best_rows(area: Rect, count: usize) -> usize {
    let cost = |rows: usize| {
        let cols = count.div_ceil(rows);
        let (width, height) = (f32::from(area.width) / cols as f32, f32::from(area.height) / rows as f32);
        let shape = (width / height.max(0.1) / IDEAL_SHAPE).ln().abs();
        // A pane below the useful minimum costs more than any odd shape; uneven rows cost a little.
        let cramped = if width < PANE_MIN_COLS.into() || height < PANE_MIN_ROWS.into() { 10.0 } else { 0.0 };
        let uneven = if count.is_multiple_of(rows) { 0.0 } else { 0.3 };
        // Programs are written for 80 columns: fewer fold their lines.
        let narrow = 0.4 * (80.0 - width).max(0.0) / 80.0;
        shape + cramped + uneven + narrow
    };
    (1..=count.max(1)).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(1)
}

/// The inside of a bordered rectangle.
pub fn inside(rect: Rect) -> Rect {
    Rect::new(rect.x + 1, rect.y + 1, rect.width.saturating_sub(2), rect.height.saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_cover_the_grid_without_overlap() {
        for (cols, rows) in [(40, 9), (80, 23), (130, 44), (240, 59), (61, 97)] {
            let area = Rect::new(7, 3, cols, rows);
            for count in 1..=64.min(page_capacity(area)) {
                let rects = grid(area, count);
                assert_eq!(rects.len(), count);
                let mut seen = vec![0u8; usize::from(cols) * usize::from(rows)];
                for rect in &rects {
                    for (x, y) in
                        (rect.top()..rect.bottom()).flat_map(|y| (rect.left()..rect.right()).map(move |x| (x, y)))
                    {
                        seen[usize::from(y - area.y) * usize::from(cols) + usize::from(x - area.x)] += 1;
                    }
                }
                assert!(seen.iter().all(|&n| n == 1), "{count} panes on {cols}x{rows}");
            }
        }
    }

    #[test]
    fn a_full_page_still_has_useful_panes() {
        for (cols, rows) in [(80, 23), (130, 44), (210, 59), (400, 99)] {
            let area = Rect::new(0, 0, cols, rows);
            for count in 1..=page_capacity(area) {
                for rect in grid(area, count) {
                    assert!(
                        rect.width >= PANE_MIN_COLS && rect.height >= PANE_MIN_ROWS,
                        "{count} on {cols}x{rows}: {rect}"
                    );
                }
            }
        }
    }

    #[test]
    fn few_panes_take_the_shapes_a_person_would_choose() {
        let shape = |cols, rows, count| best_rows(Rect::new(0, 0, cols, rows), count);
        assert_eq!(shape(160, 44, 2), 1);
        assert_eq!(shape(80, 23, 2), 2);
        assert_eq!(shape(160, 44, 4), 2);
        assert_eq!(shape(160, 44, 6), 2);
        assert_eq!(shape(240, 59, 9), 3);
        // Uneven rows are a last resort, and the wide panes come first.
        assert_eq!(shape(100, 79, 8), 4);
        let widths: Vec<u16> = grid(Rect::new(0, 0, 120, 44), 5).iter().map(|rect| rect.width).collect();
        assert!(widths.is_sorted_by(|a, b| a >= b), "{widths:?}");
    }

    #[test]
    fn a_narrow_terminal_gives_the_sidebars_room_to_the_panes() {
        assert_eq!(areas(50, 24, true).sidebar, None);
        assert_eq!(areas(160, 45, false).grid, Rect::new(0, 0, 160, 44));
        assert_eq!(areas(160, 45, true).sidebar, Some(Rect::new(0, 0, 33, 44)));
    }
}

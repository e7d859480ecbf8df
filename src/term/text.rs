//! Text of history and screen together: what a selection copies, and where a pattern is found.
//!
//! Lines are numbered for ever: a line keeps its number while it scrolls from the screen into the history and until
//! it is dropped. Lines that were wrapped by the terminal count as one line of text.

use super::{Cell, Screen};
use regex::Regex;

/// A cell by the number of its line and its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the line: the screen's first row is [`Screen::history_total`], the history lies before it.
    pub line: u64,
    /// Column from the left, zero-based.
    pub col: u16,
}

/// Where a pattern was found; it may span wrapped lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Its first cell.
    pub start: Position,
    /// Its last cell.
    pub end: Position,
}

/// Number of the oldest line still here.
pub fn first_line(screen: &Screen) -> u64 {
    screen.history_total() - screen.history_len() as u64
}

/// Number of the last row of the screen.
pub fn last_line(screen: &Screen) -> u64 {
    screen.history_total() + u64::from(screen.size().rows()) - 1
}

/// Visits the cells of a line by its number; lines that are not here are not visited.
pub fn visit_line(screen: &Screen, line: u64, visit: impl FnMut(u16, Cell<'_>)) {
    if let Some(row) = line.checked_sub(screen.history_total()) {
        if row < u64::from(screen.size().rows()) {
            screen.visit_row(row as u16, visit);
        }
    } else if let Some(index) = line.checked_sub(first_line(screen)) {
        screen.visit_history(index as usize, visit);
    }
}

/// Whether a line continues on the next one.
pub fn is_wrapped(screen: &Screen, line: u64) -> bool {
    match line.checked_sub(screen.history_total()) {
        Some(row) => row < u64::from(screen.size().rows()) && screen.is_wrapped(row as u16),
        None => line.checked_sub(first_line(screen)).is_some_and(|index| screen.is_history_wrapped(index as usize)),
    }
}

/// Text from one cell to another, both included, in either order. Wrapped lines are joined, trailing blanks dropped.
pub fn selection(screen: &Screen, a: Position, b: Position) -> String {
    let (start, end) = (a.min(b), a.max(b));
    let mut out = String::new();
    let mut line = start.line.max(first_line(screen));
    let last = end.line.min(last_line(screen));
    while line <= last {
        let from = if line == start.line { start.col } else { 0 };
        let to = if line == end.line { end.col } else { u16::MAX };
        let mut text = String::new();
        visit_line(screen, line, |col, cell| {
            // A wide character is taken whole if either of its halves is selected.
            let reach = col.saturating_add(u16::from(cell.width.max(1)) - 1);
            if cell.width > 0 && reach >= from && col <= to {
                text.push_str(if cell.text.is_empty() { " " } else { cell.text });
            }
        });
        let joins = is_wrapped(screen, line) && line < last;
        out.push_str(if joins { &text } else { text.trim_end_matches(' ') });
        if !joins && line < last {
            out.push('\n');
        }
        line += 1;
    }
    out
}

/// Where a pattern is found in history and screen, oldest first, at most `limit` times.
pub fn search(screen: &Screen, pattern: &Regex, limit: usize) -> Vec<Match> {
    let mut found = Vec::new();
    let (mut line, last) = (first_line(screen), last_line(screen));
    let mut text = String::new();
    // Where each cell's text begins in `text`.
    let mut cells: Vec<(usize, Position)> = Vec::new();
    while line <= last && found.len() < limit {
        visit_line(screen, line, |col, cell| {
            if cell.width > 0 {
                cells.push((text.len(), Position { line, col }));
                text.push_str(if cell.text.is_empty() { " " } else { cell.text });
            }
        });
        line += 1;
        if line <= last && is_wrapped(screen, line - 1) && text.len() < LOGICAL_LINE_CAP {
            continue;
        }
        let trimmed = text.trim_end_matches(' ');
        for hit in pattern.find_iter(trimmed).filter(|hit| !hit.is_empty()).take(limit - found.len()) {
            let cell_at = |byte: usize| cells[cells.partition_point(|(start, _)| *start <= byte) - 1].1;
            found.push(Match { start: cell_at(hit.start()), end: cell_at(hit.end() - 1) });
        }
        text.clear();
        cells.clear();
    }
    found
}

/// Bytes of wrapped lines joined for one search; what is longer is searched in pieces.
const LOGICAL_LINE_CAP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Size;

    fn screen(text: &str) -> Screen {
        let mut screen = Screen::new(Size::new(3, 6), 1 << 16);
        screen.feed(text.as_bytes());
        screen
    }

    fn at(line: u64, col: u16) -> Position {
        Position { line, col }
    }

    #[test]
    fn a_selection_joins_what_the_terminal_wrapped() {
        let screen = screen("abcdefgh\r\nx  \r\ny\r\nz");
        assert_eq!(screen.history_total(), 2);
        assert_eq!(selection(&screen, at(0, 4), at(4, 0)), "efgh\nx\ny\nz");
        assert_eq!(selection(&screen, at(4, 0), at(0, 4)), "efgh\nx\ny\nz");
        assert_eq!(selection(&screen, at(1, 1), at(1, 1)), "h");
    }

    #[test]
    fn half_of_a_wide_character_selects_all_of_it() {
        let screen = screen("a漢b");
        assert_eq!(selection(&screen, at(0, 2), at(0, 2)), "漢");
    }

    #[test]
    fn a_pattern_is_found_across_a_wrap_and_in_the_history() {
        let screen = screen("one\r\ntwo error\r\nthree\r\nerror");
        let found = search(&screen, &Regex::new("error").unwrap(), 10);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].start, found[0].end), (at(1, 4), at(2, 2)));
        assert_eq!((found[1].start, found[1].end), (at(4, 0), at(4, 4)));
        assert_eq!(search(&screen, &Regex::new("error").unwrap(), 1).len(), 1);
    }

    #[test]
    fn columns_count_cells_and_not_bytes() {
        let screen = screen("漢é=1");
        let found = search(&screen, &Regex::new("=").unwrap(), 10);
        assert_eq!(found[0].start, at(0, 3));
    }
}

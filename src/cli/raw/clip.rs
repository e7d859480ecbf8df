//! A session that is larger than the person's terminal: a part of it, which follows the cursor.
//!
//! Raw output would be garbled there, so the replica is drawn: rows that have changed, at most so many times a second.

use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::{Size, is_deceptive};
use crate::term::Screen;

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// What drawing needs, whatever was on: no shift, margins, origin or insert mode; what is too wide wraps nowhere.
const BEGIN: &[u8] = b"\x0f\x1b(B\x1b[?25l\x1b[?6l\x1b[?69l\x1b[r\x1b[4l\x1b[?7l\x1b[?5l\x1b]8;;\x1b\\\x1b[m";

/// The part that is shown.
pub(super) struct Clip {
    /// First row and column of it.
    top: u16,
    left: u16,
    /// What is on the terminal; `None` for a row that must be drawn.
    rows: Vec<Option<Vec<u8>>>,
    is_alternate: Option<bool>,
    keys: Vec<u8>,
    title: String,
    drawn_at: Option<Instant>,
    due: Option<Instant>,
}

impl Clip {
    /// Everything is drawn at once.
    pub(super) fn new() -> Clip {
        let due = Some(Instant::now());
        let (rows, keys, title) = (Vec::new(), Vec::new(), String::new());
        Clip { top: 0, left: 0, rows, is_alternate: None, keys, title, drawn_at: None, due }
    }

    /// When the next frame is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something has changed.
    pub(super) fn wake(&mut self) {
        let at = self.drawn_at.map_or_else(Instant::now, |drawn| drawn + FRAME);
        self.due.get_or_insert(at);
    }

    /// Something else was shown in a row.
    pub(super) fn forget_row(&mut self, row: u16) {
        if let Some(shown) = self.rows.get_mut(usize::from(row)) {
            *shown = None;
        }
        self.due = Some(Instant::now());
    }

    /// Where the session's cursor is on the terminal, from 0.
    pub(super) fn cursor(&self, replica: &Screen) -> (u16, u16) {
        let cursor = replica.cursor();
        (cursor.row.saturating_sub(self.top), cursor.col.saturating_sub(self.left))
    }

    /// What brings the terminal up to date; its last row is left alone while a line of ours is there.
    pub(super) fn draw(&mut self, replica: &Screen, outer: Size, has_notice: bool) -> Vec<u8> {
        (self.due, self.drawn_at) = (None, Some(Instant::now()));
        let (size, cursor) = (replica.size(), replica.cursor());
        let (top, left) = (
            followed(self.top, cursor.row, size.rows(), outer.rows()),
            followed(self.left, cursor.col, size.cols(), outer.cols()),
        );
        let is_alternate = replica.modes().alternate;
        let mut out = b"\x1b\\\x1b[?2026h".to_vec();
        if self.is_alternate != Some(is_alternate) {
            out.extend_from_slice(if is_alternate { b"\x1b[?1049h" } else { b"\x1b[?1049l" });
            self.rows.clear();
        }
        out.extend_from_slice(BEGIN);
        (self.top, self.left, self.is_alternate) = (top, left, Some(is_alternate));
        self.rows.resize(outer.rows().into(), None);
        let cols = left..left + outer.cols().min(size.cols());
        let drawn = outer.rows() - u16::from(has_notice && outer.rows() > 1);
        for (shown, row) in self.rows.iter_mut().zip(0..drawn) {
            let wanted = replica.row_window(top + row, &cols);
            if shown.as_ref() != Some(&wanted) {
                out.extend_from_slice(format!("\x1b[{};1H\x1b[K", row + 1).as_bytes());
                out.extend_from_slice(&wanted);
                *shown = Some(wanted);
            }
        }
        let keys = replica.key_modes();
        if keys != self.keys {
            out.extend_from_slice(&keys);
            self.keys = keys;
        }
        if replica.title() != self.title {
            self.title = replica.title().to_string();
            let shown: String = self.title.chars().filter(|c| !c.is_control() && !is_deceptive(*c)).collect();
            out.extend_from_slice(format!("\x1b]2;{shown}\x1b\\").as_bytes());
        }
        let (row, col) = self.cursor(replica);
        out.extend_from_slice(format!("\x1b[{};{}H", row + 1, col + 1).as_bytes());
        if cursor.visible {
            out.extend_from_slice(b"\x1b[?25h");
        }
        out.extend_from_slice(b"\x1b[?7h\x1b[?2026l");
        out
    }
}

/// The first of so many lines shown out of a total: the very first while the cursor is seen there, since text begins there,
/// else moved no further than the cursor needs.
fn followed(first: u16, cursor: u16, total: u16, shown: u16) -> u16 {
    if cursor < shown {
        return 0;
    }
    let first = first.min(cursor).max((cursor + 1).saturating_sub(shown));
    first.min(total.saturating_sub(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(screen: &Screen) -> Vec<String> {
        (0..screen.size().rows()).map(|row| screen.row_text(row)).collect()
    }

    #[test]
    fn a_smaller_terminal_shows_the_part_around_the_cursor() {
        let mut replica = Screen::new(Size::new(4, 10), 0);
        replica.feed("one\r\ntwo\r\nthree\r\n\x1b[31m01234\u{6f22}789".as_bytes());
        let mut outer = Screen::new(Size::new(2, 6), 0);
        outer.feed(b"junk\x1b(0\x1b[4h\x1b[?6h");
        let mut clip = Clip::new();
        outer.feed(&clip.draw(&replica, outer.size(), false));
        assert_eq!(rows(&outer), ["e", "4\u{6f22}789"]);
        assert_eq!((outer.cursor().row, outer.cursor().col), (1, 5));
        replica.feed(b"\x1b[H");
        outer.feed(&clip.draw(&replica, outer.size(), false));
        assert_eq!(rows(&outer), ["one", "two"]);
        replica.feed(b"\x1b[?1049h\x1b[Hfull\x1b[?25l\x1b[?1h");
        outer.feed(&clip.draw(&replica, outer.size(), false));
        assert_eq!(rows(&outer), ["full", ""]);
        let modes = outer.modes();
        assert!(modes.alternate && modes.app_cursor && !outer.cursor().visible);
    }

    #[test]
    fn rows_that_have_not_changed_are_not_drawn() {
        let mut replica = Screen::new(Size::new(3, 10), 0);
        replica.feed(b"one\r\ntwo\x1b[H");
        let mut clip = Clip::new();
        clip.draw(&replica, Size::new(2, 10), false);
        replica.feed(b"ONE\x1b[H");
        let frame = String::from_utf8(clip.draw(&replica, Size::new(2, 10), false)).unwrap();
        assert!(frame.contains("ONE") && !frame.contains("two"), "{frame:?}");
    }
}

//! RIS, DECSTR and DECALN.

use super::{ModeSet, Term};
use crate::term::charset::Charsets;
use crate::term::damage::{Fill, Filled};
use crate::term::engine::Engine;
use crate::term::pen::Pen;
use crate::term::tabs::Tabs;
use crate::term::types::Color;
use std::io::Write as _;

impl Term {
    /// RIS: as new, but events and replies are kept.
    pub(super) fn reset(&mut self) {
        self.keep_work();
        let filled = self.damage.filled().filter(|_| !self.is_alternate);
        match Filled::stale(filled, Fill::Blank(Color::Default), 0, self.last_row()) {
            Some((first, last)) if (first, last) == (0, self.last_row()) => {
                self.spend_blank_rows(self.size.rows());
                self.primary = Engine::new(self.size, true);
            }
            stale => {
                self.primary.write(b"\x1b[m\x1b[r");
                self.clear_rows(stale);
                self.primary.write(b"\x1b[H");
            }
        }
        self.alternate = None;
        self.is_alternate = false;
        self.scrolled = 0;
        self.history.clear();
        self.marks = Default::default();
        self.reset_state();
        self.tabs = Tabs::new(self.size.cols());
        self.modes = ModeSet::default();
        self.keyboards = Default::default();
        self.last_char = None;
        self.title.clear();
        self.title_stack.clear();
        self.palette = Default::default();
        self.hidden_fill = None;
        self.damage.fill(Some(Filled::all(Fill::Blank(Color::Default))));
    }

    /// Clears rows of the shown grid while its pen is the default one; the cursor is left anywhere.
    pub(super) fn clear_rows(&mut self, rows: Option<(u16, u16)>) {
        let Some((first, last)) = rows else { return };
        self.spend_blank_rows(last - first + 1);
        let mut out = Vec::new();
        match rows {
            Some(rows) if rows == (0, self.last_row()) => out.extend_from_slice(b"\x1b[2J"),
            _ => (first..=last).for_each(|row| write!(out, "\x1b[{}H\x1b[2K", row + 1).unwrap_or_default()),
        }
        self.engine_mut().write(&out);
    }

    /// Pen, margins, charsets, saved cursors; the grid stays.
    fn reset_state(&mut self) {
        self.pen = Pen::default();
        self.mark = None;
        (self.top, self.bottom) = (0, self.last_row());
        self.sides_mode(false);
        self.charsets = Charsets::default();
        self.saved = Default::default();
    }

    /// DECSTR.
    pub(super) fn soft_reset(&mut self) {
        self.reset_state();
        self.set_pen();
        self.set_margins();
        self.modes.insert = false;
        self.modes.origin = false;
        self.modes.autowrap = true;
        self.modes.reverse_wrap = false;
        self.modes.app_cursor = false;
        self.modes.app_keypad = false;
        self.modes.cursor_visible = true;
    }

    /// Sets the link of the pen.
    pub(in crate::term) fn set_link(&mut self, link: Option<std::sync::Arc<str>>) {
        self.change_pen(|pen| pen.link = link);
    }

    /// Puts a title on the stack, as a keyframe tells it.
    pub(in crate::term) fn push_title(&mut self, title: &str) {
        if self.title_stack.len() < crate::term::query::TITLES_CAP {
            self.title_stack.push(crate::term::osc::sanitize(title, crate::term::osc::TITLE_CAP));
        }
    }

    /// Sets the title without telling anyone.
    pub(in crate::term) fn restore_title(&mut self, title: &str) {
        self.title = crate::term::osc::sanitize(title, crate::term::osc::TITLE_CAP);
    }

    /// Sets the directory without telling anyone.
    pub(in crate::term) fn restore_cwd(&mut self, cwd: &str) {
        self.cwd = Some(crate::term::osc::sanitize(cwd, crate::term::osc::PATH_CAP));
    }

    /// DECALN: the screen full of E, margins reset; the cursor stays where it is.
    pub(super) fn align(&mut self) {
        let (row, col) = self.pos();
        (self.top, self.bottom) = (0, self.last_row());
        self.reset_sides();
        self.modes.origin = false;
        self.set_margins();
        if let Some((first, last)) = Filled::stale(self.damage.filled(), Fill::Aligned, 0, self.last_row()) {
            (0..8).for_each(|_| self.spend_rows(last - first + 1));
            let mut out = b"\x1b[m".to_vec();
            for line in first..=last {
                // Erased first, so that no row continues on the next.
                let _ = write!(out, "\x1b[{}H\x1b[2KE\x1b[{}b", line + 1, self.size.cols() - 1);
            }
            self.engine_mut().write(&out);
            self.engine_mut().go(row, col);
        }
        self.set_pen();
        self.damage.fill(Some(Filled::all(Fill::Aligned)));
    }
}

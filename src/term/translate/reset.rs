//! RIS, DECSTR and DECALN.

use super::{ModeSet, Term};
use crate::term::charset::Charsets;
use crate::term::engine::Engine;
use crate::term::pen::Pen;
use crate::term::tabs::Tabs;

impl Term {
    /// RIS: as new, but events and replies are kept.
    pub(super) fn reset(&mut self) {
        self.primary = Engine::new(self.size, true);
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
        self.damage.all();
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
        if self.title_stack.len() < 16 && title.chars().count() <= 256 {
            self.title_stack.push(title.into());
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
        let text = "E".repeat(self.size.cols().into());
        self.engine_mut().write(b"\x1b[m\x1b[2J");
        for line in 0..self.size.rows() {
            self.engine_mut().go(line, 0);
            self.engine_mut().write(text.as_bytes());
        }
        self.engine_mut().go(row, col);
        self.set_pen();
        self.damage.all();
    }
}

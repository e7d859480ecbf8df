//! One pane: a replica of a session's screen and what is known of the way to it.

use ratatui::layout::Rect;

use crate::fleet::{Exit, MachineId, Role, SessionId, Size, Viewer};
use crate::term::{Backlog, Rows, Screen};

use super::super::input::KeyPress;
use super::layout;

/// Number of a pane for as long as the wall is open; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaneId(pub u64);

/// A synchronized update (mode 2026) that stays open longer than this is drawn anyway, milliseconds.
pub const SYNC_MAX_MS: u64 = 150;
/// A round trip above this is shown in the title, microseconds: below it nobody feels it.
pub const LAG_SHOWN_US: u32 = 80_000;
/// How long fresh skipped bytes stay in the title, milliseconds.
pub const SKIPPED_SHOWN_MS: u64 = 8_000;
/// Keys typed between asking for the wheel and getting it; more are dropped.
const TYPED_AHEAD_CAP: usize = 256;

/// How the pane reaches its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Asked, not yet answered.
    Attaching,
    /// Output flows.
    Live,
    /// Cut; the client keeps trying.
    Lost(String),
    /// Over: the session is gone or refused.
    Closed(String),
}

/// A rectangle on the wall that shows a session.
pub struct Pane {
    /// Its number.
    pub id: PaneId,
    /// Where its session lives.
    pub machine: MachineId,
    /// The session.
    pub session: SessionId,
    /// The replica.
    pub screen: Screen,
    /// Output that the replica has not taken yet.
    pub backlog: Backlog,
    /// Too much waited and was dropped; the keeper was asked for the screen.
    pub is_skipping: bool,
    /// Role granted.
    pub role: Role,
    /// Role asked for and not yet answered.
    pub asked: Option<Role>,
    /// The way to the session.
    pub link: Link,
    /// How the program ended, once it has.
    pub exit: Option<Exit>,
    /// Everybody attached.
    pub viewers: Vec<Viewer>,
    /// This pane's number among them.
    pub number: u32,
    /// Measured round trip, microseconds.
    pub latency_us: Option<u32>,
    /// For so long nothing has come from its machine though it was asked, milliseconds.
    pub unanswered_ms: Option<u64>,
    /// Output bytes never shown here, in all.
    pub skipped: u64,
    /// When bytes were skipped last.
    pub skipped_at_ms: Option<u64>,
    /// Marked for broadcast.
    pub is_marked: bool,
    /// The wheel was taken for a broadcast and goes back after it.
    pub is_borrowed: bool,
    /// Number of the topmost line shown, counted as [`Screen::history_total`] counts; `None` at the newest.
    pub scroll: Option<u64>,
    /// In a driven pane: keys look back although nothing is scrolled yet.
    pub is_looking_back: bool,
    /// Older output was skipped and the keeper knows it; asked for when somebody looks back.
    pub has_history_gap: bool,
    /// Where the pane is on the outer terminal; `None` on another page.
    pub rect: Option<Rect>,
    /// The size told to the keeper last.
    pub told: Option<Size>,
    /// First row and column of the screen that is shown, when it is larger than the pane.
    pub origin: (u16, u16),
    /// The session that takes this pane over once it exists.
    pub successor: Option<SessionId>,
    /// Keys typed before the wheel was granted.
    pub typed_ahead: Vec<KeyPress>,
    /// When a synchronized update began.
    pub sync_since_ms: Option<u64>,
    /// Output came in since the last drawing.
    pub is_fed: bool,
    /// Border or title changed.
    pub is_frame_stale: bool,
    /// All rows changed.
    pub is_body_stale: bool,
}

impl Pane {
    /// A pane that is about to attach.
    pub fn new(id: PaneId, machine: MachineId, session: SessionId, size: Size, history_bytes: usize) -> Pane {
        Pane {
            id,
            machine,
            session,
            screen: Screen::new(size, history_bytes),
            backlog: Backlog::default(),
            is_skipping: false,
            role: Role::Observer,
            asked: None,
            link: Link::Attaching,
            exit: None,
            viewers: Vec::new(),
            number: 0,
            latency_us: None,
            unanswered_ms: None,
            skipped: 0,
            skipped_at_ms: None,
            is_marked: false,
            is_borrowed: false,
            scroll: None,
            is_looking_back: false,
            has_history_gap: false,
            rect: None,
            told: None,
            origin: (0, 0),
            successor: None,
            typed_ahead: Vec::new(),
            sync_since_ms: None,
            is_fed: false,
            is_frame_stale: true,
            is_body_stale: true,
        }
    }

    /// What is typed goes to the program.
    pub fn is_driven(&self) -> bool {
        self.role == Role::Driver && self.exit.is_none() && !matches!(self.link, Link::Closed(_))
    }

    /// Nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.exit.is_some() || matches!(self.link, Link::Closed(_))
    }

    /// Keys move through the output instead of going to the program.
    pub fn is_scrolling(&self) -> bool {
        self.scroll.is_some() || self.is_looking_back
    }

    /// Size of its inside; of a pane that is not on the screen, nothing.
    pub fn inner(&self) -> Option<Size> {
        let inside = layout::inside(self.rect?);
        (!inside.is_empty()).then(|| Size::new(inside.height.into(), inside.width.into()))
    }

    /// Rows and columns of its inside.
    fn room(&self) -> (u16, u16) {
        self.rect.map(layout::inside).map_or((0, 0), |inside| (inside.height, inside.width))
    }

    /// Lines scrolled back, and lines there are.
    pub fn scroll_position(&self) -> Option<(u64, u64)> {
        let top = self.scroll?;
        Some((
            self.newest_top().saturating_sub(top),
            self.screen.history_len() as u64 + u64::from(self.origin_at_rest()),
        ))
    }

    /// Number of the topmost line when nothing is scrolled.
    fn newest_top(&self) -> u64 {
        self.screen.history_total() + u64::from(self.origin_at_rest())
    }

    /// The first screen row that a pane which follows the output shows.
    fn origin_at_rest(&self) -> u16 {
        self.screen.size().rows().saturating_sub(self.room().0)
    }

    /// Moves back (up) or forth by lines; stops at both ends.
    pub fn scroll_by(&mut self, up: i64) {
        let newest = self.newest_top();
        let oldest = self.screen.history_total() - self.screen.history_len() as u64;
        let top = self.scroll.unwrap_or(newest);
        let top = if up >= 0 { top.saturating_sub(up.unsigned_abs()) } else { top.saturating_add(up.unsigned_abs()) };
        let top = top.max(oldest);
        self.scroll = (top < newest).then_some(top);
        self.is_body_stale = true;
        self.is_frame_stale = true;
    }

    /// Back to the newest output, and keys to the program.
    pub fn leave_scroll(&mut self) {
        self.scroll = None;
        self.is_looking_back = false;
        self.is_body_stale = true;
        self.is_frame_stale = true;
    }

    /// A fresh replica: its line numbers are other ones, the distance from the newest line stays.
    pub fn replace_screen(&mut self, size: Size, history_bytes: usize, data: &[u8]) {
        let back = self.scroll_position().map(|(back, _)| back);
        self.screen = Screen::from_keyframe(size, history_bytes, data);
        self.backlog.clear();
        self.is_skipping = false;
        self.scroll = None;
        if let Some(back) = back {
            self.scroll_by(i64::try_from(back).unwrap_or(i64::MAX));
        }
        self.is_body_stale = true;
    }

    /// Another size, after the output before it.
    pub fn resize_screen(&mut self, size: Size) {
        if self.backlog.is_empty() {
            self.screen.resize(size);
        } else {
            self.backlog.resized(size);
        }
    }

    /// After output: keeps the scroll position within what history still holds, and the cursor in view.
    pub fn settle(&mut self, now_ms: u64, is_focused: bool) {
        if let Some(top) = self.scroll {
            let oldest = self.screen.history_total() - self.screen.history_len() as u64;
            self.scroll = Some(top.max(oldest));
        }
        let origin = self.wanted_origin(is_focused);
        if origin != self.origin {
            self.origin = origin;
            self.is_body_stale = true;
        }
        self.sync_since_ms = match (self.screen.modes().synchronized, self.sync_since_ms) {
            (true, None) => Some(now_ms),
            (true, since) => since,
            (false, _) => None,
        };
    }

    /// A screen larger than the pane: rows around the cursor; columns follow it only where somebody works.
    fn wanted_origin(&self, is_focused: bool) -> (u16, u16) {
        let (rows, cols) = self.room();
        let size = self.screen.size();
        if rows == 0 || cols == 0 || (size.rows() <= rows && size.cols() <= cols) {
            return (0, 0);
        }
        let cursor = self.screen.cursor();
        let is_fixed = self.screen.modes().alternate && !cursor.visible;
        let row =
            if is_fixed { 0 } else { (cursor.row + 1).saturating_sub(rows).min(size.rows().saturating_sub(rows)) };
        let col = match cursor.col.checked_sub(cols) {
            Some(beyond) if is_focused && !is_fixed => {
                // In steps of half the pane, so that the text does not slide with each key.
                let step = (cols / 2).max(1);
                ((beyond / step + 1) * step).min(size.cols().saturating_sub(cols))
            }
            _ => 0,
        };
        (row, col)
    }

    /// The screen does not fit into the pane.
    pub fn is_clipped(&self) -> bool {
        let (rows, cols) = self.room();
        let size = self.screen.size();
        rows > 0 && (size.rows() > rows || size.cols() > cols)
    }

    /// Drawing must wait for the end of a synchronized update.
    pub fn is_held(&self, now_ms: u64) -> bool {
        self.sync_since_ms.is_some_and(|since| now_ms < since + SYNC_MAX_MS)
    }

    /// Something of it is to be drawn.
    pub fn is_stale(&self) -> bool {
        self.is_fed || self.is_frame_stale || self.is_body_stale
    }

    /// What is to be drawn, and marks it as drawn.
    pub fn take_damage(&mut self) -> (bool, Rows) {
        let frame = std::mem::take(&mut self.is_frame_stale);
        let is_fed = std::mem::take(&mut self.is_fed);
        let rows = if is_fed { self.screen.take_dirty() } else { Rows::Clean };
        let is_all = std::mem::take(&mut self.is_body_stale) || (self.scroll.is_some() && is_fed);
        (frame, if is_all { Rows::All } else { rows })
    }

    /// Keeps a key until the wheel is granted.
    pub fn type_ahead(&mut self, press: KeyPress) {
        if self.typed_ahead.len() < TYPED_AHEAD_CAP {
            self.typed_ahead.push(press);
        }
    }

    /// Drivers and observers besides this pane.
    pub fn others(&self) -> (usize, usize) {
        let others = self.viewers.iter().filter(|viewer| viewer.number != self.number);
        let (drivers, observers): (Vec<&Viewer>, Vec<&Viewer>) = others.partition(|viewer| viewer.role == Role::Driver);
        (drivers.len(), observers.len())
    }
}

//! The wall as data. Only `update` changes it, `view` reads it, and nothing here knows a runtime or a terminal.

mod fleet;
pub mod layout;
mod overlay;
mod pane;
mod sidebar;
mod toast;

use std::collections::{BTreeMap, HashSet};

use ratatui::layout::Rect;

use crate::client::ConnectionState;
use crate::fleet::{MachineId, SessionId, Size};
use crate::term::Rows;

use super::effect::{Effect, Effects};
use super::input::Keymap;
use super::theme::Theme;

pub use fleet::Fleet;
pub use layout::Areas;
pub use overlay::{Field, Overlay, Question};
pub use pane::{LAG_SHOWN_US, Link, Pane, PaneId, SKIPPED_SHOWN_MS, SYNC_MAX_MS};
pub use sidebar::{Sidebar, SidebarRow};
pub use toast::{Severity, Toast, Toasts};

/// More panes than this are not opened: a wall of 64 is what one person can overlook.
pub const PANE_CAP: usize = 64;

/// What is opened at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// Every session there is or comes to be, up to [`PANE_CAP`].
    AllSessions,
    /// These.
    Sessions(Vec<SessionId>),
}

/// Who takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The focused pane.
    Panes,
    /// The sidebar.
    Sidebar,
}

/// What a wall starts from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Keys.
    pub keymap: Keymap,
    /// Themes to choose from; never empty.
    pub themes: Vec<Theme>,
    /// The one to begin with.
    pub theme: usize,
    /// What to open.
    pub open: Open,
    /// Take the wheel of what is opened at the start.
    pub drives: bool,
    /// Begin with a broadcast to the sessions opened by name.
    pub broadcasts: bool,
    /// A fleet without sessions gets a shell on the machine of this host name.
    pub shell_on: Option<String>,
    /// Bytes of history kept for each pane.
    pub history_bytes: usize,
    /// The fleet, and with it every session, ends when the wall is left.
    pub ends_fleet: bool,
}

/// What is to be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Everything.
    pub is_all: bool,
    /// The sidebar.
    pub has_sidebar: bool,
    /// The status line.
    pub has_status: bool,
    /// Panes.
    pub panes: Vec<PaneDamage>,
}

/// What is to be drawn of a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneDamage {
    /// The pane.
    pub pane: PaneId,
    /// Border and title.
    pub has_frame: bool,
    /// First and last row of its screen; all of the pane's inside up to `u16::MAX`.
    pub rows: Option<(u16, u16)>,
}

/// The wall.
pub struct Model {
    /// Milliseconds since the epoch, as last told.
    pub now_ms: u64,
    /// When the last key was pressed.
    pub key_ms: u64,
    /// Whoever types may not know yet that their program is gone: keys are nothing until they pause.
    pub is_hushed: bool,
    /// Columns and rows of the outer terminal.
    pub screen: (u16, u16),
    /// Machines and sessions.
    pub fleet: Fleet,
    /// The way to the relay.
    pub connection: ConnectionState,
    /// Panes by number.
    pub panes: BTreeMap<PaneId, Pane>,
    /// Panes in the order of the grid.
    pub order: Vec<PaneId>,
    /// The pane that takes the keys.
    pub focused: Option<PaneId>,
    /// Whether it or the sidebar does.
    pub focus: Focus,
    /// The focused pane is shown alone.
    pub is_zoomed: bool,
    /// Page shown, from 0.
    pub page: usize,
    /// How many pages there are, at least 1.
    pub pages: usize,
    /// Where everything is.
    pub areas: Areas,
    /// The sidebar lies over the panes instead of beside them.
    pub is_drawer: bool,
    /// The sidebar.
    pub sidebar: Sidebar,
    /// What lies over the panes; the last one takes the keys.
    pub overlays: Vec<Overlay>,
    /// Messages.
    pub toasts: Toasts,
    /// The leader was pressed.
    pub is_leader_down: bool,
    /// What is typed goes to all marked panes.
    pub is_broadcasting: bool,
    /// The receivers that the relay was told of.
    pub told_receivers: Vec<SessionId>,
    /// Palette in use.
    pub theme: Theme,
    /// What it was started with.
    pub setup: Setup,
    /// Sessions made here: they open with the wheel in hand.
    pub mine: HashSet<SessionId>,
    /// Sessions that were opened once: they do not come back by themselves.
    pub known: HashSet<SessionId>,
    /// A first shell was asked for.
    pub has_asked_shell: bool,
    /// The outer terminal has the focus.
    pub has_outer_focus: bool,
    is_all_stale: bool,
    is_sidebar_stale: bool,
    is_status_stale: bool,
    next_pane: u64,
}

/// Why a wall without panes has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptiness {
    /// The relay has not told yet.
    Unknown,
    /// The fleet has no machine.
    NoMachine,
    /// Not one of its machines is online.
    AllOffline,
    /// Nobody opened one.
    NoPane,
}

impl Model {
    /// An empty wall.
    pub fn new(setup: Setup, cols: u16, rows: u16) -> Model {
        let theme = setup.themes[setup.theme.min(setup.themes.len() - 1)].clone();
        let mut model = Model {
            now_ms: 0,
            key_ms: 0,
            is_hushed: false,
            screen: (cols, rows),
            fleet: Fleet::default(),
            connection: ConnectionState::default(),
            panes: BTreeMap::new(),
            order: Vec::new(),
            focused: None,
            focus: Focus::Panes,
            is_zoomed: false,
            page: 0,
            pages: 1,
            areas: Areas::default(),
            is_drawer: false,
            sidebar: Sidebar::default(),
            overlays: Vec::new(),
            toasts: Toasts::default(),
            is_leader_down: false,
            is_broadcasting: false,
            told_receivers: Vec::new(),
            theme,
            setup,
            mine: HashSet::new(),
            known: HashSet::new(),
            has_asked_shell: false,
            has_outer_focus: true,
            is_all_stale: true,
            is_sidebar_stale: true,
            is_status_stale: true,
            next_pane: 1,
        };
        model.arrange(&mut Effects::new());
        model
    }

    /// The pane that takes the keys.
    pub fn focused_pane(&self) -> Option<&Pane> {
        self.panes.get(&self.focused?)
    }

    /// The pane that takes the keys.
    pub fn focused_pane_mut(&mut self) -> Option<&mut Pane> {
        self.panes.get_mut(&self.focused?)
    }

    /// The pane that shows a session.
    pub fn pane_of(&self, session: SessionId) -> Option<PaneId> {
        self.order.iter().copied().find(|id| self.panes.get(id).is_some_and(|pane| pane.session == session))
    }

    /// A pane's number for people, from 1.
    pub fn number_of(&self, id: PaneId) -> usize {
        self.order.iter().position(|other| *other == id).map_or(0, |index| index + 1)
    }

    /// Panes that receive what is typed while a broadcast is on.
    pub fn receivers(&self) -> impl Iterator<Item = &Pane> {
        self.order.iter().filter_map(|id| self.panes.get(id)).filter(|pane| pane.is_marked && pane.is_driven())
    }

    /// Sessions of the group that a broadcast goes to, those included whose wheel is still being taken; none without one.
    pub fn broadcast_group(&self) -> impl Iterator<Item = SessionId> {
        let panes = self.order.iter().filter(|_| self.is_broadcasting).filter_map(|id| self.panes.get(id));
        panes.filter(|pane| pane.is_marked && !pane.is_over()).map(|pane| pane.session)
    }

    /// Whether what is typed now goes to all marked panes: only with the focus in one of them, so that a pane outside
    /// of the group can be used meanwhile.
    pub fn is_broadcast_here(&self) -> bool {
        let is_in_group = |pane: &Pane| pane.is_marked && pane.is_driven() && !pane.is_scrolling();
        self.is_broadcasting && self.focus == Focus::Panes && self.focused_pane().is_some_and(is_in_group)
    }

    /// Online machines whose name or labels contain a text.
    pub fn matching_machines(&self, needle: &str) -> Vec<MachineId> {
        self.fleet.online().filter(|machine| fleet::is_match(machine, needle)).map(|machine| machine.facts.id).collect()
    }

    /// Why there is nothing to be seen, while no pane is open.
    pub fn emptiness(&self) -> Emptiness {
        if !self.fleet.is_known {
            Emptiness::Unknown
        } else if self.fleet.machines().is_empty() {
            Emptiness::NoMachine
        } else if self.fleet.online().next().is_none() {
            Emptiness::AllOffline
        } else {
            Emptiness::NoPane
        }
    }

    /// Panes on the screen.
    pub fn visible(&self) -> impl Iterator<Item = &Pane> {
        self.order.iter().filter_map(|id| self.panes.get(id)).filter(|pane| pane.rect.is_some())
    }

    /// Panes whose replica has not taken all that came.
    pub fn lagging(&self) -> impl Iterator<Item = &Pane> {
        self.panes.values().filter(|pane| !pane.backlog.is_empty())
    }

    /// The pane at a cell of the outer terminal.
    pub fn pane_at(&self, col: u16, row: u16) -> Option<&Pane> {
        self.visible().find(|pane| pane.rect.is_some_and(|rect| rect.contains((col, row).into())))
    }

    /// Too small for a wall.
    pub fn is_cramped(&self) -> bool {
        self.screen.0 < layout::MIN_COLS || self.screen.1 < layout::MIN_ROWS
    }

    /// A new pane number.
    pub fn next_pane_id(&mut self) -> PaneId {
        self.next_pane += 1;
        PaneId(self.next_pane - 1)
    }

    /// Everything must be drawn.
    pub fn touch_all(&mut self) {
        self.is_all_stale = true;
    }

    /// The sidebar must be drawn.
    pub fn touch_sidebar(&mut self) {
        self.is_sidebar_stale = true;
    }

    /// The status line must be drawn.
    pub fn touch_status(&mut self) {
        self.is_status_stale = true;
    }

    /// Every border must be drawn: the meaning of the colours changed.
    pub fn touch_frames(&mut self) {
        for pane in self.panes.values_mut() {
            pane.is_frame_stale = true;
        }
        self.is_status_stale = true;
        self.is_sidebar_stale = true;
    }

    /// Whether nothing is known of a machine at the moment: the relay is silent or gone, or it alone answers nothing.
    pub fn is_silent(&self, machine: MachineId) -> bool {
        let is_heard = matches!(self.connection, ConnectionState::Connected { unanswered: None, .. });
        !is_heard || self.panes.values().any(|pane| pane.machine == machine && pane.unanswered_ms.is_some())
    }

    /// Puts everything in its place and tells the keepers of driven panes their new sizes.
    pub fn arrange(&mut self, effects: &mut Effects) {
        let (cols, rows) = self.screen;
        let is_docked = self.sidebar.wish.unwrap_or(cols >= layout::SIDEBAR_FROM_COLS) && !self.is_zoomed;
        self.areas = layout::areas(cols, rows, is_docked);
        self.is_drawer = false;
        if self.focus == Focus::Sidebar && self.areas.sidebar.is_none() {
            let width = layout::areas(cols.max(80), rows, true).sidebar.map_or(30, |rect| rect.width);
            self.areas.sidebar = Some(Rect::new(0, 0, width.min(cols), self.areas.grid.height));
            self.is_drawer = true;
        }
        for pane in self.panes.values_mut() {
            pane.rect = None;
        }
        let capacity = layout::page_capacity(self.areas.grid);
        self.pages = self.order.len().div_ceil(capacity).max(1);
        // The page is that of the focused pane, whatever moved: what is typed goes to something that is seen.
        self.page = self.focused.map_or(0, |focused| self.page_of(focused));
        let shown: Vec<PaneId> = match self.focused.filter(|_| self.is_zoomed) {
            Some(focused) => vec![focused],
            None => {
                let per_page = self.panes_per_page();
                self.order.iter().skip(self.page * per_page).take(per_page).copied().collect()
            }
        };
        if !self.is_cramped() {
            for (id, rect) in shown.iter().zip(layout::grid(self.areas.grid, shown.len())) {
                if let Some(pane) = self.panes.get_mut(id) {
                    pane.rect = Some(rect);
                }
            }
        }
        let (now, focused) = (self.now_ms, self.focused);
        for pane in self.panes.values_mut() {
            pane.settle(now, focused == Some(pane.id));
        }
        self.tell_sizes(effects);
        self.is_all_stale = true;
    }

    /// Tells the keepers of driven panes the sizes that they do not know yet.
    pub fn tell_sizes(&mut self, effects: &mut Effects) {
        for pane in self.panes.values_mut() {
            let Some(size) = pane.inner().filter(|size| pane.is_driven() && pane.told != Some(*size)) else { continue };
            pane.told = Some(size);
            effects.push(Effect::Resize { pane: pane.id, size });
        }
    }

    /// The page that shows a pane.
    pub fn page_of(&self, id: PaneId) -> usize {
        self.order.iter().position(|other| *other == id).unwrap_or(0) / self.panes_per_page()
    }

    /// The first pane of a page.
    pub fn first_of(&self, page: usize) -> Option<PaneId> {
        self.order.get(page * self.panes_per_page()).copied()
    }

    /// All pages share the same number of panes as far as they can: the last is not a lonely one.
    fn panes_per_page(&self) -> usize {
        self.order.len().div_ceil(self.pages).max(1)
    }

    /// The size a new pane will probably have.
    pub fn likely_size(&self, panes: usize) -> Size {
        let count = panes.clamp(1, layout::page_capacity(self.areas.grid));
        let inside = layout::grid(self.areas.grid, count).first().copied().map(layout::inside).unwrap_or_default();
        Size::new(inside.height.into(), inside.width.into())
    }

    /// Something waits to be drawn; a pane in the middle of a synchronized update does not count.
    pub fn is_stale(&self) -> bool {
        self.is_all_stale
            || self.is_status_stale
            || (self.is_sidebar_stale && self.areas.sidebar.is_some())
            || self.visible().any(|pane| pane.is_stale() && !pane.is_held(self.now_ms))
    }

    /// Everything waits to be drawn: a part of it alone would show a mixture.
    pub fn needs_all(&self) -> bool {
        self.is_all_stale
    }

    /// What is to be drawn, marked as drawn. With `only`, just these panes and the status line.
    pub fn take_damage(&mut self, only: Option<&[PaneId]>) -> Damage {
        let is_all = only.is_none() && std::mem::take(&mut self.is_all_stale);
        let mut damage = Damage { is_all, ..Damage::default() };
        if only.is_none() {
            damage.has_sidebar = std::mem::take(&mut self.is_sidebar_stale) || is_all;
        }
        damage.has_status = std::mem::take(&mut self.is_status_stale) || is_all;
        let now = self.now_ms;
        for pane in self.panes.values_mut() {
            let is_wanted = only.is_none_or(|ids| ids.contains(&pane.id));
            if pane.rect.is_none() || !is_wanted || (pane.is_held(now) && !is_all) || !(pane.is_stale() || is_all) {
                continue;
            }
            let (has_frame, dirty) = pane.take_damage();
            let rows = match dirty {
                Rows::Clean if !is_all => None,
                Rows::Span(first, last) if !is_all => Some((first, last)),
                _ => Some((0, u16::MAX)),
            };
            damage.panes.push(PaneDamage { pane: pane.id, has_frame: has_frame || is_all, rows });
        }
        damage
    }
}

//! The sidebar: which rows it has and which one is chosen.

use crate::fleet::{MachineId, SessionId};

use super::fleet::Fleet;
use super::overlay::Field;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SidebarRow {
    /// A machine.
    Machine(MachineId),
    /// A session of the machine above.
    Session(MachineId, SessionId),
}

impl SidebarRow {
    /// The machine of the row.
    pub fn machine(self) -> MachineId {
        match self {
            SidebarRow::Machine(machine) | SidebarRow::Session(machine, _) => machine,
        }
    }

    /// The session of the row.
    pub fn session(self) -> Option<SessionId> {
        match self {
            SidebarRow::Machine(_) => None,
            SidebarRow::Session(_, session) => Some(session),
        }
    }
}

/// What the sidebar remembers.
#[derive(Clone, Debug, Default)]
pub struct Sidebar {
    /// The chosen row; stays with its machine or session while the list changes.
    pub selected: Option<SidebarRow>,
    /// Text that rows must contain.
    pub filter: Field,
    /// Keys go into the filter.
    pub is_filtering: bool,
    /// `None`: shown where there is room.
    pub wish: Option<bool>,
}

impl Sidebar {
    /// The rows as filtered: a machine that matches keeps all sessions, one that does not keeps those that match.
    pub fn rows(&self, fleet: &Fleet) -> Vec<SidebarRow> {
        let needle = self.filter.text().to_lowercase();
        let matches = |text: &str| text.to_lowercase().contains(&needle);
        let mut rows = Vec::new();
        for machine in fleet.machines() {
            let facts = &machine.facts;
            let is_match = needle.is_empty() || super::fleet::is_match(machine, &needle);
            let start = rows.len();
            for session in fleet.sessions_of(facts.id) {
                if is_match || matches(session.display_name()) || matches(&session.summary.title) {
                    rows.push(SidebarRow::Session(facts.id, session.id()));
                }
            }
            if is_match || rows.len() > start {
                rows.insert(start, SidebarRow::Machine(facts.id));
            }
        }
        rows
    }

    /// Index of the chosen row; the nearest one if it is gone.
    pub fn selected_index(&self, rows: &[SidebarRow]) -> usize {
        let Some(selected) = self.selected else { return 0 };
        rows.iter()
            .position(|row| *row == selected)
            .or_else(|| rows.iter().position(|row| row.machine() == selected.machine()))
            .unwrap_or(0)
    }

    /// Moves the choice by rows, stopping at the ends.
    pub fn step(&mut self, rows: &[SidebarRow], by: isize) {
        let index = self.selected_index(rows).saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.selected = rows.get(index).copied();
    }

    /// First row shown so that the chosen one is in view.
    pub fn first_shown(&self, rows: &[SidebarRow], height: usize) -> usize {
        let selected = self.selected_index(rows);
        // Half a page of context below the choice where there is any.
        let last = (selected + 1 + height / 3).min(rows.len()).max(height);
        last.saturating_sub(height).min(selected)
    }
}

//! Which rows of the visible screen changed since last asked.

use super::types::Rows;

/// A growing span of rows.
#[derive(Debug)]
pub(super) struct Damage {
    rows: Rows,
}

impl Damage {
    /// Everything is new.
    pub(super) fn new() -> Damage {
        Damage { rows: Rows::All }
    }

    /// Rows `first..=last` changed.
    pub(super) fn span(&mut self, first: u16, last: u16) {
        self.rows = match self.rows {
            Rows::Clean => Rows::Span(first, last),
            Rows::Span(a, b) => Rows::Span(a.min(first), b.max(last)),
            Rows::All => Rows::All,
        };
    }

    /// Everything changed.
    pub(super) fn all(&mut self) {
        self.rows = Rows::All;
    }

    /// What changed, once.
    pub(super) fn take(&mut self) -> Rows {
        std::mem::replace(&mut self.rows, Rows::Clean)
    }
}

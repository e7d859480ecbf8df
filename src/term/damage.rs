//! Which rows of the visible screen changed since last asked, and since the whole of it was filled with one thing.

use super::types::{Color, Rows};

/// What a screen was filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Blank cells of this background.
    Blank(Color),
    /// DECALN's letters.
    Aligned,
}

/// A growing span of rows.
#[derive(Debug)]
pub(super) struct Damage {
    rows: Rows,
    /// What all rows but those of a span hold, if that is known: to fill the screen again costs these rows only.
    filled: Option<Filled>,
}

/// What all rows hold but those from the first to the last one, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filled {
    fill: Fill,
    but: Option<(u16, u16)>,
}

impl Filled {
    /// Every row of the screen holds the fill.
    pub(super) const fn all(fill: Fill) -> Filled {
        Filled { fill, but: None }
    }

    /// Rows within a range that may hold anything but the fill.
    pub(super) fn stale(filled: Option<Filled>, fill: Fill, first: u16, last: u16) -> Option<(u16, u16)> {
        let (from, to) = match filled {
            Some(filled) if filled.fill == fill => filled.but?,
            _ => (first, last),
        };
        let stale = (from.max(first), to.min(last));
        (stale.0 <= stale.1).then_some(stale)
    }
}

impl Damage {
    /// Everything is new, and blank.
    pub(super) fn new() -> Damage {
        Damage { rows: Rows::All, filled: Some(Filled::all(Fill::Blank(Color::Default))) }
    }

    /// Rows `first..=last` changed.
    pub(super) fn span(&mut self, first: u16, last: u16) {
        self.rows = match self.rows {
            Rows::Clean => Rows::Span(first, last),
            Rows::Span(a, b) => Rows::Span(a.min(first), b.max(last)),
            Rows::All => Rows::All,
        };
        if let Some(filled) = &mut self.filled {
            filled.but = Some(filled.but.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
    }

    /// Rows `first..=last` changed to blank ones of this background.
    pub(super) fn erased(&mut self, first: u16, last: u16, background: Color) {
        let before = self.filled;
        self.span(first, last);
        if let Some(Filled { fill, but }) = before
            && fill == Fill::Blank(background)
        {
            // Only what is known to differ at one end of them is known to be blank now: it stays one span.
            let but = but.and_then(|(from, to)| match (from >= first, to <= last) {
                (true, true) => None,
                (true, false) if from <= last => Some((last + 1, to)),
                (false, true) if to >= first => Some((from, first - 1)),
                _ => Some((from, to)),
            });
            self.filled = Some(Filled { fill, but });
        }
    }

    /// The whole screen scrolled up by so many rows, and plain blank ones came in.
    pub(super) fn scrolled(&mut self, rows: u16) {
        self.rows = Rows::All;
        self.filled = self.filled.filter(|filled| filled.fill == Fill::Blank(Color::Default)).map(|filled| Filled {
            but: filled.but.filter(|but| but.1 >= rows).map(|(from, to)| (from.saturating_sub(rows), to - rows)),
            ..filled
        });
    }

    /// Everything changed.
    pub(super) fn all(&mut self) {
        self.rows = Rows::All;
        self.filled = None;
    }

    /// All rows hold, but for some, what they were filled with.
    pub(super) fn filled(&self) -> Option<Filled> {
        self.filled
    }

    /// Everything changed, to this.
    pub(super) fn fill(&mut self, filled: Option<Filled>) {
        self.rows = Rows::All;
        self.filled = filled;
    }

    /// What changed, once.
    pub(super) fn take(&mut self) -> Rows {
        std::mem::replace(&mut self.rows, Rows::Clean)
    }
}

//! Tab stops, our own: vt100 knows only every eighth column.

/// Stops by column; the default is every eighth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tabs {
    /// 1 at a stop, 0 elsewhere.
    stops: Vec<u8>,
}

impl Tabs {
    /// Default stops for so many columns.
    pub(super) fn new(cols: u16) -> Tabs {
        Tabs { stops: (0..cols).map(|col| u8::from(col % 8 == 0)).collect() }
    }

    /// Whether every stop is where a terminal starts out.
    pub(super) fn is_default(&self) -> bool {
        self.stops.iter().enumerate().all(|(col, &stop)| stop == u8::from(col % 8 == 0))
    }

    /// Keeps the stops there are and adds default ones in new columns.
    pub(super) fn resize(&mut self, cols: u16) {
        let old = self.stops.len();
        self.stops.resize(cols.into(), 0);
        for col in old..self.stops.len() {
            self.stops[col] = u8::from(col % 8 == 0);
        }
    }

    /// Sets or clears one stop.
    pub(super) fn set(&mut self, col: u16, is_stop: bool) {
        if let Some(stop) = self.stops.get_mut(usize::from(col)) {
            *stop = u8::from(is_stop);
        }
    }

    /// Clears all stops.
    pub(super) fn clear(&mut self) {
        self.stops.fill(0);
    }

    /// The columns with a stop.
    pub(super) fn columns(&self) -> impl Iterator<Item = u16> {
        self.stops.iter().zip(0..).filter_map(|(&stop, col)| (stop == 1).then_some(col))
    }

    /// The stop after a column, or the last column.
    pub(super) fn next(&self, col: u16) -> u16 {
        let last = self.stops.len().saturating_sub(1);
        let from = usize::from(col).saturating_add(1).min(last);
        memchr::memchr(1, &self.stops[from..last]).map_or(last, |hit| from + hit) as u16
    }

    /// The stop before a column, or the first column.
    pub(super) fn previous(&self, col: u16) -> u16 {
        memchr::memrchr(1, &self.stops[..usize::from(col).min(self.stops.len())]).unwrap_or(0) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_are_found_both_ways_and_end_at_the_margins() {
        let mut tabs = Tabs::new(20);
        assert_eq!((tabs.next(0), tabs.next(8), tabs.next(16), tabs.next(19)), (8, 16, 19, 19));
        assert_eq!((tabs.previous(19), tabs.previous(8), tabs.previous(0)), (16, 0, 0));
        tabs.clear();
        assert_eq!((tabs.next(0), tabs.previous(19)), (19, 0));
    }

    #[test]
    fn growing_keeps_stops_and_adds_default_ones() {
        let mut tabs = Tabs::new(10);
        tabs.set(5, true);
        tabs.resize(20);
        assert_eq!(tabs.columns().collect::<Vec<_>>(), vec![0, 5, 8, 16]);
        assert!(!tabs.is_default());
    }
}

//! The size of a terminal, clamped so that no later code meets an impossible one.

use std::fmt;

/// Rows and columns of a terminal, always within [`Size::MIN`] and [`Size::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    rows: u16,
    cols: u16,
}

impl Size {
    /// One row of two columns: the smallest screen that can hold a wide character.
    pub const MIN: Size = Size { rows: 1, cols: 2 };
    /// The largest screen kept; a larger request is clamped, since each cell costs memory in every replica.
    pub const MAX: Size = Size { rows: 1000, cols: 2000 };
    /// What a session gets when nobody said otherwise.
    pub const DEFAULT: Size = Size { rows: 24, cols: 80 };

    /// A size clamped to what the emulator can hold; `0x0` and `10000x10000` are as welcome as any other.
    pub fn new(rows: u32, cols: u32) -> Size {
        let clamp = |n: u32, low: u16, high: u16| n.clamp(low.into(), high.into()) as u16;
        Size { rows: clamp(rows, Self::MIN.rows, Self::MAX.rows), cols: clamp(cols, Self::MIN.cols, Self::MAX.cols) }
    }

    /// Number of rows, at least 1.
    pub fn rows(self) -> u16 {
        self.rows
    }

    /// Number of columns, at least 2.
    pub fn cols(self) -> u16 {
        self.cols
    }

    /// The largest size that fits into both, side by side.
    pub fn min(self, other: Size) -> Size {
        Size { rows: self.rows.min(other.rows), cols: self.cols.min(other.cols) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.cols, self.rows)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_size_is_clamped() {
        assert_eq!(Size::new(0, 0), Size::MIN);
        assert_eq!(Size::new(10_000, 10_000), Size::MAX);
        assert_eq!(Size::new(24, 80), Size::DEFAULT);
    }
}

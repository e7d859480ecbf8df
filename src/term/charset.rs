//! Character sets G0 to G3 and which of them is in use: ASCII, DEC special graphics and UK.

/// One of the sets a program can designate; unknown ones count as ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Charset {
    #[default]
    Ascii,
    Graphics,
    Uk,
}

impl Charset {
    /// The set named by the final byte of a designation.
    pub(super) fn from_final(byte: u8) -> Charset {
        match byte {
            b'0' | b'2' => Charset::Graphics,
            b'A' => Charset::Uk,
            _ => Charset::Ascii,
        }
    }

    /// The final byte that designates this set.
    pub(super) fn final_byte(self) -> u8 {
        match self {
            Charset::Ascii => b'B',
            Charset::Graphics => b'0',
            Charset::Uk => b'A',
        }
    }

    /// What a character is drawn as in this set.
    pub(super) fn map(self, c: char) -> char {
        match self {
            Charset::Ascii => c,
            Charset::Uk if c == '#' => '£',
            Charset::Uk => c,
            Charset::Graphics => match c {
                '_'..='~' => GRAPHICS[c as usize - '_' as usize],
                c => c,
            },
        }
    }
}

const GRAPHICS: [char; 32] = [
    ' ', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽', '├', '┤',
    '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
];

/// The four designated sets and the one in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charsets {
    pub(super) designated: [Charset; 4],
    /// Index of the set that is locked in (SI, SO, LS2, LS3).
    pub(super) locked: usize,
    /// Index of the set for one next character (SS2, SS3).
    pub(super) single: Option<usize>,
}

impl Charsets {
    /// Whether text comes out as it goes in.
    pub(super) fn is_plain(&self) -> bool {
        self.single.is_none() && self.designated[self.locked] == Charset::Ascii
    }

    /// Maps one printed character and ends a single shift.
    pub(super) fn map(&mut self, c: char) -> char {
        let set = self.single.take().unwrap_or(self.locked);
        self.designated[set].map(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_drawing_letters_become_lines() {
        let drawn: String = "lqk x`~".chars().map(|c| Charset::Graphics.map(c)).collect();
        assert_eq!(drawn, "┌─┐ │◆·");
    }

    #[test]
    fn a_single_shift_holds_for_one_character() {
        let mut sets = Charsets { single: Some(2), ..Charsets::default() };
        sets.designated[2] = Charset::Uk;
        assert_eq!((sets.map('#'), sets.map('#')), ('£', '#'));
    }
}

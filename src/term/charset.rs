//! Character sets G0 to G3 and which of them are in use: ASCII, DEC special graphics and UK.

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

/// The four designated sets and those in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charsets {
    pub(super) designated: [Charset; 4],
    /// Index of the set that is locked in (SI, SO, LS2, LS3).
    pub(super) locked: usize,
    /// Index of the set that U+00A0 to U+00FF are taken from (LS1R, LS2R, LS3R); they are Latin-1 before.
    pub(super) right: Option<usize>,
    /// Index of the set for one next character (SS2, SS3).
    pub(super) single: Option<usize>,
}

impl Charsets {
    /// Whether text comes out as it goes in.
    pub(super) fn is_plain(&self) -> bool {
        self.single.is_none() && self.right.is_none() && self.designated[self.locked] == Charset::Ascii
    }

    /// Maps one printed character and ends a single shift.
    pub(super) fn map(&mut self, c: char) -> char {
        let single = self.single.take();
        match (self.right, c) {
            (Some(right), '\u{a0}'..='\u{ff}') => self.designated[right].map((c as u8 & 0x7f).into()),
            _ => self.designated[single.unwrap_or(self.locked)].map(c),
        }
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

    #[test]
    fn the_upper_half_is_latin_1_until_a_set_is_locked_there() {
        let mut sets = Charsets::default();
        sets.designated[1] = Charset::Graphics;
        assert_eq!(sets.map('á'), 'á');
        sets.right = Some(1);
        assert_eq!((sets.map('á'), sets.map('a'), sets.map('漢')), ('▒', 'a', '漢'));
        assert!(!sets.is_plain());
    }
}

//! Attributes vt100 has no bit for, carried in the cell as two zero-width marks that index a side table.
//!
//! The marks are reserved, default-ignorable code points that no program has a use for; programs' own are dropped
//! before they reach the engine. A table entry lives as long as some cell may show it: [`Marks::retain`] frees the rest.

use super::pen::Pen;
use super::types::{Color, Style, Underline};
use std::collections::HashMap;
use std::sync::Arc;

const FIRST: u32 = 0xE01F0;
const COUNT: u32 = 0xE0FFF - FIRST + 1;
/// vt100 refuses to print U+FFFD; this private character stands for it in cells.
pub(super) const REPLACEMENT_STANDIN: char = '\u{10FFFD}';
/// A cell erased with a background holds this, so that a cell without contents is always plain blank.
pub(super) const ERASED: char = '\u{10FFFC}';
/// [`ERASED`] as cell contents.
pub(super) const ERASED_TEXT: &str = "\u{10FFFC}";

/// What a cell has beyond vt100's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Extra {
    underline: Underline,
    underline_color: Color,
    blink: bool,
    hidden: bool,
    strike: bool,
    is_dim_and_bold: bool,
    pub(super) is_protected: bool,
    pub(super) link: Option<Arc<str>>,
}

impl Extra {
    /// What of a pen does not fit into vt100, if anything.
    pub(super) fn of(pen: &Pen) -> Option<Extra> {
        let style = &pen.style;
        let is_plain = matches!(style.underline, Underline::None | Underline::Single)
            && style.underline_color == Color::Default
            && !(style.blink || style.hidden || style.strike || (style.bold && style.dim) || pen.is_protected)
            && pen.link.is_none();
        (!is_plain).then(|| Extra {
            underline: style.underline,
            underline_color: style.underline_color,
            blink: style.blink,
            hidden: style.hidden,
            strike: style.strike,
            is_dim_and_bold: style.bold && style.dim,
            is_protected: pen.is_protected,
            link: pen.link.clone(),
        })
    }

    /// Adds itself to a style read from vt100.
    pub(super) fn apply(&self, style: &mut Style) {
        style.underline = self.underline;
        style.underline_color = self.underline_color;
        style.blink = self.blink;
        style.hidden = self.hidden;
        style.strike = self.strike;
        style.dim |= self.is_dim_and_bold;
    }
}

/// The side table.
#[derive(Debug, Default)]
pub(super) struct Marks {
    entries: Vec<Option<Extra>>,
    index: HashMap<Extra, u32>,
    free: Vec<u32>,
    /// Bytes of all link targets.
    link_bytes: usize,
    /// Some entry may be of protected cells.
    has_protected: bool,
    /// Entries there were when unused ones had been freed.
    kept: usize,
    /// Links that found no room since.
    refused: usize,
}

/// Bytes of link targets on the cells of both screens; what is printed beyond has no link. A screen full of links to different
/// files takes a tenth.
const LINK_BYTES_CAP: usize = 16 * 1024 * 1024;
/// Unused entries are looked for at most once for so many new ones: it costs a look at every cell.
const SPARE: usize = 1024;

impl Extra {
    fn link_bytes(&self) -> usize {
        self.link.as_deref().map_or(0, str::len)
    }
}

impl Marks {
    /// The number of an entry, added if new; nothing when the table is full.
    pub(super) fn intern(&mut self, extra: Extra) -> Option<u32> {
        if let Some(&index) = self.index.get(&extra) {
            return Some(index);
        }
        if self.link_bytes + extra.link_bytes() > LINK_BYTES_CAP {
            self.refused += 1;
            return None;
        }
        self.link_bytes += extra.link_bytes();
        self.has_protected |= extra.is_protected;
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.entries.len() < (COUNT * COUNT) as usize => {
                self.entries.push(None);
                self.entries.len() as u32 - 1
            }
            None => return None,
        };
        self.entries[index as usize] = Some(extra.clone());
        self.index.insert(extra, index);
        Some(index)
    }

    /// The entry of a number.
    pub(super) fn get(&self, index: u32) -> Option<&Extra> {
        self.entries.get(index as usize)?.as_ref()
    }

    /// Whether some cell may be protected.
    pub(super) fn has_protected(&self) -> bool {
        self.has_protected
    }

    /// Whether it is time to free unused entries, with so many cells to look at.
    pub(super) fn is_crowded(&self, cells: usize) -> bool {
        self.len() > (2 * cells).max(2 * self.kept) + SPARE || self.refused > SPARE
    }

    /// Number of living entries.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Frees every entry whose number is not in use.
    pub(super) fn retain(&mut self, is_used: impl Fn(u32) -> bool) {
        self.index.retain(|_, &mut index| is_used(index));
        self.link_bytes = self.index.keys().map(Extra::link_bytes).sum();
        self.has_protected = self.index.keys().any(|extra| extra.is_protected);
        (self.kept, self.refused) = (self.index.len(), 0);
        self.free.clear();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if !is_used(index as u32) {
                *entry = None;
            }
            if entry.is_none() {
                self.free.push(index as u32);
            }
        }
    }
}

/// Whether a character is one of ours, so that a program's own must not reach a cell.
pub(super) fn is_mark(c: char) -> bool {
    (FIRST..FIRST + COUNT).contains(&u32::from(c))
}

/// Whether a character has a meaning of ours in a cell, so that none may come from elsewhere.
pub(super) fn is_ours(c: char) -> bool {
    is_mark(c) || matches!(c, ERASED | REPLACEMENT_STANDIN)
}

/// Diacritics in a row that a cell keeps, as in libvterm: with marks and a base of any length more would not fit into
/// a vt100 cell, and a styled cell shall keep as many as a plain one.
pub(super) const DIACRITICS_CAP: usize = 5;

/// Whether a character is one of the combining diacritical marks that are counted.
pub(super) fn is_diacritic(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}')
}

/// Appends the two marks of an entry.
pub(super) fn push_marks(out: &mut Vec<u8>, index: u32) {
    for value in [index / COUNT, index % COUNT] {
        if let Some(c) = char::from_u32(FIRST + value) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// The table number carried by a cell's contents, if any.
pub(super) fn index_of(contents: &str) -> Option<u32> {
    if contents.len() < 9 {
        return None;
    }
    let mut values = contents.chars().filter(|&c| is_mark(c)).map(|c| u32::from(c) - FIRST);
    Some(values.next()? * COUNT + values.next()?)
}

/// A cell's contents as the program wrote them; `scratch` is used only where the engine's form differs.
pub(super) fn clean<'a>(contents: &'a str, scratch: &'a mut String) -> &'a str {
    if contents.len() < 4 || !contents.bytes().any(|byte| byte >= 0xF3) {
        return contents;
    }
    scratch.clear();
    scratch.extend(contents.chars().filter(|&c| !is_mark(c) && c != ERASED).map(|c| match c {
        REPLACEMENT_STANDIN => '\u{FFFD}',
        c => c,
    }));
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthChar;

    #[test]
    fn marks_take_no_room_and_lead_back_to_their_entry() {
        for index in [0, 1, COUNT - 1, COUNT, COUNT * COUNT - 1] {
            let mut text = b"e".to_vec();
            push_marks(&mut text, index);
            text.extend_from_slice("\u{301}".as_bytes());
            let text = String::from_utf8(text).unwrap();
            assert!(text.chars().skip(1).all(|c| c.width() == Some(0)));
            assert_eq!(index_of(&text), Some(index));
            assert_eq!(clean(&text, &mut String::new()), "e\u{301}");
        }
    }

    #[test]
    fn links_have_a_bound_in_bytes_and_room_again_when_they_are_gone() {
        let mut marks = Marks::default();
        let add = |marks: &mut Marks, number: usize| {
            marks.intern(Extra { link: Some(format!("{number:>2000}").into()), ..Extra::default() })
        };
        let most = LINK_BYTES_CAP / 2000;
        assert!((0..most).all(|number| add(&mut marks, number).is_some()));
        assert!((0..=SPARE).all(|number| add(&mut marks, most + number).is_none()));
        assert!(marks.is_crowded(1 << 20));
        marks.retain(|index| index < 10);
        assert!(!marks.is_crowded(1) && add(&mut marks, most).is_some());
    }

    #[test]
    fn unused_entries_are_freed_and_their_numbers_used_again() {
        let mut marks = Marks::default();
        let extra = |link: &str| Extra { link: Some(link.into()), ..Extra::default() };
        let first = marks.intern(extra("a"));
        let second = marks.intern(extra("b"));
        marks.retain(|index| Some(index) == second);
        assert_eq!(marks.len(), 1);
        assert_eq!(marks.intern(extra("c")), first);
        assert_eq!(marks.intern(extra("b")), second);
    }
}

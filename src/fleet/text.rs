//! Text from elsewhere that people read.
//!
//! Whatever another machine says (names, titles, refusals) is cleaned when it comes off the wire, and again when it is
//! printed: the first makes it safe for every surface, the second for whatever did not come that way.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Characters of a name: machine, session, workspace, user. More than anybody types; longer ones are cut.
pub const NAME_CAP: usize = 100;
/// Characters of a host name, as DNS has them; also kernel, architecture, system and version strings.
pub const HOST_CAP: usize = 253;
/// Characters of a label's key, and of its value; longer ones are refused where they are bound and cut where they are told.
pub const LABEL_CAP: usize = 63;
/// Characters of a title or of who a client is; as the emulator bounds titles.
pub const TITLE_CAP: usize = 256;
/// Characters of a path that is told; `PATH_MAX` of Linux.
pub const PATH_CAP: usize = 4096;
/// Characters of a refusal: room for the names of a few dozen candidates.
pub const MESSAGE_CAP: usize = 4096;

/// Control characters and those that reorder or hide what is around them: in a name they only deceive.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
        || matches!(c, '\u{061C}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// A text of at most so many characters, with what deceives shown as [`push_visible`] does; one that is fine is given
/// back as it is.
pub fn cleaned(text: String, cap: usize) -> String {
    // Bytes bound characters, so that most texts are not counted.
    let is_short = text.len() <= cap || text.chars().nth(cap).is_none();
    if is_short && !text.chars().any(is_deceptive) {
        return text;
    }
    let mut clean = String::new();
    text.chars().take(cap).for_each(|c| if is_deceptive(c) { push_visible(c, &mut clean) } else { clean.push(c) });
    truncate_chars(&mut clean, cap);
    clean
}

/// Leaves at most so many characters of a text, and says whether that took any away.
pub(crate) fn truncate_chars(text: &mut String, cap: usize) -> bool {
    let end = text.char_indices().nth(cap).map(|(end, _)| end);
    end.inspect(|&end| text.truncate(end)).is_some()
}

/// A sentence from elsewhere: as [`cleaned`], with spaces for line ends, for a second line would be anybody's.
pub fn cleaned_message(text: String) -> String {
    let text = if text.contains(['\n', '\t']) { text.replace(['\n', '\t'], " ") } else { text };
    cleaned(text, MESSAGE_CAP)
}

/// The text with what deceives shown as [`push_visible`] does. Line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_shown = |c: char| is_deceptive(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_shown(c) { push_visible(c, &mut shown) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// A character that deceives, as something that does not: U+FFFD for a control, `<U+202E>` for what reorders or hides.
pub fn push_visible(c: char, to: &mut String) {
    if c.is_control() {
        to.push(char::REPLACEMENT_CHARACTER);
    } else {
        // Writing into a string never fails.
        let _ = write!(to, "<U+{:04X}>", u32::from(c));
    }
}

/// How long ago, for people: "4 min". Both are milliseconds since the epoch.
pub(crate) fn ago(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) / 1000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_fine_is_the_same_one() {
        for text in ["web-1", "数据库", "né", ""] {
            let (text, at) = (text.to_string(), text);
            let pointer = text.as_ptr();
            let clean = cleaned(text, NAME_CAP);
            assert_eq!((clean.as_str(), clean.as_ptr()), (at, pointer));
            assert!(matches!(visible(at), Cow::Borrowed(_)));
        }
        assert!(matches!(visible("a\n\tb"), Cow::Borrowed(_)));
    }

    /// A machine called itself a name with a line end, and forged a line of another machine.
    #[test]
    fn what_deceives_is_replaced_and_what_is_long_is_cut() {
        assert_eq!(cleaned("x\n\u{1b}[31mforged | line".into(), 100), "x\u{fffd}\u{fffd}[31mforged | line");
        assert_eq!(cleaned("a\u{202e}b\u{200b}\u{9b}".into(), 100), "a<U+202E>b<U+200B>\u{fffd}");
        assert_eq!(cleaned("\u{202e}".repeat(100), 100).len(), 100);
        let once = cleaned("\u{1b}\u{202e}".repeat(100), 100);
        assert_eq!(cleaned(once.clone(), 100), once, "cleaning twice changes nothing");
        assert_eq!(cleaned("数".repeat(300), 100), "数".repeat(100));
        assert_eq!(cleaned_message("no\nfleetmux: all well\u{1b}[2J".into()), "no fleetmux: all well\u{fffd}[2J");
        assert_eq!(cleaned_message("x".repeat(1 << 20)).len(), MESSAGE_CAP);
    }

    #[test]
    fn what_is_printed_shows_what_it_is() {
        let fffd = char::REPLACEMENT_CHARACTER;
        assert_eq!(visible("a\u{1b}]52;c;x\u{7}\r\n"), format!("a{fffd}]52;c;x{fffd}{fffd}\n"));
        assert_eq!(visible("a\u{202e}b\u{85}\u{e0041}"), format!("a<U+202E>b{fffd}<U+E0041>"));
    }
}

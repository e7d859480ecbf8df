//! Named patterns over the lines of a stream.

use std::ops::Range;
use std::sync::Arc;

use super::{Pattern, Plain};

/// Longest line looked at as one, bytes; a longer one is looked at in pieces of this size.
pub const LINE_CAP: usize = 8 * 1024;

/// A line in which a named pattern was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The pattern's name.
    pub name: Arc<str>,
    /// Its place in the order of [`Rules::add`].
    pub rule: usize,
    /// Number of the line, from 0.
    pub line: u64,
    /// The line without escape sequences; on a pause, what there is of it.
    pub text: String,
    /// The first match, in bytes of `text`.
    pub range: Range<usize>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: Arc<str>,
    pattern: Pattern,
    count: u64,
    /// Found in the current line already.
    is_hit: bool,
}

/// Named patterns, each told once per line; escape sequences are passed over.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    plain: Plain,
    line: Vec<u8>,
    number: u64,
    /// Length of the line when it was last looked at.
    judged: usize,
    /// A carriage return came: the line ends, or is written anew.
    is_returned: bool,
}

impl Rules {
    /// None yet.
    pub fn new() -> Rules {
        Rules::default()
    }

    /// Another pattern; its place in the order.
    pub fn add(&mut self, name: &str, pattern: impl Into<Pattern>) -> usize {
        self.rules.push(Rule { name: name.into(), pattern: pattern.into(), count: 0, is_hit: false });
        self.rules.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Lines in which a pattern of this name was found.
    pub fn count(&self, name: &str) -> u64 {
        self.rules.iter().filter(|rule| &*rule.name == name).map(|rule| rule.count).sum()
    }

    /// More output; what is found in lines that are whole now.
    pub fn feed(&mut self, data: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for byte in data {
            match self.plain.pass(*byte) {
                Some(b'\n') => self.end_line(&mut hits),
                Some(b'\r') => self.is_returned = true,
                Some(byte) => {
                    if self.is_returned || self.line.len() >= LINE_CAP {
                        self.end_line(&mut hits);
                    }
                    self.line.push(byte);
                }
                None => {}
            }
        }
        hits
    }

    /// The stream pauses: what is found in the line so far, a prompt for example. It is not told again at the line's end.
    pub fn pause(&mut self) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.judge(&mut hits);
        hits
    }

    /// Whether [`Self::pause`] would look at something it has not seen.
    pub fn has_unjudged(&self) -> bool {
        self.line.len() != self.judged
    }

    fn end_line(&mut self, hits: &mut Vec<Hit>) {
        self.judge(hits);
        self.line.clear();
        self.judged = 0;
        self.number += 1;
        self.is_returned = false;
        for rule in &mut self.rules {
            rule.is_hit = false;
        }
    }

    fn judge(&mut self, hits: &mut Vec<Hit>) {
        self.judged = self.line.len();
        if self.line.is_empty() {
            return;
        }
        // Matches are told in bytes of the text, so what is no UTF-8 is replaced before they are looked for.
        let text = String::from_utf8_lossy(&self.line);
        for (place, rule) in self.rules.iter_mut().enumerate().filter(|(_, rule)| !rule.is_hit) {
            if let Some(range) = rule.pattern.find_at(text.as_bytes(), 0) {
                rule.is_hit = true;
                rule.count += 1;
                let (name, text) = (rule.name.clone(), text.to_string());
                hits.push(Hit { name, rule: place, line: self.number, text, range });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> Rules {
        let mut rules = Rules::new();
        rules.add("error", Pattern::regex(r"\b(ERROR|FATAL)\b").unwrap());
        rules.add("success", "DONE");
        rules
    }

    #[test]
    fn a_line_is_told_once_per_pattern_whatever_its_colours() {
        let mut rules = rules();
        let hits = rules.feed(b"ok\r\n\x1b[31mERROR\x1b[0m disk ERROR\r\nDONE\r\n");
        let told: Vec<_> =
            hits.iter().map(|hit| (&*hit.name, hit.line, hit.text.as_str(), hit.range.clone())).collect();
        assert_eq!(told, [("error", 1, "ERROR disk ERROR", 0..5), ("success", 2, "DONE", 0..4)]);
        assert_eq!((rules.count("error"), rules.count("success"), rules.count("other")), (1, 1, 0));
    }

    #[test]
    fn a_prompt_is_found_on_a_pause_and_not_again_at_its_end() {
        let mut rules = Rules::new();
        rules.add("prompt", "Password:");
        assert_eq!(rules.feed(b"Pass"), []);
        assert_eq!(rules.pause(), []);
        assert_eq!(rules.feed(b"word: "), []);
        assert_eq!(rules.pause().len(), 1);
        assert_eq!(rules.pause(), []);
        assert_eq!(rules.feed(b"\r\n"), []);
        assert_eq!(rules.feed(b"Password:\r\n").len(), 1);
        assert_eq!(rules.count("prompt"), 2);
    }

    #[test]
    fn a_line_that_is_written_anew_is_another_one() {
        let mut rules = rules();
        assert_eq!(rules.feed(b"50 %\rDONE\r99 %\r\r\n").len(), 1);
        // A line without an end is looked at in pieces.
        let mut long = vec![b'x'; LINE_CAP];
        long.extend_from_slice(b" DONE");
        assert_eq!(rules.feed(&long), []);
        assert_eq!(rules.pause().len(), 1);
    }

    proptest! {
        #[test]
        fn borders_of_chunks_do_not_matter(text in "([a-d ]|ERROR|DONE|\u{1b}\\[1m|\r|\n){0,40}", cuts in prop::collection::vec(0usize..100, 0..20)) {
            let mut whole = rules();
            let expected = whole.feed(text.as_bytes());
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut cut = rules();
            let found: Vec<Hit> = cuts.windows(2).flat_map(|pair| cut.feed(&text.as_bytes()[pair[0]..pair[1]])).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

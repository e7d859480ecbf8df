//! A literal or a regular expression over bytes.

use std::fmt;
use std::ops::Range;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

/// Longest match of a regular expression that is surely found across the border of two chunks, bytes.
pub const OVERLAP: usize = 4096;
/// Size of a compiled expression; beyond it the text is refused.
const COMPILED_CAP: usize = 1 << 20;

/// What is looked for; a `&str` or byte string is taken literally.
#[derive(Clone, Debug)]
pub struct Pattern {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Literal(Box<Finder<'static>>),
    Regex(Regex),
}

/// A text that is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no regular expression: {reason}")]
pub struct PatternError {
    text: String,
    reason: String,
}

impl Pattern {
    /// These bytes.
    pub fn literal(bytes: impl AsRef<[u8]>) -> Pattern {
        Pattern { kind: Kind::Literal(Box::new(Finder::new(bytes.as_ref()).into_owned())) }
    }

    /// A regular expression in the syntax of the `regex` crate. `$` also holds at the end of what has come so far.
    pub fn regex(text: &str) -> Result<Pattern, PatternError> {
        let regex = RegexBuilder::new(text).size_limit(COMPILED_CAP).build();
        let kind = regex.map(Kind::Regex).map_err(|err| PatternError {
            text: text.chars().take(200).collect(),
            reason: err.to_string().lines().last().unwrap_or_default().trim().to_string(),
        })?;
        Ok(Pattern { kind })
    }

    /// The first match that begins at `from` or later; what lies before is context for `^` and `\b`.
    pub fn find_at(&self, bytes: &[u8], from: usize) -> Option<Range<usize>> {
        match &self.kind {
            Kind::Literal(finder) => {
                let at = from + finder.find(bytes.get(from..)?)?;
                Some(at..at + finder.needle().len())
            }
            Kind::Regex(regex) => (from <= bytes.len()).then(|| regex.find_at(bytes, from))?.map(|found| found.range()),
        }
    }

    /// How far before new bytes a match may begin that they complete.
    pub fn overlap(&self) -> usize {
        match &self.kind {
            Kind::Literal(finder) => finder.needle().len().saturating_sub(1),
            Kind::Regex(_) => OVERLAP,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Literal(finder) => write!(f, "{:?}", String::from_utf8_lossy(finder.needle())),
            Kind::Regex(regex) => write!(f, "/{}/", regex.as_str()),
        }
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Pattern {
        Pattern::literal(text)
    }
}

impl From<&[u8]> for Pattern {
    fn from(bytes: &[u8]) -> Pattern {
        Pattern::literal(bytes)
    }
}

impl From<Regex> for Pattern {
    fn from(regex: Regex) -> Pattern {
        Pattern { kind: Kind::Regex(regex) }
    }
}

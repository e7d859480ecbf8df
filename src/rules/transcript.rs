//! Output that nobody has waited for yet, and searches that go on where they stopped.

use std::fmt;
use std::ops::Range;

use super::Pattern;

/// Output since the last match, bounded: the oldest goes first and is counted.
#[derive(Clone, Debug)]
pub struct Transcript {
    held: Vec<u8>,
    /// Offset of the first byte held.
    start: u64,
    cap: usize,
    /// Bytes dropped since the last match.
    missed: u64,
}

/// What a wait came to: the output up to the end of the match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Output since the last match, this match included.
    pub output: Vec<u8>,
    /// The match in it.
    pub range: Range<usize>,
    /// Bytes before `output` that had to be dropped.
    pub missed: u64,
}

impl Found {
    /// The bytes that matched.
    pub fn matched(&self) -> &[u8] {
        &self.output[self.range.clone()]
    }

    /// What came before them.
    pub fn before(&self) -> &[u8] {
        &self.output[..self.range.start]
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.output))
    }
}

impl Transcript {
    /// An empty one that keeps so many bytes, at least one.
    pub fn new(cap: usize) -> Transcript {
        Transcript { held: Vec::new(), start: 0, cap: cap.max(1), missed: 0 }
    }

    /// More output.
    pub fn push(&mut self, data: &[u8]) {
        let surplus = (self.held.len() + data.len()).saturating_sub(self.cap);
        if surplus > 0 {
            self.missed += surplus as u64;
            self.start += surplus as u64;
            let old = surplus.min(self.held.len());
            self.held.drain(..old);
            self.held.extend_from_slice(&data[surplus - old..]);
        } else {
            self.held.extend_from_slice(data);
        }
    }

    /// What is held.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Takes everything up to a match out.
    fn take(&mut self, found: Range<usize>) -> Found {
        let rest = self.held.split_off(found.end);
        let output = std::mem::replace(&mut self.held, rest);
        self.start += found.end as u64;
        Found { output, range: found, missed: std::mem::take(&mut self.missed) }
    }
}

/// A search over a transcript that grows.
#[derive(Clone, Debug)]
pub struct Search {
    pattern: Pattern,
    /// Everything before this offset was looked at.
    scanned: u64,
}

impl Search {
    /// Looks at all that is held, then at what comes.
    pub fn new(pattern: Pattern) -> Search {
        Search { pattern, scanned: 0 }
    }

    /// Looks at what came since it was last asked; a match is taken out of the transcript with all that precedes it.
    pub fn advance(&mut self, transcript: &mut Transcript) -> Option<Found> {
        let from = self.scanned.saturating_sub(self.pattern.overlap() as u64).saturating_sub(transcript.start) as usize;
        let found = self.pattern.find_at(&transcript.held, from);
        self.scanned = transcript.start + transcript.held.len() as u64;
        found.map(|range| transcript.take(range))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(pattern: &Pattern, chunks: &[&[u8]]) -> Option<Found> {
        let (mut transcript, mut search) = (Transcript::new(1 << 16), Search::new(pattern.clone()));
        search.advance(&mut transcript).or_else(|| {
            chunks.iter().find_map(|chunk| {
                transcript.push(chunk);
                search.advance(&mut transcript)
            })
        })
    }

    #[test]
    fn a_match_across_a_border_is_found_and_what_follows_stays() {
        let (mut transcript, mut search) = (Transcript::new(100), Search::new("Build complete".into()));
        transcript.push(b"make\r\nBuild com");
        assert_eq!(search.advance(&mut transcript), None);
        transcript.push(b"plete\r\n$ ");
        let found = search.advance(&mut transcript).unwrap();
        assert_eq!(found.to_string(), "make\r\nBuild complete");
        assert_eq!((found.before(), found.matched()), (&b"make\r\n"[..], &b"Build complete"[..]));
        assert_eq!(transcript.held(), b"\r\n$ ");
        // The next wait sees what came after the match, and nothing twice.
        assert_eq!(Search::new("Build".into()).advance(&mut transcript), None);
        assert_eq!(Search::new("$ ".into()).advance(&mut transcript).unwrap().output, b"\r\n$ ");
    }

    #[test]
    fn what_leaves_a_full_transcript_is_counted() {
        let mut transcript = Transcript::new(4);
        let mut search = Search::new("ef".into());
        transcript.push(b"abc");
        assert_eq!(search.advance(&mut transcript), None);
        transcript.push(b"def");
        let found = search.advance(&mut transcript).unwrap();
        assert_eq!((found.output.as_slice(), found.missed), (&b"cdef"[..], 2));
        transcript.push(b"0123456789");
        assert_eq!(transcript.held(), b"6789");
    }

    #[test]
    fn context_before_new_bytes_counts_for_a_regular_expression() {
        let word = Pattern::regex(r"\bERROR\b").unwrap();
        assert!(run(&word, &[b"xERR", b"OR "]).is_none());
        assert!(run(&word, &[b"x ERR", b"OR "]).is_some());
        assert!(Pattern::regex("(").is_err());
    }

    /// The number of bytes looked at is the length of the output and an overlap per chunk, whatever was seen before.
    #[test]
    fn nothing_is_scanned_again_for_every_chunk() {
        let (mut transcript, mut search) = (Transcript::new(1 << 20), Search::new("needle".into()));
        for _ in 0..1000 {
            transcript.push(&[b'x'; 100]);
            assert_eq!(search.advance(&mut transcript), None);
            assert_eq!(search.scanned, transcript.held.len() as u64);
        }
    }

    proptest! {
        /// However output is cut into chunks, a pattern of fixed length matches at the same place.
        #[test]
        fn borders_of_chunks_do_not_matter(
            text in "[ab]{0,60}", needle in "[ab]{1,6}", cuts in prop::collection::vec(0usize..61, 0..20)
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            for pattern in [Pattern::literal(&needle), Pattern::regex(&needle).unwrap()] {
                let found = run(&pattern, &chunks).map(|found| found.range);
                prop_assert_eq!(found, text.find(&needle).map(|at| at..at + needle.len()));
            }
        }
    }
}

//! Lines that left the top of the screen: text plus style runs in chunks of bytes, bounded by a budget.
//!
//! A line keeps its number for ever: number `total - len` is the oldest one still here. What is dropped when depends
//! only on the lines, never on how they lie in memory, so that replicas drop the same ones.

use super::types::Style;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Bytes of a full chunk: large enough to make the per-chunk tables cheap, small enough that freeing lags little.
const CHUNK_BYTES: usize = 64 * 1024;
/// What a line costs in the budget beyond its text, and each of its runs.
const LINE_COST: usize = 16;
const RUN_COST: usize = 4;

/// Style and link target of a run of text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Look {
    pub(super) style: Style,
    pub(super) link: Option<Arc<str>>,
}

/// A line being put together; reused from line to line.
#[derive(Clone, Debug, Default)]
pub(super) struct LineBuf {
    pub(super) text: Vec<u8>,
    /// Looks and how many bytes of the text they cover, in order; text beyond them has the default look.
    pub(super) runs: Vec<(Look, usize)>,
    pub(super) is_wrapped: bool,
}

impl LineBuf {
    /// Forgets the line.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.runs.clear();
        self.is_wrapped = false;
    }

    /// Notes that so many bytes just appended have this look.
    pub(super) fn cover(&mut self, look: &Look, bytes: usize) {
        match self.runs.last_mut() {
            _ if bytes == 0 => {}
            Some((last, covered)) if last == look => *covered = covered.saturating_add(bytes),
            _ => self.runs.push((look.clone(), bytes)),
        }
    }

    /// Appends blank cells, as NULs.
    pub(super) fn pad(&mut self, blanks: usize) {
        self.text.resize(self.text.len() + blanks, 0);
        self.cover(&Look::default(), blanks);
    }

    /// Makes blank cells spaces, and drops them at the end.
    pub(super) fn fill_blanks(&mut self) {
        let Some(first) = memchr::memchr(0, &self.text) else { return };
        let end = self.text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let mut excess = self.text.len() - end;
        while let Some((_, covered)) = self.runs.last_mut().filter(|_| excess > 0) {
            let cut = excess.min(*covered);
            (*covered, excess) = (*covered - cut, excess - cut);
            if *covered == 0 {
                self.runs.pop();
            }
        }
        self.text.truncate(end);
        self.text[first.min(end)..].iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or("")
    }

    /// Columns of the text.
    pub(super) fn width(&self) -> usize {
        clusters(self.as_str()).map(|(_, width)| usize::from(width)).sum()
    }

    /// Pieces of the text with their looks, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&str, &Look)> {
        let text = self.as_str();
        let mut done = 0;
        self.runs.iter().map(move |(look, bytes)| {
            let piece = text.get(done..done + bytes).unwrap_or("");
            done += bytes;
            (piece, look)
        })
    }
}

#[derive(Debug, Default)]
struct Chunk {
    /// Number of the first line.
    first: u64,
    data: Vec<u8>,
    starts: Vec<u32>,
    /// Lines at the front that the budget already dropped.
    dropped: usize,
    looks: Vec<Look>,
    /// Some look has a link.
    has_links: bool,
}

impl Chunk {
    /// Bytes of the link targets of a line, whose runs begin here, each counted as often as it is used.
    fn link_bytes(&self, mut at: usize, runs: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..if self.has_links { runs } else { 0 } {
            let (id, covered) = read_varint(&self.data, at);
            at = read_varint(&self.data, covered).1;
            bytes += self.looks.get(id).and_then(|look| look.link.as_deref()).map_or(0, str::len);
        }
        bytes
    }
}

/// All lines.
#[derive(Debug)]
pub(super) struct History {
    chunks: VecDeque<Chunk>,
    index: HashMap<Look, usize>,
    limit: usize,
    cost: usize,
    len: usize,
    total: u64,
}

/// One stored line.
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) is_wrapped: bool,
    runs: &'a [u8],
    run_count: usize,
    looks: &'a [Look],
}

impl History {
    /// Nothing yet; `limit` bounds what the lines cost, and nothing is allocated before the first.
    pub(super) fn new(limit: usize) -> History {
        History { chunks: VecDeque::new(), index: HashMap::new(), limit, cost: 0, len: 0, total: 0 }
    }

    /// Lines here.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Lines ever.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Sets the number of lines that were there before, while none is here.
    pub(super) fn set_total(&mut self, total: u64) {
        if self.len == 0 {
            self.clear();
            self.total = total;
        }
    }

    /// Forgets all lines; their numbers are not used again.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.index.clear();
        (self.cost, self.len) = (0, 0);
    }

    /// Adds a line and drops the oldest ones that no longer fit.
    pub(super) fn push(&mut self, line: &LineBuf) {
        self.total += 1;
        let is_plain = line.runs.iter().all(|(look, _)| *look == Look::default());
        let runs: &[(Look, usize)] = if is_plain { &[] } else { &line.runs };
        let links: usize = runs.iter().filter_map(|(look, _)| look.link.as_deref()).map(str::len).sum();
        let cost = line.text.len() + runs.len() * RUN_COST + links + LINE_COST;
        if cost > self.limit {
            self.clear();
            return;
        }
        let target = (self.limit / 8).clamp(1024, CHUNK_BYTES);
        if self.chunks.back().is_none_or(|chunk| chunk.data.len() >= target) {
            if let Some(full) = self.chunks.back_mut() {
                full.data.shrink_to_fit();
                full.starts.shrink_to_fit();
                full.looks.shrink_to_fit();
            }
            self.index.clear();
            self.chunks.push_back(Chunk { first: self.total - 1, ..Chunk::default() });
        }
        let Some(chunk) = self.chunks.back_mut() else { return };
        chunk.has_links |= links > 0;
        chunk.starts.push(chunk.data.len() as u32);
        push_varint(&mut chunk.data, line.text.len() << 1 | usize::from(line.is_wrapped));
        push_varint(&mut chunk.data, runs.len());
        for (look, bytes) in runs {
            let id = look_id(&mut chunk.looks, &mut self.index, look);
            push_varint(&mut chunk.data, id);
            push_varint(&mut chunk.data, *bytes);
        }
        chunk.data.extend_from_slice(&line.text);
        self.len += 1;
        self.cost += cost;
        while self.cost > self.limit {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(chunk) = self.chunks.front_mut() else { return };
        let (header, runs, at) = read_header(&chunk.data, chunk.starts[chunk.dropped] as usize);
        let links = chunk.link_bytes(at, runs);
        self.cost = self.cost.saturating_sub((header >> 1) + runs * RUN_COST + links + LINE_COST);
        self.len -= 1;
        chunk.dropped += 1;
        if chunk.dropped == chunk.starts.len() {
            self.chunks.pop_front();
            if self.chunks.is_empty() {
                self.index.clear();
            }
        }
    }

    /// Line `index` from the oldest.
    pub(super) fn line(&self, index: usize) -> Option<Line<'_>> {
        if index >= self.len {
            return None;
        }
        let number = self.chunks.front()?.first + self.chunks.front()?.dropped as u64 + index as u64;
        let chunk = self.chunks.get(self.chunks.partition_point(|chunk| chunk.first <= number).checked_sub(1)?)?;
        let start = *chunk.starts.get((number - chunk.first) as usize)? as usize;
        let (header, run_count, at) = read_header(&chunk.data, start);
        let mut end = at;
        for _ in 0..run_count * 2 {
            end = read_varint(&chunk.data, end).1;
        }
        let text = std::str::from_utf8(chunk.data.get(end..end + (header >> 1))?).unwrap_or("");
        Some(Line { text, is_wrapped: header & 1 == 1, runs: &chunk.data[at..end], run_count, looks: &chunk.looks })
    }

    /// Bytes of memory held, for reports and tests.
    pub(super) fn memory(&self) -> usize {
        let chunk = |chunk: &Chunk| {
            chunk.data.capacity() + chunk.starts.capacity() * 4 + chunk.looks.capacity() * size_of::<Look>()
        };
        self.chunks.iter().map(chunk).sum::<usize>() + self.chunks.capacity() * size_of::<Chunk>()
    }
}

impl<'a> Line<'a> {
    /// Pieces of the text with their looks, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&'a str, &'a Look)> + use<'a> {
        let (text, runs, looks) = (self.text, self.runs, self.looks);
        let (mut at, mut left, mut done) = (0, self.run_count, 0);
        std::iter::from_fn(move || {
            if done >= text.len() {
                return None;
            }
            let (mut look, mut bytes) = (&DEFAULT_LOOK, text.len() - done);
            if left > 0 {
                let (id, next) = read_varint(runs, at);
                let (covered, next) = read_varint(runs, next);
                (at, left, bytes) = (next, left - 1, covered.min(bytes));
                look = looks.get(id).unwrap_or(&DEFAULT_LOOK);
            }
            let piece = text.get(done..done + bytes).unwrap_or("");
            done += bytes.max(1);
            Some((piece, look))
        })
    }

    /// Visits the cells: column, text, width (1, or 2 and then the empty second half with 0), look.
    pub(super) fn visit(&self, mut visit: impl FnMut(u16, &str, u8, &Look)) {
        visit_pieces(self.runs(), &mut visit);
    }
}

/// Visits the cells of pieces of text as [`Line::visit`] does; returns the column behind them.
pub(super) fn visit_pieces<'a>(
    pieces: impl Iterator<Item = (&'a str, &'a Look)>,
    visit: &mut impl FnMut(u16, &str, u8, &Look),
) -> u16 {
    let mut col = 0u16;
    for (text, look) in pieces {
        for (cluster, width) in clusters(text) {
            visit(col, cluster, width, look);
            if width == 2 {
                visit(col.saturating_add(1), "", 0, look);
            }
            col = col.saturating_add(width.into());
        }
    }
    col
}

static DEFAULT_LOOK: Look = Look {
    style: Style {
        fg: super::types::Color::Default,
        bg: super::types::Color::Default,
        underline_color: super::types::Color::Default,
        underline: super::types::Underline::None,
        bold: false,
        dim: false,
        italic: false,
        blink: false,
        inverse: false,
        hidden: false,
        strike: false,
    },
    link: None,
};

/// Splits text into what one cell holds each, with its width, exactly as the engine does.
pub(super) fn clusters(text: &str) -> impl Iterator<Item = (&str, u8)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if let [first, second, ..] = rest.as_bytes()
            && first.is_ascii()
            && second.is_ascii()
        {
            let (cluster, left) = rest.split_at(1);
            rest = left;
            return Some((cluster, 1));
        }
        let mut chars = rest.char_indices();
        let (_, first) = chars.next()?;
        let mut end = rest.len();
        let mut width = first.width().unwrap_or(1).clamp(1, 2) as u8;
        for (at, c) in chars {
            if c.is_ascii() || c.width().unwrap_or(1) > 0 {
                end = at;
                break;
            }
            if c == '\u{FE0F}' {
                width = if rest[..at + c.len_utf8()].width() > 1 { 2 } else { 1 };
            }
        }
        let (cluster, left) = rest.split_at(end);
        rest = left;
        Some((cluster, width))
    })
}

fn look_id(looks: &mut Vec<Look>, index: &mut HashMap<Look, usize>, look: &Look) -> usize {
    if let Some(id) = looks.iter().take(12).position(|known| known == look) {
        return id;
    }
    if let Some(&id) = index.get(look) {
        return id;
    }
    looks.push(look.clone());
    index.insert(look.clone(), looks.len() - 1);
    looks.len() - 1
}

fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(data: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    while let Some(&byte) = data.get(at) {
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 || shift > 56 {
            break;
        }
    }
    (value, at)
}

/// Text length and wrapped flag, number of runs, where the runs begin.
fn read_header(data: &[u8], start: usize) -> (usize, usize, usize) {
    let (header, at) = read_varint(data, start);
    let (runs, at) = read_varint(data, at);
    (header, runs, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LineBuf {
        LineBuf { text: text.into(), ..LineBuf::default() }
    }

    #[test]
    fn nothing_is_allocated_before_the_first_line() {
        assert_eq!(History::new(1 << 30).memory(), 0);
    }

    #[test]
    fn lines_keep_their_numbers_while_the_oldest_are_dropped() {
        let mut history = History::new(4096);
        for number in 0..10_000 {
            history.push(&line(&format!("line {number}")));
        }
        assert_eq!(history.total(), 10_000);
        assert!(history.len() > 100 && history.len() < 300, "{}", history.len());
        for index in 0..history.len() {
            let number = history.total() as usize - history.len() + index;
            assert_eq!(history.line(index).unwrap().text, format!("line {number}"));
        }
        assert!(history.memory() < 16 * 1024);
    }

    /// A link on every cell took two kilobytes for each of them beside a budget that counted twenty.
    #[test]
    fn links_are_charged_to_their_lines() {
        let mut history = History::new(64 * 1024);
        for number in 0..1000 {
            let mut buf = line("ab");
            for half in 0..2 {
                let link = Some(format!("{number:>2000}{half}").into());
                buf.cover(&Look { link, ..Look::default() }, 1);
            }
            history.push(&buf);
        }
        assert_eq!((history.total(), history.len()), (1000, 64 * 1024 / 4028));
        history.clear();
        (0..10_000).for_each(|_| history.push(&line("text")));
        assert_eq!(history.len(), 64 * 1024 / 20);
    }

    #[test]
    fn a_budget_of_zero_keeps_nothing_but_counts() {
        let mut history = History::new(0);
        history.push(&line("x"));
        assert_eq!((history.len(), history.total()), (0, 1));
    }

    #[test]
    fn styles_come_back_where_they_were() {
        let red = Look {
            style: Style { fg: super::super::types::Color::Indexed(1), ..Style::default() },
            link: Some("http://x".into()),
        };
        let mut buf = line("ab漢c");
        buf.runs = vec![(Look::default(), 1), (red.clone(), 4)];
        let mut history = History::new(1000);
        history.push(&buf);
        let mut seen = Vec::new();
        history.line(0).unwrap().visit(|col, text, width, look| {
            seen.push((col, text.to_string(), width, *look == red));
        });
        let expected: Vec<_> =
            [(0, "a", 1, false), (1, "b", 1, true), (2, "漢", 2, true), (3, "", 0, true), (4, "c", 1, false)]
                .map(|(col, text, width, is_red)| (col, text.to_string(), width, is_red))
                .into();
        assert_eq!(seen, expected);
    }
}

//! A program's output: fed in any pieces, with resizes between, and a keyframe taken and loaded in the middle. Nothing panics,
//! the pieces make no difference, and the copy goes on as the original does.

use super::escapes;
use super::random::Random;
use fleetmux::fleet::Size;
use fleetmux::term::{Cell, KeyframeScope, Screen, Style};

const HISTORY: usize = 64 * 1024;

/// Bytes before the stream: rows, columns, seed of the cuts, and what happens between them.
const HEAD: usize = 4;

fn size(rows: u8, cols: u8) -> Size {
    Size::new(u32::from(rows) % 30 + 1, u32::from(cols) % 100 + 2)
}

/// Everything that can be seen of a screen, line by line.
fn seen(screen: &Screen) -> Vec<String> {
    let mut lines = vec![
        format!("{:?} pending {}", screen.cursor(), screen.is_wrap_pending()),
        format!("{:?} {:?} {:?}", screen.modes(), screen.title(), screen.cwd()),
        format!("{} lines", screen.history_total()),
    ];
    fn show(text: &mut String, cell: Cell<'_>) {
        let style = (cell.style != Style::default()).then_some(cell.style);
        text.push_str(
            &format!("[{:?} {} {style:?} {:?}]", cell.text, cell.width, cell.link).replace(" 1 None None", ""),
        );
    }
    for line in 0..screen.history_len() {
        let mut text = format!("line {line} {} ", screen.is_history_wrapped(line));
        screen.visit_history(line, |_, cell| show(&mut text, cell));
        lines.push(text);
    }
    for row in 0..screen.size().rows() {
        let mut text = format!("row {row} {} ", screen.is_wrapped(row));
        screen.visit_row(row, |_, cell| show(&mut text, cell));
        lines.push(text);
    }
    lines
}

/// Fails with the first line that differs.
fn compare(other: &Screen, screen: &Screen, what: &str) {
    let (other, screen) = (seen(other), seen(screen));
    let differs = other.iter().zip(&screen).position(|(a, b)| a != b);
    if let Some(at) = differs {
        panic!("{what} ({}):\n  {}\n  {}", screen[0], other[at], screen[at]);
    }
    assert_eq!(other.len(), screen.len(), "{what}");
}

/// Whatever is caught on the way is a failure here.
fn check(screen: &mut Screen) {
    let panic = screen.take_panic();
    assert!(panic.is_none(), "the screen caught a panic and skipped {panic:?}");
    let (cursor, size) = (screen.cursor(), screen.size());
    assert!(cursor.row < size.rows() && cursor.col < size.cols(), "{cursor:?} in {size}");
}

fn replica(of: &Screen) -> Screen {
    let mut copy =
        Screen::from_keyframe(of.size(), HISTORY, &of.keyframe(KeyframeScope::Replica { history_bytes: usize::MAX }));
    check(&mut copy);
    copy
}

/// The target.
pub fn run(data: &[u8]) {
    let Some((&[rows, cols, seed, flags], stream)) = data.split_first_chunk::<HEAD>() else { return };
    let mut random = Random::new(seed.into());
    let (may_resize, takes_keyframe) = (flags & 1 != 0, flags & 2 != 0);
    let mut screen = Screen::new(size(rows, cols), HISTORY);
    let mut single = (!may_resize).then(|| Screen::new(size(rows, cols), HISTORY));
    let mut copy: Option<Screen> = None;
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, left) = rest.split_at((1 + random.below(300)).min(rest.len()));
        rest = left;
        let mut fed = 0;
        while fed < piece.len() {
            // In slices of little work, as a keeper does that has somebody to serve.
            fed += screen.feed_within(&piece[fed..], if random.one_in(2) { 500 } else { u64::MAX });
        }
        if let Some(copy) = &mut copy {
            copy.feed(piece);
        }
        if let Some(single) = &mut single {
            piece.iter().for_each(|byte| single.feed(&[*byte]));
        }
        if may_resize && random.one_in(4) {
            let size = size(random.next() as u8, random.next() as u8);
            screen.resize(size);
            // What is resized is laid out by its cells, and a copy has the same ones only if it has the same past.
            copy = None;
        }
        if takes_keyframe && copy.is_none() && random.one_in(3) {
            let replica = replica(&screen);
            compare(&replica, &screen, "a keyframe shows something else");
            copy = Some(replica);
        }
        check(&mut screen);
        let _ = (screen.take_replies(), screen.take_events());
        assert!(!screen.title().chars().any(fleetmux::fleet::is_deceptive));
    }
    for (mut other, what) in [(copy, "a copy went another way"), (single, "single bytes lead elsewhere")]
        .into_iter()
        .filter_map(|(other, what)| Some((other?, what)))
    {
        check(&mut other);
        compare(&other, &screen, what);
    }
    let _ = screen.keyframe(KeyframeScope::Terminal);
    check(&mut screen);
}

/// What the stream costs on a small screen, where a sequence that fills it has little to fill.
pub fn work(data: &[u8]) -> u64 {
    let mut screen = Screen::new(Size::new(8, 20), HISTORY);
    screen.feed(data.get(HEAD..).unwrap_or_default());
    screen.work()
}

/// A stream of the grammar, sometimes changed or spliced.
pub fn generate(random: &mut Random) -> Vec<u8> {
    let mut out: Vec<u8> = (0..HEAD).map(|_| random.next() as u8).collect();
    if random.one_in(3) {
        // Small screens have more corners.
        (out[0], out[1]) = (random.below(4) as u8, random.below(8) as u8);
    }
    let mut stream = escapes::stream(random, 60);
    if random.one_in(4) {
        random.mutate(&mut stream);
    }
    if random.one_in(4) {
        let other = escapes::stream(random, 60);
        stream = random.splice(&stream, &other);
    }
    out.extend_from_slice(&stream);
    out
}

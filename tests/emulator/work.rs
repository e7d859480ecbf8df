//! What output costs, counted and not timed: bytes looked at, bytes given to the engine, cells visited.

#[path = "../../benches/kinds/mod.rs"]
mod kinds;

use fleetmux::fleet::Size;
use fleetmux::term::Screen;
use kinds::{KINDS, Kind};

/// Bytes of each kind.
const BYTES: usize = 64 * 1024;
/// Work for a byte that no kind exceeds. A line feed may have a rectangle of the screen to move cell by cell, and a sequence
/// of three bytes (DECALN) a screen of 1,920 cells to print anew.
const WORK_PER_BYTE: u64 = 4000;

fn work(kind: &Kind, bytes: usize) -> (u64, u64) {
    let bytes = (kind.make)(bytes);
    let mut screen = Screen::new(Size::new(kind.size.0, kind.size.1), 1 << 20);
    for piece in bytes.chunks(64 * 1024) {
        screen.feed(piece);
        drop((screen.take_events(), screen.take_replies()));
    }
    assert!(screen.take_panic().is_none(), "{}", kind.name);
    (screen.work(), bytes.len() as u64)
}

/// 390 KB of 0xFF, of emoji or of combining marks kept a keeper busy for five seconds, and 6 MB for over three minutes: the
/// rest of a run of high bytes was validated again for each character in it that could not pass. Nobody got in meanwhile.
#[test]
fn every_kind_of_output_costs_in_proportion_to_its_length() {
    for kind in KINDS {
        let ((once, length), (twice, double)) = (work(kind, BYTES), work(kind, 2 * BYTES));
        assert!(once <= WORK_PER_BYTE * length, "{}: {} for a byte", kind.name, once / length);
        let ratio = (twice * length) as f64 / (once * double) as f64;
        assert!(ratio < 1.1, "{}: twice the bytes cost {ratio:.2} times as much a byte", kind.name);
    }
}

#[test]
fn no_more_is_done_at_once_than_asked_for() {
    for kind in KINDS {
        let bytes = (kind.make)(BYTES);
        let size = Size::new(kind.size.0, kind.size.1);
        let (mut whole, mut sliced) = (Screen::new(size, 1 << 20), Screen::new(size, 1 << 20));
        whole.feed(&bytes);
        let (mut at, budget) = (0, 20_000);
        while at < bytes.len() {
            let before = sliced.work();
            at += sliced.feed_within(&bytes[at..], budget);
            // What is begun is ended: a sequence that fills the screen, or lines that are passed on together.
            let most = budget + 32 * u64::from(size.rows()) * u64::from(size.cols());
            assert!(sliced.work() - before <= most, "{}: {}", kind.name, sliced.work() - before);
        }
        let rows = |screen: &Screen| (0..size.rows()).map(|row| screen.row_text(row)).collect::<Vec<_>>();
        assert_eq!(rows(&whole), rows(&sliced), "{}", kind.name);
        assert_eq!((whole.cursor(), whole.history_total()), (sliced.cursor(), sliced.history_total()), "{}", kind.name);
    }
}

//! A keyframe from a hostile machine: loaded, and followed by a program's output. It can set nothing that deceives, take no
//! more memory than a screen may, and its own keyframe loads again to the same.

use super::escapes;
use super::random::Random;
use fleetmux::fleet::{Size, is_deceptive};
use fleetmux::term::{KeyframeScope, Screen};

const HISTORY: usize = 16 * 1024;
const HEAD: usize = 3;

fn size(rows: u8, cols: u8) -> Size {
    Size::new(u32::from(rows) % 30 + 1, u32::from(cols) % 100 + 2)
}

fn check(screen: &mut Screen) {
    let panic = screen.take_panic();
    assert!(panic.is_none(), "the screen caught a panic and skipped {panic:?}");
    let told = [screen.title(), screen.cwd().unwrap_or("")];
    assert!(!told.iter().any(|text| text.chars().any(is_deceptive)), "{told:?}");
    for line in 0..screen.history_len() {
        assert!(!screen.history_text(line).chars().any(char::is_control));
        screen.visit_history(line, |_, cell| assert!(cell.link.is_none_or(|link| !link.chars().any(is_deceptive))));
    }
    for row in 0..screen.size().rows() {
        assert!(!screen.row_text(row).chars().any(char::is_control));
    }
}

/// The target.
pub fn run(data: &[u8]) {
    let Some((&[rows, cols, cut], rest)) = data.split_first_chunk::<HEAD>() else { return };
    let (keyframe, live) = rest.split_at(rest.len() - rest.len().min(cut.into()));
    let mut screen = Screen::from_keyframe(size(rows, cols), HISTORY, keyframe);
    check(&mut screen);
    // What follows the keyframe is a program's, and its private strings are nothing.
    let mut other = Screen::from_keyframe(
        screen.size(),
        HISTORY,
        &screen.keyframe(KeyframeScope::Replica { history_bytes: HISTORY }),
    );
    check(&mut other);
    // An ordinary title that the keyframe began, and whose end began too, ends here.
    screen.feed(b"\x18");
    other.feed(b"\x18");
    let (title, cwd) = (screen.title().to_owned(), screen.cwd().map(str::to_owned));
    for screen in [&mut screen, &mut other] {
        screen.feed(b"\x1bP+fTfalse\x1b\\\x1bP+fdfalse\x1b\\\x1bP+fn99999999999\x1b\\\x1bP+fh0|0|counterfeit\x1b\\");
        assert_eq!((screen.title(), screen.cwd()), (&*title, cwd.as_deref()));
        assert_ne!(screen.history_total(), 99_999_999_999);
        assert!((0..screen.history_len()).all(|line| screen.history_text(line) != "counterfeit"));
        screen.feed(live);
        let (cursor, size) = (screen.cursor(), screen.size());
        assert!(cursor.row < size.rows() && cursor.col < size.cols());
        check(screen);
    }
}

/// What loading costs on a small screen, where a sequence that fills it has little to fill.
pub fn work(data: &[u8]) -> u64 {
    Screen::from_keyframe(Size::new(8, 20), HISTORY, data.get(HEAD..).unwrap_or_default()).work()
}

/// A private string with hostile numbers.
fn private(random: &mut Random) -> Vec<u8> {
    let number = |random: &mut Random| {
        random.pick(&["0", "1", "2", "-1", "7", "255", "18446744073709551615", "4294967296", "x", ""])
    };
    let mut out = String::from("\x1bP+f");
    out.push(random.pick(&['h', 'n', 's', 'W', 'w', 'g', 't', 'c', 'p', 'T', 'd', '!', 'é']));
    for _ in 0..random.below(6) {
        out.push_str(number(random));
        out.push_str(random.pick(&["|", "||", ";", "\u{202E}", "\u{9b}", "\n", "a", "0;31", "\u{10FFFC}", "http://x"]));
    }
    out.push_str(random.pick(&["\x1b\\", "", "\x1b", "\x18"]));
    out.into_bytes()
}

/// A real keyframe, changed, spliced with another one, with private strings strewn in.
pub fn generate(random: &mut Random) -> Vec<u8> {
    let mut out: Vec<u8> = (0..HEAD).map(|_| random.next() as u8).collect();
    let size = size(out[0], out[1]);
    let real = |random: &mut Random| {
        let mut screen = Screen::new(size, HISTORY);
        screen.feed(&escapes::stream(random, 60));
        screen.keyframe(KeyframeScope::Replica { history_bytes: HISTORY })
    };
    let mut keyframe = real(random);
    if random.one_in(3) {
        let other = real(random);
        keyframe = random.splice(&keyframe, &other);
    }
    for _ in 0..random.below(4) {
        let at = random.below(keyframe.len() + 1);
        let tail = keyframe.split_off(at);
        keyframe.extend_from_slice(&private(random));
        keyframe.extend_from_slice(&tail);
    }
    if random.one_in(2) {
        random.mutate(&mut keyframe);
    }
    out.extend_from_slice(&keyframe);
    out
}

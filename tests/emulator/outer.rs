//! The keyframe for a person's terminal: whoever was shown it goes on as the one who saw everything.

use crate::support::{look, screen};
use fleetmux::term::{KeyframeScope, Screen};
use proptest::collection::vec;
use proptest::prelude::*;

/// A terminal that had something else on it, and was shown this screen.
fn shown(original: &Screen) -> Screen {
    let size = original.size();
    let mut terminal = Screen::new(size, 1 << 20);
    terminal.feed(b"junk\r\njunk\x1b[2;3r\x1b[?6h\x1b[4h\x1b[?7l\x1b[?1h\x1b(0\x1b[3g\x1b[7m\x1b7");
    terminal.feed(&original.keyframe(KeyframeScope::Terminal));
    terminal
}

/// What a person sees of it.
fn visible(screen: &Screen) -> (Vec<String>, fleetmux::term::Cursor, bool, fleetmux::term::Modes) {
    let look = look(screen);
    // A wrap that is pending behind a blank cell is told with a space there: nobody sees the difference.
    let rows = look.rows.iter().map(|row| row.replace(' ', "\u{b7}")).collect();
    (rows, look.cursor, look.is_wrap_pending, look.modes)
}

/// All but margins and modes was missing: `:q` in vim after a reattach showed an empty screen.
#[test]
fn what_later_output_can_meet_is_in_the_keyframe_for_a_terminal() {
    let wide = "x".repeat(20);
    let cases = [
        ("behind", "shell text\r\nline two\x1b[?1049h\x1b[Heditor", "\x1b[?1049lprompt"),
        ("behind, with a saved cursor", "one\x1b[2;3H\x1b7\x1b[?1049h\x1b[3;3H\x1b7\x1b[H", "\x1b8a\x1b[?1049lb\x1b8c"),
        ("saved cursor", "\x1b[3;5H\x1b[31m\x1b7\x1b[m\x1b[1;1Htop", "\x1b8restored"),
        ("saved cursor in origin mode", "\x1b[2;4r\x1b[?6h\x1b[2;2H\x1b7\x1b[?6l\x1b[r", "\x1b8A\x1b[1;1HB"),
        ("saved line drawing", "\x1b(0\x1b7\x1b(B", "\x1b8q"),
        ("tab stops", "\x1b[3g\x1b[1;5H\x1bH\x1b[1;1H", "a\tb"),
        ("no tab stops", "\x1b[3g", "a\tb"),
        ("a pending wrap", &wide, "y"),
        ("a pending wrap and another pen", &format!("{wide}\x1b[31m"), "y"),
        ("a pending wrap that is saved", &format!("{wide}\x1b7\x1b[H"), "\x1b8y"),
        ("a pending wide wrap", "xxxxxxxxxxxxxxxxxx\u{6f22}", "y"),
        ("repetition", "x", "\x1b[5b"),
        ("repetition at the margin", &wide, "\x1b[2b"),
        ("repetition while inserting", "abc\x1b[1;1H\x1b[4hx", "\x1b[2b"),
        ("no repetition", "x\x1b[m", "\x1b[5b"),
        ("margins and origin mode", "\x1b[2;3r\x1b[?6h\x1b[2;2H", "A\n\n\n\nB"),
        ("a pending wrap in origin mode", &format!("\x1b[2;3r\x1b[?6h{wide}"), "A\n\n\n\nB"),
        ("a wrap at a side margin", "\x1b[?69h\x1b[3;6s\x1b[2;3Habcd", "e"),
        ("line drawing", "\x1b(0qqq", "q\x1b(Bq"),
        ("reverse video is off", "x", "y"),
    ];
    for (what, before, after) in cases {
        let mut original = screen(4, 20, before);
        let mut terminal = shown(&original);
        assert_eq!(visible(&terminal), visible(&original), "{what}, at first");
        original.feed(after.as_bytes());
        terminal.feed(after.as_bytes());
        assert_eq!(visible(&terminal), visible(&original), "{what}, going on");
    }
}

#[test]
fn keys_and_colours_are_in_the_keyframe_for_a_terminal() {
    let text = |bytes: &str| String::from_utf8(screen(4, 20, bytes).keyframe(KeyframeScope::Terminal)).unwrap();
    assert!(text("\x1b[>4;2m").contains("\x1b[>4;2m"));
    for off in ["", "\x1b[>4;2m\x1b[>4m", "\x1b[>4;2m\x1b[>4n", "\x1b[>4;2m\x1b[>m", "\x1b[>4;2m\x1bc"] {
        assert!(!text(off).contains("\x1b[>4;2m") && text(off).contains("\x1b[>4m"), "{off:?}");
    }
    assert!(text("\x1b]4;1;rgb:11/22/33\x07\x1b]11;#200000\x07").contains("\x1b]4;1;rgb:11/22/33\x1b\\"));
}

/// Output as programs write it: text, cursor, erasing, scrolling, both screens, saved cursors, tabs, colours.
fn piece() -> impl Strategy<Value = String> {
    let number = 0u16..7;
    let csi = (number.clone(), number, proptest::sample::select(&b"@ABCDEFGHIJKLMPSTXZ`bd"[..])).prop_map(
        |(first, second, last)| match last {
            b'H' => format!("\x1b[{first};{second}H"),
            last => format!("\x1b[{first}{}", char::from(last)),
        },
    );
    let others = [
        "\r",
        "\n",
        "\t",
        "\x08",
        "\x1b7",
        "\x1b8",
        "\x1bD",
        "\x1bE",
        "\x1bH",
        "\x1bM",
        "\x1b[3g",
        "\x1b[2;3r",
        "\x1b[r",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[31m",
        "\x1b[7;44m",
        "\x1b[m",
        "\x1b(0",
        "\x1b(B",
        "\x1b[?25l",
        "\x1b[?25h",
        "\x1b[?1h",
        "\x1b[?2004h",
        "\x1b[?1006h",
        "\x1b[?1000h",
        "\x1b[5 q",
        "\x1b[?5h",
    ];
    prop_oneof![
        5 => "[a-z]{1,12}",
        1 => Just("\u{6f22}\u{5b57}".to_owned()),
        1 => Just("e\u{301}".to_owned()),
        4 => csi,
        6 => proptest::sample::select(others.to_vec()).prop_map(str::to_owned),
    ]
}

fn stream(pieces: usize) -> impl Strategy<Value = String> {
    vec(piece(), 0..pieces).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_was_shown_the_keyframe_goes_on_like_who_saw_everything(
        rows in 3u32..7,
        cols in 8u32..24,
        before in stream(30),
        after in stream(20),
    ) {
        let mut original = screen(rows, cols, &before);
        let mut terminal = shown(&original);
        prop_assert_eq!(visible(&terminal), visible(&original), "at first");
        original.feed(after.as_bytes());
        terminal.feed(after.as_bytes());
        prop_assert_eq!(visible(&terminal), visible(&original), "going on");
    }
}

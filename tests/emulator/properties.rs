//! Properties over random streams: text wide and narrow, every kind of sequence, any chunking, any size.

use crate::support::{look, replica};
use fleetmux::fleet::Size;
use fleetmux::term::Screen;
use proptest::collection::vec;
use proptest::prelude::*;

/// A piece of a stream that hits the emulator's corners more often than random bytes would.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![3 => 0u16..6, 1 => 0u16..40, 1 => Just(65535u16)];
    let text = prop_oneof![
        "[a-z ]{1,12}",
        Just("漢字".to_owned()),
        Just("e\u{301}".to_owned()),
        Just("\u{301}\u{302}\u{303}".to_owned()),
        Just("⚠\u{FE0F}❤".to_owned()),
        Just("1\u{FE0F}\u{20E3}".to_owned()),
        Just("กำ\u{E33}".to_owned()),
        Just("👩\u{200D}🚀".to_owned()),
        Just("\u{FFFD}é".to_owned()),
    ];
    let control = proptest::sample::select(&b"\r\n\t\x08\x0b\x0e\x0f\n\n\r"[..]).prop_map(|byte| vec![byte]);
    let finals = proptest::sample::select(&b"@ABCDEFGHIJKLMPSTXZ`abdefgjkrsu"[..]);
    let csi = (vec(number.clone(), 0..3), finals).prop_map(|(numbers, last)| {
        let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
        format!("\x1b[{}{}", numbers.join(";"), char::from(last)).into_bytes()
    });
    let modes = [1u16, 5, 6, 7, 25, 45, 47, 69, 1000, 1003, 1006, 1047, 1048, 1049, 2004, 2026];
    let mode = (proptest::sample::select(modes.to_vec()), any::<bool>())
        .prop_map(|(mode, on)| format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes());
    let other = [
        "\x1b7",
        "\x1b8",
        "\x1bD",
        "\x1bE",
        "\x1bH",
        "\x1bM",
        "\x1b(0",
        "\x1b(B",
        "\x1b)0",
        "\x1bN",
        "\x1b~",
        "\x1b}",
        "\x1bO",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[20h",
        "\x1b[20l",
        "\x1b[!p",
        "\x1b#8",
        "\x1b]8;;http://x\x1b\\",
        "\x1b]8;;\x1b\\",
        "\x1b]2;title\x07",
        "\x1b[2 q",
        "\x1b[1\"q",
        "\x1b[0\"q",
        "\x1b[?J",
        "\x1b[?K",
        "\x1b[?1J",
        "\x1bP$qm\x1b\\",
        "\x1b[6n",
        "\x1b[3 @",
        "\x1b[ A",
        "\x1b[2'}",
        "\x1b['~",
        "\x1b6",
        "\x1b[>1u",
        "\x1b[<u",
        "\x1b9",
        "\x1b[?69h\x1b[2;5s",
        "\x1b[?69h\x1b[3;4s",
        "\x1b]",
        "\x1b[",
        "\x1b",
        "\u{9b}3",
        "\x1b[22;0t",
        "\x1b[23;0t",
        "\x1bc",
    ];
    let other = proptest::sample::select(other.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let sgrs = [
        "",
        "0",
        "1",
        "2",
        "1;2",
        "4",
        "4:3",
        "9",
        "5",
        "7",
        "31",
        "44",
        "48;5;100",
        "38;2;1;2;3",
        "58:5:3",
        "8",
        "49",
    ];
    let sgr = proptest::sample::select(sgrs.to_vec()).prop_map(|sgr| format!("\x1b[{sgr}m").into_bytes());
    prop_oneof![
        6 => text.prop_map(String::into_bytes),
        4 => control,
        5 => csi,
        2 => mode,
        3 => other,
        3 => sgr,
        1 => vec(any::<u8>(), 1..4),
    ]
}

fn stream(pieces: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..pieces).prop_map(|pieces| pieces.concat())
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        2 => (1u32..8, 2u32..12).prop_map(|(rows, cols)| Size::new(rows, cols)),
        1 => (2u32..12, 8u32..40).prop_map(|(rows, cols)| Size::new(rows, cols)),
    ]
}

fn fed(size: Size, bytes: &[u8]) -> Screen {
    let mut screen = Screen::new(size, 1 << 20);
    screen.feed(bytes);
    screen
}

/// A flood of simple lines with what may stand between them.
fn flood() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => "[a-z0-9 ]{0,30}".prop_map(String::into_bytes),
        2 => "[a-z]{0,9}".prop_map(|text| format!("\x1b[1;31m{text}\x1b[0m {text}").into_bytes()),
        2 => "[a-z]{0,9}".prop_map(|text| format!("\x1b[38;5;9;4m{text}漢é{text}").into_bytes()),
        1 => "[a-z]{0,9}".prop_map(|text| format!("{text}\t{text}\x1b[m").into_bytes()),
        1 => Just(b"\x1b[44mx\x1b[0m".to_vec()),
        1 => Just("e\u{301}x\u{FFFD}".into()),
        1 => Just(b"over\rwritten".to_vec()),
        1 => Just(b"\x1b[4:3mcurly\x1b[9m\x1b[0m".to_vec()),
        1 => Just(b"\x1b[2K".to_vec()),
    ];
    let end = prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\r\n")];
    vec((line, end), 0..80).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(mut line, end)| {
                line.extend_from_slice(end.as_bytes());
                line
            })
            .collect()
    })
}

/// Lines as a program wrote them, wherever they are wrapped, down to the cursor's.
fn paragraphs(screen: &Screen) -> Vec<String> {
    let above = (0..screen.history_len()).map(|line| (screen.history_text(line), screen.is_history_wrapped(line)));
    let rows = (0..=screen.cursor().row).map(|row| (screen.row_text(row), screen.is_wrapped(row)));
    let (mut lines, mut is_continued) = (Vec::<String>::new(), false);
    for (text, is_wrapped) in above.chain(rows) {
        match lines.last_mut().filter(|_| is_continued) {
            Some(line) => line.push_str(&text),
            None => lines.push(text),
        }
        is_continued = is_wrapped;
    }
    lines
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn cases(default: u32) -> ProptestConfig {
    config(std::env::var("FLEETMUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default))
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn no_stream_and_no_resize_panics(
        start in size(),
        steps in vec((stream(25), size()), 1..5),
    ) {
        let mut screen = Screen::new(start, 4096);
        for (bytes, size) in steps {
            screen.feed(&bytes);
            screen.resize(size);
            prop_assert_eq!(screen.size(), size);
            let cursor = screen.cursor();
            prop_assert!(cursor.row < size.rows() && cursor.col < size.cols());
        }
    }

    #[test]
    fn the_state_does_not_depend_on_how_the_stream_was_cut(
        size in size(),
        bytes in stream(40),
        cuts in vec(1usize..20, 1..40),
    ) {
        let whole = fed(size, &bytes);
        let mut cut = Screen::new(size, 1 << 20);
        let mut rest = &bytes[..];
        for length in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at(length.min(rest.len()));
            cut.feed(head);
            rest = tail;
        }
        prop_assert_eq!(look(&whole), look(&cut));
    }

    #[test]
    fn a_keyframe_rebuilds_the_screen_and_it_goes_on_alike(
        size in size(),
        before in stream(40),
        after in stream(25),
    ) {
        let mut original = fed(size, &before);
        let mut copy = replica(&original);
        prop_assert_eq!(look(&original), look(&copy));
        original.feed(&after);
        copy.feed(&after);
        prop_assert_eq!(look(&original), look(&copy));
    }

    #[test]
    fn a_keyframe_after_a_resize_rebuilds_the_screen(
        first in size(),
        second in size(),
        before in stream(30),
        between in stream(10),
        after in stream(15),
    ) {
        let mut original = fed(first, &before);
        original.resize(second);
        original.feed(&between);
        let mut copy = replica(&original);
        prop_assert_eq!(look(&original), look(&copy));
        original.feed(&after);
        copy.feed(&after);
        prop_assert_eq!(look(&original), look(&copy));
    }

    #[test]
    fn a_resize_loses_no_text_and_more_goes_where_it_ended(
        // The engine does not tell a row that wraps out of a screen of one row.
        first in size().prop_filter("one row", |size| size.rows() > 1),
        sizes in vec(size().prop_filter("one row", |size| size.rows() > 1), 1..4),
        lines in vec("[a-z]{0,30}", 1..20),
    ) {
        let mut screen = fed(first, lines.join("\r\n").as_bytes());
        sizes.into_iter().for_each(|size| screen.resize(size));
        prop_assert_eq!(&paragraphs(&screen), &lines);
        screen.feed(b"x");
        prop_assert_eq!(paragraphs(&screen).pop(), lines.last().map(|line| format!("{line}x")));
    }

    #[test]
    fn a_flood_leaves_what_single_bytes_would(size in size(), before in stream(8), bytes in flood(), after in stream(8)) {
        let bytes = [before, bytes, after].concat();
        let fast = fed(size, &bytes);
        let mut slow = Screen::new(size, 1 << 20);
        for byte in &bytes {
            slow.feed(&[*byte]);
        }
        let (fast, slow) = (look(&fast), look(&slow));
        let differing = fast.history.iter().zip(&slow.history).position(|(fast, slow)| fast != slow);
        if let Some(line) = differing {
            prop_assert_eq!(&fast.history[line], &slow.history[line], "line {} of {}", line, fast.history.len());
        }
        prop_assert_eq!(fast, slow);
    }
}

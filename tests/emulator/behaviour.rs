//! Single behaviours, one sentence each.

use crate::support::{history, look, replica, rows, screen};
use fleetmux::fleet::Size;
use fleetmux::term::{Color, Event, KeyframeScope, Rows, Screen, Underline};

fn replies(bytes: &str) -> String {
    String::from_utf8(screen(24, 80, bytes).take_replies()).unwrap()
}

fn cursor(screen: &Screen) -> (u16, u16) {
    (screen.cursor().row, screen.cursor().col)
}

#[test]
fn seeds_that_once_made_the_engine_panic_are_harmless() {
    for (rows, cols, text) in [
        (1, 12, "⚠\u{FE0F}"),
        (12, 1, "⚠\u{FE0F}"),
        (8, 1, "1\u{FE0F}\u{20E3}"),
        (5, 2, "กำก็⚠\u{FE0F}❤กำ"),
        (3, 2, "1\u{FE0F}❤1\u{FE0F}"),
    ] {
        let mut screen = screen(rows, cols, text.repeat(5));
        screen.resize(Size::new(2, 2));
        screen.feed(text.as_bytes());
        assert!(screen.cursor().row < screen.size().rows());
    }
}

#[test]
fn an_erase_takes_the_background_and_nothing_else() {
    let screen = screen(2, 4, "\x1b[4;7;31;44mab\x1b[K");
    let mut styles = Vec::new();
    screen.visit_row(0, |_, cell| styles.push(cell.style));
    assert!(styles[0].inverse && !styles[2].inverse && styles[2].underline == Underline::None);
    assert_eq!((styles[3].fg, styles[3].bg), (Color::Default, Color::Indexed(4)));
}

#[test]
fn a_line_scrolled_in_takes_the_background() {
    let screen = screen(2, 3, "a\r\n\x1b[42mb\r\n");
    let mut backgrounds = Vec::new();
    screen.visit_row(1, |_, cell| backgrounds.push(cell.style.bg));
    assert_eq!(backgrounds, [Color::Indexed(2); 3]);
}

#[test]
fn without_autowrap_the_last_column_is_written_over() {
    assert_eq!(rows(&screen(2, 4, "\x1b[?7labcdefg")), ["abcg", ""]);
}

#[test]
fn insert_mode_shifts_what_is_there() {
    assert_eq!(rows(&screen(1, 6, "abc\r\x1b[4hxy")), ["xyabc"]);
}

#[test]
fn line_drawing_letters_are_drawn_as_lines() {
    assert_eq!(rows(&screen(1, 10, "\x1b(0lqk\x1b(Bq\x1b)0\x0ex\x0fx")), ["┌─┐q│x"]);
}

#[test]
fn a_tab_keeps_a_pending_wrap_and_a_backspace_ends_it() {
    assert_eq!(rows(&screen(2, 3, "abc\td")), ["abc", "d"]);
    assert_eq!(rows(&screen(2, 3, "abc\x08d")), ["adc", ""]);
}

#[test]
fn the_alternate_screen_leaves_the_primary_and_its_cursor_alone() {
    let screen = screen(3, 10, "shell$ \x1b[?1049hvim\x1b[3;3Hx\x1b[?1049lls");
    assert_eq!(rows(&screen), ["shell$ ls", "", ""]);
    assert!(!screen.modes().alternate);
}

#[test]
fn each_screen_has_its_own_saved_cursor() {
    let screen = screen(5, 10, "\x1b[2;2H\x1b7\x1b[?47h\x1b[4;4H\x1b7\x1b[?47l\x1b8");
    assert_eq!(cursor(&screen), (1, 1));
}

#[test]
fn origin_mode_counts_rows_from_the_top_margin() {
    assert_eq!(cursor(&screen(10, 10, "\x1b[3;6r\x1b[?6h\x1b[2;2H")), (3, 1));
    assert_eq!(cursor(&screen(10, 10, "\x1b[3;6r\x1b[?6h\x1b[99d")), (5, 0));
    assert_eq!(replies("\x1b[3;6r\x1b[?6h\x1b[2;2H\x1b[6n"), "\x1b[2;2R");
}

#[test]
fn tab_stops_can_be_set_cleared_and_walked() {
    assert_eq!(cursor(&screen(1, 40, "\x1b[3g\x1b[5G\x1bH\x1b[9G\x1bH\r\x1b[2I")), (0, 8));
    assert_eq!(cursor(&screen(1, 40, "\x1b[20G\x1b[2Z")), (0, 8));
}

#[test]
fn every_query_gets_its_reply() {
    assert_eq!(replies("\x1b[c"), "\x1b[?62;22c");
    assert_eq!(replies("\x1b[5n\x1b[3;4H\x1b[6n\x1b[?6n"), "\x1b[0n\x1b[3;4R\x1b[?3;4R");
    assert_eq!(replies("\x1b[?7$p\x1b[?9999$p\x1b[4$p"), "\x1b[?7;1$y\x1b[?9999;0$y\x1b[4;2$y");
    assert_eq!(replies("\x1b[1;31m\x1bP$qm\x1b\\"), "\x1bP1$r0;1;31m\x1b\\");
    assert_eq!(replies("\x1b[2;5r\x1bP$qr\x1b\\"), "\x1bP1$r2;5r\x1b\\");
    assert!(replies("\x1b[>q").starts_with("\x1bP>|fleetmux "));
    assert_eq!(replies("\x1b]4;1;?\x07"), "\x1b]4;1;rgb:cdcd/0000/0000\x1b\\");
    assert_eq!(replies("\x1b]11;#102030\x07\x1b]11;?\x07"), "\x1b]11;rgb:1010/2020/3030\x1b\\");
    assert_eq!(replies("\x1b[18t"), "\x1b[8;24;80t");
    assert_eq!(replies("\x1bP+q544e\x1b\\"), "\x1bP0+r\x1b\\");
}

#[test]
fn a_program_that_only_asks_cannot_fill_the_memory_with_replies() {
    assert!(screen(24, 80, "\x1b[c".repeat(100_000)).take_replies().len() <= 16 * 1024);
}

#[test]
fn events_come_out_sanitised() {
    let mut screen = screen(
        2,
        10,
        "\x07\x1b]2;a\u{202E}b\x07\x1b]7;file://h/tmp\x1b\\\x1b]133;A\x07\x1b]133;C\x07\x1b]133;D;3\x07\x1b]52;c;aGk=\x07\x1b]9;ping\x07\x1b]777;notify;a;b\x07",
    );
    let expected = [
        Event::Bell,
        Event::Title("ab".into()),
        Event::Cwd("/tmp".into()),
        Event::PromptStart,
        Event::CommandStart,
        Event::CommandEnd(Some(3)),
        Event::Clipboard(b"hi".to_vec()),
        Event::Notification("ping".into()),
        Event::Notification("a: b".into()),
    ];
    assert_eq!(screen.take_events(), expected);
    assert_eq!((screen.title(), screen.cwd()), ("ab", Some("/tmp")));
}

#[test]
fn attributes_beyond_the_engines_are_read_back() {
    let screen = screen(1, 10, "\x1b[4:3;58:2::1:2:3;5;8;9m\x1b]8;;http://x\x07a\x1b[0m\x1b]8;;\x07b");
    let mut cells = Vec::new();
    screen.visit_row(0, |_, cell| cells.push((cell.text.to_owned(), cell.style, cell.link.map(str::to_owned))));
    let (text, style, link) = &cells[0];
    assert_eq!((text.as_str(), style.underline, style.underline_color), ("a", Underline::Curly, Color::Rgb(1, 2, 3)));
    assert!(style.blink && style.hidden && style.strike);
    assert_eq!(link.as_deref(), Some("http://x"));
    assert_eq!((cells[1].1, &cells[1].2), (Default::default(), &None));
}

#[test]
fn typing_on_one_row_dirties_only_that_row() {
    let mut screen = screen(5, 20, "\x1b[5;1H$ ");
    assert_eq!(screen.take_dirty(), Rows::All);
    assert_eq!(screen.take_dirty(), Rows::Clean);
    screen.feed(b"ls");
    assert_eq!(screen.take_dirty(), Rows::Span(4, 4));
    screen.feed(b"\x1b[2;1Hx\x1b[4;1Hy");
    assert_eq!(screen.take_dirty(), Rows::Span(1, 3));
    screen.feed(b"\x1b[5;1H\n");
    assert_eq!(screen.take_dirty(), Rows::All);
}

#[test]
fn a_wrapped_line_stays_marked_in_the_history() {
    let screen = screen(2, 4, "abcdef\r\nx\r\ny\r\n");
    assert_eq!(history(&screen), ["abcd", "ef", "x"]);
    assert!(screen.is_history_wrapped(0) && !screen.is_history_wrapped(1));
}

#[test]
fn shrinking_keeps_the_cursor_row_and_growing_adds_blank_rows_below() {
    let mut screen = screen(4, 10, "a\r\nb\r\nc\r\nd");
    screen.resize(Size::new(2, 10));
    assert_eq!((rows(&screen), history(&screen)), (vec!["c".into(), "d".into()], vec!["a".into(), "b".into()]));
    screen.resize(Size::new(3, 10));
    assert_eq!(rows(&screen), ["c", "d", ""]);
    assert_eq!(cursor(&screen), (1, 1));
}

#[test]
fn a_keyframe_for_a_terminal_clears_no_scrollback_and_resets_nothing_at_large() {
    let original = screen(3, 20, "one\r\n\x1b[1;32mtwo\x1b[?1002h\x1b[?1006h\x1b[?2004h\x1b[4 q");
    let bytes = original.keyframe(KeyframeScope::Terminal);
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains("\x1bc") && !text.contains("\x1b[3J") && !text.contains("\x1b[2J"), "{text:?}");
    let mut terminal = screen(3, 20, "junk\r\njunk\x1b[2;3r\x1b[?6h\x1b[4h\x1b[?7l\x1b[?1h\x1b(0");
    terminal.feed(&bytes);
    assert_eq!(look(&terminal), look(&original));
}

#[test]
fn a_string_without_end_is_swallowed_and_bounded() {
    let mut screen = screen(1, 10, "\x1b]2;");
    for _ in 0..300 {
        screen.feed(&[b'x'; 10_000]);
    }
    screen.feed(b"\x07ok");
    assert_eq!((rows(&screen), screen.title()), (vec!["ok".to_owned()], ""));
}

#[test]
fn invalid_bytes_become_replacement_characters() {
    let screen = screen(1, 10, b"a\xffb\xe2\x82c");
    assert_eq!(rows(&screen), ["a\u{FFFD}b\u{FFFD}c"]);
}

/// A small screen takes text in small pieces; one ended within a character, and vte then lost the letter behind it.
#[test]
fn text_longer_than_a_small_screen_loses_no_letter() {
    let screen = screen(1, 8, "\u{E33}\u{E33}e\u{301}e\u{301}");
    assert_eq!(rows(&screen), ["\u{E33}\u{E33}e\u{301}e\u{301}"]);
}

/// vt100 tells the change from bold to dim by the new attribute alone.
#[test]
fn dim_behind_bold_is_only_dim_in_the_history() {
    let screen = screen(2, 8, "\x1b[1ma\x1b[22;2mb\x1b[m\r\n\r\n");
    let mut styles = Vec::new();
    screen.visit_history(0, |_, cell| styles.push((cell.style.bold, cell.style.dim)));
    assert_eq!(styles, [(true, false), (false, true)]);
}

#[test]
fn rep_repeats_the_whole_character_and_only_right_behind_it() {
    assert_eq!(rows(&screen(1, 8, "e\u{301}\x1b[2bx")), ["e\u{301}e\u{301}e\u{301}x"]);
    assert_eq!(rows(&screen(1, 8, "漢\x1b[b")), ["漢漢"]);
    assert_eq!(rows(&screen(2, 8, "x\r\n\x1b[3b<")), ["x", "<"]);
    assert_eq!(rows(&screen(1, 8, "abc\x1b[2D\x1b[b")), ["abc"]);
    assert_eq!(rows(&screen(1, 4, "\x1b[?7labcd\x1b[2b")), ["abcd"]);
}

#[test]
fn a_line_feed_ends_a_pending_wrap() {
    for feed in ["\n", "\x0b", "\x0c", "\x1bD"] {
        assert_eq!(rows(&screen(3, 4, format!("abcd{feed}x"))), ["abcd", "   x", ""], "{feed:?}");
        assert_eq!(rows(&screen(2, 4, format!("\n\rabcd{feed}x"))), ["abcd", "   x"], "{feed:?}");
    }
    assert_eq!(rows(&screen(3, 4, "a\nb\ncd\nx")), [" b", "  cd", "   x"]);
}

#[test]
fn el_leaves_a_pending_wrap_alone() {
    assert_eq!(rows(&screen(2, 4, "abcd\x1b[Ke")), ["abcd", "e"]);
    for mode in [1, 2] {
        let screen = screen(2, 4, format!("abcd\x1b[{mode}Ke"));
        assert_eq!(rows(&screen), ["", "e"]);
        assert!(screen.is_wrapped(0));
    }
}

#[test]
fn a_pending_wrap_goes_along_to_the_other_screen() {
    assert_eq!(rows(&screen(2, 4, "abcd\x1b[?47hx")), ["", "x"]);
    assert_eq!(rows(&screen(2, 4, "abcd\x1b[?47h\x1b[?47lx")), ["abcd", "x"]);
}

#[test]
fn inserting_lines_goes_to_the_first_column() {
    assert_eq!(rows(&screen(3, 4, "ab\r\ncd\x1b[Lx")), ["ab", "x", "cd"]);
    assert_eq!(rows(&screen(3, 4, "ab\r\ncd\r\nef\x1b[A\x1b[Mx")), ["ab", "xf", ""]);
}

#[test]
fn columns_are_shifted_only_from_within_the_margins() {
    let text = "abcd\r\nabcd\r\nabcd\x1b[2;3r";
    let shifted = |sequence: &str| rows(&screen(3, 4, format!("{text}{sequence}")));
    assert_eq!(shifted("\x1b[2;2H\x1b['}"), ["abcd", "a bc", "a bc"]);
    assert_eq!(shifted("\x1b[2;2H\x1b['~"), ["abcd", "acd", "acd"]);
    assert_eq!(shifted("\x1b[2;2H\x1b[ @"), ["abcd", "bcd", "bcd"]);
    for sequence in ["\x1b['}", "\x1b['~", "\x1b[ @", "\x1b[ A"] {
        assert_eq!(shifted(&format!("\x1b[H{sequence}")), ["abcd"; 3]);
    }
}

#[test]
fn relative_rows_keep_the_column_and_ignore_the_margins() {
    assert_eq!(cursor(&screen(9, 9, "\x1b[2;4r\x1b[3;5H\x1b[3e")), (5, 4));
    assert_eq!(cursor(&screen(9, 9, "\x1b[5;9r\x1b[7;5H\x1b[5k")), (1, 4));
    assert_eq!(cursor(&screen(9, 9, "\x1b[2;4r\x1b[?6h\x1b[9e")), (3, 0));
}

#[test]
fn reverse_wrap_goes_on_from_the_first_row_to_the_last() {
    assert_eq!(cursor(&screen(3, 4, "\x1b[?45h\x08")), (2, 3));
    assert_eq!(cursor(&screen(3, 4, "\x1b[?45h\x1b[2H\x08")), (0, 3));
}

#[test]
fn a_reversed_screen_is_read_reversed() {
    let inverse = |text: &str| {
        let mut flags = Vec::new();
        screen(1, 3, text).visit_row(0, |_, cell| flags.push(cell.style.inverse));
        flags
    };
    assert_eq!(inverse("a\x1b[7mb\x1b[?5h"), [true, false, true]);
    assert_eq!(inverse("a\x1b[7mb\x1b[?5h\x1b[?5l"), [false, true, false]);
    let mut screen = screen(1, 3, "a");
    let _ = screen.take_dirty();
    screen.feed(b"\x1b[?5h");
    assert_eq!(screen.take_dirty(), Rows::All);
}

#[test]
fn a_wider_screen_has_room_behind_a_pending_wrap() {
    let mut screen = screen(2, 4, "abcd\x1b7");
    screen.resize(Size::new(2, 6));
    screen.feed(b"e\r\x1b8f");
    assert_eq!(rows(&screen), ["abcdf", ""]);
    screen.feed(b"\rabcdef");
    screen.resize(Size::new(2, 3));
    assert_eq!((cursor(&screen), screen.is_wrap_pending()), ((1, 2), true));
}

#[test]
fn the_alignment_pattern_leaves_the_cursor_where_it_is() {
    let screen = screen(3, 4, "\x1b[2;3r\x1b[2;3H\x1b#8");
    assert_eq!(rows(&screen), ["EEEE"; 3]);
    assert_eq!(cursor(&screen), (1, 2));
}

#[test]
fn side_margins_bound_text_scrolls_and_motions() {
    let sides = "\x1b[?69h\x1b[2;4s";
    let fed = |text: &str| screen(3, 6, format!("abcdef\r\nghijkl\r\nmnopqr{sides}{text}"));
    assert_eq!(cursor(&fed("")), (0, 0));
    assert_eq!(rows(&fed("\x1b[1;3H1234")), ["ab12ef", "g34jkl", "mnopqr"]);
    assert_eq!(rows(&fed("\x1b[3;2H12345")), ["ahijef", "g123kl", "m45 qr"]);
    assert_eq!(rows(&fed("\x1b[1;2H\x1b[L")), ["a   ef", "gbcdkl", "mhijqr"]);
    assert_eq!(rows(&fed("\x1b[1;2H\x1b[M")), ["ahijef", "gnopkl", "m   qr"]);
    assert_eq!(rows(&fed("\x1b[1;3H\x1b[@\x1b[2;2H\x1b[P")), ["ab cef", "gij kl", "mnopqr"]);
    assert_eq!(rows(&fed("\x1b[1;6H\x1b[L\x1b[@")), ["abcdef", "ghijkl", "mnopqr"]);
    assert_eq!(rows(&fed("\x1b[S")), ["ahijef", "gnopkl", "m   qr"]);
    assert_eq!(cursor(&fed("\x1b[2;3H\x1b[9C")), (1, 3));
    assert_eq!(cursor(&fed("\x1b[2;3H\r")), (1, 1));
    assert_eq!(cursor(&fed("\x1b[?6h\x1b[2;9H")), (1, 3));
    assert_eq!(fed("\x1b[?6h\x1b[2;2H\x1b[6n\x1bP$qs\x1b\\").take_replies(), b"\x1b[2;2R\x1bP1$r2;4s\x1b\\");
    assert_eq!(rows(&fed("\x1b[?69l\x1b[1;5Hxyz")), ["abcdxy", "zhijkl", "mnopqr"]);
}

#[test]
fn a_wide_character_across_a_side_margin_is_not_torn() {
    let fed = |text: &str| rows(&screen(2, 6, format!("漢漢漢\r\n字字字\x1b[?69h\x1b[2;4s{text}")));
    assert_eq!(fed("\x1b[1;2H\x1b[M"), ["  字漢", "    字"]);
}

#[test]
fn keyboard_flags_are_pushed_popped_and_told_on_each_screen() {
    assert_eq!(replies("\x1b[?u\x1b[>31u\x1b[?u\x1b[<u\x1b[?u"), "\x1b[?0u\x1b[?1u\x1b[?0u");
    assert_eq!(replies("\x1b[=1u\x1b[=2;3u\x1b[?u\x1b[=1;3u\x1b[?u"), "\x1b[?1u\x1b[?0u");
    assert_eq!(replies("\x1b[>1u\x1b[?1049h\x1b[?u\x1b[?1049l\x1b[?u\x1bc\x1b[?u"), "\x1b[?0u\x1b[?1u\x1b[?0u");
    let original = screen(2, 9, "\x1b[=1u\x1b[>0u\x1b[>1u\x1b[?1049h\x1b[>1u");
    assert!(original.modes().disambiguate);
    let mut copy = replica(&original);
    copy.feed(b"\x1b[?u\x1b[<u\x1b[?u\x1b[?1049l\x1b[?u\x1b[<u\x1b[?u\x1b[<u\x1b[?u\x1b[<u\x1b[?u");
    assert_eq!(copy.take_replies(), b"\x1b[?1u\x1b[?0u\x1b[?1u\x1b[?0u\x1b[?1u\x1b[?0u");
}

#[test]
fn a_saved_single_shift_is_not_left_pending_by_a_keyframe() {
    let mut copy = replica(&screen(1, 4, "\x1b)0\x1bN\x1b7\x0ea"));
    copy.feed(b"q");
    assert_eq!(rows(&copy), ["a─"]);
}

#[test]
fn a_wrap_saved_at_a_side_margin_is_told_by_a_keyframe() {
    let mut original = screen(2, 6, "\x1b[?69h\x1b[2;5s\x1b[1;4Hab\x1b7\x1b[?69l");
    let mut copy = replica(&original);
    for sequence in ["\x1b8x", "\x1b[?69h\x1b[2;5s\x1b8y"] {
        original.feed(sequence.as_bytes());
        copy.feed(sequence.as_bytes());
        assert_eq!(look(&original), look(&copy));
    }
    assert_eq!(rows(&copy), ["   ax", " y"]);
}

#[test]
fn deleting_half_of_a_wide_character_leaves_plain_blanks() {
    for text in ["\x1b[1m 漢\x1b[P", "\x1b[1m 漢\x1b[1;2H\x1b[P"] {
        let mut original = screen(1, 3, text);
        let mut copy = replica(&original);
        original.feed(b"\n");
        copy.feed(b"\n");
        assert_eq!(look(&original), look(&copy), "{text:?}");
    }
}

#[test]
fn a_blank_cell_at_the_end_of_a_line_is_not_kept_for_its_style() {
    // The engine clears the other half of a wide character with the style it had.
    let mut original = screen(1, 2, "\x1b[1m漢字\x1b[X");
    let mut copy = replica(&original);
    for screen in [&mut original, &mut copy] {
        screen.feed("漢字".as_bytes());
    }
    assert_eq!(history(&original), ["漢", "", "漢"]);
    assert_eq!(look(&original), look(&copy));
}

#[test]
fn a_cell_keeps_five_diacritics_in_any_style_and_however_they_arrive() {
    let heap = "\u{301}".repeat(9);
    for text in [format!("e{heap}x"), format!("\x1b[9me{heap}x"), format!("é漢{heap}x")] {
        let whole = screen(1, 9, &text);
        assert_eq!(rows(&whole)[0].matches('\u{301}').count(), 5, "{text:?}");
        let mut cut = screen(1, 9, "");
        text.as_bytes().iter().for_each(|&byte| cut.feed(&[byte]));
        assert_eq!(look(&whole), look(&cut));
    }
}

#[test]
fn selective_erase_spares_what_is_protected_and_leaves_the_whole_alone() {
    let drawn = "A\x1b[1\"qB漢\x1b[2\"qC";
    assert_eq!(rows(&screen(2, 6, format!("{drawn}\x1b[?2J\x1b[?2K"))), ["AB漢C", ""]);
    assert_eq!(rows(&screen(2, 6, format!("{drawn}\r\x1b[?J"))), [" B漢", ""]);
    assert_eq!(rows(&screen(2, 6, format!("{drawn}\r\x1b[?K"))), [" B漢", ""]);
    assert_eq!(rows(&screen(2, 6, format!("{drawn}\x1b[?1J"))), [" B漢", ""]);
    assert_eq!(rows(&screen(2, 6, format!("{drawn}\r\x1b[J"))), ["", ""]);
}

#[test]
fn a_repeat_wider_than_the_screen_fills_the_row() {
    assert_eq!(rows(&screen(3, 5, "a\x1b[9bb")), ["aaaaa", "b", ""]);
    assert_eq!(rows(&screen(3, 5, "a\x1b[5b")), ["aaaaa", "a", ""]);
    assert_eq!(rows(&screen(3, 5, "漢\x1b[65535bb")), ["漢漢b", "", ""]);
    assert_eq!(rows(&screen(3, 5, "abcde\x1b[9bf")), ["abcde", "f", ""]);
}

#[test]
fn a_locking_shift_right_maps_the_upper_half() {
    let screen = screen(1, 6, "á\x1b~á\x1b)0á\x1b[!pá");
    assert_eq!(rows(&screen), ["áa▒á"]);
}

#[test]
fn lines_are_laid_out_for_a_new_width() {
    let mut screen = screen(4, 8, "$ \x1b[31mabcdefgh\x1b[m漢\r\n>");
    assert_eq!(rows(&screen), ["$ abcdef", "gh漢", ">", ""]);
    let red = |screen: &Screen| {
        let mut red = 0;
        (0..4).for_each(|row| screen.visit_row(row, |_, cell| red += u32::from(cell.style.fg == Color::Indexed(1))));
        red
    };
    screen.resize(Size::new(4, 12));
    assert_eq!((rows(&screen), red(&screen)), (["$ abcdefgh漢", ">", "", ""].map(String::from).to_vec(), 8));
    assert_eq!((screen.cursor().row, screen.cursor().col), (1, 1));
    screen.resize(Size::new(4, 7));
    assert_eq!((rows(&screen), red(&screen)), (["$ abcde", "fgh漢", ">", ""].map(String::from).to_vec(), 8));
    assert_eq!((screen.is_wrapped(0), screen.is_wrapped(1)), (true, false));
    screen.resize(Size::new(4, 3));
    assert_eq!(
        (history(&screen), rows(&screen)),
        (vec!["$ a".into()], ["bcd", "efg", "h漢", ">"].map(String::from).to_vec())
    );
    assert!(screen.is_history_wrapped(0) && screen.is_wrapped(0));
    screen.feed(b"x");
    assert_eq!(rows(&screen)[3], ">x");
}

#[test]
fn a_cursor_behind_its_line_stays_there_in_any_width() {
    let mut screen = screen(3, 6, "abcdef");
    screen.resize(Size::new(3, 3));
    assert_eq!((rows(&screen), screen.is_wrap_pending()), (["abc", "def", ""].map(String::from).to_vec(), true));
    screen.resize(Size::new(3, 5));
    screen.feed(b"ghijk");
    assert_eq!(rows(&screen), ["abcde", "fghij", "k"]);
    screen.resize(Size::new(3, 80));
    assert_eq!(rows(&screen), ["abcdefghijk", "", ""]);
    screen.feed(b"\x1b[70Gx\x1b7\x1b[H");
    screen.resize(Size::new(3, 40));
    screen.feed(b"\x1b8y");
    assert_eq!(rows(&screen)[1], format!("{:29}xy", ""));
}

#[test]
fn a_background_makes_no_rows_of_its_own() {
    let mut screen = screen(3, 8, "\x1b[44mab\x1b[K\r\n\x1b[m$");
    screen.resize(Size::new(3, 4));
    assert_eq!(rows(&screen), ["ab", "$", ""]);
    let mut blue = 0;
    screen.visit_row(0, |_, cell| blue += u32::from(cell.style.bg == Color::Indexed(4)));
    assert_eq!(blue, 4);
}

#[test]
fn a_shorter_screen_keeps_what_is_below_the_cursor() {
    let mut below = screen(6, 8, "top\x1b[6Hlast\x1b[4H");
    below.resize(Size::new(4, 8));
    assert_eq!(
        (history(&below), rows(&below)),
        (vec!["top".into(), String::new()], ["", "", "", "last"].map(String::from).to_vec())
    );
    assert_eq!(below.cursor().row, 1);
    let mut home = screen(6, 8, "top\x1b[6Hlast\x1b[H");
    home.resize(Size::new(4, 8));
    assert_eq!((history(&home).len(), rows(&home)[0].as_str(), home.cursor().row), (0, "top", 0));
    let mut blank = screen(6, 8, "top\r\nlast\r\n");
    blank.resize(Size::new(4, 8));
    assert_eq!((history(&blank).len(), rows(&blank)[1].as_str()), (0, "last"));
}

#[test]
fn reverse_wrap_takes_a_pending_wrap_first_and_holds_for_cub_until_a_soft_reset() {
    assert_eq!(cursor(&screen(3, 5, "\x1b[?45habcde\x08")), (0, 4));
    assert_eq!(cursor(&screen(3, 5, "\x1b[?45habcdefg\x1b[4D")), (0, 3));
    assert_eq!(cursor(&screen(3, 5, "\x1b[?45h\x1b[2H\x1b[65534D")), (1, 1));
    assert_eq!(cursor(&screen(3, 5, "\x1b[?45h\x1b[!p\x1b[2H\x08")), (1, 0));
}

/// A program forged a title and lines of scrollback with the private strings of our keyframes. They hold while a keyframe is
/// loaded, and end with it: also one that the keyframe ends within, and one that was begun before it.
#[test]
fn private_strings_are_obeyed_in_a_keyframe_only() {
    let forgery = "\x1bP+fTforged\x1b\\\x1bP+fpforged\x1b\\\x1bP+fdforged\x1b\\\x1bP+fn99\x1b\\\x1bP+fh0|0|forged\x1b\\\x1bP+fw\x1b\\";
    let mut live = screen(3, 20, forgery);
    live.feed(b"\x1b[23t");
    assert_eq!((live.title(), live.cwd(), live.history_total()), ("", None, 0));
    assert_eq!(live.cursor().col, 0);
    // Begun by the program before the keyframe was taken, so the keyframe ends within it.
    let mut begun = screen(3, 20, "\x1bP+fTforged");
    let mut copy = replica(&begun);
    for screen in [&mut begun, &mut copy] {
        screen.feed(b"\x1b\\after");
        assert_eq!((screen.title(), screen.row_text(0)), ("", "after".into()));
    }
    let loaded = Screen::from_keyframe(Size::new(3, 20), 1 << 16, forgery.as_bytes());
    assert_eq!((loaded.title(), loaded.history_text(0), loaded.history_total()), ("forged", "forged".into(), 100));
}

/// A hostile machine's keyframe can tell nothing that a program could not.
#[test]
fn a_keyframe_tells_nothing_that_deceives_and_no_number_without_bounds() {
    let keyframe = "\x1bP+fTa\u{202E}b\u{85}c\x1b\\\x1bP+fp\u{2066}x\x1b\\\x1bP+fd/\u{200F}y\x1b\\\
        \x1bP+fn18446744073709551615\x1b\\\x1bP+fh0|1|2|0;1|6|http:\u{202E}ok\x1b\\\x1bP+fh0|0|a\u{9b}b\x1b\\\
        \x1bP+fh0|0|\u{10FFFC}\x1b\\\x1bP+fh0|2|18446744073709551615|0|0|18446744073709551615|0|0|xx\x1b\\\
        \x1bP+fg65535;65535\x1b\\\x1bP+fcE01F0\x1b\\\x1b[9b";
    let mut screen = Screen::from_keyframe(Size::new(3, 20), 1 << 16, keyframe.as_bytes());
    screen.feed(b"\x1b[23t");
    assert_eq!((screen.title(), screen.cwd()), ("x", Some("/y")));
    screen.feed(b"\r\n\n\n\n\n");
    let links = |screen: &Screen| {
        let mut links = 0;
        (0..screen.history_len())
            .for_each(|line| screen.visit_history(line, |_, cell| links += usize::from(cell.link.is_some())));
        links
    };
    assert_eq!(links(&screen), 0);
    assert!(history(&screen).iter().all(|line| !line.contains(['\u{9b}', '\u{10FFFC}'])), "{:?}", history(&screen));
    assert!(screen.take_panic().is_none() && screen.history_total() < 1 << 50);
}

/// U+10FFFC, which marks an erased cell, passed for text when an emoji's variant or a C1 control followed, and U+00AD, the one
/// character below U+0300 without a width, joined a cell that was none. What was shown depended on the pieces that came.
#[test]
fn characters_with_a_meaning_of_ours_never_pass() {
    for text in ["\u{10FFFC}\u{FE0F}", "x\u{10FFFD}\u{85}", "é\u{10FFFC}漢\u{FFFD}", "\x1b[3G\u{AD}", "\x1b[3Gé\u{AD}"]
    {
        let whole = screen(3, 10, text);
        let mut cut = screen(3, 10, "");
        text.bytes().for_each(|byte| cut.feed(&[byte]));
        assert_eq!(look(&whole), look(&cut), "{text:?}");
    }
    assert_eq!(screen(1, 10, "\u{10FFFC}\u{FE0F}").row_text(0), "\u{FFFD}");
}

//! The shield against what is known to do harm, and against random streams.

use super::super::sequence::Splitter;
use super::*;
use proptest::prelude::*;

fn shown_whole(bytes: &[u8]) -> Vec<u8> {
    let (mut splitter, mut shield, mut out) = (Splitter::default(), Shield::new(Traces::default()), Vec::new());
    splitter.take(bytes, &mut shield, &mut out);
    out
}

/// What is shown, the same whole, byte by byte and in thirds.
fn shown(bytes: &[u8]) -> Vec<u8> {
    let whole = shown_whole(bytes);
    for size in [1, 3] {
        let (mut splitter, mut shield, mut out) = (Splitter::default(), Shield::new(Traces::default()), Vec::new());
        for piece in bytes.chunks(size) {
            splitter.take(piece, &mut shield, &mut out);
        }
        assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&out), "whole and in pieces of {size}");
    }
    whole
}

/// Each of them takes nothing of the text around it along, and leaves nothing.
const TAKEN_OUT: &[&[u8]] = &[
    // The clipboard, and what hides it from a filter that reads otherwise than a terminal: DEL, NUL and C0 inside.
    b"\x1b]52;c;cm0gLXJmIH4K\x07",
    b"\x1b]52;c;?\x1b\\",
    b"\x1b\x7f]52;c;cm0gLXJmIH4K\x07",
    b"\x1b]\x7f52;c;cm0gLXJmIH4K\x07",
    b"\x1b]5\x7f2;c;cm0gLXJmIH4K\x07",
    b"\x1b\x00]52;c;eA==\x07",
    b"\x1b]\x0052;c;eA==\x07",
    b"\x1b]052;c;eA==\x07",
    b"\x1b];52;c;eA==\x07",
    b"\x1b[\x7f6n",
    b"\x1b[6\x7fn",
    // Colours, fonts, files, notifications, pointers, marks, directories, programs of the terminal's own.
    b"\x1b]4;1;?\x07",
    b"\x1b]4;1;rgb:11/22/33\x07",
    b"\x1b]5;0;?\x07",
    b"\x1b]10;?\x1b\\",
    b"\x1b]11;#200000\x1b\\",
    b"\x1b]12;?\x1b\\",
    b"\x1b]19;?\x1b\\",
    b"\x1b]21;foreground=?\x1b\\",
    b"\x1b]104\x07",
    b"\x1b]3;WM_NAME=x\x07",
    b"\x1b]7;file:///tmp/evil\x07",
    b"\x1b]9;you have mail\x07",
    b"\x1b]9;4;1;50\x07",
    b"\x1b]22;none\x07",
    b"\x1b]30001\x1b\\",
    b"\x1b]46;/tmp/log\x07",
    b"\x1b]50;?\x07",
    b"\x1b]50;fixed\x07",
    b"\x1b]51;Awrite\x07",
    b"\x1b]60\x1b\\",
    b"\x1b]66;s=2;big\x1b\\",
    b"\x1b]99;i=1:p=?;\x1b\\",
    b"\x1b]133;A;click_events=1\x07",
    b"\x1b]176;x\x1b\\",
    b"\x1b]555\x1b\\",
    b"\x1b]633;P;Cwd=/\x07",
    b"\x1b]777;notify;a;b\x1b\\",
    b"\x1b]1337;CopyToClipboard=x\x07",
    b"\x1b]1337;File=inline=0:eA==\x07",
    b"\x1b]1337;ReportCellSize\x07",
    b"\x1b]5113;ac=send\x1b\\",
    b"\x1b]5522;type=read\x1b\\",
    b"\x1b]L\x1b\\",
    b"\x1b]lx\x1b\\",
    b"\x1b]P0ff0000\x1b\\",
    b"\x1b]R\x1b\\",
    b"\x1b]8;;file:///etc/passwd\x1b\\",
    b"\x1b]8;;vscode://x\x1b\\",
    b"\x1b]8;;javascript:x\x1b\\",
    // Device control, application, privacy strings.
    b"\x1bP$qm\x1b\\",
    b"\x1bP+q544e\x1b\\",
    b"\x1bP+p0\x1b\\",
    b"\x1bP1$tx\x1b\\",
    b"\x1bP0;1|17/6c730d\x1b\\",
    b"\x1bP0;0;1!zrm\x1b\\",
    b"\x1bP0;0;0{ @xx\x1b\\",
    b"\x1bP0pS(E)\x1b\\",
    b"\x1bP1000p%begin\x1b\\",
    b"\x1bP>|x\x1b\\",
    b"\x1bP@kitty-cmd{\"cmd\":\"ls\"}\x1b\\",
    b"\x1b_Gi=1,a=q;AAAA\x1b\\",
    b"\x1b_Gf=24,s=1,v=1;AAAA\x1b\\",
    b"\x1b^secret\x1b\\",
    b"\x1bXsecret\x1b\\",
    // Questions and reports.
    b"\x1b[c",
    b"\x1b[0c",
    b"\x1b[>c",
    b"\x1b[=c",
    b"\x1b[?1c",
    b"\x1b[5n",
    b"\x1b[6n",
    b"\x1b[?6n",
    b"\x1b[?26n",
    b"\x1b[?996n",
    b"\x1b[>4n",
    b"\x1b[1x",
    b"\x1b[?1$p",
    b"\x1b[4$p",
    b"\x1b[>q",
    b"\x1b[>0q",
    b"\x1b[?u",
    b"\x1b[?4m",
    b"\x1b[?4g",
    b"\x1b[?1;1;0S",
    b"\x1b[1$u",
    b"\x1b[1$w",
    b"\x1b[&u",
    b"\x1b[1;1;1;1;1;1*y",
    b"\x1b[\"v",
    b"\x1b[+p",
    b"\x1b[1*q",
    b"\x1b[#|",
    b"\x1b[#R",
    b"\x1b[1#P",
    b"\x1b[#{",
    b"\x1b['|",
    b"\x1b[1'z",
    b"\x1b[1'{",
    b"\x1b[1'w",
    b"\x1b[>100 q",
    // The window, the printer, the keyboard, the lights, the bell's volume, the conformance level.
    b"\x1b[21t",
    b"\x1b[3;0;0t",
    b"\x1b[8;1;1t",
    b"\x1b[2t",
    b"\x1b[22;0t",
    b"\x1b[>1t",
    b"\x1b[100$|",
    b"\x1b[10*|",
    b"\x1b[1$}",
    b"\x1b[2$~",
    b"\x1b[i",
    b"\x1b[5i",
    b"\x1b[?5i",
    b"\x1b[2h",
    b"\x1b[12l",
    b"\x1b[1q",
    b"\x1b[2 t",
    b"\x1b[2 u",
    b"\x1b[62;1\"p",
    b"\x1b[>4;2m",
    b"\x1b[>1u",
    b"\x1b[<u",
    b"\x1b[=1u",
    b"\x1b[>1p",
    b"\x1b[>0;1f",
    b"\x1b[1,q",
    b"\x1b[3J",
    b"\x1b[22J",
    b"\x1b[?3J",
    b"\x1b[0;3J",
    b"\x1b[1;2;3;4;5T",
    b"\x1b[99999b",
    b"\x1b[?W",
    b"\x1b[?1r",
    b"\x1b[?1s",
    b"\x1b[1;2;3;4r",
    b"\x1b[1;2<H",
    b"\x1b[ 1H",
    b"\x1b[?H",
    b"\x1b[56m",
    b"\x1b[38;7;1m",
    b"\x1b[38;5;70000m",
    // Modes.
    b"\x1b[?1h",
    b"\x1b[?2l",
    b"\x1b[?4h",
    b"\x1b[?8l",
    b"\x1b[?9h",
    b"\x1b[?40h",
    b"\x1b[?66h",
    b"\x1b[?67h",
    b"\x1b[?80h",
    b"\x1b[?95h",
    b"\x1b[?1000h",
    b"\x1b[?1001h",
    b"\x1b[?1002h",
    b"\x1b[?1003h",
    b"\x1b[?1004h",
    b"\x1b[?1005h",
    b"\x1b[?1006h",
    b"\x1b[?1007h",
    b"\x1b[?1015h",
    b"\x1b[?1016h",
    b"\x1b[?1034h",
    b"\x1b[?2004h",
    b"\x1b[?2027h",
    b"\x1b[?2031h",
    b"\x1b[?2048h",
    b"\x1b[?5522h",
    b"\x1b[?9001h",
    b"\x1b[?1004;2031;2048h",
    // Escape sequences: what the terminal is, its keyboard, 8-bit answers, other encodings, fonts, VT52, memory lock.
    b"\x1bZ",
    b"\x1b=",
    b"\x1b>",
    b"\x1b`",
    b"\x1bF",
    b"\x1bl",
    b"\x1bm",
    b"\x1bV",
    b"\x1b F",
    b"\x1b G",
    b"\x1b%@",
    b"\x1b%G",
    b"\x1b(K",
    b"\x1b( @",
    b"\x1b-A",
    b"\x1b#3",
    b"\x1b#6",
    // Controls.
    b"\x05",
    b"\x00",
    b"\x11",
    b"\x13",
    b"\x18",
    b"\x1a",
    b"\x7f",
    // C1 controls as characters.
    b"\xc2\x9b",
    b"\xc2\x9d",
    b"\xc2\x90",
    b"\xc2\x85",
];

/// Whoever watched a hostile program had its text put into the clipboard, the terminal's answers to its questions typed to
/// whatever ran next, and modes left on with which the terminal typed into the shell afterwards.
#[test]
fn what_does_more_than_show_text_is_taken_out() {
    for sequence in TAKEN_OUT {
        let around = [b"a".as_slice(), sequence, b"b"].concat();
        assert_eq!(
            String::from_utf8_lossy(&shown(&around)),
            "ab",
            "{}",
            String::from_utf8_lossy(sequence).escape_debug()
        );
    }
    assert!(TAKEN_OUT.len() > 62);
}

#[test]
fn what_is_left_makes_nothing_together() {
    let cases: [(&[u8], &[u8]); 13] = [
        (b"a\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\b", b"a\x1b\\b"),
        // Hidden in what passes, or put together from what is left when something is taken out.
        (b"a\x1b]0;\x1b[6n\x07b", b"a\x07b"),
        ("a\x1b]0;\u{9c}\u{9b}6n\x07b".as_bytes(), b"a\x1b]0;6n\x07b"),
        (b"a\x1b[\xc2\x9b6nb", b"a6nb"),
        ("a\u{9d}52;c;eA==\u{9c}b".as_bytes(), b"a52;c;eA==b"),
        (b"a\x1b\x1b\x1b[6nb", b"ab"),
        (b"a\x1b[1\x1b]0;t\x07b", b"a\x1b]0;t\x07b"),
        // Bytes that are no characters: terminals with 8-bit controls obey them.
        (b"a\x9b6nb", "a\u{fffd}6nb".as_bytes()),
        (b"a\x9d52;c;eA==\x07b", "a\u{fffd}52;c;eA==\x07b".as_bytes()),
        (b"a\xc2\x1b[6n\x9b6nb", "a\u{fffd}\u{fffd}6nb".as_bytes()),
        // Overlong forms of ESC and CSI.
        (b"a\xc0\x9b\xe0\x82\x9b6nb", "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}6nb".as_bytes()),
        // A picture that is cut ends before what cuts it.
        (b"a\x1bPq??\x1b[6n\x1b\\b", b"a\x1bPq??\x1b\\\x1b\\b"),
        (b"a\x1bPq??\x1ab", b"a\x1bPq??\x1b\\b"),
    ];
    for (stream, expected) in cases {
        assert_eq!(
            String::from_utf8_lossy(&shown(stream)),
            String::from_utf8_lossy(expected),
            "{}",
            String::from_utf8_lossy(stream).escape_debug()
        );
    }
}

#[test]
fn what_a_screen_is_made_of_passes_as_it_is() {
    let harmless: [&[u8]; 19] = [
        "text, é, 漢字, ©\r\n\t\u{8}\u{7}".as_bytes(),
        b"\x1b[1;31;48:2::1:2:3m\x1b[38;5;1;48;2;1;2;3;4:3;58:5:1;59m\x1b[m\x1b[;1m",
        b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?6;69h\x1b[4h\x1b[20l",
        b"\x1b[?2026h\x1b[?2026l",
        b"\x1b[2J\x1b[5;7H\x1b[K\x1b[?1K\x1b[;5f",
        b"\x1b[3;20r\x1b[2S\x1b[2T\x1b[5;9s\x1b[u",
        b"\x1b[4 q\x1b[1\"q\x1b[2 @\x1b[2'}",
        b"\x1b[!p\x1b[9b",
        b"\x1b[3g\x1bH\x1b[0g\x1b[?5W",
        b"\x1b7\x1b8\x1bM\x1bD\x1bE\x1b(0\x1b)B\x1b*A\x1b+B\x0e\x0f\x1bN\x1bn\x1b~\x1b#8",
        b"\x1b\\",
        b"\x1b]0;a title\x07",
        b"\x1b]2;a title\x1b\\",
        b"\x1b]2;?\x1b\\",
        b"\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\",
        b"\x1b]8;id=1;mailto:a@b\x1b\\link\x1b]8;;\x1b\\",
        b"\x1bP0;1;0q#0;2;0;0;0~~\x1b\\",
        b"\x1bPq\"1;1;2;2#1~~$-\x1b\\",
        "\u{feff}\u{1f600}\u{a0}".as_bytes(),
    ];
    for sequence in harmless {
        assert_eq!(
            String::from_utf8_lossy(&shown(sequence)),
            String::from_utf8_lossy(sequence),
            "{}",
            String::from_utf8_lossy(sequence).escape_debug()
        );
    }
    // A control within a sequence acts before it; a mode that may not pass leaves those that may.
    assert_eq!(shown(b"\x1b[5\x086m"), b"\x08");
    assert_eq!(shown(b"\x1b[3\x081m"), b"\x08\x1b[31m");
    assert_eq!(shown(b"\x1b[?1;2048;25h"), b"\x1b[?25h");
    assert_eq!(shown(b"\x1b[?3h"), CLEAR);
    assert_eq!(shown(b"\x1b[!p\x1b[?3;4l\x1b[4l\x1b>"), [b"\x1b[!p", CLEAR, b"\x1b[4l"].concat());
    assert_eq!(shown(b"\x1bc"), RESET);
    assert_eq!(shown("\x1b]0;a\u{202e}b\x07".as_bytes()), b"\x1b]0;ab\x07");
}

/// What a keyframe paints is what an observer sees: it may use nothing that does not pass, but modes that are not for him.
#[test]
fn a_keyframe_passes() {
    let mut screen = crate::term::Screen::new(crate::fleet::Size::new(5, 20), 0);
    screen.feed(
        b"\x1b[?1049h\x1b[2;4r\x1b[?69h\x1b[2;9s\x1b[1;38;5;9;4:3mtext\x1b]8;;https://a.b\x1b\\link\x1b]8;;\x1b\\",
    );
    screen.feed("\x1b[3 q\x1b(0qqq\x1b(B\x1b[7m漢字\x1b[?5h\x1b[?45h\x1b[1\"qprotected".as_bytes());
    let keyframe = screen.keyframe(crate::term::KeyframeScope::Terminal);
    let mut seen = crate::term::Screen::new(crate::fleet::Size::new(5, 20), 0);
    seen.feed(&shown(&keyframe));
    for row in 0..5 {
        assert_eq!(seen.row_text(row), screen.row_text(row));
    }
    assert_eq!(seen.cursor(), screen.cursor());
    assert!(seen.modes().alternate);
}

#[test]
fn a_string_without_an_end_keeps_little() {
    let mebibyte = vec![b'1'; 1 << 20];
    for (begin, end) in
        [(&b"\x1b]0;"[..], &b"\x07"[..]), (b"\x1bP", b"\x1b\\"), (b"\x1b[", b"m"), (b"\x1b_", b"\x1b\\")]
    {
        let (mut splitter, mut shield, mut out) = (Splitter::default(), Shield::new(Traces::default()), Vec::new());
        splitter.take(&[begin, &mebibyte].concat(), &mut shield, &mut out);
        assert!(out.is_empty() && splitter.held_len() <= super::super::sequence::HELD_CAP);
        splitter.take(&[end, b"back"].concat(), &mut shield, &mut out);
        assert_eq!(out, b"back");
    }
}

/// A terminal's parser in twenty lines, written from the terminals' side: what it was told to do, piece by piece.
fn pieces(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|err| err.to_string())?;
    let mut pieces = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            if c.is_control() {
                pieces.push(format!("C0 {:02x}", u32::from(c)));
            }
            continue;
        }
        let mut piece = String::from("ESC");
        match rest.next().ok_or("ends within an escape")? {
            '[' => {
                piece = "CSI ".into();
                loop {
                    let c = rest.next().ok_or("ends within a control sequence")?;
                    piece.push(c);
                    match c {
                        '\u{20}'..='\u{3f}' => {}
                        '\u{40}'..='\u{7e}' => break,
                        _ => return Err(format!("{c:?} within a control sequence")),
                    }
                }
            }
            kind @ (']' | 'P' | 'X' | '^' | '_') => {
                piece = format!("{kind} ");
                loop {
                    match rest.next().ok_or("ends within a string")? {
                        '\u{7}' if kind == ']' => break,
                        '\u{1b}' if rest.next() == Some('\\') => break,
                        c if c.is_control() => return Err(format!("{c:?} within a string")),
                        c => piece.push(c),
                    }
                }
            }
            mut c => {
                while matches!(c, '\u{20}'..='\u{2f}') {
                    piece.push(c);
                    c = rest.next().ok_or("ends within an escape")?;
                }
                if !matches!(c, '\u{30}'..='\u{7e}') {
                    return Err(format!("{c:?} after ESC"));
                }
                piece.push(c);
            }
        }
        pieces.push(piece);
    }
    Ok(pieces)
}

/// Why this stream is not what an observer's terminal may get.
fn fault(bytes: &[u8]) -> Option<String> {
    let pieces = match pieces(bytes) {
        Ok(pieces) => pieces,
        Err(fault) => return Some(fault),
    };
    let patterns = [
        r"C0 0[7-9a-f]",
        r"ESC[6789DEHMNOno|}~\\]|ESC[()*+][B0A]|ESC#8",
        r"CSI \d*[@ABCDEFGILMPSTXZ`ade^]",
        r"CSI (\d*(;\d*)?)?[Hfrs]|CSI u",
        r"CSI \??[012]?[JK]|CSI 0*[012]?[JK]|CSI \?0*[012]?[JK]",
        r"CSI \d{0,4}b|CSI 0*\d{0,4}b",
        r"CSI 0*[03]?g|CSI \?0*5W",
        r"CSI \d* [@A]|CSI \d*'[}~]|CSI 0*[0-6]? q|CSI 0*[012]?\x22q|CSI !p",
        r"CSI [\d;:]*m",
        r"CSI (4|20)(;(4|20))*[hl]",
        r"CSI \?(5|6|7|12|25|45|47|69|1047|1048|1049|2026)(;(5|6|7|12|25|45|47|69|1047|1048|1049|2026))*[hl]",
        r"\] [012];[^\x00-\x1f\x7f]*",
        r"\] 8;[^;]*;((https?|ftp)://.*|mailto:.*)?",
        r"P [\d;]*q[\x20-\x7e]*",
    ];
    static ALLOWED: std::sync::OnceLock<regex::RegexSet> = std::sync::OnceLock::new();
    let allowed =
        ALLOWED.get_or_init(|| regex::RegexSet::new(patterns.map(|pattern| format!("^(?s:{pattern})$"))).unwrap());
    pieces.into_iter().find(|piece| !allowed.is_match(piece))
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Parts that make sequences when they meet.
        3 => prop::sample::select(vec![
            &b"\x1b"[..], b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b_", b"\x1b^", b"\x1bX", b"\x1b\\", b"\x07", b"\x18", b"\x1a",
            b"\x7f", b"\x00", b"\x05", b"\x9b", b"\x9d", b"\x90", b"\x9c", b"\xc2", b"\xc2\x9b", b"\xe0\x82\x9b", b"?", b">",
            b"<", b"=", b";", b":", b"$", b"'", b"#", b"\"", b"!", b"*", b"+", b" ", b"q", b"h", b"l", b"n", b"c", b"t", b"m",
            b"52;c;eA==", b"8;;https://a", b"0;title", b"4;1;?", b"q~~", b"2048", b"1049", b"25", b"3",
        ]).prop_map(<[u8]>::to_vec),
        2 => prop::sample::select(TAKEN_OUT.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        2 => (prop::sample::select(b"?><= 0123456789;:".to_vec()), "[0-9;:]{0,6}", prop::sample::select(b" !\"#$%&'()*+,-./0".to_vec()), 0x40u8..0x7f)
            .prop_map(|(marker, params, between, last)| [&b"\x1b["[..], &[marker], params.as_bytes(), &[between], &[last]].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nothing that is shown is anything else than what may be shown, however it is cut; after each piece the terminal's parser
    /// is where text goes on, or in a picture, which a line of ours ends.
    #[test]
    fn nothing_else_ever_passes(stream in prop::collection::vec(fragment(), 1..24), size in 1usize..9) {
        let stream = stream.concat();
        let (mut splitter, mut shield) = (Splitter::default(), Shield::new(Traces::default()));
        let mut so_far = Vec::new();
        for piece in stream.chunks(size) {
            splitter.take(piece, &mut shield, &mut so_far);
        }
        let whole = shown_whole(&stream);
        prop_assert_eq!(&whole, &so_far);
        for cut in 0..=stream.len() {
            let (mut splitter, mut shield, mut out) = (Splitter::default(), Shield::new(Traces::default()), Vec::new());
            splitter.take(&stream[..cut], &mut shield, &mut out);
            splitter.interrupt(&mut shield, &mut out);
            prop_assert_eq!(fault(&out), None, "shown: {}", String::from_utf8_lossy(&out).escape_debug());
            // What follows the interruption is as harmless.
            splitter.take(&stream[cut..], &mut shield, &mut out);
            splitter.interrupt(&mut shield, &mut out);
            prop_assert_eq!(fault(&out), None, "shown: {}", String::from_utf8_lossy(&out).escape_debug());
        }
    }
}

#[test]
fn the_test_s_own_parser_finds_faults() {
    // Which numbers SGR knows is not repeated here.
    let is_style = |sequence: &[u8]| sequence.ends_with(b"m") && sequence[2..3] != *b">" && sequence[2..3] != *b"?";
    for sequence in TAKEN_OUT.iter().filter(|sequence| sequence.starts_with(b"\x1b[") && !is_style(sequence)) {
        assert!(fault(sequence).is_some(), "{}", String::from_utf8_lossy(sequence).escape_debug());
    }
}

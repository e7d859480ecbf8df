//! Streams that cost an emulator the most, one kind each: what a hostile or merely strange program may print.
//!
//! Shared by the bench, which prints their speed, and by the test that counts their work.

/// One kind: its name, the size of the screen, and its bytes.
pub(crate) struct Kind {
    /// What it is.
    pub(crate) name: &'static str,
    /// Rows and columns.
    pub(crate) size: (u32, u32),
    /// At least so many bytes of it.
    pub(crate) make: fn(usize) -> Vec<u8>,
}

/// An ordinary terminal.
const USUAL: (u32, u32) = (24, 80);

/// `head` once, then `unit` with the number of the repetition until there are `len` bytes.
fn fill(len: usize, head: &str, unit: impl Fn(usize) -> String) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    let mut n = 0;
    while out.len() < len {
        out.extend_from_slice(unit(n).as_bytes());
        n += 1;
    }
    out
}

fn cycle(len: usize, head: &str, unit: &[u8]) -> Vec<u8> {
    let mut out = head.as_bytes().to_vec();
    out.extend(unit.iter().copied().cycle().take(len.saturating_sub(out.len()).max(unit.len())));
    out
}

/// Everything: add what you think of.
pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "0xFF run", size: USUAL, make: |len| cycle(len, "", &[0xff]) },
    Kind {
        name: "invalid UTF-8 of every length",
        size: USUAL,
        make: |len| cycle(len, "", b"\xc3\xe2\x82\xf0\x9f\x92\x80\xc0\xe2x\xf0\x9f"),
    },
    Kind { name: "VS16 emoji", size: USUAL, make: |len| cycle(len, "", "⚠\u{FE0F}".as_bytes()) },
    Kind { name: "combining marks", size: USUAL, make: |len| cycle(len, "a", "\u{301}".as_bytes()) },
    Kind { name: "letters with marks", size: USUAL, make: |len| cycle(len, "", "a\u{301}é\u{308}".as_bytes()) },
    Kind {
        name: "marks on styled cells",
        size: USUAL,
        make: |len| cycle(len, "\x1b[4:3;9m", "e\u{301}\u{302}".as_bytes()),
    },
    Kind { name: "ZWJ sequences", size: USUAL, make: |len| cycle(len, "", "👩\u{200D}🚀\u{200D}".as_bytes()) },
    Kind { name: "ZWJ run", size: USUAL, make: |len| cycle(len, "x", "\u{200D}".as_bytes()) },
    Kind { name: "wide at odd columns", size: (24, 79), make: |len| cycle(len, "", "漢字".as_bytes()) },
    Kind { name: "wide on background", size: USUAL, make: |len| cycle(len, "\x1b[44m", "漢é".as_bytes()) },
    Kind { name: "insert mode", size: USUAL, make: |len| cycle(len, "\x1b[4h", b"abcdefg hijk\r") },
    Kind { name: "insert mode, wide", size: USUAL, make: |len| cycle(len, "\x1b[4h", "漢".as_bytes()) },
    Kind {
        name: "side margins, text",
        size: USUAL,
        make: |len| cycle(len, "\x1b[?69h\x1b[3;70s", b"some text that goes on "),
    },
    Kind { name: "side margins, LF", size: USUAL, make: |len| cycle(len, "\x1b[?69h\x1b[3;70s", b"ab\r\n") },
    Kind { name: "autowrap off", size: USUAL, make: |len| cycle(len, "\x1b[?7l", b"some text") },
    Kind { name: "REP", size: USUAL, make: |len| cycle(len, "", b"x\x1b[65535bx\x1b[79b") },
    Kind { name: "ICH", size: USUAL, make: |len| cycle(len, "text", b"\r\x1b[@") },
    Kind { name: "DCH", size: USUAL, make: |len| cycle(len, "text", b"\r\x1b[P") },
    Kind { name: "IL", size: USUAL, make: |len| cycle(len, "text", b"\x1b[L") },
    Kind { name: "DL of many", size: USUAL, make: |len| cycle(len, "text", b"\x1b[H\x1b[99M") },
    Kind { name: "SU and SD", size: USUAL, make: |len| cycle(len, "text", b"\x1b[S\x1b[T") },
    Kind { name: "SU of many", size: USUAL, make: |len| cycle(len, "text", b"\x1b[9999S") },
    Kind { name: "SL and SR", size: USUAL, make: |len| cycle(len, "text", b"\x1b[ @\x1b[ A") },
    Kind { name: "DECBI", size: USUAL, make: |len| cycle(len, "text\r", b"\x1b6") },
    Kind { name: "DECFI", size: USUAL, make: |len| cycle(len, "text\x1b[999C", b"\x1b9") },
    Kind { name: "ECH", size: USUAL, make: |len| cycle(len, "text", b"\r\x1b[999X") },
    Kind { name: "ED", size: USUAL, make: |len| cycle(len, "text", b"\x1b[2J") },
    Kind { name: "ED after text", size: USUAL, make: |len| cycle(len, "", b"x\x1b[2J") },
    Kind { name: "ED above and below", size: USUAL, make: |len| cycle(len, "\x1b[12H", b"\x1b[J\x1b[1J") },
    Kind { name: "ED in two colours", size: USUAL, make: |len| cycle(len, "", b"\x1b[41m\x1b[2J\x1b[42m\x1b[2J") },
    Kind { name: "selective erase", size: USUAL, make: |len| cycle(len, "text", b"\x1b[H\x1b[?J") },
    Kind { name: "EL with background", size: USUAL, make: |len| cycle(len, "\x1b[41m", b"\x1b[2K") },
    Kind { name: "DECALN", size: USUAL, make: |len| cycle(len, "", b"\x1b#8") },
    Kind { name: "DECALN and ED", size: USUAL, make: |len| cycle(len, "", b"\x1b#8\x1b[2J") },
    Kind { name: "RIS", size: USUAL, make: |len| cycle(len, "", b"\x1bc") },
    Kind { name: "DECSTR", size: USUAL, make: |len| cycle(len, "", b"\x1b[!p") },
    Kind { name: "DECCOLM", size: USUAL, make: |len| cycle(len, "", b"\x1b[?3h\x1b[?3l") },
    Kind {
        name: "DECCOLM, 30 in one",
        size: USUAL,
        make: |len| fill(len, "", |_| format!("x\x1b[?{}3h", "3;".repeat(29))),
    },
    Kind { name: "tabs", size: USUAL, make: |len| cycle(len, "", b"\t\t\t\t\r") },
    Kind { name: "tabs without stops, 2000 columns", size: (24, 2000), make: |len| cycle(len, "\x1b[3g", b"\t\r") },
    Kind { name: "CHT and CBT, 2000 columns", size: (24, 2000), make: |len| cycle(len, "", b"\x1b[999I\x1b[999Z") },
    Kind {
        name: "CHT without stops, 2000 columns",
        size: (24, 2000),
        make: |len| cycle(len, "\x1b[3g", b"\x1b[999I\x1b[999Z"),
    },
    Kind {
        name: "SGR, every attribute",
        size: USUAL,
        make: |len| cycle(len, "", b"\x1b[1;2;3;4:3;5;7;8;9;38;2;1;2;3;48;5;7;58:5:3mx\x1b[m"),
    },
    Kind {
        name: "SGR, many colours",
        size: USUAL,
        make: |len| fill(len, "", |n| format!("\x1b[48;2;{};{};{}mx", n % 256, n / 256 % 256, n / 65536 % 256)),
    },
    Kind {
        name: "OSC 8, all different",
        size: USUAL,
        make: |len| fill(len, "", |n| format!("\x1b]8;;http://x/{n}\x07x")),
    },
    Kind { name: "OSC 8, free_marks thrash", size: USUAL, make: |len| fill(len, "", |n| format!("\x1b]8;;{n:x}\x07")) },
    Kind {
        name: "a long link and SGR",
        size: USUAL,
        make: |len| fill(len, &format!("\x1b]8;;{}\x07", "x".repeat(2000)), |n| format!("\x1b[3{}mx", n % 8)),
    },
    Kind { name: "unterminated OSC", size: USUAL, make: |len| cycle(len, "\x1b]2;", b"endless") },
    Kind { name: "unterminated DCS", size: USUAL, make: |len| cycle(len, "\x1bPq", b"#0!9?-") },
    Kind { name: "strings of nothing", size: USUAL, make: |len| cycle(len, "", b"\x1b]\x07\x1bP\x1b\\") },
    Kind {
        name: "private strings",
        size: USUAL,
        make: |len| cycle(len, "", b"\x1bP+fh0|0|forged\x1b\\\x1bP+fpforged\x1b\\"),
    },
    Kind {
        name: "title stack",
        size: USUAL,
        make: |len| fill(len, &format!("\x1b]2;{}\x07", "漢".repeat(256)), |_| "\x1b[22t\x1b[23t".into()),
    },
    Kind { name: "palette", size: USUAL, make: |len| fill(len, "", |n| format!("\x1b]4;{};#123456\x07", n % 256)) },
    Kind { name: "palette in one string", size: USUAL, make: |len| fill(len, "\x1b]4", |n| format!(";{};?", n % 256)) },
    Kind { name: "queries", size: USUAL, make: |len| cycle(len, "", b"\x1b[6n\x1b[c\x1b[?6$p") },
    Kind { name: "alternate screen", size: USUAL, make: |len| cycle(len, "text", b"\x1b[?1049h\x1b[?1049l") },
    Kind { name: "alternate screen, no clear", size: USUAL, make: |len| cycle(len, "text", b"\x1b[?47h\x1b[?47l") },
    Kind { name: "alternate screen with text", size: USUAL, make: |len| cycle(len, "", b"\x1b[?1049hx\x1b[?1049lx") },
    Kind {
        name: "origin mode",
        size: USUAL,
        make: |len| cycle(len, "\x1b[3;9r\x1b[?6h", b"\x1b[9;9Hx\x1b[?6l\x1b[?6h"),
    },
    Kind { name: "margins", size: USUAL, make: |len| cycle(len, "", b"\x1b[2;9r\x1b[r") },
    Kind { name: "charsets", size: USUAL, make: |len| cycle(len, "\x1b(0", b"lqqqk") },
    Kind { name: "single shifts", size: USUAL, make: |len| cycle(len, "\x1b*0", b"\x1bNq") },
    Kind { name: "C1", size: USUAL, make: |len| cycle(len, "", "\u{84}\u{8d}\u{9b}m".as_bytes()) },
    Kind {
        name: "run-ahead thrash",
        size: USUAL,
        make: |len| fill(len, "", |_| format!("{}\x1b[A", "x\r\n".repeat(50))),
    },
    Kind { name: "LF", size: USUAL, make: |len| cycle(len, "", b"\n") },
    Kind { name: "LF with background", size: USUAL, make: |len| cycle(len, "\x1b[44m", b"\n") },
    Kind { name: "lines with background", size: USUAL, make: |len| cycle(len, "\x1b[44m", b"some text and\r\n") },
    Kind { name: "LF on the alternate screen", size: USUAL, make: |len| cycle(len, "\x1b[?1049h", b"\n") },
    Kind { name: "LF within margins", size: USUAL, make: |len| cycle(len, "\x1b[2;20r\x1b[20H", b"x\n") },
    Kind { name: "RI", size: USUAL, make: |len| cycle(len, "text", b"\x1bM") },
    Kind { name: "reverse wrap", size: USUAL, make: |len| cycle(len, "\x1b[?45h\x1b[?69h\x1b[3;4s", b"\x1b[65535D") },
    Kind {
        name: "CSI of 250 bytes",
        size: USUAL,
        make: |len| fill(len, "", |_| format!("\x1b[{}m", "1;".repeat(125))),
    },
    Kind { name: "CSI too long", size: USUAL, make: |len| fill(len, "", |_| format!("\x1b[{}m", "1;".repeat(400))) },
    Kind { name: "CSI cut short", size: USUAL, make: |len| fill(len, "", |_| format!("\x1b[{}\x1b", "1".repeat(250))) },
    Kind { name: "ESC", size: USUAL, make: |len| cycle(len, "", b"\x1b") },
    Kind { name: "keyboard stack", size: USUAL, make: |len| cycle(len, "", b"\x1b[>1u\x1b[>0u\x1b[<9u") },
    Kind { name: "saved cursors", size: USUAL, make: |len| cycle(len, "\x1b[44;4:3m", b"\x1b7\x1b8") },
    Kind {
        name: "restored wraps",
        size: USUAL,
        make: |len| fill(len, &format!("{}\x1b7", "x".repeat(80)), |_| "\x1b[H\x1b8".into()),
    },
    Kind { name: "protected text", size: USUAL, make: |len| cycle(len, "\x1b[1\"q", b"text\x1b[H\x1b[?K") },
    Kind { name: "bells and titles", size: USUAL, make: |len| cycle(len, "", b"\x07\x1b]2;t\x07") },
    Kind { name: "backspaces", size: USUAL, make: |len| cycle(len, "", b"x\x08") },
    Kind { name: "cursor motion", size: USUAL, make: |len| cycle(len, "", b"\x1b[A\x1b[B\x1b[C\x1b[5;5H") },
    Kind {
        name: "full-screen redraws",
        size: USUAL,
        make: |len| fill(len, "", |n| format!("\x1b[{};{}H\x1b[3{}m{:8}", n % 24 + 1, n * 8 % 80 + 1, n % 8, n)),
    },
];

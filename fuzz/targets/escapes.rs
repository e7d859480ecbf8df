//! Streams as terminals get them, by grammar: text of every width, every kind of sequence, hostile numbers.

use super::random::Random;

/// Numbers that things break at.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    16,
    22,
    23,
    24,
    25,
    38,
    47,
    48,
    58,
    69,
    79,
    80,
    81,
    127,
    128,
    255,
    256,
    1000,
    1047,
    1049,
    2004,
    2026,
    32767,
    32768,
    65534,
    65535,
    65536,
    4_294_967_295,
    4_294_967_296,
    u64::MAX,
];

const TEXTS: &[&str] = &[
    "a",
    " ",
    "text that goes on for a while, ",
    "\r\n",
    "\n",
    "\t",
    "\x08",
    "\x7f",
    "é",
    "漢",
    "漢字かな",
    "e\u{301}",
    "\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}",
    "⚠\u{FE0F}",
    "1\u{FE0F}\u{20E3}",
    "❤\u{FE0F}",
    "\u{FE0F}",
    "\u{FE0E}",
    "👩\u{200D}🚀",
    "\u{200D}",
    "\u{200B}",
    "กำ\u{E33}",
    "\u{FFFD}",
    "\u{1F1E6}\u{1F1E7}",
    "\u{17D8}",
    "\u{AD}",
    "\u{1100}\u{1160}\u{11A8}",
    "\u{202E}abc",
    "\u{85}",
    "\u{84}",
    "\u{8d}",
    "\u{9b}",
    "\u{E01F0}\u{E01F1}",
    "\u{10FFFC}",
    "\u{10FFFD}",
    "\u{E0000}",
    "\u{F0000}",
];

const ESCAPES: &[&str] = &[
    "\x1b7",
    "\x1b8",
    "\x1bD",
    "\x1bE",
    "\x1bH",
    "\x1bM",
    "\x1bN",
    "\x1bO",
    "\x1bZ",
    "\x1bc",
    "\x1bn",
    "\x1bo",
    "\x1b~",
    "\x1b}",
    "\x1b|",
    "\x1b=",
    "\x1b>",
    "\x1b(0",
    "\x1b(B",
    "\x1b)0",
    "\x1b*A",
    "\x1b-A",
    "\x1b#8",
    "\x1b6",
    "\x1b9",
    "\x0e",
    "\x0f",
    "\x07",
    "\x1b",
    "\x1b[",
    "\x1b]",
    "\x1bP",
    "\x18",
    "\x1a",
    "\x1b[!p",
    "\x1b[4h",
    "\x1b[4l",
    "\x1b[20h",
    "\x1b[20l",
    "\x1b[?69h\x1b[3;6s",
    "\x1b[?69l",
    "\x1b[?7l",
    "\x1b[?7h",
    "\x1b[?45h",
    "\x1b[m",
    "\x1b[2J",
    "\x1b[H",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[44m",
    "\x1b[4:3;9m",
    "\x1b[1;2m",
    "\x1b[3;8r",
    "\x1b[r",
    "\x1b[?6h",
    "\x1b[1\"q",
    "\x1b[0\"q",
    "\x1b[3g",
];

const STRINGS: &[&str] = &[
    "]0;title",
    "]2;a\u{202E}b",
    "]4;1;rgb:00000000/0/0",
    "]10;rgb:00000000/0/0",
    "]4;300;#12345",
    "]10;?",
    "]11;#fff;?",
    "]104;1",
    "]110",
    "]7;file://h/%2e%zz",
    "]8;;http://x/",
    "]8;;",
    "]8;id=1;y",
    "]52;c;aGk=",
    "]133;A",
    "]133;D;1",
    "]9;note",
    "]777;notify;a;b",
    "]1337;x",
    "P$qm",
    "P$qr",
    "P+q544e",
    "P+fh1|0|forged",
    "P+fTforged",
    "P+fn99",
    "P+fw",
    "P+fc1b",
    "^pm",
    "_apc",
    "Xsos",
];

fn number(random: &mut Random) -> u64 {
    if random.one_in(3) { random.pick(NUMBERS) } else { random.below(30) as u64 }
}

fn csi(random: &mut Random) -> Vec<u8> {
    let mut out = b"\x1b[".to_vec();
    if random.one_in(4) {
        out.push(random.pick(b"?><=!"));
    }
    for index in 0..random.below(4) {
        if index > 0 {
            out.push(random.pick(b";;;:"));
        }
        out.extend_from_slice(number(random).to_string().as_bytes());
    }
    if random.one_in(12) {
        out.push(random.pick(b" !\"#$'*"));
    }
    out.push(random.pick(b"@ABCDEFGHIJKLMPSTXZ`abdefghjklmnpqrstuvwxyz^~}|"));
    out
}

/// One piece of a stream.
pub fn piece(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0..4 => random.pick(TEXTS).as_bytes().to_vec(),
        4..8 => csi(random),
        8 | 9 => random.pick(ESCAPES).as_bytes().to_vec(),
        10 => {
            let mut out = b"\x1b".to_vec();
            out.extend_from_slice(random.pick(STRINGS).as_bytes());
            out.extend_from_slice(random.pick(&[&b"\x07"[..], b"\x1b\\", b"\x18", b"\x1bx", b""]));
            out
        }
        _ => (0..1 + random.below(4)).map(|_| random.next() as u8).collect(),
    }
}

/// A stream: pieces, some of them many times over, some lines that scroll.
pub fn stream(random: &mut Random, pieces: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + random.below(pieces) {
        let piece = piece(random);
        let times = if random.one_in(20) { 1 + random.below(100) } else { 1 };
        (0..times).for_each(|_| out.extend_from_slice(&piece));
        if random.one_in(30) {
            let lines = random.below(80);
            (0..lines).for_each(|line| out.extend_from_slice(format!("line {line}\r\n").as_bytes()));
        }
    }
    out
}

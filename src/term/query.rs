//! The one replier: what a program asks its terminal and what it is told. Replies go to the PTY, never to viewers.

use super::params::Params;
use super::parser::Csi;
use super::pen;
use super::translate::Term;
use super::types::CursorShape;
use std::collections::BTreeMap;

/// Columns and rows of a cell in the pixels we claim to have: programs only divide one by the other.
const CELL_PIXELS: (u32, u32) = (8, 16);
/// Keys of the dynamic colours in [`Palette`], after the 256 indexed ones.
const FOREGROUND: u16 = 256;
/// What we do of iTerm2's list of features: true colour, side margins, mouse, cursor shapes, titles, bracketed paste, focus,
/// strikethrough, synchronized output, links and notifications.
const CAPABILITIES: &str = "T3LrMScTsBFGsSyHNo";
/// Colours of one OSC 21; what is named beyond is dropped.
const COLORS_CAP: usize = 512;
/// Titles on the stack; what is pushed beyond is dropped.
pub(super) const TITLES_CAP: usize = 16;

/// Colours as programs may set and ask them; what nobody set has xterm's values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Palette {
    /// By index; 256 is the foreground, 257 the background, 258 the cursor.
    pub(super) set: BTreeMap<u16, (u8, u8, u8)>,
}

impl Palette {
    fn get(&self, index: u16) -> (u8, u8, u8) {
        self.set.get(&index).copied().unwrap_or_else(|| default_color(index))
    }
}

/// Whether a name may come back in an answer: what is echoed is typed into the program.
fn is_color_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn default_color(index: u16) -> (u8, u8, u8) {
    const BASE: [(u8, u8, u8); 16] = [
        (0, 0, 0),
        (205, 0, 0),
        (0, 205, 0),
        (205, 205, 0),
        (0, 0, 238),
        (205, 0, 205),
        (0, 205, 205),
        (229, 229, 229),
        (127, 127, 127),
        (255, 0, 0),
        (0, 255, 0),
        (255, 255, 0),
        (92, 92, 255),
        (255, 0, 255),
        (0, 255, 255),
        (255, 255, 255),
    ];
    match index {
        0..=15 => BASE[usize::from(index)],
        16..=231 => {
            let level = |n: u16| if n == 0 { 0 } else { (55 + n * 40) as u8 };
            let n = index - 16;
            (level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        232..=255 => {
            let level = (8 + (index - 232) * 10) as u8;
            (level, level, level)
        }
        257 => (0, 0, 0),
        _ => (229, 229, 229),
    }
}

/// `rgb:1/22/333` (scaled) or `#rrggbb`.
fn parse_color(text: &str) -> Option<(u8, u8, u8)> {
    let part = |text: &str| {
        // One to four digits and nothing else: more would not fit into what follows, and `+f` is no colour.
        let is_hex = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u32::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
        let max = (1u32 << (4 * text.len() as u32)) - 1;
        Some((value * 255 / max) as u8)
    };
    if let Some(parts) = text.strip_prefix("rgb:") {
        let mut parts = parts.split('/').map(part);
        return Some((parts.next()??, parts.next()??, parts.next()??));
    }
    let hex = text.strip_prefix('#').filter(|hex| hex.is_ascii() && matches!(hex.len(), 3 | 6 | 9 | 12))?;
    let n = hex.len() / 3;
    Some((part(&hex[..n])?, part(&hex[n..2 * n])?, part(&hex[2 * n..])?))
}

impl Term {
    /// Control sequences that only ask.
    pub(super) fn query(&mut self, csi: &Csi) {
        match (csi.marker, csi.intermediate, csi.final_byte) {
            (0, 0, b'c') if csi.params.get(0) == 0 => self.device_attributes(),
            (b'>', 0, b'c') if csi.params.get(0) == 0 => self.reply(b"\x1b[>41;0;0c"),
            (b'=', 0, b'c') if csi.params.get(0) == 0 => self.reply(b"\x1bP!|00000000\x1b\\"),
            (0, 0, b'n') => self.status(csi.params.get(0), false),
            (b'?', 0, b'n') => self.status(csi.params.get(0), true),
            (marker @ (0 | b'?'), b'$', b'p') => {
                let mode = csi.params.get(0);
                let state = self.mode_state(marker == b'?', mode);
                let marker = if marker == 0 { "" } else { "?" };
                self.reply(format!("\x1b[{marker}{mode};{state}$y"));
            }
            (b'>', 0, b'q') if csi.params.get(0) == 0 => {
                self.reply(format!("\x1bP>|fleetmux {}\x1b\\", env!("CARGO_PKG_VERSION")));
            }
            _ => {}
        }
    }

    /// DA1: a VT220 with colour.
    pub(super) fn device_attributes(&mut self) {
        self.reply(b"\x1b[?62;22c");
    }

    fn status(&mut self, kind: u16, is_private: bool) {
        match kind {
            5 if !is_private => self.reply(b"\x1b[0n"),
            6 => {
                let (row, col) = self.pos_from_origin();
                let (row, col) = (row + 1, col + 1);
                self.reply(if is_private { format!("\x1b[?{row};{col}R") } else { format!("\x1b[{row};{col}R") });
            }
            15 if is_private => self.reply(b"\x1b[?13n"),
            25 if is_private => self.reply(b"\x1b[?21n"),
            26 if is_private => self.reply(b"\x1b[?27;1;0;0n"),
            _ => {}
        }
    }

    /// Window reports and the title stack; a program moves or resizes nothing here.
    pub(super) fn window(&mut self, params: &Params) {
        let (rows, cols) = (u32::from(self.size.rows()), u32::from(self.size.cols()));
        match params.get(0) {
            11 => self.reply(b"\x1b[1t"),
            13 => self.reply(b"\x1b[3;0;0t"),
            14 => self.reply(format!("\x1b[4;{};{}t", rows * CELL_PIXELS.1, cols * CELL_PIXELS.0)),
            16 => self.reply(format!("\x1b[6;{};{}t", CELL_PIXELS.1, CELL_PIXELS.0)),
            18 => self.reply(format!("\x1b[8;{rows};{cols}t")),
            19 => self.reply(format!("\x1b[9;{rows};{cols}t")),
            // Reporting the title would let output type into the shell; xterm answers empty when it is off.
            20 => self.reply(b"\x1b]L\x1b\\"),
            21 => self.reply(b"\x1b]l\x1b\\"),
            22 if self.title_stack.len() < TITLES_CAP => self.title_stack.push(self.title.clone()),
            23 => {
                if let Some(title) = self.title_stack.pop() {
                    self.set_title(title);
                }
            }
            _ => {}
        }
    }

    /// DECRQSS: the setting named by the end of its control sequence.
    pub(super) fn setting(&mut self, name: &[u8]) {
        let value = match name {
            b"m" => pen::style_params(&self.pen.style) + "m",
            b"r" => format!("{};{}r", self.top + 1, self.bottom + 1),
            b"s" => format!("{};{}s", self.left + 1, self.right + 1),
            b" q" => {
                let steady = u8::from(!self.modes.cursor_blink);
                let style = match self.modes.cursor_shape {
                    CursorShape::Default => 0,
                    CursorShape::Block => 1 + steady,
                    CursorShape::Underline => 3 + steady,
                    CursorShape::Bar => 5 + steady,
                };
                format!("{style} q")
            }
            b"\"q" => format!("{}\"q", u8::from(self.pen.is_protected)),
            b"\"p" => "62;1\"p".into(),
            _ => {
                self.reply(b"\x1bP0$r\x1b\\");
                return;
            }
        };
        self.reply(format!("\x1bP1$r{value}\x1b\\"));
    }

    /// OSC 4: pairs of index and colour or `?`.
    pub(super) fn indexed_colors(&mut self, text: &str) {
        let mut parts = text.split(';');
        while let (Some(index), Some(color)) = (parts.next(), parts.next()) {
            if let Ok(index @ 0..=255) = index.parse::<u16>() {
                self.color(index, color, &format!("4;{index}"));
            }
        }
    }

    /// OSC 10, 11, 12: colours for this and the following ones.
    pub(super) fn dynamic_colors(&mut self, code: u16, text: &str) {
        for (code, color) in (code..=12).zip(text.split(';')) {
            self.color(FOREGROUND + code - 10, color, &code.to_string());
        }
    }

    /// OSC 21: `name=value` of colours by name or index; `?` asks, nothing resets, and what we have no colour for is said to.
    pub(super) fn named_colors(&mut self, text: &str) {
        let mut answers = String::new();
        for (name, value) in text.split(';').take(COLORS_CAP).filter_map(|pair| pair.split_once('=')) {
            let index = match name {
                "foreground" => Some(FOREGROUND),
                "background" => Some(FOREGROUND + 1),
                "cursor" => Some(FOREGROUND + 2),
                _ => name.parse::<u16>().ok().filter(|index| *index < FOREGROUND),
            };
            match (index, value) {
                (Some(index), "?") => {
                    let (r, g, b) = self.palette.get(index);
                    answers.push_str(&format!(";{name}=rgb:{r:02x}/{g:02x}/{b:02x}"));
                }
                (Some(index), "") => drop(self.palette.set.remove(&index)),
                (Some(index), color) => {
                    if let Some(color) = parse_color(color) {
                        self.palette.set.insert(index, color);
                    }
                }
                (None, "?") if is_color_name(name) => answers.push_str(&format!(";{name}=?")),
                (None, _) => {}
            }
        }
        if !answers.is_empty() {
            self.reply(format!("\x1b]21{answers}\x1b\\"));
        }
    }

    /// OSC 1337: what iTerm2 answers. A variable of it is nobody's here.
    pub(super) fn iterm(&mut self, text: &str) {
        if text == "ReportCellSize" {
            self.reply(format!("\x1b]1337;ReportCellSize={}.0;{}.0\x1b\\", CELL_PIXELS.1, CELL_PIXELS.0));
        } else if text == "Capabilities" {
            self.reply(format!("\x1b]1337;Capabilities={CAPABILITIES}\x1b\\"));
        } else if text.starts_with("ReportVariable=") {
            self.reply(b"\x1b]1337;ReportVariable=\x1b\\");
        }
    }

    fn color(&mut self, index: u16, color: &str, name: &str) {
        if color == "?" {
            let (r, g, b) = self.palette.get(index);
            self.reply(format!("\x1b]{name};rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}\x1b\\"));
        } else if let Some(color) = parse_color(color) {
            self.palette.set.insert(index, color);
        }
    }

    /// OSC 104 and 110 to 112: back to the default.
    pub(super) fn reset_colors(&mut self, code: u16, text: &str) {
        match code {
            104 if text.is_empty() => self.palette.set.retain(|&index, _| index >= FOREGROUND),
            104 => {
                for index in text.split(';').filter_map(|index| index.parse::<u16>().ok()) {
                    self.palette.set.remove(&index.min(255));
                }
            }
            _ => drop(self.palette.set.remove(&(FOREGROUND + code - 110))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_in_every_spelling() {
        assert_eq!(parse_color("rgb:ff/80/00"), Some((255, 128, 0)));
        assert_eq!(parse_color("rgb:f/8/0"), Some((255, 136, 0)));
        assert_eq!(parse_color("#ff8000"), Some((255, 128, 0)));
        assert_eq!(parse_color("rgb:ffff/8000/0"), Some((255, 127, 0)));
        assert_eq!(parse_color("rgb:fffff/0/0"), None);
        assert_eq!(parse_color("#äöü"), None);
    }

    /// `printf '\033]10;rgb:00000000/0/0\007'` ended the keeper, and with it the session, `connect --observe` and the wall:
    /// the largest value of eight digits was taken as `(1 << 32) - 1`, which is nothing, and divided by.
    #[test]
    fn digits_without_end_are_no_colour() {
        for digits in (5..40).chain([1000]) {
            assert_eq!(parse_color(&format!("rgb:{}/0/0", "0".repeat(digits))), None, "{digits} digits");
            assert_eq!(parse_color(&format!("rgb:0/0/{}", "f".repeat(digits))), None, "{digits} digits");
        }
        for wrong in ["rgb:+f/0/0", "rgb:/0/0", "#+f+f+f", "rgb:0/0", "rgb:", "#", "rgb:\u{ff11}/0/0"] {
            assert_eq!(parse_color(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_default_palette_is_xterms() {
        assert_eq!(default_color(16), (0, 0, 0));
        assert_eq!(default_color(231), (255, 255, 255));
        assert_eq!(default_color(232), (8, 8, 8));
        assert_eq!(default_color(202), (255, 95, 0));
    }

    fn answers(questions: &[u8]) -> String {
        let mut screen = crate::term::Screen::new(crate::fleet::Size::DEFAULT, 0);
        screen.feed(questions);
        String::from_utf8(screen.take_replies()).unwrap()
    }

    /// A driver's terminal is not asked, so that two do not answer; then nobody did, and programs waited.
    #[test]
    fn colours_by_name_and_iterms_questions_are_answered() {
        let set =
            b"\x1b]21;foreground=#ff8000;3=rgb:1/2/3\x1b\\\x1b]21;foreground=?;3=?;selection_background=?;3=\x1b\\";
        assert_eq!(
            answers(&[&set[..], b"\x1b]21;3=?\x07"].concat()),
            "\x1b]21;foreground=rgb:ff/80/00;3=rgb:11/22/33;selection_background=?\x1b\\\x1b]21;3=rgb:cd/cd/00\x1b\\"
        );
        assert_eq!(answers(b"\x1b]21;rm -rf=?;A\nB=?;256=?;=?;cursor=red\x07"), "");
        assert_eq!(answers(b"\x1b]1337;ReportCellSize\x07"), "\x1b]1337;ReportCellSize=16.0;8.0\x1b\\");
        assert!(answers(b"\x1b]1337;Capabilities\x1b\\").starts_with("\x1b]1337;Capabilities=T3"));
        assert_eq!(answers(b"\x1b]1337;ReportVariable=c2Vzc2lvbi5uYW1l\x07"), "\x1b]1337;ReportVariable=\x1b\\");
        assert_eq!(answers(b"\x1b]1337;SetMark\x07"), "");
    }
}

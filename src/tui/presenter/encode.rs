//! Escape bytes of a row: shortest cursor moves, only the attributes that change, erases for runs of blanks.

use std::io::Write;

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

use super::{CursorAt, Depth, same, width};
use crate::term::CursorShape;

/// A run of blanks shorter than this is cheaper written than erased: `ESC [ n X` and the move behind it.
const ERASE_FROM: usize = 9;
/// Unchanged cells up to this many are written again rather than jumped over.
const REWRITE_GAP: usize = 3;

/// What the outer terminal's pen and cursor are known to be.
#[derive(Debug)]
pub(super) struct Encoder {
    depth: Depth,
    fg: Color,
    bg: Color,
    modifier: Modifier,
    /// Column and row; unknown after the last column was written.
    at: Option<(u16, u16)>,
    scratch: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(depth: Depth) -> Encoder {
        Encoder {
            depth,
            fg: Color::Reset,
            bg: Color::Reset,
            modifier: Modifier::empty(),
            at: None,
            scratch: Vec::with_capacity(64),
        }
    }

    pub(super) fn depth(&self) -> Depth {
        self.depth
    }

    /// Everything blank, pen and cursor known.
    pub(super) fn clear(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[m\x1b[H\x1b[2J\x1b[?25l");
        *self = Encoder::new(self.depth);
        self.at = Some((0, 0));
    }

    /// Writes the changed cells of a row within `first..end` and takes them over into `front`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn row(
        &mut self,
        row: u16,
        first: usize,
        end: usize,
        back: &[Cell],
        front: &mut [Cell],
        height: u16,
        out: &mut Vec<u8>,
    ) {
        let mut col = first;
        while col < end {
            if same(&back[col], &front[col]) {
                col += 1;
                continue;
            }
            // The second half of a wide character is written with its first.
            if back[col].symbol().is_empty() && col > 0 {
                if width(back[col - 1].symbol()) == 2 {
                    self.put(row, col - 1, back, height, out);
                }
                front[col] = back[col].clone();
                col += 1;
                continue;
            }
            let run = blank_run(&back[col..end]);
            if run >= ERASE_FROM || (run > 3 && col + run == back.len()) {
                self.erase(row, col, run, back.len(), &back[col], height, out);
                front[col..col + run].clone_from_slice(&back[col..col + run]);
                col += run;
                continue;
            }
            self.bridge(row, col, back, out);
            let wide = self.put(row, col, back, height, out);
            let next = (col + wide).min(back.len());
            front[col..next].clone_from_slice(&back[col..next]);
            col = next;
        }
    }

    /// A short gap of unchanged plain cells in the pen's own style is written again: cheaper than a move.
    fn bridge(&mut self, row: u16, col: usize, back: &[Cell], out: &mut Vec<u8>) {
        let Some((at_col, at_row)) = self.at else { return };
        let at_col = at_col as usize;
        if at_row != row || at_col >= col || col - at_col > REWRITE_GAP {
            return;
        }
        let gap = &back[at_col..col];
        if gap.iter().all(|cell| cell.symbol().len() == 1 && self.is_pen(cell)) {
            for cell in gap {
                out.extend_from_slice(cell.symbol().as_bytes());
            }
            self.at = Some((col as u16, row));
        }
    }

    fn is_pen(&self, cell: &Cell) -> bool {
        cell.fg == self.fg && cell.bg == self.bg && cell.modifier == self.modifier
    }

    /// Writes one cell, returns its columns.
    fn put(&mut self, row: u16, col: usize, back: &[Cell], height: u16, out: &mut Vec<u8>) -> usize {
        let cell = &back[col];
        self.go(col as u16, row, height, out);
        self.pen(cell, out);
        let symbol = cell.symbol();
        let wide = if symbol.is_empty() { 1 } else { width(symbol) };
        if symbol.is_empty() {
            out.push(b' ');
        } else {
            out.extend_from_slice(symbol.as_bytes());
        }
        let next = col + wide;
        // At the margin the terminal may hold a wrap back; after marks and joiners terminals disagree on the width.
        let is_sure = next < back.len() && (symbol.len() <= 1 || symbol.chars().nth(1).is_none());
        self.at = is_sure.then_some((next as u16, row));
        wide
    }

    #[allow(clippy::too_many_arguments)]
    fn erase(&mut self, row: u16, col: usize, run: usize, cols: usize, cell: &Cell, height: u16, out: &mut Vec<u8>) {
        self.go(col as u16, row, height, out);
        self.pen(cell, out);
        if col + run == cols {
            out.extend_from_slice(b"\x1b[K");
        } else {
            let _ = write!(out, "\x1b[{run}X");
        }
    }

    /// Moves to a cell by the shortest way.
    fn go(&mut self, col: u16, row: u16, height: u16, out: &mut Vec<u8>) {
        if self.at == Some((col, row)) {
            return;
        }
        let from = self.at.replace((col, row));
        let short = match from {
            Some((c, r)) if r == row && col > c => csi(out, col - c, b'C'),
            Some((c, r)) if r == row && col == 0 && c > 0 => {
                out.push(b'\r');
                true
            }
            Some((c, r)) if r == row && c - col <= 4 => {
                out.extend(std::iter::repeat_n(b'\x08', (c - col).into()));
                true
            }
            Some((_, r)) if r == row => csi(out, col + 1, b'G'),
            Some((c, r)) if r + 1 == row && row < height && c == col => {
                out.push(b'\n');
                true
            }
            Some((_, r)) if r + 1 == row && row < height && col == 0 => {
                out.extend_from_slice(b"\r\n");
                true
            }
            Some((c, r)) if c == col && row > r => csi(out, row - r, b'B'),
            _ => false,
        };
        if !short {
            let _ = match col {
                0 => write!(out, "\x1b[{}H", row + 1),
                _ => write!(out, "\x1b[{};{}H", row + 1, col + 1),
            };
        }
    }

    /// Brings the pen to a cell's style, by the shorter of "change" and "reset and set".
    fn pen(&mut self, cell: &Cell, out: &mut Vec<u8>) {
        if self.is_pen(cell) {
            return;
        }
        let mut change = std::mem::take(&mut self.scratch);
        change.clear();
        let gone = self.modifier - cell.modifier;
        let mut added = cell.modifier - self.modifier;
        if gone.intersects(Modifier::BOLD | Modifier::DIM) {
            change.extend_from_slice(b"22;");
            added |= cell.modifier & (Modifier::BOLD | Modifier::DIM);
        }
        for (bit, code) in OFF {
            if gone.contains(*bit) {
                change.extend_from_slice(code);
            }
        }
        attributes(added, &mut change);
        if self.fg != cell.fg {
            colour(cell.fg, 30, self.depth, &mut change);
        }
        if self.bg != cell.bg {
            colour(cell.bg, 40, self.depth, &mut change);
        }
        let kept = change.len();
        // "0;" is written as an empty parameter.
        change.push(b';');
        attributes(cell.modifier, &mut change);
        if cell.fg != Color::Reset {
            colour(cell.fg, 30, self.depth, &mut change);
        }
        if cell.bg != Color::Reset {
            colour(cell.bg, 40, self.depth, &mut change);
        }
        let body = if change.len() - kept < kept { &change[kept..] } else { &change[..kept] };
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(body.strip_suffix(b";").unwrap_or(body));
        out.push(b'm');
        self.scratch = change;
        (self.fg, self.bg, self.modifier) = (cell.fg, cell.bg, cell.modifier);
    }

    /// Shows the cursor at its place, or leaves it hidden.
    pub(super) fn cursor(&mut self, old: Option<CursorAt>, new: Option<CursorAt>, is_hidden: bool, out: &mut Vec<u8>) {
        let Some(new) = new else {
            if !is_hidden {
                out.extend_from_slice(b"\x1b[?25l");
            }
            return;
        };
        let look = |c: CursorAt| (c.shape, c.blink);
        if old.map(look) != Some(look(new)) {
            let style = match (new.shape, new.blink) {
                (CursorShape::Default, _) => 0,
                (CursorShape::Block, true) => 1,
                (CursorShape::Block, false) => 2,
                (CursorShape::Underline, true) => 3,
                (CursorShape::Underline, false) => 4,
                (CursorShape::Bar, true) => 5,
                (CursorShape::Bar, false) => 6,
            };
            if old.is_some() || style != 0 {
                let _ = write!(out, "\x1b[{style} q");
            }
        }
        self.go(new.col, new.row, 0, out);
        if is_hidden {
            out.extend_from_slice(b"\x1b[?25h");
        }
    }
}

const OFF: &[(Modifier, &[u8])] = &[
    (Modifier::ITALIC, b"23;"),
    (Modifier::UNDERLINED, b"24;"),
    (Modifier::SLOW_BLINK, b"25;"),
    (Modifier::REVERSED, b"27;"),
    (Modifier::HIDDEN, b"28;"),
    (Modifier::CROSSED_OUT, b"29;"),
];

const ON: &[(Modifier, &[u8])] = &[
    (Modifier::BOLD, b"1;"),
    (Modifier::DIM, b"2;"),
    (Modifier::ITALIC, b"3;"),
    (Modifier::UNDERLINED, b"4;"),
    (Modifier::SLOW_BLINK, b"5;"),
    (Modifier::REVERSED, b"7;"),
    (Modifier::HIDDEN, b"8;"),
    (Modifier::CROSSED_OUT, b"9;"),
];

fn attributes(modifier: Modifier, out: &mut Vec<u8>) {
    for (bit, code) in ON {
        if modifier.contains(*bit) {
            out.extend_from_slice(code);
        }
    }
}

fn csi(out: &mut Vec<u8>, n: u16, end: u8) -> bool {
    out.extend_from_slice(b"\x1b[");
    if n != 1 {
        let _ = write!(out, "{n}");
    }
    out.push(end);
    true
}

/// Blank cells in a row that an erase can make: the terminal's own ground and nothing visible in it.
fn blank_run(cells: &[Cell]) -> usize {
    cells
        .iter()
        .take_while(|cell| {
            // The foreground of a blank is not seen, but the run must be one pen.
            cell.symbol() == " " && cell.bg == Color::Reset && cell.modifier.is_empty() && cell.fg == cells[0].fg
        })
        .count()
}

fn colour(colour: Color, base: u8, depth: Depth, out: &mut Vec<u8>) {
    let _ = match (colour, depth) {
        (Color::Indexed(n), _) if n < 8 => write!(out, "{};", base + n),
        (Color::Indexed(n), _) if n < 16 => write!(out, "{};", base + 60 + n - 8),
        (Color::Indexed(n), _) => write!(out, "{};5;{n};", base + 8),
        (Color::Rgb(r, g, b), Depth::True) => write!(out, "{};2;{r};{g};{b};", base + 8),
        (Color::Rgb(r, g, b), Depth::Indexed) => write!(out, "{};5;{};", base + 8, nearest(r, g, b)),
        _ => write!(out, "{};", base + 9),
    };
}

/// The palette entry nearest to a colour: of the cube or of the grey ramp.
fn nearest(r: u8, g: u8, b: u8) -> u8 {
    const LEVELS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let near = |v: u8| (0..6).min_by_key(|&i| (LEVELS[i] - i32::from(v)).abs()).unwrap_or(0);
    let (i, j, k) = (near(r), near(g), near(b));
    let away =
        |x: i32, y: i32, z: i32| (x - i32::from(r)).pow(2) + (y - i32::from(g)).pow(2) + (z - i32::from(b)).pow(2);
    let grey = ((i32::from(r) + i32::from(g) + i32::from(b)) / 3 - 3).clamp(0, 235) / 10;
    let level = 8 + 10 * grey;
    if away(level, level, level) < away(LEVELS[i], LEVELS[j], LEVELS[k]) {
        (232 + grey) as u8
    } else {
        (16 + 36 * i + 6 * j + k) as u8
    }
}

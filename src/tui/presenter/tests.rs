//! The bytes of a frame, applied to a terminal, make the buffer.

use proptest::prelude::*;
use ratatui::style::Style;

use super::*;
use crate::fleet::Size;
use crate::term::{self, Screen};

const COLS: u16 = 24;
const ROWS: u16 = 6;

#[derive(Clone, Debug)]
struct Stroke {
    col: u16,
    row: u16,
    text: String,
    fg: u8,
    bg: u8,
    modifier: u16,
}

fn strokes() -> impl Strategy<Value = Vec<Stroke>> {
    let text = prop_oneof![
        "[a-z ]{1,12}",
        " {1,24}",
        Just("漢字".to_string()),
        Just("né".to_string()),
        Just("─┃".to_string())
    ];
    let stroke = (0..COLS, 0..ROWS, text, 0..4u8, 0..3u8, 0..8u16)
        .prop_map(|(col, row, text, fg, bg, modifier)| Stroke { col, row, text, fg, bg, modifier });
    prop::collection::vec(stroke, 1..20)
}

fn draw(presenter: &mut Presenter, stroke: &Stroke) {
    let colour = |n: u8| [Color::Reset, Color::Indexed(1), Color::Rgb(10, 200, 30), Color::Indexed(200)][n as usize];
    let bits = [Modifier::BOLD, Modifier::UNDERLINED, Modifier::REVERSED];
    let mut modifier = Modifier::empty();
    for (n, bit) in bits.into_iter().enumerate() {
        modifier.set(bit, stroke.modifier & (1 << n) != 0);
    }
    let style = Style { fg: Some(colour(stroke.fg)), bg: Some(colour(stroke.bg)), ..Style::default() };
    let mut col = stroke.col;
    for c in stroke.text.chars() {
        let wide = unicode_width::UnicodeWidthChar::width(c).unwrap_or(1) as u16;
        if col + wide > COLS {
            break;
        }
        for half in 0..wide {
            let cell = &mut presenter.back()[(col + half, stroke.row)];
            cell.reset();
            cell.set_style(style.add_modifier(modifier));
            match half {
                0 => cell.set_char(c),
                _ => cell.set_symbol(""),
            };
        }
        col += wide;
    }
    presenter.touch(Rect::new(stroke.col, stroke.row, col - stroke.col, 1));
}

use ratatui::style::{Color, Modifier};

fn shown(screen: &Screen) -> Vec<(String, term::Color, term::Color, bool, bool, bool)> {
    let mut cells = Vec::new();
    for row in 0..ROWS {
        screen.visit_row(row, |_, cell| {
            let text = if cell.text.is_empty() && cell.width == 1 { " " } else { cell.text };
            let style = cell.style;
            // The foreground of a plain blank cannot be seen.
            let fg = if text == " " && !style.inverse && style.underline == term::Underline::None {
                term::Color::Default
            } else {
                style.fg
            };
            let bold = style.bold && text != " ";
            cells.push((text.to_string(), fg, style.bg, bold, style.inverse, style.underline != term::Underline::None));
        });
    }
    cells
}

fn wanted(buffer: &Buffer) -> Vec<(String, term::Color, term::Color, bool, bool, bool)> {
    let colour = |c: Color| match c {
        Color::Indexed(n) => term::Color::Indexed(n),
        Color::Rgb(r, g, b) => term::Color::Rgb(r, g, b),
        _ => term::Color::Default,
    };
    let cell = |cell: &Cell| {
        let has = |bit| cell.modifier.contains(bit);
        let text = cell.symbol();
        let is_plain = text == " " && !has(Modifier::REVERSED) && !has(Modifier::UNDERLINED);
        let fg = if is_plain { term::Color::Default } else { colour(cell.fg) };
        let bold = has(Modifier::BOLD) && text != " ";
        (text.to_string(), fg, colour(cell.bg), bold, has(Modifier::REVERSED), has(Modifier::UNDERLINED))
    };
    buffer.content.iter().map(cell).collect()
}

proptest! {
    #[test]
    fn a_terminal_shows_what_was_drawn(frames in prop::collection::vec(strokes(), 1..5), cursor in (0..COLS, 0..ROWS)) {
        let mut presenter = Presenter::new(COLS, ROWS, Depth::True);
        let mut screen = Screen::new(Size::new(ROWS.into(), COLS.into()), 0);
        for strokes in frames {
            for stroke in &strokes {
                draw(&mut presenter, stroke);
            }
            let at = CursorAt { col: cursor.0, row: cursor.1, shape: CursorShape::Bar, blink: true };
            let mut out = Vec::new();
            presenter.present(Some(at), &mut out);
            screen.feed(&out);
            prop_assert_eq!(shown(&screen), wanted(presenter.front()));
            let cursor_now = screen.cursor();
            prop_assert_eq!((cursor_now.col, cursor_now.row, cursor_now.visible), (cursor.0, cursor.1, true));
        }
    }
}

#[test]
fn an_unchanged_frame_costs_no_byte() {
    let mut presenter = Presenter::new(COLS, ROWS, Depth::True);
    let mut out = Vec::new();
    presenter.present(None, &mut out);
    out.clear();
    presenter.touch(Rect::new(0, 0, COLS, ROWS));
    presenter.present(None, &mut out);
    assert_eq!(out, b"");
}

#[test]
fn one_echoed_letter_costs_little_more_than_itself() {
    let mut presenter = Presenter::new(COLS, ROWS, Depth::True);
    let at = |col| Some(CursorAt { col, row: 2, shape: CursorShape::Default, blink: false });
    let mut out = Vec::new();
    presenter.present(at(3), &mut out);
    out.clear();
    presenter.back()[(3, 2)].set_symbol("x");
    presenter.touch(Rect::new(0, 2, COLS, 1));
    presenter.present(at(4), &mut out);
    assert_eq!(out, b"x");
}

//! Cells to draw on, through the theme: everything drawn is touched, so that the presenter compares it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthChar;

use super::super::model::Model;
use super::super::presenter::Presenter;
use super::super::theme::{Ink, Theme};
use super::words;
use crate::fleet::visible;

/// The back buffer and the palette.
pub(super) struct Canvas<'a> {
    presenter: &'a mut Presenter,
    theme: &'a Theme,
}

/// Glyphs of a border.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    corners: [&'static str; 4],
    pub(super) across: &'static str,
    down: &'static str,
}

impl Line {
    pub(super) const THIN: Line = Line { corners: ["╭", "╮", "╰", "╯"], across: "─", down: "│" };
    pub(super) const THICK: Line = Line { corners: ["┏", "┓", "┗", "┛"], across: "━", down: "┃" };
    pub(super) const DOUBLE: Line = Line { corners: ["╔", "╗", "╚", "╝"], across: "═", down: "║" };
    pub(super) const DASHED: Line = Line { corners: ["┌", "┐", "└", "┘"], across: "╌", down: "╎" };
}

impl<'a> Canvas<'a> {
    pub(super) fn new(model: &'a Model, presenter: &'a mut Presenter) -> Canvas<'a> {
        Canvas { presenter, theme: &model.theme }
    }

    pub(super) fn theme(&self) -> &'a Theme {
        self.theme
    }

    /// The buffer, with a rectangle of it marked as drawn.
    pub(super) fn cells(&mut self, rect: Rect) -> &mut Buffer {
        self.presenter.touch(rect);
        self.presenter.back()
    }

    /// Blanks a rectangle.
    pub(super) fn fill(&mut self, rect: Rect, ink: Ink) {
        let style = self.theme.style(ink);
        let buffer = self.cells(rect);
        for row in rect.intersection(buffer.area).rows() {
            for at in row.positions() {
                let cell = &mut buffer[at];
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    /// Writes text, clipped with an ellipsis; returns the columns used. What controls or deceives is shown as what it is,
    /// for most text is somebody else's.
    pub(super) fn text(&mut self, col: u16, row: u16, cols: u16, text: &str, ink: Ink) -> u16 {
        let style = self.theme.style(ink);
        self.styled(col, row, cols, text, style)
    }

    /// The same on a ground other than the ink's own.
    pub(super) fn text_on(&mut self, col: u16, row: u16, cols: u16, text: &str, ink: Ink, ground: Ink) -> u16 {
        let style = Style { bg: self.theme.style(ground).bg, ..self.theme.style(ink) };
        self.styled(col, row, cols, text, style)
    }

    fn styled(&mut self, col: u16, row: u16, cols: u16, text: &str, style: Style) -> u16 {
        let clipped = words::clip(&visible(text), cols);
        let width = words::width(&clipped);
        let buffer = self.cells(Rect::new(col, row, width, 1));
        let area = buffer.area;
        let mut at = col;
        for c in clipped.chars() {
            let wide = c.width().unwrap_or(0) as u16;
            if wide == 0 || row >= area.height || at + wide > area.width {
                continue;
            }
            let cell = &mut buffer[(at, row)];
            cell.reset();
            cell.set_char(c).set_style(style);
            if wide == 2 {
                let half = &mut buffer[(at + 1, row)];
                half.reset();
                half.set_symbol("").set_style(style);
            }
            at += wide;
        }
        at - col
    }

    /// Draws a border along the inside of a rectangle.
    pub(super) fn border(&mut self, rect: Rect, line: Line, ink: Ink) {
        let style = self.theme.style(ink);
        let buffer = self.cells(rect);
        let rect = rect.intersection(buffer.area);
        if rect.width < 2 || rect.height < 2 {
            return;
        }
        let (left, right, top, bottom) = (rect.left(), rect.right() - 1, rect.top(), rect.bottom() - 1);
        let mut put = |col: u16, row: u16, glyph: &str| {
            let cell = &mut buffer[(col, row)];
            cell.reset();
            cell.set_symbol(glyph).set_style(style);
        };
        for col in left + 1..right {
            put(col, top, line.across);
            put(col, bottom, line.across);
        }
        for row in top + 1..bottom {
            put(left, row, line.down);
            put(right, row, line.down);
        }
        for (corner, (col, row)) in
            line.corners.iter().zip([(left, top), (right, top), (left, bottom), (right, bottom)])
        {
            put(col, row, corner);
        }
    }
}

//! [`Pen`]: how the next character will be drawn, read from SGR and written back as SGR.

use super::params::Params;
use super::types::{Color, Style, Underline};
use std::fmt::Write as _;
use std::sync::Arc;

/// Style, hyperlink and protection of what is printed next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Pen {
    pub(super) style: Style,
    pub(super) link: Option<Arc<str>>,
    /// DECSCA: selective erase spares the cell.
    pub(super) is_protected: bool,
}

/// The part of a [`Style`] that a vt100 cell has bits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attrs {
    pub(super) fg: Color,
    pub(super) bg: Color,
    pub(super) bold: bool,
    pub(super) dim: bool,
    pub(super) italic: bool,
    pub(super) underline: bool,
    pub(super) inverse: bool,
}

impl Attrs {
    /// What vt100 can hold of a style; the rest rides in marks.
    pub(super) fn of(style: &Style) -> Attrs {
        Attrs {
            fg: style.fg,
            bg: style.bg,
            bold: style.bold,
            dim: style.dim && !style.bold,
            italic: style.italic,
            underline: style.underline != Underline::None,
            inverse: style.inverse,
        }
    }

    /// Only a background: what erasing leaves behind.
    pub(super) fn background(bg: Color) -> Attrs {
        Attrs { bg, ..Attrs::default() }
    }

    /// The SGR sequence that sets exactly these, whatever was set before.
    pub(super) fn write_sgr(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[0");
        let flags = [
            (self.bold, b";1"),
            (self.dim, b";2"),
            (self.italic, b";3"),
            (self.underline, b";4"),
            (self.inverse, b";7"),
        ];
        for (is_set, code) in flags {
            if is_set {
                out.extend_from_slice(code);
            }
        }
        let mut text = String::new();
        write_color(&mut text, self.fg, 30);
        write_color(&mut text, self.bg, 40);
        out.extend_from_slice(text.as_bytes());
        out.push(b'm');
    }
}

/// Appends `;31`, `;38;5;200` or `;38;2;1;2;3`; nothing for the default colour.
fn write_color(out: &mut String, color: Color, base: u16) {
    let _ = match color {
        Color::Default => Ok(()),
        Color::Indexed(i @ 0..=7) => write!(out, ";{}", base + u16::from(i)),
        Color::Indexed(i @ 8..=15) => write!(out, ";{}", base + 52 + u16::from(i)),
        Color::Indexed(i) => write!(out, ";{};5;{i}", base + 8),
        Color::Rgb(r, g, b) => write!(out, ";{};2;{r};{g};{b}", base + 8),
    };
}

impl Pen {
    /// Applies the parameters of an SGR sequence; unknown ones are skipped, malformed colours dropped.
    pub(super) fn apply_sgr(&mut self, params: &Params) {
        apply_sgr(&mut self.style, params);
    }
}

/// SGR parameters (without `CSI` and `m`) that lead from the default to this style, `0` first.
pub(super) fn style_params(style: &Style) -> String {
    let mut out = String::from("0");
    let flags = [
        (style.bold, ";1"),
        (style.dim, ";2"),
        (style.italic, ";3"),
        (style.blink, ";5"),
        (style.inverse, ";7"),
        (style.hidden, ";8"),
        (style.strike, ";9"),
    ];
    for (is_set, code) in flags {
        if is_set {
            out.push_str(code);
        }
    }
    out.push_str(match style.underline {
        Underline::None => "",
        Underline::Single => ";4",
        Underline::Double => ";4:2",
        Underline::Curly => ";4:3",
        Underline::Dotted => ";4:4",
        Underline::Dashed => ";4:5",
    });
    write_color(&mut out, style.fg, 30);
    write_color(&mut out, style.bg, 40);
    let _ = match style.underline_color {
        Color::Default => Ok(()),
        Color::Indexed(i) => write!(out, ";58:5:{i}"),
        Color::Rgb(r, g, b) => write!(out, ";58:2::{r}:{g}:{b}"),
    };
    out
}

/// Applies SGR parameters to a style.
pub(super) fn apply_sgr(style: &mut Style, params: &Params) {
    if params.len() == 0 {
        *style = Style::default();
        return;
    }
    let mut groups = params.groups();
    while let Some(group) = groups.next() {
        match *group {
            [code @ (38 | 48 | 58)] => {
                let color = semicolon_color(&mut groups);
                let Some(color) = color else { continue };
                set_color(style, code, color);
            }
            [code @ (38 | 48 | 58), ref rest @ ..] => {
                if let Some(color) = colon_color(rest) {
                    set_color(style, code, color);
                }
            }
            [4, kind, ..] => {
                style.underline = match kind {
                    0 => Underline::None,
                    2 => Underline::Double,
                    3 => Underline::Curly,
                    4 => Underline::Dotted,
                    5 => Underline::Dashed,
                    _ => Underline::Single,
                }
            }
            [code] => apply_code(style, code),
            _ => {}
        }
    }
}

fn apply_code(style: &mut Style, code: u16) {
    match code {
        0 => *style = Style::default(),
        1 => style.bold = true,
        2 => style.dim = true,
        3 => style.italic = true,
        4 => style.underline = Underline::Single,
        5 | 6 => style.blink = true,
        7 => style.inverse = true,
        8 => style.hidden = true,
        9 => style.strike = true,
        // Terminals disagree on 21; none draws over a style that was asked for by its own code.
        21 if matches!(style.underline, Underline::None | Underline::Single) => style.underline = Underline::Double,
        22 => (style.bold, style.dim) = (false, false),
        23 => style.italic = false,
        24 => style.underline = Underline::None,
        25 => style.blink = false,
        27 => style.inverse = false,
        28 => style.hidden = false,
        29 => style.strike = false,
        30..=37 => style.fg = Color::Indexed((code - 30) as u8),
        39 => style.fg = Color::Default,
        40..=47 => style.bg = Color::Indexed((code - 40) as u8),
        49 => style.bg = Color::Default,
        59 => style.underline_color = Color::Default,
        90..=97 => style.fg = Color::Indexed((code - 82) as u8),
        100..=107 => style.bg = Color::Indexed((code - 92) as u8),
        _ => {}
    }
}

fn set_color(style: &mut Style, code: u16, color: Color) {
    match code {
        38 => style.fg = color,
        48 => style.bg = color,
        _ => style.underline_color = color,
    }
}

fn byte(value: u16) -> Option<u8> {
    u8::try_from(value).ok()
}

/// `2;r;g;b` or `5;n` behind a lone 38, 48 or 58; `38;2:r:g:b` is met too.
fn semicolon_color<'a>(groups: &mut impl Iterator<Item = &'a [u16]>) -> Option<Color> {
    match *groups.next()? {
        [2] => {
            let mut next = || groups.next().and_then(|group| group.first().copied());
            let (r, g, b) = (next(), next(), next());
            Some(Color::Rgb(byte(r?)?, byte(g?)?, byte(b?)?))
        }
        [5] => Some(Color::Indexed(byte(*groups.next()?.first()?)?)),
        ref group => colon_color(group),
    }
}

/// `2::r:g:b`, `2:r:g:b` or `5:n` after the colour code.
fn colon_color(rest: &[u16]) -> Option<Color> {
    match *rest {
        [2, r, g, b] => Some(Color::Rgb(byte(r)?, byte(g)?, byte(b)?)),
        [2, _, r, g, b, ..] => Some(Color::Rgb(byte(r)?, byte(g)?, byte(b)?)),
        [5, n, ..] => Some(Color::Indexed(byte(n)?)),
        _ => None,
    }
}

/// Whether vt100 reads these SGR parameters exactly as [`apply_sgr`] does, so that they may pass untouched.
pub(super) fn is_native_sgr(bytes: &[u8], params: &Params) -> bool {
    if bytes.contains(&b':') || params.len() >= super::params::PARAMS_CAP / 2 {
        return false;
    }
    let mut values = params.values().iter();
    while let Some(&value) = values.next() {
        match value {
            0 | 1 | 3 | 4 | 7 | 22..=24 | 27 | 30..=37 | 39..=47 | 49 | 90..=97 | 100..=107 => {}
            2 => {}
            38 | 48 => {
                let count = match values.next() {
                    Some(2) => 3,
                    Some(5) => 1,
                    _ => return false,
                };
                for _ in 0..count {
                    if values.next().is_none_or(|&value| value >= 256) {
                        return false;
                    }
                }
            }
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(sgr: &str) -> Style {
        let mut style = Style::default();
        apply_sgr(&mut style, &Params::parse(sgr.as_bytes()));
        style
    }

    #[test]
    fn every_style_survives_being_written_and_read() {
        for sgr in ["1;2;3;4;5;7;8;9", "4:3;58:2::1:2:3", "38;5;200;48;2;9;8;7", "94;105", "21;58;5;3", "4:5;31;42"] {
            let before = style(sgr);
            assert_eq!(style(&style_params(&before)), before, "{sgr}");
        }
    }

    #[test]
    fn colon_and_semicolon_colours_mean_the_same() {
        assert_eq!(style("38:2::1:2:3").fg, Color::Rgb(1, 2, 3));
        assert_eq!(style("38:2:1:2:3").fg, style("38;2;1;2;3").fg);
        assert_eq!(style("48:5:17").bg, style("48;5;17").bg);
    }

    #[test]
    fn twenty_one_doubles_a_plain_underline_and_no_other() {
        assert_eq!(style("21").underline, Underline::Double);
        assert_eq!(style("4;21").underline, Underline::Double);
        assert_eq!(style("4:3;21").underline, Underline::Curly);
    }

    #[test]
    fn an_out_of_range_colour_is_dropped_and_what_follows_holds() {
        assert_eq!(style("38;5;300;1"), style("1"));
        assert_eq!(style("38;2;1;2;999;3"), style("3"));
    }

    #[test]
    fn a_foreign_code_is_not_passed_to_the_engine() {
        for sgr in ["4:3", "9", "38;5;300", "58;5;1", "21", "38"] {
            assert!(!is_native_sgr(sgr.as_bytes(), &Params::parse(sgr.as_bytes())), "{sgr}");
        }
        assert!(is_native_sgr(b"0;1;38;5;9", &Params::parse(b"0;1;38;5;9")));
    }
}

//! How many colours a terminal shows, and what a style looks like there.

use std::fmt::Write as _;

use anstyle::{Ansi256Color, AnsiColor, Color, Effects, RgbColor};
use anstyle_lossy::palette::Palette;
use syntect::highlighting::{self, FontStyle};

/// How many colours a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The 16 of the palette.
    Ansi,
    /// The 256 of xterm.
    Indexed,
    /// 24 bits.
    True,
}

impl Depth {
    /// What COLORTERM and TERM say of a terminal.
    pub fn from_env(colorterm: &str, term: &str) -> Depth {
        let is_true = matches!(colorterm, "truecolor" | "24bit")
            || ["direct", "kitty", "alacritty", "foot", "ghostty", "wezterm"].iter().any(|name| term.contains(name));
        match is_true {
            true => Depth::True,
            false if term.contains("256") => Depth::Indexed,
            false => Depth::Ansi,
        }
    }

    /// The style as the terminal's attributes.
    pub(super) fn style(self, style: highlighting::Style) -> anstyle::Style {
        let pairs = [
            (FontStyle::BOLD, Effects::BOLD),
            (FontStyle::ITALIC, Effects::ITALIC),
            (FontStyle::UNDERLINE, Effects::UNDERLINE),
        ];
        let effects = pairs.iter().filter(|(font, _)| style.font_style.contains(*font));
        let effects = effects.fold(Effects::new(), |all, (_, effect)| all | *effect);
        anstyle::Style::new().fg_color(self.color(style.foreground)).effects(effects)
    }

    /// A colour as the terminal has it; `None` is the terminal's own.
    fn color(self, color: highlighting::Color) -> Option<Color> {
        // Themes made of the terminal's palette say so by colours that are not there: 0 is an entry, 1 its own colour.
        match color.a {
            0 if color.r < 16 => return Some(ansi(color.r)),
            0 => return Some(Color::Ansi256(Ansi256Color(color.r))),
            1 => return None,
            _ => {}
        }
        let rgb = RgbColor(color.r, color.g, color.b);
        Some(match self {
            Depth::True => Color::Rgb(rgb),
            Depth::Indexed => Color::Ansi256(anstyle_lossy::rgb_to_xterm(rgb)),
            Depth::Ansi => Color::Ansi(anstyle_lossy::rgb_to_ansi(rgb, Palette::default())),
        })
    }
}

/// Appends text in a style, which ends with it and before a line's end.
pub(super) fn push(style: anstyle::Style, text: &str, out: &mut String) {
    let body = text.trim_end_matches('\n');
    // Blanks have no colour: they need none.
    let is_seen = !body.trim().is_empty() || style.get_effects().contains(Effects::UNDERLINE);
    let _ = match is_seen && !style.is_plain() {
        true => write!(out, "{style}{body}{style:#}"),
        false => write!(out, "{body}"),
    };
    out.push_str(&text[body.len()..]);
}

fn ansi(index: u8) -> Color {
    Ansi256Color(index).into_ansi().unwrap_or(AnsiColor::White).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_comes_as_near_as_the_terminal_can() {
        let style = |r, g, b, a| highlighting::Style {
            foreground: highlighting::Color { r, g, b, a },
            background: highlighting::Color::BLACK,
            font_style: FontStyle::BOLD,
        };
        let shown = |depth: Depth, style| {
            let mut out = String::new();
            push(depth.style(style), "x", &mut out);
            out
        };
        let pink = style(249, 38, 114, 255);
        assert_eq!(shown(Depth::True, pink), "\x1b[1m\x1b[38;2;249;38;114mx\x1b[0m");
        assert_eq!(shown(Depth::Indexed, pink), "\x1b[1m\x1b[38;5;197mx\x1b[0m");
        assert_eq!(shown(Depth::Ansi, style(200, 10, 10, 255)), "\x1b[1m\x1b[31mx\x1b[0m");
        assert_eq!(shown(Depth::True, style(2, 0, 0, 0)), "\x1b[1m\x1b[32mx\x1b[0m", "a theme of the palette");
        assert_eq!(shown(Depth::True, style(0, 0, 0, 1)), "\x1b[1mx\x1b[0m", "the terminal's own colour");
        assert_eq!(Depth::from_env("truecolor", "xterm"), Depth::True);
        assert_eq!(Depth::from_env("", "screen-256color"), Depth::Indexed);
        assert_eq!(Depth::from_env("", "linux"), Depth::Ansi);
    }
}

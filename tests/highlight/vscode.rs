//! A theme of VS Code as the highlighter's.

use std::str::FromStr;

use serde_json::Value;
use syntect::highlighting::{Color, FontStyle, ScopeSelectors, StyleModifier, Theme, ThemeItem, ThemeSettings};

pub(crate) fn theme(name: &str, json: &Value) -> Theme {
    let is_light = json["type"] == "light";
    let colors = &json["colors"];
    let (paper, ink) = if is_light { (grey(0xff), grey(0x33)) } else { (grey(0x1e), grey(0xd4)) };
    let background = color(&colors["editor.background"], paper).unwrap_or(paper);
    let mut foreground = color(&colors["editor.foreground"], background)
        .or_else(|| color(&colors["foreground"], background))
        .unwrap_or(ink);
    let mut scopes = Vec::new();
    let rules = ["tokenColors", "settings"].into_iter().find_map(|key| json[key].as_array());
    for rule in rules.into_iter().flatten() {
        let settings = &rule["settings"];
        let (own, style) = (color(&settings["foreground"], background), font_style(&settings["fontStyle"]));
        let wanted: Vec<&str> = match &rule["scope"] {
            Value::String(text) => text.split(',').collect(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).flat_map(|text| text.split(',')).collect(),
            _ => {
                foreground = own.unwrap_or(foreground);
                continue;
            }
        };
        for scope in wanted {
            let scope = scope.replace('>', " ");
            let Ok(scope) = ScopeSelectors::from_str(scope.trim()) else { continue };
            scopes.push(ThemeItem {
                scope,
                style: StyleModifier { foreground: own, background: None, font_style: style },
            });
        }
    }
    let gutter = color(&colors["editorLineNumber.foreground"], background);
    let settings = ThemeSettings {
        foreground: Some(foreground),
        background: Some(background),
        gutter_foreground: gutter,
        ..ThemeSettings::default()
    };
    Theme { name: Some(name.into()), author: None, settings, scopes }
}

fn grey(v: u8) -> Color {
    Color { r: v, g: v, b: v, a: 0xff }
}

/// `#rgb`, `#rrggbb` or `#rrggbbaa`, which is laid over the background.
fn color(text: &Value, under: Color) -> Option<Color> {
    let digits = text.as_str()?.strip_prefix('#')?;
    let wide: String = match digits.len() {
        3 | 4 => digits.chars().flat_map(|c| [c, c]).collect(),
        _ => digits.into(),
    };
    let byte = |at: usize| u8::from_str_radix(wide.get(at..at + 2)?, 16).ok();
    let (r, g, b, a) = (byte(0)?, byte(2)?, byte(4)?, byte(6).unwrap_or(0xff));
    let over =
        |own: u8, under: u8| ((u32::from(own) * u32::from(a) + u32::from(under) * u32::from(255 - a)) / 255) as u8;
    Some(Color { r: over(r, under.r), g: over(g, under.g), b: over(b, under.b), a: 0xff })
}

fn font_style(text: &Value) -> Option<FontStyle> {
    let all = text.as_str()?.split_whitespace().map(|word| match word {
        "bold" => FontStyle::BOLD,
        "italic" => FontStyle::ITALIC,
        "underline" => FontStyle::UNDERLINE,
        _ => FontStyle::empty(),
    });
    Some(all.fold(FontStyle::empty(), |all, one| all | one))
}

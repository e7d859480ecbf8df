//! Lines of one language in the colours of a theme.

use syntect::highlighting::{HighlightIterator, HighlightState, Highlighter, Style};
use syntect::parsing::{ParseState, ScopeStack};

use super::depth::push;
use super::{Depth, Language, Languages, Theme};
use crate::fleet::{is_deceptive, push_visible};

/// Bytes of a line that is still parsed; a longer one is plain, for expressions take long over it.
pub const LINE_CAP: usize = 16 * 1024;

/// Paints the lines of a text, one after the other.
pub struct Painter<'t> {
    highlighter: Highlighter<'t>,
    parse: ParseState,
    state: HighlightState,
    depth: Depth,
}

impl<'t> Painter<'t> {
    /// At the beginning of a text.
    pub fn new(language: Language, theme: &'t Theme, depth: Depth) -> Painter<'t> {
        let highlighter = Highlighter::new(theme);
        let state = HighlightState::new(&highlighter, ScopeStack::new());
        Painter { parse: ParseState::new(language.syntax()), highlighter, state, depth }
    }

    /// Appends a line with its end in colours; what controls or deceives a terminal is shown in it, not sent.
    pub fn line(&mut self, line: &str, out: &mut String) {
        let ops = match line.len() <= LINE_CAP {
            true => self.parse.parse_line(line, Languages::get().set()).ok(),
            false => None,
        };
        let Some(ops) = ops else { return push_clean(line, out) };
        // Neighbours that look alike are one piece.
        let (mut shown, mut last) = (String::new(), None);
        for (style, text) in HighlightIterator::new(&mut self.state, &ops, line, &self.highlighter) {
            let style = self.depth.style(style);
            if let Some(last) = last.filter(|last| *last != style) {
                push(last, &shown, out);
                shown.clear();
            }
            push_clean(text, &mut shown);
            last = Some(style);
        }
        push(last.unwrap_or_default(), &shown, out);
    }

    /// Appends something beside the text, in the colour that the theme has for line numbers.
    pub fn gutter(theme: &Theme, depth: Depth, text: &str, out: &mut String) {
        let mut style = Style::default();
        match theme.settings.gutter_foreground.or(theme.settings.foreground) {
            Some(color) => style.foreground = color,
            None => return out.push_str(text),
        }
        push(depth.style(style), text, out);
    }
}

/// Text without colours as a terminal may get it: what controls or deceives is shown, a colour of the text's own too.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_clean(text, &mut out);
    out
}

/// Text as a terminal may get it.
fn push_clean(text: &str, out: &mut String) {
    for c in text.chars() {
        match is_deceptive(c) && !matches!(c, '\t' | '\n') {
            true => push_visible(c, out),
            false => out.push(c),
        }
    }
}

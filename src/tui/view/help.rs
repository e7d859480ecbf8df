//! The help overlay: the table of actions by group, with the keys of each place.

use ratatui::layout::Rect;

use super::super::input::{ACTIONS, Context, Group, action};
use super::super::model::Model;
use super::super::theme::Ink;
use super::canvas::Canvas;

enum HelpLine {
    Blank,
    Heading(Group),
    Action(&'static action::Info),
}

fn lines() -> Vec<HelpLine> {
    let mut lines = Vec::new();
    for group in Group::ALL {
        if !lines.is_empty() {
            lines.push(HelpLine::Blank);
        }
        lines.push(HelpLine::Heading(group));
        // An action without a hint is a sibling of one that speaks for it, like pane 2 for pane 1.
        lines.extend(ACTIONS.iter().filter(|info| info.group == group && !info.hint.is_empty()).map(HelpLine::Action));
    }
    lines
}

/// Rows of the whole text.
pub(crate) fn rows() -> u16 {
    lines().len() as u16
}

/// Draws it from a row on.
///
/// ```text
/// ╭ Keys ────────────────────────────────────────────────────────╮
/// │ after Ctrl+g   observing                                     │
/// │ h ←            h ←          Go to the pane on the left       │
/// ```
pub(super) fn draw(model: &Model, area: Rect, scroll: u16, canvas: &mut Canvas<'_>) {
    let leader = model.setup.keymap.leader.to_string();
    let (x, width) = (area.x + 2, area.width.saturating_sub(4));
    let (col, second) = (14.min(width / 3), 16.min(width / 3));
    let intro = format!("{leader} is the leader: press it, then a key. Twice sends it as it is.");
    canvas.text(x, area.y + 1, width, &intro, Ink::OverlayDetail);
    canvas.text(x, area.y + 3, col, &format!("after {leader}"), Ink::OverlayDetail);
    canvas.text(x + col, area.y + 3, second, "observing", Ink::OverlayDetail);
    let top = area.y + 4;
    let height = area.bottom().saturating_sub(top + 1);
    let lines = lines();
    let first = usize::from(scroll).min(lines.len().saturating_sub(height.into()));
    for (index, line) in lines.iter().skip(first).take(height.into()).enumerate() {
        let y = top + index as u16;
        match line {
            HelpLine::Blank => {}
            HelpLine::Heading(group) => {
                canvas.text(x, y, width, group.title(), Ink::OverlayHeading);
            }
            HelpLine::Action(info) => {
                canvas.text(x, y, col - 1, &keys(info, Context::Leader), Ink::OverlayKey);
                let here = [Context::Watching, Context::Ended, Context::Sidebar];
                let here = here.iter().map(|context| keys(info, *context)).find(|keys| !keys.is_empty());
                canvas.text(x + col, y, second - 1, &here.unwrap_or_default(), Ink::OverlayKey);
                canvas.text(x + col + second, y, width - col - second, info.doc, Ink::Overlay);
            }
        }
    }
    let all = lines.len();
    let more = match (first > 0, first + usize::from(height) < all) {
        (_, true) => " j/k scroll · any other key closes · more below ",
        (true, false) => " j/k scroll · any other key closes · the end ",
        (false, false) => " any key closes ",
    };
    canvas.text(area.x + 2, area.bottom() - 1, area.width.saturating_sub(4), more, Ink::OverlayDetail);
}

fn keys(info: &action::Info, context: Context) -> String {
    let Some((_, keys)) = info.keys.iter().find(|(c, _)| *c == context) else { return String::new() };
    let glyph = |key: &&str| match *key {
        "Left" => "←".to_string(),
        "Right" => "→".to_string(),
        "Up" => "↑".to_string(),
        "Down" => "↓".to_string(),
        "1" => "1-9".to_string(),
        key => key.to_string(),
    };
    let keys: Vec<String> = keys.iter().map(glyph).take(2).collect();
    keys.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_in_the_help() {
        let shown = lines().iter().filter(|line| matches!(line, HelpLine::Action(_))).count();
        let siblings = ACTIONS.iter().filter(|info| info.hint.is_empty()).count();
        assert_eq!(shown + siblings, ACTIONS.len());
        assert_eq!(siblings, 8, "only panes 2 to 9 are spoken for by pane 1");
    }
}

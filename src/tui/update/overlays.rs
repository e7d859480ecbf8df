//! Keys while something lies over the panes.

use crate::fleet::{MachineId, SessionSpec};
use crate::term::keys::Key;

use super::super::effect::{Effect, Effects};
use super::super::input::KeyPress;
use super::super::model::{Field, Model, Overlay, Question, Severity};
use super::{broadcast, fleet, keys, panes, say};

/// Puts a layer on top.
pub(super) fn push(model: &mut Model, overlay: Overlay) {
    model.overlays.push(overlay);
    model.touch_all();
}

/// Asks for a machine, or straight for the command if there is only one.
pub(super) fn open_picker(model: &mut Model, effects: &mut Effects) {
    let online: Vec<MachineId> = model.fleet.online().map(|machine| machine.facts.id).collect();
    match online.as_slice() {
        [] => say(model, Severity::Warning, "No machine is online"),
        [only] => open_command(model, *only),
        _ => {
            let machines = model.matching_machines("");
            let here = model.focused_pane().map(|pane| pane.machine);
            let selected = machines.iter().position(|id| Some(*id) == here).unwrap_or(0);
            push(model, Overlay::PickMachine { filter: Field::default(), selected });
        }
    }
    let _ = effects;
}

/// Asks what to run on a machine.
pub(super) fn open_command(model: &mut Model, machine: MachineId) {
    if !model.fleet.machine(machine).is_some_and(|machine| machine.is_online) {
        let name = model.fleet.machine_name(machine).to_string();
        return say(model, Severity::Warning, format!("{name} is offline: no session can start there"));
    }
    push(model, Overlay::Command { machine, line: Field::default() });
}

/// A key for the topmost layer.
pub(super) fn key(model: &mut Model, press: KeyPress, effects: &mut Effects) {
    model.touch_all();
    let Some(mut overlay) = model.overlays.pop() else { return };
    let stays = match &mut overlay {
        Overlay::Help { scroll } => help_key(scroll, press),
        Overlay::PaneInfo { .. } => false,
        Overlay::Confirm(question) => confirm_key(model, *question, press, effects),
        Overlay::PickMachine { filter, selected } => pick_key(model, filter, selected, press),
        Overlay::Command { machine, line } => command_key(model, *machine, line, press, effects),
    };
    if stays {
        // A layer opened by the key lies above the one that stays.
        model.overlays.push(overlay);
    }
}

/// Text pasted into a line being typed.
pub(super) fn paste(model: &mut Model, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Some(Overlay::PickMachine { filter: field, .. } | Overlay::Command { line: field, .. }) =
        model.overlays.last_mut()
    {
        // Only the first line: a newline must not start anything.
        text.lines().next().unwrap_or_default().chars().for_each(|c| field.insert(c));
        model.touch_all();
    }
}

/// A key in a line of text.
pub(super) fn edit(field: &mut Field, press: KeyPress) {
    match press.key {
        Key::Backspace if press.mods.alt || press.mods.ctrl => field.delete_word(),
        Key::Backspace => field.backspace(),
        Key::Delete => field.delete(),
        Key::Left => field.step(false),
        Key::Right => field.step(true),
        Key::Home => field.jump(false),
        Key::End => field.jump(true),
        Key::Char(c) if press.mods.ctrl => match c {
            'a' => field.jump(false),
            'e' => field.jump(true),
            'u' => field.clear_before(),
            'w' => field.delete_word(),
            'h' => field.backspace(),
            'd' => field.delete(),
            _ => {}
        },
        _ => {
            if let Some(c) = press.text() {
                field.insert(c);
            }
        }
    }
}

fn help_key(scroll: &mut u16, press: KeyPress) -> bool {
    *scroll = match press.key {
        Key::Down | Key::Char('j') => scroll.saturating_add(1),
        Key::Up | Key::Char('k') => scroll.saturating_sub(1),
        Key::PageDown | Key::Char(' ' | 'd') => scroll.saturating_add(10),
        Key::PageUp | Key::Char('u') => scroll.saturating_sub(10),
        Key::Home | Key::Char('g') => 0,
        Key::End | Key::Char('G') => u16::MAX,
        _ => return false,
    };
    // The view clamps it too; here it must not run away from what is shown.
    *scroll = (*scroll).min(super::super::view::help_rows().saturating_sub(1));
    true
}

/// Whoever types on without looking must neither confirm nor reach the keys below: only the question's own keys count.
fn confirm_key(model: &mut Model, question: Question, press: KeyPress, effects: &mut Effects) -> bool {
    if question.yes().contains(&press.key) && !press.mods.ctrl {
        answer(model, question, effects);
        return false;
    }
    let is_cancel = matches!(press.key, Key::Char('c' | 'g')) && press.mods.ctrl;
    if is_cancel || question.no().contains(&press.key) {
        say(model, Severity::Info, "Nothing was done");
        return false;
    }
    if question == Question::Quit {
        // Somebody types, and means no question: what Enter ends then is a line, and not the wall.
        model.key_ms = model.now_ms;
        keys::hush(model);
        say(model, Severity::Info, "You are still here; Esc asks again");
        return false;
    }
    true
}

fn pick_key(model: &mut Model, filter: &mut Field, selected: &mut usize, press: KeyPress) -> bool {
    let machines = model.matching_machines(filter.text());
    match press.key {
        Key::Escape => return false,
        Key::Char('c' | 'g') if press.mods.ctrl => return false,
        Key::Down | Key::Tab => *selected = (*selected + 1).min(machines.len().saturating_sub(1)),
        Key::Char('n') if press.mods.ctrl => *selected = (*selected + 1).min(machines.len().saturating_sub(1)),
        Key::Up => *selected = selected.saturating_sub(1),
        Key::Char('p') if press.mods.ctrl => *selected = selected.saturating_sub(1),
        Key::Enter => {
            if let Some(machine) = machines.get(*selected) {
                open_command(model, *machine);
            }
            return machines.is_empty();
        }
        _ => {
            edit(filter, press);
            *selected = 0;
        }
    }
    true
}

fn command_key(
    model: &mut Model,
    machine: MachineId,
    line: &mut Field,
    press: KeyPress,
    effects: &mut Effects,
) -> bool {
    match press.key {
        Key::Escape => false,
        Key::Char('c' | 'g') if press.mods.ctrl => false,
        Key::Enter => {
            let spec = SessionSpec::command(command_of(line.text()));
            fleet::create(model, machine, spec, effects);
            false
        }
        _ => {
            edit(line, press);
            true
        }
    }
}

/// A plain line becomes program and arguments; one that needs a shell gets one.
fn command_of(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.is_empty() {
        return Vec::new();
    }
    let is_plain = line.chars().all(|c| c.is_alphanumeric() || " -_./=:,+@%".contains(c));
    if is_plain && !line.split_whitespace().next().is_some_and(|first| first.contains('=')) {
        return line.split_whitespace().map(str::to_string).collect();
    }
    ["sh", "-c", line].map(str::to_string).to_vec()
}

fn answer(model: &mut Model, question: Question, effects: &mut Effects) {
    match question {
        Question::Quit => effects.push(Effect::Quit),
        Question::Broadcast => broadcast::start(model, effects),
        Question::Kill(session) => {
            let name = fleet::session_label(model, session);
            effects.push(Effect::Destroy { session });
            if let Some(pane) = model.pane_of(session) {
                panes::close(model, pane, effects);
            }
            say(model, Severity::Success, format!("{name} was ended"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gets_a_shell_only_where_it_needs_one() {
        assert_eq!(command_of("  "), Vec::<String>::new());
        assert_eq!(command_of("tail -f /var/log/syslog"), ["tail", "-f", "/var/log/syslog"]);
        assert_eq!(command_of("ls | wc"), ["sh", "-c", "ls | wc"]);
        assert_eq!(command_of("A=1 env"), ["sh", "-c", "A=1 env"]);
    }
}

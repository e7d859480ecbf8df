//! What an attachment says about its pane.

use crate::client::AttachEvent;
use crate::fleet::{Refusal, Role};
use crate::term::Event;

use super::super::effect::{Effect, Effects};
use super::super::model::{LAG_SHOWN_US, Link, Model, Pane, PaneId, Severity};
use super::{broadcast, keys, say};

/// What a pane's replica does with what has just come, in [`crate::term::Screen::work`]: a usual piece whole, and of what is
/// dear some two milliseconds' worth.
const EVENT_WORK: u64 = 500_000;
/// The same for all that waits, in each turn of the wall.
const TURN_WORK: u64 = 1_000_000;
/// Bytes that wait for one replica; beyond it the keeper, whose own screen is as slow, is asked for the screen as it is.
const BACKLOG_CAP: u64 = 1024 * 1024;

/// Feeds replicas that lag behind, each its share of a turn.
pub(super) fn digest(model: &mut Model, effects: &mut Effects) {
    let (now, focused) = (model.now_ms, model.focused);
    let share = TURN_WORK / model.lagging().count().max(1) as u64;
    for pane in model.panes.values_mut().filter(|pane| !pane.backlog.is_empty()) {
        digest_pane(pane, share, now, focused == Some(pane.id), effects);
    }
}

fn digest_pane(pane: &mut Pane, work: u64, now_ms: u64, is_focused: bool, effects: &mut Effects) {
    pane.backlog.feed(&mut pane.screen, work);
    pane.is_fed = true;
    fed(pane, now_ms, is_focused, effects);
}

fn skip(pane: &mut Pane, now_ms: u64, effects: &mut Effects) {
    note_skipped(pane, pane.backlog.bytes(), now_ms);
    pane.backlog.clear();
    pane.is_skipping = true;
    effects.push(Effect::Refresh { pane: pane.id });
}

/// Takes an event; one for a pane that was closed meanwhile is dropped.
pub(super) fn event(model: &mut Model, id: PaneId, event: AttachEvent, effects: &mut Effects) {
    let is_focused = model.focused == Some(id);
    let (now, history_bytes) = (model.now_ms, model.setup.history_bytes);
    let Some(pane) = model.panes.get_mut(&id) else { return };
    if pane.unanswered_ms.take().is_some() && !matches!(event, AttachEvent::Unanswered(_)) {
        pane.is_frame_stale = true;
        model.touch_sidebar();
        model.touch_status();
    }
    let Some(pane) = model.panes.get_mut(&id) else { return };
    match event {
        AttachEvent::Output { data, .. } => {
            if pane.is_skipping {
                pane.skipped += data.len() as u64;
                return;
            }
            pane.backlog.output(data);
            if pane.backlog.bytes() > BACKLOG_CAP {
                return skip(pane, now, effects);
            }
            digest_pane(pane, EVENT_WORK, now, is_focused, effects);
        }
        AttachEvent::Keyframe { skipped, size, data, .. } => {
            pane.replace_screen(size, history_bytes, &data);
            note_skipped(pane, skipped, now);
            pane.is_frame_stale = true;
            fed(pane, now, is_focused, effects);
        }
        AttachEvent::Resized(size) => {
            pane.resize_screen(size);
            pane.is_body_stale = true;
            pane.is_frame_stale = true;
            pane.settle(now, is_focused);
        }
        AttachEvent::Attached { role, skipped, size, number, is_resumed, .. } => {
            pane.link = Link::Live;
            pane.role = role;
            pane.asked = pane.asked.filter(|asked| *asked != role);
            pane.number = number;
            if pane.screen.size() != size {
                pane.resize_screen(size);
            }
            if is_resumed {
                note_skipped(pane, skipped, now);
            }
            pane.is_body_stale = true;
            pane.settle(now, is_focused);
            granted(model, id, effects);
        }
        AttachEvent::RoleChanged(role) => {
            pane.role = role;
            pane.asked = pane.asked.filter(|asked| *asked != role);
            granted(model, id, effects);
        }
        AttachEvent::Presence(viewers) => {
            pane.viewers = viewers;
            pane.is_frame_stale = true;
            model.touch_status();
        }
        AttachEvent::Unanswered(silent) => {
            pane.unanswered_ms = Some(silent.as_millis() as u64);
            pane.is_frame_stale = true;
            model.touch_sidebar();
            model.touch_status();
        }
        AttachEvent::Latency(us) => {
            let is_shown = |us: Option<u32>| us.is_some_and(|us| us > LAG_SHOWN_US);
            pane.is_frame_stale |= is_shown(pane.latency_us) || is_shown(Some(us));
            pane.latency_us = Some(us);
        }
        AttachEvent::Exited(exit) => {
            pane.exit = Some(exit);
            pane.is_looking_back = false;
            ended(model, id);
        }
        AttachEvent::Refused(refusal) => refused(model, id, &refusal),
        AttachEvent::Lost(refusal) => {
            pane.link = Link::Lost(refusal.message);
            pane.is_frame_stale = true;
            model.touch_status();
        }
        AttachEvent::Closed(refusal) => {
            pane.link =
                Link::Closed(refusal.map_or_else(|| "the session is gone".to_string(), |refusal| refusal.message));
            ended(model, id);
        }
    }
}

/// A frame of ours was refused: what was asked for will not come.
pub(super) fn refused(model: &mut Model, id: PaneId, refusal: &Refusal) {
    let Some(pane) = model.panes.get_mut(&id) else { return };
    pane.asked = None;
    pane.typed_ahead.clear();
    pane.is_frame_stale = true;
    let name = model.panes.get(&id).map_or("?", |pane| model.fleet.machine_name(pane.machine)).to_string();
    say(model, Severity::Error, format!("{name}: {}", refusal.message));
}

/// The role is known: what was typed meanwhile goes out, the keeper learns the size.
fn granted(model: &mut Model, id: PaneId, effects: &mut Effects) {
    if let Some(pane) = model.panes.get_mut(&id).filter(|pane| pane.role == Role::Observer) {
        pane.told = None;
        if pane.asked.is_none() {
            pane.typed_ahead.clear();
        }
    }
    model.tell_sizes(effects);
    if let Some(pane) = model.panes.get_mut(&id).filter(|pane| pane.is_driven()) {
        for press in std::mem::take(&mut pane.typed_ahead) {
            keys::type_into(pane, press, effects);
        }
    }
    broadcast::check(model);
    model.touch_frames();
}

fn ended(model: &mut Model, id: PaneId) {
    if model.focused == Some(id) && model.panes.get(&id).is_some_and(|pane| pane.role == Role::Driver) {
        keys::hush(model);
    }
    if let Some(pane) = model.panes.get_mut(&id) {
        pane.typed_ahead.clear();
        pane.asked = None;
        pane.is_body_stale = true;
    }
    broadcast::check(model);
    model.touch_frames();
}

fn note_skipped(pane: &mut Pane, skipped: u64, now_ms: u64) {
    if skipped > 0 {
        pane.skipped += skipped;
        pane.skipped_at_ms = Some(now_ms);
        pane.has_history_gap = true;
        pane.is_frame_stale = true;
    }
}

fn fed(pane: &mut Pane, now_ms: u64, is_focused: bool, effects: &mut Effects) {
    // The keeper answers queries and keeps titles; a replica only shows.
    pane.screen.take_replies();
    for event in pane.screen.take_events() {
        match event {
            Event::Bell if is_focused => effects.push(Effect::Bell),
            Event::Title(_) => pane.is_frame_stale = true,
            _ => {}
        }
    }
    pane.settle(now_ms, is_focused);
    if pane.scroll.is_some() {
        pane.is_frame_stale = true;
    }
}

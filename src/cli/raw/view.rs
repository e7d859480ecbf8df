//! What is shown: the program's bytes as they are, and now and then a line of ours that leaves no trace.
//!
//! A replica of the session's screen follows the output. Before anything follows a line of ours, the replica paints the
//! screen as the program left it; so the line scrolls nowhere, and the program's cursor, colours and modes are its own.

use std::time::Duration;

use tokio::time::Instant;

use super::clip::Clip;
use super::gate::Gate;
use super::mode::MODES_OFF;
use super::screen::Output;
use super::{Ended, dumb, terminal_size};
use crate::client::AttachEvent;
use crate::fleet::{Code, Exit, Role, Size, Viewer, is_deceptive};
use crate::term::{Backlog, KeyframeScope, Screen};

/// How long a line of ours stays.
const NOTICE: Duration = Duration::from_secs(3);
/// A line of ours that output has painted over comes back once, when there was none for so long.
const REDRAW: Duration = Duration::from_millis(250);
/// Names of observers in the banner.
const NAMES: usize = 3;
/// Output that the replica may lag behind, bytes; then no more is taken, and the keeper sends keyframes instead.
const BACKLOG_CAP: u64 = 1024 * 1024;
/// What the replica does at once, in [`Screen::work`]: a usual piece whole, and of what is dear some milliseconds' worth.
const TURN_WORK: u64 = 1_000_000;

/// What `~?` shows.
const HELP: &str = "after Enter: ~. ends, ~# says who is here, ~~ types ~, ~? this";
const LOST: &str = "connection lost, retrying… (Enter ~ . ends)";

struct Notice {
    text: String,
    /// It goes by itself; `None` for as long as its cause lasts.
    until: Option<Instant>,
    is_shown: bool,
    /// When it comes back; `None` once it has.
    redraw_at: Option<Instant>,
    has_come_back: bool,
}

/// What is known about the session while it is shown.
pub(super) struct View {
    pub(super) role: Role,
    replica: Screen,
    /// Output that is on the person's terminal and not yet on the replica.
    backlog: Backlog,
    /// Between the program and the person's terminal.
    gate: Gate,
    /// The person's terminal.
    outer: Size,
    /// While that is smaller than the session.
    clip: Option<Clip>,
    viewers: Vec<Viewer>,
    is_lost: bool,
    is_attached: bool,
    exit: Option<Exit>,
    notice: Option<Notice>,
    greeting: String,
    /// The terminal cannot move its cursor: nothing is painted.
    is_dumb: bool,
}

impl View {
    /// `role` is the one that is asked for.
    pub(super) fn new(role: Role, outer: Size, greeting: String) -> View {
        View {
            role,
            replica: Screen::new(outer, 0),
            backlog: Backlog::default(),
            gate: Gate::new(role),
            outer,
            clip: None,
            viewers: Vec::new(),
            is_lost: false,
            is_attached: false,
            exit: None,
            notice: None,
            greeting,
            is_dumb: dumb::is_dumb(),
        }
    }

    /// Whether the program shows the other screen.
    pub(super) fn is_alternate(&self) -> bool {
        self.replica.modes().alternate
    }

    /// Whether more may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.bytes() < BACKLOG_CAP
    }

    /// Whether [`Self::digest`] has something to do.
    pub(super) fn is_lagging(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Brings the replica nearer to what is shown.
    pub(super) fn digest(&mut self) {
        self.backlog.feed(&mut self.replica, TURN_WORK);
        // The keeper answers the program's queries.
        drop((self.replica.take_replies(), self.replica.take_events()));
        if let Some(clip) = &mut self.clip {
            clip.wake();
        }
    }

    /// Brings the replica to what is shown, however long that takes.
    fn settle(&mut self) {
        while self.is_lagging() {
            self.digest();
        }
    }

    /// The next moment something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let notice = self.notice.as_ref();
        let until = notice.and_then(|notice| notice.until);
        let redraw = notice.filter(|notice| !notice.is_shown).and_then(|notice| notice.redraw_at);
        let frame = self.clip.as_ref().and_then(Clip::due);
        until.into_iter().chain(redraw).chain(frame).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, output: &mut Output) {
        let now = Instant::now();
        if let Some(notice) = &mut self.notice {
            if notice.until.is_some_and(|until| until <= now) {
                self.heal(output);
                self.notice = None;
                // A cause that lasts has the last word.
                if self.is_lost {
                    self.show(LOST.into(), None, output);
                }
            } else if !notice.is_shown && notice.redraw_at.is_some_and(|at| at <= now) {
                notice.has_come_back = true;
                notice.redraw_at = None;
                self.draw(output);
            }
        }
        if self.clip.as_ref().and_then(Clip::due).is_some_and(|due| due <= now) {
            self.draw_clip(output);
        }
    }

    /// The person's terminal has another size, or has shown something else: the session is painted anew.
    pub(super) fn resized(&mut self, output: &mut Output) {
        self.heal(output);
        if let Ok(size) = terminal_size() {
            self.outer = size;
        }
        self.repaint(output);
    }

    /// The terminal was given back: what the program had pushed there is gone.
    pub(super) fn was_given_back(&mut self) {
        self.gate.forget();
    }

    /// Paints the session as a client that comes now is shown it.
    fn repaint(&mut self, output: &mut Output) {
        if self.is_dumb {
            return;
        }
        self.settle();
        let painted = self.replica.keyframe(KeyframeScope::Terminal);
        self.show_screen(&painted, output);
    }

    /// Shows a screen that the replica has: whole if it fits, else a part of it.
    fn show_screen(&mut self, painted: &[u8], output: &mut Output) {
        output.push(&self.gate.restart());
        if self.is_dumb {
            return output.push(dumb::lines(&self.replica).as_bytes());
        }
        let size = self.replica.size();
        if size.rows() > self.outer.rows() || size.cols() > self.outer.cols() {
            if self.clip.is_none() {
                output.push(&self.gate.pass_painted(MODES_OFF));
            }
            self.clip = Some(Clip::new());
        } else {
            self.clip = None;
            output.push(&self.gate.pass(painted));
        }
    }

    fn draw_clip(&mut self, output: &mut Output) {
        let has_notice = self.notice.as_ref().is_some_and(|notice| notice.is_shown);
        if let Some(clip) = &mut self.clip {
            let frame = clip.draw(&self.replica, self.outer, has_notice);
            output.push(&self.gate.pass_painted(&frame));
        }
    }

    /// A line for a while.
    pub(super) fn say(&mut self, text: &str, output: &mut Output) {
        self.show(text.into(), Some(Instant::now() + NOTICE), output);
    }

    pub(super) fn help(&mut self, output: &mut Output) {
        self.say(HELP, output);
    }

    /// Tells where this is, and who else is here.
    pub(super) fn info(&mut self, output: &mut Output) {
        let watching = observers(&self.viewers);
        let drivers = self.viewers.len() - watching.len();
        let names = names(&watching);
        self.say(&format!("{drivers} driving, {} observing{names} · {}", watching.len(), self.greeting), output);
    }

    /// Takes what happened on the attachment; how it ended, if it did.
    pub(super) fn take(&mut self, event: AttachEvent, output: &mut Output) -> Option<Ended> {
        match event {
            AttachEvent::Output { data, .. } => {
                // In a part of the screen nothing but the part is drawn.
                if self.clip.is_none() {
                    self.heal(output);
                    output.push(&self.gate.pass(&data));
                }
                self.backlog.output(data);
                self.digest();
                self.put_off_notice();
            }
            AttachEvent::Keyframe { data, size, .. } => {
                self.heal(output);
                self.replica = Screen::from_keyframe(size, 0, &data);
                self.backlog.clear();
                self.show_screen(&data, output);
            }
            AttachEvent::Resized(size) => {
                self.heal(output);
                self.backlog.resized(size);
                self.repaint(output);
            }
            AttachEvent::Attached { role, size, skipped, .. } => {
                self.set_role(role, output);
                if self.replica.size() != size {
                    self.heal(output);
                    self.backlog.resized(size);
                    self.settle();
                    if self.is_attached {
                        self.repaint(output);
                    }
                }
                if std::mem::take(&mut self.is_lost) {
                    self.say(&reconnected(skipped), output);
                } else if !std::mem::replace(&mut self.is_attached, true) {
                    let greeting = self.greeting.clone();
                    self.say(&greeting, output);
                }
            }
            AttachEvent::RoleChanged(role) => self.set_role(role, output),
            AttachEvent::Presence(viewers) => self.presence(viewers, output),
            AttachEvent::Lost(refusal) => {
                tracing::debug!(%refusal, "the way to the session is cut");
                if refusal.code == Code::Unauthenticated {
                    // The key is good no longer: there is nothing to wait for.
                    self.heal(output);
                    return Some(Ended::Closed(refusal));
                }
                if !std::mem::replace(&mut self.is_lost, true) {
                    self.show(LOST.into(), None, output);
                }
            }
            AttachEvent::Refused(refusal) => self.say(&refusal.to_string(), output),
            AttachEvent::Exited(exit) => {
                self.exit = Some(exit);
                self.heal(output);
                return Some(Ended::Exited(exit));
            }
            AttachEvent::Closed(refusal) => {
                self.heal(output);
                return Some(match (self.exit, refusal) {
                    (Some(exit), _) => Ended::Exited(exit),
                    (None, Some(refusal)) => Ended::Closed(refusal),
                    (None, None) => Ended::Detached,
                });
            }
            AttachEvent::Latency(_) | AttachEvent::Unanswered(_) => {}
        }
        None
    }

    /// Paints the screen as the program left it, and puts the cursor below everything: our last words follow there.
    pub(super) fn leave(&mut self, output: &mut Output) {
        self.settle();
        self.heal(output);
        self.notice = None;
        self.draw_clip(output);
        output.push(&self.gate.interrupt());
        if !self.is_alternate() {
            let rows = self.replica.size().rows();
            let last = (0..rows).rev().find(|row| !self.replica.row_text(*row).trim().is_empty());
            let row = last.unwrap_or(0).max(self.replica.cursor().row).min(self.outer.rows() - 1);
            output.push(format!("\x1b[?6l\x1b[r\x1b[{};1H", row + 1).as_bytes());
        }
    }

    /// With another role another part of the screen's state may pass: it is painted anew.
    fn set_role(&mut self, role: Role, output: &mut Output) {
        if std::mem::replace(&mut self.role, role) == role {
            return;
        }
        self.heal(output);
        output.push(&self.gate.set_role(role));
        if self.is_attached && !self.is_dumb {
            self.settle();
            output.push(MODES_OFF);
            match &mut self.clip {
                Some(clip) => *clip = Clip::new(),
                None => output.push(&self.gate.pass_painted(&self.replica.keyframe(KeyframeScope::Terminal))),
            }
        }
    }

    fn presence(&mut self, viewers: Vec<Viewer>, output: &mut Output) {
        let watching = observers(&viewers);
        let is_other = watching.iter().map(|v| v.number).ne(observers(&self.viewers).iter().map(|v| v.number));
        if self.role == Role::Driver && is_other {
            self.say(&banner(&watching), output);
        }
        self.viewers = viewers;
    }

    fn show(&mut self, text: String, until: Option<Instant>, output: &mut Output) {
        if self.is_dumb {
            let text: String = text.chars().filter(|c| !is_deceptive(*c)).collect();
            return output.push(format!("\r\nfleetmux: {text}\r\n").as_bytes());
        }
        self.heal(output);
        self.notice = Some(Notice { text, until, is_shown: false, redraw_at: None, has_come_back: false });
        self.draw(output);
    }

    fn draw(&mut self, output: &mut Output) {
        if self.is_lagging() {
            // What the line covers is not known yet. So it is taken off at once when more comes.
            self.notice.iter_mut().for_each(|notice| notice.redraw_at = Some(Instant::now() + REDRAW));
            return;
        }
        let cursor = self.replica.cursor();
        let (row, col) = self.clip.as_ref().map_or((cursor.row, cursor.col), |clip| clip.cursor(&self.replica));
        let Some(notice) = &mut self.notice else { return };
        notice.is_shown = true;
        let width = usize::from(self.outer.cols()).saturating_sub(14);
        let text: String = notice.text.chars().filter(|c| !is_deceptive(*c)).take(width).collect();
        output.push(&self.gate.interrupt());
        // The terminal shows it also while the program holds an update back.
        output.push(
            format!(
                "\x1b\\\x1b[?2026l\x0f\x1b(B\x1b[?6l\x1b[4l\x1b[{};1H\x1b[0;7m fleetmux: {text} \x1b[m\x1b[K\x1b[{};{}H",
                self.outer.rows(),
                row + 1,
                col + 1
            )
            .as_bytes(),
        );
    }

    /// Takes the line of ours off, if it is on.
    fn heal(&mut self, output: &mut Output) {
        let Some(notice) = self.notice.as_mut().filter(|notice| notice.is_shown) else { return };
        notice.is_shown = false;
        notice.redraw_at = (!notice.has_come_back).then(|| Instant::now() + REDRAW);
        if let Some(clip) = &mut self.clip {
            return clip.forget_row(self.outer.rows() - 1);
        }
        output.push(format!("\x1b[r\x1b[{};1H\x1b[m\x1b[2K", self.outer.rows()).as_bytes());
        output.push(&self.gate.pass_painted(&self.replica.keyframe(KeyframeScope::Terminal)));
    }

    /// Under a program that writes all the time a line of ours would come and go with every piece.
    fn put_off_notice(&mut self) {
        let hidden = self.notice.as_mut().filter(|notice| !notice.is_shown);
        if let Some(at) = hidden.and_then(|notice| notice.redraw_at.as_mut()) {
            *at = Instant::now() + REDRAW;
        }
    }
}

/// After a cut the output of which is too much to be shown: how much is missing on this screen.
fn reconnected(skipped: u64) -> String {
    match skipped {
        0 => "reconnected".into(),
        bytes @ 1..1024 => format!("reconnected; {bytes} bytes of output were skipped"),
        bytes => format!("reconnected; {} KiB of output were skipped", bytes / 1024),
    }
}

fn observers(viewers: &[Viewer]) -> Vec<&Viewer> {
    viewers.iter().filter(|viewer| viewer.role == Role::Observer).collect()
}

/// `: ada@laptop, bob@desk`.
fn names(viewers: &[&Viewer]) -> String {
    let labels = viewers.iter().map(|viewer| viewer.label.as_str()).filter(|label| !label.is_empty());
    let labels: Vec<&str> = labels.take(NAMES).collect();
    if labels.is_empty() { String::new() } else { format!(": {}", labels.join(", ")) }
}

fn banner(observers: &[&Viewer]) -> String {
    let names = names(observers);
    match observers.len() {
        0 => "nobody observes this session any more".to_string(),
        1 => format!("1 observer is watching this session{names}"),
        many => format!("{many} observers are watching this session{names}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_counts_and_names_observers() {
        let viewer = |label: &str| Viewer {
            number: 1,
            role: Role::Observer,
            label: label.into(),
            size: Size::DEFAULT,
            owns_size: false,
            principal: String::new(),
        };
        let (ada, bob) = (viewer("ada@laptop"), viewer("bob@desk"));
        assert_eq!(banner(&[]), "nobody observes this session any more");
        assert_eq!(banner(&[&ada]), "1 observer is watching this session: ada@laptop");
        assert_eq!(banner(&[&ada, &bob]), "2 observers are watching this session: ada@laptop, bob@desk");
        assert_eq!(banner(&[&viewer("")]), "1 observer is watching this session");
    }
}

//! The wall on its terminal: feeds messages to `update` and decides when a frame is drawn.
//!
//! No fixed tick: the first change is drawn at once, later ones at most every frame interval, which grows when
//! frames are large. Panes that were typed into are drawn as soon as they answer. While the terminal has not
//! taken the last frame no new one is built.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::effect::{Effect, Effects};
use super::input::{Decoder, Input};
use super::model::{Damage, Model, PaneId};
use super::msg::Msg;
use super::presenter::{CursorAt, Depth, Presenter};
use super::terminal::Terminal;
use super::{update, view};
use crate::fleet::is_deceptive;

/// Shortest time between two frames: about 60 a second.
const FRAME: Duration = Duration::from_millis(16);
/// Longest, for floods that change most of the screen each time: 25 a second.
const FRAME_MAX: Duration = Duration::from_millis(40);
/// A flood is drawn so seldom that building frames takes at most one part in so many of the time.
const COST_SHARE: u32 = 12;
/// And its frames bring the outer terminal at most so many bytes a millisecond.
const BYTES_PER_MS: u64 = 400;
/// How long an answer to a key is awaited by drawing at once.
const ANSWER_WITHIN: Duration = Duration::from_millis(400);
/// How many frames a key may draw at once; a flood behind a key falls back to the common pace.
const ANSWER_FRAMES: u8 = 3;
/// Two frames of answers are at least so far apart: 64 panes that answer one key make a few frames, not 64.
const ANSWER_GAP: Duration = Duration::from_micros(700);
/// An incomplete key sequence is taken as it is after this time.
const SEQUENCE_WAIT: Duration = Duration::from_millis(25);

/// Model, presenter and terminal, and the pace of frames.
pub struct Stage {
    /// The wall.
    pub model: Model,
    /// The outer terminal.
    pub terminal: Terminal,
    presenter: Presenter,
    decoder: Decoder,
    inputs: Vec<Input>,
    cursor: Option<CursorAt>,
    last_frame: Instant,
    interval: Duration,
    /// Panes typed into lately, with the frames they may still draw at once.
    awaited: Vec<(PaneId, u8)>,
    awaited_since: Instant,
    title: String,
    has_bell: bool,
}

impl Stage {
    /// A wall on a terminal.
    pub fn new(model: Model, terminal: Terminal) -> Stage {
        let var = |name: &str| std::env::var(name).unwrap_or_default();
        let (cols, rows) = model.screen;
        let now = Instant::now();
        Stage {
            model,
            terminal,
            presenter: Presenter::new(cols, rows, Depth::from_env(&var("COLORTERM"), &var("TERM"))),
            decoder: Decoder::default(),
            inputs: Vec::new(),
            cursor: None,
            last_frame: now - FRAME_MAX,
            interval: FRAME,
            awaited: Vec::new(),
            awaited_since: now,
            title: String::new(),
            has_bell: false,
        }
    }

    /// Takes a message; the caller performs the effects. Redraws and bells are done here.
    pub fn take(&mut self, msg: Msg) -> Effects {
        let mut effects = update::update(&mut self.model, msg);
        if effects.is_empty() {
            return effects;
        }
        effects.retain(|effect| match effect {
            Effect::Input { pane, .. } => {
                self.await_answer(*pane);
                true
            }
            Effect::Redraw => {
                self.presenter.reset(self.model.screen.0, self.model.screen.1);
                self.model.touch_all();
                false
            }
            Effect::Bell => {
                self.has_bell = true;
                false
            }
            _ => true,
        });
        effects
    }

    /// Tells the wall the time.
    pub fn tell_time(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.take(Msg::Time(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)));
    }

    /// Bytes of the outer terminal as inputs, in order.
    pub fn decode(&mut self, bytes: &[u8]) -> Vec<Input> {
        self.decoder.feed(bytes, &mut self.inputs);
        std::mem::take(&mut self.inputs)
    }

    /// An incomplete key sequence waits; call [`Stage::flush_input`] after the time given.
    pub fn input_wait(&self) -> Option<Duration> {
        self.decoder.is_pending().then_some(SEQUENCE_WAIT)
    }

    /// Takes an incomplete key sequence as it is.
    pub fn flush_input(&mut self) -> Vec<Input> {
        self.decoder.flush(&mut self.inputs);
        std::mem::take(&mut self.inputs)
    }

    /// The outer terminal changed its size.
    pub fn resize(&mut self) -> Effects {
        let (cols, rows) = self.terminal.size();
        self.presenter.reset(cols, rows);
        self.take(Msg::Resized { cols, rows })
    }

    /// A key went to the pane lately: its answer is drawn at once, and incoming work is taken in small bites.
    pub fn is_awaiting(&self) -> bool {
        !self.awaited.is_empty() && self.awaited_since.elapsed() < ANSWER_WITHIN
    }

    /// Panes whose answer to a key is awaited: what comes for them is taken first.
    pub fn awaited(&self) -> Vec<u64> {
        let panes = self.awaited.iter().filter(|_| self.is_awaiting());
        panes.map(|(pane, _)| pane.0).collect()
    }

    /// When the next frame may be drawn; `None` while nothing waits or the terminal is busy.
    pub fn next_frame(&self) -> Option<Instant> {
        if self.terminal.is_writing() || !self.model.is_stale() {
            return self.held_until();
        }
        if self.is_answered() { Some(self.last_frame + ANSWER_GAP) } else { Some(self.last_frame + self.interval) }
    }

    /// Draws if it is time.
    pub fn draw(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.next_frame().is_none_or(|at| at > now) {
            return self.terminal.write_now();
        }
        let is_due = self.last_frame + self.interval <= now;
        let only: Option<Vec<PaneId>> = (!is_due).then(|| self.answered().collect());
        self.spend();
        let damage = self.model.take_damage(only.as_deref());
        self.present(&damage, now, is_due)
    }

    fn present(&mut self, damage: &Damage, started: Instant, is_due: bool) -> io::Result<()> {
        self.cursor = view::draw(&self.model, damage, &mut self.presenter);
        let title = self.wanted_title();
        let out = self.terminal.buffer();
        if std::mem::take(&mut self.has_bell) {
            out.push(7);
        }
        if title != self.title {
            out.extend_from_slice(format!("\x1b]2;{title}\x07").as_bytes());
            self.title = title;
        }
        self.presenter.present(self.cursor, out);
        let bytes = out.len();
        if is_due {
            let cost = started.elapsed();
            let by_bytes = Duration::from_millis(bytes as u64 / BYTES_PER_MS);
            self.interval = (cost * COST_SHARE).max(by_bytes).clamp(FRAME, FRAME_MAX);
            self.last_frame = started;
        }
        self.terminal.write_now()
    }

    fn await_answer(&mut self, pane: PaneId) {
        if self.awaited_since.elapsed() >= ANSWER_WITHIN {
            self.awaited.clear();
        }
        self.awaited_since = Instant::now();
        match self.awaited.iter_mut().find(|(id, _)| *id == pane) {
            Some((_, frames)) => *frames = ANSWER_FRAMES,
            None => self.awaited.push((pane, ANSWER_FRAMES)),
        }
    }

    /// Panes that answered a key and may be drawn at once.
    fn answered(&self) -> impl Iterator<Item = PaneId> {
        let is_calm = self.model.overlays.is_empty() && !self.model.needs_all() && !self.model.is_drawer;
        let is_open = is_calm && self.awaited_since.elapsed() < ANSWER_WITHIN;
        let now = self.model.now_ms;
        self.awaited.iter().filter(move |(_, frames)| is_open && *frames > 0).map(|(id, _)| *id).filter(move |id| {
            self.model.panes.get(id).is_some_and(|pane| pane.rect.is_some() && pane.is_stale() && !pane.is_held(now))
        })
    }

    fn is_answered(&self) -> bool {
        self.answered().next().is_some()
    }

    fn spend(&mut self) {
        let answered: Vec<PaneId> = self.answered().collect();
        for (_, frames) in self.awaited.iter_mut().filter(|(id, _)| answered.contains(id)) {
            *frames -= 1;
        }
    }

    /// A pane in a synchronized update is looked at again when its time is over.
    fn held_until(&self) -> Option<Instant> {
        if self.terminal.is_writing() {
            return None;
        }
        let stale = self.model.visible().filter(|pane| pane.is_stale());
        let since = stale.filter_map(|pane| pane.sync_since_ms).min()?;
        let left = (since + super::model::SYNC_MAX_MS).saturating_sub(self.model.now_ms);
        Some(Instant::now() + Duration::from_millis(left.max(1)))
    }

    /// Title of the outer terminal's window.
    fn wanted_title(&self) -> String {
        match self.model.focused_pane() {
            Some(pane) => format!("fleetmux · {}", self.model.fleet.machine_name(pane.machine)),
            None => "fleetmux".to_string(),
        }
        .chars()
        .filter(|c| !is_deceptive(*c))
        .collect()
    }
}

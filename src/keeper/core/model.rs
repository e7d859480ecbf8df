//! The screen of a session, and the output it has not taken yet: reading the terminal never waits for it, and nobody waits
//! for long while it works. It lags behind the log by a bounded number of bytes; then the program waits, and nobody else.

use std::ops::Range;

use bytes::Bytes;

use crate::fleet::Size;
use crate::stream::{LogItem, OutputLog};
use crate::term::{Backlog, Event, KeyframeScope, Screen};

/// Output that may wait for the screen while a flood is read, bytes: the screen takes large pieces fastest.
const LAG_CAP: u64 = 1024 * 1024;
/// Less may wait if it costs as much as the last output did: so much [`Screen::work`], less than a tenth of a second.
const LAG_WORK: u64 = 20_000_000;
/// But always so much, bytes: one read of the terminal.
const LAG_MIN: u64 = 64 * 1024;
/// More may wait if it is the answer to what somebody typed, bytes: people see it before the screen has it.
const LAG_ANSWER: u64 = 2 * LAG_CAP;
/// What the screen does before people are served again, about ten milliseconds.
const TURN_WORK: u64 = 2_000_000;
/// A log of at most so many bytes since the session's birth is replayed after a panic; more would take too long.
const REPLAY_CAP: u64 = 256 * 1024;

/// The screen and its backlog.
pub(super) struct Model {
    screen: Screen,
    backlog: Backlog,
    /// Size and history at birth.
    birth: (Size, usize),
    /// Panics that nobody was told of.
    panics: u32,
    is_replayed: bool,
}

impl Model {
    /// A blank screen.
    pub(super) fn new(size: Size, history_bytes: usize) -> Model {
        Model {
            screen: Screen::new(size, history_bytes),
            backlog: Backlog::default(),
            birth: (size, history_bytes),
            panics: 0,
            is_replayed: false,
        }
    }

    /// Output for the screen, in its turn.
    pub(super) fn output(&mut self, data: Bytes) {
        self.backlog.output(data);
    }

    /// Another size, after the output before it.
    pub(super) fn resized(&mut self, size: Size) {
        self.backlog.resized(size);
    }

    /// Whether more output may come.
    pub(super) fn may_take(&self) -> bool {
        self.backlog.bytes() < (LAG_WORK / self.backlog.byte_work().max(1)).clamp(LAG_MIN, LAG_CAP)
    }

    /// Whether the answer to what was typed may come, though other output may not.
    pub(super) fn may_take_answer(&self) -> bool {
        self.backlog.bytes() < LAG_ANSWER
    }

    /// Whether something waits for the screen.
    pub(super) fn is_lagging(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Bytes that wait for it.
    pub(super) fn lag(&self) -> u64 {
        self.backlog.bytes()
    }

    /// Resizes that wait before any more output.
    pub(super) fn resizes_here(&self) -> usize {
        self.backlog.resizes_first()
    }

    /// Brings the screen up to the log, or as far as the work of a turn takes it.
    pub(super) fn settle(&mut self, log: &OutputLog) {
        self.backlog.feed(&mut self.screen, TURN_WORK);
        if let Some(skipped) = self.screen.take_panic() {
            self.panics += 1;
            self.replay(log, &skipped);
        }
    }

    /// Brings the screen up to the log, however long it takes: the lag is bounded.
    pub(super) fn settle_all(&mut self, log: &OutputLog) {
        while self.is_lagging() {
            self.settle(log);
        }
    }

    /// After a panic: the screen anew from the log, but for the bytes that it panicked at. Where the log does not begin at the
    /// birth, or is long, the screen goes on with what it saved of itself; so it does if it panics once more.
    fn replay(&mut self, log: &OutputLog, skipped: &[Range<u64>]) {
        let is_whole = log.start() == 0 && log.end() <= REPLAY_CAP;
        if !is_whole || self.is_replayed || skipped.iter().all(Range::is_empty) {
            return;
        }
        self.is_replayed = true;
        let mut screen = Screen::new(self.birth.0, self.birth.1);
        let (mut at, mut resizes) = (0, 0);
        while let Some(item) = log.next(at, resizes, REPLAY_CAP as usize) {
            match item {
                LogItem::Resized(_, size) => {
                    screen.resize(size);
                    resizes += 1;
                }
                LogItem::Output(_, data) if data.is_empty() => break,
                LogItem::Output(_, data) => {
                    let is_kept = |offset: u64| !skipped.iter().any(|skipped| skipped.contains(&offset));
                    let kept = data.iter().zip(at..).filter(|(_, offset)| is_kept(*offset)).map(|(byte, _)| *byte);
                    screen.feed(&kept.collect::<Vec<u8>>());
                    at += data.len() as u64;
                    resizes = 0;
                }
            }
        }
        // It was all answered and told before.
        drop((screen.take_replies(), screen.take_events(), screen.take_panic()));
        self.screen = screen;
        self.backlog.clear();
    }

    /// How often the screen panicked since last asked.
    pub(super) fn take_panics(&mut self) -> u32 {
        std::mem::take(&mut self.panics)
    }

    /// Answers to the program's queries.
    pub(super) fn take_replies(&mut self) -> Vec<u8> {
        self.screen.take_replies()
    }

    /// What the program told.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        self.screen.take_events()
    }

    /// The screen as escape bytes, and its size: as of the log's end less the lag.
    pub(super) fn keyframe(&self, scope: KeyframeScope) -> (Vec<u8>, Size) {
        (self.screen.keyframe(scope), self.screen.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model and its log, as the core moves them.
    fn fed(model: &mut Model, log: &mut OutputLog, bytes: &[u8]) {
        let data = Bytes::copy_from_slice(bytes);
        log.append(data.clone());
        model.output(data);
    }

    fn shown(model: &Model) -> String {
        model.screen.row_text(0)
    }

    /// A division by zero in the emulator ended the keeper, and with it the session. Now it costs the sequence that caused it.
    #[test]
    fn a_panic_costs_the_sequence_that_caused_it_and_no_session() {
        for log_bytes in [1 << 20, 16 * 1024] {
            let (mut model, mut log) = (Model::new(Size::DEFAULT, 1 << 20), OutputLog::new(log_bytes));
            fed(&mut model, &mut log, &[b'.'; 40_000]);
            fed(&mut model, &mut log, b"\x1b[2J\x1b[H\x1b[1;31mbefore \x1bP+f!\x1b\\and after");
            model.settle_all(&log);
            assert_eq!(shown(&model), "before and after", "log of {log_bytes}");
            model.screen.visit_row(0, |col, cell| assert!(col >= 16 || cell.style.bold, "the style is kept"));
            assert_eq!((model.take_panics(), model.lag()), (1, 0));
            assert_eq!(log.start() == 0, model.is_replayed, "from the log where it is whole");
            fed(&mut model, &mut log, b", \x1bP+f!\x1b\\and on");
            model.settle_all(&log);
            assert_eq!(shown(&model), "before and after, and on");
        }
    }

    #[test]
    fn a_program_that_causes_panics_only_gets_nowhere_and_is_not_waited_for() {
        let (mut model, mut log) = (Model::new(Size::DEFAULT, 1 << 20), OutputLog::new(1 << 20));
        fed(&mut model, &mut log, &b"\x1bP+f!\x1b\\".repeat(1000));
        model.settle_all(&log);
        fed(&mut model, &mut log, b"\x1b\\fine");
        model.settle_all(&log);
        assert!(shown(&model).ends_with("fine"), "{}", shown(&model));
    }

    #[test]
    fn a_dear_flood_is_taken_in_turns_and_stops_being_read() {
        let (mut model, mut log) = (Model::new(Size::DEFAULT, 0), OutputLog::new(1 << 20));
        assert!(model.may_take());
        fed(&mut model, &mut log, &b"\x1b#8\x1b[2J".repeat(20_000));
        let mut turns = 0;
        while model.is_lagging() {
            let (before, lag) = (model.screen.work(), model.lag());
            model.settle(&log);
            turns += 1;
            assert!(model.screen.work() - before < 2 * TURN_WORK && model.lag() < lag, "turn {turns}");
            assert!(model.may_take() || model.lag() >= LAG_MIN);
        }
        assert!(turns > 10, "{turns} turns");
        fed(&mut model, &mut log, &[b'x'; LAG_MIN as usize]);
        assert!(!model.may_take(), "what cost so much may cost as much again");
        assert!(model.may_take_answer(), "what a person waits for comes all the same");
        fed(&mut model, &mut log, &vec![b'x'; LAG_ANSWER as usize]);
        assert!(!model.may_take_answer(), "but not without end");
    }
}

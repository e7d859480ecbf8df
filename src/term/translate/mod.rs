//! [`Term`]: every piece of terminal state but the cells, and what each sequence does to it.
//!
//! The engine under it knows neither origin mode nor insert mode nor saved cursors: positions given to it are
//! absolute, and what it cannot do is rewritten into what it can. Margins are the one state set in both.

mod ahead;
mod control;
mod cursor;
mod edit;
mod flow;
mod keyboard;
mod modes;
mod print;
mod reset;
mod rows;
mod sides;

pub(super) use keyboard::Keyboard;
pub(super) use rows::paint_grid;

use super::charset::Charsets;
use super::damage::{Damage, Filled};
use super::engine::Engine;
use super::history::{History, LineBuf};
use super::marks::{Extra, Marks};
use super::parser::Csi;
use super::pen::{Attrs, Pen};
use super::tabs::Tabs;
use super::types::{CursorShape, Event, MouseEncoding, MouseMode};
use crate::fleet::Size;
use std::collections::VecDeque;

/// Events kept until asked for; the oldest are dropped.
const EVENTS_CAP: usize = 256;
/// Bytes of replies kept until asked for; later ones are dropped whole.
const REPLIES_CAP: usize = 16 * 1024;
/// Bytes given to the engine at once, so that rows leaving the screen are collected before they pile up.
const PASS_BYTES: usize = 32 * 1024;

/// What a control sequence costs beyond its bytes and the cells it visits.
const SEQUENCE_WORK: usize = 16;

/// Modes a program can set that are not the cursor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModeSet {
    pub(super) insert: bool,
    pub(super) newline: bool,
    pub(super) autowrap: bool,
    pub(super) origin: bool,
    /// DECLRMM: left and right margins may be set.
    pub(super) sides: bool,
    pub(super) reverse_screen: bool,
    pub(super) app_cursor: bool,
    pub(super) app_keypad: bool,
    pub(super) paste: bool,
    pub(super) focus: bool,
    pub(super) synchronized: bool,
    pub(super) alternate_scroll: bool,
    pub(super) reverse_wrap: bool,
    pub(super) mouse: MouseMode,
    pub(super) mouse_encoding: MouseEncoding,
    pub(super) cursor_visible: bool,
    pub(super) cursor_shape: CursorShape,
    pub(super) cursor_blink: bool,
    /// xterm's modifyOtherKeys; 0 is off. The keys are the person's terminal's.
    pub(super) modify_keys: u16,
}

impl Default for ModeSet {
    fn default() -> ModeSet {
        ModeSet {
            insert: false,
            newline: false,
            autowrap: true,
            origin: false,
            sides: false,
            reverse_screen: false,
            app_cursor: false,
            app_keypad: false,
            paste: false,
            focus: false,
            synchronized: false,
            alternate_scroll: false,
            reverse_wrap: false,
            mouse: MouseMode::Off,
            mouse_encoding: MouseEncoding::Default,
            cursor_visible: true,
            cursor_shape: CursorShape::Default,
            cursor_blink: false,
            modify_keys: 0,
        }
    }
}

/// What DECSC keeps; one per screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) row: u16,
    pub(super) col: u16,
    pub(super) is_wrap_pending: bool,
    pub(super) pen: Pen,
    pub(super) charsets: Charsets,
    pub(super) is_origin: bool,
}

/// The translator.
pub(super) struct Term {
    pub(super) size: Size,
    pub(super) primary: Engine,
    pub(super) alternate: Option<Engine>,
    pub(super) is_alternate: bool,
    pub(super) history: History,
    pub(super) marks: Marks,
    pub(super) pen: Pen,
    /// Number of the mark every printed character needs, while the pen has what vt100 lacks.
    mark: Option<u32>,
    /// First and last row of the scrolling region.
    pub(super) top: u16,
    pub(super) bottom: u16,
    /// First and last column of it.
    pub(super) left: u16,
    pub(super) right: u16,
    /// A wrap is pending at the right margin, short of the last column.
    pub(super) is_wrap_at_side: bool,
    pub(super) modes: ModeSet,
    pub(super) charsets: Charsets,
    pub(super) tabs: Tabs,
    /// By screen: primary, alternate.
    pub(super) saved: [Saved; 2],
    /// Likewise.
    pub(super) keyboards: [Keyboard; 2],
    /// The character just printed, if nothing but text came since: REP repeats it.
    pub(super) last_char: Option<char>,
    pub(super) title: String,
    pub(super) title_stack: Vec<String>,
    pub(super) cwd: Option<String>,
    pub(super) palette: super::query::Palette,
    pub(super) damage: Damage,
    /// What the alternate screen holds while it is hidden, if known.
    hidden_fill: Option<Filled>,
    replies: Vec<u8>,
    events: VecDeque<Event>,
    line: LineBuf,
    /// Text on its way to the engine; reused.
    text: Vec<u8>,
    /// Rows read before they may leave the top.
    lines: Vec<LineBuf>,
    /// Rows that left the top since anything but lines came.
    scrolled: usize,
    /// The rows of the primary screen, while the engine is behind.
    ahead: Option<ahead::Ahead>,
    /// The engine panicked, and was built anew from its cells, since last asked.
    pub(super) has_rebuilt: bool,
    /// A keyframe is read: its private strings hold.
    pub(super) is_loading: bool,
    /// What was done, without what the engines count themselves; see [`Term::work`].
    pub(super) work: u64,
    /// No more is begun once so much was done.
    pub(super) work_limit: u64,
    /// Offset of the end of the bytes being taken.
    pub(super) end: u64,
    /// Offset of the beginning of what is being done: what is skipped, should it panic.
    pub(super) begun: u64,
    /// How many of the bytes follow what is being done: where to go on then.
    pub(super) to_come: usize,
}

impl Term {
    pub(super) fn new(size: Size, history_bytes: usize) -> Term {
        Term {
            size,
            primary: Engine::new(size, true),
            alternate: None,
            is_alternate: false,
            history: History::new(history_bytes),
            marks: Marks::default(),
            pen: Pen::default(),
            mark: None,
            top: 0,
            bottom: size.rows() - 1,
            left: 0,
            right: size.cols() - 1,
            is_wrap_at_side: false,
            modes: ModeSet::default(),
            charsets: Charsets::default(),
            tabs: Tabs::new(size.cols()),
            saved: Default::default(),
            keyboards: Default::default(),
            last_char: None,
            title: String::new(),
            title_stack: Vec::new(),
            cwd: None,
            palette: super::query::Palette::default(),
            damage: Damage::new(),
            hidden_fill: None,
            replies: Vec::new(),
            events: VecDeque::new(),
            line: LineBuf::default(),
            text: Vec::new(),
            lines: Vec::new(),
            scrolled: 0,
            ahead: None,
            has_rebuilt: false,
            is_loading: false,
            work: 0,
            work_limit: u64::MAX,
            end: 0,
            begun: 0,
            to_come: 0,
        }
    }

    /// What was done so far, in bytes given to the engine, bytes looked at, and cells visited.
    pub(super) fn work(&self) -> u64 {
        self.work + self.primary.work() + self.alternate.as_ref().map_or(0, Engine::work)
    }

    /// Whether more may be begun.
    pub(super) fn may_work(&self) -> bool {
        self.work_limit == u64::MAX || self.work() < self.work_limit
    }

    /// Notes that something is begun with so many of the bytes left, one of which it takes at least.
    pub(super) fn begin(&mut self, left: usize) {
        self.begun = self.end.saturating_sub(left as u64);
        self.to_come = left.saturating_sub(1);
    }

    /// Counts bytes looked at or cells visited.
    pub(super) fn spend(&mut self, count: usize) {
        self.work += count as u64;
    }

    /// Counts the cells of rows as visited.
    fn spend_rows(&mut self, rows: u16) {
        self.spend(usize::from(rows) * usize::from(self.size.cols()));
    }

    /// Counts the cells of rows as painted one by one.
    fn spend_painted_rows(&mut self, rows: u16) {
        self.spend(usize::from(rows) * usize::from(self.size.cols()) * 2);
    }

    /// Counts rows as made blank, which is the cheapest there is.
    fn spend_blank_rows(&mut self, rows: u16) {
        self.spend(usize::from(rows) * usize::from(self.size.cols()) / 8);
    }

    /// Takes what another terminal still has for its program and for us.
    pub(super) fn hand_over(&mut self, from: &mut Term) {
        self.events = std::mem::take(&mut from.events);
        self.replies = std::mem::take(&mut from.replies);
    }

    /// Takes over what the engines counted, before they are replaced.
    fn keep_work(&mut self) {
        self.work = self.work();
        self.primary.forget_work();
        if let Some(alternate) = &mut self.alternate {
            alternate.forget_work();
        }
    }

    /// The grid that is shown.
    pub(super) fn engine(&self) -> &Engine {
        debug_assert!(self.ahead.is_none(), "the engine is behind");
        match &self.alternate {
            Some(alternate) if self.is_alternate => alternate,
            _ => &self.primary,
        }
    }

    /// The grid that is shown, to change its cells.
    fn engine_mut(&mut self) -> &mut Engine {
        self.scrolled = 0;
        self.pen_engine()
    }

    /// The grid that is shown, to change what is not its cells.
    fn pen_engine(&mut self) -> &mut Engine {
        debug_assert!(self.ahead.is_none(), "the engine is behind");
        match &mut self.alternate {
            Some(alternate) if self.is_alternate => alternate,
            _ => &mut self.primary,
        }
    }

    fn last_row(&self) -> u16 {
        self.size.rows() - 1
    }

    fn last_col(&self) -> u16 {
        self.size.cols() - 1
    }

    /// Row and column with a pending wrap clamped away.
    pub(super) fn pos(&self) -> (u16, u16) {
        let (row, col) = self.engine_pos();
        (row, col.min(self.last_col()))
    }

    /// Row and column as a program counts them: from the margins in origin mode.
    pub(super) fn pos_from_origin(&self) -> (u16, u16) {
        let (row, col) = self.pos();
        if self.modes.origin { (row.saturating_sub(self.top), col.saturating_sub(self.left)) } else { (row, col) }
    }

    /// Whether the next character goes to the next row.
    pub(super) fn is_wrap_pending(&self) -> bool {
        self.is_wrap_at_side || self.engine_pos().1 >= self.size.cols()
    }

    /// Gives the engine bytes and takes the rows that left it.
    fn write(&mut self, bytes: &[u8]) {
        self.engine_mut().write(bytes);
        self.settle();
    }

    /// Whatever the engine did, brings history and guard up to date.
    fn settle(&mut self) {
        if self.engine().has_rows() {
            self.collect_rows();
        }
        if self.pen_engine().take_panic() {
            self.has_rebuilt = true;
            self.set_pen();
            self.set_margins();
            self.damage.all();
        }
    }

    /// Tells the engine the margins without moving the cursor.
    fn set_margins(&mut self) {
        let (top, bottom) = (u32::from(self.top) + 1, u32::from(self.bottom) + 1);
        self.pen_engine().put(format_args!("\x1b7\x1b[{top};{bottom}r\x1b8"));
    }

    /// Tells the engine the whole pen.
    fn set_pen(&mut self) {
        let mut bytes = Vec::with_capacity(32);
        Attrs::of(&self.pen.style).write_sgr(&mut bytes);
        self.pen_engine().write(&bytes);
        self.note_mark();
    }

    /// Looks up the mark that the pen needs.
    fn note_mark(&mut self) {
        self.mark = None;
        let Some(extra) = Extra::of(&self.pen) else { return };
        let cells = usize::from(self.size.rows()) * usize::from(self.size.cols());
        if self.marks.is_crowded(cells) {
            self.free_marks();
        }
        self.mark = self.marks.intern(extra);
    }

    /// Frees marks that no cell shows.
    fn free_marks(&mut self) {
        self.spend_rows(self.size.rows());
        self.spend(self.marks.len());
        let mut used = std::collections::HashSet::new();
        for engine in [Some(&self.primary), self.alternate.as_ref()].into_iter().flatten() {
            for row in 0..self.size.rows() {
                used.extend((0..self.size.cols()).filter_map(|col| engine.mark(row, col)));
            }
        }
        self.marks.retain(|index| used.contains(&index));
    }

    /// Changes the pen and tells the engine.
    fn change_pen(&mut self, change: impl FnOnce(&mut Pen)) {
        let before = Attrs::of(&self.pen.style);
        change(&mut self.pen);
        if Attrs::of(&self.pen.style) == before {
            self.note_mark();
        } else {
            self.set_pen();
        }
    }

    /// Keeps an event until asked for.
    pub(super) fn event(&mut self, event: Event) {
        if self.events.len() == EVENTS_CAP {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Keeps a reply until asked for.
    pub(super) fn reply(&mut self, reply: impl AsRef<[u8]>) {
        let reply = reply.as_ref();
        if self.replies.len() + reply.len() <= REPLIES_CAP {
            self.replies.extend_from_slice(reply);
        }
    }

    pub(super) fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// A control sequence.
    pub(super) fn csi(&mut self, csi: &Csi) {
        self.spend(SEQUENCE_WORK);
        let n = csi.params.get_or(0, 1);
        if csi.final_byte != b'b' {
            self.last_char = None;
        }
        match (csi.marker, csi.intermediate, csi.final_byte) {
            (0, 0, b'm') => self.change_pen(|pen| pen.apply_sgr(&csi.params)),
            (0, 0, b'@') => self.insert_cells(n),
            (0, 0, b'A') => self.up(n),
            (0, 0, b'B') => self.down(n),
            (0, 0, b'C' | b'a') => self.right(n),
            (0, 0, b'D') => self.back(n),
            (0, 0, b'j') => self.left(n),
            (0, 0, b'E') => (self.down(n), self.carriage_return()).1,
            (0, 0, b'F') => (self.up(n), self.carriage_return()).1,
            (0, 0, b'G' | b'`') => self.col_to(n - 1),
            (0, 0, b'H' | b'f') => self.to(n - 1, csi.params.get_or(1, 1) - 1),
            (0, 0, b'I') => self.tab_forward(n),
            (0, 0, b'J') => self.erase_display(csi.params.get(0)),
            (0, 0, b'K') => self.erase_line(csi.params.get(0)),
            (b'?', 0, b'J') => self.erase_unprotected(csi.params.get(0), true),
            (b'?', 0, b'K') => self.erase_unprotected(csi.params.get(0), false),
            (0, 0, b'L') => self.insert_lines(n),
            (0, 0, b'M') => self.delete_lines(n),
            (0, 0, b'P') => self.delete_cells(n),
            (0, 0, b'S') => self.scroll_up(n),
            (0, 0, b'T') if csi.params.len() <= 1 => self.scroll_down(n),
            (0, 0, b'^') => self.scroll_down(n),
            (0, b' ', b'@') => self.shift_columns(self.left, n, true),
            (0, b' ', b'A') => self.shift_columns(self.left, n, false),
            (0, b'\'', b'~') => self.shift_columns(self.pos().1, n, true),
            (0, b'\'', b'}') => self.shift_columns(self.pos().1, n, false),
            (0, 0, b'X') => self.erase_cells(n),
            (0, 0, b'Z') => self.tab_back(n),
            (0, 0, b'b') => self.repeat(n),
            (0, 0, b'd') => self.row_to(n - 1),
            (0, 0, b'e') => self.row_by(i32::from(n)),
            (0, 0, b'k') => self.row_by(-i32::from(n)),
            (0, 0, b'g') => match csi.params.get(0) {
                0 => self.tabs.set(self.pos().1, false),
                3 => self.tabs.clear(),
                _ => {}
            },
            (0 | b'?', 0, b'h' | b'l') => {
                for index in 0..csi.params.len() {
                    let mode = csi.params.values()[index];
                    self.set_mode(csi.marker == b'?', mode, csi.final_byte == b'h');
                }
            }
            (0, 0, b'r') => self.margins(csi.params.get_or(0, 1), csi.params.get(1)),
            (0, 0, b's') if self.modes.sides => self.sides(csi.params.get_or(0, 1), csi.params.get(1)),
            (0, 0, b's') if csi.params.len() == 0 => self.save_cursor(),
            (marker @ (b'<' | b'=' | b'>' | b'?'), 0, b'u') => self.keyboard_flags(marker, &csi.params),
            (0, 0, b'u') => self.restore_cursor(),
            (0, b' ', b'q') => self.cursor_style(csi.params.get(0)),
            (0, b'"', b'q') => {
                let is_protected = csi.params.get(0) == 1;
                self.change_pen(|pen| pen.is_protected = is_protected);
            }
            (0, b'!', b'p') => self.soft_reset(),
            (b'>', 0, b'm' | b'n') => self.modify_keys(csi.final_byte, &csi.params),
            (0, 0, b't') => self.window(&csi.params),
            _ => self.query(csi),
        }
    }
}

//! What a screen looks like, as a value that can be compared.

use fleetmux::fleet::Size;
use fleetmux::term::{Cursor, KeyframeScope, Modes, Screen};

/// Everything that can be seen of a screen.
#[derive(Clone, PartialEq)]
pub(crate) struct Look {
    pub(crate) rows: Vec<String>,
    pub(crate) wrapped: Vec<bool>,
    pub(crate) cursor: Cursor,
    pub(crate) is_wrap_pending: bool,
    pub(crate) modes: Modes,
    pub(crate) title: String,
    pub(crate) cwd: Option<String>,
    pub(crate) history: Vec<String>,
    pub(crate) total: u64,
}

impl std::fmt::Debug for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rows, history) = (self.rows.join("\n  "), self.history.join("\n  "));
        writeln!(f, "\n  {rows}\n  wrapped {:?} {:?} pending {}", self.wrapped, self.cursor, self.is_wrap_pending)?;
        writeln!(f, "  {:?} {:?} {:?}\n  history {}: \n  {history}", self.modes, self.title, self.cwd, self.total)
    }
}

/// A screen fed with some bytes.
pub(crate) fn screen(rows: u32, cols: u32, bytes: impl AsRef<[u8]>) -> Screen {
    let mut screen = Screen::new(Size::new(rows, cols), 1 << 20);
    screen.feed(bytes.as_ref());
    screen
}

/// Text of the rows.
pub(crate) fn rows(screen: &Screen) -> Vec<String> {
    (0..screen.size().rows()).map(|row| screen.row_text(row)).collect()
}

/// Text of the history.
pub(crate) fn history(screen: &Screen) -> Vec<String> {
    (0..screen.history_len()).map(|line| screen.history_text(line)).collect()
}

/// All that can be seen.
pub(crate) fn look(screen: &Screen) -> Look {
    let cell = |text: &mut String, cell: fleetmux::term::Cell<'_>| {
        let plain = fleetmux::term::Style::default();
        text.push_str(if cell.text.is_empty() { "·" } else { cell.text });
        if cell.width != 1 {
            text.push_str(&format!("<{}>", cell.width));
        }
        if cell.style != plain {
            text.push_str(&format!("{:?}", cell.style));
        }
        if let Some(link) = cell.link {
            text.push_str(&format!("[{link}]"));
        }
    };
    let mut rows = Vec::new();
    for row in 0..screen.size().rows() {
        let mut text = String::new();
        screen.visit_row(row, |_, found| cell(&mut text, found));
        rows.push(text);
    }
    let mut history = Vec::new();
    for line in 0..screen.history_len() {
        let mut text = String::new();
        screen.visit_history(line, |_, found| cell(&mut text, found));
        history.push(format!("{text}{}", if screen.is_history_wrapped(line) { "↩" } else { "" }));
    }
    Look {
        rows,
        wrapped: (0..screen.size().rows()).map(|row| screen.is_wrapped(row)).collect(),
        cursor: screen.cursor(),
        is_wrap_pending: screen.is_wrap_pending(),
        modes: screen.modes(),
        title: screen.title().to_owned(),
        cwd: screen.cwd().map(str::to_owned),
        history,
        total: screen.history_total(),
    }
}

/// The screen that the keyframe of another one tells.
pub(crate) fn replica(of: &Screen) -> Screen {
    Screen::from_keyframe(of.size(), 1 << 20, &of.keyframe(KeyframeScope::Replica { history_bytes: usize::MAX }))
}

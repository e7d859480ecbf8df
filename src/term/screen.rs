//! [`Screen`]: feed it a program's output, ask it for cells, replies, events and keyframes.

use crate::fleet::Size;
use std::num::NonZeroU16;

/// A colour as a program set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Color {
    /// The terminal's own foreground or background.
    #[default]
    Default,
    /// An entry of the 256-colour palette.
    Indexed(u8),
    /// A 24-bit colour.
    Rgb(u8, u8, u8),
}

/// The shape of an underline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Underline {
    /// No underline.
    #[default]
    None,
    /// One straight line.
    Single,
    /// Two straight lines.
    Double,
    /// A wave.
    Curly,
    /// Dots.
    Dotted,
    /// Dashes.
    Dashed,
}

/// How a cell is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Style {
    /// Foreground.
    pub fg: Color,
    /// Background.
    pub bg: Color,
    /// Colour of the underline.
    pub underline_color: Color,
    /// Shape of the underline.
    pub underline: Underline,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Blinking.
    pub blink: bool,
    /// Foreground and background swapped.
    pub inverse: bool,
    /// Drawn as blank.
    pub hidden: bool,
    /// Struck through.
    pub strike: bool,
}

/// One cell as it is read back; borrowed from the screen for the time of the visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The characters of the cell; empty for a blank one and for the second half of a wide character.
    pub text: &'a str,
    /// 1, 2 for a wide character, 0 for its second half.
    pub width: u8,
    /// How it is drawn.
    pub style: Style,
    /// Target of the OSC 8 hyperlink, if any.
    pub link: Option<&'a str>,
}

/// Shape of the cursor (DECSCUSR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CursorShape {
    /// What the outer terminal uses.
    #[default]
    Default,
    /// A block.
    Block,
    /// A line under the cell.
    Underline,
    /// A line before the cell.
    Bar,
}

/// Where the cursor is; the column is clamped to the last one while a wrap is pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Row from the top, zero-based.
    pub row: u16,
    /// Column from the left, zero-based.
    pub col: u16,
    /// Whether the program wants it shown.
    pub visible: bool,
    /// Shape asked for.
    pub shape: CursorShape,
    /// Whether it blinks.
    pub blink: bool,
}

/// Which mouse events the program asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MouseMode {
    /// None.
    #[default]
    Off,
    /// Presses only (mode 9).
    Press,
    /// Presses and releases (mode 1000).
    PressRelease,
    /// And motion while a button is held (mode 1002).
    ButtonMotion,
    /// And every motion (mode 1003).
    AnyMotion,
}

/// How mouse events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MouseEncoding {
    /// Bytes offset by 32.
    #[default]
    Default,
    /// UTF-8 (mode 1005).
    Utf8,
    /// SGR (mode 1006).
    Sgr,
}

/// Modes that change how input is encoded or how the pane is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// DECCKM.
    pub app_cursor: bool,
    /// DECKPAM.
    pub app_keypad: bool,
    /// Mode 2004.
    pub bracketed_paste: bool,
    /// Mode 1004.
    pub focus_events: bool,
    /// Mouse events asked for.
    pub mouse: MouseMode,
    /// Mouse encoding asked for.
    pub mouse_encoding: MouseEncoding,
    /// The alternate screen is shown.
    pub alternate: bool,
    /// A synchronized update (mode 2026) is open: do not draw yet, at most 150 ms.
    pub synchronized: bool,
}

/// Something a program said that is not text; strings are sanitised (no control characters, bounded length).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// BEL.
    Bell,
    /// OSC 0 or 2.
    Title(String),
    /// OSC 7, the path part.
    Cwd(String),
    /// OSC 133;A or B: the shell shows its prompt.
    PromptStart,
    /// OSC 133;C: a command starts.
    CommandStart,
    /// OSC 133;D: a command ended, with its exit code if told.
    CommandEnd(Option<i32>),
    /// OSC 52 write; the text, decoded.
    Clipboard(Vec<u8>),
    /// OSC 9 or 777.
    Notification(String),
}

/// How much a keyframe rebuilds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyframeScope {
    /// Everything, for a fresh [`Screen`] of the same size: saved state, both screens, modes, and the newest history
    /// lines that fit into so many bytes.
    Replica {
        /// Budget for history, bytes of escape stream.
        history_bytes: usize,
    },
    /// The visible screen, modes and cursor for a person's own terminal: no RIS, its scrollback is left alone.
    Terminal,
}

/// Rows changed since last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// None.
    Clean,
    /// These, as (first, last) inclusive.
    Span(u16, u16),
    /// All, or the size changed.
    All,
}

/// A terminal screen with its history.
pub struct Screen {
    parser: vt100::Parser,
}

impl Screen {
    /// A blank screen; history is bounded to so many bytes (0 keeps none).
    pub fn new(size: Size, history_bytes: usize) -> Screen {
        let (rows, cols) = non_zero(size);
        Screen { parser: vt100::Parser::new(rows, cols, history_bytes / 1000) }
    }

    /// Takes the next bytes of output; never panics, whatever they are.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
    }

    /// Bytes the program must get as answers to its queries; empties the store.
    pub fn take_replies(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Events since last asked; bounded, the oldest are dropped.
    pub fn take_events(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// Changes the size; history stays.
    pub fn resize(&mut self, size: Size) {
        let (rows, cols) = non_zero(size);
        self.parser.screen_mut().set_size(rows, cols);
    }

    /// Current size.
    pub fn size(&self) -> Size {
        let (rows, cols) = self.parser.screen().size();
        Size::new(rows.get().into(), cols.get().into())
    }

    /// Escape bytes that rebuild this state at this very point of the stream.
    pub fn keyframe(&self, _scope: KeyframeScope) -> Vec<u8> {
        self.parser.screen().state_formatted().into()
    }

    /// The cursor.
    pub fn cursor(&self) -> Cursor {
        let (row, col) = self.parser.screen().cursor_position();
        Cursor { row, col, visible: !self.parser.screen().hide_cursor(), shape: CursorShape::Default, blink: false }
    }

    /// Modes that matter for input and drawing.
    pub fn modes(&self) -> Modes {
        let screen = self.parser.screen();
        Modes {
            app_cursor: screen.application_cursor(),
            app_keypad: screen.application_keypad(),
            bracketed_paste: screen.bracketed_paste(),
            alternate: screen.alternate_screen(),
            ..Modes::default()
        }
    }

    /// The title last set, sanitised.
    pub fn title(&self) -> &str {
        ""
    }

    /// The working directory last told by OSC 7.
    pub fn cwd(&self) -> Option<&str> {
        None
    }

    /// Rows of the visible screen changed since last asked.
    pub fn take_dirty(&mut self) -> Rows {
        Rows::All
    }

    /// Number of lines in the history, oldest first; 0 while nothing has scrolled off.
    pub fn history_len(&self) -> usize {
        0
    }

    /// Number of lines that ever entered the history: a line keeps its number when older ones are dropped.
    pub fn history_total(&self) -> u64 {
        0
    }

    /// Visits the cells of a row of the visible screen, left to right; rows outside are not visited.
    pub fn visit_row(&self, row: u16, mut visit: impl FnMut(u16, Cell<'_>)) {
        for col in 0..self.size().cols() {
            if let Some(cell) = self.parser.screen().cell(row, col) {
                let width = if cell.is_wide() { 2 } else { u8::from(!cell.is_wide_continuation()) };
                visit(col, Cell { text: cell.contents(), width, style: Style::default(), link: None });
            }
        }
    }

    /// Visits the cells of a history line (0 is the oldest), left to right, up to its last written cell.
    pub fn visit_history(&self, _line: usize, _visit: impl FnMut(u16, Cell<'_>)) {}

    /// Text of a row of the visible screen without trailing blanks.
    pub fn row_text(&self, row: u16) -> String {
        let mut text = String::new();
        self.visit_row(row, |_, cell| {
            text.push_str(if cell.text.is_empty() && cell.width == 1 { " " } else { cell.text })
        });
        text.truncate(text.trim_end().len());
        text
    }

    /// Text of a history line (0 is the oldest) without trailing blanks.
    pub fn history_text(&self, _line: usize) -> String {
        String::new()
    }

    /// Whether a row of the visible screen continues on the next one.
    pub fn is_wrapped(&self, row: u16) -> bool {
        self.parser.screen().row_wrapped(row)
    }

    /// Whether a history line (0 is the oldest) continues on the next one.
    pub fn is_history_wrapped(&self, _line: usize) -> bool {
        false
    }
}

fn non_zero(size: Size) -> (NonZeroU16, NonZeroU16) {
    let one = NonZeroU16::MIN;
    (NonZeroU16::new(size.rows()).unwrap_or(one), NonZeroU16::new(size.cols()).unwrap_or(one))
}

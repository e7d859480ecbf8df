//! What a screen is read as: cells, styles, cursor, modes, events. Plain values; nothing here knows an engine.

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
    /// Flag 1 of the kitty keyboard protocol: keys that are no text are sent as `CSI u`.
    pub disambiguate: bool,
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
    /// Everything, for a fresh [`Screen`](super::Screen) of the same size: saved state, both screens, modes, and the newest history
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

//! Palettes: files name roles such as `pane.border.driver`; views ask for an [`Ink`] and never name a colour.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// A theme file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// The file is no theme.
    #[error("theme {name}: {message}")]
    Malformed {
        /// Which one.
        name: String,
        /// What is wrong and where.
        message: String,
    },
    /// A directory of themes cannot be read.
    #[error("cannot read themes in {dir}: {source}")]
    Unreadable {
        /// The directory.
        dir: String,
        /// Why.
        source: std::io::Error,
    },
}

macro_rules! inks {
    ($($(#[$doc:meta])* $ink:ident = $name:literal,)*) => {
        /// A role of the screen that a theme gives a style.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Ink { $($(#[$doc])* $ink),* }

        impl Ink {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Ink] = &[$(Ink::$ink),*];

            /// Its name in theme files.
            pub fn name(self) -> &'static str {
                match self { $(Ink::$ink => $name),* }
            }
        }
    };
}

inks! {
    /// Where nothing is.
    Screen = "screen",
    /// A program's text in its own default colours.
    PaneText = "pane.text",
    /// Around a screen that is smaller than its pane.
    PaneFiller = "pane.filler",
    /// Words over a pane that has nothing to show yet.
    PaneNotice = "pane.notice",
    /// Border of an observed pane.
    PaneBorderObserver = "pane.border.observer",
    /// Border of a driven pane.
    PaneBorderDriver = "pane.border.driver",
    /// Border of the focused pane when observed.
    PaneBorderFocused = "pane.border.focused",
    /// Border of the focused pane when driven.
    PaneBorderFocusedDriver = "pane.border.focused.driver",
    /// Border of a pane marked for broadcast.
    PaneBorderMarked = "pane.border.marked",
    /// Border of a pane that receives a broadcast now.
    PaneBorderBroadcast = "pane.border.broadcast",
    /// Border of a pane whose session cannot be reached.
    PaneBorderLost = "pane.border.lost",
    /// Border of a pane whose program ended.
    PaneBorderEnded = "pane.border.ended",
    /// Title of a pane.
    PaneTitle = "pane.title",
    /// Title of the focused pane.
    PaneTitleFocused = "pane.title.focused",
    /// Lesser words in a border.
    PaneDetail = "pane.detail",
    /// Badge of a driver.
    BadgeDriver = "badge.driver",
    /// Badge of an observer.
    BadgeObserver = "badge.observer",
    /// Badge of a marked pane.
    BadgeMarked = "badge.marked",
    /// Badge of a receiver.
    BadgeBroadcast = "badge.broadcast",
    /// A lag, a loss, a clipped screen.
    BadgeWarning = "badge.warning",
    /// A failure.
    BadgeError = "badge.error",
    /// Scroll position.
    BadgeScroll = "badge.scroll",
    /// The sidebar's ground.
    Sidebar = "sidebar.text",
    /// Its first line.
    SidebarHeader = "sidebar.header",
    /// Lesser words in it.
    SidebarDetail = "sidebar.detail",
    /// The line that parts it from the panes.
    SidebarBorder = "sidebar.border",
    /// The chosen row while the sidebar has the focus.
    SidebarSelected = "sidebar.selected",
    /// The row of the focused pane while the sidebar has no focus.
    SidebarCurrent = "sidebar.current",
    /// Name of a machine.
    SidebarMachine = "sidebar.machine",
    /// Dot of a machine that is online.
    StatusOnline = "status.online",
    /// Dot of a machine that is offline.
    StatusOffline = "status.offline",
    /// Mark of fresh output.
    StatusActive = "status.active",
    /// The status line's ground.
    Bar = "bar.text",
    /// Lesser words in it.
    BarDetail = "bar.detail",
    /// A key in it.
    BarKey = "bar.key",
    /// Mode: keys go to the program.
    ModeDrive = "mode.drive",
    /// Mode: nothing typed is sent.
    ModeObserve = "mode.observe",
    /// Mode: looking back.
    ModeScroll = "mode.scroll",
    /// Mode: the leader was pressed.
    ModeLeader = "mode.leader",
    /// Mode: in the sidebar.
    ModeFleet = "mode.fleet",
    /// Mode: the program ended or is out of reach.
    ModeLost = "mode.lost",
    /// The whole status line while a broadcast is on.
    Broadcast = "broadcast.banner",
    /// An overlay's ground.
    Overlay = "overlay.text",
    /// Its border.
    OverlayBorder = "overlay.border",
    /// Its title.
    OverlayTitle = "overlay.title",
    /// Lesser words in it.
    OverlayDetail = "overlay.detail",
    /// A heading in it.
    OverlayHeading = "overlay.heading",
    /// A key in it.
    OverlayKey = "overlay.key",
    /// Its chosen row.
    OverlaySelected = "overlay.selected",
    /// Text being typed.
    OverlayInput = "overlay.input",
    /// A message of no weight.
    ToastInfo = "toast.info",
    /// A message that something went well.
    ToastSuccess = "toast.success",
    /// A message to heed.
    ToastWarning = "toast.warning",
    /// A message that something failed.
    ToastError = "toast.error",
    /// Pattern highlight: error.
    RuleError = "rule.error",
    /// Pattern highlight: warning.
    RuleWarning = "rule.warning",
    /// Pattern highlight: notice.
    RuleNotice = "rule.notice",
}

/// Themes that come with the program.
const EMBEDDED: &[(&str, &str)] = &[
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
];

/// A palette in use.
#[derive(Clone, Debug)]
pub struct Theme {
    /// Its name.
    pub name: String,
    styles: Vec<Style>,
    ansi: Option<[Color; 16]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    palette: BTreeMap<String, String>,
    /// The 16 colours that programs name by number, where the outer terminal's own would not be readable.
    ansi: Option<Vec<String>>,
    roles: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    fg: Option<String>,
    bg: Option<String>,
    #[serde(default)]
    bold: bool,
    #[serde(default)]
    dim: bool,
    #[serde(default)]
    italic: bool,
    #[serde(default)]
    underline: bool,
    #[serde(default)]
    reverse: bool,
}

impl Theme {
    /// Reads a theme; every role must be present and none unknown.
    pub fn parse(name: &str, text: &str) -> Result<Theme, ThemeError> {
        let wrong = |message: String| ThemeError::Malformed { name: name.to_string(), message };
        let file: File = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let colour = |text: &String| -> Result<Color, ThemeError> {
            let named = file.palette.get(text).unwrap_or(text);
            parse_colour(named)
                .ok_or_else(|| wrong(format!("{text:?} is no colour: write #rrggbb, 0-255 or a palette name")))
        };
        if let Some(unknown) = file.roles.keys().find(|key| !Ink::ALL.iter().any(|ink| ink.name() == key.as_str())) {
            return Err(wrong(format!("there is no role {unknown:?}")));
        }
        let mut styles = Vec::with_capacity(Ink::ALL.len());
        for ink in Ink::ALL {
            let entry = file.roles.get(ink.name()).ok_or_else(|| wrong(format!("role {:?} is missing", ink.name())))?;
            let mut style = Style::new();
            style.fg = entry.fg.as_ref().map(colour).transpose()?;
            style.bg = entry.bg.as_ref().map(colour).transpose()?;
            for (on, modifier) in [
                (entry.bold, Modifier::BOLD),
                (entry.dim, Modifier::DIM),
                (entry.italic, Modifier::ITALIC),
                (entry.underline, Modifier::UNDERLINED),
                (entry.reverse, Modifier::REVERSED),
            ] {
                if on {
                    style = style.add_modifier(modifier);
                }
            }
            styles.push(style);
        }
        let ansi = match &file.ansi {
            None => None,
            Some(list) => {
                let colours = list.iter().map(colour).collect::<Result<Vec<_>, _>>()?;
                Some(colours.try_into().map_err(|_| wrong("ansi needs 16 colours".into()))?)
            }
        };
        Ok(Theme { name: name.to_string(), styles, ansi })
    }

    /// The style of a role.
    pub fn style(&self, ink: Ink) -> Style {
        self.styles[ink as usize]
    }

    /// A program's palette colour as this theme shows it.
    pub fn indexed(&self, index: u8) -> Color {
        match self.ansi {
            Some(ansi) if index < 16 => ansi[index as usize],
            _ => Color::Indexed(index),
        }
    }

    /// The same without colours, for `NO_COLOR`: a ground becomes reverse video.
    pub fn without_colour(mut self) -> Theme {
        let grounds = [Ink::Screen, Ink::PaneText, Ink::Sidebar, Ink::Bar, Ink::Overlay, Ink::PaneFiller];
        let plain: Vec<Option<Color>> = grounds.iter().map(|ink| self.style(*ink).bg).collect();
        for style in &mut self.styles {
            if style.bg.is_some() && !plain.contains(&style.bg) {
                *style = style.add_modifier(Modifier::REVERSED);
            }
            style.fg = None;
            style.bg = None;
        }
        self.ansi = None;
        self
    }
}

/// All themes: the embedded ones, then those of a directory, which replace embedded ones of the same name.
pub fn load(dir: Option<&Path>) -> Result<Vec<Theme>, ThemeError> {
    let mut themes = Vec::new();
    for (name, text) in EMBEDDED {
        themes.push(Theme::parse(name, text)?);
    }
    let Some(dir) = dir.filter(|dir| dir.is_dir()) else { return Ok(themes) };
    let unreadable = |source| ThemeError::Unreadable { dir: dir.display().to_string(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let theme = Theme::parse(&name, &std::fs::read_to_string(&path).map_err(unreadable)?)?;
        themes.retain(|known| known.name != name);
        themes.push(theme);
    }
    Ok(themes)
}

fn parse_colour(text: &str) -> Option<Color> {
    if text == "default" {
        return Some(Color::Reset);
    }
    if let Some(hex) = text.strip_prefix('#').filter(|hex| hex.len() == 6) {
        let n = u32::from_str_radix(hex, 16).ok()?;
        return Some(Color::Rgb((n >> 16) as u8, (n >> 8) as u8, n as u8));
    }
    text.parse().ok().map(Color::Indexed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_theme_names_every_role() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("themes");
        let mut files = 0;
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Theme::parse(&name, &std::fs::read_to_string(&path).unwrap()).unwrap();
            assert!(EMBEDDED.iter().any(|(known, _)| *known == name), "{name} is not embedded");
            files += 1;
        }
        assert_eq!(files, EMBEDDED.len());
        assert_eq!(load(Some(&dir)).unwrap().len(), EMBEDDED.len());
    }

    #[test]
    fn a_theme_with_a_hole_or_a_typo_says_so() {
        let dark = EMBEDDED[0].1;
        let hole = dark.replace("\"rule.error\"", "\"rule.eror\"");
        assert!(Theme::parse("x", &hole).unwrap_err().to_string().contains("there is no role \"rule.eror\""));
        let gone: String = dark.lines().filter(|l| !l.contains("rule.error")).collect::<Vec<_>>().join("\n");
        assert!(Theme::parse("x", &gone).unwrap_err().to_string().contains("\"rule.error\" is missing"));
    }

    #[test]
    fn without_colour_nothing_is_coloured_but_modes_still_stand_out() {
        for theme in load(None).unwrap() {
            let theme = theme.without_colour();
            for ink in Ink::ALL {
                assert_eq!((theme.style(*ink).fg, theme.style(*ink).bg), (None, None));
            }
            assert!(theme.style(Ink::Broadcast).add_modifier.contains(Modifier::REVERSED), "{}", theme.name);
        }
    }
}

//! The wall: live terminals of many machines side by side.
//!
//! `update` changes the [`model::Model`] by [`msg::Msg`]s and says what it wants done as [`effect::Effect`]s, `view`
//! draws it, `stage` paces frames on the [`terminal`], `driver` connects it to the fleet. Everything but the last
//! two is synchronous and deterministic; only this module says ratatui.

mod driver;
pub mod effect;
pub mod input;
pub mod model;
pub mod msg;
pub mod presenter;
pub mod stage;
pub mod terminal;
pub mod theme;
mod update;
mod view;

use std::path::PathBuf;

use crate::client::Client;
use input::Keymap;
use model::{Model, Setup};
use terminal::Terminal;

pub use model::Open;
pub use update::update;
pub use view::draw;

/// How the wall is to look and what it opens.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the theme; empty for `dark`.
    pub theme: String,
    /// A directory whose `*.toml` add to and replace the embedded themes.
    pub theme_dir: Option<PathBuf>,
    /// What is opened at the start.
    pub open: Open,
    /// Take the wheel of what is opened, instead of observing.
    pub drives: bool,
    /// Begin with a broadcast to the sessions that are opened by name.
    pub broadcasts: bool,
    /// A fleet without any session gets a shell on this very machine.
    pub shell_if_empty: bool,
    /// The leader key, spelled like `Ctrl+g`; empty for that.
    pub leader: String,
    /// What others see of this client: "ada@laptop".
    pub label: String,
    /// History asked for and kept for each pane, bytes.
    pub history_bytes: u32,
    /// The fleet, and with it every session, ends when the wall is left; who leaves is told.
    pub ends_fleet: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            theme: String::new(),
            theme_dir: None,
            open: Open::AllSessions,
            drives: false,
            broadcasts: false,
            shell_if_empty: true,
            leader: String::new(),
            label: String::new(),
            // About 10,000 lines of logs; 64 such panes stay below 100 MiB.
            history_bytes: 1 << 20,
            ends_fleet: false,
        }
    }
}

/// Why there is no wall.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No terminal to draw on.
    #[error(transparent)]
    Terminal(#[from] terminal::TerminalError),
    /// A theme file is wrong.
    #[error(transparent)]
    Theme(#[from] theme::ThemeError),
    /// There is no such theme.
    #[error("there is no theme {name:?}; choose one of: {known}")]
    UnknownTheme {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The leader is no key.
    #[error("leader: {0}")]
    Leader(#[from] input::KeyError),
    /// The terminal failed while the wall was open.
    #[error("the terminal failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Opens the wall and runs it until it is left; the terminal is given back on every way out. Needs a current-thread
/// runtime with I/O and time.
pub async fn run(client: Client, options: Options) -> Result<(), Error> {
    let mut themes = theme::load(options.theme_dir.as_deref())?;
    let name = if options.theme.is_empty() { "dark" } else { &options.theme };
    let Some(theme) = themes.iter().position(|theme| theme.name == name) else {
        let known: Vec<&str> = themes.iter().map(|theme| theme.name.as_str()).collect();
        return Err(Error::UnknownTheme { name: name.to_string(), known: known.join(", ") });
    };
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        themes = themes.into_iter().map(theme::Theme::without_colour).collect();
    }
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let setup = Setup {
        keymap: Keymap::with_leader(&options.leader)?,
        themes,
        theme,
        open: options.open,
        drives: options.drives,
        broadcasts: options.broadcasts,
        shell_on: options.shell_if_empty.then_some(hostname),
        history_bytes: options.history_bytes as usize,
        ends_fleet: options.ends_fleet,
    };
    let terminal = Terminal::enter()?;
    let (cols, rows) = terminal.size();
    driver::drive(client, Model::new(setup, cols, rows), terminal, options.label, options.history_bytes).await?;
    Ok(())
}

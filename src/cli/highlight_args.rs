//! Flags of `fleetmux highlight`, which is also called `ccat`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, ValueEnum};

use super::args::IdentityArgs;
use crate::fleet::Endpoint;

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
On a terminal what does not fit goes to a pager: FLEETMUX_PAGER, PAGER, or less. Into a pipe or a file everything goes as it \
is, byte for byte, unless --color=always asks for colours. A line of more than 16 KiB, and text that takes too long, is shown \
plain; what controls a terminal is shown, and not sent to it.

Examples:
  fleetmux highlight main.rs                 in colours, in a pager if it does not fit
  fleetmux highlight web-1:/etc/nginx/nginx.conf
  fleetmux highlight -n --range 100:140 web-1:/var/log/syslog
  curl -s localhost/api | fleetmux highlight -l json
  tail -f app.log | fleetmux highlight --no-pager -l log
  fleetmux install-alias                     and then: ccat main.rs

Variables: FLEETMUX_HIGHLIGHT_THEME, COLORFGBG, FLEETMUX_PAGER, PAGER, NO_COLOR, COLORTERM

Exit codes: 0 all was shown; 255 our own failure, for example a file that is not there")]
pub(super) struct HighlightArgs {
    /// Files here, or on a machine as MACHINE:PATH; - or none is standard input
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<OsString>,
    /// Number the lines
    #[arg(short = 'n', long)]
    pub(super) number: bool,
    /// The language, by name or extension [default: by the file's name or first line]
    #[arg(short, long, value_name = "LANGUAGE")]
    pub(super) language: Option<String>,
    /// The theme [default: monokai; github-light where COLORFGBG tells of a light background]
    #[arg(short, long, env = "FLEETMUX_HIGHLIGHT_THEME", hide_env = true, value_name = "THEME")]
    pub(super) theme: Option<String>,
    /// When to colour
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub(super) color: When,
    /// These lines only: 10:20, 10: to the end, :20 from the beginning, or one line
    #[arg(short, long, value_name = "FROM:TO")]
    pub(super) range: Option<Lines>,
    /// No colours, no numbers, no pager
    #[arg(short, long, conflicts_with = "color")]
    pub(super) plain: bool,
    /// Use no pager
    #[arg(long)]
    pub(super) no_pager: bool,
    /// List the languages with their files and leave
    #[arg(long, exclusive = true)]
    pub(super) list_languages: bool,
    /// List the themes, each with a sample, and leave
    #[arg(long)]
    pub(super) list_themes: bool,
    /// Show whose the languages and themes are, and leave
    #[arg(long, exclusive = true)]
    pub(super) licenses: bool,
}

/// When something has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal that has them, unless NO_COLOR is set
    #[default]
    Auto,
    /// Into a pipe too
    Always,
    /// Never
    Never,
}

/// First and last line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl std::str::FromStr for Lines {
    type Err = String;

    fn from_str(text: &str) -> Result<Lines, String> {
        let error = || format!("{text:?} is no range of lines; write 10:20, 10:, :20 or 10");
        let number = |text: &str, default| match text {
            "" => Ok(default),
            text => text.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(error),
        };
        let (first, last) = match text.split_once(':') {
            Some((first, last)) => (number(first, 1)?, number(last, u64::MAX)?),
            None if text.is_empty() => return Err(error()),
            None => (number(text, 1)?, number(text, 1)?),
        };
        if last < first { Err(error()) } else { Ok(Lines { first, last }) }
    }
}

/// The command line under its short name.
#[derive(Debug, Parser)]
#[command(name = "ccat", version, about = "Show files in colours: fleetmux highlight", max_term_width = 100)]
pub(super) struct Ccat {
    #[arg(long, value_name = "RELAY", help_heading = super::args::GLOBAL, display_order = 900)]
    /// The relay, for files on machines [env: FLEETMUX_RELAY]
    pub(super) relay: Option<Endpoint>,
    #[command(flatten)]
    pub(super) identity: IdentityArgs,
    #[command(flatten)]
    pub(super) highlight: HighlightArgs,
}

impl HighlightArgs {
    /// As without flags.
    pub(super) fn new() -> HighlightArgs {
        Ccat::parse_from(["ccat"]).highlight
    }
}

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "Exit codes: 0 it is there; 255 it is not, with a sentence on standard error")]
pub(super) struct InstallAliasArgs {
    /// Where [default: the directory of this program if it may be written to, or else ~/.local/bin]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_one_end_or_two() {
        let lines = |text: &str| text.parse::<Lines>().ok().map(|lines| (lines.first, lines.last));
        assert_eq!(lines("10:20"), Some((10, 20)));
        assert_eq!(lines("10:"), Some((10, u64::MAX)));
        assert_eq!(lines(":20"), Some((1, 20)));
        assert_eq!(lines("7"), Some((7, 7)));
        for bad in ["", "0", "0:3", "5:4", "a:b", "1:2:3"] {
            assert_eq!(lines(bad), None, "{bad}");
        }
    }
}

//! Every command and flag, once: parsing and `--help` come from here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::file_args::FilesCommand;
use super::highlight_args::{HighlightArgs, InstallAliasArgs};
use super::host_args::{AgentStatusArgs, CompletionsArgs, DoctorArgs, InstallArgs, LogsArgs, ManArgs, PermissionsArgs};
pub(super) use super::relay_args::{
    KeysCommand, LoginArgs, RelayArgs, RelayCommand, RelayInitArgs, RelayMachinesCommand, SetMachineArgs, TokenArgs,
};
pub(super) use super::session_args::{
    ConnectArgs, ConnectCommand, ExecArgs, MachinesArgs, MachinesCommand, SessionAttachArgs, SessionCommand,
    SessionListArgs, SessionNewArgs,
};
use crate::fleet::Endpoint;

/// Heading of the flags that every command has.
pub(super) const GLOBAL: &str = "Options of every command";

/// A terminal multiplexer for a fleet of machines.
///
/// Without a command: the wall, live terminals of many machines side by side. With no relay named, a relay and an agent for
/// this machine run in one background process.
#[derive(Debug, Parser)]
#[command(
    name = "fleetmux",
    version,
    max_term_width = 100,
    after_long_help = "\
Examples:
  fleetmux                                     the wall
  fleetmux connect web-1                       a shell on web-1 that outlives this terminal; Ctrl+D detaches
  fleetmux machines --watch                    who is there
  fleetmux --relay 127.0.0.1:7443 machines     the same at another relay
  fleetmux doctor                              what is wrong here, and what to do

Exit codes:
  0      done
  1      the answer is no: an agent that does not run, a denied test, a finding of doctor
  2      the command line makes no sense
  124    a remote command ran out of time
  128+n  a remote command was ended by signal n
  255    our own failure, with a sentence on standard error; anything else is the remote program's own

Variables: FLEETMUX_RELAY, FLEETMUX_THEME, FLEETMUX_LOG, FLEETMUX_RUNTIME_DIR, FLEETMUX_STATE_DIR, FLEETMUX_CONFIG_DIR, \
NO_COLOR"
)]
pub(super) struct Args {
    /// The relay: tls://host:port, unix:/path/to/socket or a loopback host:port [env: FLEETMUX_RELAY]
    // Clap's own `env` would have every usage line of an error claim that the flag is needed.
    #[arg(long, global = true, value_name = "RELAY", help_heading = GLOBAL, display_order = 900)]
    pub(super) relay: Option<Endpoint>,
    #[command(flatten)]
    pub(super) identity: IdentityArgs,
    #[command(flatten)]
    pub(super) wall: WallArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// With which key, and which relay of the configuration.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(super) struct IdentityArgs {
    /// The API key; - reads it from the first line of standard input [default: FLEETMUX_API_KEY, CMDOP_API_KEY, or the configuration's]
    #[arg(long, global = true, value_name = "KEY", hide_default_value = true, help_heading = GLOBAL, display_order = 901)]
    pub(super) key: Option<String>,
    /// File with the CA that may vouch for the relay [env: FLEETMUX_CA]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL, display_order = 902)]
    pub(super) ca: Option<PathBuf>,
    /// The relay of this name in the configuration [env: FLEETMUX_PROFILE]
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL, display_order = 903)]
    pub(super) profile: Option<String>,
}

/// A time span as people write it: 90s, 15m, 1h, 30d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life(pub(super) u64);

impl std::str::FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Life, String> {
        let error = || format!("{text:?} is no time span; write 90s, 15m, 1h or 30d");
        let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(error()),
        };
        let number = number.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(error)?;
        number.checked_mul(seconds).map(Life).ok_or_else(error)
    }
}

/// Flags of the wall.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct WallArgs {
    /// Theme of the wall: dark, light, high-contrast, or a file in the themes directory
    #[arg(long, env = "FLEETMUX_THEME", default_value = "dark", value_name = "NAME")]
    pub(super) theme: String,
    /// Show only these sessions, by name, MACHINE/NAME, or id or a part of it
    #[arg(long = "session", value_name = "NAME|ID")]
    pub(super) sessions: Vec<String>,
    /// Take the wheel of the sessions shown; on this machine's own relay that is the default
    #[arg(long)]
    pub(super) drive: bool,
    /// Type into all the sessions named with --session from the start
    #[arg(long, requires = "sessions")]
    pub(super) broadcast: bool,
    /// Open the wall also inside a session that it shows
    #[arg(long)]
    pub(super) force: bool,
}

impl Args {
    /// The command line of this process; what makes no sense ends it.
    pub(super) fn of_process() -> Args {
        let line: Vec<OsString> = std::env::args_os().collect();
        let args = Args::parse_from(&line);
        args.with_flags_behind(&line).unwrap_or(args)
    }

    /// A one-shot command in one word, with flags of ours behind it, is the same with the flags before it. `None` if it is none:
    /// what is behind it is its own.
    fn with_flags_behind(&self, line: &[OsString]) -> Option<Args> {
        let (first, behind) = self.exec()?.command.split_first()?;
        let (before, words) = line.split_at(line.len().checked_sub(behind.len() + 1)?);
        let is_quoted = first.contains(char::is_whitespace);
        let is_ours = |word: &String| !word.starts_with('-') || is_quoted || word.starts_with("--");
        let begins_ours = |word: &String| is_quoted || BEHIND.contains(&word.split('=').next().unwrap_or_default());
        if !behind.first()?.starts_with('-')
            || !begins_ours(behind.first()?)
            || before.last().is_some_and(|word| word == "--")
            || !behind.iter().all(is_ours)
        {
            return None;
        }
        let moved = before.iter().chain(&words[1..]).chain(&words[..1]);
        let again = Args::try_parse_from(moved).ok()?;
        (again.exec()?.command == [first.as_str()]).then_some(again)
    }

    fn exec(&self) -> Option<&ExecArgs> {
        match self.command.as_ref()? {
            Command::Exec(args) => Some(args),
            Command::Connect(ConnectArgs { command: Some(ConnectCommand::Exec(args)), .. }) => Some(args),
            _ => None,
        }
    }
}

/// Flags that are ours behind a command of a single name as well.
const BEHIND: [&str; 3] = ["--timeout", "--json", "--env"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a relay in the foreground, or prepare and manage one
    Relay(RelayArgs),
    /// Start, stop, show or install this machine's agent
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Store a relay and a key for this user
    Login(LoginArgs),
    /// Remove the stored relay and key of this user
    Logout,
    /// List the machines of the fleet, or forget one that is gone
    Machines(MachinesArgs),
    /// List, make and end sessions
    #[command(subcommand)]
    Session(SessionCommand),
    /// Attach to a machine's session in this terminal; Ctrl+D detaches
    Connect(ConnectArgs),
    /// `session list`, as tmux calls it
    #[command(hide = true, alias = "sessions")]
    Ls(SessionListArgs),
    /// `session attach`, as tmux calls it
    #[command(hide = true)]
    Attach(SessionAttachArgs),
    /// Run a command on one machine or on several, and leave with its exit code
    Exec(ExecArgs),
    /// List, read, write, move and search files of a machine
    #[command(subcommand)]
    Files(FilesCommand),
    /// Show files in colours, from here or from a machine; also called ccat
    #[command(visible_alias = "ccat")]
    Highlight(HighlightArgs),
    /// Make `ccat` another name of this program
    InstallAlias(InstallAliasArgs),
    /// Show, change and try this machine's own rules
    ///
    /// They say who may observe, drive, create, destroy, exec, and read and write files here, and have the last word whatever the relay
    /// lets through.
    Permissions(PermissionsArgs),
    /// Check this installation, and say what to do about what is wrong
    Doctor(DoctorArgs),
    /// Show the logs of this machine's agent and relay
    Logs(LogsArgs),
    /// Print a shell's completions, which know machines and sessions
    Completions(CompletionsArgs),
    /// Print the man page, or write those of all commands
    Man(ManArgs),
    /// Six machines on this one, and the wall on them
    Demo(DemoArgs),
    /// Measure this installation end to end
    #[command(subcommand)]
    Bench(BenchCommand),
    /// The body of a keeper process
    #[command(hide = true)]
    Keeper(KeeperArgs),
    /// Ends an agent's commands when the agent is killed
    #[command(hide = true)]
    ExecGuard,
    /// Relay and agent of a user's own machine
    #[command(hide = true)]
    Server(ServerArgs),
    /// The programs that the demo's sessions run
    #[command(hide = true)]
    DemoApp {
        /// Which
        app: DemoApp,
    },
}

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
Name, labels and host name are bound at the relay now: what the agent says of itself later changes nothing. An admin of the \
relay changes them with `fleetmux relay machines set`.

Examples:
  fleetmux agent join TOKEN --name web-1 --label role=web
  fleetmux agent join - --name web-1 --replace < token-file

Exit codes: 0 it has joined; 255 it has not, with a sentence on standard error")]
pub(super) struct JoinArgs {
    /// From `fleetmux relay init` or `fleetmux relay token`; - reads it from standard input
    pub(super) token: String,
    /// Display name of the machine, if the token leaves it open [default: the one of before, or its host name]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) name: String,
    /// A label of the machine, if the token leaves it open, repeated: role=web [default: those of before]
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    /// Take the place of an offline machine that has the name, for example this host before it was installed anew: that one is
    /// revoked and forgotten [default: ask on a terminal, refuse without one]
    #[arg(long)]
    pub(super) replace: bool,
    #[command(flatten)]
    pub(super) dir: AgentDirArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Join a relay with a token
    Join(JoinArgs),
    /// Start the agent in the background
    Start(AgentStartArgs),
    /// Stop the agent; sessions live on
    Stop(AgentDirArgs),
    /// Stop the agent and start it as it was started; sessions live on
    Restart(AgentDirArgs),
    /// Show whether the agent runs, its relay, its log and its rules
    Status(AgentStatusArgs),
    /// Install a systemd unit that keeps the agent running
    Install(InstallArgs),
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct AgentDirArgs {
    /// The agent's directory [default: the user's runtime directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
The agent finds the sessions that live on this machine; losing it loses nothing. `fleetmux agent install` has systemd \
keep it running.

Examples:
  fleetmux agent start --relay 127.0.0.1:7443 --name web-1 --label role=web
  fleetmux agent status
  fleetmux logs -f agent

Exit codes: 0 it runs; 255 it does not, with a sentence on standard error")]
pub(super) struct AgentStartArgs {
    /// Display name of the machine, unless it was bound when the machine joined [default: its host name]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) name: String,
    /// A label of the machine, unless they were bound when it joined, repeated: role=web
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    #[command(flatten)]
    pub(super) dir: AgentDirArgs,
    /// Stay in the foreground, and log to standard error too
    #[arg(long)]
    pub(super) foreground: bool,
    /// Leave the terminal once it runs, and say so
    #[arg(long, hide = true)]
    pub(super) detach: bool,
    /// End with the parent process
    #[arg(long, hide = true)]
    pub(super) die_with_parent: bool,
}

/// Flags of the hidden `server`.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct ServerArgs {
    /// Runtime directory
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Display name of the machine
    #[arg(long, default_value = "")]
    pub(super) name: String,
    /// Labels of the machine
    #[arg(long = "label")]
    pub(super) labels: Vec<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct DemoArgs {
    /// Run the fleet without the wall until interrupted, and print what another shell needs
    #[arg(long)]
    pub(super) headless: bool,
    /// Directory of the demo's sockets [default: one of its own, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Theme of the wall: dark, light, high-contrast
    #[arg(long, env = "FLEETMUX_THEME", default_value = "dark", value_name = "NAME")]
    pub(super) theme: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Keystroke to echo over the whole path: client, relay, agent, keeper, PTY
    Echo {
        /// Keystrokes measured
        #[arg(long, default_value_t = 1000)]
        samples: u32,
        /// Pause between keystrokes, milliseconds
        #[arg(long, default_value_t = 0)]
        pace_ms: u64,
    },
    /// Commands over one open connection, and the output of one
    Exec {
        /// Commands measured, each `true`
        #[arg(long, default_value_t = 500)]
        samples: u32,
        /// Megabytes that one more command writes
        #[arg(long, default_value_t = 100)]
        megabytes: u64,
    },
    /// Output of a program that writes as fast as it can
    Flood {
        /// Megabytes written
        #[arg(long, default_value_t = 100)]
        megabytes: u64,
        /// Receive every byte instead of the latest screen
        #[arg(long)]
        lossless: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DemoApp {
    /// An access log
    AccessLog,
    /// An application log with warnings and errors
    AppLog,
    /// A full-screen process view
    Top,
    /// A build that fails and starts again
    Build,
    /// Echoes every byte
    Echo,
}

/// Flags of a keeper process.
#[derive(Debug, Parser)]
#[command(name = "fleetmux keeper")]
pub(super) struct KeeperArgs {
    /// Where to listen
    #[arg(long)]
    pub(super) socket: PathBuf,
    /// Its log, removed at a clean end
    #[arg(long)]
    pub(super) log: Option<PathBuf>,
    /// Soft limit of open files for the session's programs
    #[arg(long)]
    pub(super) open_files: Option<u64>,
    /// Variables of its own that the program gets too
    #[arg(long)]
    pub(super) keep: Vec<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]
mod tests {
    use super::*;

    fn exec(line: &[&str]) -> ExecArgs {
        let line: Vec<OsString> = ["fleetmux"].iter().chain(line).map(OsString::from).collect();
        let args = Args::parse_from(&line);
        args.with_flags_behind(&line).unwrap_or(args).exec().unwrap().clone()
    }

    #[test]
    fn flags_behind_a_quoted_command_are_ours_and_others_are_its_own() {
        let args = exec(&["exec", "web-1", "long-script.sh", "--timeout", "300"]);
        assert_eq!((args.command, args.timeout.unwrap().as_secs()), (vec!["long-script.sh".into()], 300));
        let args = exec(&["exec", "web-1", "uptime", "--json", "--env", "A=1"]);
        assert_eq!((args.command, args.json, args.env), (vec!["uptime".into()], true, vec!["A=1".into()]));
        let args = exec(&["exec", "web-1", "--env", "A=1", "grep x /etc/hosts", "--env=B=2", "--cwd", "/srv", "-n"]);
        assert_eq!((args.env, args.cwd.as_str(), args.no_stdin), (vec!["A=1".into(), "B=2".into()], "/srv", true));
        let args = exec(&["connect", "exec", "web-1", "uptime -p", "--json"]);
        assert!(args.json && args.command == ["uptime -p"]);
        let args = exec(&["exec", "web-1", "uptime", "--json", "--no-merge"]);
        assert!(args.json && args.no_merge && args.command == ["uptime"]);
        for own in [
            &["ls", "-l"][..],
            &["uptime", "--fold"],
            &["make", "-n"],
            &["ls", "/srv", "--json"],
            &["lsblk", "--json", "--all"],
            &["./deploy.sh --all", "--unknown"],
            &["a b", "--env", "A=1", "more"],
            &["sh", "--timeout"],
        ] {
            let args = exec(&[&["exec", "web-1"], own].concat());
            assert_eq!(args.command, own, "passed on");
            assert!(!args.json && args.timeout.is_none() && args.env.is_empty());
        }
        let args = exec(&["exec", "web-1", "--", "lsblk", "--json"]);
        assert!(!args.json && args.command == ["lsblk", "--json"]);
    }
}

//! Every command and flag, once: parsing and `--help` come from here.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::host_args::{AgentStatusArgs, CompletionsArgs, DoctorArgs, InstallArgs, LogsArgs, ManArgs, PermissionsArgs};
use crate::fleet::{Action, Endpoint, Fingerprint, Selector};

/// Heading of the flags that every command has.
const GLOBAL: &str = "Options of every command";

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
    /// The API key [default: FLEETMUX_API_KEY, CMDOP_API_KEY, or the configuration's]
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
}

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
    /// List the machines of the fleet
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
    /// Show, change and try this machine's own rules
    ///
    /// They say who may observe, drive, create, destroy, exec and use files here, and have the last word whatever the relay
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
    Server {
        /// Runtime directory
        #[arg(long)]
        dir: PathBuf,
    },
    /// The programs that the demo's sessions run
    #[command(hide = true)]
    DemoApp {
        /// Which
        app: DemoApp,
    },
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RelayArgs {
    #[command(subcommand)]
    pub(super) command: Option<RelayCommand>,
    /// Where to listen: tls://host:port, unix:/path or a loopback host:port (port 0 chooses one) [default: the user's own socket]
    #[arg(long, value_name = "RELAY")]
    pub(super) listen: Option<Endpoint>,
    /// Directory made by `relay init` [default: relay in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// File that remembers machines and sessions over restarts
    #[arg(long, value_name = "FILE")]
    pub(super) store: Option<PathBuf>,
    /// End with the parent process
    #[arg(long, hide = true)]
    pub(super) die_with_parent: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum RelayCommand {
    /// Make a CA, a server certificate and a first join token
    Init(RelayInitArgs),
    /// Make a join token for a machine
    Token(TokenArgs),
    /// List machines that have joined, or revoke one's key
    #[command(subcommand)]
    Machines(RelayMachinesCommand),
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct RelayInitArgs {
    /// The relay's directory [default: relay in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Host name or address under which machines reach the relay, repeated; the first goes into join tokens [default: the host name]
    #[arg(long = "name", value_name = "HOSTNAME|IP")]
    pub(super) names: Vec<String>,
    /// Port under which machines reach it
    #[arg(long, default_value_t = 7443)]
    pub(super) port: u16,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct TokenArgs {
    /// Workspace of the machine [default: default]
    #[arg(long)]
    pub(super) workspace: Option<String>,
    /// How long it is good: 90s, 15m, 1h, 7d
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub(super) expires: Life,
    /// A label of every machine that joins with it, repeated: role=web
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    /// Any number of machines may use it
    #[arg(long)]
    pub(super) reusable: bool,
    /// host:port under which the machine reaches the relay [default: as initialised]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) address: Option<String>,
    /// The relay's directory [default: relay in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum RelayMachinesCommand {
    /// Machines that have joined and may link
    List {
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
        /// The relay's directory [default: relay in the user's state directory]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Cut a machine off: its key is good no more, its sessions live on
    Revoke {
        /// Name or id
        machine: String,
        /// The relay's directory [default: relay in the user's state directory]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key and print it, once
    Create(KeysCreateArgs),
    /// List API keys and the keys of machines
    List {
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key; whoever uses it is cut off
    Revoke {
        /// Name or id
        #[arg(value_name = "NAME|ID")]
        wanted: String,
    },
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct KeysCreateArgs {
    /// Name, unique in its workspace; it is in the audit log
    #[arg(value_name = "NAME", required_unless_present = "flag_name", conflicts_with = "flag_name")]
    pub(super) name: Option<String>,
    /// The same as a flag
    #[arg(long = "name", value_name = "NAME", hide = true)]
    pub(super) flag_name: Option<String>,
    /// The workspace it sees [default: default]
    #[arg(long)]
    pub(super) workspace: Option<String>,
    /// What it may do: observe, drive, exec, files, admin
    #[arg(long, value_delimiter = ',', default_value = "observe,drive,exec,files", value_name = "ACTIONS")]
    pub(super) actions: Vec<Action>,
    /// How long it is good: 90s, 15m, 1h, 30d [default: forever]
    #[arg(long, value_name = "TIME")]
    pub(super) expires: Option<Life>,
    /// In front of the key [default: fm_]
    #[arg(long)]
    pub(super) prefix: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct LoginArgs {
    /// The relay, or a join token that names it: tls://host:port
    #[arg(value_name = "RELAY|TOKEN")]
    pub(super) address: String,
    /// Read the key from standard input
    #[arg(long)]
    pub(super) key_stdin: bool,
    /// The CA's fingerprint, as `relay init` printed it
    #[arg(long, value_name = "FP")]
    pub(super) ca_fingerprint: Option<Fingerprint>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct JoinArgs {
    /// From `fleetmux relay init` or `fleetmux relay token`; - reads it from standard input
    pub(super) token: String,
    /// Display name of the machine [default: its host name]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) name: String,
    /// A label of the machine, repeated: role=web
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
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
    /// Display name of the machine [default: its host name]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) name: String,
    /// A label of the machine, repeated: role=web
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

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  fleetmux machines
  fleetmux machines --watch
  fleetmux machines --json | jq -r '.[] | select(.status == \"online\") | .name'

Exit codes: 0 done; 255 our own failure, for example no relay")]
pub(super) struct MachinesArgs {
    /// JSON instead of a table; with --watch a line for each machine that changes
    #[arg(long)]
    pub(super) json: bool,
    /// Go on showing what changes, until interrupted
    #[arg(short, long)]
    pub(super) watch: bool,
    /// Only these: web-1,'db-*' or role=web,env!=dev,host~^db (conditions must all hold)
    #[arg(short, long)]
    pub(super) selector: Option<Selector>,
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// List sessions
    #[command(alias = "ls")]
    List(SessionListArgs),
    /// Make a session and print its id
    New(SessionNewArgs),
    /// Show one session
    Show {
        /// Its name, MACHINE/NAME, or its id or a part of it from either end
        session: String,
        /// JSON instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Show a session and, in a terminal, attach to it; Ctrl+D detaches
    Attach(SessionAttachArgs),
    /// End a session and its programs
    #[command(alias = "kill")]
    Destroy {
        /// Its name, MACHINE/NAME, or its id or a part of it from either end
        session: String,
        /// JSON instead of a line
        #[arg(long)]
        json: bool,
    },
    /// Give a session another name
    Rename {
        /// Its name, MACHINE/NAME, or its id or a part of it from either end
        session: String,
        /// The name; an empty one means that of its program
        name: String,
        /// JSON instead of a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct SessionListArgs {
    /// Of this machine only: name, host name or the beginning of its id
    pub(super) machine: Option<String>,
    /// Of these machines only: web-1,'db-*' or role=web,env!=dev,host~^db
    #[arg(short, long, conflicts_with = "machine")]
    pub(super) selector: Option<Selector>,
    /// JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct SessionAttachArgs {
    /// Its name, MACHINE/NAME, or its id or a part of it from either end
    pub(super) session: String,
    /// Attach even if standard output is no terminal, or with --json
    #[arg(long, short)]
    pub(super) interactive: bool,
    /// JSON instead of lines; does not attach by itself
    #[arg(long)]
    pub(super) json: bool,
    /// Watch only: nothing typed is sent
    #[arg(long)]
    pub(super) observe: bool,
    /// The key that detaches: ctrl-a to ctrl-z, or none
    #[arg(long, default_value = "ctrl-d", value_name = "KEY")]
    pub(super) detach_key: String,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct SessionNewArgs {
    /// Where: name, host name or the beginning of its id
    pub(super) machine: String,
    /// Name shown for the session
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) name: String,
    /// Working directory [default: home]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "DIR")]
    pub(super) cwd: String,
    /// A variable, repeated: KEY=VALUE
    #[arg(long = "env", value_name = "KEY=VALUE")]
    pub(super) env: Vec<String>,
    /// First size, COLSxROWS
    #[arg(long, default_value = "80x24", value_name = "SIZE")]
    pub(super) size: String,
    /// Bytes of output kept for clients that resume [default: 4 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(super) log_bytes: Option<u64>,
    /// Bytes of scrollback kept [default: 4 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(super) history_bytes: Option<u64>,
    /// JSON instead of the id
    #[arg(long)]
    pub(super) json: bool,
    /// Program and arguments [default: the login shell]
    #[arg(last = true)]
    pub(super) command: Vec<String>,
}

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  fleetmux connect web-1                      the active session; made if there is none
  fleetmux connect web-1 --new                one more
  fleetmux connect web-1 --observe            watch
  fleetmux connect --session web-1/deploy     a session by name; an id or a part of it will do too
  fleetmux connect web-1 --list               what there is to attach to")]
pub(super) struct ConnectArgs {
    /// The machine: name, host name or the beginning of its id
    #[arg(required_unless_present_any = ["list", "session"])]
    pub(super) machine: Option<String>,
    /// Watch only: nothing typed is sent
    #[arg(long)]
    pub(super) observe: bool,
    /// Make a new session instead of joining the active one
    #[arg(long, conflicts_with = "session")]
    pub(super) new: bool,
    /// Attach to this session: name, MACHINE/NAME, or id or a part of it from either end
    #[arg(long, value_name = "NAME|ID")]
    pub(super) session: Option<String>,
    /// List the machines, or the one named, with their sessions and leave
    #[arg(long)]
    pub(super) list: bool,
    /// With --list: JSON instead of a table
    #[arg(long, requires = "list")]
    pub(super) json: bool,
    /// Only machines of this workspace
    #[arg(long, value_name = "NAME")]
    pub(super) workspace: Option<String>,
    /// The key that detaches: ctrl-a to ctrl-z, or none
    #[arg(long, default_value = "ctrl-d", value_name = "KEY")]
    pub(super) detach_key: String,
}

#[derive(Clone, ClapArgs)]
#[command(after_help = "\
As with ssh, what follows the machines is one command for the shell there, to the end of the line; flags of fleetmux come \
before it. After -- it is a program and its arguments, run as they are, without a shell.

Several machines: names and globs with commas are any of them (web-1,'db-*'); conditions with commas must all hold \
(role=web,env!=dev,host~^db); for one or the other there is a pattern (host~^(web|db)). A command on several machines \
leaves with 0 if it went well everywhere, with 255 if none was reached, else with 1.

Examples:
  fleetmux exec web-1 uname -a
  fleetmux exec web-1 'dmesg | tail'
  fleetmux exec --timeout 5m 'role=web' ./deploy.sh
  fleetmux exec all --fold -- uname -r")]
pub(super) struct ExecArgs {
    /// One machine by name, host name or the beginning of its id; or several: web-1,'db-*' or role=web,env!=dev,host~^db or all
    #[arg(value_name = "MACHINES")]
    pub(super) target: String,
    /// Command for the shell there; after --, program and arguments without a shell
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
    /// Time after which the command is ended, seconds or 90s, 15m, 1h; 0 for no limit
    #[arg(long, default_value = "30", value_name = "TIME", value_parser = super::cmd::exec::seconds)]
    pub(super) timeout: std::time::Duration,
    /// JSON instead of the output: an object, or a line for each of several machines
    #[arg(long)]
    pub(super) json: bool,
    /// A variable, repeated: KEY=VALUE
    #[arg(long = "env", value_name = "KEY=VALUE")]
    pub(super) env: Vec<String>,
    /// Working directory [default: home]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "DIR")]
    pub(super) cwd: String,
    /// The shell [default: the login shell of the agent's user]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PROGRAM")]
    pub(super) shell: String,
    /// Do not pass standard input on
    #[arg(short = 'n', long)]
    pub(super) no_stdin: bool,
    /// Machines at once
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub(super) parallel: usize,
    /// Show equal outputs of several machines once, under their names
    #[arg(long, conflicts_with = "out_dir")]
    pub(super) fold: bool,
    /// Write the output of several machines to HOST.out and HOST.err in this directory instead of the screen
    #[arg(long, value_name = "DIR")]
    pub(super) out_dir: Option<PathBuf>,
}

// Variables may be secrets.
impl std::fmt::Debug for ExecArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecArgs").field("target", &self.target).finish_non_exhaustive()
    }
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
}

//! Every command and flag, once: parsing and `--help` come from here.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::fleet::Endpoint;

/// A terminal multiplexer for a fleet of machines.
///
/// Without a command: the wall, live terminals of many machines side by side. With no relay named, a relay and an agent for
/// this machine run in one background process.
#[derive(Debug, Parser)]
#[command(name = "fleetmux", version, max_term_width = 100)]
pub(super) struct Args {
    /// The relay: unix:/path/to/socket or host:port
    #[arg(long, global = true, env = "FLEETMUX_RELAY", value_name = "RELAY")]
    pub(super) relay: Option<Endpoint>,
    #[command(flatten)]
    pub(super) wall: WallArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Flags of the wall.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct WallArgs {
    /// Theme of the wall: dark, light, high-contrast, or a file in the themes directory
    #[arg(long, env = "FLEETMUX_THEME", default_value = "dark", value_name = "NAME")]
    pub(super) theme: String,
    /// Show only these sessions, by id or the end of it
    #[arg(long = "session", value_name = "ID")]
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
    /// Run a relay in the foreground
    Relay(RelayArgs),
    /// Start, stop or show this machine's agent
    #[command(subcommand)]
    Agent(AgentCommand),
    /// List the machines of the fleet
    Machines(MachinesArgs),
    /// List, make and end sessions
    #[command(subcommand)]
    Session(SessionCommand),
    /// Attach to a machine's session in this terminal; Ctrl+D detaches
    Connect(ConnectArgs),
    /// Six machines on this one, and the wall on them
    Demo(DemoArgs),
    /// Measure this installation end to end
    #[command(subcommand)]
    Bench(BenchCommand),
    /// The body of a keeper process
    #[command(hide = true)]
    Keeper {
        /// Where to listen
        #[arg(long)]
        socket: PathBuf,
        /// Soft limit of open files for the session's programs
        #[arg(long)]
        open_files: Option<u64>,
    },
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

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct RelayArgs {
    /// Where to listen: unix:/path or a loopback host:port (port 0 chooses one) [default: the user's own socket]
    #[arg(long, value_name = "RELAY")]
    pub(super) listen: Option<Endpoint>,
    /// File that remembers machines and sessions over restarts
    #[arg(long, value_name = "FILE")]
    pub(super) store: Option<PathBuf>,
    /// End with the parent process
    #[arg(long, hide = true)]
    pub(super) die_with_parent: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Start the agent in the background
    Start(AgentStartArgs),
    /// Stop the agent; sessions live on
    Stop(AgentDirArgs),
    /// Show whether the agent runs
    Status(AgentDirArgs),
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct AgentDirArgs {
    /// The agent's directory [default: the user's runtime directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct AgentStartArgs {
    /// Display name of the machine [default: its host name]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) name: String,
    /// A label of the machine, repeated: role=web
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    #[command(flatten)]
    pub(super) dir: AgentDirArgs,
    /// Stay in the foreground and log to standard error
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
pub(super) struct MachinesArgs {
    /// JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// List sessions
    List {
        /// Of this machine only: name, host name or the beginning of its id
        machine: Option<String>,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Make a session and print its id
    New(SessionNewArgs),
    /// Show one session
    Show {
        /// Its id, or a part of it from either end
        session: String,
        /// JSON instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Show a session and, in a terminal, attach to it; Ctrl+D detaches
    Attach(SessionAttachArgs),
    /// End a session and its programs
    Destroy {
        /// Its id, or a part of it from either end
        session: String,
        /// JSON instead of a line
        #[arg(long)]
        json: bool,
    },
    /// Give a session another name
    Rename {
        /// Its id, or a part of it from either end
        session: String,
        /// The name; an empty one means that of its program
        name: String,
        /// JSON instead of a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Debug, ClapArgs)]
pub(super) struct SessionAttachArgs {
    /// Its id, or a part of it from either end
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
pub(super) struct ConnectArgs {
    /// The machine: name, host name or the beginning of its id
    #[arg(required_unless_present = "list")]
    pub(super) machine: Option<String>,
    /// Watch only: nothing typed is sent
    #[arg(long)]
    pub(super) observe: bool,
    /// Make a new session instead of joining the active one
    #[arg(long, conflicts_with = "session")]
    pub(super) new: bool,
    /// Attach to this session, by id or a part of it from either end
    #[arg(long, value_name = "ID")]
    pub(super) session: Option<String>,
    /// List the machines with their sessions and leave
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

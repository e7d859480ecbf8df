//! Flags of the commands that look at machines and sessions, and work in them.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use crate::fleet::Selector;

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  fleetmux machines
  fleetmux machines --watch
  fleetmux machines --json | jq -r '.[] | select(.status == \"online\") | .name'
  fleetmux machines forget old-1 old-2

Exit codes: 0 done; 255 our own failure, for example no relay")]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct MachinesArgs {
    #[command(subcommand)]
    pub(super) command: Option<MachinesCommand>,
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

#[derive(Clone, Debug, Subcommand)]
pub(super) enum MachinesCommand {
    /// Forget machines that are offline: their entries, their sessions, and their keys
    ///
    /// For hosts that are gone, or have come back as another machine. The key of one that joined is revoked: if it comes back, it
    /// joins with a new token. One that is online is refused. Needs a key with the action admin, or the relay's own socket.
    /// `fleetmux relay --forget-after` does so by itself.
    Forget {
        /// Name, or id or a part of it, as `fleetmux machines` shows them
        #[arg(value_name = "NAME|ID", required = true)]
        machines: Vec<String>,
    },
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
    /// Attach also from inside this very session
    #[arg(long)]
    pub(super) force: bool,
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
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, disable_help_subcommand = true)]
#[command(after_help = "\
After Enter: ~. ends, ~# tells where this is and who watches, ~? shows what else there is.

Examples:
  fleetmux connect web-1                      the active session; made if there is none
  fleetmux connect web-1 --new                one more
  fleetmux connect web-1 --observe            watch
  fleetmux connect --session web-1/deploy     a session by name; an id or a part of it will do too
  fleetmux connect web-1 --list               what there is to attach to")]
pub(super) struct ConnectArgs {
    #[command(subcommand)]
    pub(super) command: Option<ConnectCommand>,
    /// The machine: name, host name or the beginning of its id; or MACHINE/NAME for one of its sessions
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
    /// Attach also from inside this very session
    #[arg(long)]
    pub(super) force: bool,
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

#[derive(Clone, Debug, Subcommand)]
pub(super) enum ConnectCommand {
    /// `fleetmux exec`
    Exec(ExecArgs),
}

#[derive(Clone, ClapArgs)]
#[command(after_help = "\
As with ssh, what follows the machines is one command for the shell there, to the end of the line; flags of fleetmux come \
before it. After -- it is a program and its arguments, run as they are, without a shell. A command in one word may also have \
flags of fleetmux behind it: any of them if it is plainly quoted (\"./deploy.sh --all\" --timeout 300), and --timeout, --json \
and --env behind a single name (uptime --json); write `-- lsblk --json`, or quote the whole, where the program is to have them.

Several machines: names and globs with commas are any of them (web-1,'db-*'); conditions with commas must all hold \
(role=web,env!=dev,host~^db); for one or the other there is a pattern (host~^(web|db)). A command on several machines \
leaves with 0 if it went well everywhere, with 255 if none was reached, else with 1.

A command is over when its shell or program is, and what it wrote has come. What it leaves in the background goes on by \
itself, without a timeout; give it outputs of its own (COMMAND >/dev/null 2>&1 &), for what it writes to ours meets a closed \
pipe. 255 is our own failure, an output that cannot be written among them; 141 says that nobody reads it any more.

Examples:
  fleetmux exec web-1 uname -a
  fleetmux exec web-1 'dmesg | tail'
  fleetmux exec web-1 'uptime' --json
  fleetmux exec --timeout 5m 'role=web' ./deploy.sh
  fleetmux exec --retry-failed                the same once more where it failed
  fleetmux exec --keep web-1 ./migrate.sh     as a session, which outlives this terminal and this connection
  fleetmux exec all --fold -- uname -r

`fleetmux connect exec` is the same command.")]
pub(super) struct ExecArgs {
    /// One machine by name, host name or the beginning of its id; or several: web-1,'db-*' or role=web,env!=dev,host~^db or all
    #[arg(value_name = "MACHINES", required_unless_present = "retry_failed")]
    pub(super) target: Option<String>,
    /// Command for the shell there; after --, program and arguments without a shell
    #[arg(required_unless_present = "retry_failed", trailing_var_arg = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
    /// Time after which the command is ended, seconds or 90s, 15m, 1h; 0 for no limit [default: 30]; with --keep it is only left, and there is none by default
    #[arg(long, value_name = "TIME", value_parser = super::cmd::exec::seconds)]
    pub(super) timeout: Option<std::time::Duration>,
    /// JSON instead of the output: an object, or a line for each of several machines
    #[arg(long)]
    pub(super) json: bool,
    /// Standard output and error as one, in the order in which they were written [default with --json]
    #[arg(long)]
    pub(super) merge: bool,
    /// With --json: standard error apart from the output
    #[arg(long, conflicts_with = "merge")]
    pub(super) no_merge: bool,
    /// As a session: it has a terminal, outlives this program, and can be attached to; interrupted, this program only leaves it
    #[arg(long, conflicts_with_all = ["merge", "no_merge", "json", "fold", "out_dir", "parallel"])]
    pub(super) keep: bool,
    /// Run the last command once more on the machines where it failed. A command that failed is kept for this in the state
    /// directory, for its owner only; variables are not, and are to be given again
    #[arg(long, conflicts_with_all = ["target", "command", "keep", "timeout", "merge", "cwd", "shell"])]
    pub(super) retry_failed: bool,
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

//! Flags of the commands that look after one machine.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::args::AgentDirArgs;

/// Flags of `permissions`.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = "\
The rules are in permissions.toml in the configuration directory, or in the directory given to the agent with --dir. The \
agent obeys a changed file from the next request on; who is attached already is judged again when it attaches or asks \
for another role.

The first rule that covers a request decides, otherwise the default. WHO is a name as the relay authenticated it, with * \
and ? as wildcards: uid:1000, loopback, key:ci, key:*, machine:ID, *. `allow drive` covers observe too, `deny observe` covers drive \
too. --command narrows exec and create, and no other action of the rule, and is matched with the whole command.

A boundary is an allowing rule whose command is words with holes, under `default deny`: {word} and {name} (letters, digits \
and . _ @ -) begin with no dash, {int} is digits, {path} is absolute and without .., {a|b|c} is one of these. It covers \
program and arguments that fit, or a text that is plainly these words, and runs them without a shell. What the program \
does with them is its own affair: one that can run another is a shell.

No boundary is a glob (* and ? of an allowing rule stand for no option and not for what begins another command), /a regular \
expression/, which is what you make of it, and a denial of some spellings: there is always another one. `deny create \
--command '*'` covers a login shell too.

A rule with a command allows it as it is: no --env, --cwd or --shell, no standard input unless it has --stdin, and for \
sessions no TERM but xterm-256color unless it has --term. --session goes with observe, drive, create and destroy and is a glob over the session's name.

`password set` makes the machine ask every API key for a password as well, which the published SDKs show when they attach \
(an hour lasts until the next time). It is kept hashed.

A file with a mistake in it denies everything, unless good rules were read before it: those stay in force. A file that \
vanishes, is emptied or cannot be read denies everything at once, until it is back or the agent is restarted. Without a \
file from the start everything the relay lets through is allowed.

Examples:
  fleetmux permissions default deny
  fleetmux permissions allow 'uid:*' '*'
  fleetmux permissions allow key:ci observe,exec --command 'systemctl {restart|status} {name}'
  fleetmux permissions allow key:ci exec --command 'tee {path}' --stdin
  fleetmux permissions deny key:intern drive --session 'prod-*' --at 1
  fleetmux permissions password set < password-file
  fleetmux permissions test key:ci exec --command 'systemctl restart nginx'

Exit codes: 0 done (test: allowed); 1 test: denied, list: the file is broken; 255 our own failure")]
pub(super) struct PermissionsArgs {
    #[command(subcommand)]
    pub(super) command: PermissionsCommand,
    /// The agent's directory, if it was started with --dir
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

impl PermissionsArgs {
    /// The machine whose rules are asked for from afar.
    pub(super) fn machine(&self) -> Option<&str> {
        match &self.command {
            PermissionsCommand::List { machine, .. } => machine.as_deref(),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum PermissionsCommand {
    /// Show the rules and where they are, of this machine, or of another one those that are about you
    #[command(alias = "show")]
    List {
        /// The machine: name, host name or the beginning of its id [default: this one, all its rules]
        machine: Option<String>,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Add a rule that allows
    Allow(RuleArgs),
    /// Add a rule that denies
    Deny(RuleArgs),
    /// Remove a rule by its number
    Remove {
        /// As `list` shows it
        number: usize,
    },
    /// Set what happens to requests that no rule covers
    Default {
        /// allow or deny
        #[arg(value_parser = ["allow", "deny"])]
        effect: String,
    },
    /// Set or clear the password that this machine asks API keys for, beside them
    Password {
        #[command(subcommand)]
        command: PasswordCommand,
    },
    /// Try the rules: say what decides a request, without making it
    Test(TestArgs),
}

/// What to do with the machine's password.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum PasswordCommand {
    /// Read a new one from standard input: its first line
    Set,
    /// Ask for none any more
    Clear,
}

/// A rule as arguments.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct RuleArgs {
    /// Whom it is about: uid:1000, loopback, key:NAME, machine:ID, or * for all; * and ? are wildcards
    pub(super) who: String,
    /// observe, drive, create, destroy, exec, read, write, files (both), separated by commas; or *
    pub(super) actions: String,
    /// What the command must look like (exec, create)
    #[arg(long, value_name = "PATTERN")]
    pub(super) command: Option<String>,
    /// The caller may give the command standard input (allow with --command)
    #[arg(long)]
    pub(super) stdin: bool,
    /// The caller may choose TERM (allow with --command)
    #[arg(long)]
    pub(super) term: bool,
    /// What the session's name must look like
    #[arg(long, value_name = "PATTERN")]
    pub(super) session: Option<String>,
    /// Where the file must be: this directory or file and all beneath it (read, write, files)
    #[arg(long, value_name = "PATTERN")]
    pub(super) path: Option<String>,
    /// Put it in as this number instead of at the end
    #[arg(long, value_name = "NUMBER")]
    pub(super) at: Option<usize>,
}

/// A request to be tried.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct TestArgs {
    /// Who asks: uid:1000, loopback, key:NAME
    pub(super) who: String,
    /// observe, drive, create, destroy, exec, read or write
    pub(super) action: String,
    /// The command (exec, create)
    #[arg(long)]
    pub(super) command: Option<String>,
    /// With standard input of the caller's own (exec)
    #[arg(long)]
    pub(super) stdin: bool,
    /// With a TERM of the caller's own (create)
    #[arg(long)]
    pub(super) term: bool,
    /// The session's name
    #[arg(long)]
    pub(super) session: Option<String>,
    /// The file or directory, absolute and without links (read, write)
    #[arg(long)]
    pub(super) path: Option<String>,
    /// JSON instead of a sentence
    #[arg(long)]
    pub(super) json: bool,
}

/// Flags of `agent status`.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
An agent that runs may still have no link to its relay: `link` says so, and why. With --json that is `linked`, and `link_error`.

Exit codes: 0 it runs; 1 it does not; 255 our own failure")]
pub(super) struct AgentStatusArgs {
    #[command(flatten)]
    pub(super) dir: AgentDirArgs,
    /// JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Whose unit is installed, if at all.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct ScopeArgs {
    /// A unit of this user's own systemd [default unless root]
    #[arg(long, conflicts_with = "system")]
    pub(super) user: bool,
    /// A unit of the system's systemd [default for root]
    #[arg(long)]
    pub(super) system: bool,
    /// Print the unit and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Flags of `agent install`.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
The unit has KillMode=process: `systemctl restart` and `stop` end the agent only, and the sessions live on. It names the
directories that commands of the same user have now, so the machine that has joined links, and its rules are in force. An agent
that runs in the background gives way to it. The same command again takes a newer binary into service.

Examples:
  fleetmux agent install --dry-run --relay tls://relay.example.org:7443
  sudo fleetmux agent install --system --name web-1 --label role=web")]
pub(super) struct InstallArgs {
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
    /// Display name of the machine [default: its host name]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) name: String,
    /// A label of the machine, repeated: role=web
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
}

/// Whose log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogPart {
    /// The agent's
    Agent,
    /// The relay's
    Relay,
}

/// Flags of `logs`.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
The logs are in the state directory, rotated at 4 MiB, and `fleetmux agent status` names the agent's. FLEETMUX_LOG sets \
what is logged: FLEETMUX_LOG=debug, FLEETMUX_LOG=fleetmux::relay=trace. No log has typed bytes, keys or variables.

Examples:
  fleetmux logs -n 20
  fleetmux logs -f relay")]
pub(super) struct LogsArgs {
    /// Of this part only [default: all of this machine's]
    pub(super) part: Option<LogPart>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Lines of the past
    #[arg(short = 'n', long, alias = "tail", default_value_t = 50, value_name = "LINES")]
    pub(super) lines: usize,
    /// The agent's directory, if it was started with --dir
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

/// Flags of `doctor`.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "Exit codes: 0 nothing is broken; 1 something is; 255 our own failure")]
pub(super) struct DoctorArgs {
    /// The agent's directory, if it was started with --dir
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// JSON instead of lines
    #[arg(long)]
    pub(super) json: bool,
}

/// Whose completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// GNU bash, 4 or newer
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

impl Shell {
    /// As its completer is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }
}

/// Flags of `completions`.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
The script asks fleetmux itself, so that machines and sessions are those of now. Load it when the shell starts:
  bash  echo 'source <(fleetmux completions bash)' >> ~/.bashrc
  zsh   echo 'source <(fleetmux completions zsh)' >> ~/.zshrc
  fish  fleetmux completions fish > ~/.config/fish/completions/fleetmux.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: Shell,
}

/// Flags of `man`.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  fleetmux man | man -l -
  sudo fleetmux man --dir /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write a page for every command into this directory [default: print that of fleetmux]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

//! Flags of the relay and of the keys to it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::args::Life;
use super::host_args::ScopeArgs;
use crate::fleet::{Action, Endpoint, Fingerprint};

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
    /// Forget machines that have been offline for longer, with their sessions and keys: days, or 12h, 30d [default: never]
    #[arg(long, value_name = "DAYS|TIME", value_parser = days)]
    pub(super) forget_after: Option<Life>,
    /// End with the parent process
    #[arg(long, hide = true)]
    pub(super) die_with_parent: bool,
}

/// A time span, or a number of days.
fn days(text: &str) -> Result<Life, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { format!("{text}d").parse() } else { text.parse() }
}

#[derive(Debug, Subcommand)]
pub(super) enum RelayCommand {
    /// Make a CA, a server certificate and a first join token
    Init(RelayInitArgs),
    /// Install a systemd unit that keeps the relay running
    Install(RelayInstallArgs),
    /// Make a join token for a machine
    Token(TokenArgs),
    /// List machines that have joined, change what is bound to one, or revoke one's key
    #[command(subcommand)]
    Machines(RelayMachinesCommand),
}

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
The unit of the system has no rights but to its own files and its port. Who restarts the relay cuts nobody's session: agents and
clients come back by themselves. The same command again takes a newer binary into service.

Examples:
  fleetmux relay install
  fleetmux relay install --listen tls://10.0.0.7:443 --forget-after 30d
  fleetmux relay install --dry-run")]
pub(super) struct RelayInstallArgs {
    /// Where to listen
    #[arg(long, default_value = "tls://0.0.0.0:7443", value_name = "RELAY")]
    pub(super) listen: Endpoint,
    /// Directory made by `relay init` [default: relay in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Forget machines that have been offline for longer: days, or 12h, 30d [default: never]
    #[arg(long, value_name = "DAYS|TIME", value_parser = days)]
    pub(super) forget_after: Option<Life>,
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
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
    /// Days that the certificate is good for
    #[arg(long, default_value_t = crate::relay::CERTIFICATE_DAYS, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(super) days: u32,
    /// Only make another certificate under the same CA, for the names of the last one and those of --name; a running relay takes
    /// it up, and nobody has to join or log in anew
    #[arg(long, conflicts_with = "port")]
    pub(super) renew: bool,
}

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
A token without --name, --allow-name, --label and --allow-label trusts the person who joins with it: they choose name and \
labels. With any of these it is strict: the name is --name or fits an --allow-name (without both it is free), and labels are \
those of --label and what --allow-label lets the machine set. Selectors go by what is bound when the machine joins, and by \
nothing that it says later.

Examples:
  fleetmux relay token                                             one machine, as its owner calls it
  fleetmux relay token --name dev-7 --label role=dev               dev-7 and nothing else
  fleetmux relay token --reusable --expires 30d --allow-name 'web-*' --label role=web --allow-label 'rack=*' --replace")]
pub(super) struct TokenArgs {
    /// Workspace of the machine [default: default]
    #[arg(long)]
    pub(super) workspace: Option<String>,
    /// How long it is good: 90s, 15m, 1h, 7d
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub(super) expires: Life,
    /// What the machine that joins with it is called [default: its own choice]
    #[arg(long, value_name = "NAME", conflicts_with = "allow_names")]
    pub(super) name: Option<String>,
    /// Names that the machine may choose, repeated; * and ? are wildcards: web-* [default: any]
    #[arg(long = "allow-name", value_name = "PATTERN")]
    pub(super) allow_names: Vec<String>,
    /// A label of every machine that joins with it, repeated: role=web
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    /// A label that the machine may set beside these, repeated; * and ? are wildcards in the value: env=dev-*, rack=* [default:
    /// any if the token says nothing about names and labels, otherwise none]
    #[arg(long = "allow-label", value_name = "KEY=PATTERN")]
    pub(super) allow_labels: Vec<String>,
    /// Any number of machines may use it
    #[arg(long)]
    pub(super) reusable: bool,
    /// Though reusable, it may be used to replace a machine that is offline (`agent join --replace`); a token for one machine
    /// always may
    #[arg(long)]
    pub(super) replace: bool,
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
    /// Change the name, host name or labels that are bound to a machine that has joined
    ///
    /// Everybody who watches sees it at once, and selectors go by it from then on.
    Set(SetMachineArgs),
    /// Cut a machine off and forget it: its key is good no more, its sessions live on there
    Revoke {
        /// Name or id
        machine: String,
        /// The relay's directory [default: relay in the user's state directory]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  fleetmux relay machines set web-1 --label env=prod --remove-label canary
  fleetmux relay machines set web-1 --name web-9 --hostname vps-a.example.net")]
pub(super) struct SetMachineArgs {
    /// Name or id
    pub(super) machine: String,
    /// Another name; one that another machine of the workspace has is refused
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Set a label, repeated: role=web
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(super) labels: Vec<String>,
    /// Remove a label, repeated
    #[arg(long = "remove-label", value_name = "KEY")]
    pub(super) remove_labels: Vec<String>,
    /// Another host name, which selectors match as they match the name
    #[arg(long, value_name = "HOSTNAME")]
    pub(super) hostname: Option<String>,
    /// JSON instead of a line
    #[arg(long)]
    pub(super) json: bool,
    /// The relay's directory [default: relay in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
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
    /// What it may do: observe, drive, exec, read, files (read and write), admin
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

//! Flags of the relay and of the keys to it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::args::Life;
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
    /// Days that the certificate is good for
    #[arg(long, default_value_t = crate::relay::CERTIFICATE_DAYS, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(super) days: u32,
    /// Only make another certificate under the same CA, for the names of the last one or those of --name; a running relay takes
    /// it up, and nobody has to join or log in anew
    #[arg(long, conflicts_with = "port")]
    pub(super) renew: bool,
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

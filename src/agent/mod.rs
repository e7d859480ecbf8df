//! The agent: finds living keepers, starts new ones, and carries frames between them and the relay.
//!
//! It never parses terminal output. Everything it knows can be had again from the keepers' sockets, so losing it loses
//! nothing. One task owns the table of sessions; each keeper has a task that reads it.

mod exec;
mod facts;
mod files;
mod hub;
mod join;
mod keepers;
mod link;
mod lock;
pub mod permissions;
mod standing;

pub use exec::{BEGIN_EXEC, begin_exec, run_guard};
pub use facts::local_labels;
pub use join::{JoinError, Joined, Membership, Wanted, join, membership};
pub use keepers::count as session_count;
pub use lock::{AgentLock, LockError, lock_holder};
pub use standing::{Standing, standing};

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::paths;
use crate::fleet::{Credentials, Endpoint, Labels};
use permissions::Permissions;

/// What an agent needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Display name; empty for the host name.
    pub name: String,
    /// Labels of the machine.
    pub labels: Labels,
    /// Its own directory: lock and keeper sockets.
    pub dir: PathBuf,
    /// Where the machine's identity is kept.
    pub state_dir: PathBuf,
    /// The machine's own rules; see [`permissions`].
    pub permissions: PathBuf,
    /// The relay to dial.
    pub relay: Endpoint,
    /// Machine key, and the CA that may vouch for the relay; a local relay needs neither.
    pub credentials: Credentials,
}

/// Why an agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Another one runs here.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A directory.
    #[error(transparent)]
    Directory(#[from] paths::DirError),
    /// A file.
    #[error("the agent cannot use {path}: {err}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        err: io::Error,
    },
}

/// Makes the directories that an agent cannot do without, and first the one of this user's that they are in: who may change that
/// may take them away and put others in their place.
pub fn make_dirs(dir: &Path, state_dir: &Path) -> Result<(), paths::DirError> {
    let runtime = paths::runtime_dir();
    let around = Some(runtime.as_path()).filter(|runtime| dir.starts_with(runtime));
    around.into_iter().chain([dir, &paths::sessions_dir(dir), state_dir]).try_for_each(paths::make_private_dir)
}

/// Makes the directories and the identity that an agent cannot do without.
pub fn prepare(options: &Options) -> Result<(), AgentError> {
    make_dirs(&options.dir, &options.state_dir)?;
    let path = options.state_dir.join(facts::IDENTITY);
    facts::identity(&options.state_dir).map(drop).map_err(|err| AgentError::Io { path, err })
}

/// Names under which the programs of sessions find this one, whichever version it is.
fn name_program(dir: &Path) -> std::io::Result<()> {
    let program = std::env::current_exe()?;
    paths::make_private_dir(dir)?;
    for name in ["fleetmux", "ccat"] {
        let link = dir.join(name);
        if std::fs::read_link(&link).ok().as_ref() != Some(&program) {
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&program, &link)?;
        }
    }
    Ok(())
}

/// Runs an agent until `end` completes; sessions live on.
pub async fn run(options: Options, end: impl Future<Output = ()>) -> Result<(), AgentError> {
    prepare(&options)?;
    let sessions = paths::sessions_dir(&options.dir);
    let logs = paths::logs_dir(&options.state_dir);
    let keeper_logs = logs.join("keepers");
    // Nobody is kept from a session by a disk that takes no logs.
    if let Err(err) = paths::make_private_dir(&logs).and_then(|()| paths::make_private_dir(&keeper_logs)) {
        tracing::warn!(%err, "keepers log nowhere");
    }
    let lock = AgentLock::take(&options.dir)?;
    if let Err(err) = name_program(&paths::programs_dir(&options.dir)) {
        tracing::warn!(%err, "sessions do not find ccat by its name");
    }
    let facts = facts::facts(&options).map_err(|err| AgentError::Io { path: options.state_dir.clone(), err })?;
    tracing::info!(machine = %facts.id, name = facts.name, relay = %options.relay, "agent starts");
    let permissions = Arc::new(Permissions::open(options.permissions, &facts.name));
    let record = standing::Record::start(&options.dir, &facts, &options.relay);
    let own = [&options.dir, &options.state_dir].into_iter().cloned();
    let (socket_file, port_file) = paths::sdk_discovery();
    let usual = [paths::state_dir(), paths::relay_dir(), paths::runtime_dir().join("agent")].into_iter();
    let usual = usual.chain(paths::config_dir()).chain(paths::home_dirs()).chain(socket_file).chain(port_file);
    let private = files::Private::new(own.chain(usual));
    let (relay, credentials, state_dir) = (options.relay, options.credentials, options.state_dir);
    let link = link::Options { relay, credentials, state_dir, record };
    tokio::select! {
        () = hub::run(facts, link, sessions, keeper_logs, permissions, private, lock) => {}
        () = end => tracing::info!("agent ends; sessions live on"),
    }
    Ok(())
}

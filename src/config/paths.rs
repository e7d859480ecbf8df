//! Directories and sockets: one runtime directory for what lives, one state directory for what is remembered.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::places::Asker;

/// Variables that name the three directories, whoever asks.
pub const VARIABLES: [&str; 3] = ["FLEETMUX_RUNTIME_DIR", "FLEETMUX_STATE_DIR", "FLEETMUX_CONFIG_DIR"];

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Asks the places that are this process's own.
fn ask<T>(question: impl FnOnce(&Asker<'_>) -> T) -> T {
    let uid = rustix::process::getuid().as_raw();
    let login_home = || nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.dir);
    let owner = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.uid());
    question(&Asker { uid, var: &variable, login_home: &login_home, owner: &owner, lives: &is_alive })
}

/// Whether an agent holds the lock of a runtime directory, or sessions have sockets there.
fn is_alive(runtime: &Path) -> bool {
    // Anybody may make a directory of this name in /tmp, and put into it what he likes.
    if check_own_dir(runtime).is_err() {
        return false;
    }
    let agent = runtime.join("agent");
    let has_sessions = || std::fs::read_dir(sessions_dir(&agent)).is_ok_and(|mut found| found.next().is_some());
    held_lock(&agent).is_some() || has_sessions() || relay_socket(runtime).exists()
}

/// Sockets and sessions: `$FLEETMUX_RUNTIME_DIR`, root's `/run/fleetmux`, or `fleetmux` in the user's runtime directory.
pub fn runtime_dir() -> PathBuf {
    variable(VARIABLES[0]).unwrap_or_else(|| ask(|asker| asker.runtime()))
}

/// Identity and records: `$FLEETMUX_STATE_DIR`, root's `/var/lib/fleetmux`, or `fleetmux` in the user's state directory.
pub fn state_dir() -> PathBuf {
    variable(VARIABLES[1]).or_else(|| ask(|asker| asker.state())).unwrap_or_else(|| runtime_dir().join("state"))
}

/// Themes, settings and the machine's rules: `$FLEETMUX_CONFIG_DIR`, root's `/etc/fleetmux`, or `fleetmux` in the user's
/// configuration directory.
pub fn config_dir() -> Option<PathBuf> {
    variable(VARIABLES[2]).or_else(|| ask(|asker| asker.config()))
}

/// Directories with secrets that root may have at home as well: of a person who is root, or of before root had the system's.
pub fn home_dirs() -> impl Iterator<Item = PathBuf> {
    ask(|asker| asker.at_home()).into_iter().flatten()
}

/// What root had at home before it had the system's places, from where to where; it is moved with [`std::fs::rename`], while
/// nothing runs on it.
pub fn former_dirs() -> Vec<(PathBuf, PathBuf)> {
    if VARIABLES.into_iter().any(|name| variable(name).is_some()) || !ask(|asker| asker.is_system()) {
        return Vec::new();
    }
    let places = [Some(state_dir()), config_dir()];
    let pairs = ask(|asker| asker.at_home()).into_iter().zip(places).filter_map(|(from, to)| Some((from?, to?)));
    pairs.filter(|(from, to)| from.is_dir() && !to.exists()).collect()
}

/// The lock that an agent holds in its directory.
pub fn lock_file(agent_dir: &Path) -> PathBuf {
    agent_dir.join("agent.lock")
}

/// That lock, if an agent of this user's holds it.
pub fn held_lock(agent_dir: &Path) -> Option<std::fs::File> {
    let lock = open_own(&lock_file(agent_dir)).ok()?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err().then_some(lock)
}

/// The relay's socket of a user's own background server.
pub fn relay_socket(runtime: &Path) -> PathBuf {
    runtime.join("relay.sock")
}

/// Where an agent puts names for its own program, for the programs of its sessions.
pub fn programs_dir(agent_dir: &Path) -> PathBuf {
    agent_dir.join("bin")
}

/// Keeper sockets of an agent.
pub fn sessions_dir(agent_dir: &Path) -> PathBuf {
    agent_dir.join("s")
}

/// State of a relay of this user that serves others: `fleetmux relay init` makes it.
pub fn relay_dir() -> PathBuf {
    state_dir().join("relay")
}

/// Writes a file for its owner only, whole or not at all.
pub fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(name);
    // What a crash left behind may have another mode.
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

/// Where the published SDKs' local mode looks for an agent: Node's file, and the one that only Python reads.
pub fn sdk_discovery() -> (Option<PathBuf>, Option<PathBuf>) {
    let (home, runtime) = ask(|asker| (asker.home(), asker.own_runtime()));
    (home.map(|home| home.join(".cmdop/agent.info")), runtime.map(|dir| dir.join("cmdop/agent.info")))
}

/// Where units of this user's own systemd are.
pub fn user_units_dir() -> Option<PathBuf> {
    ask(|asker| asker.config_base()).map(|dir| dir.join("systemd/user"))
}

/// Log files under a state directory.
pub fn logs_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("logs")
}

/// The log of a part: "agent", "relay" or "server" (both in one process).
pub fn log_path(state_dir: &Path, part: &str) -> PathBuf {
    logs_dir(state_dir).join(format!("{part}.log"))
}

/// The same, in a directory that is there from now on.
pub fn log_file(state_dir: &Path, part: &str) -> io::Result<PathBuf> {
    make_private_dir(state_dir)?;
    make_private_dir(&logs_dir(state_dir))?;
    Ok(log_path(state_dir, part))
}

/// Where an agent keeps its state: in the directory it was given, or else in the user's state directory.
pub fn agent_state_dir(agent_dir: Option<&Path>) -> PathBuf {
    agent_dir.map_or_else(state_dir, |dir| dir.join("state"))
}

/// The machine's own rules: in the directory of an agent that was given one, or else in the user's configuration directory.
pub fn permissions_file(agent_dir: Option<&Path>) -> PathBuf {
    let dir = agent_dir.map(Path::to_path_buf).or_else(config_dir).unwrap_or_else(|| state_dir().join("config"));
    dir.join("permissions.toml")
}

/// Refuses a file with secrets that others may read or change; one that is not there is no matter of this.
pub fn check_private(path: &Path) -> io::Result<()> {
    let Ok(meta) = std::fs::metadata(path) else { return Ok(()) };
    if meta.mode() & 0o077 == 0 {
        return Ok(());
    }
    let (mode, shown) = (meta.mode() & 0o7777, path.display());
    let message = format!("it holds secrets and is open to others (mode {mode:o}); run `chmod 600 {shown}`");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// A directory that cannot be used: which, why, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The system refuses it.
    #[error("cannot make the directory {dir}: {err}{}", elsewhere(dir, err))]
    Io {
        /// Which.
        dir: PathBuf,
        /// What it said.
        err: io::Error,
    },
    /// Others could have planted it.
    #[error("{0} is no directory of yours; choose another, or move it away if you know what it is")]
    Foreign(PathBuf),
    /// Others could plant something in it. What is in it may be sessions that live: it is never advised to be removed.
    #[error("{dir} may be changed by others (mode {mode:o}); run `chmod 700 {dir}`")]
    Open {
        /// Which.
        dir: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// What to do where the system will not change its mind.
fn elsewhere(dir: &Path, err: &io::Error) -> String {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    match err.kind() {
        PermissionDenied | ReadOnlyFilesystem | NotADirectory | NotFound => {
            let places = [Some(runtime_dir()), Some(state_dir()), config_dir()];
            let which = places.iter().position(|place| place.as_ref().is_some_and(|place| dir.starts_with(place)));
            which.map_or_else(String::new, |which| format!("; {} names another", VARIABLES[which]))
        }
        _ => String::new(),
    }
}

impl From<DirError> for io::Error {
    fn from(err: DirError) -> io::Error {
        let kind = match &err {
            DirError::Io { err, .. } => err.kind(),
            DirError::Foreign(_) | DirError::Open { .. } => io::ErrorKind::PermissionDenied,
        };
        io::Error::new(kind, err)
    }
}

/// Opens a file of this user's own for reading: no link, nothing that waits, nobody else's.
pub fn open_own(path: &Path) -> io::Result<std::fs::File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() && meta.uid() == rustix::process::getuid().as_raw() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is no file of yours", path.display())))
}

/// Makes a directory for its owner only, and refuses one that others could have planted.
pub fn make_private_dir(dir: &Path) -> Result<(), DirError> {
    let failed = |err| DirError::Io { dir: dir.into(), err };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    check_own_dir(dir)
}

/// Refuses what is no directory of this user's, or one that others may change.
fn check_own_dir(dir: &Path) -> Result<(), DirError> {
    let meta = std::fs::symlink_metadata(dir).map_err(|err| DirError::Io { dir: dir.into(), err })?;
    if !meta.is_dir() || meta.uid() != rustix::process::getuid().as_raw() {
        return Err(DirError::Foreign(dir.into()));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(DirError::Open { dir: dir.into(), mode: meta.mode() & 0o7777 });
    }
    Ok(())
}

//! Directories and sockets: one runtime directory for what lives, one state directory for what is remembered.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

fn project() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "fleetmux")
}

/// Sockets and sessions: `$FLEETMUX_RUNTIME_DIR`, or `$XDG_RUNTIME_DIR/fleetmux`, or `/tmp/fleetmux-UID`.
pub fn runtime_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("FLEETMUX_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let standard = project().and_then(|dirs| dirs.runtime_dir().map(Path::to_path_buf));
    standard.unwrap_or_else(|| format!("/tmp/fleetmux-{}", rustix::process::getuid().as_raw()).into())
}

/// Identity and records: `$FLEETMUX_STATE_DIR`, or the user's state directory.
pub fn state_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("FLEETMUX_STATE_DIR").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let standard = project().map(|dirs| dirs.state_dir().unwrap_or(dirs.data_dir()).to_path_buf());
    standard.unwrap_or_else(|| runtime_dir().join("state"))
}

/// Themes and settings of the user: `$FLEETMUX_CONFIG_DIR`, or the user's configuration directory.
pub fn config_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("FLEETMUX_CONFIG_DIR").filter(|dir| !dir.is_empty()) {
        return Some(dir.into());
    }
    project().map(|dirs| dirs.config_dir().to_path_buf())
}

/// The relay's socket of a user's own background server.
pub fn relay_socket(runtime: &Path) -> PathBuf {
    runtime.join("relay.sock")
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
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

/// Where the published SDKs' local mode looks for an agent: Node's file, and the one that only Python reads.
pub fn sdk_discovery() -> (Option<PathBuf>, Option<PathBuf>) {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = var("HOME").map(|home| home.join(".cmdop/agent.info"));
    (home, var("XDG_RUNTIME_DIR").map(|dir| dir.join("cmdop/agent.info")))
}

/// Log files under a state directory.
pub fn logs_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("logs")
}

/// The log of a part, "agent", "relay" or "server" (both in one process), in a directory that is there from now on.
pub fn log_file(state_dir: &Path, part: &str) -> io::Result<PathBuf> {
    make_private_dir(state_dir)?;
    let dir = logs_dir(state_dir);
    make_private_dir(&dir)?;
    Ok(dir.join(format!("{part}.log")))
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

/// Makes a directory for its owner only, and refuses one that others could have planted.
pub fn make_private_dir(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = std::fs::symlink_metadata(dir)?;
    let own = rustix::process::getuid().as_raw();
    let is_private = meta.is_dir() && meta.uid() == own && meta.mode() & 0o022 == 0;
    if is_private {
        return Ok(());
    }
    let shown = dir.display();
    let message = if meta.is_dir() && meta.uid() == own {
        // What is in it may be sessions that live: it is never advised to be removed.
        format!("{shown} may be changed by others (mode {:o}); run `chmod 700 {shown}`", meta.mode() & 0o7777)
    } else {
        format!("{shown} is no directory of yours; choose another, or move it away if you know what it is")
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

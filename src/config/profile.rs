//! The client's configuration: relays by name, with the key for each. It holds secrets, so it must be its owner's alone.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths;
use crate::fleet::{Credentials, Endpoint, Secret};

/// One relay and how to get in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Where.
    pub relay: Option<Endpoint>,
    /// Key and CA.
    pub credentials: Credentials,
    /// The key's workspace, to choose a profile by.
    pub workspace: Option<String>,
}

/// The file's form: the relay of every day on top, others by name.
#[derive(Clone, Default, Serialize, Deserialize)]
struct File {
    #[serde(flatten)]
    default: Entry,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    relays: BTreeMap<String, Entry>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<String>,
    /// A PEM text, or the path of a file with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A directory.
    #[error(transparent)]
    Directory(#[from] paths::DirError),
    /// A file.
    #[error("cannot use {path}: {err}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        err: io::Error,
    },
    /// Others may read the key.
    #[error("{path} holds keys and is open to others (mode {mode:o}); run `chmod 600 {path}`")]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not what the file should be.
    #[error("{path} is not understood: {reason}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No profile of this name or workspace.
    #[error("{path} has no relay {wanted:?}; it has: {names}. `fleetmux login --profile {wanted}` makes one")]
    NoProfile {
        /// Which file.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        names: String,
    },
    /// No home directory.
    #[error("there is no configuration directory; set HOME or FLEETMUX_CONFIG")]
    NoDirectory,
}

/// The profile of this name, or for this workspace, or the one on top; without a file there is none.
pub fn load(name: Option<&str>, workspace: Option<&str>) -> Result<Profile, ConfigError> {
    let Some(path) = path() else { return Ok(Profile::default()) };
    let file = read(&path)?.unwrap_or_default();
    let entry = match (name, workspace) {
        (Some(name), _) => file.relays.get(name),
        (None, Some(workspace)) => {
            let fits = |entry: &&Entry| entry.workspace.as_deref() == Some(workspace);
            Some(&file.default).filter(fits).or_else(|| file.relays.values().find(fits))
        }
        (None, None) => Some(&file.default),
    };
    let names = || file.relays.keys().cloned().collect::<Vec<_>>().join(", ");
    let wanted = || name.or(workspace).unwrap_or_default().to_string();
    let entry = entry.ok_or_else(|| ConfigError::NoProfile { path: path.clone(), wanted: wanted(), names: names() })?;
    profile(&path, entry)
}

/// Stores a profile, on top or by name, and says where.
pub fn save(name: Option<&str>, profile: &Profile) -> Result<PathBuf, ConfigError> {
    let path = path().ok_or(ConfigError::NoDirectory)?;
    let mut file = read(&path)?.unwrap_or_default();
    let entry = Entry {
        relay: profile.relay.as_ref().map(Endpoint::to_string),
        ca: profile.credentials.ca_pem.clone(),
        key: profile.credentials.key.as_ref().map(|key| key.reveal().to_string()),
        workspace: profile.workspace.clone(),
    };
    match name {
        Some(name) => drop(file.relays.insert(name.into(), entry)),
        None => file.default = entry,
    }
    write(&path, &file)?;
    Ok(path)
}

/// Removes a profile, the one on top or one by name; where it was and which relay it named, if there was one.
pub fn forget(name: Option<&str>) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let Some(path) = path() else { return Ok(None) };
    let Some(mut file) = read(&path)? else { return Ok(None) };
    let entry = match name {
        Some(name) => file.relays.remove(name),
        None => Some(std::mem::take(&mut file.default)),
    };
    let Some(relay) = entry.and_then(|entry| entry.relay) else { return Ok(None) };
    write(&path, &file)?;
    Ok(Some((path, relay)))
}

fn write(path: &Path, file: &File) -> Result<(), ConfigError> {
    let io = |err| ConfigError::Io { path: path.into(), err };
    let text = toml::to_string(file).map_err(|err| io(io::Error::other(err)))?;
    if let Some(dir) = path.parent() {
        paths::make_private_dir(dir)?;
    }
    paths::write_private(path, text.as_bytes()).map_err(io)
}

/// `$FLEETMUX_CONFIG`, or `config.toml` in the user's configuration directory.
fn path() -> Option<PathBuf> {
    let named = std::env::var_os("FLEETMUX_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| paths::config_dir().map(|dir| dir.join("config.toml")))
}

fn read(path: &Path) -> Result<Option<File>, ConfigError> {
    let io = |err| ConfigError::Io { path: path.into(), err };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(io(err)),
    };
    let file = parse(path, &text)?;
    let has_key = file.default.key.is_some() || file.relays.values().any(|entry| entry.key.is_some());
    let mode = std::fs::metadata(path).map_err(io)?.mode() & 0o777;
    if has_key && mode & 0o077 != 0 {
        return Err(ConfigError::Open { path: path.into(), mode });
    }
    Ok(Some(file))
}

fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    // The parser's own words would show the line, and the line may be the key's.
    toml::from_str(text).map_err(|err: toml::de::Error| ConfigError::Damaged {
        path: path.into(),
        reason: err.message().lines().next().unwrap_or_default().into(),
    })
}

/// Whether a text is a file of profiles, each of which is understood: the door for fuzzing.
#[doc(hidden)]
pub fn understood(text: &str) -> bool {
    let path = Path::new("config.toml");
    let Ok(file) = parse(path, text) else { return false };
    file.relays.values().chain([&file.default]).all(|entry| profile(path, entry).is_ok())
}

fn profile(path: &Path, entry: &Entry) -> Result<Profile, ConfigError> {
    let damaged = |reason: String| ConfigError::Damaged { path: path.into(), reason };
    let relay = entry.relay.as_ref().map(|relay| relay.parse()).transpose();
    let relay = relay.map_err(|err: crate::fleet::EndpointError| damaged(err.to_string()))?;
    let ca_pem = match &entry.ca {
        Some(ca) if !ca.contains("-----BEGIN") => {
            let read = std::fs::read_to_string(ca);
            Some(read.map_err(|err| ConfigError::Io { path: ca.into(), err })?)
        }
        ca => ca.clone(),
    };
    let key = entry.key.as_ref().map(|key| Secret::new(key.trim()));
    let credentials = Credentials { key, ca_pem, ca_fingerprint: None };
    Ok(Profile { relay, credentials, workspace: entry.workspace.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&path, mode).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_with_a_key_must_be_its_owners_alone() {
        let (_dir, path) = write("key = \"fm_x\"\n", 0o644);
        assert!(read(&path).err().unwrap().to_string().contains("chmod 600"));
        let (_dir, path) = write("relay = \"tls://h:1\"\n", 0o644);
        assert!(read(&path).is_ok(), "without a key there is nothing to hide");
    }

    #[test]
    fn an_error_does_not_show_the_line_of_the_key() {
        let (_dir, path) = write("key = \"fm_secret\n", 0o600);
        assert!(!read(&path).err().unwrap().to_string().contains("fm_secret"));
    }

    #[test]
    fn several_relays_have_names() {
        let (_dir, path) = write("relay = \"tls://a:1\"\n[relays.prod]\nrelay = \"tls://b:1\"\nkey = \"k\"\n", 0o600);
        let file = read(&path).unwrap().unwrap();
        let prod = profile(&path, &file.relays["prod"]).unwrap();
        assert_eq!(prod.relay, Some(Endpoint::Tls("b:1".into())));
        assert_eq!(prod.credentials.key, Some(Secret::new("k")));
    }
}

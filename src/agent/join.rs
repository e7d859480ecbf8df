//! Joining a relay: a token's secret becomes this machine's key, kept in the agent's state directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts;
use crate::config::paths;
use crate::fleet::{Credentials, Endpoint, JoinToken, Labels, Refusal, Secret};
use crate::wire::{self, DialError, refusal_of, v1};

/// File in the state directory, for its owner only.
const FILE: &str = "joined.toml";
/// Name of a host that has none.
const NAMELESS: &str = "unnamed";

/// The relay a machine has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Where.
    pub relay: Endpoint,
    /// Display name, as the relay bound it when the machine joined; an admin may have changed it there since.
    pub name: String,
    /// Labels, likewise.
    pub labels: Labels,
    /// Host name, likewise; empty from a relay that binds nothing.
    pub hostname: String,
    /// The relay goes by these, whatever the agent says.
    pub is_bound: bool,
    /// Workspace, as the relay decided it.
    pub workspace: String,
    /// Machine key and the relay's CA.
    pub credentials: Credentials,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct File {
    relay: String,
    name: String,
    workspace: String,
    key: String,
    ca: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hostname: String,
    /// Absent from before relays bound anything.
    #[serde(default)]
    is_bound: bool,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Why a machine cannot join, or its membership cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No connection, or not to the relay that the token names.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The relay said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The relay gave another CA than the token names.
    #[error("the relay's CA is not the one that the token names; make a new token with `fleetmux relay token`")]
    OtherCa,
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
    /// A file that says something else.
    #[error("{path} is damaged ({reason}); join again with a new token")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What whoever joins asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Display name; empty for the token's, the one of before, or the host's.
    pub name: String,
    /// Labels beside the token's; none for those of before.
    pub labels: Labels,
    /// Takes the place of a machine that has the name and is offline.
    pub replaces: bool,
}

/// Exchanges a token for a machine key and stores it; the CA is pinned by the token's fingerprint. The relay decides what the
/// machine is called and how it is labelled. A name that an offline machine has is refused with [`Code::Exists`](crate::fleet::Code)
/// unless it is to be replaced.
pub async fn join(token: &JoinToken, wanted: Wanted, state_dir: &Path) -> Result<Joined, JoinError> {
    let io = |path: &Path, err| JoinError::Io { path: path.into(), err };
    paths::make_private_dir(state_dir)?;
    let relay = token.relay();
    let machine = facts::identity(state_dir).map_err(|err| io(&state_dir.join(facts::IDENTITY), err))?;
    let before = membership(state_dir).ok().flatten();
    // A machine that joins again proves that it is the one that joined.
    let key = before.as_ref().and_then(|before| before.credentials.key.clone());
    let credentials = Credentials { key, ca_pem: None, ca_fingerprint: Some(token.ca) };
    // At the same relay it stays who it was, unless it is told otherwise.
    let before = before.filter(|before| before.relay == relay);
    let (old_name, old_labels) = before.map(|before| (before.name, before.labels)).unwrap_or_default();
    let hostname = Some(facts::hostname()).filter(|hostname| !hostname.is_empty()).unwrap_or_else(|| NAMELESS.into());
    let name = [&wanted.name, &old_name, &hostname].into_iter().find(|name| !name.is_empty());
    let name = name.cloned().unwrap_or_default();
    let channel = wire::dial(&relay, &credentials).await?;
    let request = v1::JoinRequest {
        secret: token.secret.reveal().into(),
        machine: bytes::Bytes::copy_from_slice(machine.as_bytes()),
        name: name.clone(),
        hostname,
        labels: wanted.labels.clone().into_iter().collect(),
        name_is_default: wanted.name.is_empty(),
        replace: wanted.replaces,
    };
    let reply = wire::join_service(channel).join(request).await.map_err(|status| refusal_of(&status))?.into_inner();
    if wire::fingerprint(&reply.ca_pem) != Some(token.ca) {
        return Err(JoinError::OtherCa);
    }
    let mut labels: Labels = reply.labels.into_iter().collect();
    // A relay that binds nothing believes what this agent will say.
    let is_bound = !reply.name.is_empty();
    if !is_bound {
        labels.extend(if wanted.labels.is_empty() { old_labels } else { wanted.labels });
    }
    let file = File {
        relay: relay.to_string(),
        name: if is_bound { reply.name } else { name },
        workspace: reply.workspace,
        key: reply.machine_key,
        ca: reply.ca_pem,
        labels,
        hostname: reply.hostname,
        is_bound,
    };
    let path = state_dir.join(FILE);
    let text = toml::to_string(&file).map_err(|err| io(&path, io::Error::other(err)))?;
    paths::write_private(&path, text.as_bytes()).map_err(|err| io(&path, err))?;
    Ok(Joined { membership: from_file(file, &path)?, has_replaced: reply.replaced })
}

/// What joining led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// As it is stored.
    pub membership: Membership,
    /// A machine that had the name gave way.
    pub has_replaced: bool,
}

/// The relay that this state directory's machine has joined, if it has.
pub fn membership(state_dir: &Path) -> Result<Option<Membership>, JoinError> {
    let path = state_dir.join(FILE);
    paths::check_private(&path).map_err(|err| JoinError::Io { path: path.clone(), err })?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(JoinError::Io { path, err }),
    };
    // The parser's own words would show the line, and the line may be the key's.
    let file = toml::from_str(&text).map_err(|err: toml::de::Error| JoinError::Damaged {
        path: path.clone(),
        reason: err.message().lines().next().unwrap_or_default().into(),
    })?;
    from_file(file, &path).map(Some)
}

fn from_file(file: File, path: &Path) -> Result<Membership, JoinError> {
    let relay = file.relay.parse();
    let relay =
        relay.map_err(|_| JoinError::Damaged { path: path.into(), reason: "its relay is no address".into() })?;
    let credentials =
        Credentials { key: Some(Secret::new(file.key.clone())), ca_pem: Some(file.ca.clone()), ca_fingerprint: None };
    let File { name, labels, hostname, is_bound, workspace, .. } = file;
    Ok(Membership { relay, name, labels, hostname, is_bound, workspace, credentials })
}

//! What survives the relay's own end: machines, sessions, keys and tokens. One redb file, written by one thread.
//!
//! It holds no session truth. A disk that takes nothing costs nothing but time: what is to be written waits, and goes onto the
//! disk once that takes it.

mod writer;

use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::oneshot;

use super::auth::{Key, Token};
use crate::fleet::{KeyId, Machine, MachineId, Session};
use crate::wire::{Message, v1};
use writer::{Table, Writer};

/// Changes waiting for the disk that nobody waits for; beyond it the newest is dropped, since the next heartbeat brings it again.
const CHANGES_CAP: usize = 4096;
/// Room beside them for those that somebody waits for: a person's or a machine's call each.
const KEEPS_CAP: usize = 4096;
/// Bytes that a proof writes: more than any key or token takes.
const PROBE_BYTES: usize = 16 * 1024;

/// One change.
pub(super) enum Change {
    /// Remember this machine.
    Machine(Box<v1::Machine>),
    /// Forget this machine.
    MachineGone(MachineId),
    /// Remember this session.
    Session(Box<v1::Session>),
    /// Forget this session.
    SessionGone(Vec<u8>),
    /// Remember this key, revoked or not.
    Key(Box<Key>),
    /// Forget this key.
    KeyGone(KeyId),
    /// Remember this token, used or not.
    Token(Box<Token>),
    /// Remember that a key was good from a network.
    Known(IpAddr, KeyId),
    /// Nothing but a proof that the disk takes what is given to it.
    Probe,
}

/// A row of a table as it is to be, or `None` where it is to be no more.
struct Row {
    table: Table,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Change {
    fn row(self) -> Row {
        let json = |table, key: Vec<u8>, value: serde_json::Result<Vec<u8>>| Row {
            table,
            key,
            value: Some(value.unwrap_or_default()),
        };
        match self {
            Change::Machine(machine) => {
                let key = machine.facts.as_ref().map(|facts| facts.id.to_vec()).unwrap_or_default();
                Row { table: Table::Machines, key, value: Some(machine.encode_to_vec()) }
            }
            Change::MachineGone(id) => Row { table: Table::Machines, key: id.as_bytes().to_vec(), value: None },
            Change::Session(mut session) => {
                let mut key = Vec::new();
                if let Some(spec) = session.info.as_mut().and_then(|info| info.spec.as_mut()) {
                    // Variables may hold secrets, and nobody needs them here.
                    spec.env.clear();
                    key = spec.id.to_vec();
                }
                Row { table: Table::Sessions, key, value: Some(session.encode_to_vec()) }
            }
            Change::SessionGone(key) => Row { table: Table::Sessions, key, value: None },
            Change::Key(key) => json(Table::Keys, key.id.to_string().into(), serde_json::to_vec(&key)),
            Change::KeyGone(id) => Row { table: Table::Keys, key: id.to_string().into(), value: None },
            Change::Token(token) => json(Table::Tokens, token.id.clone().into(), serde_json::to_vec(&token)),
            Change::Known(network, key) => {
                let text = format!("{network} {key}").into_bytes();
                Row { table: Table::Known, key: text.clone(), value: Some(text) }
            }
            Change::Probe => Row { table: Table::Probe, key: b"probe".to_vec(), value: Some(vec![0; PROBE_BYTES]) },
        }
    }
}

/// A change, and who waits until it is on the disk.
type Queued = (Change, Option<oneshot::Sender<()>>);

/// The relay's memory; without a file it forgets.
#[derive(Clone)]
pub(super) struct Store {
    changes_tx: Option<SyncSender<Queued>>,
    /// Changes that the writer has not taken yet.
    queued: Arc<AtomicUsize>,
}

/// What a store held when it was opened.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) machines: Vec<Machine>,
    pub(super) sessions: Vec<Session>,
    pub(super) keys: Vec<Key>,
    pub(super) tokens: Vec<Token>,
    /// From which networks which keys were good.
    pub(super) known: Vec<(IpAddr, KeyId)>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("the relay's store {path} is in use; is another relay running on it?")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is no store any more.
    #[error(
        "the relay's store {path} is damaged ({reason}); restore a copy of it, or move it away and start: machines and keys \
         must then be made anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system refuses it.
    #[error("cannot use the relay's store {path}: {err}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        err: String,
    },
}

impl StoreError {
    fn new(path: &Path, err: redb::Error) -> StoreError {
        let path = path.to_path_buf();
        match err {
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse { path },
            // Not the store's own words for a file that is none.
            redb::Error::Io(err) if err.kind() != std::io::ErrorKind::InvalidData => {
                StoreError::Io { path, err: err.to_string() }
            }
            err => StoreError::Damaged { path, reason: err.to_string() },
        }
    }
}

impl Store {
    /// A store that remembers nothing.
    pub(super) fn forgetful() -> Store {
        Store { changes_tx: None, queued: Arc::default() }
    }

    /// Opens or makes the file and reads what it holds.
    pub(super) fn open(path: &Path) -> Result<(Store, Memory), StoreError> {
        let failed = |err: redb::Error| StoreError::new(path, err);
        let io = |err: std::io::Error| StoreError::Io { path: path.into(), err: err.to_string() };
        match std::fs::metadata(path) {
            // Never written so: an empty fleet must not take the place of the one that was in it.
            Ok(meta) if meta.is_file() && meta.len() == 0 => {
                return Err(StoreError::Damaged { path: path.into(), reason: "it is empty".into() });
            }
            Ok(meta) if meta.mode() & 0o077 != 0 => {
                tracing::warn!(store = %path.display(), "the store was open to others; it is its owner's alone now");
            }
            _ => {}
        }
        let mut writer = Writer::open(path).map_err(failed)?;
        let mut rows = |table| writer.read(table).map_err(failed);
        let (machines, sessions) = (rows(Table::Machines)?, rows(Table::Sessions)?);
        let (keys, tokens, known) = (rows(Table::Keys)?, rows(Table::Tokens)?, rows(Table::Known)?);
        // It holds hashes of keys: for its owner only.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
        let machine = |bytes: &Vec<u8>| v1::Machine::decode(&**bytes).ok()?.try_into().ok();
        let session = |bytes: &Vec<u8>| v1::Session::decode(&**bytes).ok()?.try_into().ok();
        let (changes_tx, changes_rx) = sync_channel(CHANGES_CAP + KEEPS_CAP);
        let queued = Arc::new(AtomicUsize::new(0));
        let store = Store { changes_tx: Some(changes_tx), queued: queued.clone() };
        let write = move || writer.run(&changes_rx, &queued);
        std::thread::Builder::new().name("store".into()).spawn(write).map_err(io)?;
        let memory = Memory {
            machines: machines.iter().filter_map(machine).collect(),
            sessions: sessions.iter().filter_map(session).collect(),
            keys: keys.iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect(),
            tokens: tokens.iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect(),
            known: known.iter().filter_map(|bytes| known_from(bytes)).collect(),
        };
        Ok((store, memory))
    }

    /// Hands a change to the writer; never waits.
    pub(super) fn change(&self, change: Change) {
        if self.queued.load(Ordering::Relaxed) >= CHANGES_CAP {
            return tracing::warn!("the disk is slow; a change of the registry is not stored");
        }
        let _ = self.send(change, None);
    }

    fn send(&self, change: Change, done_tx: Option<oneshot::Sender<()>>) -> Result<(), ()> {
        let Some(changes_tx) = &self.changes_tx else { return Ok(()) };
        self.queued.fetch_add(1, Ordering::Relaxed);
        let sent = changes_tx.try_send((change, done_tx));
        sent.map_err(|_| {
            self.queued.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Hands a change to the writer, however much waits there, and waits until it is on the disk. One that could not be written is written later, unless
    /// another one undoes it before.
    pub(super) async fn keep(&self, change: Change) -> Result<(), ()> {
        if self.changes_tx.is_none() {
            return Ok(());
        }
        let (done_tx, done_rx) = oneshot::channel();
        self.send(change, Some(done_tx))?;
        done_rx.await.map_err(|_| ())
    }
}

fn known_from(bytes: &[u8]) -> Option<(IpAddr, KeyId)> {
    let (network, key) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    Some((network.parse().ok()?, key.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        Store::open(path).err().map(|err| err.to_string()).unwrap_or_default()
    }

    /// A store of which nothing was left, or only rubbish, was said to be in use by another relay, or began an empty fleet
    /// without a word.
    #[test]
    fn a_damaged_store_is_told_from_one_in_use_and_never_taken_for_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.redb");
        let held = Store::open(&path).unwrap();
        assert!(refusal(&path).contains("is in use; is another relay running on it?"), "{}", refusal(&path));
        drop(held);
        for rubbish in [&b""[..], &[0x55; 64 * 1024]] {
            let path = dir.path().join(format!("{}.redb", rubbish.len()));
            std::fs::write(&path, rubbish).unwrap();
            let says = refusal(&path);
            assert!(says.contains("is damaged") && says.contains("restore a copy"), "{says}");
            assert!(!says.contains("another relay"), "{says}");
            assert_eq!(std::fs::read(&path).unwrap(), rubbish, "it is left alone");
        }
    }
}

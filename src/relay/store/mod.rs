//! What survives the relay's own end: which machines and sessions were known. One redb file, written by one thread.
//!
//! It holds no session truth; a lost file costs the list of offline machines and nothing else.

use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::oneshot;

use super::auth::{Key, Token};
use crate::fleet::{KeyId, Machine, MachineId, Session};
use crate::wire::{Message, v1};

const MACHINES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("machines");
const SESSIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sessions");
const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
const TOKENS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tokens");
/// `network key-id`, twice.
const KNOWN: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("known");
/// Changes waiting for the disk; beyond it the newest is dropped, since the next heartbeat brings it again.
const CHANGES_CAP: usize = 4096;
/// Changes written in one transaction.
const BATCH: usize = 512;

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
}

/// A change, and who waits until it is on the disk.
type Queued = (Change, Option<oneshot::Sender<()>>);

/// The relay's memory; without a file it forgets.
#[derive(Clone)]
pub(super) struct Store {
    changes_tx: Option<SyncSender<Queued>>,
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
        Store { changes_tx: None }
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
        let database = Database::create(path).map_err(|err| failed(err.into()))?;
        let machines = read(&database, MACHINES).map_err(failed)?;
        let sessions = read(&database, SESSIONS).map_err(failed)?;
        let keys = read(&database, KEYS).map_err(failed)?;
        let tokens = read(&database, TOKENS).map_err(failed)?;
        let known = read(&database, KNOWN).map_err(failed)?;
        // It holds hashes of keys: for its owner only.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
        let machine = |bytes: &Vec<u8>| v1::Machine::decode(&**bytes).ok()?.try_into().ok();
        let session = |bytes: &Vec<u8>| v1::Session::decode(&**bytes).ok()?.try_into().ok();
        let (changes_tx, changes_rx) = sync_channel(CHANGES_CAP);
        std::thread::Builder::new().name("store".into()).spawn(move || write(&database, &changes_rx)).map_err(io)?;
        let store = Store { changes_tx: Some(changes_tx) };
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
        if let Some(changes_tx) = &self.changes_tx
            && let Err(TrySendError::Full(_)) = changes_tx.try_send((change, None))
        {
            tracing::warn!("the disk is slow; a change of the registry is not stored");
        }
    }

    /// Hands a change to the writer and waits until it is on the disk.
    pub(super) async fn keep(&self, change: Change) -> Result<(), ()> {
        let Some(changes_tx) = &self.changes_tx else { return Ok(()) };
        let (done_tx, done_rx) = oneshot::channel();
        changes_tx.try_send((change, Some(done_tx))).map_err(|_| ())?;
        done_rx.await.map_err(|_| ())
    }
}

fn read(database: &Database, table: TableDefinition<'_, &[u8], &[u8]>) -> Result<Vec<Vec<u8>>, redb::Error> {
    let transaction = database.begin_write()?;
    // Opening for writing makes the table exist.
    drop(transaction.open_table(table)?);
    transaction.commit()?;
    let transaction = database.begin_read()?;
    let table = transaction.open_table(table)?;
    let rows = table.iter()?.map(|row| row.map(|(_, value)| value.value().to_vec()));
    Ok(rows.collect::<Result<_, _>>()?)
}

fn known_from(bytes: &[u8]) -> Option<(IpAddr, KeyId)> {
    let (network, key) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    Some((network.parse().ok()?, key.parse().ok()?))
}

fn write(database: &Database, changes_rx: &Receiver<Queued>) {
    while let Ok(first) = changes_rx.recv() {
        let batch: Vec<Queued> = std::iter::once(first).chain(changes_rx.try_iter().take(BATCH)).collect();
        match write_batch(database, &batch) {
            Ok(()) => batch.into_iter().filter_map(|(_, done_tx)| done_tx).for_each(|done_tx| {
                let _ = done_tx.send(());
            }),
            Err(err) => tracing::error!(%err, "the registry cannot be stored; is the disk full?"),
        }
    }
}

fn write_batch(database: &Database, batch: &[Queued]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut machines = transaction.open_table(MACHINES)?;
        let mut sessions = transaction.open_table(SESSIONS)?;
        let mut keys = transaction.open_table(KEYS)?;
        let mut tokens = transaction.open_table(TOKENS)?;
        let mut known = transaction.open_table(KNOWN)?;
        for (change, _) in batch {
            match change {
                Change::Machine(machine) => {
                    let id = machine.facts.as_ref().map(|facts| facts.id.clone()).unwrap_or_default();
                    machines.insert(&*id, &*machine.encode_to_vec())?;
                }
                Change::MachineGone(id) => {
                    machines.remove(&id.as_bytes()[..])?;
                }
                Change::Session(session) => {
                    let spec = session.info.as_ref().and_then(|info| info.spec.as_ref());
                    let id = spec.map(|spec| spec.id.clone()).unwrap_or_default();
                    let mut session = session.as_ref().clone();
                    // Variables may hold secrets, and nobody needs them here.
                    if let Some(spec) = session.info.as_mut().and_then(|info| info.spec.as_mut()) {
                        spec.env.clear();
                    }
                    sessions.insert(&*id, &*session.encode_to_vec())?;
                }
                Change::SessionGone(id) => {
                    sessions.remove(&**id)?;
                }
                Change::Key(key) => {
                    keys.insert(key.id.to_string().as_bytes(), &*serde_json::to_vec(key).unwrap_or_default())?;
                }
                Change::KeyGone(id) => {
                    keys.remove(id.to_string().as_bytes())?;
                }
                Change::Known(network, key) => {
                    let text = format!("{network} {key}");
                    known.insert(text.as_bytes(), text.as_bytes())?;
                }
                Change::Token(token) => {
                    tokens.insert(token.id.as_bytes(), &*serde_json::to_vec(token).unwrap_or_default())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
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

//! What survives the relay's own end: which machines and sessions were known. One redb file, written by one thread.
//!
//! It holds no session truth; a lost file costs the list of offline machines and nothing else.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::fleet::{Machine, Session};
use crate::wire::{Message, v1};

const MACHINES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("machines");
const SESSIONS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("sessions");
/// Changes waiting for the disk; beyond it the newest is dropped, since the next heartbeat brings it again.
const CHANGES_CAP: usize = 4096;
/// Changes written in one transaction.
const BATCH: usize = 512;

/// One change.
pub(super) enum Change {
    /// Remember this machine.
    Machine(Box<v1::Machine>),
    /// Remember this session.
    Session(Box<v1::Session>),
    /// Forget this session.
    SessionGone(Vec<u8>),
}

/// The relay's memory; without a file it forgets.
pub(super) struct Store {
    changes_tx: Option<SyncSender<Change>>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the relay's store {path}: {err}; is another relay running on it?")]
pub struct StoreError {
    path: String,
    err: String,
}

impl Store {
    /// A store that remembers nothing.
    pub(super) fn forgetful() -> Store {
        Store { changes_tx: None }
    }

    /// Opens or makes the file and reads what it holds.
    pub(super) fn open(path: &Path) -> Result<(Store, Vec<Machine>, Vec<Session>), StoreError> {
        let failed =
            |err: &dyn std::fmt::Display| StoreError { path: path.display().to_string(), err: err.to_string() };
        let database = Database::create(path).map_err(|err| failed(&err))?;
        let machines = read(&database, MACHINES).map_err(|err| failed(&err))?;
        let sessions = read(&database, SESSIONS).map_err(|err| failed(&err))?;
        let machine = |bytes: &Vec<u8>| v1::Machine::decode(&**bytes).ok()?.try_into().ok();
        let session = |bytes: &Vec<u8>| v1::Session::decode(&**bytes).ok()?.try_into().ok();
        let (changes_tx, changes_rx) = sync_channel(CHANGES_CAP);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write(&database, &changes_rx))
            .map_err(|err| failed(&err))?;
        let store = Store { changes_tx: Some(changes_tx) };
        Ok((store, machines.iter().filter_map(machine).collect(), sessions.iter().filter_map(session).collect()))
    }

    /// Hands a change to the writer; never waits.
    pub(super) fn change(&self, change: Change) {
        if let Some(changes_tx) = &self.changes_tx
            && let Err(TrySendError::Full(_)) = changes_tx.try_send(change)
        {
            tracing::warn!("the disk is slow; a change of the registry is not stored");
        }
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

fn write(database: &Database, changes_rx: &Receiver<Change>) {
    while let Ok(first) = changes_rx.recv() {
        let batch: Vec<Change> = std::iter::once(first).chain(changes_rx.try_iter().take(BATCH)).collect();
        if let Err(err) = write_batch(database, &batch) {
            tracing::error!(%err, "the registry cannot be stored; is the disk full?");
        }
    }
}

fn write_batch(database: &Database, batch: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut machines = transaction.open_table(MACHINES)?;
        let mut sessions = transaction.open_table(SESSIONS)?;
        for change in batch {
            match change {
                Change::Machine(machine) => {
                    let id = machine.facts.as_ref().map(|facts| facts.id.clone()).unwrap_or_default();
                    machines.insert(&*id, &*machine.encode_to_vec())?;
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
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

//! The one writer of the store's file: rows wait until the disk takes them, the newest of each, and are written together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Queued, Row};

/// Changes taken into one transaction.
const BATCH: usize = 512;
/// How soon a disk that took nothing is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Rows that wait for the disk; beyond it those of sessions are let go, since machines tell of theirs again.
const WAITING_CAP: usize = 64 * 1024;

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Machines,
    Sessions,
    Keys,
    Tokens,
    /// `network key-id`, twice.
    Known,
    /// Proofs that the disk takes what it is given.
    Probe,
}

impl Table {
    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Table::Machines => "machines",
            Table::Sessions => "sessions",
            Table::Keys => "keys",
            Table::Tokens => "tokens",
            Table::Known => "known",
            Table::Probe => "probe",
        })
    }
}

/// The file, and what it has not taken yet.
pub(super) struct Writer {
    path: PathBuf,
    /// `None` after a failure: a file that could not be written once is opened anew.
    database: Option<Database>,
    waiting: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl Writer {
    pub(super) fn open(path: &Path) -> Result<Writer, redb::Error> {
        let database = Some(Database::create(path)?);
        Ok(Writer { path: path.into(), database, waiting: BTreeMap::new() })
    }

    /// All rows of a table, which is there from now on.
    pub(super) fn read(&mut self, table: Table) -> Result<Vec<Vec<u8>>, redb::Error> {
        let database = opened(&mut self.database, &self.path)?;
        let transaction = database.begin_write()?;
        // Opening for writing makes the table exist.
        drop(transaction.open_table(table.definition())?);
        transaction.commit()?;
        let transaction = database.begin_read()?;
        let table = transaction.open_table(table.definition())?;
        let rows = table.iter()?.map(|row| row.map(|(_, value)| value.value().to_vec()));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes until nobody has anything to write any more.
    pub(super) fn run(mut self, changes_rx: &Receiver<Queued>, queued: &AtomicUsize) {
        let mut trouble: Option<String> = None;
        loop {
            let first = if self.waiting.is_empty() {
                changes_rx.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                changes_rx.recv_timeout(RETRY)
            };
            let is_last = matches!(first, Err(RecvTimeoutError::Disconnected));
            let changes = first.into_iter().chain(changes_rx.try_iter().take(BATCH));
            let mut done_txs = Vec::new();
            for (change, done_tx) in changes {
                queued.fetch_sub(1, Ordering::Relaxed);
                let Row { table, key, value } = change.row();
                self.waiting.insert((table, key), value);
                done_txs.extend(done_tx);
            }
            match self.write() {
                Ok(()) => {
                    self.waiting.clear();
                    if trouble.take().is_some() {
                        tracing::info!(store = %self.path.display(), "the registry is stored again, as a whole");
                    }
                    for done_tx in done_txs {
                        let _ = done_tx.send(());
                    }
                }
                Err(err) => {
                    self.database = None;
                    let err = err.to_string();
                    // Once for each reason: whoever waits is told by the end of the waiting.
                    if trouble.as_ref() != Some(&err) {
                        tracing::error!(%err, store = %self.path.display(), "the registry cannot be stored yet; is the disk full?");
                        trouble = Some(err);
                    }
                    if self.waiting.len() > WAITING_CAP {
                        self.waiting.retain(|(table, _), _| *table != Table::Sessions);
                    }
                }
            }
            if is_last {
                return;
            }
        }
    }

    fn write(&mut self) -> Result<(), redb::Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let transaction = opened(&mut self.database, &self.path)?.begin_write()?;
        let mut at = None;
        let mut table = None;
        for ((wanted, key), value) in &self.waiting {
            // Rows of one table follow each other.
            if at != Some(*wanted) {
                drop(table.take());
                table = Some(transaction.open_table(wanted.definition())?);
                at = Some(*wanted);
            }
            let Some(table) = &mut table else { continue };
            match value {
                Some(value) => drop(table.insert(&**key, &**value)?),
                None => drop(table.remove(&**key)?),
            }
        }
        drop(table);
        transaction.commit()?;
        Ok(())
    }
}

fn opened<'a>(database: &'a mut Option<Database>, path: &Path) -> Result<&'a Database, redb::Error> {
    match database {
        Some(database) => Ok(database),
        empty => Ok(empty.insert(Database::create(path)?)),
    }
}

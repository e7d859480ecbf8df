//! The audit log: who did what, as JSON lines for the relay's owner. The one place that writes it.
//!
//! Events carry names and ids only: never a key, a typed byte, a command's arguments or a variable. A slow disk
//! never holds up the relay; what cannot be queued is counted and the count is logged.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde::Serialize;

use crate::runtime::now_ms;

/// File in the relay's state directory.
const FILE: &str = "audit.jsonl";
/// A file that would grow past this is put aside: `audit.jsonl.1` is the youngest of the old ones.
const FILE_BYTES: u64 = 10 * 1024 * 1024;
/// Files kept, the current one included.
const FILES: u32 = 5;
/// Characters of one word of a caller's that a line has.
const WORD_CAP: usize = 256;
/// Names of variables that a line has.
const NAMES_CAP: usize = 256;
/// Lines waiting for the disk.
const LINES_CAP: usize = 16 * 1024;

/// What happened; a variant's fields are its line's.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the words of `fleet`, as text")]
pub(in crate::relay) enum Audited {
    /// A client attached to a session, or came back to it.
    Attach { principal: String, workspace: String, machine: String, session: String, role: String },
    /// A client asked for another role and may have it; the keeper grants it.
    RoleChange { principal: String, workspace: String, machine: String, session: String, role: String },
    /// A session was made, or why not.
    SessionCreate {
        principal: String,
        machine: String,
        session: String,
        #[serde(flatten)]
        surroundings: Surroundings,
        outcome: String,
    },
    /// A session was ended, or why not.
    SessionDestroy { principal: String, session: String, outcome: String },
    /// A one-shot command was handed to its machine, or why not; its program only, since arguments may hold secrets.
    Exec {
        exec: String,
        principal: String,
        machine: String,
        program: String,
        #[serde(flatten)]
        surroundings: Surroundings,
        outcome: String,
    },
    /// A command that was handed over is over: `exited`, `killed` by a signal, `timed_out`, `cancelled` by whoever asked for
    /// it, `revoked` with the key of whoever did, `refused` by its machine, or `lost` with the way to it.
    ExecEnd {
        exec: String,
        principal: String,
        machine: String,
        program: String,
        outcome: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        duration_ms: u64,
    },
    /// What one client types goes to all of these sessions at once from now on.
    BroadcastStart { principal: String, count: usize, targets: Vec<Target> },
    /// A broadcast has other receivers now.
    BroadcastChange { principal: String, count: usize, targets: Vec<Target> },
    /// A broadcast is over.
    BroadcastStop { principal: String, count: usize, duration_ms: u64 },
    /// A known caller wanted what it may not.
    Denied { principal: String, what: String, reason: String },
    /// Somebody could not prove who they are.
    AuthFailed { peer: String, what: String, reason: String },
    /// An address failed so often that it is not listened to for a while.
    RateLimited { peer: String },
    /// A key opened a connection.
    KeyUsed { principal: String, workspace: String, peer: String },
    /// An API key was made.
    KeyCreated { principal: String, key: String, workspace: String, actions: Vec<String> },
    /// A key was revoked.
    KeyRevoked { principal: String, key: String, workspace: String },
    /// A join token was made.
    TokenCreated { principal: String, token: String, workspace: String },
    /// A machine exchanged a token for its key.
    Joined { machine: String, name: String, workspace: String, token: String, peer: String },
}

/// A session that receives a broadcast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the words of `fleet`, as text")]
pub(in crate::relay) struct Target {
    pub(in crate::relay) machine: String,
    pub(in crate::relay) session: String,
}

/// What a caller chose beside the command itself: it decides what runs as much as the command does. Names of variables
/// only, for their values may be secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::relay) struct Surroundings {
    #[serde(skip_serializing_if = "String::is_empty")]
    shell: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cwd: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
}

impl Surroundings {
    pub(in crate::relay) fn new(shell: &str, cwd: &str, env: &HashMap<String, String>) -> Surroundings {
        let short = |text: &str| text.chars().take(WORD_CAP).collect::<String>();
        let mut env: Vec<String> = env.keys().map(|name| short(name)).collect();
        env.sort();
        env.truncate(NAMES_CAP);
        Surroundings { shell: short(shell), cwd: short(cwd), env }
    }
}

#[derive(Serialize)]
struct Line {
    ts_ms: u64,
    #[serde(flatten)]
    event: Audited,
}

/// The log; cheap to clone, and without a directory it writes nothing.
#[derive(Clone, Default)]
pub(in crate::relay) struct Audit {
    lines_tx: Option<SyncSender<Line>>,
}

impl Audit {
    /// Appends to the log of a state directory.
    pub(in crate::relay) fn open(dir: &Path) -> io::Result<Audit> {
        let mut log = Log::open(dir.join(FILE), FILE_BYTES)?;
        let (lines_tx, lines_rx): (_, Receiver<Line>) = sync_channel(LINES_CAP);
        let write = move || {
            for line in lines_rx {
                if let Err(err) = log.append(&line) {
                    tracing::error!(%err, "the audit log cannot be written; is the disk full?");
                }
            }
        };
        std::thread::Builder::new().name("audit".into()).spawn(write)?;
        Ok(Audit { lines_tx: Some(lines_tx) })
    }

    /// Records an event; never waits.
    pub(in crate::relay) fn record(&self, event: Audited) {
        let Some(lines_tx) = &self.lines_tx else { return };
        if lines_tx.try_send(Line { ts_ms: now_ms(), event }).is_err() {
            tracing::error!("the disk is slow; an audit line is lost");
        }
    }
}

struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    cap: u64,
}

impl Log {
    fn open(path: PathBuf, cap: u64) -> io::Result<Log> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Log { path, file, bytes, cap })
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.cap {
            self.rotate()?;
        }
        self.file.write_all(&text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let old = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..FILES - 1).rev() {
            // The first times there are fewer.
            let _ = std::fs::rename(old(number), old(number + 1));
        }
        std::fs::rename(&self.path, old(1))?;
        *self = Log::open(self.path.clone(), self.cap)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_put_aside_and_five_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path().join(FILE), 100).unwrap();
        for number in 0..20 {
            let event = Audited::RateLimited { peer: format!("10.0.0.{number}") };
            log.append(&Line { ts_ms: 1, event }).unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2", "audit.jsonl.3", "audit.jsonl.4"]);
        let newest = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(newest.contains(r#""event":"rate_limited","peer":"10.0.0.19""#), "{newest}");
    }
}

//! The audit log: who did what, as JSON lines for the relay's owner. The one place that writes it.
//!
//! Events carry names and ids only: never a key, a typed byte, a command's arguments or a variable. A slow disk
//! never holds up the relay; what cannot be queued is counted and the count is logged.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Files of a machine were read, searched or changed, or why not; `to` is the second path of a move or a copy.
    Files { principal: String, machine: String, verb: &'static str, path: String, to: Option<String>, outcome: String },
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
    /// So many events before this one are in no line: the disk was full or slow.
    AuditLost { count: u64 },
    /// A machine exchanged a token for its key.
    Joined { machine: String, name: String, workspace: String, token: String, peer: String },
    /// A machine that joined took the place of another one of its name, whose key is good no more; or of itself, without its
    /// key.
    MachineReplaced { machine: String, name: String, workspace: String, replaced: String, peer: String },
    /// Something else is bound to a machine.
    MachineSet {
        principal: String,
        machine: String,
        was: String,
        name: String,
        hostname: String,
        labels: std::collections::BTreeMap<String, String>,
        workspace: String,
    },
    /// A machine was forgotten, by somebody or because it was offline for long.
    MachineForgotten { principal: String, machine: String, name: String, workspace: String },
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
    pub(in crate::relay) fn new<'a>(shell: &str, cwd: &str, env: impl Iterator<Item = &'a String>) -> Surroundings {
        let short = |text: &str| text.chars().take(WORD_CAP).collect::<String>();
        let mut env: Vec<String> = env.map(|name| short(name)).collect();
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
    /// Events that are in no line, and not in a line about them either.
    lost: Arc<AtomicU64>,
}

impl Audit {
    /// Appends to the log of a state directory.
    pub(in crate::relay) fn open(dir: &Path) -> io::Result<Audit> {
        let mut log = Log::open(dir.join(FILE), FILE_BYTES)?;
        let (lines_tx, lines_rx): (_, Receiver<Line>) = sync_channel(LINES_CAP);
        let lost = Arc::new(AtomicU64::new(0));
        let missing = lost.clone();
        let write = move || {
            for line in lines_rx {
                let count = missing.swap(0, Ordering::Relaxed);
                if let Err(err) = log.append(&line, count) {
                    missing.fetch_add(count + 1, Ordering::Relaxed);
                    tracing::error!(%err, lost = count + 1, "the audit log cannot be written; is the disk full?");
                }
            }
        };
        std::thread::Builder::new().name("audit".into()).spawn(write)?;
        Ok(Audit { lines_tx: Some(lines_tx), lost })
    }

    /// Records an event; never waits.
    pub(in crate::relay) fn record(&self, event: Audited) {
        let Some(lines_tx) = &self.lines_tx else { return };
        if lines_tx.try_send(Line { ts_ms: now_ms(), event }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the disk is slow; an audit line is lost");
        }
    }
}

struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    cap: u64,
    /// The file ends within a line that could not be written whole.
    is_torn: bool,
}

impl Log {
    fn open(path: PathBuf, cap: u64) -> io::Result<Log> {
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        let mut last = [b'\n'];
        let is_torn = bytes > 0 && file.read_at(&mut last, bytes - 1)? == 1 && last != *b"\n";
        Ok(Log { path, file, bytes, cap, is_torn })
    }

    /// Appends a line of its own, after one about the events that were lost before it.
    fn append(&mut self, line: &Line, lost: u64) -> io::Result<()> {
        let mut text = Vec::new();
        if self.is_torn {
            text.push(b'\n');
        }
        let about = (lost > 0).then_some(Line { ts_ms: line.ts_ms, event: Audited::AuditLost { count: lost } });
        for line in about.iter().chain([line]) {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.cap {
            self.rotate()?;
        }
        let written = self.file.write_all(&text);
        if written.is_err() {
            // A full disk takes half a line; a file can be made shorter on it all the same.
            let _ = self.file.set_len(self.bytes);
            let len = self.file.metadata().map_or(self.bytes, |meta| meta.len());
            self.is_torn |= len != self.bytes;
            self.bytes = len;
            return written;
        }
        self.is_torn = false;
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

    /// A disk that was full left half a line, and the first event after it was glued to that; how many were lost nobody said.
    #[test]
    fn after_a_full_disk_the_log_goes_on_with_a_fresh_line_that_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let line = |peer: &str| Line { ts_ms: 1, event: Audited::RateLimited { peer: peer.into() } };
        let mut log = Log::open(path.clone(), FILE_BYTES).unwrap();
        log.append(&line("first"), 0).unwrap();
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let good = std::mem::replace(&mut log.file, full);
        assert!(log.append(&line("lost"), 0).is_err());
        log.file = good;
        // What a system that wrote a part of it before it gave up would leave.
        log.file.write_all(b"{\"ts_ms\":1,\"eve").unwrap();
        log = Log::open(path.clone(), FILE_BYTES).unwrap();
        assert!(log.is_torn);
        log.append(&line("next"), 1).unwrap();
        log.append(&line("last"), 0).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let whole: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let events: Vec<&str> = whole.iter().filter_map(|line| line["event"].as_str()).collect();
        assert_eq!(events, ["rate_limited", "audit_lost", "rate_limited", "rate_limited"], "{text}");
        assert_eq!((text.lines().count(), &whole[1]["count"]), (5, &1.into()));
        assert_eq!(whole[2]["peer"], "next");
    }

    #[test]
    fn full_files_are_put_aside_and_five_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path().join(FILE), 100).unwrap();
        for number in 0..20 {
            let event = Audited::RateLimited { peer: format!("10.0.0.{number}") };
            log.append(&Line { ts_ms: 1, event }, 0).unwrap();
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

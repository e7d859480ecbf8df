//! The audit log: who did what, as JSON lines for the relay's owner. The one place that writes it.
//!
//! Events carry names and ids only: never a key, a typed byte, a command's arguments or a variable; every word is cut to a
//! bound. A slow disk never holds up the relay; what cannot be queued is counted and the count is logged.
//!
//! Whom the log is about cannot flush it: what was refused is in a file of its own (`audit-refused.jsonl`), said once and
//! then counted, and of a caller who does more than a fleet of people would the rest is counted too (`tally`).

mod log;
mod tally;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;

use crate::fleet::truncate_chars;
use crate::runtime::now_ms;
use log::{DONE, Log, REFUSED};
use tally::{Tally, Verdict};

/// Files in the relay's state directory: what was done, and what was refused.
const FILE: &str = "audit.jsonl";
const REFUSED_FILE: &str = "audit-refused.jsonl";
/// Characters of one word of a caller's that a line has.
const WORD_CAP: usize = 256;
/// Names of variables that a line has.
const NAMES_CAP: usize = 256;
/// Items of one list that a line has; how many there were is said beside it.
const LIST_CAP: usize = 64;
/// Lines waiting for the disk: some KiB each at most.
const LINES_CAP: usize = 16 * 1024;
/// How often what was only counted is told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How long a relay that ends waits for the disk.
const FLUSH_CAP: Duration = Duration::from_secs(5);

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
        workspace: String,
        machine: String,
        session: String,
        #[serde(flatten)]
        surroundings: Surroundings,
        outcome: String,
    },
    /// A session was ended, or why not.
    SessionDestroy { principal: String, workspace: String, session: String, outcome: String },
    /// A one-shot command was handed to its machine, or why not; its program only, since arguments may hold secrets.
    Exec {
        exec: String,
        principal: String,
        workspace: String,
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
        workspace: String,
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
    BroadcastStart { principal: String, workspace: String, count: usize, targets: Vec<Target> },
    /// A broadcast has other receivers now.
    BroadcastChange { principal: String, workspace: String, count: usize, targets: Vec<Target> },
    /// A broadcast is over.
    BroadcastStop { principal: String, workspace: String, count: usize, duration_ms: u64 },
    /// Files of a machine were read, searched or changed, or why not; `to` is the second path of a move or a copy.
    Files {
        principal: String,
        workspace: String,
        machine: String,
        verb: &'static str,
        path: String,
        to: Option<String>,
        outcome: String,
    },
    /// A known caller wanted what it may not.
    Denied { principal: String, workspace: String, what: String, reason: String },
    /// Somebody could not prove who they are; they are in no workspace.
    AuthFailed { workspace: String, peer: String, what: String, reason: String },
    /// An address failed so often that it is not listened to for a while.
    RateLimited { workspace: String, peer: String },
    /// A key opened a connection.
    KeyUsed { principal: String, workspace: String, peer: String },
    /// An API key was made.
    KeyCreated { principal: String, key: String, workspace: String, actions: Vec<String> },
    /// A key was revoked.
    KeyRevoked { principal: String, key: String, workspace: String },
    /// A join token was made.
    TokenCreated { principal: String, token: String, workspace: String },
    /// So many events before this one are in no line: the disk was full or slow.
    AuditLost { workspace: String, count: u64 },
    /// So many more events of this kind, by the same caller or from the same address, since its first line: they are in no
    /// line of their own.
    Repeated {
        workspace: String,
        repeated: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        principal: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        reason: String,
        count: u64,
        since_ms: u64,
    },
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

struct Line {
    ts_ms: u64,
    event: Audited,
}

impl Line {
    /// As it is written, every word and list within its bound.
    fn text(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(&self.event).unwrap_or_default();
        shorten(&mut value);
        // When and what come first, for whoever reads along.
        let event = value.as_object_mut().and_then(|fields| fields.remove("event")).unwrap_or_default();
        let rest = value.to_string();
        format!("{{\"ts_ms\":{},\"event\":{event},{}\n", self.ts_ms, rest.strip_prefix('{').unwrap_or("}")).into_bytes()
    }
}

fn shorten(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            let is_cut = truncate_chars(text, WORD_CAP);
            if is_cut {
                text.push('…');
            }
        }
        serde_json::Value::Array(items) => {
            items.truncate(LIST_CAP);
            items.iter_mut().for_each(shorten);
        }
        serde_json::Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

/// What goes to the writer.
enum Queued {
    /// A line, and which log it is for.
    Line { is_refusal: bool, text: Vec<u8> },
    /// Tell what was only counted, and answer: all before this is written.
    Flush(oneshot::Sender<()>),
}

/// The log; cheap to clone, and without a directory it writes nothing.
#[derive(Clone, Default)]
pub(in crate::relay) struct Audit {
    lines_tx: Option<SyncSender<Queued>>,
    tally: Arc<Mutex<Tally>>,
    /// Events that are in no line, and not in a line about them either.
    lost: Arc<AtomicU64>,
}

impl Audit {
    /// Appends to the logs of a state directory.
    pub(in crate::relay) fn open(dir: &Path) -> io::Result<Audit> {
        let now = now_ms();
        let logs = [Log::open(dir.join(FILE), DONE, now)?, Log::open(dir.join(REFUSED_FILE), REFUSED, now)?];
        let (lines_tx, lines_rx) = sync_channel(LINES_CAP);
        let audit = Audit { lines_tx: Some(lines_tx), ..Audit::default() };
        let (tally, lost) = (audit.tally.clone(), audit.lost.clone());
        std::thread::Builder::new().name("audit".into()).spawn(move || write(logs, &lines_rx, &tally, &lost))?;
        Ok(audit)
    }

    /// Records an event; never waits.
    pub(in crate::relay) fn record(&self, event: Audited) {
        let Some(lines_tx) = &self.lines_tx else { return };
        let now = now_ms();
        let verdict = self.tally.lock().unwrap_or_else(PoisonError::into_inner).judge(&event, now);
        if verdict == Verdict::Counted {
            return;
        }
        let is_refusal = tally::is_refusal(&event);
        let text = Line { ts_ms: now, event }.text();
        if lines_tx.try_send(Queued::Line { is_refusal, text }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the disk is slow; an audit line is lost");
        }
    }

    /// Waits until what was recorded is written, for a relay that ends; a disk that hangs does not keep it from ending.
    pub(in crate::relay) async fn flush(&self) {
        let Some(lines_tx) = self.lines_tx.clone() else { return };
        let (done_tx, done_rx) = oneshot::channel();
        // A full queue is waited for, so not on the runtime's threads.
        tokio::task::spawn_blocking(move || lines_tx.send(Queued::Flush(done_tx)));
        if tokio::time::timeout(FLUSH_CAP, done_rx).await.is_err() {
            tracing::error!("the disk is slow; the last audit lines may be lost");
        }
    }
}

/// Writes lines until nobody records any more, and tells now and then what was only counted.
fn write(mut logs: [Log; 2], lines_rx: &Receiver<Queued>, tally: &Mutex<Tally>, lost: &AtomicU64) {
    loop {
        let queued = lines_rx.recv_timeout(TELL_EVERY);
        let is_over = matches!(queued, Err(RecvTimeoutError::Disconnected));
        let now = now_ms();
        let (due, done_tx) = match queued {
            Ok(Queued::Line { is_refusal, text }) => {
                append(&mut logs[usize::from(is_refusal)], &text, now, lost);
                (TELL_EVERY.as_millis() as u64, None)
            }
            Ok(Queued::Flush(done_tx)) => (0, Some(done_tx)),
            Err(RecvTimeoutError::Timeout) => (TELL_EVERY.as_millis() as u64, None),
            Err(RecvTimeoutError::Disconnected) => (0, None),
        };
        for (is_refusal, event) in tally.lock().unwrap_or_else(PoisonError::into_inner).told(now, due) {
            append(&mut logs[usize::from(is_refusal)], &Line { ts_ms: now, event }.text(), now, lost);
        }
        if let Some(done_tx) = done_tx {
            // Whoever asked may have given up.
            let _ = done_tx.send(());
        }
        if is_over {
            return;
        }
    }
}

fn append(log: &mut Log, text: &[u8], now: u64, lost: &AtomicU64) {
    let count = lost.swap(0, Ordering::Relaxed);
    let about = Audited::AuditLost { workspace: String::new(), count };
    let about = if count > 0 { Line { ts_ms: now, event: about }.text() } else { Vec::new() };
    if let Err(err) = log.append(&[&about, text].concat(), now) {
        lost.fetch_add(count + 1, Ordering::Relaxed);
        tracing::error!(%err, lost = count + 1, "the audit log cannot be written; is the disk full?");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_lists_of_a_line_are_bounded_whoever_chose_them() {
        let event = Audited::Files {
            principal: "key:ci".into(),
            workspace: "default".into(),
            machine: "m".into(),
            verb: "read",
            path: "x".repeat(1 << 20),
            to: None,
            outcome: "ok".into(),
        };
        assert!(Line { ts_ms: 1, event }.text().len() < 1024);
        let target = Target { machine: "m".into(), session: "s".into() };
        let event = Audited::BroadcastStart {
            principal: "key:ci".into(),
            workspace: "default".into(),
            count: 5000,
            targets: vec![target; 5000],
        };
        assert!(Line { ts_ms: 1, event }.text().len() < 4096);
    }

    /// Calls without a key wrote 254 bytes each: in 28 s the log held nothing else.
    #[test]
    fn a_stranger_writes_a_line_and_then_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path()).unwrap();
        let done = Audited::KeyRevoked { principal: "uid:0".into(), key: "ci".into(), workspace: "default".into() };
        audit.record(done);
        for port in 0..100_000 {
            audit.record(Audited::AuthFailed {
                workspace: String::new(),
                peer: format!("10.0.0.1:{}", port % 60_000),
                what: "key".into(),
                reason: "this relay wants a key".into(),
            });
        }
        drop(audit);
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        let wait = std::time::Instant::now();
        // The writer ends when nobody records any more.
        while !read(REFUSED_FILE).contains("repeated") && wait.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        let refused: Vec<serde_json::Value> =
            read(REFUSED_FILE).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert_eq!((&refused[1]["event"], &refused[1]["count"]), (&"repeated".into(), &99_999.into()));
        assert_eq!((&refused[1]["repeated"], &refused[1]["peer"]), (&"auth_failed".into(), &"10.0.0.1".into()));
        assert_eq!(read(FILE).lines().count(), 1, "what was done is not among it");
        assert!(read(FILE).contains(r#""workspace":"default""#) && refused[0]["workspace"] == "");
    }

    /// A relay that was told to end took the lines of its last moments with it.
    #[tokio::test]
    async fn what_was_recorded_is_written_before_the_relay_ends() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path()).unwrap();
        for number in 0..10_000 {
            let principal = format!("key:{number}");
            audit.record(Audited::KeyRevoked { principal, key: "ci".into(), workspace: "default".into() });
        }
        for _ in 0..2 {
            let (what, reason) = ("key".into(), "this relay wants a key".into());
            audit.record(Audited::AuthFailed { workspace: String::new(), peer: "10.0.0.1:9".into(), what, reason });
        }
        audit.flush().await;
        let lines = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap().lines().count();
        assert_eq!((lines(FILE), lines(REFUSED_FILE)), (10_000, 2));
    }
}

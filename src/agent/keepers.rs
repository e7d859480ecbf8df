//! Links to keepers: one task reads a keeper and hands its output straight on, one writes to it.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::hub::Event;
use super::link::DataTx;
use crate::config::paths;
use crate::fleet::SessionId;
use crate::keeper::launch::SOCKET_EXTENSION;
use crate::keeper::link::{LinkError, LinkReader, LinkWriter, connect};
use crate::stream::Backoff;
use crate::wire::{self, v1};

/// Frames waiting for one keeper; one that takes none is linked anew.
const KEEPER_CAP: usize = 4096;
/// First and longest delay between attempts to link to a keeper that refuses.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// Logs of dead keepers that are kept.
const LOGS_CAP: usize = 32;
/// How long a keeper may take to answer the hello before others are told that it is silent.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// A linked keeper.
pub(super) struct KeeperLink {
    /// Its process id.
    pub(super) pid: u32,
    pub(super) info: v1::SessionInfo,
    pub(super) frames_tx: mpsc::Sender<v1::SessionUp>,
    tasks: [JoinHandle<()>; 2],
}

impl KeeperLink {
    /// What a person calls the session.
    pub(super) fn name(&self) -> String {
        let spec = self.info.spec.clone().and_then(|spec| wire::spec_from(spec).ok());
        spec.map_or_else(String::new, |spec| spec.display_name().to_string())
    }
}

impl Drop for KeeperLink {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Why there is no keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It ended and took its socket along.
    Ended,
    /// It left its socket behind.
    Killed,
}

/// Where a session's keeper listens.
pub(super) fn socket_of(dir: &Path, id: SessionId) -> PathBuf {
    // Without hyphens: the path of a socket may have 107 bytes only.
    dir.join(format!("{}.{SOCKET_EXTENSION}", id.to_string().replace('-', "")))
}

/// Where a session's keeper logs.
pub(super) fn log_of(logs: &Path, id: SessionId) -> PathBuf {
    logs.join(format!("{id}.log"))
}

/// Keepers that ended badly leave their logs: the empty ones go, and all but the newest [`LOGS_CAP`] of the others.
pub(super) fn tidy_logs(logs: &Path, living: &[SessionId]) {
    let Ok(entries) = std::fs::read_dir(logs) else { return };
    let is_dead = |path: &Path| {
        let id = path.file_stem().and_then(|stem| stem.to_str()?.parse::<SessionId>().ok());
        id.is_some_and(|id| !living.contains(&id))
    };
    let left = entries.flatten().map(|entry| entry.path()).filter(|path| is_dead(path));
    let mut left: Vec<(Option<std::time::SystemTime>, u64, PathBuf)> = left
        .filter_map(|path| std::fs::metadata(&path).ok().map(|meta| (meta.modified().ok(), meta.len(), path)))
        .collect();
    left.sort();
    let surplus = left.iter().filter(|(_, bytes, _)| *bytes > 0).count().saturating_sub(LOGS_CAP);
    let full = left.iter().filter(|(_, bytes, _)| *bytes > 0).take(surplus);
    for (_, _, path) in left.iter().filter(|(_, bytes, _)| *bytes == 0).chain(full) {
        let _ = std::fs::remove_file(path);
    }
}

/// Sessions whose sockets lie in the directory.
pub(super) fn found(dir: &Path) -> Vec<SessionId> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let id = |path: PathBuf| {
        let is_socket = path.extension().is_some_and(|extension| extension == SOCKET_EXTENSION);
        path.file_stem().filter(|_| is_socket)?.to_str()?.parse().ok()
    };
    entries.flatten().filter_map(|entry| id(entry.path())).collect()
}

/// The directory of the sockets, which others may take away under a running agent.
pub(super) struct Place {
    dir: PathBuf,
    /// What tells it from one that was made in its place.
    seen: Option<(u64, u64)>,
}

impl Place {
    pub(super) fn new(dir: &Path) -> Place {
        Place { dir: dir.into(), seen: identity(dir) }
    }

    /// Makes it anew if it is gone; whether it is another one than at the last look, so that keepers that live may have no
    /// socket in it yet.
    pub(super) fn look(&mut self) -> std::io::Result<bool> {
        if identity(&self.dir).is_none() {
            paths::make_private_dir(&self.dir)?;
        }
        let now = identity(&self.dir);
        Ok(std::mem::replace(&mut self.seen, now) != now)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// How many sessions have their sockets in an agent's directory of them.
pub fn count(dir: &Path) -> usize {
    found(dir).len()
}

/// Links to a keeper, however long it takes to answer, as long as there is one. `epoch` marks
/// the events of this link. Until `patient_until` a missing socket is waited for.
pub(super) async fn link(
    dir: &Path,
    id: SessionId,
    epoch: u64,
    patient_until: Option<Instant>,
    data: DataTx,
    events_tx: mpsc::Sender<Event>,
) -> Result<KeeperLink, Gone> {
    let socket = socket_of(dir, id);
    let linked = reach(&socket, id, epoch, patient_until);
    tokio::pin!(linked);
    let linked = match tokio::time::timeout(HELLO_TIMEOUT, &mut linked).await {
        Ok(linked) => linked,
        Err(_) => {
            tracing::warn!(session = %id, "the keeper does not answer; waiting for it");
            let _ = events_tx.send(Event::KeeperSilent { id }).await;
            linked.await
        }
    };
    let (info, reader, writer) = linked?;
    let pid = reader.pid;
    let (frames_tx, frames_rx) = mpsc::channel(KEEPER_CAP);
    let tasks = [tokio::spawn(read(id, epoch, reader, data, events_tx)), tokio::spawn(write(writer, frames_rx))];
    Ok(KeeperLink { pid, info, frames_tx, tasks })
}

/// Connects until the keeper answers, or until nobody listens on its socket any more. A stopped process keeps the
/// connection waiting and answers on it when it goes on; one that refuses is tried again.
async fn reach(
    socket: &Path,
    id: SessionId,
    seed: u64,
    patient_until: Option<Instant>,
) -> Result<(v1::SessionInfo, LinkReader, LinkWriter), Gone> {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1, seed);
    loop {
        match connect(socket).await {
            Ok(linked) => return Ok(linked),
            // Only a socket that nobody listens on is a dead keeper's; anything else may be a living one in trouble.
            Err(LinkError::Io(err)) if err.kind() == ErrorKind::ConnectionRefused => {
                let _ = std::fs::remove_file(socket);
                tracing::warn!(session = %id, "the keeper is gone and left its socket behind: it was killed");
                return Err(Gone::Killed);
            }
            Err(LinkError::Io(err)) if err.kind() == ErrorKind::NotFound => {
                if patient_until.is_none_or(|until| until <= Instant::now()) {
                    return Err(Gone::Ended);
                }
            }
            Err(err) if backoff.attempt() == 0 => {
                tracing::warn!(session = %id, %err, "no link to the keeper; trying on")
            }
            Err(err) => tracing::debug!(session = %id, %err, attempt = backoff.attempt(), "no link to the keeper"),
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn read(id: SessionId, epoch: u64, mut reader: LinkReader, data: DataTx, events_tx: mpsc::Sender<Event>) {
    let session = bytes::Bytes::copy_from_slice(id.as_bytes());
    loop {
        let down = match reader.next().await {
            Ok(down) => down,
            Err(err) => {
                tracing::info!(session = %id, %err, "the keeper's link ends");
                let _ = events_tx.send(Event::KeeperGone { id, epoch }).await;
                return;
            }
        };
        if let Some(v1::session_down::Frame::Summary(summary)) = &down.frame {
            let _ = events_tx.send(Event::Summary { id, summary: summary.clone() }).await;
        }
        if let Some(v1::session_down::Frame::Renamed(rename)) = &down.frame {
            let _ = events_tx.send(Event::Renamed { id, name: rename.name.clone() }).await;
        }
        data.send(v1::RoutedDown { session: session.clone(), down: Some(down) }).await;
    }
}

async fn write(mut writer: LinkWriter, mut frames_rx: mpsc::Receiver<v1::SessionUp>) {
    while let Some(frame) = frames_rx.recv().await {
        writer.push(&frame);
        while let Ok(frame) = frames_rx.try_recv() {
            writer.push(&frame);
        }
        if writer.flush().await.is_err() {
            return;
        }
    }
}

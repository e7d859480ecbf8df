//! Our standard input for commands: read in a thread that nobody waits for, since a read cannot be called off.

use std::io::{self, IsTerminal, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::FileType;
use tokio::sync::{mpsc, watch};

use crate::cli::output::complain;
use crate::client::ExecStdin;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Chunks read ahead of the command.
const CHUNKS_CAP: usize = 4;
/// Standard input kept for machines whose turn comes later; more is refused.
const SHARED_CAP: usize = 64 * 1024 * 1024;

/// The device that is always empty: Linux has given it this number for good.
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Whether there is an input to pass on: a person at a terminal types to the shell, not to the command, and /dev/null is
/// what the command has anyway (a machine's rules may allow no input of the caller's own).
pub(super) fn is_piped() -> bool {
    let stdin = io::stdin();
    let is_null = rustix::fs::fstat(&stdin).is_ok_and(|stat| {
        let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && device == NULL_DEVICE
    });
    !stdin.is_terminal() && !is_null
}

/// Chunks of standard input until its end.
pub(super) fn chunks() -> mpsc::Receiver<Bytes> {
    let (chunks_tx, chunks_rx) = mpsc::channel(CHUNKS_CAP);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK];
            match stdin.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    if chunks_tx.blocking_send(chunk.into()).is_err() {
                        return;
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                // A closed or unreadable input is an empty one.
                Err(_) => return,
            }
        }
    });
    chunks_rx
}

/// Passes everything on to one command.
pub(super) async fn forward(mut chunks_rx: mpsc::Receiver<Bytes>, stdin: ExecStdin) {
    while let Some(chunk) = chunks_rx.recv().await {
        if stdin.write(chunk).await.is_err() {
            return;
        }
    }
    stdin.close();
}

/// Standard input for several commands, each at its own pace.
#[derive(Clone)]
pub(super) struct SharedInput {
    chunks: Arc<Mutex<Vec<Bytes>>>,
    /// Chunks there are, and whether these are all.
    count_rx: watch::Receiver<(usize, bool)>,
}

impl SharedInput {
    /// Starts reading.
    pub(super) fn start() -> SharedInput {
        let chunks = Arc::new(Mutex::new(Vec::new()));
        let (count_tx, count_rx) = watch::channel((0, false));
        let input = SharedInput { chunks: chunks.clone(), count_rx };
        tokio::spawn(async move {
            let mut chunks_rx = self::chunks();
            let mut total = 0;
            while let Some(chunk) = chunks_rx.recv().await {
                total += chunk.len();
                if total > SHARED_CAP {
                    complain!(
                        "fleetmux: only the first {} MiB of standard input go to several machines; use a file there",
                        SHARED_CAP >> 20
                    );
                    break;
                }
                let mut chunks = chunks.lock().unwrap_or_else(PoisonError::into_inner);
                chunks.push(chunk);
                count_tx.send_replace((chunks.len(), false));
            }
            count_tx.send_modify(|(_, is_all)| *is_all = true);
        });
        input
    }

    /// Passes everything on to one of the commands, from the beginning.
    pub(super) async fn forward(mut self, stdin: ExecStdin) {
        let mut next = 0;
        loop {
            let (count, is_all) = match self.count_rx.wait_for(|(count, is_all)| *count > next || *is_all).await {
                Ok(count) => *count,
                Err(_) => return,
            };
            while next < count {
                let chunk = self.chunks.lock().unwrap_or_else(PoisonError::into_inner)[next].clone();
                next += 1;
                if stdin.write(chunk).await.is_err() {
                    return;
                }
            }
            if is_all {
                return stdin.close();
            }
        }
    }
}

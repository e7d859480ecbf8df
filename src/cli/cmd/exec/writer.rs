//! Our standard output and error, written by a thread: a reader that pauses must not stop the connection's heartbeat.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use bytes::Bytes;
use indicatif::ProgressBar;
use tokio::sync::{mpsc, oneshot};

use crate::cli::output::unwritten;

/// Chunks waiting for a reader; the command waits when there are more.
const CHUNKS_CAP: usize = 8;

/// Where a chunk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
}

impl To {
    fn name(self) -> &'static str {
        if self == To::Stdout { "standard output" } else { "standard error" }
    }
}

/// The writing thread, started with the first chunk.
pub(super) struct Writer {
    bar: Option<ProgressBar>,
    thread: Option<Thread>,
}

struct Thread {
    chunks_tx: mpsc::Sender<(To, Bytes)>,
    done_rx: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    /// Writes around a progress bar, if there is one.
    pub(super) fn new(bar: Option<ProgressBar>) -> Writer {
        Writer { bar, thread: None }
    }

    /// Hands a chunk over; the error is that of an earlier one and says which output it was.
    pub(super) async fn write(&mut self, to: To, chunk: Bytes) -> io::Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.thread.is_none() {
            self.thread = Some(start(self.bar.clone()));
        }
        let Some(thread) = &self.thread else { return Ok(()) };
        match thread.chunks_tx.send((to, chunk)).await {
            Ok(()) => Ok(()),
            Err(_) => self.finish().await,
        }
    }

    /// Waits until everything is written.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        let Some(Thread { chunks_tx, done_rx }) = self.thread.take() else { return Ok(()) };
        drop(chunks_tx);
        done_rx.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
    }
}

fn start(bar: Option<ProgressBar>) -> Thread {
    let (chunks_tx, mut chunks_rx) = mpsc::channel::<(To, Bytes)>(CHUNKS_CAP);
    let (done_tx, done_rx) = oneshot::channel();
    std::thread::spawn(move || {
        let mut outcome = Ok(());
        // Chunks are written as they are: the standard library's buffer would look for the last line end in each.
        let mut stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let mut write = |to, chunk: &Bytes| {
            let written = match (to, &mut stdout) {
                (To::Stdout, Ok(stdout)) => stdout.write_all(chunk),
                (To::Stdout, Err(err)) => Err(err.kind().into()),
                (To::Stderr, _) => io::stderr().lock().write_all(chunk),
            };
            written.map_err(|err| unwritten(to.name(), &err))
        };
        while let Some((to, chunk)) = chunks_rx.blocking_recv() {
            outcome = match &bar {
                Some(bar) => bar.suspend(|| write(to, &chunk)),
                None => write(to, &chunk),
            };
            if outcome.is_err() {
                break;
            }
        }
        // Whoever writes next learns of it.
        drop(chunks_rx);
        let _ = done_tx.send(outcome);
    });
    Thread { chunks_tx, done_rx }
}

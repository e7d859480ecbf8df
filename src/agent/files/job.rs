//! One request: a thread that does it, and a task that carries its frames by credit.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::place::Guard;
use super::{copy, list, read, search, tree, write};
use crate::fleet::{Code, Refusal};
use crate::stream::{CreditIn, CreditOut, FILE_WINDOW, chunks_in};
use crate::wire::{self, v1};
use v1::file_down::Frame as Down;
use v1::file_start::Request;
use v1::file_up::Frame as Up;

/// Frames that a job is ahead of the link.
const DOWN_CAP: usize = 4;
/// Frames waiting for a job: a window of tiny chunks, and the commit.
const INPUT_CAP: usize = chunks_in(FILE_WINDOW) + 1;

/// Why a job ended before its end.
pub(super) enum Stop {
    /// Nobody waits for it any more.
    Gone,
    /// It may not or cannot be done.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

/// A job's view of whoever asked; its calls may wait, and belong on the job's thread.
pub(super) struct Job {
    pub(super) guard: Guard,
    down_tx: mpsc::Sender<Down>,
    input_rx: mpsc::Receiver<Up>,
    credit: CreditIn,
}

impl Job {
    /// Sends a frame.
    pub(super) fn tell(&self, frame: Down) -> Result<(), Stop> {
        self.down_tx.blocking_send(frame).map_err(|_| Stop::Gone)
    }

    /// Whether somebody still waits; asked where a job may take long.
    pub(super) fn go_on(&self) -> Result<(), Stop> {
        if self.down_tx.is_closed() { Err(Stop::Gone) } else { Ok(()) }
    }

    /// More contents; `None` after the last ones.
    pub(super) fn contents(&mut self) -> Result<Option<Bytes>, Stop> {
        match self.input_rx.blocking_recv() {
            Some(Up::Data(data)) => {
                if let Some(credit) = self.credit.consume(data.len()) {
                    self.tell(Down::Credit(credit))?;
                }
                Ok(Some(data))
            }
            Some(Up::Commit(_)) => Ok(None),
            Some(_) => Err(Refusal::new(Code::Invalid, "something else came where contents were due").into()),
            None => Err(Stop::Gone),
        }
    }
}

/// Does a request and carries its frames until it is over, or nobody waits for it any more.
pub(super) async fn run(
    number: u64,
    request: Request,
    guard: Guard,
    slot: OwnedSemaphorePermit,
    up_rx: mpsc::Receiver<Up>,
    files_tx: mpsc::Sender<v1::RoutedFileDown>,
) {
    let (down_tx, down_rx) = mpsc::channel(DOWN_CAP);
    let (input_tx, input_rx) = mpsc::channel(INPUT_CAP);
    let job = Job { guard, down_tx, input_rx, credit: CreditIn::new(FILE_WINDOW) };
    let done = tokio::task::spawn_blocking(move || {
        // Held until the thread is free, whoever has gone.
        let _slot = slot;
        perform(job, request);
    });
    carry(number, up_rx, input_tx, down_rx, &files_tx).await;
    if done.await.is_err() {
        tracing::error!(number, "a request about files failed within");
        let refusal = Refusal::new(Code::Internal, "the request failed within the machine's agent; see its log");
        let frame = Some(Down::Refused(wire::refusal(&refusal, "files")));
        let _ = files_tx.send(v1::RoutedFileDown { number, down: Some(v1::FileDown { frame }) }).await;
    }
}

fn perform(mut job: Job, request: Request) {
    let outcome = match request {
        Request::List(list) => list::list(&job, &list),
        Request::Stat(stat) => list::stat(&job, &stat),
        Request::Read(read) => read::read(&job, &read),
        Request::Write(write) => write::write(&mut job, &write),
        Request::MakeDirectory(make) => write::make_directory(&job, &make),
        Request::Remove(remove) => tree::remove(&job, &remove),
        Request::Rename(rename) => copy::rename(&job, &rename),
        Request::Copy(copy) => copy::copy(&job, &copy),
        Request::Search(search) => search::search(&job, &search),
        Request::Rules(_) => job.tell(Down::Rules(job.guard.rules_told())).map(|()| v1::FileDone::default()),
    };
    let last = match outcome {
        Ok(done) => Down::Done(done),
        Err(Stop::Refused(refusal)) => Down::Refused(wire::refusal(&refusal, "files")),
        Err(Stop::Gone) => return,
    };
    // Nobody may be there to hear it.
    let _ = job.tell(last);
}

async fn carry(
    number: u64,
    mut up_rx: mpsc::Receiver<Up>,
    input_tx: mpsc::Sender<Up>,
    mut down_rx: mpsc::Receiver<Down>,
    files_tx: &mpsc::Sender<v1::RoutedFileDown>,
) {
    let mut window = CreditOut::new(FILE_WINDOW);
    // Said at once: a request that takes long is not one that nobody answers.
    let mut waiting = Some(Down::Credit(0));
    loop {
        tokio::select! {
            up = up_rx.recv() => match up {
                Some(Up::Credit(credit)) => window.grant(credit),
                // A job that reads nothing, or a sender that keeps to no window.
                Some(up) => if input_tx.try_send(up).is_err() && !input_tx.is_closed() { return },
                None => return,
            },
            down = down_rx.recv(), if waiting.is_none() && window.is_open() => match down {
                Some(down) => {
                    if let Some(len) = wire::file_frame_len(&down) {
                        window.spend(len);
                    }
                    waiting = Some(down);
                }
                None => return,
            },
            permit = files_tx.reserve(), if waiting.is_some() => match permit {
                Ok(permit) => permit.send(v1::RoutedFileDown { number, down: Some(v1::FileDown { frame: waiting.take() }) }),
                Err(_) => return,
            },
        }
    }
}

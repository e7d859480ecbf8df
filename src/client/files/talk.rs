//! One request about files: a stream of its own on the client's connection.
//!
//! What the machine sends is always drained into a queue, which credit bounds: a reader that waits stops its own request
//! and nothing else. A request does not survive its connection, so it is never repeated.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::{Client, Error};
use crate::fleet::{Code, MachineId, Refusal};
use crate::stream::{CreditIn, CreditOut, FILE_WINDOW, chunks_in};
use crate::wire::{self, refusal_of, v1};
use v1::file_down::Frame as Down;
use v1::file_start::Request;
use v1::file_up::Frame as Up;

/// Frames waiting for their reader, and for the relay: a window of tiny chunks and what goes with it.
const FRAMES_CAP: usize = chunks_in(FILE_WINDOW) + 64;

/// A request under way; dropped, it is called off.
pub(super) struct Talk {
    /// A request keeps its connection alive.
    _owner: Client,
    up_tx: mpsc::Sender<v1::FileUp>,
    downs_rx: mpsc::Receiver<Result<Down, Error>>,
    credit: CreditIn,
    window: CreditOut,
    task: JoinHandle<()>,
}

impl Talk {
    pub(super) async fn begin(client: &Client, machine: MachineId, request: Request) -> Result<Talk, Error> {
        client.told("files", "request");
        let channel = client.channel().await?;
        let (up_tx, up_rx) = mpsc::channel(FRAMES_CAP);
        let (downs_tx, downs_rx) = mpsc::channel(FRAMES_CAP);
        let start = v1::FileStart { machine: Bytes::copy_from_slice(machine.as_bytes()), request: Some(request) };
        // A fresh channel has room for the first frame.
        let _ = up_tx.try_send(v1::FileUp { frame: Some(Up::Start(start)) });
        let task = tokio::spawn(async move {
            let tell = |down| downs_tx.try_send(down).is_ok();
            let mut down = match wire::file_service(channel).files(ReceiverStream::new(up_rx)).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    tell(Err(error_of_call(refusal_of(&status))));
                    return;
                }
            };
            loop {
                let frame = match down.message().await {
                    Ok(Some(v1::FileDown { frame: Some(Down::Refused(refused)) })) => Err(error_of(&refused)),
                    Ok(Some(v1::FileDown { frame: Some(frame) })) => Ok(frame),
                    Ok(Some(v1::FileDown { frame: None })) => continue,
                    Ok(None) => Err(Error::Unavailable("the relay ended the request's stream".into())),
                    Err(status) => Err(error_of_call(refusal_of(&status))),
                };
                let is_last = matches!(frame, Err(_) | Ok(Down::Done(_)));
                if !tell(frame) || is_last {
                    return;
                }
            }
        });
        let (credit, window) = (CreditIn::new(FILE_WINDOW), CreditOut::new(FILE_WINDOW));
        Ok(Talk { _owner: client.clone(), up_tx, downs_rx, credit, window, task })
    }

    /// The next frame that is about the request. Cancel-safe.
    pub(super) async fn recv(&mut self) -> Result<Down, Error> {
        loop {
            let lost = || Err(Error::Unavailable("the request's stream is over".into()));
            match self.downs_rx.recv().await.unwrap_or_else(lost)? {
                Down::Credit(credit) => self.window.grant(credit),
                frame => {
                    self.consumed(&frame);
                    return Ok(frame);
                }
            }
        }
    }

    /// Takes frames until the request is done.
    pub(super) async fn until_done(&mut self, mut take: impl FnMut(Down)) -> Result<v1::FileDone, Error> {
        loop {
            match self.recv().await? {
                Down::Done(done) => return Ok(done),
                frame => take(frame),
            }
        }
    }

    /// Sends contents, waiting while the machine does not take them.
    pub(super) async fn send(&mut self, piece: Bytes) -> Result<(), Error> {
        // A refusal must not wait until the window is used up.
        while let Ok(frame) = self.downs_rx.try_recv() {
            self.grant(frame?)?;
        }
        while !self.window.is_open() {
            let lost = || Err(Error::Unavailable("the request's stream is over".into()));
            let frame = self.downs_rx.recv().await.unwrap_or_else(lost)?;
            self.grant(frame)?;
        }
        self.window.spend(piece.len());
        self.up_or_why(Up::Data(piece)).await
    }

    /// These were all contents.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        self.up_or_why(Up::Commit(v1::FileCommit {})).await
    }

    /// A stream that takes nothing more has ended, and what ended it is on its way down.
    async fn up_or_why(&mut self, frame: Up) -> Result<(), Error> {
        let Err(over) = self.up(frame) else { return Ok(()) };
        while let Some(frame) = self.downs_rx.recv().await {
            frame?;
        }
        Err(over)
    }

    fn grant(&mut self, frame: Down) -> Result<(), Error> {
        match frame {
            Down::Credit(credit) => {
                self.window.grant(credit);
                Ok(())
            }
            _ => Err(Error::Refused("the machine answered before it had all contents".into())),
        }
    }

    fn consumed(&mut self, frame: &Down) {
        let Some(len) = wire::file_frame_len(frame) else { return };
        if let Some(credit) = self.credit.consume(len) {
            // A stream that takes none is over, which the next frame tells.
            let _ = self.up(Up::Credit(credit));
        }
    }

    fn up(&self, frame: Up) -> Result<(), Error> {
        let over = |_| Error::Unavailable("the connection to the relay was lost, and the request ended".into());
        self.up_tx.try_send(v1::FileUp { frame: Some(frame) }).map_err(over)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn error_of(refused: &v1::Refused) -> Error {
    let refusal = wire::refusal_from(refused);
    match refusal.code {
        Code::NotFound if refused.frame == wire::OF_MACHINE => Error::MachineNotFound(refusal.message),
        Code::NotFound => Error::FileNotFound(refusal.message),
        _ => refusal.into(),
    }
}

/// The call itself failed: what the relay refuses comes as a frame.
fn error_of_call(refusal: Refusal) -> Error {
    match refusal.code {
        Code::Unavailable | Code::Internal => {
            Error::Unavailable(format!("the connection to the relay was lost and the request ended: {refusal}"))
        }
        _ => refusal.into(),
    }
}

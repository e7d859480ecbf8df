//! One attachment of the facade: a client of the hub like any other, with a queue instead of a stream around it.

use tokio_stream::StreamExt;
use tonic::Status;

use super::Facade;
use crate::fleet::{Caller, ClientId, Code, Refusal, SessionId};
use crate::relay::core::ConnId;
use crate::relay::event::Event;
use crate::relay::hub::{EventsTx, stopping};
use crate::relay::outgoing::{Outgoing, OutgoingStream};
use crate::stream::{Attach, Down, Up};
use crate::wire::{self, v1};
use v1::client_down::Frame as DownFrame;
use v1::client_up::Frame as UpFrame;

/// A connection of the facade has one channel.
const CHANNEL: u32 = 1;

/// What comes from the session.
pub(super) enum News {
    /// A frame of its keeper.
    Down(Down),
    /// The way there is cut; nothing follows.
    Cut(Refusal),
}

/// An attached client; dropping it detaches.
pub(super) struct Attachment {
    conn: ConnId,
    events_tx: EventsTx,
    frames: OutgoingStream,
}

impl Attachment {
    /// Opens a connection to the hub and attaches; the keeper's answer is the first news.
    pub(super) async fn open(
        facade: &Facade,
        caller: Caller,
        session: SessionId,
        attach: Attach,
    ) -> Result<Attachment, Status> {
        let conn = facade.conn();
        let outgoing = Outgoing::charged_to(facade.inner.auth.quotas.account(&caller));
        let frames = outgoing.stream();
        let events_tx = facade.inner.events_tx.clone();
        let came = Event::ClientCame { conn, caller, outgoing };
        events_tx.send(came).await.map_err(|_| stopping())?;
        let attachment = Attachment { conn, events_tx, frames };
        let open = v1::OpenChannel {
            session: bytes::Bytes::copy_from_slice(session.as_bytes()),
            client: bytes::Bytes::copy_from_slice(ClientId::random().as_bytes()),
            attach: Some(attach.into()),
        };
        attachment.tell(UpFrame::Open(open)).await?;
        Ok(attachment)
    }

    /// Sends a frame to the keeper.
    pub(super) async fn send(&self, up: Up) -> Result<(), Status> {
        self.tell(UpFrame::Up(wire::up(None, up))).await
    }

    /// The next news; waits for ever on a quiet session.
    pub(super) async fn next(&mut self) -> News {
        loop {
            let frame = match self.frames.next().await {
                Some(Ok(frame)) => frame.frame,
                Some(Err(status)) => return News::Cut(wire::refusal_of(&status)),
                None => {
                    let message = "the relay closed this connection: nothing was read for long";
                    return News::Cut(Refusal::new(Code::Exhausted, message));
                }
            };
            match frame {
                Some(DownFrame::Down(down)) => {
                    if let Some(down) = wire::down_from(down) {
                        return News::Down(down);
                    }
                }
                Some(DownFrame::Lost(lost)) => {
                    let refused = v1::Refused { code: lost.code, message: lost.message, ..Default::default() };
                    return News::Cut(wire::refusal_from(&refused));
                }
                Some(DownFrame::Ready(_) | DownFrame::Hello(_) | DownFrame::Pong(_)) | None => {}
            }
        }
    }

    async fn tell(&self, frame: UpFrame) -> Result<(), Status> {
        let frame = v1::ClientUp { channel: CHANNEL, frame: Some(frame) };
        self.events_tx.send(Event::ClientFrame { conn: self.conn, frame }).await.map_err(|_| stopping())
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let gone = Event::ClientGone { conn: self.conn };
        if let Err(tokio::sync::mpsc::error::TrySendError::Full(gone)) = self.events_tx.try_send(gone) {
            let events_tx = self.events_tx.clone();
            tokio::spawn(async move { events_tx.send(gone).await });
        }
    }
}

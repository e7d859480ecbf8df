//! The attach stream: a person at a session through an SDK.
//!
//! What the SDK types comes as `output` and what the session prints goes as `input`: the schema is the vendor's agents'.
//! Output waits here for its reader as far as the bound, and then in the keeper's log; a reader that falls behind both is
//! dropped with RESOURCE_EXHAUSTED. It holds up nobody. The session outlives every stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::client::{Attachment, News};
use super::door::{self, Entered};
use super::io::{PIECE, UNDER_WAY};
use super::places::about;
use super::wish::Wish;
use super::{Call, Facade};
use crate::fleet::{Code, Refusal, Role, SessionId};
use crate::runtime::now_ms;
use crate::stream::{Down, InputSender, Up};
use crate::wire::Timestamp;
use crate::wire::cmdop::agent_message::Payload as FromClient;
use crate::wire::cmdop::control_message::Payload as ToClient;
use crate::wire::cmdop::*;

/// Messages waiting for the transport: 64 KiB each at most.
const MESSAGES_CAP: usize = 8;
/// Bytes delivered before the keeper hears of it.
const CONSUMED_STEP: u64 = 64 * 1024;
/// Bytes that wait for one client before its keeper has to keep them.
const BUFFER: usize = 8 * 1024 * 1024;
/// Bytes that wait for all clients together; beyond it nothing more is taken ahead.
const ALL_BUFFERS: usize = 256 * 1024 * 1024;

/// What an observer hears that types.
const OBSERVES: &str =
    "this client observes the session: what it sends to its program is refused, and the stream ends here";

/// What the stream carries towards the client.
pub(super) type Message = Result<ControlMessage, Status>;
/// What comes after everything that waits.
type Finals = Arc<Mutex<VecDeque<Message>>>;

/// The relay's half of the stream.
pub(in crate::relay) struct Replies {
    messages_rx: mpsc::Receiver<Message>,
    finals: Finals,
}

impl Stream for Replies {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        match self.messages_rx.poll_recv(cx) {
            Poll::Ready(None) => Poll::Ready(self.finals.lock().unwrap_or_else(PoisonError::into_inner).pop_front()),
            other => other,
        }
    }
}

/// Serves one stream in a task of its own.
pub(super) fn serve(facade: Facade, call: Call, mut frames: Streaming<AgentMessage>) -> Replies {
    let (messages_tx, messages_rx) = mpsc::channel(MESSAGES_CAP);
    let finals = Finals::default();
    let replies = Replies { messages_rx, finals: finals.clone() };
    tokio::spawn(async move {
        let ended = match door::enter(&facade, &call, &mut frames, &messages_tx).await {
            Ok(Some(entered)) => {
                let all = facade.inner.buffered.clone();
                Stage::new(entered, frames, messages_tx.clone(), all).run().await
            }
            Ok(None) => Ended::Detached,
            Err(status) => Ended::Failed(status),
        };
        let last = match ended {
            Ended::Detached => None,
            Ended::Failed(status) => Some(Err(status)),
            Ended::Over(reason) => Some(message(ToClient::CloseSession(CloseSessionCommand { reason, force: false }))),
        };
        finals.lock().unwrap_or_else(PoisonError::into_inner).extend(last);
        drop(messages_tx);
    });
    replies
}

/// A message of the relay, with the envelope that nobody reads.
pub(super) fn message(payload: ToClient) -> Message {
    let now = now_ms();
    let timestamp = Timestamp { seconds: (now / 1000) as i64, nanos: (now % 1000 * 1_000_000) as i32 };
    let command_id = uuid::Uuid::new_v4().to_string();
    Ok(ControlMessage { command_id, timestamp: Some(timestamp), payload: Some(payload) })
}

/// How a stream ends.
enum Ended {
    /// The client left.
    Detached,
    /// The session has ended.
    Over(String),
    /// The client cannot go on.
    Failed(Status),
}

/// One attached client between its stream and its session.
struct Stage {
    session: SessionId,
    frames: Streaming<AgentMessage>,
    messages_tx: mpsc::Sender<Message>,
    attachment: Attachment,
    role: Role,
    /// The keyframe of the attach was passed over: output goes on from there.
    is_started: bool,
    /// Output for the client, with the offset after each piece.
    pending: VecDeque<(u64, Bytes)>,
    buffered: Buffered,
    sequence: i64,
    received: u64,
    delivered: u64,
    told: u64,
    sender: InputSender,
    /// Typed and not sent yet.
    typed: Bytes,
    ending: Option<Ended>,
}

impl Stage {
    fn new(
        entered: Entered,
        frames: Streaming<AgentMessage>,
        messages_tx: mpsc::Sender<Message>,
        all: Arc<AtomicUsize>,
    ) -> Stage {
        Stage {
            session: entered.session,
            frames,
            messages_tx,
            attachment: entered.attachment,
            role: entered.role,
            is_started: false,
            pending: VecDeque::new(),
            buffered: Buffered { own: 0, all },
            sequence: 0,
            received: 0,
            delivered: 0,
            told: 0,
            sender: InputSender::default(),
            typed: Bytes::new(),
            ending: None,
        }
    }

    async fn run(&mut self) -> Ended {
        loop {
            if self.pending.is_empty()
                && let Some(ended) = self.ending.take()
            {
                return ended;
            }
            let messages_tx = self.messages_tx.clone();
            let outcome = tokio::select! {
                permit = messages_tx.reserve(), if !self.pending.is_empty() => match permit {
                    Ok(permit) => {
                        self.deliver(permit);
                        self.consumed().await
                    }
                    Err(_) => return Ended::Detached,
                },
                // What was typed waits for room before more of it is read.
                frame = self.frames.message(), if self.typed.is_empty() => match frame {
                    Ok(Some(frame)) => self.client(frame.payload).await,
                    // Closing its half, cancelling, or vanishing: the session lives.
                    Ok(None) | Err(_) => return Ended::Detached,
                },
                news = self.attachment.next(), if self.ending.is_none() => self.news(news).await,
                () = messages_tx.closed() => return Ended::Detached,
            };
            if let Err(status) = outcome {
                return Ended::Failed(status);
            }
        }
    }

    fn deliver(&mut self, permit: mpsc::Permit<'_, Message>) {
        let Some((end, data)) = self.pending.pop_front() else { return };
        self.sequence += 1;
        self.delivered = end;
        self.buffered.less(data.len());
        permit.send(message(ToClient::Input(TerminalInput { data, sequence: self.sequence })));
    }

    /// The keeper hears, by steps, what it need not keep for this client any more.
    async fn consumed(&mut self) -> Result<(), Status> {
        let taken = if self.buffered.has_room() { self.received } else { self.delivered };
        if taken < self.told + CONSUMED_STEP {
            return Ok(());
        }
        self.told = taken;
        self.attachment.send(Up::Consumed(taken)).await
    }

    async fn client(&mut self, payload: Option<FromClient>) -> Result<(), Status> {
        let is_driver = self.role == Role::Driver;
        match payload {
            Some(FromClient::Output(output)) if is_driver => {
                self.typed = output.data;
                self.send_typed().await
            }
            // The schema has no word for a refusal: the stream's own end is the one that every SDK tells as an error.
            Some(FromClient::Output(_)) => Err(Status::permission_denied(OBSERVES)),
            Some(FromClient::Status(status)) => match Wish::of(&status.reason) {
                Some(Wish::Resize(size)) if is_driver => self.attachment.send(Up::Resize(size)).await,
                Some(Wish::Signal(number)) if is_driver => self.attachment.send(Up::Signal(number)).await,
                Some(Wish::Signal(_)) => Err(Status::permission_denied(OBSERVES)),
                Some(Wish::Detach) => {
                    self.ending = Some(Ended::Detached);
                    self.pending.clear();
                    Ok(())
                }
                // SDKs tell their size by themselves.
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    async fn send_typed(&mut self) -> Result<(), Status> {
        loop {
            let held: u64 = self.sender.unacknowledged().map(|(_, data)| data.len() as u64).sum();
            if self.typed.is_empty() || held >= UNDER_WAY {
                return Ok(());
            }
            let data = self.typed.split_to(self.typed.len().min(PIECE));
            let offset = self.sender.push(data.clone());
            let offset = offset.map_err(|err| Status::resource_exhausted(err.to_string()))?;
            self.attachment.send(Up::Input { offset, data }).await?;
        }
    }

    async fn news(&mut self, news: News) -> Result<(), Status> {
        match news {
            News::Down(Down::Output { offset, data }) if self.is_started => {
                self.received = offset.saturating_add(data.len() as u64);
                self.buffered.more(data.len());
                self.pending.push_back((self.received, data));
                self.consumed().await?;
            }
            News::Down(Down::Keyframe { offset, .. }) => {
                if self.is_started {
                    let message = "this stream was read too slowly, and output it has not had is gone; attach again";
                    return Err(Status::resource_exhausted(message));
                }
                self.is_started = true;
                (self.received, self.delivered, self.told) = (offset, offset, offset);
            }
            News::Down(Down::InputAck { next, is_resend }) => {
                self.sender.acknowledge(next);
                if is_resend {
                    for (offset, data) in self.sender.unacknowledged().collect::<Vec<_>>() {
                        self.attachment.send(Up::Input { offset, data }).await?;
                    }
                }
                self.send_typed().await?;
            }
            News::Down(Down::Refused { frame, .. }) if frame == "input" => {
                self.sender.adopt(self.sender.next());
                self.typed.clear();
            }
            // What there was to attach to is gone, and not because its program ended.
            News::Down(Down::Refused { refusal, frame }) if frame == "attach" => {
                self.ending = Some(Ended::Over(refusal.message));
            }
            News::Down(Down::Exited(exit)) => {
                self.attachment.send(Up::Consumed(exit.offset)).await?;
                self.ending = Some(Ended::Over(format!("the session has ended ({exit})")));
            }
            News::Down(Down::Detached(reason)) => return Err(Status::unavailable(reason)),
            News::Cut(refusal) => self.cut(refusal)?,
            News::Down(_) => {}
        }
        Ok(())
    }

    fn cut(&mut self, refusal: Refusal) -> Result<(), Status> {
        if refusal.code != Code::NotFound {
            return Err(about(self.session)(refusal));
        }
        self.ending = Some(Ended::Over("the session has ended".into()));
        Ok(())
    }
}

/// Counts what waits for one client among what waits for all.
struct Buffered {
    own: usize,
    all: Arc<AtomicUsize>,
}

impl Buffered {
    fn more(&mut self, bytes: usize) {
        self.own += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }

    fn less(&mut self, bytes: usize) {
        self.own -= bytes;
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn has_room(&self) -> bool {
        self.own < BUFFER && self.all.load(Ordering::Relaxed) < ALL_BUFFERS
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.less(self.own);
    }
}

//! The attach stream: a person at a session through an SDK.
//!
//! What the SDK types comes as `output` and what the session prints goes as `input`: the schema is the vendor's agents'.
//! A reader that falls behind what the keeper keeps is dropped with RESOURCE_EXHAUSTED; it holds up nobody. The session
//! outlives every stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::admit::TOKEN_TTL;
use super::client::{Attachment, News};
use super::io::{PIECE, UNDER_WAY, size_of};
use super::places::{Place, about, no_session};
use super::{Call, Facade};
use crate::fleet::{Action, Code, Refusal, Role, Session, SessionId, SessionSpec};
use crate::runtime::now_ms;
use crate::stream::{Attach, Delivery, Down, InputSender, Up};
use crate::wire::Timestamp;
use crate::wire::cmdop::agent_message::Payload as FromClient;
use crate::wire::cmdop::control_message::Payload as ToClient;
use crate::wire::cmdop::*;

/// How long a stream may take to say what it wants.
const FIRST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a person may take to type a password.
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the machine may take to let the client in.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(20);
/// Messages waiting for the transport: 64 KiB each at most.
const MESSAGES_CAP: usize = 8;
/// Bytes under way from the keeper.
const WINDOW: u32 = 1024 * 1024;
/// Bytes delivered before the keeper hears of it.
const CONSUMED_STEP: u64 = 64 * 1024;
/// What the version of a client says that attaches, and of one that brings the id of a session to be made.
const ATTACHES: &str = "attach";
const CREATES: &str = "sdk-";
/// The one way to prove more than a key.
const PASSWORD: &str = "password";

type Message = Result<ControlMessage, Status>;
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
pub(super) fn serve(facade: Facade, call: Call, frames: Streaming<AgentMessage>) -> Replies {
    let (messages_tx, messages_rx) = mpsc::channel(MESSAGES_CAP);
    let finals = Finals::default();
    let replies = Replies { messages_rx, finals: finals.clone() };
    tokio::spawn(async move {
        let ended = match Stage::open(facade, call, frames, messages_tx.clone()).await {
            Ok(Some(mut stage)) => stage.run().await,
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

fn message(payload: ToClient) -> Message {
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
    sequence: i64,
    delivered: u64,
    told: u64,
    sender: InputSender,
    /// Typed and not sent yet.
    typed: Bytes,
    ending: Option<Ended>,
}

impl Stage {
    /// Does all that comes before the client is attached; `None` if it left meanwhile.
    async fn open(
        facade: Facade,
        call: Call,
        mut frames: Streaming<AgentMessage>,
        messages_tx: mpsc::Sender<Message>,
    ) -> Result<Option<Stage>, Status> {
        let first = tokio::time::timeout(FIRST_TIMEOUT, frames.message()).await;
        let first = first.map_err(|_| Status::invalid_argument("the stream must open with a register message"))??;
        let Some(AgentMessage { session_id, payload: Some(FromClient::Register(register)), .. }) = first else {
            return Err(Status::invalid_argument("the stream must open with a register message"));
        };
        let place = facade.place_of_stream(&call, &session_id, &register.version).await?;
        let wanted = if call.caller.actions.may(Action::Drive) { Action::Drive } else { Action::Observe };
        let (action, needs_password) = match facade.may_without_password(&call, &place, wanted).await {
            Err(status) if status.code() == tonic::Code::PermissionDenied && wanted == Action::Drive => {
                (Action::Observe, facade.may_without_password(&call, &place, Action::Observe).await?)
            }
            other => (wanted, other?),
        };
        if needs_password && !facade.has_token(&call, &place) {
            let shown = password(&mut frames, &messages_tx).await?;
            let Some((challenge_id, password)) = shown else { return Ok(None) };
            let session_token = facade.show_password(&call, &place, action, password).await?;
            let ttl_seconds = TOKEN_TTL.as_secs() as i32;
            let success = AuthSuccess { challenge_id, session_token, ttl_seconds };
            let _ = messages_tx.send(message(ToClient::AuthSuccess(success))).await;
        }
        if place.known.is_none() && action == Action::Observe {
            let message = "nobody has started this session yet; a key that may drive starts it by its first use";
            return Err(Status::failed_precondition(message));
        }
        let session = facade.ensure(&call, place).await?;
        let role = if action == Action::Drive { Role::Driver } else { Role::Observer };
        let attachment = attached(&facade, &call, &session, role).await?;
        let _ = messages_tx.send(message(ToClient::StartSession(StartSessionCommand::default()))).await;
        Ok(Some(Stage {
            session: session.id(),
            frames,
            messages_tx,
            attachment,
            role,
            is_started: false,
            pending: VecDeque::new(),
            sequence: 0,
            delivered: 0,
            told: 0,
            sender: InputSender::default(),
            typed: Bytes::new(),
            ending: None,
        }))
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
        permit.send(message(ToClient::Input(TerminalInput { data, sequence: self.sequence })));
    }

    /// The keeper hears what the client has, by steps.
    async fn consumed(&mut self) -> Result<(), Status> {
        if self.delivered < self.told + CONSUMED_STEP {
            return Ok(());
        }
        self.told = self.delivered;
        self.attachment.send(Up::Consumed(self.delivered)).await
    }

    async fn client(&mut self, payload: Option<FromClient>) -> Result<(), Status> {
        // An observer's keys go nowhere, and it hears nothing of it.
        match payload {
            Some(FromClient::Output(output)) if self.role == Role::Driver => {
                self.typed = output.data;
                self.send_typed().await
            }
            Some(FromClient::Status(status)) => match Wish::of(&status.reason) {
                Some(Wish::Resize(size)) if self.role == Role::Driver => self.attachment.send(Up::Resize(size)).await,
                Some(Wish::Signal(number)) if self.role == Role::Driver => {
                    self.attachment.send(Up::Signal(number)).await
                }
                Some(Wish::Detach) => {
                    self.ending = Some(Ended::Detached);
                    self.pending.clear();
                    Ok(())
                }
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
                self.pending.push_back((offset + data.len() as u64, data));
            }
            News::Down(Down::Keyframe { offset, .. }) => {
                if self.is_started {
                    let message = "this stream was read too slowly, and output it has not had is gone; attach again";
                    return Err(Status::resource_exhausted(message));
                }
                self.is_started = true;
                (self.delivered, self.told) = (offset, offset);
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

/// A change a client asks for in the words of a status.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Resize(crate::fleet::Size),
    Signal(u32),
    Detach,
}

impl Wish {
    /// `None` for what is unknown or absurd: the stream goes on without it.
    fn of(reason: &str) -> Option<Wish> {
        let (kind, rest) = reason.split_once(':').unwrap_or((reason, ""));
        match kind {
            "detach" => Some(Wish::Detach),
            "resize" => {
                let (cols, rows) = rest.split_once('x')?;
                Some(Wish::Resize(size_of(cols.parse().ok()?, rows.parse().ok()?)?))
            }
            "signal" => rest.parse().ok().or_else(|| signal_named(rest)).map(Wish::Signal),
            _ => None,
        }
    }
}

fn signal_named(name: &str) -> Option<u32> {
    let name = name.to_ascii_uppercase();
    let names = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("KILL", 9),
        ("USR1", 10),
        ("USR2", 12),
        ("TERM", 15),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
    ];
    let bare = name.strip_prefix("SIG").unwrap_or(&name);
    names.into_iter().find(|(known, _)| *known == bare).map(|(_, number)| number)
}

/// Attaches; the machine may know a rule against it that it did not say before.
async fn attached(facade: &Facade, call: &Call, session: &Session, role: Role) -> Result<Attachment, Status> {
    let attach = Attach {
        delivery: Delivery::Lossless,
        // No client resizes by coming.
        is_sizeless: true,
        size: session.summary.size,
        window: Some(WINDOW),
        label: "sdk".into(),
        ..Attach::new(role)
    };
    let mut attachment = Attachment::open(facade, call.caller.clone(), session.id(), attach).await?;
    let first = tokio::time::timeout(ATTACH_TIMEOUT, async {
        loop {
            match attachment.next().await {
                News::Down(Down::Attached { .. }) => return Ok(()),
                News::Cut(refusal) | News::Down(Down::Refused { refusal, .. }) => return Err(refusal),
                News::Down(_) => {}
            }
        }
    });
    let first = first.await.map_err(|_| Status::unavailable("the session's keeper does not answer; try again"))?;
    first.map_err(about(session.id()))?;
    Ok(attachment)
}

/// Asks for the machine's password; the challenge and what was answered, or `None` if the client left.
async fn password(
    frames: &mut Streaming<AgentMessage>,
    messages_tx: &mpsc::Sender<Message>,
) -> Result<Option<(String, String)>, Status> {
    let challenge_id = uuid::Uuid::new_v4().to_string();
    let challenge = AuthChallenge { challenge_id: challenge_id.clone(), methods: vec![PASSWORD.into()] };
    if messages_tx.send(message(ToClient::AuthChallenge(challenge))).await.is_err() {
        return Ok(None);
    }
    let answered = tokio::time::timeout(PASSWORD_TIMEOUT, async {
        loop {
            match frames.message().await {
                Ok(Some(AgentMessage { payload: Some(FromClient::AuthResponse(answer)), .. })) => return Some(answer),
                // What is typed before the password is meant for nobody.
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    });
    let late = |_| Status::unauthenticated("this machine asks for its password, and none was given in time");
    let Some(answer) = answered.await.map_err(late)? else { return Ok(None) };
    if answer.challenge_id != challenge_id || answer.password.is_empty() {
        return Err(Status::unauthenticated("this machine asks for its password; answer the challenge with it"));
    }
    Ok(Some((challenge_id, answer.password)))
}

impl Facade {
    /// The session a stream is about: one that exists, or one that the client made an id for.
    async fn place_of_stream(&self, call: &Call, session: &str, version: &str) -> Result<Place, Status> {
        if version.contains(ATTACHES) {
            return self.place(call, session).await;
        }
        if !version.starts_with(CREATES) {
            let message = "machines join a fleetmux relay with `fleetmux agent join`; this service is for SDK clients";
            return Err(Status::invalid_argument(message));
        }
        let id: SessionId = session.parse().map_err(|_| no_session(session))?;
        let machine = self.machine(call, &self.view(&call.caller).await?)?;
        let place = Place { machine, session: id, known: None };
        self.may(call, &place, Action::Drive).await?;
        let spec = SessionSpec { id, is_posix_shell: true, ..SessionSpec::shell() };
        let known = self.create(call, &place.machine, spec).await?;
        Ok(Place { known: Some(known), ..place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Size;

    #[test]
    fn what_a_status_asks_for_is_understood_and_nonsense_is_nothing() {
        assert_eq!(Wish::of("resize:133x44"), Some(Wish::Resize(Size::new(44, 133))));
        assert_eq!(Wish::of("signal:2"), Some(Wish::Signal(2)));
        assert_eq!(Wish::of("signal:SIGINT"), Some(Wish::Signal(2)));
        assert_eq!(Wish::of("detach"), Some(Wish::Detach));
        for nonsense in ["", "resize:0x0", "resize:999999x1", "resize:x", "signal:", "history:10:0", "dance", "resize"]
        {
            assert_eq!(Wish::of(nonsense), None, "{nonsense}");
        }
    }
}

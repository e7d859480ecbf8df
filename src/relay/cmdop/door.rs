//! The door of the attach stream: who comes, to which session, with which role, and by which password.

use std::time::Duration;

use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::admit::TOKEN_TTL;
use super::attach::{Message, message};
use super::client::{Attachment, News};
use super::places::{Place, about, no_session, wish_of};
use super::{Call, Facade};
use crate::fleet::{Action, Role, Session, SessionId, SessionSpec};
use crate::stream::{Attach, Delivery, Down};
use crate::wire::cmdop::agent_message::Payload as FromClient;
use crate::wire::cmdop::control_message::Payload as ToClient;
use crate::wire::cmdop::*;

/// How long a stream may take to say what it wants.
const FIRST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a person may take to type a password.
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the machine may take to let the client in.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes under way from the keeper.
const WINDOW: u32 = 1024 * 1024;
/// What the version of a client says that attaches, and of one that brings the id of a session to be made.
const ATTACHES: &str = "attach";
const CREATES: &str = "sdk-";
/// The one way to prove more than a key.
const PASSWORD: &str = "password";

/// A client that is let in.
pub(super) struct Entered {
    pub(super) session: SessionId,
    pub(super) attachment: Attachment,
    pub(super) role: Role,
}

/// Does all that comes before; `None` if the client left meanwhile.
pub(super) async fn enter(
    facade: &Facade,
    call: &Call,
    frames: &mut Streaming<AgentMessage>,
    messages_tx: &mpsc::Sender<Message>,
) -> Result<Option<Entered>, Status> {
    let first = tokio::time::timeout(FIRST_TIMEOUT, frames.message()).await;
    let first = first.map_err(|_| Status::invalid_argument("the stream must open with a register message"))??;
    let Some(AgentMessage { session_id, payload: Some(FromClient::Register(register)), .. }) = first else {
        return Err(Status::invalid_argument("the stream must open with a register message"));
    };
    let (session_id, is_observer) = wish_of(&session_id);
    let place = facade.place_of_stream(call, session_id, &register.version).await?;
    let may_drive = call.caller.actions.may(Action::Drive) && !is_observer;
    let wanted = if may_drive { Action::Drive } else { Action::Observe };
    let (action, needs_password) = match facade.may_without_password(call, &place, wanted).await {
        Err(status) if status.code() == tonic::Code::PermissionDenied && wanted == Action::Drive => {
            (Action::Observe, facade.may_without_password(call, &place, Action::Observe).await?)
        }
        other => (wanted, other?),
    };
    if needs_password && !facade.has_token(call, &place) {
        let shown = password(frames, messages_tx).await?;
        let Some((challenge_id, password)) = shown else { return Ok(None) };
        let session_token = facade.show_password(call, &place, action, password).await?;
        let ttl_seconds = TOKEN_TTL.as_secs() as i32;
        let success = AuthSuccess { challenge_id, session_token, ttl_seconds };
        let _ = messages_tx.send(message(ToClient::AuthSuccess(success))).await;
    }
    if place.known.is_none() && action == Action::Observe {
        let message = "nobody has started this session yet; a key that may drive starts it by its first use";
        return Err(Status::failed_precondition(message));
    }
    let session = facade.ensure(call, place).await?;
    let role = if action == Action::Drive { Role::Driver } else { Role::Observer };
    let attachment = attached(facade, call, &session, role).await?;
    let _ = messages_tx.send(message(ToClient::StartSession(StartSessionCommand::default()))).await;
    Ok(Some(Entered { session: session.id(), attachment, role }))
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

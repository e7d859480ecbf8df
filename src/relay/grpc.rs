//! The native gRPC services: streams to events of the hub and back.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::Stream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::audit::{Audited, Surroundings};
use super::auth::{AgentIs, Auth};
use super::event::{Answer, Event};
use super::exec::{self, Commands, EXEC_DOWN_CAP};
use super::files::{self, Requests};
use super::hub::{AGENT_CAP, EventsTx, stopping};
use super::lane::{AgentFrames, DownRx, Lane, Lanes, down_channel};
use super::limits::{LARGE_FRAME, LARGE_FRAMES, WATCH_CAP};
use super::outgoing::{Outgoing, OutgoingStream};
use crate::fleet::{Action, Code, MachineId, Principal, Refusal, Session, SessionId};
use crate::wire::{self, Message, SharedFleetEvent, status_of, v1};
use v1::agent_down::Frame as ToAgent;

/// Both services; cheap to clone.
#[derive(Clone)]
pub(super) struct Services {
    events_tx: EventsTx,
    auth: Arc<Auth>,
    next_conn: Arc<AtomicU64>,
    /// KiB of large frames that may be on their way to the hub.
    large: Arc<Semaphore>,
}

impl Services {
    pub(super) fn new(events_tx: EventsTx, auth: Arc<Auth>, next_conn: Arc<AtomicU64>) -> Services {
        let large = Arc::new(Semaphore::new(LARGE_FRAMES / 1024));
        Services { events_tx, auth, next_conn, large }
    }

    fn conn(&self) -> u64 {
        self.next_conn.fetch_add(1, Ordering::Relaxed)
    }

    async fn tell(&self, event: Event) -> Result<(), Status> {
        self.events_tx.send(event).await.map_err(|_| stopping())
    }

    async fn ask(&self, event: impl FnOnce(Answer) -> Event) -> Result<Option<crate::fleet::Session>, Status> {
        let (answer_tx, answer_rx) = oneshot::channel();
        self.tell(event(answer_tx)).await?;
        let answer = answer_rx.await.map_err(|_| stopping())?;
        answer.map_err(|refusal| status_of(&refusal))
    }
}

fn hello_of(hello: Option<&v1::Hello>) -> Result<(), Status> {
    let refusal = match hello.map(wire::check_hello) {
        Some(Ok(())) => return Ok(()),
        Some(Err(err)) => Refusal::new(Code::Invalid, err.to_string()),
        None => Refusal::new(Code::Invalid, "the stream must open with a hello"),
    };
    Err(status_of(&refusal))
}

/// The workspace of a session that a call was about, or else its caller's.
fn workspace_of(answer: &Result<Option<Session>, Status>, own: Option<String>) -> String {
    let session = answer.as_ref().ok().and_then(Option::as_ref);
    own.or_else(|| session.map(|session| session.spec.workspace.clone())).unwrap_or_default()
}

/// What became of a call, for the audit log.
fn outcome<T>(answer: &Result<T, Status>) -> String {
    answer.as_ref().map_or_else(|status| status.message().to_string(), |_| "ok".into())
}

#[tonic::async_trait]
impl v1::agent_service_server::AgentService for Services {
    type LinkStream = AgentFrames;

    async fn link(&self, request: Request<Streaming<v1::AgentUp>>) -> Result<Response<Self::LinkStream>, Status> {
        let agent = self.auth.agent(&request).map_err(|refusal| status_of(&refusal))?;
        if let AgentIs::Joined { machine, workspace, .. } = &agent {
            self.auth.opened(&request, &Principal::machine(*machine), Some(workspace));
        }
        let mut frames = request.into_inner();
        let conn = self.conn();
        let (frames_tx, frames_rx) = mpsc::channel(AGENT_CAP);
        let (exec, exec_rx) = Lane::new();
        let (files, files_rx) = Lane::new();
        let lanes = Lanes { exec, files };
        // A fresh channel has room for the hello, and for what the agent missed.
        for frame in [ToAgent::Hello(wire::hello()), ToAgent::Revoked(self.auth.ended(&agent))] {
            let _ = frames_tx.try_send(Ok(v1::AgentDown { frame: Some(frame) }));
        }
        let services = self.clone();
        tokio::spawn(async move {
            let first = frames.message().await;
            let hello = match &first {
                Ok(Some(v1::AgentUp { frame: Some(v1::agent_up::Frame::Hello(hello)) })) => Some(hello),
                _ => None,
            };
            if let Err(status) = hello_of(hello) {
                let _ = frames_tx.send(Err(status)).await;
                return;
            }
            let _ = services.tell(Event::AgentCame { conn, agent, frames_tx, lanes: lanes.clone() }).await;
            loop {
                let frame = tokio::select! {
                    frame = frames.message() => frame,
                    // An agent that the hub let go of is not read any more.
                    () = lanes.exec.closed() => break,
                };
                let Ok(Some(frame)) = frame else { break };
                // What a command writes and a file holds waits for nobody but its own client.
                let frame = match frame.frame {
                    Some(v1::agent_up::Frame::Exec(v1::RoutedExecDown { number, down: Some(down) })) => {
                        lanes.exec.down(number, down);
                        continue;
                    }
                    Some(v1::agent_up::Frame::Files(v1::RoutedFileDown { number, down: Some(down) })) => {
                        lanes.files.down(number, down);
                        continue;
                    }
                    _ => frame,
                };
                // A large one waits for room on its own connection, before the hub's queue holds many of them.
                let room = match frame.encoded_len() {
                    len if len >= LARGE_FRAME => {
                        services.large.clone().acquire_many_owned((len / 1024) as u32).await.ok()
                    }
                    _ => None,
                };
                if services.tell(Event::AgentFrame { conn, frame, room }).await.is_err() {
                    return lanes.close();
                }
            }
            lanes.close();
            let _ = services.tell(Event::AgentGone { conn }).await;
        });
        Ok(Response::new(AgentFrames::new(frames_rx, exec_rx, files_rx)))
    }
}

#[tonic::async_trait]
impl v1::client_service_server::ClientService for Services {
    type LinkStream = OutgoingStream;
    type WatchStream = Pin<Box<dyn Stream<Item = Result<SharedFleetEvent, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<v1::ClientUp>>) -> Result<Response<Self::LinkStream>, Status> {
        let caller = self.auth.caller(&request).map_err(|refusal| status_of(&refusal))?;
        self.auth.opened(&request, &caller.principal, caller.workspace.as_deref());
        let mut frames = request.into_inner();
        let conn = self.conn();
        let outgoing = Outgoing::charged_to(self.auth.quotas.account(&caller));
        let stream = outgoing.stream();
        outgoing.push(v1::ClientDown { channel: 0, frame: Some(v1::client_down::Frame::Hello(wire::hello())) });
        let services = self.clone();
        tokio::spawn(async move {
            let first = frames.message().await;
            let hello = match &first {
                Ok(Some(v1::ClientUp { frame: Some(v1::client_up::Frame::Hello(hello)), .. })) => Some(hello),
                _ => None,
            };
            if hello_of(hello).is_err() {
                return outgoing.close();
            }
            let _ = services.tell(Event::ClientCame { conn, caller, outgoing: outgoing.clone() }).await;
            loop {
                let frame = tokio::select! {
                    frame = frames.message() => frame,
                    // Whom the hub let go of is not read any more.
                    () = outgoing.closed() => break,
                };
                let Ok(Some(frame)) = frame else { break };
                if services.tell(Event::ClientFrame { conn, frame }).await.is_err() {
                    return;
                }
            }
            let _ = services.tell(Event::ClientGone { conn }).await;
        });
        Ok(Response::new(stream))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = self.auth.caller(&request).map_err(|refusal| status_of(&refusal))?;
        let (events_tx, events_rx) = mpsc::channel(WATCH_CAP);
        self.tell(Event::Watch { caller, request: request.into_inner(), events_tx }).await?;
        let mut response: Response<Self::WatchStream> = Response::new(Box::pin(ReceiverStream::new(events_rx)));
        if let Ok(time) = crate::runtime::now_ms().to_string().parse() {
            response.metadata_mut().insert(wire::TIME_HEADER, time);
        }
        Ok(response)
    }

    async fn create_session(
        &self,
        request: Request<v1::CreateSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let caller = self.auth.caller_with(&request, Action::Drive).map_err(|refusal| status_of(&refusal))?;
        let (principal, own) = (caller.principal.to_string(), caller.workspace.clone());
        let v1::CreateSessionRequest { machine, spec, join } = request.into_inner();
        let machine = MachineId::from_bytes(&machine).map_err(|err| Status::invalid_argument(err.to_string()))?;
        let spec = spec.ok_or_else(|| Status::invalid_argument("a session needs a specification"))?;
        let id = SessionId::from_bytes(&spec.id).map(|id| id.to_string()).unwrap_or_default();
        let shell = spec.command.first().map_or("", String::as_str);
        let surroundings = Surroundings::new(shell, &spec.cwd, spec.env.keys());
        let created = self.ask(|answer_tx| Event::Create { caller, machine, spec, is_join: join, answer_tx }).await;
        // The active session was made before, and that was recorded then.
        let is_joined = matches!(&created, Ok(Some(session)) if session.id().to_string() != id);
        if !is_joined {
            let (machine, outcome) = (machine.to_string(), outcome(&created));
            let workspace = workspace_of(&created, own);
            let created = Audited::SessionCreate { principal, workspace, machine, session: id, surroundings, outcome };
            self.auth.audit.record(created);
        }
        let created = created?;
        let session = created.ok_or_else(|| Status::internal("the agent made no session"))?;
        Ok(Response::new((&session).into()))
    }

    async fn destroy_session(
        &self,
        request: Request<v1::DestroySessionRequest>,
    ) -> Result<Response<v1::DestroySessionReply>, Status> {
        let caller = self.auth.caller_with(&request, Action::Drive).map_err(|refusal| status_of(&refusal))?;
        let (principal, own) = (caller.principal.to_string(), caller.workspace.clone());
        let session = SessionId::from_bytes(&request.into_inner().session)
            .map_err(|err| Status::invalid_argument(err.to_string()))?;
        let ended = self.ask(|answer_tx| Event::Destroy { caller, session, answer_tx }).await;
        self.auth.audit.record(Audited::SessionDestroy {
            principal,
            workspace: workspace_of(&ended, own),
            session: session.to_string(),
            outcome: outcome(&ended),
        });
        ended?;
        Ok(Response::new(v1::DestroySessionReply {}))
    }

    async fn rename_session(
        &self,
        request: Request<v1::RenameSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let caller = self.auth.caller_with(&request, Action::Drive).map_err(|refusal| status_of(&refusal))?;
        let v1::RenameSessionRequest { session, name } = request.into_inner();
        let session = SessionId::from_bytes(&session).map_err(|err| Status::invalid_argument(err.to_string()))?;
        let renamed = self.ask(|answer_tx| Event::Rename { caller, session, name, answer_tx }).await?;
        let session = renamed.ok_or_else(|| Status::internal("the agent renamed no session"))?;
        Ok(Response::new((&session).into()))
    }
}

#[tonic::async_trait]
impl v1::exec_service_server::ExecService for Services {
    type ExecStream = DownRx<Commands>;

    async fn exec(&self, request: Request<Streaming<v1::ExecUp>>) -> Result<Response<Self::ExecStream>, Status> {
        let caller = self.auth.caller_with(&request, Action::Exec).map_err(|refusal| status_of(&refusal))?;
        let (down_tx, down_rx) = down_channel(EXEC_DOWN_CAP, self.auth.quotas.account(&caller));
        tokio::spawn(exec::carry(self.events_tx.clone(), caller, self.auth.clone(), request.into_inner(), down_tx));
        Ok(Response::new(down_rx))
    }
}

#[tonic::async_trait]
impl v1::file_service_server::FileService for Services {
    type FilesStream = DownRx<Requests>;

    async fn files(&self, request: Request<Streaming<v1::FileUp>>) -> Result<Response<Self::FilesStream>, Status> {
        let caller = self.auth.caller(&request).map_err(|refusal| status_of(&refusal))?;
        let account = self.auth.quotas.account(&caller);
        let opened = files::open(self.events_tx.clone(), caller, &self.auth, request.into_inner()).await;
        Ok(Response::new(opened.unwrap_or_else(|refusal| files::refused(&refusal, account))))
    }
}

//! The task that owns the table of sessions.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::facts;
use super::keepers::{self, KeeperLink};
use super::link::{self, DataTx};
use crate::fleet::{Code, Endpoint, MachineFacts, Refusal, SessionId, SessionSpec};
use crate::keeper::launch;
use crate::wire::{self, v1};
use v1::agent_up::Frame as Up;

/// Events waiting for the hub.
const EVENTS_CAP: usize = 1024;
/// How often the load is told.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Sessions on one machine.
const SESSIONS_CAP: usize = 4096;

/// What happens around the agent.
pub(super) enum Event {
    /// The link to the relay is up.
    RelayUp { control_tx: mpsc::Sender<v1::AgentUp> },
    /// And gone.
    RelayGone,
    /// A frame from the relay.
    RelayFrame { frame: v1::AgentDown },
    /// A keeper is linked, asked for by a request or found.
    Linked { id: SessionId, epoch: u64, link: Box<KeeperLink>, number: Option<u64> },
    /// A keeper could not be started or linked.
    NotLinked { id: SessionId, refusal: Refusal, number: Option<u64> },
    /// A keeper's link ended.
    KeeperGone { id: SessionId, epoch: u64 },
    /// What a session does.
    Summary { id: SessionId, summary: v1::Summary },
}

struct Hub {
    facts: MachineFacts,
    dir: PathBuf,
    data: DataTx,
    events_tx: mpsc::Sender<Event>,
    sessions: HashMap<SessionId, (u64, KeeperLink)>,
    /// Requests to end a session, answered when it is gone.
    destroying: HashMap<SessionId, Vec<u64>>,
    /// Sessions being started: a repeated request waits for the first.
    starting: HashMap<SessionId, Vec<u64>>,
    relay_tx: Option<mpsc::Sender<v1::AgentUp>>,
    /// The relay has our facts and the complete list; before that it hears nothing.
    is_announced: bool,
    /// Keepers being linked; the list is complete when there are none.
    linking: HashSet<SessionId>,
    epoch: u64,
}

/// Runs until dropped.
pub(super) async fn run(facts: MachineFacts, relay: Endpoint, dir: PathBuf) {
    let (events_tx, mut events_rx) = mpsc::channel(EVENTS_CAP);
    let seed = facts.id.as_bytes().iter().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(*byte));
    // Adopt before dialling: the first list the relay gets is complete.
    let (adopted_tx, mut adopted_rx) = mpsc::channel(EVENTS_CAP);
    let data = link::start(relay, seed, events_tx.clone());
    let mut hub = Hub {
        facts,
        dir,
        data,
        events_tx,
        sessions: HashMap::new(),
        destroying: HashMap::new(),
        starting: HashMap::new(),
        relay_tx: None,
        is_announced: false,
        linking: HashSet::new(),
        epoch: 0,
    };
    hub.adopt(adopted_tx);
    while let Some(event) = adopted_rx.recv().await {
        hub.handle(event);
    }
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            biased;
            event = events_rx.recv() => match event {
                Some(event) => hub.handle(event),
                None => return,
            },
            _ = heartbeat.tick() => hub.tell(Up::Heartbeat((&facts::load()).into())),
        }
    }
}

impl Hub {
    /// Links to every keeper found; `done_tx` is dropped when all have answered.
    fn adopt(&mut self, done_tx: mpsc::Sender<Event>) {
        for id in keepers::found(&self.dir) {
            self.link(id, None, done_tx.clone());
        }
    }

    fn link(&mut self, id: SessionId, number: Option<u64>, done_tx: mpsc::Sender<Event>) {
        self.epoch += 1;
        self.linking.insert(id);
        let (epoch, dir) = (self.epoch, self.dir.clone());
        let (data, events_tx) = (self.data.clone(), self.events_tx.clone());
        tokio::spawn(async move {
            let event = match keepers::link(&dir, id, epoch, data, events_tx).await {
                Some(link) => Event::Linked { id, epoch, link: Box::new(link), number },
                None => Event::NotLinked { id, refusal: not_linked(id), number },
            };
            let _ = done_tx.send(event).await;
        });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::RelayUp { control_tx } => {
                self.relay_tx = Some(control_tx);
                self.announce();
            }
            Event::RelayGone => {
                self.relay_tx = None;
                self.is_announced = false;
                // Clients behind the old relay are no longer attached: a keeper learns that from a new link.
                let ids: Vec<SessionId> = self.sessions.drain().map(|(id, _)| id).collect();
                for id in ids {
                    self.link(id, None, self.events_tx.clone());
                }
            }
            Event::RelayFrame { frame } => self.relay_frame(frame),
            Event::Linked { id, epoch, link, number } => {
                self.linking.remove(&id);
                self.linked(id, epoch, *link, number);
                self.announce();
            }
            Event::NotLinked { id, refusal, number } => {
                self.linking.remove(&id);
                let waiting = self.starting.remove(&id).unwrap_or_default();
                for number in waiting.into_iter().chain(number) {
                    self.refuse(number, &refusal, "create");
                }
                self.tell(Up::SessionRemoved(bytes_of(id)));
                self.destroyed(id);
                self.announce();
            }
            Event::KeeperGone { id, epoch } => {
                if self.sessions.get(&id).is_some_and(|(current, _)| *current == epoch) {
                    self.sessions.remove(&id);
                    // Gone for good, or only the link: its socket tells.
                    self.link(id, None, self.events_tx.clone());
                }
            }
            Event::Summary { id, summary } => {
                if let Some((_, link)) = self.sessions.get_mut(&id) {
                    link.info.summary = Some(summary);
                }
            }
        }
    }

    /// Tells a new relay who we are and what lives here, once all of it is known: a session missing from the list counts
    /// as ended.
    fn announce(&mut self) {
        if self.is_announced || self.relay_tx.is_none() || !self.linking.is_empty() {
            return;
        }
        self.is_announced = true;
        tracing::info!(sessions = self.sessions.len(), "linked to the relay");
        self.tell(Up::Facts((&self.facts).into()));
        let sessions = self.sessions.values().map(|(_, link)| link.info.clone()).collect();
        self.tell(Up::Sessions(v1::SessionList { sessions }));
        self.tell(Up::Heartbeat((&facts::load()).into()));
    }

    fn linked(&mut self, id: SessionId, epoch: u64, link: KeeperLink, number: Option<u64>) {
        let info = link.info.clone();
        self.sessions.insert(id, (epoch, link));
        self.tell(Up::SessionAdded(info.clone()));
        let waiting = self.starting.remove(&id).unwrap_or_default();
        for number in waiting.into_iter().chain(number) {
            let reply = Some(v1::reply::Reply::Created(info.clone()));
            self.tell(Up::Reply(v1::Reply { number, reply }));
        }
    }

    fn relay_frame(&mut self, frame: v1::AgentDown) {
        use v1::agent_down::Frame;
        match frame.frame {
            Some(Frame::Up(routed)) => self.route(routed),
            Some(Frame::Ping(ping)) => self.tell(Up::Pong(v1::Pong { token: ping.token })),
            Some(Frame::Request(request)) => self.request(request),
            Some(Frame::Hello(_)) | None => {}
        }
    }

    fn route(&mut self, routed: v1::RoutedUp) {
        let (Ok(id), Some(up)) = (SessionId::from_bytes(&routed.session), routed.up) else { return };
        // The relay speaks for clients; the machine's own authority is not its to use.
        if up.client.is_empty() {
            return;
        }
        let Some((_, link)) = self.sessions.get(&id) else { return };
        if link.frames_tx.try_send(up).is_err() {
            tracing::warn!(session = %id, "the keeper takes no frames; linking anew");
            self.sessions.remove(&id);
            self.link(id, None, self.events_tx.clone());
        }
    }

    fn request(&mut self, request: v1::Request) {
        let number = request.number;
        match request.request {
            Some(v1::request::Request::Create(spec)) => match wire::spec_from(spec) {
                Ok(spec) => self.create(number, spec),
                Err(err) => self.refuse(number, &Refusal::new(Code::Invalid, err.to_string()), "create"),
            },
            Some(v1::request::Request::Destroy(id)) => match SessionId::from_bytes(&id) {
                Ok(id) => self.destroy(number, id),
                Err(err) => self.refuse(number, &Refusal::new(Code::Invalid, err.to_string()), "destroy"),
            },
            None => {
                let refusal = Refusal::new(Code::Invalid, "this agent does not know the request; upgrade it");
                self.refuse(number, &refusal, "request");
            }
        }
    }

    fn create(&mut self, number: u64, spec: SessionSpec) {
        let id = spec.id;
        if let Some((_, link)) = self.sessions.get(&id) {
            let reply = Some(v1::reply::Reply::Created(link.info.clone()));
            return self.tell(Up::Reply(v1::Reply { number, reply }));
        }
        if let Some(waiting) = self.starting.get_mut(&id) {
            return waiting.push(number);
        }
        if let Err(refusal) = check(&spec, self.sessions.len() + self.starting.len()) {
            return self.refuse(number, &refusal, "create");
        }
        self.starting.insert(id, vec![number]);
        self.epoch += 1;
        let (epoch, dir) = (self.epoch, self.dir.clone());
        let (data, events_tx) = (self.data.clone(), self.events_tx.clone());
        tokio::spawn(async move {
            let event = match start(&dir, &spec, epoch, data, events_tx.clone()).await {
                Ok(link) => Event::Linked { id, epoch, link: Box::new(link), number: None },
                Err(refusal) => Event::NotLinked { id, refusal, number: None },
            };
            let _ = events_tx.send(event).await;
        });
    }

    fn destroy(&mut self, number: u64, id: SessionId) {
        let Some((_, link)) = self.sessions.get(&id) else {
            let refusal = Refusal::new(Code::NotFound, format!("there is no session {id} on this machine"));
            return self.refuse(number, &refusal, "destroy");
        };
        let close = v1::session_up::Frame::Close(v1::Close {});
        if link.frames_tx.try_send(v1::SessionUp { client: Default::default(), frame: Some(close) }).is_ok() {
            self.destroying.entry(id).or_default().push(number);
        } else {
            self.refuse(number, &Refusal::new(Code::Unavailable, "the session's keeper takes no frames"), "destroy");
        }
    }

    fn destroyed(&mut self, id: SessionId) {
        for number in self.destroying.remove(&id).unwrap_or_default() {
            self.tell(Up::Reply(v1::Reply { number, reply: Some(wire::destroyed_reply(id)) }));
        }
    }

    fn refuse(&mut self, number: u64, refusal: &Refusal, frame: &str) {
        let reply = Some(v1::reply::Reply::Refused(wire::refusal(refusal, frame)));
        self.tell(Up::Reply(v1::Reply { number, reply }));
    }

    /// To the relay; a link that takes no control frames is given up, and the next one starts with everything.
    fn tell(&mut self, frame: Up) {
        let Some(relay_tx) = self.relay_tx.as_ref().filter(|_| self.is_announced) else { return };
        if relay_tx.try_send(v1::AgentUp { frame: Some(frame) }).is_err() {
            tracing::warn!("the relay takes no frames; giving the link up");
            self.relay_tx = None;
        }
    }
}

async fn start(
    dir: &Path,
    spec: &SessionSpec,
    epoch: u64,
    data: DataTx,
    events_tx: mpsc::Sender<Event>,
) -> Result<KeeperLink, Refusal> {
    let (_, mut child) = launch::launch(spec, &keepers::socket_of(dir, spec.id)).await?;
    // A keeper that ends under a living agent must be waited for.
    tokio::spawn(async move { child.wait().await });
    keepers::link(dir, spec.id, epoch, data, events_tx).await.ok_or_else(|| not_linked(spec.id))
}

fn not_linked(id: SessionId) -> Refusal {
    Refusal::new(Code::Unavailable, format!("the keeper of session {id} does not answer"))
}

fn check(spec: &SessionSpec, count: usize) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::new(Code::Invalid, message));
    if count >= SESSIONS_CAP {
        let message = format!("this machine has {count} sessions, as many as it may; end one first");
        return Err(Refusal::new(Code::Exhausted, message));
    }
    if let Some(name) = spec.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return invalid(format!("{name:?} is no name of an environment variable"));
    }
    let has_nul = |text: &String| text.contains('\0');
    if spec.command.iter().any(has_nul) || spec.env.values().any(has_nul) || has_nul(&spec.cwd) || has_nul(&spec.term) {
        return invalid("a NUL byte can be in no argument, variable or path".into());
    }
    if spec.command.first().is_some_and(String::is_empty) {
        return invalid("the program's name is empty; leave the command out for a shell".into());
    }
    Ok(())
}

fn bytes_of(id: SessionId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id.as_bytes())
}

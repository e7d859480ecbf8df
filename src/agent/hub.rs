//! The task that owns the table of sessions.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::exec::Execs;
use super::facts;
use super::files::{Files, Private};
use super::keepers::{self, Gone, KeeperLink, Place};
use super::link::{self, DataTx};
use super::lock::AgentLock;
use super::permissions::{Action, Chosen, Permissions, Subject};
use crate::config::paths;
use crate::fleet::{Code, MachineFacts, Refusal, Role, SessionId, SessionSpec, is_deceptive};
use crate::keeper::launch;
use crate::wire::{self, v1};
use v1::agent_up::Frame as Up;

/// Events waiting for the hub.
const EVENTS_CAP: usize = 1024;
/// How often the load is told.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Sessions on one machine.
const SESSIONS_CAP: usize = 4096;
/// How long a keeper may take to answer a request: the programs of a session that is ended have 2 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long keepers may take to come back after the directory of their sockets vanished: they look every 15 s.
const COMEBACK: Duration = Duration::from_secs(20);
/// Characters of a session's name: a line of a table.
const NAME_CAP: usize = 100;

/// What happens around the agent.
pub(super) enum Event {
    /// The link to the relay is up.
    RelayUp {
        control_tx: mpsc::Sender<v1::AgentUp>,
        exec_tx: mpsc::Sender<v1::RoutedExecDown>,
        files_tx: mpsc::Sender<v1::RoutedFileDown>,
    },
    /// And gone.
    RelayGone,
    /// A frame from the relay.
    RelayFrame { frame: v1::AgentDown },
    /// A keeper is linked.
    Linked { id: SessionId, epoch: u64, link: Box<KeeperLink> },
    /// A keeper does not answer; its link is still being waited for.
    KeeperSilent { id: SessionId },
    /// There is no keeper, or it could not be started.
    NotLinked { id: SessionId, refusal: Refusal, gone: Gone },
    /// A keeper's link ended.
    KeeperGone { id: SessionId, epoch: u64 },
    /// A command that was asked for is to be started, if it is still wanted.
    ExecDue { number: u64 },
    /// A command is over.
    ExecOver { number: u64, serial: u64, group: u32 },
    /// A request about files is over.
    FilesOver { number: u64, serial: u64 },
    /// What a session does.
    Summary { id: SessionId, summary: v1::Summary },
    /// A session has another name.
    Renamed { id: SessionId, name: String },
    /// Its keeper has had its time to answer a request.
    Late { id: SessionId, number: u64 },
}

struct Hub {
    facts: MachineFacts,
    dir: PathBuf,
    /// Where keepers log.
    logs: PathBuf,
    data: DataTx,
    events_tx: mpsc::Sender<Event>,
    sessions: HashMap<SessionId, (u64, KeeperLink)>,
    /// Requests to end a session, answered when it is gone.
    destroying: HashMap<SessionId, Vec<u64>>,
    /// Requests to rename a session, answered when its keeper has the name.
    renaming: HashMap<SessionId, Vec<u64>>,
    /// Sessions being started: a repeated request waits for the first.
    starting: HashMap<SessionId, Vec<u64>>,
    /// The shared one among them that was begun last: whoever wants the active session waits for it.
    starting_shared: Option<SessionId>,
    relay_tx: Option<mpsc::Sender<v1::AgentUp>>,
    /// The relay has our facts and the complete list; before that it hears nothing.
    is_announced: bool,
    /// Keepers being linked; the list is complete when there are none.
    linking: HashSet<SessionId>,
    /// Keepers that are there and do not answer; each is linked when it does.
    silent: HashSet<SessionId>,
    /// The machine's own rules; they have the last word.
    permissions: Arc<Permissions>,
    /// Who is behind the clients of a session, as the relay authenticated them when they attached.
    principals: HashMap<SessionId, HashMap<Bytes, String>>,
    /// Clients of a session whose link is being had anew.
    waiting: HashMap<SessionId, Vec<Bytes>>,
    epoch: u64,
    execs: Execs,
    files: Files,
    place: Place,
    /// The directory of the sockets vanished: keepers that live make theirs anew until then.
    patient_until: Option<Instant>,
    lock: AgentLock,
}

/// Runs until dropped.
pub(super) async fn run(
    facts: MachineFacts,
    link: link::Options,
    dir: PathBuf,
    logs: PathBuf,
    permissions: Arc<Permissions>,
    private: Private,
    lock: AgentLock,
) {
    let (events_tx, mut events_rx) = mpsc::channel(EVENTS_CAP);
    let seed = facts.id.as_bytes().iter().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(*byte));
    let data = link::start(link, seed, events_tx.clone());
    let files = Files::new(events_tx.clone(), permissions.clone(), private);
    let programs = paths::programs_dir(dir.parent().unwrap_or(&dir));
    let mut hub = Hub {
        facts,
        place: Place::new(&dir),
        patient_until: None,
        lock,
        dir,
        logs,
        data,
        execs: Execs::new(events_tx.clone(), permissions.clone(), programs),
        files,
        events_tx,
        sessions: HashMap::new(),
        destroying: HashMap::new(),
        renaming: HashMap::new(),
        starting: HashMap::new(),
        starting_shared: None,
        relay_tx: None,
        is_announced: false,
        linking: HashSet::new(),
        silent: HashSet::new(),
        permissions,
        principals: HashMap::new(),
        waiting: HashMap::new(),
        epoch: 0,
    };
    // The relay hears of nothing before all of them have answered or are known to be silent.
    let found = keepers::found(&hub.dir);
    keepers::tidy_logs(&hub.logs, &found);
    for id in found {
        hub.link(id);
    }
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            biased;
            event = events_rx.recv() => match event {
                Some(event) => hub.handle(event),
                None => return,
            },
            _ = heartbeat.tick() => {
                hub.tell(Up::Heartbeat((&facts::load()).into()));
                hub.look();
            }
        }
    }
}

impl Hub {
    fn link(&mut self, id: SessionId) {
        self.epoch += 1;
        // Everybody attaches anew to a new link, or hears that there is none.
        if let Some(clients) = self.principals.remove(&id) {
            self.waiting.insert(id, clients.into_keys().collect());
        }
        self.linking.insert(id);
        let (epoch, dir) = (self.epoch, self.dir.clone());
        let (data, events_tx) = (self.data.clone(), self.events_tx.clone());
        let patient_until = self.patient_until;
        tokio::spawn(async move {
            let event = match keepers::link(&dir, id, epoch, patient_until, data, events_tx.clone()).await {
                Ok(link) => Event::Linked { id, epoch, link: Box::new(link) },
                Err(gone) => Event::NotLinked { id, refusal: not_linked(id), gone },
            };
            let _ = events_tx.send(event).await;
        });
    }

    /// Somebody may have taken the sockets away, and their directory with them (systemd does at a logout): keepers make theirs
    /// anew, and are found here.
    fn look(&mut self) {
        match self.place.look() {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(dir = %self.dir.display(), "the directory of the keepers' sockets was gone; it is there again");
                self.patient_until = Some(Instant::now() + COMEBACK);
            }
            Err(err) => {
                tracing::warn!(%err, "the directory of the keepers' sockets is gone and cannot be made anew yet")
            }
        }
        if let Err(err) = self.lock.renew() {
            tracing::error!(%err, "this agent's lock is gone, and another agent may have taken its place");
        }
        for id in keepers::found(&self.dir) {
            let is_known = self.sessions.contains_key(&id) || self.linking.contains(&id) || self.silent.contains(&id);
            if !is_known && !self.starting.contains_key(&id) {
                self.link(id);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::RelayUp { control_tx, exec_tx, files_tx } => {
                self.relay_tx = Some(control_tx);
                self.execs.linked(exec_tx);
                self.files.linked(files_tx);
                self.announce();
            }
            Event::RelayGone => {
                self.relay_tx = None;
                self.is_announced = false;
                self.execs.unlinked();
                self.files.unlinked();
                // Clients behind the old relay are no longer attached: a keeper learns that from a new link.
                self.look();
                let ids: Vec<SessionId> = self.sessions.drain().map(|(id, _)| id).collect();
                for id in ids {
                    self.link(id);
                }
            }
            Event::RelayFrame { frame } => self.relay_frame(frame),
            Event::Linked { id, epoch, link } => {
                self.linking.remove(&id);
                self.silent.remove(&id);
                self.waiting.remove(&id);
                self.linked(id, epoch, *link);
                self.announce();
            }
            Event::KeeperSilent { id } => {
                self.linking.remove(&id);
                self.silent.insert(id);
                self.refuse_starting(id, &not_linked(id));
                self.tell(Up::SessionSilent(bytes_of(id)));
                self.announce();
            }
            Event::NotLinked { id, refusal, gone } => {
                self.linking.remove(&id);
                self.silent.remove(&id);
                self.refuse_starting(id, &refusal);
                self.bereave(id, gone);
                self.tell(Up::SessionRemoved(bytes_of(id)));
                self.destroyed(id);
                self.announce();
            }
            Event::KeeperGone { id, epoch } => {
                if self.sessions.get(&id).is_some_and(|(current, _)| *current == epoch) {
                    self.sessions.remove(&id);
                    self.look();
                    // Gone for good, or only the link: its socket tells.
                    self.link(id);
                }
            }
            Event::ExecDue { number } => self.execs.launch(number),
            Event::ExecOver { number, serial, group } => self.execs.over(number, serial, group),
            Event::FilesOver { number, serial } => self.files.over(number, serial),
            Event::Summary { id, summary } => {
                if let Some((_, link)) = self.sessions.get_mut(&id) {
                    link.info.summary = Some(summary);
                }
            }
            Event::Renamed { id, name } => self.renamed(id, &name),
            Event::Late { id, number } => self.late(id, number),
        }
    }

    /// Tells a new relay who we are and what lives here, once all of it is known: a session missing from the list counts
    /// as ended, unless its keeper is silent.
    fn announce(&mut self) {
        if self.is_announced || self.relay_tx.is_none() || !self.linking.is_empty() {
            return;
        }
        self.is_announced = true;
        tracing::info!(sessions = self.sessions.len(), "linked to the relay");
        self.tell(Up::Facts((&self.facts).into()));
        for id in self.silent.iter().copied().collect::<Vec<_>>() {
            self.tell(Up::SessionSilent(bytes_of(id)));
        }
        let sessions = self.sessions.values().map(|(_, link)| link.info.clone()).collect();
        self.tell(Up::Sessions(v1::SessionList { sessions }));
        self.tell(Up::Heartbeat((&facts::load()).into()));
    }

    fn linked(&mut self, id: SessionId, epoch: u64, link: KeeperLink) {
        let info = link.info.clone();
        self.sessions.insert(id, (epoch, link));
        self.tell(Up::SessionAdded(info.clone()));
        for number in self.starting.remove(&id).unwrap_or_default() {
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
            Some(Frame::Exec(routed)) => self.execs.frame(routed),
            Some(Frame::Files(routed)) => self.files.frame(routed),
            Some(Frame::Revoked(revoked)) => {
                for key in revoked.keys {
                    self.permissions.forget(&key.principal, Duration::from_millis(key.ago_ms));
                }
            }
            Some(Frame::Hello(_)) | None => {}
        }
    }

    fn route(&mut self, routed: v1::RoutedUp) {
        let (Ok(id), Some(up)) = (SessionId::from_bytes(&routed.session), routed.up) else { return };
        // The relay speaks for clients; the machine's own authority is not its to use.
        if up.client.is_empty() {
            return;
        }
        if let Err((refusal, kind)) = self.admit(id, &up) {
            return self.refuse_frame(id, up.client, &refusal, kind);
        }
        let Some((_, link)) = self.sessions.get(&id) else { return };
        if link.frames_tx.try_send(up).is_err() {
            tracing::warn!(session = %id, "the keeper takes no frames; linking anew");
            self.sessions.remove(&id);
            self.link(id);
        }
    }

    /// Whether the machine's rules let a client's frame through, or why not and which frame it has to hear that of; what is
    /// typed is the keeper's to judge, by the role.
    fn admit(&mut self, id: SessionId, up: &v1::SessionUp) -> Result<(), (Refusal, &'static str)> {
        use v1::session_up::Frame;
        let Some((_, link)) = self.sessions.get(&id) else { return Ok(()) };
        let Some(frame) = &up.frame else { return Ok(()) };
        if !matches!(frame, Frame::Attach(_) | Frame::SetRole(_) | Frame::Close(_) | Frame::Detach(_)) {
            return Ok(());
        }
        let name = link.name();
        let subject = Subject { session: Some(&name), ..Subject::default() };
        let clients = self.principals.entry(id).or_default();
        let principal = clients.get(&up.client).map_or("", String::as_str);
        let of = |kind: &'static str| move |refusal| (refusal, kind);
        match frame {
            Frame::Attach(attach) => {
                let action = action_of(wire::role_from(attach.role));
                self.permissions.check(&attach.principal, action, &subject).map_err(of("attach"))?;
                clients.insert(up.client.clone(), attach.principal.clone());
            }
            Frame::SetRole(set) => {
                // Who may not even watch any more is attached no longer.
                self.permissions.check(principal, Action::Observe, &subject).map_err(of("attach"))?;
                let action = action_of(wire::role_from(set.role));
                self.permissions.check(principal, action, &subject).map_err(of("set_role"))?;
            }
            Frame::Close(_) => self.permissions.check(principal, Action::Destroy, &subject).map_err(of("close"))?,
            _ => {
                clients.remove(&up.client);
            }
        }
        Ok(())
    }

    /// Answers a client in the keeper's stead; one that is refused at the door is let out if it was let in before.
    fn refuse_frame(&mut self, id: SessionId, client: Bytes, refusal: &Refusal, kind: &str) {
        let was_in =
            self.principals.get_mut(&id).is_some_and(|clients| kind == "attach" && clients.remove(&client).is_some());
        if was_in && let Some((_, link)) = self.sessions.get(&id) {
            // The keeper must not go on listening to it.
            let detach = Some(v1::session_up::Frame::Detach(v1::Detach {}));
            let _ = link.frames_tx.try_send(v1::SessionUp { client: client.clone(), frame: detach });
        }
        let frame = Some(v1::session_down::Frame::Refused(wire::refusal(refusal, kind)));
        let down = Some(v1::SessionDown { client, frame });
        self.tell(Up::Down(v1::RoutedDown { session: bytes_of(id), down }));
    }

    /// A session is over: whoever watched it must not take a killed keeper for a program that ended.
    fn bereave(&mut self, id: SessionId, gone: Gone) {
        let clients = self.waiting.remove(&id).unwrap_or_default();
        if gone == Gone::Ended {
            return;
        }
        let message = format!(
            "the keeper of session {id} was killed (by a person, or for want of memory), and its programs with it; its last \
             output is lost"
        );
        for client in clients {
            self.refuse_frame(id, client, &Refusal::new(Code::NotFound, message.clone()), "attach");
        }
    }

    fn may_create(&self, principal: &str, spec: &SessionSpec) -> Result<(), Refusal> {
        let argv = (!spec.command.is_empty()).then_some(spec.command.as_slice());
        let command = argv.map(|argv| argv.join(" "));
        let chosen = Chosen {
            env: !spec.env.is_empty(),
            cwd: !spec.cwd.is_empty(),
            term: !spec.term.is_empty() && spec.term != SessionSpec::DEFAULT_TERM,
            ..Chosen::default()
        };
        let (command, session) = (command.as_deref(), Some(spec.display_name()));
        let subject = Subject { command, argv, session, chosen, ..Subject::default() };
        self.permissions.check(principal, Action::Create, &subject)
    }

    fn may_change(&self, principal: &str, action: Action, id: SessionId) -> Result<(), Refusal> {
        let name = self.sessions.get(&id).map(|(_, link)| link.name());
        let subject = Subject { session: name.as_deref(), ..Subject::default() };
        self.permissions.check(principal, action, &subject)
    }

    fn request(&mut self, request: v1::Request) {
        let number = request.number;
        let principal = request.principal;
        match request.request {
            Some(v1::request::Request::Create(spec)) => match wire::spec_from(spec) {
                Ok(spec) => match self.may_create(&principal, &spec) {
                    Ok(()) => match self.active().filter(|_| request.join) {
                        Some(active) => self.join(number, active),
                        None => self.create(number, spec),
                    },
                    Err(refusal) => self.refuse(number, &refusal, "create"),
                },
                Err(err) => self.refuse(number, &Refusal::new(Code::Invalid, err.to_string()), "create"),
            },
            Some(v1::request::Request::Destroy(id)) => match SessionId::from_bytes(&id) {
                Ok(id) => match self.may_change(&principal, Action::Destroy, id) {
                    Ok(()) => self.destroy(number, id),
                    Err(refusal) => self.refuse(number, &refusal, "destroy"),
                },
                Err(err) => self.refuse(number, &Refusal::new(Code::Invalid, err.to_string()), "destroy"),
            },
            Some(v1::request::Request::Rename(rename)) => match SessionId::from_bytes(&rename.session) {
                Ok(id) => match self.may_change(&principal, Action::Drive, id) {
                    Ok(()) => self.rename(number, id, rename.name),
                    Err(refusal) => self.refuse(number, &refusal, "rename"),
                },
                Err(err) => self.refuse(number, &Refusal::new(Code::Invalid, err.to_string()), "rename"),
            },
            Some(v1::request::Request::Admit(admit)) => self.admit_request(number, principal, admit),
            None => {
                let refusal = Refusal::new(Code::Invalid, "this agent does not know the request; upgrade it");
                self.refuse(number, &refusal, "request");
            }
        }
    }

    /// The active session: the newest shared one whose program runs, or the one that is about to be it.
    fn active(&self) -> Option<SessionId> {
        let starting = self.starting_shared.filter(|id| self.starting.contains_key(id));
        let living = || {
            let is_active = |link: &KeeperLink| {
                let is_shared = link.info.spec.as_ref().is_some_and(|spec| spec.shared);
                is_shared && link.info.summary.as_ref().is_none_or(|summary| summary.exited.is_none())
            };
            let active = self.sessions.iter().filter(|(_, (_, link))| is_active(link));
            active.max_by_key(|(id, (_, link))| (link.info.created_ms, **id)).map(|(id, _)| *id)
        };
        starting.or_else(living)
    }

    /// Answers with a session that is there, or when it is.
    fn join(&mut self, number: u64, id: SessionId) {
        match self.sessions.get(&id) {
            Some((_, link)) => {
                let reply = Some(v1::reply::Reply::Created(link.info.clone()));
                self.tell(Up::Reply(v1::Reply { number, reply }));
            }
            None => self.starting.entry(id).or_default().push(number),
        }
    }

    /// Says whether the machine's rules let somebody do something. A password takes a while to check, by intent.
    fn admit_request(&mut self, number: u64, principal: String, admit: v1::AdmitRequest) {
        let id = SessionId::from_bytes(&admit.session);
        let name = id.ok().and_then(|id| self.sessions.get(&id)).map(|(_, link)| link.name());
        let subject = Subject { session: name.as_deref(), ..Subject::default() };
        let outcome = match admit.action.parse::<Action>() {
            Ok(action) => self.permissions.admit(&principal, action, &subject),
            Err(err) => Err(Refusal::new(Code::PermissionDenied, err)),
        };
        let needs_password = match outcome {
            Ok(needs_password) => needs_password,
            Err(refusal) => return self.refuse(number, &refusal, "admit"),
        };
        if !needs_password || admit.password.is_empty() {
            return self.tell(Up::Reply(admitted(number, needs_password)));
        }
        let Some(relay_tx) = self.relay_tx.clone() else { return };
        let permissions = self.permissions.clone();
        tokio::spawn(async move {
            let checked = tokio::task::spawn_blocking(move || permissions.show_password(&principal, &admit.password));
            let reply = match checked.await {
                Ok(Ok(())) => admitted(number, false),
                Ok(Err(refusal)) => refused(number, &refusal),
                Err(_) => refused(number, &Refusal::new(Code::Internal, "the password could not be checked")),
            };
            let _ = relay_tx.send(v1::AgentUp { frame: Some(Up::Reply(reply)) }).await;
        });
    }

    fn create(&mut self, number: u64, spec: SessionSpec) {
        let id = spec.id;
        if self.sessions.contains_key(&id) {
            return self.join(number, id);
        }
        if self.silent.contains(&id) {
            return self.refuse(number, &not_linked(id), "create");
        }
        // Its keeper is there or on its way: the answer comes with the link.
        if self.linking.contains(&id) || self.starting.contains_key(&id) {
            return self.starting.entry(id).or_default().push(number);
        }
        if let Err(refusal) = check(&spec, self.sessions.len() + self.silent.len() + self.starting.len()) {
            return self.refuse(number, &refusal, "create");
        }
        self.look();
        self.starting.insert(id, vec![number]);
        if spec.is_shared {
            self.starting_shared = Some(id);
        }
        self.epoch += 1;
        let (epoch, dir, logs) = (self.epoch, self.dir.clone(), self.logs.clone());
        let (data, events_tx) = (self.data.clone(), self.events_tx.clone());
        let kept = self.permissions.kept_variables();
        tokio::spawn(async move {
            let event = match start(&dir, &logs, &spec, &kept, epoch, data, events_tx.clone()).await {
                Ok(link) => Event::Linked { id, epoch, link: Box::new(link) },
                Err(refusal) => Event::NotLinked { id, refusal, gone: Gone::Ended },
            };
            let _ = events_tx.send(event).await;
        });
    }

    fn destroy(&mut self, number: u64, id: SessionId) {
        if self.silent.contains(&id) {
            return self.refuse(number, &not_linked(id), "destroy");
        }
        let Some((_, link)) = self.sessions.get(&id) else {
            let refusal = Refusal::new(Code::NotFound, format!("there is no session {id} on this machine"));
            return self.refuse(number, &refusal, "destroy");
        };
        let close = v1::session_up::Frame::Close(v1::Close {});
        if link.frames_tx.try_send(v1::SessionUp { client: Default::default(), frame: Some(close) }).is_ok() {
            self.destroying.entry(id).or_default().push(number);
            self.expect(id, number);
        } else {
            self.refuse(number, &Refusal::new(Code::Unavailable, "the session's keeper takes no frames"), "destroy");
        }
    }

    fn rename(&mut self, number: u64, id: SessionId, name: String) {
        if self.silent.contains(&id) {
            return self.refuse(number, &not_linked(id), "rename");
        }
        if let Err(refusal) = check_name(&name) {
            return self.refuse(number, &refusal, "rename");
        }
        let Some((_, link)) = self.sessions.get(&id) else {
            let refusal = Refusal::new(Code::NotFound, format!("there is no session {id} on this machine"));
            return self.refuse(number, &refusal, "rename");
        };
        let rename = v1::session_up::Frame::Rename(v1::Rename { name });
        if link.frames_tx.try_send(v1::SessionUp { client: Default::default(), frame: Some(rename) }).is_ok() {
            self.renaming.entry(id).or_default().push(number);
            self.expect(id, number);
        } else {
            self.refuse(number, &Refusal::new(Code::Unavailable, "the session's keeper takes no frames"), "rename");
        }
    }

    /// A keeper that is stopped answers nothing and must not keep whoever asked.
    fn expect(&self, id: SessionId, number: u64) {
        let events_tx = self.events_tx.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_TIMEOUT).await;
            let _ = events_tx.send(Event::Late { id, number }).await;
        });
    }

    fn late(&mut self, id: SessionId, number: u64) {
        let pid = self.sessions.get(&id).map_or(0, |(_, link)| link.pid);
        let take = |waiting: &mut HashMap<SessionId, Vec<u64>>| {
            let Some(numbers) = waiting.get_mut(&id) else { return false };
            let count = numbers.len();
            numbers.retain(|other| *other != number);
            numbers.len() < count
        };
        let silence = format!("the keeper of session {id} (process {pid}) does not answer; is it stopped?");
        let (frame, message) = if take(&mut self.destroying) {
            (
                "destroy",
                format!("{silence} It was asked to end the session and will when it goes on (`kill -CONT {pid}`)"),
            )
        } else if take(&mut self.renaming) {
            ("rename", format!("{silence} The session gets its name when it goes on (`kill -CONT {pid}`)"))
        } else {
            return;
        };
        self.refuse(number, &Refusal::new(Code::Unavailable, message), frame);
    }

    /// The keeper has the name: it is the one that remembers it.
    fn renamed(&mut self, id: SessionId, name: &str) {
        let Some((_, link)) = self.sessions.get_mut(&id) else { return };
        if let Some(spec) = &mut link.info.spec {
            spec.name = name.into();
        }
        let info = link.info.clone();
        for number in self.renaming.remove(&id).unwrap_or_default() {
            let reply = Some(v1::reply::Reply::Renamed(info.clone()));
            self.tell(Up::Reply(v1::Reply { number, reply }));
        }
    }

    fn destroyed(&mut self, id: SessionId) {
        for number in self.renaming.remove(&id).unwrap_or_default() {
            self.refuse(number, &Refusal::new(Code::NotFound, format!("session {id} has ended")), "rename");
        }
        for number in self.destroying.remove(&id).unwrap_or_default() {
            self.tell(Up::Reply(v1::Reply { number, reply: Some(wire::destroyed_reply(id)) }));
        }
    }

    /// Whoever asked for the session learns that there is none to use.
    fn refuse_starting(&mut self, id: SessionId, refusal: &Refusal) {
        for number in self.starting.remove(&id).unwrap_or_default() {
            self.refuse(number, refusal, "create");
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

fn admitted(number: u64, needs_password: bool) -> v1::Reply {
    v1::Reply { number, reply: Some(v1::reply::Reply::Admitted(v1::Admitted { needs_password })) }
}

fn refused(number: u64, refusal: &Refusal) -> v1::Reply {
    v1::Reply { number, reply: Some(v1::reply::Reply::Refused(wire::refusal(refusal, "admit"))) }
}

async fn start(
    dir: &Path,
    logs: &Path,
    spec: &SessionSpec,
    kept_variables: &[String],
    epoch: u64,
    data: DataTx,
    events_tx: mpsc::Sender<Event>,
) -> Result<KeeperLink, Refusal> {
    let (_, mut child) =
        launch::launch(spec, &keepers::socket_of(dir, spec.id), &keepers::log_of(logs, spec.id), kept_variables)
            .await?;
    // A keeper that ends under a living agent must be waited for.
    tokio::spawn(async move { child.wait().await });
    keepers::link(dir, spec.id, epoch, None, data, events_tx).await.map_err(|_| not_linked(spec.id))
}

fn action_of(role: Role) -> Action {
    match role {
        Role::Observer => Action::Observe,
        Role::Driver => Action::Drive,
    }
}

fn not_linked(id: SessionId) -> Refusal {
    let message = format!("the keeper of session {id} does not answer; the session is back when it does");
    Refusal::new(Code::Unavailable, message)
}

fn check(spec: &SessionSpec, count: usize) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::new(Code::Invalid, message));
    if count >= SESSIONS_CAP {
        let message = format!("this machine has {count} sessions, as many as it may; end one first");
        return Err(Refusal::new(Code::Exhausted, message));
    }
    check_name(&spec.name)?;
    check_name(&spec.greeting)?;
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

/// A session's name is a line for people.
fn check_name(name: &str) -> Result<(), Refusal> {
    if name.chars().count() > NAME_CAP || name.chars().any(is_deceptive) {
        let message =
            format!("a session's name has at most {NAME_CAP} characters, and none that control, hide or reorder text");
        return Err(Refusal::new(Code::Invalid, message));
    }
    Ok(())
}

fn bytes_of(id: SessionId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id.as_bytes())
}

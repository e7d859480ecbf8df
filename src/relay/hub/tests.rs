//! The hub with queues in place of streams.

use super::*;
use crate::fleet::{Actions, KeyId, Principal, SessionSpec};
use crate::relay::auth::Keyring;
use crate::relay::lane::Lane;
use v1::agent_up::Frame as AgentFrame;
use v1::client_up::Frame as ClientFrame;

const AGENT: ConnId = 1;
const CLIENT: ConnId = 2;

struct Bench {
    hub: Hub,
    agent_rx: mpsc::Receiver<Result<v1::AgentDown, Status>>,
    session: SessionId,
}

fn id(bytes: &[u8; 16]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(bytes)
}

fn hub() -> Hub {
    let auth = Arc::new(Auth::new(Keyring::default(), Vec::new(), Store::forgetful(), Audit::default()));
    Hub::new(Core::new(Vec::new(), Vec::new()), auth, Store::forgetful())
}

impl Bench {
    /// A machine with one session, and a client that drives it.
    fn new() -> Bench {
        let (frames_tx, agent_rx) = mpsc::channel(1000);
        let ((exec, _), (files, _)) = (Lane::new(), Lane::new());
        let spec = SessionSpec::shell();
        let mut bench = Bench { hub: hub(), agent_rx, session: spec.id };
        bench.handle(Event::AgentCame { conn: AGENT, agent: AgentIs::Local, frames_tx, lanes: Lanes { exec, files } });
        let facts =
            v1::MachineFacts { id: id(MachineId::random().as_bytes()), name: "web-1".into(), ..Default::default() };
        bench.agent(AgentFrame::Facts(facts));
        let info = v1::SessionInfo { spec: Some((&spec).into()), ..Default::default() };
        bench.agent(AgentFrame::Sessions(v1::SessionList { sessions: vec![info] }));
        bench
    }

    fn handle(&mut self, event: Event) {
        self.hub.handle(event);
        self.hub.perform();
    }

    fn agent(&mut self, frame: AgentFrame) {
        self.handle(Event::AgentFrame { conn: AGENT, frame: v1::AgentUp { frame: Some(frame) }, room: None });
    }

    fn client(&mut self, channel: u32, frame: ClientFrame) {
        self.handle(Event::ClientFrame { conn: CLIENT, frame: v1::ClientUp { channel, frame: Some(frame) } });
    }

    fn attach(&mut self) {
        let caller = Caller::local(Principal::loopback());
        self.handle(Event::ClientCame { conn: CLIENT, caller, outgoing: Outgoing::default() });
        let session = id(self.session.as_bytes());
        let open = v1::OpenChannel { session, client: id(&[7; 16]), attach: Some(v1::Attach::default()) };
        self.client(1, ClientFrame::Open(open));
    }

    /// How many frames of input the agent got.
    fn typed(&mut self) -> usize {
        let is_input = |frame: &v1::AgentDown| match &frame.frame {
            Some(v1::agent_down::Frame::Up(routed)) => {
                let frame = routed.up.as_ref().and_then(|up| up.frame.as_ref());
                matches!(frame, Some(v1::session_up::Frame::Input(_)))
            }
            _ => false,
        };
        std::iter::from_fn(|| self.agent_rx.try_recv().ok()).flatten().filter(is_input).count()
    }
}

fn input() -> ClientFrame {
    let input = v1::Input { offset: 0, data: bytes::Bytes::from_static(b"rm -rf /\n") };
    ClientFrame::Up(v1::SessionUp { client: Default::default(), frame: Some(v1::session_up::Frame::Input(input)) })
}

/// A client that was given up, because its queue was full, was dropped from one of two tables: after its key was revoked it
/// still typed.
#[test]
fn a_client_that_was_given_up_types_no_more() {
    let mut bench = Bench::new();
    bench.attach();
    bench.client(1, input());
    assert_eq!(bench.typed(), 1);
    while bench.hub.clients.contains_key(&CLIENT) {
        bench.client(0, ClientFrame::Ping(v1::Ping { token: 1 }));
    }
    bench.client(1, input());
    assert_eq!(bench.typed(), 0);
}

/// Whoever came last was let go of, not the one that had not read for minutes.
#[test]
fn when_too_much_waits_for_a_key_its_slowest_client_goes() {
    const SLOW: ConnId = 3;
    const NEIGHBOUR: ConnId = 4;
    let (mut hub, quotas) = (hub(), crate::relay::quota::Quotas::default());
    let (key, other) = (KeyId::random(), KeyId::random());
    let _calls = (quotas.enter(key).unwrap(), quotas.enter(other).unwrap());
    for (conn, key) in [(SLOW, key), (CLIENT, key), (NEIGHBOUR, other)] {
        let caller = Caller { key: Some(key), ..Caller::local(Principal::key("ci")) };
        let outgoing = Outgoing::charged_to(quotas.account(&caller));
        hub.clients.insert(conn, (caller, outgoing));
    }
    let half = bytes::Bytes::from(vec![0; 1 << 19]);
    let output = |channel| {
        let frame = v1::session_down::Frame::Output(v1::Output { offset: 0, data: half.clone() });
        let down = v1::SessionDown { client: bytes::Bytes::new(), frame: Some(frame) };
        v1::ClientDown { channel, frame: Some(v1::client_down::Frame::Down(down)) }
    };
    let mut channels = 0..;
    let mut send = |hub: &mut Hub, conn, count: usize| {
        channels.by_ref().take(count).for_each(|channel| hub.send_client(conn, output(channel)));
    };
    send(&mut hub, NEIGHBOUR, 200);
    send(&mut hub, SLOW, 200);
    send(&mut hub, CLIENT, 120);
    let left = |hub: &Hub| [SLOW, CLIENT, NEIGHBOUR].map(|conn| hub.clients.contains_key(&conn));
    assert_eq!(left(&hub), [false, true, true]);
    assert!(hub.clients[&CLIENT].1.waiting() >= 60 << 20, "what it was sent waits for it");
    send(&mut hub, CLIENT, 300);
    assert_eq!(left(&hub), [false, false, true], "one alone has as much as the key");
}

/// A machine with names of 33 MiB blinded everybody for ever: the snapshot was larger than a frame may be.
#[test]
fn a_snapshot_of_any_size_comes_in_pieces_that_are_shared() {
    let mut bench = Bench::new();
    let info = |n: usize| {
        let spec = SessionSpec { name: format!("session {n}"), cwd: "/x".repeat(400), ..SessionSpec::shell() };
        v1::SessionInfo { spec: Some((&spec).into()), ..Default::default() }
    };
    bench.agent(AgentFrame::Sessions(v1::SessionList { sessions: (0..2000).map(info).collect() }));
    let watch = |bench: &mut Bench| {
        let (events_tx, mut events_rx) = mpsc::channel(100);
        let request = v1::WatchRequest { pieces: true, once: true, ..Default::default() };
        bench.handle(Event::Watch { caller: Caller::local(Principal::loopback()), request, events_tx });
        std::iter::from_fn(move || events_rx.try_recv().ok()).map(Result::unwrap).collect::<Vec<SharedFleetEvent>>()
    };
    let pieces = watch(&mut bench);
    assert!(pieces.len() > 4, "{} pieces", pieces.len());
    let mut sessions = 0;
    for (number, piece) in pieces.iter().enumerate() {
        assert!(crate::wire::Message::encoded_len(piece) < 2 * crate::relay::limits::SNAPSHOT_PIECE);
        let Some(v1::fleet_event::Event::Snapshot(snapshot)) = piece.clone().event().unwrap().event else { panic!() };
        assert_eq!(snapshot.more, number + 1 < pieces.len());
        sessions += snapshot.sessions.len();
    }
    assert_eq!(sessions, 2000);
    assert!(watch(&mut bench)[0].is_shared_with(&pieces[0]), "encoded once for all who ask");
    // And of one machine, if that is all that is asked for.
    let (events_tx, mut events_rx) = mpsc::channel(100);
    let request = v1::WatchRequest { machines: vec!["web-2".into()], pieces: true, once: true };
    bench.handle(Event::Watch { caller: Caller::local(Principal::loopback()), request, events_tx });
    let Some(v1::fleet_event::Event::Snapshot(none)) = events_rx.try_recv().unwrap().unwrap().event().unwrap().event
    else {
        panic!()
    };
    assert!(none.machines.is_empty() && none.sessions.is_empty());
    assert!(events_rx.try_recv().is_err() && events_rx.is_closed(), "asked once");
}

/// 100,000 sessions of one machine were all taken.
#[test]
fn a_machine_shows_so_many_sessions_and_bytes_and_no_more() {
    use crate::relay::limits::{REGISTRY_PER_MACHINE, SESSIONS_PER_MACHINE};
    let mut bench = Bench::new();
    let info = |cwd: usize| {
        let spec = SessionSpec { cwd: "x".repeat(cwd), command: vec!["y".repeat(1 << 16)], ..SessionSpec::shell() };
        v1::SessionInfo { spec: Some((&spec).into()), ..Default::default() }
    };
    bench.agent(AgentFrame::Sessions(v1::SessionList { sessions: (0..5000).map(|_| info(10)).collect() }));
    let caller = Caller::local(Principal::loopback());
    let view = bench.hub.core.view(&caller);
    let bytes: usize =
        view.sessions.iter().map(|session| crate::wire::Message::encoded_len(&v1::Session::from(session))).sum();
    assert!(view.sessions.len() <= SESSIONS_PER_MACHINE && bytes <= REGISTRY_PER_MACHINE, "{bytes}");
    assert!(view.sessions.len() > 1500, "{}", view.sessions.len());
    // What it shows gives its place back.
    bench.agent(AgentFrame::Sessions(v1::SessionList { sessions: vec![info(10)] }));
    assert_eq!(bench.hub.core.view(&caller).sessions.len(), 1);
    // And not as often as it likes.
    for _ in 0..20_000 {
        bench.agent(AgentFrame::SessionRemoved(id(&[9; 16])));
    }
    assert!(!bench.hub.agents.contains_key(&AGENT));
}

#[test]
fn a_key_follows_the_fleet_so_often_and_its_neighbour_does_too() {
    use crate::relay::limits::WATCHES_PER_KEY;
    let mut hub = hub();
    let caller = |key| Caller {
        principal: Principal::key("ci"),
        key,
        workspace: Some("default".into()),
        actions: Actions::all(),
    };
    let mut kept = Vec::new();
    let mut watch = |hub: &mut Hub, key| {
        let (events_tx, mut events_rx) = mpsc::channel(10);
        // Not through the gate: this key is in no keyring.
        hub.watch(caller(key), &v1::WatchRequest { pieces: true, ..Default::default() }, events_tx);
        let first = events_rx.try_recv().unwrap();
        kept.push(events_rx);
        first.map(|_| ()).map_err(|status| status.code())
    };
    let key = Some(KeyId::random());
    (0..WATCHES_PER_KEY).for_each(|_| watch(&mut hub, key).unwrap());
    assert_eq!(watch(&mut hub, key), Err(tonic::Code::ResourceExhausted));
    watch(&mut hub, Some(KeyId::random())).unwrap();
}

//! Registry and router as a specification: events in, effects out.

use super::*;
use crate::fleet::{Principal, SessionSpec};

const AGENT: ConnId = 1;
const CLIENT: ConnId = 2;
const CHANNEL: u32 = 7;

struct Bench {
    core: Core,
    machine: MachineId,
    spec: SessionSpec,
    client: ClientId,
}

impl Bench {
    /// A client's connection; no agent yet.
    fn new() -> Bench {
        let mut core = Core::new(Vec::new(), Vec::new());
        core.client_came(CLIENT, Caller::local(Principal::loopback()));
        Bench { core, machine: MachineId::random(), spec: SessionSpec::shell(), client: ClientId::random() }
    }

    fn info(&self) -> v1::SessionInfo {
        v1::SessionInfo { spec: Some((&self.spec).into()), ..Default::default() }
    }

    /// The machine's agent comes on a connection and says who it is.
    fn facts(&mut self, conn: ConnId) {
        let facts =
            v1::MachineFacts { id: bytes_of(self.machine.as_bytes()), name: "web-1".into(), ..Default::default() };
        self.core.agent_facts(conn, facts.try_into().unwrap(), 0);
    }

    /// The machine's agent comes with these sessions.
    fn agent(&mut self, conn: ConnId, sessions: Vec<v1::SessionInfo>) {
        self.facts(conn);
        self.core.session_list(conn, v1::SessionList { sessions });
    }

    fn open(&mut self, attach: v1::Attach) {
        let open = v1::OpenChannel {
            session: bytes_of(self.spec.id.as_bytes()),
            client: bytes_of(self.client.as_bytes()),
            attach: Some(attach),
        };
        self.core.open(CLIENT, CHANNEL, open);
    }

    /// Frames for the agent's keepers since the last look.
    fn keepers_got(&mut self) -> Vec<Up> {
        let up = |effect| match effect {
            Effect::ToAgent(_, v1::AgentDown { frame: Some(v1::agent_down::Frame::Up(routed)) }) => routed.up?.frame,
            _ => None,
        };
        self.core.take_effects().into_iter().filter_map(up).collect()
    }

    /// What the client was told since the last look: `Lost` with its code, `Ready`.
    fn client_got(&mut self) -> Vec<Told> {
        let told = |effect| match effect {
            Effect::ToClient(CLIENT, v1::ClientDown { channel: CHANNEL, frame: Some(frame) }) => match frame {
                v1::client_down::Frame::Lost(lost) => Some(Told::Lost(lost.code())),
                v1::client_down::Frame::Ready(_) => Some(Told::Ready),
                _ => None,
            },
            _ => None,
        };
        self.core.take_effects().into_iter().filter_map(told).collect()
    }
}

#[derive(Debug, PartialEq)]
enum Told {
    Lost(v1::Code),
    Ready,
}

/// After a relay was killed, machines that had been there for days were "seen days ago": when they had come was all it knew.
#[test]
fn it_is_stored_now_and_then_when_a_machine_was_seen() {
    let mut bench = Bench::new();
    bench.facts(AGENT);
    let mut stored = |now| {
        bench.core.take_effects();
        bench.core.heartbeat(AGENT, &v1::Load::default(), now);
        let effects = bench.core.take_effects();
        effects.iter().any(|effect| matches!(effect, Effect::StoreMachine(id) if *id == bench.machine))
    };
    assert!(!stored(59_999) && stored(60_000) && !stored(119_999) && stored(120_000));
}

/// A person's own terminal that fell behind was painted with a keyframe for emulators: the relay asked for the default kind.
#[test]
fn an_overflowed_viewer_gets_the_kind_of_keyframe_it_attached_for() {
    let mut bench = Bench::new();
    bench.agent(AGENT, vec![bench.info()]);
    let kind = v1::KeyframeKind::Terminal as i32;
    bench.open(v1::Attach { keyframe: kind, ..Default::default() });
    bench.core.take_effects();
    bench.core.overflowed(CLIENT, CHANNEL, 42);
    assert_eq!(bench.keepers_got(), [Up::Refresh(v1::Refresh { from_offset: 42, keyframe: kind, history_bytes: 0 })]);
}

#[test]
fn a_machine_that_goes_and_comes_cuts_its_viewers_and_calls_them_back() {
    let mut bench = Bench::new();
    bench.agent(AGENT, vec![bench.info()]);
    bench.open(v1::Attach::default());
    assert_eq!(bench.client_got(), []);
    bench.core.agent_gone(AGENT, 0);
    assert_eq!(bench.client_got(), [Told::Lost(v1::Code::Unavailable)]);
    bench.agent(AGENT + 10, vec![bench.info()]);
    assert_eq!(bench.client_got(), [Told::Ready]);
    bench.open(v1::Attach::default());
    bench.core.take_effects();
    // A new stream while the old one is not known to be dead.
    bench.agent(AGENT + 20, vec![bench.info()]);
    assert_eq!(bench.client_got(), [Told::Lost(v1::Code::Unavailable), Told::Ready]);
}

/// A relay without a store was restarted; a client that came back before the agents was told that its session did not exist,
/// and gave it up.
#[test]
fn a_new_relay_lets_clients_wait_for_sessions_it_does_not_know_yet() {
    let mut bench = Bench::new();
    bench.open(v1::Attach::default());
    assert_eq!(bench.client_got(), [Told::Lost(v1::Code::Unavailable)]);
    bench.agent(AGENT, vec![bench.info()]);
    assert_eq!(bench.client_got(), [Told::Ready]);
    bench.open(v1::Attach::default());
    assert!(matches!(bench.keepers_got().last(), Some(Up::Attach(_))));
    bench.core.agents_had_time();
    assert_eq!(bench.client_got(), []);
}

#[test]
fn a_session_that_no_agent_brings_in_time_is_not_found() {
    let mut bench = Bench::new();
    bench.open(v1::Attach::default());
    assert_eq!(bench.client_got(), [Told::Lost(v1::Code::Unavailable)]);
    bench.core.agents_had_time();
    assert_eq!(bench.client_got(), [Told::Lost(v1::Code::NotFound)]);
    bench.open(v1::Attach::default());
    assert_eq!(bench.client_got(), [Told::Lost(v1::Code::NotFound)]);
}

/// A keeper that did not answer while its agent started was missing from the list, and its session taken for ended.
#[test]
fn a_session_whose_keeper_is_silent_has_not_ended() {
    // Known to the relay from before, and not.
    for is_known in [true, false] {
        let mut bench = Bench::new();
        if is_known {
            bench.agent(AGENT, vec![bench.info()]);
            bench.core.agent_gone(AGENT, 0);
        }
        bench.core.agents_had_time();
        bench.facts(AGENT);
        bench.core.session_silent(AGENT, bench.spec.id);
        bench.core.session_list(AGENT, v1::SessionList::default());
        assert_eq!(bench.core.session(bench.spec.id).is_some(), is_known);
        bench.open(v1::Attach::default());
        assert_eq!(bench.client_got(), [Told::Lost(v1::Code::Unavailable)]);
        bench.core.session_added(AGENT, bench.info());
        assert_eq!(bench.client_got().last(), Some(&Told::Ready));
        // Silent in the middle, and then gone.
        bench.open(v1::Attach::default());
        assert_eq!(bench.client_got(), []);
        bench.core.session_silent(AGENT, bench.spec.id);
        assert_eq!(bench.client_got(), [Told::Lost(v1::Code::Unavailable)]);
        bench.core.session_removed(AGENT, bench.spec.id);
        assert_eq!(bench.client_got(), [Told::Lost(v1::Code::NotFound)]);
    }
}

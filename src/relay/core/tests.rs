//! Registry and router as a specification: events in, effects out.

use super::*;
use crate::fleet::{Bound, Principal, SessionSpec};

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

/// A second machine of the bench's, with the connection of its agent.
const OTHER: ConnId = 50;

impl Bench {
    fn link(&mut self, conn: ConnId, machine: MachineId, name: &str, sessions: Vec<v1::SessionInfo>) {
        let facts = v1::MachineFacts { id: bytes_of(machine.as_bytes()), name: name.into(), ..Default::default() };
        self.core.agent_facts(conn, facts.try_into().unwrap(), 0);
        self.core.session_list(conn, v1::SessionList { sessions });
    }

    /// What watchers were told and what was stored since the last look.
    fn heard(&mut self) -> Vec<String> {
        use v1::fleet_event::Event;
        let text = |id: &[u8]| MachineId::from_bytes(id).unwrap().to_string();
        let line = |effect| match effect {
            Effect::ToWatchers(_, v1::FleetEvent { event: Some(event) }) => Some(match event {
                Event::Machine(machine) => format!("machine {}", text(&machine.facts.unwrap().id)),
                Event::MachineRemoved(id) => format!("removed {}", text(&id)),
                Event::Session(session) => format!("session at {}", text(&session.machine)),
                Event::SessionRemoved(gone) => format!("session gone from {}", text(&gone.machine)),
                Event::Snapshot(_) => "snapshot".into(),
            }),
            Effect::ForgetMachine(id) => Some(format!("forget {id}")),
            Effect::StoreSession(_, at) => {
                Some(at.map_or("forget session".into(), |at| format!("store session at {at}")))
            }
            _ => None,
        };
        self.core.take_effects().into_iter().filter_map(line).collect()
    }
}

/// A machine that was gone stayed in every list and every selector for ever, with its sessions.
#[test]
fn of_a_machine_that_is_forgotten_nothing_is_left() {
    let mut bench = Bench::new();
    bench.agent(AGENT, vec![bench.info()]);
    bench.open(v1::Attach::default());
    let machine = bench.machine;
    let online = bench.core.forget(machine).unwrap_err();
    assert!(online.message.contains("web-1 is online; stop its agent first"), "{online}");
    bench.core.agent_gone(AGENT, 7);
    bench.core.take_effects();
    let standing = bench.core.forget(machine).unwrap().unwrap();
    assert_eq!((standing.name.as_str(), standing.is_online, standing.last_seen_ms), ("web-1", false, 7));
    let gone = [format!("session gone from {machine}"), "forget session".into(), format!("removed {machine}")];
    assert_eq!(bench.heard(), [&gone[..], &[format!("forget {machine}")]].concat());
    assert!(bench.core.machine(machine).is_none() && bench.core.session(bench.spec.id).is_none());
    assert!(bench.core.forget(machine).unwrap().is_none());
    // Its agent may come back as one that is new here.
    bench.agent(AGENT + 1, vec![bench.info()]);
    assert!(bench.core.session(bench.spec.id).is_some());
}

#[test]
fn viewers_of_a_machine_that_is_forgotten_hear_it() {
    let mut bench = Bench::new();
    bench.core.agents_had_time();
    bench.facts(AGENT);
    bench.core.session_silent(AGENT, SessionId::random());
    bench.core.session_list(AGENT, v1::SessionList { sessions: vec![bench.info()] });
    bench.open(v1::Attach::default());
    bench.core.agent_gone(AGENT, 0);
    bench.core.take_effects();
    bench.core.forget(bench.machine).unwrap();
    assert_eq!(bench.client_got(), [Told::Lost(v1::Code::NotFound)]);
}

/// A host that was made anew, with the keepers of before, showed sessions that were its ghost's: nobody could reach them.
#[test]
fn a_session_of_a_ghost_is_the_living_machines_that_shows_it_as_soon_as_the_ghost_is_gone() {
    let mut bench = Bench::new();
    bench.agent(AGENT, vec![bench.info()]);
    bench.open(v1::Attach::default());
    bench.core.agent_gone(AGENT, 0);
    let (ghost, living) = (bench.machine, MachineId::random());
    bench.link(OTHER, living, "web-9", vec![bench.info()]);
    bench.core.take_effects();
    // Not while it is the ghost's, and what is told of it meanwhile is not lost.
    let id = bench.spec.id;
    assert_eq!(bench.core.session(id).unwrap().machine, ghost);
    let frame = Some(v1::session_down::Frame::Renamed(v1::Rename { name: "deploy".into() }));
    let down = Some(v1::SessionDown { client: Default::default(), frame });
    bench.core.down(OTHER, v1::RoutedDown { session: bytes_of(id.as_bytes()), down });
    assert!(bench.heard().is_empty());
    bench.core.forget(ghost).unwrap();
    assert_eq!(bench.core.session(id).unwrap().machine, living);
    assert_eq!(bench.core.session(id).unwrap().spec.name, "deploy");
    let effects = format!("{:?}", bench.core.effects);
    assert!(effects.contains("Ready"), "whoever waited goes on: {effects}");
    assert_eq!(bench.heard().last(), Some(&format!("forget {ghost}")));
    bench.open(v1::Attach::default());
    assert!(matches!(bench.keepers_got().last(), Some(Up::Attach(_))));
}

#[test]
fn a_claim_ends_with_the_session_the_list_and_the_agent() {
    let ways: [fn(&mut Bench); 3] = [
        |bench| bench.core.session_removed(OTHER, bench.spec.id),
        |bench| bench.core.session_list(OTHER, v1::SessionList::default()),
        |bench| bench.core.agent_gone(OTHER, 0),
    ];
    for way in ways {
        let mut bench = Bench::new();
        bench.agent(AGENT, vec![bench.info()]);
        bench.core.agent_gone(AGENT, 0);
        bench.link(OTHER, MachineId::random(), "web-9", vec![bench.info()]);
        way(&mut bench);
        bench.core.forget(bench.machine).unwrap();
        assert!(bench.core.session(bench.spec.id).is_none());
        assert!(bench.core.claims.values().all(HashMap::is_empty));
    }
}

#[test]
fn claims_of_one_machine_are_bounded() {
    let mut bench = Bench::new();
    let infos: Vec<v1::SessionInfo> = (0..removal::CLAIMS_CAP + 1)
        .map(|_| v1::SessionInfo { spec: Some((&SessionSpec::shell()).into()), ..Default::default() })
        .collect();
    bench.agent(AGENT, infos.clone());
    let other = MachineId::random();
    bench.link(OTHER, other, "web-9", infos);
    assert_eq!(bench.core.claims[&other].len(), removal::CLAIMS_CAP);
}

/// A reimaged host that joined again under its name was a second `web-1` for ever.
#[test]
fn a_machine_that_takes_the_place_of_another_has_its_sessions_and_says_which_live() {
    let mut bench = Bench::new();
    let lost = SessionSpec::shell();
    let other_info = v1::SessionInfo { spec: Some((&lost).into()), ..Default::default() };
    bench.agent(AGENT, vec![bench.info(), other_info]);
    bench.open(v1::Attach::default());
    bench.core.agent_gone(AGENT, 0);
    bench.core.take_effects();
    let (old, new) = (bench.machine, MachineId::random());
    let bound = Bound { hostname: "vps-b".into(), labels: [("role".to_string(), "web".to_string())].into() };
    bench.core.replace(old, new, "web-1", &bound);
    assert!(bench.core.machine(old).is_none());
    let machine = bench.core.machine(new).unwrap();
    assert_eq!((machine.facts.name.as_str(), machine.facts.hostname.as_str()), ("web-1", "vps-b"));
    assert!(!machine.is_online && machine.facts.labels == bound.labels);
    assert!(bench.core.standings(|standing| standing.name == "web-1").len() == 1);
    let heard = bench.heard();
    assert_eq!(heard.iter().filter(|line| **line == format!("session at {new}")).count(), 2);
    assert!(heard.contains(&format!("removed {old}")) && heard.contains(&format!("forget {old}")));
    assert!(!heard.iter().any(|line| line.starts_with("session gone")), "{heard:?}");
    // It comes, with one of the two.
    bench.link(OTHER, new, "web-1", vec![bench.info()]);
    assert!(bench.core.session(bench.spec.id).is_some() && bench.core.session(lost.id).is_none());
    assert_eq!(bench.client_got().last(), Some(&Told::Ready));
    // Nobody takes the place of one that is there.
    bench.core.replace(new, MachineId::random(), "web-1", &bound);
    assert!(bench.core.machine(new).is_some());
}

#[test]
fn what_an_admin_binds_is_seen_at_once() {
    let mut bench = Bench::new();
    bench.agent(AGENT, Vec::new());
    bench.core.take_effects();
    bench.core.identify(bench.machine, "web-2", &Bound { hostname: "vps".into(), ..Bound::default() });
    assert_eq!(bench.core.machine(bench.machine).unwrap().facts.name, "web-2");
    assert_eq!(bench.heard(), [format!("machine {}", bench.machine)]);
    assert!(bench.core.is_named("", "web-2", MachineId::random()) && !bench.core.is_named("", "web-2", bench.machine));
}

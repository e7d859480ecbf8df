//! Pieces with a number each: frames of a peer in any order. The messages are made of the fields that exist, with ids that
//! occur again, so that one frame means what another one made.

use fleetmux::wire::{Message, v1};

use super::random::Random;

/// Splits bytes into pieces: a number, a length, and so many bytes.
pub fn pieces(mut data: &[u8]) -> Vec<(u8, &[u8])> {
    let mut pieces = Vec::new();
    while let [kind, low, high, rest @ ..] = data {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        pieces.push((*kind, &rest[..len]));
        data = &rest[len..];
    }
    pieces
}

fn push(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX))];
    out.push(kind);
    out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    out.extend_from_slice(payload);
}

/// One of a few ids, or a wrong one.
fn id(random: &mut Random) -> bytes::Bytes {
    match random.below(12) {
        0 => vec![7; random.below(40)].into(),
        n => vec![(n % 4) as u8; 16].into(),
    }
}

fn number(random: &mut Random) -> u64 {
    let edges = [0, 1, 2, 255, 65_535, 65_536, u64::from(u32::MAX), i64::MAX as u64, u64::MAX - 1, u64::MAX];
    if random.one_in(3) { random.pick(&edges) } else { random.next() % 5000 }
}

fn text(random: &mut Random) -> String {
    let texts = ["", "web-1", "a\u{1b}[31m\nb", "\u{202e}evil", "x=y", "../..", "数据库", "key:ci"];
    let text = random.pick(&texts);
    if random.one_in(20) { text.repeat(1000) } else { text.into() }
}

fn bytes(random: &mut Random) -> bytes::Bytes {
    (0..random.below(60)).map(|_| random.next() as u8).collect()
}

fn size(random: &mut Random) -> Option<v1::Size> {
    let edges = [0, 1, 2, 80, 1000, 65_535, 65_536, u32::MAX];
    (!random.one_in(5)).then(|| v1::Size { rows: random.pick(&edges), cols: random.pick(&edges) })
}

fn attach(random: &mut Random) -> v1::Attach {
    v1::Attach {
        role: random.below(4) as i32,
        delivery: random.below(4) as i32,
        from_offset: random.one_in(2).then(|| number(random)),
        keyframe: random.below(3) as i32,
        size: size(random),
        principal: text(random),
        label: text(random),
        window: number(random) as u32,
        history_bytes: number(random) as u32,
        pace_ms: number(random) as u32,
        sizeless: random.one_in(2),
        from_oldest: random.one_in(2),
    }
}

fn up(random: &mut Random) -> v1::SessionUp {
    use v1::session_up::Frame as F;
    let frame = match random.below(9) {
        0 => F::Attach(attach(random)),
        1 => F::Detach(v1::Detach {}),
        2 | 3 => F::Input(v1::Input { offset: number(random), data: bytes(random) }),
        4 => F::Resize(v1::Resize { size: size(random) }),
        5 => F::SetRole(v1::SetRole { role: random.below(4) as i32 }),
        6 => F::Consumed(v1::Consumed { offset: number(random) }),
        7 => F::Refresh(v1::Refresh { from_offset: number(random), keyframe: 1, history_bytes: number(random) as u32 }),
        _ => F::Ping(v1::Ping { token: number(random) }),
    };
    v1::SessionUp { client: id(random), frame: Some(frame) }
}

fn down(random: &mut Random) -> v1::SessionDown {
    use v1::session_down::Frame as F;
    let frame = match random.below(8) {
        0 | 1 => F::Output(v1::Output { offset: number(random), data: bytes(random) }),
        2 => F::Keyframe(v1::Keyframe {
            offset: number(random),
            skipped: number(random),
            data: bytes(random),
            ..Default::default()
        }),
        3 => F::Attached(v1::Attached { offset: number(random), ..Default::default() }),
        4 => {
            F::Summary(v1::Summary { title: text(random), cwd: text(random), size: size(random), ..Default::default() })
        }
        5 => F::Behind(v1::Behind::default()),
        6 => F::Refused(v1::Refused { code: random.below(12) as i32, message: text(random), frame: text(random) }),
        _ => F::Resized(v1::Resized { offset: number(random), size: size(random) }),
    };
    v1::SessionDown { client: if random.one_in(2) { id(random) } else { Default::default() }, frame: Some(frame) }
}

fn spec(random: &mut Random) -> v1::SessionSpec {
    let command = (0..random.below(3)).map(|_| text(random)).collect();
    v1::SessionSpec {
        id: id(random),
        name: text(random),
        command,
        cwd: text(random),
        size: size(random),
        ..Default::default()
    }
}

fn info(random: &mut Random) -> v1::SessionInfo {
    v1::SessionInfo {
        spec: (!random.one_in(8)).then(|| spec(random)),
        created_ms: number(random),
        ..Default::default()
    }
}

fn agent_up(random: &mut Random) -> v1::AgentUp {
    use v1::agent_up::Frame as F;
    use v1::reply::Reply;
    let frame = match random.below(9) {
        0 => F::Facts(v1::MachineFacts {
            id: id(random),
            name: text(random),
            hostname: text(random),
            labels: [(text(random), text(random))].into_iter().collect(),
            workspace: random.pick(&["", "red", "default"]).into(),
            ..Default::default()
        }),
        1 => F::Sessions(v1::SessionList { sessions: (0..random.below(4)).map(|_| info(random)).collect() }),
        2 => F::SessionAdded(info(random)),
        3 => F::SessionRemoved(id(random)),
        4 => F::SessionSilent(id(random)),
        5 | 6 => F::Down(v1::RoutedDown { session: id(random), down: Some(down(random)) }),
        7 => F::Pong(v1::Pong { token: number(random) }),
        _ => {
            let reply = match random.below(4) {
                0 => Some(Reply::Created(info(random))),
                1 => Some(Reply::Destroyed(id(random))),
                2 => Some(Reply::Renamed(info(random))),
                _ => None,
            };
            F::Reply(v1::Reply { number: number(random) % 8, reply })
        }
    };
    v1::AgentUp { frame: Some(frame) }
}

fn client_up(random: &mut Random) -> v1::ClientUp {
    use v1::client_up::Frame as F;
    let frame = match random.below(5) {
        0 | 1 => F::Open(v1::OpenChannel { session: id(random), client: id(random), attach: Some(attach(random)) }),
        2 => F::Ping(v1::Ping { token: number(random) }),
        3 => F::Broadcast(v1::Broadcast { sessions: (0..random.below(5)).map(|_| id(random)).collect() }),
        _ => F::Up(up(random)),
    };
    v1::ClientUp { channel: random.below(4) as u32, frame: Some(frame) }
}

/// Pieces of messages, now and then with a few bytes changed.
fn generated(random: &mut Random, mut piece: impl FnMut(&mut Random) -> (u8, Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + random.below(60) {
        let (kind, mut payload) = piece(random);
        if random.one_in(6) {
            random.mutate(&mut payload);
        }
        push(&mut out, kind, &payload);
    }
    out
}

/// Frames to a keeper.
pub mod keeper {
    use super::*;

    /// Feeds them.
    pub fn run(data: &[u8]) {
        fleetmux::keeper::fuzz::frames(&pieces(data));
    }

    /// Makes them up.
    pub fn generate(random: &mut Random) -> Vec<u8> {
        generated(random, |random| {
            let kind = random.next() as u8;
            let payload = if kind % 8 == 2 { bytes(random).to_vec() } else { up(random).encode_to_vec() };
            (kind, payload)
        })
    }
}

/// Frames to an agent: what a relay may send. Its decisions are asked, nothing is started.
pub mod agent {
    use super::*;
    use fleetmux::agent::permissions::{Action, Chosen, Rules, Subject};
    use v1::agent_down::Frame as F;

    const RULES: &str = "default = \"deny\"\n[[rule]]\neffect = \"allow\"\nwho = [\"key:ci\"]\nactions = [\"exec\"]\ncommand = \"make *\"\n";

    /// Feeds them.
    pub fn run(data: &[u8]) {
        let rules = Rules::parse(RULES).expect("the rules are rules");
        for (_, data) in pieces(data) {
            let Ok(down) = v1::AgentDown::decode(data) else { continue };
            match down.frame {
                Some(F::Up(routed)) => drop(routed.up.map(fleetmux::wire::up_from)),
                Some(F::Request(request)) => {
                    if let Some(v1::request::Request::Create(spec)) = request.request {
                        let _ = fleetmux::wire::spec_from(spec);
                    }
                }
                Some(F::Exec(routed)) => {
                    let Some(v1::ExecUp { frame: Some(v1::exec_up::Frame::Start(start)) }) = routed.up else {
                        continue;
                    };
                    let subject =
                        Subject { command: Some(&start.command), chosen: Chosen::default(), ..Subject::default() };
                    let verdict = rules.verdict(&routed.principal, Action::Exec, &subject);
                    let is_allowed = verdict.effect() == fleetmux::agent::permissions::Effect::Allow;
                    assert!(!is_allowed || start.command.starts_with("make "), "{:?} was let through", start.command);
                }
                _ => {}
            }
        }
    }

    /// Makes them up.
    pub fn generate(random: &mut Random) -> Vec<u8> {
        generated(random, |random| {
            let frame = match random.below(3) {
                0 => F::Up(v1::RoutedUp { session: id(random), up: Some(up(random)) }),
                1 => F::Request(v1::Request {
                    number: number(random),
                    principal: text(random),
                    request: Some(v1::request::Request::Create(spec(random))),
                    join: random.one_in(2),
                }),
                _ => {
                    let commands =
                        ["make x", "make\nrm", "ls; make x", "make  ", " make x", "makefile", "make x && rm -rf /"];
                    let start = v1::ExecStart { command: random.pick(&commands).into(), ..Default::default() };
                    let up = v1::ExecUp { frame: Some(v1::exec_up::Frame::Start(start)) };
                    F::Exec(v1::RoutedExecUp { number: number(random), principal: text(random), up: Some(up) })
                }
            };
            (0, v1::AgentDown { frame: Some(frame) }.encode_to_vec())
        })
    }
}

/// Frames to a relay, from agents and clients.
pub mod relay {
    use super::*;

    /// Feeds them.
    pub fn run(data: &[u8]) {
        fleetmux::relay::fuzz::frames(&pieces(data));
    }

    /// Makes them up.
    pub fn generate(random: &mut Random) -> Vec<u8> {
        generated(random, |random| {
            // Coming and going is rarer than saying something.
            let kind = if random.one_in(8) {
                random.next() as u8
            } else {
                (random.next() as u8 & 0x80) | random.pick(&[4, 5, 6, 7])
            };
            let payload = match kind % 8 {
                4 | 5 => agent_up(random).encode_to_vec(),
                3 => v1::CreateSessionRequest { machine: id(random), spec: Some(spec(random)), join: random.one_in(2) }
                    .encode_to_vec(),
                2 => {
                    v1::WatchRequest { machines: vec![text(random)], once: random.one_in(2), pieces: random.one_in(2) }
                        .encode_to_vec()
                }
                _ => client_up(random).encode_to_vec(),
            };
            (kind, payload)
        })
    }
}

/// Calls of the SDKs.
pub mod facade {
    use super::*;

    /// Makes them.
    pub fn run(data: &[u8]) {
        fleetmux::relay::fuzz::calls(&pieces(data));
    }

    /// Makes them up: fields of every kind with tags as the schema has them.
    pub fn generate(random: &mut Random) -> Vec<u8> {
        generated(random, |random| {
            let mut payload = Vec::new();
            for _ in 0..random.below(6) {
                let tag = 1 + random.below(9) as u8;
                match random.below(3) {
                    0 => payload.extend_from_slice(&[tag << 3, random.next() as u8 & 0x7f]),
                    1 => {
                        let text = ["/etc/passwd", "00000000-0000-0000-0000-000000000000", "", "web-1", "../../x"];
                        let text = random.pick(&text).as_bytes();
                        payload.extend_from_slice(&[tag << 3 | 2, text.len() as u8]);
                        payload.extend_from_slice(text);
                    }
                    _ => {
                        payload.extend_from_slice(&[tag << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
                    }
                }
            }
            (random.next() as u8, payload)
        })
    }
}

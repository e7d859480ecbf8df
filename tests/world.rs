//! A hostile machine, a hostile observer, hostile strangers and a hostile program at once, beside fifty good sessions: nobody
//! good notices. A binary of its own, so that no other test disturbs what is measured.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]
#![allow(dead_code, reason = "the support is shared with the other binary")]

#[path = "it/realm.rs"]
mod realm;
#[path = "it/support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleetmux::fleet::{Credentials, Endpoint, MachineId, Secret, SessionId, Size};
use fleetmux::wire::{self, v1};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use realm::Realm;
use support::{Pane, driver, machine, memory_kib, sh};

/// Good sessions.
const SESSIONS: usize = 50;
/// Times that the attack is on, and off; one key in each session each time.
const ROUNDS: usize = 6;
/// What good people wait under attack, at most, as a multiple of what they wait without.
const RATIO: u32 = 2;
/// What all of it may cost the relay, KiB.
const COST_KIB: u64 = 400 * 1024;

/// Whom the hostile ones know.
struct Target {
    endpoint: Endpoint,
    ca_pem: String,
    machine: MachineId,
    machine_key: String,
    observer_key: String,
    sessions: Vec<SessionId>,
    is_on: Arc<AtomicBool>,
}

impl Target {
    async fn dial(&self, key: &str) -> Option<wire::Channel> {
        let key = (!key.is_empty()).then(|| Secret::new(key));
        let credentials = Credentials { key, ca_pem: Some(self.ca_pem.clone()), ca_fingerprint: None };
        wire::dial(&self.endpoint, &credentials).await.ok()
    }

    /// Waits until the attack is on.
    async fn turn(&self) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        while !self.is_on.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn strangers(target: Arc<Target>) {
    let Endpoint::Tls(address) = &target.endpoint else { panic!() };
    let mut held = VecDeque::new();
    for number in 0_u64.. {
        target.turn().await;
        let Ok(mut tcp) = TcpStream::connect(address).await else { continue };
        let says: [&[u8]; 3] = [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"];
        let _ = tcp.write_all(says[(number % 3) as usize]).await;
        held.push_back(tcp);
        if held.len() > 200 {
            held.pop_front();
        }
        if number % 50 == 0
            && let Some(channel) = target.dial("").await
        {
            let spec = v1::SessionSpec { name: "x".repeat(8 << 20), ..Default::default() };
            let request = v1::CreateSessionRequest { spec: Some(spec), ..Default::default() };
            wire::client_service(channel).create_session(request).await.unwrap_err();
        }
    }
}

/// Says of itself whatever comes to its mind, and of others too.
async fn lying_machine(target: Arc<Target>) {
    use v1::agent_up::Frame as F;
    loop {
        target.turn().await;
        let Some(channel) = target.dial(&target.machine_key).await else { continue };
        let (frames_tx, frames_rx) = mpsc::channel(8);
        let send = async |frame| frames_tx.send(v1::AgentUp { frame: Some(frame) }).await.is_ok();
        send(F::Hello(wire::hello())).await;
        let Ok(_down) = wire::agent_service(channel).link(ReceiverStream::new(frames_rx)).await else { continue };
        for number in 0_u64.. {
            target.turn().await;
            let id = |n: u64| bytes::Bytes::copy_from_slice(&u128::from(n).to_be_bytes());
            let theirs = bytes::Bytes::copy_from_slice(target.sessions[number as usize % SESSIONS].as_bytes());
            let info = |id| v1::SessionInfo {
                spec: Some(v1::SessionSpec {
                    id,
                    name: "\u{1b}]0;x\u{7}".into(),
                    cwd: "y".repeat(4000),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let keyframe = v1::Keyframe { data: vec![0xff; 300_000].into(), ..Default::default() };
            let down = v1::SessionDown { client: id(number), frame: Some(v1::session_down::Frame::Keyframe(keyframe)) };
            let frame = match number % 5 {
                0 => F::Facts(v1::MachineFacts {
                    id: bytes::Bytes::copy_from_slice(target.machine.as_bytes()),
                    name: "web-1".into(),
                    hostname: "z".repeat(if number % 100 == 0 { 8 << 20 } else { 300 }),
                    labels: [("role".to_string(), "prod".to_string())].into_iter().collect(),
                    ..Default::default()
                }),
                1 => F::SessionAdded(info(id(number))),
                2 => F::SessionAdded(info(theirs)),
                3 => F::SessionRemoved(theirs),
                _ => F::Down(v1::RoutedDown { session: theirs, down: Some(down) }),
            };
            if !send(frame).await {
                break;
            }
        }
    }
}

/// Watches all sessions, reads nothing, and tries to type.
async fn observer(target: Arc<Target>) {
    use v1::client_up::Frame as F;
    use v1::session_up::Frame as U;
    loop {
        target.turn().await;
        let Some(channel) = target.dial(&target.observer_key).await else { continue };
        let (frames_tx, frames_rx) = mpsc::channel(8);
        let send = async |channel, frame| frames_tx.send(v1::ClientUp { channel, frame: Some(frame) }).await.is_ok();
        send(0, F::Hello(wire::hello())).await;
        let Ok(_down) = wire::client_service(channel).link(ReceiverStream::new(frames_rx)).await else { continue };
        for number in 0_u64.. {
            target.turn().await;
            let at = (number as usize % SESSIONS) as u32;
            let session = bytes::Bytes::copy_from_slice(target.sessions[at as usize].as_bytes());
            let attach = v1::Attach { window: u32::MAX, ..Default::default() };
            let open = v1::OpenChannel { session, client: vec![at as u8; 16].into(), attach: Some(attach) };
            let input = v1::Input { offset: number, data: vec![b'x'; 1000].into() };
            let up = |frame| F::Up(v1::SessionUp { client: Default::default(), frame: Some(frame) });
            let resize = v1::Resize { size: Some(v1::Size { rows: 1, cols: 1 }) };
            let is_sent = match number / SESSIONS as u64 % 4 {
                0 => send(at, F::Open(open)).await,
                1 => send(at, up(U::Input(input))).await,
                2 => send(at, up(U::Resize(resize))).await,
                _ => send(0, F::Ping(v1::Ping { token: number })).await,
            };
            if !is_sent {
                break;
            }
        }
    }
}

/// Types a key into every session and waits for its echo; how long each took.
async fn type_everywhere(panes: &mut [Pane], word: &str) -> Vec<Duration> {
    let mut took = Vec::new();
    for pane in panes {
        let begun = Instant::now();
        pane.type_text(&format!("{word}\n"));
        pane.until_text(word).await;
        took.push(begun.elapsed());
    }
    took
}

#[tokio::test]
async fn beside_everything_hostile_at_once_fifty_good_sessions_notice_nothing() {
    let mut realm = Realm::start();
    realm.join("web-1", &realm.token(&[]));
    realm.agent("web-1");
    let said = realm.join("evil-1", &realm.token(&[]));
    assert!(said.contains("has joined"), "{said}");
    let (good, eve) = (realm.key("ada", &[]), realm.key("eve", &["--actions", "observe"]));
    let client = realm.client(&good);
    let web = machine(&client, "web-1", true).await;
    let mut panes = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let session = client.create_session(web.facts.id, sh("exec cat")).await.unwrap();
        panes.push(Pane::attach(&client, &session, driver(Size::DEFAULT)));
        sessions.push(session.id());
    }
    // A program that prints what no terminal should be shown, while the attack is on.
    let flag = realm.path("on");
    let script = format!(
        "while :; do if [ -e {} ]; then head -c 50000 /dev/urandom; printf '\\033]10;rgb:00000000/0/0\\007\\033[99999999b'; \
         head -c 20000 /dev/zero | tr '\\0' '\\377'; fi; sleep 0.05; done",
        flag.display()
    );
    client.create_session(web.facts.id, sh(&script)).await.unwrap();
    let text = |name: &str| std::fs::read_to_string(realm.path(name)).unwrap();
    let joined = text("evil-1/state/joined.toml");
    let target = Arc::new(Target {
        endpoint: realm.endpoint.clone(),
        ca_pem: realm.ca_pem(),
        machine: text("evil-1/state/machine-id").trim().parse().unwrap(),
        machine_key: joined.split('"').find(|word| word.starts_with("fmm_")).unwrap().to_string(),
        observer_key: eve,
        sessions,
        is_on: Arc::default(),
    });
    let hostile = target.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::join!(strangers(hostile.clone()), lying_machine(hostile.clone()), observer(hostile))
        });
    });
    target.is_on.store(true, Ordering::Relaxed);
    machine(&client, "evil-1", true).await;
    target.is_on.store(false, Ordering::Relaxed);
    type_everywhere(&mut panes, "warm").await;
    let before = memory_kib(realm.relay_pid());
    let (mut calm, mut attacked, mut most) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        calm.extend(type_everywhere(&mut panes, &format!("calm-{round}")).await);
        std::fs::write(&flag, "").unwrap();
        target.is_on.store(true, Ordering::Relaxed);
        attacked.extend(type_everywhere(&mut panes, &format!("attacked-{round}")).await);
        // Whoever comes now is let in and sees what there is, as it is.
        let (machines, _) = realm.client(&good).fleet().await.unwrap();
        let named = |name: &str| machines.iter().filter(|machine| machine.facts.name == name).count();
        assert_eq!((named("web-1"), named("evil-1")), (1, 1), "nobody is called what he says");
        assert!(machines.iter().all(|machine| !machine.facts.labels.contains_key("role")));
        most = most.max(memory_kib(realm.relay_pid()));
        target.is_on.store(false, Ordering::Relaxed);
        std::fs::remove_file(&flag).unwrap();
    }
    for pane in &panes {
        assert_eq!((pane.lost, pane.skipped, pane.refusals.len()), (0, 0, 0), "{:?}", pane.refusals);
        assert!(pane.exit.is_none() && pane.closed.is_none());
    }
    let median = |mut all: Vec<Duration>| {
        all.sort_unstable();
        all[all.len() / 2]
    };
    let (calm, attacked) = (median(calm), median(attacked));
    println!("calm {calm:?}, under attack {attacked:?}; the relay {before} KiB before, {most} KiB at most");
    assert!(attacked <= calm * RATIO, "calm {calm:?}, under attack {attacked:?}");
    assert!(most.saturating_sub(before) < COST_KIB, "{before} KiB before, {most} KiB at most");
}

//! The SDK against real processes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetmux::client::{Client, Error, Pattern, Start, StreamOptions};
use fleetmux::fleet::{Role, SessionSpec, SessionStatus};

use crate::support::{Fleet, PATIENCE, sh};

async fn client(fleet: &Fleet) -> Client {
    Client::remote(fleet.endpoint().to_string()).connect().await.unwrap()
}

async fn made(fleet: &Fleet, client: &Client, script: &str) -> fleetmux::client::SessionInfo {
    fleet.machine(client, "web-1").await;
    let spec = SessionSpec { until_pid: Some(std::process::id()), ..sh(script) };
    client.terminal().create_session("web-1", spec).await.unwrap()
}

#[tokio::test]
async fn a_session_s_properties_follow_its_life() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = client(&fleet).await;
    let terminal = client.terminal();
    let session = made(&fleet, &client, "read x; echo hello; read x; exit 3").await;
    assert_eq!(session.status, SessionStatus::Pending);
    assert_eq!((session.machine_hostname.as_str(), session.attached_clients.len()), ("web-1", 0));
    assert!(session.connected_at >= Some(session.created_at) && session.last_heartbeat_at.is_some());
    let stream = terminal.stream();
    stream.attach(session.session_id).await.unwrap();
    stream.send_input("\n").await.unwrap();
    stream.wait_for("hello", PATIENCE).await.unwrap();
    // Summaries come once a second.
    let seen = async |wanted: &dyn Fn(&fleetmux::client::SessionInfo) -> bool| loop {
        let known = terminal.get_session(session.session_id).await.unwrap();
        if wanted(&known) {
            return known;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let known = seen(&|known| known.attached_clients.len() == 1 && known.last_output_at.is_some()).await;
    assert_eq!((known.status, known.drivers, known.observers), (SessionStatus::Connected, 1, 0));
    fleet.kill_agent("web-1");
    assert!(seen(&|known| known.status == SessionStatus::GracePeriod).await.last_output_at.is_some());
    assert!(matches!(terminal.get_active_session("web-1").await, Err(Error::SessionNotFound(_))));
    fleet.start_agent("web-1");
    seen(&|known| known.status == SessionStatus::Connected).await;
    stream.send_input("\n").await.unwrap();
    assert_eq!(stream.exited().await.unwrap().code, 3);
}

#[tokio::test]
async fn a_stream_reconnects_and_has_every_byte_once() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = client(&fleet).await;
    let session = made(&fleet, &client, "stty -echo -onlcr; echo ready; while read x; do seq $x; done").await;
    let options = StreamOptions { start: Start::Beginning, ..StreamOptions::default() };
    let stream = client.terminal().stream_with(Role::Driver, options);
    let (lost, back) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let output = Arc::new(Mutex::new(Vec::new()));
    let (counted_lost, counted_back, collected) = (lost.clone(), back.clone(), output.clone());
    stream.on_disconnect(move || {
        counted_lost.fetch_add(1, Ordering::Relaxed);
    });
    stream.on_reconnect(move || {
        counted_back.fetch_add(1, Ordering::Relaxed);
    });
    stream.on_output_async(move |data| {
        collected.lock().unwrap().extend_from_slice(&data);
        std::future::ready(())
    });
    stream.attach(session.session_id).await.unwrap();
    stream.wait_for("ready\n", PATIENCE).await.unwrap();
    stream.send_input("1000\n").await.unwrap();
    stream.wait_for("\n1000\n", PATIENCE).await.unwrap();
    fleet.kill_agent("web-1");
    // Typed while the way is cut: it arrives once it is open.
    stream.send_input("2000\n").await.unwrap();
    fleet.start_agent("web-1");
    stream.wait_for("\n2000\n", PATIENCE).await.unwrap();
    assert_eq!((lost.load(Ordering::Relaxed), back.load(Ordering::Relaxed)), (1, 1));
    let numbers = (1..=1000).chain(1..=2000).map(|number| format!("{number}\n"));
    let expected: String = std::iter::once("ready\n".to_string()).chain(numbers).collect();
    let output = String::from_utf8(output.lock().unwrap().clone()).unwrap();
    assert!(output == expected, "{} bytes of {}", output.len(), expected.len());
}

#[tokio::test]
async fn errors_are_told_apart() {
    let fleet = Fleet::start(&["web-1", "web-2"]);
    let client = client(&fleet).await;
    let terminal = client.terminal();
    let session = made(&fleet, &client, "echo ready; cat").await;
    let machine = fleet.machine(&client, "web-2").await;
    let none = "00000000-0000-7000-8000-000000000000";
    assert!(matches!(terminal.get_session(none).await, Err(Error::SessionNotFound(_))));
    assert!(matches!(terminal.stream().attach(none.parse().unwrap()).await, Err(Error::SessionNotFound(_))));
    assert!(matches!(terminal.set_machine("nobody").await, Err(Error::MachineNotFound(_))));
    assert!(matches!(terminal.get_active_session(None).await, Err(Error::Invalid(_))));
    // Both machines have this host's name.
    let ambiguous = terminal.set_machine(&machine.facts.hostname).await.unwrap_err();
    assert!(matches!(&ambiguous, Error::Ambiguous(text) if text.contains("web-1") && text.contains("web-2")));
    let observer = terminal.observer();
    assert!(matches!(terminal.stream().send_input("x").await, Err(Error::Invalid(_))));
    observer.attach(session.session_id).await.unwrap();
    for refused in [observer.send_input("x").await, observer.resize(10, 10).await, observer.send_signal("SIGINT").await]
    {
        assert!(matches!(refused, Err(Error::PermissionDenied(_))), "{refused:?}");
    }
    let stream = terminal.stream();
    stream.attach(session.session_id).await.unwrap();
    assert!(matches!(stream.send_signal("SIGSEGV").await, Err(Error::Invalid(_))));
    assert!(matches!(stream.wait_for("never", Duration::from_millis(50)).await, Err(Error::Timeout(_))));
    stream.wait_for("ready", PATIENCE).await.unwrap();
    stream.send_signal("SIGKILL").await.unwrap();
    let gone = stream.wait_for("never", PATIENCE).await.unwrap_err();
    assert_eq!(gone, Error::Unavailable("the program killed by signal 9 before \"never\" came".into()));
    assert!(matches!(Client::remote("nonsense").connect().await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_wait_finds_what_came_before_it_and_nothing_twice() {
    let fleet = Fleet::start(&["web-1"]);
    let client = client(&fleet).await;
    let session = made(&fleet, &client, "stty -echo; echo one; echo two; while read x; do echo got-$x; done").await;
    let options = StreamOptions { start: Start::Beginning, ..StreamOptions::default() };
    let stream = client.terminal().stream_with(Role::Driver, options);
    stream.attach(session.session_id).await.unwrap();
    assert_eq!(stream.wait_for("one", PATIENCE).await.unwrap().to_string(), "one");
    let two = stream.wait_for(Pattern::regex("t[a-z]o\r\n").unwrap(), PATIENCE).await.unwrap();
    assert_eq!((two.before(), two.matched(), two.missed), (&b"\r\n"[..], &b"two\r\n"[..], 0));
    stream.send_input("a\nb\n").await.unwrap();
    assert_eq!(stream.wait_for("got-b\r\n", PATIENCE).await.unwrap().to_string(), "got-a\r\ngot-b\r\n");
    assert!(matches!(stream.wait_for("got", Duration::from_millis(50)).await, Err(Error::Timeout(_))));
    // Closed, the session lives on, and the stream can come back.
    stream.close().await;
    assert_eq!(stream.session(), None);
    stream.attach(session.session_id).await.unwrap();
    stream.send_input("c\n").await.unwrap();
    stream.wait_for("got-c", PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_client_gives_up_when_told_to_and_comes_back_on_request() {
    let mut fleet = Fleet::start(&["web-1"]);
    let (events, connected) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
    let (on_disconnect, on_error, on_connect) = (events.clone(), events.clone(), connected.clone());
    let client = Client::remote(fleet.endpoint().to_string())
        .reconnect_delay(Duration::from_millis(10))
        .reconnect_max_delay(Duration::from_millis(20))
        .reconnect_max_attempts(3)
        .on_connect(move || {
            on_connect.fetch_add(1, Ordering::Relaxed);
        })
        .on_disconnect(move || on_disconnect.lock().unwrap().push("disconnected".to_string()))
        .on_error(move |error| on_error.lock().unwrap().push(format!("{}", matches!(error, Error::NoRelay(_)))))
        .connect()
        .await
        .unwrap();
    assert!(client.is_connected());
    assert_eq!(client.connection_info().server, fleet.endpoint().to_string());
    let mut state = client.connection();
    state.wait_for(|_| client.connection_info().latency_ms.is_some()).await.unwrap();
    fleet.kill_relay();
    let stopped = state.wait_for(|state| matches!(state, fleetmux::client::ConnectionState::Stopped { .. })).await;
    drop(stopped.unwrap());
    assert!(!client.is_connected() && client.connection_info().latency_ms.is_none());
    // It answers at once instead of waiting for what nobody tries any more.
    assert!(matches!(client.terminal().list_sessions().await, Err(Error::NoRelay(_))));
    fleet.start_relay();
    while client.reconnect().await.is_err() {
        // The relay does not listen yet.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(client.is_connected());
    assert_eq!(connected.load(Ordering::Relaxed), 2);
    let events = events.lock().unwrap();
    // The way there may have taken several attempts as well.
    let lost = events.iter().position(|event| event == "disconnected").unwrap();
    assert_eq!(events[lost..lost + 5], ["disconnected", "true", "true", "true", "true"]);
    client.close();
    assert!(!client.is_connected());
}

/// A program that made a client for each thing it did kept the connection of every one: the stream towards the relay waited
/// for a frame that nobody could send any more.
#[tokio::test]
async fn a_client_that_is_dropped_leaves_no_connection_behind() {
    let fleet = Fleet::start(&["web-1"]);
    let first = fleet.client();
    fleet.machine(&first, "web-1").await;
    let open = || std::fs::read_dir(format!("/proc/{}/fd", fleet.relay_pid())).unwrap().count();
    let before = open();
    for _ in 0..50 {
        fleet.client().fleet().await.unwrap();
    }
    crate::support::until("all of them are gone", || open() <= before).await;
}

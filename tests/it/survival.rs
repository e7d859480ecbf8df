//! N1: sessions survive SIGKILL of agent, relay and client; nothing is lost, nothing is twice.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use fleetmux::client::{AttachEvent, AttachOptions, Client, Options};
use fleetmux::fleet::{ClientId, Role, SessionId, SessionSpec, Size};
use fleetmux::stream::Delivery;

use crate::support::{Fleet, PATIENCE, Pane, file_of, sh};

/// Lines of each of the three streams: ten million in all.
const LINES: u64 = 3_340_000;
/// Lines of numbered input.
const INPUT_LINES: u64 = 100_000;

#[derive(Clone, Copy)]
enum Victim {
    Agent,
    Relay,
    Client,
}

/// The client of these tests is a process of its own: this test binary again, playing one role.
#[test]
fn client_process() {
    let var = |name| std::env::var(name).ok();
    let (Some(role), Some(relay), Some(session), Some(file)) =
        (var("FM_ROLE"), var("FM_RELAY"), var("FM_SESSION"), var("FM_FILE"))
    else {
        return;
    };
    let client_id = ClientId::from_bytes(b"survival-client!").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(relay.parse().unwrap(), Options::default());
        let session: SessionId = session.parse().unwrap();
        let options = AttachOptions {
            client: Some(client_id),
            delivery: Delivery::Lossless,
            ..AttachOptions::new(Role::Driver, Size::DEFAULT)
        };
        match role.as_str() {
            "read" => read_stream(&client, session, options, Path::new(&file)).await,
            _ => write_numbers(&client, session, options).await,
        }
    });
}

/// Appends what comes to a file, from where the file ends; the kernel keeps what a killed process has written.
async fn read_stream(client: &Client, session: SessionId, options: AttachOptions, file: &Path) {
    let mut out = File::options().create(true).append(true).open(file).unwrap();
    let mut have = out.metadata().unwrap().len();
    let mut attachment = client.attach(session, AttachOptions { from_offset: Some(have), ..options });
    loop {
        match attachment.recv().await {
            AttachEvent::Output { offset, data } => {
                assert_eq!(offset, have, "contiguous");
                out.write_all(&data).unwrap();
                have += data.len() as u64;
            }
            AttachEvent::Keyframe { .. } => panic!("the log holds everything"),
            AttachEvent::Exited(exit) => {
                assert_eq!((exit.code, exit.offset), (0, have));
                return;
            }
            AttachEvent::Closed(refusal) => panic!("closed: {refusal:?}"),
            _ => {}
        }
    }
}

/// Types numbered lines, from where the keeper says this client is.
async fn write_numbers(client: &Client, session: SessionId, options: AttachOptions) {
    let text = numbered(INPUT_LINES);
    let mut attachment = client.attach(session, options);
    loop {
        if let AttachEvent::Attached { .. } = attachment.recv().await {
            break;
        }
    }
    let start = attachment.handle().input_offset() as usize;
    let mut rest = Bytes::copy_from_slice(&text.as_bytes()[start..]);
    while !rest.is_empty() || !attachment.handle().is_input_acked() {
        let piece = rest.slice(..rest.len().min(700));
        if attachment.handle().input(piece.clone()).is_ok() {
            rest = rest.slice(piece.len()..);
        }
        // Lets the connection work, and keeps the kill in the middle.
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
        while attachment.try_recv().is_some() {}
    }
}

fn numbered(lines: u64) -> String {
    (1..=lines).map(|line| format!("{line}\n")).collect()
}

fn start_client(fleet: &Fleet, role: &str, session: SessionId, file: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "survival::client_process", "--nocapture"])
        .env("FM_ROLE", role)
        .env("FM_RELAY", fleet.endpoint().to_string())
        .env("FM_SESSION", session.to_string())
        .env("FM_FILE", file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

async fn strike(fleet: &mut Fleet, victim: Victim, client: &mut Child, restart: impl Fn(&Fleet) -> Child) {
    match victim {
        Victim::Agent => {
            fleet.kill_agent("web-1");
            fleet.start_agent("web-1");
        }
        Victim::Relay => {
            fleet.kill_relay();
            fleet.start_relay();
        }
        Victim::Client => {
            // The successor starts when nobody else writes the file any more.
            client.kill().unwrap();
            client.wait().unwrap();
            *client = restart(fleet);
        }
    }
}

async fn stream_survives(victim: Victim) {
    let mut fleet = Fleet::start(&["web-1"]);
    let control = fleet.client();
    let spec = SessionSpec {
        log_bytes: Some(1 << 30),
        history_bytes: Some(1),
        ..sh(&format!("read x; stty -onlcr; seq 1 {LINES}"))
    };
    let session = fleet.session(&control, "web-1", spec).await;
    let starter = Pane::attach(&control, &session, crate::support::driver(Size::DEFAULT));
    let file = fleet.dir.path().join("received");
    let mut client = start_client(&fleet, "read", session.id(), &file);
    file_of(file.clone(), 0).await;
    starter.type_text("\n");
    for megabytes in [3, 9, 15] {
        file_of(file.clone(), megabytes * 1_000_000).await;
        let restart = |fleet: &Fleet| start_client(fleet, "read", session.id(), &file);
        strike(&mut fleet, victim, &mut client, restart).await;
    }
    let status = wait(client).await;
    assert!(status, "the client met the end of the stream");
    let text = fs::read_to_string(&file).unwrap();
    let numbers = text.split_once("1\n").map(|(_, rest)| format!("1\n{rest}")).unwrap();
    assert!(numbers == numbered(LINES), "every line of {LINES} once and in order");
}

async fn input_survives(victim: Victim) {
    let mut fleet = Fleet::start(&["web-1"]);
    let control = fleet.client();
    let received: PathBuf = fleet.dir.path().join("typed");
    let expected = numbered(INPUT_LINES);
    let script = format!(
        "stty raw -echo; echo ready; head -c {} > {}; echo all-received; sleep 1000",
        expected.len(),
        received.display()
    );
    let session = fleet.session(&control, "web-1", sh(&script)).await;
    let mut watch = Pane::attach(&control, &session, crate::support::observer());
    watch.until_text("ready").await;
    let mut client = start_client(&fleet, "write", session.id(), Path::new("-"));
    for part in 1..=3 {
        file_of(received.clone(), expected.len() as u64 * part / 5).await;
        let restart = |fleet: &Fleet| start_client(fleet, "write", session.id(), Path::new("-"));
        strike(&mut fleet, victim, &mut client, restart).await;
    }
    let status = wait(client).await;
    assert!(status, "the client had all its input acknowledged");
    watch.until_text("all-received").await;
    assert!(fs::read_to_string(&received).unwrap() == expected, "every line once and in order");
}

async fn wait(mut client: Child) -> bool {
    tokio::task::spawn_blocking(move || client.wait().unwrap().success()).await.unwrap()
}

#[tokio::test]
async fn a_stream_survives_the_killed_agent() {
    stream_survives(Victim::Agent).await;
}

#[tokio::test]
async fn a_stream_survives_the_killed_relay() {
    stream_survives(Victim::Relay).await;
}

#[tokio::test]
async fn a_stream_survives_the_killed_client() {
    stream_survives(Victim::Client).await;
}

#[tokio::test]
async fn input_survives_the_killed_agent() {
    input_survives(Victim::Agent).await;
}

#[tokio::test]
async fn input_survives_the_killed_relay() {
    input_survives(Victim::Relay).await;
}

#[tokio::test]
async fn input_survives_the_killed_client() {
    input_survives(Victim::Client).await;
}

/// A relay without a store was restarted; a client that came back before the agents was told that its session did not exist,
/// and gave it up.
#[tokio::test]
async fn a_client_that_is_back_before_the_agents_waits_for_them() {
    let mut fleet = Fleet::start(&["web-1"]);
    fleet.kill_relay();
    fleet.start_forgetful_relay();
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut pane = Pane::attach(&client, &session, crate::support::driver(Size::DEFAULT));
    pane.type_text("before\n");
    pane.until_text("before").await;
    fleet.kill_agent("web-1");
    pane.until("the agent is missed", |pane| pane.lost == 1).await;
    fleet.kill_relay();
    fleet.start_forgetful_relay();
    // The new relay has answered: it knows neither machine nor session.
    pane.until("the new relay's answer", |pane| pane.lost == 2 || pane.closed.is_some()).await;
    assert_eq!(pane.closed, None);
    fleet.start_agent("web-1");
    pane.type_text("after\n");
    pane.until("the echo", |pane| pane.text().contains("after") || pane.closed.is_some()).await;
    assert_eq!(pane.closed, None);
}

/// A keeper that did not answer for five seconds while its agent started was told to the relay as ended, and was not linked
/// again until the agent's next start.
#[tokio::test]
async fn a_stopped_keeper_is_waited_for_and_continues() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut pane = Pane::attach(&client, &session, crate::support::driver(Size::DEFAULT));
    pane.type_text("before\n");
    pane.until_text("before").await;
    let socket = format!("{}.sock", session.id().to_string().replace('-', ""));
    let keeper = crate::support::processes_naming(&socket)[0];
    crate::support::signal(keeper, "STOP");
    fleet.kill_agent("web-1");
    pane.until("the agent is missed", |pane| pane.lost == 1).await;
    fleet.start_agent("web-1");
    // The agent says so once it has given the keeper its time, and opens the way again only with the keeper.
    let machine = fleet.machine(&client, "web-1").await;
    let (_, sessions) = client.fleet().await.unwrap();
    let created = client.create_session(machine.facts.id, sh("true")).await.unwrap();
    assert!(sessions.iter().any(|known| known.id() == session.id()), "the stopped session is still listed");
    assert_ne!(created.id(), session.id());
    let destroyed = client.destroy_session(session.id()).await.unwrap_err();
    assert!(destroyed.to_string().contains("does not answer"), "{destroyed}");
    crate::support::signal(keeper, "CONT");
    pane.type_text("after\n");
    pane.until("the echo", |pane| pane.text().contains("after") || pane.closed.is_some()).await;
    assert_eq!(pane.closed, None);
    assert!(client.fleet().await.unwrap().1.iter().any(|known| known.id() == session.id()));
}

/// At a logout systemd removes the user's runtime directory, and the keepers' sockets with it: the sessions lived on and could
/// never be reached again.
#[tokio::test]
async fn sessions_survive_the_directory_of_their_sockets() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut pane = Pane::attach(&client, &session, crate::support::driver(Size::DEFAULT));
    pane.type_text("before\n");
    pane.until_text("before").await;
    std::fs::remove_dir_all(fleet.dir.path().join("web-1/s")).unwrap();
    // The links that were open live on; new ones need the sockets.
    fleet.kill_relay();
    pane.until("the relay is missed", |pane| pane.lost > 0).await;
    fleet.start_relay();
    pane.type_text("after\n");
    pane.until("the echo", |pane| pane.text().contains("after") || pane.closed.is_some()).await;
    assert_eq!(pane.closed, None);
    let again = fleet.session(&client, "web-1", sh("cat")).await;
    fleet.kill_agent("web-1");
    std::fs::remove_dir_all(fleet.dir.path().join("web-1/s")).unwrap();
    fleet.start_agent("web-1");
    fleet.machine(&client, "web-1").await;
    for id in [session.id(), again.id()] {
        let find = async {
            while !client.fleet().await.unwrap().1.iter().any(|known| known.id() == id) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, find).await.expect("the agent finds the session again");
    }
}

/// `rename` waited 23 s for a stopped keeper and `destroy` for ever, and then the session ended when nobody expected it.
#[tokio::test]
async fn a_stopped_keeper_is_named_and_what_it_will_still_do() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let socket = format!("{}.sock", session.id().to_string().replace('-', ""));
    let keeper = crate::support::processes_naming(&socket)[0];
    crate::support::signal(keeper, "STOP");
    let (renamed, destroyed) =
        tokio::join!(client.rename_session(session.id(), "other"), client.destroy_session(session.id()));
    let names = format!("(process {keeper}) does not answer; is it stopped?");
    let renamed = renamed.unwrap_err().to_string();
    assert!(renamed.contains(&names) && renamed.contains("gets its name when it goes on"), "{renamed}");
    let destroyed = destroyed.unwrap_err().to_string();
    assert!(destroyed.contains(&names) && destroyed.contains("will when it goes on"), "{destroyed}");
    crate::support::signal(keeper, "CONT");
    let gone = async {
        while client.fleet().await.unwrap().1.iter().any(|known| known.id() == session.id()) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it was said to end");
}

/// When a keeper was killed, its session vanished as if its program had ended.
#[tokio::test]
async fn a_killed_keeper_is_no_program_that_ended() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("echo here; cat")).await;
    let mut pane = Pane::attach(&client, &session, crate::support::driver(Size::DEFAULT));
    pane.until_text("here").await;
    let socket = format!("{}.sock", session.id().to_string().replace('-', ""));
    crate::support::signal(crate::support::processes_naming(&socket)[0], "KILL");
    pane.until("the end", |pane| pane.closed.is_some()).await;
    let why = pane.closed.flatten().unwrap().message;
    assert!(why.contains("was killed") && why.contains(&session.id().to_string()), "{why}");
}

//! Invariant 9: bad input gets a clear error or a harmless result.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use fleetmux::client::Error;
use fleetmux::fleet::{Code, MachineFacts, MachineId, SessionId, SessionSpec, Size};
use fleetmux::wire::{self, v1};

use crate::support::{Fleet, PATIENCE, Pane, driver, observer, processes_naming, sh};

#[tokio::test]
async fn a_shell_that_does_not_exist_is_a_clear_error() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let machine = fleet.machine(&client, "web-1").await;
    let error = client.create_session(machine.facts.id, SessionSpec::command(["/no/such/shell"])).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid(message) if message.contains("/no/such/shell")), "{error:?}");
    let spec = SessionSpec { cwd: "/no/such/dir".into(), ..sh("true") };
    let error = client.create_session(machine.facts.id, spec).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/dir"), "{error}");
}

#[tokio::test]
async fn impossible_sizes_are_clamped_and_the_program_lives() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut pane = Pane::attach(&client, &session, driver(Size::new(0, 0)));
    pane.until("the smallest size", |pane| pane.screen.size() == Size::MIN).await;
    pane.attachment.handle().resize(Size::new(10_000, 10_000));
    pane.until("the largest size", |pane| pane.screen.size() == Size::MAX).await;
    pane.attachment.handle().resize(Size::DEFAULT);
    pane.until("a usual size", |pane| pane.screen.size() == Size::DEFAULT).await;
    pane.type_text("still-here\n");
    pane.until_text("still-here").await;
}

/// Requests to agents are numbered in a row, and nobody looked at whose answer it was: a machine that guessed the next number
/// answered for another one, with a session of its own, to which somebody then typed.
#[tokio::test]
async fn no_agent_answers_for_another_machine() {
    use v1::agent_up::Frame;
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let web = fleet.machine(&client, "web-1").await.facts;
    let (frames_tx, frames_rx) = tokio::sync::mpsc::channel(256);
    let send = async |frame| frames_tx.send(v1::AgentUp { frame: Some(frame) }).await.unwrap();
    let channel = wire::dial(&fleet.endpoint(), &Default::default()).await.unwrap();
    send(Frame::Hello(wire::hello())).await;
    let intruder = MachineFacts { id: MachineId::random(), name: "intruder".into(), ..web.clone() };
    send(Frame::Facts((&intruder).into())).await;
    let frames = tokio_stream::wrappers::ReceiverStream::new(frames_rx);
    let _link = wire::agent_service(channel).link(frames).await.unwrap();
    fleet.machine(&client, "intruder").await;
    // The right one takes its time.
    let pid = fleet.agent_pid("web-1");
    crate::support::signal(pid, "STOP");
    let creating = client.create_session(web.id, sh("cat"));
    tokio::pin!(creating);
    let refused =
        v1::Refused { code: v1::Code::Invalid.into(), message: "from the intruder".into(), ..Default::default() };
    for _ in 0..20 {
        for number in 1..=50 {
            let reply = Some(v1::reply::Reply::Refused(refused.clone()));
            send(Frame::Reply(v1::Reply { number, reply })).await;
        }
        tokio::select! {
            made = &mut creating => panic!("{made:?}"),
            fleet = client.fleet() => fleet.map(drop).unwrap(),
        }
    }
    crate::support::signal(pid, "CONT");
    let made = tokio::time::timeout(PATIENCE, creating).await.unwrap().unwrap();
    assert_eq!(made.machine, web.id);
}

#[tokio::test]
async fn a_session_that_does_not_exist_is_not_found() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    fleet.machine(&client, "web-1").await;
    let mut pane = Pane::new(client.attach(SessionId::random(), observer()));
    pane.until("closed", |pane| pane.closed.is_some()).await;
    assert_eq!(pane.closed.unwrap().unwrap().code, Code::NotFound);
}

#[tokio::test]
async fn a_machine_that_vanishes_mid_attach_is_named_and_comes_back() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.type_text("before\n");
    pane.until_text("before").await;
    fleet.kill_agent("web-1");
    pane.until("lost", |pane| pane.lost > 0).await;
    pane.type_text("typed-while-away\n");
    let error = client.create_session(session.machine, sh("true")).await.unwrap_err();
    assert!(matches!(&error, Error::MachineOffline(message) if message.contains("web-1")), "{error:?}");
    fleet.start_agent("web-1");
    pane.until_text("typed-while-away").await;
}

#[tokio::test]
async fn malformed_frames_close_the_link_and_nothing_else() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until("attached", |pane| pane.keyframes == 1).await;
    let sockets = fleet.dir.path().join("web-1/s");
    let socket = std::fs::read_dir(sockets).unwrap().next().unwrap().unwrap().path();
    // To a keeper: noise, a frame longer than any, a frame before the hello, half a frame.
    let junk: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\xff", b"\0\0\0\x02\x08\x01", b"\0\0\0\x40half"];
    for bytes in junk {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // The keeper closes; what it said before does not matter.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // To the relay.
    let mut stream = UnixStream::connect(fleet.dir.path().join("relay.sock")).unwrap();
    stream.write_all(&[0xa5; 4096]).unwrap();
    drop(stream);
    pane.type_text("alive\n");
    pane.until_text("alive").await;
}

/// A client could ask for keyframes faster than it read them: the keeper took all its frames in one turn and kept every
/// answer, gigabytes of them.
#[tokio::test]
async fn a_client_that_asks_and_does_not_read_fills_no_memory() {
    const ASKED: usize = 60;
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    // Megabytes of history in every answer.
    let session = fleet.session(&client, "web-1", sh("seq 1 700000; echo the-end; cat")).await;
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until_text("the-end").await;
    let mut paths = std::fs::read_dir(fleet.dir.path().join("web-1/s")).unwrap().map(|entry| entry.unwrap().path());
    let socket = paths.find(|path| path.extension().is_some_and(|extension| extension == "sock")).unwrap();
    let mut link = UnixStream::connect(&socket).unwrap();
    let mut frames = bytes::BytesMut::new();
    let hello = v1::session_up::Frame::Hello(wire::hello());
    wire::encode_frame(&v1::SessionUp { client: Default::default(), frame: Some(hello) }, &mut frames);
    let attach = v1::Attach { history_bytes: 4 << 20, ..Default::default() };
    for _ in 0..ASKED {
        let up = v1::session_up::Frame::Attach(attach.clone());
        let client = bytes::Bytes::from_static(b"a hungry client!");
        wire::encode_frame(&v1::SessionUp { client, frame: Some(up) }, &mut frames);
    }
    link.write_all(&frames).unwrap();
    // Once the keeper has served somebody else, it has seen what was written before.
    pane.type_text("still-served\n");
    pane.until("the echo and the answer", |pane| pane.text().matches("still-served").count() == 2).await;
    let keepers = processes_naming(&socket.to_string_lossy());
    let status = std::fs::read_to_string(format!("/proc/{}/status", keepers[0])).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 120_000, "the keeper's memory reached {peak} kB");
    // Every question is answered all the same, as fast as the answers are read.
    let mut keyframes = 0;
    let mut incoming = bytes::BytesMut::new();
    let mut piece = vec![0; 1 << 16];
    link.set_read_timeout(Some(PATIENCE)).unwrap();
    while keyframes < ASKED {
        let count = link.read(&mut piece).unwrap();
        assert!(count > 0, "the keeper closed the link after {keyframes} answers");
        incoming.extend_from_slice(&piece[..count]);
        while let Some(frame) = wire::read_frame::<v1::KeeperDown>(&mut incoming).unwrap() {
            let v1::KeeperDown { frame: Some(v1::keeper_down::Frame::Down(down)) } = frame else { continue };
            keyframes += usize::from(matches!(down.frame, Some(v1::session_down::Frame::Keyframe(_))));
        }
    }
}

#[tokio::test]
async fn hostile_titles_are_harmless() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let script = r#"printf '\033]0;evil\033[2J\007\033]2;\342\200\256right-to-left\007'; head -c 100000 /dev/zero | tr '\0' A | sed 's/^/\x1b]0;/'; printf '\007after-the-title\n'; cat"#;
    let session = fleet.session(&client, "web-1", sh(script)).await;
    let mut pane = Pane::attach(&client, &session, observer());
    pane.until_text("after-the-title").await;
    let listed = client.fleet().await.unwrap().1.into_iter().find(|known| known.id() == session.id()).unwrap();
    let title = listed.summary.title;
    assert!(!title.chars().any(char::is_control) && !title.contains('\u{202e}'), "{title:?}");
    assert!(title.chars().count() <= 256, "{}", title.len());
}

#[tokio::test]
async fn a_program_that_asks_its_terminal_gets_one_answer() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let script =
        r#"stty raw -echo; printf 'asked\033[c\033[6n'; dd bs=1 count=6 2>/dev/null | od -c | head -1; stty sane; cat"#;
    let session = fleet.session(&client, "web-1", sh(script)).await;
    let mut first = Pane::attach(&client, &session, observer());
    let mut second = Pane::attach(&client, &session, driver(Size::DEFAULT));
    first.until_text("033   [   ?").await;
    second.until_text("033   [   ?").await;
}

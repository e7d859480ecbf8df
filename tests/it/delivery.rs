//! Invariants 1, 3 and 5: attach is atomic, nothing is silently lost, nobody slows anybody.

use std::time::Duration;

use fleetmux::client::{AttachEvent, AttachOptions};
use fleetmux::fleet::Size;
use fleetmux::stream::Delivery;

use crate::support::{Fleet, Pane, driver, observer, sh};

#[tokio::test]
async fn a_viewer_that_stops_reading_harms_nobody_and_is_told_what_it_skipped() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    // 30 MB: more than any window, queue and socket between them could hide.
    let session = fleet.session(&client, "web-1", sh("read x; seq 1 4000000; echo the-end; cat")).await;
    // A client of its own whose reader sleeps: what a stopped process looks like from outside.
    let sleeper_client = fleet.client();
    let mut sleeper = Pane::attach(&sleeper_client, &session, observer());
    sleeper.until("attached", |pane| pane.keyframes == 1).await;
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until("attached", |pane| pane.keyframes == 1).await;
    pane.type_text("go\n");
    pane.until_text("the-end").await;
    pane.type_text("echo-me\n");
    // Once from the terminal, once from cat.
    let has_both = |pane: &Pane| pane.text().matches("echo-me").count() == 2;
    pane.until("the echo and the answer", has_both).await;
    // Only now does the other one read on.
    let keyframes = sleeper.keyframes;
    sleeper.until("the echo and the answer", has_both).await;
    assert!(sleeper.keyframes > keyframes, "a keyframe brought it back");
    assert!(sleeper.skipped > 20_000_000, "skipped {}", sleeper.skipped);
    assert_eq!(sleeper.text(), pane.text());
}

/// The second `cat` of a large file in a pane of the wall showed nothing: the keeper thought the pane on the stream, the relay
/// thought it off. Each flood is longer by far than what goes out as it comes, for having been asked for by a key.
#[tokio::test]
async fn a_pane_that_draws_goes_on_after_each_flood() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("while read x; do seq 1 2000000; echo end-$x; done")).await;
    let mut pane = Pane::attach(&client, &session, AttachOptions { pace_ms: Some(16), ..driver(Size::DEFAULT) });
    for flood in 1..=4 {
        pane.type_text(&format!("{flood}\n"));
        pane.until_text(&format!("end-{flood}")).await;
    }
    assert!(pane.skipped > 1_000_000, "floods that were shown as screens; skipped {}", pane.skipped);
}

#[tokio::test]
async fn a_client_process_that_is_stopped_and_continued_catches_up() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("read x; seq 1 3000000; echo the-end; cat")).await;
    let relay = fleet.endpoint().to_string();
    // On a terminal of its own, whose output goes to a file.
    let watched = std::fs::File::create(fleet.dir.path().join("watched")).unwrap();
    let mut watcher = std::process::Command::new("python3")
        .args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])", env!("CARGO_BIN_EXE_fleetmux")])
        .args(["--relay", &relay, "connect", "web-1", "--observe", "--session", &session.id().to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(watched)
        .spawn()
        .unwrap();
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until("the watcher is there", |pane| pane.observers == 1).await;
    let marker = format!("--observe\0--session\0{}", session.id());
    // The python around it is not stopped: a terminal goes on reading.
    let naming = crate::support::processes_naming(&marker);
    let python = watcher.id();
    let stopped: Vec<u32> = naming.into_iter().filter(|pid| *pid != python).collect();
    assert!(!stopped.is_empty(), "the watcher runs");
    stopped.iter().for_each(|pid| crate::support::signal(*pid, "STOP"));
    pane.type_text("go\n");
    pane.until_text("the-end").await;
    stopped.iter().for_each(|pid| crate::support::signal(*pid, "CONT"));
    pane.type_text("after-the-stop\n");
    let shown = async {
        loop {
            let text = std::fs::read(fleet.dir.path().join("watched")).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains("after-the-stop") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, shown).await.expect("the continued watcher shows the newest screen");
    watcher.kill().unwrap();
    watcher.wait().unwrap();
}

#[tokio::test]
async fn a_lossless_client_gets_every_byte_at_its_own_pace() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let mut spec = sh("read x; stty -onlcr; seq 1 500000");
    spec.log_bytes = Some(64 << 20);
    let session = fleet.session(&client, "web-1", spec).await;
    let mut options = driver(Size::DEFAULT);
    options.delivery = Delivery::Lossless;
    options.from_offset = Some(0);
    let mut attachment = client.attach(session.id(), options);
    attachment.handle().input("\n".into()).unwrap();
    let mut got = Vec::new();
    let read = async {
        loop {
            match attachment.recv().await {
                AttachEvent::Output { data, .. } => got.extend_from_slice(&data),
                AttachEvent::Keyframe { .. } => panic!("a lossless client needs no keyframe while the log holds"),
                AttachEvent::Exited(exit) if got.len() as u64 == exit.offset => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, read).await.expect("the whole stream");
    let expected: String = (1..=500_000).map(|n| format!("{n}\n")).collect();
    let text = String::from_utf8(got).unwrap();
    assert!(text.trim_start_matches("\r\n").trim_start_matches('\n') == expected, "every line once and in order");
}

#[tokio::test]
async fn bytes_that_have_left_the_log_are_counted_never_silently_lost() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let mut spec = sh("seq 1 200000; echo the-end; cat");
    spec.log_bytes = Some(100_000);
    let session = fleet.session(&client, "web-1", spec).await;
    let mut seen = Pane::attach(&client, &session, observer());
    seen.until_text("the-end").await;
    // Somebody who had the first 1000 bytes and comes back now.
    let mut options = observer();
    options.from_offset = Some(1000);
    options.delivery = Delivery::Lossless;
    let mut late = client.attach(session.id(), options);
    let (skipped, at) = loop {
        if let AttachEvent::Keyframe { skipped, offset, .. } = late.recv().await {
            break (skipped, offset);
        }
    };
    assert_eq!(skipped, at - 1000, "exactly what lies between");
}

#[tokio::test]
async fn an_exit_status_is_kept_until_somebody_has_seen_it() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("echo bye; exit 7")).await;
    let mut first = Pane::attach(&client, &session, observer());
    first.until("the exit", |pane| pane.exit.is_some()).await;
    assert_eq!(first.exit.unwrap().code, 7);
    assert!(first.text().contains("bye"));
    first.attachment.handle().detach();
    let gone = async {
        while client.fleet().await.unwrap().1.iter().any(|known| known.id() == session.id()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, gone).await.expect("a seen session leaves");
}

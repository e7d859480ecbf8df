//! The audit log tells who did what and how it ended, and never what was typed.

use std::process::Stdio;

use bytes::Bytes;
use fleetmux::fleet::{Role, Size};

use crate::cli::fleetmux;
use crate::support::{Fleet, Pane, driver, observer, processes_naming, sh, signal};

/// That a command was started was told, and nothing of its end.
#[tokio::test]
async fn the_audit_log_says_how_a_command_ended() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let machine = fleet.machine(&client, "web-1").await.facts.id.to_string();
    let exec = |args: &[&str]| fleetmux(&fleet).args(["exec", "web-1"]).args(args).status().unwrap().code();
    assert_eq!(exec(&["exit 3 # s3cret"]), Some(3));
    let ended = fleet.audited("exec_end", |line| line["outcome"] == "exited").await;
    assert_eq!((&ended["exit_code"], &ended["program"]), (&3.into(), &"exit".into()));
    assert_eq!(ended["machine"], machine.as_str());
    assert!(ended["duration_ms"].is_u64() && ended["principal"].as_str().unwrap().starts_with("uid:"), "{ended}");
    assert!(ended.get("signal").is_none() && ended.get("reason").is_none(), "{ended}");
    // Its beginning has the same number.
    let begun = fleet.audited("exec", |line| line["exec"] == ended["exec"]).await;
    assert_eq!((&begun["outcome"], &begun["principal"]), (&"started".into(), &ended["principal"]));

    assert_eq!(exec(&["kill -USR1 $$"]), Some(138));
    let ended = fleet.audited("exec_end", |line| line["outcome"] == "killed").await;
    assert_eq!((&ended["signal"], &ended["exit_code"]), (&10.into(), &138.into()));
    assert_eq!(exec(&["--timeout", "0.2", "sleep 1000"]), Some(124));
    fleet.audited("exec_end", |line| line["outcome"] == "timed_out").await;

    // An interrupt cancels it, and so does going away without a word.
    let marker = format!("fm-audit-{}", std::process::id());
    for name in ["INT", "KILL"] {
        let script = format!("echo here; sleep 1000 # {marker}");
        let mut child = fleetmux(&fleet).args(["exec", "web-1", &script]).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
        signal(child.id(), name);
        child.wait().unwrap();
        let count = |line: &serde_json::Value| line["outcome"] == "cancelled" && line["program"] == "echo";
        let wanted = if name == "INT" { 1 } else { 2 };
        crate::support::until("the cancellation is told", || {
            fleet.audit().iter().filter(|l| count(l)).count() == wanted
        })
        .await;
    }
    // The machine is cut off under a command.
    let script = format!("echo here; sleep 1000 # {marker}");
    let mut child = fleetmux(&fleet).args(["exec", "web-1", &script]).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    fleet.kill_agent("web-1");
    assert_eq!(child.wait().unwrap().code(), Some(255));
    let ended = fleet.audited("exec_end", |line| line["outcome"] == "lost").await;
    assert!(ended["reason"].as_str().unwrap().contains("the link to the machine was lost"), "{ended}");
    // Each end once, and no argument anywhere.
    let log = fleet.audit();
    let count = |event: &str| log.iter().filter(|line| line["event"] == event).count();
    assert_eq!((count("exec"), count("exec_end")), (6, 6));
    assert!(!log.iter().any(|line| line.to_string().contains("s3cret") || line.to_string().contains(&marker)));
    crate::support::until("nothing is left behind", || processes_naming(&marker).is_empty()).await;
}

/// Typing into many sessions at once left no other trace than the attaches.
#[tokio::test]
async fn the_audit_log_says_who_broadcasts_to_which_sessions_and_not_what() {
    let fleet = Fleet::start(&["web-1", "web-2"]);
    let client = fleet.client();
    let first = fleet.session(&client, "web-1", sh("cat")).await;
    let second = fleet.session(&client, "web-2", sh("cat")).await;
    let third = fleet.session(&client, "web-2", sh("cat")).await;
    let mut panes: Vec<Pane> =
        [&first, &second].iter().map(|session| Pane::attach(&client, session, driver(Size::DEFAULT))).collect();
    for pane in &mut panes {
        pane.until("a driver", |pane| pane.role == Some(Role::Driver)).await;
    }
    // Whoever is not attached receives nothing.
    client.broadcast(vec![first.id(), second.id(), third.id()]);
    for pane in &mut panes {
        pane.type_text("typed-to-all\n");
        pane.until_text("typed-to-all").await;
    }
    let begun = fleet.audited("broadcast_start", |_| true).await;
    assert_eq!(begun["count"], 2);
    let target = |machine: &str, session: &fleetmux::fleet::Session| serde_json::json!({ "machine": machine, "session": session.id().to_string() });
    assert_eq!(begun["targets"], serde_json::json!([target("web-1", &first), target("web-2", &second)]));
    assert!(begun["principal"].as_str().unwrap().starts_with("uid:"), "{begun}");
    client.broadcast(vec![first.id()]);
    assert_eq!(
        fleet.audited("broadcast_change", |_| true).await["targets"],
        serde_json::json!([target("web-1", &first)])
    );
    client.broadcast(Vec::new());
    let over = fleet.audited("broadcast_stop", |_| true).await;
    assert!(over["count"] == 1 && over["duration_ms"].is_u64(), "{over}");
    // A client that goes away ends its own.
    client.broadcast(vec![second.id()]);
    fleet.audited("broadcast_start", |line| line["count"] == 1).await;
    drop(panes);
    drop(client);
    crate::support::until("both are over", || {
        fleet.audit().iter().filter(|line| line["event"] == "broadcast_stop").count() == 2
    })
    .await;
    assert!(!fleet.audit().iter().any(|line| line.to_string().contains("typed-to-all")));
}

/// What a machine's own rules denied to somebody attached was known to that machine only.
#[tokio::test]
async fn the_audit_log_has_the_denials_of_keepers_and_a_flood_of_them_once() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut pane = Pane::attach(&client, &session, observer());
    pane.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    for _ in 0..50 {
        let evil = fleetmux::stream::Up::Input { offset: 0, data: Bytes::from_static(b"evil\n") };
        pane.attachment.handle().send_unchecked(evil);
    }
    pane.until("all refused", |pane| pane.refusals.len() == 50).await;
    let denied = fleet.audited("denied", |_| true).await;
    assert_eq!(denied["what"], format!("input session {}", session.id()));
    assert_eq!(fleet.audit().iter().filter(|line| line["event"] == "denied").count(), 1);
}

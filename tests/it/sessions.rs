//! `fleetmux session …` and `connect --list`: what they print and what they do.

use std::process::{Command, Stdio};

use fleetmux::fleet::SessionSpec;
use serde_json::{Value, json};

use crate::connect::Terminal;
use crate::support::{Fleet, sh};

/// Runs `fleetmux` to its end: exit code, standard output, standard error.
async fn run(fleet: &Fleet, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetmux"));
    command.args(["--relay", &fleet.endpoint().to_string()]).args(args).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

async fn ok(fleet: &Fleet, args: &[&str]) -> String {
    let (code, stdout, stderr) = run(fleet, args).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}: {stdout}");
    stdout
}

async fn ok_json(fleet: &Fleet, args: &[&str]) -> Value {
    serde_json::from_str(&ok(fleet, args).await).unwrap()
}

#[tokio::test]
async fn a_session_is_made_shown_renamed_and_ended() {
    let mut fleet = Fleet::start(&["web-1"]);
    fleet.machine(&fleet.client(), "web-1").await;
    let made = ok(&fleet, &["session", "new", "web-1", "--name", "build", "--", "cat"]).await;
    let id = made.trim_end().to_string();
    let shown = ok_json(&fleet, &["session", "show", &id, "--json"]).await;
    let mut keys: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "attached_at_ms",
            "attached_clients",
            "cols",
            "connected_at_ms",
            "created_at_ms",
            "cwd",
            "drivers",
            "exit_code",
            "last_heartbeat_at_ms",
            "last_output_at_ms",
            "machine",
            "machine_hostname",
            "machine_id",
            "name",
            "observers",
            "output_bytes",
            "pid",
            "rows",
            "session_id",
            "status",
            "title",
            "workspace_id",
        ]
    );
    for (key, value) in [
        ("session_id", json!(id)),
        ("machine_hostname", json!("web-1")),
        ("name", json!("build")),
        ("status", json!("PENDING")),
        ("rows", json!(24)),
        ("cols", json!(80)),
        ("attached_clients", json!([])),
        ("exit_code", json!(null)),
        ("workspace_id", json!("default")),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    // Any part from either end will do; all commands show the same.
    assert_eq!(ok_json(&fleet, &["session", "attach", &id[..20], "--json"]).await["session_id"], json!(id));
    assert_eq!(ok_json(&fleet, &["session", "list", "web-1", "--json"]).await[0]["session_id"], json!(id));
    let text = ok(&fleet, &["session", "attach", &id[28..]]).await;
    assert!(
        text.starts_with(&format!("Session:    {id}\nName:       build\nMachine:    web-1\nStatus:     ")),
        "{text}"
    );

    let renamed = ok(&fleet, &["session", "rename", &id[28..], "deploy"]).await;
    assert_eq!(renamed, format!("session {id} is now called deploy\n"));
    // The keeper remembers the name: agent and relay may both forget.
    fleet.kill_agent("web-1");
    fleet.kill_relay();
    fleet.start_forgetful_relay();
    fleet.start_agent("web-1");
    fleet.machine(&fleet.client(), "web-1").await;
    let client = fleet.client();
    let mut watch = client.watch_fleet();
    loop {
        use fleetmux::client::FleetEvent;
        let sessions = match watch.recv().await.unwrap() {
            FleetEvent::Snapshot { sessions, .. } => sessions,
            FleetEvent::Session(session) => vec![session],
            _ => continue,
        };
        if let Some(session) = sessions.first() {
            assert_eq!(session.display_name(), "deploy");
            break;
        }
    }
    let again = ok_json(&fleet, &["session", "rename", &id, "", "--json"]).await;
    assert_eq!(again["name"], json!("cat"));
    let (code, _, stderr) = run(&fleet, &["session", "rename", &id, "two\nlines"]).await;
    assert_eq!(code, 255);
    assert_eq!(
        stderr,
        "fleetmux: a session's name has at most 100 characters, and none that control, hide or reorder text\n"
    );

    let ended = ok_json(&fleet, &["session", "destroy", &id, "--json"]).await;
    assert_eq!(ended, json!({ "session_id": id, "destroyed": true }));
    let (code, _, stderr) = run(&fleet, &["session", "show", &id]).await;
    assert_eq!(code, 255);
    assert_eq!(stderr, format!("fleetmux: there is no session {id:?}; see `fleetmux session list`\n"));
}

#[tokio::test]
async fn an_ambiguous_id_lists_the_candidates_and_connect_lists_machines_with_sessions() {
    let fleet = Fleet::start(&["web-1", "web-2"]);
    let client = fleet.client();
    fleet.machine(&client, "web-2").await;
    let spec = |tail: u8| SessionSpec {
        id: format!("0193e2c1-7a8f-7b33-8c01-0000000000{tail:02x}").parse().unwrap(),
        ..sh("cat")
    };
    let (first, second) =
        (fleet.session(&client, "web-1", spec(1)).await, fleet.session(&client, "web-1", spec(2)).await);
    let (code, _, stderr) = run(&fleet, &["session", "show", "0193e2c1"]).await;
    assert_eq!(code, 255);
    let expected = format!(
        "fleetmux: \"0193e2c1\" fits several sessions; write more of the id:\n  {}  sh\n  {}  sh\n",
        first.id(),
        second.id()
    );
    assert_eq!(stderr, expected);
    let listed = ok(&fleet, &["connect", "--list"]).await;
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["MACHINE", "STATUS", "SESSION", "NAME", "CLIENTS", "AGE"]);
    assert_eq!(lines[1][..4], ["web-1", "online", &first.id().to_string(), "sh"]);
    assert_eq!(lines[2][..2], [&second.id().to_string(), "sh"]);
    assert_eq!(lines[3], ["web-2", "online", "-", "-", "-", "-"]);
    let listed = ok_json(&fleet, &["connect", "--list", "--json", "--workspace", "default"]).await;
    assert_eq!(listed[0]["name"], json!("web-1"));
    assert_eq!(listed[0]["sessions"][1]["session_id"], json!(second.id().to_string()));
    assert_eq!(listed[1]["sessions"], json!([]));
}

#[tokio::test]
async fn session_attach_attaches_in_a_terminal() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let id = fleet.session(&client, "web-1", sh("while read x; do echo got-$x; done")).await.id().to_string();
    let mut terminal = Terminal::start(&fleet, &["session", "attach", &id]);
    terminal.until_text("fleetmux: Connected to web-1").await;
    assert!(String::from_utf8_lossy(&terminal.raw).starts_with(&format!("Session:    {id}\r\n")));
    terminal.send(b"it\r");
    terminal.until_text("got-it").await;
    terminal.send(b"\x04");
    assert!(terminal.ended().await.success());
}

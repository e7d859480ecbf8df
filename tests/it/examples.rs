//! Every example of the documentation, as a program of its own against a real relay and agents.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use fleetmux::fleet::Size;

use crate::connect::Terminal;
use crate::support::Fleet;

/// Where cargo puts examples; `cargo test` builds them with the tests.
fn program(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let program = deps.parent().unwrap().with_file_name("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
    program
}

/// Runs an example on a fleet of these machines and gives back what it printed.
async fn run(name: &str, machines: &[&str]) -> String {
    let fleet = Fleet::start(machines);
    let client = fleet.client();
    for machine in machines {
        fleet.machine(&client, machine).await;
    }
    let mut command = Command::new(program(name));
    command.arg(fleet.endpoint().to_string()).args(machines).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(output.status.success(), "{name}: {}\n{text}", output.status);
    text.replace(&fleet.endpoint().to_string(), "RELAY")
}

#[tokio::test]
async fn stream() {
    let text = run("stream", &["web-1"]).await;
    assert!(text.contains("sum 42") && text.ends_with("\ncollected all of it\n"), "{text}");
}

#[tokio::test]
async fn execute() {
    let text = run("execute", &["web-1"]).await;
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "Output: hello",
            "Exit code: 0",
            "Options: value in /usr by bash",
            "Apart: at home",
            "Chained: /usr 1",
            "Argv: a b;$HOME",
            "Failed with 7: broken",
            "Timeout: the command did not end within 100ms; it was stopped",
            "Not found: no machine is called \"no-such-machine\"; there are: web-1",
        ]
    );
}

#[tokio::test]
async fn interactive() {
    let text = run("interactive", &["web-1"]).await;
    let expected = ["resized", "repeated", "left the pager", "interrupted", "terminated", "ended: "];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{text}");
    assert!(lines.iter().zip(expected).all(|(line, expected)| line.starts_with(expected)), "{text}");
}

#[tokio::test]
async fn keyboard() {
    let fleet = Fleet::start(&["web-1"]);
    fleet.machine(&fleet.client(), "web-1").await;
    let command = pty_process::blocking::Command::new(program("keyboard"));
    let mut terminal = Terminal::run(command.args([&fleet.endpoint().to_string(), "web-1"]), Size::DEFAULT);
    // Not before it has the keys one by one.
    terminal.until("a prompt", |terminal| !terminal.text().trim().is_empty()).await;
    terminal.send(b"echo typed-$((6 * 7))\r");
    terminal.until_text("typed-42").await;
    terminal.send(b"\x03");
    assert!(terminal.ended().await.success());
    assert!(terminal.text().contains("left"), "{}", terminal.text());
}

#[tokio::test]
async fn connection() {
    let text = run("connection", &["web-1", "web-2"]).await;
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("Latency: ")).collect();
    assert_eq!(lines[..2], ["Connected", "Server: RELAY"], "{text}");
    assert!(lines[2].starts_with("Machine: web-1 ") && lines[3].starts_with("Machine: web-2 "), "{text}");
    assert_eq!(
        lines[4..],
        [
            "Not found: no machine is called \"no-such-machine\"; there are: web-1, web-2",
            "Sessions: 2",
            "Both: true true",
            "One: true false",
            "Refused: true",
        ],
        "{text}"
    );
}

#[tokio::test]
async fn sessions() {
    let text = run("sessions", &["web-1"]).await;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Session ID: ") && lines[1].starts_with("Status: "), "{text}");
    assert_eq!(
        lines[2..],
        [
            "Machine: web-1",
            "Created: true",
            "web-1: shell",
            "Same session: true",
            "Both heard it",
            "Not found: there is no session \"00000000-0000-7000-8000-000000000000\"; see `fleetmux session list`",
            "Renamed: deploy",
            "Ended: true",
        ],
        "{text}"
    );
}

#[tokio::test]
async fn files() {
    let text = run("files", &["web-1"]).await;
    let expected = [
        "notes.txt 12 -rw-r--r--",
        "remember me",
        "found: notes.txt:1 remember",
        "streamed: 3000000 bytes, whole: true",
        "Not found: true",
        "removed: 2 files, 1 directory",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{text}");
}

#[tokio::test]
async fn wait_for() {
    let text = run("wait_for", &["web-1"]).await;
    let expected = "steps seen: true\nversion: 1.5.0\ndebugged\nTimeout: \"never printed\" did not come within 100ms\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn patterns() {
    let text = run("patterns", &["web-1"]).await;
    assert_eq!(
        text,
        "error: ERROR disk full\nwarning: WARNING: slow\nerror: FATAL ERROR\nsuccess: DONE\ncounts: [2, 1, 1]\n"
    );
}

#[tokio::test]
async fn buffered() {
    let text = run("buffered", &["web-1"]).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Wait: accounted for true, nothing dropped true");
    assert!(lines[1].starts_with("DropOldest: accounted for true"), "{text}");
    assert!(lines[2].starts_with("DropNewest: accounted for true"), "{text}");
}

#[tokio::test]
async fn multi_machine() {
    let text = run("multi_machine", &["web-1", "web-2", "web-3"]).await;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[web-1] hello from 42", "[web-2] hello from 42", "[web-3] hello from 42"]);
}

#[tokio::test]
async fn idle() {
    let text = run("idle", &["web-1"]).await;
    assert!(text.starts_with("Session idle, checking health...\n"), "{text}");
    assert!(text.ends_with("It answers; idle for less than a minute: true\n"), "{text}");
}

#[tokio::test]
async fn logging() {
    let text = run("logging", &["web-1"]).await;
    assert!(text.lines().any(|line| line == "DEBUG terminal: logged machine=\"web-1\""), "{text}");
    assert!(text.lines().any(|line| line.contains("fleetmux::client") && line.contains("connected")), "{text}");
}

#[tokio::test]
async fn observer() {
    let text = run("observer", &["web-1"]).await;
    assert_eq!(
        text,
        "Denied: an observer may not type; attach with `terminal().stream()` to drive\nalert: ERROR: disk full\n"
    );
}

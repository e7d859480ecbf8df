//! Each sentence of the documents that the product was asked for with, typed as it stands there (fleetmux for cmdop), or in its
//! Rust form. `docs/seeds.md` is the table of them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fleetmux::client::{Buffering, Client, Error, ExecOptions, Pattern, Start, StreamOptions, WhenFull};
use fleetmux::fleet::{Role, SessionSpec, Size};
use serde_json::Value;

use crate::cli::{fleetmux, ok, outcome};
use crate::connect::Terminal;
use crate::support::{Fleet, PATIENCE, machine, until};

/// A machine of the seeds' name.
async fn fleet(name: &str) -> (Fleet, Client) {
    let fleet = Fleet::start(&[name]);
    let client = Client::remote(fleet.endpoint().to_string()).connect().await.unwrap();
    fleet.machine(&client, name).await;
    (fleet, client)
}

/// A line of the seeds, words and quotes as a shell takes them.
fn typed(fleet: &Fleet, line: &str) -> Command {
    let line = line.strip_prefix("cmdop ").unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("exec \"$0\" {line}"), env!("CARGO_BIN_EXE_fleetmux")]).stdin(Stdio::null());
    let dir = fleet.dir.path();
    command.env("FLEETMUX_RUNTIME_DIR", dir).env("FLEETMUX_STATE_DIR", dir.join("state"));
    command.env("FLEETMUX_CONFIG_DIR", dir.join("config")).env("FLEETMUX_RELAY", fleet.endpoint().to_string());
    command
}

fn script(dir: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(dir.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

// ── seed 004: the command line ──

#[tokio::test]
async fn seed_004_exec_takes_its_flags_behind_the_quoted_command() {
    let (fleet, _client) = fleet("prod-server").await;
    let (code, out, err) = outcome(&mut typed(&fleet, "cmdop exec prod-server \"uptime\""));
    assert!(code == 0 && out.contains("load average") && err.is_empty(), "{out}{err}");
    let slow = outcome(&mut typed(&fleet, "cmdop exec prod-server \"sleep 60\" --timeout 0.1"));
    assert!(slow.0 == 124 && slow.2.contains("timed out after 0.1 s"), "{slow:?}");
    ok(&mut typed(&fleet, "cmdop exec prod-server \"exit 0\" --timeout 300"));
    assert_eq!(
        outcome(&mut typed(&fleet, "cmdop exec prod-server \"exit 7\"")).0,
        7,
        "the exit code mirrors the command"
    );
    assert!(ok(&mut typed(&fleet, "cmdop connect exec prod-server \"uptime\"")).contains("load average"));
}

#[tokio::test]
async fn seed_004_exec_json_has_hostname_command_exit_code_output_and_duration() {
    let (fleet, _client) = fleet("vps-bmw").await;
    let line = "cmdop exec vps-bmw \"echo 14:23:01 up; echo oops >&2; echo 42 days\" --json";
    let json: Value = serde_json::from_str(&ok(&mut typed(&fleet, line))).unwrap();
    assert_eq!(json["hostname"], "vps-bmw");
    assert_eq!(json["command"], "echo 14:23:01 up; echo oops >&2; echo 42 days");
    assert_eq!(json["exit_code"], 0);
    assert_eq!(json["output"], "14:23:01 up\noops\n42 days\n", "in the order in which it was printed");
    assert!(json["duration_ms"].is_u64() && json["stderr"].is_null());
    let json: Value =
        serde_json::from_str(&ok(&mut typed(&fleet, &line.replace("--json", "--json --no-merge")))).unwrap();
    assert_eq!(
        (&json["output"], &json["stderr"]),
        (&"14:23:01 up\n42 days\n".into(), &"oops\n".into()),
        "apart on request"
    );
    let json: Value = serde_json::from_str(&ok(&mut typed(&fleet, "cmdop exec vps-bmw \"uptime\" --json"))).unwrap();
    assert_eq!(json["command"], "uptime");
}

#[tokio::test]
async fn seed_004_exec_env_is_given_once_or_more() {
    let (fleet, _client) = fleet("vps-audi").await;
    script(fleet.dir.path(), "script.sh", "echo $DEBUG $API_KEY");
    let cwd = fleet.dir.path().display().to_string();
    let line = format!("cmdop exec vps-audi --cwd {cwd} --env DEBUG=1 --env API_KEY=xxx \"./script.sh\"");
    assert_eq!(ok(&mut typed(&fleet, &line)), "1 xxx\n");
    let line = format!("cmdop exec vps-audi \"./script.sh\" --env DEBUG=1 --env API_KEY=xxx --cwd {cwd}");
    let quoted = line.replace("\"./script.sh\"", "\"./script.sh  \"");
    assert_eq!(ok(&mut typed(&fleet, &quoted)), "1 xxx\n", "behind a quoted command too");
}

#[tokio::test]
async fn seed_004_what_follows_a_second_word_belongs_to_the_command() {
    let (fleet, _client) = fleet("vps-audi").await;
    assert_eq!(ok(&mut typed(&fleet, "cmdop exec vps-audi echo a --json")), "a --json\n");
    assert_eq!(ok(&mut typed(&fleet, "cmdop exec vps-audi -- echo --json --timeout")), "--json --timeout\n");
    assert_eq!(ok(&mut typed(&fleet, "cmdop exec vps-audi echo --all")), "--all\n");
}

#[tokio::test]
async fn seed_004_connect_says_where_and_which_session_and_it_stays_there() {
    let (fleet, client) = fleet("vps-audi").await;
    let mut first = Terminal::start(&fleet, &["connect", "vps-audi"]);
    first.until_text("Session: 0").await;
    let session = client.fleet().await.unwrap().1.remove(0);
    let short = session.id().short();
    assert_eq!(short.split('-').count(), 4, "0193e2c1-7a8f-7b33-8c01");
    first.send(b"echo l$((0))gged\r");
    first.until_text("l0gged").await;
    let text = first.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        (lines[0].trim_end(), lines[1].trim_end()),
        ("Connected to vps-audi", format!("Session: {short}").as_str())
    );
    // The whole machine is one session: a second operator joins it, and both see each other's keystrokes.
    let mut second = Terminal::start(&fleet, &["connect", "VPS-Audi"]);
    second.until_text("l0gged").await;
    second.send(b"echo fr$((0))m-b\r");
    first.until_text("fr0m-b").await;
    second.send(b"\x04");
    assert!(second.ended().await.success(), "Ctrl+D detaches");
    assert!(String::from_utf8_lossy(&second.raw).contains(&format!("Session: {short}")));
    first.send(b"\x04");
    assert!(first.ended().await.success());
    assert!(client.fleet().await.unwrap().1[0].summary.exit.is_none(), "the session stays alive");
    // Every command that takes a session takes the short form.
    assert!(ok(&mut typed(&fleet, "cmdop session list")).contains(&format!("{short}  vps-audi")));
    for verb in ["show", "attach"] {
        assert!(ok(&mut typed(&fleet, &format!("cmdop session {verb} {short}"))).contains(&session.id().to_string()));
    }
    ok(&mut typed(&fleet, &format!("cmdop session rename {short} deploy")));
    let mut back = Terminal::start(&fleet, &["connect", "--session", &short]);
    back.until_text("fr0m-b").await;
    back.send(b"\x04");
    assert!(back.ended().await.success());
    ok(&mut typed(&fleet, &format!("cmdop session destroy {short}")));
    assert!(!ok(&mut typed(&fleet, "cmdop session list")).contains(&short));
}

#[tokio::test]
async fn seed_004_session_attach_prints_metadata_and_marks_attached() {
    let (fleet, client) = fleet("vps-audi").await;
    let made = client.terminal().get_active_session("vps-audi").await.unwrap();
    let id = made.session_id.to_string();
    let shown = ok(&mut typed(&fleet, &format!("cmdop session show {id}")));
    assert!(shown.contains("Attached:   never"), "{shown}");
    let attached = ok(&mut typed(&fleet, &format!("cmdop session attach {id}")));
    assert!(attached.contains(&id) && attached.contains("Attached:   0 s ago"), "{attached}");
    let is_marked = || {
        let json: Value =
            serde_json::from_str(&ok(&mut typed(&fleet, &format!("cmdop session show {id} --json")))).unwrap();
        json["attached_at_ms"].is_u64()
    };
    until("the session knows it", is_marked).await;
}

#[tokio::test]
async fn seed_004_the_driver_sees_a_banner_about_observers_and_can_ask_again() {
    let (fleet, _client) = fleet("vps-audi").await;
    let mut driver = Terminal::start(&fleet, &["connect", "vps-audi"]);
    driver.until_text("Session: 0").await;
    let mut observer = Terminal::start(&fleet, &["connect", "vps-audi", "--observe"]);
    driver.until_text("1 observer is watching this session: ada@").await;
    driver.until("the banner has gone", |terminal| !terminal.text().contains("is watching")).await;
    driver.send(b"\r~#");
    driver.until_text("1 driving, 1 observing: ada@").await;
    observer.send(b"\x04");
    assert!(observer.ended().await.success());
    driver.until_text("nobody observes this session any more").await;
    driver.send(b"\x04");
    assert!(driver.ended().await.success());
}

#[tokio::test]
async fn seed_004_connect_joins_the_session_that_was_made_in_the_wall() {
    let (fleet, client) = fleet("vps-audi").await;
    let mut wall = Terminal::start(&fleet, &[]);
    wall.until_text("No pane is open").await;
    wall.send(b"\x07c");
    wall.until_text("New session on vps-audi").await;
    wall.send(b"\r");
    let made = async {
        loop {
            if let Some(session) = client.fleet().await.unwrap().1.pop() {
                return session.id();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let made =
        tokio::time::timeout(PATIENCE, made).await.unwrap_or_else(|_| panic!("never: a session\n{}", wall.text()));
    let mut connect = Terminal::start(&fleet, &["connect", "vps-audi"]);
    connect.until("it joins", |terminal| String::from_utf8_lossy(&terminal.raw).contains(&made.short())).await;
    connect.send(b"\x04");
    assert!(connect.ended().await.success());
}

#[tokio::test]
async fn seed_004_exec_keep_is_a_session_that_outlives_its_caller() {
    let (fleet, client) = fleet("vps-audi").await;
    let (code, out, err) = outcome(&mut typed(&fleet, "cmdop exec --keep vps-audi \"echo kept; exit 3\""));
    assert_eq!((code, out.as_str()), (3, "kept\r\n"), "{err}");
    assert_eq!(outcome(&mut typed(&fleet, "cmdop exec --keep vps-audi \"TOKEN=hush exit 4\"")).0, 4);
    let none = || ok(&mut typed(&fleet, "cmdop session list")).lines().count() == 1;
    until("what ended before one's eyes is gone", none).await;
    let mut command = fleetmux(&fleet);
    command.args(["exec", "--keep", "vps-audi", "echo begun; read x; echo got $x"]).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(line, "begun\r\n");
    crate::support::signal(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let session = client.fleet().await.unwrap().1.into_iter().find(|session| session.summary.exit.is_none()).unwrap();
    let stream =
        client.terminal().stream_with(Role::Driver, StreamOptions { start: Start::Beginning, ..Default::default() });
    stream.attach(session.id()).await.unwrap();
    stream.send_input("more\n").await.unwrap();
    stream.wait_for("got more", PATIENCE).await.unwrap();
}

/// A name comes from a machine or from whoever made the session, and must not stand for what an id means.
#[tokio::test]
async fn seed_004_no_name_stands_for_another_ones_id() {
    let (mut fleet, client) = fleet("web-1").await;
    let id = fleet.machine(&client, "web-1").await.facts.id.to_string();
    fleet.start_agent(&id);
    fleet.machine(&client, &id).await;
    assert_eq!(client.terminal().set_machine(&id).await.unwrap().facts.name, "web-1");
    let spec = |name: &str| SessionSpec {
        name: name.into(),
        until_pid: Some(std::process::id()),
        ..SessionSpec::command(["cat"])
    };
    let own = client.terminal().create_session("web-1", spec("own")).await.unwrap();
    let short = own.session_id.short();
    client.terminal().create_session("web-1", spec(&short)).await.unwrap();
    assert!(ok(&mut typed(&fleet, &format!("cmdop session show {short}"))).contains("Name:       own\n"));
}

#[tokio::test]
async fn seed_004_exec_retry_failed_runs_it_where_it_failed() {
    let fleet = Fleet::start(&["web-1", "web-2"]);
    let client = fleet.client();
    for name in ["web-1", "web-2"] {
        fleet.machine(&client, name).await;
    }
    let flag = fleet.dir.path().join("flag");
    let line = format!("case $FLEETMUX_RUNTIME_DIR in *) test -e {} || test -n \"$FIRST\";; esac", flag.display());
    let failing = format!("cmdop exec all '{line}' --cwd /");
    let (code, _, err) = outcome(&mut typed(&fleet, &failing));
    assert!(code == 1 && err.contains("2 failed"), "{err}");
    std::fs::write(&flag, "").unwrap();
    let (code, _, err) = outcome(&mut typed(&fleet, "cmdop exec --retry-failed"));
    assert!(code == 0 && err.contains("2 machines: 2 ok"), "{err}");
    let (code, _, err) = outcome(&mut typed(&fleet, "cmdop exec --retry-failed"));
    assert!(code == 255 && err.contains("went well everywhere"), "{err}");
    outcome(&mut typed(&fleet, "cmdop exec --env TOKEN=hush all false"));
    let kept = std::fs::read_to_string(fleet.dir.path().join("state/last-exec.json")).unwrap();
    assert!(kept.contains("TOKEN") && !kept.contains("hush"), "{kept}");
    let (code, _, err) = outcome(&mut typed(&fleet, "cmdop exec --retry-failed"));
    assert!(code == 255 && err.contains("--env TOKEN="), "{err}");
}

#[tokio::test]
async fn seed_000_ccat_is_found_inside_a_session() {
    let (_fleet, client) = fleet("my-server").await;
    let spec = SessionSpec {
        until_pid: Some(std::process::id()),
        ..SessionSpec::command(["sh", "-c", "ccat --help; read x"])
    };
    let session = client.terminal().create_session("my-server", spec).await.unwrap();
    let stream =
        client.terminal().stream_with(Role::Driver, StreamOptions { start: Start::Beginning, ..Default::default() });
    stream.attach(session.session_id).await.unwrap();
    stream.wait_for("Show files in colours", PATIENCE).await.unwrap();
    // Debian's login shells set PATH anew.
    let shell = SessionSpec { until_pid: Some(std::process::id()), ..SessionSpec::shell() };
    let session = client.terminal().create_session("my-server", shell).await.unwrap();
    let stream =
        client.terminal().stream_with(Role::Driver, StreamOptions { start: Start::Beginning, ..Default::default() });
    stream.attach(session.session_id).await.unwrap();
    stream.send_input("PATH=/usr/bin:/bin; ccat -V\n").await.unwrap();
    stream.wait_for("ccat 0.", PATIENCE).await.unwrap();
    let (output, code) = client.terminal().execute("command -v ccat").await.unwrap();
    assert!(code == 0 && output.ends_with("/bin/ccat\n"), "{output}");
}

#[tokio::test]
async fn seed_004_permissions_list_tells_from_afar_what_is_about_whoever_asks() {
    let (fleet, _client) = fleet("vps-audi").await;
    let dir = fleet.dir.path().join("vps-audi").display().to_string();
    let own = format!("uid:{}", rustix::process::getuid().as_raw());
    let said = ok(&mut typed(&fleet, "cmdop permissions list VPS-audi"));
    assert!(
        said.contains("vps-audi has no ") && said.contains("everything that the relay lets through is allowed"),
        "{said}"
    );
    for rule in ["default deny".to_string(), "allow key:other exec".to_string(), format!("allow {own} observe,drive")] {
        ok(&mut typed(&fleet, &format!("cmdop permissions {rule} --dir {dir}")));
    }
    let said = ok(&mut typed(&fleet, "cmdop permissions list vps-audi"));
    assert!(
        said.contains(&format!("2     allow {own} drive,observe"))
            || said.contains(&format!("allow {own} observe,drive")),
        "{said}"
    );
    assert!(said.contains("what no rule covers is denied") && !said.contains("key:other"), "nobody else's: {said}");
    let json: Value = serde_json::from_str(&ok(&mut typed(&fleet, "cmdop permissions list vps-audi --json"))).unwrap();
    assert_eq!((&json["rules"][0]["number"], &json["default"]), (&2.into(), &"deny".into()));
    let (code, _, err) = outcome(&mut typed(&fleet, "cmdop exec vps-audi \"uptime\""));
    assert!(code == 255 && err.contains("fleetmux permissions list"), "a denial says where to look: {err}");
}

// ── seed 001: keys ──

/// Every row of the table, as written, through the SDK's stream and through `connect`.
const KEYS: [(&str, &[u8], &str); 14] = [
    ("Up", b"\x1b[A", "1b5b41"),
    ("Down", b"\x1b[B", "1b5b42"),
    ("Right", b"\x1b[C", "1b5b43"),
    ("Left", b"\x1b[D", "1b5b44"),
    ("Home", b"\x1b[H", "1b5b48"),
    ("End", b"\x1b[F", "1b5b46"),
    ("Page Up", b"\x1b[5~", "1b5b357e"),
    ("Page Down", b"\x1b[6~", "1b5b367e"),
    ("Tab", b"\t", "09"),
    ("Enter", b"\r", "0d"),
    ("Backspace", b"\x7f", "7f"),
    ("Ctrl+C", b"\x03", "03"),
    ("Ctrl+D", b"\x04", "04"),
    ("Ctrl+Z", b"\x1a", "1a"),
];

/// Shows each byte that it reads.
const READER: &str = "stty raw -echo; echo re$((0))dy; while c=$(dd bs=1 count=1 2>/dev/null | od -An -tx1 | tr -d ' '); \
                      [ -n \"$c\" ]; do printf '<%s>' \"$c\"; done";

#[tokio::test]
async fn seed_001_every_row_of_the_key_table_reaches_the_program_as_written() {
    let (fleet, client) = fleet("my-server").await;
    let spec = SessionSpec { until_pid: Some(std::process::id()), ..SessionSpec::command(["sh", "-c", READER]) };
    let session = client.terminal().create_session("my-server", spec).await.unwrap();
    let stream =
        client.terminal().stream_with(Role::Driver, StreamOptions { start: Start::Beginning, ..Default::default() });
    stream.attach(session.session_id).await.unwrap();
    stream.wait_for("re0dy", PATIENCE).await.unwrap();
    let bytes =
        |hex: &str| hex.as_bytes().chunks(2).map(|b| format!("<{}>", String::from_utf8_lossy(b))).collect::<String>();
    for (key, sent, hex) in KEYS {
        stream.send_input(sent).await.unwrap();
        let seen = stream.wait_for(Pattern::from(bytes(hex).as_str()), PATIENCE).await;
        assert!(seen.is_ok(), "{key}");
    }
    let id = session.session_id.to_string();
    let mut connect = Terminal::start(&fleet, &["connect", "--session", &id, "--detach-key", "none"]);
    connect.until_text("<1a>").await;
    for (key, sent, hex) in KEYS {
        let before = connect.raw.len();
        connect.send(sent);
        let wanted = bytes(hex);
        connect.until(key, |terminal| String::from_utf8_lossy(&terminal.raw[before..]).contains(&wanted)).await;
    }
}

// ── seeds 000, 001, 002, 003: the SDK ──

#[tokio::test]
async fn seed_000_execute_returns_both_streams_as_one_text_in_its_order() {
    let (_fleet, client) = fleet("my-server").await;
    let terminal = client.terminal();
    let (output, code) = terminal.execute("echo one; echo two >&2; echo three").await.unwrap();
    assert_eq!((output.as_str(), code), ("one\ntwo\nthree\n", 0), "in a fleet of one no machine need be chosen");
    let machine = terminal.set_machine("MY-Server").await.unwrap();
    assert_eq!(machine.facts.name, "my-server", "names know no case");
    let by_id = terminal.set_machine(&machine.facts.id.to_string()).await.unwrap();
    assert_eq!(by_id.facts.id, machine.facts.id);
    let options =
        ExecOptions { cwd: "/".into(), shell: "/bin/bash".into(), ..ExecOptions::shell("pwd; echo $KEY $BASH") };
    let options = ExecOptions {
        env: [("KEY".into(), "value".into())].into(),
        timeout: Some(Duration::from_secs(300)),
        ..options
    };
    assert_eq!(terminal.execute_with(options).await.unwrap(), ("/\nvalue /bin/bash\n".into(), 0));
}

#[tokio::test]
async fn seed_000_errors_tell_no_session_no_permission_and_timeout_apart() {
    let (mut fleet, client) = fleet("my-server").await;
    let terminal = client.terminal();
    terminal.set_machine("my-server").await.unwrap();
    let quick = ExecOptions { timeout: Some(Duration::from_millis(50)), ..ExecOptions::shell("sleep 60") };
    assert!(matches!(terminal.execute_with(quick).await, Err(Error::Timeout(_))));
    let session = terminal.get_active_session("my-server").await.unwrap();
    let observer = terminal.observer();
    observer.attach(session.session_id).await.unwrap();
    assert!(matches!(observer.send_input("command").await, Err(Error::PermissionDenied(_))));
    fleet.kill_agent("my-server");
    machine(&client, "my-server", false).await;
    assert!(
        matches!(terminal.execute("command").await, Err(Error::SessionNotFound(_))),
        "the machine is not connected"
    );
    assert!(matches!(terminal.get_active_session("my-server").await, Err(Error::SessionNotFound(_))));
    assert!(matches!(terminal.get_session("sess_abc123").await, Err(Error::SessionNotFound(_))));
}

#[tokio::test]
async fn seed_002_handlers_of_the_connection_may_wait() {
    let mut fleet = Fleet::start(&["my-server"]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let seen = seen.clone();
        move || {
            let seen = seen.clone();
            async move {
                tokio::task::yield_now().await;
                seen.lock().unwrap().push(what);
            }
        }
    };
    let (failed, of_error) = (seen.clone(), note("error"));
    let client = Client::remote(fleet.endpoint().to_string())
        .reconnect_delay(Duration::from_millis(10))
        .on_connect_async(note("connect"))
        .on_disconnect_async(note("disconnect"))
        .on_error_async(move |error| {
            assert!(!error.to_string().is_empty());
            of_error()
        })
        .debug(true)
        .connect()
        .await
        .unwrap();
    until("connect", || failed.lock().unwrap().contains(&"connect")).await;
    assert!(client.is_connected() && client.connection_info().server == fleet.endpoint().to_string());
    fleet.kill_relay();
    until("disconnect and error", || ["disconnect", "error"].iter().all(|what| failed.lock().unwrap().contains(what)))
        .await;
    fleet.start_relay();
    until("connect again", || failed.lock().unwrap().iter().filter(|what| **what == "connect").count() == 2).await;
}

#[tokio::test]
async fn seed_003_a_full_queue_preserves_the_oldest_and_drops_the_newest() {
    assert_eq!(Buffering::default().when_full, WhenFull::DropNewest);
    let (_fleet, client) = fleet("my-server").await;
    let spec = SessionSpec {
        until_pid: Some(std::process::id()),
        size: Size::new(24, 80),
        ..SessionSpec::command(["sh", "-c", "stty -echo; read x; seq 1 2000; read x"])
    };
    let session = client.terminal().create_session("my-server", spec).await.unwrap();
    let stream =
        client.terminal().stream_with(Role::Driver, StreamOptions { start: Start::Beginning, ..Default::default() });
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    let buffering = Buffering { capacity: 100, flush_interval: Duration::from_millis(200), ..Buffering::default() };
    stream.on_output_buffered(buffering, move |batch| {
        let kept = kept.clone();
        async move { kept.lock().unwrap().push((Bytes::copy_from_slice(&batch.data), batch.dropped)) }
    });
    stream.attach(session.session_id).await.unwrap();
    stream.send_input("\n").await.unwrap();
    until("a batch that dropped", || got.lock().unwrap().iter().any(|(_, dropped)| *dropped > 0)).await;
    let first = got.lock().unwrap()[0].clone();
    let shown = String::from_utf8_lossy(&first.0);
    assert!(shown.trim_start().starts_with("1\r\n2\r\n3\r\n") && first.1 > 0, "{first:?}");
}

/// What `tracing` is told, as text.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn seed_002_debug_tells_requests_and_states_and_no_payload() {
    let fleet = Fleet::start(&["my-server"]);
    fleet.machine(&fleet.client(), "my-server").await;
    let told = Told::default();
    let to = told.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || to.clone())
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    let said = async |is_debug: bool| {
        told.0.lock().unwrap().clear();
        let client = Client::remote(fleet.endpoint().to_string()).debug(is_debug).connect().await.unwrap();
        let (output, _) = client.terminal().execute("echo pay''load").await.unwrap();
        assert_eq!(output, "payload\n");
        let session = client.terminal().get_active_session("my-server").await.unwrap();
        client.destroy_session(session.session_id).await.unwrap();
        String::from_utf8(told.0.lock().unwrap().clone()).unwrap()
    };
    let debug = said(true).await;
    let lines = || debug.lines().filter(|line| line.contains("fleetmux::client::debug"));
    for wanted in [
        "connected",
        "request=\"fleet\"",
        "request=\"exec\"",
        "request=\"create session\"",
        "request=\"destroy session\"",
        "answer",
    ] {
        assert!(lines().any(|line| line.contains(wanted)), "{wanted} in {debug}");
    }
    assert!(!debug.contains("payload") && !debug.contains("pay''load"), "{debug}");
    assert!(!said(false).await.contains("fleetmux::client::debug"));
}

//! What a newcomer types and is told: words that other tools have, sentences that name the fault and the next step.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use fleetmux::fleet::{Endpoint, SessionSpec, Size};
use serde_json::Value;

use crate::cli::{bare, fleetmux, ok, outcome};
use crate::connect::Terminal;
use crate::identity::Realm;
use crate::support::{Fleet, machine, sh, until};

/// Exit code, and every check of `doctor` by name: level and what it says and proposes.
fn doctor(mut command: Command, agent_dir: &Path) -> (i32, impl Fn(&str) -> (String, String) + use<>) {
    command.args(["doctor", "--json", "--dir"]).arg(agent_dir).env("LC_ALL", "C.UTF-8");
    let (code, said, err) = outcome(&mut command);
    let checks: Vec<Value> = serde_json::from_str(&said).unwrap_or_else(|_| panic!("no JSON: {said}{err}"));
    let found = move |name: &str| {
        let check = checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}"));
        let text = |field: &str| check[field].as_str().unwrap_or_default().to_string();
        (text("level"), format!("{} / {}", text("says"), text("todo")))
    };
    (code, found)
}

/// README's own example was refused: "observe has no command".
#[test]
fn a_command_narrows_the_commands_of_a_rule_and_not_its_watching() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| outcome(bare(dir.path()).arg("permissions").args(args));
    let (code, said, err) = run(&["allow", "key:ci", "observe,exec", "--command", "make *"]);
    assert_eq!(code, 0, "{err}");
    assert!(said.starts_with("rule 1: allow key:ci observe,exec command=\"make *\"\n"), "{said}");
    run(&["default", "deny"]);
    assert_eq!(run(&["test", "key:ci", "observe"]).0, 0);
    assert_eq!(run(&["test", "key:ci", "exec", "--command", "make all"]).0, 0);
    assert_eq!(run(&["test", "key:ci", "exec", "--command", "reboot"]).0, 1);
    assert_eq!(run(&["test", "key:ci", "drive"]).0, 1);
    assert_eq!(run(&["show"]).1, run(&["list"]).1, "the word that others use");
}

/// A rule about somebody who cannot be was kept, and never covered anybody.
#[test]
fn a_rule_about_nobody_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| outcome(bare(dir.path()).arg("permissions").args(args));
    for who in ["alice", "uid:alice", "user:1000", "key:", ""] {
        let (code, _, err) = run(&["allow", who, "observe"]);
        let says = format!(
            "fleetmux: {who:?} is nobody; write key:NAME, uid:NUMBER, machine:ID, loopback, or * for everybody (* and ? are \
             wildcards)\n"
        );
        assert_eq!((code, err), (255, says));
        assert_eq!(run(&["test", who, "observe"]).0, 255);
    }
    for who in ["uid:1000", "uid:*", "key:ci-*", "loopback", "*", "all", "machine:*"] {
        assert_eq!(run(&["deny", who, "files"]).0, 0, "{who}");
    }
    assert!(run(&["list"]).1.contains("\n6     deny    *          files"), "{}", run(&["list"]).1);
}

#[tokio::test]
async fn an_agent_says_whether_it_is_linked_and_what_to_do() {
    let dir = tempfile::Builder::new().prefix("fm").tempdir().unwrap();
    let run = |args: &[&str]| outcome(bare(dir.path()).arg("agent").args(args));
    let (code, said, _) = run(&["status"]);
    assert_eq!(code, 1);
    assert!(
        said.ends_with("join a relay with `fleetmux agent join TOKEN`, then start it with `fleetmux agent start`\n")
    );
    let socket = dir.path().join("relay.sock").display().to_string();
    let (code, said, err) = run(&["start", "--name", "alone", "--relay", &format!("unix:{socket}")]);
    assert_eq!(code, 0, "{err}");
    assert!(said.contains(&format!(", not linked to unix:{socket}: no relay answers at unix:{socket}")), "{said}");
    assert!(said.contains("this machine has joined no relay") && said.contains("fleetmux agent join TOKEN"), "{said}");
    let (code, said, _) = run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &status["linked"], &status["machine"]), (0, &false.into(), &"alone".into()));
    assert!(status["link_error"].as_str().unwrap().starts_with("no relay answers at"), "{status}");
    // As soon as a relay is there, the same words say so.
    let (code, _, err) = run(&["restart", "--relay", "127.0.0.1:1"]);
    assert_eq!(code, 255);
    assert!(err.contains("restart keeps the relay that the agent was started with, unix:"), "{err}");
    let mut relay = bare(dir.path()).args(["relay", "--die-with-parent"]).stdout(Stdio::null()).spawn().unwrap();
    until("linked", || run(&["status"]).1.contains(&format!("link         linked to unix:{socket} as alone\n"))).await;
    assert_eq!(run(&["stop"]).0, 0);
    relay.kill().unwrap();
    relay.wait().unwrap();
}

/// On a machine that had joined a relay, doctor looked at a local one that nobody had started.
#[tokio::test]
async fn doctor_looks_at_the_relay_that_this_machine_has_joined() {
    let mut realm = Realm::start();
    let token = realm.token(&[]);
    realm.join("web-1", &token);
    realm.agent("web-1");
    let client = realm.client(&realm.key("ada", &[]));
    machine(&client, "web-1", true).await;
    let dir = realm.path("web-1");
    let look = |realm: &Realm| doctor(realm.command(&[]), &dir);
    let (code, found) = look(&realm);
    assert_eq!(found("relay").0, "ok", "{:?}", found("relay"));
    assert!(found("relay").1.starts_with("tls://127.0.0.1:"), "{:?}", found("relay"));
    assert!(found("agent").1.contains(", linked to tls://127.0.0.1:") && found("agent").1.ends_with(" as web-1 / "));
    assert_eq!(found("terminal").1, "not a terminal; nothing to look at / ");
    assert_eq!(code, 0);
    realm.kill_relay();
    until("the agent has noticed", || look(&realm).1("agent").0 == "failure").await;
    let (code, found) = look(&realm);
    assert_eq!((code, found("relay").0.as_str()), (1, "failure"));
    assert!(found("agent").1.contains(", not linked to tls://127.0.0.1:"), "{:?}", found("agent"));
}

/// A login to another relay made a healthy local agent look sick.
#[tokio::test]
async fn doctor_tells_an_agent_s_own_relay_from_the_one_of_a_login() {
    let realm = Realm::start();
    let local = Fleet::start(&["desk"]);
    local.machine(&local.client(), "desk").await;
    let desk = local.dir.path().join("desk");
    let key = realm.key("ada", &[]);
    let ca = realm.path("relay/ca.pem");
    let with_key = |key: &str| {
        let mut command = realm.command(&["--key", key, "--relay", &realm.endpoint.to_string(), "--ca"]);
        command.arg(&ca);
        command
    };
    let (code, found) = doctor(with_key(&key), &desk);
    assert_eq!(found("relay").0, "ok", "{:?}", found("relay"));
    assert_eq!(found("agent").0, "ok", "{:?}", found("agent"));
    assert!(found("agent").1.contains(&local.endpoint().to_string()), "{:?}", found("agent"));
    assert_eq!(code, 0);
    realm.says(&["keys", "revoke", "ada", "--relay", &realm.own()]);
    let (code, found) = doctor(with_key(&key), &desk);
    assert_eq!(code, 1);
    let relay = found("relay").1;
    assert!(relay.starts_with("the relay answered: key ada is revoked") && !relay.contains("address"), "{relay}");
}

#[test]
fn doctor_diagnoses_a_configuration_that_stops_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    std::fs::create_dir(&config).unwrap();
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let file = config.join("config.toml");
    std::fs::write(&file, "relay = ").unwrap();
    let (code, found) = doctor(bare(dir.path()), &dir.path().join("agent"));
    assert_eq!((code, found("configuration").0.as_str()), (1, "failure"));
    assert!(found("configuration").1.contains("config.toml is not understood"), "{:?}", found("configuration"));
    std::fs::write(&file, "relay = \"tls://relay:1\"\nkey = \"fm_x\"\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (code, found) = doctor(bare(dir.path()), &dir.path().join("agent"));
    assert_eq!(code, 1);
    assert!(found("configuration").1.contains("chmod 600"), "{:?}", found("configuration"));
    assert_eq!(outcome(bare(dir.path()).args(["permissions", "list"])).0, 0, "it needs no relay");
    assert_eq!(found("sessions").1, "none on this machine / ");
}

/// The address of a relay with TLS without `tls://` was answered with "transport error", after five seconds.
#[tokio::test]
async fn an_address_without_tls_says_so_at_once() {
    let realm = Realm::start();
    let Endpoint::Tls(address) = &realm.endpoint else { panic!("it has TLS") };
    let began = std::time::Instant::now();
    let said = realm.says(&["machines", "--relay", address]);
    assert_eq!(said, format!("fleetmux: the relay at {address} speaks TLS; write tls://{address}\n"));
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "nothing is tried again");
    // And the other way round, a relay of this machine without TLS.
    let plain = bare(&realm.path("plain"))
        .args(["relay", "--listen", "127.0.0.1:0", "--die-with-parent"])
        .stdout(Stdio::piped())
        .spawn();
    let mut plain = plain.unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(plain.stdout.take().unwrap()), &mut line).unwrap();
    let here = line.trim();
    let (code, table, err) = outcome(bare(&realm.path("plain")).args(["machines", "--json", "--relay", here]));
    assert_eq!((code, table.as_str()), (0, "[]\n"), "{err}");
    let ca = realm.path("relay/ca.pem");
    let wrong = format!("tls://{here}");
    let said = realm.says(&["machines", "--relay", &wrong, "--ca", ca.to_str().unwrap()]);
    assert!(said.contains("does not speak TLS") && said.contains("without tls://"), "{said}");
    plain.kill().unwrap();
    plain.wait().unwrap();
}

#[tokio::test]
async fn exec_takes_words_as_ssh_does_and_names_as_a_shell_does() {
    let fleet = Fleet::start(&["web-1", "web-2", "db-1"]);
    let client = fleet.client();
    for name in ["web-1", "web-2", "db-1"] {
        fleet.machine(&client, name).await;
    }
    let run = |args: &[&str]| outcome(fleetmux(&fleet).arg("exec").args(args));
    assert_eq!(run(&["web-1", "echo", "-n", "a", "$((1 + 2))"]).1, "a 3");
    assert_eq!(run(&["web-1", "--timeout", "5s", "echo", "--timeout", "x"]).1, "--timeout x\n");
    // Behind dashes no shell looks at the words.
    assert_eq!(run(&["web-1", "--", "printf", "%s|", "a b", "$HOME"]).1, "a b|$HOME|");
    assert_eq!(run(&["--", "web-1", "echo $((1 + 2))"]).1, "3\n");
    let (code, said, _) = run(&["web-*", "--json", "true"]);
    let names: Vec<String> = said
        .lines()
        .map(|line| {
            let report: Value = serde_json::from_str(line).unwrap();
            assert_eq!(report["machine"], report["hostname"]);
            report["machine"].as_str().unwrap().to_string()
        })
        .collect();
    assert_eq!((code, names.len()), (0, 2), "{names:?}");
    let (code, _, err) = run(&["role=", "true"]);
    assert_eq!(code, 255);
    assert!(err.contains("a condition without a value"), "{err}");
    assert_eq!(run(&["web-1", "--fold", "--out-dir", "/tmp", "true"]).0, 2, "one or the other");
    // `| head -1` is no failure of ours.
    let mut child = fleetmux(&fleet);
    child.args(["exec", "all", "yes"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut first = [0; 64];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(141), "{err}");
    assert!(!err.contains("Broken pipe"), "{err}");
}

#[tokio::test]
async fn a_session_is_named_wherever_an_id_is_taken() {
    let fleet = Fleet::start(&["web-1", "web-2"]);
    let client = fleet.client();
    let run = |args: &[&str]| outcome(fleetmux(&fleet).args(args));
    fleet.machine(&client, "web-1").await;
    let (code, said, err) = run(&["session", "list"]);
    assert_eq!((code, said.lines().count()), (0, 1));
    assert!(err.contains("no session yet; `fleetmux connect MACHINE` makes one"), "{err}");
    let named = |name: &str| SessionSpec { name: name.into(), ..sh("while read x; do echo got-$x; done") };
    let deploy = fleet.session(&client, "web-1", named("deploy")).await;
    let other = fleet.session(&client, "web-2", named("deploy")).await;
    let build = fleet.session(&client, "web-1", named("build")).await;
    let id = |args: &[&str]| {
        let json: Value = serde_json::from_str(&ok(fleetmux(&fleet).args(args).arg("--json"))).unwrap();
        assert_eq!(json["machine"], json["machine_hostname"]);
        json["session_id"].as_str().unwrap().to_string()
    };
    assert_eq!(id(&["session", "show", "build"]), build.id().to_string());
    assert_eq!(id(&["session", "show", "web-2/deploy"]), other.id().to_string());
    let (code, _, err) = run(&["session", "show", "deploy"]);
    let mut list = [format!("  {}  web-1/deploy", deploy.id()), format!("  {}  web-2/deploy", other.id())];
    list.sort_unstable();
    let says =
        format!("fleetmux: \"deploy\" fits several sessions; write MACHINE/NAME or an id:\n{}\n", list.join("\n"));
    assert_eq!((code, err), (255, says));
    // Without a machine, by the session alone; and the way back is told.
    let mut terminal = Terminal::start(&fleet, &["connect", "--session", "web-1/deploy"]);
    terminal.until_text("fleetmux: Connected to web-1").await;
    terminal.send(b"it\r");
    terminal.until_text("got-it").await;
    terminal.send(&[4]);
    assert!(terminal.ended().await.success());
    assert!(
        terminal.text().contains(&format!("To return: fleetmux session attach {}", deploy.id().short())),
        "{}",
        terminal.text()
    );
    let listed = run(&["connect", "web-1", "--list"]).1;
    assert!(listed.contains("build") && !listed.contains("web-2"), "{listed}");
    assert_eq!(run(&["ls"]).1, run(&["session", "list"]).1);
    assert_eq!(run(&["sessions", "web-1"]).1, run(&["session", "list", "web-1"]).1);
    let (before, attached) = (run(&["session", "show", "build"]).1, run(&["attach", "build"]).1);
    assert_eq!(
        attached,
        before.replace("Attached:   never", "Attached:   0 s ago"),
        "it says what show says, and marks"
    );
    let status = |text: &str| text.contains(" CONNECTED ");
    assert!(status(&run(&["ls"]).1.replace("PENDING", "CONNECTED")), "the words of show and JSON");
    assert_eq!(run(&["session", "kill", "build"]).0, 0);
    assert_eq!(run(&["session", "show", "build"]).0, 255);
    let machines: Value = serde_json::from_str(&run(&["machines", "--json"]).1).unwrap();
    assert_eq!(machines[0]["machine"], machines[0]["name"]);
}

#[test]
fn an_address_of_the_environment_is_named_as_such_and_no_usage_demands_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("gone.sock");
    let mut command = bare(dir.path());
    let (code, _, err) = outcome(command.arg("machines").env("FLEETMUX_RELAY", &socket));
    assert_eq!(code, 255);
    let end = "; the address comes from FLEETMUX_RELAY: start a relay there, or `unset FLEETMUX_RELAY`\n";
    assert!(err.starts_with("fleetmux: no relay answers at unix:") && err.ends_with(end), "{err}");
    let (code, _, err) = outcome(bare(dir.path()).args(["session", "show"]).env("FLEETMUX_RELAY", &socket));
    assert_eq!(code, 2);
    assert!(err.contains("Usage: fleetmux session show") && !err.contains("--relay <RELAY>"), "{err}");
    let (code, _, err) = outcome(bare(dir.path()).arg("machines").env("FLEETMUX_RELAY", "relay"));
    assert_eq!(code, 255);
    assert!(err.starts_with("fleetmux: FLEETMUX_RELAY: \"relay\" names no relay"), "{err}");
}

/// Every line of help fits its terminal once: nothing that was broken by hand is broken again.
#[test]
fn help_is_wrapped_once_and_the_man_page_keeps_examples() {
    let dir = tempfile::tempdir().unwrap();
    let help = ok(bare(dir.path()).args(["permissions", "--help"]));
    assert!(help.contains("Options of every command:"), "{help}");
    let prose = help.split("The rules are in").nth(1).unwrap().split("Examples:").next().unwrap();
    let lines: Vec<&str> = prose.lines().filter(|line| !line.is_empty()).collect();
    // A paragraph's line that is short though the next word would have fitted was broken by hand.
    for pair in lines.windows(2).filter(|pair| prose.contains(&pair.join("\n"))) {
        let next = pair[1].split(' ').next().unwrap();
        assert!(pair[0].chars().count() + next.len() + 1 >= 80 || pair[0].starts_with(" permissions"), "{:?}", pair);
    }
    let page = dir.path().join("man");
    ok(bare(dir.path()).arg("man").arg("--dir").arg(&page));
    let shown = Command::new("groff").args(["-man", "-Tascii", "-rLL=100n"]).arg(page.join("fleetmux-exec.1")).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    let has_line = |text: &str| shown.lines().any(|line| line.trim_end().ends_with(text));
    assert!(has_line("fleetmux exec web-1 uname -a") && has_line("fleetmux exec all --fold -- uname -r"), "{shown}");
}

/// The key was shown as it was pasted, and needed Ctrl+D.
#[tokio::test]
async fn a_key_typed_at_a_login_is_not_shown_and_a_logout_forgets_it() {
    let realm = Realm::start();
    let key = realm.secret(&["keys", "create", "ada", "--relay", &realm.own()]);
    let config = realm.path("config/config.toml");
    let relay = realm.endpoint.to_string();
    let login = |realm: &Realm| {
        let ca = realm.path("relay/ca.pem");
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"))
            .args(["login", &relay, "--key-stdin", "--ca"])
            .arg(ca)
            .env("FLEETMUX_CONFIG", &config);
        Terminal::run(command, Size::new(24, 100))
    };
    let mut terminal = login(&realm);
    terminal.until_text("it is not shown").await;
    terminal.send(format!("{key}\r").as_bytes());
    terminal.until_text("try `fleetmux machines`").await;
    assert!(terminal.ended().await.success());
    assert!(!terminal.text().contains(&key[..12]), "{}", terminal.text());
    assert!(std::fs::read_to_string(&config).unwrap().contains(&key));
    let said = realm.says(&["logout"]);
    assert!(said.starts_with(&format!("logged out of {relay}; the key is removed from ")), "{said}");
    assert!(!std::fs::read_to_string(&config).unwrap().contains(&key));
    assert_eq!(realm.says(&["logout"]), "nobody is logged in here\n");
    // Ctrl+C leaves, and the terminal is as it was.
    let mut terminal = login(&realm);
    terminal.until_text("it is not shown").await;
    terminal.send(&[3]);
    terminal.until_text("interrupted; nothing is stored").await;
    assert!(!terminal.ended().await.success());
}

/// The relay's list showed the name that a machine joined under, whatever it was called since.
#[tokio::test]
async fn the_relay_lists_machines_as_they_are_called_now() {
    let realm = Realm::with_machine("web-1");
    let client = realm.client(&realm.key("ada", &[]));
    machine(&client, "web-1", true).await;
    let relay = realm.path("relay");
    let manage =
        |args: &[&str]| realm.says(&[&["relay", "machines"], args, &["--dir", relay.to_str().unwrap()]].concat());
    manage(&["set", "web-1", "--name", "front"]);
    let front = machine(&client, "front", true).await;
    let list = manage(&["list"]);
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..2], ["front", &front.facts.id.to_string()]);
    assert!(manage(&["revoke", "front"]).contains("is revoked"));
}

/// A machine that joined again, as its agent asks for after a revocation, was called after its host and had lost its labels.
#[test]
fn a_machine_that_joins_again_stays_who_it_was() {
    let realm = Realm::start();
    let dir = realm.path("web-1");
    let join = |more: &[&str]| {
        let token = realm.token(&[]);
        let said = realm.says(&[&["agent", "join", &token, "--dir", dir.to_str().unwrap()], more].concat());
        assert!(said.contains("has joined"), "{said}");
        std::fs::read_to_string(dir.join("state/joined.toml")).unwrap()
    };
    join(&["--name", "web-1", "--label", "role=web"]);
    let again = join(&[]);
    assert!(again.contains("name = \"web-1\"") && again.contains("role = \"web\""));
    let renamed = join(&["--name", "front", "--label", "role=front"]);
    assert!(renamed.contains("name = \"front\"") && renamed.contains("role = \"front\"") && !renamed.contains("web"));
    realm.says(&["relay", "machines", "revoke", "front", "--relay", &realm.own()]);
    let after = join(&[]);
    assert!(after.contains("name = \"front\"") && after.contains("role = \"front\""));
}

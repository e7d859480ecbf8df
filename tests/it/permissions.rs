//! The machine's own rules have the last word, whatever its relay lets through.

use bytes::Bytes;
use fleetmux::client::{Client, Error};
use fleetmux::fleet::{Code, Refusal, Role, Session, SessionSpec, Size};
use fleetmux::stream::Up;

use crate::cli::{fleetmux, ok};
use crate::connect::Terminal;
use crate::support::{Fleet, Pane, driver, observer, sh};

/// `fleetmux permissions` on the machine called web-1.
fn permissions(fleet: &Fleet, args: &[&str]) -> String {
    let dir = fleet.dir.path().join("web-1");
    ok(fleetmux(fleet).arg("permissions").args(args).arg("--dir").arg(dir))
}

fn me() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}

/// Waits for the refusal that ends an attachment.
async fn refused(client: &Client, session: &Session, role: Role) -> Refusal {
    let mut pane = Pane::new(client.attach(session.id(), fleetmux::client::AttachOptions::new(role, Size::DEFAULT)));
    pane.until("closed", |pane| pane.closed.is_some()).await;
    assert_eq!(pane.role, None, "it never was attached");
    pane.closed.flatten().expect("a reason")
}

#[tokio::test]
async fn the_agent_refuses_a_driver_that_the_relay_lets_through() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("while read x; do echo read:$x; done")).await;
    permissions(&fleet, &["deny", &me(), "drive"]);
    let refusal = refused(&client, &session, Role::Driver).await;
    assert_eq!(refusal.code, Code::PermissionDenied);
    let me = me();
    assert_eq!(
        refusal.message,
        format!(
            "rule 1 (`deny {me} drive`) in permissions.toml on web-1 denies drive to {me}; see `fleetmux permissions list` there"
        )
    );
    // Watching is allowed; taking the wheel is not, and the observer stays one.
    let mut watching = Pane::attach(&client, &session, observer());
    watching.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    watching.attachment.handle().set_role(Role::Driver);
    watching.until("refused", |pane| pane.refusals.len() == 1).await;
    assert_eq!(watching.refusals[0], refusal);
    watching.attachment.handle().send_unchecked(Up::Input { offset: 99, data: Bytes::from_static(b"evil\n") });
    watching.until("refused by the keeper", |pane| pane.refusals.len() == 2).await;
    assert_eq!(watching.refusals[1].code, Code::PermissionDenied);
    // The file is obeyed as it is now: without the rule the same client takes the wheel.
    permissions(&fleet, &["remove", "1"]);
    watching.attachment.handle().set_role(Role::Driver);
    watching.until("driver", |pane| pane.role == Some(Role::Driver)).await;
    watching.type_text("good\n");
    watching.until_text("read:good").await;
    assert!(!watching.text().contains("evil"), "{}", watching.text());
}

#[tokio::test]
async fn sessions_are_made_and_ended_by_rule_and_by_name() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let named = |name: &str| SessionSpec { name: name.into(), ..sh("cat") };
    let prod = fleet.session(&client, "web-1", named("prod-db")).await;
    let test = fleet.session(&client, "web-1", named("test")).await;
    permissions(&fleet, &["default", "deny"]);
    permissions(&fleet, &["allow", "*", "observe"]);
    permissions(&fleet, &["allow", &me(), "create,destroy", "--session", "test*"]);
    let machine = prod.machine;
    let denied = |outcome: Result<(), Error>, action: &str| match outcome {
        Err(Error::PermissionDenied(message)) => {
            assert!(message.starts_with("no rule in permissions.toml on web-1 allows"), "{message}");
            assert!(message.contains(action), "{message}");
        }
        other => panic!("{action}: {other:?}"),
    };
    denied(client.create_session(machine, named("prod-2")).await.map(drop), "create");
    denied(client.destroy_session(prod.id()).await, "destroy");
    let mut watching = Pane::attach(&client, &prod, observer());
    watching.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    let spec = SessionSpec { until_pid: Some(std::process::id()), ..named("test-2") };
    let made = client.create_session(machine, spec).await.unwrap();
    client.destroy_session(made.id()).await.unwrap();
    client.destroy_session(test.id()).await.unwrap();
}

/// A driver that was let in under other rules attaches anew, over the same agent: it is refused, and the keeper no longer
/// listens to what it sends all the same.
#[tokio::test]
async fn a_client_that_is_refused_when_it_comes_back_has_left_the_wheel() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("while read x; do echo read:$x; done")).await;
    let mut first = Pane::attach(&client, &session, driver(Size::DEFAULT));
    first.until("driver", |pane| pane.role == Some(Role::Driver)).await;
    permissions(&fleet, &["deny", "*", "drive"]);
    first.type_text("still\n");
    first.until_text("read:still").await;
    fleet.kill_agent("web-1");
    fleet.start_agent("web-1");
    first.until("closed", |pane| pane.closed.is_some()).await;
    assert_eq!(first.closed.flatten().unwrap().code, Code::PermissionDenied);
}

#[tokio::test]
async fn a_broken_file_at_the_start_denies_everything_and_says_where_it_is_broken() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let file = fleet.dir.path().join("web-1/permissions.toml");
    permissions(&fleet, &["default", "allow"]);
    // The agent reads them with the next request.
    drop(client.create_session(session.machine, sh("exit")).await.unwrap());
    std::fs::write(&file, "default = \"allow\"\n\n[[rule]]\neffect = \"deny\"\nwho = \"*\"\nactions = \"dirve\"\n")
        .unwrap();
    // The running agent keeps the last good rules.
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until("driver", |pane| pane.role == Some(Role::Driver)).await;
    drop(pane);
    fleet.kill_agent("web-1");
    fleet.start_agent("web-1");
    let mut pane = Pane::attach(&client, &session, observer());
    pane.until("closed", |pane| pane.closed.is_some()).await;
    let refusal = pane.closed.flatten().unwrap();
    assert_eq!(refusal.code, Code::PermissionDenied);
    assert!(refusal.message.contains("permissions.toml, line 3: \"dirve\" is no action"), "{}", refusal.message);
    // `list` says the same and fails.
    let dir = fleet.dir.path().join("web-1");
    let listed = fleetmux(&fleet).args(["permissions", "list", "--dir"]).arg(dir).output().unwrap();
    assert_eq!(listed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("line 3: \"dirve\" is no action"));
}

/// Under new rules a client is judged again when it asks for a role: one that may not even watch is let out.
#[tokio::test]
async fn who_may_not_watch_any_more_is_cut_when_it_asks_for_a_role() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut first = Pane::attach(&client, &session, driver(Size::DEFAULT));
    let mut second = Pane::attach(&client, &session, observer());
    first.until("an observer", |pane| pane.observers == 1).await;
    second.until("attached", |pane| pane.role == Some(Role::Observer)).await;
    permissions(&fleet, &["deny", "*", "observe"]);
    second.attachment.handle().set_role(Role::Driver);
    second.until("closed", |pane| pane.closed.is_some()).await;
    assert_eq!(second.closed.flatten().unwrap().code, Code::PermissionDenied);
    // And the keeper has let it go.
    first.until("no observer", |pane| pane.observers == 0).await;
}

/// `exec` end to end under the machine's rules: what a rule allows runs, what none allows does not, and says which rule on
/// which machine.
#[tokio::test]
async fn a_rule_says_which_commands_exec_may_run() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    fleet.machine(&client, "web-1").await;
    let me = me();
    permissions(&fleet, &["default", "deny"]);
    permissions(&fleet, &["allow", &me, "exec", "--command", "echo *"]);
    permissions(&fleet, &["deny", &me, "exec", "--command", "*rm *", "--at", "1"]);
    let exec = |command: &[&str]| {
        let output = fleetmux(&fleet).args(["exec", "web-1"]).args(command).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(exec(&["echo allowed"]), (0, "allowed\n".into(), String::new()));
    assert_eq!(exec(&["--", "echo", "without a shell"]), (0, "without a shell\n".into(), String::new()));
    let marker = fleet.dir.path().join("ran");
    let denied = exec(&[&format!("echo x; rm -f y; touch {}", marker.display())]);
    let says = format!(
        "fleetmux: rule 1 (`deny {me} exec command=\"*rm *\"`) in permissions.toml on web-1 denies exec to {me}; see \
         `fleetmux permissions list` there\n"
    );
    assert_eq!(denied, (255, String::new(), says));
    let (code, _, none) = exec(&[&format!("touch {}", marker.display())]);
    assert_eq!(code, 255);
    assert!(none.starts_with("fleetmux: no rule in permissions.toml on web-1 allows exec to"), "{none}");
    assert!(!marker.exists());
    // What the caller sends along could make it another command: a shell function, a shell, a directory.
    let cwd = fleet.dir.path().to_str().unwrap();
    let others = [
        ["--env", "BASH_FUNC_echo%%=() { id; }"],
        ["--env", "LD_PRELOAD=/tmp/x.so"],
        ["--shell", "/usr/bin/python3"],
        ["--cwd", cwd],
    ];
    for [flag, value] in others {
        let (code, out, said) = exec(&[flag, value, "echo allowed"]);
        assert_eq!((code, out.as_str()), (255, ""), "{flag} {value}: {said}");
        assert!(said.contains(&format!("this command as it is, and not with {flag} of the caller's own")), "{said}");
    }
    let asked = fleet.audited("exec", |line| line["shell"] == "/usr/bin/python3").await;
    assert_eq!((&asked["program"], &asked["env"]), (&"echo".into(), &serde_json::Value::Null));
    let asked = fleet.audited("exec", |line| line["env"][0] == "LD_PRELOAD").await;
    assert!(!asked.to_string().contains("x.so"), "values may be secrets: {asked}");
    fleet.audited("exec", |line| line["cwd"] == cwd).await;
    // As JSON, and on several machines.
    let (code, json, _) = exec(&["--json", "uptime"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["exit_code"]), (255, &255.into()));
    assert!(json["error"].as_str().unwrap().contains("no rule in permissions.toml on web-1"), "{json}");
    let output = fleetmux(&fleet).args(["exec", "all", "uptime"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("no rule in permissions.toml on web-1") && said.contains("web-1: refused"), "{said}");
    // The audit log has who, what program and which rule; no argument.
    let denied = fleet.audited("denied", |line| line["what"].as_str().unwrap().starts_with("exec echo on")).await;
    assert!(denied["reason"].as_str().unwrap().starts_with("rule 1 ("), "{denied}");
    assert_eq!(denied["principal"], me.as_str());
    fleet.audited("exec_end", |line| line["outcome"] == "refused" && line["program"] == "touch").await;
    assert!(!fleet.audit().iter().any(|line| line.to_string().contains(marker.to_str().unwrap())));
}

/// `make *` was a shell (`make -f - x`, standard input); words with holes are run as what was compared, and nothing else.
#[tokio::test]
async fn a_rule_of_words_is_a_boundary() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    fleet.machine(&client, "web-1").await;
    let dir = fleet.dir.path().canonicalize().unwrap();
    // A program that shows its arguments and what it is fed.
    let show = dir.join("show");
    std::fs::write(&show, "#!/bin/sh\nprintf '<%s>' \"$@\"\ncat\n").unwrap();
    std::fs::set_permissions(&show, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let show = show.to_str().unwrap();
    permissions(&fleet, &["default", "deny"]);
    permissions(&fleet, &["allow", "*", "exec,create", "--command", &format!("{show} {{restart|stop}} {{name}}")]);
    permissions(&fleet, &["allow", "*", "exec", "--command", &format!("{show} take {{int}}"), "--stdin"]);
    permissions(&fleet, &["allow", "*", "exec", "--command", &format!("{show} any *")]);
    let exec = |args: &[&str], fed: Option<&str>| {
        let mut command = fleetmux(&fleet);
        command.args(["exec", "web-1"]).args(args);
        if let Some(fed) = fed {
            let (reader, mut writer) = std::io::pipe().unwrap();
            std::io::Write::write_all(&mut writer, fed.as_bytes()).unwrap();
            command.stdin(reader);
        }
        crate::cli::outcome(&mut command)
    };
    let allowed = |args: &[&str], fed: Option<&str>, out: &str| {
        assert_eq!(exec(args, fed), (0, out.into(), String::new()), "{args:?}");
    };
    let refused = |args: &[&str], fed: Option<&str>, says: &str| {
        let (code, out, said) = exec(args, fed);
        assert_eq!((code, out.as_str()), (255, ""), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    };
    allowed(&["--", show, "restart", "nginx"], None, "<restart><nginx>");
    // A text is split here, and no shell with its files and functions reads it.
    allowed(&[&format!("{show}  stop\tnginx")], None, "<stop><nginx>");
    for text in ["restart -f", "restart nginx; id", "restart $HOME", "restart 'a'", "restart a b", "restart", "start a"]
    {
        refused(&[&format!("{show} {text}")], None, "no rule in permissions.toml on web-1 allows exec");
    }
    refused(&["--", show, "restart", "a b"], None, "no rule in permissions.toml on web-1 allows exec");
    // Standard input is the caller's choice.
    refused(
        &[&format!("{show} stop x")],
        Some("fed"),
        "not with standard input (-n leaves it out) of the caller's own",
    );
    allowed(&["-n", &format!("{show} stop x")], Some("fed"), "<stop><x>");
    allowed(&[&format!("{show} take 7")], Some("fed"), "<take><7>fed");
    // And a wildcard stands for no option.
    allowed(&[&format!("{show} any thing")], None, "<any><thing>");
    for text in ["-f -", "x --eval=y", "'-f' x", "{-f,x}"] {
        refused(&[&format!("{show} any {text}")], None, "no rule in permissions.toml on web-1 allows exec");
    }
    // Sessions: the same words, and no TERM of the caller's own; nor a login shell.
    let machine = fleet.machine(&client, "web-1").await.facts.id;
    let spec = |term: &str| SessionSpec {
        term: term.into(),
        until_pid: Some(std::process::id()),
        ..SessionSpec::command([show, "stop", "x"])
    };
    let denied = client.create_session(machine, spec("../evil")).await.unwrap_err().to_string();
    assert!(denied.contains("not with TERM of the caller's own"), "{denied}");
    client.create_session(machine, spec("xterm-256color")).await.unwrap();
    let denied = client.create_session(machine, SessionSpec::shell()).await.unwrap_err();
    assert!(matches!(denied, Error::PermissionDenied(_)), "{denied}");
    let test = permissions(&fleet, &["test", "key:x", "exec", "--command", &format!("{show} stop x")]);
    assert!(test.ends_with("it is run as these words, without a shell\n"), "{test}");
    let dir = fleet.dir.path().join("web-1");
    let slip = fleetmux(&fleet)
        .args(["permissions", "allow", "*", "exec", "--command", "a {nmae}", "--dir"])
        .arg(dir)
        .output();
    assert!(String::from_utf8_lossy(&slip.unwrap().stderr).contains("{nmae} is no hole; there are {word}"));
}

/// For 2 s after the file had vanished its rules stayed in force, and then everything was allowed.
#[tokio::test]
async fn rules_that_vanish_deny_everything_until_they_are_back_or_the_agent_is_restarted() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    fleet.machine(&client, "web-1").await;
    let exec = |fleet: &Fleet| crate::cli::outcome(fleetmux(fleet).args(["exec", "web-1", "echo hi"]));
    permissions(&fleet, &["default", "allow"]);
    assert_eq!(exec(&fleet).0, 0);
    let file = fleet.dir.path().join("web-1/permissions.toml");
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    let (code, _, said) = exec(&fleet);
    assert!(code == 255 && said.contains("is gone; put it back, or restart the agent"), "{said}");
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(exec(&fleet).0, 0);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(exec(&fleet).0, 255);
    fleet.kill_agent("web-1");
    fleet.start_agent("web-1");
    fleet.machine(&client, "web-1").await;
    assert_eq!(exec(&fleet).0, 0);
}

/// A person who may only watch was told no, and not that watching works.
#[tokio::test]
async fn connect_that_may_not_drive_says_how_to_watch() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("echo to-be-watched; cat")).await;
    let id = session.id().to_string();
    let me = me();
    permissions(&fleet, &["deny", &me, "drive"]);
    let mut terminal = Terminal::start(&fleet, &["connect", "web-1", "--session", &id]);
    assert_eq!(terminal.ended().await.code(), Some(255));
    let said = String::from_utf8_lossy(&terminal.raw).replace("\r\n", "\n");
    let expected = format!(
        "fleetmux: rule 1 (`deny {me} drive`) in permissions.toml on web-1 denies drive to {me}; see `fleetmux permissions \
         list` there\nto watch without typing: fleetmux connect web-1 --session {id} --observe\n"
    );
    assert!(said.ends_with(&expected), "{said}");
    // And so it does.
    let mut terminal = Terminal::start(&fleet, &["connect", "web-1", "--session", &id, "--observe"]);
    terminal.until_text("to-be-watched").await;
    // Who may not even watch is told so, without advice that does not help.
    permissions(&fleet, &["deny", &me, "observe"]);
    let mut terminal = Terminal::start(&fleet, &["connect", "web-1", "--session", &id, "--observe"]);
    assert_eq!(terminal.ended().await.code(), Some(255));
    let said = String::from_utf8_lossy(&terminal.raw).replace("\r\n", "\n");
    assert!(
        said.ends_with("denies observe to {me}; see `fleetmux permissions list` there\n".replace("{me}", &me).as_str()),
        "{said}"
    );
}

//! The command line as scripts see it: help, JSON, messages, exit codes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Fleet, PATIENCE, Pane, driver, kill, sh};

/// The command with the fleet's directories and relay.
pub fn fleetmux(fleet: &Fleet) -> Command {
    let mut command = bare(fleet.dir.path());
    command.env("FLEETMUX_RELAY", fleet.endpoint().to_string());
    command
}

/// The command with directories of its own and no relay named.
pub fn bare(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetmux"));
    command.env("FLEETMUX_RUNTIME_DIR", dir).env("FLEETMUX_STATE_DIR", dir.join("state"));
    command.env("FLEETMUX_CONFIG_DIR", dir.join("config")).env_remove("FLEETMUX_RELAY").stdin(Stdio::null());
    command
}

/// Runs it, and what it printed; anything but success is a failed test.
pub fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code, standard output, standard error.
pub fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn permissions_are_shown_changed_and_tried() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| outcome(bare(dir.path()).arg("permissions").args(args));
    let file = dir.path().join("config/permissions.toml").display().to_string();
    let (code, said, _) = run(&["list"]);
    assert_eq!(code, 0);
    assert_eq!(
        said,
        format!(
            "There is no {file}:\neverything that the relay lets through is allowed on this machine, unless an agent runs \
             that had rules: it\nrefuses everything until they are back or it is restarted. `fleetmux permissions default \
             deny` and\n`fleetmux permissions allow WHO ACTIONS` make rules.\n"
        )
    );
    let (code, said, _) = run(&["allow", "key:ci", "exec", "--command", "make *"]);
    assert_eq!(
        (code, said.as_str()),
        (
            0,
            "rule 1: allow key:ci exec command=\"make *\"\nwhat no rule covers is allowed anyway; `fleetmux permissions \
             default deny` gives this rule a meaning\n"
        )
    );
    assert_eq!(run(&["default", "deny"]).1, "what no rule covers is denied now\n");
    assert_eq!(run(&["deny", "key:*", "*", "--at", "1"]).1, "rule 1: deny key:* *\n");
    let (_, said, _) = run(&["list"]);
    assert_eq!(
        said,
        format!(
            "RULE  EFFECT  WHO     ACTIONS  COMMAND  SESSION  PATH\n\
             1     deny    key:*   *        -        -        -\n\
             2     allow   key:ci  exec     make *   -        -\n\
             what no rule covers is denied; the rules are in {file}\n"
        )
    );
    let json: serde_json::Value = serde_json::from_str(&run(&["list", "--json"]).1).unwrap();
    assert_eq!(json["rules"][1]["command"], "make *");
    assert_eq!((&json["default"], &json["exists"]), (&"deny".into(), &true.into()));
    let (code, said, _) = run(&["test", "key:ci", "exec", "--command", "make all"]);
    assert_eq!((code, said.as_str()), (1, "denied: key:ci may not exec, by rule 1 (`deny key:* *`)\n"));
    assert_eq!(run(&["remove", "1"]).1, "removed rule 1: deny key:* *\n");
    let (code, said, _) = run(&["test", "key:ci", "exec", "--command", "make all"]);
    assert_eq!(
        (code, said.as_str()),
        (0, "allowed: key:ci may exec, by rule 1 (`allow key:ci exec command=\"make *\"`)\n")
    );
    let (code, said, _) = run(&["test", "key:ci", "exec", "--command", "make all; reboot", "--json"]);
    assert_eq!((code, said.as_str()), (1, "{\n  \"allowed\": false,\n  \"rule\": null\n}\n"));
    for (args, says) in [
        (&["remove", "7"][..], "fleetmux: there is no rule 7; there are 1, see `fleetmux permissions list`\n"),
        (
            &["allow", "key:ci", "fly"],
            "fleetmux: \"fly\" is no action; there are observe, drive, create, destroy, exec, files, read, write\n",
        ),
        (
            &["allow", "key:ci", "drive", "--command", "x"],
            "fleetmux: drive has no command; `command` goes with exec and create only\n",
        ),
    ] {
        let (code, _, err) = run(args);
        assert_eq!((code, err.as_str()), (255, says));
    }
}

/// Lines of a running command until one contains a text.
fn until_line(out: &mut impl BufRead, text: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn logs_follow_a_real_agent() {
    let mut fleet = Fleet::start(&["web-1"]);
    let dir = fleet.dir.path().join("web-1");
    let mut follow = fleetmux(&fleet);
    follow.args(["logs", "-f", "agent", "--dir"]).arg(&dir).stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut out = BufReader::new(follow.stdout.take().unwrap());
    until_line(&mut out, "agent starts");
    until_line(&mut out, "linked to the relay");
    // What happens now shows now.
    fleet.kill_relay();
    until_line(&mut out, "WARN fleetmux::agent::link: the ");
    // A file that is put aside is followed to the new one.
    let log = dir.join("state/logs/agent.log");
    std::fs::rename(&log, dir.join("state/logs/agent.log.1")).unwrap();
    std::fs::write(&log, "2026-01-01T00:00:00.000000Z  INFO the new file\n").unwrap();
    until_line(&mut out, "the new file");
    kill(Some(follow));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(dir.join("state/logs/agent.log.1")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let last = ok(fleetmux(&fleet).args(["logs", "agent", "-n", "1", "--dir"]).arg(&dir));
    assert_eq!(last, "2026-01-01T00:00:00.000000Z  INFO the new file\n");
}

#[test]
fn logs_that_are_not_there_are_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = outcome(bare(dir.path()).arg("logs"));
    assert_eq!(code, 255);
    assert_eq!(
        err,
        format!(
            "fleetmux: there is no log yet in {}/state/logs; agents and relays write there (`fleetmux agent start`), and \
             `fleetmux logs -f` waits\n",
            dir.path().display()
        )
    );
}

/// A keeper's panic left no trace: its standard error is nobody's.
#[tokio::test]
async fn a_keeper_leaves_its_log_behind_only_when_it_ends_badly() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let log = fleet.dir.path().join(format!("web-1/state/logs/keepers/{}.log", session.id()));
    assert!(log.exists());
    client.destroy_session(session.id()).await.unwrap();
    // The answer comes when the keeper's socket is gone; its log goes a moment later.
    let gone = async {
        while log.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    let bad = fleet.dir.path().join("bad.log");
    let socket = fleet.dir.path().join("bad.sock");
    let (code, ..) = {
        let output = bare(fleet.dir.path()).arg("keeper").arg("--socket").arg(socket).arg("--log").arg(&bad).output();
        (output.unwrap().status.code().unwrap(),)
    };
    assert_eq!(code, 1);
    assert!(std::fs::read_to_string(bad).unwrap().contains("the keeper ends"));
}

#[tokio::test]
async fn an_agent_in_the_background_is_started_shown_restarted_and_stopped() {
    let fleet = Fleet::start(&[]);
    let dir = fleet.dir.path().join("bg");
    let run = |args: &[&str]| outcome(fleetmux(&fleet).arg("agent").args(args).arg("--dir").arg(&dir));
    assert_eq!(run(&["status"]).0, 1);
    let (code, _, err) = run(&["restart"]);
    assert_eq!(
        (code, err),
        (255, format!("fleetmux: no agent runs for {}; start one with `fleetmux agent start`\n", dir.display()))
    );
    let (code, said, err) = run(&["start", "--name", "web-1"]);
    assert_eq!(code, 0, "{err}");
    let linked = format!("linked to {} as web-1\n", fleet.endpoint());
    assert!(said.starts_with("agent started (process ") && said.ends_with(&linked), "{said}");
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let (code, said, _) = run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, 0);
    let first = status["pid"].as_u64().unwrap();
    assert_eq!(
        status,
        serde_json::json!({
            "running": true,
            "pid": first,
            "relay": fleet.endpoint().to_string(),
            "linked": true,
            "machine": "web-1",
            "machine_id": session.machine.to_string(),
            "link_error": null,
            "joined": null,
            "sessions": 1,
            "sessions_dir": dir.join("s").display().to_string(),
            "log": dir.join("state/logs/agent.log").display().to_string(),
            "permissions": dir.join("permissions.toml").display().to_string(),
        })
    );
    let (code, _, err) = run(&["start"]);
    assert_eq!(
        (code, err),
        (
            255,
            format!(
                "fleetmux: the agent already runs (process {first}); see `fleetmux agent status`, or use `fleetmux agent \
                 restart`\n"
            )
        )
    );
    // The good agent goes on where another one would not start; nobody is told to remove living sessions.
    let sessions = dir.join("s");
    let open = |mode| std::fs::set_permissions(&sessions, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    open(0o777);
    let (code, _, err) = run(&["restart"]);
    assert_eq!(code, 255);
    let (shown, what) = (sessions.display(), "may be changed by others (mode 777); run `chmod 700");
    assert_eq!(
        err,
        format!(
            "fleetmux: the agent (process {first}) goes on, for another one would not start: {shown} {what} {shown}`\n"
        )
    );
    open(0o700);
    std::fs::write(sessions.join("flood.0.lock"), "").unwrap();
    let status: serde_json::Value = serde_json::from_str(&run(&["status", "--json"]).1).unwrap();
    assert_eq!((&status["pid"], &status["sessions"]), (&first.into(), &1.into()), "a lock is no session");
    let (code, said, err) = run(&["restart"]);
    assert_eq!(code, 0, "{err}");
    let status: serde_json::Value = serde_json::from_str(&run(&["status", "--json"]).1).unwrap();
    let second = status["pid"].as_u64().unwrap();
    assert_ne!(first, second);
    assert_eq!(said, format!("agent restarted (was process {first}, now process {second}); its sessions lived on\n"));
    let mut pane = Pane::attach(&client, &session, driver(fleetmux::fleet::Size::DEFAULT));
    pane.type_text("still here\n");
    pane.until_text("still here").await;
    assert_eq!(run(&["stop"]).1, format!("agent stopped (process {second}); its sessions live on\n"));
    assert_eq!(run(&["stop"]).1, "no agent runs\n");
}

/// An agent without a name of its own was stopped by `restart` and not started: the empty end of its command line was lost.
#[tokio::test]
async fn an_agent_without_a_name_is_restarted() {
    let fleet = Fleet::start(&[]);
    let home = fleet.dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let relay = fleet.endpoint().to_string();
    let run = |args: &[&str]| outcome(bare(&home).env("FLEETMUX_RELAY", &relay).arg("agent").args(args));
    let (code, _, err) = run(&["start"]);
    assert_eq!(code, 0, "{err}");
    let (code, said, err) = run(&["restart"]);
    assert_eq!(code, 0, "{said}{err}");
    assert_eq!(run(&["status"]).0, 0);
    assert_eq!(run(&["stop"]).0, 0);
}

/// Whoever runs an agent in the foreground restarts it: a second one in the background would race with theirs.
#[tokio::test]
async fn an_agent_of_systemd_is_restarted_by_systemd() {
    let fleet = Fleet::start(&["web-1"]);
    fleet.machine(&fleet.client(), "web-1").await;
    let dir = fleet.dir.path().join("web-1");
    let status = ok(fleetmux(&fleet).args(["agent", "status", "--json", "--dir"]).arg(&dir));
    let pid = serde_json::from_str::<serde_json::Value>(&status).unwrap()["pid"].clone();
    let (code, _, err) = outcome(fleetmux(&fleet).args(["agent", "restart", "--dir"]).arg(&dir));
    assert_eq!(
        (code, err),
        (
            255,
            format!(
                "fleetmux: the agent (process {pid}) runs in the foreground of another program; restart it there, for \
                 example with `systemctl restart fleetmux-agent`\n"
            )
        )
    );
}

#[test]
fn the_systemd_unit_lets_sessions_live_on() {
    let dir = tempfile::tempdir().unwrap();
    let install = |args: &[&str]| {
        let mut command = bare(dir.path());
        command.env("XDG_CONFIG_HOME", "/home/ada/.config").args(["agent", "install", "--dry-run"]).args(args);
        ok(&mut command).replace(env!("CARGO_BIN_EXE_fleetmux"), "/usr/bin/fleetmux")
    };
    let user = install(&["--user", "--relay", "127.0.0.1:7443", "--name", "Ada's box", "--label", "role=web"]);
    let at = dir.path().display();
    assert_eq!(
        user,
        format!(
            "# /home/ada/.config/systemd/user/fleetmux-agent.service\n\
             [Unit]\n\
             Description=fleetmux agent\n\
             Documentation=man:fleetmux-agent(1)\n\
             StartLimitIntervalSec=0\n\
             \n\
             [Service]\n\
             Type=exec\n\
             ExecStart=/usr/bin/fleetmux agent start --foreground --relay 127.0.0.1:7443 --name \"Ada's box\" --label role=web\n\
             Restart=always\n\
             RestartSec=1\n\
             # Only the agent itself is stopped: sessions live on over `systemctl restart`, and over `stop` too.\n\
             KillMode=process\n\
             # A program that runs out of memory does not take the agent along.\n\
             OOMPolicy=continue\n\
             Environment=FLEETMUX_RUNTIME_DIR={at}\n\
             Environment=FLEETMUX_STATE_DIR={at}/state\n\
             Environment=FLEETMUX_CONFIG_DIR={at}/config\n\
             # No sandbox here: it would bind every shell of every session, and sudo, containers and debuggers in them. What \
             the agent\n\
             # may be asked for is limited by `fleetmux permissions`.\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n"
        )
    );
    let system = install(&["--system"]);
    assert!(system.starts_with("# /etc/systemd/system/fleetmux-agent.service\n"), "{system}");
    for line in ["After=network-online.target", "KillMode=process", "WantedBy=multi-user.target"] {
        assert!(system.lines().any(|l| l == line), "{line}\n{system}");
    }
}

#[tokio::test]
async fn machines_are_listed_watched_and_told_as_json() {
    let mut fleet = Fleet::start(&["web-1", "web-2"]);
    let client = fleet.client();
    fleet.machine(&client, "web-1").await;
    fleet.machine(&client, "web-2").await;
    let session = fleet.session(&client, "web-2", sh("cat")).await;
    let table = ok(fleetmux(&fleet).arg("machines"));
    let words = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(words(lines[0]), ["NAME", "STATUS", "LATENCY", "LOAD", "SESSIONS", "SEEN", "OS", "LABELS"]);
    assert_eq!(words(lines[1])[..2], ["web-1", "online"]);
    assert!(!table.contains('\x1b'), "a pipe gets no colours");
    let json: serde_json::Value = serde_json::from_str(&ok(fleetmux(&fleet).args(["machines", "--json"]))).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["sessions"]), (&"web-1".into(), &0.into()));
    assert_eq!((&json[1]["name"], &json[1]["sessions"]), (&"web-2".into(), &1.into()));
    // JSON lines as things change.
    let mut watch = fleetmux(&fleet).args(["machines", "--watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(watch.stdout.take().unwrap());
    until_line(&mut out, "\"name\":\"web-2\"");
    client.destroy_session(session.id()).await.unwrap();
    loop {
        let line = until_line(&mut out, "\"name\":\"web-2\"");
        let machine: serde_json::Value = serde_json::from_str(&line).unwrap();
        if machine["sessions"] == 0 {
            break;
        }
    }
    fleet.kill_agent("web-1");
    loop {
        let line = until_line(&mut out, "\"name\":\"web-1\"");
        let machine: serde_json::Value = serde_json::from_str(&line).unwrap();
        if machine["status"] == "offline" {
            break;
        }
    }
    kill(Some(watch));
    assert_eq!(words(ok(fleetmux(&fleet).arg("machines")).lines().nth(1).unwrap())[1], "offline");
}

/// A relay that cannot be reached is our own failure, with what to do.
#[test]
fn a_relay_that_is_not_there_is_told_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("none.sock");
    let (code, said, err) = outcome(bare(dir.path()).args(["machines", "--relay"]).arg(&socket));
    assert_eq!((code, said.as_str()), (255, ""));
    assert!(err.starts_with(&format!("fleetmux: no relay answers at unix:{}: ", socket.display())), "{err}");
    assert!(
        err.ends_with("check the address, and whether the relay runs there, or name another with --relay\n"),
        "{err}"
    );
    assert_eq!(
        outcome(bare(dir.path()).args(["machines", "--jsn"])).0,
        2,
        "clap's own: the command line makes no sense"
    );
}

#[tokio::test]
async fn doctor_finds_a_healthy_fleet_healthy_and_a_sick_one_sick() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let _session = fleet.session(&client, "web-1", sh("cat")).await;
    let dir = fleet.dir.path().join("web-1");
    let look = |fleet: &Fleet| {
        let mut command = fleetmux(fleet);
        command.args(["doctor", "--json", "--dir"]).arg(&dir).env("LC_ALL", "C.UTF-8");
        let (code, said, _) = outcome(&mut command);
        let list: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
        let found = move |name: &str| {
            let check = list.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}"));
            let text = |field: &str| check[field].as_str().unwrap_or_default().to_string();
            (text("level"), text("says"), text("todo"))
        };
        (code, found)
    };
    let (code, found) = look(&fleet);
    for name in
        ["directories", "permissions", "relay", "http/2", "version", "clock", "agent", "sessions", "terminal", "locale"]
    {
        assert_eq!(found(name).0, "ok", "{name}: {:?}", found(name));
    }
    assert_eq!(code, 0);
    assert_eq!(found("sessions").1, "1 session, all adopted");
    assert!(found("agent").1.ends_with(" as web-1"), "{:?}", found("agent"));
    std::fs::write(dir.join("permissions.toml"), "default = 'perhaps'").unwrap();
    fleet.kill_relay();
    let (code, found) = look(&fleet);
    assert_eq!(code, 1);
    assert_eq!(found("permissions").0, "failure");
    assert!(found("permissions").1.contains("line 1: \"perhaps\" is no effect"), "{:?}", found("permissions"));
    assert_eq!(found("relay").0, "failure");
    assert!(found("relay").2.contains("fleetmux logs relay"));
    assert_eq!(found("clock").0, "skipped");
    let lines = outcome(fleetmux(&fleet).args(["doctor", "--dir"]).arg(&dir).env("LC_ALL", "C.UTF-8")).1;
    assert!(lines.contains("✗ permissions   ") && lines.contains("✓ directories   runtime "), "{lines}");
}

/// The script in a real bash, asked as the line editor asks it.
#[tokio::test]
async fn bash_completes_commands_machines_and_sessions() {
    let fleet = Fleet::start(&["web-1", "db-1"]);
    let client = fleet.client();
    fleet.machine(&client, "db-1").await;
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let bin = Path::new(env!("CARGO_BIN_EXE_fleetmux")).parent().unwrap();
    let complete = |words: &[&str]| {
        let script = "source <(fleetmux completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; \
                      _clap_complete_fleetmux fleetmux \"${COMP_WORDS[COMP_CWORD]}\" \"\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut command = Command::new("bash");
        command.args(["--norc", "-c", script, "bash"]).args(words).stdin(Stdio::null());
        command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
        command.env("FLEETMUX_RELAY", fleet.endpoint().to_string());
        let said = ok(&mut command);
        let mut found: Vec<String> = said.split(['\n', '\u{b}']).map(|word| word.trim().to_string()).collect();
        // Options are offered beside names.
        found.retain(|word| !word.is_empty() && !word.starts_with('-'));
        found.sort();
        found
    };
    for shell in ["zsh", "fish"] {
        let script = ok(fleetmux(&fleet).args(["completions", shell]));
        assert!(script.contains("FLEETMUX_COMPLETE"), "{shell}: {script}");
    }
    assert_eq!(complete(&["fleetmux", "perm"]), ["permissions"]);
    assert_eq!(complete(&["fleetmux", "agent", "re"]), ["restart"]);
    assert_eq!(complete(&["fleetmux", "connect", "w"]), ["web-1"]);
    assert_eq!(complete(&["fleetmux", "connect", ""]), ["db-1", "exec", "web-1"]);
    assert_eq!(complete(&["fleetmux", "session", "destroy", ""]), [format!("web-1/{}", session.display_name())]);
}

#[test]
fn every_command_has_a_man_page_that_renders() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let said = ok(bare(dir.path()).arg("man").arg("--dir").arg(&pages));
    let mut names: Vec<String> =
        std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(said, format!("{} pages in {}\n", names.len(), pages.display()));
    for name in ["fleetmux.1", "fleetmux-agent-install.1", "fleetmux-permissions-allow.1", "fleetmux-session-list.1"] {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
    }
    assert!(names.iter().all(|name| !name.contains("keeper") && !name.contains("server") && !name.contains("help")));
    for name in &names {
        let mut groff = Command::new("groff");
        let output = groff.args(["-man", "-Tascii", "-ww"]).arg(pages.join(name)).output().expect("groff is installed");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let first = ok(bare(dir.path()).arg("man"));
    assert_eq!(first, std::fs::read_to_string(pages.join("fleetmux.1")).unwrap());
}

/// What every command says of itself: one line in the list, options with a sentence each, no word too many in the list.
#[test]
fn help_has_a_line_for_every_command_and_says_the_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let help = ok(bare(dir.path()).arg("--help"));
    for line in ["  255    our own failure", "  124    a remote command ran out of time", "Exit codes:", "Examples:"] {
        assert!(help.contains(line), "{line}\n{help}");
    }
    let pages = dir.path().join("man");
    ok(bare(dir.path()).arg("man").arg("--dir").arg(&pages));
    for entry in std::fs::read_dir(&pages).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".1").replace("install-alias", "install alias");
        let command: Vec<String> = name.split('-').skip(1).map(|word| word.replace(' ', "-")).collect();
        let said = ok(bare(dir.path()).args(&command).arg("-h"));
        let about = said.lines().next().unwrap();
        assert!(about.len() > 10 && !about.starts_with("Usage"), "{command:?} does not say what it does:\n{said}");
        assert!(said.lines().all(|line| line.chars().count() <= 125), "{command:?} has a line too long:\n{said}");
    }
}

/// On a terminal the table is drawn over itself, and a narrow one shows fewer columns instead of wrapping.
#[tokio::test]
async fn watched_machines_are_redrawn_in_place() {
    let mut fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    fleet.machine(&client, "web-1").await;
    let (terminal, pts) = pty_process::blocking::open().unwrap();
    terminal.resize(pty_process::Size::new(10, 30)).unwrap();
    let mut watch = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"))
        .args(["--relay", &fleet.endpoint().to_string(), "machines", "--watch"])
        .env("NO_COLOR", "1")
        .spawn(pts)
        .unwrap();
    let mut out = BufReader::new(terminal);
    let header = until_line(&mut out, "NAME");
    assert_eq!(header.trim_end().trim_start_matches('\r').trim_end_matches("\x1b[K"), "NAME   STATUS  SESSIONS  SEEN");
    until_line(&mut out, "web-1  online");
    fleet.kill_agent("web-1");
    let mut is_over_itself = false;
    loop {
        let line = until_line(&mut out, "\x1b[K");
        is_over_itself |= line.contains("\x1b[2A");
        if line.contains("web-1  offline") {
            break;
        }
    }
    assert!(is_over_itself);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// A selector chooses from a list as it does for `exec`.
#[tokio::test]
async fn machines_and_sessions_are_listed_by_selector() {
    let mut fleet = Fleet::start(&["web-1", "db-1"]);
    let client = fleet.client();
    for name in ["web-1", "db-1"] {
        fleet.session(&client, name, sh("cat")).await;
    }
    let names = |args: &[&str], key: &str| {
        let listed: serde_json::Value = serde_json::from_str(&ok(fleetmux(&fleet).args(args).arg("--json"))).unwrap();
        let name = |item: &serde_json::Value| item[key].as_str().unwrap().to_string();
        let mut names: Vec<String> = listed.as_array().unwrap().iter().map(name).collect();
        names.sort();
        names
    };
    assert_eq!(names(&["machines"], "name"), ["db-1", "web-1"]);
    assert_eq!(names(&["machines", "--selector", "host~^web"], "name"), ["web-1"]);
    assert_eq!(names(&["machines", "-s", "host!=web-1"], "name"), ["db-1"]);
    assert_eq!(names(&["session", "list", "--selector", "host~^web"], "machine_hostname"), ["web-1"]);
    assert_eq!(names(&["session", "list", "-s", "web-1,db-1"], "machine_hostname"), ["db-1", "web-1"]);
    let none = fleetmux(&fleet).args(["machines", "-s", "role=web"]).output().unwrap();
    assert!(none.status.success() && String::from_utf8_lossy(&none.stdout).lines().count() == 1);
    assert_eq!(
        String::from_utf8_lossy(&none.stderr),
        "no machine fits role=web; `fleetmux machines` lists all names and labels\n"
    );
    let none = fleetmux(&fleet).args(["session", "list", "-s", "role=web"]).output().unwrap();
    assert_eq!(none.status.code(), Some(255));
    let bad = fleetmux(&fleet).args(["machines", "-s", "host~("]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
    // Watched, a machine that does not fit is not there.
    let mut watch = fleetmux(&fleet);
    let mut watch =
        watch.args(["machines", "--watch", "--json", "-s", "host~^web"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(watch.stdout.take().unwrap());
    until_line(&mut out, "web-1");
    fleet.kill_agent("db-1");
    crate::support::machine(&client, "db-1", false).await;
    fleet.kill_agent("web-1");
    let said = until_line(&mut out, "offline");
    assert!(said.contains("web-1"), "{said}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// Who is attached is listed with role and principal, as the seeds have it.
#[tokio::test]
async fn a_session_lists_its_attached_clients() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("cat")).await;
    let mut panes = [driver(fleetmux::fleet::Size::new(30, 100)), crate::support::observer()].map(|options| {
        let options = fleetmux::client::AttachOptions { label: "ada@laptop".into(), ..options };
        Pane::attach(&client, &session, options)
    });
    for pane in &mut panes {
        pane.until("attached", |pane| pane.role.is_some()).await;
    }
    let id = session.id().to_string();
    let shown = || {
        let shown: serde_json::Value =
            serde_json::from_str(&ok(fleetmux(&fleet).args(["session", "show", &id, "--json"]))).unwrap();
        shown["attached_clients"].clone()
    };
    // Summaries come once a second.
    crate::support::until("both are listed", || shown().as_array().unwrap().len() == 2).await;
    let mut listed = shown();
    let me = format!("uid:{}", rustix::process::getuid().as_raw());
    let roles: Vec<_> = listed
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .map(|client| {
            assert_eq!((&client["principal"], &client["label"]), (&me.clone().into(), &"ada@laptop".into()));
            (client["role"].take(), client["rows"].take(), client["cols"].take())
        })
        .collect();
    assert!(roles.contains(&("driver".into(), 30.into(), 100.into())), "{roles:?}");
    assert!(roles.iter().any(|(role, ..)| *role == "observer"), "{roles:?}");
    let known = client.terminal().get_session(&id).await.unwrap();
    assert_eq!((known.attached_clients.len(), known.drivers, known.observers), (2, 1, 1));
}

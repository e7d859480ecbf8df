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
fn outcome(command: &mut Command) -> (i32, String, String) {
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
            "There is no {file}:\neverything that the relay lets through is allowed on this machine. `fleetmux permissions \
             default deny` and\n`fleetmux permissions allow WHO ACTIONS` make rules.\n"
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
            "RULE  EFFECT  WHO     ACTIONS  COMMAND  SESSION\n\
             1     deny    key:*   *        -        -\n\
             2     allow   key:ci  exec     make *   -\n\
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
            "fleetmux: \"fly\" is no action; there are observe, drive, create, destroy, exec, files\n",
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
    until_line(&mut out, "no link to the relay");
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
    assert!(said.starts_with("agent started (process ") && said.ends_with(&format!("relay {}\n", fleet.endpoint())));
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

#[test]
fn the_systemd_unit_lets_sessions_live_on() {
    let dir = tempfile::tempdir().unwrap();
    let install = |args: &[&str]| {
        let mut command = bare(dir.path());
        command.env("XDG_CONFIG_HOME", "/home/ada/.config").args(["agent", "install", "--dry-run"]).args(args);
        ok(&mut command).replace(env!("CARGO_BIN_EXE_fleetmux"), "/usr/bin/fleetmux")
    };
    let user = install(&["--user", "--relay", "127.0.0.1:7443", "--name", "Ada's box", "--label", "role=web"]);
    assert_eq!(
        user,
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
         # No sandbox here: it would bind every shell of every session, and sudo, containers and debuggers in them. What the \
         agent\n\
         # may be asked for is limited by `fleetmux permissions`.\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    );
    let system = install(&["--system"]);
    assert!(system.starts_with("# /etc/systemd/system/fleetmux-agent.service\n"), "{system}");
    for line in
        ["RuntimeDirectoryPreserve=yes", "Environment=FLEETMUX_CONFIG_DIR=/etc/fleetmux", "WantedBy=multi-user.target"]
    {
        assert!(system.lines().any(|l| l == line), "{line}\n{system}");
    }
}

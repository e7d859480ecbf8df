//! The command line as scripts see it: help, JSON, messages, exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::Fleet;

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

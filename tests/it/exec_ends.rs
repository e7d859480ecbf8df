//! How `exec` ends: children left in the background, and outputs that cannot be written.

use std::fs::File;
use std::process::{Command, Stdio};

use fleetmux::client::{Client, ExecOptions};
use fleetmux::fleet::SessionId;

use crate::cli::fleetmux;
use crate::support::{Fleet, PATIENCE, processes_naming};

async fn fleet_of(machines: &[&str]) -> (Fleet, Client) {
    let fleet = Fleet::start(machines);
    let client = fleet.client();
    for machine in machines {
        fleet.machine(&client, machine).await;
    }
    (fleet, client)
}

/// `exec` with its outputs where they are wanted; code and what it said on standard error if that is a pipe.
fn exec(fleet: &Fleet, args: &[&str], redirect: impl FnOnce(&mut Command) -> &mut Command) -> (i32, String) {
    let mut command = fleetmux(fleet);
    command.arg("exec").args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    redirect(&mut command);
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Every failed write counted as a reader that left: 141 without a word, and the redirected file was cut short.
#[tokio::test]
async fn an_output_that_cannot_be_written_is_a_failure_and_says_so() {
    let (fleet, _client) = fleet_of(&["web-1", "web-2"]).await;
    let out: [&[&str]; 6] = [
        &["web-1", "echo hi"],
        &["web-1", "--json", "echo hi"],
        &["web-1,web-2", "echo hi"],
        &["web-1,web-2", "--json", "echo hi"],
        &["web-1,web-2", "--fold", "echo hi"],
        &["web-1", "printf x"],
    ];
    for args in out {
        let (code, said) = exec(&fleet, args, |command| command.stdout(full()));
        assert_eq!(code, 255, "{args:?}: {said}");
        assert!(
            said.contains("fleetmux: cannot write to standard output: No space left on device"),
            "{args:?}: {said}"
        );
    }
    for args in [["web-1", "echo hi >&2"], ["web-1,web-2", "echo hi >&2"]] {
        let (code, _) = exec(&fleet, &args, |command| command.stderr(full()));
        assert_eq!(code, 255, "{args:?}");
    }
    // Nobody reads: that is 141, and nothing to be told.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, said) = exec(&fleet, &["web-1", "echo hi"], |command| command.stdout(writer));
    assert_eq!((code, said.as_str()), (141, ""));
}

/// `sleep 100 & echo hi` was waited for until its time was up, and then killed, though the shell had returned 0.
#[tokio::test]
async fn a_child_in_the_background_is_neither_waited_for_nor_killed() {
    let (fleet, client) = fleet_of(&["web-1"]).await;
    let machine = fleet.machine(&client, "web-1").await.facts.id;
    let marker = format!("fm-background-{}", SessionId::random());
    // It goes on while the fleet's directory is there, and so outlives no test.
    let dir = fleet.dir.path().display();
    let child = format!("sh -c 'while [ -e {dir} ]; do sleep 0.1; done; : {marker}'");
    let text = format!("{child} & echo hi; echo err >&2; exit 3");
    let run = async |options: ExecOptions| {
        tokio::time::timeout(PATIENCE, client.run(machine, options)).await.expect("an end").unwrap()
    };
    let output = run(ExecOptions { timeout: None, ..ExecOptions::shell(text) }).await;
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"hi\n"[..], &b"err\n"[..]));
    assert_eq!((output.exit.code, output.exit.signal, output.exit.is_timed_out), (3, None, false));
    assert_eq!(processes_naming(&marker).len(), 1, "the child is gone");
    // One that goes on writing is not waited for either, and nothing of the shell's own is lost.
    let text = "while :; do echo y; sleep 0.01; done & head -c 3000000 /dev/zero; echo the end; kill -9 $$";
    let output = run(ExecOptions { timeout: None, ..ExecOptions::shell(text) }).await;
    assert_eq!((output.exit.code, output.exit.signal), (137, Some(9)));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("the end\n"), "{} bytes", text.len());
    assert_eq!(text.matches('\0').count(), 3_000_000);
}

//! One-shot commands, end to end: exit codes, streams, floods, and that nothing is left behind.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use fleetmux::client::{Client, Error, ExecEvent, ExecExit, ExecOptions, ExecOutput};
use fleetmux::fleet::{MachineId, SessionId};

use crate::support::{Fleet, PATIENCE, SOFT_FILES, processes_naming, signal};

async fn in_time<T>(what: &str, step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.unwrap_or_else(|_| panic!("never: {what}"))
}

struct Host {
    fleet: Fleet,
    client: Client,
    machine: MachineId,
}

impl Host {
    async fn start() -> Host {
        let fleet = Fleet::start(&["web-1"]);
        let client = fleet.client();
        let machine = fleet.machine(&client, "web-1").await.facts.id;
        Host { fleet, client, machine }
    }

    async fn sh(&self, text: &str) -> ExecOutput {
        in_time(text, self.client.run(self.machine, ExecOptions::shell(text))).await.unwrap()
    }

    async fn refused(&self, options: ExecOptions) -> Error {
        in_time("a refusal", self.client.run(self.machine, options)).await.unwrap_err()
    }
}

/// A text that no other process has in its arguments.
fn marker(name: &str) -> String {
    format!("fm-{name}-{}-{}", std::process::id(), SessionId::random())
}

/// Waits until as many processes as wanted carry a marker.
async fn processes(marker: &str, wanted: usize) {
    in_time(&format!("{wanted} processes with {marker}"), async {
        while processes_naming(marker).len() != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn exit_codes_signals_and_both_outputs_arrive_as_they_are() {
    let host = Host::start().await;
    let output = host.sh("printf out; printf err >&2; exit 3").await;
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out"[..], &b"err"[..]));
    assert_eq!((output.exit.code, output.exit.signal, output.exit.is_timed_out), (3, None, false));
    let killed = host.sh("kill -9 $$").await.exit;
    assert_eq!((killed.code, killed.signal), (137, Some(9)));
    assert_eq!(host.sh("true").await.exit.code, 0);
    assert_eq!(host.sh("no-such-program-here").await.exit.code, 127);
}

#[tokio::test]
async fn options_reach_the_command_and_nonsense_is_refused() {
    let host = Host::start().await;
    let dir = host.fleet.dir.path().canonicalize().unwrap();
    let mut options = ExecOptions::shell("pwd; echo $GREETING; ulimit -S -n; cat");
    options.cwd = dir.to_string_lossy().into_owned();
    options.env.insert("GREETING".into(), "hello you".into());
    let output = host.client.run(host.machine, options).await.unwrap();
    // Standard input is empty, and the limit of open files is what the agent was started with.
    assert_eq!(output.stdout, format!("{}\nhello you\n{SOFT_FILES}\n", dir.display()));
    let argv = ExecOptions::argv(["printf", "%s|", "a b", "$HOME"]);
    assert_eq!(host.client.run(host.machine, argv).await.unwrap().stdout, "a b|$HOME|");
    let mut bash = ExecOptions::shell("echo ${BASH_VERSION:+bash}");
    bash.shell = "/bin/bash".into();
    assert_eq!(host.client.run(host.machine, bash).await.unwrap().stdout, "bash\n");
    let mut lost = ExecOptions::shell("true");
    lost.cwd = "/no/such/directory".into();
    assert!(matches!(host.refused(lost).await, Error::Invalid(text) if text.contains("/no/such/directory")));
    let missing = ExecOptions::argv(["/no/such/program"]);
    assert!(matches!(host.refused(missing).await, Error::Invalid(text) if text.contains("/no/such/program")));
    let nobody = host.client.run(MachineId::random(), ExecOptions::shell("true")).await;
    assert!(matches!(nobody, Err(Error::MachineNotFound(text)) if text.contains("fleetmux machines")));
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group_even_one_that_ignores_sigterm() {
    let host = Host::start().await;
    let marker = marker("stubborn");
    let text = format!(
        "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' {marker} & wait; while :; do sleep 1; done"
    );
    let options = ExecOptions { timeout: Some(Duration::from_millis(300)), ..ExecOptions::shell(text) };
    let output = in_time("a timeout", host.client.run(host.machine, options)).await.unwrap();
    assert!(output.exit.is_timed_out);
    assert_eq!(output.exit.signal, Some(9));
    processes(&marker, 0).await;
}

#[tokio::test]
async fn five_megabytes_go_through_stdin_and_come_back_byte_for_byte() {
    let host = Host::start().await;
    let mut sent = vec![0; 5_000_000];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut sent).unwrap();
    let sent = Bytes::from(sent);
    let options = ExecOptions { has_stdin: true, ..ExecOptions::argv(["cat"]) };
    let handle = host.client.exec(host.machine, options).await.unwrap();
    let (stdin, data) = (handle.stdin(), sent.clone());
    tokio::spawn(async move {
        stdin.write(data).await.unwrap();
        stdin.close();
    });
    let output = in_time("the echo", handle.collect(usize::MAX)).await.unwrap();
    assert!(output.stdout == sent, "{} bytes came back", output.stdout.len());
    assert_eq!(output.exit.code, 0);
}

/// A command that reads one line of many must not hold up whoever writes the rest.
#[tokio::test]
async fn a_command_that_stops_reading_swallows_the_rest() {
    let host = Host::start().await;
    let options = ExecOptions { has_stdin: true, ..ExecOptions::shell("head -c 3; exec <&-; sleep 0.1") };
    let handle = host.client.exec(host.machine, options).await.unwrap();
    let stdin = handle.stdin();
    // Far more than pipe and windows hold; the end of the command ends the writing at the latest.
    let writer = tokio::spawn(async move { stdin.write(Bytes::from(vec![b'x'; 8_000_000])).await });
    let output = in_time("the end", handle.collect(100)).await.unwrap();
    assert_eq!((&output.stdout[..], output.exit.code), (&b"xxx"[..], 0));
    let _ = in_time("the writer's end", writer).await.unwrap();
}

#[tokio::test]
async fn a_hundred_megabytes_come_through_one_command_while_another_answers() {
    let host = Host::start().await;
    let options = ExecOptions { timeout: None, ..ExecOptions::shell("head -c 100000000 /dev/zero; echo end >&2") };
    let mut handle = host.client.exec(host.machine, options).await.unwrap();
    let (mut received, mut is_asked) = (0, false);
    let exit = in_time("100 MB", async {
        loop {
            match handle.recv().await.unwrap().unwrap() {
                ExecEvent::Stdout(data) => received += data.len(),
                ExecEvent::Exited(exit) => return exit,
                _ => {}
            }
            // In the middle of the flood.
            if received > 10_000_000 && !is_asked {
                is_asked = true;
                assert_eq!(host.sh("echo still here").await.stdout, "still here\n");
            }
        }
    })
    .await;
    assert_eq!((received, exit.code, is_asked), (100_000_000, 0, true));
}

/// Credit is end to end: a command that nobody reads stops, holds up nothing else, and goes on when it is read.
#[tokio::test]
async fn an_unread_flood_stops_at_its_window_and_nothing_else_does() {
    let host = Host::start().await;
    let mut floods = Vec::new();
    for _ in 0..8 {
        let options = ExecOptions { timeout: None, ..ExecOptions::shell("head -c 20000000 /dev/zero") };
        floods.push(host.client.exec(host.machine, options).await.unwrap());
    }
    // More than the connection's own window is unread now, and there is way for others all the same.
    for _ in 0..50 {
        assert_eq!(host.sh("echo through").await.stdout, "through\n");
    }
    for flood in floods {
        let output = in_time("a flood", flood.collect(usize::MAX)).await.unwrap();
        assert_eq!((output.stdout.len(), output.exit.code), (20_000_000, 0));
    }
}

#[tokio::test]
async fn a_thousand_commands_run_one_after_another_on_one_connection() {
    let host = Host::start().await;
    for _ in 0..1000 {
        let output = in_time("true", host.client.run(host.machine, ExecOptions::argv(["true"]))).await.unwrap();
        assert_eq!(output.exit.code, 0);
    }
}

/// With 256 open files to begin with, the descriptors of two hundred commands reach beyond what the commands may have.
#[tokio::test]
async fn two_hundred_commands_run_at_once() {
    let host = Host::start().await;
    let gate = host.fleet.dir.path().join("gate");
    let text = format!("echo ready; while [ ! -e {} ]; do sleep 0.2; done; ulimit -S -n", gate.display());
    let mut handles = Vec::new();
    for _ in 0..200 {
        handles.push(
            host.client.exec(host.machine, ExecOptions { timeout: None, ..ExecOptions::shell(&text) }).await.unwrap(),
        );
    }
    for handle in &mut handles {
        loop {
            if let Some(ExecEvent::Stdout(data)) = in_time("a start", handle.recv()).await.unwrap() {
                assert_eq!(data, "ready\n");
                break;
            }
        }
    }
    // All of them run now.
    std::fs::write(gate, "").unwrap();
    for handle in handles {
        let output = in_time("an end", handle.collect(100)).await.unwrap();
        assert_eq!((&output.stdout[..], output.exit.code), (format!("{SOFT_FILES}\n").as_bytes(), 0));
    }
}

/// The shell, a child of it, and a child that has turned its back on both.
fn tree(marker: &str) -> String {
    format!(
        "sh -c 'sleep 1000 & sleep 1001; : {marker}' & sh -c 'trap \"\" HUP INT; sleep 1002; : {marker}' & wait; : {marker}"
    )
}

#[tokio::test]
async fn cancelling_leaves_no_orphan() {
    let host = Host::start().await;
    let marker = marker("cancel");
    let options = ExecOptions { timeout: None, ..ExecOptions::shell(tree(&marker)) };
    let mut handle = host.client.exec(host.machine, options).await.unwrap();
    let group = match in_time("a start", handle.recv()).await.unwrap() {
        Some(ExecEvent::Started { pid }) => pid,
        other => panic!("{other:?}"),
    };
    processes(&marker, 3).await;
    handle.cancel(2);
    let exit: ExecExit = in_time("the end", handle.collect(100)).await.unwrap().exit;
    assert_eq!((exit.signal, exit.is_timed_out), (Some(2), false));
    processes(&marker, 0).await;
    in_time("the end of the group", no_group(group)).await;
}

/// Waits until no process is left in a group.
async fn no_group(group: u32) {
    let in_group =
        |stat: &str| stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(2)) == Some(&group.to_string());
    loop {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let mut stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        if !stats.any(|stat| in_group(&stat)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_dropped_handle_a_killed_client_and_a_lost_relay_leave_no_orphan() {
    let mut host = Host::start().await;
    let dropped = marker("dropped");
    let handle = host.client.exec(host.machine, ExecOptions::shell(tree(&dropped))).await.unwrap();
    processes(&dropped, 3).await;
    drop(handle);
    processes(&dropped, 0).await;

    let killed = marker("killed");
    let mut child = cli(&host.fleet, &["exec", "web-1", &tree(&killed)]).stdout(Stdio::null()).spawn().unwrap();
    // Ours has the marker among its own arguments.
    processes(&killed, 4).await;
    child.kill().unwrap();
    child.wait().unwrap();
    processes(&killed, 0).await;

    let lost = marker("lost");
    let handle = host.client.exec(host.machine, ExecOptions::shell(tree(&lost))).await.unwrap();
    processes(&lost, 3).await;
    host.fleet.kill_relay();
    processes(&lost, 0).await;
    let end = in_time("the end", handle.collect(100)).await;
    assert!(matches!(end, Err(Error::Unavailable(_))), "{end:?}");
}

#[tokio::test]
async fn a_machine_that_is_offline_or_goes_away_says_what_to_do() {
    let mut host = Host::start().await;
    let marker = marker("agent");
    let text = format!("echo up; sleep 1000; : {marker}");
    let mut handle = host.client.exec(host.machine, ExecOptions::shell(text)).await.unwrap();
    while !matches!(in_time("output", handle.recv()).await.unwrap(), Some(ExecEvent::Stdout(_))) {}
    processes(&marker, 1).await;
    host.fleet.kill_agent("web-1");
    // The agent had no time for anything: its guard ends what it left behind.
    processes(&marker, 0).await;
    let end = in_time("the end", handle.collect(100)).await.unwrap_err();
    assert!(matches!(&end, Error::MachineOffline(text) if text.contains("fleetmux machines")), "{end:?}");
    let refused = host.refused(ExecOptions::shell("true")).await;
    assert!(matches!(&refused, Error::MachineOffline(text) if text.contains("web-1 is offline")), "{refused:?}");
}

// ── the command line ──

fn cli(fleet: &Fleet, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetmux"));
    command.args(args).env("FLEETMUX_RELAY", fleet.endpoint().to_string());
    command.env("FLEETMUX_RUNTIME_DIR", fleet.dir.path()).stdin(Stdio::null());
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(fleet: &Fleet, args: &[&str]) -> Ran {
    ran(cli(fleet, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn ran(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Durations differ from run to run.
fn without_duration(json: &str) -> String {
    let (head, tail) = json.split_once("\"duration_ms\":").unwrap();
    let tail = tail.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
    format!("{head}\"duration_ms\": N{tail}")
}

#[tokio::test]
async fn the_command_line_mirrors_streams_and_exit_codes() {
    let host = Host::start().await;
    let fleet = &host.fleet;
    let mixed = run(fleet, &["exec", "web-1", "echo out; echo err >&2; exit 7"]);
    assert_eq!((mixed.code, mixed.out.as_str(), mixed.err.as_str()), (7, "out\n", "err\n"));
    assert_eq!(run(fleet, &["exec", "web-1", "kill -TERM $$"]).code, 143);
    let late = run(fleet, &["exec", "web-1", "--timeout", "0.2", "sleep 1000"]);
    assert_eq!((late.code, late.out.as_str()), (124, ""));
    assert_eq!(late.err, "fleetmux: web-1: timed out after 0.2 s; allow more with --timeout SECONDS (0: no limit)\n");
    let argv = run(fleet, &["exec", "web-1", "--env", "A=1", "--env", "B=x=y", "--", "sh", "-c", "echo $A $B"]);
    assert_eq!((argv.code, argv.out.as_str()), (0, "1 x=y\n"));
    let nobody = run(fleet, &["exec", "web-9", "true"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (255, ""));
    assert_eq!(nobody.err, "fleetmux: no machine is called \"web-9\"; there are: web-1\n");
    let nothing = run(fleet, &["exec", "role=web", "true"]);
    assert_eq!(nothing.code, 255);
    assert_eq!(nothing.err, "fleetmux: no machine fits role=web; see `fleetmux machines` for names and labels\n");
    let mut piped = cli(fleet, &["exec", "web-1", "tr a-z A-Z"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"shout\n").unwrap();
    assert_eq!(ran(child).out, "SHOUT\n");
}

#[tokio::test]
async fn json_has_the_documented_fields_in_their_order() {
    let host = Host::start().await;
    let ran = run(&host.fleet, &["exec", "web-1", "--json", "printf hello; printf oops >&2; exit 2"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""));
    assert_eq!(
        without_duration(&ran.out),
        r#"{
  "hostname": "web-1",
  "command": "printf hello; printf oops >&2; exit 2",
  "exit_code": 2,
  "output": "hellooops",
  "duration_ms": N,
  "stderr": null,
  "signal": null,
  "truncated": false,
  "timed_out": false,
  "error": null,
  "machine": "web-1"
}
"#
    );
}

#[tokio::test]
async fn an_interrupt_ends_the_command_there_and_then_us() {
    let host = Host::start().await;
    let marker = marker("interrupt");
    let text = format!("echo up; sleep 1000; : {marker}");
    let child = cli(&host.fleet, &["exec", "web-1", &text]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    processes(&marker, 2).await;
    signal(child.id(), "INT");
    let ended = tokio::task::spawn_blocking(move || ran(child)).await.unwrap();
    assert_eq!((ended.code, ended.out.as_str()), (130, "up\n"));
    processes(&marker, 0).await;
}

/// Three machines, one of them gone.
async fn fleet_of_three() -> Fleet {
    let mut fleet = Fleet::start(&["web-1", "web-2", "db-1"]);
    let client = fleet.client();
    for name in ["web-1", "web-2", "db-1"] {
        fleet.machine(&client, name).await;
    }
    fleet.kill_agent("db-1");
    let mut watch = client.watch_fleet();
    in_time("db-1 offline", async {
        loop {
            use fleetmux::client::FleetEvent;
            let machines = match watch.recv().await.unwrap() {
                FleetEvent::Snapshot { machines, .. } => machines,
                FleetEvent::Machine(machine) => vec![machine],
                _ => continue,
            };
            if machines.iter().any(|machine| machine.facts.name == "db-1" && !machine.is_online) {
                return;
            }
        }
    })
    .await;
    fleet
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn several_machines_are_told_apart_summed_up_folded_and_written_to_files() {
    let fleet = fleet_of_three().await;
    let live = run(&fleet, &["exec", "host~^web", "echo one; echo two"]);
    assert_eq!((live.code, live.err.as_str()), (0, "2 machines: 2 ok\n"));
    assert_eq!(sorted(&live.out), ["web-1 | one", "web-1 | two", "web-2 | one", "web-2 | two"]);

    let some = run(&fleet, &["exec", "all", "--parallel", "1", "exit 4"]);
    assert_eq!(some.code, 1);
    let offline =
        "fleetmux: db-1: db-1 is offline; see `fleetmux machines`, or run `fleetmux agent start` on that machine";
    let summary = "3 machines: 2 failed (web-1: 4, web-2: 4), 1 unreachable (db-1)";
    assert_eq!(sorted(&some.err), [summary, offline]);
    assert_eq!(run(&fleet, &["exec", "host=db-1", "true"]).code, 255);

    let folded = run(&fleet, &["exec", "web-1,web-2", "--fold", "echo same"]);
    assert_eq!((folded.code, folded.out.as_str()), (0, "── web-1, web-2 (2 machines) ──\nsame\n"));

    let json = run(&fleet, &["exec", "web-2,web-1", "--json", "--timeout", "0.2", "echo x; sleep 1000"]);
    assert_eq!(json.code, 1);
    for line in json.out.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&value["exit_code"], &value["output"], &value["timed_out"]),
            (&124.into(), &"x\n".into(), &true.into())
        );
    }
    assert!(json.err.ends_with("2 machines: 2 timed out (web-1, web-2)\n"), "{}", json.err);

    let dir = fleet.dir.path().join("logs");
    let logged = run(&fleet, &["exec", "web-1,web-2", "--out-dir", dir.to_str().unwrap(), "echo out; echo err >&2"]);
    assert_eq!((logged.code, logged.out.as_str()), (0, ""));
    for (file, text) in [("web-1.out", "out\n"), ("web-1.err", "err\n"), ("web-2.out", "out\n"), ("web-2.err", "err\n")]
    {
        assert_eq!(read(&dir.join(file)), text, "{file}");
    }

    let mut piped = cli(&fleet, &["exec", "web-1,web-2", "cat"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"to all\n").unwrap();
    assert_eq!(sorted(&ran(child).out), ["web-1 | to all", "web-2 | to all"]);
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The reader of our output goes away: the command is ended, and this program with it.
#[tokio::test]
async fn nobody_reading_ends_the_command() {
    let host = Host::start().await;
    let marker = marker("pipe");
    let text = format!("yes; : {marker}");
    let mut child =
        cli(&host.fleet, &["exec", "web-1", "--timeout", "0", &text]).stdout(Stdio::piped()).spawn().unwrap();
    processes(&marker, 2).await;
    drop(child.stdout.take());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert_eq!(in_time("its end", status).await.unwrap().code(), Some(141));
    processes(&marker, 0).await;
}

/// A command with 5 s to run waited 19 s for a stopped agent, and was then said to have been ended there.
#[tokio::test]
async fn a_stopped_agent_costs_a_command_its_own_time_and_no_more() {
    let host = Host::start().await;
    let lock = host.fleet.dir.path().join("web-1/agent.lock");
    let agent: u32 = read(&lock).trim().parse().unwrap();
    crate::support::signal(agent, "STOP");
    let since = std::time::Instant::now();
    let trace = host.fleet.dir.path().join("it-ran");
    let text = format!("touch {}", trace.display());
    let options = ExecOptions { timeout: Some(Duration::from_secs(2)), ..ExecOptions::shell(&text) };
    let refused = host.client.run(host.machine, options).await.unwrap_err().to_string();
    let waited = since.elapsed();
    crate::support::signal(agent, "CONT");
    assert!(refused.contains("did not answer in time, so the command has not started"), "{refused}");
    assert!(waited < Duration::from_secs(10), "{waited:?}: the link's own death comes after 20 s");
    // It found asking and calling off together, and once ran what it had been said not to.
    host.client.run(host.machine, ExecOptions::shell("true")).await.unwrap();
    assert!(!trace.exists(), "what has not started does not start later");
}

//! What programs of sessions and commands begin with: the same whatever the agent was started from.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;

use fleetmux::client::ExecOptions;
use fleetmux::fleet::Size;

use crate::connect::Terminal;
use crate::support::{Fleet, PATIENCE, Pane, driver, sh, until};

/// Each line says one thing that a program begins with.
const REPORT: &str = r#"
awk '/^Sig(Ign|Blk)|^Groups|^NoNewPrivs/' /proc/self/status
(for fd in /proc/self/fd/*; do n=${fd##*/}; case $(readlink "$fd" 2>/dev/null) in ''|/proc/*|/dev/pts/*|pipe:*|/dev/null) ;; *) echo "fd $n $(readlink "$fd")";; esac; done)
echo "umask $(umask)"
for limit in c d f l m n s t u v; do echo "ulimit -$limit $(ulimit -S -$limit 2>/dev/null)"; done
env | sort | grep -v '^_=\|^FLEETMUX_SESSION=\|^FLEETMUX_.*_DIR=\|^PWD=\|^OLDPWD=\|^SHLVL=' | sed 's/^/env /'
(: </dev/tty) 2>/dev/null && echo "has a terminal" || echo "has no terminal"
echo "group of its own $([ "$(ps -o pgid= -p $$ | tr -d ' ')" = "$$" ] && echo yes || echo no)"
"#;

/// How an agent may have been started: commands of the shell that becomes it.
fn starts(dir: &std::path::Path) -> BTreeMap<&'static str, String> {
    let lock = dir.join("lock");
    let lock = lock.display();
    let path = "PATH=/usr/bin:/bin";
    BTreeMap::from([
        ("a shell", String::new()),
        // What a shell does to its background jobs, and more than one supervisor would.
        ("a background", "trap '' INT QUIT TSTP USR1 HUP TTOU".into()),
        ("cron", format!("for v in $(env | cut -d= -f1 | grep -v '^FLEETMUX_'); do unset $v; done; export HOME=/ SHELL=/bin/sh LOGNAME=root {path}; umask 077")),
        ("a unit", format!("for v in $(env | cut -d= -f1 | grep -v '^FLEETMUX_'); do unset $v; done; export {path} INVOCATION_ID=1 NOTIFY_SOCKET=/x JOURNAL_STREAM=1:1; ulimit -S -c 0")),
        ("sudo", "export SUDO_USER=eve SUDO_COMMAND=x MAIL=/var/mail/root USERNAME=eve PATH=/home/eve/bin:$PATH USER=eve LOGNAME=eve".into()),
        (
            "a terminal",
            format!(
                "exec 9>{lock} 7</etc/passwd; export TMUX=x TMUX_PANE=%1 STY=x LINES=3 COLUMNS=7 TERM_PROGRAM=x TERM_PROGRAM_VERSION=1 \
                 KITTY_WINDOW_ID=1 KITTY_PID=2 WINDOWID=3 SSH_TTY=/dev/pts/9 SSH_CONNECTION='1 2 3 4' SSH_CLIENT=x TERM=dumb \
                 LC_ALL=C LANG=de_DE FLEETMUX_API_KEY=fm_secret CMDOP_API_KEY=cmdop_secret VTE_VERSION=1; umask 000; ulimit -S -s 1024"
            ),
        ),
    ])
}

async fn reports(name: &str, before: &str) -> (String, String) {
    let mut fleet = Fleet::start(&[]);
    fleet.start_agent_within(name, before);
    let client = fleet.client();
    let machine = fleet.machine(&client, name).await.facts.id;
    let output =
        tokio::time::timeout(PATIENCE, client.run(machine, ExecOptions::shell(REPORT))).await.unwrap().unwrap();
    let told = fleet.dir.path().join("told");
    let script = format!("({REPORT}) > {0}.new; mv {0}.new {0}; sleep 600", told.display());
    let session = client.create_session(machine, sh(&script)).await.unwrap();
    let _pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    until("the session's program reports", || told.exists()).await;
    // Each agent has names of its program in a directory of its own, behind all others.
    let own = format!(":{}/{name}/bin", fleet.dir.path().display());
    let texts = [String::from_utf8_lossy(&output.stdout).into_owned(), std::fs::read_to_string(told).unwrap()];
    assert!(texts.iter().all(|text| text.contains(&own)), "{texts:?}");
    let [exec, session] = texts.map(|text| text.replace(&own, ""));
    (exec, session)
}

#[tokio::test]
async fn a_program_begins_the_same_whatever_the_agent_was_started_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut first: Option<(String, String)> = None;
    for (how, before) in starts(dir.path()) {
        let (exec, session) = reports("web-1", &before).await;
        for (what, text) in [("a command", &exec), ("a session", &session)] {
            let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or("none").to_owned();
            // 32 and 33 are the C library's own: nobody but the kernel's caller could have ignored them, or can catch them.
            let mask = |name| u64::from_str_radix(line(name).rsplit('\t').next().unwrap(), 16).unwrap();
            assert_eq!((mask("SigIgn") & !(0b11 << 31), mask("SigBlk")), (0, 0), "{what} from {how}: {text}");
            assert_eq!(line("fd "), "none", "{what} from {how}: {text}");
            assert!(line("env LANG=").to_lowercase().contains("utf"), "{what} from {how}: {text}");
            for stray in
                ["TMUX", "KITTY", "SSH_", "LINES", "TERM_PROGRAM", "LC_ALL", "SUDO", "API_KEY", "NOTIFY", "eve"]
            {
                assert!(!text.contains(stray), "{what} from {how} has {stray}: {text}");
            }
        }
        assert!(session.contains("has a terminal") && session.contains("env TERM=xterm-256color"), "{session}");
        assert!(exec.contains("has no terminal") && !exec.contains("env TERM="), "{exec}");
        // Whoever started this test may have left a home of its own.
        let without_home =
            |text: &str| text.lines().filter(|line| !line.starts_with("env HOME=")).collect::<Vec<_>>().join("\n");

        let now = (without_home(&exec), without_home(&session));
        let first = first.get_or_insert_with(|| now.clone());
        assert_eq!((&now.0, &now.1), (&first.0, &first.1), "from {how}");
    }
}

/// The rules of web-1, whose agent is not there yet, keep these variables.
fn keep(fleet: &Fleet, variables: &str) {
    let dir = fleet.dir.path().join("web-1");
    std::fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    std::fs::write(dir.join("permissions.toml"), format!("[environment]\nkeep = {variables}\n")).unwrap();
}

#[tokio::test]
async fn variables_that_the_rules_keep_are_kept() {
    let mut fleet = Fleet::start(&[]);
    keep(&fleet, r#"["KUBECONFIG", "ACME_*"]"#);
    fleet.start_agent_within("web-1", "umask 022; export KUBECONFIG=/k ACME_ONE=1 ACME_TWO=2 ACM=3");
    let client = fleet.client();
    let machine = fleet.machine(&client, "web-1").await.facts.id;
    let text = "echo $KUBECONFIG $ACME_ONE $ACME_TWO $ACM";
    let output = tokio::time::timeout(PATIENCE, client.run(machine, ExecOptions::shell(text))).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/k 1 2\n");
}

/// A session that outlived a login asked the SSH agent of that login, which was gone.
#[tokio::test]
async fn the_ssh_agent_of_the_newest_login_is_found_by_those_who_want_it() {
    let mut fleet = Fleet::start(&[]);
    keep(&fleet, r#"["SSH_AUTH_SOCK"]"#);
    fleet.start_agent("web-1");
    let client = fleet.client();
    let machine = fleet.machine(&client, "web-1").await.facts.id;
    let session = fleet.session(&client, "web-1", sh("echo ready; exec cat")).await.id().to_string();
    let runtime = fleet.dir.path().to_str().unwrap();
    for login in ["one", "two"] {
        let socket = fleet.dir.path().join(login);
        let _agent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let env = [("SSH_AUTH_SOCK", socket.to_str().unwrap()), ("FLEETMUX_RUNTIME_DIR", runtime)];
        let mut terminal = Terminal::start_with(&fleet, &["connect", "web-1", "--session", &session], &env);
        terminal.until_text("ready").await;
        let run = client.run(machine, ExecOptions::shell("readlink $SSH_AUTH_SOCK"));
        let output = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), socket.to_str().unwrap());
        terminal.send(b"\x04");
        assert!(terminal.ended().await.success());
    }
}

/// A command could read what was typed at the terminal that the agent had been started in, and write there.
#[tokio::test]
async fn a_command_has_no_terminal_though_the_agent_has_one() {
    let fleet = Fleet::start(&[]);
    let dir = fleet.dir.path().join("web-1");
    let (mut terminal, pts) = pty_process::blocking::open().unwrap();
    let mut agent = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"))
        .args(["agent", "start", "--foreground", "--name", "web-1", "--relay", &fleet.endpoint().to_string()])
        .args(["--dir", dir.to_str().unwrap(), "--die-with-parent"])
        .env("FLEETMUX_RUNTIME_DIR", fleet.dir.path())
        .spawn(pts)
        .unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut terminal, &mut std::io::sink()));
    let client = fleet.client();
    let machine = fleet.machine(&client, "web-1").await.facts.id;
    let run = async |options| tokio::time::timeout(PATIENCE, client.run(machine, options)).await.unwrap();
    let asked = "(echo heard >/dev/tty) 2>/dev/null && echo has a terminal || echo has none; ps -o sid= -p $$ | tr -d ' '; echo $$";
    let output = run(ExecOptions::shell(asked)).await.unwrap();
    let text = String::from_utf8(output.stdout.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[1]), ("has none", lines[2]), "{text}");
    let refused = run(ExecOptions::argv(["no-such-program"])).await.unwrap_err().to_string();
    assert!(refused.contains("no-such-program"), "{refused}");
    agent.kill().unwrap();
    agent.wait().unwrap();
    let _ = reader.join();
}

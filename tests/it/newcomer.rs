//! What a newcomer does: README's commands, in README's order, from nothing to two machines over TLS, and back after a
//! restart of everything. The commands are read from README itself, so it says nothing that does not work.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use fleetmux::agent::lock_holder;
use fleetmux::client::{Client, Error, Options};
use fleetmux::fleet::{Credentials, Secret, Size};
use tempfile::TempDir;

use crate::connect::Terminal;
use crate::support::{PATIENCE, kill, processes_naming, signal, until};

const README: &str = include_str!("../../README.md");
/// How README calls the relay's host.
const HOST: &str = "relay.example.org";

/// The commands under a heading of a document, without its comments.
pub fn commands_under(text: &str, heading: &str) -> Vec<String> {
    let section = text.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is there");
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of commands");
    let commands = block.lines().map(|line| line.split("  #").next().unwrap_or(line).trim());
    commands.filter(|line| !line.is_empty() && !line.starts_with('#')).map(String::from).collect()
}

/// The one of these commands that begins so.
pub fn command(of: &[String], begin: &str) -> String {
    let mut found = of.iter().filter(|command| command.starts_with(begin));
    let command = found.next().unwrap_or_else(|| panic!("README has no command {begin:?} there: {of:#?}")).clone();
    assert_eq!(found.next(), None, "{begin:?} is one command");
    command
}

/// A country of four homes: the relay's, two machines', and a person's desk. Nothing but the network is shared.
struct World {
    dir: TempDir,
    /// A loopback address that is this test's own, so that README's port is free on it.
    address: String,
    relay: Option<Child>,
}

impl World {
    fn new() -> World {
        let dir = tempfile::Builder::new().prefix("fmn").tempdir().unwrap();
        let [.., high, low] = std::process::id().to_be_bytes();
        World { dir, address: format!("127.77.{high}.{}", low.max(1)), relay: None }
    }

    fn home(&self, place: &str) -> PathBuf {
        let home = self.dir.path().join(place);
        fs::create_dir_all(&home).unwrap();
        home
    }

    /// A line of README as it is typed here: the relay's host has another name, and serves on one address.
    fn typed(&self, line: &str) -> String {
        line.replace(HOST, &self.address).replace("0.0.0.0", &self.address)
    }

    /// A shell at a place, with that home and nothing of this machine's own user.
    fn envs(&self, place: &str) -> Vec<(String, String)> {
        let home = self.home(place).to_str().unwrap().to_string();
        let bin = PathBuf::from(env!("CARGO_BIN_EXE_fleetmux"));
        let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let envs = [("HOME", home.as_str()), ("XDG_RUNTIME_DIR", &home), ("PATH", &path), ("USER", "ada")];
        let more = [("LANG", "C.UTF-8"), ("TERM", "xterm-256color"), ("SHELL", "/bin/bash")];
        envs.into_iter().chain(more).map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn shell(&self, place: &str, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &self.typed(line)]).env_clear().envs(self.envs(place)).stdin(Stdio::null());
        command
    }

    fn outcome(&self, place: &str, line: &str) -> Output {
        self.shell(place, line).output().unwrap()
    }

    /// Runs a line that succeeds, and what it printed.
    fn run(&self, place: &str, line: &str) -> String {
        let output = self.outcome(place, line);
        assert!(output.status.success(), "at {place}: {line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn terminal(&self, place: &str, line: &str, size: Size) -> Terminal {
        let command = pty_process::blocking::Command::new("/bin/sh").args(["-c", &self.typed(line)]);
        Terminal::run(command.env_clear().envs(self.envs(place)), size)
    }

    /// Starts the relay and waits until it says where it listens.
    fn serve(&mut self, line: &str) {
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("relay.err")).unwrap();
        let mut command = self.shell("relay", &format!("exec {line}"));
        let mut relay = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), format!("tls://{}:7443", self.address));
        self.relay = Some(relay);
    }

    fn agent_of(&self, place: &str) -> Option<u32> {
        lock_holder(&self.home(place).join("fleetmux/agent"))
    }

    fn login(&self, line: &str, key: &str) -> String {
        let mut login = self.shell("desk", line);
        let mut login = login.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        login.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
        let output = login.wait_with_output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The place where the person sits sees both machines online.
    async fn both_online(&self) {
        until("both machines are online", || {
            let listed = self.run("desk", "fleetmux machines");
            ["web-1", "web-2"].iter().all(|name| {
                listed.lines().any(|line| line.starts_with(&format!("{name} ")) && line.contains(" online "))
            })
        })
        .await;
    }

    fn audit(&self) -> String {
        let dir = self.home("relay").join(".local/state/fleetmux/relay");
        ["audit.jsonl", "audit-refused.jsonl"].map(|name| fs::read_to_string(dir.join(name)).unwrap()).concat()
    }

    /// Kills relay and agents where they stand.
    async fn kill_everything(&mut self) {
        kill(self.relay.take());
        for place in ["web-1", "web-2"] {
            signal(self.agent_of(place).expect("an agent runs"), "KILL");
            until("the agent is gone", || self.agent_of(place).is_none()).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        kill(self.relay.take());
        for agent in ["web-1", "web-2"].iter().filter_map(|place| self.agent_of(place)) {
            signal(agent, "KILL");
        }
        // Keepers outlive their agents by design: they name their sockets' directory.
        for pid in processes_naming(&self.dir.path().to_string_lossy()) {
            signal(pid, "KILL");
        }
    }
}

/// The newest `count N of PID` on a terminal's screen.
fn newest(terminal: &Terminal) -> Option<(u64, u32)> {
    let parse = |line: &str| {
        let (count, pid) = line.strip_prefix("count ")?.split_once(" of ")?;
        Some((count.parse().ok()?, pid.trim().parse().ok()?))
    };
    terminal.text().lines().filter_map(parse).max()
}

#[tokio::test]
async fn readme_leads_from_nothing_to_two_machines_and_a_restart_of_everything_ends_no_session() {
    let mut world = World::new();
    let several = commands_under(README, "Several machines");
    let daily = commands_under(README, "On the command line");

    // Where the relay runs.
    let init = world.run("relay", &command(&several, "fleetmux relay init"));
    let fingerprint = init.split("CA fingerprint: ").nth(1).unwrap().split_whitespace().next().unwrap().to_string();
    let token = init.split_whitespace().find(|word| word.starts_with("fmj_")).expect("a first join token").to_string();
    let serve = command(&several, "fleetmux relay --listen");
    world.serve(&serve);

    // On each machine.
    let (join, start) = (command(&several, "fleetmux agent join"), command(&several, "fleetmux agent start"));
    let second = world.run("relay", "fleetmux relay token");
    for (name, token) in [("web-1", token.trim()), ("web-2", second.trim())] {
        let said = world.run(name, &join.replace("TOKEN", token).replace("web-1", name));
        assert!(said.starts_with(&format!("{name} has joined tls://{}:7443", world.address)), "{said}");
        let said = world.run(name, &start);
        assert!(said.starts_with("agent started"), "{said}");
    }

    // A key, and where the person sits.
    let create = command(&several, "fleetmux keys create");
    let login = command(&several, "fleetmux login").replace("FINGERPRINT", &fingerprint);
    let key = world.run("relay", &create).trim().to_string();
    let said = world.login(&login, &key);
    assert!(said.contains("key:ada") && said.contains("observe, drive, exec"), "{said}");
    assert!(several.contains(&"fleetmux machines".to_string()), "{several:#?}");
    world.both_online().await;

    // The wall, which shows both in its sidebar; the leader and q leave it.
    assert_eq!(several.last().unwrap(), "fleetmux");
    let mut wall = world.terminal("desk", several.last().unwrap(), Size::new(40, 160));
    wall.until("both machines on the wall", |wall| wall.text().contains("web-1") && wall.text().contains("web-2"))
        .await;
    wall.send(b"\x07q");
    assert!(wall.ended().await.success());

    // connect: a shell on the machine, in which something long is started and left alone.
    let connect = command(&daily, "fleetmux connect web-1");
    let mut terminal = world.terminal("desk", &connect, Size::DEFAULT);
    terminal.until_text("Connected to web-1").await;
    terminal.send(b"echo \"typed at the $USER's desk\" | tr a-z A-Z\r");
    let user = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap().trim().to_uppercase();
    terminal.until_text(&format!("TYPED AT THE {user}'S DESK")).await;
    terminal.send(b"sh -c 'n=0; while sleep 0.02; do n=$((n+1)); echo count $n of $$; done'\r");
    terminal.until("it counts", |terminal| newest(terminal).is_some_and(|(count, _)| count > 20)).await;
    let greeting = String::from_utf8_lossy(&terminal.raw).into_owned();
    let session = greeting.lines().find(|line| line.starts_with("Session: ")).unwrap().trim().to_string();
    terminal.send(b"\x04");
    assert!(terminal.ended().await.success());
    let (left_at, counter) = newest(&terminal).unwrap();

    // exec: one machine, and both by selector.
    let uptime = world.run("desk", &command(&daily, "fleetmux exec web-1"));
    assert!(uptime.contains("load average"), "{uptime}");
    let both = command(&daily, "fleetmux exec --fold");
    let kernel = world.run("desk", "uname -r");
    let folded = world.run("desk", &both);
    assert!(folded.contains(kernel.trim()) && folded.contains("web-1") && folded.contains("web-2"), "{folded}");
    let homes = world.run("desk", "fleetmux exec role=web 'echo $HOME'");
    for name in ["web-1", "web-2"] {
        let line = format!("{name} | {}", world.home(name).display());
        assert!(homes.lines().any(|said| said == line), "{homes}");
    }

    // Revoking the key cuts its holder off at once, and says why.
    assert!(README.contains("`keys revoke ada`"));
    world.run("relay", "fleetmux keys revoke ada");
    let refused = world.outcome("desk", "fleetmux machines");
    assert_eq!(refused.status.code(), Some(255));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("key ada is revoked"), "{said}");
    let ca_pem = fs::read_to_string(world.home("relay").join(".local/state/fleetmux/relay/ca.pem")).unwrap();
    let credentials = Credentials { key: Some(Secret::new(&key)), ca_pem: Some(ca_pem), ca_fingerprint: None };
    let endpoint = format!("tls://{}:7443", world.address).parse().unwrap();
    let client = Client::connect(endpoint, Options { credentials, ..Options::default() });
    let refused = client.connected(PATIENCE).await.unwrap_err();
    assert!(matches!(&refused, Error::Unauthenticated(why) if why.contains("key ada is revoked")), "{refused:?}");
    until("the audit log says so", || {
        let audit = world.audit();
        let has = |event: &str, text: &str| {
            audit.lines().any(|line| line.contains(&format!("\"event\":\"{event}\"")) && line.contains(text))
        };
        has("key_revoked", "ada") && has("auth_failed", "key ada is revoked") && has("attach", "key:ada")
    })
    .await;

    // Everything restarts, with the same commands; the person gets a new key.
    world.kill_everything().await;
    world.serve(&serve);
    for name in ["web-1", "web-2"] {
        world.run(name, &start);
    }
    let key = world.run("relay", &create);
    world.login(&login, key.trim());
    world.both_online().await;
    let mut terminal = world.terminal("desk", &connect, Size::DEFAULT);
    terminal.until("the counter has gone on", |terminal| newest(terminal).is_some_and(|(n, _)| n > left_at)).await;
    let (came_back_at, still) = newest(&terminal).unwrap();
    assert_eq!(still, counter, "the same process");
    assert!(String::from_utf8_lossy(&terminal.raw).contains(&session), "the same session");
    terminal.until("it still counts", |terminal| newest(terminal).is_some_and(|(n, _)| n > came_back_at + 20)).await;
    // Ctrl+C reaches it, and the shell below is the one from before.
    terminal.send(b"\x03");
    terminal.send(b"fleetmux --version; exit 7\r");
    assert_eq!(terminal.ended().await.code(), Some(7));
}

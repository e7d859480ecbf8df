//! A relay with keys, agents, and the runners of the cases, gone with the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fleetmux::client::{Client, FleetEvent, Options};
use fleetmux::fleet::Endpoint;
use tempfile::TempDir;

/// A step that takes longer has failed; no case depends on it being reached.
const PATIENCE: Duration = Duration::from_secs(150);
/// The password of a machine that has one.
const PASSWORD: &str = "correct horse battery";

/// How the relay is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Plain,
    Tls,
    /// With TLS, and the cases do not know its CA.
    TlsUntrusted,
    /// The background server of this user, found by its discovery files.
    Local,
}

pub(crate) struct World {
    dir: TempDir,
    listen: Listen,
    relay: Option<Child>,
    /// Another relay without TLS, for whoever speaks TLS to it.
    plain: Option<Child>,
    /// `host:port`.
    pub(crate) server: String,
    plain_server: String,
    agents: Vec<(String, Option<Child>)>,
    pub(crate) key: String,
    observer: String,
    /// A key of another workspace.
    other: String,
}

impl World {
    pub(crate) fn start(listen: Listen, machines: &[&str]) -> World {
        let mut world = World::empty(listen);
        if listen != Listen::Plain {
            let dir = world.path("relay");
            world.run(&["relay", "init", "--dir", dir.to_str().unwrap(), "--name", "localhost"]);
            let (plain, server) = world.relay(&["relay", "--listen", "127.0.0.1:0"]);
            (world.plain, world.plain_server) = (Some(plain), server);
        }
        world.start_relay("127.0.0.1:0");
        for machine in machines {
            world.agents.push((machine.to_string(), None));
            world.start_agent(machine);
        }
        let all = ["keys", "create", "--prefix", "cmdop_", "--name", "cases"];
        world.key = world.said(&all);
        world.observer =
            world.said(&["keys", "create", "--prefix", "cmdop_", "--name", "looks", "--actions", "observe"]);
        world.other =
            world.said(&["keys", "create", "--prefix", "cmdop_", "--name", "other", "--workspace", "elsewhere"]);
        assert!(world.key.starts_with("cmdop_"), "{}", world.key);
        world
    }

    /// This user's own background server, with its discovery files.
    pub(crate) fn local() -> World {
        let mut world = World::empty(Listen::Local);
        let home = world.path("home");
        fs::create_dir_all(home.join(".cmdop")).unwrap();
        // What a server that was killed left behind.
        let stale = format!(r#"{{"pid": {}, "address": "/nowhere", "transport": "unix"}}"#, i32::MAX);
        fs::write(home.join(".cmdop/agent.info"), stale).unwrap();
        fs::create_dir_all(world.path("run")).unwrap();
        world.start_server();
        world
    }

    fn start_server(&mut self) {
        let dir = self.path("run");
        let mut server = self.command(&["server", "--dir", dir.to_str().unwrap()]);
        let mut child = server.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "{}", self.log());
        self.relay = Some(child);
        self.wait_for(&Endpoint::Unix(dir.join("relay.sock")), None);
    }

    fn empty(listen: Listen) -> World {
        let dir = tempfile::Builder::new().prefix("sdk").tempdir().unwrap();
        for name in ["home", "xdg"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        World {
            dir,
            listen,
            relay: None,
            plain: None,
            server: String::new(),
            plain_server: String::new(),
            agents: Vec::new(),
            key: String::new(),
            observer: String::new(),
            other: String::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How its owner reaches the relay.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self.listen {
            Listen::Plain | Listen::Local => Endpoint::Tcp(self.server.clone()),
            Listen::Tls | Listen::TlsUntrusted => Endpoint::Unix(self.path("relay/relay.sock")),
        }
    }

    fn start_relay(&mut self, address: &str) {
        let (relay, server) = if self.listen == Listen::Plain {
            let store = self.path("relay.redb");
            self.relay(&["relay", "--listen", address, "--store", store.to_str().unwrap()])
        } else {
            let (listen, dir) = (format!("tls://{address}"), self.path("relay"));
            self.relay(&["relay", "--listen", &listen, "--dir", dir.to_str().unwrap()])
        };
        (self.relay, self.server) = (Some(relay), server);
    }

    fn relay(&self, args: &[&str]) -> (Child, String) {
        let mut child = self.command(args).arg("--die-with-parent").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        match line.trim().parse().expect("the relay says where it listens") {
            Endpoint::Tcp(address) => (child, address),
            Endpoint::Tls(address) => (child, address.replace("127.0.0.1", "localhost")),
            Endpoint::Unix(path) => panic!("{}", path.display()),
        }
    }

    pub(crate) fn restart_relay(&mut self) {
        kill(self.relay.take());
        let address = self.server.clone();
        self.start_relay(&address);
    }

    fn start_agent(&mut self, name: &str) {
        let (dir, relay) = (self.path(name), self.endpoint().to_string());
        let args =
            ["agent", "start", "--foreground", "--name", name, "--relay", &relay, "--dir", dir.to_str().unwrap()];
        let child = self.command(&args).arg("--die-with-parent").stdout(Stdio::null()).spawn().unwrap();
        self.agents.iter_mut().find(|agent| agent.0 == name).unwrap().1 = Some(child);
        self.wait_for(&self.endpoint(), Some(name));
    }

    /// Waits until a machine is online.
    fn wait_for(&self, endpoint: &Endpoint, name: Option<&str>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let online = async {
            let client = Client::connect(endpoint.clone(), Options::default());
            let mut watch = client.watch_fleet();
            loop {
                let machines = match watch.recv().await.expect("the watch goes on") {
                    FleetEvent::Snapshot { machines, .. } => machines,
                    FleetEvent::Machine(machine) => vec![machine],
                    _ => continue,
                };
                if machines.iter().any(|m| m.is_online && name.is_none_or(|name| m.facts.name == name)) {
                    return;
                }
            }
        };
        runtime.block_on(async { tokio::time::timeout(PATIENCE, online).await.expect("the machine comes online") });
    }

    fn command(&self, args: &[&str]) -> Command {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.at_home(env!("CARGO_BIN_EXE_fleetmux"));
        command.args(args).stdin(Stdio::null()).stderr(log);
        command
    }

    /// A program in the surroundings of this world's user, and in nothing of the one who tests.
    fn at_home(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SHELL", "/bin/bash").env("HOME", self.path("home")).env("LANG", "C.UTF-8");
        command.env("FLEETMUX_RUNTIME_DIR", self.path("run")).env("FLEETMUX_STATE_DIR", self.path("state"));
        command.env("FLEETMUX_CONFIG_DIR", self.path("config")).env("XDG_RUNTIME_DIR", self.path("xdg"));
        command.env_remove("FLEETMUX_RELAY").env_remove("FLEETMUX_API_KEY").env_remove("CMDOP_API_KEY");
        command
    }

    /// A program of somebody who has fleetmux, both SDKs and the relay's CA, and reads in README what to do with them.
    pub(crate) fn reader(&self, program: &str) -> Command {
        let bins = [Path::new(env!("CARGO_BIN_EXE_fleetmux")).parent().unwrap().into(), installed().join("py/bin")];
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(bins.into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = self.at_home(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).env("PATH", path);
        command.env("NODE_PATH", installed().join("node/node_modules")).env("PIP_NO_INDEX", "1");
        command.env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", self.path("relay/ca.pem"));
        command.env("FLEETMUX_RELAY", self.endpoint().to_string()).env("CMDOP_GRPC_SERVER", &self.server);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", self.log());
        output
    }

    /// What a command of the relay's owner prints.
    fn said(&self, args: &[&str]) -> String {
        let relay = self.endpoint().to_string();
        String::from_utf8(self.run(&[args, &["--relay", &relay]].concat()).stdout).unwrap().trim().to_string()
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn node(mut self, id: &str) {
        let mut command = Command::new("node");
        command.arg(cases("node/cases.js")).arg(id).env("NODE_PATH", installed().join("node/node_modules"));
        self.case(id, command);
    }

    pub(crate) fn python(mut self, id: &str) {
        let mut command = python();
        command.arg(cases("python/cases.py")).arg(id);
        self.case(id, command);
    }

    /// Runs a case and does what it asks for.
    fn case(&mut self, id: &str, mut command: Command) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("xdg"))
            .env("CASE_DIR", self.dir.path());
        command.env("CASE_SERVER", &self.server).env("CASE_PLAIN", &self.plain_server);
        command
            .env("CASE_KEY", &self.key)
            .env("CASE_OBSERVER", &self.observer)
            .env("CASE_PASSWORD", PASSWORD)
            .env("CASE_OTHER", &self.other);
        command.env("CASE_ONE", "web-one").env("CASE_TWO", "web-two");
        command.env_remove("CMDOP_AGENT_INFO").env_remove("CMDOP_API_KEY").env_remove("CMDOP_AGENT_PASSWORD");
        if self.listen == Listen::Tls || self.listen == Listen::TlsUntrusted {
            command.env("CASE_TLS", "1");
        }
        if self.listen == Listen::Tls {
            command.env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", self.path("relay/ca.pem"));
        }
        let mut child = command.process_group(0).spawn().unwrap();
        let watched = child.id();
        let (over_tx, over_rx) = std::sync::mpsc::sync_channel::<()>(1);
        // Whatever hangs, the case fails and says so.
        let watchdog = std::thread::spawn(move || {
            if over_rx.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                signal(watched, "KILL");
            }
        });
        let mut stdin = child.stdin.take().unwrap();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some(words) = line.strip_prefix("ask ") {
                let answer = format!("ok {}", self.answer(words));
                writeln!(stdin, "{}", answer.trim_end()).unwrap();
            }
        }
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        drop(over_tx);
        watchdog.join().unwrap();
        assert!(status.success(), "{id} fails ({status}): {said}\n── the log ──\n{}", self.log());
    }

    /// Does what a case asks for; what it wants to know of it.
    fn answer(&mut self, words: &str) -> String {
        let (what, name) = words.split_once(' ').unwrap_or((words, ""));
        match what {
            "stop-agent" => kill(self.agents.iter_mut().find(|agent| agent.0 == name).unwrap().1.take()),
            "start-agent" => self.start_agent(name),
            "restart-relay" => self.restart_relay(),
            "kill-server" => kill(self.relay.take()),
            "start-server" => self.start_server(),
            "key" => return self.said(&["keys", "create", "--prefix", name, "asked-for"]),
            "password" => self.password(name, "set"),
            "deny" => {
                let words: Vec<&str> = name.split(' ').collect();
                let dir = self.path(words[0]);
                self.run(&["permissions", "--dir", dir.to_str().unwrap(), "deny", words[1], words[2], "--at", "1"]);
            }
            "no-password" => self.password(name, "clear"),
            other => panic!("the case asks for {other}"),
        }
        String::new()
    }

    fn password(&self, machine: &str, what: &str) {
        let dir = self.path(machine);
        let mut command = self.command(&["permissions", "--dir", dir.to_str().unwrap(), "password", what]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let _ = writeln!(child.stdin.take().unwrap(), "{PASSWORD}");
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        kill(self.relay.take());
        kill(self.plain.take());
        self.agents.iter_mut().for_each(|agent| kill(agent.1.take()));
        // Keepers outlive their agents by design: find them by the directory of their sockets.
        let marker = self.dir.path().to_string_lossy().into_owned();
        let pids =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for pid in pids.filter(|pid| *pid != std::process::id()) {
            if fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|args| String::from_utf8_lossy(&args).contains(&marker))
            {
                signal(pid, "KILL");
            }
        }
    }
}

fn cases(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmdop").join(name)
}

/// Where the SDKs are; they are installed if they are not.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let start = Instant::now();
        let output = Command::new(cases("install")).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tests/cmdop/install fails after {:?}: {said}", start.elapsed());
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cmdop")
    })
}

/// Python with the stubs; what it compiles of them and of the cases is kept, but not beside the sources.
fn python() -> Command {
    let mut command = Command::new(installed().join("py/bin/python"));
    command.env("PYTHONPATH", installed().join("stubs")).env("PYTHONPYCACHEPREFIX", installed().join("bytecode"));
    command.env_remove("PYTHONDONTWRITEBYTECODE");
    command
}

/// The ids of all cases in a language.
pub(crate) fn written(language: &str) -> Vec<String> {
    let (mut command, script) = match language {
        "node" => (Command::new("node"), "node/cases.js"),
        _ => (python(), "python/cases.py"),
    };
    command.arg(cases(script)).arg("--list").env("NODE_PATH", installed().join("node/node_modules"));
    for name in ["CASE_ONE", "CASE_TWO", "CASE_KEY", "CASE_OBSERVER"] {
        command.env(name, "-");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect()
}

fn kill(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
}

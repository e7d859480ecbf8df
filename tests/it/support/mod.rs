//! A fleet of real processes in a directory of its own, gone with the test.

pub mod machine;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use fleetmux::client::{AttachEvent, AttachOptions, Attachment, Client, FleetEvent, Options};
use fleetmux::fleet::{Endpoint, Exit, Machine, Refusal, Role, Session, SessionSpec, Size};
use fleetmux::term::Screen;
use tempfile::TempDir;

/// A step of a test that takes longer has failed; no test depends on it being reached.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Soft limit of open files that a fleet is started with; less than any hard one.
pub const SOFT_FILES: u32 = 256;

pub struct Fleet {
    pub dir: TempDir,
    relay: Option<Child>,
    agents: Vec<(String, Option<Child>)>,
}

impl Fleet {
    /// A relay and agents of these names.
    pub fn start(names: &[&str]) -> Fleet {
        let dir = tempfile::Builder::new().prefix("fm").tempdir().unwrap();
        let mut fleet = Fleet { dir, relay: None, agents: Vec::new() };
        fleet.start_relay();
        for name in names {
            fleet.agents.push((name.to_string(), None));
            fleet.start_agent(name);
        }
        fleet
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.dir.path().join("relay.sock"))
    }

    pub fn start_relay(&mut self) {
        let listen = self.endpoint().to_string();
        let store = self.dir.path().join("relay.redb");
        self.relay = Some(self.spawn(&["relay", "--listen", &listen, "--store", store.to_str().unwrap()], "relay"));
    }

    /// A relay that remembers nothing.
    pub fn start_forgetful_relay(&mut self) {
        let listen = self.endpoint().to_string();
        self.relay = Some(self.spawn(&["relay", "--listen", &listen], "relay"));
    }

    pub fn kill_relay(&mut self) {
        kill(self.relay.take());
    }

    pub fn start_agent(&mut self, name: &str) {
        self.start_agent_within(name, "");
    }

    /// As `start_agent`, after these commands of a shell of its own.
    pub fn start_agent_within(&mut self, name: &str, before: &str) {
        let dir = self.dir.path().join(name);
        let relay = self.endpoint().to_string();
        let args =
            ["agent", "start", "--foreground", "--name", name, "--relay", &relay, "--dir", dir.to_str().unwrap()];
        let child = self.spawn_within(before, &args, name);
        match self.agents.iter_mut().find(|agent| agent.0 == name) {
            Some(agent) => agent.1 = Some(child),
            None => self.agents.push((name.to_string(), Some(child))),
        }
    }

    pub fn kill_agent(&mut self, name: &str) {
        kill(self.agents.iter_mut().find(|agent| agent.0 == name).unwrap().1.take());
    }

    pub fn client(&self) -> Client {
        Client::connect(self.endpoint(), Options::default())
    }

    /// Waits until the machine is online.
    pub async fn machine(&self, client: &Client, name: &str) -> Machine {
        machine(client, name, true).await
    }

    /// Lines of the relay's audit log so far.
    pub fn audit(&self) -> Vec<serde_json::Value> {
        audit_of(self.dir.path())
    }

    /// Waits for an audit line of this kind that holds.
    pub async fn audited(&self, event: &str, holds: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let wait = async {
            loop {
                if let Some(found) = self.audit().into_iter().find(|line| line["event"] == event && holds(line)) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let never = |_| panic!("never: audit line {event}; there are {:#?}", self.audit());
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(never)
    }

    pub async fn session(&self, client: &Client, name: &str, spec: SessionSpec) -> Session {
        let machine = self.machine(client, name).await;
        let spec = SessionSpec { until_pid: Some(std::process::id()), ..spec };
        client.create_session(machine.facts.id, spec).await.unwrap()
    }

    /// Process id of an agent.
    pub fn agent_pid(&self, name: &str) -> u32 {
        self.agents.iter().find(|agent| agent.0 == name).unwrap().1.as_ref().unwrap().id()
    }

    /// Process id of the relay.
    pub fn relay_pid(&self) -> u32 {
        self.relay.as_ref().unwrap().id()
    }

    fn spawn(&self, args: &[&str], log: &str) -> Child {
        self.spawn_within("", args, log)
    }

    fn spawn_within(&self, before: &str, args: &[&str], log: &str) -> Child {
        let log =
            fs::File::options().create(true).append(true).open(self.dir.path().join(format!("{log}.log"))).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            &format!("umask 022\n{before}\nulimit -S -n {SOFT_FILES}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_fleetmux"),
        ]);
        command.args(args).arg("--die-with-parent").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.env("FLEETMUX_RUNTIME_DIR", self.dir.path()).env("FLEETMUX_STATE_DIR", self.dir.path().join("state"));
        command.spawn().unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        kill(self.relay.take());
        self.agents.iter_mut().for_each(|agent| kill(agent.1.take()));
        // Keepers outlive their agents by design: find them by the directory of their sockets.
        let marker = self.dir.path().to_string_lossy().into_owned();
        for pid in processes_naming(&marker) {
            signal(pid, "KILL");
        }
    }
}

/// Waits until the client sees a machine in a state.
pub async fn machine(client: &Client, name: &str, is_online: bool) -> Machine {
    let mut watch = client.watch_fleet();
    let wait = async {
        loop {
            let machines = match watch.recv().await.expect("the watch goes on") {
                FleetEvent::Snapshot { machines, .. } => machines,
                FleetEvent::Machine(machine) => vec![machine],
                _ => continue,
            };
            if let Some(found) = machines.into_iter().find(|m| m.facts.name == name && m.is_online == is_online) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {name} online {is_online}"))
}

/// Waits until something holds that no event tells of.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Process ids whose arguments contain a text.
pub fn processes_naming(marker: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|args| String::from_utf8_lossy(&args).contains(marker))
    };
    pids.filter(names).filter(|pid| *pid != std::process::id()).collect()
}

/// Lines of the audit logs of a relay's directory: what was done, and what was refused.
pub fn audit_of(dir: &std::path::Path) -> Vec<serde_json::Value> {
    let text =
        ["audit.jsonl", "audit-refused.jsonl"].map(|name| fs::read_to_string(dir.join(name)).unwrap_or_default());
    text.concat().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Memory of a process that is in use, KiB.
pub fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
}

pub fn kill(child: Option<Child>) {
    if let Some(mut child) = child {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// `sh -c script`.
pub fn sh(script: &str) -> SessionSpec {
    SessionSpec::command(["/bin/sh", "-c", script])
}

pub fn driver(size: Size) -> AttachOptions {
    AttachOptions::new(Role::Driver, size)
}

pub fn observer() -> AttachOptions {
    AttachOptions::new(Role::Observer, Size::DEFAULT)
}

/// An attachment with the replica a pane would have.
pub struct Pane {
    pub attachment: Attachment,
    pub screen: Screen,
    pub skipped: u64,
    pub keyframes: usize,
    pub refusals: Vec<Refusal>,
    pub lost: usize,
    pub exit: Option<Exit>,
    pub observers: usize,
    pub role: Option<Role>,
    pub closed: Option<Option<Refusal>>,
}

impl Pane {
    pub fn new(attachment: Attachment) -> Pane {
        Pane {
            attachment,
            screen: Screen::new(Size::DEFAULT, 1 << 20),
            skipped: 0,
            keyframes: 0,
            refusals: Vec::new(),
            lost: 0,
            exit: None,
            observers: 0,
            role: None,
            closed: None,
        }
    }

    pub fn attach(client: &Client, session: &Session, options: AttachOptions) -> Pane {
        Pane::new(client.attach(session.id(), options))
    }

    pub fn type_text(&self, text: &str) {
        self.attachment.handle().input(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    }

    pub fn text(&self) -> String {
        (0..self.screen.size().rows()).map(|row| self.screen.row_text(row) + "\n").collect()
    }

    /// Takes events until a condition holds.
    pub async fn until(&mut self, what: &str, mut holds: impl FnMut(&Pane) -> bool) {
        let wait = async {
            while !holds(self) {
                let event = self.attachment.recv().await;
                self.take(event);
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("never: {what}; the screen shows\n{}", self.text());
        }
    }

    pub async fn until_text(&mut self, text: &str) {
        self.until(text, |pane| pane.text().contains(text)).await;
    }

    fn take(&mut self, event: AttachEvent) {
        match event {
            AttachEvent::Attached { role, size, .. } => {
                self.role = Some(role);
                if self.screen.size() != size {
                    self.screen.resize(size);
                }
            }
            AttachEvent::Output { data, .. } => self.screen.feed(&data),
            AttachEvent::Keyframe { skipped, size, data, .. } => {
                self.screen = Screen::from_keyframe(size, 1 << 20, &data);
                self.skipped += skipped;
                self.keyframes += 1;
            }
            AttachEvent::Resized(size) => self.screen.resize(size),
            AttachEvent::Presence(viewers) => {
                self.observers = viewers.iter().filter(|viewer| viewer.role == Role::Observer).count();
            }
            AttachEvent::RoleChanged(role) => self.role = Some(role),
            AttachEvent::Exited(exit) => self.exit = Some(exit),
            AttachEvent::Refused(refusal) => self.refusals.push(refusal),
            AttachEvent::Lost(_) => self.lost += 1,
            AttachEvent::Closed(refusal) => self.closed = Some(refusal),
            AttachEvent::Latency(_) | AttachEvent::Unanswered(_) => {}
        }
    }
}

/// Waits for a file to have a length.
pub async fn file_of(path: PathBuf, len: u64) {
    let wait = async {
        while fs::metadata(&path).map_or(0, |meta| meta.len()) < len {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} never had {len} bytes", path.display()));
}

//! A relay with TLS in a directory of its own, with keys, tokens, and machines that joined.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use fleetmux::client::{Client, Options};
use fleetmux::fleet::{Credentials, Endpoint, JoinToken, MachineId, Secret};
use tempfile::TempDir;

use crate::support::{audit_of, kill, processes_naming, signal, until};

/// A relay with TLS in a directory of its own, and what was said and shown while it lived.
pub struct Realm {
    pub dir: TempDir,
    pub relay: Option<Child>,
    pub agents: Vec<Child>,
    pub endpoint: Endpoint,
    /// Standard output and error of all commands.
    pub said: Mutex<Vec<u8>>,
    /// Keys and tokens: they may be in the files of their owners and nowhere else.
    pub secrets: Mutex<Vec<String>>,
}

impl Realm {
    pub fn start() -> Realm {
        let dir = tempfile::Builder::new().prefix("fmi").tempdir().unwrap();
        let said = Mutex::default();
        let secrets = Mutex::default();
        let endpoint = Endpoint::Tls(String::new());
        let mut realm = Realm { dir, relay: None, agents: Vec::new(), endpoint, said, secrets };
        let init = realm.run(&["relay", "init", "--dir", realm.path("relay").to_str().unwrap(), "--name", "127.0.0.1"]);
        let text = String::from_utf8(init.stdout).unwrap();
        let token = text.split_whitespace().find(|word| word.starts_with("fmj_")).expect("a first join token");
        realm.secrets.lock().unwrap().push(token.into());
        realm.serve("127.0.0.1:0");
        realm
    }

    /// With a machine that joined, whose agent runs.
    pub fn with_machine(name: &str) -> Realm {
        let mut realm = Realm::start();
        realm.join(name, &realm.token(&[]));
        realm.agent(name);
        realm
    }

    /// The key with which a machine that joined shows who it is.
    pub fn machine_key(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(name).join("state/joined.toml")).unwrap();
        text.split('"').find(|word| word.starts_with("fmm_")).unwrap().to_string()
    }

    /// What a machine that joined calls itself for good.
    pub fn machine_id(&self, name: &str) -> MachineId {
        fs::read_to_string(self.path(name).join("state/machine-id")).unwrap().trim().parse().unwrap()
    }

    pub fn serve(&mut self, address: &str) {
        self.serve_with(address, &[]);
    }

    /// With more flags.
    pub fn serve_with(&mut self, address: &str, more: &[&str]) {
        let listen = format!("tls://{address}");
        let mut command = self.command(&[&["relay", "--listen", &listen, "--die-with-parent"], more].concat());
        let log = fs::File::options().create(true).append(true).open(self.path("relay.log")).unwrap();
        let mut relay =
            command.arg("--dir").arg(self.path("relay")).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.endpoint = line.trim().parse().expect("the relay says where it listens");
        self.relay = Some(relay);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The socket of the relay's owner.
    pub fn own(&self) -> String {
        format!("unix:{}", self.path("relay/relay.sock").display())
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetmux"));
        command.args(args).stdin(Stdio::null()).env_remove("FLEETMUX_RELAY").env_remove("FLEETMUX_API_KEY");
        command.env("FLEETMUX_RUNTIME_DIR", self.path("run")).env("FLEETMUX_STATE_DIR", self.path("state"));
        command.env("FLEETMUX_CONFIG", self.path("config/config.toml"));
        command
    }

    pub fn note(&self, output: &Output) {
        let mut said = self.said.lock().unwrap();
        said.extend_from_slice(&output.stdout);
        said.extend_from_slice(&output.stderr);
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Standard output and error of a command whose output must not show a secret.
    pub fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        self.note(&output);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// A secret, as the command shows it once.
    pub fn secret(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let secret = String::from_utf8(output.stdout).unwrap().trim().to_string();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.said.lock().unwrap().extend_from_slice(&output.stderr);
        let mut secrets = self.secrets.lock().unwrap();
        if let Ok(token) = secret.parse::<JoinToken>() {
            secrets.push(token.secret.reveal().into());
        }
        secrets.push(secret.clone());
        secret
    }

    pub fn token(&self, more: &[&str]) -> String {
        let dir = self.path("relay");
        self.secret(&[&["relay", "token", "--dir", dir.to_str().unwrap()], more].concat())
    }

    pub fn key(&self, name: &str, more: &[&str]) -> String {
        self.secret(&[&["keys", "create", "--relay", &self.own(), "--name", name], more].concat())
    }

    pub fn join(&self, name: &str, token: &str) -> String {
        self.says(&["agent", "join", token, "--name", name, "--dir", self.path(name).to_str().unwrap()])
    }

    /// Starts the agent of a machine that has joined.
    pub fn agent(&mut self, name: &str) {
        let log = fs::File::options().create(true).append(true).open(self.path(&format!("{name}.log"))).unwrap();
        let dir = self.path(name);
        let mut command = self.command(&["agent", "start", "--foreground", "--die-with-parent", "--dir"]);
        // A key in the agent's own environment is not for its sessions.
        command.env("FLEETMUX_API_KEY", "fm_of-whoever-started-the-agent");
        self.agents.push(command.arg(dir).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Process id of the relay.
    pub fn relay_pid(&self) -> u32 {
        self.relay.as_ref().unwrap().id()
    }

    /// The relay goes, as a host does that loses power.
    pub fn kill_relay(&mut self) {
        kill(self.relay.take());
    }

    pub fn ca_pem(&self) -> String {
        fs::read_to_string(self.path("relay/ca.pem")).unwrap()
    }

    pub fn client(&self, key: &str) -> Client {
        let key = Some(Secret::new(key));
        let credentials = Credentials { key, ca_pem: Some(self.ca_pem()), ca_fingerprint: None };
        Client::connect(self.endpoint.clone(), Options { credentials, ..Options::default() })
    }

    /// The relay's owner, by its socket.
    pub fn local(&self) -> Client {
        Client::connect(self.own().parse().unwrap(), Options::default())
    }

    pub fn audit(&self) -> Vec<serde_json::Value> {
        audit_of(&self.path("relay"))
    }

    /// Waits until the audit log has a line of this kind that contains a text.
    pub async fn audited(&self, event: &str, text: &str) {
        let has = || self.audit().iter().any(|line| line["event"] == event && line.to_string().contains(text));
        until(&format!("audit line {event} with {text}"), has).await;
    }

    /// Files below the directory, with their contents.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(dir: &Path, out: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    walk(&path, out);
                } else if kind.is_file() {
                    out.push((path.clone(), fs::read(&path).unwrap()));
                }
            }
        }
        let mut out = Vec::new();
        walk(self.dir.path(), &mut out);
        out
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        kill(self.relay.take());
        self.agents.drain(..).for_each(|agent| kill(Some(agent)));
        for pid in processes_naming(&self.dir.path().to_string_lossy()) {
            signal(pid, "KILL");
        }
    }
}

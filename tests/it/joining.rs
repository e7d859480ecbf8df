//! Machines are who they joined as, and of a machine that is gone nothing is left; real processes and agents that lie.

use std::fs;

use fleetmux::client::{Client, FleetEvent};
use fleetmux::fleet::{Credentials, Endpoint, Machine, MachineId, Secret, SessionSpec, Size};
use fleetmux::wire::{self, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::connect::Terminal;
use crate::identity::Realm;
use crate::support::{PATIENCE, Pane, driver, machine, sh, until};

/// An agent that says of itself what a test wants.
struct Liar {
    _frames_tx: mpsc::Sender<v1::AgentUp>,
    _down: Streaming<v1::AgentDown>,
}

impl Liar {
    /// Over TLS with the key of a machine that joined, or on the relay's own socket.
    async fn link(realm: &Realm, key: Option<&str>, facts: v1::MachineFacts) -> Liar {
        let channel = match key {
            Some(key) => {
                let key = Some(Secret::new(key));
                let credentials = Credentials { key, ca_pem: Some(realm.ca_pem()), ca_fingerprint: None };
                wire::dial(&realm.endpoint, &credentials).await.unwrap()
            }
            None => wire::dial(&realm.own().parse::<Endpoint>().unwrap(), &Credentials::default()).await.unwrap(),
        };
        let (frames_tx, frames_rx) = mpsc::channel(4);
        let frames = [
            v1::agent_up::Frame::Hello(wire::hello()),
            v1::agent_up::Frame::Facts(facts),
            v1::agent_up::Frame::Sessions(v1::SessionList::default()),
        ];
        for frame in frames {
            frames_tx.send(v1::AgentUp { frame: Some(frame) }).await.unwrap();
        }
        let down = wire::agent_service(channel).link(ReceiverStream::new(frames_rx)).await.unwrap().into_inner();
        Liar { _frames_tx: frames_tx, _down: down }
    }
}

fn facts(id: MachineId, name: &str, labels: &[(&str, &str)]) -> v1::MachineFacts {
    v1::MachineFacts {
        id: id.as_bytes().to_vec().into(),
        name: name.into(),
        hostname: name.into(),
        labels: labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        ..Default::default()
    }
}

/// The fleet as soon as something holds of it.
async fn fleet_until(client: &Client, what: &str, holds: impl Fn(&[Machine]) -> bool) -> Vec<Machine> {
    let mut watch = client.watch_fleet();
    let mut fleet: Vec<Machine> = Vec::new();
    let wait = async {
        loop {
            match watch.recv().await.expect("the watch goes on") {
                FleetEvent::Snapshot { machines, .. } => fleet = machines,
                FleetEvent::Machine(machine) => {
                    fleet.retain(|known| known.facts.id != machine.facts.id);
                    fleet.push(machine);
                }
                FleetEvent::MachineRemoved(id) => fleet.retain(|known| known.facts.id != id),
                _ => continue,
            }
            if holds(&fleet) {
                return;
            }
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, wait).await;
    assert!(outcome.is_ok(), "never: {what}; there are {fleet:#?}");
    fleet
}

/// Waits until nobody knows a machine of this name any more.
pub async fn gone(client: &Client, name: &str) {
    fleet_until(client, &format!("{name} is gone"), |fleet| fleet.iter().all(|m| m.facts.name != name)).await;
}

fn is_named(machine: &Machine, name: &str) -> bool {
    machine.facts.name == name
}

/// `dev-7` joined, called itself `web-1` with `role=prod` in its facts, and received a deploy command.
#[tokio::test]
async fn a_machine_is_who_it_joined_as_whatever_it_says_of_itself() {
    let realm = Realm::start();
    let said = realm.join("dev-7", &realm.token(&["--name", "dev-7", "--label", "role=dev"]));
    assert!(said.contains("dev-7 has joined"), "{said}");
    let client = realm.local();
    let lies = || facts(realm.machine_id("dev-7"), "web-1", &[("role", "prod")]);
    let key = realm.machine_key("dev-7");
    let _liar = Liar::link(&realm, Some(&key), lies()).await;
    let known = machine(&client, "dev-7", true).await;
    assert_eq!(known.facts.labels, [("role".to_string(), "dev".to_string())].into());
    assert_ne!(known.facts.hostname, "web-1");
    let own = realm.own();
    for selector in ["web-1", "role=prod", "host~^web", "web-*"] {
        let said = realm.says(&["machines", "--relay", &own, "-s", selector, "--json"]);
        assert!(!said.contains("dev-7"), "{selector} means {said}");
    }
    assert!(realm.says(&["exec", "--relay", &own, "web-1", "deploy"]).contains("no machine is called \"web-1\""));
    // It is information, once.
    let line = "a machine says something else than what is bound to it";
    let lines = || fs::read_to_string(realm.path("relay.log")).unwrap().matches(line).count();
    until("the relay says so", || lines() == 1).await;
    let _liar = Liar::link(&realm, Some(&key), lies()).await;
    let is_anew = |fleet: &[Machine]| fleet.iter().any(|m| m.is_online && m.connected_ms > known.connected_ms);
    fleet_until(&client, "it is there again", is_anew).await;
    assert_eq!(lines(), 1);
}

#[tokio::test]
async fn a_token_says_how_machines_may_be_called_and_labelled() {
    let realm = Realm::start();
    let join = |dir: &str, token: &str, more: &[&str]| {
        let dir = realm.path(dir);
        realm.says(&[&["agent", "join", token, "--dir", dir.to_str().unwrap()], more].concat())
    };
    // As the README has it: a plain token trusts the person.
    let said = join("a", &realm.token(&[]), &["--name", "web-1", "--label", "role=web"]);
    assert!(said.contains("web-1 has joined"), "{said}");
    let stored = fs::read_to_string(realm.path("a/state/joined.toml")).unwrap();
    assert!(stored.contains("role = \"web\"") && stored.contains("name = \"web-1\""), "what was bound");
    // It joins again as who it was.
    assert!(join("a", &realm.token(&[]), &[]).contains("web-1 has joined"));
    assert!(fs::read_to_string(realm.path("a/state/joined.toml")).unwrap().contains("role = \"web\""));
    let token = realm.token(&["--reusable", "--allow-name", "db-*", "--label", "role=db", "--allow-label", "rack=r*"]);
    for (more, no) in [
        (&["--name", "web-9"][..], "this token is for machines called db-*, and web-9 is not"),
        (&["--name", "db-1", "--label", "role=web"], "it says role=db"),
        (&["--name", "db-1", "--label", "rack=x"], "it allows rack=r*"),
        (&["--name", "db-1", "--label", "bad label=x"], "is no label"),
        (&["--name", "web-1\u{1b}[31m"], "is at most 100 letters"),
    ] {
        let said = join("b", &token, more);
        assert!(said.contains(no) && !said.contains('\u{1b}'), "{more:?}: {said:?}");
    }
    let said = join("b", &token, &["--name", "db-1", "--label", "rack=r7"]);
    assert!(said.contains("db-1 has joined"), "{said}");
    let listed = realm.says(&["relay", "machines", "list", "--relay", &realm.own()]);
    assert!(listed.contains("rack=r7,role=db"), "{listed}");
    // A name that nobody chose is the token's.
    let said = join("c", &realm.token(&["--name", "named-7"]), &[]);
    assert!(said.contains("named-7 has joined"), "{said}");
    let both = realm.says(&["relay", "token", "--name", "a", "--allow-name", "b"]);
    assert!(both.contains("cannot be used with"), "{both}");
}

/// The relay's own user is believed, and still puts no line of its own into anybody's terminal.
#[tokio::test]
async fn a_local_machines_words_are_made_fit_to_be_shown() {
    let realm = Realm::start();
    let id = MachineId::random();
    let mut lies = facts(id, "x\n\u{1b}[31mforged | line", &[("role", "web"), ("bad\n", "\u{1b}")]);
    lies.os = "\u{1b}]0;x\u{7}".repeat(1 << 16);
    let _liar = Liar::link(&realm, None, lies).await;
    let client = realm.local();
    let fleet = fleet_until(&client, "it is there", |fleet| !fleet.is_empty()).await;
    let facts = &fleet[0].facts;
    assert_eq!(facts.name, "x\u{fffd}\u{fffd}[31mforged | line");
    assert_eq!(facts.labels, [("role".to_string(), "web".to_string())].into());
    assert!(facts.os.chars().count() < 300 && !format!("{facts:?}").contains("\\u{1b}"), "{facts:?}");
}

#[tokio::test]
async fn what_an_admin_sets_is_seen_at_once_by_everybody() {
    let mut realm = Realm::with_machine("web-1");
    let client = realm.client(&realm.key("ada", &[]));
    let first = machine(&client, "web-1", true).await;
    let own = realm.own();
    let set = |more: &[&str]| realm.says(&[&["relay", "machines", "set", "--relay", &own], more].concat());
    let said = set(&["web-1", "--name", "web-9", "--label", "env=prod", "--hostname", "vps-a"]);
    assert!(said.contains("web-9 (host name vps-a) has env=prod"), "{said}");
    // On a link that was up all the time.
    let changed = machine(&client, "web-9", true).await;
    assert_eq!((changed.facts.id, changed.connected_ms), (first.facts.id, first.connected_ms));
    assert_eq!((changed.facts.hostname.as_str(), &*changed.facts.labels["env"]), ("vps-a", "prod"));
    assert!(set(&["web-9", "--remove-label", "env"]).contains("has no labels"));
    assert!(set(&["nobody", "--name", "x"]).contains("no joined machine"));
    assert!(set(&["web-9"]).contains("there is nothing to set"));
    assert!(set(&["web-9", "--label", "a=b c"]).contains("is no label"));
    realm.join("web-2", &realm.token(&[]));
    assert!(set(&["web-2", "--name", "web-9"]).contains("there is a machine web-9 already"));
    realm.audited("machine_set", "\"was\":\"web-1\"").await;
    // Who is no admin, or of another workspace, sets nothing.
    let ca = realm.path("relay/ca.pem");
    let relay = realm.endpoint.to_string();
    let foreign = realm.key("boss", &["--workspace", "blue", "--actions", "admin"]);
    for (key, no) in [(realm.key("bob", &[]), "may not admin"), (foreign, "no joined machine")] {
        let flags = ["--relay", &relay, "--ca", ca.to_str().unwrap(), "--key", &key];
        let id = first.facts.id.to_string();
        let said = realm.says(&[&["relay", "machines", "set", &id, "--name", "x"], &flags[..]].concat());
        assert!(said.contains(no), "{said}");
        let said = realm.says(&[&["machines", "forget", &id], &flags[..]].concat());
        assert!(said.contains(if no.contains("admin") { no } else { "there is no machine" }), "{said}");
    }
    // The agent comes again, and a relay that was killed comes back: it stays.
    let address = realm.endpoint.to_string().trim_start_matches("tls://").to_string();
    realm.kill_relay();
    realm.serve(&address);
    machine(&realm.local(), "web-9", true).await;
}

/// A reimaged host that joined again under its name made `web-1` ambiguous for ever, and nobody could reach its sessions.
#[tokio::test]
async fn a_host_that_was_made_anew_takes_its_own_place_with_its_sessions() {
    let mut realm = Realm::with_machine("web-1");
    let client = realm.client(&realm.key("ada", &[]));
    let old = machine(&client, "web-1", true).await;
    let spec = SessionSpec { until_pid: Some(std::process::id()), ..sh("echo alive; cat") };
    let session = client.create_session(old.facts.id, spec).await.unwrap();
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until_text("alive").await;
    let dir = realm.path("web-1").to_str().unwrap().to_string();
    // Not while it is there.
    let other = realm.path("other-1").to_str().unwrap().to_string();
    let token = realm.token(&[]);
    let said = realm.says(&["agent", "join", &token, "--name", "web-1", "--replace", "--dir", &other]);
    assert!(said.contains("web-1 is online; choose another name with --name, or revoke it first"), "{said}");

    assert!(realm.says(&["agent", "stop", "--dir", &dir]).contains("agent stopped"));
    machine(&client, "web-1", false).await;
    fs::remove_dir_all(realm.path("web-1/state")).unwrap();
    // Without a terminal nobody is asked, and a token for many is not meant for this.
    let said = realm.join("web-1", &token);
    assert!(said.contains("web-1 was last seen") && said.contains("add --replace"), "{said}");
    let many = realm.token(&["--reusable"]);
    let said = realm.says(&["agent", "join", &many, "--name", "web-1", "--replace", "--dir", &dir]);
    assert!(said.contains("this token may not replace it"), "{said}");
    // The refused attempts have spent nothing. A person is asked.
    let join = ["agent", "join", &token, "--name", "web-1", "--dir", &dir];
    let terminal = |answer: &'static [u8]| {
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux")).args(join);
        let mut terminal = Terminal::run(command, Size::DEFAULT);
        async move {
            terminal.until_text("replace it? [y/N]").await;
            terminal.send(answer);
            let code = terminal.ended().await.code();
            (code, terminal.text())
        }
    };
    let (code, text) = terminal(b"\n").await;
    assert!(code == Some(255) && text.contains("nothing is changed"), "{text}");
    let (code, text) = terminal(b"y\n").await;
    assert!(code == Some(0) && text.contains("in workspace default in the place of"), "{text}");
    realm.audited("machine_replaced", &old.facts.id.to_string()).await;
    // One web-1, which is another machine.
    let one = |fleet: &[Machine]| fleet.len() == 1 && fleet[0].facts.id != old.facts.id;
    fleet_until(&client, "the old one is gone", one).await;
    realm.agent("web-1");
    let new = machine(&client, "web-1", true).await;
    assert_ne!(new.facts.id, old.facts.id);
    // The session is the new one's; who watched it goes on.
    pane.type_text("still-here\n");
    pane.until_text("still-here").await;
    let (machines, sessions) = client.fleet().await.unwrap();
    assert_eq!(machines.len(), 1, "{machines:#?}");
    let of_it = sessions.iter().find(|known| known.id() == session.id()).unwrap();
    assert_eq!(of_it.machine, new.facts.id);
    let mut again = Pane::attach(&client, &session, driver(Size::DEFAULT));
    again.until_text("still-here").await;
    // Selectors reach it once.
    let said = realm.says(&["exec", "--relay", &realm.own(), "-n", "web-*", "echo reached"]);
    assert_eq!(said.matches("reached").count(), 1, "{said}");
    assert!(realm.says(&["exec", "--relay", &realm.own(), "-n", "web-1", "echo reached"]).starts_with("reached"));
    // And the old one's key, whoever has a copy of it, opens nothing.
    let address = realm.endpoint.to_string().trim_start_matches("tls://").to_string();
    realm.kill_relay();
    realm.serve(&address);
    machine(&realm.local(), "web-1", true).await;
    assert_eq!(realm.local().fleet().await.unwrap().0.len(), 1);
}

/// The same host joined under another name first: the sessions were its ghost's until somebody removed that.
#[tokio::test]
async fn sessions_of_a_ghost_are_the_living_machines_as_soon_as_it_is_forgotten() {
    let mut realm = Realm::with_machine("web-1");
    let client = realm.client(&realm.key("ada", &[]));
    let old = machine(&client, "web-1", true).await;
    let spec = SessionSpec { until_pid: Some(std::process::id()), ..sh("echo alive; cat") };
    let session = client.create_session(old.facts.id, spec).await.unwrap();
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until_text("alive").await;
    let dir = realm.path("web-1").to_str().unwrap().to_string();
    let own = realm.own();
    let forget = |name: &str| realm.run(&["machines", "forget", name, "--relay", &own]);
    let refused = forget("web-1");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(255) && said.contains("web-1 is online; stop its agent first"), "{said}");
    realm.says(&["agent", "stop", "--dir", &dir]);
    machine(&client, "web-1", false).await;
    fs::remove_dir_all(realm.path("web-1/state")).unwrap();
    let said = realm.says(&["agent", "join", &realm.token(&[]), "--name", "web-9", "--dir", &dir]);
    assert!(said.contains("web-9 has joined"), "{said}");
    realm.agent("web-1");
    let new = machine(&client, "web-9", true).await;
    assert_eq!(client.fleet().await.unwrap().1[0].machine, old.facts.id, "the first one's still");
    let done = realm.run(&["machines", "forget", "web-1", "nobody", "--relay", &realm.own()]);
    let (said, failed) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(said, "web-1 is forgotten, and its key is revoked\n");
    assert!(done.status.code() == Some(255) && failed.contains("there is no machine \"nobody\""), "{failed}");
    gone(&client, "web-1").await;
    pane.type_text("still-here\n");
    pane.until_text("still-here").await;
    assert_eq!(client.fleet().await.unwrap().1[0].machine, new.facts.id);
    realm.audited("machine_forgotten", "web-1").await;
}

/// A revoked machine stayed in every list, counted as unreachable, and was there again after a restart.
#[tokio::test]
async fn revoking_a_machine_removes_it_and_a_restart_brings_no_ghost_back() {
    let mut realm = Realm::start();
    let token = realm.token(&["--reusable"]);
    for name in ["web-1", "web-2"] {
        realm.join(name, &token);
        realm.agent(name);
    }
    let client = realm.client(&realm.key("ada", &[]));
    machine(&client, "web-1", true).await;
    let second = machine(&client, "web-2", true).await;
    let spec = SessionSpec { until_pid: Some(std::process::id()), ..sh("echo alive; cat") };
    let session = client.create_session(second.facts.id, spec).await.unwrap();
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until_text("alive").await;
    let dir = realm.path("relay");
    let said = realm.says(&["relay", "machines", "revoke", "web-2", "--dir", dir.to_str().unwrap()]);
    assert!(said.contains("web-2 is revoked"), "{said}");
    gone(&client, "web-2").await;
    pane.until("the pane hears it", |pane| pane.closed.is_some()).await;
    let why = pane.closed.clone().flatten().unwrap().message;
    assert!(why.contains("web-2 was removed from the fleet"), "{why}");
    assert!(client.fleet().await.unwrap().1.is_empty());
    let address = realm.endpoint.to_string().trim_start_matches("tls://").to_string();
    realm.kill_relay();
    realm.serve(&address);
    let fleet = fleet_until(&realm.local(), "web-1 is back", |fleet| fleet.iter().any(|m| m.is_online)).await;
    assert!(fleet.iter().all(|machine| is_named(machine, "web-1")), "{fleet:#?}");
}

/// Machines that are offline for longer than the relay is told to wait are forgotten by themselves; the others stay.
#[tokio::test]
async fn machines_that_stay_away_are_forgotten_when_the_relay_is_told_to() {
    let mut realm = Realm::start();
    let address = realm.endpoint.to_string().trim_start_matches("tls://").to_string();
    realm.join("web-1", &realm.token(&[]));
    realm.agent("web-1");
    realm.join("web-2", &realm.token(&[]));
    let key = realm.machine_key("web-2");
    let away = Liar::link(&realm, Some(&key), facts(realm.machine_id("web-2"), "web-2", &[])).await;
    machine(&realm.local(), "web-2", true).await;
    drop(away);
    machine(&realm.local(), "web-2", false).await;
    // A key is on the disk when it is shown, and whatever was to be stored before it.
    realm.key("later", &[]);
    realm.kill_relay();
    realm.serve_with(&address, &["--forget-after", "2s"]);
    let client = realm.local();
    machine(&client, "web-1", true).await;
    gone(&client, "web-2").await;
    realm.audited("machine_forgotten", "\"principal\":\"relay\"").await;
    machine(&client, "web-1", true).await;
    // What it joined with opens nothing any more.
    let credentials = Credentials { key: Some(Secret::new(key)), ca_pem: Some(realm.ca_pem()), ca_fingerprint: None };
    let channel = wire::dial(&realm.endpoint, &credentials).await.unwrap();
    let (_frames_tx, frames_rx) = mpsc::channel(1);
    let refused = wire::agent_service(channel).link(ReceiverStream::new(frames_rx)).await.unwrap_err();
    assert!(refused.message().contains("the key of machine web-2 is revoked"), "{refused:?}");
}

/// A machine whose key file was lost joins again in its own place, and keeps its id.
#[tokio::test]
async fn a_machine_that_lost_its_key_takes_its_own_place() {
    let mut realm = Realm::start();
    realm.join("web-1", &realm.token(&[]));
    let (id, stolen) = (realm.machine_id("web-1"), realm.machine_key("web-1"));
    let link = Liar::link(&realm, Some(&stolen), facts(id, "web-1", &[])).await;
    let client = realm.local();
    machine(&client, "web-1", true).await;
    let joined = realm.path("web-1/state/joined.toml");
    fs::remove_file(&joined).unwrap();
    let token = realm.token(&[]);
    let dir = realm.path("web-1").to_str().unwrap().to_string();
    let replace = ["agent", "join", &token, "--name", "web-1", "--replace", "--dir", &dir];
    let said = realm.says(&replace);
    assert!(said.contains("has joined already and is online"), "{said}");
    drop(link);
    machine(&client, "web-1", false).await;
    assert!(realm.join("web-1", &token).contains("it is this machine, whose key is not here"));
    let said = realm.says(&replace);
    assert!(said.contains("web-1 has joined"), "{said}");
    realm.agent("web-1");
    assert_eq!(machine(&client, "web-1", true).await.facts.id, id);
    assert_eq!(client.fleet().await.unwrap().0.len(), 1);
}

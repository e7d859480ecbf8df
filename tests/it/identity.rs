//! Identity end to end: TLS, joining, keys, workspaces, revocation, the audit log; real processes on real ports.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use fleetmux::client::{AttachEvent, Client, ConnectionState, Error, ExecOptions, FleetEvent, Options};
use fleetmux::fleet::{Code, Credentials, Endpoint, JoinToken, MachineId, Role, Secret, SessionSpec, Size};
use fleetmux::wire::{self, v1};

pub use crate::realm::Realm;
use crate::support::{Fleet, PATIENCE, Pane, driver, kill, machine, observer, processes_naming, sh, until};

fn mine(spec: SessionSpec) -> SessionSpec {
    SessionSpec { until_pid: Some(std::process::id()), ..spec }
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// A machine remembers for an hour who showed its password, by name: a new key with the name of a revoked one got in with
/// what that one had shown. Machines hear of keys that end, those that were away too.
#[tokio::test]
async fn machines_hear_which_keys_ended_now_and_while_they_were_away() {
    use v1::agent_down::Frame;
    let realm = Realm::start();
    let relay: Endpoint = realm.own().parse().unwrap();
    let link = async || {
        let (frames_tx, frames_rx) = tokio::sync::mpsc::channel(1);
        let hello = v1::agent_up::Frame::Hello(wire::hello());
        frames_tx.send(v1::AgentUp { frame: Some(hello) }).await.unwrap();
        let channel = wire::dial(&relay, &Default::default()).await.unwrap();
        let frames = tokio_stream::wrappers::ReceiverStream::new(frames_rx);
        (frames_tx, wire::agent_service(channel).link(frames).await.unwrap().into_inner())
    };
    async fn ended(frames: &mut tonic::Streaming<v1::AgentDown>) -> Vec<v1::RevokedKey> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, frames.message()).await.unwrap().unwrap().unwrap();
            if let Some(Frame::Revoked(revoked)) = frame.frame {
                return revoked.keys;
            }
        }
    }
    let (_first, mut frames) = link().await;
    assert!(ended(&mut frames).await.is_empty());
    realm.key("ada", &[]);
    realm.says(&["keys", "revoke", "ada", "--relay", &realm.own()]);
    assert_eq!(ended(&mut frames).await, [v1::RevokedKey { principal: "key:ada".into(), ago_ms: 0 }]);
    let (_second, mut frames) = link().await;
    let names: Vec<String> = ended(&mut frames).await.into_iter().map(|key| key.principal).collect();
    assert_eq!(names, ["key:ada"]);
}

#[tokio::test]
async fn machines_join_over_tls_a_key_drives_them_and_revoking_cuts_both_off() {
    let mut realm = Realm::start();
    let token = realm.token(&["--reusable", "--label", "role=web"]);
    for name in ["web-1", "web-2"] {
        let said = realm.join(name, &token);
        assert!(said.contains("has joined") && said.contains("fleetmux agent start"), "{said}");
        realm.agent(name);
    }
    let key = realm.key("ada", &[]);
    let client = realm.client(&key);
    let first = machine(&client, "web-1", true).await;
    machine(&client, "web-2", true).await;
    assert_eq!(first.facts.labels["role"], "web");
    let session = client.create_session(first.facts.id, mine(sh("echo key=[$FLEETMUX_API_KEY]; cat"))).await.unwrap();
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until_text("key=[]").await;
    pane.type_text("typed-by-ada\n");
    pane.until_text("typed-by-ada").await;

    // The same through the command line: log in once, and the key is where it may be.
    let fingerprint = wire::fingerprint(&realm.ca_pem()).unwrap().to_string();
    let relay = realm.endpoint.to_string();
    let mut login = realm.command(&["login", &relay, "--key-stdin", "--ca-fingerprint", &fingerprint]);
    let mut login = login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    login.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    let output = login.wait_with_output().unwrap();
    realm.note(&output);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(realm.says(&["machines"]).contains("web-2"));
    assert!(realm.says(&["session", "list"]).contains("cat") || realm.says(&["session", "list"]).contains("sh"));
    assert!(realm.says(&["keys", "list", "--relay", &realm.own()]).contains("ada"));

    // A machine is cut off and stays out; its neighbour does not notice.
    let dir = realm.path("relay");
    let said = realm.says(&["relay", "machines", "revoke", "web-2", "--dir", dir.to_str().unwrap()]);
    assert!(said.contains("web-2 is revoked"), "{said}");
    crate::joining::gone(&client, "web-2").await;
    realm.audited("auth_failed", "the key of machine web-2 is revoked").await;
    until("the agent says why", || {
        fs::read_to_string(realm.path("web-2.log")).unwrap().contains("the key of machine web-2 is revoked")
    })
    .await;
    pane.type_text("still-there\n");
    pane.until_text("still-there").await;

    // So is a person.
    let said = realm.says(&["keys", "revoke", "ada", "--relay", &realm.own()]);
    assert!(said.contains("key ada"), "{said}");
    let mut state = client.connection();
    let is_refused = |state: &ConnectionState| matches!(state, ConnectionState::Connecting { error: Some(error), .. } if error.contains("key ada is revoked"));
    tokio::time::timeout(PATIENCE, state.wait_for(is_refused)).await.expect("cut off").unwrap();
    let refused = realm.client(&key).connected(PATIENCE).await.unwrap_err();
    assert!(matches!(&refused, Error::Unauthenticated(why) if why.contains("key ada is revoked")), "{refused:?}");
    assert!(realm.says(&["machines"]).contains("key ada is revoked"));
    realm.audited("key_revoked", "ada").await;
    realm.audited("auth_failed", "key ada is revoked").await;
    for event in ["joined", "key_created", "key_used", "attach", "session_create", "token_created"] {
        realm.audited(event, "").await;
    }

    // Everything restarts; the session is still there for a new key.
    let address = relay.trim_start_matches("tls://").to_string();
    kill(realm.relay.take());
    realm.serve(&address);
    let second = realm.key("ada", &["--actions", "observe"]);
    let client = realm.client(&second);
    machine(&client, "web-1", true).await;
    let mut pane = Pane::attach(&client, &session, observer());
    pane.until_text("still-there").await;

    // Secrets are in their owners' files and nowhere else, and those are their owners' alone.
    let said = realm.said.lock().unwrap().clone();
    let mut secrets = realm.secrets.lock().unwrap().clone();
    secrets.extend([
        realm.machine_key("web-1"),
        realm.machine_key("web-2"),
        "typed-by-ada".into(),
        "still-there".into(),
    ]);
    for secret in &secrets {
        assert!(!contains(&said, secret), "a command shows {secret}");
        for (path, contents) in realm.files() {
            let is_owners = path.ends_with("joined.toml") || path.ends_with("config.toml");
            assert!(is_owners || !contains(&contents, secret), "{} holds {secret}", path.display());
        }
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["relay", "web-1", "web-1/state", "config"] {
        assert_eq!(mode(&realm.path(name)), 0o700, "{name}");
    }
    for name in [
        "relay/ca.key",
        "relay/server.key",
        "relay/relay.redb",
        "relay/audit.jsonl",
        "relay/relay.sock",
        "web-1/state/joined.toml",
        "config/config.toml",
    ] {
        assert_eq!(mode(&realm.path(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_key_of_one_workspace_never_sees_a_name_of_another() {
    let mut realm = Realm::start();
    for (name, workspace) in [("red-box", "red"), ("blue-box", "blue")] {
        let said = realm.join(name, &realm.token(&["--workspace", workspace]));
        assert!(said.contains(workspace), "{said}");
        realm.agent(name);
    }
    let (red, blue) = (realm.key("r", &["--workspace", "red"]), realm.key("b", &["--workspace", "blue"]));
    let (red_client, client) = (realm.client(&red), realm.client(&blue));
    let red_box = machine(&red_client, "red-box", true).await;
    machine(&client, "blue-box", true).await;
    let mut watch = client.watch_fleet();
    let spec = SessionSpec { name: "red-secret".into(), ..mine(sh("cat")) };
    let session = red_client.create_session(red_box.facts.id, spec).await.unwrap();
    assert_eq!(session.spec.workspace, "red");

    // By every way there is, with the ids in hand.
    let mut heard = format!("{:?}", client.fleet().await.unwrap());
    for outcome in [
        client.create_session(red_box.facts.id, mine(SessionSpec::shell())).await.map(|_| ()),
        client.destroy_session(session.id()).await,
    ] {
        assert!(matches!(outcome, Err(Error::SessionNotFound(_))), "{outcome:?}");
    }
    for options in [observer(), driver(Size::DEFAULT)] {
        let mut attachment = client.attach(session.id(), options);
        let refusal = match tokio::time::timeout(PATIENCE, attachment.recv()).await.unwrap() {
            AttachEvent::Closed(Some(refusal)) => refusal,
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal.code, Code::NotFound);
        // The same sentence as for an id that nobody has.
        assert_eq!(refusal.message, format!("there is no session {}; see `fleetmux session list`", session.id()));
    }
    let ca = realm.path("relay/ca.pem");
    let relay = realm.endpoint.to_string();
    let flags = ["--relay", &relay, "--ca", ca.to_str().unwrap(), "--key", &blue];
    let id = session.id().to_string();
    let admin = realm.key("boss", &["--workspace", "blue", "--actions", "admin"]);
    let admin_flags = ["--relay", &relay, "--ca", ca.to_str().unwrap(), "--key", &admin];
    for command in [
        [&["machines", "--json"][..], &flags].concat(),
        [&["session", "list", "--json"], &flags[..]].concat(),
        [&["session", "destroy", &id], &flags[..]].concat(),
        [&["session", "new", "red-box"], &flags[..]].concat(),
        [&["keys", "list"], &admin_flags[..]].concat(),
        [&["keys", "revoke", "r"], &admin_flags[..]].concat(),
        [&["relay", "machines", "list"], &admin_flags[..]].concat(),
        [&["relay", "machines", "revoke", "red-box"], &admin_flags[..]].concat(),
    ] {
        let said = realm.says(&command).replace("session \"red-box\"", "").replace("\"red-box\"", "what was asked for");
        heard += &said.replace(&id, "the id that was asked for");
    }
    // An event of its own comes, so what came before it is all there was.
    let blue_box = machine(&client, "blue-box", true).await;
    let own = client.create_session(blue_box.facts.id, mine(sh("cat"))).await.unwrap();
    loop {
        let event = tokio::time::timeout(PATIENCE, watch.recv()).await.unwrap().unwrap();
        heard += &format!("{event:?}");
        if matches!(&event, FleetEvent::Session(session) if session.id() == own.id()) {
            break;
        }
    }
    let machine_id = red_box.facts.id.to_string();
    for name in ["red-box", "red-secret", &machine_id, &id, "\"red\""] {
        assert!(!heard.contains(name), "{name} in {heard}");
    }
    // The other side still has everything.
    assert!(red_client.fleet().await.unwrap().1.iter().any(|session| session.spec.name == "red-secret"));
    // And an admin of a workspace makes keys for no other.
    let said = realm.says(&[&["keys", "create", "--name", "x", "--workspace", "red"], &admin_flags[..]].concat());
    assert!(said.contains("its own workspace only"), "{said}");
}

#[tokio::test]
async fn a_key_does_what_its_actions_say_and_nothing_else() {
    let realm = Realm::with_machine("web-1");
    let (all, eyes) =
        (realm.client(&realm.key("all", &[])), realm.client(&realm.key("eyes", &["--actions", "observe"])));
    let web = machine(&all, "web-1", true).await;
    let session = all.create_session(web.facts.id, mine(sh("echo hello; cat"))).await.unwrap();
    let mut pane = Pane::attach(&eyes, &session, observer());
    pane.until_text("hello").await;
    // Neither by asking for the role, nor by switching to it, nor by calls.
    pane.attachment.handle().set_role(Role::Driver);
    pane.until("refused", |pane| !pane.refusals.is_empty()).await;
    assert_eq!(pane.refusals[0].code, Code::PermissionDenied);
    assert!(pane.refusals[0].message.contains("key:eyes may not drive"), "{:?}", pane.refusals);
    let mut attachment = eyes.attach(session.id(), driver(Size::DEFAULT));
    let event = tokio::time::timeout(PATIENCE, attachment.recv()).await.unwrap();
    assert!(matches!(&event, AttachEvent::Closed(Some(no)) if no.code == Code::PermissionDenied), "{event:?}");
    for outcome in [
        eyes.create_session(web.facts.id, mine(SessionSpec::shell())).await.map(|_| ()),
        eyes.destroy_session(session.id()).await,
        eyes.keys().await.map(|_| ()),
        all.keys().await.map(|_| ()),
    ] {
        assert!(matches!(outcome, Err(Error::PermissionDenied(_))), "{outcome:?}");
    }
    assert_eq!(eyes.who_am_i().await.unwrap().principal, "key:eyes");
    realm.audited("denied", "key:eyes may not drive").await;
    realm.audited("denied", "key:all may not admin").await;
}

#[tokio::test]
async fn tokens_are_spent_once_and_in_time_and_a_stolen_id_joins_nothing() {
    let realm = Realm::start();
    let once = realm.token(&[]);
    assert!(realm.join("web-1", &once).contains("has joined"));
    assert!(realm.join("web-2", &once).contains("was used already"));
    let soon = realm.token(&["--expires", "1s"]);
    let made = fleetmux::runtime::now_ms();
    until("a second has passed", || fleetmux::runtime::now_ms() > made + 1000).await;
    assert!(realm.join("web-2", &soon).contains("has expired"));
    // web-3 says that it is web-1.
    fs::create_dir_all(realm.path("web-3/state")).unwrap();
    for dir in ["web-3", "web-3/state"] {
        fs::set_permissions(realm.path(dir), fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::copy(realm.path("web-1/state/machine-id"), realm.path("web-3/state/machine-id")).unwrap();
    let token = realm.token(&["--reusable"]);
    let said = realm.join("web-3", &token);
    assert!(said.contains("has joined already"), "{said}");
    assert!(!realm.path("web-3/state/joined.toml").exists());
    // web-1 itself may join again.
    assert!(realm.join("web-1", &token).contains("has joined tls://"));
    realm.audited("auth_failed", "was used already").await;
    realm.audited("auth_failed", "has expired").await;
    realm.audited("auth_failed", "has joined already").await;
    let fake = realm.run(&["agent", "join", "fmj_nonsense", "--dir", realm.path("x").to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&fake.stderr).contains("this is no join token"));
}

#[tokio::test]
async fn a_relay_that_does_not_prove_itself_gets_no_key() {
    let (mut realm, other) = (Realm::start(), Realm::start());
    // On all addresses, of which the certificate names one.
    kill(realm.relay.take());
    realm.serve("0.0.0.0:0");
    let port = realm.endpoint.to_string().rsplit(':').next().unwrap().to_string();
    realm.endpoint = Endpoint::Tls(format!("127.0.0.1:{port}"));
    let realm = realm;
    let key = realm.key("ada", &[]);
    let dial = |endpoint: &Endpoint, ca_pem: Option<String>| {
        let credentials = Credentials { key: Some(Secret::new(&key)), ca_pem, ca_fingerprint: None };
        let client = Client::connect(endpoint.clone(), Options { credentials, ..Options::default() });
        async move { client.connected(PATIENCE).await.unwrap_err() }
    };
    let untrusted = |err: Error, words: &str| {
        assert!(matches!(&err, Error::Untrusted(why) if why.contains(words)), "{words}: {err:?}");
    };
    untrusted(dial(&realm.endpoint, Some(other.ca_pem())).await, "does not come from the CA");
    untrusted(dial(&realm.endpoint, None).await, "no CA is known");
    untrusted(dial(&Endpoint::Tls(format!("127.0.0.2:{port}")), Some(realm.ca_pem())).await, "is for other names");

    // A plain relay where TLS is expected.
    let mut plain = realm.command(&["relay", "--listen", "127.0.0.1:0", "--die-with-parent"]);
    let mut plain = plain.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(plain.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().to_string();
    untrusted(dial(&Endpoint::Tls(address.clone()), Some(realm.ca_pem())).await, "does not speak TLS");
    let said = realm.says(&[
        "machines",
        "--relay",
        &format!("tls://{address}"),
        "--ca",
        realm.path("relay/ca.pem").to_str().unwrap(),
    ]);
    assert!(said.contains("does not speak TLS"), "{said}");
    kill(Some(plain));
    // A key never travels in the clear over a network.
    untrusted(dial(&Endpoint::Tcp("192.0.2.1:7000".into()), None).await, "not sent to");

    // A token whose relay was replaced by somebody with another CA.
    let token: JoinToken = realm.token(&[]).parse().unwrap();
    let Endpoint::Tls(elsewhere) = &other.endpoint else { panic!() };
    let token = JoinToken { address: elsewhere.clone(), ..token };
    let said = realm.join("web-1", token.encode().reveal());
    assert!(said.contains("does not come from the CA"), "{said}");
    assert!(!realm.path("web-1/state/joined.toml").exists());

    // Without TLS nothing is served beyond this machine, and without a key nothing is said to anybody.
    assert!(realm.says(&["relay", "--listen", "0.0.0.0:0"]).contains("needs TLS"));
    let said = realm.says(&[
        "machines",
        "--relay",
        &realm.endpoint.to_string(),
        "--ca",
        realm.path("relay/ca.pem").to_str().unwrap(),
    ]);
    assert!(said.contains("wants a key"), "{said}");
    realm.audited("auth_failed", "wants a key").await;
}

#[tokio::test]
async fn an_address_that_guesses_is_not_listened_to_for_a_while() {
    let realm = Realm::start();
    let (known, unseen) = (realm.key("known", &[]), realm.key("unseen", &[]));
    realm.client(&known).connected(PATIENCE).await.unwrap();
    let mut refusals = Vec::new();
    for guess in 0..11 {
        refusals.push(realm.client(&format!("fm_guess-{guess}")).connected(PATIENCE).await.unwrap_err());
    }
    assert!(matches!(&refusals[0], Error::Unauthenticated(why) if why.contains("not known")), "{refusals:?}");
    let is_limited = |err: &Error| matches!(err, Error::Exhausted(why) if why.contains("too many failed attempts"));
    assert!(is_limited(&refusals[10]), "{refusals:?}");
    // A right guess is not listened to either; whoever was let in from here before still is.
    assert!(is_limited(&realm.client(&unseen).connected(PATIENCE).await.unwrap_err()));
    realm.client(&known).connected(PATIENCE).await.unwrap();
    realm.audited("rate_limited", "127.0.0.1").await;
    assert!(realm.audit().iter().filter(|line| line["event"] == "auth_failed").count() <= 11);
}

/// A machine's key is good for its own machine and for nothing that people do.
#[tokio::test]
async fn a_machines_key_is_no_persons_key() {
    let realm = Realm::start();
    realm.join("web-1", &realm.token(&[]));
    let key = realm.machine_key("web-1");
    let refused = realm.client(&key).connected(PATIENCE).await.unwrap_err();
    assert!(matches!(&refused, Error::Unauthenticated(why) if why.contains("a machine's key")), "{refused:?}");
    let unknown = MachineId::random();
    let local = Client::connect(realm.own().parse().unwrap(), Options::default());
    let gone = local.create_session(unknown, mine(SessionSpec::shell())).await.unwrap_err();
    assert!(matches!(gone, Error::SessionNotFound(_)), "{gone:?}");
}

#[tokio::test]
async fn without_configuration_everything_local_works_as_before() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    assert_eq!(client.who_am_i().await.unwrap().workspace, None);
    let session = fleet.session(&client, "web-1", sh("echo local; cat")).await;
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    pane.until_text("local").await;
}

/// A certificate was good for ever, and its key with it; now it expires, and another one is served without a restart.
#[tokio::test]
async fn a_certificate_is_renewed_under_those_who_are_connected() {
    let mut realm = Realm::with_machine("web-1");
    let key = realm.key("ada", &[]);
    let client = realm.client(&key);
    let web = machine(&client, "web-1", true).await;
    let session = client.create_session(web.facts.id, mine(sh("cat"))).await.unwrap();
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    let (dir, relay) = (realm.path("relay"), realm.endpoint.to_string());
    let ca = realm.path("relay/ca.pem");
    let doctor = || {
        let flags = ["--relay", &relay, "--ca", ca.to_str().unwrap(), "--key", &key];
        let output = realm.run(&[&["doctor", "--json"], &flags[..]].concat());
        let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let check = checks.as_array().unwrap().iter().find(|check| check["check"] == "certificate").unwrap().clone();
        (check["level"].as_str().unwrap().to_string(), check["says"].as_str().unwrap().to_string())
    };
    assert_eq!(doctor(), ("ok".into(), "the relay's is good for 397 days".into()));
    let renew = |days: &str| realm.says(&["relay", "init", "--renew", "--days", days, "--dir", dir.to_str().unwrap()]);
    let before = (fs::read(realm.path("relay/server.pem")).unwrap(), fs::read(&ca).unwrap());
    let said = renew("20");
    assert_eq!(
        said,
        "a new certificate for 127.0.0.1, localhost, ::1, good for 20 days; a running relay serves it already\n"
    );
    assert_ne!(fs::read(realm.path("relay/server.pem")).unwrap(), before.0);
    assert_eq!(fs::read(&ca).unwrap(), before.1, "the same CA");
    // It is served without a restart, and somebody looks at it.
    until("the new one is served", || doctor() == ("warning".into(), "the relay's expires in 19 days".into())).await;
    // Who was there is there still, and who comes is let in.
    pane.type_text("still-connected\n");
    pane.until_text("still-connected").await;
    assert_eq!(pane.lost, 0);
    realm.client(&key).connected(PATIENCE).await.unwrap();
    // A broken one is not taken up.
    let good = fs::read_to_string(realm.path("relay/server.key")).unwrap();
    fleetmux::config::paths::write_private(&realm.path("relay/server.key"), b"nonsense").unwrap();
    let chain = fs::read(realm.path("relay/server.pem")).unwrap();
    fleetmux::config::paths::write_private(&realm.path("relay/server.pem"), &chain).unwrap();
    until("the relay says so", || {
        fs::read_to_string(realm.path("relay.log")).unwrap().contains("the new certificate cannot be served")
    })
    .await;
    realm.client(&key).connected(PATIENCE).await.unwrap();
    fleetmux::config::paths::write_private(&realm.path("relay/server.key"), good.as_bytes()).unwrap();
    // One that is about to expire is renewed by the relay that starts with it; an expired one is named as that.
    renew("3");
    let address = relay.trim_start_matches("tls://").to_string();
    kill(realm.relay.take());
    realm.serve(&address);
    until("the relay renewed it", || {
        let flags = ["--relay", &relay, "--ca", ca.to_str().unwrap(), "--key", &key];
        realm.says(&[&["doctor", "--json"], &flags[..]].concat()).contains("good for 397 days")
    })
    .await;
    machine(&realm.client(&key), "web-1", true).await;
}

/// A revoked or expired key kept its running `exec`, standard input included, and its watch of the fleet, while its
/// attachments were cut at once; and `connect` went on with "connection lost, retrying" for ever, although the relay had
/// said why.
#[tokio::test]
async fn a_key_that_is_good_no_longer_loses_every_stream_it_opened_and_hears_why() {
    let realm = Realm::with_machine("web-1");
    let key = realm.key("ada", &[]);
    let client = realm.client(&key);
    let web = machine(&client, "web-1", true).await;
    let (relay, ca) = (realm.endpoint.to_string(), realm.path("relay/ca.pem"));
    let flags = ["--relay", &relay, "--ca", ca.to_str().unwrap(), "--key", &key];
    // A command of which the agent knows, with standard input open.
    let mut exec = realm.command(&flags);
    exec.args(["exec", "web-1", "--timeout", "0", "echo started; cat; sleep 31536017"]);
    let mut exec = exec.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdin = exec.stdin.take().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(exec.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    // A person's terminal.
    let session = client.create_session(web.facts.id, mine(sh("echo here; cat"))).await.unwrap();
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux")).args(flags);
    let command = command.args(["connect", "web-1", "--session", &session.id().to_string()]);
    let config = realm.path("config/config.toml");
    let mut terminal = crate::connect::Terminal::run(command.env("FLEETMUX_CONFIG", config), Size::DEFAULT);
    terminal.until_text("here").await;
    // A watch of the fleet.
    let credentials =
        Credentials { key: Some(Secret::new(key.clone())), ca_pem: Some(realm.ca_pem()), ca_fingerprint: None };
    let channel = wire::dial(&realm.endpoint, &credentials).await.unwrap();
    let request = v1::WatchRequest::default();
    let mut watch = wire::client_service(channel).watch(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some(), "the snapshot");

    assert!(realm.says(&["keys", "revoke", "ada", "--relay", &realm.own()]).contains("key ada"));
    let ended = tokio::task::spawn_blocking(move || exec.wait_with_output().unwrap());
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("the command ends").unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(255) && said.contains("key ada is revoked"), "{ended:?}");
    drop(stdin);
    until("the process group is gone", || processes_naming("sleep 31536017").is_empty()).await;
    assert_eq!(terminal.ended().await.code(), Some(255));
    assert!(String::from_utf8_lossy(&terminal.raw).contains("key ada is revoked"), "{}", terminal.text());
    let cut = async {
        loop {
            if let Err(status) = watch.message().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, cut).await.expect("the watch ends");
    assert!(status.message().contains("key ada is revoked"), "{status}");
    realm.audited("exec_end", "\"revoked\"").await;

    // The same when a key's time is up.
    let key = realm.key("bob", &["--expires", "3s"]);
    let client = realm.client(&key);
    let options = ExecOptions { timeout: None, ..ExecOptions::shell("sleep 31536018") };
    let mut handle = client.exec(web.facts.id, options).await.unwrap();
    let over = async {
        loop {
            if let Err(err) = handle.recv().await {
                return err;
            }
        }
    };
    let over = tokio::time::timeout(PATIENCE, over).await.expect("the command ends");
    assert!(matches!(&over, Error::Unauthenticated(why) if why.contains("key bob has expired")), "{over:?}");
    until("the process group is gone", || processes_naming("sleep 31536018").is_empty()).await;
}

/// Why an agent has no link, as it says itself.
fn link_error(dir: &Path) -> Option<String> {
    fleetmux::agent::standing(dir)?.error
}

/// A machine made from the image of another one threw that one out, and was thrown out by it, several times a second, and
/// nobody said why. And of an agent that the relay does not let in only its log knew.
#[tokio::test]
async fn a_cloned_machine_and_a_revoked_one_hear_what_they_are() {
    let mut realm = Realm::start();
    let token = realm.token(&["--reusable"]);
    realm.join("web-1", &token);
    realm.agent("web-1");
    let client = realm.client(&realm.key("ada", &[]));
    machine(&client, "web-1", true).await;
    fs::create_dir(realm.path("clone")).unwrap();
    fs::set_permissions(realm.path("clone"), fs::Permissions::from_mode(0o700)).unwrap();
    let copied =
        Command::new("cp").arg("-rp").arg(realm.path("web-1/state")).arg(realm.path("clone")).status().unwrap();
    assert!(copied.success());
    realm.agent("clone");
    let says = "another agent linked with this machine's key";
    for log in ["web-1.log", "relay.log"] {
        until(log, || fs::read_to_string(realm.path(log)).unwrap_or_default().contains(says)).await;
    }
    until("the older one's note", || link_error(&realm.path("web-1")).is_some_and(|why| why.contains(says))).await;
    assert!(!fs::read_to_string(realm.path("clone.log")).unwrap().contains(says), "the newer one stays");
    assert_eq!(link_error(&realm.path("clone")), None);
    let dir = realm.path("relay");
    let said = realm.says(&["relay", "machines", "revoke", "web-1", "--dir", dir.to_str().unwrap()]);
    assert!(said.contains("web-1 is revoked"), "{said}");
    until("the refused one's note", || {
        let note = link_error(&realm.path("clone"));
        note.is_some_and(|why| why.contains("the key of machine web-1 is revoked; `fleetmux agent join`"))
    })
    .await;
}

/// Files with keys that everybody could read were taken without a word.
#[tokio::test]
async fn keys_that_others_may_read_are_refused_with_what_to_do() {
    let mut realm = Realm::start();
    realm.join("web-1", &realm.token(&[]));
    let open = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let joined = realm.path("web-1/state/joined.toml");
    open(&joined, 0o644);
    let said = realm.says(&["agent", "start", "--foreground", "--dir", realm.path("web-1").to_str().unwrap()]);
    assert!(said.contains("(mode 644); run `chmod 600") && said.contains("joined.toml"), "{said}");
    kill(realm.relay.take());
    for name in ["relay/server.key", "relay/ca.key"] {
        open(&realm.path(name), 0o640);
        let dir = realm.path("relay");
        let said = realm.says(&["relay", "--listen", "tls://127.0.0.1:0", "--dir", dir.to_str().unwrap()]);
        assert!(said.contains("(mode 640); run `chmod 600") && said.contains(name), "{said}");
        open(&realm.path(name), 0o600);
    }
    // A client's configuration that is open is no reason for a relay not to start.
    fs::create_dir_all(realm.path("config")).unwrap();
    fs::write(realm.path("config/config.toml"), "").unwrap();
    open(&realm.path("config/config.toml"), 0o644);
    open(&realm.path("relay/relay.redb"), 0o644);
    realm.serve("127.0.0.1:0");
    let mode = fs::metadata(realm.path("relay/relay.redb")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!realm.says(&["doctor"]).is_empty());
}

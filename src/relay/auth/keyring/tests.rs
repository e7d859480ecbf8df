//! Keys, tokens and machines as a specification.

use super::*;

fn new_key(name: &str, workspace: &str) -> NewKey {
    NewKey {
        name: name.into(),
        workspace: workspace.into(),
        actions: [Action::Observe].into_iter().collect(),
        expires_ms: Some(1000),
        prefix: String::new(),
    }
}

fn message<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> String {
    outcome.unwrap_err().message
}

#[test]
fn a_key_is_known_by_its_secret_until_it_expires_or_is_revoked() {
    let mut ring = Keyring::default();
    let (secret, key) = ring.create(new_key("ci", "default"), 0).unwrap();
    assert!(secret.reveal().starts_with("fm_") && secret.reveal().len() > 43);
    assert!(!serde_json::to_string(&key).unwrap().contains(secret.reveal()), "stored hashed");
    assert_eq!(ring.check(secret.reveal(), 1).unwrap().0.name, "ci");
    assert!(message(ring.check("fm_other", 1)).contains("not known"));
    assert!(message(ring.check(secret.reveal(), 1000)).contains("key ci has expired"));
    assert_eq!(ring.expired(999, 1000).len(), 1);
    assert!(ring.expired(1000, 2000).is_empty());
    ring.revoke("ci", false, |_| true, 2).unwrap();
    assert!(message(ring.check(secret.reveal(), 3)).contains("key ci is revoked"));
    assert!(ring.create(new_key("ci", "default"), 4).is_ok(), "the name is free again");
    let ended = |workspace, memory, now| ring.ended(workspace, memory, now);
    assert_eq!(ended(Some("default"), 100, 10), [(Principal::key("ci"), 8)], "of the one that was revoked");
    assert!(ended(Some("default"), 100, 103).is_empty() && ended(Some("other"), 100, 10).is_empty());
    assert_eq!(ended(None, 100, 1001), [(Principal::key("ci"), 1)], "of the one that expired");
}

#[test]
fn the_use_of_a_key_is_stored_once_a_minute() {
    let mut ring = Keyring::default();
    let (secret, _) = ring.create(NewKey { expires_ms: None, ..new_key("ci", "default") }, 0).unwrap();
    let news = |ring: &mut Keyring, now| ring.check(secret.reveal(), now).unwrap().1;
    assert!(news(&mut ring, 60_000) && !news(&mut ring, 60_001) && news(&mut ring, 120_000));
}

#[test]
fn names_of_another_workspace_are_neither_listed_nor_revoked_nor_taken() {
    let mut ring = Keyring::default();
    ring.create(new_key("ci", "a"), 0).unwrap();
    assert!(ring.create(new_key("ci", "b"), 0).is_ok());
    assert!(ring.create(new_key("ci", "b"), 0).is_err());
    assert_eq!(ring.list(|workspace| workspace == "b").len(), 1);
    assert_eq!(ring.revoke("ci", false, |workspace| workspace == "c", 0).unwrap_err().code, Code::NotFound);
    assert_eq!(ring.revoke("ci", false, |_| true, 0).unwrap_err().code, Code::Ambiguous);
}

fn new_token(is_reusable: bool) -> NewToken {
    NewToken { workspace: "default".into(), expires_ms: 1000, is_reusable, ..NewToken::default() }
}

fn join(ring: &mut Keyring, token: &Secret, ask: &Ask, now: u64) -> Result<Joined, Refusal> {
    ring.redeem(token.reveal(), ask, None, &[], now)
}

#[test]
fn a_token_is_spent_once_and_in_time() {
    let mut ring = Keyring::default();
    let mut token = |is_reusable| ring.create_token(new_token(is_reusable), 0).unwrap().0;
    let (once, often) = (token(false), token(true));
    let machine = MachineId::random();
    let ask = |name: &str| Ask::named(MachineId::random(), name);
    let joined = join(&mut ring, &once, &Ask::named(machine, "web-1"), 1).unwrap();
    assert_eq!(ring.check(joined.secret.reveal(), 2).unwrap().0.machine(), Some(machine));
    assert!(message(join(&mut ring, &once, &ask("web-2"), 2)).contains("used already"));
    assert!(join(&mut ring, &often, &ask("web-2"), 2).is_ok());
    assert!(join(&mut ring, &often, &ask("web-3"), 2).is_ok());
    assert!(message(join(&mut ring, &often, &ask("w"), 1000)).contains("expired"));
    assert!(message(join(&mut ring, &Secret::new("other"), &ask("w"), 2)).contains("not known"));
}

#[test]
fn a_machine_that_has_joined_is_replaced_by_itself_only() {
    let mut ring = Keyring::default();
    let token = ring.create_token(new_token(true), 0).unwrap().0;
    let ask = Ask::named(MachineId::random(), "web-1");
    let first = join(&mut ring, &token, &ask, 1).unwrap();
    let thief = ring.redeem(token.reveal(), &ask, Some("fmm_guess"), &[], 1).unwrap_err();
    assert_eq!(thief.code, Code::PermissionDenied);
    let second = ring.redeem(token.reveal(), &ask, Some(first.secret.reveal()), &[], 1).unwrap();
    assert!(ring.check(first.secret.reveal(), 2).is_err() && ring.check(second.secret.reveal(), 2).is_ok());
    // Its key was lost, and whoever decides lets it take its own place.
    assert!(ring.consider(token.reveal(), &ask, None, 2).unwrap().is_unproven);
    let third = ring.redeem(token.reveal(), &ask, None, &[ask.machine], 2).unwrap();
    assert!(ring.check(second.secret.reveal(), 3).is_err() && ring.check(third.secret.reveal(), 3).is_ok());
    // A token of another workspace takes nobody's place.
    let foreign = NewToken { workspace: "blue".into(), ..new_token(true) };
    let foreign = ring.create_token(foreign, 0).unwrap().0;
    let refused = ring.redeem(foreign.reveal(), &ask, None, &[ask.machine], 2).unwrap_err();
    assert!(refused.message.contains("has joined already"), "{refused}");
}

/// A reimaged host joined under its name, and `web-1` was two machines from then on.
#[test]
fn a_name_belongs_to_one_machine_of_a_workspace() {
    let mut ring = Keyring::default();
    let token = ring.create_token(new_token(true), 0).unwrap().0;
    let (old, new) = (Ask::named(MachineId::random(), "web-1"), Ask::named(MachineId::random(), "web-1"));
    let first = join(&mut ring, &token, &old, 1).unwrap();
    let considered = ring.consider(token.reveal(), &new, None, 1).unwrap();
    assert_eq!((considered.namesakes, considered.may_replace), (vec![old.machine], false));
    assert!(message(join(&mut ring, &token, &new, 1)).contains("has just been taken"));
    let second = ring.redeem(token.reveal(), &new, None, &[old.machine], 1).unwrap();
    assert_eq!(second.ended.iter().map(|key| key.id).collect::<Vec<_>>(), [first.key.id]);
    assert!(ring.is_gone(old.machine) && !ring.is_gone(new.machine) && !ring.is_gone(MachineId::random()));
    // Elsewhere it is another name.
    let foreign = NewToken { workspace: "blue".into(), ..new_token(true) };
    let foreign = ring.create_token(foreign, 0).unwrap().0;
    assert!(join(&mut ring, &foreign, &Ask::named(MachineId::random(), "web-1"), 1).is_ok());
    let set = |name: &str| SetMachine { name: Some(name.into()), ..SetMachine::default() };
    let other = join(&mut ring, &token, &Ask::named(MachineId::random(), "web-2"), 1).unwrap();
    assert_eq!(ring.set_machine(other.key.id, &set("web-1")).unwrap_err().code, Code::Exists);
    assert_eq!(ring.set_machine(other.key.id, &set("web-3")).unwrap().name, "web-3");
    assert_eq!(ring.machine("web-3", |_| true).unwrap().id, other.key.id);
    assert_eq!(ring.machine("web-1", |_| true).unwrap_err().code, Code::Ambiguous);
    assert_eq!(ring.machine("web-1", |workspace| workspace == "default").unwrap().id, second.key.id);
}

#[test]
fn an_admin_changes_what_is_bound() {
    let mut ring = Keyring::default();
    let token = ring.create_token(new_token(false), 0).unwrap().0;
    let labels: Labels = [("role".to_string(), "web".to_string()), ("env".into(), "dev".into())].into();
    let ask = Ask { labels, ..Ask::named(MachineId::random(), "web-1") };
    let joined = join(&mut ring, &token, &ask, 1).unwrap();
    let set = SetMachine {
        hostname: Some("vps-b".into()),
        labels: [("env".to_string(), "prod".to_string())].into(),
        remove_labels: vec!["role".into(), "nothing".into()],
        ..SetMachine::default()
    };
    let key = ring.set_machine(joined.key.id, &set).unwrap();
    let bound = key.bound.unwrap();
    assert_eq!((key.name.as_str(), bound.hostname.as_str()), ("web-1", "vps-b"));
    assert_eq!(bound.labels, [("env".to_string(), "prod".to_string())].into());
    for bad in [
        SetMachine { name: Some("a b".into()), ..SetMachine::default() },
        SetMachine { hostname: Some("a\nb".into()), ..SetMachine::default() },
        SetMachine { labels: [("a".to_string(), "b c".to_string())].into(), ..SetMachine::default() },
    ] {
        assert_eq!(ring.set_machine(joined.key.id, &bad).unwrap_err().code, Code::Invalid);
    }
    ring.revoke("web-1", true, |_| true, 2).unwrap();
    assert_eq!(ring.set_machine(joined.key.id, &set).unwrap_err().code, Code::NotFound);
}

/// Keys from before anything was bound: their machines are who they say once, and stay that.
#[test]
fn a_key_with_nothing_bound_is_who_it_says_at_its_first_link() {
    let mut ring = Keyring::default();
    let token = ring.create_token(new_token(true), 0).unwrap().0;
    // As an agent joins that says labels and host name when it links.
    let old = |name: &str| Ask { hostname: String::new(), ..Ask::named(MachineId::random(), name) };
    let keys: Vec<Key> =
        ["web-1", "web-2", "dev-7"].map(|name| join(&mut ring, &token, &old(name), 1).unwrap().key).into();
    let bound = Bound { hostname: "vps-a".into(), labels: [("role".to_string(), "web".to_string())].into() };
    let mut says = |key: &Key, name: &str, bound: &Bound| {
        let (key, is_new) = ring.identify(key.id, (name, bound), |name| name == "laptop").unwrap();
        (key.name, key.bound.unwrap(), is_new)
    };
    assert_eq!(says(&keys[0], "web-1", &bound), ("web-1".into(), bound.clone(), true));
    let lies = Bound { hostname: "db-1".into(), labels: [("role".to_string(), "prod".to_string())].into() };
    assert_eq!(says(&keys[0], "db-1", &lies), ("web-1".into(), bound.clone(), false), "once only");
    // Neither a name that is bound, nor one that was promised, nor one that is there.
    for name in ["web-1", "web-2", "laptop"] {
        let id = keys[2].machine.clone().unwrap();
        let mut copy = Keyring::new(ring.list(|_| true), Vec::new());
        let (key, _) = copy.identify(keys[2].id, (name, &bound), |name| name == "laptop").unwrap();
        assert_eq!(key.name, format!("{name}-{}", &id[id.len() - 6..]));
    }
    let (key, _) = ring.identify(keys[2].id, ("x\ny", &Bound::default()), |_| false).unwrap();
    assert_eq!((key.name.as_str(), key.bound.unwrap().hostname.as_str()), ("dev-7", "dev-7"), "as it joined");
    // What was stored before reads as nothing bound.
    let stored = serde_json::to_string(&keys[1]).unwrap();
    assert!(!stored.contains("bound") && serde_json::from_str::<Key>(&stored).unwrap().bound.is_none());
}

/// By the id of another machine, which everybody sees, a token that was made for `dev-7` took the place of `web-1`.
#[test]
fn a_token_for_one_machine_is_no_token_for_another_ones_place() {
    let mut ring = Keyring::default();
    let plain = ring.create_token(new_token(false), 0).unwrap().0;
    let web = Ask::named(MachineId::random(), "web-1");
    join(&mut ring, &plain, &web, 1).unwrap();
    let bound = NewToken { name: "dev-7".into(), ..new_token(false) };
    let bound = ring.create_token(bound, 1).unwrap().0;
    let thief = Ask { replaces: true, ..Ask::named(web.machine, "dev-7") };
    assert_eq!(ring.consider(bound.reveal(), &thief, None, 2).unwrap_err().code, Code::PermissionDenied);
}

/// A machine that chose another one's name for its host name was reached by it.
#[test]
fn a_host_name_that_is_another_machines_name_is_not_bound() {
    let mut ring = Keyring::default();
    let token = ring.create_token(new_token(true), 0).unwrap().0;
    join(&mut ring, &token, &Ask::named(MachineId::random(), "web-1"), 1).unwrap();
    let liar = Ask { hostname: "web-1".into(), ..Ask::named(MachineId::random(), "x") };
    let joined = join(&mut ring, &token, &liar, 1).unwrap();
    assert_eq!(joined.key.bound.unwrap().hostname, "x");
}

/// Each join made a key that was kept for ever: whoever had a reusable token filled the relay's store.
#[test]
fn keys_that_ended_are_forgotten_in_the_end_and_a_machine_has_few() {
    const YEAR: u64 = 365 * 24 * 3600 * 1000;
    let mut ring = Keyring::default();
    let token = ring.create_token(NewToken { expires_ms: 2 * YEAR, ..new_token(true) }, 0).unwrap().0;
    let ask = Ask::named(MachineId::random(), "web-1");
    let mut joined = join(&mut ring, &token, &ask, 0).unwrap();
    let mut forgotten = 0;
    for now in 1..100 {
        joined = ring.redeem(token.reveal(), &ask, Some(joined.secret.reveal()), &[], now).unwrap();
        forgotten += joined.forgotten.len();
    }
    assert_eq!((ring.keys.len(), forgotten), (5, 95));
    assert!(ring.check(joined.secret.reveal(), 100).is_ok(), "its own is good");
    let revoked = ring.create(new_key("ci", "default"), 100).unwrap();
    ring.revoke("ci", false, |_| true, 200).unwrap();
    assert!(ring.forget_ended(300).is_empty());
    assert!(message(ring.check(revoked.0.reveal(), 300)).contains("is revoked"));
    assert_eq!(ring.forget_ended(YEAR).len(), 5);
    assert!(message(ring.check(revoked.0.reveal(), YEAR)).contains("is not known"));
    assert!(ring.check(joined.secret.reveal(), YEAR).is_ok());
}

#[test]
fn so_many_machines_join_with_one_token() {
    let mut ring = Keyring::default();
    let token = ring.create_token(new_token(true), 0).unwrap().0;
    join(&mut ring, &token, &Ask::named(MachineId::random(), "web-0"), 0).unwrap();
    ring.tokens[0].joins = memory::JOINS_PER_TOKEN - 1;
    join(&mut ring, &token, &Ask::named(MachineId::random(), "web-1"), 0).unwrap();
    let more = join(&mut ring, &token, &Ask::named(MachineId::random(), "web-2"), 0).unwrap_err();
    assert_eq!(more.code, Code::Exhausted);
    assert!(more.message.contains("make another"), "{}", more.message);
}

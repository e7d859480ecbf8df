//! Keys and join tokens: made, checked, spent and revoked. Secrets are kept as SHA-256 of 256 random bits.
//!
//! It knows no clock, no file and no connection: whoever calls brings the time and stores what changed.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::fleet::{Action, Actions, Caller, Code, KeyId, Labels, MachineId, Principal, Refusal, Secret};

/// Random bytes of a secret: 256 bits.
const SECRET_BYTES: usize = 32;
/// In front of an API key unless another prefix is asked for.
const KEY_PREFIX: &str = "fm_";
/// In front of a machine's key.
const MACHINE_PREFIX: &str = "fmm_";
/// Characters of a secret after its prefix that are kept to recognise it by: 24 of 256 bits.
const HINT_CHARS: usize = 4;
/// Living keys of one workspace; a thousandth of it is already a large team.
const KEYS_CAP: usize = 100_000;
/// How long a spent or expired token is remembered, so that its holder is told what became of it.
const TOKEN_MEMORY_MS: u64 = 30 * 24 * 3600 * 1000;
/// How much later than before a use must be to be worth storing.
const LAST_USED_STEP_MS: u64 = 60_000;

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::relay) struct Key {
    /// The identity of whoever holds it: a name may come again.
    #[serde(with = "as_text")]
    pub(in crate::relay) id: KeyId,
    pub(in crate::relay) name: String,
    pub(in crate::relay) workspace: String,
    /// Names of actions; those of a machine's key are none.
    pub(in crate::relay) actions: Vec<String>,
    /// Set for a machine's key.
    pub(in crate::relay) machine: Option<String>,
    hash: Vec<u8>,
    pub(in crate::relay) hint: String,
    pub(in crate::relay) created_ms: u64,
    pub(in crate::relay) last_used_ms: u64,
    pub(in crate::relay) expires_ms: Option<u64>,
    pub(in crate::relay) revoked_ms: Option<u64>,
}

impl Key {
    pub(in crate::relay) fn actions(&self) -> Actions {
        self.actions.iter().filter_map(|name| name.parse::<Action>().ok()).collect()
    }

    pub(in crate::relay) fn machine(&self) -> Option<MachineId> {
        self.machine.as_ref()?.parse().ok()
    }

    /// Why it opens nothing any more, once it is revoked or has expired.
    pub(in crate::relay) fn over(&self, now: u64) -> Option<Refusal> {
        let (name, again) = match &self.machine {
            Some(_) => (format!("the key of machine {}", self.name), "`fleetmux agent join` with a new token"),
            None => (format!("key {}", self.name), "`fleetmux keys create` makes another"),
        };
        let message = if self.revoked_ms.is_some() {
            format!("{name} is revoked; {again}")
        } else if self.expires_ms.is_some_and(|expires| expires <= now) {
            format!("{name} has expired; {again}")
        } else {
            return None;
        };
        Some(Refusal::new(Code::Unauthenticated, message))
    }

    /// Whoever holds it.
    pub(in crate::relay) fn caller(&self) -> Caller {
        let principal = self.machine().map_or_else(|| Principal::key(&self.name), Principal::machine);
        let workspace = Some(self.workspace.clone());
        Caller { principal, key: Some(self.id), workspace, actions: self.actions() }
    }
}

/// An id in the store, as people write it.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::fleet::KeyId;

    pub(super) fn serialize<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A join token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::relay) struct Token {
    pub(in crate::relay) id: String,
    hash: Vec<u8>,
    pub(in crate::relay) workspace: String,
    pub(in crate::relay) labels: BTreeMap<String, String>,
    pub(in crate::relay) expires_ms: u64,
    pub(in crate::relay) is_reusable: bool,
    used_ms: Option<u64>,
}

/// A key to be made.
pub(in crate::relay) struct NewKey {
    pub(in crate::relay) name: String,
    pub(in crate::relay) workspace: String,
    pub(in crate::relay) actions: Actions,
    pub(in crate::relay) expires_ms: Option<u64>,
    pub(in crate::relay) prefix: String,
}

/// All keys and tokens of a relay.
#[derive(Default)]
pub(in crate::relay) struct Keyring {
    /// In the order they were made; none ever leaves.
    keys: Vec<Key>,
    /// Where in `keys` each is: a call costs the same however many there are.
    by_id: HashMap<KeyId, usize>,
    by_hash: HashMap<Vec<u8>, usize>,
    tokens: Vec<Token>,
}

impl Keyring {
    pub(in crate::relay) fn new(keys: Vec<Key>, tokens: Vec<Token>) -> Keyring {
        let mut keyring = Keyring { tokens, ..Keyring::default() };
        keys.into_iter().for_each(|key| keyring.insert(key));
        keyring
    }

    fn insert(&mut self, key: Key) {
        self.by_id.insert(key.id, self.keys.len());
        self.by_hash.insert(key.hash.clone(), self.keys.len());
        self.keys.push(key);
    }

    /// The key behind a secret, and whether its use is worth storing; the refusal says what became of it.
    pub(in crate::relay) fn check(&mut self, presented: &str, now: u64) -> Result<(Key, bool), Refusal> {
        // What the time of a look-up tells of a hash leads to no secret of 256 random bits.
        let found = self.by_hash.get(&hash(presented)).and_then(|&at| self.keys.get_mut(at));
        let no = |message: String| Err(Refusal::new(Code::Unauthenticated, message));
        let Some(key) = found else {
            return no("this key is not known to the relay; make one with `fleetmux keys create` on it".into());
        };
        if let Some(refusal) = key.over(now) {
            return Err(refusal);
        }
        let is_news = now.saturating_sub(key.last_used_ms) >= LAST_USED_STEP_MS;
        if is_news {
            key.last_used_ms = now;
        }
        Ok((key.clone(), is_news))
    }

    /// Whether a secret is or was a key's.
    pub(in crate::relay) fn knows(&self, presented: &str) -> bool {
        self.by_hash.contains_key(&hash(presented))
    }

    /// Whether a secret is or was a join token's.
    pub(in crate::relay) fn knows_token(&self, presented: &str) -> bool {
        let hash = hash(presented);
        self.tokens.iter().any(|token| bool::from(token.hash.ct_eq(&hash)))
    }

    /// Makes an API key; the secret is seen here and never again.
    pub(in crate::relay) fn create(&mut self, new: NewKey, now: u64) -> Result<(Secret, Key), Refusal> {
        check_word("a key's name", &new.name)?;
        check_word("a workspace", &new.workspace)?;
        let invalid = |message: &str| Err(Refusal::new(Code::Invalid, message));
        if new.actions.is_empty() {
            return invalid("a key needs an action: observe, drive, exec, read, files, admin");
        }
        if new.prefix.len() > 16 || !new.prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return invalid("a prefix is at most 16 letters, digits and _");
        }
        if self.living(&new.workspace, now).any(|key| key.machine.is_none() && key.name == new.name) {
            let message = format!("there is a key {} already; revoke it first or choose another name", new.name);
            return Err(Refusal::new(Code::Invalid, message));
        }
        if self.living(&new.workspace, now).count() >= KEYS_CAP {
            return Err(Refusal::new(Code::Exhausted, "this workspace has as many keys as it may; revoke some"));
        }
        let prefix = if new.prefix.is_empty() { KEY_PREFIX } else { &new.prefix };
        let (secret, hint) = secret(prefix)?;
        let key = Key {
            id: KeyId::random(),
            name: new.name,
            workspace: new.workspace,
            actions: new.actions.iter().map(|action| action.to_string()).collect(),
            machine: None,
            hash: hash(secret.reveal()),
            hint,
            created_ms: now,
            last_used_ms: 0,
            expires_ms: new.expires_ms,
            revoked_ms: None,
        };
        self.insert(key.clone());
        Ok((secret, key))
    }

    /// Keys of a workspace, or all, without the revoked ones.
    pub(in crate::relay) fn list(&self, sees: impl Fn(&str) -> bool) -> Vec<Key> {
        self.keys.iter().filter(|key| key.revoked_ms.is_none() && sees(&key.workspace)).cloned().collect()
    }

    /// Revokes the API key, or the machine's, of this name or id.
    pub(in crate::relay) fn revoke(
        &mut self,
        wanted: &str,
        is_machine: bool,
        sees: impl Fn(&str) -> bool,
        now: u64,
    ) -> Result<Key, Refusal> {
        let fits = |key: &&mut Key| {
            let is_named = key.name == wanted || key.id.to_string() == wanted || key.machine.as_deref() == Some(wanted);
            key.machine.is_some() == is_machine && is_named && key.revoked_ms.is_none() && sees(&key.workspace)
        };
        let mut found: Vec<&mut Key> = self.keys.iter_mut().filter(fits).collect();
        let (what, list) =
            if is_machine { ("joined machine", "fleetmux relay machines list") } else { ("key", "fleetmux keys list") };
        match found.as_mut_slice() {
            [key] => {
                key.revoked_ms = Some(now);
                Ok(key.clone())
            }
            [] => Err(Refusal::new(Code::NotFound, format!("there is no {what} {wanted:?}; see `{list}`"))),
            _ => {
                let message = format!("{wanted:?} fits more than one {what}; name it by its id, see `{list}`");
                Err(Refusal::new(Code::Ambiguous, message))
            }
        }
    }

    /// Why the key that a caller showed is good no longer; one that showed none needs none. Another key of its name does
    /// not count.
    pub(in crate::relay) fn over(&self, caller: &Caller, now: u64) -> Option<Refusal> {
        match self.by_id.get(&caller.key?).and_then(|&at| self.keys.get(at)) {
            Some(key) => key.over(now),
            None => Some(Refusal::new(Code::Unauthenticated, format!("{} has no key here", caller.principal))),
        }
    }

    /// Keys that expired after one moment and until another.
    pub(in crate::relay) fn expired(&self, after: u64, until: u64) -> Vec<Key> {
        let has = |key: &&Key| key.expires_ms.is_some_and(|at| at > after && at <= until);
        self.keys.iter().filter(has).cloned().collect()
    }

    /// API keys that machines have to forget: who had them, and how long ago they ended, none longer than `memory`.
    pub(in crate::relay) fn ended(&self, workspace: Option<&str>, memory: u64, now: u64) -> Vec<(Principal, u64)> {
        let is_in = |key: &&Key| key.machine.is_none() && workspace.is_none_or(|workspace| key.workspace == workspace);
        let ended = |key: &Key| {
            let expired_ms = key.expires_ms.filter(|at| *at <= now);
            let at = key.revoked_ms.into_iter().chain(expired_ms).min()?;
            let ago = now.saturating_sub(at);
            (ago <= memory).then(|| (key.caller().principal, ago))
        };
        self.keys.iter().filter(is_in).filter_map(ended).collect()
    }

    /// Makes a join token; its secret is seen here and never again.
    pub(in crate::relay) fn create_token(
        &mut self,
        workspace: String,
        labels: Labels,
        expires_ms: u64,
        is_reusable: bool,
        now: u64,
    ) -> Result<(Secret, Token), Refusal> {
        check_word("a workspace", &workspace)?;
        self.tokens.retain(|token| token.expires_ms + TOKEN_MEMORY_MS > now);
        let (secret, _) = secret("")?;
        let id = uuid::Uuid::new_v4().to_string();
        let hash = hash(secret.reveal());
        let token = Token { id, hash, workspace, labels, expires_ms, is_reusable, used_ms: None };
        self.tokens.push(token.clone());
        Ok((secret, token))
    }

    /// Exchanges a token's secret for a machine key. A machine that has joined shows its present key to join again:
    /// whoever merely knows its id must not get its place.
    pub(in crate::relay) fn redeem(
        &mut self,
        presented: &str,
        machine: MachineId,
        name: &str,
        present_key: Option<&str>,
        now: u64,
    ) -> Result<Joined, Refusal> {
        let hash_of = hash(presented);
        let no = |message: &str| Err(Refusal::new(Code::Unauthenticated, message));
        let Some(token) = self.tokens.iter_mut().filter(|token| bool::from(token.hash.ct_eq(&hash_of))).last() else {
            return no("this join token is not known to the relay; make one with `fleetmux relay token` on it");
        };
        if token.used_ms.is_some() && !token.is_reusable {
            return no(
                "this join token was used already; make another with `fleetmux relay token` (or one with --reusable)",
            );
        }
        if token.expires_ms <= now {
            return no("this join token has expired; make another with `fleetmux relay token`");
        }
        check_word("a machine's name", name)?;
        let id = machine.to_string();
        let present_hash = present_key.map(hash);
        let mut replaced = None;
        let is_living = |key: &&mut Key| key.machine.as_ref() == Some(&id) && key.revoked_ms.is_none();
        for old in self.keys.iter_mut().filter(is_living) {
            if !present_hash.as_ref().is_some_and(|hash| bool::from(hash.ct_eq(&old.hash))) {
                let message = "a machine of this id has joined already; on the relay, revoke it first with \
                               `fleetmux relay machines revoke`, or remove the file machine-id here";
                return Err(Refusal::new(Code::PermissionDenied, message));
            }
            old.revoked_ms = Some(now);
            replaced = Some(old.clone());
        }
        token.used_ms = Some(now);
        let token = token.clone();
        let (secret, hint) = secret(MACHINE_PREFIX)?;
        let key = Key {
            id: KeyId::random(),
            name: name.into(),
            workspace: token.workspace.clone(),
            actions: Vec::new(),
            machine: Some(id),
            hash: hash(secret.reveal()),
            hint,
            created_ms: now,
            last_used_ms: 0,
            expires_ms: None,
            revoked_ms: None,
        };
        self.insert(key.clone());
        Ok(Joined { secret, key, token, replaced })
    }

    fn living<'a>(&'a self, workspace: &'a str, now: u64) -> impl Iterator<Item = &'a Key> {
        let is_living = move |key: &&Key| key.revoked_ms.is_none() && key.expires_ms.is_none_or(|at| at > now);
        self.keys.iter().filter(is_living).filter(move |key| key.workspace == workspace)
    }
}

/// A machine has joined.
#[derive(Debug)]
pub(in crate::relay) struct Joined {
    pub(in crate::relay) secret: Secret,
    pub(in crate::relay) key: Key,
    pub(in crate::relay) token: Token,
    /// Its former key.
    pub(in crate::relay) replaced: Option<Key>,
}

/// SHA-256, as secrets are kept: they are random, so no slower hash is needed.
fn hash(secret: &str) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, secret.as_bytes()).as_ref().to_vec()
}

/// A new secret and the characters it may be recognised by.
fn secret(prefix: &str) -> Result<(Secret, String), Refusal> {
    let mut bytes = [0; SECRET_BYTES];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Refusal::new(Code::Internal, "the system has no random numbers"))?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let hint = format!("{prefix}{}", &text[..HINT_CHARS]);
    Ok((Secret::new(format!("{prefix}{text}")), hint))
}

/// Names appear in tables, principals and audit lines.
fn check_word(what: &str, word: &str) -> Result<(), Refusal> {
    let is_fine = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    if !word.is_empty() && word.len() <= 100 && word.chars().all(is_fine) {
        return Ok(());
    }
    Err(Refusal::new(Code::Invalid, format!("{what} is at most 100 letters, digits and -_.@; {word:?} is not")))
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_token_is_spent_once_and_in_time() {
        let mut ring = Keyring::default();
        let mut token =
            |is_reusable| ring.create_token("default".into(), Labels::new(), 1000, is_reusable, 0).unwrap().0;
        let (once, often) = (token(false), token(true));
        let machine = MachineId::random();
        let joined = ring.redeem(once.reveal(), machine, "web-1", None, 1).unwrap();
        assert_eq!(ring.check(joined.secret.reveal(), 2).unwrap().0.machine(), Some(machine));
        assert!(message(ring.redeem(once.reveal(), MachineId::random(), "web-2", None, 2)).contains("used already"));
        assert!(ring.redeem(often.reveal(), MachineId::random(), "web-2", None, 2).is_ok());
        assert!(ring.redeem(often.reveal(), MachineId::random(), "web-3", None, 2).is_ok());
        assert!(message(ring.redeem(often.reveal(), MachineId::random(), "w", None, 1000)).contains("expired"));
        assert!(message(ring.redeem("other", MachineId::random(), "w", None, 2)).contains("not known"));
    }

    #[test]
    fn a_machine_that_has_joined_is_replaced_by_itself_only() {
        let mut ring = Keyring::default();
        let (token, _) = ring.create_token("default".into(), Labels::new(), 1000, true, 0).unwrap();
        let machine = MachineId::random();
        let first = ring.redeem(token.reveal(), machine, "web-1", None, 1).unwrap();
        let thief = ring.redeem(token.reveal(), machine, "web-1", Some("fmm_guess"), 1).unwrap_err();
        assert_eq!(thief.code, Code::PermissionDenied);
        let second = ring.redeem(token.reveal(), machine, "web-1", Some(first.secret.reveal()), 1).unwrap();
        assert!(ring.check(first.secret.reveal(), 2).is_err() && ring.check(second.secret.reveal(), 2).is_ok());
    }
}

//! Keys and join tokens: made, checked, spent and revoked. Secrets are kept as SHA-256 of 256 random bits.
//!
//! It knows no clock, no file and no connection: whoever calls brings the time and stores what changed.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::token::{Ask, NewToken, Token};
use crate::fleet::{
    Action, Actions, Bound, Caller, Code, KeyId, Labels, MachineId, Principal, Refusal, Secret, check_hostname,
    check_labels, check_name,
};

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
    /// What is bound to the machine beside its name; `None` until its first link, if it joined before there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::relay) bound: Option<Bound>,
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
    /// In the order they were made.
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
        check_name("a key's name", &new.name)?;
        check_name("a workspace", &new.workspace)?;
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
            bound: None,
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
        // Once more by its id, after what could not be stored the first time.
        let is_again = |key: &&Key| {
            key.id.to_string() == wanted
                && key.machine.is_some() == is_machine
                && key.revoked_ms.is_some()
                && sees(&key.workspace)
        };
        if let Some(key) = self.keys.iter().find(is_again) {
            return Ok(key.clone());
        }
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
            let ago = now.saturating_sub(key.ended_ms(now)?);
            (ago <= memory).then(|| (key.caller().principal, ago))
        };
        self.keys.iter().filter(is_in).filter_map(ended).collect()
    }

    /// Makes a join token; its secret is seen here and never again.
    pub(in crate::relay) fn create_token(&mut self, new: NewToken, now: u64) -> Result<(Secret, Token), Refusal> {
        self.tokens.retain(|token| token.expires_ms + TOKEN_MEMORY_MS > now);
        let (secret, _) = secret("")?;
        let token = Token::new(new, uuid::Uuid::new_v4().to_string(), hash(secret.reveal()))?;
        self.tokens.push(token.clone());
        Ok((secret, token))
    }

    /// What became of a machine that joins with a token, if it may; nothing is spent.
    pub(in crate::relay) fn consider(
        &self,
        presented: &str,
        ask: &Ask,
        present_key: Option<&str>,
        now: u64,
    ) -> Result<Considered, Refusal> {
        let hash_of = hash(presented);
        let no = |message: &str| Err(Refusal::new(Code::Unauthenticated, message));
        let Some(at) = self.tokens.iter().rposition(|token| bool::from(token.hash.ct_eq(&hash_of))) else {
            return no("this join token is not known to the relay; make one with `fleetmux relay token` on it");
        };
        let token = &self.tokens[at];
        if token.used_ms.is_some() && !token.is_reusable {
            return no(
                "this join token was used already; make another with `fleetmux relay token` (or one with --reusable)",
            );
        }
        if token.expires_ms <= now {
            return no("this join token has expired; make another with `fleetmux relay token`");
        }
        let id = ask.machine.to_string();
        let present_hash = present_key.map(hash);
        let is_shown = |key: &&Key| present_hash.as_ref().is_some_and(|hash| bool::from(hash.ct_eq(&key.hash)));
        let own: Vec<&Key> = self.keys.iter().filter(|key| key.machine.as_ref() == Some(&id)).collect();
        // One that was revoked says no less who this was.
        let before = own.iter().copied().rfind(|key| is_shown(key));
        let (name, bound) = token.bind(ask, before)?;
        // Whoever merely knows a machine's id must not get its place unasked.
        let is_unproven = |key: &&Key| key.revoked_ms.is_none() && !is_shown(key);
        let is_proven = own.iter().any(|key| key.revoked_ms.is_none() && is_shown(key));
        let unproven: Vec<&Key> = own.into_iter().filter(is_unproven).collect();
        // Nor by a token that would not have let that machine in.
        if unproven.iter().any(|key| key.workspace != token.workspace || !token.admits_name(&key.name)) {
            return Err(joined_already());
        }
        let mut bound = bound;
        if let Some(bound) = &mut bound
            && self.is_called(&token.workspace, &bound.hostname, &id)
        {
            // Selectors match host names too: nobody is reached by another one's.
            bound.hostname.clone_from(&name);
        }
        let namesakes = self
            .machine_keys()
            .filter(|key| key.workspace == token.workspace && key.name == name && key.machine.as_ref() != Some(&id));
        let namesakes: Vec<&Key> = namesakes.collect();
        // A host that was made anew is labelled as the one whose place it takes, as far as the token lets it.
        if let (None, Some(place), Some(bound)) = (before, namesakes.last(), &mut bound) {
            bound.labels = token.labels_for(ask, Some(place))?;
        }
        Ok(Considered {
            workspace: token.workspace.clone(),
            namesakes: namesakes.into_iter().filter_map(Key::machine).collect(),
            is_unproven: !unproven.is_empty(),
            is_proven,
            may_replace: token.may_replace(),
            name,
            bound,
            token: at,
        })
    }

    /// Exchanges a token's secret for a machine key. A machine that has joined shows its present key to join again, or is
    /// among those that it may take the place of.
    pub(in crate::relay) fn redeem(
        &mut self,
        presented: &str,
        ask: &Ask,
        present_key: Option<&str>,
        replaces: &[MachineId],
        now: u64,
    ) -> Result<Joined, Refusal> {
        let considered = self.consider(presented, ask, present_key, now)?;
        if considered.is_unproven && !replaces.contains(&ask.machine) {
            return Err(joined_already());
        }
        if considered.namesakes.iter().any(|other| !replaces.contains(other)) {
            let message = format!("{} has just been taken by another machine; try again", considered.name);
            return Err(Refusal::new(Code::Unavailable, message));
        }
        self.check_room(&self.tokens[considered.token], ask.machine, now)?;
        let (secret, hint) = secret(MACHINE_PREFIX)?;
        let is_over = |key: &Key| {
            let machine = key.machine();
            machine == Some(ask.machine) || machine.is_some_and(|machine| considered.namesakes.contains(&machine))
        };
        let mut ended = Vec::new();
        for old in self.keys.iter_mut().filter(|key| key.revoked_ms.is_none() && is_over(key)) {
            old.revoked_ms = Some(now);
            ended.push(old.clone());
        }
        let token = &mut self.tokens[considered.token];
        token.used_ms = Some(now);
        token.joins += 1;
        let token = token.clone();
        let key = Key {
            id: KeyId::random(),
            name: considered.name,
            workspace: considered.workspace,
            actions: Vec::new(),
            machine: Some(ask.machine.to_string()),
            bound: considered.bound,
            hash: hash(secret.reveal()),
            hint,
            created_ms: now,
            last_used_ms: 0,
            expires_ms: None,
            revoked_ms: None,
        };
        self.insert(key.clone());
        let forgotten = self.forget_former(ask.machine);
        Ok(Joined { secret, key, token, ended, forgotten })
    }

    /// Who the machine with this key is: what is bound to it. One that has nothing bound is who it says now, from now on; a
    /// name that `is_taken` gets the end of its id. The key comes back if it changed.
    pub(in crate::relay) fn identify(
        &mut self,
        id: KeyId,
        says: (&str, &Bound),
        is_taken: impl Fn(&str) -> bool,
    ) -> Option<(Key, bool)> {
        let at = *self.by_id.get(&id)?;
        let key = self.keys.get(at)?;
        if key.bound.is_some() {
            return Some((key.clone(), false));
        }
        let (workspace, own) = (key.workspace.clone(), key.machine.clone()?);
        let is_others = |name: &str| {
            let has = |other: &Key| {
                // One that is not bound yet was promised the name it joined with.
                other.workspace == workspace && other.name == name && other.machine.as_ref() != Some(&own)
            };
            // Two may have joined with one name when that was possible: the first to come has it.
            let is_promised = key.name == name;
            self.machine_keys().any(|other| has(other) && (other.bound.is_some() || !is_promised))
        };
        let wanted = if check_name("", says.0).is_ok() { says.0 } else { key.name.as_str() };
        let name = match is_others(wanted) || is_taken(wanted) {
            true => format!("{wanted}-{}", &own[own.len().saturating_sub(6)..]),
            false => wanted.to_string(),
        };
        let is_free = check_hostname(&says.1.hostname).is_ok() && !self.is_called(&workspace, &says.1.hostname, &own);
        let hostname = if is_free { says.1.hostname.clone() } else { name.clone() };
        let key = self.keys.get_mut(at)?;
        key.name = name;
        key.bound = Some(Bound { hostname, labels: says.1.labels.clone() });
        Some((key.clone(), true))
    }

    /// The living key of the machine of this name or id.
    pub(in crate::relay) fn machine(&self, wanted: &str, sees: impl Fn(&str) -> bool) -> Result<Key, Refusal> {
        let is_it = |key: &&Key| (key.name == wanted || key.machine.as_deref() == Some(wanted)) && sees(&key.workspace);
        match self.machine_keys().filter(is_it).collect::<Vec<_>>().as_slice() {
            [key] => Ok((*key).clone()),
            [] => {
                let message = format!("there is no joined machine {wanted:?}; see `fleetmux relay machines list`");
                Err(Refusal::new(Code::NotFound, message))
            }
            _ => {
                let message = format!(
                    "{wanted:?} fits more than one joined machine; name it by its id, see `fleetmux relay machines list`"
                );
                Err(Refusal::new(Code::Ambiguous, message))
            }
        }
    }

    /// Binds something else to a machine.
    pub(in crate::relay) fn set_machine(&mut self, id: KeyId, set: &SetMachine) -> Result<Key, Refusal> {
        let at = self.by_id.get(&id).copied().filter(|at| self.keys[*at].revoked_ms.is_none());
        let key = at.map(|at| &self.keys[at]);
        let key = key.ok_or_else(|| Refusal::new(Code::NotFound, "the machine's key has just been revoked"))?;
        let mut bound = key.bound.clone().unwrap_or_default();
        let name = set.name.as_deref().unwrap_or(&key.name).to_string();
        check_name("a machine's name", &name)?;
        let is_taken =
            |other: &Key| other.workspace == key.workspace && other.name == name && other.machine != key.machine;
        if self.machine_keys().any(is_taken) {
            return Err(name_taken(&name));
        }
        if let Some(hostname) = &set.hostname {
            check_hostname(hostname)?;
            bound.hostname.clone_from(hostname);
        }
        check_labels(&set.labels)?;
        bound.labels.retain(|label, _| !set.remove_labels.contains(label));
        bound.labels.extend(set.labels.clone());
        check_labels(&bound.labels)?;
        let key = &mut self.keys[at.unwrap_or_default()];
        key.name = name;
        key.bound = Some(bound);
        Ok(key.clone())
    }

    /// Whether a machine had keys, and none that is good: whatever is remembered of it is a ghost's.
    pub(in crate::relay) fn is_gone(&self, machine: MachineId) -> bool {
        let id = machine.to_string();
        let mut own = self.keys.iter().filter(|key| key.machine.as_ref() == Some(&id)).peekable();
        own.peek().is_some() && own.all(|key| key.revoked_ms.is_some())
    }

    /// Whether another joined machine of a workspace is called so, by its name or its host name.
    fn is_called(&self, workspace: &str, word: &str, machine: &str) -> bool {
        let is_so = |key: &Key| key.name == word || key.bound.as_ref().is_some_and(|bound| bound.hostname == word);
        self.machine_keys()
            .any(|key| key.workspace == workspace && key.machine.as_deref() != Some(machine) && is_so(key))
    }

    /// Living keys of machines.
    fn machine_keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.machine.is_some() && key.revoked_ms.is_none())
    }

    fn living<'a>(&'a self, workspace: &'a str, now: u64) -> impl Iterator<Item = &'a Key> {
        let is_living = move |key: &&Key| key.revoked_ms.is_none() && key.expires_ms.is_none_or(|at| at > now);
        self.keys.iter().filter(is_living).filter(move |key| key.workspace == workspace)
    }
}

/// What would become of a machine that joins.
#[derive(Clone, Debug)]
pub(in crate::relay) struct Considered {
    pub(in crate::relay) workspace: String,
    pub(in crate::relay) name: String,
    bound: Option<Bound>,
    /// Machines that joined under its name.
    pub(in crate::relay) namesakes: Vec<MachineId>,
    /// A machine of its id has joined, and it does not show that one's key.
    pub(in crate::relay) is_unproven: bool,
    /// A good key of the machine itself was shown.
    pub(in crate::relay) is_proven: bool,
    /// The token may replace machines that are offline.
    pub(in crate::relay) may_replace: bool,
    /// Which.
    token: usize,
}

/// A machine has joined.
#[derive(Debug)]
pub(in crate::relay) struct Joined {
    pub(in crate::relay) secret: Secret,
    pub(in crate::relay) key: Key,
    pub(in crate::relay) token: Token,
    /// Its former key, and those of machines that gave way to it.
    pub(in crate::relay) ended: Vec<Key>,
    /// Keys of it that ended so long before that they are remembered no more.
    pub(in crate::relay) forgotten: Vec<KeyId>,
}

/// What an admin binds to a machine; `None` and empty leave it as it is.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct SetMachine {
    pub(in crate::relay) name: Option<String>,
    pub(in crate::relay) hostname: Option<String>,
    pub(in crate::relay) labels: Labels,
    pub(in crate::relay) remove_labels: Vec<String>,
}

fn joined_already() -> Refusal {
    let message = "a machine of this id has joined already; on the relay, revoke it first with \
                   `fleetmux relay machines revoke`, or remove the file machine-id here";
    Refusal::new(Code::PermissionDenied, message)
}

/// A name that somebody else has.
pub(in crate::relay) fn name_taken(name: &str) -> Refusal {
    let message = format!("there is a machine {name} already; choose another name, or have that one forgotten first");
    Refusal::new(Code::Exists, message)
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

pub(super) mod memory;
#[cfg(test)]
mod tests;

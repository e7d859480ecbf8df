//! Join tokens: what a machine that joins with one is called and labelled, and whose place it may take.
//!
//! A token that says nothing about names and labels trusts the person who joins. One that says something is meant: a name
//! or pattern is kept to, and beside its own labels only those that it allows may be set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keyring::Key;
use crate::fleet::{
    Bound, Code, Labels, MachineId, Refusal, check_hostname, check_labels, check_name, fits_glob, is_label_word,
};

/// Patterns of one token, of names and of labels each; more are refused.
const PATTERNS_CAP: usize = 64;
/// Characters of a pattern; a longer one is refused.
const PATTERN_CAP: usize = 100;

/// A join token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::relay) struct Token {
    pub(in crate::relay) id: String,
    pub(super) hash: Vec<u8>,
    pub(in crate::relay) workspace: String,
    pub(in crate::relay) labels: BTreeMap<String, String>,
    pub(in crate::relay) expires_ms: u64,
    pub(in crate::relay) is_reusable: bool,
    pub(super) used_ms: Option<u64>,
    /// How many times a machine joined with it.
    #[serde(default)]
    pub(super) joins: u32,
    #[serde(default)]
    rules: Rules,
}

/// What a token says about names and places; one from before there were any says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Rules {
    name: Option<String>,
    names: Vec<String>,
    /// Key and pattern of the value.
    labels: Vec<(String, String)>,
    may_replace: bool,
}

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct NewToken {
    pub(in crate::relay) workspace: String,
    pub(in crate::relay) expires_ms: u64,
    pub(in crate::relay) is_reusable: bool,
    pub(in crate::relay) labels: Labels,
    /// What the machine is called; empty for its own choice.
    pub(in crate::relay) name: String,
    /// Patterns for its choice.
    pub(in crate::relay) allow_names: Vec<String>,
    /// `KEY=PATTERN` of labels that it may choose.
    pub(in crate::relay) allow_labels: Vec<String>,
    /// Though reusable, it may replace machines.
    pub(in crate::relay) may_replace: bool,
}

/// What a machine that joins asks for.
#[derive(Clone, Debug)]
pub(in crate::relay) struct Ask {
    pub(in crate::relay) machine: MachineId,
    pub(in crate::relay) name: String,
    /// Nobody chose the name.
    pub(in crate::relay) is_name_default: bool,
    /// Empty from an agent that is older than this request's labels.
    pub(in crate::relay) hostname: String,
    pub(in crate::relay) labels: Labels,
    /// It wants the place of a machine that is offline.
    pub(in crate::relay) replaces: bool,
}

impl Token {
    /// A token of these rules, if they make sense.
    pub(super) fn new(new: NewToken, id: String, hash: Vec<u8>) -> Result<Token, Refusal> {
        let invalid = |message: String| Err(Refusal::new(Code::Invalid, message));
        check_name("a workspace", &new.workspace)?;
        check_labels(&new.labels)?;
        let name = (!new.name.is_empty()).then(|| new.name.clone());
        if let Some(name) = &name {
            check_name("a machine's name", name)?;
            if !new.allow_names.is_empty() {
                return invalid("a token has a name or patterns for one, not both".into());
            }
        }
        let is_pattern = |text: &str| {
            let is_fine = |c: char| c.is_alphanumeric() || "-_.@/:+*?".contains(c);
            !text.is_empty() && text.chars().count() <= PATTERN_CAP && text.chars().all(is_fine)
        };
        if let Some(bad) = new.allow_names.iter().find(|pattern| !is_pattern(pattern)) {
            return invalid(format!("{bad:?} is no pattern for names; write web-* or db-?"));
        }
        let mut patterns = Vec::new();
        for pair in &new.allow_labels {
            match pair.split_once('=') {
                Some((key, pattern)) if is_label_word(key) && is_pattern(pattern) => {
                    patterns.push((key.to_string(), pattern.to_string()));
                }
                _ => return invalid(format!("{pair:?} is no pattern for labels; write env=dev-* or rack=*")),
            }
        }
        if new.allow_names.len() > PATTERNS_CAP || patterns.len() > PATTERNS_CAP {
            return invalid(format!("a token has at most {PATTERNS_CAP} patterns of each kind"));
        }
        let rules = Rules { name, names: new.allow_names.clone(), labels: patterns, may_replace: new.may_replace };
        let NewToken { workspace, expires_ms, is_reusable, labels, .. } = new;
        Ok(Token { id, hash, workspace, labels, expires_ms, is_reusable, used_ms: None, joins: 0, rules })
    }

    /// Whether a machine that joins with it may take the place of one that is offline. Who has a token for one machine was
    /// meant to add that machine; one for many lies about in images and scripts.
    pub(super) fn may_replace(&self) -> bool {
        !self.is_reusable || self.rules.may_replace
    }

    /// Whether it trusts whoever joins to choose name and labels.
    fn is_plain(&self) -> bool {
        self.labels.is_empty() && !self.has_name_rule() && self.rules.labels.is_empty()
    }

    fn has_name_rule(&self) -> bool {
        self.rules.name.is_some() || !self.rules.names.is_empty()
    }

    pub(super) fn admits_name(&self, name: &str) -> bool {
        match &self.rules.name {
            Some(own) => own == name,
            None => self.rules.names.is_empty() || self.rules.names.iter().any(|pattern| fits_glob(pattern, name)),
        }
    }

    fn admits_label(&self, key: &str, value: &str) -> bool {
        match self.labels.get(key) {
            Some(own) => own == value,
            None => {
                self.is_plain() || self.rules.labels.iter().any(|(k, pattern)| k == key && fits_glob(pattern, value))
            }
        }
    }

    /// Name and what else is bound to a machine that joins with it; `before` is the key that the machine has shown. What is
    /// `None` is bound at its first link, by an agent that does not say it here.
    pub(super) fn bind(&self, ask: &Ask, before: Option<&Key>) -> Result<(String, Option<Bound>), Refusal> {
        let before = before.filter(|before| before.workspace == self.workspace);
        let name = self.name_for(ask, before)?;
        if ask.hostname.is_empty() && ask.labels.is_empty() {
            let bound = Bound { hostname: name.clone(), labels: self.labels.clone() };
            return Ok((name, (!self.is_plain()).then_some(bound)));
        }
        // Selectors match host names too: who must not choose a name must not choose that either. An odd one is no reason not
        // to join.
        let is_admitted = !self.has_name_rule() || self.admits_name(&ask.hostname);
        let is_free = is_admitted && check_hostname(&ask.hostname).is_ok();
        let hostname = if is_free { ask.hostname.clone() } else { name.clone() };
        Ok((name, Some(Bound { hostname, labels: self.labels_for(ask, before)? })))
    }

    fn name_for(&self, ask: &Ask, before: Option<&Key>) -> Result<String, Refusal> {
        let known = before.map(|before| before.name.clone()).filter(|_| ask.is_name_default);
        let own = self.rules.name.clone().filter(|_| ask.is_name_default);
        let name = own.or(known.filter(|name| self.admits_name(name))).unwrap_or_else(|| ask.name.clone());
        check_name("a machine's name", &name)?;
        if self.admits_name(&name) {
            return Ok(name);
        }
        let message = match &self.rules.name {
            Some(own) => format!("this token is for the machine {own}; leave --name out, or write --name {own}"),
            None => format!(
                "this token is for machines called {}, and {name} is not; choose another name with --name",
                self.rules.names.join(" or ")
            ),
        };
        Err(Refusal::new(Code::PermissionDenied, message))
    }

    pub(super) fn labels_for(&self, ask: &Ask, before: Option<&Key>) -> Result<Labels, Refusal> {
        check_labels(&ask.labels)?;
        let mut labels = self.labels.clone();
        if ask.labels.is_empty() {
            // Nobody asked for others: what it had stays, as far as this token lets it.
            let had = before.and_then(|before| before.bound.clone()).unwrap_or_default().labels;
            labels.extend(had.into_iter().filter(|(key, value)| self.admits_label(key, value)));
        }
        for (key, value) in &ask.labels {
            if !self.admits_label(key, value) {
                let rule = match (self.labels.get(key), self.rules.labels.is_empty()) {
                    (Some(own), _) => format!("it says {key}={own}"),
                    (None, false) => {
                        let allowed: Vec<String> =
                            self.rules.labels.iter().map(|(key, pattern)| format!("{key}={pattern}")).collect();
                        format!("it allows {}", allowed.join(", "))
                    }
                    (None, true) => {
                        "it allows none beside its own; `fleetmux relay token --allow-label` makes one that does".into()
                    }
                };
                let message = format!("this token does not let a machine set {key}={value}: {rule}");
                return Err(Refusal::new(Code::PermissionDenied, message));
            }
            labels.insert(key.clone(), value.clone());
        }
        check_labels(&labels)?;
        Ok(labels)
    }
}

#[cfg(test)]
impl Ask {
    /// Of a machine that asks for a name and nothing else.
    pub(in crate::relay) fn named(machine: MachineId, name: &str) -> Ask {
        Ask {
            machine,
            name: name.into(),
            is_name_default: false,
            hostname: format!("{name}.example.net"),
            labels: Labels::new(),
            replaces: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[&str]) -> Labels {
        pairs.iter().map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    fn token(new: NewToken) -> Token {
        Token::new(NewToken { workspace: "default".into(), expires_ms: 1, ..new }, "t".into(), Vec::new()).unwrap()
    }

    fn ask(name: &str, pairs: &[&str]) -> Ask {
        Ask { labels: labels(pairs), ..Ask::named(MachineId::random(), name) }
    }

    fn bound(token: &Token, ask: &Ask) -> (String, String, Labels) {
        let (name, bound) = token.bind(ask, None).unwrap();
        let bound = bound.unwrap();
        (name, bound.hostname, bound.labels)
    }

    #[test]
    fn a_plain_token_trusts_the_person_who_joins() {
        let plain = token(NewToken::default());
        let (name, hostname, has) = bound(&plain, &ask("web-1", &["role=web"]));
        assert_eq!((name.as_str(), hostname.as_str(), has), ("web-1", "web-1.example.net", labels(&["role=web"])));
        let odd = Ask { hostname: "(none)\u{1b}".into(), ..ask("web-1", &[]) };
        assert_eq!(bound(&plain, &odd).1, "web-1", "what is no host name is not bound");
        assert_eq!(plain.bind(&ask("x\ny", &[]), None).unwrap_err().code, Code::Invalid);
        assert_eq!(plain.bind(&ask("x", &["a=b c"]), None).unwrap_err().code, Code::Invalid);
        // An agent that does not know of all this says labels and host name at its first link.
        let old = Ask { hostname: String::new(), ..ask("web-1", &[]) };
        assert_eq!(plain.bind(&old, None).unwrap(), ("web-1".into(), None));
    }

    /// dev-7 joined, called itself web-1 with role=prod in its facts, and was sent a deploy command.
    #[test]
    fn a_token_with_rules_is_kept_to() {
        let strict = token(NewToken { name: "dev-7".into(), labels: labels(&["role=dev"]), ..NewToken::default() });
        let no = |ask: &Ask| strict.bind(ask, None).unwrap_err();
        assert!(no(&ask("web-1", &[])).message.contains("is for the machine dev-7"));
        assert!(no(&ask("dev-7", &["role=prod"])).message.contains("it says role=dev"));
        assert!(no(&ask("dev-7", &["env=x"])).message.contains("allows none beside its own"));
        let (name, hostname, has) = bound(&strict, &Ask { hostname: "web-1".into(), ..ask("dev-7", &["role=dev"]) });
        // Selectors match host names as they match names.
        assert_eq!((name.as_str(), hostname.as_str(), has), ("dev-7", "dev-7", labels(&["role=dev"])));
        let nobody_chose = Ask { is_name_default: true, ..ask("vps-a", &[]) };
        assert_eq!(bound(&strict, &nobody_chose).0, "dev-7");
        let old = Ask { hostname: String::new(), ..ask("dev-7", &[]) };
        assert_eq!(strict.bind(&old, None).unwrap().1.unwrap().labels, labels(&["role=dev"]), "not at its first link");
    }

    #[test]
    fn patterns_leave_a_choice() {
        let token = token(NewToken {
            allow_names: vec!["web-*".into(), "db-?".into()],
            allow_labels: vec!["env=dev-*".into(), "rack=*".into()],
            labels: labels(&["role=web"]),
            ..NewToken::default()
        });
        let (name, hostname, has) = bound(&token, &ask("web-12", &["env=dev-1", "rack=r7"]));
        assert_eq!((name.as_str(), hostname.as_str()), ("web-12", "web-12.example.net"));
        assert_eq!(has, labels(&["role=web", "env=dev-1", "rack=r7"]));
        let no = |ask: &Ask| token.bind(ask, None).unwrap_err().message;
        assert!(no(&ask("db-12", &[])).contains("called web-* or db-?, and db-12 is not"));
        assert!(no(&ask("web-1", &["env=prod"])).contains("it allows env=dev-*, rack=*"));
        let twice = NewToken { name: "a".into(), allow_names: vec!["b".into()], ..NewToken::default() };
        for bad in [
            NewToken { allow_names: vec![String::new()], ..NewToken::default() },
            NewToken { allow_names: vec!["a\nb".into()], ..NewToken::default() },
            NewToken { allow_labels: vec!["env".into()], ..NewToken::default() },
            NewToken { allow_labels: vec!["e v=x".into()], ..NewToken::default() },
            NewToken { labels: labels(&["a=b c"]), ..NewToken::default() },
            twice,
        ] {
            let bad = NewToken { workspace: "default".into(), ..bad };
            assert_eq!(Token::new(bad, "t".into(), Vec::new()).unwrap_err().code, Code::Invalid);
        }
    }

    #[test]
    fn a_reusable_token_replaces_only_if_it_was_made_for_that() {
        assert!(token(NewToken::default()).may_replace());
        assert!(!token(NewToken { is_reusable: true, ..NewToken::default() }).may_replace());
        assert!(token(NewToken { is_reusable: true, may_replace: true, ..NewToken::default() }).may_replace());
        // One from before there were rules.
        let stored = r#"{"id":"t","hash":[],"workspace":"default","labels":{},"expires_ms":1,"is_reusable":true,"used_ms":null}"#;
        let old: Token = serde_json::from_str(stored).unwrap();
        assert!(old.is_plain() && !old.may_replace());
    }
}

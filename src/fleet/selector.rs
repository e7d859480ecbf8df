//! Which machines a person means: `web-1`, `web-1,db-*` (any of them), `role=web,env!=dev,host~^db` (all of it), `*` or `all`.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

use super::MachineFacts;

/// Longest selector, so that a pattern stays cheap.
const SELECTOR_CAP: usize = 4096;

/// A choice of machines.
#[derive(Clone, Debug)]
pub enum Selector {
    /// Every machine.
    All,
    /// These, by whatever names a machine; one name is one machine.
    Names(Vec<String>),
    /// Those that every condition holds for.
    Matching(Vec<Condition>),
}

/// One condition on a machine.
#[derive(Clone, Debug)]
pub struct Condition {
    key: String,
    is_negated: bool,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Equal(String),
    Pattern(Regex),
}

/// A text that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{reason} in the selector {text:?}; write a machine's name, several with commas, web-*, role=web,env!=dev,host~^db, or all"
)]
pub struct SelectorError {
    text: String,
    reason: String,
}

impl Selector {
    /// Whether a machine is meant; names are compared with display name, host name and id.
    pub fn matches(&self, facts: &MachineFacts) -> bool {
        match self {
            Selector::All => true,
            Selector::Names(names) => names.iter().any(|name| match Selector::is_glob(name) {
                true => glob(name).is_some_and(|glob| glob.is_match(&facts.name) || glob.is_match(&facts.hostname)),
                false => facts.name == *name || facts.hostname == *name || facts.id.to_string() == *name,
            }),
            Selector::Matching(conditions) => conditions.iter().all(|condition| condition.holds(facts)),
        }
    }

    /// Whether a name has wildcards, and may be that of several machines.
    pub fn is_glob(name: &str) -> bool {
        name.contains(['*', '?'])
    }

    /// The name, if this is a single one.
    pub fn single(&self) -> Option<&str> {
        match self {
            Selector::Names(names) => match names.as_slice() {
                [name] if !Selector::is_glob(name) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Condition {
    /// A machine without the label equals nothing and fits no pattern, so that `env!=dev` holds for it.
    fn holds(&self, facts: &MachineFacts) -> bool {
        let fits = |value: &str| match &self.wanted {
            Wanted::Equal(wanted) => value == wanted,
            Wanted::Pattern(pattern) => pattern.is_match(value),
        };
        let is_met = match self.key.as_str() {
            "host" | "hostname" | "name" => fits(&facts.name) || fits(&facts.hostname),
            "id" => fits(&facts.id.to_string()),
            "os" => fits(&facts.os),
            "arch" => fits(&facts.arch),
            key => facts.labels.get(key).is_some_and(|value| fits(value)),
        };
        is_met != self.is_negated
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        let error = |reason: &str| Err(SelectorError { text: text.chars().take(200).collect(), reason: reason.into() });
        if text.len() > SELECTOR_CAP {
            return error("too many characters");
        }
        let terms: Vec<&str> = terms(text);
        if terms.iter().any(|term| term.is_empty()) {
            return error("an empty term");
        }
        // Behind it a comma would be part of the name once it is shown.
        if terms.iter().any(|term| term.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1) {
            return error("a `\\` with nothing after it");
        }
        if let ["*" | "all"] = terms.as_slice() {
            return Ok(Selector::All);
        }
        let (mut names, mut conditions) = (Vec::new(), Vec::new());
        for term in terms {
            let Some(at) = term.find(['=', '!', '~']) else {
                names.push(term.to_string());
                continue;
            };
            let (key, rest) = term.split_at(at);
            let (is_negated, rest) = rest.strip_prefix('!').map_or((false, rest), |rest| (true, rest));
            if matches!(rest, "=" | "~") {
                return error("a condition without a value (a machine without the label: `KEY!~.`)");
            }
            let wanted = if let Some(value) = rest.strip_prefix('=') {
                Wanted::Equal(value.into())
            } else if let Some(pattern) = rest.strip_prefix('~') {
                match Regex::new(pattern) {
                    Ok(pattern) => Wanted::Pattern(pattern),
                    Err(err) => {
                        let reason = err.to_string();
                        return error(reason.lines().last().unwrap_or("a pattern that is none").trim());
                    }
                }
            } else {
                return error("a `!` without `=` or `~`");
            };
            if key.is_empty() {
                return error("a condition without a key");
            }
            conditions.push(Condition { key: key.into(), is_negated, wanted });
        }
        match (names.is_empty(), conditions.is_empty()) {
            (false, false) => error("names beside conditions"),
            (false, true) => Ok(Selector::Names(names)),
            (true, _) => Ok(Selector::Matching(conditions)),
        }
    }
}

/// A name with wildcards: `*` is any text, `?` one character.
pub(super) fn glob(name: &str) -> Option<Regex> {
    let text = regex::escape(name).replace("\\*", ".*").replace("\\?", ".");
    Regex::new(&format!("(?s)^{text}$")).ok()
}

/// Terms between commas; a comma within brackets belongs to a pattern: `host~^db{1,2}$`.
fn terms(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut terms) = (0usize, 0, Vec::new());
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(text[start..].trim());
    terms
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::All => f.write_str("all"),
            Selector::Names(names) => f.write_str(&names.join(",")),
            Selector::Matching(conditions) => {
                let texts: Vec<String> = conditions.iter().map(Condition::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.is_negated { "!" } else { "" };
        match &self.wanted {
            Wanted::Equal(value) => write!(f, "{}{not}={value}", self.key),
            Wanted::Pattern(pattern) => write!(f, "{}{not}~{pattern}", self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Labels, MachineId};
    use proptest::prelude::*;

    fn machine(name: &str, labels: &[(&str, &str)]) -> MachineFacts {
        let labels: Labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        MachineFacts {
            id: MachineId::random(),
            name: name.into(),
            hostname: format!("{name}.example.net"),
            os: "Debian GNU/Linux 13".into(),
            kernel: "6.12".into(),
            arch: "x86_64".into(),
            cpus: 2,
            memory_bytes: 1 << 30,
            labels,
            version: "0.1.0".into(),
            boot_time_s: 1,
            workspace: "default".into(),
        }
    }

    fn chosen(selector: &str) -> Vec<&'static str> {
        let fleet = [
            ("web-1", &[("role", "web"), ("env", "prod")][..]),
            ("web-2", &[("role", "web"), ("env", "dev")]),
            ("db-1", &[("role", "db"), ("env", "prod")]),
            ("bare", &[]),
        ];
        let selector: Selector = selector.parse().unwrap();
        fleet
            .into_iter()
            .filter(|(name, labels)| selector.matches(&machine(name, labels)))
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn machines_are_chosen_by_name_label_and_pattern() {
        assert_eq!(chosen("all"), ["web-1", "web-2", "db-1", "bare"]);
        assert_eq!(chosen("*").len(), 4);
        assert_eq!(chosen("web-1"), ["web-1"]);
        assert_eq!(chosen("web-1.example.net"), ["web-1"]);
        assert_eq!(chosen("web-1, db-1"), ["web-1", "db-1"]);
        assert_eq!(chosen("role=web"), ["web-1", "web-2"]);
        assert_eq!(chosen("role=web,env!=dev"), ["web-1"]);
        assert_eq!(chosen("host~^db"), ["db-1"]);
        assert_eq!(chosen("host!~^(db|bare)"), ["web-1", "web-2"]);
        assert_eq!(chosen("host~^web-[0-9]{1,2}$,role~w"), ["web-1", "web-2"]);
        assert_eq!(chosen("arch=x86_64,os~Debian,env=prod"), ["web-1", "db-1"]);
        assert_eq!(chosen("role=nothing"), [""; 0]);
        assert_eq!(chosen("web-*"), ["web-1", "web-2"]);
        assert_eq!(chosen("?are,db-1"), ["db-1", "bare"]);
        assert_eq!(chosen("*.example.net").len(), 4);
        let single = |text: &str| text.parse::<Selector>().unwrap().single().map(String::from);
        assert_eq!((single("web-1"), single("web-*")), (Some("web-1".into()), None));
    }

    #[test]
    fn a_machine_without_the_label_is_not_equal_to_anything() {
        assert_eq!(chosen("env!=prod"), ["web-2", "bare"]);
        assert_eq!(chosen("env!~."), ["bare"]);
    }

    #[test]
    fn what_is_no_selector_says_why() {
        let why = |text: &str| text.parse::<Selector>().map(|s| s.to_string()).unwrap_err().reason;
        assert_eq!(why(""), "an empty term");
        assert_eq!(why("role=web,"), "an empty term");
        let valueless = "a condition without a value (a machine without the label: `KEY!~.`)";
        assert_eq!([why("role="), why("role!=,a=b"), why("host~")], [valueless; 3]);
        assert_eq!(why("=web"), "a condition without a key");
        assert_eq!(why("role!web"), "a `!` without `=` or `~`");
        assert_eq!(why("web-1,role=web"), "names beside conditions");
        assert_eq!(why("host~["), "error: unclosed character class");
        assert_eq!(why(&"x".repeat(5000)), "too many characters");
    }

    proptest! {
        #[test]
        fn any_text_is_a_selector_or_an_error(text in ".{0,80}") {
            if let Ok(selector) = text.parse::<Selector>() {
                selector.matches(&machine("web-1", &[("role", "web")]));
            }
        }

        /// A condition and its negation split the fleet; what is shown parses to the same choice.
        #[test]
        fn a_condition_and_its_negation_split_the_fleet(
            key in "[a-z]{1,8}", value in "[a-z0-9]{1,8}", has in any::<bool>(), op in "[=~]",
        ) {
            let labels: &[(&str, &str)] = if has { &[(&key, &value)] } else { &[] };
            let facts = machine("m", labels);
            let plain: Selector = format!("{key}{op}{value}").parse().unwrap();
            let negated: Selector = format!("{key}!{op}{value}").parse().unwrap();
            prop_assert_ne!(plain.matches(&facts), negated.matches(&facts));
            let again: Selector = plain.to_string().parse().unwrap();
            prop_assert_eq!(again.matches(&facts), plain.matches(&facts));
        }
    }
}

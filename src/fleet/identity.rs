//! Who a machine is: the name, host name and labels that are bound to it when it joins.
//!
//! A word that is bound is checked and refused with a sentence; what a trusted machine says of itself is made fit instead.

use serde::{Deserialize, Serialize};

use super::{Code, HOST_CAP, LABEL_CAP, Labels, MachineFacts, NAME_CAP, Refusal, Selector, is_deceptive};

/// Labels of one machine; more are refused.
pub const LABELS_CAP: usize = 64;
/// Characters of what else a machine says of itself (system, kernel, version); the rest is cut off.
const FACT_CAP: usize = 200;

/// What is bound to a machine beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Host name, as whoever joined was trusted to say it.
    pub hostname: String,
    /// Labels.
    pub labels: Labels,
}

/// Refuses a name that does not fit into tables, principals and audit lines.
pub fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    let is_fine = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    if !name.is_empty() && name.chars().count() <= NAME_CAP && name.chars().all(is_fine) {
        return Ok(());
    }
    let shown = printable(name, NAME_CAP);
    let message = format!("{what} is at most {NAME_CAP} letters, digits and -_.@; {shown:?} is not");
    Err(Refusal::new(Code::Invalid, message))
}

/// Refuses a host name that is none.
pub fn check_hostname(hostname: &str) -> Result<(), Refusal> {
    let is_fine = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if !hostname.is_empty() && hostname.chars().count() <= HOST_CAP && hostname.chars().all(is_fine) {
        return Ok(());
    }
    let shown = printable(hostname, HOST_CAP);
    let message = format!("a host name is at most {HOST_CAP} letters, digits and -_.; {shown:?} is not");
    Err(Refusal::new(Code::Invalid, message))
}

/// Refuses labels that are too many, too long, or have characters that mean something in a selector.
pub fn check_labels(labels: &Labels) -> Result<(), Refusal> {
    if labels.len() > LABELS_CAP {
        let message = format!("a machine has at most {LABELS_CAP} labels, and these are {}", labels.len());
        return Err(Refusal::new(Code::Invalid, message));
    }
    match labels.iter().find(|(key, value)| !is_label_word(key) || !is_label_word(value)) {
        None => Ok(()),
        Some((key, value)) => {
            let shown = printable(&format!("{key}={value}"), 2 * LABEL_CAP);
            let message = format!(
                "a label's key and value are each at most {LABEL_CAP} letters, digits and ._/@:+-; {shown:?} is not"
            );
            Err(Refusal::new(Code::Invalid, message))
        }
    }
}

/// Whether a text may be a label's key or value.
pub fn is_label_word(word: &str) -> bool {
    let is_fine = |c: char| c.is_alphanumeric() || "._/@:+-".contains(c);
    !word.is_empty() && word.chars().count() <= LABEL_CAP && word.chars().all(is_fine)
}

/// At most so many characters, and none that deceives: each of those is shown as `?`.
pub fn printable(text: &str, cap: usize) -> String {
    text.chars().take(cap).map(|c| if is_deceptive(c) { '?' } else { c }).collect()
}

impl MachineFacts {
    /// Makes fit for people whatever a machine says of itself: cut to size, and free of characters that deceive. Labels that
    /// are none are dropped, and how many comes back.
    pub fn make_fit(&mut self) -> usize {
        self.name = printable(&self.name, NAME_CAP);
        if self.name.trim().is_empty() {
            self.name = self.id.to_string();
        }
        self.hostname = printable(&self.hostname, HOST_CAP);
        for fact in [&mut self.os, &mut self.kernel, &mut self.arch, &mut self.version, &mut self.workspace] {
            *fact = printable(fact, FACT_CAP);
        }
        let before = self.labels.len();
        self.labels.retain(|key, value| is_label_word(key) && is_label_word(value));
        while self.labels.len() > LABELS_CAP {
            self.labels.pop_last();
        }
        before - self.labels.len()
    }

    /// Replaces what the machine says of name, host name and labels by what is bound to it.
    pub fn bind(&mut self, name: &str, bound: &Bound) {
        self.name = name.into();
        self.hostname.clone_from(&bound.hostname);
        self.labels.clone_from(&bound.labels);
    }
}

/// Whether a text fits a pattern of a person's: `*` is any text, `?` one character.
pub fn fits_glob(pattern: &str, text: &str) -> bool {
    if Selector::is_glob(pattern) {
        super::selector::glob(pattern).is_some_and(|glob| glob.is_match(text))
    } else {
        pattern == text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn words_that_are_bound_have_no_character_that_means_something_elsewhere() {
        for good in ["web-1", "db.example.net", "größe", "a@b_c"] {
            assert!(check_name("a name", good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a,b", "a=b", "x\n\u{1b}[31mforged", "a\u{202e}b", "web-*", &"x".repeat(101)] {
            let refusal = check_name("a name", bad).unwrap_err();
            assert!(!refusal.message.contains(char::is_control), "{}", refusal.message);
        }
        assert!(check_hostname("web-1.example.net").is_ok() && check_hostname(&"h".repeat(254)).is_err());
        assert!(check_labels(&labels(&[("a.b/c", "v1.2+x:y@z")])).is_ok());
        for bad in [[("a b", "c")], [("a", "")], [("", "c")], [("a", "b\n")], [("a", "b=c")]] {
            assert!(check_labels(&labels(&bad)).is_err(), "{bad:?}");
        }
        let many: Labels = (0..65).map(|n| (format!("k{n}"), "v".to_string())).collect();
        assert!(check_labels(&many).unwrap_err().message.contains("at most 64 labels"));
    }

    /// A machine called `x\n\033[31mforged | line` put a line of its own into the output of commands.
    #[test]
    fn what_a_machine_says_of_itself_is_one_short_line_each() {
        let mut facts = MachineFacts {
            id: crate::fleet::MachineId::random(),
            name: "x\n\u{1b}[31mforged | line".into(),
            hostname: "h".repeat(1 << 20),
            os: "Debian\u{202e}".into(),
            kernel: "k".repeat(1 << 20),
            arch: String::new(),
            cpus: 1,
            memory_bytes: 0,
            labels: labels(&[("role", "web"), ("bad\n", "x"), ("env", "a b")]),
            version: String::new(),
            boot_time_s: 0,
            workspace: "default".into(),
        };
        assert_eq!(facts.make_fit(), 2);
        assert_eq!(facts.name, "x??[31mforged | line");
        assert_eq!((facts.hostname.len(), facts.kernel.len(), facts.os.as_str()), (253, 200, "Debian?"));
        assert_eq!(facts.labels, labels(&[("role", "web")]));
        facts.name = " ".into();
        facts.make_fit();
        assert_eq!(facts.name, facts.id.to_string());
    }

    #[test]
    fn a_pattern_has_wildcards_and_is_the_word_itself_otherwise() {
        assert!(fits_glob("web-*", "web-12") && !fits_glob("web-*", "db-1"));
        assert!(fits_glob("web-?", "web-1") && !fits_glob("web-?", "web-12"));
        assert!(fits_glob("web.1", "web.1") && !fits_glob("web.1", "webx1"));
        assert!(!fits_glob("web-*", "xweb-1"));
    }
}

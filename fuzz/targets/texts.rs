//! Texts that people and files give: selectors, rules, patterns, tokens, addresses, themes, profiles.

use super::random::Random;

fn put_together(random: &mut Random, parts: &[&str]) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.below(24) {
        text.extend_from_slice(random.pick(parts).as_bytes());
        if random.one_in(12) {
            text.push(random.next() as u8);
        }
    }
    if random.one_in(10) {
        random.mutate(&mut text);
    }
    text
}

/// Which machines are meant.
pub mod selector {
    use super::*;
    use fleetmux::fleet::{MachineFacts, MachineId, Selector};

    /// Reads one and asks it.
    pub fn run(data: &[u8]) {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let Ok(selector) = text.parse::<Selector>() else { return };
        let facts = MachineFacts {
            id: MachineId::from_bytes(&[7; 16]).expect("an id"),
            name: "web-1".into(),
            hostname: "web-1.example.org".into(),
            os: "Linux".into(),
            kernel: String::new(),
            arch: "x86_64".into(),
            cpus: 1,
            memory_bytes: 0,
            labels: [("role".to_string(), "web".to_string())].into_iter().collect(),
            version: String::new(),
            boot_time_s: 0,
            workspace: "default".into(),
        };
        let first = selector.matches(&facts);
        // As it is shown it means the same.
        let again: Selector =
            selector.to_string().parse().unwrap_or_else(|err| panic!("{selector} of {text:?}: {err}"));
        assert_eq!(again.matches(&facts), first, "{text:?} is shown as {selector}");
    }

    /// Makes one up.
    pub fn generate(random: &mut Random) -> Vec<u8> {
        let parts = [
            "role", "=", "web", ",", "!=", "!~", "~", "^db", "*", "web-*", "all", "host", "(", ")", "[a", "]", "{9}",
            "\\", " ", "?", "é",
        ];
        put_together(random, &parts)
    }
}

/// A machine's own rules, and patterns over output.
pub mod rules {
    use super::*;
    use fleetmux::agent::permissions::{Action, Chosen, Rules, Subject, Verdict};

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    /// Reads some and asks them.
    pub fn run(data: &[u8]) {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if let Ok(rules) = Rules::parse(text) {
            for command in ["make x", "", "rm -rf /", "make -f - x", "make a 1 /b", text] {
                let subject = Subject { command: Some(command), chosen: Chosen::default(), ..Subject::default() };
                let verdict = rules.verdict("key:ci", Action::Exec, &subject);
                // Words that a rule allows are run as they are: each of them was looked at.
                if let Verdict::Rule(_, rule) = verdict
                    && rule.is_of_words()
                {
                    assert!(
                        !command.contains([';', '|', '&', '$', '`', '\'', '"', '\n', '*']),
                        "{command:?} by {rule}"
                    );
                    assert_eq!(rule.command().map(words), Some(words(command)), "{command:?} by {rule}");
                }
            }
        }
        let Some((pattern, output)) = text.split_once('\n') else { return };
        if let Ok(pattern) = fleetmux::rules::Pattern::regex(pattern) {
            let count = |pieces: &[&[u8]]| {
                let mut rules = fleetmux::rules::Rules::new();
                rules.add("rule", pattern.clone());
                pieces.iter().for_each(|piece| drop(rules.feed(piece)));
                drop(rules.pause());
                rules.count("rule")
            };
            let (head, tail) = output.as_bytes().split_at(output.len() / 2);
            assert_eq!(count(&[head, tail]), count(&[output.as_bytes()]), "in two pieces and whole");
        }
    }

    /// Makes some up.
    pub fn generate(random: &mut Random) -> Vec<u8> {
        let parts = [
            "default = ",
            "\"deny\"\n",
            "\"allow\"\n",
            "[[rule]]\n",
            "effect = ",
            "who = [\"key:*\"]\n",
            "actions = [\"exec\"]\n",
            "command = \"",
            "make *",
            "make {word} {int} {path}",
            "{name}",
            "{a|make} x",
            "stdin = true\n",
            "term = true\n",
            "\"\n",
            "[ERROR]",
            "\n",
            ".*",
            "(a|b)+",
            "x{1000}",
            "[^",
            "\\d",
            "ERROR\r\n",
            "*",
            "path = \"/tmp/**\"\n",
        ];
        put_together(random, &parts)
    }
}

/// What is in files and on command lines.
pub mod config {
    use super::*;

    /// Reads it as everything that it could be.
    pub fn run(data: &[u8]) {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if let Ok(endpoint) = text.parse::<fleetmux::fleet::Endpoint>() {
            assert_eq!(endpoint.to_string().parse().ok(), Some(endpoint), "{text:?}");
        }
        if let Ok(token) = text.parse::<fleetmux::fleet::JoinToken>() {
            assert_eq!(
                token.encode().reveal().parse::<fleetmux::fleet::JoinToken>().ok().map(|again| again.address),
                Some(token.address)
            );
        }
        let _ = text.parse::<fleetmux::fleet::Fingerprint>();
        let _ = text.parse::<fleetmux::fleet::SessionId>();
        let _ = fleetmux::tui::theme::Theme::parse("fuzz", text);
        let _ = fleetmux::config::profile::understood(text);
    }

    /// Makes some up.
    pub fn generate(random: &mut Random) -> Vec<u8> {
        let parts = [
            "unix:",
            "tls://",
            "127.0.0.1",
            ":",
            "7443",
            "/run/x",
            "fmj_",
            "AAAA",
            "[",
            "]",
            "relay = ",
            "\"",
            "\n",
            "[relays.x]\n",
            "key = ",
            "ca = ",
            "[pane]\n",
            "border = ",
            "#ff0000",
            "bold",
            "= {",
            "}",
            "sha256:",
            "é",
            "\u{202e}",
            "=",
            "workspace",
        ];
        put_together(random, &parts)
    }
}

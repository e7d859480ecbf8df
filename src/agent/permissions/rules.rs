//! All rules of a machine as plain values: the first one that covers a request decides; without one the default does.
//! Nothing here reads files.

use serde::Deserialize;
use toml::Spanned;

use super::action::{Action, Effect, actions_from};
use super::password::PasswordHash;
use super::rule::Rule;
use super::subject::{Chosen, Subject};

/// What decided a request.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// A rule, by its number from 1.
    Rule(usize, &'a Rule),
    /// No rule covers it.
    Default(Effect),
}

impl Verdict<'_> {
    /// Allowed or denied.
    pub fn effect(&self) -> Effect {
        match self {
            Verdict::Rule(_, rule) => rule.effect(),
            Verdict::Default(effect) => *effect,
        }
    }
}

/// All rules of a machine, in order.
#[derive(Clone, Debug)]
pub struct Rules {
    default: Effect,
    rules: Vec<Rule>,
    password: Option<PasswordHash>,
    kept_variables: Vec<String>,
}

impl Default for Rules {
    /// Those of a machine without a file: everything its relay lets through is allowed.
    fn default() -> Rules {
        Rules { default: Effect::Allow, rules: Vec::new(), password: None, kept_variables: Vec::new() }
    }
}

/// A file of rules that cannot be used; the message names what is wrong and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RulesError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    default: Option<Spanned<String>>,
    password: Option<Spanned<String>>,
    #[serde(default)]
    rule: Vec<Spanned<RuleTable>>,
    #[serde(default)]
    environment: EnvironmentTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentTable {
    #[serde(default)]
    keep: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    effect: String,
    who: OneOrMore,
    actions: OneOrMore,
    command: Option<String>,
    session: Option<String>,
    path: Option<String>,
    #[serde(default)]
    stdin: bool,
    #[serde(default)]
    term: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a string or a list of strings")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMore::One(one) => one.split(',').map(|word| word.trim().to_string()).collect(),
            OneOrMore::More(more) => more,
        }
    }
}

impl Rules {
    /// Reads the text of a `permissions.toml`. A file with rules must say its default.
    pub fn parse(text: &str) -> Result<Rules, RulesError> {
        let line_of = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        let table: FileTable = toml::from_str(text).map_err(|err| RulesError {
            line: err.span().map_or(1, |span| line_of(span.start)),
            message: err.message().to_string(),
        })?;
        let default = match &table.default {
            Some(default) => default
                .as_ref()
                .parse()
                .map_err(|message| RulesError { line: line_of(default.span().start), message })?,
            None if table.rule.is_empty() => Effect::Allow,
            None => {
                let message = "the file has rules and no default; write default = \"deny\" (or \"allow\") at its top";
                return Err(RulesError { line: 1, message: message.into() });
            }
        };
        let password = table.password.map(|spanned| {
            let line = line_of(spanned.span().start);
            spanned.as_ref().parse().map_err(|message| RulesError { line, message })
        });
        let mut rules = Vec::new();
        for spanned in table.rule {
            let line = line_of(spanned.span().start);
            let table = spanned.into_inner();
            let rule = table.effect.parse().and_then(|effect| {
                let actions = actions_from(&table.actions.into_vec())?;
                let (command, session) = (table.command.as_deref(), table.session.as_deref());
                Rule::new(effect, table.who.into_vec(), actions, command, session, table.path.as_deref())?
                    .with_choice(Chosen { stdin: table.stdin, term: table.term, ..Chosen::default() })
            });
            rules.push(rule.map_err(|message| RulesError { line, message })?);
        }
        Ok(Rules { default, rules, password: password.transpose()?, kept_variables: table.environment.keep })
    }

    /// What happens to requests that no rule covers.
    pub fn default_effect(&self) -> Effect {
        self.default
    }

    /// The password that the machine asks API keys for, beside them.
    pub fn password(&self) -> Option<&PasswordHash> {
        self.password.as_ref()
    }

    /// Variables of the agent that programs get beside a login's: names, or beginnings that end in `*`.
    pub fn kept_variables(&self) -> &[String] {
        &self.kept_variables
    }

    /// The rules, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Whether they treat one path otherwise than another.
    pub fn has_paths(&self) -> bool {
        self.rules.iter().any(|rule| rule.has_path())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A rule that would have decided for a request before the one of this number, had the caller left the command's
    /// surroundings alone.
    pub fn barred(
        &self,
        principal: &str,
        action: Action,
        subject: &Subject,
        before: Option<usize>,
    ) -> Option<(usize, &Rule)> {
        let plain = Subject { chosen: Chosen::default(), ..*subject };
        let is_barred = |rule: &Rule| rule.effect() == Effect::Allow && rule.covers(principal, action, &plain);
        let rules = self.rules.iter().enumerate().take(before.map_or(usize::MAX, |number| number - 1));
        rules.map(|(index, rule)| (index + 1, rule)).find(|(_, rule)| !subject.chosen.is_none() && is_barred(rule))
    }

    /// What decides a request: the first rule that covers it, or the default.
    pub fn verdict(&self, principal: &str, action: Action, subject: &Subject) -> Verdict<'_> {
        let covering = self.rules.iter().enumerate().find(|(_, rule)| rule.covers(principal, action, subject));
        covering.map_or(Verdict::Default(self.default), |(index, rule)| Verdict::Rule(index + 1, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
default = "deny"

# The continuous integration.
[[rule]]
effect = "deny"
who = "key:ci"
actions = ["observe"]
session = "secret-*"

[[rule]]
effect = "allow"
who = ["key:ci", "uid:1000"]
actions = "observe,exec"
command = "uptime*"

[[rule]]
effect = "allow"
who = "loopback"
actions = "*"
"#;

    fn file() -> Rules {
        Rules::parse(&FILE.replace("actions = \"observe,exec\"", "actions = \"exec\"")).unwrap()
    }

    fn allows(rules: &Rules, who: &str, action: Action, command: Option<&str>, session: Option<&str>) -> bool {
        rules.verdict(who, action, &Subject { command, session, ..Subject::default() }).effect() == Effect::Allow
    }

    #[test]
    fn the_first_rule_that_covers_a_request_decides() {
        let rules = Rules::parse(
            "default = 'allow'\n[[rule]]\neffect = 'allow'\nwho = 'key:a*'\nactions = 'drive'\n\
             [[rule]]\neffect = 'deny'\nwho = 'key:*'\nactions = 'drive'\n",
        )
        .unwrap();
        assert!(allows(&rules, "key:ada", Action::Drive, None, None));
        assert!(!allows(&rules, "key:bob", Action::Drive, None, None));
        assert!(allows(&rules, "uid:0", Action::Drive, None, None), "the default");
        assert!(matches!(rules.verdict("key:bob", Action::Drive, &Subject::default()), Verdict::Rule(2, _)));
    }

    #[test]
    fn rules_look_at_commands_and_session_names() {
        let rules = file();
        assert!(allows(&rules, "key:ci", Action::Exec, Some("uptime now"), None));
        assert!(!allows(&rules, "key:ci", Action::Exec, Some("uptime; reboot"), None));
        assert!(!allows(&rules, "key:ci", Action::Exec, None, None), "no command is no match");
        assert!(!allows(&rules, "uid:1000", Action::Drive, None, None));
        assert!(allows(&rules, "loopback", Action::Files, None, None));
    }

    /// `allow key:ada exec --command 'echo *'` ran `id`: the caller sent `echo` along as a shell function in a variable, and
    /// could as well have named a shell, a directory or LD_PRELOAD of its own.
    #[test]
    fn a_rule_that_names_a_command_allows_no_surroundings_of_the_callers_own() {
        let rules = Rules::parse(
            "default = 'deny'\n[[rule]]\neffect = 'allow'\nwho = 'key:ada'\nactions = 'exec,create'\ncommand = 'echo *'\n\
             [[rule]]\neffect = 'allow'\nwho = 'key:bob'\nactions = 'exec'\n\
             [[rule]]\neffect = 'allow'\nwho = 'key:cay'\nactions = 'exec'\ncommand = '*'\n\
             [[rule]]\neffect = 'deny'\nwho = 'key:dan'\nactions = 'exec'\ncommand = '*rm*'\n\
             [[rule]]\neffect = 'allow'\nwho = 'key:dan'\nactions = 'exec'\n",
        )
        .unwrap();
        let env = Chosen { env: true, ..Chosen::default() };
        let cwd = Chosen { cwd: true, ..Chosen::default() };
        let shell = Chosen { shell: true, ..Chosen::default() };
        let stdin = Chosen { stdin: true, ..Chosen::default() };
        let term = Chosen { term: true, ..Chosen::default() };
        let ask = |who: &str, action: Action, command: &str, chosen: Chosen| {
            let subject = Subject { command: Some(command), chosen, ..Subject::default() };
            let is_allowed = rules.verdict(who, action, &subject).effect() == Effect::Allow;
            (is_allowed, rules.barred(who, action, &subject, None).map(|(number, _)| number))
        };
        for action in [Action::Exec, Action::Create] {
            assert_eq!(ask("key:ada", action, "echo hi", Chosen::default()), (true, None));
            for chosen in [env, cwd, shell, stdin, term] {
                assert_eq!(ask("key:ada", action, "echo hi", chosen), (false, Some(1)), "{chosen}");
            }
            assert_eq!(ask("key:ada", action, "id", env), (false, None), "it would not have been allowed anyway");
        }
        // Who may run everything may run it anyhow, and a denial is a denial.
        assert!(ask("key:bob", Action::Exec, "id", env).0);
        assert!(ask("key:cay", Action::Exec, "a; b", shell).0);
        assert!(!ask("key:dan", Action::Exec, "rm x", env).0);
        assert!(ask("key:dan", Action::Exec, "ls", env).0);
        let all = Chosen { env: true, cwd: true, shell: true, stdin: true, term: true };
        assert_eq!(all.to_string(), "--env, --cwd, --shell, standard input (-n leaves it out), TERM");
    }

    /// Standard input was a script for `make -f -`, and TERM is a variable like every other.
    #[test]
    fn a_rule_allows_standard_input_and_term_where_it_says_so() {
        let rules = Rules::parse(
            "default='deny'\n[[rule]]\neffect='allow'\nwho='*'\nactions='exec,create'\ncommand='cat {path}'\nstdin=true\n\
             [[rule]]\neffect='allow'\nwho='*'\nactions='exec,create'\ncommand='top'\nterm=true\n",
        )
        .unwrap();
        let ask = |command: &str, chosen: Chosen| {
            let subject = Subject { command: Some(command), chosen, ..Subject::default() };
            rules.verdict("x", Action::Exec, &subject).effect() == Effect::Allow
        };
        let stdin = Chosen { stdin: true, ..Chosen::default() };
        let term = Chosen { term: true, ..Chosen::default() };
        assert!(ask("cat /etc/hosts", stdin) && !ask("cat /etc/hosts", term));
        assert!(ask("top", term) && !ask("top", stdin));
        assert!(!ask("cat /etc/hosts", Chosen { env: true, ..stdin }));
        assert_eq!(rules.iter().next().unwrap().to_string(), "allow * exec,create command=\"cat {path}\" stdin");
    }

    /// `deny create --command '*'` let a login shell through, in which every command can be given.
    #[test]
    fn a_denial_of_every_command_covers_a_login_shell() {
        for pattern in ["*", "**", "/.*/"] {
            let text =
                format!("default='allow'\n[[rule]]\neffect='deny'\nwho='*'\nactions='create'\ncommand='{pattern}'\n");
            let rules = Rules::parse(&text).unwrap();
            assert!(!allows(&rules, "x", Action::Create, None, None), "{pattern}");
            assert!(!allows(&rules, "x", Action::Create, Some("top"), None), "{pattern}");
        }
        let rules = "default='allow'\n[[rule]]\neffect='deny'\nwho='*'\nactions='create'\ncommand='top*'\n";
        assert!(
            allows(&Rules::parse(rules).unwrap(), "x", Action::Create, None, None),
            "another command is another one"
        );
    }

    #[test]
    fn a_driver_sees_what_it_drives() {
        let one = |effect: &str, action: &str| {
            let default = if effect == "allow" { "deny" } else { "allow" };
            let text = format!("default='{default}'\n[[rule]]\neffect='{effect}'\nwho='*'\nactions='{action}'\n");
            Rules::parse(&text).unwrap()
        };
        assert!(allows(&one("allow", "drive"), "x", Action::Observe, None, None));
        assert!(!allows(&one("allow", "observe"), "x", Action::Drive, None, None));
        assert!(!allows(&one("deny", "observe"), "x", Action::Drive, None, None));
        assert!(allows(&one("deny", "drive"), "x", Action::Observe, None, None));
    }

    #[test]
    fn rules_look_at_paths_and_what_is_beneath_them() {
        let rules = Rules::parse(
            "default='deny'\n[[rule]]\neffect='deny'\nwho='*'\nactions='files'\npath='/srv/*/secret'\n\
             [[rule]]\neffect='allow'\nwho='*'\nactions='read'\npath='/srv/'\n\
             [[rule]]\neffect='allow'\nwho='*'\nactions='write'\npath='/srv/up'\n",
        )
        .unwrap();
        let allows = |action, path| {
            rules.verdict("x", action, &Subject { path: Some(path), ..Subject::default() }).effect() == Effect::Allow
        };
        assert!(allows(Action::Read, "/srv") && allows(Action::Read, "/srv/a/b/c"));
        assert!(!allows(Action::Read, "/srvx") && !allows(Action::Read, "/") && !allows(Action::Read, "/etc"));
        assert!(!allows(Action::Read, "/srv/a/secret") && !allows(Action::Read, "/srv/a/secret/b"));
        assert!(allows(Action::Read, "/srv/a/b/secret"), "a wildcard stays within one name");
        assert!(allows(Action::Write, "/srv/up/x") && !allows(Action::Write, "/srv/x"));
        assert!(rules.has_paths() && !file().has_paths());
        assert_eq!(rules.iter().next().unwrap().to_string(), "deny * files path=\"/srv/*/secret\"");
    }

    #[test]
    fn a_rule_prints_as_one_line() {
        let texts: Vec<String> = file().iter().map(Rule::to_string).collect();
        assert_eq!(
            texts,
            [
                "deny key:ci observe session=\"secret-*\"",
                "allow key:ci,uid:1000 exec command=\"uptime*\"",
                "allow loopback *",
            ]
        );
    }

    #[test]
    fn every_mistake_names_its_line_and_what_to_write() {
        let rule = "default='deny'\n[[rule]]\neffect='allow'\nwho='*'\n";
        let cases = [
            ("default = 'maybe'".to_string(), 1, "\"maybe\" is no effect; write \"allow\" or \"deny\""),
            ("[[rule]]\neffect='allow'\nwho='*'\nactions='exec'".into(), 1, "no default"),
            (
                format!("{rule}actions='fly'"),
                2,
                "\"fly\" is no action; there are observe, drive, create, destroy, exec, files, read, write",
            ),
            (format!("{rule}actions='drive'\ncommand='x'"), 2, "`command` goes with exec and create only"),
            (format!("{rule}actions='exec'\nsession='x'"), 2, "`session` goes with"),
            (format!("{rule}actions='files'\npath='srv'"), 2, "\"srv\" is no absolute path"),
            (format!("{rule}actions='exec'\npath='/srv'"), 2, "`path` goes with read, write and files only"),
            (format!("{rule}actions='exec'\ncomand='x'"), 6, "unknown field `comand`"),
            (format!("{rule}actions='exec'\ncommand='/(/'"), 2, "no regular expression"),
            (format!("{rule}actions=[]"), 2, "no action"),
            (format!("{rule}actions='exec'\ncommand='a {{name}} *'"), 2, "\"*\" is no word of a command with holes"),
            (format!("{rule}actions='exec'\nstdin=true"), 2, "`stdin` and `term` go with"),
            ("default = 'deny'\nx = \n".into(), 2, ""),
        ];
        for (text, line, says) in cases {
            let err = Rules::parse(&text).unwrap_err();
            assert!(err.message.contains(says) && err.line == line, "{text}\n→ {err}");
        }
    }
}

//! The rules of a machine as plain values: who may do what. Nothing here reads files.
//!
//! The first rule that covers a request decides; without one the default does. A driver sees what it drives: an allowing
//! rule for `drive` covers `observe` too, and a denying rule for `observe` covers `drive` too. A rule for `files` covers
//! `read` and `write`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::password::PasswordHash;
use super::pattern::{CommandPattern, PathPattern, glob};
use crate::fleet::MachineId;

/// What a principal wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Attach as an observer.
    Observe,
    /// Attach as a driver, or become one.
    Drive,
    /// Make a session.
    Create,
    /// End a session.
    Destroy,
    /// Run a one-shot command.
    Exec,
    /// Both that follow.
    Files,
    /// List, look at, read, search files, and copy from them.
    Read,
    /// Write, make, remove, move files, and copy to them.
    Write,
}

impl Action {
    /// All of them, in the order they are shown.
    pub const ALL: &'static [Action] = &[
        Action::Observe,
        Action::Drive,
        Action::Create,
        Action::Destroy,
        Action::Exec,
        Action::Files,
        Action::Read,
        Action::Write,
    ];

    /// Whether it is about files.
    pub fn is_of_files(self) -> bool {
        matches!(self, Action::Files | Action::Read | Action::Write)
    }

    /// Its name in rules.
    pub fn name(self) -> &'static str {
        match self {
            Action::Observe => "observe",
            Action::Drive => "drive",
            Action::Create => "create",
            Action::Destroy => "destroy",
            Action::Exec => "exec",
            Action::Files => "files",
            Action::Read => "read",
            Action::Write => "write",
        }
    }
}

impl Action {
    fn has_command(self) -> bool {
        matches!(self, Action::Exec | Action::Create)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Action, String> {
        let known = || Action::ALL.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ");
        let found = Action::ALL.iter().copied().find(|action| action.name() == text);
        found.ok_or_else(|| format!("{text:?} is no action; there are {}", known()))
    }
}

/// What a rule does with what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Lets it happen.
    Allow,
    /// Refuses it.
    Deny,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Effect::Allow { "allow" } else { "deny" })
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(text: &str) -> Result<Effect, String> {
        match text {
            "allow" => Ok(Effect::Allow),
            "deny" => Ok(Effect::Deny),
            _ => Err(format!("{text:?} is no effect; write \"allow\" or \"deny\"")),
        }
    }
}

/// What an action is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The whole command of an exec, or of a session to be made; `None` for a login shell and for everything else.
    pub command: Option<&'a str>,
    /// Display name of the session.
    pub session: Option<&'a str>,
    /// The file or directory, absolute and without links.
    pub path: Option<&'a str>,
    /// What the caller chose beside the command.
    pub chosen: Chosen,
}

/// What a caller chose beside the command itself. Each of them can make an allowed command run something else (a shell
/// function in a variable, a program of the same name in a directory), so no rule that names a command allows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Variables.
    pub env: bool,
    /// The working directory.
    pub cwd: bool,
    /// The shell that reads it.
    pub shell: bool,
}

impl Chosen {
    /// Nothing.
    pub fn is_none(self) -> bool {
        self == Chosen::default()
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [(self.env, "--env"), (self.cwd, "--cwd"), (self.shell, "--shell")];
        f.write_str(&flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect::<Vec<_>>().join(", "))
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    effect: Effect,
    who: Vec<String>,
    actions: Vec<Action>,
    command: Option<CommandPattern>,
    session: Option<String>,
    path: Option<PathPattern>,
}

impl Rule {
    /// A rule, if it makes sense.
    pub fn new(
        effect: Effect,
        who: Vec<String>,
        actions: Vec<Action>,
        command: Option<&str>,
        session: Option<&str>,
        path: Option<&str>,
    ) -> Result<Rule, String> {
        if who.is_empty() || who.iter().any(String::is_empty) {
            return Err("a rule names nobody; write who = \"*\" for everybody".into());
        }
        if actions.is_empty() {
            return Err("a rule has no action; write actions = \"*\" for all".into());
        }
        if command.is_some() && !actions.iter().any(|action| action.has_command()) {
            let stray = actions[0];
            return Err(format!("{stray} has no command; `command` goes with exec and create only"));
        }
        let has_no_session = |action: &&Action| **action == Action::Exec || action.is_of_files();
        if let Some(stray) = actions.iter().find(has_no_session).filter(|_| session.is_some()) {
            return Err(format!("{stray} has no session; `session` goes with observe, drive, create and destroy only"));
        }
        if let Some(stray) = actions.iter().find(|action| path.is_some() && !action.is_of_files()) {
            return Err(format!("{stray} has no path; `path` goes with read, write and files only"));
        }
        let command = command.map(CommandPattern::new).transpose()?;
        let path = path.map(PathPattern::new).transpose()?;
        Ok(Rule { effect, who, actions, command, session: session.map(str::to_string), path })
    }

    /// What it does.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Globs over principals.
    pub fn who(&self) -> &[String] {
        &self.who
    }

    /// Its actions.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// Its actions in one word.
    pub fn actions_text(&self) -> String {
        if self.actions == Action::ALL {
            return "*".into();
        }
        self.actions.iter().map(|action| action.name()).collect::<Vec<_>>().join(",")
    }

    /// What the command must look like.
    pub fn command(&self) -> Option<&str> {
        self.command.as_ref().map(CommandPattern::source)
    }

    /// What the session's name must look like.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// What the path must look like, or one that it is beneath.
    pub fn path(&self) -> Option<&str> {
        self.path.as_ref().map(PathPattern::source)
    }

    fn covers(&self, principal: &str, action: Action, subject: &Subject) -> bool {
        let wider = match (self.effect, action) {
            (Effect::Allow, Action::Observe) => Some(Action::Drive),
            (Effect::Deny, Action::Drive) => Some(Action::Observe),
            (_, Action::Read | Action::Write) => Some(Action::Files),
            _ => None,
        };
        let is_action = self.actions.contains(&action) || wider.is_some_and(|wider| self.actions.contains(&wider));
        let is_command = |pattern: &CommandPattern| {
            subject.command.is_some_and(|command| match self.effect {
                Effect::Allow => pattern.allows(command) && (subject.chosen.is_none() || pattern.is_any()),
                Effect::Deny => pattern.denies(command),
            })
        };
        is_action
            && self.who.iter().any(|who| glob(who, principal))
            // Beside exec and create, a rule's other actions have no command to look at.
            && (!action.has_command() || self.command.as_ref().is_none_or(is_command))
            && self.session.as_ref().is_none_or(|session| subject.session.is_some_and(|name| glob(session, name)))
            && self.path.as_ref().is_none_or(|pattern| subject.path.is_some_and(|path| pattern.covers(path)))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.effect, self.who.join(","), self.actions_text())?;
        if let Some(command) = self.command() {
            write!(f, " command={command:?}")?;
        }
        if let Some(session) = self.session() {
            write!(f, " session={session:?}")?;
        }
        if let Some(path) = self.path() {
            write!(f, " path={path:?}")?;
        }
        Ok(())
    }
}

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
            Verdict::Rule(_, rule) => rule.effect,
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

/// Whom a rule is about, as a person types it: a principal's kind that exists, or a glob; `all` is `*`.
pub fn who_from(text: &str) -> Result<String, String> {
    let is_glob = |text: &str| text.contains(['*', '?']);
    let is_known = match text.split_once(':') {
        Some(("uid", id)) => id.parse::<u32>().is_ok() || is_glob(id),
        Some(("machine", id)) => id.parse::<MachineId>().is_ok() || is_glob(id),
        Some(("key", name)) => !name.is_empty(),
        Some((kind, _)) => is_glob(kind),
        None => text == "loopback" || is_glob(text),
    };
    match text {
        "all" => Ok("*".into()),
        _ if is_known => Ok(text.into()),
        _ => Err(format!(
            "{text:?} is nobody; write key:NAME, uid:NUMBER, machine:ID, loopback, or * for everybody (* and ? are wildcards)"
        )),
    }
}

/// Actions by name; `*` and `all` are all of them.
pub fn actions_from<S: AsRef<str>>(names: &[S]) -> Result<Vec<Action>, String> {
    let names: Vec<&str> = names.iter().map(|name| name.as_ref().trim()).collect();
    if names.contains(&"*") || names.contains(&"all") {
        return Ok(Action::ALL.to_vec());
    }
    names.into_iter().map(str::parse).collect()
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
                Rule::new(effect, table.who.into_vec(), actions, command, session, table.path.as_deref())
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
        self.rules.iter().any(|rule| rule.path.is_some())
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
        let is_barred = |rule: &Rule| rule.effect == Effect::Allow && rule.covers(principal, action, &plain);
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
        assert!(allows(&rules, "key:ci", Action::Exec, Some("uptime -p"), None));
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
        let ask = |who: &str, action: Action, command: &str, chosen: Chosen| {
            let subject = Subject { command: Some(command), chosen, ..Subject::default() };
            let is_allowed = rules.verdict(who, action, &subject).effect() == Effect::Allow;
            (is_allowed, rules.barred(who, action, &subject, None).map(|(number, _)| number))
        };
        for action in [Action::Exec, Action::Create] {
            assert_eq!(ask("key:ada", action, "echo hi", Chosen::default()), (true, None));
            for chosen in [env, cwd, shell] {
                assert_eq!(ask("key:ada", action, "echo hi", chosen), (false, Some(1)), "{chosen}");
            }
            assert_eq!(ask("key:ada", action, "id", env), (false, None), "it would not have been allowed anyway");
        }
        // Who may run everything may run it anyhow, and a denial is a denial.
        assert!(ask("key:bob", Action::Exec, "id", env).0);
        assert!(ask("key:cay", Action::Exec, "a; b", shell).0);
        assert!(!ask("key:dan", Action::Exec, "rm x", env).0);
        assert!(ask("key:dan", Action::Exec, "ls", env).0);
        assert_eq!(Chosen { env: true, cwd: true, shell: true }.to_string(), "--env, --cwd, --shell");
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
            ("default = 'deny'\nx = \n".into(), 2, ""),
        ];
        for (text, line, says) in cases {
            let err = Rules::parse(&text).unwrap_err();
            assert!(err.message.contains(says) && err.line == line, "{text}\n→ {err}");
        }
    }
}

//! One rule: what it covers, and how it reads.
//!
//! A driver sees what it drives: an allowing rule for `drive` covers `observe` too, and a denying rule for `observe` covers
//! `drive` too. A rule for `files` covers `read` and `write`.

use std::fmt;

use super::action::{Action, Effect};
use super::pattern::{CommandPattern, PathPattern, glob};
use super::subject::{Chosen, Subject};

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    effect: Effect,
    who: Vec<String>,
    actions: Vec<Action>,
    command: Option<CommandPattern>,
    session: Option<String>,
    path: Option<PathPattern>,
    choice: Chosen,
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
        Ok(Rule {
            effect,
            who,
            actions,
            command,
            session: session.map(str::to_string),
            path,
            choice: Chosen::default(),
        })
    }

    /// The same rule, which lets the caller choose some of what is beside its command.
    pub fn with_choice(self, choice: Chosen) -> Result<Rule, String> {
        let is_senseless = self.effect == Effect::Deny || self.command.is_none();
        if is_senseless && !choice.is_none() {
            return Err(
                "`stdin` and `term` go with an allowing rule's `command` only; every other rule covers them".into()
            );
        }
        Ok(Rule { choice, ..self })
    }

    /// What the caller may choose beside the command.
    pub fn choice(&self) -> Chosen {
        self.choice
    }

    /// Whether it allows words, so that a text is run as these and no shell reads it.
    pub fn is_of_words(&self) -> bool {
        self.effect == Effect::Allow && self.command.as_ref().is_some_and(CommandPattern::is_words)
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

    /// Whether it treats one path otherwise than another.
    pub(super) fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// What the path must look like, or one that it is beneath.
    pub fn path(&self) -> Option<&str> {
        self.path.as_ref().map(PathPattern::source)
    }

    /// Whether it decides this request.
    /// Whether it can cover anything that a principal asks for.
    pub(super) fn is_about(&self, principal: &str) -> bool {
        self.who.iter().any(|who| glob(who, principal))
    }

    pub(super) fn covers(&self, principal: &str, action: Action, subject: &Subject) -> bool {
        let wider = match (self.effect, action) {
            (Effect::Allow, Action::Observe) => Some(Action::Drive),
            (Effect::Deny, Action::Drive) => Some(Action::Observe),
            (_, Action::Read | Action::Write) => Some(Action::Files),
            _ => None,
        };
        let is_action = self.actions.contains(&action) || wider.is_some_and(|wider| self.actions.contains(&wider));
        let is_command = |pattern: &CommandPattern| match self.effect {
            Effect::Allow => {
                pattern.allows(subject) && (pattern.is_any() || subject.chosen.without(self.choice).is_none())
            }
            Effect::Deny => pattern.denies(subject),
        };
        is_action
            && self.is_about(principal)
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
        for (_, name) in [(self.choice.stdin, "stdin"), (self.choice.term, "term")].iter().filter(|(is_set, _)| *is_set)
        {
            write!(f, " {name}")?;
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

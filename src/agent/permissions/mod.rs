//! The machine's own rules: `permissions.toml` has the last word, whatever a relay says.
//!
//! [`Permissions`] is the file as the agent obeys it. Every decision costs one stat; a changed file is read again. It fails
//! closed: a file that vanishes, is emptied or cannot be read denies everything at once, until it is back or the agent is
//! started anew. Good rules stay in force only while the file has a mistake in it. An agent that has seen no file allows
//! everything the relay lets through, as `fleetmux permissions` says.

mod action;
mod edit;
mod password;
mod pattern;
mod rule;
mod rules;
mod subject;
mod words;

pub use action::{Action, Effect, actions_from, who_from};
pub use edit::{EditError, RulesFile};
pub use password::PasswordHash;
pub use rule::Rule;
pub use rules::{Rules, RulesError, Verdict};
pub use subject::{Chosen, Subject};
pub use words::unknown_hole;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fleet::{Code, Refusal};
use password::Proofs;

/// Name of the file in the configuration directory.
pub const FILE_NAME: &str = "permissions.toml";
/// A longer file is a mistake, not a set of rules.
const FILE_CAP: u64 = 1024 * 1024;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("{path} cannot be read: {err}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        err: io::Error,
    },
    /// Others than its owner may change it.
    #[error("{path} may be changed by others than you; run `chmod 600 {path}` and `chown` it to yourself")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It is no set of rules.
    #[error("{path}, {err}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        err: RulesError,
    },
}

/// Reads rules; `None` when there is no file.
pub fn load(path: &Path) -> Result<Option<Rules>, LoadError> {
    let failed = |err| LoadError::Io { path: path.into(), err };
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        // A link to nothing is no want of rules.
        Err(err) if err.kind() == io::ErrorKind::NotFound && std::fs::symlink_metadata(path).is_err() => {
            return Ok(None);
        }
        Err(err) => return Err(failed(err)),
    };
    let own = rustix::process::getuid().as_raw();
    if meta.mode() & 0o022 != 0 || (meta.uid() != own && meta.uid() != 0) {
        return Err(LoadError::Exposed { path: path.into() });
    }
    if !meta.is_file() || meta.len() > FILE_CAP {
        return Err(failed(io::Error::other("it is no file of rules")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Rules::parse(&text).map(Some).map_err(|err| LoadError::Malformed { path: path.into(), err })
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    /// There is no file.
    Absent,
    /// Nobody can tell whether there is one.
    Unseen,
    Seen {
        ino: u64,
        len: u64,
        mtime: (i64, i64),
        ctime: (i64, i64),
    },
}

fn stamp(path: &Path) -> Stamp {
    match std::fs::metadata(path) {
        Ok(meta) => Stamp::Seen {
            ino: meta.ino(),
            len: meta.len(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        },
        Err(err) if err.kind() == io::ErrorKind::NotFound && std::fs::symlink_metadata(path).is_err() => Stamp::Absent,
        Err(_) => Stamp::Unseen,
    }
}

/// How something that is allowed is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// As it was asked.
    AsAsked,
    /// As this program with these arguments, without a shell: what the rule compared.
    Words(Vec<String>),
}

/// The rules in force.
enum InForce {
    /// There never was a file.
    None,
    Rules(Rules),
    /// The file is gone or cannot be used: everything is denied.
    Broken(String),
}

struct State {
    stamp: Stamp,
    in_force: InForce,
    proofs: Proofs,
}

impl State {
    fn password(&self) -> Option<&PasswordHash> {
        match &self.in_force {
            InForce::Rules(rules) => rules.password(),
            InForce::None | InForce::Broken(_) => None,
        }
    }
}

/// Whom the machine asks for its password: whoever holds an API key. Its own user needs none.
fn is_asked(principal: &str) -> bool {
    principal.starts_with("key:")
}

/// The rules in force, as far as they are about somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What happens to what no rule covers.
    pub default: Effect,
    /// Number and words of each.
    pub rules: Vec<(u32, String)>,
    /// Why there are none, and everything is denied; empty otherwise.
    pub broken: String,
    /// There is no file.
    pub is_none: bool,
}

impl Default for Told {
    fn default() -> Told {
        Told { default: Effect::Allow, rules: Vec::new(), broken: String::new(), is_none: false }
    }
}

/// The rules of this machine, obeyed as they are on disk now.
pub struct Permissions {
    path: PathBuf,
    host: String,
    state: Mutex<State>,
}

impl Permissions {
    /// Reads the rules for the machine called `host`; a broken file denies everything until it is mended.
    pub fn open(path: PathBuf, host: &str) -> Permissions {
        let stamp = stamp(&path);
        let in_force = match load(&path) {
            Ok(Some(rules)) => {
                tracing::info!(file = %path.display(), rules = rules.len(), default = %rules.default_effect(), "permissions are in force");
                InForce::Rules(rules)
            }
            Ok(None) => {
                tracing::info!(file = %path.display(), "no permissions file: everything the relay lets through is allowed");
                InForce::None
            }
            Err(err) => {
                tracing::error!(%err, "the permissions cannot be used: everything is denied until they are mended");
                InForce::Broken(err.to_string())
            }
        };
        let state = State { stamp, in_force, proofs: Proofs::default() };
        Permissions { path, host: host.into(), state: Mutex::new(state) }
    }

    /// Whether a principal may do something; the refusal says which rule on which host forbids it.
    pub fn check(&self, principal: &str, action: Action, subject: &Subject) -> Result<(), Refusal> {
        self.check_run(principal, action, subject).map(drop)
    }

    /// As [`Permissions::check`], for what is a command: how it is to be run.
    pub fn check_run(&self, principal: &str, action: Action, subject: &Subject) -> Result<Run, Refusal> {
        let mut state = self.state();
        let run = self.judge(&mut state, principal, action, subject)?;
        if state.password().is_none() || !is_asked(principal) || state.proofs.has(principal) {
            return Ok(run);
        }
        let host = &self.host;
        let message = format!("{host} asks {} for its password, which an SDK's attach shows", shown(principal));
        Err(Refusal::new(Code::PermissionDenied, message))
    }

    /// Whether a principal may do something once it has shown the password, and whether there is one to show.
    pub fn admit(&self, principal: &str, action: Action, subject: &Subject) -> Result<bool, Refusal> {
        let mut state = self.state();
        if action.is_of_files() && subject.path.is_none() {
            // The rules are asked once it is known which file.
            self.reload(&mut state);
        } else {
            self.judge(&mut state, principal, action, subject)?;
        }
        Ok(state.password().is_some() && is_asked(principal))
    }

    /// A principal shows a password. Takes a tenth of a second, by intent: not for a thread that has other work.
    pub fn show_password(&self, principal: &str, password: &str) -> Result<(), Refusal> {
        let hash = {
            let mut state = self.state();
            self.reload(&mut state);
            state.proofs.may_try(principal, &self.host)?;
            state.password().cloned()
        };
        let Some(hash) = hash else { return Ok(()) };
        password::compare(&hash, password, &self.host)
            .inspect_err(|_| tracing::warn!(principal, "a wrong password was shown"))?;
        let mut state = self.state();
        // It may have been changed meanwhile.
        if state.password() == Some(&hash) {
            state.proofs.shown(principal);
        }
        Ok(())
    }

    /// What a principal showed before this long ago was shown by somebody who had its name then.
    pub fn forget(&self, principal: &str, ago: Duration) {
        self.state().proofs.forget(principal, ago);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, state: &mut State, principal: &str, action: Action, subject: &Subject) -> Result<Run, Refusal> {
        self.reload(state);
        let host = &self.host;
        let who = shown(principal);
        let of_path = subject.path.map_or_else(String::new, |path| format!(" of {path:?}"));
        let message = match &state.in_force {
            InForce::None => return Ok(Run::AsAsked),
            InForce::Broken(why) => format!(
                "{host} denies {action}{of_path} to {who}, and everything else, until its permissions are mended: {why}; see \
                 `fleetmux permissions list` there"
            ),
            InForce::Rules(rules) => match rules.verdict(principal, action, subject) {
                verdict if verdict.effect() == Effect::Allow => return Ok(run_of(&verdict, subject)),
                verdict => denial(rules, host, &verdict, principal, action, subject),
            },
        };
        tracing::warn!(principal, %action, "denied by this machine's permissions");
        Err(Refusal::new(Code::PermissionDenied, message))
    }

    /// Whether a principal may do something; for the many entries of a tree, none of which is worth a line.
    pub fn allows(&self, principal: &str, action: Action, subject: &Subject) -> bool {
        let mut state = self.state();
        self.reload(&mut state);
        match &state.in_force {
            InForce::None => true,
            InForce::Broken(_) => false,
            InForce::Rules(rules) => rules.verdict(principal, action, subject).effect() == Effect::Allow,
        }
    }

    /// Whether the rules treat one path otherwise than another.
    pub fn has_paths(&self) -> bool {
        let state = self.state();
        matches!(&state.in_force, InForce::Rules(rules) if rules.has_paths())
    }

    /// What is in force and about a principal.
    pub fn told_to(&self, principal: &str) -> Told {
        let mut state = self.state();
        self.reload(&mut state);
        match &state.in_force {
            InForce::None => Told { is_none: true, ..Told::default() },
            InForce::Broken(why) => Told { default: Effect::Deny, broken: why.clone(), ..Told::default() },
            InForce::Rules(rules) => {
                let own = (1..).zip(rules.iter()).filter(|(_, rule)| rule.is_about(principal));
                let rules_told = own.map(|(number, rule)| (number, rule.to_string())).collect();
                Told { default: rules.default_effect(), rules: rules_told, ..Told::default() }
            }
        }
    }

    /// Variables of the agent that programs get beside a login's.
    pub fn kept_variables(&self) -> Vec<String> {
        let mut state = self.state();
        self.reload(&mut state);
        match &state.in_force {
            InForce::Rules(rules) => rules.kept_variables().to_vec(),
            InForce::None | InForce::Broken(_) => Vec::new(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The machine they are for.
    pub fn host(&self) -> &str {
        &self.host
    }

    fn reload(&self, state: &mut State) {
        let before = state.password().cloned();
        self.read_anew(state);
        if state.password() != before.as_ref() {
            state.proofs = Proofs::default();
        }
    }

    fn read_anew(&self, state: &mut State) {
        let stamp = stamp(&self.path);
        if stamp == state.stamp {
            return;
        }
        state.stamp = stamp;
        let why = match load(&self.path) {
            // Somebody is writing it: half a file without an end of its own would pass for one that allows everything.
            _ if matches!(stamp, Stamp::Seen { len: 0, .. }) => format!("{} is empty", self.path.display()),
            Ok(Some(rules)) => {
                tracing::info!(rules = rules.len(), default = %rules.default_effect(), "permissions changed");
                state.in_force = InForce::Rules(rules);
                return;
            }
            Ok(None) => {
                // Whenever it is back it is read.
                state.stamp = Stamp::Absent;
                format!("{} is gone; put it back, or restart the agent if it is to do without", self.path.display())
            }
            Err(err @ (LoadError::Malformed { .. } | LoadError::Exposed { .. }))
                if matches!(state.in_force, InForce::Rules(_)) =>
            {
                tracing::error!(%err, "the changed permissions cannot be used; the last good ones stay in force");
                return;
            }
            Err(err) => err.to_string(),
        };
        tracing::error!(why, "the permissions cannot be used: everything is denied until they are mended");
        state.in_force = InForce::Broken(why);
    }
}

/// How a request that a rule allows is to be run.
fn run_of(verdict: &Verdict, subject: &Subject) -> Run {
    let words = match verdict {
        Verdict::Rule(_, rule) if rule.is_of_words() => subject.words(),
        Verdict::Rule(..) | Verdict::Default(_) => None,
    };
    words.map_or(Run::AsAsked, |words| Run::Words(words.into_owned()))
}

/// What decided against a request, for people.
fn denial(rules: &Rules, host: &str, verdict: &Verdict, principal: &str, action: Action, subject: &Subject) -> String {
    let who = shown(principal);
    let of_path = subject.path.map_or_else(String::new, |path| format!(" of {path:?}"));
    let number = match verdict {
        Verdict::Rule(number, _) => Some(*number),
        Verdict::Default(_) => None,
    };
    if let Some((number, rule)) = rules.barred(principal, action, subject, number) {
        let chosen = subject.chosen;
        return format!(
            "rule {number} (`{rule}`) in {FILE_NAME} on {host} allows {who} this command as it is, and not with {chosen} of \
             the caller's own, which could make it another one: leave that out"
        );
    }
    match verdict {
        Verdict::Rule(number, rule) => format!(
            "rule {number} (`{rule}`) in {FILE_NAME} on {host} denies {action}{of_path} to {who}; see `fleetmux \
             permissions list` there"
        ),
        Verdict::Default(_) => format!(
            "no rule in {FILE_NAME} on {host} allows {action}{of_path} to {who}, and its default is deny; see \
             `fleetmux permissions list` there"
        ),
    }
}

/// A principal for people; it may come from a certificate's name.
fn shown(principal: &str) -> String {
    let clean: String = principal.chars().filter(|c| !c.is_control()).take(100).collect();
    if clean.is_empty() { "somebody unknown".into() } else { clean }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const DENY_DRIVE: &str = "default = 'allow'\n[[rule]]\neffect = 'deny'\nwho = 'key:ci'\nactions = 'drive'\n";

    /// A file of rules that nobody else may write, whatever the umask of the test.
    fn write(path: &Path, text: &str) {
        let next = path.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(next, path).unwrap();
    }

    fn denies(permissions: &Permissions, action: Action) -> Option<String> {
        permissions.check("key:ci", action, &Subject::default()).err().map(|refusal| {
            assert_eq!(refusal.code, Code::PermissionDenied);
            refusal.message
        })
    }

    fn set_up() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        (dir, path)
    }

    #[test]
    fn without_a_file_everything_is_allowed_and_a_file_is_obeyed_from_the_next_request_on() {
        let (_dir, path) = set_up();
        let permissions = Permissions::open(path.clone(), "web-1");
        assert_eq!(denies(&permissions, Action::Drive), None);
        write(&path, DENY_DRIVE);
        let says = "rule 1 (`deny key:ci drive`) in permissions.toml on web-1 denies drive to key:ci; see `fleetmux \
                    permissions list` there";
        assert_eq!(denies(&permissions, Action::Drive).as_deref(), Some(says));
        assert_eq!(denies(&permissions, Action::Observe), None);
        write(&path, "default = 'deny'\n");
        assert!(denies(&permissions, Action::Observe).unwrap().contains("no rule in permissions.toml on web-1"));
    }

    #[test]
    fn a_file_that_is_broken_at_the_start_denies_everything_until_it_is_mended() {
        let (_dir, path) = set_up();
        write(&path, "default = 'allow'\n[[rule]]\neffect = 'dny'\nwho = '*'\nactions = 'exec'\n");
        let permissions = Permissions::open(path.clone(), "web-1");
        let says = denies(&permissions, Action::Observe).unwrap();
        assert!(says.contains("web-1 denies observe to key:ci, and everything else"), "{says}");
        assert!(says.contains("line 2: \"dny\" is no effect"), "{says}");
        write(&path, DENY_DRIVE);
        assert_eq!(denies(&permissions, Action::Observe), None);
    }

    #[test]
    fn a_file_that_breaks_later_leaves_the_last_good_rules_in_force() {
        let (_dir, path) = set_up();
        write(&path, DENY_DRIVE);
        let permissions = Permissions::open(path.clone(), "web-1");
        write(&path, "default = ");
        assert!(denies(&permissions, Action::Drive).unwrap().starts_with("rule 1"));
        assert_eq!(denies(&permissions, Action::Exec), None);
    }

    /// The first file, written by hand with a mistake in it, left "everything is allowed" in force until the next start.
    #[test]
    fn a_first_file_that_is_broken_denies_everything_at_once() {
        let (_dir, path) = set_up();
        let permissions = Permissions::open(path.clone(), "web-1");
        assert_eq!(denies(&permissions, Action::Drive), None);
        write(&path, "default = ");
        let says = denies(&permissions, Action::Drive).unwrap();
        assert!(says.contains("and everything else, until its permissions are mended"), "{says}");
        write(&path, "default = 'allow'\n");
        assert_eq!(denies(&permissions, Action::Drive), None);
    }

    /// For 2 s after the file had vanished its rules stayed in force, and then everything was allowed.
    #[test]
    fn a_file_that_vanishes_denies_everything_at_once_until_it_is_back() {
        let (_dir, path) = set_up();
        write(&path, DENY_DRIVE);
        let permissions = Permissions::open(path.clone(), "web-1");
        assert_eq!(denies(&permissions, Action::Observe), None);
        fs::remove_file(&path).unwrap();
        let says = denies(&permissions, Action::Observe).unwrap();
        assert!(
            says.contains("everything else, until its permissions are mended") && says.contains("is gone"),
            "{says}"
        );
        assert!(denies(&permissions, Action::Drive).is_some());
        assert!(!permissions.allows("key:ci", Action::Read, &Subject::default()));
        write(&path, DENY_DRIVE);
        assert_eq!(denies(&permissions, Action::Observe), None);
        fs::remove_file(&path).unwrap();
        assert!(denies(&permissions, Action::Observe).is_some());
        // An agent that starts without one does without.
        assert_eq!(denies(&Permissions::open(path, "web-1"), Action::Observe), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_or_is_emptied_denies_everything_at_once() {
        let (dir, path) = set_up();
        let target = dir.path().join("elsewhere.toml");
        write(&target, DENY_DRIVE);
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let permissions = Permissions::open(path.clone(), "web-1");
        assert_eq!(denies(&permissions, Action::Observe), None);
        fs::remove_file(&target).unwrap();
        assert!(denies(&permissions, Action::Observe).unwrap().contains("cannot be read"), "a link to nothing");
        assert!(denies(&Permissions::open(path.clone(), "web-1"), Action::Observe).is_some(), "nor at the start");
        write(&target, DENY_DRIVE);
        assert_eq!(denies(&permissions, Action::Observe), None);
        // As an editor or a redirection leaves it for a moment.
        write(&target, "");
        assert!(denies(&permissions, Action::Observe).unwrap().contains("is empty"));
        write(&target, DENY_DRIVE);
        assert_eq!(denies(&permissions, Action::Observe), None);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(denies(&permissions, Action::Observe).unwrap().contains("cannot be read"), "no file");
    }

    #[test]
    fn what_a_rule_of_words_allows_is_run_as_these_words() {
        let (_dir, path) = set_up();
        let text = "default = 'deny'\n[[rule]]\neffect = 'allow'\nwho = '*'\nactions = 'exec'\ncommand = 'echo {name}'\n\
                    [[rule]]\neffect = 'allow'\nwho = '*'\nactions = 'exec'\ncommand = 'date'\n";
        write(&path, text);
        let permissions = Permissions::open(path, "web-1");
        let run = |command: &str| {
            let subject = Subject { command: Some(command), ..Subject::default() };
            permissions.check_run("key:ci", Action::Exec, &subject).ok()
        };
        assert_eq!(run("echo  hi"), Some(Run::Words(vec!["echo".into(), "hi".into()])));
        assert_eq!(run("date"), Some(Run::AsAsked));
        assert_eq!((run("echo hi; id"), run("echo $(id)"), run("echo -n")), (None, None, None));
    }

    #[test]
    fn a_file_that_others_may_change_is_not_obeyed() {
        let (_dir, path) = set_up();
        write(&path, "default = 'allow'\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let says = denies(&Permissions::open(path, "web-1"), Action::Observe).unwrap();
        assert!(says.contains("chmod 600"), "{says}");
    }

    #[test]
    fn a_password_is_asked_of_keys_until_they_show_it_and_again_when_it_changes() {
        let (_dir, path) = set_up();
        let hash = PasswordHash::new("open sesame").unwrap();
        write(&path, &format!("default = 'allow'\npassword = '{hash}'\n"));
        let permissions = Permissions::open(path.clone(), "web-1");
        let subject = Subject::default();
        let says = denies(&permissions, Action::Drive).unwrap();
        assert!(says.contains("web-1 asks key:ci for its password"), "{says}");
        permissions.check("uid:0", Action::Drive, &subject).unwrap();
        assert_eq!(permissions.admit("key:ci", Action::Drive, &subject), Ok(true));
        assert_eq!(permissions.show_password("key:ci", "sesame").unwrap_err().code, Code::Unauthenticated);
        permissions.show_password("key:ci", "open sesame").unwrap();
        assert_eq!(denies(&permissions, Action::Drive), None);
        let other = PasswordHash::new("another one").unwrap();
        write(&path, &format!("default = 'allow'\npassword = '{other}'\n"));
        assert!(denies(&permissions, Action::Drive).is_some(), "what was shown is not the password any more");
        write(&path, "default = 'allow'\n");
        assert_eq!(permissions.admit("key:ci", Action::Drive, &subject), Ok(false));
        assert_eq!(denies(&permissions, Action::Drive), None);
    }
}

//! The machine's own rules: `permissions.toml` has the last word, whatever a relay says.
//!
//! [`Permissions`] is the file as the agent obeys it. Every decision costs one stat; a changed file is read again. It fails
//! closed: a file that cannot be used at the start denies everything, one that breaks later leaves the last good rules
//! in force, and so does one that vanishes. Without a file everything the relay lets through is allowed.

mod edit;
mod pattern;
mod rules;

pub use edit::{EditError, RulesFile};
pub use rules::{Action, Effect, Rule, Rules, RulesError, Subject, Verdict, actions_from, who_from};

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::fleet::{Code, Refusal};

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
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
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

/// What tells one version of a file from another; `None` when there is none.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
}

/// The rules in force.
enum InForce {
    Rules(Rules),
    /// The file was broken at the start: everything is denied.
    Broken(String),
}

struct State {
    stamp: Stamp,
    in_force: InForce,
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
                InForce::Rules(Rules::default())
            }
            Err(err) => {
                tracing::error!(%err, "the permissions cannot be used: everything is denied until they are mended");
                InForce::Broken(err.to_string())
            }
        };
        Permissions { path, host: host.into(), state: Mutex::new(State { stamp, in_force }) }
    }

    /// Whether a principal may do something; the refusal says which rule on which host forbids it.
    pub fn check(&self, principal: &str, action: Action, subject: &Subject) -> Result<(), Refusal> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload(&mut state);
        let host = &self.host;
        let who = shown(principal);
        let message = match &state.in_force {
            InForce::Broken(why) => format!(
                "{host} denies {action} to {who}, and everything else, until its permissions are mended: {why}; see \
                 `fleetmux permissions list` there"
            ),
            InForce::Rules(rules) => match rules.verdict(principal, action, subject) {
                verdict if verdict.effect() == Effect::Allow => return Ok(()),
                Verdict::Rule(number, rule) => format!(
                    "rule {number} (`{rule}`) in {FILE_NAME} on {host} denies {action} to {who}; see `fleetmux \
                     permissions list` there"
                ),
                Verdict::Default(_) => format!(
                    "no rule in {FILE_NAME} on {host} allows {action} to {who}, and its default is deny; see `fleetmux \
                     permissions list` there"
                ),
            },
        };
        tracing::warn!(principal, %action, "denied by this machine's permissions");
        Err(Refusal::new(Code::PermissionDenied, message))
    }

    fn reload(&self, state: &mut State) {
        let now = stamp(&self.path);
        if now == state.stamp {
            return;
        }
        state.stamp = now;
        match load(&self.path) {
            Ok(Some(rules)) => {
                tracing::info!(rules = rules.len(), default = %rules.default_effect(), "permissions changed");
                state.in_force = InForce::Rules(rules);
            }
            Ok(None) => tracing::warn!(
                file = %self.path.display(),
                "the permissions file is gone; the last rules stay in force until the agent starts anew"
            ),
            Err(err) => {
                tracing::error!(%err, "the changed permissions cannot be used; the last good ones stay in force")
            }
        }
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
    fn a_file_that_breaks_or_vanishes_later_leaves_the_last_good_rules_in_force() {
        let (_dir, path) = set_up();
        write(&path, DENY_DRIVE);
        let permissions = Permissions::open(path.clone(), "web-1");
        write(&path, "default = ");
        assert!(denies(&permissions, Action::Drive).unwrap().starts_with("rule 1"));
        assert_eq!(denies(&permissions, Action::Exec), None);
        fs::remove_file(&path).unwrap();
        assert!(denies(&permissions, Action::Drive).unwrap().starts_with("rule 1"));
    }

    #[test]
    fn a_file_that_others_may_change_is_not_obeyed() {
        let (_dir, path) = set_up();
        write(&path, "default = 'allow'\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let says = denies(&Permissions::open(path, "web-1"), Action::Observe).unwrap();
        assert!(says.contains("chmod 600"), "{says}");
    }
}

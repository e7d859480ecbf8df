//! Which place each kind of state has, by who runs it: root's is the system's, everybody else's is at home.
//!
//! Root has `/run/fleetmux`, `/var/lib/fleetmux` and `/etc/fleetmux`, whether it logged in, called sudo or is a service;
//! others have the directories of the XDG specification. A variable that names a directory of somebody else is not believed:
//! sudo and su leave such behind.

use std::path::{Path, PathBuf};

/// Name of our directory in whatever holds it.
const NAME: &str = "fleetmux";

/// Root's places.
pub(super) const SYSTEM_RUNTIME: &str = "/run/fleetmux";
const SYSTEM_STATE: &str = "/var/lib/fleetmux";
const SYSTEM_CONFIG: &str = "/etc/fleetmux";

/// What decides; the system is asked through these alone.
pub(super) struct Asker<'a> {
    pub(super) uid: u32,
    /// A variable that is set and not empty.
    pub(super) var: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// The home that the system's directory of users names.
    pub(super) login_home: &'a dyn Fn() -> Option<PathBuf>,
    /// Who owns a path that exists.
    pub(super) owner: &'a dyn Fn(&Path) -> Option<u32>,
    /// An agent runs, or sessions live, in this runtime directory.
    pub(super) lives: &'a dyn Fn(&Path) -> bool,
}

impl Asker<'_> {
    /// Sockets and sessions.
    pub(super) fn runtime(&self) -> PathBuf {
        let mut candidates = self.home_runtimes();
        if let Some(named) = self.named_runtime() {
            return named.join(NAME);
        }
        if self.is_root_at_home() {
            candidates.insert(0, SYSTEM_RUNTIME.into());
        }
        // A job of cron's has no runtime directory of a login: both find the one that lives.
        let living = candidates.iter().find(|dir| (self.lives)(dir));
        living.or(candidates.first()).cloned().unwrap_or_else(|| self.temporary())
    }

    /// Identity and records; `None` without a home.
    pub(super) fn state(&self) -> Option<PathBuf> {
        match self.is_system() {
            true => Some(SYSTEM_STATE.into()),
            false => self.home_place("XDG_STATE_HOME", ".local/state"),
        }
    }

    /// Themes, settings and rules; `None` without a home.
    pub(super) fn config(&self) -> Option<PathBuf> {
        match self.is_system() {
            true => Some(SYSTEM_CONFIG.into()),
            false => self.home_place("XDG_CONFIG_HOME", ".config"),
        }
    }

    /// Where programs of this user have their configuration, ours among them.
    pub(super) fn config_base(&self) -> Option<PathBuf> {
        self.believed("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))
    }

    /// The runtime directory of the login, if it is this user's.
    pub(super) fn own_runtime(&self) -> Option<PathBuf> {
        (self.var)("XDG_RUNTIME_DIR").filter(|dir| (self.owner)(dir) == Some(self.uid))
    }

    /// Where state and configuration are at home, whoever asks.
    pub(super) fn at_home(&self) -> [Option<PathBuf>; 2] {
        [self.home_place("XDG_STATE_HOME", ".local/state"), self.home_place("XDG_CONFIG_HOME", ".config")]
    }

    /// Root, in the system's places. Not where an agent of before them still lives elsewhere: it has its state there too.
    pub(super) fn is_system(&self) -> bool {
        let is_elsewhere = || self.runtime() != Path::new(SYSTEM_RUNTIME);
        self.is_root_at_home() && (self.named_runtime().is_some() || !is_elsewhere())
    }

    /// Root, and nothing says that it is to be elsewhere.
    fn is_root_at_home(&self) -> bool {
        if self.uid != 0 {
            return false;
        }
        let login_home = (self.login_home)();
        let is_elsewhere = |dir: PathBuf| login_home.as_ref().is_none_or(|home| !dir.starts_with(home));
        let named = ["HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"].into_iter().filter_map(|name| self.believed(name));
        !named.into_iter().any(is_elsewhere)
    }

    /// A runtime directory other than that of every login.
    fn named_runtime(&self) -> Option<PathBuf> {
        let named = self.own_runtime()?;
        (named != self.login_runtime()).then_some(named)
    }

    fn login_runtime(&self) -> PathBuf {
        format!("/run/user/{}", self.uid).into()
    }

    fn home_runtimes(&self) -> Vec<PathBuf> {
        let of_login = self.login_runtime();
        let of_login = ((self.owner)(&of_login) == Some(self.uid)).then(|| of_login.join(NAME));
        of_login.into_iter().chain([self.temporary()]).collect()
    }

    fn temporary(&self) -> PathBuf {
        format!("/tmp/{NAME}-{}", self.uid).into()
    }

    fn home_place(&self, variable: &str, beneath_home: &str) -> Option<PathBuf> {
        let base = self.believed(variable).or_else(|| Some(self.home()?.join(beneath_home)));
        Some(base?.join(NAME))
    }

    /// The home, whoever's variables these are.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.believed("HOME").or_else(self.login_home).or_else(|| (self.var)("HOME"))
    }

    /// A directory that a variable names, if it is this user's, or may become so.
    fn believed(&self, variable: &str) -> Option<PathBuf> {
        let dir = (self.var)(variable).filter(|dir| dir.is_absolute())?;
        let nearest = dir.ancestors().find_map(|dir| Some((dir, (self.owner)(dir)?)));
        let is_ours = nearest.is_some_and(|(at, owner)| owner == self.uid || (owner == 0 && at != dir));
        is_ours.then_some(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: u32 = 1000;

    /// Places of a user with these variables, where these runtime directories live.
    fn places(uid: u32, variables: &[(&str, &str)], living: &[&str]) -> [String; 3] {
        let var = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| PathBuf::from(value));
        let login_home = || Some(PathBuf::from(if uid == 0 { "/root" } else { "/home/ada" }));
        let owner = |path: &Path| match path.to_str().unwrap_or_default() {
            path if path == "/run/user/0" || path.starts_with("/sandbox") => Some(0),
            "/" | "/home" | "/tmp" | "/root" => Some(0),
            "/home/ada" | "/run/user/1000" | "/home/ada/.config" => Some(ADA),
            _ => None,
        };
        let lives = |dir: &Path| living.iter().any(|living| Path::new(living) == dir);
        let asker = Asker { uid, var: &var, login_home: &login_home, owner: &owner, lives: &lives };
        let shown = |dir: Option<PathBuf>| dir.map(|dir| dir.display().to_string()).unwrap_or_default();
        [Some(asker.runtime()), asker.state(), asker.config()].map(shown)
    }

    const SYSTEM: [&str; 3] = [SYSTEM_RUNTIME, SYSTEM_STATE, SYSTEM_CONFIG];

    /// A machine that root joined from a login was not found by the unit, and its rules were not in force.
    #[test]
    fn root_has_the_systems_places_however_it_became_root() {
        let ada = "/home/ada";
        assert_eq!(places(0, &[("HOME", "/root"), ("XDG_RUNTIME_DIR", "/run/user/0")], &[]), SYSTEM, "a login");
        assert_eq!(places(0, &[], &[]), SYSTEM, "a service");
        let sudo = [("HOME", ada), ("XDG_RUNTIME_DIR", "/run/user/1000"), ("XDG_CONFIG_HOME", "/home/ada/.config")];
        assert_eq!(places(0, &sudo, &[]), SYSTEM, "sudo that keeps variables");
        assert_eq!(places(0, &[("HOME", "/root"), ("XDG_CONFIG_HOME", "/root/.config")], &[]), SYSTEM, "its dotfiles");
        let moved = places(0, &[("HOME", "/sandbox"), ("XDG_RUNTIME_DIR", "/sandbox/run")], &[]);
        assert_eq!(moved, ["/sandbox/run/fleetmux", "/sandbox/.local/state/fleetmux", "/sandbox/.config/fleetmux"]);
    }

    #[test]
    fn an_agent_of_root_that_lives_in_its_home_is_found_there() {
        let former = ["/tmp/fleetmux-0", "/root/.local/state/fleetmux", "/root/.config/fleetmux"];
        assert_eq!(places(0, &[("HOME", "/root")], &["/tmp/fleetmux-0"]), former);
        assert_eq!(places(0, &[("HOME", "/root")], &["/tmp/fleetmux-0", SYSTEM_RUNTIME]), SYSTEM);
    }

    #[test]
    fn a_user_is_at_home_and_found_by_cron_as_well() {
        let home = ["/run/user/1000/fleetmux", "/home/ada/.local/state/fleetmux", "/home/ada/.config/fleetmux"];
        let login = [("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1000")];
        assert_eq!(places(ADA, &login, &[]), home);
        assert_eq!(places(ADA, &[("HOME", "/home/ada")], &[]), home, "cron");
        assert_eq!(places(ADA, &[("HOME", "/root"), ("XDG_RUNTIME_DIR", "/run/user/0")], &[]), home, "su");
        assert_eq!(places(ADA, &login, &["/tmp/fleetmux-1000"])[0], "/tmp/fleetmux-1000", "from before the login");
        let xdg = [("HOME", "/home/ada"), ("XDG_STATE_HOME", "/tmp/new/state")];
        assert_eq!(places(ADA, &xdg, &[])[1], "/tmp/new/state/fleetmux", "one that is not there yet");
    }
}

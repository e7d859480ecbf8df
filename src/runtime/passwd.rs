//! The user's login: name, shell and home, as the system's directory of users has them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// The user this process runs as.
#[derive(Clone, Debug)]
pub struct Login {
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: String,
    /// Name.
    pub user: String,
    /// Whether it may do everything.
    pub is_root: bool,
}

/// The user's entry, wherever the system keeps it (files, LDAP, systemd). The home is `$HOME` if that is a directory of this
/// user's own, so that it can be chosen, and that of whoever called sudo is not taken.
pub fn login() -> Login {
    let uid = Uid::current();
    let entry = User::from_uid(uid).ok().flatten();
    let is_own = |dir: &Path| std::fs::metadata(dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid.as_raw());
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = var("HOME").map(PathBuf::from).filter(|dir| is_own(dir));
    let home = home.or_else(|| entry.as_ref().map(|entry| entry.dir.clone())).unwrap_or_else(|| "/".into());
    let shell =
        entry.as_ref().map(|entry| entry.shell.to_string_lossy().into_owned()).filter(|shell| !shell.is_empty());
    let shell = shell.or_else(|| std::env::var("SHELL").ok().filter(|shell| !shell.is_empty()));
    let user = entry.map(|entry| entry.name).or_else(|| std::env::var("USER").ok());
    Login {
        home,
        shell: shell.unwrap_or_else(|| "/bin/sh".into()),
        user: user.unwrap_or_else(|| uid.to_string()),
        is_root: uid.is_root(),
    }
}

/// The shells that understand `;`, `$?` and `printf` as every script expects.
const POSIX_SHELLS: [&str; 8] = ["bash", "zsh", "sh", "dash", "ksh", "ksh93", "mksh", "ash"];

impl Login {
    /// The login shell if it is of the POSIX family, and otherwise one that every system has.
    pub fn posix_shell(&self) -> String {
        let name = self.shell.rsplit('/').next().unwrap_or_default();
        if POSIX_SHELLS.contains(&name) {
            return self.shell.clone();
        }
        let bash = ["/bin/bash", "/usr/bin/bash"].into_iter().find(|path| std::path::Path::new(path).exists());
        bash.unwrap_or("/bin/sh").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_that_scripts_cannot_talk_to_is_replaced() {
        let of = |shell: &str| {
            Login { home: "/".into(), shell: shell.into(), user: "ada".into(), is_root: false }.posix_shell()
        };
        assert_eq!(of("/usr/bin/zsh"), "/usr/bin/zsh");
        assert_eq!(of("/bin/dash"), "/bin/dash");
        for other in ["/usr/bin/fish", "/bin/tcsh", "/usr/bin/nu", "/sbin/nologin"] {
            assert!(["/bin/bash", "/usr/bin/bash", "/bin/sh"].contains(&of(other).as_str()), "{other}");
        }
    }
}

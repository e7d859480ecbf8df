//! The user's login shell and home, from the environment or the password file.

use std::path::PathBuf;

/// Home directory and login shell of the user this process runs as.
#[derive(Clone, Debug)]
pub struct Login {
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: String,
}

/// Environment first, as ssh and tmux do; then `/etc/passwd`; then what every system has.
pub fn login() -> Login {
    let entry = passwd_entry();
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let home = var("HOME").or_else(|| entry.as_ref().map(|(home, _)| home.clone())).unwrap_or_else(|| "/".into());
    let shell = var("SHELL").or_else(|| entry.map(|(_, shell)| shell)).unwrap_or_else(|| "/bin/sh".into());
    Login { home: home.into(), shell }
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

fn passwd_entry() -> Option<(String, String)> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()))?;
    let mut fields = line.split(':').skip(5);
    let (home, shell) = (fields.next()?, fields.next()?);
    (!shell.is_empty()).then(|| (home.to_string(), shell.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_that_scripts_cannot_talk_to_is_replaced() {
        let of = |shell: &str| Login { home: "/".into(), shell: shell.into() }.posix_shell();
        assert_eq!(of("/usr/bin/zsh"), "/usr/bin/zsh");
        assert_eq!(of("/bin/dash"), "/bin/dash");
        for other in ["/usr/bin/fish", "/bin/tcsh", "/usr/bin/nu", "/sbin/nologin"] {
            assert!(["/bin/bash", "/usr/bin/bash", "/bin/sh"].contains(&of(other).as_str()), "{other}");
        }
    }
}

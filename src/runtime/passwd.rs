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

fn passwd_entry() -> Option<(String, String)> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()))?;
    let mut fields = line.split(':').skip(5);
    let (home, shell) = (fields.next()?, fields.next()?);
    (!shell.is_empty()).then(|| (home.to_string(), shell.to_string()))
}

//! The text of a unit.

use std::fmt::Write;
use std::path::Path;

use crate::config::paths;

/// Whose systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    System,
    User,
}

impl Scope {
    /// For systemctl.
    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Scope::System => &[],
            Scope::User => &["--user"],
        }
    }
}

/// A unit that is put together.
pub(super) struct Unit {
    scope: Scope,
    text: String,
}

impl Unit {
    /// Begins with its description and what it runs.
    pub(super) fn new(scope: Scope, part: &str, command: &[String]) -> Unit {
        let mut text = format!("[Unit]\nDescription=fleetmux {part}\nDocumentation=man:fleetmux-{part}(1)\n");
        if scope == Scope::System {
            text += "Wants=network-online.target\nAfter=network-online.target\n";
        }
        // Variables are put into commands only, so only there a dollar is two.
        let command: Vec<String> = command.iter().map(|word| quoted(&word.replace('$', "$$"))).collect();
        let _ = writeln!(text, "StartLimitIntervalSec=0\n\n[Service]\nType=exec\nExecStart={}", command.join(" "));
        text += "Restart=always\nRestartSec=1\n";
        Unit { scope, text }
    }

    /// Lines of its own.
    pub(super) fn lines(mut self, lines: &str) -> Unit {
        self.text += lines;
        self
    }

    /// The directories of whoever installs it; the system's ones are made by systemd.
    pub(super) fn directories(mut self) -> Unit {
        let dirs = [Some(paths::runtime_dir()), Some(paths::state_dir()), paths::config_dir()];
        let kept = "RuntimeDirectoryPreserve=yes\n";
        let kinds = [
            ("Runtime", "/run/fleetmux", kept),
            ("State", "/var/lib/fleetmux", ""),
            ("Configuration", "/etc/fleetmux", ""),
        ];
        for (name, (dir, (kind, systems, more))) in paths::VARIABLES.into_iter().zip(dirs.into_iter().zip(kinds)) {
            let Some(dir) = dir else { continue };
            if self.scope == Scope::System && dir == Path::new(systems) {
                let _ = write!(self.text, "{kind}Directory=fleetmux\n{kind}DirectoryMode=0700\n{more}");
            }
            let _ = writeln!(self.text, "Environment={}", quoted(&format!("{name}={}", dir.display())));
        }
        self
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        let target = if self.scope == Scope::System { "multi-user.target" } else { "default.target" };
        format!("{}\n[Install]\nWantedBy={target}\n", self.text)
    }
}

/// A word of a setting, as systemd reads it.
pub(super) fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('\n', "\\n");
    let is_plain = escaped.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c)) && !escaped.is_empty();
    if is_plain { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        assert_eq!(quoted("/usr/bin/fleetmux"), "/usr/bin/fleetmux");
        assert_eq!(quoted("Ada's \"box\" 100% $HOME"), "\"Ada's \\\"box\\\" 100%% $HOME\"");
        assert_eq!(quoted(""), "\"\"");
    }
}

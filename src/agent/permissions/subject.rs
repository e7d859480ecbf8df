//! What is asked of the rules: a command, a session or a path, and what the caller chose beside it.

use std::borrow::Cow;
use std::fmt;

use super::words::plain_words;

/// What an action is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The whole command of an exec, or of a session to be made; `None` for a login shell and for everything else.
    pub command: Option<&'a str>,
    /// The same as program and arguments, if that is how it was given; otherwise it is a text for a shell.
    pub argv: Option<&'a [String]>,
    /// Display name of the session.
    pub session: Option<&'a str>,
    /// The file or directory, absolute and without links.
    pub path: Option<&'a str>,
    /// What the caller chose beside the command.
    pub chosen: Chosen,
}

impl Subject<'_> {
    /// The command's words, if no shell could make others of it.
    pub(super) fn words(&self) -> Option<Cow<'_, [String]>> {
        match self.argv {
            Some(argv) => Some(Cow::Borrowed(argv)),
            None => self.command.and_then(plain_words).map(Cow::Owned),
        }
    }
}

/// What a caller chose beside the command itself. Each of them can make an allowed command run something else (a shell
/// function in a variable, a program of the same name in a directory, a program on standard input), so a rule that names a
/// command allows none of them, save those of which it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Variables.
    pub env: bool,
    /// The working directory.
    pub cwd: bool,
    /// The shell that reads it.
    pub shell: bool,
    /// What it reads on standard input.
    pub stdin: bool,
    /// The `TERM` of a session, if it is not the usual one.
    pub term: bool,
}

impl Chosen {
    /// Nothing.
    pub fn is_none(self) -> bool {
        self == Chosen::default()
    }

    /// Without what is allowed.
    pub(super) fn without(self, allowed: Chosen) -> Chosen {
        Chosen {
            env: self.env && !allowed.env,
            cwd: self.cwd && !allowed.cwd,
            shell: self.shell && !allowed.shell,
            stdin: self.stdin && !allowed.stdin,
            term: self.term && !allowed.term,
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.env, "--env"),
            (self.cwd, "--cwd"),
            (self.shell, "--shell"),
            (self.stdin, "standard input (-n leaves it out)"),
            (self.term, "TERM"),
        ];
        f.write_str(&parts.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect::<Vec<_>>().join(", "))
    }
}

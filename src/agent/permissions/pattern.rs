//! Patterns of rules: globs over names, and globs or regular expressions over whole commands.

use regex::Regex;

/// What would let a second command ride on an allowed one: `uptime*` must not let `uptime; reboot` through.
const SHELL_CONTROL: &[char] = &[';', '&', '|', '<', '>', '`', '$', '(', ')', '\n', '\r', '\0'];

/// `*` stands for any run of characters, `?` for any one; everything else for itself.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    glob_where(pattern, text, |_| true)
}

/// As [`glob`], with wildcards that stand for characters of one kind only.
fn glob_where(pattern: &str, text: &str, fits: impl Fn(char) -> bool) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` is and how far it reaches; on a mismatch it takes one character more.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some('?') if fits(text[read]) => (at, read) = (at + 1, read + 1),
            Some(c) if *c != '?' && *c == text[read] => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((star_at, reach)) if fits(text[reach]) => {
                    star = Some((star_at, reach + 1));
                    (at, read) = (star_at + 1, reach + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// What a command must look like, as a whole.
#[derive(Clone, Debug)]
pub(super) struct CommandPattern {
    source: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Glob,
    Regex(Regex),
}

impl CommandPattern {
    /// `/…/` is a regular expression, anything else a glob; both must match the whole command.
    pub(super) fn new(source: &str) -> Result<CommandPattern, String> {
        let inner = source.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inner| !inner.is_empty());
        let kind = match inner {
            Some(inner) => {
                let regex = Regex::new(&format!(r"\A(?:{inner})\z"));
                Kind::Regex(regex.map_err(|_| format!("{source:?} is no regular expression"))?)
            }
            None => Kind::Glob,
        };
        Ok(CommandPattern { source: source.into(), kind })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether every command fits.
    pub(super) fn is_any(&self) -> bool {
        matches!(self.kind, Kind::Glob) && self.source == "*"
    }

    /// Whether an allowing rule covers the command: wildcards of a glob stop at what a shell would take for another one.
    pub(super) fn allows(&self, command: &str) -> bool {
        match &self.kind {
            Kind::Glob if self.source == "*" => true,
            Kind::Glob => glob_where(&self.source, command, |c| !SHELL_CONTROL.contains(&c)),
            Kind::Regex(regex) => regex.is_match(command),
        }
    }

    /// Whether a denying rule covers the command.
    pub(super) fn denies(&self, command: &str) -> bool {
        match &self.kind {
            Kind::Glob => glob(&self.source, command),
            Kind::Regex(regex) => regex.is_match(command),
        }
    }
}

/// Where a file must be: at a path, or anywhere beneath it.
#[derive(Clone, Debug)]
pub(super) struct PathPattern {
    source: String,
}

impl PathPattern {
    /// A glob whose wildcards stay within one name.
    pub(super) fn new(source: &str) -> Result<PathPattern, String> {
        if !source.starts_with('/') || source.split('/').any(|name| name == "." || name == "..") {
            return Err(format!("{source:?} is no absolute path without `.` and `..`; write \"/srv/data\""));
        }
        Ok(PathPattern { source: source.into() })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it means this path, or a directory that leads to it.
    pub(super) fn covers(&self, path: &str) -> bool {
        let pattern = self.source.trim_end_matches('/');
        let fits = |part: &str| glob_where(pattern, part, |c| c != '/');
        pattern.is_empty() || fits(path) || path.match_indices('/').any(|(at, _)| at > 0 && fits(&path[..at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_the_whole_text() {
        for (pattern, text) in
            [("*", ""), ("key:*", "key:ci"), ("a?c", "abc"), ("*b*b", "abab"), ("", ""), ("é*", "éa")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("key:*", "xkey:ci"), ("key", "key:ci"), ("a?c", "ac"), ("", "a"), ("*b", "aba")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
        // Not exponential.
        assert!(!glob(&"*a".repeat(200), &"a".repeat(150)));
    }

    /// `uptime*` in an allowing rule would let `uptime; reboot` through.
    #[test]
    fn no_second_command_rides_on_an_allowed_one() {
        let pattern = CommandPattern::new("uptime*").unwrap();
        assert!(pattern.allows("uptime") && pattern.allows("uptime -p"));
        for command in ["uptime; reboot", "uptime && reboot", "uptime | sh", "uptime $(reboot)", "uptime\nreboot"] {
            assert!(!pattern.allows(command), "{command}");
            assert!(pattern.denies(command), "a denying rule covers it all the same: {command}");
        }
        assert!(CommandPattern::new("*").unwrap().allows("a; b"), "everything is everything");
        assert!(
            CommandPattern::new("make *; echo done").unwrap().allows("make all; echo done"),
            "written out it is meant"
        );
    }

    #[test]
    fn a_regular_expression_matches_the_whole_command() {
        let pattern = CommandPattern::new("/systemctl (status|restart) [a-z]+/").unwrap();
        assert!(pattern.allows("systemctl restart nginx") && pattern.denies("systemctl restart nginx"));
        assert!(!pattern.allows("systemctl restart nginx; reboot") && !pattern.allows("x systemctl status a"));
        let either = CommandPattern::new("/a|b/").unwrap();
        assert!(either.allows("a") && !either.allows("ab"), "the alternatives are bound together");
        assert!(CommandPattern::new("/(/").is_err());
    }
}

//! Patterns of rules: globs over names; globs, regular expressions or words with holes over whole commands.

use regex::Regex;

use super::subject::Subject;
use super::words::Words;

/// Characters that leave a shell at the beginning of a word: what follows them may still be an option.
const BEFORE_A_WORD: &[char] = &[' ', '\t', '"', '\'', '\\'];
/// What a shell may replace by a word that begins with a dash, at a word's beginning; braces do so anywhere.
const BECOMES_A_WORD: &[char] = &['*', '?', '['];

/// What would let a second command ride on an allowed one: `uptime*` must not let `uptime; reboot` through.
const SHELL_CONTROL: &[char] = &[';', '&', '|', '<', '>', '`', '$', '(', ')', '\n', '\r', '\0'];

/// `*` stands for any run of characters, `?` for any one; everything else for itself.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    glob_where(pattern, text, |_, _| true)
}

/// As [`glob`], with wildcards that stand for some characters only, by what is before them.
fn glob_where(pattern: &str, text: &str, fits: impl Fn(&[char], char) -> bool) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let fits: Vec<bool> = text.iter().enumerate().map(|(at, c)| fits(&text[..at], *c)).collect();
    let (mut at, mut read) = (0, 0);
    // Where the last `*` is and how far it reaches; on a mismatch it takes one character more.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some('?') if fits[read] => (at, read) = (at + 1, read + 1),
            Some(c) if *c != '?' && *c == text[read] => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((star_at, reach)) if fits[reach] => {
                    star = Some((star_at, reach + 1));
                    (at, read) = (star_at + 1, reach + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Whether a wildcard of an allowing rule may stand for a character: not for what begins another command, nor for what
/// begins an option, whose effect is not known to whoever wrote the rule.
fn is_harmless(before: &[char], c: char) -> bool {
    let begins_word = || before.last().is_none_or(|last| BEFORE_A_WORD.contains(last));
    let is_of_control = SHELL_CONTROL.contains(&c) || c == '{';
    !is_of_control && !((c == '-' || BECOMES_A_WORD.contains(&c)) && begins_word())
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
    Words(Words),
}

impl CommandPattern {
    /// `/…/` is a regular expression, a command with holes is words, anything else a glob; each must match as a whole.
    pub(super) fn new(source: &str) -> Result<CommandPattern, String> {
        let inner = source.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inner| !inner.is_empty());
        let kind = match inner {
            Some(inner) => {
                let regex = Regex::new(&format!(r"\A(?:{inner})\z"));
                Kind::Regex(regex.map_err(|_| format!("{source:?} is no regular expression"))?)
            }
            None => Words::new(source)?.map_or(Kind::Glob, Kind::Words),
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

    /// Whether it is words, so that what it allows is run as such.
    pub(super) fn is_words(&self) -> bool {
        matches!(self.kind, Kind::Words(_))
    }

    /// Whether an allowing rule covers what is to be run: wildcards of a glob stop at what a shell would take for another
    /// command, and at options.
    pub(super) fn allows(&self, subject: &Subject) -> bool {
        let Some(command) = subject.command else { return false };
        match &self.kind {
            Kind::Glob if self.source == "*" => true,
            Kind::Glob => {
                // Joined, a program with a space in its name reads like another one with arguments.
                let is_clear = subject.argv.and_then(<[String]>::first).is_none_or(|name| !name.contains([' ', '\t']));
                is_clear && glob_where(&self.source, command, is_harmless)
            }
            Kind::Regex(regex) => regex.is_match(command),
            Kind::Words(words) => subject.words().is_some_and(|given| words.fits(&given)),
        }
    }

    /// Whether a denying rule covers it; a login shell is the command of which nothing is known.
    pub(super) fn denies(&self, subject: &Subject) -> bool {
        let command = subject.command.unwrap_or_default();
        match &self.kind {
            Kind::Glob => glob(&self.source, command),
            Kind::Regex(regex) => regex.is_match(command),
            Kind::Words(words) => subject.words().is_some_and(|given| words.fits(&given)),
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
        let fits = |part: &str| glob_where(pattern, part, |_, c| c != '/');
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

    fn allows(pattern: &CommandPattern, command: &str) -> bool {
        pattern.allows(&Subject { command: Some(command), ..Subject::default() })
    }

    fn denies(pattern: &CommandPattern, command: &str) -> bool {
        pattern.denies(&Subject { command: Some(command), ..Subject::default() })
    }

    /// `uptime*` in an allowing rule would let `uptime; reboot` through.
    #[test]
    fn no_second_command_rides_on_an_allowed_one() {
        let pattern = CommandPattern::new("uptime*").unwrap();
        assert!(allows(&pattern, "uptime") && allows(&pattern, "uptime now"));
        for command in ["uptime; reboot", "uptime && reboot", "uptime | sh", "uptime $(reboot)", "uptime\nreboot"] {
            assert!(!allows(&pattern, command), "{command}");
            assert!(denies(&pattern, command), "a denying rule covers it all the same: {command}");
        }
        assert!(allows(&CommandPattern::new("*").unwrap(), "a; b"), "everything is everything");
        let written_out = CommandPattern::new("make *; echo done").unwrap();
        assert!(allows(&written_out, "make all; echo done"), "written out it is meant");
    }

    /// `make *` was a shell: `make -f - x` reads its rules from standard input, `make -C /tmp/mine` from there.
    #[test]
    fn a_wildcard_of_an_allowing_rule_stands_for_no_option() {
        let pattern = CommandPattern::new("make *").unwrap();
        for command in
            ["make all", "make a-b", "make a -", "make 'two words'", "make dir/*.o", "make \"a\" b", "make x@{"]
        {
            assert_eq!(allows(&pattern, command), !command.ends_with(['-', '{']), "{command}");
        }
        for command in [
            "make -f - x",
            "make x -C /tmp",
            "make --eval=x",
            "make x\t-f",
            "make '-f' x",
            "make \"-f\" x",
            "make \\-f x",
            "make ''-f x",
            "make {-f,x}",
            "make a{b,-f}",
            "make ?f",
            "make [-]f",
            "make *",
            "make -- x",
            "make -",
        ] {
            assert!(!allows(&pattern, command), "{command}");
            assert!(denies(&pattern, command), "{command}");
        }
        let spelled = CommandPattern::new("make -j? -C/srv/* all").unwrap();
        assert!(allows(&spelled, "make -j4 -C/srv/a all") && !allows(&spelled, "make -j4 -C/srv/a -f all"));
        assert!(allows(&CommandPattern::new("make* -k").unwrap(), "make x -k"));
    }

    #[test]
    fn a_program_whose_name_has_a_space_is_not_another_ones_arguments() {
        let argv = ["make all".to_string(), "x".to_string()];
        let subject = Subject { command: Some("make all x"), argv: Some(&argv), ..Subject::default() };
        assert!(!CommandPattern::new("make *").unwrap().allows(&subject));
        assert!(CommandPattern::new("make *").unwrap().denies(&subject));
    }

    #[test]
    fn a_regular_expression_matches_the_whole_command() {
        let pattern = CommandPattern::new("/systemctl (status|restart) [a-z]+/").unwrap();
        assert!(allows(&pattern, "systemctl restart nginx") && denies(&pattern, "systemctl restart nginx"));
        assert!(!allows(&pattern, "systemctl restart nginx; reboot") && !allows(&pattern, "x systemctl status a"));
        let either = CommandPattern::new("/a|b/").unwrap();
        assert!(allows(&either, "a") && !allows(&either, "ab"), "the alternatives are bound together");
        assert!(CommandPattern::new("/(/").is_err());
    }

    #[test]
    fn words_with_holes_cover_vectors_and_texts_that_are_plainly_the_same_words() {
        let pattern = CommandPattern::new("systemctl {restart|status} {name}").unwrap();
        assert!(pattern.is_words() && allows(&pattern, "systemctl  restart nginx"));
        let argv = ["systemctl", "status", "nginx"].map(String::from);
        let subject = Subject { command: Some("systemctl status nginx"), argv: Some(&argv), ..Subject::default() };
        assert!(pattern.allows(&subject) && pattern.denies(&subject));
        for command in
            ["systemctl restart 'nginx'", "systemctl restart nginx;", "systemctl restart $x", "systemctl stop x"]
        {
            assert!(!allows(&pattern, command), "{command}");
        }
        assert!(!pattern.allows(&Subject::default()), "a login shell is no words");
    }
}

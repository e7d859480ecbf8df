//! Commands as words with typed holes: `systemctl restart {name}`. What a hole takes is listed, so nothing else gets in.
//!
//! Such a command is compared with a vector of arguments and run as one, without a shell that would read it anew.

use std::fmt::Write;

use regex::Regex;

/// Characters beside letters and digits that no shell takes for anything else, wherever they are in a word but the first
/// one's.
const PLAIN: &str = "_-+./:,@%=";

/// What a hole takes, by its name, as a regular expression. A whole word never begins with a dash unless the rule says so.
const HOLES: [(&str, &str); 4] = [
    ("{word}", r"[\p{L}\p{N}_+./:,@%][\p{L}\p{N}_+./:,@%-]*"),
    // `.` and `..` lead to other directories.
    ("{name}", r"(?:[A-Za-z0-9_@][A-Za-z0-9._@-]*|\.[A-Za-z0-9_@-][A-Za-z0-9._@-]*|\.\.[A-Za-z0-9._@-]+)"),
    ("{int}", r"[0-9]+"),
    ("{path}", r"(?:/(?:\.|\.?[\p{L}\p{N}_+:,@%=-][\p{L}\p{N}_+.:,@%=-]*|\.\.[\p{L}\p{N}_+.:,@%=-]+)?)+"),
];

/// The words of a text that every shell takes for just these; `None` when a shell could make something else of it.
pub(super) fn plain_words(text: &str) -> Option<Vec<String>> {
    let is_plain = |c: char| c.is_alphanumeric() || PLAIN.contains(c);
    let words: Vec<String> = text.split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_string).collect();
    let is_assignment = words.first().is_none_or(|first| first.contains('='));
    (!is_assignment && words.iter().all(|word| word.chars().all(is_plain))).then_some(words)
}

/// A command of as many words as it has itself.
#[derive(Clone, Debug)]
pub(super) struct Words {
    words: Vec<Regex>,
}

impl Words {
    /// `None` when the command has no hole; the error says what makes no sense in one that has.
    pub(super) fn new(command: &str) -> Result<Option<Words>, String> {
        if !has_hole(command) {
            return Ok(None);
        }
        let words = command.split_whitespace().map(word).collect::<Result<_, _>>()?;
        Ok(Some(Words { words }))
    }

    /// Whether these are the words, and fit the holes.
    pub(super) fn fits(&self, argv: &[String]) -> bool {
        self.words.len() == argv.len() && self.words.iter().zip(argv).all(|(word, given)| word.is_match(given))
    }
}

/// A piece of a word: a hole as it is written, or text up to the next one.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let at = rest.match_indices('{').map(|(at, _)| at).find(|at| hole(&rest[*at..]).is_some());
        let len = match at {
            Some(0) => hole(rest).map_or(rest.len(), |(len, _)| len),
            Some(at) => at,
            None => rest.len(),
        };
        let (piece, behind) = rest.split_at(len);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A hole at the beginning of a text: how long it is written, and what it takes.
fn hole(text: &str) -> Option<(usize, String)> {
    let len = text.strip_prefix('{')?.find('}')? + 2;
    let written = &text[..len];
    if let Some((_, takes)) = HOLES.iter().find(|(name, _)| *name == written) {
        return Some((len, (*takes).into()));
    }
    let inner = &written[1..len - 1];
    let is_choice = inner.contains('|') && inner.split('|').all(is_literal);
    is_choice.then(|| {
        let choices: Vec<String> = inner.split('|').map(regex::escape).collect();
        (len, format!("(?:{})", choices.join("|")))
    })
}

fn is_literal(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || PLAIN.contains(c))
}

/// Whether a command is words with holes in them, and not a pattern of another kind.
fn has_hole(command: &str) -> bool {
    command.split_whitespace().any(|word| pieces(word).any(|piece| hole(piece).is_some()))
}

/// What looks like a hole and is none, of a command that has no other: likely a slip of the pen.
pub fn unknown_hole(command: &str) -> Option<&str> {
    if has_hole(command) {
        return None;
    }
    let inner = |at: usize| command[at + 1..].split_once('}').map(|(inner, _)| inner);
    let is_name = |inner: &&str| !inner.is_empty() && inner.chars().all(|c| c.is_ascii_lowercase() || c == '|');
    command.match_indices('{').filter_map(|(at, _)| inner(at)).find(is_name)
}

fn word(written: &str) -> Result<Regex, String> {
    let mut regex = String::from(r"\A");
    for piece in pieces(written) {
        match hole(piece) {
            Some((_, takes)) => regex += &takes,
            None if is_literal(piece) => regex += &regex::escape(piece),
            None => {
                let mut message = format!("{written:?} is no word of a command with holes");
                let _ = write!(
                    message,
                    ": beside {{word}}, {{name}}, {{int}}, {{path}} and {{a|b}} it has letters, digits and "
                );
                return Err(message + PLAIN + " only");
            }
        }
    }
    Regex::new(&(regex + r"\z")).map_err(|_| format!("{written:?} is too long for a word of a command"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(command: &str, argv: &[&str]) -> bool {
        let argv: Vec<String> = argv.iter().map(|word| word.to_string()).collect();
        Words::new(command).unwrap().expect("a hole").fits(&argv)
    }

    #[test]
    fn a_hole_takes_what_it_is_called_after_and_no_option() {
        let cases = [
            ("{word}", &["a", "a-b", "x/y", "é", "+%F"][..], &["", "-f", "a b", "a;b", "$x", "A=1", "a\nb", "*"][..]),
            ("{name}", &["nginx", "a@b.service", "..a", ".x", "x-"], &["", "-x", ".", "..", "a/b", "é", "a\n"]),
            ("{int}", &["0", "42"], &["", "-1", "1.5", "٣", "1 "]),
            (
                "{path}",
                &["/", "/a", "/a/b.c/", "/a/..b", "/a/./b", "/.x", "/a//b", "/...", "/-x"],
                &["", "a", "/..", "/a/../b", "/a/..", "/a b", "-/a", "/a;b", "/a\n"],
            ),
            ("{restart|status|-v}", &["restart", "-v"], &["", "stop", "restart|status", "restartstatus"]),
            ("--unit={name}", &["--unit=x"], &["--unit=", "--unit=-x", "--unit=x y"]),
            ("/srv/{name}/log", &["/srv/a/log"], &["/srv/../log", "/srv/a/b/log"]),
        ];
        for (hole, takes, refuses) in cases {
            for word in takes {
                assert!(fits(hole, &[word]), "{hole} takes {word:?}");
            }
            for word in refuses {
                assert!(!fits(hole, &[word]), "{hole} refuses {word:?}");
            }
        }
    }

    #[test]
    fn the_words_are_as_many_as_the_rule_has() {
        assert!(fits("systemctl restart {name}", &["systemctl", "restart", "nginx"]));
        for argv in [
            &["systemctl", "restart"][..],
            &["systemctl", "restart", "a", "b"],
            &["systemctl restart", "nginx"],
            &["systemctl", "restart", "--now"],
        ] {
            assert!(!fits("systemctl restart {name}", argv), "{argv:?}");
        }
    }

    #[test]
    fn a_text_is_words_only_where_no_shell_makes_anything_else_of_it() {
        assert_eq!(
            plain_words("  make  -C\t/srv all=1 "),
            Some(["make", "-C", "/srv", "all=1"].map(String::from).into())
        );
        for text in [
            "", "a;b", "a 'b'", "a \"b\"", "a \\b", "a $x", "a *", "a ?", "a ~", "a #b", "a\nb", "A=1 make", "a {b,c}",
            "a!", "a|b", "a&", "a>b", "a `b`", "a(b)", "a [b]", "a^b", "a\0b",
        ] {
            assert_eq!(plain_words(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_command_without_a_hole_is_none_of_ours_and_a_slip_beside_one_is_told() {
        for command in ["make *", "echo {a,b}", "docker ps --format {{.Names}}", "{}", "{nmae}", "a{|}", "{a b}"] {
            assert!(Words::new(command).unwrap().is_none(), "{command}");
        }
        for command in ["make {name} *", "echo '{name}'", "a {name} {nmae}", "a; b {int}", "a {name} $x"] {
            assert!(Words::new(command).unwrap_err().contains("no word of a command with holes"), "{command}");
        }
        assert_eq!(unknown_hole("restart {nmae}"), Some("nmae"));
        assert_eq!(unknown_hole("systemctl {restart|stop} {name}"), None);
        assert_eq!(unknown_hole("docker ps --format {{.Names}}"), None);
    }
}

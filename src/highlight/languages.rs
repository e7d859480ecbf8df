//! The languages: how they are called, and which one a file is in.

use std::path::Path;
use std::sync::OnceLock;

use syntect::dumps::from_uncompressed_data;
use syntect::parsing::{SyntaxReference, SyntaxSet};

static PACK: &[u8] = include_bytes!("languages.bin");

/// A syntax of the pack that shows bytes, and is no language.
const NO_LANGUAGE: &str = "Highlight non-printables";

/// Files whose names say little, by a directory on their way and an extension; an empty one is any.
const PLACES: &[(&str, &str, &str)] = &[
    ("nginx", "conf", "nginx"),
    ("sites-available", "", "nginx"),
    ("sites-enabled", "", "nginx"),
    ("apache2", "conf", "Apache Conf"),
    ("httpd", "conf", "Apache Conf"),
    ("systemd", "conf", "Systemd Units"),
    ("", "conf", "INI"),
    ("", "cnf", "INI"),
    ("", "cfg", "INI"),
];

/// Files by their whole names, which the collections do not have.
const NAMES: &[(&str, &str)] = &[
    ("nginx.conf", "nginx"),
    ("bash.bashrc", "Bourne Again Shell (bash)"),
    ("profile", "Bourne Again Shell (bash)"),
    ("os-release", "Bourne Again Shell (bash)"),
    ("messages", "syslog"),
    ("daemon.log", "syslog"),
    ("auth.log", "syslog"),
    ("kern.log", "syslog"),
];

/// Extensions that one language claims and many have.
const SHARED: [&str; 1] = ["conf"];

/// Extensions that two languages claim, and the one that has it.
const CLAIMED: &[(&str, &str)] = &[("fs", "F#")];

/// Endings that say that a file is an older or another one of the name before them.
const SUFFIXES: [&str; 9] = ["bak", "old", "orig", "new", "in", "tmpl", "template", "example", "dist"];

/// All languages.
#[derive(Debug)]
pub struct Languages {
    set: SyntaxSet,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Language(&'static SyntaxReference);

impl Language {
    /// How it is called.
    pub fn name(&self) -> &'static str {
        &self.0.name
    }

    /// Extensions and names of its files, and what else it is called by.
    pub fn extensions(&self) -> &'static [String] {
        &self.0.file_extensions
    }

    pub(super) fn syntax(self) -> &'static SyntaxReference {
        self.0
    }
}

impl Languages {
    /// The languages of the pack, read on the first call: some milliseconds.
    pub fn get() -> &'static Languages {
        static LANGUAGES: OnceLock<Languages> = OnceLock::new();
        LANGUAGES.get_or_init(|| Languages { set: from_uncompressed_data(PACK).expect("the pack is whole") })
    }

    pub(super) fn set(&self) -> &SyntaxSet {
        &self.set
    }

    /// Every language that is one of its own, by name.
    pub fn all(&'static self) -> Vec<Language> {
        let visible = self.set.syntaxes().iter().filter(|syntax| !syntax.hidden && syntax.name != NO_LANGUAGE);
        let mut all: Vec<Language> = visible.map(Language).collect();
        all.sort_by_key(|language| language.name().to_lowercase());
        all.dedup_by_key(|language| language.name());
        all
    }

    /// The language called so: by name, extension or another name, whatever the case.
    pub fn find(&'static self, name: &str) -> Option<Language> {
        let is_named = |syntax: &&SyntaxReference| syntax.name.eq_ignore_ascii_case(name) && syntax.name != NO_LANGUAGE;
        let named = self.set.syntaxes().iter().find(is_named);
        named.or_else(|| self.set.find_syntax_by_token(name)).map(Language)
    }

    /// Text without a language.
    pub fn plain(&'static self) -> Language {
        Language(self.set.find_syntax_plain_text())
    }

    /// The language of a file, by its name and where it lies, or else by its first line.
    pub fn of_file(&'static self, path: &Path, first_line: &str) -> Language {
        let by_name = self.by_name(path);
        let by_line = || self.set.find_syntax_by_first_line(first_line).map(Language);
        by_name.or_else(by_line).unwrap_or_else(|| self.plain())
    }

    fn by_name(&'static self, path: &Path) -> Option<Language> {
        let mut name = path.file_name()?.to_str()?;
        loop {
            if let Some((_, language)) = NAMES.iter().find(|(whole, _)| *whole == name) {
                return self.find(language);
            }
            // An older log before a page of the manual.
            if let Some((shorter, number)) = name.rsplit_once('.')
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && (shorter.contains('.') || shorter == "syslog" || NAMES.iter().any(|(whole, _)| *whole == shorter))
                && let Some(language) = self.by_name(&path.with_file_name(shorter))
            {
                return Some(language);
            }
            // `component.ts` before `ts`, and what has no dot by its whole name.
            let endings = std::iter::successors(Some(name), |ending| Some(ending.split_once('.')?.1));
            let by_ending = endings.take(4).find_map(|ending| self.by_ending(ending));
            if let Some(language) = by_ending.or_else(|| self.by_place(path, name)) {
                return Some(language);
            }
            let (shorter, ending) = name.trim_end_matches('~').rsplit_once('.')?;
            let is_suffix = SUFFIXES.contains(&ending) || ending.bytes().all(|byte| byte.is_ascii_digit());
            name = if is_suffix { shorter } else { return None };
        }
    }

    fn by_ending(&'static self, ending: &str) -> Option<Language> {
        if SHARED.contains(&ending) {
            return None;
        }
        if let Some((_, name)) = CLAIMED.iter().find(|(extension, _)| *extension == ending) {
            return self.find(name);
        }
        let syntax = self.set.find_syntax_by_extension(ending)?;
        (syntax.name != NO_LANGUAGE).then_some(Language(syntax))
    }

    fn by_place(&'static self, path: &Path, name: &str) -> Option<Language> {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let of = |part: &std::ffi::OsStr, dir: &str| {
            part == dir
                || part.to_str().is_some_and(|part| {
                    dir == "systemd" && [".service.d", ".socket.d", ".timer.d"].iter().any(|end| part.ends_with(end))
                })
        };
        let is_under =
            |dir: &str| dir.is_empty() || path.parent().is_some_and(|way| way.iter().any(|part| of(part, dir)));
        let is_it = |dir: &str, extension: &str| {
            if extension.is_empty() { !dir.is_empty() && is_under(dir) } else { extension == ending && is_under(dir) }
        };
        let place = PLACES.iter().find(|(dir, extension, _)| is_it(dir, extension))?;
        self.find(place.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_name_its_place_or_its_first_line() {
        let of = |path: &str, line: &str| Languages::get().of_file(Path::new(path), line).name();
        for (path, name) in [
            ("src/main.rs", "Rust"),
            ("/etc/nginx/sites-available/default", "nginx"),
            ("nginx.conf.dist", "nginx"),
            ("/etc/nginx/conf.d/x.conf", "nginx"),
            ("/etc/sysctl.conf", "INI"),
            ("/etc/systemd/journald.conf", "Systemd Units"),
            ("/etc/systemd/system/x.service.d/o.conf", "Systemd Units"),
            ("x.service.d/o.conf", "Systemd Units"),
            ("/etc/mysql/my.cnf", "INI"),
            ("/etc/bash.bashrc", "Bourne Again Shell (bash)"),
            ("/var/log/messages.1", "syslog"),
            ("app.py.bak~", "Python"),
            ("/var/log/app.log.3", "log"),
            ("/usr/share/man/man1/ls.1", "Groff/troff"),
            ("Makefile", "Makefile"),
            ("notes", "Plain Text"),
        ] {
            assert_eq!(of(path, ""), name, "{path}");
        }
        assert_eq!(of("run", "#!/usr/bin/env python3"), "Python");
    }
}

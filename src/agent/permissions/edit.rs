//! Changing `permissions.toml` without losing what a person wrote into it.
//!
//! Comments stay where they are; those right above a removed rule go with it. The file is replaced in one step, for its
//! owner only, and only by text that parses.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::{Effect, LoadError, PasswordHash, Rule, Rules, load};

/// What a new file begins with.
const HEAD: &str = "\
# Who may do what on this machine; see `fleetmux permissions --help`.
# The first rule that covers a request decides, otherwise the default.
";

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It is broken already.
    #[error("{0}; mend it first")]
    Broken(#[from] LoadError),
    /// There is no such rule.
    #[error("there is no rule {number}; there are {count}, see `fleetmux permissions list`")]
    NoRule {
        /// The number asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// The system refused.
    #[error("cannot write {path}: {err}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        err: io::Error,
    },
    /// The change would make it unusable.
    #[error("the change makes no sense: {0}")]
    Senseless(String),
}

/// A file of rules being changed.
pub struct RulesFile {
    path: PathBuf,
    document: DocumentMut,
    count: usize,
}

impl RulesFile {
    /// Opens the file, or begins a new one whose default is `allow`, as without a file.
    pub fn open(path: &Path) -> Result<RulesFile, EditError> {
        let rules = load(path)?;
        let text = match &rules {
            Some(_) => std::fs::read_to_string(path).map_err(|err| LoadError::Io { path: path.into(), err })?,
            None => format!("{HEAD}default = \"allow\"\n"),
        };
        let document: DocumentMut =
            text.parse().map_err(|err: toml_edit::TomlError| EditError::Senseless(err.message().to_string()))?;
        let mut file = RulesFile { path: path.into(), document, count: rules.map_or(0, |rules| rules.len()) };
        if !file.document.contains_key("default") {
            file.set_default(Effect::Allow);
        }
        Ok(file)
    }

    /// Sets what happens to requests that no rule covers.
    pub fn set_default(&mut self, effect: Effect) {
        self.document["default"] = value(effect.to_string());
    }

    /// Sets the password that the machine asks API keys for, or takes it away.
    pub fn set_password(&mut self, password: Option<&PasswordHash>) {
        match password {
            Some(hash) => self.document["password"] = value(hash.to_string()),
            None => {
                self.document.remove("password");
            }
        }
    }

    /// Puts a rule in as number `at`, or at the end; its number.
    pub fn add(&mut self, rule: &Rule, at: Option<usize>) -> Result<usize, EditError> {
        let number = at.unwrap_or(self.count + 1);
        if number == 0 || number > self.count + 1 {
            return Err(EditError::NoRule { number, count: self.count });
        }
        let mut tables = self.take_tables()?;
        tables.insert(number - 1, table_of(rule));
        self.put_tables(tables);
        Ok(number)
    }

    /// Takes a rule out.
    pub fn remove(&mut self, number: usize) -> Result<(), EditError> {
        if number == 0 || number > self.count {
            return Err(EditError::NoRule { number, count: self.count });
        }
        let mut tables = self.take_tables()?;
        tables.remove(number - 1);
        self.put_tables(tables);
        Ok(())
    }

    /// Writes the file in one step.
    pub fn save(self) -> Result<Rules, EditError> {
        let text = self.document.to_string();
        let rules = Rules::parse(&text).map_err(|err| EditError::Senseless(err.to_string()))?;
        write(&self.path, &text).map_err(|err| EditError::Io { path: self.path, err })?;
        Ok(rules)
    }

    fn take_tables(&mut self) -> Result<Vec<Table>, EditError> {
        match self.document.remove("rule") {
            None => Ok(Vec::new()),
            Some(Item::ArrayOfTables(tables)) => Ok(tables.into_iter().collect()),
            Some(_) => Err(EditError::Senseless(format!(
                "the rules of {} are not written as [[rule]]; change it in an editor",
                self.path.display()
            ))),
        }
    }

    fn put_tables(&mut self, tables: Vec<Table>) {
        self.count = tables.len();
        let mut array = ArrayOfTables::new();
        for (index, mut table) in tables.into_iter().enumerate() {
            table.set_position(Some(index as isize));
            array.push(table);
        }
        if self.count > 0 {
            self.document.insert("rule", Item::ArrayOfTables(array));
        }
    }
}

fn table_of(rule: &Rule) -> Table {
    let list = |words: Vec<&str>| match words.as_slice() {
        [one] => value(*one),
        several => value(Value::Array(several.iter().copied().collect::<Array>())),
    };
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    table["effect"] = value(rule.effect().to_string());
    table["who"] = list(rule.who().iter().map(String::as_str).collect());
    let all = rule.actions_text();
    table["actions"] =
        if all == "*" { value("*") } else { list(rule.actions().iter().map(|action| action.name()).collect()) };
    if let Some(command) = rule.command() {
        table["command"] = value(command);
    }
    for (name, _) in [("stdin", rule.choice().stdin), ("term", rule.choice().term)].iter().filter(|(_, is_set)| *is_set)
    {
        table[name] = value(true);
    }
    if let Some(session) = rule.session() {
        table["session"] = value(session);
    }
    if let Some(path) = rule.path() {
        table["path"] = value(path);
    }
    table
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // A link is followed, or the rename would put a file in its place.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let next = path.with_extension(format!("toml.{}", std::process::id()));
    let _ = std::fs::remove_file(&next);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let outcome = written.and_then(|()| std::fs::rename(&next, &path));
    if outcome.is_err() {
        let _ = std::fs::remove_file(&next);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::agent::permissions::Action;

    fn rule(effect: Effect, who: &str, actions: &[Action]) -> Rule {
        Rule::new(effect, vec![who.into()], actions.to_vec(), None, None, None).unwrap()
    }

    #[test]
    fn rules_are_added_moved_in_and_removed_and_comments_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/permissions.toml");
        let mut file = RulesFile::open(&path).unwrap();
        assert_eq!(file.add(&rule(Effect::Deny, "key:ci", &[Action::Drive]), None).unwrap(), 1);
        file.save().unwrap();
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            format!(
                "{HEAD}default = \"allow\"\n\n[[rule]]\neffect = \"deny\"\nwho = \"key:ci\"\nactions = \"drive\"\n"
            )
        );
        std::fs::write(&path, text.replace("\n[[rule]]", "\n# ci only looks\n[[rule]]")).unwrap();
        let mut file = RulesFile::open(&path).unwrap();
        let both = [Action::Observe, Action::Exec];
        assert_eq!(file.add(&rule(Effect::Allow, "uid:0", &both), Some(1)).unwrap(), 1);
        file.set_default(Effect::Deny);
        let rules = file.save().unwrap();
        let lines: Vec<String> = rules.iter().map(Rule::to_string).collect();
        assert_eq!(lines, ["allow uid:0 observe,exec", "deny key:ci drive"]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(HEAD) && text.contains("# ci only looks\n[[rule]]\neffect = \"deny\""), "{text}");
        assert!(text.contains("default = \"deny\"") && text.contains("actions = [\"observe\", \"exec\"]"), "{text}");
        let mut file = RulesFile::open(&path).unwrap();
        file.remove(1).unwrap();
        file.remove(1).unwrap();
        assert!(matches!(file.remove(1), Err(EditError::NoRule { number: 1, count: 0 })));
        assert!(file.save().unwrap().is_empty());
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(HEAD));
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("permissions.toml");
        std::fs::write(&path, "default = ").unwrap();
        assert!(matches!(RulesFile::open(&path), Err(EditError::Broken(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "default = ");
    }
}

//! A TextMate grammar as a Sublime syntax, which is what the highlighter reads.
//!
//! What has no counterpart there is left out: patterns inside of captures, scopes made of what was captured, and the
//! conditions of injections.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use syntect::parsing::Regex;

/// Atoms of a scope that the highlighter can hold.
const ATOMS_CAP: usize = 8;

/// Scopes that are called otherwise in the other collection.
const SCOPES: &[(&str, &str)] = &[
    ("text.html.derivative", "text.html.basic"),
    ("source.css.scss", "source.scss"),
    ("source.css.less", "source.less"),
    ("source.shell", "source.shell.bash"),
    ("source.cs", "source.cs"),
    ("source.js.regexp", "source.regexp"),
    ("source.regexp.python", "source.regexp"),
    ("text.html.php", "embedding.php"),
    ("source.dockerfile", "source.dockerfile"),
    ("source.viml", "source.viml"),
    ("source.objc", "source.objc"),
    ("text.html.markdown", "text.html.markdown"),
    ("source.tsx", "source.tsx"),
    ("source.js.jsx", "source.js"),
    ("source.json.comments", "source.json"),
];

/// One piece of a list of patterns, in its order.
enum Piece<'g> {
    /// What stands there itself, under the name of its context.
    Own(String),
    /// What another list of the grammar has.
    List(&'g Value),
    /// Another language.
    Scope(String),
}

pub(crate) struct Grammar<'g> {
    root: &'g Value,
    /// Names of lists by where they are in memory.
    names: HashMap<*const Value, String>,
    /// Repositories around each rule, innermost last.
    contexts: BTreeMap<String, Value>,
    pieces: HashMap<*const Value, Vec<Piece<'g>>>,
    /// Lists that are pushed, and what stands before and behind their patterns.
    pushed: Vec<(String, Vec<Value>, &'g Value, Vec<Value>)>,
    known: &'g BTreeSet<String>,
    /// Expressions that nobody can compile.
    pub(crate) bad: Vec<String>,
}

/// The syntax as YAML, of which JSON is a part; `known` are the scopes of all languages. And what was left out.
pub(crate) fn syntax(
    grammar: &Value,
    name: &str,
    extensions: &[String],
    is_hidden: bool,
    known: &BTreeSet<String>,
) -> (String, Vec<String>) {
    let mut made = Grammar {
        root: grammar,
        names: HashMap::new(),
        contexts: BTreeMap::new(),
        pieces: HashMap::new(),
        pushed: Vec::new(),
        known,
        bad: Vec::new(),
    };
    let repositories = vec![&grammar["repository"]];
    let mut main = made.list(grammar, &repositories);
    let mut injected = Vec::new();
    for (_, injection) in grammar["injections"].as_object().into_iter().flatten() {
        injected.extend(made.list(injection, &repositories));
    }
    let mut done = 0;
    while done < made.pushed.len() {
        let (name, before, list, behind) = {
            let (name, before, list, behind) = &made.pushed[done];
            (name.clone(), before.clone(), *list, behind.clone())
        };
        let includes = made.flat(list);
        made.contexts.insert(name, before.into_iter().chain(includes).chain(behind).collect());
        done += 1;
    }
    if main.is_empty() {
        main.push(json!({ "match": "(?!)" }));
    }
    made.contexts.insert("main".into(), Value::Array(main));
    if !injected.is_empty() {
        made.contexts.insert("prototype".into(), Value::Array(injected));
    }
    let mut head = json!({
        "name": name,
        "scope": grammar["scopeName"],
        "file_extensions": extensions,
        "hidden": is_hidden,
        "contexts": made.contexts,
    });
    if let Some(first) = grammar["firstLineMatch"].as_str().and_then(|text| made.regex(text)) {
        head["first_line_match"] = first.into();
    }
    // Captures are numbers there, which no key of JSON is.
    let numbers = regex::Regex::new(r#"([{,])"(\d+)":"#).unwrap();
    let text = head.to_string();
    (format!("%YAML 1.2\n---\n{}\n", numbers.replace_all(&text, "$1$2: ")), made.bad)
}

impl<'g> Grammar<'g> {
    /// A list's patterns as includes of contexts; the list is read once, whoever refers to it.
    fn list(&mut self, rule: &'g Value, repositories: &[&'g Value]) -> Vec<Value> {
        self.read(rule, repositories);
        self.flat(rule)
    }

    /// Every reachable context of a list once, in the order in which TextMate tries them.
    fn flat(&self, list: &'g Value) -> Vec<Value> {
        let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
        self.flatten(list, &mut seen, &mut out);
        out
    }

    fn flatten(&self, list: &'g Value, seen: &mut BTreeSet<*const Value>, out: &mut Vec<Value>) {
        if !seen.insert(list as *const Value) {
            return;
        }
        for piece in self.pieces.get(&(list as *const Value)).into_iter().flatten() {
            match piece {
                Piece::Own(name) => out.push(json!({ "include": name })),
                Piece::Scope(scope) => out.push(json!({ "include": format!("scope:{scope}") })),
                Piece::List(other) => self.flatten(other, seen, out),
            }
        }
    }

    /// Reads a rule that is a list, or stands for one.
    fn read(&mut self, rule: &'g Value, repositories: &[&'g Value]) {
        let at = rule as *const Value;
        if self.pieces.contains_key(&at) {
            return;
        }
        self.pieces.insert(at, Vec::new());
        let mut around = repositories.to_vec();
        if rule["repository"].is_object() && !std::ptr::eq(rule, self.root) {
            around.push(&rule["repository"]);
        }
        let is_list = rule["match"].is_null() && rule["begin"].is_null() && rule["include"].is_null();
        let rules: Vec<&'g Value> = match is_list {
            true => rule["patterns"].as_array().map(|all| all.iter().collect()).unwrap_or_default(),
            false => vec![rule],
        };
        let mut pieces = Vec::new();
        let mut own = Vec::new();
        for one in rules {
            if one["disabled"].as_i64().is_some_and(|flag| flag != 0) {
                continue;
            }
            if let Some(include) = one["include"].as_str() {
                self.close(&mut own, &mut pieces);
                pieces.extend(self.included(include, &around));
            } else if one["match"].is_string() {
                own.extend(match self.open_ended(one, &around) {
                    Some(item) => Some(item),
                    None => self.matching(one),
                });
            } else if one["begin"].is_string() {
                own.extend(self.block(one, &around));
            } else {
                self.close(&mut own, &mut pieces);
                self.read(one, &around);
                pieces.push(Piece::List(one));
            }
        }
        self.close(&mut own, &mut pieces);
        self.pieces.insert(at, pieces);
    }

    fn close(&mut self, own: &mut Vec<Value>, pieces: &mut Vec<Piece<'g>>) {
        if !own.is_empty() {
            let name = format!("c{}", self.contexts.len() + self.pushed.len());
            self.contexts.insert(name.clone(), Value::Array(std::mem::take(own)));
            pieces.push(Piece::Own(name));
        }
    }

    fn included(&mut self, include: &str, around: &[&'g Value]) -> Option<Piece<'g>> {
        if include == "$self" || include == "$base" || include == self.root["scopeName"] {
            return Some(Piece::List(self.root));
        }
        let own = self.root["scopeName"].as_str().unwrap_or_default();
        let key =
            include.strip_prefix('#').or_else(|| include.strip_prefix(own).and_then(|rest| rest.strip_prefix('#')));
        if let Some(key) = key {
            let at = around.iter().rposition(|repository| repository[key].is_object())?;
            let rule = &around[at][key];
            let inner: Vec<&'g Value> = around[..=at].to_vec();
            self.read(rule, &inner);
            return Some(Piece::List(rule));
        }
        let scope = include.split('#').next().unwrap_or_default();
        let scope = SCOPES.iter().find(|(theirs, _)| *theirs == scope).map_or(scope, |(_, ours)| ours);
        self.known.contains(scope).then(|| Piece::Scope(scope.to_string()))
    }

    fn matching(&mut self, rule: &Value) -> Option<Value> {
        let mut item = Map::new();
        item.insert("match".into(), self.regex(rule["match"].as_str()?)?.into());
        put(&mut item, "scope", scope(&rule["name"]));
        put(&mut item, "captures", captures(&rule["captures"]));
        Some(Value::Object(item))
    }

    /// A rule whose last capture is the rest of the line, with patterns of its own: these are what follows its beginning.
    fn open_ended(&mut self, rule: &'g Value, around: &[&'g Value]) -> Option<Value> {
        let text = rule["match"].as_str()?;
        let start = ["(.*)$", "(.+)$", "(.*)", "(.+)"].iter().find_map(|end| text.strip_suffix(end))?;
        let (_, last) = rule["captures"].as_object()?.iter().max_by_key(|(number, _)| number.parse::<u32>().ok())?;
        last["patterns"].as_array().filter(|patterns| !patterns.is_empty())?;
        let mut item = Map::new();
        item.insert("match".into(), self.regex(start)?.into());
        put(&mut item, "captures", captures(&rule["captures"]));
        let mut before = vec![json!({ "match": "$", "pop": true })];
        if let content @ Value::String(_) = scope(&last["name"]) {
            before.insert(0, json!({ "meta_content_scope": content }));
        }
        let list = &last["patterns"];
        self.read_all(list, around);
        let name = format!("p{}", self.names.len());
        self.names.insert(list as *const Value, name.clone());
        self.pushed.push((name.clone(), before, list, Vec::new()));
        item.insert("push".into(), name.into());
        Some(Value::Object(item))
    }

    /// A rule with a beginning and an end, or with a condition that its lines go on with.
    fn block(&mut self, rule: &'g Value, around: &[&'g Value]) -> Option<Value> {
        let both = &rule["captures"];
        let own = |name: &str| captures(if rule[name].is_object() { &rule[name] } else { both });
        let mut item = Map::new();
        item.insert("match".into(), self.regex(rule["begin"].as_str()?)?.into());
        put(&mut item, "captures", own("beginCaptures"));
        let name = scope(&rule["name"]);
        let mut before = Vec::new();
        let mut behind = Vec::new();
        if name.as_str().is_some_and(|name| name.starts_with("comment")) {
            before.push(json!({ "meta_include_prototype": false }));
        }
        if !name.is_null() {
            before.push(json!({ "meta_scope": name }));
        }
        if let content @ Value::String(_) = scope(&rule["contentName"]) {
            before.push(json!({ "meta_content_scope": content }));
        }
        if let Some(text) = rule["while"].as_str() {
            let text = text.replace("(^|\\G)", "").replace("\\G", "");
            let text = text.trim_start_matches('^');
            before.push(json!({ "match": self.regex(&format!("^(?!{text})"))?, "pop": true }));
            let mut goes_on = Map::new();
            goes_on.insert("match".into(), self.regex(&format!("^(?:{text})"))?.into());
            put(&mut goes_on, "captures", own("whileCaptures"));
            before.push(Value::Object(goes_on));
        } else {
            let mut end = Map::new();
            end.insert("match".into(), self.regex(rule["end"].as_str()?)?.into());
            put(&mut end, "captures", own("endCaptures"));
            end.insert("pop".into(), true.into());
            let list = if rule["applyEndPatternLast"].as_i64() == Some(1) { &mut behind } else { &mut before };
            list.push(Value::Object(end));
        }
        let target = match self.names.get(&(rule as *const Value)) {
            Some(name) => name.clone(),
            None => {
                let name = format!("p{}", self.names.len());
                self.names.insert(rule as *const Value, name.clone());
                let mut inner = around.to_vec();
                if rule["repository"].is_object() {
                    inner.push(&rule["repository"]);
                }
                let list = &rule["patterns"];
                self.read_all(list, &inner);
                self.pushed.push((name.clone(), before, list, behind));
                name
            }
        };
        item.insert("push".into(), target.into());
        Some(Value::Object(item))
    }

    /// The patterns of a block, which are an array and no rule.
    fn read_all(&mut self, patterns: &'g Value, around: &[&'g Value]) {
        let at = patterns as *const Value;
        if self.pieces.contains_key(&at) {
            return;
        }
        let mut pieces = Vec::new();
        for rule in patterns.as_array().into_iter().flatten() {
            self.read(rule, around);
            pieces.push(Piece::List(rule));
        }
        self.pieces.insert(at, pieces);
    }

    /// An expression that compiles.
    fn regex(&mut self, text: &str) -> Option<String> {
        // Not a variable of the other format.
        let text = text.replace("{{", "{(?:){");
        let compiled = (1..10).fold(text.clone(), |text, n| text.replace(&format!("\\{n}"), ""));
        match Regex::try_compile(&text).is_none() || Regex::try_compile(&compiled).is_none() {
            true => Some(text),
            false => {
                self.bad.push(text);
                None
            }
        }
    }
}

fn put(item: &mut Map<String, Value>, key: &str, value: Value) {
    if !value.is_null() {
        item.insert(key.into(), value);
    }
}

/// A rule's name without what depends on captures.
fn scope(name: &Value) -> Value {
    let names = name.as_str().unwrap_or_default().split_whitespace();
    let fixed = names.map(|name| {
        let atoms = name.split('.').filter(|atom| !atom.is_empty() && !atom.contains('$'));
        atoms.take(ATOMS_CAP).collect::<Vec<_>>().join(".")
    });
    let fixed: Vec<String> = fixed.filter(|name| !name.is_empty()).collect();
    if fixed.is_empty() { Value::Null } else { fixed.join(" ").into() }
}

fn captures(captures: &Value) -> Value {
    let mut kept = Map::new();
    for (number, capture) in captures.as_object().into_iter().flatten() {
        if let (Ok(_), name @ Value::String(_)) = (number.parse::<usize>(), scope(&capture["name"])) {
            kept.insert(number.clone(), name);
        }
    }
    if kept.is_empty() { Value::Null } else { Value::Object(kept) }
}

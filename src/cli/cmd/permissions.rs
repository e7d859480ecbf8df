//! `fleetmux permissions`: this machine's own rules.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use color_eyre::eyre::{Result, eyre};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;

use crate::agent::permissions::{
    Action, Chosen, Effect, FILE_NAME, PasswordHash, Rule, Rules, RulesFile, Subject, Verdict, actions_from, load,
    unknown_hole, who_from,
};
use crate::cli::host_args::{PasswordCommand, PermissionsArgs, PermissionsCommand, RuleArgs, TestArgs};
use crate::cli::output::{complain, json_text, print, table};
use crate::cli::{background, lookup};
use crate::config::paths;
use crate::fleet::Endpoint;

/// Longest line read as a password.
const PASSWORD_CAP: u64 = 4096;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: &PermissionsArgs) -> Result<ExitCode> {
    if let PermissionsCommand::List { machine: Some(machine), json } = &args.command {
        return list_of(relay, machine, *json).await;
    }
    let path = paths::permissions_file(args.dir.as_deref());
    match &args.command {
        PermissionsCommand::List { json, .. } => list(&path, *json),
        PermissionsCommand::Allow(rule) => add(&path, Effect::Allow, rule),
        PermissionsCommand::Deny(rule) => add(&path, Effect::Deny, rule),
        PermissionsCommand::Remove { number } => remove(&path, *number),
        PermissionsCommand::Default { effect } => {
            let effect: Effect = effect.parse().map_err(|err: String| eyre!(err))?;
            let mut file = RulesFile::open(&path)?;
            file.set_default(effect);
            file.save()?;
            print(&format!("what no rule covers is {} now\n", past(effect)))?;
            Ok(ExitCode::SUCCESS)
        }
        PermissionsCommand::Password { command } => password(&path, command),
        PermissionsCommand::Test(args) => test(&path, args),
    }
}

/// Reads the password from standard input, so that it is in no process list.
fn password(path: &Path, command: &PasswordCommand) -> Result<ExitCode> {
    let mut file = RulesFile::open(path)?;
    let text = match command {
        PasswordCommand::Set => {
            let line = read_password()?;
            let hash = PasswordHash::new(line.trim_end_matches(['\r', '\n'])).map_err(|err| eyre!(err))?;
            file.set_password(Some(&hash));
            "this machine asks API keys for its password now\n"
        }
        PasswordCommand::Clear => {
            file.set_password(None);
            "this machine asks for no password\n"
        }
    };
    file.save()?;
    print(text)?;
    Ok(ExitCode::SUCCESS)
}

/// The first line of standard input, which a terminal does not show.
fn read_password() -> Result<String> {
    let stdin = std::io::stdin();
    let before = stdin.is_terminal().then(|| tcgetattr(&stdin)).transpose()?;
    if let Some(before) = &before {
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO;
        tcsetattr(&stdin, OptionalActions::Flush, &quiet)?;
        complain!("type the machine's new password and press Enter:");
    }
    let mut line = String::new();
    let read = stdin.lock().take(PASSWORD_CAP).read_line(&mut line);
    if let Some(before) = &before {
        tcsetattr(&stdin, OptionalActions::Now, before)?;
    }
    read?;
    Ok(line)
}

fn past(effect: Effect) -> &'static str {
    if effect == Effect::Allow { "allowed" } else { "denied" }
}

fn rule_json(number: usize, rule: &Rule) -> serde_json::Value {
    json!({
        "number": number,
        "effect": rule.effect().to_string(),
        "who": rule.who(),
        "actions": rule.actions().iter().map(|action| action.name()).collect::<Vec<_>>(),
        "command": rule.command(),
        "stdin": rule.choice().stdin,
        "term": rule.choice().term,
        "session": rule.session(),
        "path": rule.path(),
    })
}

/// Another machine's rules, as far as they are about us.
async fn list_of(relay: Option<Endpoint>, machine: &str, is_json: bool) -> Result<ExitCode> {
    let client = background::client(relay).await?;
    let (machines, _) = client.fleet_of(&[machine]).await?;
    let machine = lookup::machine(&machines, machine)?;
    lookup::online(machine)?;
    let told = client.files().on(machine.facts.id).rules().await?;
    let name = &machine.facts.name;
    let default = if told.is_default_allow { Effect::Allow } else { Effect::Deny };
    if is_json {
        let rules = told.rules.iter().map(|(number, text)| json!({ "number": number, "rule": text }));
        print(&json_text(&json!({
            "machine": name,
            "file": told.file,
            "exists": !told.is_none,
            "error": told.broken,
            "default": default.to_string(),
            "rules": rules.collect::<Vec<_>>(),
        })))?;
    } else if let Some(why) = &told.broken {
        print(&format!("{name} denies everything: {why}\n"))?;
    } else if told.is_none {
        print(&format!("{name} has no {}: everything that the relay lets through is allowed\n", told.file))?;
    } else {
        let rows: Vec<Vec<String>> =
            told.rules.iter().map(|(number, text)| vec![number.to_string(), text.clone()]).collect();
        let list =
            if rows.is_empty() { "no rule is about you\n".into() } else { table(&["RULE", "WHAT IT SAYS"], &rows) };
        let default = past(default);
        print(&format!("{list}what no rule covers is {default}; the rules are in {} on {name}\n", told.file))?;
    }
    Ok(if told.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(path: &Path, is_json: bool) -> Result<ExitCode> {
    let (rules, exists, error) = match load(path) {
        Ok(Some(rules)) => (Some(rules), true, None),
        Ok(None) => (Some(Rules::default()), false, None),
        Err(err) => (None, true, Some(err.to_string())),
    };
    if is_json {
        let list = rules.iter().flat_map(Rules::iter).enumerate();
        let value = json!({
            "file": path.display().to_string(),
            "exists": exists,
            "error": error,
            "default": rules.as_ref().map(|rules| rules.default_effect().to_string()),
            "rules": list.map(|(index, rule)| rule_json(index + 1, rule)).collect::<Vec<_>>(),
        });
        print(&json_text(&value))?;
    } else {
        match (&rules, &error) {
            (Some(rules), _) if exists => print(&shown(path, rules))?,
            (Some(_), _) => print(&format!(
                "There is no {}:\neverything that the relay lets through is allowed on this machine, unless an agent runs that \
                 had rules: it\nrefuses everything until they are back or it is restarted. `fleetmux permissions default deny` \
                 and\n`fleetmux permissions allow WHO ACTIONS` make rules.\n",
                path.display()
            ))?,
            (None, error) => print(&format!(
                "{}\n\nAn agent that has good rules from before keeps them; every other one denies everything. Mend the \
                 file.\n",
                error.as_deref().unwrap_or_default()
            ))?,
        }
    }
    Ok(if error.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a rule lets the caller choose, behind its command.
fn choice_text(choice: Chosen) -> &'static str {
    match (choice.stdin, choice.term) {
        (false, false) => "",
        (true, false) => " (any stdin)",
        (false, true) => " (any TERM)",
        (true, true) => " (any stdin, TERM)",
    }
}

fn shown(path: &Path, rules: &Rules) -> String {
    let or_dash = |text: Option<&str>| text.map_or_else(|| "-".into(), str::to_string);
    let row = |(index, rule): (usize, &Rule)| {
        vec![
            (index + 1).to_string(),
            rule.effect().to_string(),
            rule.who().join(","),
            rule.actions_text(),
            or_dash(rule.command()) + choice_text(rule.choice()),
            or_dash(rule.session()),
            or_dash(rule.path()),
        ]
    };
    let rows: Vec<Vec<String>> = rules.iter().enumerate().map(row).collect();
    let list = if rows.is_empty() {
        "no rules\n".into()
    } else {
        table(&["RULE", "EFFECT", "WHO", "ACTIONS", "COMMAND", "SESSION", "PATH"], &rows)
    };
    let default = past(rules.default_effect());
    format!("{list}what no rule covers is {default}; the rules are in {}\n", path.display())
}

fn add(path: &Path, effect: Effect, args: &RuleArgs) -> Result<ExitCode> {
    let names: Vec<&str> = args.actions.split(',').collect();
    let who = args.who.split(',').map(|who| who_from(who.trim())).collect::<Result<Vec<_>, _>>();
    let rule = actions_from(&names)
        .and_then(|actions| {
            let (command, session) = (args.command.as_deref(), args.session.as_deref());
            if let Some(name) = command.and_then(unknown_hole) {
                let holes = "{word}, {name}, {int}, {path} and {a|b}";
                return Err(format!("{{{name}}} is no hole; there are {holes}"));
            }
            let choice = Chosen { stdin: args.stdin, term: args.term, ..Chosen::default() };
            Rule::new(effect, who?, actions, command, session, args.path.as_deref())?.with_choice(choice)
        })
        .map_err(|err| eyre!(err))?;
    let mut file = RulesFile::open(path)?;
    let number = file.add(&rule, args.at)?;
    let rules = file.save()?;
    let mut text = format!("rule {number}: {rule}\n");
    if number == rules.len() && rules.default_effect() == effect && rules.iter().all(|other| other.effect() == effect) {
        text += &format!(
            "what no rule covers is {} anyway; `fleetmux permissions default {}` gives this rule a meaning\n",
            past(effect),
            if effect == Effect::Allow { Effect::Deny } else { Effect::Allow }
        );
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn remove(path: &Path, number: usize) -> Result<ExitCode> {
    let gone = load(path)?.and_then(|rules| number.checked_sub(1).and_then(|index| rules.iter().nth(index).cloned()));
    let mut file = RulesFile::open(path)?;
    file.remove(number)?;
    file.save()?;
    print(&format!("removed rule {number}{}\n", gone.map_or_else(String::new, |rule| format!(": {rule}"))))?;
    Ok(ExitCode::SUCCESS)
}

fn test(path: &Path, args: &TestArgs) -> Result<ExitCode> {
    let action: Action = args.action.parse().map_err(|err: String| eyre!(err))?;
    let who = who_from(&args.who).map_err(|err| eyre!(err))?;
    let rules = load(path)?.unwrap_or_default();
    let (command, session, path) = (args.command.as_deref(), args.session.as_deref(), args.path.as_deref());
    let chosen = Chosen { stdin: args.stdin, term: args.term, ..Chosen::default() };
    let subject = Subject { command, session, path, chosen, ..Subject::default() };
    let verdict = rules.verdict(&who, action, &subject);
    let effect = verdict.effect();
    if args.json {
        let rule = match verdict {
            Verdict::Rule(number, rule) => rule_json(number, rule),
            Verdict::Default(_) => serde_json::Value::Null,
        };
        print(&json_text(&json!({ "allowed": effect == Effect::Allow, "rule": rule })))?;
    } else {
        let by = match verdict {
            Verdict::Rule(number, rule) => format!("rule {number} (`{rule}`)"),
            Verdict::Default(_) => format!("the default, for no rule in {FILE_NAME} covers it"),
        };
        let way = match verdict {
            Verdict::Rule(_, rule) if rule.is_of_words() => "; it is run as these words, without a shell",
            Verdict::Rule(..) | Verdict::Default(_) => "",
        };
        print(&format!(
            "{}: {} may {}{action}, by {by}{way}\n",
            past(effect),
            who,
            if effect == Effect::Allow { "" } else { "not " }
        ))?;
    }
    Ok(if effect == Effect::Allow { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

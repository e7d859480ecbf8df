//! `fleetmux exec`: a command on one machine, or on several at once.

mod again;
mod input;
mod keep;
mod many;
mod one;
mod report;
mod writer;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};

use crate::cli::args::{ExecArgs, Life};
use crate::cli::{background, lookup};
use crate::client::{ExecExit, ExecOptions, Program};
use crate::fleet::{Endpoint, Selector};

/// Exit code of a command whose time was up, as timeout(1) has it.
const TIMED_OUT: u8 = 124;
/// Exit code after an interrupt that waited for nothing: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// SIGINT, on every architecture.
const SIGINT: u32 = 2;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: ExecArgs) -> Result<ExitCode> {
    let (target, options) = match &args.target {
        None => again::last(&args)?,
        Some(target) => {
            again::forget();
            (target.parse()?, options(&args)?)
        }
    };
    let client = background::client(relay).await?;
    let names: Option<Vec<&str>> = match &target {
        Selector::Names(names) if !names.iter().any(|name| Selector::is_glob(name)) => {
            Some(names.iter().map(String::as_str).collect())
        }
        _ => None,
    };
    let (machines, _) = match names {
        Some(names) => client.fleet_of(&names).await?,
        None => client.fleet().await?,
    };
    if args.keep {
        let name = target.single().ok_or_else(|| eyre!("--keep is for one machine; for several there is the wall"))?;
        return keep::run(&client, lookup::machine(&machines, name)?, options, &args).await;
    }
    if let Some(name) = target.single() {
        let machine = lookup::machine(&machines, name)?;
        let outcome = one::run(&client, machine, options.clone(), &args).await;
        let failed = if matches!(outcome, Ok(ExitCode::SUCCESS)) { vec![] } else { vec![machine.facts.id] };
        again::remember(&options, failed);
        return outcome;
    }
    let mut chosen = lookup::chosen(&machines, &target)?;
    chosen.sort_by(|a, b| (&a.facts.name, a.facts.id).cmp(&(&b.facts.name, b.facts.id)));
    chosen.dedup_by_key(|machine| machine.facts.id);
    let (code, failed) = many::run(&client, chosen, options.clone(), &args).await?;
    again::remember(&options, failed);
    Ok(code)
}

fn options(args: &ExecArgs) -> Result<ExecOptions> {
    let mut options = match is_behind_dashes(std::env::args(), args.command.len()) {
        true => ExecOptions::argv(&args.command),
        false => ExecOptions::shell(args.command.join(" ")),
    };
    options.env = variables(args)?;
    options.cwd.clone_from(&args.cwd);
    options.shell.clone_from(&args.shell);
    let default = if args.keep { Duration::ZERO } else { options.timeout.unwrap_or_default() };
    let timeout = args.timeout.unwrap_or(default);
    options.timeout = (!timeout.is_zero()).then_some(timeout);
    options.is_merged = args.merge || args.json && !args.no_merge;
    Ok(options)
}

fn variables(args: &ExecArgs) -> Result<BTreeMap<String, String>> {
    let pair = |pair: &String| {
        // The value may be a secret: only the name is shown.
        let (name, value) = pair.split_once('=').ok_or_else(|| eyre!("--env wants KEY=VALUE; {pair:?} has no `=`"))?;
        Ok((name.to_string(), value.to_string()))
    };
    args.env.iter().map(pair).collect()
}

/// Whether the last `count` words of a command line follow `--`, which the parser does not tell.
fn is_behind_dashes(line: impl DoubleEndedIterator<Item = String>, count: usize) -> bool {
    line.rev().nth(count).is_some_and(|word| word == "--")
}

/// `--timeout`: seconds, fractions allowed, or a time span.
pub(in crate::cli) fn seconds(text: &str) -> Result<Duration, String> {
    if let Ok(Life(seconds)) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no time; write seconds, or 90s, 15m, 1h"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "seconds are 0 (no limit) or more".into())
}

/// The command as it was written.
fn command_text(options: &ExecOptions) -> String {
    match &options.program {
        Program::Shell(text) => text.clone(),
        Program::Argv(argv) => argv.join(" "),
    }
}

/// What this program's exit code says of a command's end.
fn exit_code(exit: &ExecExit) -> u8 {
    if exit.is_timed_out { TIMED_OUT } else { exit.code.clamp(0, 255) as u8 }
}

/// What to do about a command whose time was up.
fn timeout_hint(timeout: Option<Duration>) -> String {
    let limit = timeout.unwrap_or_default().as_secs_f64();
    format!("timed out after {limit} s; allow more with --timeout SECONDS (0: no limit)")
}

//! `fleetmux completions` and `fleetmux man`: what shells and man read, from the same definitions as `--help`.
//!
//! The shell's script asks this program for every completion, so that names of machines and sessions are those of now.
//! It asks the relay that the line names, and never starts one.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Command, CommandFactory};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate};
use clap_mangen::Man;
use color_eyre::eyre::{Result, eyre};

use crate::cli::args::{Args, IdentityArgs};
use crate::cli::destination;
use crate::cli::host_args::{CompletionsArgs, ManArgs};
use crate::cli::identity;
use crate::cli::output::print;
use crate::client::{Probe, probe};
use crate::runtime;

/// The variable that tells this program to complete a line instead of running it.
const VARIABLE: &str = "FLEETMUX_COMPLETE";
/// How long somebody who pressed Tab waits for a relay.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers a shell that completes a line, and ends; returns if no shell asks.
pub(in crate::cli) fn answer() {
    // Nobody pays for the table of commands who does not complete.
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(|| with_names(Args::command())).var(VARIABLE).complete();
    }
}

pub(in crate::cli) fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let name = args.shell.name();
    let shells = Shells::builtins();
    let shell = shells.completer(name).ok_or_else(|| eyre!("there is no completion for {name}"))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "fleetmux", "fleetmux", "fleetmux", &mut script)?;
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn man(args: &ManArgs) -> Result<ExitCode> {
    // `help` has nothing to say that the pages do not.
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        print(&String::from_utf8_lossy(&page(&command)?))?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(dir)?;
    let mut count = 0;
    let mut waiting = vec![&command];
    while let Some(command) = waiting.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name());
        std::fs::write(dir.join(format!("{name}.1")), page(command)?)?;
        count += 1;
        waiting.extend(command.get_subcommands().filter(|command| !command.is_hide_set()));
    }
    print(&format!("{count} pages in {}\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A command's page; its examples keep their lines.
fn page(command: &Command) -> Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if command.get_after_help().is_some() || command.get_after_long_help().is_some() {
        page.extend_from_slice(extra(command).as_bytes());
    }
    Ok(page)
}

/// What follows the options: prose is filled, indented lines are examples and tables and stay as they are.
fn extra(command: &Command) -> String {
    let text = command.get_after_long_help().or(command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    let mut page = String::from(".SH EXTRA\n");
    let mut is_filled = true;
    for line in text.lines() {
        let is_prose = !line.starts_with("  ");
        if is_prose != is_filled {
            page += if is_prose { ".fi\n" } else { ".nf\n" };
            is_filled = is_prose;
        }
        let safe = line.replace('\\', "\\e").replace('-', "\\-");
        // A heading's examples begin on a line of their own; an empty line parts paragraphs.
        match line {
            "" => page += ".PP\n",
            _ if safe.starts_with(['.', '\'']) => page += &format!("\\&{safe}\n"),
            _ => page += &format!("{safe}\n"),
        }
    }
    page + if is_filled { "" } else { ".fi\n" }
}

/// Every argument that means a machine or a session offers those there are.
fn with_names(command: Command) -> Command {
    let command = command.mut_args(|arg| match arg.get_id().as_str() {
        "machine" | "machines" | "host" | "target" => arg.add(ArgValueCandidates::new(machines)),
        "session" | "sessions" => arg.add(ArgValueCandidates::new(sessions)),
        _ => arg,
    });
    command.mut_subcommands(with_names)
}

fn machines() -> Vec<CompletionCandidate> {
    let Some(probe) = look() else { return Vec::new() };
    let candidate = |machine: crate::fleet::Machine| {
        let facts = machine.facts;
        let is_word = is_plain(&facts.name) && !facts.name.contains(' ');
        let name = if is_word { facts.name } else { facts.id.to_string() };
        let status = if machine.is_online { "online" } else { "offline" };
        CompletionCandidate::new(name).help(Some(status.into()))
    };
    probe.machines.into_iter().map(candidate).collect()
}

fn sessions() -> Vec<CompletionCandidate> {
    let Some(probe) = look() else { return Vec::new() };
    let name = |session: &crate::fleet::Session| {
        let machine = probe.machines.iter().find(|machine| machine.facts.id == session.machine);
        let machine = machine.map_or("?", |machine| machine.facts.name.as_str());
        format!("{machine}/{}", session.display_name())
    };
    let is_only = |named: &str| probe.sessions.iter().filter(|session| name(session) == named).count() == 1;
    let candidate = |session: &crate::fleet::Session| {
        let (id, name) = (session.id().to_string(), name(session));
        let is_word = is_plain(&name.replacen('/', "", 1)) && !name.contains(' ');
        // Names mean more than ids, as long as they mean one session.
        match is_word && is_only(&name) {
            true => CompletionCandidate::new(name).help(Some(id.into())),
            false => CompletionCandidate::new(id).help(is_word.then(|| name.into())),
        }
    };
    probe.sessions.iter().map(candidate).collect()
}

/// A name goes onto a command line unquoted: what a shell would take for more than words stays off it.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.chars().all(|c| c.is_alphanumeric() || "-_.:@+ ".contains(c))
}

fn look() -> Option<Probe> {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let named = words.iter().position(|word| word == OsStr::new("--relay")).and_then(|at| words.get(at + 1));
    let named =
        named.map(|relay| relay.to_string_lossy().into_owned()).or_else(|| std::env::var("FLEETMUX_RELAY").ok());
    let relay = match named {
        Some(relay) => relay.parse().ok()?,
        None => destination::for_person(identity::settle(None, &IdentityArgs::default()).ok()?).ok()?.0,
    };
    runtime::block_on(async {
        tokio::time::timeout(PATIENCE, probe(&relay, &identity::options(&relay).credentials)).await
    })
    .ok()?
    .ok()?
    .ok()
}

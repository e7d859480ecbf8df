//! Several machines at once: live lines behind names, or JSON lines, or folded, or into files; and a summary.

use std::collections::HashMap;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use color_eyre::eyre::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::input::{self, SharedInput};
use super::report::{Kept, LineStyle, Lines, Outcome, Report, code_of_all, fold, summary};
use super::writer::{To, Writer};
use super::{INTERRUPTED, SIGINT, command_text, timeout_hint};
use crate::cli::args::ExecArgs;
use crate::cli::clean::terminal_bytes;
use crate::cli::output::{json_line, one_line};
use crate::client::{Client, Error, ExecEvent, ExecExit, ExecOptions};
use crate::fleet::{Machine, MachineId, visible};

/// Bytes of each output of each machine that are kept for JSON and folding.
const KEPT_CAP: usize = 4 * 1024 * 1024;
/// Events of all machines waiting to be shown; the commands wait when there are more.
const EVENTS_CAP: usize = 64;

/// What happens on one of the machines.
enum Event {
    Chunk { index: usize, to: To, chunk: Bytes },
    Done { index: usize, done: Done },
}

enum Done {
    Ended(ExecExit),
    Failed(Error),
    Skipped,
}

pub(super) async fn run(
    client: &Client,
    machines: Vec<Machine>,
    mut options: ExecOptions,
    args: &ExecArgs,
) -> Result<(ExitCode, Vec<MachineId>)> {
    options.has_stdin = !args.no_stdin && input::is_piped();
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut show = Show::new(&machines, &options, args)?;
    let input = options.has_stdin.then(SharedInput::start);
    let turns = Arc::new(Semaphore::new(args.parallel.max(1)));
    let (cancel_tx, cancel_rx) = watch::channel(false);
    let (events_tx, mut events_rx) = mpsc::channel(EVENTS_CAP);
    let mut tasks = JoinSet::new();
    for (index, machine) in machines.iter().enumerate() {
        let host = Host {
            client: client.clone(),
            machine: machine.facts.id,
            options: options.clone(),
            input: input.clone(),
            cancel_rx: cancel_rx.clone(),
        };
        let (turns, events_tx) = (turns.clone(), events_tx.clone());
        tasks.spawn(async move {
            let _turn = turns.acquire().await;
            let done = host.run(index, &events_tx).await;
            let _ = events_tx.send(Event::Done { index, done }).await;
        });
    }
    drop(events_tx);
    loop {
        let event = tokio::select! {
            event = events_rx.recv() => event,
            _ = interrupts.recv() => {
                if cancel_tx.send_replace(true) {
                    show.leave();
                    return Ok((ExitCode::from(INTERRUPTED), show.failed()));
                }
                continue;
            }
        };
        let Some(event) = event else { break };
        let shown = tokio::select! {
            shown = show.event(event) => shown,
            // Nobody reads what we show.
            _ = interrupts.recv(), if *cancel_tx.borrow() => return Ok((ExitCode::from(INTERRUPTED), show.failed())),
        };
        if let Err(err) = shown {
            show.leave();
            return Err(err);
        }
    }
    let failed = show.failed();
    Ok((show.finish().await?, failed))
}

/// One machine's part.
struct Host {
    client: Client,
    machine: MachineId,
    options: ExecOptions,
    input: Option<SharedInput>,
    cancel_rx: watch::Receiver<bool>,
}

impl Host {
    async fn run(mut self, index: usize, events_tx: &mpsc::Sender<Event>) -> Done {
        if *self.cancel_rx.borrow() {
            return Done::Skipped;
        }
        let mut handle = match self.client.exec(self.machine, self.options).await {
            Ok(handle) => handle,
            Err(err) => return Done::Failed(err),
        };
        if let Some(input) = self.input {
            tokio::spawn(input.forward(handle.stdin()));
        }
        let mut is_cancelled = false;
        loop {
            let event = tokio::select! {
                event = handle.recv() => event,
                _ = self.cancel_rx.wait_for(|is_cancelled| *is_cancelled), if !is_cancelled => {
                    is_cancelled = true;
                    handle.cancel(SIGINT);
                    continue;
                }
            };
            let (to, chunk) = match event {
                Ok(Some(ExecEvent::Stdout(chunk))) => (To::Stdout, chunk),
                Ok(Some(ExecEvent::Stderr(chunk))) => (To::Stderr, chunk),
                Ok(Some(ExecEvent::Exited(exit))) => return Done::Ended(exit),
                Ok(Some(ExecEvent::Started { .. })) => continue,
                Ok(None) => return Done::Skipped,
                Err(err) => return Done::Failed(err),
            };
            if events_tx.send(Event::Chunk { index, to, chunk }).await.is_err() {
                return Done::Skipped;
            }
        }
    }
}

/// Everything that is shown.
struct Show {
    hosts: Vec<HostView>,
    command: String,
    timeout: Option<Duration>,
    is_json: bool,
    is_folded: bool,
    has_live_lines: bool,
    writer: Writer,
    bar: Option<ProgressBar>,
}

struct HostView {
    name: String,
    machine: MachineId,
    stdout: Lines,
    stderr: Lines,
    kept: Kept,
    files: Option<(File, File)>,
    outcome: Option<Outcome>,
}

impl Show {
    fn new(machines: &[Machine], options: &ExecOptions, args: &ExecArgs) -> Result<Show> {
        let names = names(machines);
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_coloured = |is_terminal: bool| is_terminal && !is_plain;
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        if let Some(dir) = &args.out_dir {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let mut hosts = Vec::with_capacity(names.len());
        let file_names = file_names(machines, &names);
        for (index, (name, file_name)) in names.into_iter().zip(file_names).enumerate() {
            hosts.push(HostView {
                stdout: Lines::new(&name, width, index, LineStyle { is_coloured: is_coloured(out), is_terminal: out }),
                stderr: Lines::new(&name, width, index, LineStyle { is_coloured: is_coloured(err), is_terminal: err }),
                kept: Kept::new(KEPT_CAP, options.is_merged),
                files: args.out_dir.as_deref().map(|dir| files(dir, &file_name)).transpose()?,
                name,
                machine: machines[index].facts.id,
                outcome: None,
            });
        }
        let bar = err.then(|| ProgressBar::new(hosts.len() as u64).with_style(style()));
        Ok(Show {
            hosts,
            command: command_text(options),
            timeout: options.timeout,
            is_json: args.json,
            is_folded: args.fold,
            has_live_lines: !args.json && !args.fold && args.out_dir.is_none(),
            writer: Writer::new(bar.clone()),
            bar,
        })
    }

    async fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Chunk { index, to, chunk } => {
                let host = &mut self.hosts[index];
                if let Some((out, err)) = &mut host.files {
                    let file = if to == To::Stdout { out } else { err };
                    file.write_all(&chunk).with_context(|| format!("cannot write the output of {}", host.name))?;
                }
                if self.is_json || self.is_folded {
                    host.kept.take(to, &chunk);
                }
                if self.has_live_lines {
                    let lines = if to == To::Stdout { &mut host.stdout } else { &mut host.stderr };
                    let text = lines.take(&chunk);
                    self.writer.write(to, text).await?;
                }
            }
            Event::Done { index, done } => self.done(index, done).await?,
        }
        Ok(())
    }

    async fn done(&mut self, index: usize, done: Done) -> Result<()> {
        let host = &mut self.hosts[index];
        let name = host.name.clone();
        let rests = [(To::Stdout, host.stdout.finish()), (To::Stderr, host.stderr.finish())];
        let (outcome, complaint) = match &done {
            Done::Ended(exit) => {
                let outcome = Outcome::of(exit);
                let complaint = (outcome == Outcome::TimedOut).then(|| timeout_hint(self.timeout));
                (outcome, complaint)
            }
            Done::Failed(err) => {
                let message = err.to_string();
                let is_unreachable = matches!(
                    err,
                    Error::MachineOffline(_) | Error::Unavailable(_) | Error::NoRelay(_) | Error::MachineNotFound(_)
                );
                let of = if is_unreachable { Outcome::Unreachable } else { Outcome::Refused };
                (of(message.clone()), Some(message))
            }
            Done::Skipped => (Outcome::Skipped, None),
        };
        host.outcome = Some(outcome);
        let mut report = None;
        if self.is_json {
            let (kept, command) = (host.kept.clone(), self.command.clone());
            report = Some(match &done {
                Done::Ended(exit) => Report::ended(name.clone(), command, exit, kept),
                Done::Failed(err) => Report::failed(name.clone(), command, err.to_string(), kept),
                Done::Skipped => Report::failed(name.clone(), command, "interrupted before it started".into(), kept),
            });
            host.kept = Kept::default();
        }
        for (to, rest) in rests {
            self.writer.write(to, rest).await?;
        }
        if let Some(report) = report {
            self.writer.write(To::Stdout, json_line(&report)?.into()).await?;
        }
        if let Some(complaint) = complaint {
            let complaint = format!("fleetmux: {}: {}\n", one_line(&name), visible(&complaint));
            self.writer.write(To::Stderr, complaint.into()).await?;
        }
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<ExitCode> {
        self.leave();
        let outcome = |host: &HostView| host.outcome.clone().unwrap_or(Outcome::Skipped);
        let outcomes: Vec<(String, Outcome)> =
            self.hosts.iter().map(|host| (host.name.clone(), outcome(host))).collect();
        if self.is_folded && !self.is_json {
            let results =
                self.hosts.into_iter().map(|host| (host.name, host.outcome.unwrap_or(Outcome::Skipped), host.kept));
            let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
            for (names, _, kept) in fold(results.collect()) {
                let header = header(&names);
                for (to, text) in [(To::Stdout, kept.stdout), (To::Stderr, kept.stderr)] {
                    if text.is_empty() {
                        continue;
                    }
                    let end = if text.ends_with(b"\n") { "" } else { "\n" };
                    self.writer.write(to, header.clone().into()).await?;
                    let is_terminal = if to == To::Stdout { out } else { err };
                    let text = if is_terminal { terminal_bytes(&text).into() } else { text.freeze() };
                    self.writer.write(to, text).await?;
                    self.writer.write(to, end.into()).await?;
                }
            }
        }
        self.writer.write(To::Stderr, format!("{}\n", one_line(&summary(&outcomes))).into()).await?;
        self.writer.finish().await?;
        Ok(ExitCode::from(code_of_all(&outcomes)))
    }

    /// Where it did not go well, so far.
    fn failed(&self) -> Vec<MachineId> {
        let failed = self.hosts.iter().filter(|host| host.outcome != Some(Outcome::Ended(0)));
        failed.map(|host| host.machine).collect()
    }

    fn leave(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    // The template is ours and fits; the default is no harm.
    ProgressStyle::with_template("{bar:30} {pos}/{len} machines, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `── web-1, web-2 (2 machines) ──`.
fn header(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| one_line(name)).collect();
    match names.as_slice() {
        [one] => format!("── {one} ──\n"),
        several => format!("── {} ({} machines) ──\n", several.join(", "), several.len()),
    }
}

/// Display names; where two machines share one, the end of the id tells them apart.
fn names(machines: &[Machine]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for machine in machines {
        *counts.entry(&machine.facts.name).or_default() += 1;
    }
    let name = |machine: &Machine| {
        let name = &machine.facts.name;
        let id = machine.facts.id.to_string();
        if counts[name.as_str()] > 1 { format!("{name}-{}", &id[id.len() - 6..]) } else { name.clone() }
    };
    machines.iter().map(name).collect()
}

/// Names of files, of which each machine has its own: a machine chooses its name, not a path here, and what is no part of
/// one may have been all that told two names apart.
fn file_names(machines: &[Machine], names: &[String]) -> Vec<String> {
    let is_fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let fit = |name: &String| {
        let name: String = name.chars().map(|c| if is_fine(c) { c } else { '_' }).collect();
        if name.starts_with('.') { format!("_{name}") } else { name }
    };
    let fit: Vec<String> = names.iter().map(fit).collect();
    // Some file systems do not tell case apart.
    let is_shared = |name: &String| fit.iter().filter(|other| other.to_lowercase() == name.to_lowercase()).count() > 1;
    let name = |(name, machine): (&String, &Machine)| match is_shared(name) {
        true => format!("{name}-{}", machine.facts.id),
        false => name.clone(),
    };
    fit.iter().zip(machines).map(name).collect()
}

/// `HOST.out` and `HOST.err`.
fn files(dir: &Path, name: &str) -> Result<(File, File)> {
    let file = |extension: &str| {
        let path = dir.join(format!("{name}.{extension}"));
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))
    };
    Ok((file("out")?, file("err")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Load, MachineFacts, MachineId};

    /// `a/b` and `a_b` wrote into one file, and one of them was lost.
    #[test]
    fn every_machine_has_files_of_its_own() {
        let machine = |name: &str| {
            let facts = MachineFacts {
                id: MachineId::random(),
                name: name.into(),
                hostname: String::new(),
                os: String::new(),
                kernel: String::new(),
                arch: String::new(),
                cpus: 1,
                memory_bytes: 0,
                labels: Default::default(),
                version: String::new(),
                boot_time_s: 0,
                workspace: String::new(),
            };
            let load = Load::default();
            Machine { facts, is_online: true, last_seen_ms: 0, load, latency_us: None, connected_ms: 0 }
        };
        let machines = ["a/b", "a_b", "A_B", "web-1", "..", "db"].map(machine);
        let mut made = file_names(&machines, &names(&machines));
        assert_eq!(made[3..], ["web-1", "_..", "db"]);
        assert_eq!(made[0], format!("a_b-{}", machines[0].facts.id));
        made.sort();
        made.dedup();
        assert_eq!(made.len(), machines.len());
    }
}

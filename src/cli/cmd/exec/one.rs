//! One machine: its standard streams are ours, its exit code is ours.

use std::io;
use std::process::ExitCode;

use color_eyre::eyre::Result;
use tokio::signal::unix::{SignalKind, signal};

use super::report::{Kept, Report};
use super::writer::{To, Writer};
use super::{INTERRUPTED, SIGINT, command_text, exit_code, input, timeout_hint};
use crate::cli::args::ExecArgs;
use crate::cli::output::{complain, json_text, print};
use crate::cli::{FAILED, NOBODY_READS};
use crate::client::{Client, EXEC_OUTPUT_CAP, Error, ExecEvent, ExecExit, ExecOptions};
use crate::fleet::Machine;

/// How it went, as far as we followed it.
enum Followed {
    Ended(ExecExit),
    /// Interrupted twice.
    Left,
    /// Our standard output or error takes no more.
    Unwritten(io::Error),
}

pub(super) async fn run(
    client: &Client,
    machine: &Machine,
    mut options: ExecOptions,
    args: &ExecArgs,
) -> Result<ExitCode> {
    options.has_stdin = !args.no_stdin && input::is_piped();
    let (timeout, command) = (options.timeout, command_text(&options));
    let name = machine.facts.name.clone();
    let mut kept = args.json.then(|| Kept::new(EXEC_OUTPUT_CAP, options.is_merged));
    let followed = follow(client, machine, options, kept.as_mut()).await;
    if let Some(kept) = kept {
        let report = match &followed {
            Ok(Followed::Ended(exit)) => Report::ended(name.clone(), command, exit, kept),
            Ok(_) => return Ok(ExitCode::from(INTERRUPTED)),
            Err(err) => Report::failed(name.clone(), command, err.to_string(), kept),
        };
        print(&json_text(&report))?;
    }
    Ok(ExitCode::from(match followed {
        Ok(Followed::Ended(exit)) => {
            if exit.is_timed_out {
                complain!("fleetmux: {name}: {}", timeout_hint(timeout));
            }
            exit_code(&exit)
        }
        Ok(Followed::Left) => INTERRUPTED,
        Ok(Followed::Unwritten(err)) if err.kind() == io::ErrorKind::BrokenPipe => NOBODY_READS,
        Ok(Followed::Unwritten(err)) => {
            complain!("fleetmux: {err}");
            FAILED
        }
        Err(err) => {
            complain!("fleetmux: {err}");
            FAILED
        }
    }))
}

async fn follow(
    client: &Client,
    machine: &Machine,
    options: ExecOptions,
    mut kept: Option<&mut Kept>,
) -> Result<Followed, Error> {
    let has_stdin = options.has_stdin;
    let unusable = |err: io::Error| Error::Invalid(format!("cannot listen for interrupts: {err}"));
    let mut interrupts = signal(SignalKind::interrupt()).map_err(unusable)?;
    let mut handle = client.exec(machine.facts.id, options).await?;
    if has_stdin {
        tokio::spawn(input::forward(input::chunks(), handle.stdin()));
    }
    let mut writer = Writer::new(None);
    let mut is_interrupted = false;
    loop {
        let event = tokio::select! {
            event = handle.recv() => event?,
            _ = interrupts.recv() => {
                if is_interrupted {
                    return Ok(Followed::Left);
                }
                is_interrupted = true;
                handle.cancel(SIGINT);
                continue;
            }
        };
        let (to, chunk) = match event {
            Some(ExecEvent::Stdout(chunk)) => (To::Stdout, chunk),
            Some(ExecEvent::Stderr(chunk)) => (To::Stderr, chunk),
            Some(ExecEvent::Exited(exit)) => {
                return Ok(match writer.finish().await {
                    Ok(()) => Followed::Ended(exit),
                    Err(err) => Followed::Unwritten(err),
                });
            }
            Some(ExecEvent::Started { .. }) => continue,
            None => return Err(Error::Unavailable("the command's end was lost".into())),
        };
        if let Some(kept) = &mut kept {
            kept.take(to, &chunk);
            continue;
        }
        let written = tokio::select! {
            written = writer.write(to, chunk) => written,
            // A reader that pauses must not keep a person from leaving.
            _ = interrupts.recv() => return Ok(Followed::Left),
        };
        if let Err(err) = written {
            return Ok(Followed::Unwritten(err));
        }
    }
}

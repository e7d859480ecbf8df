//! `--keep`: the command as a session. It goes on when this program, its connection or the agent ends.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::writer::{To, Writer};
use super::{INTERRUPTED, TIMED_OUT};
use crate::cli::args::ExecArgs;
use crate::cli::output::complain;
use crate::cli::{NOBODY_READS, lookup, raw};
use crate::client::{AttachEvent, AttachOptions, Attachment, Client, ExecOptions, Program};
use crate::fleet::{Machine, Role, SessionSpec, Size};
use crate::stream::Delivery;

/// How long the last frames may take.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) async fn run(client: &Client, machine: &Machine, options: ExecOptions, args: &ExecArgs) -> Result<ExitCode> {
    lookup::online(machine)?;
    let command = match options.program {
        Program::Shell(text) => {
            let shell = if options.shell.is_empty() { "/bin/sh".to_string() } else { options.shell };
            vec![shell, "-c".into(), text]
        }
        Program::Argv(argv) => argv,
    };
    let size = raw::terminal_size().unwrap_or(Size::DEFAULT);
    let name = name_of(&args.command.join(" "));
    let spec = SessionSpec { name, cwd: options.cwd, env: options.env, size, ..SessionSpec::command(command) };
    let mut interrupts = signal(SignalKind::interrupt())?;
    let session = client.create_session(machine.facts.id, spec).await?.id();
    let back = format!("fleetmux session attach {}", session.short());
    complain!("fleetmux: {} runs it as session {}; to return: {back}", machine.facts.name, session.short());
    let attach = AttachOptions {
        delivery: Delivery::Lossless,
        from_offset: Some(0),
        ..AttachOptions::new(Role::Observer, size)
    };
    let mut attachment = client.attach(session, attach);
    let due = options.timeout.map(|timeout| Instant::now() + timeout);
    let mut writer = Writer::new(None);
    // A session's program may do anything to a terminal, and this one is watched only.
    let mut shield = io::stdout().is_terminal().then(raw::Shield::new);
    let outcome = follow(&mut attachment, &mut interrupts, due, &back, &mut writer, shield.as_mut()).await;
    // Word that its end was seen: a session whose end nobody saw stays.
    attachment.handle().settle(SETTLE).await;
    if let Some(shield) = shield {
        let _ = writer.write(To::Stdout, shield.end().into()).await;
    }
    let _ = writer.finish().await;
    outcome
}

/// The program's name, as far as it is one: what stands before it may be a secret.
fn name_of(command: &str) -> String {
    let name = command.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    if name.chars().all(is_plain) { name.chars().take(64).collect() } else { String::new() }
}

async fn follow(
    attachment: &mut Attachment,
    interrupts: &mut Signal,
    due: Option<Instant>,
    back: &str,
    writer: &mut Writer,
    mut shield: Option<&mut raw::Shield>,
) -> Result<ExitCode> {
    loop {
        let event = tokio::select! {
            event = attachment.recv() => event,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                complain!("fleetmux: it goes on after its time; to return: {back}");
                return Ok(ExitCode::from(TIMED_OUT));
            }
            _ = interrupts.recv() => {
                complain!("fleetmux: it goes on; to return: {back}");
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        match event {
            AttachEvent::Output { data, .. } => {
                let data = shield.as_mut().map_or(data.clone(), |shield| shield.pass(&data).into());
                match writer.write(To::Stdout, data).await {
                    Err(err) if err.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::from(NOBODY_READS)),
                    written => written?,
                }
            }
            AttachEvent::Attached { skipped: 1.., .. } | AttachEvent::Keyframe { .. } => {
                complain!("fleetmux: a part of the output is not shown");
            }
            AttachEvent::Exited(exit) => {
                writer.finish().await?;
                return Ok(ExitCode::from(exit.code.clamp(0, 255) as u8));
            }
            AttachEvent::Closed(Some(refusal)) => bail!("{refusal}"),
            AttachEvent::Closed(None) => bail!("the session is gone, and with it how the command ended"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_s_name_is_that_of_its_program_and_no_secret() {
        assert_eq!(name_of("./deploy.sh --all"), "deploy.sh");
        assert_eq!(name_of("TOKEN=hunter2 /usr/bin/env X=1 true"), "env");
        assert_eq!(name_of("TOKEN=hunter2"), "");
        assert_eq!(name_of("\u{1b}[2J now"), "");
    }
}

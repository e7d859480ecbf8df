//! `--keep`: the command as a session. It goes on when this program, its connection or the agent ends.

use std::io;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::writer::{To, Writer};
use super::{INTERRUPTED, TIMED_OUT};
use crate::cli::args::ExecArgs;
use crate::cli::output::complain;
use crate::cli::{NOBODY_READS, lookup, raw};
use crate::client::{AttachEvent, AttachOptions, Client, ExecOptions, Program};
use crate::fleet::{Machine, Role, SessionSpec, Size};
use crate::stream::Delivery;

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
    let name = args.command.first().and_then(|word| word.split_whitespace().next()).unwrap_or_default();
    let name: String = name.rsplit('/').next().unwrap_or_default().chars().take(64).collect();
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
            AttachEvent::Output { data, .. } => match writer.write(To::Stdout, data).await {
                Err(err) if err.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::from(NOBODY_READS)),
                written => written?,
            },
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

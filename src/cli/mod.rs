//! The command line: one file per command, and what they share.
//!
//! Everything for people goes through `output`, which cleans it: what was written elsewhere is in most of it.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod background;
mod clean;
mod cmd;
mod destination;
mod file_args;
mod highlight_args;
mod host_args;
mod identity;
mod lookup;
mod moving;
mod output;
mod raw;
mod relay_args;
mod session_args;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use color_eyre::eyre::Result;

use crate::agent;
use crate::runtime;
use args::{AgentCommand, Args, Command, ConnectArgs, ConnectCommand, KeeperArgs, SessionCommand};
use highlight_args::Ccat;
use output::complain;

/// What an observer's terminal is shown of a session's output that comes in these pieces: the door for fuzzing.
#[doc(hidden)]
pub fn observer_shield(pieces: &[&[u8]]) -> Vec<u8> {
    raw::observer_shield(pieces)
}

/// Exit code of our own failures, as ssh has it: a remote program's codes stay below.
const FAILED: u8 = 255;

/// The program's second name, which shows files in colours.
const ALIAS: &str = "ccat";

/// Exit code of what cannot be started, as shells have it.
const NOT_STARTED: u8 = 126;

/// Exit code when nobody reads our output any more: 128 + SIGPIPE.
const NOBODY_READS: u8 = 141;

/// Parses, dispatches, and tells what went wrong.
pub fn main() -> ExitCode {
    // There are many keepers, and what the whole command line takes to be parsed would stay in each one's memory.
    if std::env::args_os().nth(1).is_some_and(|command| command == agent::BEGIN_EXEC) {
        let err = agent::begin_exec(std::env::args_os().skip(2));
        complain!("fleetmux: the command cannot be started: {err}");
        return ExitCode::from(NOT_STARTED);
    }
    let outcome = if std::env::args_os().nth(1).is_some_and(|command| command == "keeper") {
        runtime::shed_inheritance();
        cmd::keeper::run(&KeeperArgs::parse_from(std::env::args_os().skip(1)))
    } else {
        cmd::completions::answer();
        if is_alias() { ccat(Ccat::parse()) } else { dispatch(Args::of_process()) }
    };
    match outcome {
        Ok(code) => code,
        // Whoever read our output has left, which is theirs to do.
        Err(err) if output::is_nobody_reading(&err) => ExitCode::from(NOBODY_READS),
        Err(err) => {
            complain!("fleetmux: {err:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Whether it was called by its second name.
fn is_alias() -> bool {
    std::env::args_os().next().is_some_and(|name| Path::new(&name).file_name().is_some_and(|name| name == ALIAS))
}

fn ccat(args: Ccat) -> Result<ExitCode> {
    let mut called = Args::parse_from(["fleetmux"]);
    (called.relay, called.identity) = (args.relay, args.identity);
    called.command = Some(Command::Highlight(args.highlight));
    dispatch(called)
}

/// Whether it serves for long, with children of its own.
fn is_service(command: &Command) -> bool {
    match command {
        Command::Agent(AgentCommand::Start(start)) => start.foreground,
        Command::Relay(relay) => relay.command.is_none(),
        Command::Server(_) | Command::ExecGuard | Command::Keeper(_) => true,
        _ => false,
    }
}

fn dispatch(args: Args) -> Result<ExitCode> {
    if args.command.as_ref().is_some_and(is_service) {
        runtime::shed_inheritance();
    }
    if let Some(Command::Keeper(keeper)) = &args.command {
        return cmd::keeper::run(keeper);
    }
    if let Some(Command::ExecGuard) = &args.command {
        agent::run_guard();
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Command::DemoApp { app }) = &args.command {
        return cmd::demo_app::run(*app);
    }
    runtime::block_on(async {
        match args.command {
            // Needs no relay, no configuration and no time.
            Some(Command::Highlight(options)) if cmd::highlight::is_local(&options) => {
                cmd::highlight::run(None, options).await
            }
            _ => run(args).await,
        }
    })?
}

async fn run(mut args: Args) -> Result<ExitCode> {
    let flag = args.relay.clone();
    moving::settle_places()?;
    identity::from_environment(&mut args.relay, &mut args.identity)?;
    let named = args.relay.clone();
    // An agent has its own identity, a login makes one, and some need none: a broken configuration is no matter to them.
    let relay = match &args.command {
        Some(
            Command::Agent(_)
            | Command::Login(_)
            | Command::Logout
            | Command::Server(_)
            | Command::InstallAlias(_)
            | Command::Logs(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Demo(_),
        ) => args.relay,
        // A configuration that cannot be used is no business of a relay's.
        Some(Command::Relay(_)) => identity::settle(args.relay.clone(), &args.identity).unwrap_or_else(|err| {
            complain!("fleetmux: without the configuration: {err:#}");
            args.relay
        }),
        Some(Command::Permissions(options)) if options.machine().is_some() => {
            identity::settle(args.relay, &args.identity)?
        }
        Some(Command::Permissions(_)) => args.relay,
        Some(Command::Doctor(options)) => {
            let settled = identity::settle(args.relay, &args.identity);
            return cmd::doctor::run(named, settled, options).await;
        }
        _ => identity::settle(args.relay, &args.identity)?,
    };
    match args.command {
        None => cmd::wall::run(relay, &args.wall).await,
        Some(Command::Relay(options)) => cmd::relay::run(named, options).await,
        Some(Command::Keys(command)) => cmd::keys::run(named, command).await,
        Some(Command::Login(options)) => cmd::login::run(options, &args.identity).await,
        Some(Command::Logout) => cmd::login::logout(&args.identity),
        Some(Command::Agent(command)) => cmd::agent::run(relay, flag, command).await,
        Some(Command::Machines(options)) => cmd::machines::run(relay, &options).await,
        Some(Command::Session(command)) => cmd::session::run(relay, command).await,
        Some(Command::Ls(options)) => cmd::session::run(relay, SessionCommand::List(options)).await,
        Some(Command::Attach(options)) => cmd::session::run(relay, SessionCommand::Attach(options)).await,
        Some(Command::Connect(ConnectArgs { command: Some(ConnectCommand::Exec(options)), .. })) => {
            cmd::exec::run(relay, options).await
        }
        Some(Command::Connect(options)) => cmd::connect::run(relay, options).await,
        Some(Command::Exec(options)) => cmd::exec::run(relay, options).await,
        Some(Command::Files(command)) => cmd::files::run(relay, command).await,
        Some(Command::Highlight(options)) => cmd::highlight::run(relay, options).await,
        Some(Command::InstallAlias(options)) => cmd::highlight::install_alias(&options),
        Some(Command::Permissions(options)) => cmd::permissions::run(relay, &options).await,
        Some(Command::Logs(options)) => cmd::logs::run(&options).await,
        Some(Command::Completions(options)) => cmd::completions::completions(&options),
        Some(Command::Man(options)) => cmd::completions::man(&options),
        Some(Command::Demo(options)) => cmd::demo::run(options).await,
        Some(Command::Bench(command)) => cmd::bench::run(relay, command).await,
        Some(Command::Server(options)) => cmd::server::run(options).await,
        // Handled before the runtime starts.
        Some(Command::Keeper(_) | Command::DemoApp { .. } | Command::ExecGuard | Command::Doctor(_)) => {
            Ok(ExitCode::SUCCESS)
        }
    }
}

//! `fleetmux relay`: a relay in the foreground, and `init`, which prepares one for other machines.

use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::Result;

use crate::cli::args::{RelayArgs, RelayCommand, RelayInitArgs};
use crate::cli::cmd::{install, keys};
use crate::cli::output::print;
use crate::config::paths;
use crate::fleet::{Endpoint, check_hostname};
use crate::relay::{self, Options};
use crate::runtime::{self, LogTo};

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: RelayArgs) -> Result<ExitCode> {
    match args.command {
        Some(RelayCommand::Init(init)) => return self::init(init).await,
        Some(RelayCommand::Install(args)) => return install::relay(args),
        Some(RelayCommand::Token(token)) => return keys::token(relay, token).await,
        Some(RelayCommand::Machines(command)) => return keys::machines(relay, command).await,
        None => {}
    }
    let log = paths::log_file(&paths::state_dir(), "relay").map_or(LogTo::Stderr, LogTo::Both);
    runtime::init_log(log, "info");
    runtime::raise_open_files();
    runtime::catch_ignored_signals()?;
    if args.die_with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    }
    let listen = match args.listen {
        Some(listen) => listen,
        None => {
            let dir = paths::runtime_dir();
            paths::make_private_dir(&dir)?;
            Endpoint::Unix(paths::relay_socket(&dir))
        }
    };
    let ready = |endpoint: &Endpoint| {
        tracing::info!(%endpoint, "relay listens");
        // For scripts: the one line on standard output.
        let _ = print(&format!("{endpoint}\n"));
    };
    let is_tls = matches!(listen, Endpoint::Tls(_));
    let dir = args.dir.or_else(|| is_tls.then(paths::relay_dir));
    let forget_after = args.forget_after.map(|life| Duration::from_secs(life.0));
    let options = Options { listen, store: args.store, dir, discovery: None, forget_after, may_forget: false };
    relay::serve(options, ready, runtime::ended_by_signal()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn init(args: RelayInitArgs) -> Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(paths::relay_dir);
    let mut names = args.names;
    for name in names.iter().filter(|name| name.parse::<std::net::IpAddr>().is_err()) {
        check_hostname(name)?;
    }
    let has_ca = dir.join("ca.pem").exists();
    if args.renew {
        let names = relay::renew(&dir, &names, args.days)?.join(", ");
        print(&format!(
            "a new certificate for {names}, good for {} days; a running relay serves it already\n",
            args.days
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    if names.is_empty() {
        names.push(rustix::system::uname().nodename().to_string_lossy().into_owned());
    }
    let host = if names[0].contains(':') { format!("[{}]", names[0]) } else { names[0].clone() };
    let address = format!("{host}:{}", args.port);
    // From this machine itself it is reached by these.
    for own in ["localhost", "127.0.0.1", "::1"] {
        if !names.iter().any(|name| name == own) {
            names.push(own.into());
        }
    }
    let done = relay::init(&dir, &names, &address, args.days).await?;
    let dir_flag = args.dir.map(|dir| format!(" --dir {}", dir.display())).unwrap_or_default();
    let ca =
        if has_ca { "CA fingerprint (the CA of before, so nobody joins or logs in anew)" } else { "CA fingerprint" };
    print(&format!(
        "the relay is ready in {}; its certificate is for {}
{ca}: {}

1. serve it (`fleetmux relay install{dir_flag}` has systemd keep it running):
   fleetmux relay{dir_flag} --listen tls://0.0.0.0:{}
2. on a machine, within an hour (once; `fleetmux relay token` makes more):
   fleetmux agent join {}
   fleetmux agent start
3. a key for yourself, here, and on your own computer a login with it:
   fleetmux keys create YOUR-NAME
   fleetmux login tls://{address} --key-stdin --ca-fingerprint {}
",
        dir.display(),
        names.join(", "),
        done.ca,
        args.port,
        done.token.reveal(),
        done.ca,
    ))?;
    Ok(ExitCode::SUCCESS)
}

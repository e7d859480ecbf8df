//! `fleetmux relay install`: a unit of a relay, which runs no program and needs nearly nothing of its machine.

use std::path::PathBuf;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};

use super::unit::{Scope, Unit, quoted};
use super::{RELAY, check, installed, path, scope, show, start};
use crate::cli::output::print;
use crate::cli::relay_args::RelayInstallArgs;
use crate::config::paths;
use crate::fleet::Endpoint;

/// What a relay of root's keeps of root: nothing but its files.
const SANDBOX: &str = "\
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
";

pub(in crate::cli) fn run(args: RelayInstallArgs) -> Result<ExitCode> {
    let scope = scope(&args.scope);
    let program = std::env::current_exe()?;
    // Absolute: a service has no directory of its own to be in.
    let dir = std::path::absolute(args.dir.unwrap_or_else(paths::relay_dir))?;
    let listen = args.listen.to_string();
    let (program_text, dir_text) = (program.to_string_lossy(), dir.to_string_lossy());
    let mut command: Vec<String> =
        [&program_text, "relay", "--listen", &listen, "--dir", &dir_text].map(Into::into).into();
    if let Some(life) = args.forget_after {
        command.extend(["--forget-after".into(), format!("{}s", life.0)]);
    }
    let unit = Unit::new(scope, "relay", &command).directories().lines("NoNewPrivileges=yes\n");
    let unit = match scope {
        Scope::System => {
            let written: Vec<String> = written(&dir, &args.listen).map(|dir| quoted(&dir.to_string_lossy())).collect();
            unit.lines(&format!("ReadWritePaths={}\n{SANDBOX}", written.join(" ")))
        }
        // A user's systemd may not wall anything off.
        Scope::User => unit,
    };
    let (text, path) = (unit.finish(), path(scope, RELAY)?);
    if args.scope.dry_run {
        return show(&path, &text);
    }
    check(scope, &program, "`fleetmux relay` runs in the foreground of whatever starts it")?;
    if matches!(args.listen, Endpoint::Tls(_)) && !dir.join("ca.pem").exists() {
        bail!("there is no relay in {dir_text} yet; first `fleetmux relay init --name HOSTNAME`");
    }
    start(scope, RELAY, &path, &text)?;
    print(&installed(scope, RELAY, &path))?;
    Ok(ExitCode::SUCCESS)
}

/// What a relay writes: its own directory, its log, and its socket.
fn written(dir: &std::path::Path, listen: &Endpoint) -> impl Iterator<Item = PathBuf> {
    let socket = match listen {
        Endpoint::Unix(path) => path.parent().map(PathBuf::from),
        _ => None,
    };
    let state = paths::state_dir();
    let dir = Some(dir.to_path_buf()).filter(|dir| !dir.starts_with(&state));
    [Some(state), dir, socket].into_iter().flatten()
}

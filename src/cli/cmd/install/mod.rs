//! `fleetmux agent install` and `fleetmux relay install`: systemd units, of the system or of a user.
//!
//! A unit names the directories that its user's commands have at this moment: what was joined, and which rules the machine
//! has, is then in force in the unit as well, whatever the environment of a service is.

mod agent;
mod relay;
mod unit;

pub(in crate::cli) use agent::run as agent;
pub(in crate::cli) use relay::run as relay;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use color_eyre::eyre::{Context, Result, bail, eyre};

use crate::cli::host_args::ScopeArgs;
use crate::cli::output::print;
use crate::config::paths;
use crate::runtime::{Access, Replacement};
use unit::Scope;

/// Names of the units.
pub(super) const AGENT: &str = "fleetmux-agent";
pub(super) const RELAY: &str = "fleetmux-relay";

/// Whose unit it will be.
fn scope(args: &ScopeArgs) -> Scope {
    let is_root = rustix::process::getuid().is_root();
    if args.system || (!args.user && is_root) { Scope::System } else { Scope::User }
}

/// The unit's file.
fn path(scope: Scope, name: &str) -> Result<PathBuf> {
    let file = format!("{name}.service");
    if scope == Scope::System {
        return Ok(Path::new("/etc/systemd/system").join(file));
    }
    let dir = paths::user_units_dir().ok_or_else(|| eyre!("there is no home directory; set HOME"))?;
    Ok(dir.join(file))
}

/// Prints the unit; nothing is changed.
fn show(path: &Path, text: &str) -> Result<ExitCode> {
    print(&format!("# {}\n{text}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses where the unit could not be started, before anything is changed.
fn check(scope: Scope, program: &Path, without: &str) -> Result<()> {
    if !Path::new("/run/systemd/system").is_dir() {
        bail!("systemd does not run here; {without}, and --dry-run prints the unit");
    }
    if scope == Scope::User {
        return Ok(());
    }
    if !rustix::process::getuid().is_root() {
        bail!("a system unit needs root; run this with sudo, or install a user unit with --user");
    }
    if let Some(open) = program.ancestors().find(|part| !is_roots(part)) {
        bail!(
            "the unit would run {} as root, and {} is not root's alone; first: install -m 755 {} /usr/local/bin/fleetmux",
            program.display(),
            open.display(),
            program.display()
        );
    }
    Ok(())
}

/// Nobody but root may change it; of a directory for everybody, as `/tmp`, nobody else's entries.
fn is_roots(path: &Path) -> bool {
    const STICKY: u32 = 0o1000;
    std::fs::metadata(path).is_ok_and(|meta| meta.uid() == 0 && (meta.mode() & 0o022 == 0 || meta.mode() & STICKY != 0))
}

/// Replaces the unit's file, and no other that a link in its place names.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut unit = Replacement::at(path, Access::New(0o644))?;
    unit.file().write_all(text.as_bytes())?;
    unit.commit(true)
}

/// Writes the unit and has systemd start it, or start it anew.
fn start(scope: Scope, name: &str, path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).wrap_err_with(|| format!("cannot make {}", dir.display()))?;
    }
    write(path, text).wrap_err_with(|| format!("cannot write {}", path.display()))?;
    for command in [&["daemon-reload"][..], &["enable", name], &["restart", name]] {
        let status = Command::new("systemctl").args(scope.flags()).args(command).status();
        let status = status.wrap_err("cannot run systemctl")?;
        if !status.success() {
            bail!("`systemctl {}` failed ({status}); the unit is {}", command.join(" "), path.display());
        }
    }
    Ok(())
}

/// What is said of a unit that was started.
fn installed(scope: Scope, name: &str, path: &Path) -> String {
    let systemctl = if scope == Scope::System { "systemctl" } else { "systemctl --user" };
    let linger = match scope {
        Scope::System => "",
        Scope::User => "to keep it running after logout: `loginctl enable-linger`\n",
    };
    format!("installed {}, and started; see `{systemctl} status {name}`\n{linger}", path.display())
}

//! `fleetmux agent install`: a systemd unit under which sessions survive restarts of the agent.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use color_eyre::eyre::{Context, Result, bail, eyre};

use crate::cli::host_args::InstallArgs;
use crate::cli::output::print;
use crate::fleet::Endpoint;

/// Name of the unit.
pub(super) const UNIT: &str = "fleetmux-agent";

pub(in crate::cli) fn run(relay: Option<Endpoint>, args: &InstallArgs) -> Result<ExitCode> {
    let is_root = rustix::process::getuid().is_root();
    let is_system = args.system || (!args.user && is_root);
    let labels: Vec<&str> = args.labels.iter().map(String::as_str).collect();
    super::agent::labels(&labels)?;
    let program = std::env::current_exe()?;
    let text = unit(&program, is_system, relay.as_ref(), &args.name, &labels);
    let path = path(is_system)?;
    if args.dry_run {
        print(&format!("# {}\n{text}", path.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !Path::new("/run/systemd/system").is_dir() {
        bail!(
            "systemd does not run here; `fleetmux agent start` runs the agent in the background without it, and \
             `fleetmux agent install --dry-run` prints the unit"
        );
    }
    if is_system && !is_root {
        bail!("a system unit needs root; run this with sudo, or install a user unit with --user");
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(&path, text).wrap_err_with(|| format!("cannot write {}", path.display()))?;
    let scope: &[&str] = if is_system { &[] } else { &["--user"] };
    for command in [&["daemon-reload"][..], &["enable", "--now", UNIT]] {
        let status = Command::new("systemctl").args(scope).args(command).status().wrap_err("cannot run systemctl")?;
        if !status.success() {
            bail!("`systemctl {}` failed ({status}); the unit is {}", command.join(" "), path.display());
        }
    }
    let systemctl = if is_system { "systemctl" } else { "systemctl --user" };
    let linger = if is_system { "" } else { "to keep it running after logout: `loginctl enable-linger`\n" };
    print(&format!("installed {}, and started; see `{systemctl} status {UNIT}`\n{linger}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn path(is_system: bool) -> Result<PathBuf> {
    let file = format!("{UNIT}.service");
    if is_system {
        return Ok(Path::new("/etc/systemd/system").join(file));
    }
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".config"));
    let config = config.or_else(home).ok_or_else(|| eyre!("there is no home directory; set HOME"))?;
    Ok(config.join("systemd/user").join(file))
}

/// The unit's text.
fn unit(program: &Path, is_system: bool, relay: Option<&Endpoint>, name: &str, labels: &[&str]) -> String {
    let mut command =
        vec![program.to_string_lossy().into_owned(), "agent".into(), "start".into(), "--foreground".into()];
    if let Some(relay) = relay {
        command.extend(["--relay".into(), relay.to_string()]);
    }
    if !name.is_empty() {
        command.extend(["--name".into(), name.into()]);
    }
    for label in labels {
        command.extend(["--label".into(), label.to_string()]);
    }
    let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let mut text = String::from("[Unit]\nDescription=fleetmux agent\nDocumentation=man:fleetmux-agent(1)\n");
    if is_system {
        text += "Wants=network-online.target\nAfter=network-online.target\n";
    }
    text += "StartLimitIntervalSec=0\n\n[Service]\nType=exec\n";
    let _ = writeln!(text, "ExecStart={}", command.join(" "));
    text += "\
Restart=always
RestartSec=1
# Only the agent itself is stopped: sessions live on over `systemctl restart`, and over `stop` too.
KillMode=process
# A program that runs out of memory does not take the agent along.
OOMPolicy=continue
";
    if is_system {
        text += "\
# The sockets of living sessions are in the runtime directory: it outlives the unit.
RuntimeDirectory=fleetmux
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
StateDirectory=fleetmux
StateDirectoryMode=0700
ConfigurationDirectory=fleetmux
ConfigurationDirectoryMode=0700
Environment=FLEETMUX_RUNTIME_DIR=/run/fleetmux
Environment=FLEETMUX_STATE_DIR=/var/lib/fleetmux
Environment=FLEETMUX_CONFIG_DIR=/etc/fleetmux
";
    }
    text += "\
# No sandbox here: it would bind every shell of every session, and sudo, containers and debuggers in them. What the agent
# may be asked for is limited by `fleetmux permissions`.

[Install]
";
    let _ = writeln!(text, "WantedBy={}", if is_system { "multi-user.target" } else { "default.target" });
    text
}

/// A word of ExecStart=.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = escaped.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c)) && !escaped.is_empty();
    if is_plain { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        assert_eq!(quoted("/usr/bin/fleetmux"), "/usr/bin/fleetmux");
        assert_eq!(quoted("Ada's \"box\" 100% $HOME"), "\"Ada's \\\"box\\\" 100%% $$HOME\"");
        assert_eq!(quoted(""), "\"\"");
    }
}

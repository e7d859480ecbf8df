//! The last command and where it failed, for `--retry-failed`. Values of variables are not kept: they may be secrets.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use color_eyre::eyre::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::variables;
use crate::cli::args::ExecArgs;
use crate::cli::output::{complain, counted};
use crate::client::{ExecOptions, Program};
use crate::config::paths;
use crate::fleet::{MachineId, Selector};

#[derive(Serialize, Deserialize)]
struct Last {
    /// One text for a shell, or a program and its arguments.
    is_shell: bool,
    command: Vec<String>,
    cwd: String,
    shell: String,
    timeout_ms: Option<u64>,
    is_merged: bool,
    variables: BTreeSet<String>,
    /// Ids of the machines where it failed.
    failed: Vec<String>,
}

fn file() -> PathBuf {
    paths::state_dir().join("last-exec.json")
}

/// Keeps a command that was run, as far as that can be kept.
pub(super) fn remember(options: &ExecOptions, failed: Vec<MachineId>) {
    let (is_shell, command) = match &options.program {
        Program::Shell(text) => (true, vec![text.clone()]),
        Program::Argv(argv) => (false, argv.clone()),
    };
    // What went well everywhere is not run again, and need not be known.
    let command = if failed.is_empty() { Vec::new() } else { command };
    let last = Last {
        is_shell,
        command,
        cwd: options.cwd.clone(),
        shell: options.shell.clone(),
        timeout_ms: options.timeout.map(|timeout| timeout.as_millis() as u64),
        is_merged: options.is_merged,
        variables: options.env.keys().cloned().collect(),
        failed: failed.iter().map(MachineId::to_string).collect(),
    };
    let path = file();
    let kept = serde_json::to_vec(&last).map_err(std::io::Error::from).and_then(|text| {
        std::fs::create_dir_all(paths::state_dir())?;
        paths::write_private(&path, &text)
    });
    if let Err(err) = kept {
        tracing::debug!(%err, path = %path.display(), "the command cannot be run once more by --retry-failed");
    }
}

/// Another command is about to be run: what failed before it is not the last one any more.
pub(super) fn forget() {
    let _ = std::fs::remove_file(file());
}

/// The last command, and the machines where it failed.
pub(super) fn last(args: &ExecArgs) -> Result<(Selector, ExecOptions)> {
    let path = file();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            bail!("no command was run yet that could be run again")
        }
        Err(err) => return Err(err).wrap_err_with(|| format!("cannot read {}", path.display())),
    };
    let last: Last = serde_json::from_str(&text).wrap_err_with(|| format!("{} is broken", path.display()))?;
    if last.failed.is_empty() {
        bail!("the last command went well everywhere; there is nothing to do again");
    }
    let env = variables(args)?;
    let missing: Vec<&str> =
        last.variables.iter().filter(|name| !env.contains_key(*name)).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!(
            "the command had variables, whose values are not kept; give them again: --env {}=…",
            missing.join("=… --env ")
        );
    }
    let machines = counted(last.failed.len(), "machine");
    complain!("fleetmux: once more on {machines}: {}", last.command.join(" "));
    let options = match (last.is_shell, last.command) {
        (true, command) => ExecOptions::shell(command.concat()),
        (false, argv) => ExecOptions::argv(argv),
    };
    let options = ExecOptions {
        cwd: last.cwd,
        shell: last.shell,
        timeout: last.timeout_ms.map(Duration::from_millis),
        is_merged: last.is_merged || args.json && !args.no_merge,
        env,
        ..options
    };
    Ok((Selector::Names(last.failed), options))
}

//! `fleetmux install-alias`: the program under its second name.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use color_eyre::eyre::{Context, Result, bail, eyre};

use crate::cli::ALIAS;
use crate::cli::highlight_args::InstallAliasArgs;
use crate::cli::output::{complain, print};

pub(in crate::cli) fn run(args: &InstallAliasArgs) -> Result<ExitCode> {
    let program = std::env::current_exe().wrap_err("cannot find this program's file")?;
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => place(&program)?,
    };
    std::fs::create_dir_all(&dir).wrap_err_with(|| format!("cannot make {}", dir.display()))?;
    let link = dir.join(ALIAS);
    match std::fs::read_link(&link) {
        Ok(target) if target == program => {}
        Ok(target) if target.file_name() == program.file_name() => {
            std::fs::remove_file(&link).wrap_err_with(|| format!("cannot replace {}", link.display()))?;
            symlink(&program, &link).wrap_err_with(|| format!("cannot make {}", link.display()))?;
        }
        _ if link.symlink_metadata().is_ok() => bail!("{} is something else; it was left alone", link.display()),
        _ => symlink(&program, &link).wrap_err_with(|| format!("cannot make {}", link.display()))?,
    }
    print(&format!("{} is {}\n", link.display(), program.display()))?;
    let is_found = std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|entry| entry == dir));
    if !is_found {
        complain!("fleetmux: {} is not in PATH: shells do not find it by its name", dir.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Beside the program if that may be written to, or else where a user's programs are.
fn place(program: &Path) -> Result<PathBuf> {
    let beside = program.parent().filter(|dir| rustix::fs::access(*dir, rustix::fs::Access::WRITE_OK).is_ok());
    let own = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/bin"));
    beside.map(Path::to_path_buf).or_else(own).ok_or_else(|| eyre!("name a directory with --dir"))
}

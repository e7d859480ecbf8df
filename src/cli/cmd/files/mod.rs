//! `fleetmux files`: files of a machine, looked at, moved about, and copied here and there.

mod place;
mod show;
mod transfer;

use std::path::Path;
use std::process::ExitCode;

use color_eyre::eyre::{Result, bail};

use crate::cli::file_args::{CopyArgs, FilesCommand, LsArgs, MoveArgs, SearchArgs, StatArgs};
use crate::cli::output::{complain, json_text, print};
use crate::cli::{background, lookup};
use crate::client::{Files, ListOptions, SearchOptions};
use crate::fleet::{Endpoint, FileKind};
pub(super) use place::Place;

pub(in crate::cli) async fn run(relay: Option<Endpoint>, command: FilesCommand) -> Result<ExitCode> {
    match &command {
        FilesCommand::Ls(args) => ls(relay, args).await?,
        FilesCommand::Stat(args) => stat(relay, args).await?,
        FilesCommand::Search(args) => search(relay, args).await?,
        FilesCommand::Cat(args) => {
            let place = Place::new(&args.machine, args.path.as_deref())?.named()?;
            if args.highlight {
                return super::highlight::of_machine(relay, place).await;
            }
            transfer::cat(&files(relay, &place).await?, &place, args).await?;
        }
        FilesCommand::Put(args) => {
            let place = Place::new(&args.machine, args.path.as_deref())?;
            transfer::put(&files(relay, &place).await?, &place, args).await?;
        }
        FilesCommand::Get(args) => {
            let (place, local) = Place::with_rest(&args.machine, &args.rest)?;
            transfer::get(&files(relay, &place).await?, &place.named()?, local, args).await?;
        }
        FilesCommand::Rm(args) => {
            let place = Place::new(&args.machine, args.path.as_deref())?.named()?;
            files(relay, &place).await?.delete(&place.path, args.recursive).await?;
        }
        FilesCommand::Mkdir(args) => {
            let place = Place::new(&args.machine, args.path.as_deref())?.named()?;
            files(relay, &place).await?.mkdir(&place.path, args.parents).await?;
        }
        FilesCommand::Mv(args) => {
            let (files, from, to) = both(relay, args).await?;
            files.move_to(from, to, !args.no_clobber).await?;
        }
        FilesCommand::Cp(CopyArgs { places, recursive }) => {
            let (files, from, to) = both(relay, places).await?;
            files.copy(from, to, !places.no_clobber, *recursive).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of the machine that a place names.
pub(super) async fn files(relay: Option<Endpoint>, place: &Place) -> Result<Files> {
    let client = background::client(relay).await?;
    let (machines, _) = client.fleet_of(&[&place.machine]).await?;
    let machine = lookup::machine(&machines, &place.machine)?;
    lookup::online(machine)?;
    Ok(client.files().on(machine.facts.id))
}

/// From where to where on one machine; a directory there takes what comes under its own name.
async fn both(relay: Option<Endpoint>, args: &MoveArgs) -> Result<(Files, std::path::PathBuf, std::path::PathBuf)> {
    let (place, to) = Place::with_rest(&args.machine, &args.rest)?;
    let Some(to) = to else { bail!("to where? write MACHINE FROM TO, or MACHINE:FROM TO") };
    let place = place.named()?;
    let to = place.beside(to)?;
    let files = files(relay, &place).await?;
    let to = within(&files, &to, place.path.file_name()).await?;
    Ok((files, place.path, to))
}

/// A file's place, when a path may name a directory for it.
async fn within(files: &Files, path: &Path, name: Option<&std::ffi::OsStr>) -> Result<std::path::PathBuf> {
    let is_directory = match files.stat(path).await {
        Ok(entry) => entry.is_directory(),
        Err(crate::client::Error::FileNotFound(_)) => place::ends_as_directory(path),
        // Where one may write one may not always look.
        Err(crate::client::Error::PermissionDenied(_)) => place::ends_as_directory(path),
        Err(err) => return Err(err.into()),
    };
    match name {
        Some(name) if is_directory => Ok(path.join(name)),
        None if is_directory => bail!("{path:?} is a directory; name the file that is to be in it"),
        _ => Ok(path.to_path_buf()),
    }
}

async fn ls(relay: Option<Endpoint>, args: &LsArgs) -> Result<()> {
    let place = Place::new(&args.machine, args.path.as_deref())?;
    let files = files(relay, &place).await?;
    // A file lists itself, as everywhere.
    let entry = files.stat(&place.path).await?;
    let entries = if entry.kind == FileKind::Directory {
        let options = ListOptions { include_hidden: args.all, page_size: 0, page_token: None };
        files.list_with(&place.path, options).await?.entries
    } else {
        vec![entry]
    };
    let text = if args.json {
        json_text(&entries.iter().map(show::json).collect::<Vec<_>>())
    } else if args.long {
        show::long(&entries)
    } else {
        entries.iter().map(|entry| show::name(entry.name()) + "\n").collect()
    };
    Ok(print(&text)?)
}

async fn stat(relay: Option<Endpoint>, args: &StatArgs) -> Result<()> {
    let place = Place::new(&args.machine, args.path.as_deref())?;
    let files = files(relay, &place).await?;
    let entry = if args.dereference { files.stat(&place.path).await? } else { files.stat_link(&place.path).await? };
    let text = if args.json { json_text(&show::json(&entry)) } else { show::lines(&entry) };
    Ok(print(&text)?)
}

async fn search(relay: Option<Endpoint>, args: &SearchArgs) -> Result<()> {
    let place = Place::new(&args.machine, args.path.as_deref())?;
    if args.name.is_empty() && args.content.is_empty() {
        bail!("look for what? give --name '*.log', --content REGEX, or both");
    }
    let options = SearchOptions {
        filename_pattern: args.name.clone(),
        content_pattern: args.content.clone(),
        case_sensitive: args.case_sensitive,
        include_hidden: args.all,
        max_results: args.max_results,
        max_depth: args.max_depth,
        context_lines: args.context,
    };
    let result = files(relay, &place).await?.search(&place.path, options).await?;
    if args.json {
        print(&json_text(&show::result_json(&result)))?;
        return Ok(());
    }
    print(&result.matches.iter().map(show::found).collect::<String>())?;
    if result.is_truncated {
        complain!("fleetmux: there is more than {} files; see --max-results", result.matches.len());
    }
    Ok(())
}

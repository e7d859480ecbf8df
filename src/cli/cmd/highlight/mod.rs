//! `fleetmux highlight`, or `ccat`: files in colours, from here or from a machine.

mod alias;
mod list;
mod page;
mod view;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Context, Result, bail, eyre};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;
use tokio::io::Interest;

use super::files::{Place, files};
use crate::cli::FAILED;
use crate::cli::highlight_args::{HighlightArgs, When};
use crate::cli::output::complain;
use crate::client::ReadOptions;
use crate::fleet::Endpoint;
use crate::highlight::{Depth, Language, Languages, Theme, Worker, theme};
use crate::runtime;
use page::Page;
use view::View;

pub(in crate::cli) use alias::run as install_alias;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// A text that comes in pieces is shown as it comes when the next one takes so long.
const PAUSE: Duration = Duration::from_millis(200);
/// The themes unless said otherwise, for dark terminals and light ones.
const THEME: &str = "monokai";
const THEME_LIGHT: &str = "github-light";
/// The word for standard input.
const STANDARD: &str = "-";

/// How everything is shown.
struct Looks {
    /// Nothing of ours: bytes as they are.
    is_raw: bool,
    /// Colours, if there are any.
    paint: Option<(Theme, Depth)>,
    language: Option<Language>,
}

/// Where a file is.
enum Source {
    Standard,
    Here(PathBuf),
    There(Place),
}

impl Source {
    /// A colon behind a machine's name, as scp has it; what is here by that very name is here.
    fn of(name: &OsStr) -> Result<Source> {
        let bytes = name.as_bytes();
        let machine = bytes.iter().position(|byte| *byte == b':').filter(|at| *at > 0 && !bytes[..*at].contains(&b'/'));
        if name == STANDARD {
            Ok(Source::Standard)
        } else if machine.is_none() || Path::new(name).exists() {
            Ok(Source::Here(name.into()))
        } else {
            Ok(Source::There(Place::new(name, None)?.named()?))
        }
    }

    fn path(&self) -> &Path {
        match self {
            Source::Standard => Path::new(STANDARD),
            Source::Here(path) => path,
            Source::There(place) => &place.path,
        }
    }
}

/// Whether all of it is on this computer, so that no relay is asked.
pub(in crate::cli) fn is_local(args: &HighlightArgs) -> bool {
    args.files.iter().all(|name| !matches!(Source::of(name), Ok(Source::There(_))))
}

/// One file of a machine, whatever is called so here.
pub(super) async fn of_machine(relay: Option<Endpoint>, place: Place) -> Result<ExitCode> {
    let name = OsString::from(format!("{}:{}", place.machine, place.path.display()));
    shown(relay, HighlightArgs::new(), vec![(name, Ok(Source::There(place)))]).await
}

pub(in crate::cli) async fn run(relay: Option<Endpoint>, args: HighlightArgs) -> Result<ExitCode> {
    let standard = [OsString::from(STANDARD)];
    let names = if args.files.is_empty() { &standard[..] } else { &args.files };
    let sources = names.iter().map(|name| (name.clone(), Source::of(name))).collect();
    shown(relay, args, sources).await
}

async fn shown(
    relay: Option<Endpoint>,
    args: HighlightArgs,
    sources: Vec<(OsString, Result<Source>)>,
) -> Result<ExitCode> {
    // A worker's panic costs the colours of what follows and nothing else; nobody need read of it.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !Worker::is_here() {
            hook(info)
        }
    }));
    let looks = looks(&args)?;
    let is_paged = !args.plain && !args.no_pager && io::stdout().is_terminal();
    let mut page = Page::new(is_paged);
    if args.licenses {
        page.write(crate::highlight::NOTICE, crate::highlight::NOTICE.lines().count())?;
    } else if args.list_languages {
        list::languages(&mut page)?;
    } else if args.list_themes {
        list::themes(&mut page, looks.paint.as_ref().map(|(_, depth)| *depth))?;
    } else {
        return all(relay, &args, &looks, page, sources).await;
    }
    page.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the terminal says that its background is light.
fn is_light() -> bool {
    let told = std::env::var("COLORFGBG").unwrap_or_default();
    matches!(told.rsplit(';').next(), Some("7" | "15"))
}

fn looks(args: &HighlightArgs) -> Result<Looks> {
    let is_terminal = io::stdout().is_terminal();
    let is_coloured = match args.color {
        When::Always => true,
        When::Never => false,
        When::Auto => !args.plain && is_terminal && !anstyle_query::no_color() && anstyle_query::term_supports_color(),
    };
    let name = args.theme.as_deref().unwrap_or_else(|| if is_light() { THEME_LIGHT } else { THEME });
    let chosen =
        theme(name).ok_or_else(|| eyre!("there is no theme {name:?}; see `fleetmux highlight --list-themes`"))?;
    let variable = |name| std::env::var(name).unwrap_or_default();
    let paint = is_coloured.then(|| (chosen, Depth::from_env(&variable("COLORTERM"), &variable("TERM"))));
    let find = |name: &String| {
        let unknown = || eyre!("there is no language {name:?}; see `fleetmux highlight --list-languages`");
        Languages::get().find(name).ok_or_else(unknown)
    };
    let language = args.language.as_ref().map(find).transpose()?;
    Ok(Looks { is_raw: paint.is_none() && !is_terminal, paint, language })
}

async fn all(
    relay: Option<Endpoint>,
    args: &HighlightArgs,
    looks: &Looks,
    mut page: Page,
    sources: Vec<(OsString, Result<Source>)>,
) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let is_one = sources.len() == 1;
    for (name, source) in sources {
        let mut view = View::new(looks, args, &mut page);
        if !is_one {
            view.head(&name.to_string_lossy());
        }
        let read = match source {
            Ok(source) => one(relay.clone(), &name.to_string_lossy(), source, view).await,
            Err(err) => Err(err),
        };
        match read {
            Ok(true) => {}
            Ok(false) => break,
            Err(err) => {
                complain!("fleetmux: {err:#}");
                code = ExitCode::from(FAILED);
            }
        }
    }
    page.finish()?;
    Ok(code)
}

/// Shows a file; whether somebody still reads.
async fn one(relay: Option<Endpoint>, shown: &str, source: Source, mut view: View<'_>) -> Result<bool> {
    view.named(source.path());
    match source {
        Source::There(place) => {
            let mut reader = files(relay, &place).await?.open(&place.path, ReadOptions::default()).await?;
            loop {
                let left = view.pager_end().map(|end| runtime::watch_fd(end, Interest::READABLE)).transpose()?;
                let is_left = async {
                    match &left {
                        Some(end) => drop(end.readable().await),
                        None => std::future::pending().await,
                    }
                };
                let chunk = tokio::select! {
                    chunk = reader.recv() => chunk?,
                    () = is_left => None,
                };
                let Some(chunk) = chunk else { break };
                if !view.push(&chunk)? {
                    break;
                }
            }
        }
        Source::Standard => {
            copy(&mut io::stdin().lock(), &mut view).wrap_err("cannot read standard input")?;
        }
        Source::Here(path) => {
            let mut file = File::open(&path).wrap_err_with(|| format!("cannot read {shown}"))?;
            if file.metadata().is_ok_and(|meta| meta.is_dir()) {
                bail!("{shown} is a directory");
            }
            copy(&mut file, &mut view).wrap_err_with(|| format!("cannot read {shown}"))?;
        }
    }
    view.finish()
}

/// Reads until the end, or until nobody wants more. What comes piece by piece is shown as it comes, unless the next piece
/// follows at once and all of it may still fit.
fn copy(from: &mut (impl Read + AsFd), view: &mut View<'_>) -> Result<()> {
    let is_piecemeal = !rustix::fs::fstat(&*from).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
    let mut chunk = vec![0; CHUNK];
    loop {
        if is_piecemeal && !wait(from, view)? {
            return Ok(());
        }
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                if !view.push(&chunk[..count])? {
                    return Ok(());
                }
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err.into()),
        }
    }
}

/// Waits until there is something to read; whether there still is somebody to read it.
fn wait(from: &impl AsFd, view: &mut View<'_>) -> Result<bool> {
    let pager_end = view.pager_end();
    let mut waits = vec![PollFd::new(from, PollFlags::IN)];
    waits.extend(pager_end.as_ref().map(|end| PollFd::new(end, PollFlags::IN)));
    let pause = PAUSE.try_into().ok().filter(|_| view.is_held());
    match poll(&mut waits, pause.as_ref()) {
        Ok(0) => {
            view.flow()?;
            Ok(true)
        }
        Ok(_) => Ok(waits.get(1).is_none_or(|end| end.revents().is_empty())),
        Err(_) => Ok(true),
    }
}

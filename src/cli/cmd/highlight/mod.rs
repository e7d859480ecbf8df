//! `fleetmux highlight`, or `ccat`: files in colours, from here or from a machine.

mod alias;
mod list;
mod page;
mod view;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Context, Result, bail, eyre};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::signal::unix::{SignalKind, signal};

use super::files::{Place, files};
use crate::cli::FAILED;
use crate::cli::highlight_args::{HighlightArgs, When};
use crate::cli::output::complain;
use crate::client::ReadOptions;
use crate::fleet::Endpoint;
use crate::highlight::{Depth, Language, Languages, Theme, Worker, theme};
use page::Page;
use view::View;

pub(in crate::cli) use alias::run as install_alias;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// A text that comes in pieces is shown as it comes when the next one takes so long.
const PAUSE: Duration = Duration::from_millis(200);
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
    // Ctrl+C is the pager's; without one it ends us as always.
    let _interrupts = is_paged.then(|| signal(SignalKind::interrupt())).transpose()?;
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

fn looks(args: &HighlightArgs) -> Result<Looks> {
    let is_terminal = io::stdout().is_terminal();
    let is_coloured = match args.color {
        When::Always => true,
        When::Never => false,
        When::Auto => !args.plain && is_terminal && !anstyle_query::no_color() && anstyle_query::term_supports_color(),
    };
    let chosen = theme(&args.theme)
        .ok_or_else(|| eyre!("there is no theme {:?}; see `fleetmux highlight --list-themes`", args.theme))?;
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
            view.head(&name.to_string_lossy())?;
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
            while let Some(chunk) = reader.recv().await? {
                if !view.push(&chunk)? {
                    break;
                }
            }
        }
        Source::Standard => {
            let stdin = io::stdin();
            copy(&mut stdin.lock(), &mut view, |view| {
                let mut waits = [PollFd::new(&stdin, PollFlags::IN)];
                let pause = PAUSE.try_into().ok();
                if poll(&mut waits, pause.as_ref()).is_ok_and(|ready| ready == 0) { view.flow() } else { Ok(()) }
            })
            .wrap_err("cannot read standard input")?;
        }
        Source::Here(path) => {
            let mut file = File::open(&path).wrap_err_with(|| format!("cannot read {shown}"))?;
            if file.metadata().is_ok_and(|meta| meta.is_dir()) {
                bail!("{shown} is a directory");
            }
            copy(&mut file, &mut view, |_| Ok(())).wrap_err_with(|| format!("cannot read {shown}"))?;
        }
    }
    view.finish()
}

/// Reads until the end, or until nobody wants more.
fn copy(from: &mut impl Read, view: &mut View<'_>, mut before: impl FnMut(&mut View<'_>) -> Result<()>) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        before(view)?;
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

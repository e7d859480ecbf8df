//! Files on their way: read and written a chunk at a time, however long they are.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use color_eyre::eyre::{Context, Result, bail, eyre};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::place::{Place, ends_as_directory};
use super::within;
use crate::cli::file_args::{CatArgs, GetArgs, PutArgs};
use crate::client::{FileReader, Files, ReadOptions, WriteOptions};
use crate::runtime::{Access, Replacement};

/// Bytes read here at once.
const CHUNK: usize = 64 * 1024;
/// Chunks read ahead of the machine.
const CHUNKS_CAP: usize = 4;
/// A file that is shorter is there before a bar could be read.
const BAR_FROM: u64 = 4 * 1024 * 1024;
/// The word for standard input and output.
const STANDARD: &str = "-";

pub(super) async fn cat(files: &Files, place: &Place, args: &CatArgs) -> Result<()> {
    let options = ReadOptions { offset: args.offset, length: args.length };
    let mut reader = files.open(&place.path, options).await?;
    to_stdout(&mut reader, None).await
}

async fn to_stdout(reader: &mut FileReader, bar: Option<&ProgressBar>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    while let Some(chunk) = reader.recv().await? {
        match stdout.write_all(&chunk).and_then(|()| stdout.flush()) {
            // Who read has enough.
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.wrap_err("cannot write to standard output")?,
        }
        if let Some(bar) = bar {
            bar.inc(chunk.len() as u64);
        }
    }
    Ok(())
}

pub(super) async fn put(files: &Files, place: &Place, args: &PutArgs) -> Result<()> {
    let (source, len, mode, name) = source(&args.local)?;
    let path = within(files, &place.path, name).await?;
    let options = WriteOptions { overwrite: !args.no_clobber, create_parents: args.parents, mode: args.mode.or(mode) };
    let mut writer = files.create(&path, options).await?;
    let bar = bar(len, args.quiet);
    let mut chunks_rx = chunks(source);
    while let Some(chunk) = chunks_rx.recv().await {
        let chunk =
            chunk.wrap_err_with(|| format!("cannot read {}; nothing was put in place", args.local.display()))?;
        let count = chunk.len() as u64;
        writer.write(chunk).await?;
        if let Some(bar) = &bar {
            bar.inc(count);
        }
    }
    writer.finish().await?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(())
}

/// What is put: where it is read from, how long it is, its permissions and its name.
type Source<'a> = (Box<dyn Read + Send>, Option<u64>, Option<u32>, Option<&'a OsStr>);

fn source(local: &Path) -> Result<Source<'_>> {
    if local == Path::new(STANDARD) {
        return Ok((Box::new(io::stdin()), None, None, None));
    }
    let meta = std::fs::metadata(local).wrap_err_with(|| format!("cannot read {}", local.display()))?;
    if meta.is_dir() {
        bail!("{} is a directory; pack it: tar -c -C {0} . | fleetmux files put - MACHINE:/path.tar", local.display());
    }
    let file = File::open(local).wrap_err_with(|| format!("cannot read {}", local.display()))?;
    let (len, mode) = if meta.is_file() { (Some(meta.len()), Some(meta.mode() & 0o777)) } else { (None, None) };
    Ok((Box::new(file), len, mode.filter(|mode| *mode > 0), local.file_name()))
}

/// Chunks until the end or an error; read in a thread that nobody waits for, since a read cannot be called off.
fn chunks(mut source: Box<dyn Read + Send>) -> mpsc::Receiver<io::Result<Bytes>> {
    let (chunks_tx, chunks_rx) = mpsc::channel(CHUNKS_CAP);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let chunk = match source.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk.into())
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                Err(err) => Err(err),
            };
            let is_over = chunk.is_err();
            if chunks_tx.blocking_send(chunk).is_err() || is_over {
                return;
            }
        }
    });
    chunks_rx
}

pub(super) async fn get(files: &Files, place: &Place, local: Option<&OsStr>, args: &GetArgs) -> Result<()> {
    let mut reader = files.open(&place.path, ReadOptions::default()).await?;
    let bar = bar(Some(reader.entry().size), args.quiet);
    if local == Some(OsStr::new(STANDARD)) {
        to_stdout(&mut reader, bar.as_ref()).await?;
    } else {
        let name = place.path.file_name().ok_or_else(|| eyre!("{:?} names no file", place.path))?;
        let path = target(local.map(Path::new), name)?;
        let failed = || format!("cannot write {}", path.display());
        let mut sink = Sink::open(&path, reader.entry().mode & 0o777, args.no_clobber).wrap_err_with(failed)?;
        while let Some(chunk) = reader.recv().await? {
            sink.file().write_all(&chunk).wrap_err_with(failed)?;
            if let Some(bar) = &bar {
                bar.inc(chunk.len() as u64);
            }
        }
        sink.finish(!args.no_clobber).wrap_err_with(failed)?;
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(())
}

/// Where a file goes here: a directory takes it under its own name.
fn target(local: Option<&Path>, name: &OsStr) -> Result<PathBuf> {
    let Some(local) = local else { return Ok(name.into()) };
    if !local.is_dir() && !ends_as_directory(local) {
        return Ok(local.into());
    }
    let path = local.join(name);
    if path.is_dir() {
        bail!("{} is a directory, and is not replaced", path.display());
    }
    Ok(path)
}

/// What a file is written into: one that is replaced as a whole, or a device or pipe that takes it as it comes.
enum Sink {
    Whole(Box<Replacement>),
    Stream(File),
}

impl Sink {
    fn open(path: &Path, mode: u32, is_new: bool) -> io::Result<Sink> {
        let there = std::fs::metadata(path);
        let is_stream = |meta: &std::fs::Metadata| {
            let kind = meta.file_type();
            kind.is_char_device() || kind.is_fifo()
        };
        if there.as_ref().is_ok_and(is_stream) {
            return File::options().write(true).open(path).map(Sink::Stream);
        }
        if is_new && there.is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // A link is followed, or a file would take its place.
        let path = if there.is_ok() { std::fs::canonicalize(path)? } else { path.to_path_buf() };
        let access = match there {
            Ok(meta) if meta.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => {
                rustix::fs::access(&path, rustix::fs::Access::WRITE_OK)?;
                Access::Like(rustix::fs::stat(&path)?)
            }
            Err(_) => Access::New(mode),
        };
        Replacement::at(&path, access).map(|replacement| Sink::Whole(Box::new(replacement)))
    }

    fn file(&mut self) -> &mut File {
        match self {
            Sink::Whole(replacement) => replacement.file(),
            Sink::Stream(file) => file,
        }
    }

    fn finish(self, may_replace: bool) -> io::Result<()> {
        match self {
            Sink::Whole(replacement) => replacement.commit(may_replace),
            Sink::Stream(mut file) => file.flush(),
        }
    }
}

/// How far it is, for somebody who watches.
fn bar(len: Option<u64>, is_quiet: bool) -> Option<ProgressBar> {
    if is_quiet || !io::stderr().is_terminal() || len.is_some_and(|len| len < BAR_FROM) {
        return None;
    }
    let (bar, template) = match len {
        Some(len) => (ProgressBar::new(len), "{bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}"),
        None => (ProgressBar::no_length(), "{bytes}  {bytes_per_sec}"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    Some(bar.with_style(style))
}

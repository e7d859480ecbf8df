//! Files of machines: listed, read, written, moved and searched where they are.

mod options;
mod talk;
mod transfer;

pub use options::{
    Deleted, FileMatch, FilePage, LineMatch, ListOptions, ReadOptions, SearchOptions, SearchResult, WriteOptions,
};
pub use transfer::{FileReader, FileWriter};

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Client, Error};
use crate::fleet::{FileEntry, Machine, MachineId, cleaned};
use crate::stream::EXEC_CHUNK_CAP;
use crate::wire::{self, v1};
use talk::Talk;
use v1::file_down::Frame as Down;
use v1::file_start::Request;

/// Longest file that [`Files::read`] takes into memory; [`Files::open`] streams longer ones.
pub const FILE_READ_CAP: u64 = 256 * 1024 * 1024;

/// Files of a client's machines; see [`Client::files`].
///
/// Paths are absolute, or begin at the home of the user that the machine's agent runs as (`notes.txt`, `~/notes.txt`). The
/// machine's own rules say who may read and write where, of what a path really leads to.
#[derive(Clone)]
pub struct Files {
    client: Client,
    machine: Option<MachineId>,
}

impl Client {
    /// Files of the machine that is selected, or of the one that [`Files::on`] names.
    ///
    /// ```no_run
    /// # use fleetmux::client::{Client, Error};
    /// # async fn example(client: Client) -> Result<(), Error> {
    /// client.files().set_machine("web-1").await?;
    /// for entry in client.files().list("/var/log").await? {
    ///     println!("{} {:>9} {:?}", entry.mode_text(), entry.size, entry.name());
    /// }
    /// let motd = client.files().read("/etc/motd").await?;
    /// client.files().write("/tmp/motd.copy", motd).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn files(&self) -> Files {
        Files { client: self.clone(), machine: None }
    }
}

impl Files {
    /// Those of another machine than the selected one.
    pub fn on(&self, machine: MachineId) -> Files {
        Files { client: self.client.clone(), machine: Some(machine) }
    }

    /// Selects the machine for what follows, as [`super::Terminal::set_machine`] does.
    ///
    /// # Errors
    /// [`Error::MachineNotFound`], or [`Error::Ambiguous`] with the candidates.
    pub async fn set_machine(&self, name: &str) -> Result<Machine, Error> {
        self.client.terminal().set_machine(name).await
    }

    /// All entries of a directory but hidden ones, sorted by name.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::PermissionDenied`], [`Error::Invalid`] if it is no directory; and those of every
    /// call: [`Error::MachineNotFound`], [`Error::MachineOffline`], [`Error::Unavailable`].
    pub async fn list(&self, path: impl AsRef<Path>) -> Result<Vec<FileEntry>, Error> {
        let options = ListOptions { page_size: 0, ..ListOptions::default() };
        Ok(self.list_with(path, options).await?.entries)
    }

    /// A page of a directory.
    ///
    /// # Errors
    /// As for [`Files::list`].
    pub async fn list_with(&self, path: impl AsRef<Path>, options: ListOptions) -> Result<FilePage, Error> {
        let list = v1::FileList {
            path: wire::path(path.as_ref()),
            hidden: options.include_hidden,
            after: options.page_token.unwrap_or_default(),
            limit: options.page_size,
        };
        let mut talk = self.begin(Request::List(list)).await?;
        let mut entries = Vec::new();
        let done = talk
            .until_done(|frame| {
                if let Down::Entries(more) = frame {
                    entries.extend(more.entries.into_iter().map(wire::file_entry_from));
                }
            })
            .await?;
        Ok(FilePage::new(entries, &done))
    }

    /// A whole file of up to [`FILE_READ_CAP`].
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::PermissionDenied`], [`Error::Invalid`] if it is no file,
    /// [`Error::Exhausted`] if it is too long.
    pub async fn read(&self, path: impl AsRef<Path>) -> Result<Bytes, Error> {
        let path = path.as_ref();
        let mut reader = self.open(path, ReadOptions::default()).await?;
        let mut contents = BytesMut::new();
        while let Some(chunk) = reader.recv().await? {
            if (contents.len() + chunk.len()) as u64 > FILE_READ_CAP {
                let message = format!("{path:?} is longer than {FILE_READ_CAP} bytes; `open` streams it");
                return Err(Error::Exhausted(message));
            }
            contents.extend_from_slice(&chunk);
        }
        Ok(contents.freeze())
    }

    /// Opens a file, or a part of it, to be read a chunk at a time. What is not read stops the machine, and nothing else.
    ///
    /// # Errors
    /// As for [`Files::read`].
    pub async fn open(&self, path: impl AsRef<Path>, options: ReadOptions) -> Result<FileReader, Error> {
        let read = v1::FileRead {
            path: wire::path(path.as_ref()),
            offset: options.offset,
            // No bytes at all are not the whole file: one is read and thrown away.
            length: options.length.map_or(0, |length| length.max(1)),
        };
        FileReader::open(self.begin(Request::Read(read)).await?, options.length).await
    }

    /// Writes a whole file: the one that is there is replaced when all has come and is on the disk, or not at all.
    ///
    /// # Errors
    /// [`Error::FileNotFound`] if the directory is missing, [`Error::PermissionDenied`], [`Error::Exhausted`] if the disk
    /// is full, [`Error::Invalid`] if it is a directory or a device.
    pub async fn write(&self, path: impl AsRef<Path>, contents: impl Into<Bytes>) -> Result<FileEntry, Error> {
        let mut writer = self.create(path, WriteOptions::default()).await?;
        writer.write(contents.into()).await?;
        writer.finish().await
    }

    /// Begins a file that is written a chunk at a time; dropped before [`FileWriter::finish`], it never was.
    ///
    /// # Errors
    /// As for [`Files::write`], and [`Error::FileExists`] if it is there and not to be replaced.
    pub async fn create(&self, path: impl AsRef<Path>, options: WriteOptions) -> Result<FileWriter, Error> {
        let write = v1::FileWrite {
            path: wire::path(path.as_ref()),
            overwrite: options.overwrite,
            parents: options.create_parents,
            mode: options.mode.unwrap_or(0),
        };
        FileWriter::open(self.begin(Request::Write(write)).await?).await
    }

    /// What a path leads to.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::PermissionDenied`].
    pub async fn stat(&self, path: impl AsRef<Path>) -> Result<FileEntry, Error> {
        self.entry(Request::Stat(v1::FileStat { path: wire::path(path.as_ref()), follow: true })).await
    }

    /// The same, of a link itself.
    ///
    /// # Errors
    /// As for [`Files::stat`].
    pub async fn stat_link(&self, path: impl AsRef<Path>) -> Result<FileEntry, Error> {
        self.entry(Request::Stat(v1::FileStat { path: wire::path(path.as_ref()), follow: false })).await
    }

    /// Makes a directory; with `parents` those that lead to it too, and one that is there is no error.
    ///
    /// # Errors
    /// [`Error::FileExists`], [`Error::FileNotFound`] if the directory above is missing, [`Error::PermissionDenied`].
    pub async fn mkdir(&self, path: impl AsRef<Path>, parents: bool) -> Result<FileEntry, Error> {
        let path = wire::path(path.as_ref());
        self.entry(Request::MakeDirectory(v1::FileMakeDirectory { path, parents })).await
    }

    /// Removes a file, a link or an empty directory; `recursive`: a directory with all that is in it.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::PermissionDenied`], [`Error::Invalid`] if a directory is not empty.
    pub async fn delete(&self, path: impl AsRef<Path>, recursive: bool) -> Result<Deleted, Error> {
        let done = self.done(Request::Remove(v1::FileRemove { path: wire::path(path.as_ref()), recursive })).await?;
        Ok(Deleted { files: done.files, directories: done.directories })
    }

    /// Gives a file or directory another name or place on its machine.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::PermissionDenied`], [`Error::FileExists`] unless it may be replaced.
    pub async fn move_to(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        overwrite: bool,
    ) -> Result<FileEntry, Error> {
        let (from, to) = (wire::path(from.as_ref()), wire::path(to.as_ref()));
        self.entry(Request::Rename(v1::FileRename { from, to, overwrite })).await
    }

    /// Copies a file on its machine; `recursive`: a directory with all that is in it.
    ///
    /// # Errors
    /// As for [`Files::move_to`], and [`Error::Exhausted`] if the disk is full.
    pub async fn copy(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        overwrite: bool,
        recursive: bool,
    ) -> Result<FileEntry, Error> {
        let (from, to) = (wire::path(from.as_ref()), wire::path(to.as_ref()));
        self.entry(Request::Copy(v1::FileCopy { from, to, overwrite, recursive })).await
    }

    /// Looks for files by name and by what is in them. What may not be read is passed by.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::PermissionDenied`], [`Error::Invalid`] if a pattern makes no sense.
    pub async fn search(&self, path: impl AsRef<Path>, options: SearchOptions) -> Result<SearchResult, Error> {
        let mut talk = self.begin(Request::Search(options.request(path.as_ref()))).await?;
        let mut matches = Vec::new();
        let done = talk
            .until_done(|frame| {
                if let Down::Matches(more) = frame {
                    matches.extend(more.matches.into_iter().filter_map(FileMatch::from_wire));
                }
            })
            .await?;
        Ok(SearchResult {
            matches,
            is_truncated: done.more,
            files: done.files,
            directories: done.directories,
            duration: Duration::from_millis(done.duration_ms),
        })
    }

    /// The machine's own rules that are about this client, in words, each with its number in the file. They say why something is
    /// denied; needs the action observe.
    ///
    /// # Errors
    /// [`Error::MachineOffline`], [`Error::PermissionDenied`], [`Error::Invalid`] for an agent that is too old to tell.
    pub async fn rules(&self) -> Result<MachineRules, Error> {
        let mut told = None;
        let mut talk = self.begin(Request::Rules(v1::MachineRulesRequest {})).await?;
        talk.until_done(|frame| {
            if let Down::Rules(rules) = frame {
                told = Some(rules);
            }
        })
        .await?;
        let told = told.ok_or_else(|| Error::Refused("the machine told no rules".into()))?;
        let line = |text: String| cleaned(text, RULE_CAP);
        Ok(MachineRules {
            file: line(told.file),
            is_default_allow: told.default_allow,
            broken: Some(line(told.broken)).filter(|why| !why.is_empty()),
            rules: told.rules.into_iter().map(|rule| (rule.number, line(rule.text))).collect(),
            is_none: told.none,
        })
    }

    async fn begin(&self, request: Request) -> Result<Talk, Error> {
        let machine = self.machine.or(self.client.machine());
        let no_machine = || Error::MachineNotFound(super::terminal::NO_MACHINE.into());
        Talk::begin(&self.client, machine.ok_or_else(no_machine)?, request).await
    }

    async fn done(&self, request: Request) -> Result<v1::FileDone, Error> {
        self.begin(request).await?.until_done(|_| {}).await
    }

    async fn entry(&self, request: Request) -> Result<FileEntry, Error> {
        let entry = self.done(request).await?.entry;
        entry.map(wire::file_entry_from).ok_or_else(|| Error::Refused("the machine told nothing of the file".into()))
    }
}

/// Characters of a rule that are shown.
const RULE_CAP: usize = 4096;

/// A machine's own rules, as far as they are about this client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineRules {
    /// Where they are on the machine.
    pub file: String,
    /// What no rule covers is allowed.
    pub is_default_allow: bool,
    /// Why none are in force, and everything is denied.
    pub broken: Option<String>,
    /// Number in the file and words of each: `allow key:ci observe,exec command="uptime"`.
    pub rules: Vec<(u32, String)>,
    /// The machine has no file of rules: everything that the relay lets through is allowed.
    pub is_none: bool,
}

/// What is sent in one frame.
fn pieces(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!data.is_empty()).then(|| data.split_to(data.len().min(EXEC_CHUNK_CAP))))
}

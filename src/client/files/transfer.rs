//! Files that are read or written a chunk at a time.

use bytes::Bytes;

use super::pieces;
use super::talk::Talk;
use crate::client::Error;
use crate::fleet::FileEntry;
use crate::wire::{self, v1};
use v1::file_down::Frame as Down;

/// A file being read; see [`super::Files::open`].
pub struct FileReader {
    talk: Talk,
    entry: FileEntry,
    left: Option<u64>,
    end: Option<End>,
}

#[derive(Clone, Copy)]
struct End {
    is_truncated: bool,
}

impl FileReader {
    pub(super) async fn open(mut talk: Talk, length: Option<u64>) -> Result<FileReader, Error> {
        match talk.recv().await? {
            Down::Opened(entry) => {
                Ok(FileReader { talk, entry: wire::file_entry_from(entry), left: length, end: None })
            }
            _ => Err(Error::Refused("something else came where a file was due".into())),
        }
    }

    /// The file as it was when it was opened.
    pub fn entry(&self) -> &FileEntry {
        &self.entry
    }

    /// The next chunk; `None` after the last one. Cancel-safe.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, Error> {
        while self.end.is_none() {
            match self.talk.recv().await? {
                Down::Data(mut chunk) => {
                    if let Some(left) = &mut self.left {
                        chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                        *left -= chunk.len() as u64;
                    }
                    if !chunk.is_empty() {
                        return Ok(Some(chunk));
                    }
                }
                Down::Done(done) => self.end = Some(End { is_truncated: done.more }),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether the file goes on behind the part that was asked for; known after the last chunk.
    pub fn is_truncated(&self) -> bool {
        self.end.is_some_and(|end| end.is_truncated)
    }
}

/// A file being written; see [`super::Files::create`].
pub struct FileWriter {
    talk: Talk,
}

impl FileWriter {
    pub(super) async fn open(mut talk: Talk) -> Result<FileWriter, Error> {
        match talk.recv().await? {
            Down::Opened(_) => Ok(FileWriter { talk }),
            _ => Err(Error::Refused("something else came where a file was due".into())),
        }
    }

    /// Writes, waiting while the machine's disk does not keep up.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if the disk is full, [`Error::Unavailable`] if the connection is lost: the file stays as it was.
    pub async fn write(&mut self, data: Bytes) -> Result<(), Error> {
        for piece in pieces(data) {
            self.talk.send(piece).await?;
        }
        Ok(())
    }

    /// Puts the file in its place, and returns once it is on the machine's disk.
    ///
    /// # Errors
    /// As for [`FileWriter::write`]. When the connection is lost here the file may be the old or the new one, and never
    /// anything in between.
    pub async fn finish(mut self) -> Result<FileEntry, Error> {
        self.talk.commit().await?;
        let entry = self.talk.until_done(|_| {}).await?.entry;
        entry.map(wire::file_entry_from).ok_or_else(|| Error::Refused("the machine told nothing of the file".into()))
    }
}

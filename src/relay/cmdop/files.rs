//! Files of a machine, for the SDKs: each call is one native request, by the same caller.

use bytes::{Bytes, BytesMut};
use tonic::Status;

use super::entries::{entry_of, match_of, text_of, type_of};
use super::{Call, Facade, not_offered};
use crate::fleet::{Action, Code, Refusal};
use crate::relay::files::{Requests, begin};
use crate::relay::lane::{DownRx, Running};
use crate::stream::{CreditIn, CreditOut, EXEC_CHUNK_CAP, FILE_WINDOW};
use crate::wire::cmdop::*;
use crate::wire::{self, v1};
use v1::file_down::Frame as Down;
use v1::file_start::Request;
use v1::file_up::Frame as Up;

/// Entries of a page that asks for no size, and the most that one may ask for.
const PAGE: (u32, u32) = (100, 5000);
/// Bytes of a file in one answer: what the SDKs take.
const READ_CAP: u64 = 50_000_000;
/// Bytes of any answer, before it is put together for the SDKs.
const ANSWER_CAP: u64 = 64 * 1024 * 1024;
/// Files that a search without a bound finds at most.
const MATCHES: u32 = 100;

/// A native request under way; dropped, it is called off.
struct Talk {
    running: Running<Requests>,
    down_rx: DownRx<Requests>,
    credit: CreditIn,
    window: CreditOut,
    /// Bytes that the machine may still answer with: credit is given for each, and none of them is passed on before the last.
    left: u64,
}

impl Talk {
    async fn begin(
        facade: &Facade,
        call: &Call,
        session: &str,
        action: Action,
        request: Request,
    ) -> Result<Talk, Status> {
        let place = facade.place(call, session).await?;
        facade.may(call, &place, action).await?;
        let machine = Bytes::copy_from_slice(place.machine.facts.id.as_bytes());
        let start = v1::FileStart { machine, request: Some(request) };
        let begun = begin(&facade.inner.events_tx, &call.caller, &facade.inner.auth, start).await;
        let (running, down_rx) = begun.map_err(|refusal| status(&refusal))?;
        let (credit, window) = (CreditIn::new(FILE_WINDOW), CreditOut::new(FILE_WINDOW));
        Ok(Talk { running, down_rx, credit, window, left: ANSWER_CAP })
    }

    async fn recv(&mut self) -> Result<Down, Status> {
        loop {
            let down =
                self.down_rx.recv().await.ok_or_else(|| Status::unavailable("the link to the machine was lost"))??;
            match down.frame {
                Some(Down::Refused(refused)) => return Err(status(&wire::refusal_from(&refused))),
                Some(Down::Credit(credit)) => self.window.grant(credit),
                Some(frame) => {
                    let len = wire::file_frame_len(&frame).unwrap_or_default();
                    let Some(left) = self.left.checked_sub(len as u64) else {
                        return Err(Status::internal(
                            "the machine sent more than it was asked for; its agent may be broken",
                        ));
                    };
                    self.left = left;
                    if let Some(credit) = self.credit.consume(len) {
                        self.running.up(Up::Credit(credit));
                    }
                    return Ok(frame);
                }
                None => {}
            }
        }
    }

    async fn until_done(&mut self, mut take: impl FnMut(Down)) -> Result<v1::FileDone, Status> {
        loop {
            match self.recv().await? {
                Down::Done(done) => return Ok(done),
                frame => take(frame),
            }
        }
    }

    /// Sends what is to be in a file, as fast as the machine takes it.
    async fn write(&mut self, mut content: Bytes) -> Result<(), Status> {
        while !content.is_empty() {
            while !self.window.is_open() {
                let down = self.down_rx.recv().await;
                let down = down.ok_or_else(|| Status::unavailable("the link to the machine was lost"))??;
                match down.frame {
                    Some(Down::Credit(credit)) => self.window.grant(credit),
                    Some(Down::Refused(refused)) => return Err(status(&wire::refusal_from(&refused))),
                    _ => {}
                }
            }
            let piece = content.split_to(content.len().min(EXEC_CHUNK_CAP));
            self.window.spend(piece.len());
            self.running.up(Up::Data(piece));
        }
        self.running.up(Up::Commit(v1::FileCommit {}));
        Ok(())
    }
}

/// What the SDKs make the right exceptions of; of some codes they do not show the sentence.
fn status(refusal: &Refusal) -> Status {
    match refusal.code {
        Code::Invalid | Code::Exhausted | Code::Internal => Status::failed_precondition(refusal.message.clone()),
        _ => wire::status_of(refusal),
    }
}

fn path(path: String) -> Bytes {
    Bytes::from(path)
}

fn must_be_named(path: &str) -> Result<(), Status> {
    if path.is_empty() { Err(Status::invalid_argument("the path is empty")) } else { Ok(()) }
}

fn int(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(number: i32, otherwise: u32) -> u32 {
    u32::try_from(number).ok().filter(|number| *number > 0).unwrap_or(otherwise)
}

fn from_start(number: i64, what: &str) -> Result<u64, Status> {
    u64::try_from(number).map_err(|_| Status::invalid_argument(format!("{what} is less than nothing")))
}

pub(super) async fn list(
    facade: Facade,
    call: Call,
    request: FileListDirectoryRpcRequest,
) -> Result<FileListDirectoryRpcResponse, Status> {
    let limit = count(request.page_size, PAGE.0).min(PAGE.1);
    let after = token_from(&request.page_token)?;
    let list = v1::FileList { path: path(request.path), hidden: request.include_hidden, after, limit };
    let mut talk = Talk::begin(&facade, &call, &request.session_id, Action::Read, Request::List(list)).await?;
    let mut entries = Vec::new();
    let done = talk
        .until_done(|frame| {
            if let Down::Entries(more) = frame {
                entries.extend(more.entries.into_iter().map(wire::file_entry_from));
            }
        })
        .await?;
    let last = entries.last().filter(|_| done.more);
    let result = FileListDirectoryResult {
        current_path: done.entry.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).unwrap_or_default(),
        next_page_token: last.map(|entry| token(entry.name())).unwrap_or_default(),
        entries: entries.iter().map(entry_of).collect(),
        total_count: int(done.total),
        has_more: done.more,
    };
    Ok(FileListDirectoryRpcResponse { success: true, error: String::new(), result: Some(result) })
}

/// A page goes on behind a name, which may be any bytes.
fn token(name: &std::ffi::OsStr) -> String {
    use base64::Engine;
    use std::os::unix::ffi::OsStrExt;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(name.as_bytes())
}

fn token_from(token: &str) -> Result<Bytes, Status> {
    use base64::Engine;
    let name = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token);
    name.map(Bytes::from).map_err(|_| Status::invalid_argument("this is no page token of this relay's"))
}

pub(super) async fn read(
    facade: Facade,
    call: Call,
    request: FileReadRpcRequest,
) -> Result<FileReadRpcResponse, Status> {
    must_be_named(&request.path)?;
    let (offset, length) = (from_start(request.offset, "the offset")?, from_start(request.length, "the length")?);
    let wanted = if length == 0 { READ_CAP } else { length.min(READ_CAP) };
    let read = v1::FileRead { path: path(request.path.clone()), offset, length: wanted };
    let mut talk = Talk::begin(&facade, &call, &request.session_id, Action::Read, Request::Read(read)).await?;
    talk.left = wanted;
    let mut content = BytesMut::new();
    let mut total_size = 0;
    let done = talk
        .until_done(|frame| match frame {
            Down::Opened(entry) => total_size = entry.size,
            Down::Data(data) => content.extend_from_slice(&data),
            _ => {}
        })
        .await?;
    if done.more && (length == 0 || length > READ_CAP) {
        let message = format!("the file is longer than {READ_CAP} bytes; read it in parts, with offset and length");
        return Err(Status::failed_precondition(message));
    }
    let (mime_type, viewer_type) = type_of(std::path::Path::new(&request.path));
    let encoding = if std::str::from_utf8(&content).is_ok() { "utf-8" } else { "binary" };
    let result = FileReadResult {
        content: content.freeze(),
        encoding: encoding.into(),
        total_size: long(total_size),
        mime_type: mime_type.into(),
        is_truncated: done.more,
        viewer_type: viewer_type.into(),
        is_transcoded: false,
        transcode_complete: false,
    };
    Ok(FileReadRpcResponse { success: true, error: String::new(), result: Some(result) })
}

pub(super) async fn write(
    facade: Facade,
    call: Call,
    request: FileWriteRpcRequest,
) -> Result<FileWriteRpcResponse, Status> {
    must_be_named(&request.path)?;
    // One of the SDKs means to overwrite and never says so; the other cannot be told from it.
    let write = v1::FileWrite { path: path(request.path), overwrite: true, parents: request.create_parents, mode: 0 };
    let mut talk = Talk::begin(&facade, &call, &request.session_id, Action::Files, Request::Write(write)).await?;
    talk.write(request.content).await?;
    let done = talk.until_done(|_| {}).await?;
    let result = FileWriteResult { bytes_written: long(done.bytes), entry: entry(&done) };
    Ok(FileWriteRpcResponse { success: true, error: String::new(), result: Some(result) })
}

fn entry(done: &v1::FileDone) -> Option<StreamFileEntry> {
    done.entry.clone().map(|entry| entry_of(&wire::file_entry_from(entry)))
}

/// A request that sends and gets no contents.
async fn simple(
    facade: &Facade,
    call: &Call,
    session: &str,
    action: Action,
    request: Request,
) -> Result<v1::FileDone, Status> {
    Talk::begin(facade, call, session, action, request).await?.until_done(|_| {}).await
}

pub(super) async fn create_directory(
    facade: Facade,
    call: Call,
    request: FileCreateDirectoryRpcRequest,
) -> Result<FileCreateDirectoryRpcResponse, Status> {
    must_be_named(&request.path)?;
    let make = v1::FileMakeDirectory { path: path(request.path), parents: request.create_parents };
    let done = simple(&facade, &call, &request.session_id, Action::Files, Request::MakeDirectory(make)).await?;
    let result = FileCreateDirectoryResult { entry: entry(&done) };
    Ok(FileCreateDirectoryRpcResponse { success: true, error: String::new(), result: Some(result) })
}

pub(super) async fn delete(
    facade: Facade,
    call: Call,
    request: FileDeleteRpcRequest,
) -> Result<FileDeleteRpcResponse, Status> {
    must_be_named(&request.path)?;
    let remove = v1::FileRemove { path: path(request.path), recursive: request.recursive };
    let done = simple(&facade, &call, &request.session_id, Action::Files, Request::Remove(remove)).await?;
    let deleted_path = done.entry.map(|entry| text_of(&wire::path_from(&entry.path))).unwrap_or_default();
    let result = FileDeleteResult { deleted_path, files_deleted: int(done.files), dirs_deleted: int(done.directories) };
    Ok(FileDeleteRpcResponse { success: true, error: String::new(), result: Some(result) })
}

pub(super) async fn rename(
    facade: Facade,
    call: Call,
    request: FileMoveRpcRequest,
) -> Result<FileMoveRpcResponse, Status> {
    must_be_named(&request.source_path)?;
    must_be_named(&request.destination_path)?;
    let (from, to) = (path(request.source_path), path(request.destination_path));
    let rename = v1::FileRename { from, to, overwrite: request.overwrite };
    let done = simple(&facade, &call, &request.session_id, Action::Files, Request::Rename(rename)).await?;
    let result = FileMoveResult { entry: entry(&done) };
    Ok(FileMoveRpcResponse { success: true, error: String::new(), result: Some(result) })
}

pub(super) async fn copy(
    facade: Facade,
    call: Call,
    request: FileCopyRpcRequest,
) -> Result<FileCopyRpcResponse, Status> {
    must_be_named(&request.source_path)?;
    must_be_named(&request.destination_path)?;
    let (from, to) = (path(request.source_path), path(request.destination_path));
    // One of the SDKs cannot ask for directories and means them.
    let copy = v1::FileCopy { from, to, overwrite: request.overwrite, recursive: true };
    let done = simple(&facade, &call, &request.session_id, Action::Files, Request::Copy(copy)).await?;
    let result = FileCopyResult { entry: entry(&done), bytes_copied: long(done.bytes) };
    Ok(FileCopyRpcResponse { success: true, error: String::new(), result: Some(result) })
}

pub(super) async fn info(
    facade: Facade,
    call: Call,
    request: FileGetInfoRpcRequest,
) -> Result<FileGetInfoRpcResponse, Status> {
    must_be_named(&request.path)?;
    let stat = v1::FileStat { path: path(request.path), follow: false };
    let done = simple(&facade, &call, &request.session_id, Action::Read, Request::Stat(stat)).await?;
    let result = FileGetInfoResult { entry: entry(&done) };
    Ok(FileGetInfoRpcResponse { success: true, error: String::new(), result: Some(result) })
}

pub(super) async fn archive(
    _facade: Facade,
    _call: Call,
    _request: FileCreateArchiveRpcRequest,
) -> Result<FileCreateArchiveRpcResponse, Status> {
    Err(not_offered("archives; make one with `tar` in a session"))
}

pub(super) async fn search(
    facade: Facade,
    call: Call,
    request: FileSearchRpcRequest,
) -> Result<FileSearchRpcResponse, Status> {
    let search = v1::FileSearch {
        path: path(request.path),
        name: request.filename_pattern,
        content: request.content_pattern,
        case_sensitive: request.case_sensitive,
        hidden: request.include_hidden,
        limit: count(request.max_results, MATCHES),
        depth: count(request.max_depth, 0),
        context: count(request.context_lines, 0),
    };
    let mut talk = Talk::begin(&facade, &call, &request.session_id, Action::Read, Request::Search(search)).await?;
    let mut matches = Vec::new();
    let done = talk
        .until_done(|frame| {
            if let Down::Matches(more) = frame {
                matches.extend(more.matches.into_iter().filter_map(match_of));
            }
        })
        .await?;
    let result = FileSearchResult {
        total_matches: int(matches.len() as u64),
        matches,
        truncated: done.more,
        search_path: done.entry.map(|entry| text_of(&wire::path_from(&entry.path))).unwrap_or_default(),
        files_scanned: long(done.files),
        duration_ms: long(done.duration_ms),
    };
    Ok(FileSearchRpcResponse { success: true, error: String::new(), result: Some(result) })
}

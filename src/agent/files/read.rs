//! Reading a file, a chunk at a time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use bytes::{Bytes, BytesMut};
use rustix::fs::OFlags;

use super::entry::Names;
use super::job::{Job, Stop};
use super::list::must_be_file;
use crate::agent::permissions::Action;
use crate::stream::EXEC_CHUNK_CAP;
use crate::wire::v1;
use v1::file_down::Frame as Down;

pub(super) fn read(job: &Job, read: &v1::FileRead) -> Result<v1::FileDone, Stop> {
    let asked = job.guard.absolute(&read.path)?;
    let found = job.guard.find(Action::Read, &asked, true)?;
    must_be_file(job, &found)?;
    let fail = |err: std::io::Error| job.guard.refusal(&asked, &err);
    let mut file = File::from(found.open(OFlags::RDONLY).map_err(fail)?);
    let entry = Names::default().found(&found);
    job.tell(Down::Opened(entry.clone()))?;
    // Beyond what a file can be there is nothing, as behind its end.
    if read.offset > 0 && file.seek(SeekFrom::Start(read.offset)).is_err() {
        return Ok(v1::FileDone { entry: Some(entry), ..Default::default() });
    }
    let mut left = if read.length == 0 { u64::MAX } else { read.length };
    let mut bytes = 0;
    while left > 0 {
        let chunk = chunk(&mut file, left.min(EXEC_CHUNK_CAP as u64) as usize).map_err(fail)?;
        if chunk.is_empty() {
            break;
        }
        left -= chunk.len() as u64;
        bytes += chunk.len() as u64;
        job.tell(Down::Data(chunk))?;
    }
    let more = left == 0 && !chunk(&mut file, 1).map_err(fail)?.is_empty();
    Ok(v1::FileDone { entry: Some(entry), bytes, more, ..Default::default() })
}

/// So many bytes, or fewer at the end.
fn chunk(file: &mut File, len: usize) -> std::io::Result<Bytes> {
    let mut chunk = BytesMut::zeroed(len);
    let mut filled = 0;
    while filled < len {
        match file.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    chunk.truncate(filled);
    Ok(chunk.freeze())
}

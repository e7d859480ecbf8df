//! The contents of a file into another one, holes as holes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Bytes copied between two looks whether somebody still waits.
const STEP: u64 = 8 * 1024 * 1024;
/// What `st_blocks` counts in, on every file system.
const BLOCK: u64 = 512;

/// Copies everything; `go_on` is asked before each step. How long the copy is, its holes included.
pub(super) fn copy_contents<E: From<io::Error>>(
    from: &File,
    to: &mut File,
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<u64, E> {
    let meta = from.metadata()?;
    // Files that are made up as they are read have no blocks and no length, and cannot be asked where their data is.
    let has_holes = meta.len() > 0 && meta.blocks() * BLOCK < meta.len();
    if !has_holes {
        return copy_some(from, to, u64::MAX, &mut go_on);
    }
    let mut at = 0;
    loop {
        go_on()?;
        let Some((data, end)) = next_data(from, at)? else {
            // Nothing but a hole is left; one that was cut meanwhile is as long as it is now.
            let len = from.metadata()?.len().max(at);
            to.set_len(len)?;
            return Ok(len);
        };
        seek(from, SeekFrom::Start(data)).map_err(io::Error::from)?;
        seek(&*to, SeekFrom::Start(data)).map_err(io::Error::from)?;
        at = data + copy_some(from, to, end - data, &mut go_on)?;
        if at < end {
            to.set_len(at)?;
            return Ok(at);
        }
    }
}

/// So many bytes from where both files are, or fewer at the end.
fn copy_some<E: From<io::Error>>(
    from: &File,
    to: &mut File,
    len: u64,
    go_on: &mut impl FnMut() -> Result<(), E>,
) -> Result<u64, E> {
    let mut done = 0;
    while done < len {
        go_on()?;
        // Within one file system the kernel copies by itself.
        let copied = io::copy(&mut from.take(STEP.min(len - done)), to)?;
        if copied == 0 {
            break;
        }
        done += copied;
    }
    Ok(done)
}

/// Where data begins and ends from a place on; `None` when there is no more. All the rest is data where nobody knows.
fn next_data(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some((data, seek(file, SeekFrom::Hole(data)).unwrap_or(u64::MAX)))),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::SPIPE) => Ok(Some((at, u64::MAX))),
        Err(err) => Err(err.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn copied(from: &File) -> File {
        let mut to = tempfile::tempfile().unwrap();
        let len = copy_contents::<io::Error>(from, &mut to, || Ok(())).unwrap();
        assert_eq!(len, to.metadata().unwrap().len());
        to
    }

    /// A file of 1 GiB with two pages in it became one that filled the disk.
    #[test]
    fn holes_stay_holes_and_data_stays_where_it_was() {
        let from = tempfile::tempfile().unwrap();
        from.set_len(1 << 30).unwrap();
        from.write_all_at(b"begin", 1 << 20).unwrap();
        from.write_all_at(b"middle", (1 << 29) + 7).unwrap();
        let to = copied(&from);
        let (old, new) = (from.metadata().unwrap(), to.metadata().unwrap());
        assert_eq!(new.len(), 1 << 30);
        assert!(new.blocks() <= old.blocks() + 64, "{} blocks, from {}", new.blocks(), old.blocks());
        let mut text = [0; 6];
        to.read_exact_at(&mut text, (1 << 29) + 7).unwrap();
        assert_eq!(&text, b"middle");
        to.read_exact_at(&mut text, 1 << 20).unwrap();
        assert_eq!(&text, b"begin\0");
    }

    #[test]
    fn files_of_every_shape_are_copied_whole() {
        let hole = tempfile::tempfile().unwrap();
        hole.set_len(100_000).unwrap();
        assert_eq!(copied(&hole).metadata().unwrap().blocks(), 0);
        let tail = tempfile::tempfile().unwrap();
        tail.write_all_at(b"x", 1_000_000).unwrap();
        assert_eq!(copied(&tail).metadata().unwrap().len(), 1_000_001);
        assert_eq!(copied(&tempfile::tempfile().unwrap()).metadata().unwrap().len(), 0);
        // It says that it is empty, and is not.
        let made_up = File::open("/proc/self/status").unwrap();
        assert!(copied(&made_up).metadata().unwrap().len() > 0);
        let plain = tempfile::tempfile().unwrap();
        plain.write_all_at(&[7; 100_000], 0).unwrap();
        let mut back = vec![0; 100_000];
        copied(&plain).read_exact_at(&mut back, 0).unwrap();
        assert_eq!(back, [7; 100_000]);
    }
}

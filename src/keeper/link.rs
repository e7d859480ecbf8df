//! The other end of a keeper's socket, for agents.

use std::io;
use std::path::Path;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::wire::{self, FrameError, HelloError, v1};
use v1::keeper_down::Frame;

/// Bytes asked from the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A keeper that cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket is dead or broke.
    #[error("the keeper's socket: {0}")]
    Io(#[from] io::Error),
    /// It broke the format.
    #[error("the keeper sent a {0}")]
    Frame(#[from] FrameError),
    /// It is too old or too new.
    #[error("{0}")]
    Hello(#[from] HelloError),
    /// It closed the link.
    #[error("the keeper closed the link")]
    Closed,
}

/// Frames from a keeper.
pub struct LinkReader {
    /// The keeper's process id; 0 if the system does not tell.
    pub pid: u32,
    half: OwnedReadHalf,
    buffer: BytesMut,
}

/// Frames to a keeper.
pub struct LinkWriter {
    half: OwnedWriteHalf,
    buffer: BytesMut,
}

/// Connects to a keeper and learns what its session is.
pub async fn connect(socket: &Path) -> Result<(v1::SessionInfo, LinkReader, LinkWriter), LinkError> {
    let stream = UnixStream::connect(socket).await?;
    let own = rustix::process::getuid().as_raw();
    if stream.peer_cred().is_ok_and(|peer| peer.uid() != own) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user's process listens there").into());
    }
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    let (read, write) = stream.into_split();
    let mut reader = LinkReader { pid: pid.unwrap_or(0), half: read, buffer: BytesMut::new() };
    let mut writer = LinkWriter { half: write, buffer: BytesMut::new() };
    let frame = v1::session_up::Frame::Hello(wire::hello());
    writer.push(&v1::SessionUp { client: Default::default(), frame: Some(frame) });
    writer.flush().await?;
    loop {
        match reader.frame().await?.frame {
            Some(Frame::Hello(hello)) => wire::check_hello(&hello)?,
            Some(Frame::Info(info)) => return Ok((info, reader, writer)),
            _ => {}
        }
    }
}

impl LinkReader {
    /// The next session frame; waits for one.
    pub async fn next(&mut self) -> Result<v1::SessionDown, LinkError> {
        loop {
            if let Some(Frame::Down(down)) = self.frame().await?.frame {
                return Ok(down);
            }
        }
    }

    /// The next session frame that is here already.
    pub fn next_here(&mut self) -> Result<Option<v1::SessionDown>, LinkError> {
        while let Some(frame) = wire::read_frame::<v1::KeeperDown>(&mut self.buffer)? {
            if let Some(Frame::Down(down)) = frame.frame {
                return Ok(Some(down));
            }
        }
        Ok(None)
    }

    async fn frame(&mut self) -> Result<v1::KeeperDown, LinkError> {
        loop {
            if let Some(frame) = wire::read_frame(&mut self.buffer)? {
                return Ok(frame);
            }
            self.buffer.reserve(READ_BYTES);
            if self.half.read_buf(&mut self.buffer).await? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }
}

impl LinkWriter {
    /// Queues a frame.
    pub fn push(&mut self, up: &v1::SessionUp) {
        wire::encode_frame(up, &mut self.buffer);
    }

    /// Writes what is queued.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.half.write_all_buf(&mut self.buffer).await
    }
}

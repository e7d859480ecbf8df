//! The keeper's socket and the links on it: non-blocking, framed, bounded.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use bytes::{Buf, BytesMut};
use rustix::io::Errno;

use super::core::LinkId;
use crate::config::paths;
use crate::wire::{self, v1};

/// Bytes waiting for a link before its frames are no longer read: a peer must take its answers before it may ask more.
const LINK_CAP: usize = 16 * 1024 * 1024;
/// Bytes taken from a link per turn.
const READ_CAP: usize = 64 * 1024;
/// Links at once; an agent, its successor, and a few curious ones.
const LINKS_CAP: usize = 16;

/// The listening socket; its file goes with it.
pub(super) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Binds the path, readable for its owner only.
    pub(super) fn bind(path: &Path) -> io::Result<Listener> {
        Ok(Listener { listener: listen(path)?, path: path.to_path_buf() })
    }

    /// Listens anew if its path is gone, and says whether it was. Whoever tidies up a runtime directory (systemd does at a
    /// logout) takes the sockets along, and a session that nobody finds is lost.
    pub(super) fn restore(&mut self) -> io::Result<bool> {
        match std::fs::symlink_metadata(&self.path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            _ => return Ok(false),
        }
        if let Some(dir) = self.path.parent() {
            paths::make_private_dir(dir)?;
        }
        self.listener = listen(&self.path)?;
        Ok(true)
    }

    /// The next peer of our own user, if one waits; others are turned away.
    pub(super) fn accept(&self, count: usize) -> Option<UnixStream> {
        let (stream, _) = self.listener.accept().ok()?;
        let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
        let own = rustix::process::getuid();
        let is_welcome = (peer.uid == own || peer.uid.is_root()) && count < LINKS_CAP;
        stream.set_nonblocking(true).ok()?;
        is_welcome.then_some(stream)
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One connected peer.
pub(super) struct Link {
    pub(super) id: LinkId,
    stream: UnixStream,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// The peer's hello was heard and understood.
    pub(super) is_open: bool,
    /// Frames that are here already wait until the peer has taken its answers.
    pub(super) is_held: bool,
    pub(super) is_dead: bool,
}

impl Link {
    pub(super) fn new(id: LinkId, stream: UnixStream) -> Link {
        let (incoming, outgoing) = (BytesMut::new(), BytesMut::new());
        Link { id, stream, incoming, outgoing, is_open: false, is_held: false, is_dead: false }
    }

    /// Whether there is something to write.
    pub(super) fn has_backlog(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether its frames may be read: it takes its answers.
    pub(super) fn may_ask(&self) -> bool {
        self.outgoing.len() < LINK_CAP
    }

    /// Puts a frame into the queue; [`Self::flush`] writes it.
    pub(super) fn send(&mut self, frame: v1::keeper_down::Frame) {
        if !self.is_dead {
            wire::encode_frame(&v1::KeeperDown { frame: Some(frame) }, &mut self.outgoing);
        }
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) {
        while !self.outgoing.is_empty() {
            match rustix::net::send(&self.stream, &self.outgoing, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => self.outgoing.advance(count),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.is_dead = true;
                    return;
                }
            }
        }
        // A keyframe's buffer is not kept for keystrokes.
        if self.outgoing.capacity() > READ_CAP {
            self.outgoing = BytesMut::new();
        }
    }

    /// Reads what is there.
    pub(super) fn read(&mut self) {
        // A frame is some bytes: clearing the buffer before would cost more than reading it.
        let mut piece = [MaybeUninit::<u8>::uninit(); 16 * 1024];
        let mut total = 0;
        while total < READ_CAP {
            match rustix::io::read(&self.stream, &mut piece) {
                Ok(([], _)) => {
                    self.is_dead = true;
                    break;
                }
                Ok((came, room)) => {
                    total += came.len();
                    self.incoming.extend_from_slice(came);
                    if !room.is_empty() {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.is_dead = true;
                    break;
                }
            }
        }
    }

    /// The next frame that was read, if it may be taken now; a malformed one ends the link.
    pub(super) fn next_frame(&mut self) -> Option<v1::SessionUp> {
        self.is_held = !self.may_ask();
        if self.is_held {
            return None;
        }
        wire::read_frame::<v1::SessionUp>(&mut self.incoming).unwrap_or_else(|err| {
            tracing::warn!(link = self.id, %err, "closing the link");
            self.is_dead = true;
            self.incoming.clear();
            None
        })
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

//! One accepted connection with its ticket: it ends when the table lets go of it, or when nobody shows a key in time.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::connections::{Connections, Ticket};
use super::limits::STRANGER_TIME;
use super::peer_user;
use crate::runtime::now_ms;
use crate::wire::{TlsServer, TlsStream};

/// Connections that were accepted and wait to be served.
const ACCEPTED_CAP: usize = 64;
/// Pause after somebody was let go of for want of descriptors.
const SHED_PAUSE: Duration = Duration::from_millis(2);
/// Pause after the system gave no connection and nobody could be let go of.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a call comes from: part of every request.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// `None` on a unix socket.
    pub(super) address: Option<SocketAddr>,
    /// The other end's user on a unix socket.
    pub(super) uid: Option<u32>,
    /// The other end's user, of a plain connection over a loopback address.
    pub(super) loopback_user: Option<u32>,
    pub(super) ticket: Arc<Ticket>,
}

/// A connection.
pub(super) struct Socket<S> {
    io: S,
    origin: Origin,
    /// While it is a stranger's.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Connections to be served.
pub(super) type Incoming<S> = ReceiverStream<io::Result<S>>;

impl<S> Socket<S> {
    fn new(io: S, address: Option<SocketAddr>, uid: Option<u32>, connections: &Connections) -> Socket<S> {
        let ticket = Arc::new(connections.stranger(address.map(|address| address.ip())));
        let deadline = Some(Box::pin(tokio::time::sleep(STRANGER_TIME)));
        Socket { io, origin: Origin { address, uid, loopback_user: None, ticket }, deadline }
    }

    /// Whether it may go on waiting.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let signals = &self.origin.ticket.signals;
        signals.register(cx.waker());
        if signals.is_let_go() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if signals.is_known() {
            self.deadline = None;
            return Poll::Pending;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(STRANGER_TIME)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.origin.ticket.signals.is_let_go() {
            return self.wait(cx);
        }
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending => self.wait(cx),
            read => {
                if buf.filled().len() > before {
                    self.origin.ticket.signals.heard(now_ms());
                }
                read
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(cx, data) {
            Poll::Pending => self.wait(cx),
            written => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write_vectored(cx, data) {
            Poll::Pending => self.wait(cx),
            written => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => self.wait(cx),
            flushed => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            Poll::Pending => self.wait(cx),
            shut => shut,
        }
    }
}

impl<S> Connected for Socket<S> {
    type ConnectInfo = Origin;

    fn connect_info(&self) -> Origin {
        self.origin.clone()
    }
}

/// Waits after the system gave no connection, for want of descriptors mostly.
async fn no_connection(err: &io::Error, connections: &Connections) {
    tracing::warn!(%err, "the system gives no connection");
    let is_short = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    // Whoever was let go of needs a moment to be gone.
    let is_made = is_short.contains(&err.raw_os_error()) && connections.shed();
    tokio::time::sleep(if is_made { SHED_PAUSE } else { ACCEPT_PAUSE }).await;
}

/// Accepts on a unix socket; users other than this one and root are hung up on.
pub(super) fn accept_unix(listener: UnixListener, connections: Connections) -> Incoming<Socket<UnixStream>> {
    let (accepted_tx, accepted_rx) = mpsc::channel(ACCEPTED_CAP);
    tokio::spawn(async move {
        let own = rustix::process::getuid().as_raw();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = accepted_tx.closed() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().map(|cred| cred.uid()).ok();
                    if uid.is_none_or(|uid| uid != own && uid != 0) {
                        tracing::warn!(?uid, "another user's process is not let in");
                        continue;
                    }
                    let _ = accepted_tx.send(Ok(Socket::new(stream, None, uid, &connections))).await;
                }
                Err(err) => no_connection(&err, &connections).await,
            }
        }
    });
    ReceiverStream::new(accepted_rx)
}

/// Accepts on a loopback port and looks whose each connection is, now: later it may be closed, and its place another's. Small
/// frames go at once.
pub(super) fn accept_tcp(listener: TcpListener, connections: Connections) -> Incoming<Socket<TcpStream>> {
    let (accepted_tx, accepted_rx) = mpsc::channel(ACCEPTED_CAP);
    let looking = Arc::new(Semaphore::new(1));
    tokio::spawn(async move {
        while let Some(mut socket) = next_tcp(&listener, &connections, &accepted_tx).await {
            let (looking, accepted_tx) = (looking.clone(), accepted_tx.clone());
            tokio::spawn(async move {
                // The table grows with everybody's connections: it is read by one at a time, and by nobody who serves.
                let _turn = looking.acquire_owned().await;
                let (peer, here) = (socket.origin.address, socket.io.local_addr().ok());
                let look = move || peer_user::user_of(peer?, here?);
                socket.origin.loopback_user = tokio::task::spawn_blocking(look).await.ok().flatten();
                let _ = accepted_tx.send(Ok(socket)).await;
            });
        }
    });
    ReceiverStream::new(accepted_rx)
}

/// Accepts on a TCP port and shakes hands, each in a task of its own.
pub(super) fn accept_tls(
    listener: TcpListener,
    server: TlsServer,
    connections: Connections,
) -> Incoming<TlsStream<Socket<TcpStream>>> {
    let (accepted_tx, accepted_rx) = mpsc::channel(ACCEPTED_CAP);
    tokio::spawn(async move {
        while let Some(socket) = next_tcp(&listener, &connections, &accepted_tx).await {
            let (server, accepted_tx) = (server.clone(), accepted_tx.clone());
            tokio::spawn(async move {
                match server.accept(socket).await {
                    Ok(stream) => drop(accepted_tx.send(Ok(stream)).await),
                    Err(err) => tracing::debug!(%err, "a handshake failed"),
                }
            });
        }
    });
    ReceiverStream::new(accepted_rx)
}

/// The next connection; `None` once nobody serves any more.
async fn next_tcp<T>(
    listener: &TcpListener,
    connections: &Connections,
    accepted_tx: &mpsc::Sender<T>,
) -> Option<Socket<TcpStream>> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = accepted_tx.closed() => return None,
        };
        match accepted {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true);
                return Some(Socket::new(stream, Some(address), None, connections));
            }
            Err(err) => no_connection(&err, connections).await,
        }
    }
}

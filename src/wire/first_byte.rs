//! The first byte that a server says in the clear tells what it is: an HTTP/2 server speaks first of all with a settings
//! frame, one with TLS answers a client that speaks none with an alert.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// The highest byte of a settings frame's length.
pub(super) const HTTP2: u8 = 0;
/// The record type of an alert.
pub(super) const TLS_ALERT: u8 = 0x15;

/// A connection that tells its first byte; without one, the other end is dropped.
pub(super) struct FirstByte {
    tcp: TcpStream,
    first_tx: Option<oneshot::Sender<u8>>,
}

impl FirstByte {
    pub(super) fn of(tcp: TcpStream) -> (FirstByte, oneshot::Receiver<u8>) {
        let (first_tx, first_rx) = oneshot::channel();
        (FirstByte { tcp, first_tx: Some(first_tx) }, first_rx)
    }
}

impl AsyncRead for FirstByte {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = ready!(Pin::new(&mut self.tcp).poll_read(cx, buf));
        if let Some(first_tx) = self.first_tx.take()
            && let Some(first) = buf.filled().get(before)
        {
            let _ = first_tx.send(*first);
        }
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for FirstByte {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

//! What comes in on one call: whole messages of a bounded size, each in a bounded time.
//!
//! Every message of gRPC has a header of five bytes, a flag and a length. It is looked at before anything of the message is
//! kept, so a call costs what it may and no more. Nothing is copied.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::{Code, Status};

use super::limits::CALL_CAP;
use super::quota::Account;

/// Bytes in front of a message.
const HEADER: usize = 5;

/// What a call may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of one message.
    pub(super) message: usize,
    /// Until the first message is whole.
    pub(super) first: Duration,
    /// Until a later one is whole that was begun.
    pub(super) next: Duration,
    /// There is one message, and then the end.
    pub(super) is_unary: bool,
}

#[derive(Debug)]
enum At {
    /// Between messages, or within the header of one.
    Header { bytes: [u8; HEADER], len: usize },
    /// Within a message of which so much is to come.
    Message(usize),
}

const START: At = At::Header { bytes: [0; HEADER], len: 0 };

/// A request's body within its bounds.
pub(super) struct Bounded {
    inner: Body,
    bounds: Bounds,
    at: At,
    is_first: bool,
    /// While a message is waited for that has to come.
    deadline: Option<Pin<Box<Sleep>>>,
    /// What a large message counts for.
    account: Option<Account>,
    charged: usize,
}

impl Bounded {
    pub(super) fn new(inner: Body, bounds: Bounds, account: Option<Account>) -> Bounded {
        Bounded { inner, bounds, at: START, is_first: true, deadline: None, account, charged: 0 }
    }

    /// Charges a large message to whoever sends it, in place of the one before.
    fn charge(&mut self, size: usize) -> Result<(), Status> {
        let Some(account) = &self.account else { return Ok(()) };
        account.remove(std::mem::take(&mut self.charged));
        if size > CALL_CAP {
            if !account.try_add(size) {
                let message = "this key has as much under way as may be; let some of it end first";
                return Err(Status::new(Code::ResourceExhausted, message));
            }
            self.charged = size;
        }
        Ok(())
    }

    /// Follows the messages through a piece of the body.
    fn follow(&mut self, data: &Bytes) -> Result<(), Status> {
        let mut rest = &data[..];
        while !rest.is_empty() {
            match &mut self.at {
                At::Header { bytes, len } => {
                    let take = rest.len().min(HEADER - *len);
                    bytes[*len..*len + take].copy_from_slice(&rest[..take]);
                    rest.advance(take);
                    *len += take;
                    if *len == HEADER {
                        let size = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
                        if size > self.bounds.message {
                            let most = self.bounds.message;
                            let message = format!("a message of {size} bytes; this call takes {most} at most");
                            return Err(Status::new(Code::ResourceExhausted, message));
                        }
                        self.at = At::Message(size);
                        self.charge(size)?;
                    }
                }
                At::Message(left) => {
                    let take = rest.len().min(*left);
                    rest.advance(take);
                    *left -= take;
                }
            }
            if matches!(self.at, At::Message(0)) {
                (self.at, self.is_first) = (START, self.bounds.is_unary);
                self.deadline = self.deadline.take().filter(|_| self.bounds.is_unary);
            }
        }
        Ok(())
    }

    /// Whether it may go on waiting for more.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let is_begun = !matches!(self.at, At::Header { len: 0, .. });
        if !is_begun && !self.is_first {
            return Poll::Pending;
        }
        let time = if self.is_first { self.bounds.first } else { self.bounds.next };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Status::deadline_exceeded(format!("no whole message came within {} s", time.as_secs())))
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.remove(self.charged);
        }
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let outcome = frame.data_ref().map_or(Ok(()), |data| self.follow(data));
                Poll::Ready(Some(outcome.map(|()| frame)))
            }
            Poll::Ready(other) => Poll::Ready(other),
            Poll::Pending => self.wait(cx).map(|status| Some(Err(status))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body that keeps something until it was sent.
pub(super) struct Holding<T> {
    inner: Body,
    _held: T,
}

impl<T> Holding<T> {
    pub(super) fn new(inner: Body, held: T) -> Holding<T> {
        Holding { inner, _held: held }
    }
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Pieces of a body, and then silence.
    struct Pieces(VecDeque<Bytes>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.pop_front().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
        }
    }

    fn message(len: usize) -> Vec<u8> {
        [&[0], &(len as u32).to_be_bytes()[..], &vec![7; len]].concat()
    }

    /// What became of a body that came in pieces of this size.
    async fn taken(bytes: &[u8], piece: usize) -> (usize, Option<Code>) {
        let pieces = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        let time = Duration::from_millis(1);
        let mut body = Bounded::new(
            Body::new(Pieces(pieces)),
            Bounds { message: 100, first: time, next: time, is_unary: false },
            None,
        );
        let mut len = 0;
        std::future::poll_fn(|cx| {
            loop {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => len += frame.data_ref().map_or(0, Bytes::len),
                    Poll::Ready(Some(Err(status))) => return Poll::Ready((len, Some(status.code()))),
                    // Nothing is due: it may be silent for ever.
                    Poll::Pending if body.deadline.is_none() => return Poll::Ready((len, None)),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => return Poll::Ready((len, None)),
                }
            }
        })
        .await
    }

    #[tokio::test]
    async fn messages_pass_whole_and_one_that_is_too_long_stops_at_its_header() {
        let good = [message(0), message(100), message(1)].concat();
        let long = [message(3), message(101)].concat();
        for piece in [1, 2, 5, 7, 1000] {
            assert_eq!(taken(&good, piece).await, (good.len(), None), "an idle stream may be silent");
            let (len, code) = taken(&long, piece).await;
            assert!(len < 8 + HEADER + piece && code == Some(Code::ResourceExhausted), "{len} in pieces of {piece}");
        }
    }

    /// Streams that were opened and said nothing, or half of something, were there for ever.
    #[tokio::test]
    async fn a_first_message_and_the_rest_of_any_message_come_in_time() {
        assert_eq!(taken(&[], 1).await, (0, Some(Code::DeadlineExceeded)));
        assert_eq!(taken(&message(3)[..6], 1).await, (6, Some(Code::DeadlineExceeded)));
        let begun = [message(3), message(3)[..2].to_vec()].concat();
        assert_eq!(taken(&begun, 1).await, (10, Some(Code::DeadlineExceeded)));
    }
}

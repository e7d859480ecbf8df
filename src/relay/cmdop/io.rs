//! Input, sizes and signals by single calls.
//!
//! A caller's input into a session goes through one attached driver, a [`Wheel`], so that calls keep their order; the answer
//! to a call is the keeper's own acknowledgement. Nobody at the wheel for a while lets it go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::client::{Attachment, News};
use super::places::about;
use super::pool::{Key, Pooled};
use super::{Call, Facade};
use crate::fleet::{Action, Caller, Code, Refusal, Role, SessionId, Size};
use crate::relay::quota::Account;
use crate::runtime::now_ms;
use crate::stream::{Attach, Down, InputSender, Up};
use crate::wire::cmdop::*;

/// Wheels at once.
pub(super) const WHEELS_CAP: usize = 1024;
/// How long a wheel is held that nobody turns: a driver who is not there keeps an ended session from going.
const IDLE: Duration = Duration::from_secs(5);
/// Input in one frame: nothing of another caller comes between its bytes.
pub(super) const PIECE: usize = 128 * 1024;
/// Input under way to the keeper, which takes 1 MiB before its program reads.
pub(super) const UNDER_WAY: u64 = 512 * 1024;
/// Calls waiting for one wheel; beyond it a call waits for its turn to wait.
const ORDERS_CAP: usize = 64;

type Done = oneshot::Sender<Result<(), Refusal>>;

enum Order {
    Input(Bytes, Account, Done),
    /// Something that the keeper refuses or passes over.
    Act(Up, Done),
}

/// The way into one session for one caller.
pub(super) struct Wheel {
    orders_tx: mpsc::Sender<Order>,
    used_ms: AtomicU64,
}

impl Pooled for Wheel {
    fn is_over(&self) -> bool {
        self.orders_tx.is_closed()
    }

    fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }
}

pub(super) async fn input(facade: Facade, call: Call, request: SendInputRequest) -> Result<SendInputResponse, Status> {
    let data = request.data;
    // What waits to be typed counts for whoever typed it, until the session has taken it.
    let account = facade.inner.auth.quotas.account(&call.caller);
    if !account.try_add(data.len()) {
        return Err(Status::resource_exhausted(
            "this key has as much waiting to be typed as may; let some of it be taken first",
        ));
    }
    let session = facade.drive(&call, &request.session_id).await?;
    facade.order(&call, session, |done| Order::Input(data.clone(), account.clone(), done)).await?;
    Ok(SendInputResponse { success: true, error: String::new() })
}

pub(super) async fn signal(
    facade: Facade,
    call: Call,
    request: SendSignalRequest,
) -> Result<SendSignalResponse, Status> {
    let number = u32::try_from(request.signal).unwrap_or(0);
    let session = facade.drive(&call, &request.session_id).await?;
    facade.order(&call, session, |done| Order::Act(Up::Signal(number), done)).await?;
    Ok(SendSignalResponse { success: true, error: String::new() })
}

/// Sizes a session once: a driver that is gone has no further say in it.
pub(super) async fn resize(
    facade: Facade,
    call: Call,
    request: SendResizeRequest,
) -> Result<SendResizeResponse, Status> {
    let size = size_of(request.cols.into(), request.rows.into())
        .ok_or_else(|| Status::invalid_argument("a terminal has 2 to 2000 columns and 1 to 1000 rows"))?;
    let session = facade.drive(&call, &request.session_id).await?;
    let attach = Attach { is_sizeless: true, label: "sdk resize".into(), ..Attach::new(Role::Driver) };
    let mut attachment = Attachment::open(&facade, call.caller.clone(), session, attach).await?;
    attachment.send(Up::Resize(size)).await?;
    attachment.send(Up::Ping(0)).await?;
    loop {
        match attachment.next().await {
            News::Cut(refusal) | News::Down(Down::Refused { refusal, .. }) => return Err(about(session)(refusal)),
            News::Down(Down::Pong(_)) => return Ok(SendResizeResponse { success: true, error: String::new() }),
            News::Down(_) => {}
        }
    }
}

/// What was typed is not kept anywhere, so there is no history to tell.
pub(super) async fn history(
    facade: Facade,
    call: Call,
    request: GetHistoryRequest,
) -> Result<GetHistoryResponse, Status> {
    let place = facade.place(&call, &request.session_id).await?;
    facade.may(&call, &place, Action::Observe).await?;
    Ok(GetHistoryResponse::default())
}

/// A size that a terminal can have; `None` for one that makes no sense.
pub(super) fn size_of(cols: i64, rows: i64) -> Option<Size> {
    let (cols, rows) = (u32::try_from(cols).ok()?, u32::try_from(rows).ok()?);
    let size = Size::new(rows, cols);
    (u32::from(size.rows()) == rows && u32::from(size.cols()) == cols).then_some(size)
}

impl Facade {
    /// The session a call drives, started if need be.
    async fn drive(&self, call: &Call, session: &str) -> Result<SessionId, Status> {
        let place = self.place(call, session).await?;
        self.may(call, &place, Action::Drive).await?;
        Ok(self.ensure(call, place).await?.id())
    }

    async fn order(&self, call: &Call, session: SessionId, order: impl Fn(Done) -> Order) -> Result<(), Status> {
        // A wheel may be let go between finding it and turning it, but not twice in a row.
        for _ in 0..2 {
            let (done_tx, done_rx) = oneshot::channel();
            if self.wheel(call, session).orders_tx.send(order(done_tx)).await.is_err() {
                continue;
            }
            let done = done_rx.await.unwrap_or_else(|_| Err(let_go()));
            return done.map_err(about(session));
        }
        Err(about(session)(let_go()))
    }

    fn wheel(&self, call: &Call, session: SessionId) -> Arc<Wheel> {
        let wheel = self.inner.wheels.get(Key::of(&call.caller, session), || {
            let (orders_tx, orders_rx) = mpsc::channel(ORDERS_CAP);
            tokio::spawn(hold(self.clone(), call.caller.clone(), session, orders_rx));
            Arc::new(Wheel { orders_tx, used_ms: now_ms().into() })
        });
        wheel.used_ms.store(now_ms(), Ordering::Relaxed);
        wheel
    }
}

fn let_go() -> Refusal {
    Refusal::new(Code::Unavailable, "the way into the session was just cut; see `fleetmux session list`, and try again")
}

/// What of the orders is under way.
#[derive(Default)]
struct Work {
    sender: InputSender,
    /// The input being sent, and who waits for it.
    rest: Option<(Bytes, Account, Done)>,
    /// Input sent whole, by the offset after it.
    unacked: VecDeque<(u64, Done)>,
    /// Acts by the token of the ping behind each.
    acts: VecDeque<(u64, Done)>,
    token: u64,
}

/// Drives a session for a caller until it ends or nobody wants to.
async fn hold(facade: Facade, caller: Caller, session: SessionId, mut orders_rx: mpsc::Receiver<Order>) {
    let mut work = Work::default();
    let refusal = match turn(&facade, caller, session, &mut orders_rx, &mut work).await {
        Ok(()) => return,
        Err(refusal) => refusal,
    };
    orders_rx.close();
    work.fail(&refusal);
    while let Ok(Order::Input(.., done) | Order::Act(_, done)) = orders_rx.try_recv() {
        let _ = done.send(Err(refusal.clone()));
    }
}

async fn turn(
    facade: &Facade,
    caller: Caller,
    session: SessionId,
    orders_rx: &mut mpsc::Receiver<Order>,
    work: &mut Work,
) -> Result<(), Refusal> {
    let stopped = |status: Status| Refusal::new(Code::Unavailable, status.message());
    // Output is not read here: the keeper puts this client off the stream, and it stays off.
    let attach = Attach { is_sizeless: true, label: "sdk input".into(), ..Attach::new(Role::Driver) };
    let mut attachment = Attachment::open(facade, caller, session, attach).await.map_err(stopped)?;
    let mut is_live = false;
    loop {
        let ready = is_live && work.rest.is_none();
        tokio::select! {
            news = attachment.next() => match news {
                News::Cut(refusal) => return Err(refusal),
                News::Down(Down::Attached { .. }) => is_live = true,
                News::Down(Down::Refused { refusal, frame }) if frame == "attach" => return Err(refusal),
                News::Down(Down::Refused { refusal, frame }) => work.refused(&refusal, &frame),
                News::Down(Down::InputAck { next, is_resend }) => {
                    work.acknowledge(next);
                    if is_resend {
                        for (offset, data) in work.sender.unacknowledged().collect::<Vec<_>>() {
                            attachment.send(Up::Input { offset, data }).await.map_err(stopped)?;
                        }
                    }
                }
                News::Down(Down::Pong(token)) => work.acted(token),
                News::Down(Down::Exited(exit)) => {
                    let _ = attachment.send(Up::Consumed(exit.offset)).await;
                    return Err(Refusal::new(Code::NotFound, "the session has ended"));
                }
                News::Down(Down::Detached(reason)) => return Err(Refusal::new(Code::Unavailable, reason)),
                News::Down(_) => {}
            },
            order = orders_rx.recv(), if ready => match order {
                // Whoever asked has given up waiting.
                Some(Order::Input(.., done)) if done.is_closed() => {}
                Some(Order::Input(data, account, done)) => work.rest = Some((data, account, done)),
                Some(Order::Act(up, done)) => {
                    attachment.send(up).await.map_err(stopped)?;
                    work.token += 1;
                    attachment.send(Up::Ping(work.token)).await.map_err(stopped)?;
                    work.acts.push_back((work.token, done));
                }
                None => return Ok(()),
            },
            () = tokio::time::sleep(IDLE), if work.is_idle() => {
                orders_rx.close();
                return Err(let_go());
            }
        }
        while let Some(up) = work.next_piece() {
            attachment.send(up).await.map_err(stopped)?;
        }
    }
}

impl Work {
    fn is_idle(&self) -> bool {
        self.rest.is_none() && self.unacked.is_empty() && self.acts.is_empty()
    }

    /// The next frame of the input being sent, if there is room for it.
    fn next_piece(&mut self) -> Option<Up> {
        let held: u64 = self.sender.unacknowledged().map(|(_, data)| data.len() as u64).sum();
        let (data, ..) = self.rest.as_mut().filter(|_| held < UNDER_WAY)?;
        let piece = data.split_to(data.len().min(PIECE));
        let is_last = data.is_empty();
        let offset = self.sender.push(piece.clone()).ok()?;
        if is_last && let Some((.., done)) = self.rest.take() {
            if self.sender.unacknowledged().next().is_none() {
                // Nothing was typed, and nothing acknowledges it.
                let _ = done.send(Ok(()));
                return None;
            }
            self.unacked.push_back((self.sender.next(), done));
        }
        Some(Up::Input { offset, data: piece })
    }

    fn acknowledge(&mut self, next: u64) {
        self.sender.acknowledge(next);
        while self.unacked.front().is_some_and(|(end, _)| *end <= next) {
            if let Some((_, done)) = self.unacked.pop_front() {
                let _ = done.send(Ok(()));
            }
        }
    }

    fn acted(&mut self, token: u64) {
        while self.acts.front().is_some_and(|(act, _)| *act <= token) {
            if let Some((_, done)) = self.acts.pop_front() {
                let _ = done.send(Ok(()));
            }
        }
    }

    fn refused(&mut self, refusal: &Refusal, frame: &str) {
        if frame != "input" {
            // Answers come in order: it is the oldest one's.
            if let Some((_, done)) = self.acts.pop_front() {
                let _ = done.send(Err(refusal.clone()));
            }
            return;
        }
        self.sender.adopt(self.sender.next());
        let waiting = self.unacked.drain(..).map(|(_, done)| done).chain(self.rest.take().map(|(.., done)| done));
        waiting.for_each(|done| {
            let _ = done.send(Err(refusal.clone()));
        });
    }

    fn fail(&mut self, refusal: &Refusal) {
        self.refused(refusal, "input");
        while !self.acts.is_empty() {
            self.refused(refusal, "signal");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_input_goes_in_pieces_as_it_is_acknowledged_and_is_done_with_the_last() {
        let mut work = Work::default();
        let (done_tx, mut done_rx) = oneshot::channel();
        let account =
            crate::relay::quota::Quotas::default().account(&Caller::local(crate::fleet::Principal::loopback()));
        work.rest = Some((Bytes::from(vec![b'x'; 2_000_000]), account, done_tx));
        let mut sent = 0;
        while done_rx.try_recv().is_err() {
            while let Some(Up::Input { offset, data }) = work.next_piece() {
                assert_eq!(offset, sent);
                sent += data.len() as u64;
            }
            assert!(sent > 0 && sent <= 2_000_000);
            work.acknowledge(sent);
        }
        assert_eq!(sent, 2_000_000);
        assert!(work.is_idle());
    }

    #[test]
    fn a_size_that_makes_no_sense_is_none() {
        assert_eq!(size_of(133, 44), Some(Size::new(44, 133)));
        assert_eq!([size_of(0, 0), size_of(999_999, 10), size_of(-1, 5), size_of(1, 1)], [None; 4]);
    }
}

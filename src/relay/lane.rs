//! Requests at the relay that are streams of their own, routed to the agent's link by number: commands and files.
//!
//! The hub only says which link leads to a machine; frames then pass between the two streams without it. Nothing waits
//! for a slow end: the credit of both ends bounds what is under way, and an end that ignores it loses its request.
//! Whatever way a client's stream ends, the request is called off at the agent.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use super::auth::Auth;
use super::event::Event;
use super::hub::EventsTx;
use super::quota::Account;
use crate::fleet::{Caller, Code, MachineId, Refusal};
use crate::stream::{CreditOut, EXEC_CHUNK_CAP};
use crate::wire::v1;
use v1::agent_down::Frame as ToAgent;

/// How long an agent may take to begin with a request.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(20);

/// What a frame means for its lane.
pub(super) enum Flow {
    /// The first one of a request.
    Start,
    /// So many bytes that the other end has to take.
    Data(usize),
    /// The other end may send so much more.
    Credit(u64),
    /// The last one, and what became of the request.
    Last(Ending),
    /// Whoever asked does not want it any more; the last one is still to come.
    CalledOff,
    /// Anything else.
    Other,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// Its machine did what was asked.
    Done,
    /// Its program ended; `signal` is 0 if by itself.
    Exited { code: i32, signal: u32, timed_out: bool, called_off: bool, duration_ms: u64 },
    /// Its machine would not.
    Refused(Refusal),
    /// The way to its machine was lost, or there was none.
    Lost(String),
    /// Whoever asked may not any more.
    Revoked(String),
    /// Whoever asked went away.
    CalledOff,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Done => f.write_str("ok"),
            Ending::Exited { code, .. } => write!(f, "exit code {code}"),
            Ending::Refused(refusal) => f.write_str(&refusal.message),
            Ending::Lost(reason) | Ending::Revoked(reason) => f.write_str(reason),
            Ending::CalledOff => f.write_str("called off"),
        }
    }
}

/// One kind of request: its frames and its bounds.
pub(super) trait Kind: Sized + Send + Sync + 'static {
    /// What a client's stream carries, and the frame in it.
    type Message: Send + 'static;
    type Up: Send + 'static;
    type Down: Send + 'static;
    type RoutedUp: Send + 'static;

    /// What one request is called.
    const NOUN: &'static str;
    /// The command line's word for it.
    const WORD: &'static str;
    /// Bytes under way from the agent to a client.
    const DOWN_WINDOW: u64;
    /// Bytes under way from a client to the agent.
    const UP_WINDOW: u64;
    /// Requests of one agent at once.
    const AT_ONCE: usize;
    /// Those of one key among them.
    const PER_KEY: usize;
    /// Frames waiting for one agent, all requests together; a request that finds it full is refused.
    const UP_CAP: usize;

    fn frame(message: Self::Message) -> Option<Self::Up>;
    fn flow_up(up: &Self::Up) -> Flow;
    fn flow_down(down: &Self::Down) -> Flow;
    fn refused(refusal: &Refusal) -> Self::Down;
    /// How long the agent may take to begin.
    fn patience(_start: &Self::Up) -> Duration {
        START_TIMEOUT
    }
    fn routed(number: u64, principal: &str, up: Option<Self::Up>) -> Self::RoutedUp;
}

/// What comes from the machine, towards its client.
pub(super) type Downward<K> = Result<<K as Kind>::Down, Status>;

/// The sending end of a request's answer; what waits in it is charged to the client's key.
pub(super) struct DownTx<K: Kind> {
    down_tx: mpsc::Sender<Downward<K>>,
    account: Account,
}

/// The client's end.
pub(super) struct DownRx<K: Kind> {
    down_rx: mpsc::Receiver<Downward<K>>,
    account: Account,
}

/// A queue of so many frames towards a client.
pub(super) fn down_channel<K: Kind>(cap: usize, account: Account) -> (DownTx<K>, DownRx<K>) {
    let (down_tx, down_rx) = mpsc::channel(cap);
    (DownTx { down_tx, account: account.clone() }, DownRx { down_rx, account })
}

impl<K: Kind> Clone for DownTx<K> {
    fn clone(&self) -> DownTx<K> {
        DownTx { down_tx: self.down_tx.clone(), account: self.account.clone() }
    }
}

/// What a frame counts for while it waits: its data. The others are bounded by the queue's length.
fn waiting<K: Kind>(down: &Downward<K>) -> usize {
    match down.as_ref().map(K::flow_down) {
        Ok(Flow::Data(len)) => len,
        _ => 0,
    }
}

/// Why a frame does not reach its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The client is gone, or its own queue is full.
    Closed,
    /// Its key has as much waiting as may.
    TooMuchWaits,
}

impl<K: Kind> DownTx<K> {
    /// Queues a frame.
    pub(super) fn try_send(&self, down: Downward<K>) -> Result<(), Unsent> {
        let bytes = waiting::<K>(&down);
        if !self.account.try_add(bytes) {
            return Err(Unsent::TooMuchWaits);
        }
        self.down_tx.try_send(down).map_err(|_| {
            self.account.remove(bytes);
            Unsent::Closed
        })
    }
}

impl<K: Kind> DownRx<K> {
    /// The next frame; `None` once the request is over.
    pub(super) async fn recv(&mut self) -> Option<Downward<K>> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Downward<K>>> {
        let polled = self.down_rx.poll_recv(cx);
        if let Poll::Ready(Some(down)) = &polled {
            self.account.remove(waiting::<K>(down));
        }
        polled
    }
}

impl<K: Kind> Stream for DownRx<K> {
    type Item = Downward<K>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Downward<K>>> {
        self.poll_recv(cx)
    }
}

/// The way to one agent for one kind of request; clones share it.
pub(super) struct Lane<K: Kind> {
    table: Arc<Mutex<Table<K>>>,
    up_tx: mpsc::Sender<K::RoutedUp>,
}

impl<K: Kind> Clone for Lane<K> {
    fn clone(&self) -> Lane<K> {
        Lane { table: self.table.clone(), up_tx: self.up_tx.clone() }
    }
}

struct Table<K: Kind> {
    entries: HashMap<u64, Entry<K>>,
    last_number: u64,
    is_closed: bool,
}

struct Entry<K: Kind> {
    caller: Caller,
    down_tx: DownTx<K>,
    is_answered: bool,
    is_called_off: bool,
    /// What either end may still send, watched so that neither can fill this relay.
    down_credit: CreditOut,
    up_credit: CreditOut,
    ended: Ended,
    /// Gone with the entry: whoever reads the client's half stops.
    _over_tx: oneshot::Sender<()>,
}

impl<K: Kind> Entry<K> {
    /// A program that was cancelled ends by it.
    fn as_called_off(&self, mut ending: Ending) -> Ending {
        if let Ending::Exited { called_off, .. } = &mut ending {
            *called_off = self.is_called_off;
        }
        ending
    }
}

/// Hears once what became of a request, in whatever way it ends.
pub(super) struct Ended(Option<Box<dyn FnOnce(Ending) + Send>>);

impl Ended {
    pub(super) fn tell(told: impl FnOnce(Ending) + Send + 'static) -> Ended {
        Ended(Some(Box::new(told)))
    }

    /// What became of it, if nobody has said so before.
    pub(super) fn with(&mut self, ending: Ending) {
        if let Some(told) = self.0.take() {
            told(ending);
        }
    }

    /// Nothing came of it.
    pub(super) fn lost(&mut self, refusal: &Refusal) {
        self.with(lost(refusal));
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.with(Ending::CalledOff);
    }
}

impl<K: Kind> Lane<K> {
    pub(super) fn new() -> (Lane<K>, mpsc::Receiver<K::RoutedUp>) {
        let (up_tx, up_rx) = mpsc::channel(K::UP_CAP);
        let table = Table { entries: HashMap::new(), last_number: 0, is_closed: false };
        (Lane { table: Arc::new(Mutex::new(table)), up_tx }, up_rx)
    }

    /// A frame from the agent.
    pub(super) fn down(&self, number: u64, down: K::Down) {
        let mut table = self.table();
        let Some(entry) = table.entries.get_mut(&number) else { return };
        entry.is_answered = true;
        let mut last = None;
        let mut is_overrun = false;
        match K::flow_down(&down) {
            Flow::Data(len) => {
                is_overrun = !entry.down_credit.is_open() || len > EXEC_CHUNK_CAP;
                entry.down_credit.spend(len);
            }
            Flow::Credit(credit) => entry.up_credit.grant(credit),
            Flow::Last(ending) => last = Some(entry.as_called_off(ending)),
            Flow::Start | Flow::CalledOff | Flow::Other => {}
        }
        let unsent = if is_overrun { Err(Unsent::Closed) } else { entry.down_tx.try_send(Ok(down)) };
        if let Err(unsent) = unsent {
            // The client is gone, or one of the ends sends more than it may.
            let refusal = match unsent {
                Unsent::Closed => {
                    let message = format!("the machine sent more than it may; the {} was ended", K::NOUN);
                    Refusal::new(Code::Internal, message)
                }
                Unsent::TooMuchWaits => {
                    let message = format!(
                        "as much output waits for this key as may, so the {} was ended; read faster, or run fewer at once",
                        K::NOUN
                    );
                    Refusal::new(Code::Exhausted, message)
                }
            };
            table.refuse(number, &refusal);
            drop(table);
            self.cancel(number);
        } else if let Some(ending) = last
            && let Some(mut entry) = table.entries.remove(&number)
        {
            entry.ended.with(ending);
        }
    }

    /// Completes when nothing is carried to the agent any more: its stream is over.
    pub(super) async fn closed(&self) {
        self.up_tx.closed().await;
    }

    /// The agent's link is over: so are its requests.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.is_closed = true;
        let numbers: Vec<(u64, bool)> =
            table.entries.iter().map(|(number, entry)| (*number, entry.is_answered)).collect();
        for (number, is_answered) in numbers {
            let noun = K::NOUN;
            let message = match is_answered {
                true => {
                    format!("the link to the machine was lost, and the {noun} was ended there; see `fleetmux machines`")
                }
                false => format!(
                    "the machine's agent did not answer until its link was lost, so the {noun} has not started; see \
                     `fleetmux machines`"
                ),
            };
            table.refuse(number, &Refusal::new(Code::Unavailable, message));
        }
    }

    /// Whoever asked for these may not any more: they end, and nothing more passes either way.
    fn revoke(&self, is_theirs: &impl Fn(&Caller) -> bool, refusal: &Refusal) {
        let mut table = self.table();
        let theirs = table.entries.iter().filter(|(_, entry)| is_theirs(&entry.caller));
        let numbers: Vec<u64> = theirs.map(|(number, _)| *number).collect();
        for number in &numbers {
            table.end(*number, Ending::Revoked(refusal.message.clone()), refusal);
        }
        drop(table);
        for number in numbers {
            self.cancel(number);
        }
    }

    /// Begins a request; its frames go to `down_tx`.
    pub(super) fn begin(
        &self,
        auth: &Auth,
        caller: &Caller,
        start: K::Up,
        down_tx: DownTx<K>,
        ended: Ended,
    ) -> Result<Running<K>, Refusal> {
        let (number, over_rx) = self.open(caller, down_tx, ended)?;
        let patience = K::patience(&start);
        // A key that was revoked before the request was in the table is found here, a later one by the hub.
        let begun = match auth.still(caller) {
            Ok(()) => self.send(number, caller.principal.as_str(), start).map_err(|refusal| (lost(&refusal), refusal)),
            Err(refusal) => Err((Ending::Revoked(refusal.message.clone()), refusal)),
        };
        match begun {
            Ok(()) => Ok(Running { over_rx, lane: self.clone(), number, patience }),
            Err((ending, refusal)) => {
                if let Some(mut entry) = self.table().entries.remove(&number) {
                    entry.ended.with(ending);
                }
                Err(refusal)
            }
        }
    }

    fn open(
        &self,
        caller: &Caller,
        down_tx: DownTx<K>,
        mut ended: Ended,
    ) -> Result<(u64, oneshot::Receiver<()>), Refusal> {
        let mut table = self.table();
        if let Err(refusal) = table.may_open(caller) {
            ended.lost(&refusal);
            return Err(refusal);
        }
        let (over_tx, over_rx) = oneshot::channel();
        let entry = Entry {
            _over_tx: over_tx,
            caller: caller.clone(),
            down_tx,
            is_answered: false,
            is_called_off: false,
            down_credit: CreditOut::new(K::DOWN_WINDOW),
            up_credit: CreditOut::new(K::UP_WINDOW),
            ended,
        };
        table.last_number += 1;
        let number = table.last_number;
        table.entries.insert(number, entry);
        Ok((number, over_rx))
    }

    fn send(&self, number: u64, principal: &str, up: K::Up) -> Result<(), Refusal> {
        let full = |_| Refusal::new(Code::Exhausted, "too much waits for this machine's agent; try again");
        self.up_tx.try_send(K::routed(number, principal, Some(up))).map_err(full)
    }

    /// Ends a request at the agent, however much waits for that.
    fn cancel(&self, number: u64) {
        let up_tx = self.up_tx.clone();
        let cancel = K::routed(number, "", None);
        if let Err(mpsc::error::TrySendError::Full(cancel)) = up_tx.try_send(cancel) {
            tokio::spawn(async move { up_tx.send(cancel).await });
        }
    }

    fn table(&self) -> MutexGuard<'_, Table<K>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Kind> Table<K> {
    fn may_open(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.is_closed {
            let message = "the link to the machine was just lost; see `fleetmux machines`";
            return Err(Refusal::new(Code::Unavailable, message));
        }
        if self.entries.len() >= K::AT_ONCE {
            let message = format!("{} {}s wait for this machine, as many as may; try again", K::AT_ONCE, K::NOUN);
            return Err(Refusal::new(Code::Exhausted, message));
        }
        let theirs = || self.entries.values().filter(|entry| entry.caller.is_same(caller)).count();
        if caller.key.is_some() && theirs() >= K::PER_KEY {
            let (most, noun) = (K::PER_KEY, K::NOUN);
            let message =
                format!("{most} {noun}s of this key are under way at this machine, as many as may; let some end");
            return Err(Refusal::new(Code::Exhausted, message));
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, refusal: &Refusal) {
        self.end(number, lost(refusal), refusal);
    }

    fn end(&mut self, number: u64, ending: Ending, refusal: &Refusal) {
        if let Some(mut entry) = self.entries.remove(&number) {
            entry.ended.with(ending);
            // A client whose queue is full sees its stream end, which is as final.
            let _ = entry.down_tx.try_send(Ok(K::refused(refusal)));
        }
    }
}

fn lost(refusal: &Refusal) -> Ending {
    Ending::Lost(refusal.message.clone())
}

/// A request that was begun; dropped, it is called off unless it has ended.
pub(super) struct Running<K: Kind> {
    over_rx: oneshot::Receiver<()>,
    lane: Lane<K>,
    number: u64,
    patience: Duration,
}

impl<K: Kind> Running<K> {
    /// A frame from the client; one that makes no sense ends the request.
    pub(super) fn up(&self, up: K::Up) {
        if let Err(refusal) = self.try_up(up) {
            self.end(&refusal);
        }
    }

    fn try_up(&self, up: K::Up) -> Result<(), Refusal> {
        let mut table = self.lane.table();
        // It has ended in the meantime.
        let Some(entry) = table.entries.get_mut(&self.number) else { return Ok(()) };
        match K::flow_up(&up) {
            Flow::Data(len) => {
                if !entry.up_credit.is_open() || len > EXEC_CHUNK_CAP {
                    return Err(Refusal::new(Code::Invalid, "the client sent more than it may"));
                }
                entry.up_credit.spend(len);
            }
            Flow::Credit(credit) => entry.down_credit.grant(credit),
            Flow::Start => return Err(Refusal::new(Code::Invalid, format!("a stream carries one {}", K::NOUN))),
            Flow::CalledOff => entry.is_called_off = true,
            Flow::Last(_) | Flow::Other => {}
        }
        drop(table);
        self.lane.send(self.number, "", up)
    }

    fn is_waiting(&self) -> bool {
        self.lane.table().entries.get(&self.number).is_some_and(|entry| !entry.is_answered)
    }

    fn end(&self, refusal: &Refusal) {
        self.lane.table().refuse(self.number, refusal);
        self.lane.cancel(self.number);
    }

    /// Carries the rest of a client's stream to the agent, until it ends.
    pub(super) async fn carry(mut self, mut messages: Streaming<K::Message>) {
        let late = tokio::time::sleep(self.patience);
        tokio::pin!(late);
        let mut is_in_time = true;
        loop {
            let message = tokio::select! {
                message = messages.message() => message,
                // It is over: a client that keeps its half open holds nothing by it.
                _ = &mut self.over_rx => return,
                () = &mut late, if is_in_time => {
                    is_in_time = false;
                    if self.is_waiting() {
                        let message = format!(
                            "the machine's agent did not answer in time, so the {} has not started; is the agent stopped, \
                             or too old for `{}`? See `fleetmux agent status` there",
                            K::NOUN,
                            K::WORD
                        );
                        self.end(&Refusal::new(Code::Unavailable, message));
                    }
                    continue;
                }
            };
            match message {
                Ok(Some(message)) => {
                    if let Some(up) = K::frame(message) {
                        self.up(up);
                    }
                }
                Ok(None) | Err(_) => return,
            }
        }
    }
}

impl<K: Kind> Drop for Running<K> {
    fn drop(&mut self) {
        let entry = self.lane.table().entries.remove(&self.number);
        if entry.is_some() {
            self.lane.cancel(self.number);
        }
    }
}

/// The ways to one agent; clones share them.
#[derive(Clone)]
pub(super) struct Lanes {
    pub(super) exec: Lane<super::exec::Commands>,
    pub(super) files: Lane<super::files::Requests>,
}

impl Lanes {
    /// The agent's link is over.
    pub(super) fn close(&self) {
        self.exec.close();
        self.files.close();
    }

    /// Whoever asked may not any more.
    pub(super) fn revoke(&self, is_theirs: impl Fn(&Caller) -> bool, refusal: &Refusal) {
        self.exec.revoke(&is_theirs, refusal);
        self.files.revoke(&is_theirs, refusal);
    }
}

/// The ways to a machine that a caller may know, and the machine's workspace.
pub(super) async fn lanes_to(
    events_tx: &EventsTx,
    caller: &Caller,
    machine: &[u8],
) -> Result<(Lanes, String), Refusal> {
    let machine = MachineId::from_bytes(machine).map_err(|err| Refusal::new(Code::Invalid, err.to_string()))?;
    let gone = || Refusal::new(Code::Unavailable, "the relay is shutting down");
    let (answer_tx, answer_rx) = oneshot::channel();
    let event = Event::Lanes { caller: caller.clone(), machine, answer_tx };
    events_tx.send(event).await.map_err(|_| gone())?;
    answer_rx.await.map_err(|_| gone())?
}

/// Frames for one agent: the hub's own first, then those of commands and of files by turns.
pub(super) struct AgentFrames {
    frames_rx: mpsc::Receiver<Result<v1::AgentDown, Status>>,
    exec_rx: mpsc::Receiver<v1::RoutedExecUp>,
    files_rx: mpsc::Receiver<v1::RoutedFileUp>,
    is_file_next: bool,
}

impl AgentFrames {
    pub(super) fn new(
        frames_rx: mpsc::Receiver<Result<v1::AgentDown, Status>>,
        exec_rx: mpsc::Receiver<v1::RoutedExecUp>,
        files_rx: mpsc::Receiver<v1::RoutedFileUp>,
    ) -> AgentFrames {
        AgentFrames { frames_rx, exec_rx, files_rx, is_file_next: false }
    }

    fn poll_lane(&mut self, is_file: bool, cx: &mut Context<'_>) -> Poll<Option<ToAgent>> {
        if is_file {
            return self.files_rx.poll_recv(cx).map(|routed| routed.map(ToAgent::Files));
        }
        self.exec_rx.poll_recv(cx).map(|routed| routed.map(ToAgent::Exec))
    }
}

impl Stream for AgentFrames {
    type Item = Result<v1::AgentDown, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The hub let go of the agent: the stream is over, whatever waits in the lanes.
        if let Poll::Ready(frame) = self.frames_rx.poll_recv(cx) {
            return Poll::Ready(frame);
        }
        self.is_file_next = !self.is_file_next;
        let is_file_first = self.is_file_next;
        for is_file in [is_file_first, !is_file_first] {
            if let Poll::Ready(Some(frame)) = self.poll_lane(is_file, cx) {
                return Poll::Ready(Some(Ok(v1::AgentDown { frame: Some(frame) })));
            }
        }
        Poll::Pending
    }
}

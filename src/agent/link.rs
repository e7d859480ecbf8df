//! The one outbound link to the relay: dialled again with backoff for as long as the agent lives.
//!
//! Control frames of the hub overtake session data, so that a slow uplink never stops the agent itself; data waits in
//! the tasks that read keepers, each on its own.

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, watch};

use super::hub::Event;
use super::join::membership;
use super::standing::Record;
use crate::fleet::{Code, Credentials, Endpoint, Refusal};
use crate::stream::Backoff;
use crate::wire::{self, refusal_of, v1};

/// Session frames waiting for the relay.
const DATA_CAP: usize = 256;
/// Frames of commands, and frames of requests about files, waiting for the relay; all of a kind together.
const LANE_CAP: usize = 64;
/// The hub's own frames waiting for the relay.
const CONTROL_CAP: usize = 4096;
/// First and longest delay between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// Delay after the relay refused the key: each attempt counts against this address there.
const REFUSED_DELAY: Duration = Duration::from_secs(30);
/// Delay after the key was ended under a link, for once.
const ENDED_DELAY: Duration = Duration::from_secs(1);
/// Delay after another agent with this machine's identity took the link: two of them must not take it from each other
/// again and again.
const REPLACED_DELAY: Duration = Duration::from_secs(30);
/// A link that lived for so long was a good one: the next attempt is the first again.
const STEADY: Duration = Duration::from_secs(5);

/// Session data towards whatever link is up; without one it is dropped, since everybody attaches anew.
#[derive(Clone)]
pub(super) struct DataTx {
    current_rx: watch::Receiver<Option<mpsc::Sender<v1::RoutedDown>>>,
}

impl DataTx {
    /// Waits for room on the link.
    pub(super) async fn send(&self, down: v1::RoutedDown) {
        let data_tx = self.current_rx.borrow().clone();
        if let Some(data_tx) = data_tx {
            let _ = data_tx.send(down).await;
        }
    }
}

/// How long to wait when the relay said no.
fn delay_after(refusal: &Refusal) -> Duration {
    match refusal.code {
        Code::Unauthenticated => REFUSED_DELAY,
        Code::PermissionDenied => REPLACED_DELAY,
        _ => Duration::ZERO,
    }
}

/// Where the link goes, and who is told how it stands.
pub(super) struct Options {
    pub(super) relay: Endpoint,
    pub(super) credentials: Credentials,
    /// Where a machine that joins again finds its new key.
    pub(super) state_dir: PathBuf,
    pub(super) record: Record,
}

/// Starts dialling; events go to the hub.
pub(super) fn start(options: Options, seed: u64, events_tx: mpsc::Sender<Event>) -> DataTx {
    let (current_tx, current_rx) = watch::channel(None);
    tokio::spawn(dial(options, seed, current_tx, events_tx));
    DataTx { current_rx }
}

async fn dial(
    options: Options,
    seed: u64,
    current_tx: watch::Sender<Option<mpsc::Sender<v1::RoutedDown>>>,
    events_tx: mpsc::Sender<Event>,
) {
    let Options { relay, mut credentials, state_dir, mut record } = options;
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1, seed);
    let mut said = String::new();
    loop {
        let started = tokio::time::Instant::now();
        let joined = credentials.key.as_ref().and_then(|_| membership(&state_dir).ok().flatten());
        if let Some(joined) = joined.filter(|joined| joined.relay == relay) {
            credentials = joined.credentials;
        }
        let mut delay = Duration::ZERO;
        let outcome = attempt(&relay, &credentials, &mut record, &current_tx, &events_tx).await;
        let was_up = current_tx.send_replace(None).is_some();
        let why = outcome.as_ref().map_or_else(|refusal| refusal.message.as_str(), |()| "the relay closed the link");
        record.not_linked(why);
        match outcome {
            Ok(()) => tracing::warn!(%relay, "the relay closed the link"),
            Err(refusal) if was_up => {
                // Whoever joins anew with this machine ends its old key, and leaves the new one here.
                let is_ended = refusal.code == Code::Unauthenticated;
                delay = if is_ended { ENDED_DELAY } else { delay_after(&refusal) };
                tracing::warn!(%relay, err = refusal.message, "the link to the relay is lost; dialling again");
            }
            Err(refusal) => {
                delay = delay_after(&refusal);
                // Each reason once: a relay that is away for a night is no reason to fill the disk.
                if backoff.attempt() == 0 || said != refusal.message {
                    tracing::warn!(%relay, err = refusal.message, "no link to the relay; trying on");
                    said = refusal.message;
                }
            }
        }
        if was_up && events_tx.send(Event::RelayGone).await.is_err() {
            return;
        }
        if started.elapsed() > STEADY {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next_delay().max(delay)).await;
    }
}

async fn attempt(
    relay: &Endpoint,
    credentials: &Credentials,
    record: &mut Record,
    current_tx: &watch::Sender<Option<mpsc::Sender<v1::RoutedDown>>>,
    events_tx: &mpsc::Sender<Event>,
) -> Result<(), Refusal> {
    let unavailable = |message: String| Refusal::new(Code::Unavailable, message);
    let channel = wire::dial(relay, credentials).await.map_err(|err| unavailable(err.to_string()))?;
    let (control_tx, control_rx) = mpsc::channel(CONTROL_CAP);
    let (data_tx, data_rx) = mpsc::channel(DATA_CAP);
    let (exec_tx, exec_rx) = mpsc::channel(LANE_CAP);
    let (files_tx, files_rx) = mpsc::channel(LANE_CAP);
    let hello = v1::AgentUp { frame: Some(v1::agent_up::Frame::Hello(wire::hello())) };
    let _ = control_tx.try_send(hello);
    let up = Upstream { control_rx, data_rx, exec_rx, files_rx, turn: 0 };
    let answer = wire::agent_service(channel).link(up).await.map_err(|status| refusal_of(&status))?;
    let mut frames = answer.into_inner();
    let first = frames.message().await.map_err(|status| refusal_of(&status))?;
    match first.and_then(|frame| frame.frame) {
        Some(v1::agent_down::Frame::Hello(hello)) => {
            wire::check_hello(&hello).map_err(|err| unavailable(err.to_string()))?
        }
        _ => return Err(unavailable("the relay did not open with a hello".into())),
    }
    current_tx.send_replace(Some(data_tx));
    record.linked();
    let _ = events_tx.send(Event::RelayUp { control_tx, exec_tx, files_tx }).await;
    loop {
        match frames.message().await {
            Ok(Some(frame)) => {
                if events_tx.send(Event::RelayFrame { frame }).await.is_err() {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(status) => return Err(refusal_of(&status)),
        }
    }
}

/// Control first; then sessions, commands and files by turns, so that none starves another.
struct Upstream {
    control_rx: mpsc::Receiver<v1::AgentUp>,
    data_rx: mpsc::Receiver<v1::RoutedDown>,
    exec_rx: mpsc::Receiver<v1::RoutedExecDown>,
    files_rx: mpsc::Receiver<v1::RoutedFileDown>,
    turn: usize,
}

/// What takes turns.
const LANES: usize = 3;

impl Upstream {
    fn poll_lane(&mut self, lane: usize, cx: &mut Context<'_>) -> Poll<Option<v1::agent_up::Frame>> {
        use v1::agent_up::Frame;
        match lane {
            0 => self.data_rx.poll_recv(cx).map(|down| down.map(Frame::Down)),
            1 => self.exec_rx.poll_recv(cx).map(|down| down.map(Frame::Exec)),
            _ => self.files_rx.poll_recv(cx).map(|down| down.map(Frame::Files)),
        }
    }
}

impl Stream for Upstream {
    type Item = v1::AgentUp;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::AgentUp>> {
        match self.control_rx.poll_recv(cx) {
            Poll::Ready(Some(frame)) => return Poll::Ready(Some(frame)),
            // The hub let go of the link: it is over, whatever data waits.
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        self.turn = (self.turn + 1) % LANES;
        let first = self.turn;
        for lane in (first..first + LANES).map(|lane| lane % LANES) {
            if let Poll::Ready(Some(frame)) = self.poll_lane(lane, cx) {
                return Poll::Ready(Some(v1::AgentUp { frame: Some(frame) }));
            }
        }
        Poll::Pending
    }
}

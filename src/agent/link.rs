//! The one outbound link to the relay: dialled again with backoff for as long as the agent lives.
//!
//! Control frames of the hub overtake session data, so that a slow uplink never stops the agent itself; data waits in
//! the tasks that read keepers, each on its own.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc, watch};

use super::hub::Event;
use crate::fleet::Endpoint;
use crate::stream::Backoff;
use crate::wire::{self, v1};

/// Session frames waiting for the relay.
const DATA_CAP: usize = 256;
/// The hub's own frames waiting for the relay.
const CONTROL_CAP: usize = 4096;
/// First and longest delay between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
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

/// Starts dialling; events go to the hub.
pub(super) fn start(relay: Endpoint, seed: u64, events_tx: mpsc::Sender<Event>) -> DataTx {
    let (current_tx, current_rx) = watch::channel(None);
    tokio::spawn(dial(relay, seed, current_tx, events_tx));
    DataTx { current_rx }
}

async fn dial(
    relay: Endpoint,
    seed: u64,
    current_tx: watch::Sender<Option<mpsc::Sender<v1::RoutedDown>>>,
    events_tx: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1, seed);
    loop {
        let started = tokio::time::Instant::now();
        let outcome = attempt(&relay, &current_tx, &events_tx).await;
        let was_up = current_tx.send_replace(None).is_some();
        match outcome {
            Ok(()) => tracing::warn!(%relay, "the relay closed the link"),
            Err(err) if was_up => tracing::warn!(%relay, err, "the link to the relay is lost; dialling again"),
            Err(err) if backoff.attempt() == 0 => tracing::warn!(%relay, err, "no link to the relay; trying on"),
            Err(err) => tracing::debug!(%relay, err, attempt = backoff.attempt(), "no link to the relay"),
        }
        if was_up && events_tx.send(Event::RelayGone).await.is_err() {
            return;
        }
        if started.elapsed() > STEADY {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn attempt(
    relay: &Endpoint,
    current_tx: &watch::Sender<Option<mpsc::Sender<v1::RoutedDown>>>,
    events_tx: &mpsc::Sender<Event>,
) -> Result<(), String> {
    let channel = wire::dial(relay).await.map_err(|err| err.to_string())?;
    let (control_tx, control_rx) = mpsc::channel(CONTROL_CAP);
    let (data_tx, data_rx) = mpsc::channel(DATA_CAP);
    let hello = v1::AgentUp { frame: Some(v1::agent_up::Frame::Hello(wire::hello())) };
    let _ = control_tx.try_send(hello);
    let up = Upstream { control_rx, data_rx };
    let answer = wire::agent_service(channel).link(up).await.map_err(|status| status.message().to_string())?;
    let mut frames = answer.into_inner();
    let first = frames.message().await.map_err(|status| status.message().to_string())?;
    match first.and_then(|frame| frame.frame) {
        Some(v1::agent_down::Frame::Hello(hello)) => wire::check_hello(&hello).map_err(|err| err.to_string())?,
        _ => return Err("the relay did not open with a hello".into()),
    }
    current_tx.send_replace(Some(data_tx));
    let _ = events_tx.send(Event::RelayUp { control_tx }).await;
    loop {
        match frames.message().await {
            Ok(Some(frame)) => {
                if events_tx.send(Event::RelayFrame { frame }).await.is_err() {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(status) => return Err(status.message().to_string()),
        }
    }
}

/// Control first, then data.
struct Upstream {
    control_rx: mpsc::Receiver<v1::AgentUp>,
    data_rx: mpsc::Receiver<v1::RoutedDown>,
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
        match self.data_rx.poll_recv(cx) {
            Poll::Ready(Some(down)) => Poll::Ready(Some(v1::AgentUp { frame: Some(v1::agent_up::Frame::Down(down)) })),
            _ => Poll::Pending,
        }
    }
}

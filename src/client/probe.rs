//! One look at a relay, for diagnosis: does it answer, through HTTP/2, who is it, what time is it there.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::fleet::Pieces;
use super::{Error, FleetEvent};
use crate::fleet::{Credentials, Endpoint, Machine, Session};
use crate::runtime::now_ms;
use crate::wire::{self, DialError, v1};

/// How long the whole look may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Days of a certificate's life that are counted; more are plenty.
pub const CERTIFICATE_DAYS_CAP: u64 = 3650;

/// What a relay told.
#[derive(Clone, Debug)]
pub struct Probe {
    /// "fleetmux 0.1.0".
    pub software: String,
    /// Version of the frame vocabulary it speaks.
    pub protocol: u32,
    /// Time to connect.
    pub connect: Duration,
    /// Round trip of one frame on an open stream.
    pub round_trip: Duration,
    /// Its clock less ours, milliseconds; `None` from a relay that does not tell.
    pub skew_ms: Option<i64>,
    /// Days that its certificate is still good, [`CERTIFICATE_DAYS_CAP`] at most; `None` without TLS.
    pub certificate_days: Option<u64>,
    /// The machines it knows.
    pub machines: Vec<Machine>,
    /// And their sessions.
    pub sessions: Vec<Session>,
}

/// Looks at a relay once, on a connection of its own.
pub async fn probe(relay: &Endpoint, credentials: &Credentials) -> Result<Probe, Error> {
    match tokio::time::timeout(TIMEOUT, look(relay, credentials)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Timeout(format!(
            "{relay} takes connections and does not answer within {TIMEOUT:?}; is it a relay, and does the path carry \
             HTTP/2 streams?"
        ))),
    }
}

fn no_relay(err: DialError) -> Error {
    if err.is_final() { Error::Untrusted(err.to_string()) } else { Error::NoRelay(err.to_string()) }
}

/// As far as a machine's key goes, which is for its agent only: whether the relay answers and proves itself.
pub async fn reach(relay: &Endpoint, credentials: &Credentials) -> Result<Duration, Error> {
    let started = Instant::now();
    wire::dial(relay, credentials).await.map_err(no_relay)?;
    Ok(started.elapsed())
}

async fn look(relay: &Endpoint, credentials: &Credentials) -> Result<Probe, Error> {
    let refused = |err: &dyn std::fmt::Display| Error::Refused(err.to_string());
    let started = Instant::now();
    let channel = wire::dial(relay, credentials).await.map_err(no_relay)?;
    let connect = started.elapsed();
    let certificate_days = wire::certificate_days(relay, credentials, now_ms(), CERTIFICATE_DAYS_CAP).await;
    let (frames_tx, frames_rx) = mpsc::channel(2);
    let up = |frame| v1::ClientUp { channel: 0, frame: Some(frame) };
    // A fresh channel has room for both.
    let _ = frames_tx.try_send(up(v1::client_up::Frame::Hello(wire::hello())));
    let mut client = wire::client_service(channel);
    let answer =
        client.link(ReceiverStream::new(frames_rx)).await.map_err(|status| Error::from(wire::refusal_of(&status)))?;
    let mut frames = answer.into_inner();
    let mut hello = None;
    let mut pinged = None;
    let (hello, round_trip) = loop {
        let frame = frames.message().await.map_err(|status| Error::from(wire::refusal_of(&status)))?;
        match frame.ok_or_else(|| refused(&"the relay closed the stream"))?.frame {
            Some(v1::client_down::Frame::Hello(theirs)) => {
                hello = Some(theirs);
                pinged = Some(Instant::now());
                let _ = frames_tx.try_send(up(v1::client_up::Frame::Ping(v1::Ping { token: 1 })));
            }
            Some(v1::client_down::Frame::Pong(_)) => {
                if let (Some(hello), Some(pinged)) = (hello.take(), pinged) {
                    break (hello, pinged.elapsed());
                }
            }
            _ => {}
        }
    };
    let request = v1::WatchRequest { once: true, pieces: true, ..Default::default() };
    let asked = now_ms();
    let answer = client.watch(request).await.map_err(|status| Error::from(wire::refusal_of(&status)))?;
    let answered = now_ms();
    let theirs = answer.metadata().get(wire::TIME_HEADER).and_then(|time| time.to_str().ok()?.parse::<u64>().ok());
    // The relay's clock was read in the middle of the call, more or less.
    let skew_ms = theirs.map(|theirs| theirs as i64 - (asked + (answered.saturating_sub(asked)) / 2) as i64);
    let (mut events, mut pieces) = (answer.into_inner(), Pieces::default());
    let (machines, sessions) = loop {
        let event = events.message().await.map_err(|status| Error::from(wire::refusal_of(&status)))?;
        let event = event.ok_or_else(|| refused(&"the relay sent no snapshot of the fleet"))?;
        if let Some(FleetEvent::Snapshot { machines, sessions }) = pieces.take(event) {
            break (machines, sessions);
        }
    };
    let software = hello.software.chars().filter(|c| !c.is_control()).take(64).collect();
    Ok(Probe { software, protocol: hello.version, connect, round_trip, skew_ms, certificate_days, machines, sessions })
}

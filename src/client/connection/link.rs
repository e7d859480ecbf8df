//! The stream to the relay: opened, read, and opened again after every end of it.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::Shared;
use super::calls::DEBUG;
use crate::client::core::Frame;
use crate::client::fleet::Pieces;
use crate::client::{ConnectionState, Error, FleetEvent};
use crate::fleet::{Code, Refusal};
use crate::stream::{Backoff, Down};
use crate::wire::{self, Channel, DialError, refusal_of, v1};

/// How often the round trips are measured.
const PING_EVERY: Duration = Duration::from_secs(3);
/// Delay before the fleet is watched again after the relay cut a watcher off.
const REWATCH: Duration = Duration::from_millis(200);
/// Delay after the relay refused the key: each attempt counts against this address there.
const REFUSED_DELAY: Duration = Duration::from_secs(30);

pub(super) async fn run(shared: Weak<Shared>) {
    let seed = u64::from(std::process::id()) << 20 | 1;
    let Some((delay, cap)) = shared.upgrade().map(|s| (s.options.retry_delay, s.options.retry_cap)) else { return };
    let mut backoff = Backoff::new(delay, cap, seed);
    while let Some(shared) = shared.upgrade() {
        let outcome = attempt(&shared, &mut backoff).await;
        let was_connected = shared.channel_tx.send_replace(None).is_some();
        let Failure { message: error, verdict } = outcome.err().unwrap_or_default();
        shared.core().disconnected(denial(verdict.as_ref()).as_ref());
        tracing::debug!(server = %shared.endpoint, error, attempt = backoff.attempt(), was_connected, "not connected");
        let is_over = shared.options.reconnect_attempts.is_some_and(|attempts| backoff.attempt() >= attempts);
        let is_refused = matches!(verdict, Some(Error::Unauthenticated(_) | Error::Refused(_)));
        let delay = backoff.next_delay().max(if is_refused { REFUSED_DELAY } else { Duration::ZERO });
        shared.judge(verdict.clone());
        shared.state_tx.send_replace(match is_over {
            true => ConnectionState::Stopped { error: error.clone() },
            false => ConnectionState::Connecting { attempt: backoff.attempt(), error: Some(error.clone()) },
        });
        if shared.options.is_debug {
            let server = shared.endpoint.to_string();
            tracing::debug!(target: DEBUG, server, was_connected, attempt = backoff.attempt(), is_over, "not connected");
        }
        if was_connected {
            shared.hooks.disconnect.each(|hook| hook());
        }
        let told = verdict.unwrap_or_else(|| Error::NoRelay(error.clone()));
        shared.hooks.error.each(|hook| hook(&told));
        if is_over {
            shared.retry.notified().await;
            backoff.reset();
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = shared.retry.notified() => {}
        }
    }
}

/// What attachments are to hear: the relay does not let this program in, so nothing comes back by waiting.
fn denial(verdict: Option<&Error>) -> Option<Refusal> {
    match verdict {
        Some(Error::Unauthenticated(message)) => Some(Refusal::new(Code::Unauthenticated, message.clone())),
        _ => None,
    }
}

/// Why an attempt ended.
#[derive(Default)]
struct Failure {
    message: String,
    /// Set if waiting does not cure it.
    verdict: Option<Error>,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure { message, verdict: None }
    }
}

impl From<DialError> for Failure {
    fn from(err: DialError) -> Failure {
        let message = err.to_string();
        Failure { verdict: err.is_final().then(|| Error::Untrusted(message.clone())), message }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Failure {
        let refusal = refusal_of(&status);
        let is_final = matches!(refusal.code, Code::Unauthenticated | Code::PermissionDenied | Code::Exhausted);
        let message = refusal.message.clone();
        Failure { message, verdict: is_final.then(|| refusal.into()) }
    }
}

async fn attempt(shared: &Arc<Shared>, backoff: &mut Backoff) -> Result<(), Failure> {
    let channel = wire::dial(&shared.endpoint, &shared.options.credentials).await?;
    let epoch = shared.core().epoch;
    let upstream = Upstream { shared: Arc::downgrade(shared), epoch, is_greeted: false };
    let mut frames = wire::client_service(channel.clone()).link(upstream).await?.into_inner();
    match frames.message().await?.and_then(|frame| frame.frame) {
        Some(v1::client_down::Frame::Hello(hello)) => wire::check_hello(&hello).map_err(|err| err.to_string())?,
        _ => return Err("the relay did not open with a hello".to_string().into()),
    }
    shared.judge(None);
    backoff.reset();
    shared.core().connected();
    shared.channel_tx.send_replace(Some(channel));
    let server = shared.endpoint.to_string();
    shared.state_tx.send_replace(ConnectionState::Connected {
        server: server.clone(),
        latency_us: None,
        unanswered: None,
    });
    tracing::debug!(server, "connected");
    if shared.options.is_debug {
        tracing::debug!(target: DEBUG, server, "connected");
    }
    shared.hooks.connect.each(|hook| hook());
    let mut ping = tokio::time::interval(PING_EVERY);
    // A machine that slept for a night has not been without an answer for as long.
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            frame = frames.message() => match frame? {
                Some(frame) => {
                    unanswered = 0;
                    take(shared, frame, &server);
                }
                None => return Err("the relay closed the connection".to_string().into()),
            },
            _ = ping.tick() => {
                if unanswered > 0 {
                    shared.state_tx.send_modify(|state| {
                        if let ConnectionState::Connected { unanswered: silent, .. } = state {
                            *silent = Some(PING_EVERY * unanswered);
                        }
                    });
                }
                unanswered += 1;
                let token = shared.token();
                let mut core = shared.core();
                core.ping(token);
                // Who hears nothing from the relay hears nothing from anybody.
                if unanswered == 1 {
                    core.ping_all(token, PING_EVERY);
                }
            }
        }
    }
}

fn take(shared: &Shared, frame: v1::ClientDown, server: &str) {
    use v1::client_down::Frame;
    match frame.frame {
        Some(Frame::Down(down)) => match wire::down_from(down) {
            Some(Down::Pong(token)) => shared.core().measured(frame.channel, shared.since(token)),
            Some(down) => {
                shared.core().down(frame.channel, down);
                shared.progress.notify_waiters();
            }
            None => {}
        },
        Some(Frame::Lost(lost)) => {
            let refused = v1::Refused { code: lost.code, message: lost.message, frame: String::new() };
            shared.core().lost(frame.channel, wire::refusal_from(&refused));
            shared.progress.notify_waiters();
        }
        Some(Frame::Ready(_)) => shared.core().ready(frame.channel),
        Some(Frame::Pong(pong)) => {
            shared.answered_tx.send_replace(pong.token);
            let latency_us = Some(shared.since(pong.token));
            shared.state_tx.send_replace(ConnectionState::Connected {
                server: server.into(),
                latency_us,
                unanswered: None,
            });
        }
        Some(Frame::Hello(_)) | None => {}
    }
}

pub(super) async fn watch_fleet(mut channel_rx: watch::Receiver<Option<Channel>>, events_tx: mpsc::Sender<FleetEvent>) {
    loop {
        let channel = match channel_rx.wait_for(Option::is_some).await {
            Ok(channel) => channel.clone(),
            Err(_) => return,
        };
        let Some(channel) = channel else { continue };
        let request = v1::WatchRequest { pieces: true, ..Default::default() };
        if let Ok(events) = wire::client_service(channel).watch(request).await {
            let (mut events, mut pieces) = (events.into_inner(), Pieces::default());
            while let Ok(Some(event)) = events.message().await {
                let Some(event) = pieces.take(event) else { continue };
                if events_tx.send(event).await.is_err() {
                    return;
                }
            }
        }
        if events_tx.is_closed() {
            return;
        }
        tokio::time::sleep(REWATCH).await;
    }
}

/// Frames on their way to the relay, hello first.
struct Upstream {
    shared: Weak<Shared>,
    epoch: u64,
    is_greeted: bool,
}

impl Stream for Upstream {
    type Item = v1::ClientUp;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::ClientUp>> {
        use v1::client_up::Frame as Wire;
        if !self.is_greeted {
            self.is_greeted = true;
            return Poll::Ready(Some(v1::ClientUp { channel: 0, frame: Some(Wire::Hello(wire::hello())) }));
        }
        let Some(shared) = self.shared.upgrade() else { return Poll::Ready(None) };
        let frame = match shared.core().next_frame(self.epoch, cx.waker()) {
            Err(()) => return Poll::Ready(None),
            Ok(None) => return Poll::Pending,
            Ok(Some(frame)) => frame,
        };
        let (channel, frame) = match frame {
            Frame::Open { channel, session, client, attach } => {
                let open = v1::OpenChannel {
                    session: Bytes::copy_from_slice(session.as_bytes()),
                    client: Bytes::copy_from_slice(client.as_bytes()),
                    attach: Some(attach.into()),
                };
                (channel, Wire::Open(open))
            }
            Frame::Up { channel, up } => (channel, Wire::Up(wire::up(None, up))),
            Frame::Ping { token } => (0, Wire::Ping(v1::Ping { token })),
            Frame::Broadcast { sessions } => {
                let sessions = sessions.iter().map(|id| Bytes::copy_from_slice(id.as_bytes())).collect();
                (0, Wire::Broadcast(v1::Broadcast { sessions }))
            }
        };
        Poll::Ready(Some(v1::ClientUp { channel, frame: Some(frame) }))
    }
}

//! The handlers of a stream, and what one event sets off.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::hooks::Hooks;
use crate::client::{AttachEvent, Error};
use crate::fleet::{Exit, Refusal, Role, Viewer};
use crate::rules::{Hit, Pattern, Rules, Transcript};

/// After so long without output a line without an end is looked at for patterns: a prompt.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
type Hook<A> = dyn FnMut(A) + Send;
type RefHook<A> = dyn FnMut(&A) + Send;

/// Where a stream stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Not attached, or on the way.
    Detached,
    /// Attached.
    Live,
    /// The way is cut, and tried again.
    Lost(Refusal),
    /// The program ended; its output came to the end.
    Exited(Exit),
    /// Nothing follows.
    Closed(Option<Refusal>),
}

/// Called when output has been missing for a while.
struct Idle {
    after: Duration,
    hook: Box<dyn FnMut(Duration) + Send>,
    is_told: bool,
}

/// Everything that listens to one stream.
pub(super) struct Events {
    pub(super) output: Hooks<RefHook<[u8]>>,
    pub(super) output_async: Hooks<dyn FnMut(Bytes) -> Boxed + Send>,
    pub(super) disconnect: Hooks<dyn FnMut() + Send>,
    pub(super) reconnect: Hooks<dyn FnMut() + Send>,
    pub(super) error: Hooks<RefHook<Error>>,
    pub(super) skipped: Hooks<Hook<u64>>,
    pub(super) exit: Hooks<Hook<Exit>>,
    pub(super) presence: Hooks<RefHook<[Viewer]>>,
    pattern: Hooks<RefHook<Hit>>,
    idle: Mutex<Vec<Idle>>,
    rules: Mutex<Rules>,
    transcript: Mutex<Transcript>,
    last_output: Mutex<Instant>,
    pub(super) phase_tx: watch::Sender<Phase>,
    /// Counts outputs, for those who wait for one.
    pub(super) news_tx: watch::Sender<u64>,
}

impl Events {
    pub(super) fn new(transcript_cap: usize) -> Events {
        Events {
            output: Hooks::default(),
            output_async: Hooks::default(),
            disconnect: Hooks::default(),
            reconnect: Hooks::default(),
            error: Hooks::default(),
            skipped: Hooks::default(),
            exit: Hooks::default(),
            presence: Hooks::default(),
            pattern: Hooks::default(),
            idle: Mutex::default(),
            rules: Mutex::default(),
            transcript: Mutex::new(Transcript::new(transcript_cap)),
            last_output: Mutex::new(Instant::now()),
            phase_tx: watch::Sender::new(Phase::Detached),
            news_tx: watch::Sender::new(0),
        }
    }

    pub(super) fn transcript(&self) -> MutexGuard<'_, Transcript> {
        lock(&self.transcript)
    }

    pub(super) fn idle_for(&self) -> Duration {
        lock(&self.last_output).elapsed()
    }

    pub(super) fn add_idle(&self, after: Duration, hook: Box<dyn FnMut(Duration) + Send>) {
        lock(&self.idle).push(Idle { after, hook, is_told: false });
    }

    pub(super) fn add_pattern(&self, name: &str, pattern: Pattern, mut hook: impl FnMut(&Hit) + Send + 'static) {
        let place = lock(&self.rules).add(name, pattern);
        self.pattern.add(Box::new(move |hit| {
            if hit.rule == place {
                hook(hit);
            }
        }));
    }

    pub(super) fn pattern_count(&self, name: &str) -> u64 {
        lock(&self.rules).count(name)
    }

    /// The clock of idleness starts now.
    pub(super) fn attached(&self) {
        *lock(&self.last_output) = Instant::now();
    }

    /// The next moment [`Self::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let last = *lock(&self.last_output);
        let idle = lock(&self.idle).iter().filter(|idle| !idle.is_told).map(|idle| last + idle.after).min();
        let rules = lock(&self.rules);
        let pause = (!rules.is_empty() && rules.has_unjudged()).then(|| last + PAUSE);
        idle.into_iter().chain(pause).min()
    }

    /// Tells of pauses and idleness.
    pub(super) fn tick(&self) {
        let elapsed = self.idle_for();
        if elapsed >= PAUSE {
            let hits = lock(&self.rules).pause();
            self.told(&hits);
        }
        // Taken out for the time of the calls: one may add another.
        let mut idle = std::mem::take(&mut *lock(&self.idle));
        for idle in idle.iter_mut().filter(|idle| !idle.is_told && elapsed >= idle.after) {
            idle.is_told = true;
            (idle.hook)(elapsed);
        }
        let mut added = lock(&self.idle);
        idle.append(&mut added);
        *added = idle;
    }

    /// One event of the attachment; `has_screen` says whether the first keyframe is output.
    pub(super) async fn take(&self, event: AttachEvent, has_screen: bool, role: &mut Role) {
        match event {
            AttachEvent::Attached { skipped, role: granted, .. } => {
                *role = granted;
                let before = self.phase_tx.send_replace(Phase::Live);
                if matches!(before, Phase::Lost(_)) {
                    tracing::debug!(skipped, "the stream continues");
                    self.reconnect.each(|hook| hook());
                }
            }
            AttachEvent::Output { data, .. } => self.output(data).await,
            AttachEvent::Keyframe { data, skipped, .. } => {
                if skipped > 0 {
                    self.skipped.each(|hook| hook(skipped));
                }
                if has_screen || skipped > 0 {
                    self.output(data).await;
                }
            }
            AttachEvent::Presence(viewers) => self.presence.each(|hook| hook(&viewers)),
            AttachEvent::Exited(exit) => {
                let hits = lock(&self.rules).pause();
                self.told(&hits);
                self.phase_tx.send_replace(Phase::Exited(exit));
                self.exit.each(|hook| hook(exit));
            }
            AttachEvent::Refused(refusal) => {
                let error = refusal.into();
                self.error.each(|hook| hook(&error));
            }
            AttachEvent::Lost(refusal) => {
                tracing::debug!(%refusal, "the stream is cut");
                let before = self.phase_tx.send_replace(Phase::Lost(refusal));
                if before == Phase::Live {
                    self.disconnect.each(|hook| hook());
                }
            }
            AttachEvent::Closed(refusal) => {
                if matches!(*self.phase_tx.borrow(), Phase::Exited(_)) {
                    return;
                }
                self.phase_tx.send_replace(Phase::Closed(refusal.clone()));
                if let Some(refusal) = refusal {
                    let error = refusal.into();
                    self.error.each(|hook| hook(&error));
                }
            }
            AttachEvent::RoleChanged(granted) => *role = granted,
            AttachEvent::Resized(_) | AttachEvent::Latency(_) | AttachEvent::Unanswered(_) => {}
        }
    }

    async fn output(&self, data: Bytes) {
        *lock(&self.last_output) = Instant::now();
        lock(&self.idle).iter_mut().for_each(|idle| idle.is_told = false);
        self.transcript().push(&data);
        self.news_tx.send_modify(|news| *news += 1);
        self.output.each(|hook| hook(&data));
        let is_matched = !lock(&self.rules).is_empty();
        if is_matched {
            let hits = lock(&self.rules).feed(&data);
            self.told(&hits);
        }
        if !self.output_async.is_empty() {
            let mut hooks = self.output_async.take();
            for hook in &mut hooks {
                hook(data.clone()).await;
            }
            self.output_async.put_back(hooks);
        }
    }

    fn told(&self, hits: &[Hit]) {
        for hit in hits {
            self.pattern.each(|hook| hook(hit));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What is said once and then counted, so that nobody fills the log with what it says of them.

use std::collections::HashMap;

use super::Audited;
use crate::relay::connections::network;

/// Things counted at once, of one minute; what is beyond counts as one more thing of everybody else's.
const COUNTED_CAP: usize = 1024;
/// Of them those of one caller or address: whoever thinks of more reasons to be refused is counted without them.
const KINDS_EACH: usize = 32;
/// Lines of one caller in a row: a command on thousands of machines, each of which begins and ends.
const BURST: f64 = 20_000.0;
/// Lines of one caller each second after that.
const PER_SECOND: f64 = 50.0;
/// Callers whose lines are counted; beyond it those who did least lately are forgotten.
const CALLERS_CAP: usize = 10_000;

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A line of its own.
    Told,
    /// A line of its own was there before; this one is counted.
    Counted,
}

/// What events have in common that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    is_refusal: bool,
    event: &'static str,
    principal: Option<String>,
    peer: Option<String>,
    workspace: String,
    reason: String,
}

#[derive(Debug)]
struct Counted {
    since_ms: u64,
    count: u64,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    since_ms: u64,
}

/// What was said lately.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counted: HashMap<Kind, Counted>,
    callers: HashMap<String, Bucket>,
}

/// Whether an event says that something was refused.
pub(super) fn is_refusal(event: &Audited) -> bool {
    matches!(event, Audited::AuthFailed { .. } | Audited::RateLimited { .. } | Audited::Denied { .. })
}

impl Tally {
    /// Whether an event is told by itself.
    pub(super) fn judge(&mut self, event: &Audited, now: u64) -> Verdict {
        if let Some(kind) = once(event) {
            return self.say_once(kind, now);
        }
        let Some((name, principal, workspace)) = done(event) else { return Verdict::Told };
        // What runs something has a bucket of its own: it is not hidden behind what is cheap.
        let is_run = matches!(event, Audited::Exec { .. } | Audited::ExecEnd { .. } | Audited::SessionCreate { .. });
        if self.may_tell(&format!("{workspace} {principal} {is_run}"), now) {
            return Verdict::Told;
        }
        let kind = Kind {
            is_refusal: false,
            event: name,
            principal: Some(principal.into()),
            peer: None,
            workspace: workspace.into(),
            reason: String::new(),
        };
        self.count(kind, now);
        Verdict::Counted
    }

    fn say_once(&mut self, kind: Kind, now: u64) -> Verdict {
        let is_theirs = |other: &&Kind| {
            (&other.principal, &other.peer, &other.workspace) == (&kind.principal, &kind.peer, &kind.workspace)
        };
        if !self.counted.contains_key(&kind) && self.counted.keys().filter(is_theirs).count() >= KINDS_EACH {
            self.count(Kind { reason: String::new(), ..kind }, now);
            return Verdict::Counted;
        }
        if self.counted.contains_key(&kind) || self.counted.len() >= COUNTED_CAP {
            self.count(kind, now);
            return Verdict::Counted;
        }
        self.counted.insert(kind, Counted { since_ms: now, count: 0 });
        Verdict::Told
    }

    fn count(&mut self, kind: Kind, now: u64) {
        let others = |kind: Kind| Kind { principal: None, peer: Some("others".into()), reason: String::new(), ..kind };
        let is_known = self.counted.contains_key(&kind) || self.counted.len() < COUNTED_CAP;
        let kind = if is_known { kind } else { others(kind) };
        self.counted.entry(kind).or_insert(Counted { since_ms: now, count: 0 }).count += 1;
    }

    fn may_tell(&mut self, principal: &str, now: u64) -> bool {
        if !self.callers.contains_key(principal) && self.callers.len() >= CALLERS_CAP {
            self.callers.retain(|_, bucket| bucket.left < BURST / 2.0);
        }
        let fresh = || Bucket { left: BURST, since_ms: now };
        let bucket = self.callers.entry(principal.into()).or_insert_with(fresh);
        let elapsed_s = now.saturating_sub(bucket.since_ms) as f64 / 1000.0;
        bucket.left = (bucket.left + elapsed_s * PER_SECOND).min(BURST);
        bucket.since_ms = now;
        let may = bucket.left >= 1.0;
        bucket.left -= f64::from(u8::from(may));
        may
    }

    /// What was counted and was not told for so long; the next of its kind is told by itself again.
    pub(super) fn told(&mut self, now: u64, after_ms: u64) -> Vec<(bool, Audited)> {
        let mut told = Vec::new();
        self.counted.retain(|kind, counted| {
            if now.saturating_sub(counted.since_ms) < after_ms {
                return true;
            }
            if counted.count > 0 {
                let Kind { event, principal, peer, workspace, reason, .. } = kind.clone();
                let (count, since_ms) = (counted.count, counted.since_ms);
                let repeated =
                    Audited::Repeated { workspace, repeated: event, principal, peer, reason, count, since_ms };
                told.push((kind.is_refusal, repeated));
            }
            false
        });
        told
    }
}

/// The network of a peer, without the port and, of IPv6, the half that it chose.
fn host(peer: &str) -> String {
    peer.parse().map_or_else(|_| peer.into(), |address: std::net::SocketAddr| network(address.ip()).to_string())
}

/// What is said once a minute.
fn once(event: &Audited) -> Option<Kind> {
    let kind = |event, is_refusal| Kind {
        is_refusal,
        event,
        principal: None,
        peer: None,
        workspace: String::new(),
        reason: String::new(),
    };
    Some(match event {
        Audited::AuthFailed { peer, reason, .. } => {
            Kind { peer: Some(host(peer)), reason: reason.clone(), ..kind("auth_failed", true) }
        }
        Audited::RateLimited { peer, .. } => Kind { peer: Some(host(peer)), ..kind("rate_limited", true) },
        Audited::Denied { principal, workspace, what, reason } => Kind {
            principal: Some(principal.clone()),
            workspace: workspace.clone(),
            reason: format!("{what}: {reason}"),
            ..kind("denied", true)
        },
        Audited::KeyUsed { principal, workspace, peer } => Kind {
            principal: Some(principal.clone()),
            workspace: workspace.clone(),
            peer: Some(host(peer)),
            ..kind("key_used", false)
        },
        _ => return None,
    })
}

/// What somebody did: its name, by whom, in which workspace. Rare things are not among it, and are always told.
fn done(event: &Audited) -> Option<(&'static str, &str, &str)> {
    Some(match event {
        Audited::Attach { principal, workspace, .. } => ("attach", principal, workspace),
        Audited::RoleChange { principal, workspace, .. } => ("role_change", principal, workspace),
        Audited::SessionCreate { principal, workspace, .. } => ("session_create", principal, workspace),
        Audited::SessionDestroy { principal, workspace, .. } => ("session_destroy", principal, workspace),
        Audited::Exec { principal, workspace, .. } => ("exec", principal, workspace),
        Audited::ExecEnd { principal, workspace, .. } => ("exec_end", principal, workspace),
        Audited::BroadcastStart { principal, workspace, .. } => ("broadcast_start", principal, workspace),
        Audited::BroadcastChange { principal, workspace, .. } => ("broadcast_change", principal, workspace),
        Audited::BroadcastStop { principal, workspace, .. } => ("broadcast_stop", principal, workspace),
        Audited::Files { principal, workspace, .. } => ("files", principal, workspace),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(what: &str) -> Audited {
        let (principal, workspace) = ("key:eve".into(), "default".into());
        Audited::Denied { principal, workspace, what: what.into(), reason: "it may not".into() }
    }

    #[test]
    fn what_is_refused_again_and_again_is_told_once_a_minute_with_its_number() {
        let mut tally = Tally::default();
        assert_eq!(tally.judge(&denied("exec"), 0), Verdict::Told);
        assert_eq!(tally.judge(&denied("attach"), 0), Verdict::Told);
        (0..7).for_each(|_| assert_eq!(tally.judge(&denied("exec"), 10), Verdict::Counted));
        assert!(tally.told(59_999, 60_000).is_empty());
        let told = tally.told(60_000, 60_000);
        assert!(matches!(&told[..], [(true, Audited::Repeated { count: 7, repeated: "denied", .. })]), "{told:?}");
        assert_eq!(tally.judge(&denied("exec"), 60_001), Verdict::Told);
        // However many things there are, they are a bounded number of lines.
        let lines = (0..100_000).filter(|n| tally.judge(&denied(&n.to_string()), 60_002) == Verdict::Told).count();
        assert!(lines <= KINDS_EACH && tally.counted.len() <= COUNTED_CAP + 1);
    }

    #[test]
    fn a_caller_who_floods_the_log_with_what_it_does_is_counted_and_nobody_else_is() {
        let mut tally = Tally::default();
        let destroy = |principal: &str| Audited::SessionDestroy {
            principal: principal.into(),
            workspace: "default".into(),
            session: "s".into(),
            outcome: "ok".into(),
        };
        let told = (0..100_000).filter(|_| tally.judge(&destroy("key:eve"), 0) == Verdict::Told).count();
        assert_eq!(told, BURST as usize);
        assert_eq!(tally.judge(&destroy("key:ada"), 0), Verdict::Told);
        let revoked =
            Audited::KeyRevoked { principal: "key:eve".into(), key: "ci".into(), workspace: "default".into() };
        assert_eq!(tally.judge(&revoked, 0), Verdict::Told, "what matters is always told");
        assert_eq!(tally.told(60_000, 60_000).len(), 1);
    }
}

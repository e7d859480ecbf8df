//! Who is behind a call: by what the connection proves, or by the key it shows.
//!
//! A process of this machine's own user is trusted by its socket; everybody else shows a key. A key that is shown
//! counts, whatever the connection proves: it narrows what a local program may do.

mod authority;
mod joining;
mod keyring;
mod limit;
mod token;

pub use authority::AuthorityError;
pub(super) use authority::{Authority, SERVER_CERTIFICATE, init, load, renew};
pub(super) use keyring::{Considered, Key, Keyring, NewKey, SetMachine, name_taken};
pub(super) use token::{Ask, NewToken, Token};

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TlsConnectInfo;

use super::audit::{Audit, Audited};
use super::connections::network;
use super::quota::Quotas;
use super::socket::Origin;
use super::store::{Change, Store};
use crate::fleet::{Action, Caller, Code, KeyId, MachineId, Principal, Refusal};
use crate::runtime::now_ms;
use crate::wire::v1;
use limit::Limits;

/// Longer than a machine remembers who showed its password.
const MACHINE_MEMORY: Duration = Duration::from_secs(2 * 3600);
/// Addresses from which a key was used, kept so that a neighbour's failures do not lock its holder out.
const KNOWN_CAP: usize = 100_000;

/// The gate that every call passes.
pub(super) struct Auth {
    state: Mutex<State>,
    store: Store,
    pub(super) audit: Audit,
    pub(super) quotas: Quotas,
}

#[derive(Default)]
struct State {
    keyring: Keyring,
    limits: Limits,
    /// Network and id of keys that were good there, before a restart too.
    known: std::collections::HashSet<(IpAddr, KeyId)>,
}

/// Who an agent is, as far as the connection proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AgentIs {
    /// A process of this machine's own user: what it says of itself is believed.
    Local,
    /// The machine that joined with this id, in this workspace, and got this key then.
    Joined { machine: MachineId, workspace: String, key: KeyId },
}

impl AgentIs {
    /// The workspace it has joined; a local one serves all.
    pub(super) fn workspace(&self) -> Option<&str> {
        match self {
            AgentIs::Local => None,
            AgentIs::Joined { workspace, .. } => Some(workspace),
        }
    }

    /// As whom a joined one is audited.
    pub(super) fn caller(&self) -> Option<Caller> {
        let AgentIs::Joined { machine, workspace, key } = self else { return None };
        let (principal, workspace) = (Principal::machine(*machine), Some(workspace.clone()));
        Some(Caller { principal, key: Some(*key), workspace, actions: crate::fleet::Actions::default() })
    }
}

/// Where a call comes from.
#[derive(Clone, Debug)]
struct Peer {
    address: Option<IpAddr>,
    is_unix: bool,
    text: String,
    /// What the connection alone proves.
    local: Result<Caller, Refusal>,
}

impl Auth {
    /// With where keys were good before this process began.
    pub(super) fn new(keyring: Keyring, known: Vec<(IpAddr, KeyId)>, store: Store, audit: Audit) -> Auth {
        let state = State { keyring, known: known.into_iter().collect(), ..State::default() };
        Auth { state: Mutex::new(state), store, audit, quotas: Quotas::default() }
    }

    /// The caller of a client's call.
    pub(super) fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Refusal> {
        let peer = peer(request);
        let Some(presented) = bearer(request.metadata()) else {
            return peer.local.clone().inspect_err(|refusal| self.failed(&peer, refusal));
        };
        let key = self.check(&peer, presented)?;
        if key.machine.is_some() {
            let message = "this is a machine's key, for its agent only; `fleetmux keys create` makes one for people";
            return Err(self.refused(&peer, message));
        }
        Ok(key.caller())
    }

    /// The caller of a published SDK's call: it shows its key as a bearer's, and only a unix socket proves its user. A
    /// loopback address alone proves nothing here, for the SDKs tell a bad key from a good one by asking.
    pub(super) fn sdk_caller<T>(&self, request: &Request<T>) -> Result<Caller, Refusal> {
        let peer = peer(request);
        let header = request.metadata().get("authorization");
        let is_bearer = header.is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"bearer "));
        if is_bearer || (header.is_none() && peer.is_unix) {
            return self.caller(request);
        }
        let message = "this relay wants a key as `authorization: Bearer KEY`; make one with `fleetmux keys create \
                       --prefix cmdop_`";
        Err(self.refused(&peer, message))
    }

    /// The caller of a client's call that needs an action; a denial is audited.
    pub(super) fn caller_with<T>(&self, request: &Request<T>, action: Action) -> Result<Caller, Refusal> {
        let caller = self.caller(request)?;
        match caller.needs(action) {
            Ok(()) => Ok(caller),
            Err(refusal) => {
                self.denied(&caller, action.name(), &refusal);
                Err(refusal)
            }
        }
    }

    /// The machine behind an agent's call.
    pub(super) fn agent<T>(&self, request: &Request<T>) -> Result<AgentIs, Refusal> {
        let peer = peer(request);
        let Some(presented) = bearer(request.metadata()) else {
            return peer.local.clone().map(|_| AgentIs::Local).inspect_err(|refusal| self.failed(&peer, refusal));
        };
        let key = self.check(&peer, presented)?;
        let Some(machine) = key.machine() else {
            let message = "this is a person's key; an agent gets its own with `fleetmux agent join TOKEN`";
            return Err(self.refused(&peer, message));
        };
        Ok(AgentIs::Joined { machine, workspace: key.workspace, key: key.id })
    }

    /// A caller's connection opened: worth a line, once.
    pub(super) fn opened<T>(&self, request: &Request<T>, principal: &Principal, workspace: Option<&str>) {
        if bearer(request.metadata()).is_some() {
            let (principal, workspace) = (principal.to_string(), workspace.unwrap_or_default().to_string());
            self.audit.record(Audited::KeyUsed { principal, workspace, peer: peer(request).text });
        }
    }

    /// A known caller wanted what it may not.
    pub(super) fn denied(&self, caller: &Caller, what: &str, refusal: &Refusal) {
        let (principal, reason) = (caller.principal.to_string(), refusal.message.clone());
        let workspace = caller.workspace.clone().unwrap_or_default();
        self.audit.record(Audited::Denied { principal, workspace, what: what.into(), reason });
    }

    /// Changes the keyring, and stores what changed before anybody hears of it. Nothing is begun
    /// where nothing can be stored; what could not be stored all the same is stored later, and nobody is given its secret.
    pub(super) async fn change<T>(
        &self,
        change: impl FnOnce(&mut Keyring, u64) -> Result<(T, Change), Refusal>,
    ) -> Result<T, Refusal> {
        self.keep(Change::Probe).await?;
        let (changed, change) = {
            let mut state = self.state();
            change(&mut state.keyring, now_ms())?
        };
        self.keep(change).await?;
        Ok(changed)
    }

    /// Refused when the key behind a caller is good no longer. What is opened after this was asked is cut by the hub; what
    /// was opened before, between the look at the key and its revocation, has to ask.
    pub(super) fn still(&self, caller: &Caller) -> Result<(), Refusal> {
        self.state().keyring.over(caller, now_ms()).map_or(Ok(()), Err)
    }

    /// Keys that expired after one moment and until another.
    pub(super) fn expired(&self, after: u64, until: u64) -> Vec<Key> {
        self.state().keyring.expired(after, until)
    }

    /// Keys whose holders an agent has to forget, for it may not have been there when they ended.
    pub(super) fn ended(&self, agent: &AgentIs) -> v1::RevokedKeys {
        let ended = self.state().keyring.ended(agent.workspace(), MACHINE_MEMORY.as_millis() as u64, now_ms());
        let key = |(principal, ago_ms): (Principal, u64)| v1::RevokedKey { principal: principal.to_string(), ago_ms };
        v1::RevokedKeys { keys: ended.into_iter().map(key).collect() }
    }

    /// Keys that a caller may see.
    pub(super) fn list(&self, caller: &Caller) -> Vec<Key> {
        self.state().keyring.list(|workspace| caller.sees(workspace))
    }

    /// Revokes a key, or one again that could not be stored; the caller stores it.
    pub(super) fn revoke(&self, wanted: &str, is_machine: bool, sees: impl Fn(&str) -> bool) -> Result<Key, Refusal> {
        self.state().keyring.revoke(wanted, is_machine, sees, now_ms())
    }

    pub(super) async fn keep(&self, change: Change) -> Result<(), Refusal> {
        let kept = self.store.keep(change).await;
        kept.map_err(|()| {
            Refusal::new(
                Code::Internal,
                "the relay cannot store it: the disk of its state is full or takes nothing; its log says more",
            )
        })
    }

    fn check(&self, peer: &Peer, presented: &str) -> Result<Key, Refusal> {
        let now = now_ms();
        let outcome = {
            let mut state = self.state();
            state.may_try(peer, Some(presented), now)?;
            let outcome = state.keyring.check(presented, now);
            if let (Ok((key, _)), Some(address)) = (&outcome, peer.address)
                && state.known.len() < KNOWN_CAP
                && state.known.insert((network(address), key.id))
            {
                self.store.change(Change::Known(network(address), key.id));
            }
            outcome
        };
        match outcome {
            Ok((key, is_news)) => {
                if is_news {
                    self.store.change(Change::Key(Box::new(key.clone())));
                }
                Ok(key)
            }
            Err(refusal) => {
                if !self.state().keyring.knows(presented) {
                    self.guessed(peer);
                }
                self.failed(peer, &refusal);
                Err(refusal)
            }
        }
    }

    fn refused(&self, peer: &Peer, message: &str) -> Refusal {
        let refusal = Refusal::new(Code::Unauthenticated, message);
        self.failed(peer, &refusal);
        refusal
    }

    fn failed(&self, peer: &Peer, refusal: &Refusal) {
        tracing::warn!(peer = peer.text, reason = refusal.message, "a caller is not let in");
        let reason = refusal.message.clone();
        let (workspace, what) = (String::new(), "key".into());
        self.audit.record(Audited::AuthFailed { workspace, peer: peer.text.clone(), what, reason });
    }

    /// Somebody showed a secret that is nobody's, as one does who guesses: what was never shown, or was good once, is no guess.
    fn guessed(&self, peer: &Peer) {
        let Some(address) = peer.address else { return };
        if self.state().limits.failed(address, now_ms()) {
            self.audit.record(Audited::RateLimited { workspace: String::new(), peer: peer.text.clone() });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Refused without a look at what is shown when the address failed too often; a key that was good from there
    /// before still is.
    fn may_try(&mut self, peer: &Peer, presented: Option<&str>, now: u64) -> Result<(), Refusal> {
        let Some(address) = peer.address else { return Ok(()) };
        let Some(wait_s) = self.limits.wait_s(address, now) else { return Ok(()) };
        let known = presented.and_then(|key| self.keyring.check(key, now).ok());
        if known.is_some_and(|(key, _)| self.known.contains(&(network(address), key.id))) {
            return Ok(());
        }
        let message = format!("too many failed attempts from {address}; wait {wait_s} s and use a key that is valid");
        Err(Refusal::new(Code::Exhausted, message))
    }
}

fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let header = metadata.get("authorization")?;
    // What is no text is shown all the same, and no key is like it.
    let text = header.to_str().unwrap_or("?");
    Some(text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer ")).unwrap_or(text).trim())
}

/// The connection that a call came on.
pub(super) fn origin<T>(request: &Request<T>) -> Option<&Origin> {
    let extensions = request.extensions();
    let tls = extensions.get::<TlsConnectInfo<Origin>>().map(TlsConnectInfo::get_ref);
    tls.or_else(|| extensions.get::<Origin>())
}

/// Where a call comes from, for the audit log.
pub(super) fn peer_text<T>(request: &Request<T>) -> String {
    peer(request).text
}

fn peer<T>(request: &Request<T>) -> Peer {
    let no = |code, message: &str| Err(Refusal::new(code, message));
    let is_tls = request.extensions().get::<TlsConnectInfo<Origin>>().is_some();
    let origin = origin(request);
    let address = origin.and_then(|origin| origin.address);
    if let (Some(origin), None) = (origin, address) {
        let own = rustix::process::getuid().as_raw();
        let uid = origin.uid;
        let local = match uid {
            Some(uid) if uid == own || uid == 0 => Ok(Caller::local(Principal::local_uid(uid))),
            _ => no(Code::PermissionDenied, "this relay's socket belongs to another user"),
        };
        return Peer {
            address: None,
            is_unix: true,
            text: uid.map_or("unix".into(), |uid| format!("unix uid {uid}")),
            local,
        };
    }
    let text = address.map_or("unknown".into(), |address| address.to_string());
    let ip = address.map(|address| address.ip());
    let local = match ip {
        Some(ip) if !is_tls && ip.is_loopback() => match origin.and_then(|origin| origin.loopback_user) {
            Some(uid) if uid == rustix::process::getuid().as_raw() || uid == 0 => {
                Ok(Caller::local(Principal::loopback()))
            }
            _ => no(
                Code::Unauthenticated,
                "this relay belongs to another user of this machine and wants a key; FLEETMUX_API_KEY or --key gives one, or                  run a relay of your own",
            ),
        },
        _ => no(
            Code::Unauthenticated,
            "this relay wants a key; `fleetmux login` stores one, FLEETMUX_API_KEY or --key gives one",
        ),
    };
    Peer { address: ip, is_unix: false, text, local }
}

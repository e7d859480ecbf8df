//! Joining at the gate: a token becomes a key, and a key says who its machine is.

use tonic::Request;

use super::keyring::{Considered, Joined, SetMachine};
use super::token::Ask;
use super::{Auth, Key, bearer, peer};
use crate::fleet::{Bound, Caller, Code, KeyId, MachineFacts, MachineId, Refusal};
use crate::relay::audit::Audited;
use crate::relay::store::Change;
use crate::runtime::now_ms;

impl Auth {
    /// What a machine would be that joins with a token; nothing is spent.
    pub(in crate::relay) fn consider<T>(
        &self,
        request: &Request<T>,
        secret: &str,
        ask: &Ask,
    ) -> Result<Considered, Refusal> {
        let peer = peer(request);
        let now = now_ms();
        let outcome = {
            let mut state = self.state();
            state.may_try(&peer, None, now)?;
            state.keyring.consider(secret, ask, bearer(request.metadata()), now)
        };
        outcome.inspect_err(|refusal| {
            // A name that is badly chosen is no attempt to get in.
            if matches!(refusal.code, Code::Unauthenticated | Code::PermissionDenied) {
                if !self.state().keyring.knows_token(secret) {
                    self.guessed(&peer);
                }
                self.failed(&peer, refusal);
            }
        })
    }

    /// Exchanges a token for a machine key, which is stored before it is given away. The machines that it takes the place
    /// of lose theirs.
    pub(in crate::relay) async fn join<T>(
        &self,
        request: &Request<T>,
        secret: &str,
        ask: &Ask,
        replaces: &[MachineId],
    ) -> Result<Joined, Refusal> {
        let peer = peer(request);
        // A token that was spent for nothing is no use to anybody.
        self.keep(Change::Probe).await?;
        let outcome = self.state().keyring.redeem(secret, ask, bearer(request.metadata()), replaces, now_ms());
        let joined = outcome.inspect_err(|refusal| self.failed(&peer, refusal))?;
        for ended in &joined.ended {
            self.keep(Change::Key(Box::new(ended.clone()))).await?;
        }
        for forgotten in &joined.forgotten {
            self.store.change(Change::KeyGone(*forgotten));
        }
        self.keep(Change::Token(Box::new(joined.token.clone()))).await?;
        self.keep(Change::Key(Box::new(joined.key.clone()))).await?;
        self.audit.record(Audited::Joined {
            machine: ask.machine.to_string(),
            name: joined.key.name.clone(),
            workspace: joined.key.workspace.clone(),
            token: joined.token.id.clone(),
            peer: peer.text,
        });
        Ok(joined)
    }

    /// Nobody joins who should not: the refusal of a name or place that is taken counts as an attempt.
    pub(in crate::relay) fn refused_to_join<T>(&self, request: &Request<T>, refusal: &Refusal) {
        self.failed(&peer(request), refusal);
    }

    /// The key of a machine that links, with what is bound to it; what it says of itself is bound if nothing is yet.
    pub(in crate::relay) fn identify(
        &self,
        key: KeyId,
        facts: &MachineFacts,
        is_taken: impl Fn(&str) -> bool,
    ) -> Option<Key> {
        let says = Bound { hostname: facts.hostname.clone(), labels: facts.labels.clone() };
        let (key, is_new) = self.state().keyring.identify(key, (&facts.name, &says), is_taken)?;
        if is_new {
            self.store.change(Change::Key(Box::new(key.clone())));
            let (name, said) = (&key.name, &facts.name);
            tracing::info!(machine = %facts.id, name, said, "name, host name and labels are bound to a machine at its first link");
        }
        Some(key)
    }

    /// The key of the joined machine of this name or id, for a caller who may see it.
    pub(in crate::relay) fn machine(&self, caller: &Caller, wanted: &str) -> Result<Key, Refusal> {
        self.state().keyring.machine(wanted, |workspace| caller.sees(workspace))
    }

    /// Binds something else to a machine.
    pub(in crate::relay) async fn set_machine(&self, key: KeyId, set: SetMachine) -> Result<Key, Refusal> {
        let changed = self.change(|keyring, _| {
            let key = keyring.set_machine(key, &set)?;
            Ok((key.clone(), Change::Key(Box::new(key))))
        });
        changed.await
    }
}

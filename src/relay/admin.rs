//! The services of identity: joining machines, keys and tokens.

mod joining;
mod machines;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::audit::Audited;
use super::auth::{Auth, Key, NewKey, NewToken};
use super::connections::Connections;
use super::event::Event;
use super::hub::EventsTx;
use super::store::Change;
use crate::fleet::{Action, Caller, Code, Fingerprint, JoinToken, Refusal};
use crate::runtime::now_ms;
use crate::wire::{self, status_of, v1};

/// Workspace of whoever names none.
const DEFAULT_WORKSPACE: &str = "default";
/// How long a join token lives unless something else is asked for, seconds.
const TOKEN_LIFE_S: u64 = 3600;

/// How machines reach a relay with TLS.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) ca_pem: String,
    pub(super) ca: Fingerprint,
    /// `host:port`.
    pub(super) address: String,
}

/// Both services; cheap to clone.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) auth: Arc<Auth>,
    pub(super) events_tx: EventsTx,
    /// `None` without TLS: machines cannot join.
    pub(super) reach: Option<Reach>,
    pub(super) connections: Connections,
}

impl Admin {
    fn admin<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.auth.caller_with(request, Action::Admin).map_err(|refusal| status_of(&refusal))
    }

    fn reach(&self) -> Result<&Reach, Status> {
        let message = "this relay serves no TLS, so no machine can join it; run `fleetmux relay init` and \
                       `fleetmux relay --listen tls://0.0.0.0:7443`";
        self.reach.as_ref().ok_or_else(|| status_of(&Refusal::new(Code::Unavailable, message)))
    }

    fn info(&self, key: &Key) -> v1::KeyInfo {
        let bound = key.bound.clone().unwrap_or_default();
        v1::KeyInfo {
            id: key.id.as_bytes().to_vec().into(),
            name: key.name.clone(),
            workspace: key.workspace.clone(),
            actions: wire::actions(&key.actions()),
            created_ms: key.created_ms,
            last_used_ms: key.last_used_ms,
            expires_ms: key.expires_ms.unwrap_or(0),
            hint: key.hint.clone(),
            machine: key.machine().map(|id| id.as_bytes().to_vec()).unwrap_or_default().into(),
            labels: bound.labels.into_iter().collect(),
            hostname: bound.hostname,
        }
    }

    /// Revokes a key whatever becomes of whoever asked for it: half of a revocation is none.
    async fn revoke(&self, caller: &Caller, wanted: &str, is_machine: bool) -> Result<v1::KeyInfo, Status> {
        let (admin, caller, wanted) = (self.clone(), caller.clone(), wanted.to_string());
        let revoked = tokio::spawn(async move { admin.revoke_now(&caller, &wanted, is_machine).await });
        revoked.await.unwrap_or_else(|_| Err(Status::internal("the relay broke off; revoke it again by its id")))
    }

    async fn revoke_now(&self, caller: &Caller, wanted: &str, is_machine: bool) -> Result<v1::KeyInfo, Status> {
        let revoked = self.auth.revoke(wanted, is_machine, |workspace| caller.sees(workspace));
        let key = revoked.map_err(|refusal| status_of(&refusal))?;
        // Before it is on the disk: a full one keeps nobody in.
        self.cut_off(&key).await;
        let kept = self.auth.keep(Change::Key(Box::new(key.clone()))).await;
        self.auth.audit.record(Audited::KeyRevoked {
            principal: caller.principal.to_string(),
            key: key.name.clone(),
            workspace: key.workspace.clone(),
        });
        if let Some(machine) = key.machine() {
            // Revoked means gone. One that is linked by another way, on the relay's own socket, stays.
            let _ = self.remove(machine).await?;
        }
        kept.map_err(|refusal| {
            let message =
                format!("{} ({}) is cut off, but {}. It goes onto the disk once that takes it: until then do not restart the relay", key.name, key.id, refusal.message);
            status_of(&Refusal::new(refusal.code, message))
        })?;
        Ok(self.info(&key))
    }

    /// Ends whatever a key that is over has opened.
    async fn cut_off(&self, key: &Key) {
        if let Some(refusal) = key.over(now_ms()) {
            self.connections.forget(key.id);
            let _ = self.events_tx.send(Event::Revoked { caller: key.caller(), machine: key.machine(), refusal }).await;
        }
    }
}

/// The workspace a caller acts in: its own, or the one it names if it may see all.
fn workspace_of(caller: &Caller, wanted: String) -> Result<String, Refusal> {
    match (&caller.workspace, wanted.is_empty()) {
        (Some(own), true) => Ok(own.clone()),
        (None, true) => Ok(DEFAULT_WORKSPACE.into()),
        (_, false) if caller.sees(&wanted) => Ok(wanted),
        (_, false) => {
            let message = "a key manages its own workspace only; use one of that workspace, or the relay's own socket";
            Err(Refusal::new(Code::PermissionDenied, message))
        }
    }
}

#[tonic::async_trait]
impl v1::admin_service_server::AdminService for Admin {
    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIReply>, Status> {
        let caller = self.auth.caller(&request).map_err(|refusal| status_of(&refusal))?;
        Ok(Response::new(v1::WhoAmIReply {
            principal: caller.principal.to_string(),
            workspace: caller.workspace.unwrap_or_default(),
            actions: wire::actions(&caller.actions),
            ca_pem: self.reach.as_ref().map(|reach| reach.ca_pem.clone()).unwrap_or_default(),
        }))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenReply>, Status> {
        let caller = self.admin(&request)?;
        let reach = self.reach()?;
        let asked = request.into_inner();
        let workspace = workspace_of(&caller, asked.workspace).map_err(|refusal| status_of(&refusal))?;
        let life_s = if asked.expires_s == 0 { TOKEN_LIFE_S } else { asked.expires_s };
        let expires_ms = now_ms().saturating_add(life_s.saturating_mul(1000));
        let new = NewToken {
            workspace,
            expires_ms,
            is_reusable: asked.reusable,
            labels: asked.labels.into_iter().collect(),
            name: asked.name,
            allow_names: asked.allow_names,
            allow_labels: asked.allow_labels,
            may_replace: asked.replace,
        };
        let made = self.auth.change(|keyring, now| {
            let (secret, token) = keyring.create_token(new, now)?;
            Ok(((secret, token.clone()), Change::Token(Box::new(token))))
        });
        let (secret, token) = made.await.map_err(|refusal| status_of(&refusal))?;
        self.auth.audit.record(Audited::TokenCreated {
            principal: caller.principal.to_string(),
            token: token.id,
            workspace: token.workspace,
        });
        let address = if asked.address.is_empty() { reach.address.clone() } else { asked.address };
        let token = JoinToken { address, ca: reach.ca, secret }.encode();
        Ok(Response::new(v1::CreateTokenReply { token: token.reveal().into(), expires_ms }))
    }

    async fn create_key(&self, request: Request<v1::CreateKeyRequest>) -> Result<Response<v1::CreateKeyReply>, Status> {
        let caller = self.admin(&request)?;
        let asked = request.into_inner();
        let workspace = workspace_of(&caller, asked.workspace).map_err(|refusal| status_of(&refusal))?;
        let expires_ms = (asked.expires_s > 0).then(|| now_ms().saturating_add(asked.expires_s.saturating_mul(1000)));
        let new = NewKey {
            name: asked.name,
            workspace,
            actions: wire::actions_from(&asked.actions),
            expires_ms,
            prefix: asked.prefix,
        };
        let made = self.auth.change(|keyring, now| {
            let (secret, key) = keyring.create(new, now)?;
            Ok(((secret, key.clone()), Change::Key(Box::new(key))))
        });
        let (secret, key) = made.await.map_err(|refusal| status_of(&refusal))?;
        self.auth.audit.record(Audited::KeyCreated {
            principal: caller.principal.to_string(),
            key: key.name.clone(),
            workspace: key.workspace.clone(),
            actions: key.actions.clone(),
        });
        Ok(Response::new(v1::CreateKeyReply { key: secret.reveal().into(), info: Some(self.info(&key)) }))
    }

    async fn list_keys(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysReply>, Status> {
        let caller = self.admin(&request)?;
        let keys = self.auth.list(&caller).iter().map(|key| self.info(key)).collect();
        Ok(Response::new(v1::ListKeysReply { keys }))
    }

    async fn revoke_key(&self, request: Request<v1::RevokeKeyRequest>) -> Result<Response<v1::RevokeKeyReply>, Status> {
        let caller = self.admin(&request)?;
        let revoked = self.revoke(&caller, &request.get_ref().key, false).await?;
        Ok(Response::new(v1::RevokeKeyReply { revoked: Some(revoked) }))
    }

    async fn revoke_machine(
        &self,
        request: Request<v1::RevokeMachineRequest>,
    ) -> Result<Response<v1::RevokeMachineReply>, Status> {
        let caller = self.admin(&request)?;
        let revoked = self.revoke(&caller, &request.get_ref().machine, true).await?;
        Ok(Response::new(v1::RevokeMachineReply { revoked: Some(revoked) }))
    }

    async fn set_machine(
        &self,
        request: Request<v1::SetMachineRequest>,
    ) -> Result<Response<v1::SetMachineReply>, Status> {
        let caller = self.admin(&request)?;
        let key = self.set(&caller, request.into_inner()).await?;
        Ok(Response::new(v1::SetMachineReply { machine: Some(self.info(&key)) }))
    }

    async fn forget_machine(
        &self,
        request: Request<v1::ForgetMachineRequest>,
    ) -> Result<Response<v1::ForgetMachineReply>, Status> {
        let caller = self.admin(&request)?;
        let forgotten = self.forget_named(&caller, &request.get_ref().machine).await?;
        Ok(Response::new(v1::ForgetMachineReply {
            machine: forgotten.machine.as_bytes().to_vec().into(),
            name: forgotten.name,
            had_key: forgotten.had_key,
        }))
    }
}

//! Keys, tokens and machines of a relay; what a key with the action `admin`, or the relay's owner, may do.

use super::{Client, Error};
use crate::fleet::{Actions, Labels, MachineId, NAME_CAP, Secret, TITLE_CAP, cleaned};
use crate::wire::{self, v1};

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct KeyRequest {
    /// Unique in its workspace.
    pub name: String,
    /// `None` for the caller's own.
    pub workspace: Option<String>,
    /// What it may do.
    pub actions: Actions,
    /// Seconds until it expires; `None` for never.
    pub expires_s: Option<u64>,
    /// In front of the key; `None` for `fm_`.
    pub prefix: Option<String>,
}

/// A join token to be made.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// Workspace of the machine; `None` for the caller's own.
    pub workspace: Option<String>,
    /// Seconds until it expires; `None` for an hour.
    pub expires_s: Option<u64>,
    /// More than one machine may use it.
    pub is_reusable: bool,
    /// Labels of every machine that joins with it.
    pub labels: Labels,
    /// `host:port` to put into it; `None` for the relay's own.
    pub address: Option<String>,
    /// What the machine is called that joins with it; `None` for its own choice.
    pub name: Option<String>,
    /// Patterns of which the chosen name must fit one; none for any.
    pub allow_names: Vec<String>,
    /// `KEY=PATTERN` of labels that the machine may set beside `labels`.
    pub allow_labels: Vec<String>,
    /// Though reusable, it may replace machines that are offline.
    pub may_replace: bool,
}

/// What to bind to a machine that has joined; `None` and empty leave it as it is.
#[derive(Clone, Debug, Default)]
pub struct MachineChange {
    /// Another name.
    pub name: Option<String>,
    /// Another host name, for selectors.
    pub hostname: Option<String>,
    /// Labels to set beside the others.
    pub labels: Labels,
    /// Keys of labels to remove.
    pub remove_labels: Vec<String>,
}

/// A key as the relay shows it: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// UUID.
    pub id: String,
    /// Its name, or that of the machine.
    pub name: String,
    /// Where it is good.
    pub workspace: String,
    /// What it may do; a machine's key has no actions.
    pub actions: Actions,
    /// Milliseconds since the epoch.
    pub created_ms: u64,
    /// Milliseconds since the epoch; up to a minute old.
    pub last_used_ms: Option<u64>,
    /// Milliseconds since the epoch; `None` for never.
    pub expires_ms: Option<u64>,
    /// Its first characters.
    pub hint: String,
    /// The machine whose key it is.
    pub machine: Option<MachineId>,
    /// The labels that are bound to it.
    pub labels: Labels,
    /// The host name that is bound to it.
    pub hostname: String,
}

impl From<v1::KeyInfo> for KeyInfo {
    fn from(info: v1::KeyInfo) -> KeyInfo {
        let some = |ms: u64| (ms > 0).then_some(ms);
        KeyInfo {
            // A key's id is a UUID like any other.
            id: MachineId::from_bytes(&info.id).map(|id| id.to_string()).unwrap_or_default(),
            name: cleaned(info.name, NAME_CAP),
            workspace: cleaned(info.workspace, NAME_CAP),
            actions: wire::actions_from(&info.actions),
            created_ms: info.created_ms,
            last_used_ms: some(info.last_used_ms),
            expires_ms: some(info.expires_ms),
            hint: cleaned(info.hint, NAME_CAP),
            machine: MachineId::from_bytes(&info.machine).ok(),
            labels: info.labels.into_iter().collect(),
            hostname: info.hostname,
        }
    }
}

/// What the relay thinks of this client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoAmI {
    /// `uid:1000`, `loopback` or `key:NAME`.
    pub principal: String,
    /// The only workspace it sees; `None` for all.
    pub workspace: Option<String>,
    /// What it may do.
    pub actions: Actions,
    /// The relay's CA, PEM; `None` without TLS.
    pub ca_pem: Option<String>,
}

impl Client {
    /// Who this client is for the relay.
    pub async fn who_am_i(&self) -> Result<WhoAmI, Error> {
        let channel = self.channel().await?;
        let call = async { wire::admin_service(channel).who_am_i(v1::WhoAmIRequest {}).await };
        let reply = self.in_time(call).await?.into_inner();
        let some = |text: String| (!text.is_empty()).then_some(text);
        Ok(WhoAmI {
            principal: cleaned(reply.principal, TITLE_CAP),
            workspace: some(cleaned(reply.workspace, NAME_CAP)),
            actions: wire::actions_from(&reply.actions),
            ca_pem: some(reply.ca_pem),
        })
    }

    /// Makes an API key; the secret is shown here and never again.
    pub async fn create_key(&self, key: KeyRequest) -> Result<(Secret, KeyInfo), Error> {
        let channel = self.channel().await?;
        let request = v1::CreateKeyRequest {
            name: key.name,
            workspace: key.workspace.unwrap_or_default(),
            actions: wire::actions(&key.actions),
            expires_s: key.expires_s.unwrap_or(0),
            prefix: key.prefix.unwrap_or_default(),
        };
        let call = async { wire::admin_service(channel).create_key(request).await };
        let reply = self.in_time(call).await?.into_inner();
        Ok((Secret::new(reply.key), reply.info.unwrap_or_default().into()))
    }

    /// Keys of people and machines, without the revoked ones.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, Error> {
        let channel = self.channel().await?;
        let call = async { wire::admin_service(channel).list_keys(v1::ListKeysRequest {}).await };
        Ok(self.in_time(call).await?.into_inner().keys.into_iter().map(Into::into).collect())
    }

    /// Revokes an API key by name or id; whoever is connected with it is cut off.
    pub async fn revoke_key(&self, key: &str) -> Result<KeyInfo, Error> {
        let channel = self.channel().await?;
        let request = v1::RevokeKeyRequest { key: key.into() };
        let call = async { wire::admin_service(channel).revoke_key(request).await };
        Ok(self.in_time(call).await?.into_inner().revoked.unwrap_or_default().into())
    }

    /// Revokes a machine's key by the machine's name or id: its agent is cut off, nothing here knows the machine any more, and its
    /// sessions live on there.
    pub async fn revoke_machine(&self, machine: &str) -> Result<KeyInfo, Error> {
        let channel = self.channel().await?;
        let request = v1::RevokeMachineRequest { machine: machine.into() };
        let call = async { wire::admin_service(channel).revoke_machine(request).await };
        Ok(self.in_time(call).await?.into_inner().revoked.unwrap_or_default().into())
    }

    /// Binds another name, host name or labels to a machine that has joined; whoever watches the fleet sees it at once.
    pub async fn set_machine(&self, machine: &str, change: MachineChange) -> Result<KeyInfo, Error> {
        let channel = self.channel().await?;
        let request = v1::SetMachineRequest {
            machine: machine.into(),
            name: change.name.unwrap_or_default(),
            hostname: change.hostname.unwrap_or_default(),
            labels: change.labels.into_iter().collect(),
            remove_labels: change.remove_labels,
        };
        let call = async { wire::admin_service(channel).set_machine(request).await };
        Ok(self.in_time(call).await?.into_inner().machine.unwrap_or_default().into())
    }

    /// Forgets a machine that is offline, by name or id, with its sessions and its key. Its name comes back, and whether it had
    /// joined.
    pub async fn forget_machine(&self, machine: &str) -> Result<(String, bool), Error> {
        let channel = self.channel().await?;
        let request = v1::ForgetMachineRequest { machine: machine.into() };
        let call = async { wire::admin_service(channel).forget_machine(request).await };
        let reply = self.in_time(call).await?.into_inner();
        Ok((reply.name, reply.had_key))
    }

    /// Makes a join token, as the one word to give to `fleetmux agent join`, and when it expires (milliseconds since
    /// the epoch).
    pub async fn create_token(&self, token: TokenRequest) -> Result<(Secret, u64), Error> {
        let channel = self.channel().await?;
        let request = v1::CreateTokenRequest {
            workspace: token.workspace.unwrap_or_default(),
            expires_s: token.expires_s.unwrap_or(0),
            reusable: token.is_reusable,
            labels: token.labels.into_iter().collect(),
            address: token.address.unwrap_or_default(),
            name: token.name.unwrap_or_default(),
            allow_names: token.allow_names,
            allow_labels: token.allow_labels,
            replace: token.may_replace,
        };
        let call = async { wire::admin_service(channel).create_token(request).await };
        let reply = self.in_time(call).await?.into_inner();
        Ok((Secret::new(reply.token), reply.expires_ms))
    }
}

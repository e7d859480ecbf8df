//! Who calls, and what the call's metadata says about where it is to go.

use subtle::ConstantTimeEq;
use tonic::{Request, Status};

use super::Facade;
use crate::fleet::{Caller, Code, Principal, Secret};
use crate::wire::status_of;

/// Where calls go that name no session: a machine's id or name, or a session's id.
const ROUTE: &str = "x-cmdop-agent-id";
/// What a machine's password was exchanged for.
const AUTHORIZATION: &str = "authorization";
const TOKEN: &str = "x-session-token";
/// Longest routing word looked at.
const ROUTE_CAP: usize = 256;

/// An authenticated call.
pub(super) struct Call {
    pub(super) caller: Caller,
    /// `None` when the call says nothing.
    pub(super) route: Option<String>,
    pub(super) token: Option<String>,
}

/// The owner of this relay, who can read the token's file.
fn local_caller<T>(request: &Request<T>, token: &Secret) -> Result<Caller, Status> {
    let header = request.metadata().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let shown = header.strip_prefix("Bearer ").unwrap_or_default().trim();
    if bool::from(shown.as_bytes().ct_eq(token.reveal().as_bytes())) {
        return Ok(Caller::local(Principal::local_uid(rustix::process::getuid().as_raw())));
    }
    Err(Status::unauthenticated("this port wants the token from the file beside its agent.info"))
}

impl Facade {
    /// Who is behind a request. Only this machine's own user needs no key, and only on a unix socket.
    pub(in crate::relay) fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        match &self.local {
            Some(token) => local_caller(request, token),
            None => self.inner.auth.sdk_caller(request).map_err(|refusal| match refusal.code {
                Code::PermissionDenied => status_of(&refusal),
                // An address that failed too often has shown no good key either.
                _ => Status::unauthenticated(refusal.message),
            }),
        }
    }

    /// A request with what it says about where it is to go.
    pub(super) fn call<T>(&self, request: &Request<T>) -> Result<Call, Status> {
        let caller = self.caller(request)?;
        let text = |name: &str| {
            let value = request.metadata().get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.chars().take(ROUTE_CAP).collect())
        };
        Ok(Call { caller, route: text(ROUTE), token: text(TOKEN) })
    }

    /// Whether somebody asks only if a local relay lives: Node does so without a token, and deletes the file that led it
    /// here when it is not answered.
    pub(in crate::relay) fn is_ping<T>(&self, request: &Request<T>) -> bool {
        self.local.is_some() && request.metadata().get(AUTHORIZATION).is_none()
    }

    /// A stream opened: worth a line in the audit log, as any client's.
    pub(super) fn opened<T>(&self, request: &Request<T>, call: &Call) {
        self.inner.auth.opened(request, &call.caller.principal, call.caller.workspace.as_deref());
    }
}

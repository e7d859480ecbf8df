//! The gate in front of every service: who calls is asked on the header fields, before a byte of the call's body is kept.
//!
//! A stranger's body is never read. What a known caller sends is bounded in size and time (`body`), and counted against its
//! key until the answer was sent (`quota`). The services ask again for what they need to know; here it is decided whether
//! they hear of the call at all.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Request, Status};

use super::auth::{Auth, origin};
use super::body::{Bounded, Bounds, Holding};
use super::cmdop::Facade;
use super::limits::{CALL_CAP, CLIENT_FRAME_CAP, FILE_MESSAGE_CAP, FILE_TIME, FIRST_FRAME, FRAME_TIME};
use super::quota::Held;
use crate::fleet::{Caller, Principal};
use crate::wire::{FRAME_CAP, status_of};

/// Whom a service is for.
#[derive(Clone)]
pub(super) enum For {
    /// People and their programs, by key or socket.
    People,
    /// The agents of machines.
    Agents,
    /// The published SDKs.
    Sdk(Facade),
    /// Whoever has a join token: it is in the call itself.
    Newcomers,
}

/// A service behind the gate.
#[derive(Clone)]
pub(super) struct Gate<S> {
    inner: S,
    who: For,
    auth: Arc<Auth>,
}

impl<S> Gate<S> {
    pub(super) fn new(inner: S, who: For, auth: Arc<Auth>) -> Gate<S> {
        Gate { inner, who, auth }
    }

    /// Whether the call is heard, and by whom it is; `None` for one that shows nothing and need not.
    fn admit(&self, request: &Request<()>, method: &str) -> Result<Option<Caller>, Status> {
        let refused = |refusal| status_of(&refusal);
        match &self.who {
            For::People => self.auth.caller(request).map(Some).map_err(refused),
            For::Agents => {
                let local = || Caller::local(Principal::loopback());
                self.auth.agent(request).map(|agent| Some(agent.caller().unwrap_or_else(local))).map_err(refused)
            }
            For::Sdk(facade) if facade.is_ping(request) && method == "HealthCheck" => Ok(None),
            For::Sdk(facade) => facade.caller(request).map(Some),
            For::Newcomers => Ok(None),
        }
    }

    fn bounds(&self, method: &str) -> Bounds {
        let (message, first, next) = match (&self.who, method) {
            (For::Agents, _) => (FRAME_CAP, FIRST_FRAME, FRAME_TIME),
            (For::People, "Link" | "Exec" | "Files") => (CLIENT_FRAME_CAP, FIRST_FRAME, FRAME_TIME),
            // The service itself says within its own time that a stream has to open with a register message.
            (For::Sdk(_), "ConnectTerminal") => (CLIENT_FRAME_CAP, 2 * FIRST_FRAME, FRAME_TIME),
            // A paste may be as large as a file.
            (For::Sdk(_), "FileWrite" | "SendInput") => (FILE_MESSAGE_CAP, FILE_TIME, FILE_TIME),
            _ => (CALL_CAP, FIRST_FRAME, FIRST_FRAME),
        };
        let is_unary = !matches!(method, "Link" | "Exec" | "Files" | "ConnectTerminal");
        Bounds { message, first, next, is_unary }
    }
}

/// Whether a call carries a whole file in one message, one way or the other.
fn is_file(method: &str) -> bool {
    matches!(method, "FileWrite" | "FileRead" | "GetOutput")
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
        let asked = Request::from_parts(MetadataMap::from_headers(parts.headers.clone()), parts.extensions.clone(), ());
        let ticket = origin(&asked).map(|origin| origin.ticket.clone());
        let admitted = self.admit(&asked, method).and_then(|caller| {
            if let (Some(caller), Some(ticket)) = (&caller, &ticket) {
                let is_machine = matches!(self.who, For::Agents);
                ticket.known(caller, is_machine).map_err(|refusal| status_of(&refusal))?;
            }
            Ok(caller)
        });
        let admitted = admitted.and_then(|caller| {
            let held = caller.as_ref().and_then(|caller| caller.key).map(|key| self.auth.quotas.enter(key));
            let held: Option<Held> = held.transpose().map_err(|refusal| status_of(&refusal))?;
            let account = caller.as_ref().map(|caller| self.auth.quotas.account(caller));
            Ok((held, account))
        });
        // Whoever shows nothing good again and again is not listened to on this connection.
        let is_good = matches!(admitted, Ok((Some(_), _)));
        if let Some(ticket) = ticket.filter(|_| !is_good) {
            ticket.strike();
        }
        let (held, account) = match admitted {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(std::future::ready(Ok(status.into_http()))),
        };
        let (bounds, is_file) = (self.bounds(method), is_file(method));
        let body = Body::new(Bounded::new(body, bounds, account));
        // The clone that was asked whether it is ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(async move {
            let turn = match &held {
                Some(held) if is_file => Some(held.file_turn().await),
                _ => None,
            };
            let response = inner.call(http::Request::from_parts(parts, body)).await?;
            Ok(response.map(|body| Body::new(Holding::new(body, (held, turn)))))
        })
    }
}

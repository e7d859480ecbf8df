//! Listening: one relay on a unix socket, on a loopback address, or with TLS on any address and a socket for its owner.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tonic::transport::Server;
use tonic::transport::server::Router;

use super::admin::{Admin, Reach};
use super::audit::Audit;
use super::auth::{self, Auth, Authority, AuthorityError, Keyring, NewToken};
use super::certificate::Certificate;
use super::cmdop::{self, Discovery, Facade};
use super::connections::Connections;
use super::core::Core;
use super::event::Event;
use super::gate::{For, Gate};
use super::grpc::Services;
use super::hub;
use super::limits::HEADERS_CAP;
use super::socket::{accept_tcp, accept_tls, accept_unix};
use super::store::{Change, Memory, Store, StoreError};
use crate::config::paths;
use crate::fleet::{Endpoint, Fingerprint, JoinToken, Machine, Refusal, Secret};
use crate::runtime::now_ms;
use crate::wire::{FRAME_CAP, FRAME_SIZE, ServeError, TlsServer, fingerprint, v1};

/// Bytes under way on one stream; more only lets a slow viewer fall further behind.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes under way on one connection, all streams together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams of one connection at once: a command has one of its own, and none may keep others from being opened.
const STREAMS_CAP: u32 = 16 * 1024;
/// A peer silent for this long is asked, and cut when it does not answer.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How often connections of expired keys are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// The store in a relay's directory.
const STORE: &str = "relay.redb";
/// How long the first join token lives, milliseconds.
const FIRST_TOKEN_MS: u64 = 3600 * 1000;

/// How a relay is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: Endpoint,
    /// File that remembers machines, sessions and keys; `None` takes the one in `dir`, or forgets.
    pub store: Option<PathBuf>,
    /// State directory made by [`init`]: certificates, store, audit log, and the socket of its owner. TLS needs it.
    pub dir: Option<PathBuf>,
    /// Where the published SDKs' local mode looks for it; only for a unix socket.
    pub discovery: Option<Discovery>,
    /// Machines that are offline for longer are forgotten; `None`: never.
    pub forget_after: Option<Duration>,
    /// A disk that takes nothing is no reason not to serve: then nothing is remembered, and no audit log is written.
    pub may_forget: bool,
}

/// A relay's directory is ready.
#[derive(Debug)]
pub struct Initialised {
    /// Fingerprint of the CA.
    pub ca: Fingerprint,
    /// The first join token.
    pub token: Secret,
}

/// Makes a CA (once) and a server certificate for these names and days in a directory, and a first join token for `address`.
pub async fn init(dir: &Path, names: &[String], address: &str, days: u32) -> Result<Initialised, RelayError> {
    let io = |err| AuthorityError::Io { path: dir.into(), err };
    paths::make_private_dir(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(io)?;
    // First: a relay that runs on this directory holds its store.
    let (store, memory) = Store::open(&dir.join(STORE))?;
    let ca = auth::init(dir, names, address, days)?;
    let mut keyring = Keyring::new(memory.keys, memory.tokens);
    let now = now_ms();
    let first = NewToken { workspace: "default".into(), expires_ms: now + FIRST_TOKEN_MS, ..NewToken::default() };
    let (secret, token) = keyring.create_token(first, now).map_err(RelayError::Refused)?;
    let kept = store.keep(Change::Token(Box::new(token))).await;
    kept.map_err(|()| RelayError::Refused(Refusal::new(crate::fleet::Code::Internal, "the token cannot be stored")))?;
    let token = JoinToken { address: address.into(), ca, secret }.encode();
    Ok(Initialised { ca, token })
}

/// Makes another server certificate under the CA of a directory, for these names or, without any, those of the last one; gives
/// the names. Machines and people notice nothing, and a relay that serves from there takes it up by itself.
pub fn renew(dir: &Path, names: &[String], days: u32) -> Result<Vec<String>, RelayError> {
    Ok(auth::renew(dir, names, days)?)
}

/// Why a relay cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The address is taken or not ours.
    #[error("cannot listen on {endpoint}: {err}")]
    Listen {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        err: io::Error,
    },
    /// A relay answers there already.
    #[error("a relay is already running on {0}")]
    Running(Endpoint),
    /// Plain TCP is for loopback only.
    #[error(
        "{0} is not a loopback address, so it needs TLS: run `fleetmux relay init`, then `fleetmux relay --listen tls://{0}`"
    )]
    NotLoopback(String),
    /// TLS without a directory.
    #[error("TLS needs the directory that `fleetmux relay init` makes; name it with --dir")]
    NoDirectory,
    /// A directory.
    #[error(transparent)]
    Directory(#[from] paths::DirError),
    /// What is in the directory.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its certificate.
    #[error("{0}; make another one with `fleetmux relay init --renew`")]
    Certificate(#[from] ServeError),
    /// A file in it.
    #[error("cannot write the audit log in {dir}: {err}")]
    Audit {
        /// Where.
        dir: PathBuf,
        /// What the system said.
        err: io::Error,
    },
    /// Something was refused.
    #[error(transparent)]
    Refused(Refusal),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The transport broke.
    #[error("the relay's transport: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves a relay until `end` completes; `ready` learns where it listens (a port of 0 is chosen by the system).
pub async fn serve(
    options: Options,
    ready: impl FnOnce(&Endpoint),
    end: impl Future<Output = ()>,
) -> Result<(), RelayError> {
    match &options.listen {
        Endpoint::Unix(path) => {
            let listener = bind_unix(path).await?;
            let parts = Parts::open(&options, None)?;
            let router = parts.router();
            let published = match &options.discovery {
                Some(discovery) => Some(cmdop::publish(discovery, path).await),
                None => None,
            };
            let (_published, port) = published.unzip();
            ready(&options.listen);
            // Streams of agents and clients never end by themselves: they are cut, and resume at the next relay.
            tokio::select! {
                served = router.serve_with_incoming(accept_unix(listener, parts.connections.clone())) => served?,
                served = parts.serve_port(port.flatten()) => served?,
                () = end => {}
            }
            parts.close().await;
            let _ = std::fs::remove_file(path);
        }
        Endpoint::Tcp(address) => {
            let resolved = resolve(&options.listen, address).await?;
            if resolved.iter().any(|address| !address.ip().is_loopback()) {
                return Err(RelayError::NotLoopback(address.clone()));
            }
            let (listener, bound) = bind_tcp(&options.listen, &resolved).await?;
            let parts = Parts::open(&options, None)?;
            let router = parts.router();
            ready(&Endpoint::Tcp(bound.to_string()));
            tokio::select! {
                served = router.serve_with_incoming(accept_tcp(listener, parts.connections.clone())) => served?,
                () = end => {}
            }
            parts.close().await;
        }
        Endpoint::Tls(address) => {
            let dir = options.dir.clone().ok_or(RelayError::NoDirectory)?;
            let authority = auth::load(&dir)?;
            let resolved = resolve(&options.listen, address).await?;
            let (listener, bound) = bind_tcp(&options.listen, &resolved).await?;
            let socket = paths::relay_socket(&dir);
            let own = bind_unix(&socket).await?;
            let parts = Parts::open(&options, Some(reach(&authority, bound.port(), &dir)?))?;
            let (outside, inside) = (parts.router(), parts.router());
            let certificate = Certificate::open(&dir, &authority)?;
            let server = TlsServer::new(certificate.served.clone())?;
            let incoming = accept_tls(listener, server, parts.connections.clone());
            let own = accept_unix(own, parts.connections.clone());
            ready(&Endpoint::Tls(bound.to_string()));
            tokio::select! {
                served = outside.serve_with_incoming(incoming) => served?,
                () = certificate.keep() => {}
                served = inside.serve_with_incoming(own) => served?,
                () = end => {}
            }
            parts.close().await;
            let _ = std::fs::remove_file(socket);
        }
    }
    Ok(())
}

async fn bind_unix(path: &Path) -> Result<UnixListener, RelayError> {
    let endpoint = Endpoint::Unix(path.into());
    let failed = |err| RelayError::Listen { endpoint: endpoint.clone(), err };
    if UnixStream::connect(path).await.is_ok() {
        return Err(RelayError::Running(endpoint));
    }
    // Nobody answers there: the socket is a dead relay's.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

async fn resolve(endpoint: &Endpoint, address: &str) -> Result<Vec<SocketAddr>, RelayError> {
    let resolved = tokio::net::lookup_host(address).await;
    resolved.map(Iterator::collect).map_err(|err| RelayError::Listen { endpoint: endpoint.clone(), err })
}

async fn bind_tcp(endpoint: &Endpoint, resolved: &[SocketAddr]) -> Result<(TcpListener, SocketAddr), RelayError> {
    let failed = |err| RelayError::Listen { endpoint: endpoint.clone(), err };
    let listener = TcpListener::bind(resolved).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// How machines reach it: under the name it was initialised with, on the port that is really served.
fn reach(authority: &Authority, port: u16, dir: &Path) -> Result<Reach, RelayError> {
    let ca = fingerprint(&authority.ca_pem).ok_or_else(|| AuthorityError::NotInitialised(dir.into()))?;
    let host = authority.address.rsplit_once(':').map_or(authority.address.as_str(), |(host, _)| host);
    Ok(Reach { ca_pem: authority.ca_pem.clone(), ca, address: format!("{host}:{port}") })
}

/// Cuts off whoever is connected with a key that expires.
async fn expire(auth: Arc<Auth>, connections: Connections, events_tx: hub::EventsTx) {
    let mut tick = tokio::time::interval(EXPIRE_EVERY);
    let mut after = now_ms();
    loop {
        tick.tick().await;
        let until = now_ms();
        for key in auth.expired(after, until) {
            let Some(refusal) = key.over(until) else { continue };
            connections.forget(key.id);
            let expired = Event::Revoked { caller: key.caller(), machine: key.machine(), refusal };
            if events_tx.send(expired).await.is_err() {
                return;
            }
        }
        after = until;
    }
}

/// The services of one relay, served on every listener alike.
struct Parts {
    services: Services,
    facade: Facade,
    admin: Admin,
    connections: Connections,
}

impl Parts {
    fn open(options: &Options, reach: Option<Reach>) -> Result<Parts, RelayError> {
        let path = options.store.clone().or_else(|| options.dir.as_ref().map(|dir| dir.join(STORE)));
        let forgetful = || (Store::forgetful(), Memory::default());
        let (store, memory) = match path.as_ref().map(|path| Store::open(path)) {
            None => forgetful(),
            Some(Ok(opened)) => opened,
            Some(Err(err @ StoreError::Io { .. })) if options.may_forget => {
                tracing::error!(%err, "this relay remembers nothing over its end");
                forgetful()
            }
            Some(Err(err)) => return Err(err.into()),
        };
        let dir = options.dir.clone().or_else(|| path.as_ref()?.parent().map(Path::to_path_buf));
        let audit = match dir {
            Some(dir) => match Audit::open(&dir) {
                Ok(audit) => audit,
                Err(err) if options.may_forget => {
                    tracing::error!(%err, dir = %dir.display(), "there is no audit log");
                    Audit::default()
                }
                Err(err) => return Err(RelayError::Audit { dir, err }),
            },
            None => Audit::default(),
        };
        let mut keyring = Keyring::new(memory.keys, memory.tokens);
        for forgotten in keyring.forget_ended(now_ms()) {
            store.change(Change::KeyGone(forgotten));
        }
        // Of a machine that was revoked nothing is remembered, whoever wrote the store.
        let (gone, machines): (Vec<_>, Vec<_>) =
            memory.machines.into_iter().partition(|machine: &Machine| keyring.is_gone(machine.facts.id));
        for machine in gone {
            store.change(Change::MachineGone(machine.facts.id));
        }
        let auth = Arc::new(Auth::new(keyring, memory.known, store.clone(), audit));
        let events_tx = hub::start(Core::new(machines, memory.sessions), auth.clone(), store);
        let connections = Connections::new(crate::runtime::open_files());
        tokio::spawn(expire(auth.clone(), connections.clone(), events_tx.clone()));
        // One row of numbers for all services: a connection of the hub has one of its own.
        let conns = Arc::new(AtomicU64::new(1));
        let services = Services::new(events_tx.clone(), auth.clone(), conns.clone());
        let facade = Facade::new(events_tx.clone(), auth.clone(), conns);
        let admin = Admin { auth, events_tx, reach, connections: connections.clone() };
        if let Some(after) = options.forget_after {
            tokio::spawn(admin.clone().forget_after(after));
        }
        Ok(Parts { services, facade, admin, connections })
    }

    /// What was done is on the disk when the relay ends.
    async fn close(&self) {
        self.admin.auth.audit.flush().await;
    }

    /// A server with the bounds of every connection.
    fn server() -> Server {
        Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_SIZE)
            .max_concurrent_streams(STREAMS_CAP)
            .http2_max_header_list_size(HEADERS_CAP)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
    }

    fn gate<S>(&self, service: S, who: For) -> Gate<S> {
        Gate::new(service, who, self.admin.auth.clone())
    }

    /// Serves the published SDKs on a loopback port of local mode.
    async fn serve_port(&self, port: Option<cmdop::Port>) -> Result<(), tonic::transport::Error> {
        let Some(cmdop::Port { listener, token }) = port else { return std::future::pending().await };
        let incoming = accept_tcp(listener, self.connections.clone());
        let facade = self.facade.local(token);
        let service = self.gate(facade.server(), For::Sdk(facade));
        Parts::server().add_service(service).serve_with_incoming(incoming).await
    }

    fn router(&self) -> Router {
        let agents = v1::agent_service_server::AgentServiceServer::new(self.services.clone())
            .max_decoding_message_size(FRAME_CAP)
            .max_encoding_message_size(FRAME_CAP);
        let clients = v1::client_service_server::ClientServiceServer::new(self.services.clone())
            .max_decoding_message_size(FRAME_CAP)
            .max_encoding_message_size(FRAME_CAP);
        let execs = v1::exec_service_server::ExecServiceServer::new(self.services.clone())
            .max_decoding_message_size(FRAME_CAP)
            .max_encoding_message_size(FRAME_CAP);
        let files = v1::file_service_server::FileServiceServer::new(self.services.clone())
            .max_decoding_message_size(FRAME_CAP)
            .max_encoding_message_size(FRAME_CAP);
        let admin = v1::admin_service_server::AdminServiceServer::new(self.admin.clone());
        let join = v1::join_service_server::JoinServiceServer::new(self.admin.clone());
        Parts::server()
            .add_service(self.gate(agents, For::Agents))
            .add_service(self.gate(clients, For::People))
            .add_service(self.gate(execs, For::People))
            .add_service(self.gate(files, For::People))
            .add_service(self.gate(self.facade.server(), For::Sdk(self.facade.clone())))
            .add_service(self.gate(admin, For::People))
            .add_service(self.gate(join, For::Newcomers))
    }
}

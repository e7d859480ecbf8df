//! Listening: one relay on a unix socket, on a loopback address, or on both.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::transport::server::Router;

use super::core::Core;
use super::grpc::Services;
use super::hub;
use super::store::{Store, StoreError};
use crate::fleet::Endpoint;
use crate::wire::{FRAME_CAP, v1};

/// Bytes under way on one stream; more only lets a slow viewer fall further behind.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes under way on one connection, all streams together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams of one connection at once: a command has one of its own, and none may keep others from being opened.
const STREAMS_CAP: u32 = 16 * 1024;
/// A peer silent for this long is asked, and cut when it does not answer.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How a relay is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: Endpoint,
    /// File that remembers machines and sessions; `None` forgets.
    pub store: Option<PathBuf>,
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
    #[error("{0} is not a loopback address; without TLS a relay listens on loopback or a unix socket only")]
    NotLoopback(String),
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
    let listen = options.listen.clone();
    let failed = |err| RelayError::Listen { endpoint: listen.clone(), err };
    match &options.listen {
        Endpoint::Unix(path) => {
            if UnixStream::connect(path).await.is_ok() {
                return Err(RelayError::Running(listen.clone()));
            }
            // Nobody answers there: the socket is a dead relay's.
            let _ = std::fs::remove_file(path);
            let listener = UnixListener::bind(path).map_err(failed)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
            let router = router(&options)?;
            ready(&listen);
            // Streams of agents and clients never end by themselves: they are cut, and resume at the next relay.
            tokio::select! {
                served = router.serve_with_incoming(UnixListenerStream::new(listener)) => served?,
                () = end => {}
            }
            let _ = std::fs::remove_file(path);
        }
        Endpoint::Tcp(address) => {
            let resolved: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
            if resolved.iter().any(|address| !address.ip().is_loopback()) {
                return Err(RelayError::NotLoopback(address.clone()));
            }
            let listener = TcpListener::bind(&*resolved).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            let router = router(&options)?;
            ready(&Endpoint::Tcp(bound.to_string()));
            let incoming = TcpNoDelay(TcpListenerStream::new(listener));
            tokio::select! {
                served = router.serve_with_incoming(incoming) => served?,
                () = end => {}
            }
        }
    }
    Ok(())
}

fn router(options: &Options) -> Result<Router, RelayError> {
    let (store, machines, sessions) = match &options.store {
        Some(path) => Store::open(path)?,
        None => (Store::forgetful(), Vec::new(), Vec::new()),
    };
    let services = Services::new(hub::start(Core::new(machines, sessions), store));
    let agents = v1::agent_service_server::AgentServiceServer::new(services.clone())
        .max_decoding_message_size(FRAME_CAP)
        .max_encoding_message_size(FRAME_CAP);
    let execs = v1::exec_service_server::ExecServiceServer::new(services.clone())
        .max_decoding_message_size(FRAME_CAP)
        .max_encoding_message_size(FRAME_CAP);
    let clients = v1::client_service_server::ClientServiceServer::new(services)
        .max_decoding_message_size(FRAME_CAP)
        .max_encoding_message_size(FRAME_CAP);
    Ok(Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_CAP)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(agents)
        .add_service(clients)
        .add_service(execs))
}

/// Accepted connections send small frames at once.
struct TcpNoDelay(TcpListenerStream);

impl futures_core::Stream for TcpNoDelay {
    type Item = io::Result<tokio::net::TcpStream>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let polled = std::pin::Pin::new(&mut self.0).poll_next(cx);
        if let std::task::Poll::Ready(Some(Ok(stream))) = &polled {
            let _ = stream.set_nodelay(true);
        }
        polled
    }
}

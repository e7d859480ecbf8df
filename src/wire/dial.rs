//! Dialling a relay: the one place where a client's end of HTTP/2 is set up.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel as Http2, Endpoint as Transport, Uri};
use tonic::{Request, Status};

use super::FRAME_CAP;
use super::first_byte::{FirstByte, HTTP2, TLS_ALERT};
use super::tls;
use super::v1::admin_service_client::AdminServiceClient;
use super::v1::agent_service_client::AgentServiceClient;
use super::v1::client_service_client::ClientServiceClient;
use super::v1::exec_service_client::ExecServiceClient;
use super::v1::file_service_client::FileServiceClient;
use super::v1::join_service_client::JoinServiceClient;
use crate::fleet::{Credentials, Endpoint};

/// Bytes under way on one stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes under way on one connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Largest frame taken: a chunk of a command's output or of a file, with what goes around it, is one.
pub const FRAME_SIZE: u32 = 66 * 1024;
/// A relay silent for this long is asked, and left when it does not answer.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection to a relay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody answers, or not in time.
    #[error("no relay answers at {endpoint}: {reason}")]
    Unreachable {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        reason: String,
    },
    /// TLS was asked for, and a plain server answered: a wrong port, or somebody in between.
    #[error(
        "{endpoint} does not speak TLS, so nothing was sent to it; check the port, and that the relay runs with `--listen {endpoint}`; one \
         of this machine without TLS is written without tls://"
    )]
    NotTls {
        /// Where.
        endpoint: Endpoint,
    },
    /// The reverse: a relay with TLS was spoken to in the clear.
    #[error("the relay at {endpoint} speaks TLS; write tls://{endpoint}")]
    NotPlain {
        /// Where.
        endpoint: Endpoint,
    },
    /// Another CA vouches for the server.
    #[error(
        "the certificate of {endpoint} does not come from the CA that is known here, so nothing was sent; if the relay was initialised anew, join or log in again"
    )]
    Untrusted {
        /// Where.
        endpoint: Endpoint,
    },
    /// The certificate is for other names.
    #[error(
        "the certificate of {endpoint} is for other names ({names}); use one of them, or give it this one too, on the relay's host: `fleetmux relay init --renew --name NAME`"
    )]
    WrongName {
        /// Where.
        endpoint: Endpoint,
        /// The names it is for.
        names: String,
    },
    /// The certificate is out of its time.
    #[error(
        "the certificate of {endpoint} is not valid now; compare the clocks, or renew it with `fleetmux relay init --renew`"
    )]
    Expired {
        /// Where.
        endpoint: Endpoint,
    },
    /// Something answers, but not with HTTP/2.
    #[error("what answers at {endpoint} is no relay; check the port")]
    NotARelay {
        /// Where.
        endpoint: Endpoint,
    },
    /// No CA to trust.
    #[error("no CA is known for {endpoint}; run `fleetmux login {endpoint}`, or name one in the configuration")]
    NoCa {
        /// Where.
        endpoint: Endpoint,
    },
    /// The key would travel in the clear.
    #[error("a key is not sent to {endpoint} without TLS; write tls://{endpoint}")]
    PlainKey {
        /// Where.
        endpoint: Endpoint,
    },
    /// No key at all can look like this.
    #[error("the key has characters that no key has; copy it again")]
    MalformedKey,
}

impl DialError {
    pub(super) fn unreachable(endpoint: &Endpoint, err: impl std::fmt::Display) -> DialError {
        DialError::Unreachable { endpoint: endpoint.clone(), reason: err.to_string() }
    }

    /// Trying again will not help.
    pub fn is_final(&self) -> bool {
        !matches!(self, DialError::Unreachable { .. })
    }
}

/// A connection to a relay; every call on it shows the caller's key.
pub type Channel = InterceptedService<Http2, Bearer>;

/// Puts the key into each call's metadata.
#[derive(Clone, Debug, Default)]
pub struct Bearer {
    header: Option<MetadataValue<Ascii>>,
}

impl Bearer {
    fn new(credentials: &Credentials) -> Result<Bearer, DialError> {
        let Some(key) = &credentials.key else { return Ok(Bearer::default()) };
        let header = format!("Bearer {}", key.reveal()).parse::<MetadataValue<Ascii>>();
        let mut header = header.map_err(|_| DialError::MalformedKey)?;
        // Kept out of HTTP/2's compression tables and of debug output.
        header.set_sensitive(true);
        Ok(Bearer { header: Some(header) })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// Opens a connection to a relay.
pub async fn dial(endpoint: &Endpoint, credentials: &Credentials) -> Result<Channel, DialError> {
    let bearer = Bearer::new(credentials)?;
    let http2 = match tokio::time::timeout(CONNECT_TIMEOUT, open(endpoint, credentials)).await {
        Ok(opened) => opened?,
        Err(_) => return Err(DialError::unreachable(endpoint, format!("nothing within {CONNECT_TIMEOUT:?}"))),
    };
    Ok(InterceptedService::new(http2, bearer))
}

async fn open(endpoint: &Endpoint, credentials: &Credentials) -> Result<Http2, DialError> {
    let failed = |err: &dyn std::error::Error| {
        // The outermost error says "transport error" and no more: the innermost one knows.
        let mut innermost = err;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        DialError::unreachable(endpoint, innermost)
    };
    let transport = |uri: String| Transport::from_shared(uri).map_err(|err| failed(&err));
    let set_up = |transport: Transport| {
        transport
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_SIZE)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
    };
    match endpoint {
        Endpoint::Unix(path) => {
            let path = path.clone();
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { connect_own(&path).await.map(TokioIo::new) }
            });
            // The name is never resolved; HTTP/2 only wants an authority.
            let transport = set_up(transport("http://relay.local".into())?);
            transport.connect_with_connector(connector).await.map_err(|err| failed(&err))
        }
        Endpoint::Tcp(address) => {
            if credentials.key.is_some() && !is_loopback(endpoint) {
                return Err(DialError::PlainKey { endpoint: endpoint.clone() });
            }
            let tcp = TcpStream::connect(address).await.map_err(|err| failed(&err))?;
            let _ = tcp.set_nodelay(true);
            let (stream, first) = FirstByte::of(tcp);
            let transport = set_up(transport(format!("http://{address}"))?);
            let http2 = transport.connect_with_connector(once(stream)).await.map_err(|err| failed(&err))?;
            match first.await {
                Ok(HTTP2) => Ok(http2),
                Ok(TLS_ALERT) => Err(DialError::NotPlain { endpoint: endpoint.clone() }),
                Ok(_) => Err(DialError::NotARelay { endpoint: endpoint.clone() }),
                Err(_) => {
                    let reason =
                        format!("it ends the connection without a word; if it speaks TLS, write tls://{address}");
                    Err(DialError::unreachable(endpoint, reason))
                }
            }
        }
        Endpoint::Tls(address) => {
            let tcp = TcpStream::connect(address).await.map_err(|err| failed(&err))?;
            let _ = tcp.set_nodelay(true);
            let stream = tls::connect(endpoint, tcp, credentials).await?;
            let transport = set_up(transport(format!("http://{address}"))?);
            transport.connect_with_connector(once(stream)).await.map_err(|err| failed(&err))
        }
    }
}

/// A connector with one connection, used once: whoever wants another one dials anew and looks at who answers again.
fn once<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> impl tower::Service<Uri, Response = TokioIo<S>, Error = io::Error, Future: Send> + Send + 'static {
    let once = Arc::new(Mutex::new(Some(stream)));
    tower::service_fn(move |_: Uri| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { stream.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    })
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    let is_address = |host: &str| host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    endpoint.host().is_some_and(|host| host == "localhost" || is_address(host))
}

/// Connects to a socket that a process of our own user, or root, listens on: whoever else bound the path is no relay of
/// ours and must not hear what is typed.
async fn connect_own(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path).await?;
    let uid = stream.peer_cred()?.uid();
    if uid == rustix::process::getuid().as_raw() || uid == 0 {
        return Ok(stream);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("the socket belongs to user {uid}, not to you")))
}

/// The agent's service on a connection.
pub fn agent_service(channel: Channel) -> AgentServiceClient<Channel> {
    AgentServiceClient::new(channel).max_decoding_message_size(FRAME_CAP).max_encoding_message_size(FRAME_CAP)
}

/// The client's service on a connection.
pub fn client_service(channel: Channel) -> ClientServiceClient<Channel> {
    ClientServiceClient::new(channel).max_decoding_message_size(FRAME_CAP).max_encoding_message_size(FRAME_CAP)
}

/// The service for commands on a connection.
pub fn exec_service(channel: Channel) -> ExecServiceClient<Channel> {
    ExecServiceClient::new(channel).max_decoding_message_size(FRAME_CAP).max_encoding_message_size(FRAME_CAP)
}

/// The service for files on a connection.
pub fn file_service(channel: Channel) -> FileServiceClient<Channel> {
    FileServiceClient::new(channel).max_decoding_message_size(FRAME_CAP).max_encoding_message_size(FRAME_CAP)
}

/// The service of keys and tokens on a connection.
pub fn admin_service(channel: Channel) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(channel)
}

/// The service that exchanges tokens on a connection.
pub fn join_service(channel: Channel) -> JoinServiceClient<Channel> {
    JoinServiceClient::new(channel)
}

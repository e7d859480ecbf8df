//! Dialling a relay: the one place where a client's end of HTTP/2 is set up.

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint as Transport};

use super::FRAME_CAP;
use super::v1::agent_service_client::AgentServiceClient;
use super::v1::client_service_client::ClientServiceClient;
use super::v1::exec_service_client::ExecServiceClient;
use crate::fleet::Endpoint;

/// Bytes under way on one stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes under way on one connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A relay silent for this long is asked, and left when it does not answer.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A relay that cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("no relay answers at {endpoint}: {reason}")]
pub struct DialError {
    endpoint: Endpoint,
    reason: String,
}

/// Opens a connection to a relay.
pub async fn dial(endpoint: &Endpoint) -> Result<Channel, DialError> {
    let failed = |err: &dyn std::error::Error| {
        // The outermost error says "transport error" and no more: the innermost one knows.
        let mut innermost = err;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        DialError { endpoint: endpoint.clone(), reason: innermost.to_string() }
    };
    let transport = |uri: String| Transport::from_shared(uri).map_err(|err| failed(&err));
    let set_up = |transport: Transport| {
        transport
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
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
            let transport = set_up(transport(format!("http://{address}"))?);
            transport.connect().await.map_err(|err| failed(&err))
        }
    }
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

//! Who is behind a connection, by what the connection itself proves.

use tonic::Request;
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};

use crate::fleet::{Code, Principal, Refusal};

/// The principal of a call; every service asks before it does anything.
pub(super) fn principal<T>(request: &Request<T>) -> Result<Principal, Refusal> {
    let denied = |message: &str| Err(Refusal::new(Code::PermissionDenied, message));
    let extensions = request.extensions();
    if let Some(info) = extensions.get::<UdsConnectInfo>() {
        let own = rustix::process::getuid().as_raw();
        return match info.peer_cred.map(|cred| cred.uid()) {
            Some(uid) if uid == own || uid == 0 => Ok(Principal::local_uid(uid)),
            _ => denied("this relay's socket belongs to another user"),
        };
    }
    match extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr) {
        Some(address) if address.ip().is_loopback() => Ok(Principal::loopback()),
        _ => denied("plain TCP is served on loopback addresses only"),
    }
}

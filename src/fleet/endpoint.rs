//! How a relay is named: `unix:/path`, `tls://host:port`, or a loopback `host:port`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a relay listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket on this machine.
    Unix(PathBuf),
    /// A TCP address, `host:port`.
    Tcp(String),
    /// A TCP address served with TLS, `host:port`.
    Tls(String),
}

impl Endpoint {
    /// The host of a TCP address, without brackets.
    pub fn host(&self) -> Option<&str> {
        match self {
            Endpoint::Unix(_) => None,
            Endpoint::Tcp(address) | Endpoint::Tls(address) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
            }
        }
    }
}

/// A text that names no relay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no relay; write tls://host:port, unix:/path/to/socket or a loopback host:port")]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let error = || EndpointError(text.chars().take(200).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Endpoint::Unix(socket(path))) } else { Err(error()) };
        }
        if text.starts_with('/') {
            return Ok(Endpoint::Unix(socket(text)));
        }
        let is_tls = text.starts_with("tls://") || text.starts_with("https://");
        let text = text.strip_prefix("tls://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
        let address = text.strip_prefix("http://").or_else(|| text.strip_prefix("tcp://")).unwrap_or(text);
        let (host, port) = address.trim_end_matches('/').rsplit_once(':').ok_or_else(error)?;
        if host.is_empty() || port.parse::<u16>().is_err() || host.contains(['/', ' ', '@']) {
            return Err(error());
        }
        let address = format!("{host}:{port}");
        Ok(if is_tls { Endpoint::Tls(address) } else { Endpoint::Tcp(address) })
    }
}

/// A path without repeated slashes, so that it is read again as it is shown.
fn socket(path: &str) -> PathBuf {
    Path::new(path).components().collect()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(address) => f.write_str(address),
            Endpoint::Tls(address) => write!(f, "tls://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_named_by_socket_or_address() {
        assert_eq!("unix:/run/x.sock".parse(), Ok(Endpoint::Unix("/run/x.sock".into())));
        assert_eq!("/run/x.sock".parse(), Ok(Endpoint::Unix("/run/x.sock".into())));
        assert_eq!("http://127.0.0.1:7000/".parse(), Ok(Endpoint::Tcp("127.0.0.1:7000".into())));
        assert_eq!("[::1]:7000".parse(), Ok(Endpoint::Tcp("[::1]:7000".into())));
        assert_eq!("tls://relay.example:7443".parse(), Ok(Endpoint::Tls("relay.example:7443".into())));
        assert_eq!(Endpoint::Tls("[::1]:7443".into()).host(), Some("::1"));
        assert_eq!(Endpoint::Tls("h:1".into()).to_string().parse(), Ok(Endpoint::Tls("h:1".into())));
        for bad in ["", "host", "unix:relative", "host:99999", ":80", "a b:80", "tls://", "tls://unix:/x"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
    }
}

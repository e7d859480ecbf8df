//! TLS as a relay serves it: one certificate for everybody who comes, changed while connections go on.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
pub use tokio_rustls::server::TlsStream;

use super::tls::ALPN;
use super::validity::days_left_of;

/// A chain and its key that do not make a certificate to serve.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be served: {0}")]
pub struct ServeError(String);

/// The certificate in force.
#[derive(Debug)]
pub struct Served {
    current: RwLock<Arc<CertifiedKey>>,
}

impl Served {
    /// Serves this chain, the server's own certificate first.
    pub fn new(chain_pem: &str, key_pem: &str) -> Result<Arc<Served>, ServeError> {
        Ok(Arc::new(Served { current: RwLock::new(certified(chain_pem, key_pem)?) }))
    }

    /// Whoever comes from now on sees this one; who is there stays.
    pub fn replace(&self, chain_pem: &str, key_pem: &str) -> Result<(), ServeError> {
        let fresh = certified(chain_pem, key_pem)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn certified(chain_pem: &str, key_pem: &str) -> Result<Arc<CertifiedKey>, ServeError> {
    let failed = |err: &dyn std::fmt::Display| ServeError(err.to_string());
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|err| failed(&err))?;
    let certified = CertifiedKey::from_der(chain.map_err(|err| failed(&err))?, key, &ring::default_provider());
    certified.map(Arc::new).map_err(|err| failed(&err))
}

/// Shakes hands with whoever comes; clones serve the same certificate.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

impl TlsServer {
    /// Serves this certificate, as it changes.
    pub fn new(served: Arc<Served>) -> Result<TlsServer, ServeError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|err| ServeError(err.to_string()))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(served);
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(TlsServer { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Shakes hands on a connection; how long that may take is the connection's own business.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, io: S) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(io).await
    }
}

/// Whole days that a certificate of this CA is still valid, `most` at most; `None` if it cannot be told.
pub fn days_left(ca_pem: &str, chain_pem: &str, now_ms: u64, most: u64) -> Option<u64> {
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).ok()?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    days_left_of(&ca, &chain, now_ms, most)
}

//! TLS towards a relay: which CA may vouch for it, and what a failed handshake means.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};

use super::dial::DialError;
use super::validity::days_left_of;
use crate::fleet::{Credentials, Endpoint, Fingerprint};

/// HTTP/2, as both ends name it in the handshake.
pub(super) const ALPN: &[u8] = b"h2";

/// The fingerprint of the first certificate in a PEM text.
pub fn fingerprint(pem: &str) -> Option<Fingerprint> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|der| fingerprint_of(&der))
}

fn fingerprint_of(der: &CertificateDer<'_>) -> Fingerprint {
    let digest = ::ring::digest::digest(&::ring::digest::SHA256, der);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Fingerprint(bytes)
}

/// Opens TLS on a connection; the relay's certificate must come from a CA that the credentials name.
pub(super) async fn connect(
    endpoint: &Endpoint,
    tcp: TcpStream,
    credentials: &Credentials,
) -> Result<TlsStream<TcpStream>, DialError> {
    let config = config(endpoint, credentials)?;
    let host = endpoint.host().unwrap_or_default().to_string();
    let name = ServerName::try_from(host).map_err(|_| DialError::unreachable(endpoint, "this is no host name"))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    let stream = connected.map_err(|err| explain(endpoint, &err))?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(DialError::NotARelay { endpoint: endpoint.clone() });
    }
    Ok(stream)
}

/// Whole days that a relay's certificate is still valid, `most` at most; on a connection of its own.
pub async fn certificate_days(endpoint: &Endpoint, credentials: &Credentials, now_ms: u64, most: u64) -> Option<u64> {
    let Endpoint::Tls(address) = endpoint else { return None };
    let stream = connect(endpoint, TcpStream::connect(address).await.ok()?, credentials).await.ok()?;
    let chain = stream.get_ref().1.peer_certificates()?;
    // The one that was trusted is the last: it came along, or it is known here.
    let known = credentials.ca_pem.as_ref().and_then(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok());
    days_left_of(known.as_ref().or(chain.last())?, chain, now_ms, most)
}

fn config(endpoint: &Endpoint, credentials: &Credentials) -> Result<ClientConfig, DialError> {
    let mut provider = ring::default_provider();
    // The first of these is taken. AES with 128 bits is as far from being broken as with 256, and a quarter faster.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|err| DialError::unreachable(endpoint, err))?;
    let mut config = if let Some(ca) = credentials.ca_fingerprint {
        let verifier = Arc::new(PinnedCa { ca, provider });
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    } else {
        let pem = credentials.ca_pem.as_ref().ok_or_else(|| DialError::NoCa { endpoint: endpoint.clone() })?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok));
        if roots.is_empty() {
            return Err(DialError::NoCa { endpoint: endpoint.clone() });
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn explain(endpoint: &Endpoint, err: &io::Error) -> DialError {
    let endpoint = endpoint.clone();
    match err.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
            let names: Vec<&str> = presented.iter().map(|name| plain_name(name)).collect();
            DialError::WrongName { endpoint, names: names.join(", ") }
        }
        Some(TlsError::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. } | CertificateError::NotValidYet,
        )) => DialError::Expired { endpoint },
        Some(TlsError::InvalidCertificate(_)) => DialError::Untrusted { endpoint },
        Some(TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. }) => DialError::NotTls { endpoint },
        Some(_) => DialError::unreachable(&endpoint, err),
        // A relay that is just ending does that too: worth another attempt.
        None if matches!(err.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            DialError::unreachable(&endpoint, "the connection ended during the TLS handshake; does it serve TLS?")
        }
        None => DialError::unreachable(&endpoint, err),
    }
}

/// A name as the TLS library describes it, `DnsName("host")` or `IpAddress(127.0.0.1)`, without the description.
fn plain_name(described: &str) -> &str {
    let inside = described.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.map_or(described, |name| name.trim_matches('"'))
}

/// The first contact: the one CA of this fingerprint may vouch, and the server brings it along.
#[derive(Debug)]
struct PinnedCa {
    ca: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let unknown = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let ca = intermediates.iter().find(|der| fingerprint_of(der) == self.ca).ok_or_else(|| unknown.clone())?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let verifier = verifier.build().map_err(|_| unknown)?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_certificate_are_told_without_the_librarys_words() {
        assert_eq!(plain_name("DnsName(\"relay.example.org\")"), "relay.example.org");
        assert_eq!(plain_name("IpAddress(0::1)"), "0::1");
        assert_eq!(plain_name("something else"), "something else");
    }
}

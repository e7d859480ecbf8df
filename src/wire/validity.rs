//! For how long certificates are good.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, Error as TlsError, RootCertStore};

/// Seconds of a day.
const DAY_S: u64 = 24 * 60 * 60;

/// Whole days, at most so many, until a chain that this CA vouches for is good no longer; `None` if it never was.
pub(super) fn days_left_of(
    ca: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    now_ms: u64,
    most: u64,
) -> Option<u64> {
    let (own, rest) = chain.split_first()?;
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    // The name is looked at last: a certificate that is only for others is in its time.
    let name = ServerName::try_from("relay.invalid").ok()?;
    let is_valid_in = |days: u64| {
        // In its very last second a certificate counts as over: no whole day is left at that moment.
        let then = UnixTime::since_unix_epoch(Duration::from_secs(now_ms / 1000 + days * DAY_S + 1));
        match verifier.verify_server_cert(own, rest, &name, &[], then) {
            Ok(_) | Err(TlsError::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => Some(true),
            Err(TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
                Some(false)
            }
            Err(_) => None,
        }
    };
    if !is_valid_in(0)? {
        return Some(0);
    }
    let (mut valid, mut expired) = (0, most + 1);
    while valid + 1 < expired {
        let middle = valid + (expired - valid) / 2;
        if is_valid_in(middle)? { valid = middle } else { expired = middle }
    }
    Some(valid)
}

//! The relay's own CA and its server certificate, as files of its state directory.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::config::paths;
use crate::fleet::Fingerprint;
use crate::wire;

/// Name of every CA made here; the fingerprint tells them apart.
const CA_NAME: &str = "fleetmux relay CA";

/// A state directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file.
    #[error("cannot use {path}: {err}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        err: io::Error,
    },
    /// There is no CA yet.
    #[error("{0} is no initialised relay directory; run `fleetmux relay init` first")]
    NotInitialised(PathBuf),
    /// A certificate cannot be made or read.
    #[error("cannot make a certificate for {names}: {reason}")]
    Certificate {
        /// The names asked for.
        names: String,
        /// Why.
        reason: String,
    },
}

/// What a relay serves TLS with.
#[derive(Clone)]
pub(in crate::relay) struct Authority {
    pub(in crate::relay) ca_pem: String,
    /// Server certificate, then the CA's, so that a first contact can see the CA.
    pub(in crate::relay) chain_pem: String,
    pub(in crate::relay) key_pem: String,
    /// `host:port` that machines are told to dial.
    pub(in crate::relay) address: String,
}

/// Makes the CA unless there is one, and a server certificate for these names; machines that trust the CA go on trusting it.
pub(in crate::relay) fn init(dir: &Path, names: &[String], address: &str) -> Result<Fingerprint, AuthorityError> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |err| AuthorityError::Io { path: path.clone(), err }
    };
    let failed = |err: rcgen::Error| AuthorityError::Certificate { names: names.join(", "), reason: err.to_string() };
    let key_path = dir.join("ca.key");
    let ca_key = match std::fs::read_to_string(&key_path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(failed)?,
        Err(err) if err.kind() == io::ErrorKind::NotFound => KeyPair::generate().map_err(failed)?,
        Err(err) => return Err(io(&key_path)(err)),
    };
    let write =
        |name: &str, text: &str| paths::write_private(&dir.join(name), text.as_bytes()).map_err(io(&dir.join(name)));
    let ca_path = dir.join("ca.pem");
    let ca_pem = match std::fs::read_to_string(&ca_path) {
        Ok(pem) => pem,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let pem = ca_params().map_err(failed)?.self_signed(&ca_key).map_err(failed)?.pem();
            write("ca.key", &ca_key.serialize_pem())?;
            write("ca.pem", &pem)?;
            pem
        }
        Err(err) => return Err(io(&ca_path)(err)),
    };
    let issuer = Issuer::new(ca_params().map_err(failed)?, ca_key);
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "fleetmux relay");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    write("server.key", &key.serialize_pem())?;
    write("server.pem", &certificate.pem())?;
    write("address", &format!("{address}\n"))?;
    wire::fingerprint(&ca_pem).ok_or(AuthorityError::NotInitialised(dir.into()))
}

/// Reads what [`init`] made.
pub(in crate::relay) fn load(dir: &Path) -> Result<Authority, AuthorityError> {
    for name in ["ca.key", "server.key"] {
        let path = dir.join(name);
        paths::check_private(&path).map_err(|err| AuthorityError::Io { path, err })?;
    }
    let read = |name: &str| {
        let path = dir.join(name);
        std::fs::read_to_string(&path).map_err(|err| match err.kind() {
            io::ErrorKind::NotFound => AuthorityError::NotInitialised(dir.into()),
            _ => AuthorityError::Io { path, err },
        })
    };
    let ca_pem = read("ca.pem")?;
    let chain_pem = format!("{}{ca_pem}", read("server.pem")?);
    Ok(Authority { ca_pem, chain_pem, key_pem: read("server.key")?, address: read("address")?.trim().to_string() })
}

fn ca_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    Ok(params)
}

//! The relay's own CA and its server certificate, as files of its state directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::config::paths;
use crate::fleet::Fingerprint;
use crate::runtime::now_ms;
use crate::wire;

/// Name of every CA made here; the fingerprint tells them apart.
const CA_NAME: &str = "fleetmux relay CA";
/// The server's certificate; written last of what belongs together.
pub(in crate::relay) const SERVER_CERTIFICATE: &str = "server.pem";
/// The names it is for, a line each.
const NAMES: &str = "names";

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
pub(in crate::relay) fn init(
    dir: &Path,
    names: &[String],
    address: &str,
    days: u32,
) -> Result<Fingerprint, AuthorityError> {
    let ca_path = dir.join("ca.pem");
    if !ca_path.exists() {
        let failed = |err: rcgen::Error| certificate_error(names, &err);
        // A key without its certificate is what a crash left: it is used.
        let key = match std::fs::read_to_string(dir.join("ca.key")) {
            Ok(pem) => KeyPair::from_pem(&pem).map_err(failed)?,
            Err(_) => KeyPair::generate().map_err(failed)?,
        };
        let pem = ca_params().map_err(failed)?.self_signed(&key).map_err(failed)?.pem();
        write(dir, "ca.key", &key.serialize_pem())?;
        write(dir, "ca.pem", &pem)?;
    }
    write(dir, "address", &format!("{address}\n"))?;
    let mut all = names.to_vec();
    add(&mut all, &kept_names(dir));
    issue(dir, &all, days)?;
    wire::fingerprint(&read(dir, "ca.pem")?).ok_or(AuthorityError::NotInitialised(dir.into()))
}

/// Makes another server certificate under the same CA, for the names that the last one was made for and these; gives the
/// names. Whoever knows the relay by an old name goes on knowing it. A relay that serves from this directory takes it up.
pub(in crate::relay) fn renew(dir: &Path, names: &[String], days: u32) -> Result<Vec<String>, AuthorityError> {
    let mut all = kept_names(dir);
    if all.is_empty() {
        // Made by a version that did not write them down: the address has the first of them.
        let address = read(dir, "address")?;
        let host = address.trim().rsplit_once(':').map_or(address.trim(), |(host, _)| host);
        all = [host.trim_matches(['[', ']']), "localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
    }
    add(&mut all, names);
    issue(dir, &all, days)?;
    Ok(all)
}

/// Names of the last certificate.
fn kept_names(dir: &Path) -> Vec<String> {
    read(dir, NAMES).unwrap_or_default().lines().map(String::from).collect()
}

fn add(all: &mut Vec<String>, names: &[String]) {
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
}

/// The key is written first: whoever sees a new certificate finds its key.
fn issue(dir: &Path, names: &[String], days: u32) -> Result<(), AuthorityError> {
    let failed = |err: rcgen::Error| certificate_error(names, &err);
    let ca_key = KeyPair::from_pem(&read(dir, "ca.key")?).map_err(failed)?;
    let issuer = Issuer::new(ca_params().map_err(failed)?, ca_key);
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "fleetmux relay");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let life = Duration::from_secs(u64::from(days) * 24 * 3600);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(now_ms()) + life;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    write(dir, NAMES, &(names.join("\n") + "\n"))?;
    write(dir, "server.key", &key.serialize_pem())?;
    write(dir, SERVER_CERTIFICATE, &certificate.pem())
}

fn certificate_error(names: &[String], err: &rcgen::Error) -> AuthorityError {
    AuthorityError::Certificate { names: names.join(", "), reason: err.to_string() }
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), AuthorityError> {
    let path = dir.join(name);
    paths::write_private(&path, text.as_bytes()).map_err(|err| AuthorityError::Io { path, err })
}

fn read(dir: &Path, name: &str) -> Result<String, AuthorityError> {
    let path = dir.join(name);
    std::fs::read_to_string(&path).map_err(|err| match err.kind() {
        io::ErrorKind::NotFound => AuthorityError::NotInitialised(dir.into()),
        _ => AuthorityError::Io { path, err },
    })
}

/// Reads what [`init`] made.
pub(in crate::relay) fn load(dir: &Path) -> Result<Authority, AuthorityError> {
    for name in ["ca.key", "server.key"] {
        let path = dir.join(name);
        paths::check_private(&path).map_err(|err| AuthorityError::Io { path, err })?;
    }
    let read = |name| read(dir, name);
    let ca_pem = read("ca.pem")?;
    let chain_pem = format!("{}{ca_pem}", read(SERVER_CERTIFICATE)?);
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

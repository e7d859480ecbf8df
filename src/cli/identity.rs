//! With which key this command speaks to which relay: flags over environment over configuration.

use std::path::PathBuf;
use std::sync::OnceLock;

use color_eyre::eyre::{Context, Result};

use super::args::IdentityArgs;
use crate::client::Options;
use crate::config::profile;
use crate::fleet::{Credentials, Endpoint, Secret};

/// Names the relay of all commands.
pub(super) const RELAY_VARIABLE: &str = "FLEETMUX_RELAY";

/// A process runs one command with one identity; set once, before the command.
static IDENTITY: OnceLock<Identity> = OnceLock::new();

#[derive(Default)]
struct Identity {
    flags: Credentials,
    /// For relays with TLS only: a key that lies in the environment is not meant for this machine's own relay.
    env_key: Option<Secret>,
    profile: profile::Profile,
}

/// Fills in from the environment what no flag has said.
pub(super) fn from_environment(relay: &mut Option<Endpoint>, args: &mut IdentityArgs) -> Result<()> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    if relay.is_none() {
        *relay = variable(RELAY_VARIABLE).map(|text| text.parse().wrap_err(RELAY_VARIABLE)).transpose()?;
    }
    args.ca = args.ca.take().or_else(|| variable("FLEETMUX_CA").map(PathBuf::from));
    args.profile = args.profile.take().or_else(|| variable("FLEETMUX_PROFILE"));
    Ok(())
}

/// Whether the environment names this relay.
pub(super) fn is_from_environment(relay: &Endpoint) -> bool {
    std::env::var(RELAY_VARIABLE).is_ok_and(|text| text.parse().as_ref() == Ok(relay))
}

/// Reads flags, environment and configuration, and says which relay they name.
pub(super) fn settle(relay: Option<Endpoint>, args: &IdentityArgs) -> Result<Option<Endpoint>> {
    let profile = profile::load(args.profile.as_deref(), None)?;
    let ca_pem = args.ca.as_ref().map(read_ca).transpose()?;
    let flags = Credentials { key: args.key.as_deref().map(Secret::new), ca_pem, ca_fingerprint: None };
    let variable = |name| std::env::var(name).ok().filter(|key: &String| !key.trim().is_empty());
    let env_key = Credentials::KEY_VARIABLES.into_iter().find_map(variable).map(|key| Secret::new(key.trim()));
    let relay = relay.or_else(|| profile.relay.clone());
    // A second call within a process keeps the first identity.
    let _ = IDENTITY.set(Identity { flags, env_key, profile });
    Ok(relay)
}

/// The relay that the configuration names.
pub(super) fn configured() -> Option<Endpoint> {
    IDENTITY.get()?.profile.relay.clone()
}

/// How to connect to a relay.
pub(super) fn options(relay: &Endpoint) -> Options {
    let credentials = IDENTITY.get().map(|identity| identity.credentials(relay)).unwrap_or_default();
    Options { credentials, ..Options::default() }
}

impl Identity {
    fn credentials(&self, relay: &Endpoint) -> Credentials {
        let is_tls = matches!(relay, Endpoint::Tls(_));
        let from_file = if self.profile.relay.as_ref() == Some(relay) {
            self.profile.credentials.clone()
        } else {
            Credentials::default()
        };
        let env_key = self.env_key.clone().filter(|_| is_tls);
        Credentials {
            key: self.flags.key.clone().or(env_key).or(from_file.key),
            ca_pem: self.flags.ca_pem.clone().or(from_file.ca_pem),
            ca_fingerprint: None,
        }
    }
}

fn read_ca(path: &PathBuf) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read the CA in {}", path.display()))
}

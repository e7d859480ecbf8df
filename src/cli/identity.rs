//! With which key this command speaks to which relay: flags over environment over configuration.

use std::path::PathBuf;
use std::sync::OnceLock;

use color_eyre::eyre::{Context, Result, ensure};

use super::args::IdentityArgs;
use crate::client::Options;
use crate::config::profile;
use crate::fleet::{Credentials, Endpoint, Secret};

/// Names the relay of all commands.
pub(super) const RELAY_VARIABLE: &str = "FLEETMUX_RELAY";

/// Bytes of a line with a key.
const KEY_LINE_CAP: usize = 4096;

/// A process runs one command with one identity; set once, before the command.
static IDENTITY: OnceLock<Identity> = OnceLock::new();

#[derive(Default)]
struct Identity {
    flags: Credentials,
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
    let flag_key = match args.key.as_deref() {
        Some("-") => Some(key_line().wrap_err("--key -")?),
        key => key.map(Secret::new),
    };
    let flags = Credentials { key: flag_key, ca_pem, ca_fingerprint: None };
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
        let from_file = if self.profile.relay.as_ref() == Some(relay) {
            self.profile.credentials.clone()
        } else {
            Credentials::default()
        };
        // Whoever names a key acts as that key, also at a relay that would trust its user.
        let env_key = self.env_key.clone();
        Credentials {
            key: self.flags.key.clone().or(env_key).or(from_file.key),
            ca_pem: self.flags.ca_pem.clone().or(from_file.ca_pem),
            ca_fingerprint: None,
        }
    }
}

/// A key on the first line of standard input; what follows is the command's.
fn key_line() -> Result<Secret> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < KEY_LINE_CAP && rustix::io::read(rustix::stdio::stdin(), &mut byte)? == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&line);
    ensure!(!text.trim().is_empty(), "there is no key on the first line of standard input");
    Ok(Secret::new(text.trim()))
}

fn read_ca(path: &PathBuf) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read the CA in {}", path.display()))
}

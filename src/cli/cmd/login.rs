//! `fleetmux login`: a relay and a key, checked and stored for this user's commands.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Context, Result, bail};

use crate::cli::args::{IdentityArgs, LoginArgs};
use crate::cli::output::{print, prompt};
use crate::cli::raw;
use crate::client::{Client, Options};
use crate::config::profile::{self, Profile};
use crate::fleet::{Credentials, Endpoint, JoinToken, Secret};
use crate::wire;

/// How long the relay may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::cli) async fn run(args: LoginArgs, identity: &IdentityArgs) -> Result<ExitCode> {
    // A join token names relay and CA; it is not spent here.
    let token = args.address.parse::<JoinToken>().ok();
    let relay = match &token {
        Some(token) => token.relay(),
        None => args.address.parse::<Endpoint>()?,
    };
    let pinned = args.ca_fingerprint.or(token.map(|token| token.ca));
    let ca_pem = match &identity.ca {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?),
        None => None,
    };
    if matches!(relay, Endpoint::Tls(_)) && pinned.is_none() && ca_pem.is_none() {
        bail!(
            "the relay's CA is not known; `fleetmux relay init` printed its fingerprint: add --ca-fingerprint, or --ca FILE"
        );
    }
    let key = match &identity.key {
        Some(key) => Secret::new(key.trim()),
        None => read_key(args.key_stdin)?,
    };
    let credentials = Credentials { key: Some(key), ca_pem, ca_fingerprint: pinned };
    let options = Options { credentials: credentials.clone(), ..Options::default() };
    let client = Client::connect(relay.clone(), options);
    client.connected(CONNECT_TIMEOUT).await?;
    let me = client.who_am_i().await?;
    let ca_pem = credentials.ca_pem.or(me.ca_pem);
    if let Some(pinned) = pinned
        && ca_pem.as_deref().and_then(wire::fingerprint) != Some(pinned)
    {
        bail!("the relay's CA is not the one of this fingerprint; nothing is stored");
    }
    let credentials = Credentials { ca_pem, ca_fingerprint: None, ..credentials };
    let stored = Profile { relay: Some(relay.clone()), credentials, workspace: me.workspace.clone() };
    let path = profile::save(identity.profile.as_deref(), &stored)?;
    let actions: Vec<&str> = me.actions.iter().map(|action| action.name()).collect();
    print(&format!(
        "{} at {relay}, workspace {}, may {}\nstored in {}; try `fleetmux machines`\n",
        me.principal,
        me.workspace.as_deref().unwrap_or("(all)"),
        actions.join(", "),
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Forgets what a login stored; the key itself is as good as before.
pub(in crate::cli) fn logout(identity: &IdentityArgs) -> Result<ExitCode> {
    let said = match profile::forget(identity.profile.as_deref())? {
        Some((path, relay)) => format!(
            "logged out of {relay}; the key is removed from {}, and ends with `fleetmux keys revoke` at the relay\n",
            path.display()
        ),
        None => "nobody is logged in here\n".into(),
    };
    print(&said)?;
    Ok(ExitCode::SUCCESS)
}

fn read_key(is_stdin: bool) -> Result<Secret> {
    if !is_stdin {
        bail!("give the key on standard input with --key-stdin, so that it is in no process list");
    }
    let is_terminal = std::io::stdin().is_terminal();
    // Keys are short; whatever else is piped in is not read to its end.
    let mut text = String::new();
    if is_terminal {
        // Before the invitation: whoever is quick is not shown either.
        let silence = raw::Silence::begin()?;
        prompt("paste the key, then Enter (it is not shown): ");
        // A terminal gives a line at a time.
        let mut line = [0; 4096];
        let count = std::io::stdin().read(&mut line)?;
        drop(silence);
        prompt("\n");
        if line[..count].contains(&raw::INTERRUPT) {
            bail!("interrupted; nothing is stored");
        }
        text = String::from_utf8_lossy(&line[..count]).into_owned();
    } else {
        std::io::stdin().take(4096).read_to_string(&mut text)?;
    }
    if text.trim().is_empty() {
        bail!("there is no key on standard input");
    }
    Ok(Secret::new(text.trim()))
}

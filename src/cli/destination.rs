//! Which relay a command means when it names none, and why: the one answer for all commands, and for `doctor`.

use color_eyre::eyre::{Result, bail};

use crate::agent::{self, Membership};
use crate::config::paths;
use crate::fleet::Endpoint;

/// Why this relay is the one; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A flag, the environment or the configuration names it.
    Named,
    /// This user serves it to others from this machine: the relay's owner is its administrator.
    Served,
    /// This machine has joined it; its key is its agent's, and none of a person's.
    Joined,
    /// This machine's own, started when needed.
    Own,
}

/// `settled` is what flags, environment and configuration name; `joined` what this machine has joined.
pub(super) fn of(settled: Option<Endpoint>, joined: Option<&Membership>) -> (Endpoint, Origin) {
    let served = paths::relay_socket(&paths::relay_dir());
    let own = paths::relay_socket(&paths::runtime_dir());
    match (settled, joined) {
        (Some(relay), _) => (relay, Origin::Named),
        _ if served.exists() => (Endpoint::Unix(served), Origin::Served),
        // A relay that runs here beside it was started on purpose.
        (None, Some(joined)) if !is_served(&own) => (joined.relay.clone(), Origin::Joined),
        _ => (Endpoint::Unix(own), Origin::Own),
    }
}

/// For a command of a person, who does not act as the machine.
pub(super) fn for_person(settled: Option<Endpoint>) -> Result<(Endpoint, Origin)> {
    let joined = agent::membership(&paths::state_dir()).ok().flatten();
    let (relay, origin) = of(settled, joined.as_ref());
    if origin == Origin::Joined {
        let name = joined.map(|joined| joined.name).unwrap_or_default();
        bail!(
            "this machine is {name} at {relay}, and that is its agent's key; with a key of your own, from \
             `fleetmux keys create YOUR-NAME` on the relay's host: fleetmux login {relay} --key-stdin --ca-fingerprint FINGERPRINT"
        );
    }
    Ok((relay, origin))
}

/// Whether somebody listens on a socket.
fn is_served(socket: &std::path::Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

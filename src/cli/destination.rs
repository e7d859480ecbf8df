//! Which relay a command means when it names none, and why: the one answer for all commands, and for `doctor`.

use color_eyre::eyre::{Report, Result, bail, eyre};

use super::identity;
use crate::agent::{self, Membership};
use crate::client::Error;
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
    let own = paths::relay_socket(&paths::runtime_dir());
    match (settled, served(), joined) {
        (Some(relay), _, _) => (relay, Origin::Named),
        (None, Some(served), _) => (served, Origin::Served),
        // A relay that runs here beside it was started on purpose.
        (None, None, Some(joined)) if !is_served(&own) => (joined.relay.clone(), Origin::Joined),
        _ => (Endpoint::Unix(own), Origin::Own),
    }
}

/// The socket of the relay that this user has made for others here, whether it runs or not.
pub(super) fn served() -> Option<Endpoint> {
    let dir = paths::relay_dir();
    let socket = paths::relay_socket(&dir);
    (socket.exists() || dir.join("ca.pem").exists()).then_some(Endpoint::Unix(socket))
}

/// Why nobody answers, with what to do where that is known here.
pub(super) fn explain(err: Error, endpoint: &Endpoint) -> Report {
    let message = match err {
        Error::NoRelay(message) => message,
        err => return err.into(),
    };
    let dir = paths::relay_dir();
    if served().as_ref() == Some(endpoint) {
        return eyre!(
            "the relay of {dir} does not run; start it with `systemctl start fleetmux-relay`, or `fleetmux relay --listen \
             tls://0.0.0.0:7443`. If there is to be none here any more, move {dir} away",
            dir = dir.display()
        );
    }
    if identity::is_from_environment(endpoint) {
        return eyre!(
            "{message}; the address comes from {variable}: start a relay there, or `unset {variable}`",
            variable = identity::RELAY_VARIABLE
        );
    }
    Error::NoRelay(message).into()
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

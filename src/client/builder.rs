//! Setting a client up, in the words of its documentation.

use std::time::Duration;

use super::hooks::ConnectionHooks;
use super::{Client, Error, Options};
use crate::config::paths;
use crate::fleet::{Endpoint, Secret};

/// Defaults of a program's connection; the wall and the command line keep trying without end instead.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
const RECONNECT_MAX_DELAY: Duration = Duration::from_secs(30);
const RECONNECT_MAX_ATTEMPTS: u32 = 10;
/// Port of a local relay.
const LOCAL_PORT: u16 = 50051;

/// A client that is not connected yet: see [`Client::remote`] and [`Client::local`].
///
/// ```no_run
/// # use std::time::Duration;
/// # use fleetmux::client::{Client, Error};
/// # async fn example() -> Result<(), Error> {
/// let client = Client::remote("relay.example:7000")
///     .timeout(Duration::from_secs(30))
///     .max_retries(3)
///     .retry_delay(Duration::from_secs(1))
///     .on_connect(|| println!("Connected"))
///     .on_disconnect(|| println!("Disconnected"))
///     .on_error(|error| println!("Error: {error}"))
///     .connect()
///     .await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing before `connect`"]
pub struct Builder {
    relay: Relay,
    options: Options,
    hooks: ConnectionHooks,
}

enum Relay {
    Named(String),
    /// The user's own, on its socket, or on an address.
    Local {
        host: Option<String>,
        port: Option<u16>,
        tls: bool,
    },
}

impl Client {
    /// A client of a relay named as `tls://host:port`, `host:port` or `unix:/path/to/socket`.
    pub fn remote(relay: impl Into<String>) -> Builder {
        Builder::new(Relay::Named(relay.into()))
    }

    /// A client of this user's own relay, which `fleetmux` starts in the background; or, with [`Builder::host`] or
    /// [`Builder::port`], of one that listens there, at port 50051 unless said otherwise.
    pub fn local() -> Builder {
        Builder::new(Relay::Local { host: None, port: None, tls: false })
    }
}

impl Builder {
    fn new(relay: Relay) -> Builder {
        let options = Options {
            retry_delay: RECONNECT_DELAY,
            retry_cap: RECONNECT_MAX_DELAY,
            reconnect_attempts: Some(RECONNECT_MAX_ATTEMPTS),
            ..Options::default()
        };
        Builder { relay, options, hooks: ConnectionHooks::default() }
    }

    /// The API key, for a relay with TLS.
    pub fn api_key(mut self, key: impl AsRef<str>) -> Builder {
        self.options.credentials.key = Some(Secret::new(key.as_ref()));
        self
    }

    /// The certificate of the CA that vouches for the relay, as PEM text.
    pub fn ca(mut self, pem: impl Into<String>) -> Builder {
        self.options.credentials.ca_pem = Some(pem.into());
        self
    }

    /// Host of a local relay; `localhost` when only a port is given.
    pub fn host(mut self, name: impl Into<String>) -> Builder {
        if let Relay::Local { host, .. } = &mut self.relay {
            *host = Some(name.into());
        }
        self
    }

    /// Port of a local relay.
    pub fn port(mut self, number: u16) -> Builder {
        if let Relay::Local { port, .. } = &mut self.relay {
            *port = Some(number);
        }
        self
    }

    /// Whether a local relay on a host and port is spoken to with TLS; without it unless said otherwise, which only this computer
    /// itself accepts.
    pub fn tls(mut self, is_wanted: bool) -> Builder {
        if let Relay::Local { tls, .. } = &mut self.relay {
            *tls = is_wanted;
        }
        self
    }

    /// Tells each request, its answer and each change of the connection's state as events of `tracing` at level DEBUG, for the
    /// program's own subscriber: names, machines, times and codes, never what was typed, written or asked with.
    pub fn debug(mut self, is_wanted: bool) -> Builder {
        self.options.is_debug = is_wanted;
        self
    }

    /// How long connecting and each request may take; 30 s unless said otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.options.timeout = timeout;
        self
    }

    /// How often a request is repeated when the connection is lost under it; 3 unless said otherwise. A refusal is an
    /// answer and never repeated. Only requests that do the same twice as once are repeated: what asks, and what makes,
    /// renames or ends a session by its id. A command is never repeated, nor is a file's change: when it is not known whether
    /// it ran, that is an error. Typed bytes are numbered, and each counts once however often they are sent.
    pub fn max_retries(mut self, times: u32) -> Builder {
        self.options.max_retries = times;
        self
    }

    /// Pause before a request is repeated; 1 s unless said otherwise.
    pub fn retry_delay(mut self, delay: Duration) -> Builder {
        self.options.request_retry_delay = delay;
        self
    }

    /// Whether a lost connection is opened again by itself; it is unless said otherwise.
    pub fn auto_reconnect(mut self, is_wanted: bool) -> Builder {
        self.options.reconnect_attempts = if is_wanted { Some(RECONNECT_MAX_ATTEMPTS) } else { Some(0) };
        self
    }

    /// First pause before another attempt; 1 s unless said otherwise. It doubles with each attempt.
    pub fn reconnect_delay(mut self, delay: Duration) -> Builder {
        self.options.retry_delay = delay;
        self
    }

    /// Longest pause between attempts; 30 s unless said otherwise.
    pub fn reconnect_max_delay(mut self, delay: Duration) -> Builder {
        self.options.retry_cap = delay;
        self
    }

    /// Failed attempts after which it gives up until [`Client::reconnect`]; 10 unless said otherwise, `None` for never.
    pub fn reconnect_max_attempts(mut self, attempts: impl Into<Option<u32>>) -> Builder {
        self.options.reconnect_attempts = attempts.into();
        self
    }

    /// Called each time the connection is there.
    pub fn on_connect(self, hook: impl FnMut() + Send + 'static) -> Builder {
        self.hooks.connect.add(Box::new(hook));
        self
    }

    /// Called each time the connection is lost.
    pub fn on_disconnect(self, hook: impl FnMut() + Send + 'static) -> Builder {
        self.hooks.disconnect.add(Box::new(hook));
        self
    }

    /// Called with what went wrong: an attempt that failed, or the end of all attempts.
    pub fn on_error(self, hook: impl FnMut(&Error) + Send + 'static) -> Builder {
        self.hooks.error.add(Box::new(hook));
        self
    }

    /// As [`Builder::on_connect`], with something that waits: a task of its own for each call.
    pub fn on_connect_async<F>(self, hook: impl FnMut() -> F + Send + 'static) -> Builder
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.add_connect_async(hook);
        self
    }

    /// As [`Builder::on_disconnect`], with something that waits.
    pub fn on_disconnect_async<F>(self, hook: impl FnMut() -> F + Send + 'static) -> Builder
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.add_disconnect_async(hook);
        self
    }

    /// As [`Builder::on_error`], with something that waits.
    pub fn on_error_async<F>(self, hook: impl FnMut(Error) -> F + Send + 'static) -> Builder
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.add_error_async(hook);
        self
    }

    /// Opens the connection; must be called within a runtime.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that names no relay, [`Error::NoRelay`] when none answers within the timeout.
    pub async fn connect(self) -> Result<Client, Error> {
        let endpoint = self.relay.endpoint()?;
        let timeout = self.options.timeout;
        let client = Client::connect_with(endpoint, self.options, self.hooks);
        client.connected(timeout).await?;
        Ok(client)
    }
}

impl Relay {
    fn endpoint(self) -> Result<Endpoint, Error> {
        match self {
            Relay::Named(text) => text.parse().map_err(|err| Error::Invalid(format!("{err}"))),
            Relay::Local { host: None, port: None, tls: false } => {
                Ok(Endpoint::Unix(paths::relay_socket(&paths::runtime_dir())))
            }
            Relay::Local { host, port, tls } => {
                let host = host.unwrap_or_else(|| "localhost".into());
                let scheme = if tls { "tls://" } else { "" };
                let text = format!("{scheme}{host}:{}", port.unwrap_or(LOCAL_PORT));
                text.parse().map_err(|err| Error::Invalid(format!("{err}")))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]
mod tests {
    use super::*;

    #[test]
    fn a_local_relay_is_a_socket_or_a_port_with_tls_or_without() {
        let at = |builder: Builder| builder.relay.endpoint().unwrap().to_string();
        assert!(at(Client::local()).starts_with("unix:"));
        assert_eq!(at(Client::local().host("localhost").tls(false)), at(Client::local().port(50051)));
        assert!(at(Client::local().host("localhost")).ends_with(":50051"));
        assert_eq!(at(Client::local().host("localhost").port(7443).tls(true)), "tls://localhost:7443");
    }
}

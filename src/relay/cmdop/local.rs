//! Local mode: how the SDKs find this user's own relay, and a loopback port for the one that cannot use a unix socket.
//!
//! Node reads `~/.cmdop/agent.info`, which names the relay's socket: the kernel proves who connects there. Python's gRPC
//! sends a socket's path as authority, which HTTP/2 servers refuse, so it gets a loopback port and a token in
//! `$XDG_RUNTIME_DIR/cmdop/agent.info`, which nobody else reads. A file of somebody who lives is left alone.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::config::paths::{make_private_dir, write_private};
use crate::fleet::Secret;
use crate::runtime::now_ms;
use crate::wire::Timestamp;

/// The token beside Python's file.
const TOKEN_FILE: &str = "agent.token";
/// How long whoever is named in a file may take to answer.
const ANSWER: Duration = Duration::from_millis(500);

/// Where the SDKs look.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// For Node: a file that names the socket.
    pub socket_file: Option<PathBuf>,
    /// For Python: a file that names a port and a token.
    pub port_file: Option<PathBuf>,
}

/// What a file says; both SDKs' spellings.
#[derive(Serialize)]
struct Info<'a> {
    version: &'a str,
    pid: u32,
    transport: &'a str,
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_path: Option<&'a Path>,
    #[serde(rename = "tokenPath", skip_serializing_if = "Option::is_none")]
    token_path_node: Option<&'a Path>,
    started_at: &'a str,
    #[serde(rename = "startedAt")]
    started_at_node: &'a str,
}

/// What is read of a file that is there.
#[derive(Deserialize)]
struct Found {
    pid: u32,
    address: String,
}

/// The files, gone with it.
pub(in crate::relay) struct Published {
    files: Vec<PathBuf>,
}

impl Drop for Published {
    fn drop(&mut self) {
        for file in &self.files {
            // Somebody may have published over it.
            if read(file).is_none_or(|found| found.pid == std::process::id()) {
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

/// A loopback port and the token that it wants.
pub(in crate::relay) struct Port {
    pub(in crate::relay) listener: TcpListener,
    pub(in crate::relay) token: Secret,
}

/// Publishes the relay's socket, and a port if Python has a place to look; what cannot be published is logged.
pub(in crate::relay) async fn publish(discovery: &Discovery, socket: &Path) -> (Published, Option<Port>) {
    let mut published = Published { files: Vec::new() };
    if let Some(file) = &discovery.socket_file {
        published.keep(file, info("unix", &socket.to_string_lossy(), None));
    }
    let Some(file) = discovery.port_file.as_ref().filter(|file| !is_anothers(file)) else { return (published, None) };
    match port(file).await {
        Ok((port, address, token_file)) => {
            published.files.push(token_file.clone());
            published.keep(file, info("tcp", &address, Some(&token_file)));
            (published, Some(port))
        }
        Err(err) => {
            tracing::warn!(%err, file = %file.display(), "Python's SDK finds no local relay");
            (published, None)
        }
    }
}

impl Published {
    fn keep(&mut self, file: &Path, text: String) {
        if is_anothers(file) {
            tracing::info!(file = %file.display(), "another agent is published there; it is left alone");
            return;
        }
        let dir = file.parent().unwrap_or(file);
        let made = make_private_dir(dir).map_err(io::Error::from);
        match made.and_then(|()| write_private(file, text.as_bytes())) {
            Ok(()) => self.files.push(file.into()),
            Err(err) => tracing::warn!(%err, file = %file.display(), "the SDKs find no local relay there"),
        }
    }
}

async fn port(file: &Path) -> io::Result<(Port, String, PathBuf)> {
    let dir = file.parent().unwrap_or(file);
    make_private_dir(dir)?;
    let token = Secret::random();
    let token_file = dir.join(TOKEN_FILE);
    write_private(&token_file, token.reveal().as_bytes())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    Ok((Port { listener, token }, address, token_file))
}

fn info(transport: &str, address: &str, token_path: Option<&Path>) -> String {
    let started_at = Timestamp { seconds: (now_ms() / 1000) as i64, nanos: 0 }.to_string();
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        transport,
        address,
        token_path,
        token_path_node: token_path,
        started_at: &started_at,
        started_at_node: &started_at,
    };
    serde_json::to_string_pretty(&info).unwrap_or_default()
}

fn read(file: &Path) -> Option<Found> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Whether a file names somebody else who lives and answers.
fn is_anothers(file: &Path) -> bool {
    let Some(found) = read(file).filter(|found| found.pid != std::process::id()) else { return false };
    let is_alive = i32::try_from(found.pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
    let address =
        found.address.strip_prefix("unix://").or(found.address.strip_prefix("unix:")).unwrap_or(&found.address);
    is_alive
        && if address.starts_with('/') {
            UnixStream::connect(address).is_ok()
        } else {
            address.parse().is_ok_and(|address| TcpStream::connect_timeout(&address, ANSWER).is_ok())
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_written_over_the_dead_and_beside_the_living_and_go_with_the_relay() {
        let dir = tempfile::tempdir().unwrap();
        let (socket_file, port_file) = (dir.path().join("a/agent.info"), dir.path().join("b/agent.info"));
        let socket = dir.path().join("relay.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        make_private_dir(&dir.path().join("a")).unwrap();
        let dead = format!(r#"{{"pid":{},"address":{:?}}}"#, i32::MAX, socket);
        std::fs::write(&socket_file, dead).unwrap();
        let discovery = Discovery { socket_file: Some(socket_file.clone()), port_file: Some(port_file.clone()) };
        let (published, port) = publish(&discovery, &socket).await;
        assert_eq!(read(&socket_file).unwrap().pid, std::process::id());
        assert_eq!(read(&port_file).unwrap().address, port.unwrap().listener.local_addr().unwrap().to_string());
        drop(published);
        assert!(!socket_file.exists() && !port_file.exists());
        // The test's own parent lives, and its socket answers.
        let living = format!(r#"{{"pid":{},"address":{:?}}}"#, std::os::unix::process::parent_id(), socket);
        std::fs::write(&socket_file, &living).unwrap();
        drop(publish(&discovery, &socket).await);
        assert_eq!(std::fs::read_to_string(&socket_file).unwrap(), living);
    }
}

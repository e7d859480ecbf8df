//! The server certificate of a running relay: taken up when its file changes, and renewed before it is too late.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::auth::{self, Authority, SERVER_CERTIFICATE};
use crate::runtime::{self, now_ms};
use crate::wire::{ServeError, Served, days_left};

/// How long a certificate is good unless somebody says otherwise: what the public ones were good for last.
pub const DAYS: u32 = 398;
/// With fewer days left its owner is told, in the log and by `doctor`.
pub const WARN_DAYS: u64 = 30;
/// With fewer days left the relay makes another one itself: an owner who reads no log must not lose the fleet.
const RENEW_DAYS: u64 = 7;
/// How often the days are counted.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The certificate of a relay's directory, as it is served.
pub(super) struct Certificate {
    dir: PathBuf,
    pub(super) served: Arc<Served>,
}

impl Certificate {
    pub(super) fn open(dir: &Path, authority: &Authority) -> Result<Certificate, ServeError> {
        Ok(Certificate { dir: dir.into(), served: Served::new(&authority.chain_pem, &authority.key_pem)? })
    }

    /// Follows the file; returns never.
    pub(super) async fn keep(&self) {
        let changes = self.watch();
        if let Err(err) = &changes {
            tracing::warn!(%err, "cannot watch the certificate; a new one is served after a restart");
        }
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = changed(changes.as_ref().ok()) => self.reload(),
                _ = look.tick() => self.look(),
            }
        }
    }

    fn watch(&self) -> std::io::Result<AsyncFd<OwnedFd>> {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        // Files are written whole and then put into place.
        inotify::add_watch(&watch, self.dir.as_path(), inotify::WatchFlags::MOVED_TO)?;
        runtime::watch_fd(watch, Interest::READABLE)
    }

    fn reload(&self) {
        let replaced = auth::load(&self.dir).map_err(|err| err.to_string()).and_then(|authority| {
            self.served.replace(&authority.chain_pem, &authority.key_pem).map_err(|err| err.to_string())
        });
        match replaced {
            Ok(()) => tracing::info!("a new certificate is served from now on"),
            Err(err) => tracing::error!(err, "the new certificate cannot be served; the old one stays"),
        }
    }

    fn look(&self) {
        let Ok(authority) = auth::load(&self.dir) else { return };
        let Some(days) = days_left(&authority.ca_pem, &authority.chain_pem, now_ms(), WARN_DAYS) else { return };
        if days < RENEW_DAYS {
            match auth::renew(&self.dir, &[], DAYS) {
                Ok(_) => {
                    tracing::info!(days, "the certificate was about to expire and was renewed");
                    self.reload();
                }
                Err(err) => tracing::error!(%err, days, "the certificate expires and cannot be renewed"),
            }
        } else if days < WARN_DAYS {
            tracing::warn!(days, "the certificate expires; run `fleetmux relay init --renew`");
        }
    }
}

/// Waits until a certificate was put into place; for ever if nobody can tell.
async fn changed(changes: Option<&AsyncFd<OwnedFd>>) {
    let Some(changes) = changes else { return std::future::pending().await };
    loop {
        let Ok(mut ready) = changes.readable().await else { return std::future::pending().await };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(changes.get_ref(), &mut buffer);
        let mut is_certificate = false;
        // Until there is nothing more to be read.
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(CStr::to_bytes);
            is_certificate |= name == Some(SERVER_CERTIFICATE.as_bytes());
        }
        ready.clear_ready();
        if is_certificate {
            return;
        }
    }
}

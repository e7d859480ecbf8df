//! One name for the socket of a person's SSH agent, whose own name is another one after each login.
//!
//! Programs that live on have the name of a link; whoever connects from a login of the same user points it at that login's.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::config::paths;

/// The variable that names the socket.
pub(super) const VARIABLE: &str = "SSH_AUTH_SOCK";

/// The link of this user.
pub(super) fn link() -> PathBuf {
    paths::runtime_dir().join("ssh-auth.sock")
}

/// Points the link at the SSH agent of whoever runs this process, if there is one.
pub fn refresh_ssh_auth() {
    let Some(socket) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let link = link();
    if socket == link || !is_own_socket(&socket) {
        return;
    }
    if let Err(err) = point(&link, &socket) {
        tracing::debug!(%err, link = %link.display(), "the link to the SSH agent stays as it is");
    }
}

fn is_own_socket(path: &Path) -> bool {
    let own = rustix::process::getuid().as_raw();
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket() && meta.uid() == own)
}

/// In one step: nobody finds no link meanwhile.
fn point(link: &Path, socket: &Path) -> io::Result<()> {
    if std::fs::read_link(link).is_ok_and(|at| at == socket) {
        return Ok(());
    }
    let next = link.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&next);
    std::os::unix::fs::symlink(socket, &next)?;
    std::fs::rename(&next, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_follows_the_newest_socket() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("ssh-auth.sock");
        for name in ["one", "two"] {
            let socket = dir.path().join(name);
            point(&link, &socket).unwrap();
            assert_eq!(std::fs::read_link(&link).unwrap(), socket);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }
}

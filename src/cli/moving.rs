//! What root had at home before it had the system's places goes there, once.

use color_eyre::eyre::{Result, bail};

use super::output::complain;
use crate::config::paths;

/// Moves what is still in the former places; nothing runs on it, or those would be the places.
pub(super) fn settle_places() -> Result<()> {
    for (from, to) in paths::former_dirs() {
        let (shown, there) = (from.display(), to.display());
        if paths::relay_socket(&from.join("relay")).exists() {
            bail!("a relay of an earlier version runs on {shown}, which becomes {there}; stop that relay first");
        }
        if let Err(err) = std::fs::rename(&from, &to) {
            bail!(
                "fleetmux of root is in {there} from now on, and {shown} cannot go there ({err}); run `mv {shown} {there}`"
            );
        }
        complain!("{shown} is {there} from now on");
    }
    Ok(())
}

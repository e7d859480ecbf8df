//! What is said of an agent's link to its relay: at the start, by `agent status`, by `doctor`.

use std::path::Path;
use std::time::Duration;

use color_eyre::eyre::Result;

use super::logs;
use crate::agent::{Membership, Standing, standing};
use crate::config::paths;

/// How long `agent start` waits for the first attempt to end; the agent itself goes on.
const PATIENCE: Duration = Duration::from_secs(2);

/// How the link of an agent that just started stands, as soon as it is up or has a reason not to be.
pub(super) async fn settled(dir: &Path) -> Result<Option<Standing>> {
    // Watching before looking: nothing happens in between.
    let watch = logs::watch(dir)?;
    let wait = async {
        while standing(dir).is_none_or(|link| !link.is_linked && link.error.is_none()) {
            logs::wait(&watch).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    if let Ok(outcome) = tokio::time::timeout(PATIENCE, wait).await {
        outcome?;
    }
    Ok(standing(dir))
}

/// "linked to tls://relay:7443 as web-1".
pub(super) fn words(link: &Standing) -> String {
    let (relay, machine) = (&link.relay, &link.machine);
    match (&link.error, link.is_linked) {
        (_, true) => format!("linked to {relay} as {machine}"),
        (Some(error), false) => format!("not linked to {relay}: {error}"),
        (None, false) => format!("not linked to {relay} yet"),
    }
}

/// What to do about a running agent without a link; empty if nothing is to be done.
pub(super) fn next_step(link: Option<&Standing>, has_joined: bool, dir_flag: &str) -> String {
    let Some(link) = link.filter(|link| !link.is_linked) else { return String::new() };
    let own = format!("unix:{}", paths::relay_socket(&paths::runtime_dir()).display());
    match link.relay == own && !has_joined {
        true => format!(
            "this machine has joined no relay, and none of its own runs; with a token from `fleetmux relay token`:\n\
             fleetmux agent join{dir_flag} TOKEN && fleetmux agent stop{dir_flag} && fleetmux agent start{dir_flag}\n"
        ),
        false => "it goes on trying; see `fleetmux doctor` and `fleetmux logs agent`\n".into(),
    }
}

/// What to do where no agent runs.
pub(super) fn first_step(joined: Option<&Membership>, dir_flag: &str) -> String {
    match joined {
        Some(joined) => format!(
            "this machine has joined {} as {}; start it with `fleetmux agent start{dir_flag}`\n",
            joined.relay, joined.name
        ),
        None => format!(
            "join a relay with `fleetmux agent join{dir_flag} TOKEN`, then start it with `fleetmux agent start{dir_flag}`\n"
        ),
    }
}

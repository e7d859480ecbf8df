//! How an agent stands with its relay, in a file of its directory: for `agent status`, `agent start` and `doctor`, which
//! cannot ask the process. The file is replaced whole whenever something changes, so whoever watches the directory hears of it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lock_holder;
use crate::config::paths;
use crate::fleet::{Endpoint, MachineFacts};
use crate::runtime::now_ms;

/// File in the agent's directory.
const FILE: &str = "link.json";
/// Characters of an error; the relay may have chosen them.
const ERROR_CAP: usize = 500;

/// What is known of an agent's link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The agent's process.
    pub pid: u32,
    /// The relay it dials.
    pub relay: String,
    /// Display name of the machine.
    pub machine: String,
    /// Its id.
    pub machine_id: String,
    /// The link is up.
    pub is_linked: bool,
    /// Since when it is up or down, milliseconds since 1970.
    pub since_ms: u64,
    /// Why there is no link; `None` before the first attempt has ended.
    pub error: Option<String>,
}

/// The running agent's standing; `None` without an agent, or from one of before this file.
pub fn standing(dir: &Path) -> Option<Standing> {
    let pid = lock_holder(dir)?;
    let text = io::read_to_string(paths::open_own(&dir.join(FILE)).ok()?).ok()?;
    serde_json::from_str(&text).ok().filter(|standing: &Standing| standing.pid == pid)
}

/// The agent's own end of the file.
pub(super) struct Record {
    path: PathBuf,
    standing: Standing,
}

impl Record {
    /// Begins as not linked and not refused.
    pub(super) fn start(dir: &Path, facts: &MachineFacts, relay: &Endpoint) -> Record {
        let standing = Standing {
            pid: std::process::id(),
            relay: relay.to_string(),
            machine: facts.name.clone(),
            machine_id: facts.id.to_string(),
            is_linked: false,
            since_ms: now_ms(),
            error: None,
        };
        let record = Record { path: dir.join(FILE), standing };
        record.write();
        record
    }

    pub(super) fn linked(&mut self) {
        self.change(true, None);
    }

    pub(super) fn not_linked(&mut self, error: &str) {
        self.change(false, Some(error.chars().filter(|c| !c.is_control()).take(ERROR_CAP).collect()));
    }

    fn change(&mut self, is_linked: bool, error: Option<String>) {
        if (self.standing.is_linked, &self.standing.error) == (is_linked, &error) {
            return;
        }
        if self.standing.is_linked != is_linked {
            self.standing.since_ms = now_ms();
        }
        self.standing.is_linked = is_linked;
        self.standing.error = error;
        self.write();
    }

    /// Only a report: an agent whose disk is full goes on.
    fn write(&self) {
        let written = serde_json::to_string(&self.standing).map_err(io::Error::other);
        let written = written.and_then(|text| paths::write_private(&self.path, text.as_bytes()));
        if let Err(err) = written {
            tracing::warn!(%err, file = %self.path.display(), "cannot say how the link stands");
        }
    }
}

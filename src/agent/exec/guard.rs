//! The guard: one process beside the agent that ends its commands when the agent is killed and cannot.
//!
//! It learns of every process group over a pipe, and of the agent's end by the end of that pipe. It starts with the
//! first command.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a group may take to end after SIGTERM; then SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// The agent's end.
#[derive(Default)]
pub(super) struct Guard {
    is_started: bool,
    groups_tx: Option<io::PipeWriter>,
}

impl Guard {
    /// A group to end with the agent.
    pub(super) fn add(&mut self, group: u32) {
        if !self.is_started {
            self.is_started = true;
            match start() {
                Ok(groups_tx) => self.groups_tx = Some(groups_tx),
                Err(err) => tracing::warn!(%err, "no guard: commands outlive this agent if it is killed"),
            }
        }
        self.tell(format!("+{group}\n"));
    }

    /// A group that has ended.
    pub(super) fn remove(&mut self, group: u32) {
        self.tell(format!("-{group}\n"));
    }

    fn tell(&mut self, line: String) {
        let Some(groups_tx) = &mut self.groups_tx else { return };
        // A line is shorter than what a pipe takes as a whole or not at all.
        if let Err(err) = groups_tx.write(line.as_bytes()) {
            tracing::warn!(%err, "the guard of commands takes no word");
            if err.kind() == io::ErrorKind::BrokenPipe {
                // The next command starts another one.
                *self = Guard::default();
            }
        }
    }
}

fn start() -> io::Result<io::PipeWriter> {
    let (stdin, groups_tx) = io::pipe()?;
    // A guard that does not read must not stop the agent.
    rustix::io::ioctl_fionbio(&groups_tx, true)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fleetmux").arg("exec-guard").stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
    // An interrupt at the agent's terminal is for the agent.
    let mut child = command.process_group(0).spawn()?;
    // It ends after the agent, or was killed: then somebody has to take its status.
    std::thread::spawn(move || child.wait());
    Ok(groups_tx)
}

/// The body of the guard process: returns when the agent is gone and its commands are ended.
pub fn run_guard() {
    let mut groups = BTreeSet::new();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let group = line.get(1..).and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
        match (line.as_bytes().first(), group) {
            (Some(b'+'), Some(group)) => groups.insert(group.as_raw_nonzero()),
            (Some(b'-'), Some(group)) => groups.remove(&group.as_raw_nonzero()),
            _ => false,
        };
    }
    let end = |signal: Signal| {
        let pids = groups.iter().filter_map(|group| Pid::from_raw(group.get()));
        pids.filter(|group| kill_process_group(*group, signal).is_ok()).count()
    };
    if end(Signal::TERM) > 0 {
        std::thread::sleep(GRACE);
        end(Signal::KILL);
    }
}

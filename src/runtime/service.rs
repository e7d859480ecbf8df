//! What a process that serves for long keeps of whoever launched it: nothing that could reach its children.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// A login's mask of new files where the system names none.
const UMASK: u32 = 0o022;
/// Limits that a login has from the system; that of open files stays as it was, see `limits`.
const LIMITS: [(&str, Resource); 11] = [
    ("Max cpu time", Resource::Cpu),
    ("Max file size", Resource::Fsize),
    ("Max data size", Resource::Data),
    ("Max stack size", Resource::Stack),
    ("Max core file size", Resource::Core),
    ("Max resident set", Resource::Rss),
    ("Max processes", Resource::Nproc),
    ("Max locked memory", Resource::Memlock),
    ("Max address space", Resource::As),
    ("Max msgqueue size", Resource::Msgqueue),
    ("Max pending signals", Resource::Sigpending),
];

/// Lets go of every descriptor but the standard ones, and keeps the memory and the environment of this process from other
/// processes of its user. Before anything is opened.
pub fn shed_inheritance() {
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        let open: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        // The list's own descriptor is among them, and closed already.
        open.into_iter().filter(|fd| *fd > 2).for_each(|fd| {
            let _ = nix::unistd::close(fd);
        });
    }
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let login_defs = std::fs::read_to_string("/etc/login.defs").unwrap_or_default();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask_in(&login_defs)));
    let init = std::fs::read_to_string("/proc/1/limits").unwrap_or_default();
    for (name, resource) in LIMITS {
        if let Some(soft) = soft_in(&init, name) {
            set_soft(resource, soft);
        }
    }
}

/// Signals that whoever launched this process had ignored are caught from now on, which does as little; but a program that
/// is started begins with what signals do by default.
pub fn catch_ignored_signals() -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    for number in ignored_in(&status) {
        // What cannot be caught cannot be ignored either, and the runtime's own signal is ignored and reset by it.
        if signal(SignalKind::from_raw(number)).is_err() {
            tracing::debug!(number, "an ignored signal cannot be caught");
        }
    }
    Ok(())
}

fn ignored_in(status: &str) -> Vec<i32> {
    const SIGPIPE: i32 = 13;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (1..=31).filter(|number| *number != SIGPIPE && mask >> (number - 1) & 1 == 1).collect()
}

fn umask_in(login_defs: &str) -> u32 {
    let words =
        |line: &str| line.split_once(char::is_whitespace).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let named = login_defs.lines().filter_map(words).find(|(name, _)| name == "UMASK");
    named.and_then(|(_, value)| u32::from_str_radix(value.trim(), 8).ok()).unwrap_or(UMASK) & 0o777
}

/// The soft limit of this name; `Some(None)` is none.
fn soft_in(limits: &str, name: &str) -> Option<Option<u64>> {
    let soft = limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next())?;
    if soft == "unlimited" { Some(None) } else { soft.parse().ok().map(Some) }
}

/// As near to it as the hard limit allows.
fn set_soft(resource: Resource, soft: Option<u64>) {
    let now = getrlimit(resource);
    let current = match (soft, now.maximum) {
        (Some(soft), Some(hard)) => Some(soft.min(hard)),
        (None, hard) => hard,
        (soft, None) => soft,
    };
    if current != now.current
        && let Err(err) = setrlimit(resource, Rlimit { current, maximum: now.maximum })
    {
        tracing::debug!(?resource, %err, "a login's limit cannot be set");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_a_login_is_read() {
        assert_eq!(ignored_in("Name:\tx\nSigIgn:\t0000000000081006\nSigCgt:\t0\n"), [2, 3, 20]);
        assert_eq!(umask_in("# UMASK 077\nUMASK\t\t027\n"), 0o027);
        assert_eq!(umask_in(""), 0o022);
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n\
                      Max core file size        unlimited            unlimited            bytes\n";
        assert_eq!(soft_in(limits, "Max open files"), Some(Some(1024)));
        assert_eq!(soft_in(limits, "Max core file size"), Some(None));
        assert_eq!(soft_in(limits, "Max cpu time"), None);
    }
}

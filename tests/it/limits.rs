//! Limits of the system, for us and for the programs of sessions.

use fleetmux::fleet::Size;

use crate::support::{Fleet, Pane, SOFT_FILES, driver, processes_naming, sh};

/// The soft limit of open files as the kernel tells it: soft, hard.
fn open_files(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(str::to_string);
    (words.next().unwrap(), words.next().unwrap())
}

/// Agent and relay ended at the 1024 open files that a login shell gives, with the fleet half connected.
#[tokio::test]
async fn agent_and_relay_may_open_many_files_and_the_programs_have_what_they_expect() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("echo soft=$(ulimit -S -n) hard=$(ulimit -H -n); cat")).await;
    let mut pane = Pane::attach(&client, &session, driver(Size::DEFAULT));
    let mut hard = String::new();
    for marker in ["relay\0--listen", "agent\0start\0--foreground"] {
        let dir = fleet.dir.path().to_string_lossy().into_owned();
        let pids = processes_naming(marker).into_iter().filter(|pid| processes_naming(&dir).contains(pid));
        let pids: Vec<u32> = pids.collect();
        assert_eq!(pids.len(), 1, "{marker:?}");
        let (soft, its_hard) = open_files(pids[0]);
        assert_eq!(soft, its_hard, "raised as far as it goes");
        hard = its_hard;
    }
    assert_ne!(hard, SOFT_FILES.to_string(), "the fleet was started with less");
    pane.until_text(&format!("soft={SOFT_FILES} hard={hard}")).await;
}

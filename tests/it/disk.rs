//! A disk that takes nothing: full, or read-only. What runs goes on; what is refused says why; what was done is there later.

use crate::support::machine::{As, Machine};
use crate::support::until;

const STATE: &str = "/home/ada/.local/state/fleetmux";

/// A machine of Ada's whose state is on a disk of its own, with a little on it.
fn machine() -> Machine {
    let machine = Machine::start();
    machine.run(As::Ada, &format!("mkdir -p -m 700 {STATE}"));
    machine.run(As::Root, &format!("mount -t tmpfs -o size=3m,mode=700,uid=12345,gid=12345 none {STATE}"));
    machine
}

fn fill(machine: &Machine) {
    machine.outcome(As::Ada, &format!("dd if=/dev/zero of={STATE}/fill bs=4k"));
    machine.outcome(As::Ada, &format!("dd if=/dev/zero of={STATE}/fill bs=1 oflag=append conv=notrunc"));
}

fn keys(machine: &Machine) -> Vec<serde_json::Value> {
    serde_json::from_str(&machine.run(As::Ada, "fleetmux keys list --json")).unwrap()
}

fn has_key(machine: &Machine, name: &str) -> bool {
    keys(machine).iter().any(|key| key["name"] == name)
}

/// Sessions, commands and the wall's list, which need no disk.
fn works(machine: &Machine, name: &str) {
    machine.run(As::Ada, &format!("fleetmux session new $(uname -n) --name {name} -- cat"));
    assert_eq!(machine.run(As::Ada, "fleetmux exec $(uname -n) 'echo hi'"), "hi\n");
    assert!(machine.run(As::Ada, "fleetmux session list").contains(name));
    machine.run(As::Ada, &format!("fleetmux session destroy {name}"));
}

#[tokio::test]
async fn on_a_full_disk_all_goes_on_and_nothing_is_given_out_that_would_be_forgotten() {
    let machine = machine();
    machine.run(As::Ada, "fleetmux machines");
    machine.run(As::Ada, "fleetmux keys create gone");
    machine.run(As::Ada, "fleetmux session new $(uname -n) --name before -- cat");
    fill(&machine);
    works(&machine, "within");
    let refused = machine.refused(As::Ada, "fleetmux keys create ada");
    assert!(refused.contains("the disk of its state is full"), "{refused}");
    assert!(!has_key(&machine, "ada"), "what is refused is not there");
    let doctor = machine.outcome(As::Ada, "fleetmux doctor");
    let says = String::from_utf8(doctor.stdout).unwrap();
    assert!(!doctor.status.success() && says.contains(&format!("{STATE} takes nothing: No space left")), "{says}");
    // In force at once, on the disk as soon as there is room.
    let refused = machine.refused(As::Ada, "fleetmux keys revoke gone");
    assert!(refused.contains("gone (") && refused.contains("is cut off"), "{refused}");
    assert!(!has_key(&machine, "gone"));

    machine.run(As::Ada, &format!("rm {STATE}/fill"));
    machine.run(As::Ada, "fleetmux keys create ada");
    until("stored", || machine.run(As::Ada, "fleetmux logs").contains("the registry is stored again")).await;
    machine.run(As::Root, "kill -9 $(cat /run/user/12345/fleetmux/agent/agent.lock)");
    until("found again", || machine.run(As::Ada, "fleetmux session list").contains("before")).await;
    assert!(has_key(&machine, "ada") && !has_key(&machine, "gone"), "{:?}", keys(&machine));
    machine.run(As::Ada, "fleetmux doctor");
}

#[tokio::test]
async fn a_relay_and_an_agent_start_on_a_disk_that_takes_nothing() {
    let machine = machine();
    machine.run(As::Ada, "fleetmux machines");
    machine.run(As::Ada, "fleetmux agent stop");
    fill(&machine);
    works(&machine, "full");
    machine.run(As::Ada, "fleetmux agent stop");
    machine.run(As::Root, &format!("rm {STATE}/fill; mount -o remount,ro {STATE}"));
    works(&machine, "read-only");
    let says = String::from_utf8(machine.outcome(As::Ada, "fleetmux doctor").stdout).unwrap();
    assert!(says.contains(&format!("{STATE} takes nothing: Read-only file system")), "{says}");
}

/// "Permission denied" alone, or the directory of another user's login taken for one's own.
#[test]
fn a_directory_that_cannot_be_had_is_named_with_what_to_do() {
    let machine = Machine::start();
    machine.run(As::Root, "mount -t tmpfs none /home/ada; mount -o remount,ro /home/ada");
    for line in ["machines", "agent start", "agent join -", "relay init", "permissions default deny"] {
        let refused = machine.refused(As::Ada, &format!("echo fmj_x | fleetmux {line}"));
        assert!(refused.contains("/home/ada/") || line == "agent join -", "{line}: {refused}");
    }
    let refused = machine.refused(As::Ada, "fleetmux machines");
    assert!(refused.contains("Read-only file system") && refused.contains("FLEETMUX_STATE_DIR"), "{refused}");
    // Root's runtime directory, which su leaves behind, is not taken.
    let status = machine.outcome(As::Ada, "XDG_RUNTIME_DIR=/run/user/0 fleetmux agent status");
    let says = String::from_utf8(status.stdout).unwrap();
    assert!(says.contains("in /run/user/12345/fleetmux/agent/s"), "{says}");
}

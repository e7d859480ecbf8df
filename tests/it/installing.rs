//! Installing, upgrading, rebooting and making anew, with the lines that README and docs/running.md have for it, on a machine
//! of the test's own, as root and as a user.

use crate::newcomer::{command, commands_under};
use crate::support::machine::{As, Machine};
use crate::support::until;

const README: &str = include_str!("../../README.md");
const RUNNING: &str = include_str!("../../docs/running.md");

/// README's line that begins so, for a relay on this machine.
fn line(begin: &str) -> String {
    command(&commands_under(README, "Several machines"), begin).replace("relay.example.org", "127.0.0.1")
}

/// The unit that a line of docs/running.md would install.
fn unit(machine: &Machine, who: As, begin: &str) -> String {
    let line = command(&commands_under(RUNNING, "Under systemd"), begin);
    machine.run(who, &format!("{line} --dry-run"))
}

/// The token in what `relay init` printed.
fn token(said: &str) -> String {
    let mut words = said.split_whitespace().skip_while(|word| *word != "join");
    words.nth(1).expect("`agent join TOKEN` is proposed").to_string()
}

/// Waits until the relay's owner sees the machine as said.
async fn sees(machine: &Machine, who: As, status: &str) {
    let shows = || {
        let output = machine.outcome(who, "fleetmux machines --json");
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        listed.as_array().is_some_and(|all| all.len() == 1 && all[0]["name"] == "web-1" && all[0]["status"] == status)
    };
    until(&format!("web-1 {status}"), shows).await;
}

/// Joins and installs, reboots, and is made anew. `joins` is who ran the commands, `runs` whom the units are of.
async fn lives(joins: As, runs: As) {
    let machine = Machine::start();
    let said = machine.run(joins, &line("fleetmux relay init"));
    let relay = unit(&machine, joins, "fleetmux relay install");
    machine.start_unit(runs, &relay);
    let join = line("fleetmux agent join").replace("TOKEN", &token(&said));
    until("joined", || machine.outcome(joins, &join).status.success()).await;
    machine.run(joins, "fleetmux permissions default deny");
    let agent = unit(&machine, joins, "fleetmux agent install");
    machine.start_unit(runs, &agent);
    sees(&machine, joins, "online").await;
    let refused = machine.refused(joins, "fleetmux exec web-1 true");
    assert!(
        refused.contains("no rule in permissions.toml on web-1 allows exec"),
        "the machine's rules are in force in the unit: {refused}"
    );
    machine.run(joins, "fleetmux permissions default allow");
    machine.run(joins, "fleetmux session new web-1 --name long -- cat");

    machine.reboot();
    machine.start_unit(runs, &relay);
    sees(&machine, joins, "offline").await;
    machine.start_unit(runs, &agent);
    sees(&machine, joins, "online").await;
    assert_eq!(machine.run(joins, "fleetmux exec web-1 echo again"), "again\n");

    // Made anew: the machine's half of the state is gone, the relay's is not.
    let state = if runs == As::Ada { "/home/ada/.local/state/fleetmux" } else { "/var/lib/fleetmux" };
    machine.reboot();
    machine.run(runs, &format!("rm {state}/machine-id {state}/joined.toml"));
    machine.start_unit(runs, &relay);
    sees(&machine, joins, "offline").await;
    let token = machine.run(joins, "fleetmux relay token");
    let again = command(&commands_under(RUNNING, "After a reboot, or on a host made anew"), "fleetmux agent join");
    let again = again.replace("TOKEN", token.trim());
    let refused = machine.refused(joins, &again.replace(" --replace", ""));
    assert!(refused.contains("--replace"), "{refused}");
    let said = machine.run(joins, &again);
    assert!(said.contains("labelled role=web in the place of"), "as the one before it: {said}");
    machine.start_unit(runs, &agent);
    sees(&machine, joins, "online").await;
}

/// The unit had other directories than the commands: it never linked, and denied nothing.
#[tokio::test]
async fn what_root_has_joined_and_ruled_is_in_force_in_the_unit_of_the_system() {
    lives(As::Sudo, As::Root).await;
}

#[tokio::test]
async fn what_a_user_has_joined_and_ruled_is_in_force_in_the_users_unit() {
    lives(As::Ada, As::Ada).await;
}

#[tokio::test]
async fn a_newer_binary_takes_over_while_sessions_run() {
    let machine = Machine::start();
    machine.run(As::Ada, "fleetmux agent start --name web-1");
    machine.run(As::Ada, "fleetmux session new web-1 --name old -- sh -c 'echo $$; cat'");
    let pid_of = |name: &str| machine.run(As::Ada, &format!("fleetmux session show {name} --json"));
    let before = pid_of("old");
    let upgrade = commands_under(RUNNING, "Upgrade");
    machine.run(As::Root, "cp -p /usr/local/bin/fleetmux /root/fleetmux");
    let refused = machine.refused(As::Root, "cd /root; cp fleetmux /usr/local/bin/fleetmux");
    assert!(refused.contains("busy"), "a file in use is not written over: {refused}");
    machine.run(As::Root, &format!("cd /root; {}", command(&upgrade, "install -m 755")));
    machine.run(As::Ada, "fleetmux session new web-1 --name between -- cat");
    machine.run(As::Ada, &command(&upgrade, "fleetmux agent restart"));
    sees(&machine, As::Ada, "online").await;
    until("found again", || machine.outcome(As::Ada, "fleetmux session show old").status.success()).await;
    let of = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["pid"].clone();
    assert!(of(&before).is_u64(), "{before}");
    assert_eq!(of(&pid_of("old")), of(&before), "the same program");
    machine.run(As::Ada, "fleetmux session show between");
    machine.run(As::Ada, "fleetmux session new web-1 --name new -- cat");
}

/// `agent stop` took the relay along, and `agent start` waited for one for ever.
#[tokio::test]
async fn an_agent_of_a_single_machine_is_stopped_and_started() {
    let machine = Machine::start();
    for _ in 0..2 {
        machine.run(As::Ada, "fleetmux agent start --name web-1 --label role=web");
        sees(&machine, As::Ada, "online").await;
        machine.run(As::Ada, "fleetmux agent stop");
    }
}

/// Commands on a machine that had joined began a fleet of their own, and took the machine out of the other one.
#[tokio::test]
async fn commands_on_a_joined_machine_start_nothing_and_the_relays_owner_needs_no_key() {
    let machine = Machine::start();
    let said = machine.run(As::Root, &line("fleetmux relay init"));
    machine.start_unit(As::Root, &unit(&machine, As::Root, "fleetmux relay install"));
    let join = line("fleetmux agent join").replace("TOKEN", &token(&said));
    // On its own first, as everybody begins; joining takes over with a restart.
    machine.run(As::Ada, "fleetmux session new $(uname -n) --name before -- cat");
    until("joined", || machine.outcome(As::Ada, &join).status.success()).await;
    machine.run(As::Ada, "fleetmux agent restart");
    for line in ["fleetmux machines", "fleetmux session list", "fleetmux exec web-1 true"] {
        let refused = machine.refused(As::Ada, line);
        assert!(
            refused.contains("this machine is web-1 at tls://127.0.0.1:7443") && refused.contains("fleetmux login")
        );
    }
    sees(&machine, As::Root, "online").await;
    let sessions = machine.run(As::Root, "fleetmux session list");
    assert!(sessions.contains("before"), "its sessions came along: {sessions}");
    machine.run(As::Ada, "fleetmux agent stop");
    sees(&machine, As::Root, "offline").await;
    machine.run(As::Root, "fleetmux machines forget web-1");
}

/// Anybody may make /tmp/fleetmux-0. Root's agent lived there then, and what its lock and links named was killed and overwritten.
#[tokio::test]
async fn what_others_plant_in_tmp_is_not_taken_for_ones_own() {
    let machine = Machine::start();
    machine.run(As::Root, "echo precious > /root/precious");
    let victim = "setsid sleep infinity </dev/null >/dev/null 2>&1 & echo $!";
    let victim = machine.run(As::Root, victim).trim().to_string();
    let plant = format!(
        "mkdir -p /tmp/fleetmux-0/agent/s; cd /tmp/fleetmux-0; touch relay.sock agent/s/a.sock; echo {victim} > agent/agent.lock; \
         ln -s /root/precious agent/link.json; ln -s /root/precious agent/link.json.new
         (exec 9< agent/agent.lock; flock -x 9; setsid sleep infinity </dev/null >/dev/null 2>&1 &)"
    );
    machine.run(As::Ada, &plant);
    for who in [As::Root, As::Sudo] {
        let unit = machine.run(who, "fleetmux agent install --dry-run");
        assert!(unit.contains("FLEETMUX_RUNTIME_DIR=/run/fleetmux"), "{unit}");
        machine.run(who, "fleetmux agent stop");
        machine.run(As::Root, &format!("kill -0 {victim}"));
    }
    machine.run(As::Root, "fleetmux agent start --name web-1");
    sees(&machine, As::Root, "online").await;
    assert_eq!(machine.run(As::Root, "cat /root/precious"), "precious\n");
    // A lock that nobody answers at holds nobody up.
    machine.run(
        As::Ada,
        "rm -r /tmp/fleetmux-0; mkdir -p -m 777 /tmp/fleetmux-12345/agent; mkfifo /tmp/fleetmux-12345/agent/agent.lock",
    );
    machine.run(As::Ada, "timeout 20 fleetmux doctor || [ $? != 124 ]");
}

/// A variable of sudo's caller named the directory, and a link in it the file that root wrote.
#[test]
fn root_writes_nothing_into_the_home_of_whoever_called_sudo() {
    let machine = Machine::start();
    machine.run(As::Root, "echo precious > /root/precious");
    machine.run(
        As::Ada,
        "mkdir -p ~/.config/systemd/user; ln -s /root/precious ~/.config/systemd/user/fleetmux-agent.service",
    );
    let unit = machine.run(As::Sudo, "fleetmux agent install --user --dry-run");
    assert!(unit.starts_with("# /root/.config/systemd/user/"), "{unit}");
    machine.run(As::Sudo, "XDG_CONFIG_HOME=/home/ada/.config fleetmux machines");
    assert_eq!(machine.run(As::Root, "find /home/ada -user root; cat /root/precious"), "precious\n");
}

/// Keys were read through another mount of the directory that they are in.
#[tokio::test]
async fn what_is_closed_is_closed_wherever_it_is_mounted() {
    let machine = Machine::start();
    machine.run(As::Root, "fleetmux agent start --name web-1");
    sees(&machine, As::Root, "online").await;
    machine.run(As::Root, "mkdir /tmp/again; mount --bind /var/lib/fleetmux /tmp/again");
    for path in ["/var/lib/fleetmux/machine-id", "/tmp/again/machine-id"] {
        let refused = machine.refused(As::Root, &format!("fleetmux files cat web-1:{path}"));
        assert!(refused.contains("is closed to everybody"), "{refused}");
    }
}

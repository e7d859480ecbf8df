//! A machine of a test's own: its own `/run`, `/tmp`, `/etc`, `/var/lib`, `/root` and `/home`, and the binary in
//! `/usr/local/bin`, and a network of itself alone, in namespaces that end with the test.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Output, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// An ordinary user of the machine.
pub const ADA: u32 = 12_345;

/// What makes it: everything that is written later is in memory, and nobody else sees it.
const SETUP: &str = "
set -e
ip link set lo up
etc=$(mktemp -d)
mount -t tmpfs none $etc
cp -a /etc/. $etc/
mount --move $etc /etc
rmdir $etc
mount -t tmpfs -o mode=755 none /usr/local/bin
install -m 755 \"$BINARY\" /usr/local/bin/fleetmux
for dir in /run /var/lib /home; do mount -t tmpfs -o mode=755 none $dir; done
mount -t tmpfs -o mode=700 none /root
mount -t tmpfs -o mode=1777 none /tmp
echo \"ada:x:$ADA:$ADA::/home/ada:/bin/bash\" >> /etc/passwd
mkdir -m 700 /home/ada /run/user /run/user/$ADA /run/user/0
chmod 755 /run/user
chown $ADA:$ADA /home/ada /run/user/$ADA
echo ready
exec sleep infinity
";

pub struct Machine {
    holder: Child,
}

/// Who runs a command, and with which surroundings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// Root after a login.
    Root,
    /// Root by a sudo that keeps its caller's variables.
    Sudo,
    /// Ada after a login.
    Ada,
}

impl Machine {
    /// Needs root, or a kernel that lets users make namespaces.
    pub fn start() -> Machine {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--propagation", "private", "sh", "-c", SETUP]).stdin(Stdio::null());
        command.env("BINARY", env!("CARGO_BIN_EXE_fleetmux")).env("ADA", ADA.to_string());
        let mut holder = command.stdout(Stdio::piped()).spawn().expect("util-linux has unshare");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "ready", "a namespace of one's own takes root");
        Machine { holder }
    }

    /// A line of a shell.
    pub fn command(&self, who: As, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--wd=/", "--target", &self.holder.id().to_string()]);
        if who == As::Ada {
            let id = ADA.to_string();
            command.args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
        }
        let (home, runtime) = match who {
            As::Root => ("/root", "/run/user/0".to_string()),
            As::Sudo | As::Ada => ("/home/ada", format!("/run/user/{ADA}")),
        };
        command.args(["sh", "-c", line]).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8");
        command.env("HOME", home).env("XDG_RUNTIME_DIR", runtime).env("SHELL", "/bin/bash");
        command
    }

    pub fn outcome(&self, who: As, line: &str) -> Output {
        self.command(who, line).output().unwrap()
    }

    /// Runs a line that succeeds, and what it printed.
    pub fn run(&self, who: As, line: &str) -> String {
        let output = self.outcome(who, line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a line that fails, and what it complained of.
    pub fn refused(&self, who: As, line: &str) -> String {
        let output = self.outcome(who, line);
        assert!(!output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts what a unit says as systemd would: nothing of a login, its directories made, its variables and its command.
    pub fn start_unit(&self, who: As, unit: &str) {
        let value = |line: &'_ str, name: &str| line.strip_prefix(name)?.strip_prefix('=').map(String::from);
        let all = |name: &str| unit.lines().filter_map(|line| value(line, name)).collect::<Vec<_>>();
        let mut line = String::from("umask 022\n");
        for (kind, base) in [("Runtime", "/run"), ("State", "/var/lib"), ("Configuration", "/etc")] {
            for dir in all(&format!("{kind}Directory")) {
                line += &format!("mkdir -p {base}/{dir}; chmod 700 {base}/{dir}\n");
            }
        }
        let variables = all("Environment").join(" ");
        let own = match who {
            As::Root | As::Sudo => String::new(),
            As::Ada => format!("HOME=/home/ada USER=ada XDG_RUNTIME_DIR=/run/user/{ADA}"),
        };
        let command = all("ExecStart").pop().expect("a unit starts something");
        line += &format!(
            "exec env -i PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 INVOCATION_ID=0 {own} {variables} setsid {command} \
             </dev/null >/dev/null 2>&1 &"
        );
        self.run(who, &line);
    }

    /// The power goes: every process ends, and what is in memory only is gone.
    pub fn reboot(&self) {
        self.kill_all();
        self.run(As::Root, "rm -rf /run/fleetmux /run/user/*/* /tmp/*");
    }

    /// Ends every process but the machine itself, and what they held open is free again: a process leaves its
    /// namespaces a little before it lets go of its sockets, so only its end counts.
    pub fn kill_all(&self) {
        while let processes = self.processes()
            && !processes.is_empty()
        {
            for process in &processes {
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
            for process in &processes {
                poll(&mut [PollFd::new(process, PollFlags::IN)], None).unwrap();
            }
        }
    }

    /// Processes on it.
    fn processes(&self) -> Vec<OwnedFd> {
        let space = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let own = space(self.holder.id());
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let pids = pids.filter(|pid| *pid != self.holder.id() && own.is_some() && space(*pid) == own);
        pids.filter_map(|pid| pidfd_open(Pid::from_raw(pid as i32)?, PidfdFlags::empty()).ok()).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill_all();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

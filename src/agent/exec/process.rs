//! The process of a command: started in a group of its own, waited for without being reaped, signalled as a group.
//!
//! The leader stays a zombie until [`Process::reap`]: as long as it does, its process id names this group and no other
//! one, so a signal can reach nobody else's processes.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::session;
use crate::fleet::{Code, Refusal};
use crate::runtime::{self, Login, Variables};
use crate::wire::v1;

/// Descriptors that starting a process may take for itself.
const SPARE_FILES: u64 = 16;

/// What to run, checked.
#[derive(Debug)]
pub(super) struct Spec {
    program: String,
    args: Vec<String>,
    cwd: String,
    env: Vec<(String, String)>,
}

impl Spec {
    /// From the wire; the refusal says what makes no sense.
    pub(super) fn new(start: v1::ExecStart, login: &Login) -> Result<Spec, Refusal> {
        let invalid = |message: String| Err(Refusal::new(Code::Invalid, message));
        let v1::ExecStart { command, mut argv, cwd, env, shell, .. } = start;
        if command.is_empty() == argv.is_empty() {
            return invalid("a command is either a text for the shell or a program with arguments".into());
        }
        if argv.first().is_some_and(String::is_empty) {
            return invalid("the program's name is empty".into());
        }
        if let Some(name) = env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return invalid(format!("{name:?} is no name of an environment variable"));
        }
        let has_nul = |text: &String| text.contains('\0');
        if [&command, &cwd, &shell].into_iter().chain(&argv).chain(env.values()).any(has_nul) {
            return invalid("a NUL byte can be in no argument, variable or path".into());
        }
        let home = || login.home.to_string_lossy().into_owned();
        let is_cwd_asked = !cwd.is_empty();
        let mut cwd = if is_cwd_asked { cwd } else { home() };
        if !std::fs::metadata(&cwd).is_ok_and(|meta| meta.is_dir()) {
            if is_cwd_asked {
                return invalid(format!("there is no directory {cwd:?} on this machine; see --cwd"));
            }
            cwd = "/".into();
        }
        let (program, args) = if argv.is_empty() {
            let shell = if shell.is_empty() { login.shell.clone() } else { shell };
            (shell, vec!["-c".into(), command])
        } else {
            (argv.remove(0), argv)
        };
        Ok(Spec { program, args, cwd, env: env.into_iter().collect() })
    }
}

/// Our ends of the standard streams.
pub(super) struct Pipes {
    pub(super) stdin: Option<pipe::Sender>,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// 128 + n for signal n.
    pub(super) code: i32,
    /// 0: none.
    pub(super) signal: u32,
}

/// A command's process group.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    watch: AsyncFd<OwnedFd>,
}

impl Process {
    pub(super) fn spawn(
        spec: &Spec,
        variables: &Variables,
        has_stdin: bool,
        is_merged: bool,
    ) -> Result<(Process, Pipes), Refusal> {
        let failed = |err: io::Error| match err.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::AGAIN) => {
                Refusal::new(Code::Exhausted, format!("this machine has no room for another command: {err}"))
            }
            _ => Refusal::new(Code::Invalid, format!("cannot run {:?} on this machine: {err}", spec.program)),
        };
        start(spec, variables, has_stdin, is_merged).map_err(failed)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns once the leader has ended; it is not reaped yet. Cancel-safe.
    pub(super) async fn ended(&self) {
        // Readiness is never cleared: an ended process stays ended.
        let _ = self.watch.readable().await;
    }

    /// Signals every process of the group.
    pub(super) fn signal(&self, number: u32) {
        let signal = i32::try_from(number).ok().and_then(Signal::from_named_raw);
        if let (Some(group), Some(signal)) = (self.group, signal) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Takes the exit status of an ended leader; the group cannot be signalled any more.
    pub(super) fn reap(mut self) -> Ended {
        let status = self.child.wait();
        self.group = None;
        let status = match status {
            Ok(status) => status,
            Err(err) => {
                tracing::error!(%err, "a command's exit status is lost");
                return Ended { code: 255, signal: 0 };
            }
        };
        match status.signal() {
            Some(signal) => Ended { code: 128 + signal, signal: signal.unsigned_abs() },
            None => Ended { code: status.code().unwrap_or(255), signal: 0 },
        }
    }
}

impl Drop for Process {
    /// Not reaped: the agent is ending, and leaves no command behind.
    fn drop(&mut self) {
        self.signal(Signal::KILL.as_raw().unsigned_abs());
    }
}

fn start(spec: &Spec, variables: &Variables, has_stdin: bool, is_merged: bool) -> io::Result<(Process, Pipes)> {
    // Every descriptor is opened here, so that the start itself needs none.
    let (stdin, stdin_tx) = if has_stdin {
        let (rx, tx) = io::pipe()?;
        (Stdio::from(rx), Some(pipe::Sender::from_owned_fd(tx.into())?))
    } else {
        (Stdio::from(File::open("/dev/null")?), None)
    };
    let (stdout_rx, stdout) = io::pipe()?;
    let (stderr_rx, mut stderr) = io::pipe()?;
    if is_merged {
        // One pipe keeps the order; nobody writes to the other.
        stderr = stdout.try_clone()?;
    }
    let highest = stderr.as_raw_fd().max(stderr_rx.as_raw_fd());
    let pipes = Pipes {
        stdin: stdin_tx,
        stdout: pipe::Receiver::from_owned_fd(stdout_rx.into())?,
        stderr: pipe::Receiver::from_owned_fd(stderr_rx.into())?,
    };
    // Descriptors beyond the limit that the command is to have cannot be handed over under it: then a shell sets it.
    let beyond = runtime::open_files_before().filter(|soft| highest.unsigned_abs() as u64 + SPARE_FILES >= *soft);
    let own = spec.env.iter().rfind(|(name, _)| name == "PATH").map(|(_, value)| value);
    let path = own.or_else(|| variables.get("PATH")).map_or("", String::as_str);
    // What begins a session begins a group as well.
    let has_session = session::has_terminal() && session::is_found(&spec.program, spec.cwd.as_ref(), path);
    let begin = |program: &str| {
        if has_session {
            return session::command(program);
        }
        let mut command = Command::new(program);
        command.process_group(0);
        command
    };
    let mut command = match beyond {
        Some(soft) => {
            let mut shell = begin("/bin/sh");
            shell.args(["-c", &format!("ulimit -S -n {soft}; exec \"$0\" \"$@\""), &spec.program]);
            shell
        }
        None => begin(&spec.program),
    };
    command.args(&spec.args).current_dir(&spec.cwd);
    command.env_clear().envs(variables);
    command.envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let child = match beyond {
        Some(_) => command.spawn()?,
        None => runtime::with_open_files_before(|| command.spawn())?,
    };
    // The child's ends of the pipes are closed here.
    drop(command);
    let group = Pid::from_raw(child.id() as i32);
    let watched = group.ok_or(io::ErrorKind::Other.into()).and_then(|pid| {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        runtime::watch_fd(pidfd, Interest::READABLE)
    });
    match watched {
        Ok(watch) => Ok((Process { child, group, watch }, pipes)),
        Err(err) => {
            // Nobody could tell when it ends.
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let mut child = child;
            let _ = child.wait();
            Err(err)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        Login { home: "/".into(), shell: "/bin/sh".into(), user: "ada".into(), is_root: false }
    }

    #[test]
    fn a_command_runs_in_the_shell_and_a_program_without_one() {
        let start = v1::ExecStart { command: "echo hi".into(), ..Default::default() };
        let spec = Spec::new(start, &login()).unwrap();
        assert_eq!((spec.program.as_str(), spec.args), ("/bin/sh", vec!["-c".to_string(), "echo hi".to_string()]));
        let start = v1::ExecStart { argv: vec!["ls".into(), "-l".into()], ..Default::default() };
        let spec = Spec::new(start, &login()).unwrap();
        assert_eq!((spec.program.as_str(), spec.args), ("ls", vec!["-l".to_string()]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let command = || v1::ExecStart { command: "true".into(), ..Default::default() };
        let bad = [
            v1::ExecStart::default(),
            v1::ExecStart { argv: vec!["ls".into()], ..command() },
            v1::ExecStart { argv: vec![String::new()], ..Default::default() },
            v1::ExecStart { command: "a\0b".into(), ..Default::default() },
            v1::ExecStart { env: [("A=B".to_string(), String::new())].into(), ..command() },
            v1::ExecStart { cwd: "/no/such/directory".into(), ..command() },
        ];
        for start in bad {
            assert_eq!(Spec::new(start.clone(), &login()).map_err(|r| r.code).err(), Some(Code::Invalid), "{start:?}");
        }
    }
}

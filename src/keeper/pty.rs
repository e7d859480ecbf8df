//! The PTY and the program on it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::termios::Winsize;

use crate::fleet::{Code, Refusal, SessionSpec, Size};
use crate::runtime;

/// One turn reads at most this much, so that a flood leaves room for input between reads.
const READ_CAP: usize = 64 * 1024;
/// As little as this is an echo, behind which there is rarely more at once.
const ECHO_BYTES: usize = 64;

/// A program on a PTY.
pub(super) struct Pty {
    master: OwnedFd,
    child: Child,
    pidfd: OwnedFd,
    /// Zeroed by the allocator, so that pages no flood has touched cost nothing.
    buffer: Vec<u8>,
}

/// What a read brought.
pub(super) enum Read {
    /// Output, and whether more may be waiting.
    Output(Bytes, bool),
    /// The last program let go of the terminal.
    Closed,
}

impl Pty {
    /// Starts the session's program; the refusal names what is wrong with the request.
    pub(super) fn spawn(
        spec: &SessionSpec,
        kept_variables: &[String],
        programs: Option<&Path>,
    ) -> Result<Pty, Refusal> {
        let failed =
            |what: &str, err: &dyn std::fmt::Display| Refusal::new(Code::Internal, format!("cannot {what}: {err}"));
        let login = runtime::login();
        let cwd = if spec.cwd.is_empty() { login.home.as_path() } else { Path::new(&spec.cwd) };
        let cwd = if spec.cwd.is_empty() && !cwd.is_dir() { Path::new("/") } else { cwd };
        if !cwd.is_dir() {
            let message = format!("the working directory {} does not exist on this machine; choose another", spec.cwd);
            return Err(Refusal::new(Code::Invalid, message));
        }
        let mut variables = runtime::login_variables(&login, kept_variables);
        if let Some(programs) = programs {
            runtime::find_programs(&mut variables, programs);
        }
        let (program, is_shell) = match spec.command.first() {
            Some(program) => (program.clone(), false),
            None if spec.is_posix_shell => (login.posix_shell(), true),
            None => (login.shell, true),
        };
        let (master, pts) = pty_process::blocking::open().map_err(|err| failed("open a PTY", &err))?;
        let size = spec.size;
        master.resize(pty_process::Size::new(size.rows(), size.cols())).map_err(|err| failed("size the PTY", &err))?;
        let mut command =
            pty_process::blocking::Command::new(&program).args(spec.command.iter().skip(1)).current_dir(cwd);
        if is_shell {
            // A leading dash asks for a login shell.
            let name = program.rsplit('/').next().unwrap_or(&program);
            command = command.arg0(format!("-{name}"));
            if let Some(function) = programs.and_then(runtime::shell_function).filter(|_| name == "bash") {
                variables.extend([function]);
            }
        }
        let term = if spec.term.is_empty() { "xterm-256color" } else { &spec.term };
        command = command
            .env_clear()
            .envs(variables)
            .env("TERM", term)
            .env("COLORTERM", "truecolor")
            .env("FLEETMUX_SESSION", spec.id.to_string())
            .envs(&spec.env);
        let child = command.spawn(pts).map_err(|err| {
            let message =
                format!("cannot start {program:?}: {err}; check that it exists on this machine and may be run");
            Refusal::new(Code::Invalid, message)
        })?;
        let pidfd = Pid::from_raw(child.id() as i32)
            .ok_or(Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()))
            .map_err(|err| failed("watch the program", &err))?;
        let master = OwnedFd::from(master);
        rustix::io::ioctl_fionbio(&master, true).map_err(|err| failed("set up the PTY", &err))?;
        Ok(Pty { master, child, pidfd, buffer: vec![0; READ_CAP] })
    }

    /// Process id of the program.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Readable when the program has ended.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Reads what is there, up to a bound; when it is little and not `to_end`, without asking whether there is more.
    pub(super) fn read(&mut self, to_end: bool) -> Read {
        let mut total = 0;
        let mut is_more = true;
        while total < READ_CAP {
            match rustix::io::read(&self.master, &mut self.buffer[total..]) {
                Ok(0) => return self.closed_after(total),
                Ok(count) => {
                    total += count;
                    // An echo; that nothing else is there poll finds out as well, when it is asked next.
                    if total <= ECHO_BYTES && !to_end {
                        is_more = false;
                        break;
                    }
                }
                Err(Errno::AGAIN) => {
                    is_more = false;
                    break;
                }
                Err(Errno::INTR) => {}
                // EIO: the slave side has no holder any more.
                Err(_) => return self.closed_after(total),
            }
        }
        Read::Output(Bytes::copy_from_slice(&self.buffer[..total]), is_more)
    }

    fn closed_after(&mut self, total: usize) -> Read {
        if total > 0 { Read::Output(Bytes::copy_from_slice(&self.buffer[..total]), true) } else { Read::Closed }
    }

    /// Writes what the terminal takes now.
    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.master, data) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(err) => Err(err.into()),
        }
    }

    /// Sets the size; the kernel tells the program (SIGWINCH).
    pub(super) fn resize(&self, size: Size) {
        let winsize = Winsize { ws_row: size.rows(), ws_col: size.cols(), ws_xpixel: 0, ws_ypixel: 0 };
        if let Err(err) = rustix::termios::tcsetwinsize(&self.master, winsize) {
            tracing::warn!(%err, "cannot resize the pty");
        }
    }

    /// Signals the foreground process group.
    pub(super) fn signal(&self, number: u32) {
        let group = rustix::termios::tcgetpgrp(&self.master);
        if let (Ok(group), Some(signal)) = (group, named(number)) {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Signals the program itself and its group.
    pub(super) fn signal_leader(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process_group(pid, signal);
        }
        let group = rustix::termios::tcgetpgrp(&self.master);
        if let Ok(group) = group {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// The exit code (128 + signal when killed) and the signal, once the program has ended.
    pub(super) fn try_wait(&mut self) -> Option<(i32, Option<u32>)> {
        let status = self.child.try_wait().ok()??;
        let signal = status.signal();
        let code = status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
        Some((code, signal.map(|signal| signal as u32)))
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn named(number: u32) -> Option<Signal> {
    Signal::from_named_raw(number as i32)
}

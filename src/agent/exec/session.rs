//! A command away from the agent's terminal: who starts an agent in the foreground of a terminal gives it to no command.
//!
//! Only a process that leads no group may begin a session, so a process of this program begins it and becomes the command.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The hidden subcommand.
pub const BEGIN_EXEC: &str = "exec-begin";

/// Whether this process has a controlling terminal; it does not change.
pub(super) fn has_terminal() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| std::fs::File::open("/dev/tty").is_ok())
}

/// A command that begins a session of its own and becomes this program.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fleetmux").args([BEGIN_EXEC, program]);
    command
}

/// Whether a program would be found, so that it fails to start as others do if it is not.
pub(super) fn is_found(program: &str, cwd: &Path, path: &str) -> bool {
    match program.contains('/') {
        true => cwd.join(program).exists(),
        false => path.split(':').any(|dir| Path::new(dir).join(program).exists()),
    }
}

/// The body of the process: returns why it could not become the program.
pub fn begin_exec(mut words: impl Iterator<Item = OsString>) -> io::Error {
    let _ = rustix::process::setsid();
    let Some(program) = words.next() else { return io::ErrorKind::InvalidInput.into() };
    Command::new(program).args(words).exec()
}

//! Starting a keeper: the same binary again, detached, told what to be on its standard input.
//!
//! The specification travels on a pipe, so that neither arguments nor environment values show in a process list. The
//! keeper answers once on its standard output, then lets go of all three standard streams.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::run::{KeeperError, run};
use crate::fleet::{Code, Credentials, Refusal, SessionSpec};
use crate::runtime;
use crate::wire::{self, Message, v1};

/// Extension of keeper sockets in an agent's session directory.
pub const SOCKET_EXTENSION: &str = "sock";

/// Starts a keeper, which logs to a file of its own, and waits until its program runs; the child must be waited for, or it stays a zombie.
/// Its program has a login's variables, and of this process's own the kept ones.
pub async fn launch(
    spec: &SessionSpec,
    socket: &Path,
    log: &Path,
    kept_variables: &[String],
) -> Result<(v1::SessionInfo, Child), Refusal> {
    let failed = |err: io::Error| Refusal::new(Code::Internal, format!("cannot start a keeper: {err}"));
    let mut child = command(socket, log)
        .args(kept_variables.iter().map(|name| format!("--keep={name}")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&v1::SessionSpec::from(spec).encode_to_vec()).await.map_err(failed)?;
    }
    let mut answer = BytesMut::new();
    if let Some(mut stdout) = child.stdout.take() {
        while stdout.read_buf(&mut answer).await.map_err(failed)? > 0 {
            match wire::read_frame::<v1::KeeperDown>(&mut answer) {
                Ok(Some(v1::KeeperDown { frame: Some(v1::keeper_down::Frame::Info(info)) })) => {
                    return Ok((info, child));
                }
                Ok(Some(v1::KeeperDown { frame: Some(v1::keeper_down::Frame::Down(down)) })) => {
                    if let Some(v1::session_down::Frame::Refused(refused)) = down.frame {
                        let _ = child.wait().await;
                        return Err(wire::refusal_from(&refused));
                    }
                }
                Ok(_) => {}
                Err(err) => {
                    return Err(Refusal::new(Code::Internal, format!("the new keeper answered nonsense: {err}")));
                }
            }
        }
    }
    let status = child.wait().await.map_err(failed)?;
    Err(Refusal::new(Code::Internal, format!("the new keeper died at once ({status}); {} says more", log.display())))
}

/// The body of a keeper process: reads what to be, detaches, runs to the end.
/// Standard error stays if it `has_log`.
pub fn serve(socket: &Path, has_log: bool, kept_variables: &[String]) -> Result<(), KeeperError> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let spec = v1::SessionSpec::decode(&*bytes)
        .map_err(|err| Refusal::new(Code::Invalid, format!("not a session specification: {err}")))
        .and_then(|spec| wire::spec_from(spec).map_err(|err| Refusal::new(Code::Invalid, err.to_string())));
    // Its own session: no signal to the agent's terminal or process group reaches it.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let outcome = spec.map_err(KeeperError::from).and_then(|spec| {
        run(&spec, socket, kept_variables, |info| {
            answer(v1::keeper_down::Frame::Info(info));
            if let Err(err) = let_go(has_log) {
                tracing::warn!(%err, "cannot let go of the standard streams");
            }
        })
    });
    if let Err(err) = &outcome {
        let refusal = match err {
            KeeperError::Refused(refusal) => refusal.clone(),
            other => Refusal::new(Code::Internal, other.to_string()),
        };
        let frame = v1::session_down::Frame::Refused(wire::refusal(&refusal, "create"));
        answer(v1::keeper_down::Frame::Down(v1::SessionDown { client: Default::default(), frame: Some(frame) }));
    }
    outcome
}

fn answer(frame: v1::keeper_down::Frame) {
    let mut bytes = BytesMut::new();
    wire::encode_frame(&v1::KeeperDown { frame: Some(frame) }, &mut bytes);
    // Whoever started us may be gone; the session goes on.
    let mut stdout = io::stdout();
    let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush());
}

fn let_go(has_log: bool) -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    if !has_log {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(())
}

/// The command that runs a keeper, in a scope of its own where a systemd unit would otherwise take it along.
fn command(socket: &Path, log: &Path) -> Command {
    let program = own_binary();
    let mut command = match scope_runner() {
        Some(mut systemd_run) => {
            systemd_run.arg("--").arg(program);
            systemd_run
        }
        None => Command::new(program),
    };
    command.arg("keeper").arg("--socket").arg(socket).arg("--log").arg(log);
    // Whoever drives a session must not find the key of whoever started the agent.
    for name in Credentials::KEY_VARIABLES {
        command.env_remove(name);
    }
    if let Some(soft) = runtime::open_files_before() {
        command.arg("--open-files").arg(soft.to_string());
    }
    command
}

/// Path of this program, even after an upgrade has replaced the file.
fn own_binary() -> PathBuf {
    std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(|| "/proc/self/exe".into())
}

/// `systemd-run --scope`, if this process lives in a service's control group that systemd would empty on stop.
fn scope_runner() -> Option<Command> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let in_service = groups.lines().any(|line| line.ends_with(".service"));
    if !in_service || !Path::new("/run/systemd/system").is_dir() {
        return None;
    }
    let runner = ["/usr/bin/systemd-run", "/bin/systemd-run"].into_iter().find(|path| Path::new(path).exists())?;
    let mut command = Command::new(runner);
    command.args(["--scope", "--collect", "--quiet"]);
    if !rustix::process::getuid().is_root() {
        command.arg("--user");
    }
    Some(command)
}

//! One-shot commands at the relay: a lane of their own on the agent's link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::Streaming;

use super::audit::{Audit, Audited, Surroundings};
use super::auth::Auth;
use super::hub::EventsTx;
use super::lane::{DownTx, Ended, Ending, Flow, Kind, START_TIMEOUT, lanes_to};
use super::limits::EXECS_PER_KEY;
use crate::fleet::{Caller, Code, ExecId, MachineId, Refusal};
use crate::stream::{EXEC_INPUT_WINDOW, EXEC_OUTPUT_WINDOW, chunks_in};
use crate::wire::{self, v1};
use v1::exec_down::Frame as Down;
use v1::exec_up::Frame as Up;

/// Frames waiting for one client: a window of tiny chunks and what goes with it.
pub(super) const EXEC_DOWN_CAP: usize = chunks_in(EXEC_OUTPUT_WINDOW) + 64;

/// How long an agent may take to start a command, however short the command's own time is.
const START_AT_LEAST: Duration = Duration::from_secs(2);

/// The lane of commands.
pub(super) enum Commands {}

impl Kind for Commands {
    type Message = v1::ExecUp;
    type Up = Up;
    type Down = v1::ExecDown;
    type RoutedUp = v1::RoutedExecUp;

    const NOUN: &'static str = "command";
    const WORD: &'static str = "exec";
    const DOWN_WINDOW: u64 = EXEC_OUTPUT_WINDOW;
    const UP_WINDOW: u64 = EXEC_INPUT_WINDOW;
    /// The agent has a bound of its own.
    const AT_ONCE: usize = usize::MAX;
    const PER_KEY: usize = EXECS_PER_KEY;
    const UP_CAP: usize = 64 * 1024;

    fn frame(message: v1::ExecUp) -> Option<Up> {
        message.frame
    }

    fn flow_up(up: &Up) -> Flow {
        match up {
            Up::Start(_) => Flow::Start,
            Up::Stdin(data) => Flow::Data(data.len()),
            Up::Credit(credit) => Flow::Credit(*credit),
            Up::Cancel(_) => Flow::CalledOff,
            Up::StdinClosed(_) | Up::Signal(_) => Flow::Other,
        }
    }

    fn flow_down(down: &v1::ExecDown) -> Flow {
        match &down.frame {
            Some(Down::Stdout(data) | Down::Stderr(data)) => Flow::Data(data.len()),
            Some(Down::StdinCredit(credit)) => Flow::Credit(*credit),
            Some(Down::Exit(exit)) => Flow::Last(Ending::Exited {
                code: exit.code,
                signal: exit.signal,
                timed_out: exit.timed_out,
                called_off: false,
                duration_ms: exit.duration_ms,
            }),
            Some(Down::Refused(refused)) => Flow::Last(Ending::Refused(wire::refusal_from(refused))),
            Some(Down::Started(_)) | None => Flow::Other,
        }
    }

    fn refused(refusal: &Refusal) -> v1::ExecDown {
        v1::ExecDown { frame: Some(Down::Refused(wire::refusal(refusal, "exec"))) }
    }

    /// Who gives a command 5 s does not wait 20 for a stopped agent.
    fn patience(start: &Up) -> Duration {
        match start {
            Up::Start(start) if start.timeout_ms > 0 => {
                START_TIMEOUT.min(Duration::from_millis(start.timeout_ms).max(START_AT_LEAST))
            }
            _ => START_TIMEOUT,
        }
    }

    fn routed(number: u64, principal: &str, up: Option<Up>) -> v1::RoutedExecUp {
        let up = up.map(|up| v1::ExecUp { frame: Some(up) });
        v1::RoutedExecUp { number, principal: principal.into(), up }
    }
}

/// Carries one client's stream: finds the machine, forwards frames, and cancels the command when the stream ends.
pub(super) async fn carry(
    events_tx: EventsTx,
    caller: Caller,
    auth: Arc<Auth>,
    mut frames: Streaming<v1::ExecUp>,
    down_tx: DownTx<Commands>,
) {
    let start = match frames.message().await {
        Ok(Some(v1::ExecUp { frame: Some(Up::Start(start)) })) => start,
        Ok(_) => {
            let refusal = Refusal::new(Code::Invalid, "the stream must open with a command");
            let _ = down_tx.try_send(Ok(Commands::refused(&refusal)));
            return;
        }
        Err(_) => return,
    };
    let lanes = lanes_to(&events_tx, &caller, &start.machine).await;
    let workspace = lanes.as_ref().ok().map(|(_, workspace)| workspace.clone()).or_else(|| caller.workspace.clone());
    let outcome = lanes.as_ref().err();
    let mut ended = Trail::begin(auth.audit.clone(), &caller, workspace.unwrap_or_default(), &start, outcome);
    if let Err(refusal) = &lanes {
        ended.lost(refusal);
    }
    let refused_tx = down_tx.clone();
    match lanes.and_then(|(lanes, _)| lanes.exec.begin(&auth, &caller, Up::Start(start), down_tx, ended)) {
        Ok(running) => {
            drop(refused_tx);
            running.carry(frames).await;
        }
        Err(refusal) => {
            let _ = refused_tx.try_send(Ok(Commands::refused(&refusal)));
        }
    }
}

/// What the audit log hears of one command: that it was handed over, and once how it ended.
struct Trail {
    audit: Audit,
    exec: String,
    principal: String,
    workspace: String,
    machine: String,
    program: String,
    since: Instant,
}

impl Trail {
    /// Records that a command was handed to its machine, or why not; of one that was not nothing more is told.
    fn begin(
        audit: Audit,
        caller: &Caller,
        workspace: String,
        start: &v1::ExecStart,
        refusal: Option<&Refusal>,
    ) -> Ended {
        // The program only: arguments may be secrets.
        let program = start.argv.first().map_or(start.command.as_str(), String::as_str);
        let trail = Trail {
            audit,
            exec: ExecId::random().to_string(),
            principal: caller.principal.to_string(),
            workspace,
            machine: MachineId::from_bytes(&start.machine).map(|id| id.to_string()).unwrap_or_default(),
            program: program.split_whitespace().next().unwrap_or_default().to_string(),
            since: Instant::now(),
        };
        trail.audit.record(Audited::Exec {
            exec: trail.exec.clone(),
            principal: trail.principal.clone(),
            workspace: trail.workspace.clone(),
            machine: trail.machine.clone(),
            program: trail.program.clone(),
            surroundings: Surroundings::new(&start.shell, &start.cwd, start.env.keys()),
            outcome: refusal.map_or_else(|| "started".into(), |refusal| refusal.message.clone()),
        });
        let is_started = refusal.is_none();
        Ended::tell(move |ending| {
            if is_started {
                trail.end(ending);
            }
        })
    }

    fn end(self, ending: Ending) {
        // The machine ran nothing; one that may not be run there is a denial too.
        if let Ending::Refused(refusal) = &ending
            && refusal.code == Code::PermissionDenied
        {
            let what = format!("exec {} on machine {}", self.program, self.machine);
            let (principal, workspace) = (self.principal.clone(), self.workspace.clone());
            self.audit.record(Audited::Denied { principal, workspace, what, reason: refusal.message.clone() });
        }
        let mut duration_ms = self.since.elapsed().as_millis() as u64;
        let (mut exit_code, mut exit_signal) = (None, None);
        let (outcome, reason) = match ending {
            Ending::Exited { code, signal, timed_out, called_off, duration_ms: took } => {
                duration_ms = took;
                exit_code = Some(code);
                exit_signal = (signal > 0).then_some(signal);
                let outcome = match (called_off, timed_out, signal) {
                    (true, ..) => "cancelled",
                    (_, true, _) => "timed_out",
                    (.., 1..) => "killed",
                    _ => "exited",
                };
                (outcome, None)
            }
            Ending::Refused(refusal) => ("refused", Some(refusal.message)),
            Ending::Lost(reason) => ("lost", Some(reason)),
            Ending::Revoked(reason) => ("revoked", Some(reason)),
            Ending::CalledOff => ("cancelled", None),
            Ending::Done => ("exited", None),
        };
        self.audit.record(Audited::ExecEnd {
            exec: self.exec,
            principal: self.principal,
            workspace: self.workspace,
            machine: self.machine,
            program: self.program,
            outcome: outcome.into(),
            exit_code,
            signal: exit_signal,
            reason,
            duration_ms,
        });
    }
}

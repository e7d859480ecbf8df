//! One-shot commands at the relay: a lane of their own on the agent's link.

use tonic::Streaming;

use super::audit::{Audit, Audited};
use super::hub::EventsTx;
use super::lane::{DownTx, Ended, Flow, Kind, lanes_to};
use crate::fleet::{Caller, Code, MachineId, Refusal};
use crate::stream::{EXEC_INPUT_WINDOW, EXEC_OUTPUT_WINDOW, chunks_in};
use crate::wire::{self, v1};
use v1::exec_down::Frame as Down;
use v1::exec_up::Frame as Up;

/// Frames waiting for one client: a window of tiny chunks and what goes with it.
pub(super) const EXEC_DOWN_CAP: usize = chunks_in(EXEC_OUTPUT_WINDOW) + 64;

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
    const UP_CAP: usize = 64 * 1024;

    fn frame(message: v1::ExecUp) -> Option<Up> {
        message.frame
    }

    fn flow_up(up: &Up) -> Flow {
        match up {
            Up::Start(_) => Flow::Start,
            Up::Stdin(data) => Flow::Data(data.len()),
            Up::Credit(credit) => Flow::Credit(*credit),
            Up::StdinClosed(_) | Up::Signal(_) | Up::Cancel(_) => Flow::Other,
        }
    }

    fn flow_down(down: &v1::ExecDown) -> Flow {
        match &down.frame {
            Some(Down::Stdout(data) | Down::Stderr(data)) => Flow::Data(data.len()),
            Some(Down::StdinCredit(credit)) => Flow::Credit(*credit),
            Some(Down::Exit(exit)) => Flow::Last(format!("exit code {}", exit.code)),
            Some(Down::Refused(refused)) => Flow::Last(refused.message.clone()),
            Some(Down::Started(_)) | None => Flow::Other,
        }
    }

    fn refused(refusal: &Refusal) -> v1::ExecDown {
        v1::ExecDown { frame: Some(Down::Refused(wire::refusal(refusal, "exec"))) }
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
    audit: Audit,
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
    let program = start.argv.first().map_or(start.command.as_str(), String::as_str);
    let program = program.split_whitespace().next().unwrap_or_default().to_string();
    let machine = MachineId::from_bytes(&start.machine).map(|id| id.to_string()).unwrap_or_default();
    let lanes = lanes_to(&events_tx, &caller, &start.machine).await;
    let outcome = lanes.as_ref().map_or_else(|refusal| refusal.message.clone(), |_| "started".into());
    audit.record(Audited::Exec { principal: caller.principal.to_string(), machine, program, outcome });
    let (principal, refused_tx) = (caller.principal.as_str(), down_tx.clone());
    let begun = lanes.and_then(|lanes| lanes.exec.begin(principal, Up::Start(start), down_tx, Ended::unheard()));
    match begun {
        Ok(running) => {
            drop(refused_tx);
            running.carry(frames).await;
        }
        Err(refusal) => {
            let _ = refused_tx.try_send(Ok(Commands::refused(&refusal)));
        }
    }
}

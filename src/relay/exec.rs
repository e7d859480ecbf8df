//! One-shot commands at the relay: each is a stream of its own, routed to the agent's link by number.
//!
//! The hub only says which link leads to a machine; frames then pass between the two streams without it. Nothing waits
//! for a slow end: the credit of both ends bounds what is under way, and an end that ignores it loses its command.
//! Whatever way a client's stream ends, the command is cancelled.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use super::audit::{Audit, Audited, Surroundings};
use super::auth::Auth;
use super::hub::{Event, EventsTx};
use crate::fleet::{Caller, Code, ExecId, MachineId, Refusal};
use crate::stream::{CreditOut, EXEC_CHUNK_CAP, EXEC_INPUT_WINDOW, EXEC_OUTPUT_WINDOW, chunks_in};
use crate::wire::{self, v1};
use v1::exec_down::Frame as Down;
use v1::exec_up::Frame as Up;

/// Frames waiting for one client: a window of tiny chunks and what goes with it.
pub(super) const EXEC_DOWN_CAP: usize = chunks_in(EXEC_OUTPUT_WINDOW) + 64;
/// Frames of commands waiting for one agent; a command that finds it full is refused.
const UP_CAP: usize = 64 * 1024;
/// How long an agent may take to start a command.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// And has, however short the command's own time is.
const START_AT_LEAST: Duration = Duration::from_secs(2);

type DownTx = mpsc::Sender<Result<v1::ExecDown, Status>>;

/// The way to one agent for commands; clones share it.
#[derive(Clone)]
pub(super) struct ExecLink {
    table: Arc<Mutex<Table>>,
    up_tx: mpsc::Sender<v1::RoutedExecUp>,
}

#[derive(Default)]
struct Table {
    commands: HashMap<u64, Command>,
    last_number: u64,
    is_closed: bool,
}

struct Command {
    down_tx: DownTx,
    trail: Trail,
    is_answered: bool,
    /// What either end may still send, watched so that neither can fill this relay.
    output: CreditOut,
    input: CreditOut,
}

impl ExecLink {
    pub(super) fn new() -> (ExecLink, mpsc::Receiver<v1::RoutedExecUp>) {
        let (up_tx, up_rx) = mpsc::channel(UP_CAP);
        (ExecLink { table: Arc::default(), up_tx }, up_rx)
    }

    /// A frame from the agent.
    pub(super) fn down(&self, routed: v1::RoutedExecDown) {
        let Some(down) = routed.down else { return };
        let mut table = self.table();
        let Some(command) = table.commands.get_mut(&routed.number) else { return };
        command.is_answered = true;
        let mut is_last = false;
        let mut is_overrun = false;
        match &down.frame {
            Some(Down::Stdout(data) | Down::Stderr(data)) => {
                is_overrun = !command.output.is_open() || data.len() > EXEC_CHUNK_CAP;
                command.output.spend(data.len());
            }
            Some(Down::StdinCredit(credit)) => command.input.grant(*credit),
            Some(Down::Exit(exit)) => {
                command.trail.exited(exit);
                is_last = true;
            }
            Some(Down::Refused(refused)) => {
                command.trail.refused(&wire::refusal_from(refused));
                is_last = true;
            }
            Some(Down::Started(_)) | None => {}
        }
        if is_overrun || command.down_tx.try_send(Ok(down)).is_err() {
            // The client is gone, or one of the ends sends more than it may.
            let refusal = Refusal::new(Code::Internal, "the machine sent more than it may; the command was ended");
            table.refuse(routed.number, &refusal);
            drop(table);
            self.cancel(routed.number);
        } else if is_last {
            table.commands.remove(&routed.number);
        }
    }

    /// The agent's link is over: so are its commands.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.is_closed = true;
        let ended = "the link to the machine was lost, and the command was ended there; see `fleetmux machines`";
        let silent = "the machine's agent did not answer until its link was lost, so the command has not started; see \
                      `fleetmux machines`";
        let numbers: Vec<(u64, bool)> =
            table.commands.iter().map(|(number, command)| (*number, command.is_answered)).collect();
        for (number, is_answered) in numbers {
            let message = if is_answered { ended } else { silent };
            table.refuse(number, &Refusal::new(Code::Unavailable, message));
        }
    }

    /// Whoever asked for these commands may not any more: they end, and nothing more passes either way.
    pub(super) fn revoke(&self, is_theirs: impl Fn(&Caller) -> bool, refusal: &Refusal) {
        let mut table = self.table();
        let theirs = table.commands.iter().filter(|(_, command)| is_theirs(&command.trail.caller));
        let numbers: Vec<u64> = theirs.map(|(number, _)| *number).collect();
        for number in &numbers {
            table.refuse_as(*number, "revoked", refusal);
        }
        drop(table);
        for number in numbers {
            self.cancel(number);
        }
    }

    fn open(&self, down_tx: DownTx, mut trail: Trail) -> Result<u64, (DownTx, Refusal)> {
        let mut table = self.table();
        if table.is_closed {
            let message = "the link to the machine was just lost; see `fleetmux machines`";
            trail.ended("lost", Some(message));
            return Err((down_tx, Refusal::new(Code::Unavailable, message)));
        }
        table.last_number += 1;
        let number = table.last_number;
        let command = Command {
            down_tx,
            trail,
            is_answered: false,
            output: CreditOut::new(EXEC_OUTPUT_WINDOW),
            input: CreditOut::new(EXEC_INPUT_WINDOW),
        };
        table.commands.insert(number, command);
        Ok(number)
    }

    /// A frame from the client; the refusal ends the command.
    fn up(&self, number: u64, up: Up) -> Result<(), Refusal> {
        let mut table = self.table();
        // It has ended in the meantime.
        let Some(command) = table.commands.get_mut(&number) else { return Ok(()) };
        match &up {
            Up::Stdin(data) => {
                if !command.input.is_open() || data.len() > EXEC_CHUNK_CAP {
                    return Err(Refusal::new(Code::Invalid, "the client sent more standard input than it may"));
                }
                command.input.spend(data.len());
            }
            Up::Credit(credit) => command.output.grant(*credit),
            Up::Start(_) => return Err(Refusal::new(Code::Invalid, "a stream runs one command")),
            Up::Cancel(_) => command.trail.is_cancelled = true,
            Up::StdinClosed(_) | Up::Signal(_) => {}
        }
        drop(table);
        self.send(number, "", up)
    }

    fn send(&self, number: u64, principal: &str, up: Up) -> Result<(), Refusal> {
        let full = |_| Refusal::new(Code::Exhausted, "too much waits for this machine's agent; try again");
        self.up_tx.try_send(routed(number, principal, up)).map_err(full)
    }

    fn is_waiting(&self, number: u64) -> bool {
        self.table().commands.get(&number).is_some_and(|command| !command.is_answered)
    }

    fn refuse(&self, number: u64, refusal: &Refusal) {
        self.table().refuse(number, refusal);
    }

    /// Nobody waits for the command any more; `false` if it is over.
    fn forget(&self, number: u64) -> bool {
        let command = self.table().commands.remove(&number);
        command.map(|mut command| command.trail.ended("cancelled", None)).is_some()
    }

    /// Ends a command at the agent, however much waits for that.
    fn cancel(&self, number: u64) {
        let up_tx = self.up_tx.clone();
        let cancel = v1::RoutedExecUp { number, ..Default::default() };
        if let Err(mpsc::error::TrySendError::Full(cancel)) = up_tx.try_send(cancel) {
            tokio::spawn(async move { up_tx.send(cancel).await });
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn refuse(&mut self, number: u64, refusal: &Refusal) {
        self.refuse_as(number, "lost", refusal);
    }

    fn refuse_as(&mut self, number: u64, outcome: &str, refusal: &Refusal) {
        if let Some(mut command) = self.commands.remove(&number) {
            command.trail.ended(outcome, Some(&refusal.message));
            // A client whose queue is full sees its stream end, which is as final.
            let _ = command.down_tx.try_send(Ok(refused(refusal)));
        }
    }
}

/// What the audit log hears of one command: that it was handed over, and once how it ended.
struct Trail {
    audit: Audit,
    exec: String,
    caller: Caller,
    principal: String,
    machine: String,
    program: String,
    since: Instant,
    /// Whoever asked for it does not want it any more.
    is_cancelled: bool,
    is_told: bool,
}

impl Trail {
    /// Records that a command was handed to its machine, or why not.
    fn begin(audit: Audit, caller: &Caller, start: &v1::ExecStart, outcome: &Result<ExecLink, Refusal>) -> Trail {
        // The program only: arguments may be secrets.
        let program = start.argv.first().map_or(start.command.as_str(), String::as_str);
        let trail = Trail {
            audit,
            exec: ExecId::random().to_string(),
            caller: caller.clone(),
            principal: caller.principal.to_string(),
            machine: MachineId::from_bytes(&start.machine).map(|id| id.to_string()).unwrap_or_default(),
            program: program.split_whitespace().next().unwrap_or_default().to_string(),
            since: Instant::now(),
            is_cancelled: false,
            is_told: outcome.is_err(),
        };
        trail.audit.record(Audited::Exec {
            exec: trail.exec.clone(),
            principal: trail.principal.clone(),
            machine: trail.machine.clone(),
            program: trail.program.clone(),
            surroundings: Surroundings::new(&start.shell, &start.cwd, &start.env),
            outcome: outcome.as_ref().map_or_else(|refusal| refusal.message.clone(), |_| "started".into()),
        });
        trail
    }

    fn exited(&mut self, exit: &v1::ExecExit) {
        let outcome = match exit {
            _ if self.is_cancelled => "cancelled",
            exit if exit.timed_out => "timed_out",
            exit if exit.signal > 0 => "killed",
            _ => "exited",
        };
        let signal = (exit.signal > 0).then_some(exit.signal);
        self.tell(outcome, Some(exit.code), signal, None, exit.duration_ms);
    }

    /// The machine ran nothing; one that may not be run there is a denial too.
    fn refused(&mut self, refusal: &Refusal) {
        if refusal.code == Code::PermissionDenied {
            let what = format!("exec {} on machine {}", self.program, self.machine);
            let (principal, reason) = (self.principal.clone(), refusal.message.clone());
            self.audit.record(Audited::Denied { principal, what, reason });
        }
        self.ended("refused", Some(&refusal.message));
    }

    /// It ended in a way that its machine did not tell of.
    fn ended(&mut self, outcome: &str, reason: Option<&str>) {
        self.tell(outcome, None, None, reason, self.since.elapsed().as_millis() as u64);
    }

    fn tell(
        &mut self,
        outcome: &str,
        exit_code: Option<i32>,
        signal: Option<u32>,
        reason: Option<&str>,
        duration_ms: u64,
    ) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        self.audit.record(Audited::ExecEnd {
            exec: self.exec.clone(),
            principal: self.principal.clone(),
            machine: self.machine.clone(),
            program: self.program.clone(),
            outcome: outcome.into(),
            exit_code,
            signal,
            reason: reason.map(Into::into),
            duration_ms,
        });
    }
}

fn routed(number: u64, principal: &str, up: Up) -> v1::RoutedExecUp {
    v1::RoutedExecUp { number, principal: principal.into(), up: Some(v1::ExecUp { frame: Some(up) }) }
}

fn refused(refusal: &Refusal) -> v1::ExecDown {
    v1::ExecDown { frame: Some(Down::Refused(wire::refusal(refusal, "exec"))) }
}

/// Carries one client's stream: finds the machine, forwards frames, and cancels the command when the stream ends.
pub(super) async fn carry(
    events_tx: EventsTx,
    caller: Caller,
    auth: Arc<Auth>,
    mut frames: Streaming<v1::ExecUp>,
    down_tx: DownTx,
) {
    let start = match frames.message().await {
        Ok(Some(v1::ExecUp { frame: Some(Up::Start(start)) })) => start,
        Ok(_) => {
            let refusal = Refusal::new(Code::Invalid, "the stream must open with a command");
            let _ = down_tx.try_send(Ok(refused(&refusal)));
            return;
        }
        Err(_) => return,
    };
    let link = link_to(&events_tx, &caller, &start.machine).await;
    let trail = Trail::begin(auth.audit.clone(), &caller, &start, &link);
    let link = match link {
        Ok(link) => link,
        Err(refusal) => {
            let _ = down_tx.try_send(Ok(refused(&refusal)));
            return;
        }
    };
    let number = match link.open(down_tx, trail) {
        Ok(number) => number,
        Err((down_tx, refusal)) => {
            let _ = down_tx.try_send(Ok(refused(&refusal)));
            return;
        }
    };
    // A key that was revoked before the command was in the table is found here, a later one by the hub.
    if let Err(refusal) = auth.still(&caller) {
        return link.refuse(number, &refusal);
    }
    // Who gives a command 5 s does not wait 20 for a stopped agent.
    let patience = match start.timeout_ms {
        0 => START_TIMEOUT,
        timeout_ms => START_TIMEOUT.min(Duration::from_millis(timeout_ms).max(START_AT_LEAST)),
    };
    if let Err(refusal) = link.send(number, caller.principal.as_str(), Up::Start(start)) {
        return link.refuse(number, &refusal);
    }
    let late = tokio::time::sleep(patience);
    tokio::pin!(late);
    let mut is_in_time = true;
    loop {
        let frame = tokio::select! {
            frame = frames.message() => frame,
            () = &mut late, if is_in_time => {
                is_in_time = false;
                if link.is_waiting(number) {
                    let message = "the machine's agent did not answer in time, so the command has not started; is the agent \
                                   stopped, or too old for `exec`? See `fleetmux agent status` there";
                    link.refuse(number, &Refusal::new(Code::Unavailable, message));
                    link.cancel(number);
                }
                continue;
            }
        };
        match frame {
            Ok(Some(v1::ExecUp { frame: Some(up) })) => {
                if let Err(refusal) = link.up(number, up) {
                    link.refuse(number, &refusal);
                    link.cancel(number);
                }
            }
            Ok(Some(v1::ExecUp { frame: None })) => {}
            Ok(None) | Err(_) => break,
        }
    }
    if link.forget(number) {
        link.cancel(number);
    }
}

async fn link_to(events_tx: &EventsTx, caller: &Caller, machine: &[u8]) -> Result<ExecLink, Refusal> {
    let machine = MachineId::from_bytes(machine).map_err(|err| Refusal::new(Code::Invalid, err.to_string()))?;
    let gone = || Refusal::new(Code::Unavailable, "the relay is shutting down");
    let (answer_tx, answer_rx) = oneshot::channel();
    let event = Event::Exec { caller: caller.clone(), machine, answer_tx };
    events_tx.send(event).await.map_err(|_| gone())?;
    answer_rx.await.map_err(|_| gone())?
}

/// Frames for one agent: the hub's own first, then those of commands.
pub(super) struct AgentFrames {
    frames_rx: mpsc::Receiver<Result<v1::AgentDown, Status>>,
    execs_rx: mpsc::Receiver<v1::RoutedExecUp>,
}

impl AgentFrames {
    pub(super) fn new(
        frames_rx: mpsc::Receiver<Result<v1::AgentDown, Status>>,
        execs_rx: mpsc::Receiver<v1::RoutedExecUp>,
    ) -> AgentFrames {
        AgentFrames { frames_rx, execs_rx }
    }
}

impl Stream for AgentFrames {
    type Item = Result<v1::AgentDown, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The hub let go of the agent: the stream is over, whatever commands wait.
        if let Poll::Ready(frame) = self.frames_rx.poll_recv(cx) {
            return Poll::Ready(frame);
        }
        match self.execs_rx.poll_recv(cx) {
            Poll::Ready(Some(routed)) => {
                Poll::Ready(Some(Ok(v1::AgentDown { frame: Some(v1::agent_down::Frame::Exec(routed)) })))
            }
            _ => Poll::Pending,
        }
    }
}

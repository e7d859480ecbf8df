//! One-shot commands: each is a stream of its own on the client's connection.
//!
//! Output that nobody reads here stops the command and nothing else: the stream is always drained into a queue, and
//! credit bounds what is under way. A command does not survive its connection, so it is never repeated.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::{Client, Error};
use crate::fleet::{Code, MachineId, Refusal};
use crate::stream::{CreditIn, CreditOut, EXEC_CHUNK_CAP, EXEC_INPUT_WINDOW, EXEC_OUTPUT_WINDOW, chunks_in};
use crate::wire::{self, refusal_of, v1};
use v1::exec_down::Frame as Down;
use v1::exec_up::Frame as Up;

/// Bytes of each output that [`Client::run`] keeps.
pub const EXEC_OUTPUT_CAP: usize = 16 * 1024 * 1024;
/// Events waiting for their reader: a window of tiny chunks and what goes with it.
const EVENTS_CAP: usize = chunks_in(EXEC_OUTPUT_WINDOW) + 64;

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A text for the shell, run as `SHELL -c TEXT`.
    Shell(String),
    /// A program and its arguments, without a shell.
    Argv(Vec<String>),
}

/// A command and its surroundings.
#[derive(Clone)]
pub struct ExecOptions {
    /// What to run.
    pub program: Program,
    /// Working directory on the machine; empty for home.
    pub cwd: String,
    /// Variables beside those of the agent.
    pub env: BTreeMap<String, String>,
    /// The shell; empty for the user's login shell.
    pub shell: String,
    /// It is ended after this; `None` for never.
    pub timeout: Option<Duration>,
    /// [`ExecHandle::stdin`] will be written; otherwise standard input is empty.
    pub has_stdin: bool,
    /// Both outputs come as standard output, in the order in which the command wrote them.
    pub is_merged: bool,
}

impl ExecOptions {
    /// A text for the shell, with the default timeout of 30 s.
    pub fn shell(text: impl Into<String>) -> ExecOptions {
        ExecOptions::program(Program::Shell(text.into()))
    }

    /// A program and its arguments, with the default timeout of 30 s.
    pub fn argv(argv: impl IntoIterator<Item = impl Into<String>>) -> ExecOptions {
        ExecOptions::program(Program::Argv(argv.into_iter().map(Into::into).collect()))
    }

    fn program(program: Program) -> ExecOptions {
        ExecOptions {
            program,
            cwd: String::new(),
            env: BTreeMap::new(),
            shell: String::new(),
            timeout: Some(Duration::from_secs(30)),
            has_stdin: false,
            is_merged: false,
        }
    }

    fn start(self, machine: MachineId) -> v1::ExecStart {
        let (command, argv) = match self.program {
            Program::Shell(text) => (text, Vec::new()),
            Program::Argv(argv) => (String::new(), argv),
        };
        // A timeout below the wire's unit is not none.
        let timeout_ms = self.timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(0).max(1));
        v1::ExecStart {
            machine: Bytes::copy_from_slice(machine.as_bytes()),
            command,
            argv,
            cwd: self.cwd,
            env: self.env.into_iter().collect(),
            shell: self.shell,
            timeout_ms,
            has_stdin: self.has_stdin,
            merge: self.is_merged,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecExit {
    /// Exit code; 128 + n when signal n ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<u32>,
    /// It was ended because its time was up.
    pub is_timed_out: bool,
    /// How long it ran, as its machine measured.
    pub duration: Duration,
}

/// What a command does, in order per stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// It runs.
    Started {
        /// Process id on its machine, and id of its process group.
        pid: u32,
    },
    /// It wrote to standard output.
    Stdout(Bytes),
    /// It wrote to standard error.
    Stderr(Bytes),
    /// It ended and all its output has come; nothing follows.
    Exited(ExecExit),
}

/// A command's end with all it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output, its first bytes if there were too many.
    pub stdout: Bytes,
    /// Standard error, its first bytes if there were too many.
    pub stderr: Bytes,
    /// How it ended.
    pub exit: ExecExit,
    /// There was more output than was kept.
    pub is_truncated: bool,
}

impl Client {
    /// Runs a command on a machine; it starts without waiting for the handle to be read.
    pub async fn exec(&self, machine: MachineId, options: ExecOptions) -> Result<ExecHandle, Error> {
        self.told("exec", "request");
        let channel = self.channel().await?;
        let (events_tx, events_rx) = mpsc::channel(EVENTS_CAP);
        let shared = Arc::new(Shared::default());
        shared.push(Up::Start(options.start(machine)));
        let (frames, reader) = (UpStream { shared: shared.clone() }, shared.clone());
        let task = tokio::spawn(async move {
            let tell = |event| events_tx.try_send(event).is_ok();
            let mut down = match wire::exec_service(channel).exec(frames).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    tell(Err(error_of_call(refusal_of(&status))));
                    return;
                }
            };
            loop {
                let event = match down.message().await {
                    Ok(Some(v1::ExecDown { frame: Some(Down::StdinCredit(credit)) })) => {
                        reader.grant(credit);
                        continue;
                    }
                    Ok(Some(v1::ExecDown { frame: Some(frame) })) => event_of(frame),
                    Ok(Some(v1::ExecDown { frame: None })) => continue,
                    Ok(None) => Err(Error::Unavailable("the relay ended the command's stream".into())),
                    Err(status) => Err(error_of_call(refusal_of(&status))),
                };
                let is_last = matches!(event, Err(_) | Ok(ExecEvent::Exited(_)));
                if !tell(event) || is_last {
                    return reader.close();
                }
            }
        });
        let credit = CreditIn::new(EXEC_OUTPUT_WINDOW);
        Ok(ExecHandle { owner: self.clone(), shared, events_rx, credit, is_over: false, task })
    }

    /// Runs a command and collects what it writes, up to [`EXEC_OUTPUT_CAP`] of each output.
    pub async fn run(&self, machine: MachineId, options: ExecOptions) -> Result<ExecOutput, Error> {
        let options = ExecOptions { has_stdin: false, ..options };
        self.exec(machine, options).await?.collect(EXEC_OUTPUT_CAP).await
    }
}

/// A running command; dropped, it is cancelled.
pub struct ExecHandle {
    /// A command keeps its connection alive.
    owner: Client,
    shared: Arc<Shared>,
    events_rx: mpsc::Receiver<Result<ExecEvent, Error>>,
    credit: CreditIn,
    is_over: bool,
    task: JoinHandle<()>,
}

impl ExecHandle {
    /// The next event; `None` after the end. Cancel-safe.
    pub async fn recv(&mut self) -> Result<Option<ExecEvent>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let lost = || Err(Error::Unavailable("the command's stream is over".into()));
        let event = self.events_rx.recv().await.unwrap_or_else(lost);
        match &event {
            Ok(ExecEvent::Stdout(data) | ExecEvent::Stderr(data)) => {
                if let Some(credit) = self.credit.consume(data.len()) {
                    self.shared.credit(credit);
                }
            }
            Ok(ExecEvent::Exited(_)) | Err(_) => {
                self.is_over = true;
                self.owner.told("exec", "answer");
            }
            Ok(ExecEvent::Started { .. }) => {}
        }
        event.map(Some)
    }

    /// Its standard input, if the options asked for it.
    pub fn stdin(&self) -> ExecStdin {
        ExecStdin { shared: self.shared.clone() }
    }

    /// Signals every process of the command.
    pub fn signal(&self, number: u32) {
        self.shared.push(Up::Signal(number));
    }

    /// Ends the command: this signal, and SIGKILL two seconds later for what is left. Its exit follows as usual.
    pub fn cancel(&self, signal: u32) {
        self.shared.push(Up::Cancel(v1::ExecCancel { signal }));
    }

    /// Waits for the end and keeps the first `cap` bytes of each output.
    pub async fn collect(mut self, cap: usize) -> Result<ExecOutput, Error> {
        let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
        let mut is_truncated = false;
        let mut keep = |kept: &mut BytesMut, data: &Bytes| {
            let room = cap.saturating_sub(kept.len());
            is_truncated |= data.len() > room;
            kept.extend_from_slice(&data[..data.len().min(room)]);
        };
        loop {
            match self.recv().await? {
                Some(ExecEvent::Stdout(data)) => keep(&mut stdout, &data),
                Some(ExecEvent::Stderr(data)) => keep(&mut stderr, &data),
                Some(ExecEvent::Exited(exit)) => {
                    let (stdout, stderr) = (stdout.freeze(), stderr.freeze());
                    return Ok(ExecOutput { stdout, stderr, exit, is_truncated });
                }
                Some(ExecEvent::Started { .. }) => {}
                None => return Err(Error::Unavailable("the command's end was already taken".into())),
            }
        }
    }
}

impl Drop for ExecHandle {
    fn drop(&mut self) {
        self.shared.close();
        self.task.abort();
    }
}

/// The standard input of a command; clones share it.
#[derive(Clone)]
pub struct ExecStdin {
    shared: Arc<Shared>,
}

impl ExecStdin {
    /// Writes, waiting while the command does not read; what is written after the command's end goes nowhere.
    pub async fn write(&self, mut data: Bytes) -> Result<(), Error> {
        while !data.is_empty() {
            let chunk = data.split_to(data.len().min(EXEC_CHUNK_CAP));
            self.shared.stdin(chunk).await?;
        }
        Ok(())
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.shared.push(Up::StdinClosed(v1::ExecStdinClosed {}));
    }
}

fn event_of(frame: Down) -> Result<ExecEvent, Error> {
    Ok(match frame {
        Down::Started(started) => ExecEvent::Started { pid: started.pid },
        Down::Stdout(data) => ExecEvent::Stdout(data),
        Down::Stderr(data) => ExecEvent::Stderr(data),
        Down::Exit(exit) => ExecEvent::Exited(ExecExit {
            code: exit.code,
            signal: (exit.signal > 0).then_some(exit.signal),
            is_timed_out: exit.timed_out,
            duration: Duration::from_millis(exit.duration_ms),
        }),
        Down::Refused(refused) => return Err(error_of(wire::refusal_from(&refused))),
        // Taken before.
        Down::StdinCredit(_) => return Err(Error::Refused("a credit where an event was due".into())),
    })
}

fn error_of(refusal: Refusal) -> Error {
    match refusal.code {
        Code::NotFound => Error::MachineNotFound(refusal.message),
        _ => refusal.into(),
    }
}

/// The call itself failed, not the command: what the relay refuses comes as a frame.
fn error_of_call(refusal: Refusal) -> Error {
    match refusal.code {
        Code::Unavailable | Code::Internal => {
            Error::Unavailable(format!("the connection to the relay was lost and the command ended: {refusal}"))
        }
        _ => error_of(refusal),
    }
}

/// Frames for the relay, shared by handle, input and stream; held for moments only.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The input window opened, or the command is over.
    writable: Notify,
}

struct State {
    /// Bounded by the input window, and by what a program signals.
    frames: VecDeque<Up>,
    window: CreditOut,
    credit: u64,
    waker: Option<Waker>,
    is_closed: bool,
}

impl Default for State {
    fn default() -> State {
        let window = CreditOut::new(EXEC_INPUT_WINDOW);
        State { frames: VecDeque::new(), window, credit: 0, waker: None, is_closed: false }
    }
}

impl Shared {
    fn push(&self, frame: Up) {
        let mut state = self.state();
        state.frames.push_back(frame);
        wake(&mut state);
    }

    fn credit(&self, credit: u64) {
        let mut state = self.state();
        state.credit += credit;
        wake(&mut state);
    }

    fn grant(&self, credit: u64) {
        self.state().window.grant(credit);
        self.writable.notify_waiters();
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        wake(&mut state);
        drop(state);
        self.writable.notify_waiters();
    }

    async fn stdin(&self, chunk: Bytes) -> Result<(), Error> {
        loop {
            let writable = self.writable.notified();
            tokio::pin!(writable);
            // From here on no credit is missed.
            writable.as_mut().enable();
            {
                let mut state = self.state();
                if state.is_closed {
                    return Err(Error::Unavailable("the command is over and takes no input".into()));
                }
                if state.window.is_open() {
                    state.window.spend(chunk.len());
                    state.frames.push_back(Up::Stdin(chunk));
                    wake(&mut state);
                    return Ok(());
                }
            }
            writable.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(state: &mut State) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}

/// The client's end of the stream; its end is the command's.
struct UpStream {
    shared: Arc<Shared>,
}

impl Stream for UpStream {
    type Item = v1::ExecUp;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::ExecUp>> {
        let mut state = self.shared.state();
        let credit = std::mem::take(&mut state.credit);
        if credit > 0 {
            return Poll::Ready(Some(v1::ExecUp { frame: Some(Up::Credit(credit)) }));
        }
        match state.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(v1::ExecUp { frame: Some(frame) })),
            None if state.is_closed => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

//! The task of one command: its pipes, its timeout and its end, in one loop that owns them all.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::process::{Ended, Pipes, Process};
use crate::stream::{CreditIn, CreditOut, EXEC_CHUNK_CAP, EXEC_INPUT_WINDOW, EXEC_OUTPUT_WINDOW};
use crate::wire::v1;
use v1::exec_down::Frame as Down;
use v1::exec_up::Frame as Up;

/// How long a group may take to end after SIGTERM; then SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long after SIGKILL the pipes may stay open in a process that has left the group; then they are closed.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How long the outputs are silent after the leader's end, while others hold them open, until the command is over.
const QUIET: Duration = Duration::from_millis(100);
/// How long after the leader's last output others that are never silent are listened to.
const LINGER: Duration = Duration::from_secs(1);

/// Room for output that is worth a read; with less, the next allocation is begun.
const SMALL: usize = 8 * 1024;

/// What the alarm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may run until its timeout.
    Running,
    /// It was asked to end.
    Asked,
    /// It was killed.
    Killed,
    /// It is not waited for any more.
    Abandoned,
}

/// One command.
pub(super) struct Task {
    number: u64,
    process: Process,
    stdin: Option<pipe::Sender>,
    stdout: Output,
    stderr: Output,
    input: VecDeque<Input>,
    is_input_over: bool,
    input_credit: CreditIn,
    window: CreditOut,
    /// Waits for room on the link: one chunk, and a credit now and then.
    outgoing: VecDeque<Down>,
    up_rx: mpsc::Receiver<Up>,
    exec_tx: mpsc::Sender<v1::RoutedExecDown>,
    /// Whoever asked is gone; output is read and thrown away.
    is_deaf: bool,
    /// When the leader ended.
    ended_at: Option<Instant>,
    /// When its outputs, which others hold open, have been silent for long enough.
    quiet_at: Option<Instant>,
    /// When they are closed even if they are not silent; from the leader's last output on.
    linger_until: Option<Instant>,
    is_timed_out: bool,
    started: Instant,
    stage: Stage,
    alarm: Option<Instant>,
}

/// A chunk of standard input, written up to where `rest` begins.
struct Input {
    rest: Bytes,
    len: usize,
}

/// One of the two output pipes; `None` after its end.
struct Output {
    pipe: Option<pipe::Receiver>,
    buffer: BytesMut,
    /// Bytes that are still in the pipe from before the leader's end; its own are among them.
    owed: u64,
}

impl Output {
    fn new(pipe: pipe::Receiver) -> Output {
        Output { pipe: Some(pipe), buffer: BytesMut::new(), owed: 0 }
    }

    /// Bytes in the pipe.
    fn waiting(&self) -> u64 {
        self.pipe.as_ref().map_or(0, |pipe| rustix::io::ioctl_fionread(pipe).unwrap_or(0))
    }

    /// What is readable, without waiting for more; `None` at the end. Cancel-safe.
    async fn read(&mut self) -> Option<Bytes> {
        let Some(pipe) = &mut self.pipe else { return pending().await };
        // Small chunks share an allocation.
        if self.buffer.capacity() < SMALL {
            self.buffer.reserve(EXEC_CHUNK_CAP);
        }
        let mut limited = bytes::BufMut::limit(&mut self.buffer, EXEC_CHUNK_CAP);
        let count = pipe.read_buf(&mut limited).await.unwrap_or(0);
        if count == 0 {
            self.pipe = None;
            self.owed = 0;
            return None;
        }
        self.owed = self.owed.saturating_sub(count as u64);
        Some(self.buffer.split().freeze())
    }
}

async fn write(stdin: &mut Option<pipe::Sender>, chunk: Option<&mut Input>) -> io::Result<()> {
    match (stdin, chunk) {
        (Some(stdin), Some(chunk)) => stdin.write_buf(&mut chunk.rest).await.map(|_| ()),
        _ => pending().await,
    }
}

async fn ring(alarm: Option<Instant>) {
    match alarm {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

impl Task {
    pub(super) fn new(
        number: u64,
        process: Process,
        pipes: Pipes,
        timeout: Option<Duration>,
        up_rx: mpsc::Receiver<Up>,
        exec_tx: mpsc::Sender<v1::RoutedExecDown>,
    ) -> Task {
        let started = Instant::now();
        let outgoing = VecDeque::from([Down::Started(v1::ExecStarted { pid: process.id() })]);
        Task {
            number,
            process,
            stdin: pipes.stdin,
            stdout: Output::new(pipes.stdout),
            stderr: Output::new(pipes.stderr),
            input: VecDeque::new(),
            is_input_over: false,
            input_credit: CreditIn::new(EXEC_INPUT_WINDOW),
            window: CreditOut::new(EXEC_OUTPUT_WINDOW),
            outgoing,
            up_rx,
            exec_tx,
            is_deaf: false,
            ended_at: None,
            quiet_at: None,
            linger_until: None,
            is_timed_out: false,
            started,
            stage: Stage::Running,
            // Beyond the clock's end there is no timeout.
            alarm: timeout.and_then(|timeout| started.checked_add(timeout)),
        }
    }

    /// Runs until the command has ended and its output was sent.
    pub(super) async fn run(mut self) {
        let exec_tx = self.exec_tx.clone();
        while !self.is_over() {
            let may_read = self.is_deaf || (self.outgoing.is_empty() && self.window.is_open());
            tokio::select! {
                up = self.up_rx.recv(), if !self.is_deaf => match up {
                    Some(up) => self.up(up),
                    None => self.deafen(),
                },
                permit = exec_tx.reserve(), if !self.outgoing.is_empty() && !self.is_deaf => match permit {
                    Ok(permit) => {
                        let down = v1::ExecDown { frame: self.outgoing.pop_front() };
                        permit.send(v1::RoutedExecDown { number: self.number, down: Some(down) });
                    }
                    Err(_) => self.deafen(),
                },
                chunk = self.stdout.read(), if may_read && self.stdout.pipe.is_some() => self.output(chunk, Down::Stdout),
                chunk = self.stderr.read(), if may_read && self.stderr.pipe.is_some() => self.output(chunk, Down::Stderr),
                written = write(&mut self.stdin, self.input.front_mut()) => self.written(written),
                () = self.process.ended(), if self.ended_at.is_none() => self.leader_ended(),
                () = ring(self.quiet_at), if may_read => self.quiet(),
                () = ring(self.alarm) => self.alarm(),
            }
        }
        self.finish().await;
    }

    fn is_over(&self) -> bool {
        let is_silent = self.stdout.pipe.is_none() && self.stderr.pipe.is_none();
        let is_told = self.outgoing.is_empty() || self.is_deaf;
        (self.ended_at.is_some() && is_silent && is_told) || self.stage == Stage::Abandoned
    }

    async fn finish(mut self) {
        let duration = self.ended_at.unwrap_or_else(Instant::now).saturating_duration_since(self.started);
        let duration_ms = duration.as_millis() as u64;
        let tell = |ended: Ended| {
            let exit =
                v1::ExecExit { code: ended.code, signal: ended.signal, timed_out: self.is_timed_out, duration_ms };
            let down = Some(v1::ExecDown { frame: Some(Down::Exit(exit)) });
            v1::RoutedExecDown { number: self.number, down }
        };
        if self.ended_at.is_some() {
            let exit = tell(self.process.reap());
            let _ = self.exec_tx.send(exit).await;
            return;
        }
        // Killed, and the kernel has not let it go yet: whoever asked is told, the zombie is waited for.
        let killed = Signal::KILL.as_raw();
        let _ = self.exec_tx.send(tell(Ended { code: 128 + killed, signal: killed.unsigned_abs() })).await;
        self.stdin = None;
        self.process.ended().await;
        self.process.reap();
    }

    fn up(&mut self, up: Up) {
        match up {
            Up::Stdin(data) if self.stdin.is_some() && !self.is_input_over => {
                self.input.push_back(Input { len: data.len(), rest: data });
            }
            // Nobody reads it; the sender need not wait.
            Up::Stdin(data) => self.consumed(data.len()),
            Up::StdinClosed(_) => {
                self.is_input_over = true;
                self.close_stdin();
            }
            Up::Signal(number) => self.process.signal(number),
            Up::Cancel(cancel) => {
                let term = Signal::TERM.as_raw().unsigned_abs();
                self.ask_to_end(if cancel.signal == 0 { term } else { cancel.signal });
            }
            Up::Credit(credit) => self.window.grant(credit),
            Up::Start(_) => {}
        }
    }

    fn output(&mut self, chunk: Option<Bytes>, frame: impl Fn(Bytes) -> Down) {
        if let Some(chunk) = chunk.filter(|_| !self.is_deaf) {
            self.window.spend(chunk.len());
            self.outgoing.push_back(frame(chunk));
        }
        if self.quiet_at.is_some() {
            self.listen_on();
        }
    }

    fn written(&mut self, written: io::Result<()>) {
        if written.is_err() {
            // The command reads no more, which is its right.
            self.stdin = None;
            for chunk in std::mem::take(&mut self.input) {
                self.consumed(chunk.len);
            }
            return;
        }
        if self.input.front().is_some_and(|chunk| chunk.rest.is_empty())
            && let Some(written) = self.input.pop_front()
        {
            self.consumed(written.len);
        }
        self.close_stdin();
    }

    fn close_stdin(&mut self) {
        if self.is_input_over && self.input.is_empty() {
            self.stdin = None;
        }
    }

    fn consumed(&mut self, len: usize) {
        if let Some(credit) = self.input_credit.consume(len) {
            self.outgoing.push_back(Down::StdinCredit(credit));
        }
    }

    fn leader_ended(&mut self) {
        let now = Instant::now();
        self.ended_at = Some(now);
        match self.stage {
            // It was to end, and its children with it.
            Stage::Asked => self.kill(),
            Stage::Running => {
                self.stdout.owed = self.stdout.waiting();
                self.stderr.owed = self.stderr.waiting();
                // Its time is not up while its last words are listened for.
                self.alarm = self.alarm.map(|alarm| alarm.max(now + LINGER + QUIET));
                self.listen_on();
            }
            Stage::Killed | Stage::Abandoned => {}
        }
    }

    /// Whoever still has the outputs open may have something to add, if it is soon.
    fn listen_on(&mut self) {
        let now = Instant::now();
        if self.linger_until.is_none() && self.stdout.owed == 0 && self.stderr.owed == 0 {
            self.linger_until = Some(now + LINGER);
        }
        let quiet_at = now + QUIET;
        self.quiet_at = Some(self.linger_until.map_or(quiet_at, |until| until.min(quiet_at)));
    }

    /// The leader has ended, and what is left of it in the background goes on by itself.
    fn quiet(&mut self) {
        let is_silent = self.stdout.waiting() == 0 && self.stderr.waiting() == 0;
        if self.stage == Stage::Running && !is_silent && self.linger_until.is_none_or(|until| Instant::now() < until) {
            return self.listen_on();
        }
        self.quiet_at = None;
        if self.stage == Stage::Running {
            self.stdout.pipe = None;
            self.stderr.pipe = None;
        }
    }

    fn deafen(&mut self) {
        self.is_deaf = true;
        self.outgoing.clear();
        self.stdin = None;
        self.input.clear();
        self.ask_to_end(Signal::TERM.as_raw().unsigned_abs());
    }

    fn ask_to_end(&mut self, signal: u32) {
        if self.stage == Stage::Running {
            self.stage = Stage::Asked;
            self.alarm = Some(Instant::now() + GRACE);
        }
        self.process.signal(signal);
        if self.ended_at.is_some() && self.stage == Stage::Asked {
            self.kill();
        }
    }

    fn kill(&mut self) {
        self.process.signal(Signal::KILL.as_raw().unsigned_abs());
        self.stage = Stage::Killed;
        self.alarm = Some(Instant::now() + AFTERMATH);
    }

    fn alarm(&mut self) {
        match self.stage {
            Stage::Running => {
                self.is_timed_out = true;
                self.ask_to_end(Signal::TERM.as_raw().unsigned_abs());
            }
            Stage::Asked => self.kill(),
            Stage::Killed | Stage::Abandoned => self.stage = Stage::Abandoned,
        }
    }
}

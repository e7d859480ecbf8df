//! One-shot commands: each runs with pipes in a process group of its own, in a task of its own.
//!
//! The hub owns this table and routes frames here by the relay's number. Whatever ends the way to whoever asked (the
//! client, the relay, the link between) ends the command: SIGTERM to its group, and SIGKILL after a grace. Standard
//! streams are bounded by credit end to end, so that a command waits for its reader and nothing else does.

mod guard;
mod process;
mod session;
mod task;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::hub::Event;
use super::permissions::{Action, Chosen, Permissions, Run, Subject};
use crate::fleet::{Code, Refusal};
use crate::runtime::{self, Login};
use crate::stream::{EXEC_INPUT_WINDOW, chunks_in};
use crate::wire::{self, v1};
use guard::Guard;
pub use guard::run_guard;
use process::{Process, Spec};
pub use session::{BEGIN_EXEC, begin_exec};
use task::Task;

/// Commands that run at once on one machine, those that are being ended included.
const EXECS_CAP: usize = 1024;
/// Frames waiting for one command: a window of tiny chunks, and some credit and signals. One that takes none is ended.
const UP_CAP: usize = chunks_in(EXEC_INPUT_WINDOW) + 256;

/// Whether the machine's rules let this principal run this command, and as what: the one place where they are asked.
fn admit(permissions: &Permissions, principal: &str, mut start: v1::ExecStart) -> Result<v1::ExecStart, Refusal> {
    let argv = (!start.argv.is_empty()).then_some(start.argv.as_slice());
    let command = argv.map_or_else(|| start.command.clone(), |argv| argv.join(" "));
    let chosen = Chosen {
        env: !start.env.is_empty(),
        cwd: !start.cwd.is_empty(),
        shell: !start.shell.is_empty(),
        stdin: start.has_stdin,
        term: false,
    };
    let subject = Subject { command: Some(&command), argv, chosen, ..Subject::default() };
    if let Run::Words(words) = permissions.check_run(principal, Action::Exec, &subject)? {
        start.command.clear();
        start.argv = words;
    }
    Ok(start)
}

/// All commands of this agent.
pub(super) struct Execs {
    running: HashMap<u64, Running>,
    /// To the relay, while there is one.
    exec_tx: Option<mpsc::Sender<v1::RoutedExecDown>>,
    events_tx: mpsc::Sender<Event>,
    slots: Arc<Semaphore>,
    login: Login,
    guard: Guard,
    permissions: Arc<Permissions>,
    /// Where names of our own program are.
    programs: PathBuf,
    serial: u64,
    /// What is to be started in the next turn, by number, unless it is called off before.
    held: HashMap<u64, Held>,
}

/// A command that was asked for a moment ago. An agent that was stopped finds asking and calling off together, and starts
/// nothing then.
struct Held {
    principal: String,
    start: v1::ExecStart,
    /// Frames for it that have come already.
    frames: Vec<v1::exec_up::Frame>,
}

struct Running {
    /// Numbers begin anew with every relay; this one never does.
    serial: u64,
    up_tx: mpsc::Sender<v1::exec_up::Frame>,
}

impl Execs {
    pub(super) fn new(events_tx: mpsc::Sender<Event>, permissions: Arc<Permissions>, programs: PathBuf) -> Execs {
        let slots = Arc::new(Semaphore::new(EXECS_CAP));
        let (running, held, login) = (HashMap::new(), HashMap::new(), runtime::login());
        let guard = Guard::default();
        Execs { running, exec_tx: None, events_tx, slots, login, guard, permissions, programs, serial: 0, held }
    }

    /// A relay is there.
    pub(super) fn linked(&mut self, exec_tx: mpsc::Sender<v1::RoutedExecDown>) {
        self.exec_tx = Some(exec_tx);
    }

    /// The relay is gone: nobody waits for these commands any more, and each ends when it sees that.
    pub(super) fn unlinked(&mut self) {
        self.exec_tx = None;
        self.held.clear();
        self.running.clear();
    }

    /// A command is over.
    pub(super) fn over(&mut self, number: u64, serial: u64, group: u32) {
        self.guard.remove(group);
        if self.running.get(&number).is_some_and(|running| running.serial == serial) {
            self.running.remove(&number);
        }
    }

    /// A frame from the relay.
    pub(super) fn frame(&mut self, routed: v1::RoutedExecUp) {
        let number = routed.number;
        match routed.up.and_then(|up| up.frame) {
            Some(v1::exec_up::Frame::Start(start)) => {
                self.held.insert(number, Held { principal: routed.principal, start, frames: Vec::new() });
                // Behind what has come already.
                if self.events_tx.try_send(Event::ExecDue { number }).is_err() {
                    self.launch(number);
                }
            }
            Some(v1::exec_up::Frame::Cancel(_)) | None if self.held.contains_key(&number) => {
                self.held.remove(&number);
                self.refuse(number, &Refusal::new(Code::Unavailable, "it was called off before it began"));
            }
            Some(frame) if let Some(held) = self.held.get_mut(&number) => {
                if held.frames.len() < UP_CAP {
                    held.frames.push(frame);
                }
            }
            Some(frame) => {
                let Some(running) = self.running.get(&number) else { return };
                if let Err(mpsc::error::TrySendError::Full(_)) = running.up_tx.try_send(frame) {
                    tracing::warn!(number, "a command takes no frames; ending it");
                    self.running.remove(&number);
                }
            }
            // Nobody waits for it: its task sees that and ends it.
            None => {
                self.running.remove(&number);
            }
        }
    }

    /// Starts what nobody has called off.
    pub(super) fn launch(&mut self, number: u64) {
        let Some(Held { principal, start, frames }) = self.held.remove(&number) else { return };
        if let Err(refusal) = self.start(number, &principal, start) {
            return self.refuse(number, &refusal);
        }
        if let Some(running) = self.running.get(&number) {
            // There is room for as many as were kept.
            frames.into_iter().for_each(|frame| drop(running.up_tx.try_send(frame)));
        }
    }

    fn start(&mut self, number: u64, principal: &str, start: v1::ExecStart) -> Result<(), Refusal> {
        let Some(exec_tx) = self.exec_tx.clone() else { return Ok(()) };
        let start = admit(&self.permissions, principal, start)?;
        let timeout = (start.timeout_ms > 0).then(|| Duration::from_millis(start.timeout_ms));
        let (has_stdin, is_merged) = (start.has_stdin, start.merge);
        let spec = Spec::new(start, &self.login)?;
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{EXECS_CAP} commands run on this machine, as many as may; wait for one to end");
            Refusal::new(Code::Exhausted, message)
        })?;
        let mut variables = runtime::login_variables(&self.login, &self.permissions.kept_variables());
        runtime::find_programs(&mut variables, &self.programs);
        let (process, pipes) = Process::spawn(&spec, &variables, has_stdin, is_merged)?;
        let group = process.id();
        self.guard.add(group);
        self.serial += 1;
        let (serial, events_tx) = (self.serial, self.events_tx.clone());
        let (up_tx, up_rx) = mpsc::channel(UP_CAP);
        self.running.insert(number, Running { serial, up_tx });
        let task = Task::new(number, process, pipes, timeout, up_rx, exec_tx);
        tokio::spawn(async move {
            task.run().await;
            drop(slot);
            let _ = events_tx.send(Event::ExecOver { number, serial, group }).await;
        });
        Ok(())
    }

    fn refuse(&self, number: u64, refusal: &Refusal) {
        let Some(exec_tx) = self.exec_tx.clone() else { return };
        let frame = v1::exec_down::Frame::Refused(wire::refusal(refusal, "exec"));
        let down = v1::RoutedExecDown { number, down: Some(v1::ExecDown { frame: Some(frame) }) };
        // The hub waits for no link.
        tokio::spawn(async move { exec_tx.send(down).await });
    }
}

//! Files of this machine: each request is a job on a thread of its own, which may wait for the disk.
//!
//! The hub owns the table and routes frames here by the relay's number; it waits for no job. What is read and written is
//! bounded by credit end to end. Whatever ends the way to whoever asked ends the request: a file that was being
//! written stays as it was. Every path is found first and judged then, by the machine's own rules and as what it really
//! is ([`place`]), so that neither `..` nor a link leads out of what they allow.

mod copy;
mod entry;
mod job;
mod list;
mod place;
mod private;
mod read;
mod search;
mod sparse;
mod tree;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};

use super::hub::Event;
use super::permissions::Permissions;
use crate::fleet::{Code, Refusal};
use crate::runtime;
use crate::stream::{FILE_WINDOW, chunks_in};
use crate::wire::{self, v1};
use place::Guard;
pub(super) use private::Private;
use v1::file_up::Frame as Up;

/// Requests at once on one machine; each has a thread.
const JOBS_CAP: usize = 256;
/// Frames waiting for one request: a window of tiny chunks, and some credit. One that takes none is ended.
const UP_CAP: usize = chunks_in(FILE_WINDOW) + 256;
/// The signal for a file that outgrows the process's limit, which kills unless somebody listens.
const SIGXFSZ: i32 = rustix::process::Signal::XFSZ.as_raw();

/// All requests about files of this agent.
pub(super) struct Files {
    running: HashMap<u64, Running>,
    /// To the relay, while there is one.
    files_tx: Option<mpsc::Sender<v1::RoutedFileDown>>,
    events_tx: mpsc::Sender<Event>,
    slots: Arc<Semaphore>,
    permissions: Arc<Permissions>,
    private: Private,
    serial: u64,
    /// With a listener a file that is too large is an error of its request.
    _too_large: Option<Signal>,
}

struct Running {
    /// Numbers begin anew with every relay; this one never does.
    serial: u64,
    up_tx: mpsc::Sender<Up>,
}

impl Files {
    pub(super) fn new(events_tx: mpsc::Sender<Event>, permissions: Arc<Permissions>, private: Private) -> Files {
        Files {
            running: HashMap::new(),
            files_tx: None,
            events_tx,
            slots: Arc::new(Semaphore::new(JOBS_CAP)),
            permissions,
            private,
            serial: 0,
            _too_large: signal(SignalKind::from_raw(SIGXFSZ)).ok(),
        }
    }

    /// A relay is there.
    pub(super) fn linked(&mut self, files_tx: mpsc::Sender<v1::RoutedFileDown>) {
        self.files_tx = Some(files_tx);
    }

    /// The relay is gone: nobody waits for these requests any more, and each ends when it sees that.
    pub(super) fn unlinked(&mut self) {
        self.files_tx = None;
        self.running.clear();
    }

    /// A request is over.
    pub(super) fn over(&mut self, number: u64, serial: u64) {
        if self.running.get(&number).is_some_and(|running| running.serial == serial) {
            self.running.remove(&number);
        }
    }

    /// A frame from the relay.
    pub(super) fn frame(&mut self, routed: v1::RoutedFileUp) {
        let number = routed.number;
        match routed.up.and_then(|up| up.frame) {
            Some(Up::Start(start)) => {
                if let Err(refusal) = self.start(number, routed.principal, start) {
                    self.refuse(number, &refusal);
                }
            }
            Some(frame) => {
                let Some(running) = self.running.get(&number) else { return };
                if let Err(mpsc::error::TrySendError::Full(_)) = running.up_tx.try_send(frame) {
                    tracing::warn!(number, "a request takes no frames; ending it");
                    self.running.remove(&number);
                }
            }
            // Nobody waits for it: its job sees that and ends.
            None => {
                self.running.remove(&number);
            }
        }
    }

    fn start(&mut self, number: u64, principal: String, start: v1::FileStart) -> Result<(), Refusal> {
        let Some(files_tx) = self.files_tx.clone() else { return Ok(()) };
        let unknown = || Refusal::new(Code::Invalid, "this machine's agent does not know the request; upgrade it");
        let request = start.request.ok_or_else(unknown)?;
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{JOBS_CAP} requests about files run on this machine, as many as may; try again");
            Refusal::new(Code::Exhausted, message)
        })?;
        self.serial += 1;
        let (serial, events_tx) = (self.serial, self.events_tx.clone());
        let (up_tx, up_rx) = mpsc::channel(UP_CAP);
        self.running.insert(number, Running { serial, up_tx });
        let guard = Guard::new(self.permissions.clone(), self.private.clone(), principal, runtime::login().home);
        tokio::spawn(async move {
            job::run(number, request, guard, slot, up_rx, files_tx).await;
            let _ = events_tx.send(Event::FilesOver { number, serial }).await;
        });
        Ok(())
    }

    fn refuse(&self, number: u64, refusal: &Refusal) {
        let Some(files_tx) = self.files_tx.clone() else { return };
        let frame = v1::file_down::Frame::Refused(wire::refusal(refusal, "files"));
        let down = v1::RoutedFileDown { number, down: Some(v1::FileDown { frame: Some(frame) }) };
        // The hub waits for no link.
        tokio::spawn(async move { files_tx.send(down).await });
    }
}

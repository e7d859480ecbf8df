//! Files at the relay: a lane of their own on the agent's link. What is in them is never looked at.

use tonic::Streaming;

use super::audit::{Audit, Audited};
use super::auth::Auth;
use super::hub::EventsTx;
use super::lane::{DownRx, Ended, Ending, Flow, Kind, Running, down_channel, lanes_to};
use super::limits::FILES_PER_KEY;
use super::quota::Account;
use crate::fleet::{Action, Caller, Code, MachineId, Refusal};
use crate::stream::{FILE_WINDOW, chunks_in};
use crate::wire::{self, v1};
use v1::file_down::Frame as Down;
use v1::file_start::Request;
use v1::file_up::Frame as Up;

/// Frames waiting for one client: a window of tiny chunks and what goes with it.
const FILE_DOWN_CAP: usize = chunks_in(FILE_WINDOW) + 64;

/// The lane of requests about files.
pub(super) enum Requests {}

impl Kind for Requests {
    type Message = v1::FileUp;
    type Up = Up;
    type Down = v1::FileDown;
    type RoutedUp = v1::RoutedFileUp;

    const NOUN: &'static str = "request";
    const WORD: &'static str = "files";
    const DOWN_WINDOW: u64 = FILE_WINDOW;
    const UP_WINDOW: u64 = FILE_WINDOW;
    /// A window of each may wait here.
    const AT_ONCE: usize = 512;
    const PER_KEY: usize = FILES_PER_KEY;
    const UP_CAP: usize = 64 * 1024;

    fn frame(message: v1::FileUp) -> Option<Up> {
        message.frame
    }

    fn flow_up(up: &Up) -> Flow {
        match up {
            Up::Start(_) => Flow::Start,
            Up::Data(data) => Flow::Data(data.len()),
            Up::Credit(credit) => Flow::Credit(*credit),
            Up::Commit(_) => Flow::Other,
        }
    }

    fn flow_down(down: &v1::FileDown) -> Flow {
        match &down.frame {
            Some(Down::Credit(credit)) => Flow::Credit(*credit),
            Some(Down::Done(_)) => Flow::Last(Ending::Done),
            Some(Down::Refused(refused)) => Flow::Last(Ending::Refused(wire::refusal_from(refused))),
            Some(frame) => wire::file_frame_len(frame).map_or(Flow::Other, Flow::Data),
            None => Flow::Other,
        }
    }

    fn refused(refusal: &Refusal) -> v1::FileDown {
        v1::FileDown { frame: Some(Down::Refused(wire::refusal(refusal, wire::OF_MACHINE))) }
    }

    fn routed(number: u64, principal: &str, up: Option<Up>) -> v1::RoutedFileUp {
        let up = up.map(|up| v1::FileUp { frame: Some(up) });
        v1::RoutedFileUp { number, principal: principal.into(), up }
    }
}

/// What a request does, for keys and the audit log: its verb, its paths, and the action it needs.
fn said(request: &Request) -> (&'static str, String, Option<String>, Action) {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    match request {
        Request::List(list) => ("list", text(&list.path), None, Action::Read),
        Request::Stat(stat) => ("stat", text(&stat.path), None, Action::Read),
        Request::Read(read) => ("read", text(&read.path), None, Action::Read),
        Request::Search(search) => ("search", text(&search.path), None, Action::Read),
        // Whoever may see a machine may know what it is allowed there.
        Request::Rules(_) => ("rules", String::new(), None, Action::Observe),
        Request::Write(write) => ("write", text(&write.path), None, Action::Files),
        Request::MakeDirectory(make) => ("mkdir", text(&make.path), None, Action::Files),
        Request::Remove(remove) => ("delete", text(&remove.path), None, Action::Files),
        Request::Rename(rename) => ("move", text(&rename.from), Some(text(&rename.to)), Action::Files),
        Request::Copy(copy) => ("copy", text(&copy.from), Some(text(&copy.to)), Action::Files),
    }
}

/// Begins a request of a caller; every one is a line of the audit log, with what became of it.
pub(super) async fn begin(
    events_tx: &EventsTx,
    caller: &Caller,
    auth: &Auth,
    start: v1::FileStart,
) -> Result<(Running<Requests>, DownRx<Requests>), Refusal> {
    let request = start.request.as_ref();
    let request =
        request.ok_or_else(|| Refusal::new(Code::Invalid, "the request names nothing that this relay knows"))?;
    let (verb, path, to, action) = said(request);
    if let Err(refusal) = caller.needs(action) {
        auth.denied(caller, &format!("{verb} files"), &refusal);
        return Err(refusal);
    }
    let machine = MachineId::from_bytes(&start.machine).map(|id| id.to_string()).unwrap_or_default();
    let (audit, principal): (Audit, _) = (auth.audit.clone(), caller.principal.to_string());
    let lanes = lanes_to(events_tx, caller, &start.machine).await;
    let workspace = lanes.as_ref().ok().map(|(_, workspace)| workspace.clone()).or_else(|| caller.workspace.clone());
    let workspace = workspace.unwrap_or_default();
    let mut ended = Ended::tell(move |ending| {
        audit.record(Audited::Files { principal, workspace, machine, verb, path, to, outcome: ending.to_string() });
    });
    let (lanes, _) = lanes.inspect_err(|refusal| ended.lost(refusal))?;
    let (down_tx, down_rx) = down_channel(FILE_DOWN_CAP, auth.quotas.account(caller));
    let running = lanes.files.begin(auth, caller, Up::Start(start), down_tx, ended)?;
    Ok((running, down_rx))
}

/// Opens one client's stream: its first frame says what is asked for.
pub(super) async fn open(
    events_tx: EventsTx,
    caller: Caller,
    auth: &Auth,
    mut frames: Streaming<v1::FileUp>,
) -> Result<DownRx<Requests>, Refusal> {
    let start = match frames.message().await {
        Ok(Some(v1::FileUp { frame: Some(Up::Start(start)) })) => start,
        _ => return Err(Refusal::new(Code::Invalid, "the stream must open with a request")),
    };
    let (running, down_rx) = begin(&events_tx, &caller, auth, start).await?;
    tokio::spawn(running.carry(frames));
    Ok(down_rx)
}

/// A stream that says only why there is none.
pub(super) fn refused(refusal: &Refusal, account: Account) -> DownRx<Requests> {
    let (down_tx, down_rx) = down_channel(1, account);
    let _ = down_tx.try_send(Ok(Requests::refused(refusal)));
    down_rx
}

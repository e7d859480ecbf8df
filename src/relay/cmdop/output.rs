//! The newest output of a session, to be polled.
//!
//! A copy is an observer of its session that loses nothing: it starts at the oldest byte the keeper has, at the keeper's
//! own offsets, and lives as long as it is asked. Each caller has copies of its own, so each passes the machine's rules.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memchr::memmem;
use tokio::sync::watch;
use tonic::Status;

use super::client::{Attachment, News};
use super::places::about;
use super::places::wish_of;
use super::pool::{Key, Pool};
use super::{Call, Facade};
use crate::fleet::{Action, Code, Refusal, Role};
use crate::runtime::now_ms;
use crate::stream::{Attach, Delivery, Down, LogItem, OutputLog, Up};
use crate::wire::cmdop::{GetOutputRequest, GetOutputResponse};

/// Bytes kept of one session: as many as its keeper keeps.
const COPY_BYTES: usize = 4 * 1024 * 1024;
/// Copies at once, and their bytes together; beyond either the ones that were not asked for longest make room.
pub(super) const COPIES_CAP: usize = 512;
const ALL_COPIES_BYTES: usize = 256 * 1024 * 1024;
/// Bytes under way from the keeper.
const WINDOW: u32 = 1024 * 1024;
/// Windows read before the first answer: more than the keeper's log holds, in case the session prints on and on.
const FILL_ROUNDS: u32 = 8;
/// Bytes read before the keeper hears of it.
const CONSUMED_STEP: u64 = 128 * 1024;
/// How long a copy lives that nobody asks for.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of one answer that asks for no number.
const ANSWER_BYTES: u64 = 1024 * 1024;
/// Commands of one answer whose beginning is looked for.
const MARKERS_CAP: usize = 8;
/// Longest id between the markers of a command.
const MARKER_ID_CAP: usize = 64;

#[derive(Clone)]
enum Phase {
    /// The keeper sends what it has.
    Filling,
    /// Everything the session had printed when the copy began is in it.
    Live,
    /// It is of no use any more.
    Over(Refusal),
}

/// A session's newest output.
pub(super) struct Copy {
    log: Mutex<OutputLog>,
    phase: watch::Receiver<Phase>,
    used_ms: AtomicU64,
    /// Bytes in it, and in all copies together.
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
}

impl super::pool::Pooled for Copy {
    fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Over(_))
    }

    fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

pub(super) async fn get(facade: Facade, call: Call, request: GetOutputRequest) -> Result<GetOutputResponse, Status> {
    let place = facade.place(&call, wish_of(&request.session_id).0).await?;
    facade.may(&call, &place, Action::Observe).await?;
    if place.known.is_none() && !call.caller.actions.may(Action::Drive) {
        // Nobody has started it, and this caller may not.
        return Ok(GetOutputResponse::default());
    }
    let session = facade.ensure(&call, place).await?.id();
    let copy = facade.copy(&call, session);
    let mut phase = copy.phase.clone();
    let live = phase.wait_for(|phase| !matches!(phase, Phase::Filling)).await.map(|phase| phase.clone());
    if let Ok(Phase::Over(refusal)) = live {
        return Err(about(session)(refusal));
    }
    Ok(copy.read(request.offset, request.limit))
}

impl Facade {
    /// The copy of a session for a caller, begun if there is none.
    fn copy(&self, call: &Call, session: crate::fleet::SessionId) -> Arc<Copy> {
        let key = Key::of(&call.caller, session);
        let copies = &self.inner.copies;
        if copies.all.load(Ordering::Relaxed) > ALL_COPIES_BYTES {
            copies.pool.drop_oldest(&key);
        }
        let copy = copies.pool.get(key.clone(), || {
            let (phase_tx, phase) = watch::channel(Phase::Filling);
            let copy = Arc::new(Copy {
                log: Mutex::new(OutputLog::new(COPY_BYTES)),
                phase,
                used_ms: now_ms().into(),
                own: AtomicUsize::new(0),
                all: copies.all.clone(),
            });
            tokio::spawn(keep(self.clone(), call.caller.clone(), key, Arc::downgrade(&copy), phase_tx));
            copy
        });
        copy.used_ms.store(now_ms(), Ordering::Relaxed);
        copy
    }
}

/// All copies.
pub(super) struct Copies {
    pool: Pool<Copy>,
    all: Arc<AtomicUsize>,
}

impl Default for Copies {
    fn default() -> Copies {
        Copies { pool: Pool::new(COPIES_CAP), all: Arc::default() }
    }
}

/// Fills a copy until its session or the interest in it ends.
async fn keep(
    facade: Facade,
    caller: crate::fleet::Caller,
    key: Key,
    copy: std::sync::Weak<Copy>,
    phase_tx: watch::Sender<Phase>,
) {
    let over = fill(&facade, caller, &key, &copy, &phase_tx).await;
    // Whoever reads it now hears why, and the next one begins another.
    let _ = phase_tx.send(Phase::Over(over));
}

async fn fill(
    facade: &Facade,
    caller: crate::fleet::Caller,
    key: &Key,
    copy: &std::sync::Weak<Copy>,
    phase_tx: &watch::Sender<Phase>,
) -> Refusal {
    let idle = || Refusal::new(Code::Unavailable, "nobody asked for this session's output for a while; ask again");
    let attach = Attach {
        delivery: Delivery::Lossless,
        from_offset: Some(0),
        is_from_oldest: true,
        window: Some(WINDOW),
        label: "sdk output".into(),
        ..Attach::new(Role::Observer)
    };
    let opened = Attachment::open(facade, caller, key.session, attach).await;
    let Ok(mut attachment) = opened else { return idle() };
    let (mut told, mut rounds) = (0, 0);
    // Its answer comes after everything there is.
    if attachment.send(Up::Ping(0)).await.is_err() {
        return idle();
    }
    loop {
        let news = tokio::time::timeout(IDLE, attachment.next()).await;
        let Some(copy) = copy.upgrade() else { return idle() };
        if now_ms().saturating_sub(copy.used_ms.load(Ordering::Relaxed)) > IDLE.as_millis() as u64 {
            return idle();
        }
        let Ok(news) = news else { continue };
        let consumed = match news {
            News::Cut(refusal) => return refusal,
            News::Down(Down::Refused { refusal, frame }) if frame == "attach" => return refusal,
            News::Down(Down::Detached(reason)) => return Refusal::new(Code::Unavailable, reason),
            News::Down(Down::Attached { offset, .. } | Down::Keyframe { offset, .. }) => {
                *copy.log() = OutputLog::starting_at(offset, COPY_BYTES);
                told = offset;
                continue;
            }
            News::Down(Down::Output { offset, data }) => copy.append(offset, data),
            News::Down(Down::Pong(_)) => {
                let end = copy.log().end();
                if end == told || rounds == FILL_ROUNDS {
                    let _ = phase_tx.send(Phase::Live);
                    continue;
                }
                // A window's worth came: more of it may be there.
                (told, rounds) = (end, rounds + 1);
                let asked = attachment.send(Up::Consumed(end)).await.and(attachment.send(Up::Ping(0)).await);
                if asked.is_err() {
                    return idle();
                }
                continue;
            }
            News::Down(Down::Exited(exit)) => {
                let _ = attachment.send(Up::Consumed(exit.offset)).await;
                return Refusal::new(Code::NotFound, "the session has ended");
            }
            News::Down(_) => continue,
        };
        if consumed >= told + CONSUMED_STEP {
            told = consumed;
            if attachment.send(Up::Consumed(consumed)).await.is_err() {
                return idle();
            }
        }
    }
}

impl Copy {
    fn log(&self) -> MutexGuard<'_, OutputLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next piece; the offset after it.
    fn append(&self, offset: u64, data: bytes::Bytes) -> u64 {
        let mut log = self.log();
        if offset == log.end() {
            log.append(data);
            let own = (log.end() - log.start()) as usize;
            self.all.fetch_add(own, Ordering::Relaxed);
            self.all.fetch_sub(self.own.swap(own, Ordering::Relaxed), Ordering::Relaxed);
        }
        log.end()
    }

    fn read(&self, offset: i32, limit: i32) -> GetOutputResponse {
        let log = self.log();
        let (offset, limit) = (u64::try_from(offset).unwrap_or(0), u64::try_from(limit).unwrap_or(0));
        let (start, end) = (log.start(), log.end());
        let (from, to) = match (offset, limit) {
            (0, 0) => (start, (start + ANSWER_BYTES).min(end)),
            (0, limit) => (widened(&log, end - limit.min(end - start)), end),
            (offset, limit) => {
                let from = offset.clamp(start, end);
                let limit = if limit == 0 { ANSWER_BYTES } else { limit };
                (from, from.saturating_add(limit).min(end))
            }
        };
        GetOutputResponse {
            data: bytes_of(&log, from, to).into(),
            total_bytes: end.min(i32::MAX as u64) as i32,
            has_more: to < end,
        }
    }
}

fn bytes_of(log: &OutputLog, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((to - from) as usize);
    let mut at = from;
    while at < to {
        let Some(LogItem::Output(_, data)) = log.next(at, 0, (to - at) as usize) else { break };
        at += data.len() as u64;
        bytes.extend_from_slice(&data);
    }
    bytes
}

/// Where an answer has to begin so that a command whose end is in it is there whole. The SDKs ask for the newest 20 kB and
/// look for both markers of their command: without this one that prints more would never be found.
fn widened(log: &OutputLog, from: u64) -> u64 {
    let window = bytes_of(log, from, log.end());
    let orphans = orphans(&window);
    if orphans.is_empty() || from == log.start() {
        return from;
    }
    let before = bytes_of(log, log.start(), from);
    let found = orphans.iter().filter_map(|id| memmem::rfind(&before, &[b"<<CMD:", *id, b":START>>"].concat()));
    // With the line end in front of it, as it was printed.
    let line = |at: usize| if at > 0 && before[at - 1] == b'\n' { at - 1 } else { at };
    found.min().map_or(from, |at| log.start() + line(at) as u64)
}

/// The ids of commands that end in a piece of output and begin before it.
fn orphans(window: &[u8]) -> Vec<&[u8]> {
    let mut ids = Vec::new();
    for at in memmem::find_iter(window, b":END:") {
        let has_code = window.get(at + 5).is_some_and(u8::is_ascii_digit);
        let head = &window[at.saturating_sub(MARKER_ID_CAP)..at];
        let Some(mark) = memmem::rfind(head, b"<<CMD:").filter(|_| has_code) else { continue };
        let id = &head[mark + 6..];
        let begins = memmem::find(&window[..at], &[b"<<CMD:", id, b":START>>"].concat()).is_some();
        if id.iter().all(u8::is_ascii_alphanumeric) && !begins && ids.len() < MARKERS_CAP {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(output: &[u8]) -> Copy {
        let (_, phase) = watch::channel(Phase::Live);
        let mut log = OutputLog::new(COPY_BYTES);
        log.append(bytes::Bytes::copy_from_slice(output));
        Copy { log: Mutex::new(log), phase, used_ms: 0.into(), own: 0.into(), all: Arc::default() }
    }

    #[test]
    fn a_limit_without_an_offset_means_the_newest_bytes() {
        let copy = copy(b"0123456789");
        let read = |offset, limit| {
            let answer = copy.read(offset, limit);
            (String::from_utf8(answer.data.to_vec()).unwrap(), answer.total_bytes, answer.has_more)
        };
        assert_eq!(read(0, 3), ("789".into(), 10, false));
        assert_eq!(read(0, 0), ("0123456789".into(), 10, false));
        assert_eq!(read(4, 0), ("456789".into(), 10, false));
        assert_eq!(read(4, 2), ("45".into(), 10, true));
        assert_eq!(read(10, 0), (String::new(), 10, false));
        assert_eq!(read(i32::MAX, i32::MAX), (String::new(), 10, false));
        assert_eq!(read(-5, -5), ("0123456789".into(), 10, false));
    }

    #[test]
    fn a_command_whose_end_is_in_the_window_is_answered_whole() {
        let mut output = b"old\r\n<<CMD:ab12:START>>\r\n".to_vec();
        output.extend(vec![b'x'; 50_000]);
        output.extend(b"\r\n<<CMD:ab12:END:0>>\r\n");
        let answer = copy(&output).read(0, 20_480);
        assert!(answer.data.starts_with(b"\n<<CMD:ab12:START>>"), "{}", answer.data.len());
        // The line as it was typed has no exit code, and an end without a beginning is left alone.
        let mut typed = vec![b'x'; 30_000];
        typed.extend(b"printf '<<CMD:zz:END:%d>>' <<CMD:lost:END:1>>");
        assert_eq!(copy(&typed).read(0, 20_480).data.len(), 20_480);
    }
}

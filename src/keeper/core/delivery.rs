//! How output reaches each client: on the stream while it keeps up, by keyframe when it does not, from the log if it
//! asked to lose nothing.
//!
//! A client that asked for a slower pace than the stream's is never on the stream: it is put off it after every piece, and
//! catches up at its pace, from the log or by keyframe. Nobody else notices.
//!
//! What is under way to a client is bounded by its window, so nothing on the path can grow without bound, and reading
//! the PTY never waits for anybody.

use bytes::Bytes;

use super::clients::{Client, Refresh};
use super::{Core, Effect, LinkId};
use crate::fleet::{ClientId, Code, Refusal, Size};
use crate::stream::{Attach, Delivery, Down, KeyframeKind, LogItem};
use crate::term::KeyframeScope;

/// Bytes under way to a client that named no window: the bandwidth-delay product of 100 MB/s at 2.5 ms.
const WINDOW: u32 = 256 * 1024;
/// Largest window a client may ask for.
const WINDOW_MAX: u32 = 4 * 1024 * 1024;
/// Smallest: clients tell what they consumed in steps of 8 KiB, and a window below one step would wait for ever.
const WINDOW_MIN: u32 = 16 * 1024;
/// Smallest burst between two keyframes of a flood; a screen's worth.
const BURST_MIN: u64 = 16 * 1024;
/// Shortest time between two keyframes for one client, behind or asking: about 30 a second.
const KEYFRAME_MS: u64 = 33;
/// The stream's own pace, about 60 a second: a wish for no slower one changes nothing.
const STREAM_PACE_MS: u32 = 17;
/// Slowest pace a client may ask for.
const PACE_MS_MAX: u32 = 1000;
/// More output than this in the time of one keyframe reaches a client that draws as keyframes only, bytes.
const DRAWN_BURST: u64 = 48 * 1024;
/// So long after a key the answer goes out as it comes, even in a flood.
const ANSWER_MS: u64 = 200;
/// Longest label or principal that others are shown.
const LABEL_CHARS: usize = 64;
/// Log pieces for lossless clients, bytes.
const PIECE: usize = 64 * 1024;
/// Largest history a keyframe carries.
const KEYFRAME_HISTORY_MAX: u32 = 4 * 1024 * 1024;

/// A text of a client's as others are shown it.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LABEL_CHARS).collect()
}

impl Core {
    /// Takes a client in: role, keyframe or log tail, and subscription in one turn.
    pub(super) fn attach(&mut self, link: LinkId, id: ClientId, attach: Attach, now: u64) {
        self.attached_ms = Some(now);
        if self.clients.is_full(id) {
            let refusal =
                Refusal::new(Code::Exhausted, "the session has as many clients as it can keep; detach one first");
            return self.refuse(link, id, "attach", refusal);
        }
        self.catch_up(now);
        self.show_what_left_the_log(now);
        let (end, shown) = (self.log.end(), self.shown());
        let oldest = attach.is_from_oldest.then_some(self.log.start());
        // What has left the log is not to be had by anybody who asks for bytes only.
        let wanted = attach.from_offset;
        let from_offset = wanted.map(|from| oldest.map_or(from, |oldest| from.max(oldest)));
        let left = wanted.zip(from_offset).map_or(0, |(wanted, from)| from - wanted);
        let log_holds = from_offset.is_some_and(|from| self.log.holds(from));
        let (client, _) = self.clients.enter(id, link);
        client.role = attach.role;
        client.label = line(&attach.label);
        client.principal = line(&attach.principal);
        client.size = attach.size;
        client.is_sizeless = attach.is_sizeless;
        client.delivery = attach.delivery;
        client.keyframe = attach.keyframe;
        client.window = attach.window.unwrap_or(WINDOW).clamp(WINDOW_MIN, WINDOW_MAX).into();
        client.burst = client.window;
        let is_slow = attach.delivery == Delivery::Latest && attach.pace_ms.is_some_and(|pace| pace > STREAM_PACE_MS);
        client.pace_ms = attach.pace_ms.filter(|_| is_slow).map_or(0, |pace| pace.min(PACE_MS_MAX).into());
        client.is_drawing = attach.delivery == Delivery::Latest && attach.pace_ms.is_some();
        client.resizes_sent = 0;
        let input_next = client.input.next();
        let number = client.number;
        let role = client.role;
        // A client that wants more than there is has seen another session's bytes: it starts anew.
        let from = from_offset.filter(|from| *from <= end);
        let is_behind = from.is_some_and(|from| end - from > client.window);
        // Of what the screen does not show yet the log has every byte.
        let is_ahead = from.is_some_and(|from| from > shown);
        let from_log = log_holds && (attach.delivery == Delivery::Lossless || !is_behind || is_ahead);
        let start = if from_log { from.unwrap_or(end) } else { shown };
        let skipped = if from_log { left } else { from.map_or(0, |from| shown.saturating_sub(from)) };
        client.sent = start;
        client.consumed = start;
        client.is_following = attach.delivery == Delivery::Latest && !is_slow;
        let size = self.size;
        let attached = Down::Attached { role, offset: start, input_next, size, skipped, number };
        self.effects.push(Effect::Send { link, client: Some(id), down: attached });
        if !from_log {
            self.send_keyframe(id, attach.history_bytes, from, now);
        } else if attach.delivery == Delivery::Latest {
            self.send_log(id, u64::MAX);
        }
        if attach.delivery == Delivery::Lossless {
            self.serve_lossless(id);
        }
        self.put_off(id);
        self.tell_exit();
        self.attendance_changed(now);
    }

    /// New output for all clients.
    pub(super) fn fan_out(&mut self, offset: u64, data: Bytes, now: u64) {
        let end = offset + data.len() as u64;
        let mut links: Vec<LinkId> = Vec::new();
        let mut lossless = Vec::new();
        for (id, client) in self.clients.attached_mut() {
            if client.delivery == Delivery::Lossless {
                lossless.push(id);
            } else if client.is_following {
                if end - client.consumed > client.burst || client.is_flooded(data.len(), now) {
                    client.is_following = false;
                    client.burst = (client.burst / 2).max(BURST_MIN);
                    // The gap counts from here; the next keyframe waits its turn.
                    self.effects.push(Effect::Send { link: client.link, client: Some(id), down: Down::Behind });
                    continue;
                }
                client.sent = end;
                if !links.contains(&client.link) {
                    links.push(client.link);
                }
            }
        }
        for link in links {
            let down = Down::Output { offset, data: data.clone() };
            self.effects.push(Effect::Send { link, client: None, down });
        }
        for id in lossless {
            self.serve_lossless(id);
        }
        self.catch_up_due(now);
    }

    /// A client has processed its output up to an offset.
    pub(super) fn consumed(&mut self, id: ClientId, offset: u64, now: u64) {
        let end = self.log.end();
        let exit = self.exit;
        let Some(client) = self.clients.get_mut(id) else { return };
        client.consumed = client.consumed.max(offset.min(client.sent));
        client.has_keyframe_unread &= offset < client.sent;
        if client.is_following && end == client.consumed {
            client.burst = (client.burst * 2).min(client.window);
        }
        if exit.is_some_and(|exit| client.consumed >= exit.offset) {
            self.is_exit_seen = true;
        }
        if client.delivery == Delivery::Lossless {
            self.serve_lossless(id);
        } else {
            self.catch_up_due(now);
        }
    }

    /// A hop or the client itself dropped backlog, or wants its history: a keyframe, at once or when the last one is old
    /// enough. However often it is asked for, one waits.
    pub(super) fn refresh(&mut self, id: ClientId, from: u64, kind: KeyframeKind, history_bytes: u32, now: u64) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.keyframe = kind;
        client.keyframe_ms = client.keyframe_ms.min(now);
        client.refresh = Some(Refresh { from, history_bytes });
        if client.keyframe_at() <= now {
            self.send_refresh(id, now);
        }
    }

    /// Sends the keyframes that were asked for and whose time has come: one a turn for each link that takes its answers,
    /// so that no more than one is made ahead of what the peer reads.
    pub(super) fn refresh_due(&mut self, now: u64) {
        for link in self.links.clone().into_iter().filter(|link| link.has_room) {
            let waiting = self.clients.attached_mut().filter(|(_, client)| client.link == link.id);
            let due = waiting.filter(|(_, client)| client.refresh.is_some() && client.keyframe_at() <= now);
            let oldest = due.min_by_key(|(_, client)| client.keyframe_ms).map(|(id, _)| id);
            if let Some(id) = oldest {
                self.send_refresh(id, now);
            }
        }
    }

    fn send_refresh(&mut self, id: ClientId, now: u64) {
        self.catch_up(now);
        let Some(Refresh { from, history_bytes }) = self.clients.get_mut(id).and_then(|client| client.refresh) else {
            return;
        };
        if !self.is_shown(from) {
            return;
        }
        self.send_keyframe(id, history_bytes, Some(from), now);
        self.put_off(id);
        self.tell_exit();
    }

    /// When the next client that fell behind, or asked, may get its keyframe.
    pub(super) fn keyframe_due(&self) -> Option<u64> {
        let mut due: Option<u64> = None;
        self.clients.for_each_attached(|_, client| {
            let is_asked = client.refresh.is_some() && self.has_room(client.link);
            if is_asked || self.may_catch_up(client) {
                let at = if is_asked { client.keyframe_at() } else { client.catch_up_at() };
                due = Some(due.map_or(at, |due| due.min(at)));
            }
        });
        due
    }

    /// Puts every client that has drained its window, and whose time has come, back on the stream.
    pub(super) fn catch_up_due(&mut self, now: u64) {
        // The clock may have been set back: nobody waits for it to catch up.
        self.clients.attached_mut().for_each(|(_, client)| client.keyframe_ms = client.keyframe_ms.min(now));
        let mut ready: Vec<(ClientId, u64)> = Vec::new();
        self.clients.for_each_attached(|id, client| {
            if self.may_catch_up(client) && client.catch_up_at() <= now {
                ready.push((id, client.sent));
            }
        });
        for (id, sent) in ready {
            let gap = self.log.end() - sent;
            let Some(client) = self.clients.get_mut(id) else { continue };
            let most = if client.is_drawing { client.burst.min(DRAWN_BURST) } else { client.burst };
            let fits = gap <= most && self.log.holds(sent);
            let from = client.refresh.map_or(sent, |refresh| refresh.from);
            if client.refresh.is_some() || !fits {
                self.catch_up(now);
                if !self.is_shown(from) {
                    continue;
                }
            }
            let Some(client) = self.clients.get_mut(id) else { continue };
            // In a flood the stream would only bring what the next keyframe replaces.
            let is_calm = fits || !client.is_drawing || client.refresh.is_some() || client.is_answered(now);
            client.is_following = client.pace_ms == 0 && is_calm;
            if let Some(Refresh { from, history_bytes }) = client.refresh {
                self.send_keyframe(id, history_bytes, Some(from), now);
            } else if fits {
                client.keyframe_ms = now;
                self.send_log(id, u64::MAX);
            } else {
                self.send_keyframe(id, 0, Some(sent), now);
            }
            self.put_off(id);
            self.tell_exit();
        }
    }

    /// After a piece for a client that is off the stream, or has a pace of its own: it says when it has read the piece.
    fn put_off(&mut self, id: ClientId) {
        let is_off = |client: &&mut Client| client.delivery == Delivery::Latest && !client.is_following;
        if let Some(client) = self.clients.get_mut(id).filter(is_off) {
            self.effects.push(Effect::Send { link: client.link, client: Some(id), down: Down::Behind });
        }
    }

    /// Off the stream, nothing is under way any more, and there is something to catch up with: what is sent to this client
    /// alone is what puts it back on the stream at every hop.
    fn may_catch_up(&self, client: &Client) -> bool {
        let is_off = client.delivery == Delivery::Latest && !client.is_following && client.consumed >= client.sent;
        let has_news = client.sent < self.log.end() || client.resizes_sent < self.log.resizes_at(client.sent);
        let is_read = !client.has_keyframe_unread && self.has_room(client.link);
        is_off && is_read && has_news
    }

    /// A new size, in its place in everybody's stream.
    pub(super) fn resized(&mut self, offset: u64, size: Size) {
        let mut lossless = Vec::new();
        for (id, client) in self.clients.attached_mut() {
            if client.delivery == Delivery::Lossless {
                lossless.push(id);
            } else if client.is_following {
                let down = Down::Resized { offset, size };
                self.effects.push(Effect::Send { link: client.link, client: Some(id), down });
            }
        }
        for id in lossless {
            self.serve_lossless(id);
        }
    }

    /// The offset that the screen shows: it may lag behind the log.
    fn shown(&self) -> u64 {
        self.log.end() - self.model.lag()
    }

    /// Brings the screen so far that the log has all that follows.
    fn show_what_left_the_log(&mut self, now: u64) {
        if !self.log.holds(self.shown()) {
            self.model.settle_all(&self.log);
            self.settled(now);
        }
    }

    /// Whether a keyframe sends nobody back who has had all before this offset; if it would, he waits for the screen.
    fn is_shown(&self, from: u64) -> bool {
        from.min(self.log.end()) <= self.shown()
    }

    /// Sends the screen, and on the stream what it does not show yet, to a client that wanted what follows `from`.
    fn send_keyframe(&mut self, id: ClientId, history_bytes: u32, from: Option<u64>, now: u64) {
        self.show_what_left_the_log(now);
        let offset = self.shown();
        let skipped = from.map_or(0, |from| offset.saturating_sub(from));
        let Some(client) = self.clients.get_mut(id) else { return };
        let kind = client.keyframe;
        let scope = match kind {
            KeyframeKind::Replica => {
                KeyframeScope::Replica { history_bytes: history_bytes.min(KEYFRAME_HISTORY_MAX) as usize }
            }
            KeyframeKind::Terminal => KeyframeScope::Terminal,
        };
        let (data, size) = self.model.keyframe(scope);
        client.sent = offset;
        client.consumed = offset;
        // A resize that waits for the screen comes after it.
        client.resizes_sent = self.log.resizes_at(offset).saturating_sub(self.model.resizes_here());
        client.keyframe_ms = now;
        client.refresh = None;
        client.has_keyframe_unread = true;
        let is_following = client.is_following;
        let down = Down::Keyframe { offset, skipped, size, kind, data: data.into() };
        self.effects.push(Effect::Send { link: client.link, client: Some(id), down });
        // Whoever is off the stream catches up in time.
        if self.model.is_lagging() && is_following {
            self.send_log(id, u64::MAX);
        }
    }

    /// Sends the log from where the client is, up to `limit`.
    fn send_log(&mut self, id: ClientId, limit: u64) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let end = self.log.end().min(limit);
        loop {
            let room = end.saturating_sub(client.sent).min(PIECE as u64) as usize;
            let skip = client.resizes_sent;
            let item = match self.log.next(client.sent, skip, room) {
                Some(LogItem::Output(_, data)) if data.is_empty() => return,
                Some(item) => item,
                None => return,
            };
            let down = match item {
                LogItem::Resized(offset, size) => {
                    client.resizes_sent += 1;
                    Down::Resized { offset, size }
                }
                LogItem::Output(offset, data) => {
                    client.sent += data.len() as u64;
                    client.resizes_sent = 0;
                    Down::Output { offset, data }
                }
            };
            self.effects.push(Effect::Send { link: client.link, client: Some(id), down });
        }
    }

    /// Serves a lossless client as far as its window lets.
    fn serve_lossless(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        if !self.log.holds(client.sent) {
            let (sent, now) = (client.sent, client.keyframe_ms);
            // What has left the log cannot be had: said with a count, never silently.
            self.send_keyframe(id, 0, Some(sent), now);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        let limit = client.consumed + client.window;
        self.send_log(id, limit);
        self.tell_exit();
    }
}

impl Client {
    /// Whether it typed just now.
    fn is_answered(&self, now: u64) -> bool {
        now.saturating_sub(self.typed_ms) < ANSWER_MS
    }

    /// Counts output; whether there is so much that a client which draws is better served with screens.
    fn is_flooded(&mut self, bytes: usize, now: u64) -> bool {
        if now.abs_diff(self.period_ms) >= KEYFRAME_MS {
            (self.period_ms, self.period_bytes) = (now, 0);
        }
        self.period_bytes += bytes as u64;
        self.is_drawing && self.period_bytes > DRAWN_BURST && !self.is_answered(now)
    }

    /// When its next keyframe may go out.
    fn keyframe_at(&self) -> u64 {
        self.keyframe_ms + KEYFRAME_MS
    }

    /// When it may catch up.
    fn catch_up_at(&self) -> u64 {
        self.keyframe_ms + KEYFRAME_MS.max(self.pace_ms)
    }
}

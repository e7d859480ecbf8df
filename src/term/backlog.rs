//! Output that a screen has not taken yet: whoever feeds a screen works in turns, and looks after people in between.

use std::collections::VecDeque;

use bytes::Bytes;

use super::screen::Screen;
use crate::fleet::Size;

/// What a screen has not taken yet.
enum Waiting {
    Output(Bytes),
    Resized(Size),
}

/// What waits for a screen, in its order.
pub struct Backlog {
    queue: VecDeque<Waiting>,
    bytes: u64,
    /// What a byte cost lately.
    byte_work: u64,
}

impl Default for Backlog {
    fn default() -> Backlog {
        Backlog { queue: VecDeque::new(), bytes: 0, byte_work: 1 }
    }
}

impl Backlog {
    /// Output for the screen, in its turn.
    pub fn output(&mut self, data: Bytes) {
        self.bytes += data.len() as u64;
        self.queue.push_back(Waiting::Output(data));
    }

    /// Another size, after the output before it.
    pub fn resized(&mut self, size: Size) {
        self.queue.push_back(Waiting::Resized(size));
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of output that wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What a byte cost lately, in [`Screen::work`].
    pub fn byte_work(&self) -> u64 {
        self.byte_work
    }

    /// Resizes that wait before any more output.
    pub fn resizes_first(&self) -> usize {
        self.queue.iter().take_while(|waiting| matches!(waiting, Waiting::Resized(_))).count()
    }

    /// Drops all that waits.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    /// Gives a screen what waits for it until that has cost so much [`Screen::work`].
    pub fn feed(&mut self, screen: &mut Screen, work: u64) {
        let end = screen.work().saturating_add(work);
        while screen.work() < end {
            let data = match self.queue.pop_front() {
                Some(Waiting::Output(data)) => self.joined(data),
                Some(Waiting::Resized(size)) => {
                    screen.resize(size);
                    continue;
                }
                None => return,
            };
            let before = screen.work();
            let used = screen.feed_within(&data, end - before);
            self.bytes -= used as u64;
            // What is dear counts at once, and is forgotten slowly.
            let byte_work = (screen.work() - before) / used.max(1) as u64;
            self.byte_work = byte_work.max(self.byte_work - self.byte_work / 4);
            if used < data.len() {
                self.queue.push_front(Waiting::Output(data.slice(used..)));
            }
        }
    }

    /// A piece with all that follows it up to a resize.
    fn joined(&mut self, data: Bytes) -> Bytes {
        if !matches!(self.queue.front(), Some(Waiting::Output(_))) {
            return data;
        }
        let mut joined = data.to_vec();
        while let Some(Waiting::Output(data)) = self.queue.front() {
            joined.extend_from_slice(data);
            self.queue.pop_front();
        }
        joined.into()
    }
}

//! Short messages in the status line.

use std::collections::VecDeque;

/// More messages than this at a time push out the oldest.
const TOAST_CAP: usize = 4;
/// How long a message of no weight stays, milliseconds: long enough to read a line.
const SHORT_MS: u64 = 4_000;
/// How long a warning or an error stays, milliseconds.
const LONG_MS: u64 = 9_000;

/// Weight of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something went well.
    Success,
    /// To heed.
    Warning,
    /// Something failed.
    Error,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// Its weight.
    pub severity: Severity,
    /// One line.
    pub text: String,
    until_ms: u64,
}

/// Messages not yet timed out, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Toasts {
    queue: VecDeque<Toast>,
}

impl Toasts {
    /// Says something; the same words again only last longer.
    pub fn push(&mut self, now_ms: u64, severity: Severity, text: impl Into<String>) {
        let text = text.into();
        let stay = if matches!(severity, Severity::Info | Severity::Success) { SHORT_MS } else { LONG_MS };
        self.queue.retain(|toast| toast.text != text);
        if self.queue.len() == TOAST_CAP {
            self.queue.pop_front();
        }
        self.queue.push_back(Toast { severity, text, until_ms: now_ms + stay });
    }

    /// The newest.
    pub fn newest(&self) -> Option<&Toast> {
        self.queue.back()
    }

    /// Drops what timed out; says whether anything was.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let before = self.queue.len();
        self.queue.retain(|toast| toast.until_ms > now_ms);
        self.queue.len() != before
    }

    /// Drops what is only good to know; says whether anything was.
    pub fn drop_hints(&mut self) -> bool {
        let before = self.queue.len();
        self.queue.retain(|toast| toast.severity != Severity::Info);
        self.queue.len() != before
    }

    /// Drops all: something weightier is shown now.
    pub fn clear(&mut self) {
        self.queue.clear();
    }
}

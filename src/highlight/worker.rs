//! Painting on a thread of its own: a text that takes too long, or that the expressions fail on, is shown plain.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Depth, Language, Painter, Theme};

/// How long a text may take beyond what it is given for its length.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that are to be painted in a second, at least: a tenth of what usual text takes.
const PACE: u32 = 100_000;

/// The thread's name, by which a panic hook knows that its panics cost nothing.
const NAME: &str = "highlight";

/// A thread that paints one text.
#[derive(Debug)]
pub struct Worker {
    lines_tx: SyncSender<String>,
    painted_rx: Receiver<String>,
    /// Time left for this text.
    left: Duration,
}

impl Worker {
    /// Starts at the beginning of a text; `None` if the system gives no thread.
    pub fn start(language: Language, theme: Theme, depth: Depth) -> Option<Worker> {
        let (lines_tx, lines_rx) = sync_channel::<String>(1);
        let (painted_tx, painted_rx) = sync_channel(1);
        let paint = move || {
            let mut painter = Painter::new(language, &theme, depth);
            for lines in lines_rx {
                let mut painted = String::with_capacity(lines.len() * 3);
                lines.split_inclusive('\n').for_each(|line| painter.line(line, &mut painted));
                if painted_tx.send(painted).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name(NAME.into()).spawn(paint).ok()?;
        Some(Worker { lines_tx, painted_rx, left: PATIENCE })
    }

    /// The next lines of the text, with their ends, in colours; `None` when that fails or takes too long, and then for the
    /// rest of the text.
    pub fn paint(&mut self, lines: String) -> Option<String> {
        self.left += Duration::from_secs(lines.len() as u64) / PACE;
        let began = Instant::now();
        self.lines_tx.send(lines).ok()?;
        let painted = self.painted_rx.recv_timeout(self.left).ok();
        // What is not used is not saved up without end.
        self.left = self.left.saturating_sub(began.elapsed()).min(PATIENCE);
        painted
    }

    /// Whether the running thread is such a worker: a panic there is nobody's end.
    pub fn is_here() -> bool {
        thread::current().name() == Some(NAME)
    }
}

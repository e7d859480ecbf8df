//! What is told of a command: as JSON, as lines under a machine's name, folded, and summed up.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::exit_code;
use super::writer::To;
use crate::cli::FAILED;
use crate::cli::clean::{line_parts, terminal_bytes};
use crate::cli::output::one_line;
use crate::client::ExecExit;

/// Longest line held back until its end; a longer one is cut there.
const LINE_CAP: usize = 64 * 1024;
/// Machines named in one part of the summary.
const NAMES_CAP: usize = 8;
/// Colours of machines in turn: cyan, green, yellow, magenta, blue, and their bright ones.
const COLOURS: [u8; 10] = [36, 32, 33, 35, 34, 96, 92, 93, 95, 94];

/// The first bytes of both outputs.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Kept {
    pub(super) stdout: BytesMut,
    pub(super) stderr: BytesMut,
    cap: usize,
    pub(super) is_truncated: bool,
    /// Both are one.
    is_merged: bool,
}

impl Kept {
    pub(super) fn new(cap: usize, is_merged: bool) -> Kept {
        Kept { cap, is_merged, ..Kept::default() }
    }

    pub(super) fn take(&mut self, to: To, chunk: &[u8]) {
        // An agent that knows of no merging sends both: as they come is as near as it gets.
        let kept = if to == To::Stdout || self.is_merged { &mut self.stdout } else { &mut self.stderr };
        let room = self.cap.saturating_sub(kept.len()).min(chunk.len());
        kept.extend_from_slice(&chunk[..room]);
        self.is_truncated |= room < chunk.len();
    }
}

/// One command on one machine as JSON.
#[derive(Serialize)]
pub(super) struct Report {
    hostname: String,
    command: String,
    exit_code: u8,
    /// What it wrote, in its order, or standard output alone; what is no UTF-8 is replaced.
    output: String,
    duration_ms: u64,
    /// Standard error, if it is apart.
    stderr: Option<String>,
    signal: Option<u32>,
    truncated: bool,
    timed_out: bool,
    /// Why it did not run or its end is not known.
    error: Option<String>,
    /// Display name, by which this joins with machines and sessions.
    machine: String,
}

impl Report {
    pub(super) fn ended(hostname: String, command: String, exit: &ExecExit, kept: Kept) -> Report {
        Report {
            machine: hostname.clone(),
            hostname,
            command,
            exit_code: exit_code(exit),
            output: String::from_utf8_lossy(&kept.stdout).into_owned(),
            duration_ms: exit.duration.as_millis() as u64,
            stderr: (!kept.is_merged).then(|| String::from_utf8_lossy(&kept.stderr).into_owned()),
            signal: exit.signal,
            truncated: kept.is_truncated,
            timed_out: exit.is_timed_out,
            error: None,
        }
    }

    pub(super) fn failed(hostname: String, command: String, error: String, kept: Kept) -> Report {
        let nothing = ExecExit { code: FAILED.into(), signal: None, is_timed_out: false, duration: Default::default() };
        Report { error: Some(error), ..Report::ended(hostname, command, &nothing, kept) }
    }
}

/// How it went on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// It ended with this code.
    Ended(u8),
    /// Its time was up.
    TimedOut,
    /// The machine refused it.
    Refused(String),
    /// The machine cannot be reached.
    Unreachable(String),
    /// It was not started any more.
    Skipped,
}

impl Outcome {
    pub(super) fn of(exit: &ExecExit) -> Outcome {
        if exit.is_timed_out { Outcome::TimedOut } else { Outcome::Ended(exit_code(exit)) }
    }
}

/// `6 machines: 4 ok, 1 failed (web-2: 1), 1 unreachable (edge-1)`.
pub(super) fn summary(outcomes: &[(String, Outcome)]) -> String {
    let part = |what: &str, pick: &dyn Fn(&str, &Outcome) -> Option<String>| {
        let picked: Vec<String> = outcomes.iter().filter_map(|(name, outcome)| pick(name, outcome)).collect();
        let count = picked.len();
        let mut names: Vec<String> = picked.into_iter().filter(|name| !name.is_empty()).collect();
        if names.len() > NAMES_CAP {
            names.truncate(NAMES_CAP);
            names.push("…".into());
        }
        match names.is_empty() {
            true if count == 0 => None,
            true => Some(format!("{count} {what}")),
            false => Some(format!("{count} {what} ({})", names.join(", "))),
        }
    };
    let parts = [
        part("ok", &|_, outcome| (*outcome == Outcome::Ended(0)).then(String::new)),
        part("failed", &|name, outcome| match outcome {
            Outcome::Ended(code) if *code != 0 => Some(format!("{name}: {code}")),
            Outcome::Refused(_) => Some(format!("{name}: refused")),
            _ => None,
        }),
        part("timed out", &|name, outcome| (*outcome == Outcome::TimedOut).then(|| name.to_string())),
        part("unreachable", &|name, outcome| matches!(outcome, Outcome::Unreachable(_)).then(|| name.to_string())),
        part("not started", &|_, outcome| (*outcome == Outcome::Skipped).then(String::new)),
    ];
    let count = outcomes.len();
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{count} machine{}: {}", if count == 1 { "" } else { "s" }, parts.join(", "))
}

/// 0 when it went well everywhere, 255 when no machine could be reached, else 1.
pub(super) fn code_of_all(outcomes: &[(String, Outcome)]) -> u8 {
    let all = |pick: fn(&Outcome) -> bool| outcomes.iter().all(|(_, outcome)| pick(outcome));
    if all(|outcome| *outcome == Outcome::Ended(0)) {
        0
    } else if all(|outcome| matches!(outcome, Outcome::Unreachable(_))) {
        FAILED
    } else {
        1
    }
}

/// Machines with the same end and the same output, in the order of their first.
pub(super) fn fold(results: Vec<(String, Outcome, Kept)>) -> Vec<(Vec<String>, Outcome, Kept)> {
    let mut groups: Vec<(Vec<String>, Outcome, Kept)> = Vec::new();
    let mut index: HashMap<(Outcome, Kept), usize> = HashMap::new();
    for (name, outcome, kept) in results {
        let at = *index.entry((outcome.clone(), kept.clone())).or_insert_with(|| {
            groups.push((Vec::new(), outcome, kept));
            groups.len() - 1
        });
        groups[at].0.push(name);
    }
    groups
}

/// Where lines go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineStyle {
    /// Names have colours.
    pub(super) is_coloured: bool,
    /// What machines wrote is cleaned; elsewhere it stays as it is.
    pub(super) is_terminal: bool,
}

/// Lines of one output of one machine, each behind its name. Whatever else than a line feed looks like a line's end to
/// somebody is followed by the name too, so that no output passes for another machine's.
pub(super) struct Lines {
    prefix: String,
    is_terminal: bool,
    rest: BytesMut,
}

impl Lines {
    /// `host | `, as wide as the longest name, in the colour of its turn.
    pub(super) fn new(name: &str, width: usize, turn: usize, style: LineStyle) -> Lines {
        let name = one_line(name);
        let prefix = match style.is_coloured {
            true => format!("\x1b[{}m{name:width$} |\x1b[0m ", COLOURS[turn % COLOURS.len()]),
            false => format!("{name:width$} | "),
        };
        Lines { prefix, is_terminal: style.is_terminal, rest: BytesMut::new() }
    }

    /// The lines that are whole now.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(chunk.len() + self.prefix.len() * 8);
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(line);
            if self.rest.ends_with(b"\n") || self.rest.len() >= LINE_CAP {
                self.end_line(&mut out);
            }
        }
        out.freeze()
    }

    /// The last line, if it has no end.
    pub(super) fn finish(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        if !self.rest.is_empty() {
            self.end_line(&mut out);
        }
        out.freeze()
    }

    fn end_line(&mut self, out: &mut BytesMut) {
        for (part, end) in line_parts(&self.rest) {
            out.extend_from_slice(self.prefix.as_bytes());
            if self.is_terminal {
                out.extend_from_slice(terminal_bytes(part).as_bytes());
                out.extend_from_slice(b"\n");
            } else {
                out.extend_from_slice(part);
                out.extend_from_slice(end);
            }
        }
        if !self.is_terminal && !self.rest.ends_with(b"\n") {
            out.extend_from_slice(b"\n");
        }
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(outcomes: &[(&str, Outcome)]) -> Vec<(String, Outcome)> {
        outcomes.iter().map(|(name, outcome)| (name.to_string(), outcome.clone())).collect()
    }

    #[test]
    fn the_summary_separates_what_went_wrong_how() {
        let all = named(&[
            ("web-1", Outcome::Ended(0)),
            ("web-2", Outcome::Ended(3)),
            ("db-1", Outcome::TimedOut),
            ("db-2", Outcome::Refused("no".into())),
            ("edge-1", Outcome::Unreachable("offline".into())),
        ]);
        assert_eq!(
            summary(&all),
            "5 machines: 1 ok, 2 failed (web-2: 3, db-2: refused), 1 timed out (db-1), 1 unreachable (edge-1)"
        );
        assert_eq!(code_of_all(&all), 1);
        assert_eq!(summary(&named(&[("a", Outcome::Ended(0))])), "1 machine: 1 ok");
        assert_eq!(code_of_all(&named(&[("a", Outcome::Ended(0))])), 0);
        assert_eq!(code_of_all(&named(&[("a", Outcome::Unreachable(String::new()))])), FAILED);
        let many: Vec<_> = (0..20).map(|n| (format!("m{n}"), Outcome::TimedOut)).collect();
        assert_eq!(summary(&many), "20 machines: 20 timed out (m0, m1, m2, m3, m4, m5, m6, m7, …)");
        let well: Vec<_> = (0..100).map(|n| (format!("m{n}"), Outcome::Ended(0))).collect();
        assert_eq!(summary(&well), "100 machines: 100 ok");
        let none: Vec<_> = (0..9).map(|n| (format!("m{n}"), Outcome::Skipped)).collect();
        assert_eq!(summary(&[well, none].concat()), "109 machines: 100 ok, 9 not started");
    }

    #[test]
    fn lines_come_whole_behind_their_machine() {
        let mut lines = Lines::new("db-1", 6, 0, LineStyle::default());
        assert_eq!(lines.take(b"on"), "");
        assert_eq!(lines.take(b"e\ntwo\nthr"), "db-1   | one\ndb-1   | two\n");
        assert_eq!(lines.finish(), "db-1   | thr\n");
        assert_eq!(lines.finish(), "");
        let coloured = Lines::new("db-1", 4, 1, LineStyle { is_coloured: true, is_terminal: false }).take(b"x\n");
        assert_eq!(coloured, "\x1b[32mdb-1 |\x1b[0m x\n");
        let endless = Lines::new("a", 1, 0, LineStyle::default()).take(&[b'x'; LINE_CAP]);
        assert_eq!(endless.len(), LINE_CAP + 5);
    }

    /// A CR, or what other programs take for a line's end, began a line that looked like another machine's.
    #[test]
    fn no_output_passes_for_another_machine_s() {
        let forged = "ok\rweb-9 | all well\u{2028}web-9 | yes\r\n";
        let mut piped = Lines::new("db", 2, 0, LineStyle::default());
        assert_eq!(piped.take(forged.as_bytes()), "db | ok\rdb | web-9 | all well\u{2028}db | web-9 | yes\r\n");
        let style = LineStyle { is_terminal: true, ..LineStyle::default() };
        let mut shown = Lines::new("d\x1b[2Jb", 2, 0, style);
        assert_eq!(
            shown.take(forged.as_bytes()),
            "d\u{fffd}[2Jb | ok\nd\u{fffd}[2Jb | web-9 | all well\nd\u{fffd}[2Jb | web-9 | yes\n"
        );
        let mut shown = Lines::new("db", 2, 0, style);
        assert_eq!(shown.take(b"\x1b[31mred\x1b]52;c;x\x07\n"), "db | \x1b[31mred\u{fffd}]52;c;x\u{fffd}\x1b[m\n");
    }

    #[test]
    fn equal_outputs_fold_and_different_ones_do_not() {
        let kept = |text: &str| {
            let mut kept = Kept::new(100, false);
            kept.take(To::Stdout, text.as_bytes());
            kept
        };
        let result = |name: &str, code, text| (name.to_string(), Outcome::Ended(code), kept(text));
        let groups = fold(vec![result("a", 0, "x"), result("b", 0, "y"), result("c", 0, "x"), result("d", 1, "x")]);
        let names: Vec<_> = groups.into_iter().map(|(names, ..)| names.join(",")).collect();
        assert_eq!(names, ["a,c", "b", "d"]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_so() {
        let mut kept = Kept::new(4, false);
        kept.take(To::Stdout, b"abc");
        assert!(!kept.is_truncated);
        kept.take(To::Stdout, b"def");
        assert_eq!((&kept.stdout[..], kept.is_truncated), (&b"abcd"[..], true));
    }
}

//! Tables and JSON on standard output.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{clean, raw};
use crate::fleet::{Machine, Session, SessionId, SessionStatus, Viewer, ago, visible};
use crate::runtime::now_ms;

/// Writes text to standard output, cleaned if that is a terminal; a reader that left early is no error.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    let text = if stdout.is_terminal() { clean::terminal_text(text) } else { text.into() };
    // Without a flush the end of a text without a line end is written when nobody hears of its failure.
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(err) if is_gone(&err) => Ok(()),
        outcome => outcome.map_err(|err| unwritten("standard output", &err)),
    }
}

/// What became of an output of ours, by its name, that could not be written; of the same kind as the system's error.
pub(super) fn unwritten(output: &str, err: &io::Error) -> io::Error {
    io::Error::new(err.kind(), format!("cannot write to {output}: {err}"))
}

/// Tells the person something on standard error, cleaned; takes what `format!` takes.
macro_rules! complain {
    ($($arg:tt)*) => {
        $crate::cli::output::complain_of(&format!($($arg)*))
    };
}
pub(super) use complain;

/// A line or more on standard error, cleaned; when it cannot be written there is nobody to be told.
pub(super) fn complain_of(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(text));
}

/// Asks for something on standard error; the answer is typed behind it.
pub(super) fn prompt(text: &str) {
    let _ = write!(io::stderr(), "{}", visible(text));
}

/// Whether an error is that of an output that nobody reads any more.
pub(super) fn is_nobody_reading(err: &color_eyre::eyre::Report) -> bool {
    err.chain().any(|err| err.downcast_ref::<io::Error>().is_some_and(is_gone))
}

/// A pipe nobody reads, or a terminal that was closed.
fn is_gone(err: &io::Error) -> bool {
    err.kind() == io::ErrorKind::BrokenPipe || err.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// "1 session", "2 sessions".
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A value as JSON for people and programs.
pub(super) fn json_text(value: &impl Serialize) -> String {
    // Only a map whose keys are no texts fails, and none is printed.
    let text = serde_json::to_string_pretty(value);
    clean::json(text.unwrap_or_else(|err| serde_json::json!({ "error": err.to_string() }).to_string())) + "\n"
}

/// A value as one line of JSON.
pub(super) fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(clean::json(serde_json::to_string(value)?) + "\n")
}

/// As `print` for what is cleaned already (a table, JSON) and may move the cursor; whether somebody still reads.
pub(super) fn print_on(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// Whether standard output may be coloured: a terminal that can, of somebody who has not refused (NO_COLOR).
pub(super) fn has_color() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The short form of each session's id; where two have the same one, the whole.
pub(super) fn short_ids(sessions: &[Session]) -> HashMap<SessionId, String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for session in sessions {
        *counts.entry(session.id().short()).or_default() += 1;
    }
    let shown = |id: SessionId| if counts[&id.short()] > 1 { id.to_string() } else { id.short() };
    sessions.iter().map(|session| (session.id(), shown(session.id()))).collect()
}

/// A column by its header, and what a narrow page does without: the highest number goes first, 0 stays.
pub(super) struct Column(pub(super) &'static str, pub(super) u8);

/// What a table is drawn on.
pub(super) struct Page {
    /// Columns; `None` for as many as it takes.
    pub(super) cols: Option<usize>,
    /// Lines.
    pub(super) rows: usize,
    /// Colours may be used.
    pub(super) has_color: bool,
}

/// Room between columns.
const GAP: usize = 2;

impl Page {
    /// Standard output: a terminal of some width, or a pipe without an edge.
    pub(super) fn of_stdout() -> Page {
        let size = Some(()).filter(|()| io::stdout().is_terminal()).and_then(|()| raw::terminal_size().ok());
        let rows = size.map_or(usize::MAX, |size| size.rows().into());
        Page { cols: size.map(|size| size.cols().into()), rows, has_color: has_color() }
    }

    /// Rows under a header; no line is wider than the page. `tint` gives a cell its colour (SGR).
    pub(super) fn table(
        &self,
        columns: &[Column],
        rows: &[Vec<String>],
        tint: impl Fn(usize, usize) -> Option<&'static str>,
    ) -> String {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
            cells.chain([columns[column].0.len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let mut kept: Vec<usize> = (0..columns.len()).collect();
        let taken = |kept: &[usize]| kept.iter().map(|at| widths[*at] + GAP).sum::<usize>().saturating_sub(GAP);
        while self.cols.is_some_and(|cols| taken(&kept) > cols) {
            match kept.iter().copied().filter(|at| columns[*at].1 > 0).max_by_key(|at| columns[*at].1) {
                Some(gone) => kept.retain(|at| *at != gone),
                None => break,
            }
        }
        let line = |cells: &dyn Fn(usize) -> String, sgr: &dyn Fn(usize) -> Option<&'static str>| {
            let mut text = String::new();
            let mut left = self.cols.unwrap_or(usize::MAX);
            for (index, at) in kept.iter().copied().enumerate() {
                let cell = cut(&cells(at), left);
                let is_last = index + 1 == kept.len();
                let pad = if is_last { 0 } else { (widths[at] + GAP).min(left).saturating_sub(cell.width()) };
                left = left.saturating_sub(cell.width() + pad);
                match sgr(at).filter(|_| self.has_color) {
                    Some(sgr) => text += &format!("\x1b[{sgr}m{cell}\x1b[0m"),
                    None => text += &cell,
                }
                text.extend(std::iter::repeat_n(' ', pad));
            }
            format!("{}\n", text.trim_end())
        };
        let head = line(&|at| columns[at].0.to_string(), &|_| None);
        let body = rows.iter().enumerate();
        body.fold(head, |text, (index, row)| text + &line(&|at| row[at].clone(), &|at| tint(index, at)))
    }
}

/// What another machine calls itself must not reach this terminal as an escape, nor as a line.
pub(super) fn one_line(text: &str) -> String {
    visible(&text.replace(['\n', '\t'], "\u{fffd}")).into_owned()
}

/// The text in at most so many columns.
fn cut(text: &str, cols: usize) -> String {
    if text.width() <= cols {
        return text.to_string();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + c.width().unwrap_or(0) + 1 > cols {
            break;
        }
        kept.push(c);
    }
    if cols == 0 { kept } else { kept + "…" }
}

/// Rows under a header, columns as wide as their widest cell; a narrow terminal does without the last ones.
pub(super) fn table(header: &[&'static str], rows: &[Vec<String>]) -> String {
    let columns: Vec<Column> = header.iter().enumerate().map(|(at, name)| Column(name, at.min(200) as u8)).collect();
    Page::of_stdout().table(&columns, rows, |_, _| None)
}

/// A machine as JSON.
pub(super) fn machine_json(machine: &Machine) -> serde_json::Value {
    let facts = &machine.facts;
    serde_json::json!({
        "machine_id": facts.id.to_string(),
        "name": facts.name,
        // As sessions and commands name their machine, to join by.
        "machine": facts.name,
        "hostname": facts.hostname,
        "status": if machine.is_online { "online" } else { "offline" },
        "os": facts.os,
        "kernel": facts.kernel,
        "arch": facts.arch,
        "cpus": facts.cpus,
        "memory_bytes": facts.memory_bytes,
        "labels": facts.labels,
        "version": facts.version,
        "load": machine.load.averages,
        "uptime_s": machine.load.uptime_s,
        "latency_us": machine.latency_us,
        "last_seen_ms": machine.last_seen_ms,
    })
}

/// A session as JSON, on its machine.
pub(super) fn session_json(session: &Session, machine: Option<&Machine>) -> serde_json::Value {
    let summary = &session.summary;
    serde_json::json!({
        "session_id": session.id().to_string(),
        "machine_id": session.machine.to_string(),
        "machine": machine.map(|machine| machine.facts.name.as_str()),
        "machine_hostname": machine.map_or("?", |machine| machine.facts.name.as_str()),
        "name": session.display_name(),
        "status": SessionStatus::of(session, machine, now_ms()).to_string(),
        "workspace_id": session.spec.workspace,
        "pid": session.pid,
        "created_at_ms": session.created_ms,
        "connected_at_ms": machine.map(|machine| session.created_ms.max(machine.connected_ms)),
        "last_heartbeat_at_ms": machine.map(|machine| machine.last_seen_ms),
        "last_output_at_ms": summary.last_output_ms,
        "attached_at_ms": summary.attached_ms,
        "title": summary.title,
        "cwd": summary.cwd,
        "rows": summary.size.rows(),
        "cols": summary.size.cols(),
        "output_bytes": summary.offset,
        "drivers": summary.drivers,
        "observers": summary.observers,
        "attached_clients": summary.clients.iter().map(client_json).collect::<Vec<_>>(),
        "exit_code": summary.exit.map(|exit| exit.code),
    })
}

fn client_json(client: &Viewer) -> serde_json::Value {
    serde_json::json!({
        "number": client.number,
        "role": client.role.to_string(),
        "principal": client.principal,
        "label": client.label,
        "rows": client.size.rows(),
        "cols": client.size.cols(),
    })
}

/// How a session is doing, in the words of its JSON, and how its program ended.
pub(super) fn session_status(session: &Session, machine: Option<&Machine>) -> String {
    let status = SessionStatus::of(session, machine, now_ms());
    match session.summary.exit {
        Some(exit) => format!("{status} ({exit})"),
        None => status.to_string(),
    }
}

/// A session as lines for people.
pub(super) fn session_text(session: &Session, machine: Option<&Machine>) -> String {
    let summary = &session.summary;
    let now = now_ms();
    let status = session_status(session, machine);
    let or_dash = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
    let lines = [
        ("Session", session.id().to_string()),
        ("Name", session.display_name().to_string()),
        ("Machine", machine.map_or("?".to_string(), |machine| machine.facts.name.clone())),
        ("Status", status),
        ("Clients", format!("{} driving, {} observing", summary.drivers, summary.observers)),
        ("Size", format!("{}x{}", summary.size.cols(), summary.size.rows())),
        ("Title", or_dash(&summary.title)),
        ("Directory", or_dash(&summary.cwd)),
        ("Process", session.pid.to_string()),
        ("Created", format!("{} ago", ago(session.created_ms, now))),
        ("Attached", summary.attached_ms.map_or("never".into(), |at| format!("{} ago", ago(at, now)))),
        ("Output", summary.last_output_ms.map_or("none yet".into(), |at| format!("{} ago", ago(at, now)))),
    ];
    lines.iter().map(|(name, value)| format!("{name}:{:1$}{value}\n", "", 11 - name.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column("NAME", 0), Column("LOAD", 2), Column("LABELS", 1)];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 3]| cells.map(str::to_string).to_vec();
        vec![row(["web-1", "0.10", "role=web"]), row(["数据库", "1.00", "role=db\x1b[2J"])]
    }

    fn drawn(cols: Option<usize>, has_color: bool) -> String {
        let page = Page { cols, rows: 24, has_color };
        page.table(&COLUMNS, &rows(), |_, column| (column == 1).then_some("32"))
    }

    #[test]
    fn columns_align_by_width_and_escapes_are_shown_not_sent() {
        assert_eq!(
            drawn(None, false),
            "NAME    LOAD  LABELS\nweb-1   0.10  role=web\n数据库  1.00  role=db\u{fffd}[2J\n"
        );
        assert!(drawn(None, true).contains("web-1   \x1b[32m0.10\x1b[0m  role=web\n"));
    }

    #[test]
    fn a_narrow_terminal_does_without_columns_and_wraps_nothing() {
        assert_eq!(drawn(Some(20), false), "NAME    LABELS\nweb-1   role=web\n数据库  role=db\u{fffd}[2J\n");
        assert_eq!(drawn(Some(12), false), "NAME\nweb-1\n数据库\n");
        assert_eq!(drawn(Some(4), false), "NAME\nweb…\n数…\n");
        for cols in 0..40 {
            assert!(drawn(Some(cols), false).lines().all(|line| line.width() <= cols), "{cols}");
        }
    }
}

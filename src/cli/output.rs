//! Tables and JSON on standard output.

use std::io::{self, Write};

use crate::fleet::{Machine, Session, SessionStatus};
use crate::runtime::now_ms;

/// Writes text to standard output; a reader that left early is no error.
pub(super) fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Rows under a header, columns as wide as their widest cell.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let head = line(header.to_vec());
    rows.iter().fold(head, |text, row| text + &line(row.iter().map(String::as_str).collect()))
}

/// How long ago, for people: "4 min".
pub(super) fn ago(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// A machine as JSON.
pub(super) fn machine_json(machine: &Machine) -> serde_json::Value {
    let facts = &machine.facts;
    serde_json::json!({
        "machine_id": facts.id.to_string(),
        "name": facts.name,
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
        "machine_hostname": machine.map_or("?", |machine| machine.facts.name.as_str()),
        "name": session.display_name(),
        "status": SessionStatus::of(session, machine, now_ms()).to_string(),
        "workspace_id": session.spec.workspace,
        "pid": session.pid,
        "created_at_ms": session.created_ms,
        "connected_at_ms": machine.map(|machine| session.created_ms.max(machine.connected_ms)),
        "last_heartbeat_at_ms": machine.map(|machine| machine.last_seen_ms),
        "last_output_at_ms": summary.last_output_ms,
        "title": summary.title,
        "cwd": summary.cwd,
        "rows": summary.size.rows(),
        "cols": summary.size.cols(),
        "output_bytes": summary.offset,
        "drivers": summary.drivers,
        "observers": summary.observers,
        "attached_clients": summary.drivers + summary.observers,
        "exit_code": summary.exit.map(|exit| exit.code),
    })
}

/// A session as lines for people.
pub(super) fn session_text(session: &Session, machine: Option<&Machine>) -> String {
    let summary = &session.summary;
    let now = now_ms();
    let status = SessionStatus::of(session, machine, now);
    let status = match summary.exit {
        Some(exit) => format!("{status} ({exit})"),
        None => status.to_string(),
    };
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
        ("Output", summary.last_output_ms.map_or("none yet".into(), |at| format!("{} ago", ago(at, now)))),
    ];
    lines.iter().map(|(name, value)| format!("{name}:{:1$}{value}\n", "", 11 - name.len())).collect()
}

/// JSON, indented, with its line's end.
pub(super) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

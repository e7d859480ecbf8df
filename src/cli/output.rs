//! Tables and JSON on standard output.

use std::io::{self, Write};

use crate::fleet::{Machine, Session};

/// Writes text to standard output; a reader that left early is no error.
pub(super) fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// A value as JSON for people and programs.
pub(super) fn json_text(value: &serde_json::Value) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
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

/// A session as JSON; `hostname` is its machine's.
pub(super) fn session_json(session: &Session, hostname: &str) -> serde_json::Value {
    let summary = &session.summary;
    serde_json::json!({
        "session_id": session.id().to_string(),
        "machine_hostname": hostname,
        "name": session.display_name(),
        "workspace_id": session.spec.workspace,
        "pid": session.pid,
        "created_at_ms": session.created_ms,
        "title": summary.title,
        "rows": summary.size.rows(),
        "cols": summary.size.cols(),
        "output_bytes": summary.offset,
        "drivers": summary.drivers,
        "observers": summary.observers,
        "attached_clients": summary.drivers + summary.observers,
        "exit_code": summary.exit.map(|exit| exit.code),
    })
}

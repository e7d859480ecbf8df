//! Entries as lines and JSON. A name may hold any bytes: none of them reaches a terminal as more than a character.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use serde_json::{Value, json};

use crate::cli::output::{Column, Page};
use crate::client::{FileMatch, SearchResult};
use crate::fleet::FileEntry;

/// A name as text: what does not show is written as Rust writes it (`\n`, `\u{1b}`), what is no text as `\xff`.
pub(super) fn name(name: &OsStr) -> String {
    text(name.as_bytes())
}

fn text(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '"' => shown.push(c),
                c => shown.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            shown += &format!("\\x{byte:02x}");
        }
    }
    shown
}

/// `ls -l`.
pub(super) fn long(entries: &[FileEntry]) -> String {
    let columns =
        [Column("MODE", 1), Column("OWNER", 4), Column("SIZE", 2), Column("MODIFIED (UTC)", 3), Column("NAME", 0)];
    let width = entries.iter().map(|entry| entry.size.to_string().len()).max().unwrap_or(0);
    let row = |entry: &FileEntry| {
        let target = entry.target.as_deref().map_or_else(String::new, |target| format!(" -> {}", path_text(target)));
        vec![
            entry.mode_text(),
            format!("{}:{}", entry.owner, entry.group),
            format!("{:>width$}", entry.size),
            time(entry.modified_ms),
            format!("{}{target}", name(entry.name())),
        ]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    Page::of_stdout()
        .table(&columns, &rows, |row, column| (column == 4 && entries[row].is_directory()).then_some("1;34"))
}

/// One entry as lines.
pub(super) fn lines(entry: &FileEntry) -> String {
    let mut lines = vec![
        ("Path", path_text(&entry.path)),
        ("Type", entry.kind.name().to_string()),
        ("Size", entry.size.to_string()),
        ("Mode", format!("{} ({:04o})", entry.mode_text(), entry.mode)),
        ("Owner", format!("{}:{}", text(entry.owner.as_bytes()), text(entry.group.as_bytes()))),
        ("Modified", format!("{} UTC", time(entry.modified_ms))),
    ];
    if let Some(target) = &entry.target {
        lines.push(("Leads to", path_text(target)));
    }
    lines.iter().map(|(name, value)| format!("{name}:{:1$}{value}\n", "", 10 - name.len())).collect()
}

/// A file that a search found, and its lines.
pub(super) fn found(found: &FileMatch) -> String {
    let path = path_text(&found.entry.path);
    if found.lines.is_empty() {
        return format!("{path}\n");
    }
    let mut shown = String::new();
    for line in &found.lines {
        let before =
            line.before.iter().rev().enumerate().rev().map(|(index, text)| (line.number - 1 - index as u64, text));
        for (number, around) in before {
            shown += &format!("{path}-{number}-{}\n", text(around));
        }
        shown += &format!("{path}:{}:{}\n", line.number, text(&line.text));
        for (index, around) in line.after.iter().enumerate() {
            shown += &format!("{path}-{}-{}\n", line.number + 1 + index as u64, text(around));
        }
    }
    shown
}

pub(super) fn json(entry: &FileEntry) -> Value {
    let mut value = json!({
        "name": entry.name().to_string_lossy(),
        "path": entry.path.to_string_lossy(),
        "type": entry.kind.name(),
        "size": entry.size,
        "mode": format!("{:04o}", entry.mode),
        "owner": entry.owner,
        "group": entry.group,
        "modified_ms": entry.modified_ms,
        "target": entry.target.as_deref().map(Path::to_string_lossy),
        "readable": entry.is_readable,
        "writable": entry.is_writable,
    });
    // JSON is text: a path that is none is whole here only.
    if entry.path.to_str().is_none() {
        value["path_base64"] =
            base64::engine::general_purpose::STANDARD.encode(entry.path.as_os_str().as_bytes()).into();
    }
    value
}

pub(super) fn result_json(result: &SearchResult) -> Value {
    let lossy = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let found = |found: &FileMatch| {
        let line = |line: &crate::client::LineMatch| {
            json!({
                "number": line.number,
                "text": lossy(&line.text),
                "start": line.start,
                "end": line.end,
                "before": line.before.iter().map(lossy).collect::<Vec<_>>(),
                "after": line.after.iter().map(lossy).collect::<Vec<_>>(),
            })
        };
        json!({ "entry": json(&found.entry), "lines": found.lines.iter().map(line).collect::<Vec<_>>() })
    };
    json!({
        "matches": result.matches.iter().map(found).collect::<Vec<_>>(),
        "truncated": result.is_truncated,
        "files": result.files,
        "directories": result.directories,
        "duration_ms": result.duration.as_millis() as u64,
    })
}

fn path_text(path: &Path) -> String {
    name(path.as_os_str())
}

/// A time of the Gregorian calendar, to the minute.
fn time(ms: i64) -> String {
    let minutes = ms.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    // Years that begin in March have their leap day at the end.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_more_than_characters() {
        assert_eq!(text(b"plain name's \"x\" \xc3\xa9"), "plain name's \"x\" é");
        assert_eq!(text(b"a\nb\x1b[2J\x07\xff\\"), "a\\nb\\u{1b}[2J\\u{7}\\xff\\\\");
        assert_eq!(text("a\u{202e}b\u{9b}".as_bytes()), "a\\u{202e}b\\u{9b}", "nothing turns the line around");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00");
        assert_eq!(time(-60_000), "1969-12-31 23:59");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00");
        assert_eq!(time(1_795_262_400_000), "2026-11-21 12:00");
    }
}

//! Who may import whom, and which third-party names are fenced: the table of the house, read from the `use` paths.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Role → modules it may name as `crate::…`; itself is always allowed. A deeper path allows that part only.
const MAY: &[(&str, &[&str])] = &[
    ("fleet", &[]),
    ("stream", &["fleet"]),
    ("term", &["fleet", "stream"]),
    ("rules", &["fleet", "term"]),
    ("wire", &["fleet", "stream"]),
    ("config", &["fleet"]),
    ("runtime", &["config"]),
    ("keeper", &["fleet", "stream", "term", "rules", "runtime", "wire", "config::paths"]),
    ("agent", &["fleet", "stream", "rules", "wire", "config", "runtime", "keeper::launch", "keeper::link"]),
    ("relay", &["fleet", "stream", "wire", "config", "runtime"]),
    ("client", &["fleet", "stream", "rules", "wire", "config", "runtime"]),
    ("highlight", &["fleet"]),
    ("tui", &["fleet", "stream", "term", "rules", "config", "runtime", "client"]),
    (
        "cli",
        &[
            "fleet",
            "stream",
            "term",
            "rules",
            "wire",
            "config",
            "runtime",
            "keeper",
            "agent",
            "relay",
            "client",
            "tui",
            "highlight",
        ],
    ),
];

/// Third-party crate → the places that may name it.
const FENCES: &[(&str, &[&str])] = &[
    ("vt100", &["term"]),
    ("prost", &["wire"]),
    ("ratatui", &["tui"]),
    ("indicatif", &["cli"]),
    ("syntect", &["highlight"]),
    ("anstyle", &["highlight"]),
    ("anstyle_lossy", &["highlight"]),
    ("redb", &["relay/store"]),
    ("toml_edit", &["agent/permissions/edit.rs"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli/cmd/completions.rs"]),
    ("clap_mangen", &["cli/cmd/completions.rs"]),
    ("color_eyre", &["cli"]),
    ("pty_process", &["keeper/pty.rs"]),
    (
        "tonic",
        &[
            "wire",
            "relay/grpc.rs",
            "relay/cmdop",
            "relay/exec.rs",
            "relay/files.rs",
            "relay/lane.rs",
            "relay/principal.rs",
            "relay/auth",
            "relay/admin.rs",
            "relay/admin",
            "relay/serve.rs",
            "relay/gate.rs",
            "relay/body.rs",
            "relay/socket.rs",
            "relay/event.rs",
            "relay/hub",
            "relay/hub.rs",
            "relay/outgoing.rs",
            "agent/link.rs",
            "client/connection.rs",
            "client/connection",
        ],
    ),
    ("http_body", &["relay/body.rs"]),
    ("tokio_rustls", &["wire/tls.rs", "wire/serve_tls.rs", "wire/validity.rs"]),
    ("rcgen", &["relay/auth/authority.rs"]),
    (
        "ring",
        &[
            "wire/tls.rs",
            "wire/serve_tls.rs",
            "wire/validity.rs",
            "relay/auth/keyring.rs",
            "agent/permissions/password.rs",
        ],
    ),
    (
        "tokio",
        &[
            "keeper/launch.rs",
            "keeper/link.rs",
            "runtime",
            "wire/dial.rs",
            "wire/first_byte.rs",
            "wire/tls.rs",
            "wire/serve_tls.rs",
            "agent",
            "relay",
            "client",
            "tui",
            "cli",
        ],
    ),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                walk(&entry.path(), out);
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                out.push(entry.path());
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let relative = |path: PathBuf| (path.strip_prefix(&src).unwrap().to_path_buf(), fs::read_to_string(&path).unwrap());
    files.into_iter().map(relative).filter(|(path, _)| !path.starts_with("wire/generated")).collect()
}

/// Code without comments: what follows `//` on a line says nothing about imports.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Paths after `crate::`, with one level of braces unfolded.
fn crate_paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let is_word = at > 0 && text.as_bytes()[at - 1].is_ascii_alphanumeric();
        if is_word {
            continue;
        }
        let rest = &text[at + 7..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let head = &rest[..end];
        if rest[end..].starts_with('{') && !head.contains("::{") {
            let inside = rest[end + 1..].split('}').next().unwrap_or("");
            paths.extend(inside.split(',').map(|name| format!("{head}{}", name.trim())));
        } else {
            paths.push(head.to_string());
        }
    }
    paths
}

#[test]
fn every_import_is_in_the_table() {
    let table: BTreeMap<&str, &[&str]> = MAY.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let first = path.iter().next().unwrap().to_str().unwrap();
        if path.components().count() == 1 {
            continue;
        }
        let allowed =
            table.get(first).unwrap_or_else(|| panic!("src/{first} is not in the table of tests/layering.rs"));
        for target in crate_paths(&code(&text)) {
            let module = target.split("::").next().unwrap();
            let is_module = table.contains_key(module);
            let fits = |may: &&str| {
                target == **may || target.starts_with(&format!("{may}::")) || may.starts_with(&format!("{target}::"))
            };
            if is_module && module != first && !allowed.iter().any(fits) {
                wrong.push(format!("{} names crate::{target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that are not in the table:\n{}", wrong.join("\n"));
}

#[test]
fn third_party_names_stay_behind_their_fences() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (name, places) in FENCES {
            let named = code(&text).lines().any(|line| {
                line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    at == 0 || !line.as_bytes()[at - 1].is_ascii_alphanumeric() && !line[..at].ends_with(['_', ':'])
                })
            });
            if named && !places.iter().any(|place| path.starts_with(place)) {
                wrong.push(format!("{} names {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "names outside their fence:\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_touch_neither_files_nor_sockets_nor_clocks() {
    let banned = ["std::fs", "std::net", "std::process", "SystemTime", "Instant::now", "std::thread"];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let is_pure = path.starts_with("fleet")
            || path.starts_with("stream")
            || path.starts_with("rules")
            || path.ends_with("core.rs")
            || ["action", "pattern", "rule", "rules", "subject", "words"]
                .iter()
                .any(|of| path == Path::new(&format!("agent/permissions/{of}.rs")))
            || path.starts_with("keeper/core");
        for name in banned.iter().filter(|name| is_pure && code(&text).contains(*name)) {
            wrong.push(format!("{} uses {name}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

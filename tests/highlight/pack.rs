//! The packs under `src/highlight` from the collections they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use syntect::dumps::{dump_binary, dump_to_uncompressed_file};
use syntect::highlighting::Theme;
use syntect::parsing::{SyntaxDefinition, SyntaxSet};

use crate::{grammar, vscode};

/// Licences that ask for no more than that they are passed on.
const LICENCES: [&str; 4] = ["MIT", "Apache-2.0", "ISC", "BSD-3-Clause"];

/// What is made, each with the name of its file in the repository.
pub(crate) struct Packs {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) files: [(&'static str, &'static str); 3],
    /// Expressions that were left out.
    pub(crate) bad: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn package(name: &str) -> PathBuf {
    let dir = root().join("target/highlight/node_modules").join(name);
    assert!(dir.is_dir(), "{} is missing: run tests/highlight/install", dir.display());
    dir
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Files and licence of each part of a package's notice, and the text.
fn notices(package_name: &str) -> Vec<(Vec<String>, String, String)> {
    let text = fs::read_to_string(package(package_name).join("NOTICE")).unwrap();
    let parts = text.split("\nFiles:").skip(1).map(|part| {
        let (head, text) = part.split_once("\n---").unwrap();
        let mut lines = head.lines();
        let files = lines.next().unwrap().split(',').map(|file| file.trim().trim_end_matches(".json").to_string());
        let files = files.collect();
        let spdx = lines.find_map(|line| line.strip_prefix("SPDX:")).unwrap_or_default().trim().to_string();
        let text = text.trim_start_matches('-').split("\n====").next().unwrap().trim().to_string();
        (files, spdx, text)
    });
    parts.collect()
}

pub(crate) fn make() -> Packs {
    let dir = tempfile::tempdir().unwrap();
    let mut notice = String::from(
        "fleetmux is under the MIT licence (LICENSE). `fleetmux highlight` uses syntax definitions and themes by others, \
         under these licences.\n",
    );
    let (set, ids, bad) = languages();
    dump_to_uncompressed_file(&set, dir.path().join("languages.bin")).unwrap();
    let themes = themes(&mut notice, &ids);
    dump_to_uncompressed_file(&themes, dir.path().join("themes.bin")).unwrap();
    fs::write(dir.path().join("NOTICE"), notice).unwrap();
    let files = [
        ("languages.bin", "src/highlight/languages.bin"),
        ("themes.bin", "src/highlight/themes.bin"),
        ("NOTICE", "NOTICE"),
    ];
    Packs { dir, files, bad }
}

/// All languages as one set; and the names of the grammars that are in it.
fn languages() -> (SyntaxSet, BTreeSet<String>, Vec<String>) {
    let grammars = package("tm-grammars").join("grammars");
    let table = fs::read_to_string(root().join("tests/highlight/languages.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    // Its contexts refer to each other by number: it stays in front, whole.
    let mut builder = two_face::syntax::extra_newlines().into_builder();
    let mut known: BTreeSet<String> = builder.syntaxes().iter().map(|syntax| syntax.scope.to_string()).collect();
    let taken: BTreeSet<String> = builder.syntaxes().iter().flat_map(|syntax| syntax.file_extensions.clone()).collect();
    let read = |id: &str| json(&grammars.join(format!("{id}.json")));
    for row in &rows {
        known.insert(read(row[0])["scopeName"].as_str().unwrap().to_string());
    }
    let mut bad = Vec::new();
    for row in &rows {
        let [id, name, extensions] = row[..] else { panic!("three columns: {row:?}") };
        let extensions: Vec<String> =
            extensions.split(',').filter(|part| !part.is_empty() && !taken.contains(*part)).map(String::from).collect();
        let (text, left) =
            grammar::syntax(&read(id), name.trim_start_matches('.'), &extensions, name.starts_with('.'), &known);
        bad.extend(left.into_iter().map(|regex| format!("{id}: {regex}")));
        builder.add(
            SyntaxDefinition::load_from_str(&text, true, None).unwrap_or_else(|err| panic!("{id}: {err}\n{text}")),
        );
    }
    (builder.build(), rows.iter().map(|row| row[0].to_string()).collect(), bad)
}

/// All themes by name, each packed by itself: one is used at a time.
fn themes(notice: &mut String, grammars: &BTreeSet<String>) -> BTreeMap<String, Vec<u8>> {
    let dir = package("tm-themes");
    let mut themes: BTreeMap<String, Theme> = BTreeMap::new();
    let theirs = two_face::theme::extra();
    for name in two_face::theme::EmbeddedLazyThemeSet::theme_names() {
        themes.insert(
            name.as_name().to_lowercase().replace([' ', '_'], "-").replace(['(', ')'], ""),
            theirs[*name].clone(),
        );
    }
    let mut used = BTreeSet::new();
    let allowed: Vec<_> = notices("tm-themes").into_iter().filter(|part| LICENCES.contains(&part.1.as_str())).collect();
    for (files, _, _) in &allowed {
        for id in files {
            used.insert(id.clone());
            themes.insert(id.clone(), vscode::theme(id, &json(&dir.join(format!("themes/{id}.json")))));
        }
    }
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut covered = BTreeSet::new();
    for (kind, parts, wanted) in [("grammar", notices("tm-grammars"), grammars), ("theme", allowed, &used)] {
        for (files, spdx, text) in parts {
            let of_ours: Vec<&String> = files.iter().filter(|file| wanted.contains(*file)).collect();
            for file in of_ours {
                assert!(LICENCES.contains(&spdx.as_str()), "{kind} {file} is under {spdx}");
                covered.insert((kind, file.clone()));
                texts.entry(text.clone()).or_default().push(format!("{kind} {file} ({spdx})"));
            }
        }
    }
    for id in grammars {
        assert!(covered.contains(&("grammar", id.clone())), "no licence of grammar {id} is known");
    }
    let mut texts: Vec<(Vec<String>, String)> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    texts.sort();
    for (names, text) in texts {
        let _ = write!(notice, "\n{}\n{}\n\n{text}\n", "=".repeat(100), names.join(", "));
    }
    let _ = write!(notice, "\n{}\nThe other syntaxes and themes, as bat and two-face have them:\n\n", "=".repeat(100));
    notice.push_str(&two_face::acknowledgement::listing().to_md());
    themes.into_iter().map(|(name, theme)| (name, dump_binary(&theme))).collect()
}

//! The highlighter's languages and themes: made of the collections that they come from, and each of them works.
//! `FLEETMUX_REGENERATE=1 cargo test --test highlight` writes the packs anew.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

#[path = "highlight/grammar.rs"]
mod grammar;
#[path = "highlight/pack.rs"]
mod pack;
#[path = "highlight/vscode.rs"]
mod vscode;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fleetmux::highlight::{Depth, Language, Languages, Painter, theme, theme_names};
use regex::Regex;

#[test]
fn the_packs_are_what_the_collections_make() {
    let packs = pack::make();
    for (name, committed) in packs.files {
        let fresh = fs::read(packs.dir.path().join(name)).unwrap();
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(committed);
        if std::env::var_os("FLEETMUX_REGENERATE").is_some() {
            fs::write(&committed, &fresh).unwrap();
        }
        let kept = fs::read(&committed).unwrap_or_default();
        assert!(kept == fresh, "{name} is stale: run FLEETMUX_REGENERATE=1 cargo test --test highlight");
    }
    for bad in &packs.bad {
        println!("{bad}");
    }
    assert!(packs.bad.len() < 40, "expressions that do not compile: {:#?}", packs.bad);
}

/// Text without the colours, which are all that may be in it beside text.
fn uncoloured(painted: &str) -> String {
    let colours = Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let text = colours.replace_all(painted, "");
    assert!(!text.contains('\x1b'), "nothing but colours: {text:?}");
    text.into_owned()
}

fn colours(painted: &str) -> BTreeSet<&str> {
    painted.split('\x1b').skip(1).filter_map(|part| part.split_once('m')).map(|(sgr, _)| sgr).collect()
}

fn painted(language: Language, text: &str) -> String {
    let theme = theme("monokai").unwrap();
    let mut painter = Painter::new(language, &theme, Depth::True);
    let mut out = String::new();
    text.split_inclusive('\n').for_each(|line| painter.line(line, &mut out));
    out
}

#[test]
fn there_are_at_least_285_languages_and_70_themes() {
    let names: BTreeSet<&str> = Languages::get().all().iter().map(Language::name).collect();
    assert!(names.len() >= 285, "{}", names.len());
    let folded: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), names.len(), "none is counted twice for its case");
    let themes: Vec<&str> = theme_names().collect();
    assert!(themes.len() >= 70, "{}", themes.len());
    let mut looks = BTreeSet::new();
    let rust = Languages::get().find("rust").unwrap();
    for name in themes {
        let theme = theme(name).unwrap();
        let mut painter = Painter::new(rust, &theme, Depth::True);
        let mut out = String::new();
        painter.line("/// A port.\nfn port(name: &str) -> u16 { 7443 } // \"x\"", &mut out);
        assert!(colours(&out).len() > 2, "{name}: {out:?}");
        looks.insert(out);
    }
    assert!(looks.len() >= 70, "they differ: {}", looks.len());
}

/// One file for each language: it is recognised, everything in it is shown, and it is not all of one colour.
#[test]
fn every_language_colours_its_sample() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/highlight");
    let table = fs::read_to_string(dir.join("samples.tsv")).unwrap();
    let (mut sampled, mut bad) = (BTreeSet::new(), Vec::new());
    for line in table.lines() {
        let (file, name) = line.split_once('\t').unwrap();
        let text = fs::read_to_string(dir.join("samples").join(file)).unwrap();
        let Some(language) = Languages::get().find(name).filter(|language| language.name() == name) else {
            bad.push(format!("{name} is no language"));
            continue;
        };
        sampled.insert(name.to_string());
        let first = text.lines().next().unwrap_or_default();
        let found = Languages::get().of_file(Path::new(file), first);
        let is_claimed = language.extensions().iter().any(|extension| file.ends_with(&format!(".{extension}")));
        // Of which the other one is a part.
        let is_wider = name == "JavaScript" && found.name() == "JavaScript (Babel)";
        if is_claimed && found.name() != name && !is_wider {
            bad.push(format!("{file} is taken for {}", found.name()));
        }
        let painted = painted(language, &text);
        if uncoloured(&painted) != text {
            bad.push(format!("{file} is not shown whole"));
        }
        if colours(&painted).len() < 3 && name != "Plain Text" {
            bad.push(format!("{file} has {:?}", colours(&painted)));
        }
    }
    let all: BTreeSet<String> = Languages::get().all().iter().map(|language| language.name().to_string()).collect();
    bad.extend(all.difference(&sampled).map(|name| format!("{name} has no sample")));
    assert!(bad.is_empty(), "{}:\n{}", bad.len(), bad.join("\n"));
}

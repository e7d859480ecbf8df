//! What README says to users of the SDKs: each of its blocks, run as it is printed, one after the other.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::world::{Listen, World};

const README: &str = include_str!("../../README.md");
const HEADING: &str = "\n## Python and Node SDKs\n";

/// Language and text of the section's fenced blocks.
fn blocks(section: &str) -> Vec<(&str, &str)> {
    section.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').expect("a language")).collect()
}

/// Runs a block in the way of its language, and what it prints.
fn run(world: &World, dir: &Path, key: &str, (language, text): (&str, &str)) -> String {
    let program = match language {
        "sh" => "sh",
        "js" => "node",
        "python" => "python3",
        other => panic!("nobody runs {other}"),
    };
    let file = dir.join(format!("block.{language}"));
    fs::write(&file, text).unwrap();
    // Nothing here waits for long; a block that hangs fails.
    let mut command = world.reader("timeout");
    command.args(["60", program]).args((language == "sh").then_some("-e")).arg(&file).current_dir(dir);
    let output = command.env("CMDOP_API_KEY", key).env("MACHINE", "web-one").output().unwrap();
    assert!(output.status.success(), "{text}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_block_of_readme_does_what_readme_says() {
    let section = README.split(HEADING).nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    let version = include_str!("node/package.json").split("\"@cmdop/node\": \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    assert!(section.contains(&format!("npm install @cmdop/node@{version}`")), "the tested version is the named one");

    let world = World::start(Listen::Tls, &["web-one"]);
    let dir = tempfile::tempdir().unwrap();
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto"), dir.path().join("proto")).unwrap();
    let blocks = blocks(section);
    let languages: Vec<&str> = blocks.iter().map(|(language, _)| *language).collect();
    assert_eq!(languages, ["sh", "js", "sh", "python"]);
    let key = run(&world, dir.path(), "", blocks[0]).trim().to_string();
    assert!(key.starts_with("cmdop_"), "{key}");
    let node = run(&world, dir.path(), &key, blocks[1]);
    run(&world, dir.path(), &key, blocks[2]);
    let python = run(&world, dir.path(), &key, blocks[3]);
    for said in [&node, &python] {
        assert!(said.contains("web-one connected\n") && said.contains("42 is the answer"), "{said}");
    }
    assert!(node.contains("Linux 0\n"), "{node}");
}

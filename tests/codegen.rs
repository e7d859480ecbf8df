//! The generated code under `src/wire/generated` is what `proto/` says.
//! `FLEETMUX_REGENERATE=1 cargo test --test codegen` writes it anew.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::fs;
use std::path::Path;

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let mut files =
        ["session", "fleet", "exec", "files", "admin"].map(|name| format!("fleetmux/v1/{name}.proto")).to_vec();
    files.push("cmdop/terminal.proto".into());
    let descriptors = protox::compile(files, [root.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .bytes(".")
        .extern_path(".fleetmux.v1.SharedFleetEvent", "crate::wire::SharedFleetEvent")
        .out_dir(out.path())
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .unwrap();
    for name in ["fleetmux.v1.rs", "terminal.rs"] {
        let fresh = fs::read_to_string(out.path().join(name)).unwrap();
        let committed = root.join("src/wire/generated").join(name);
        if std::env::var_os("FLEETMUX_REGENERATE").is_some() {
            fs::write(&committed, &fresh).unwrap();
        }
        let kept = fs::read_to_string(&committed).unwrap_or_default();
        assert!(kept == fresh, "{name} is stale: run FLEETMUX_REGENERATE=1 cargo test --test codegen");
    }
}

//! `cargo fuzz run agent`: see `../targets/frames.rs`.
#![no_main]

#[allow(dead_code, reason = "the generators are for the plain loop")]
#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::frames::agent::run(data));

//! Fuzz targets: what each does with bytes, and how bytes are made up for it where no coverage guides.
//!
//! A new one is a file here with `run` and `generate`, a line in [`TARGETS`], and a `fuzz_targets/NAME.rs` for cargo-fuzz.

pub mod escapes;
pub mod frames;
pub mod keyframe;
pub mod random;
pub mod screen;
pub mod shield;
pub mod texts;

use random::Random;

/// One target.
pub struct Target {
    /// Its name, also for cargo-fuzz.
    pub name: &'static str,
    /// Panics if the bytes lead to anything wrong.
    pub run: fn(&[u8]),
    /// Makes bytes up.
    pub generate: fn(&mut Random) -> Vec<u8>,
    /// What the bytes cost, where that is counted.
    pub work: Option<fn(&[u8]) -> u64>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "screen", run: screen::run, generate: screen::generate, work: Some(screen::work) },
    Target { name: "keyframe", run: keyframe::run, generate: keyframe::generate, work: Some(keyframe::work) },
    Target { name: "shield", run: shield::run, generate: shield::generate, work: None },
    Target { name: "keeper", run: frames::keeper::run, generate: frames::keeper::generate, work: None },
    Target { name: "agent", run: frames::agent::run, generate: frames::agent::generate, work: None },
    Target { name: "relay", run: frames::relay::run, generate: frames::relay::generate, work: None },
    Target { name: "facade", run: frames::facade::run, generate: frames::facade::generate, work: None },
    Target { name: "selector", run: texts::selector::run, generate: texts::selector::generate, work: None },
    Target { name: "rules", run: texts::rules::run, generate: texts::rules::generate, work: None },
    Target { name: "config", run: texts::config::run, generate: texts::config::generate, work: None },
];

//! The fuzz targets of `fuzz/` in a plain loop: inputs made up by grammar, the same ones for the same seeds, so many seconds
//! each (`FLEETMUX_FUZZ_SECONDS`; `FLEETMUX_FUZZ_SEED` starts elsewhere). What fails is printed as a Rust byte string.

#![allow(clippy::unwrap_used, reason = "a failed expectation is what a test is for")]

#[path = "../fuzz/targets/mod.rs"]
#[allow(unreachable_pub, reason = "the same files are a crate of their own for cargo-fuzz")]
mod targets;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use targets::random::Random;
use targets::{TARGETS, Target};

/// Seconds for each target unless somebody has more.
const SECONDS: u64 = 15;
/// Inputs at least, however slow the machine: a loop that ran none has found nothing.
const INPUTS_MIN: u64 = 200;
/// Targets at a time.
const THREADS: usize = 2;
/// No input costs more than so many times what the median one does, byte for byte.
const COST_RATIO: u64 = 10;
/// What ten megabytes a second allow, in work for 100 bytes: what is cheaper counts as this. Many inputs are little but text
/// that is skipped, and a line feed between narrow side margins has every row there to paint anew.
const CHEAP: u64 = 4000;
/// Inputs shorter than this are not judged by their cost: one sequence has little to share it with.
const JUDGED_BYTES: usize = 256;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn as_rust(input: &[u8]) -> String {
    format!("b\"{}\"", input.escape_ascii())
}

/// Whether a target fails; what it says of it is printed as it does.
fn fails(target: &Target, input: &[u8]) -> bool {
    catch_unwind(|| (target.run)(input)).is_err()
}

/// What is left of a failing input when everything is taken out that it fails without.
fn shrunk(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut size = input.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at + size <= input.len() {
            let shorter = [&input[..at], &input[at + size..]].concat();
            if fails(target, &shorter) {
                input = shorter;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    std::panic::set_hook(hook);
    input
}

/// What is wrong with a target, if anything, or else its figures.
fn fuzz(target: &Target, seconds: u64) -> Result<String, String> {
    let (start, first) = (Instant::now(), from_env("FLEETMUX_FUZZ_SEED", 0));
    let mut costs: Vec<(u64, u64)> = Vec::new();
    let mut seed = first;
    while seed - first < INPUTS_MIN || start.elapsed() < Duration::from_secs(seconds) {
        let input = (target.generate)(&mut Random::new(seed));
        if fails(target, &input) {
            let short = shrunk(target, input);
            // Once more, for its message.
            let _ = catch_unwind(|| (target.run)(&short));
            return Err(format!("{} fails with seed {seed}, in short with\n{}", target.name, as_rust(&short)));
        }
        if let Some(work) = target.work.filter(|_| input.len() >= JUDGED_BYTES) {
            costs.push(((work(&input) * 100 / input.len() as u64).max(CHEAP), seed));
        }
        seed += 1;
    }
    costs.sort_unstable();
    let median = costs.get(costs.len() / 2).map_or(0, |cost| cost.0);
    let &(most, dearest) = costs.last().unwrap_or(&(0, 0));
    let figures = format!(
        "{}: {} inputs, work per 100 bytes: median {median}, most {most} (seed {dearest})",
        target.name,
        seed - first
    );
    if most > COST_RATIO * median {
        let input = (target.generate)(&mut Random::new(dearest));
        return Err(format!("{figures}, over {COST_RATIO} times as much:\n{}", as_rust(&input)));
    }
    Ok(figures)
}

#[test]
fn nothing_that_is_made_up_breaks_a_target_or_costs_out_of_proportion() {
    let seconds = from_env("FLEETMUX_FUZZ_SECONDS", SECONDS);
    let only = std::env::var("FLEETMUX_FUZZ_TARGET").ok();
    let is_wanted = |target: &&Target| only.as_ref().is_none_or(|only| only == target.name);
    let wanted: Vec<&Target> = TARGETS.iter().filter(is_wanted).collect();
    assert!(!wanted.is_empty(), "there is no such target");
    let next = std::sync::Mutex::new(wanted.into_iter());
    let failures = std::thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let Some(target) = next.lock().unwrap().next() else { return failures };
                match fuzz(target, seconds) {
                    Ok(figures) => println!("{figures}"),
                    Err(failure) => failures.push(failure),
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<String>>()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

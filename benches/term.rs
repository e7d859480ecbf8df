//! Parsing speed of the emulator with history: plain, coloured and mixed-script logs, in chunks of several sizes; then, one
//! line each, the kinds of output that cost the most (`cargo bench --bench term -- --kinds` prints those alone).

mod kinds;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use fleetmux::fleet::Size;
use fleetmux::term::Screen;

const BYTES: usize = 4 << 20;
const HISTORY: usize = 16 << 20;

/// Log lines of about a hundred columns from a fixed seed.
fn log(is_coloured: bool, is_mixed: bool) -> Vec<u8> {
    const WORDS: [&str; 8] = ["request", "accepted", "upstream", "timeout", "worker", "shard", "checkpoint", "written"];
    let mut seed = 0x2545_F491_4F6C_DD1Du64;
    let mut next = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) % below
    };
    let mut out = String::new();
    while out.len() < BYTES {
        let level = ["\x1b[1;31mERROR\x1b[0m", "\x1b[33mWARN \x1b[0m", "\x1b[32mINFO \x1b[0m"][next(3) as usize];
        let level = if is_coloured { level } else { "INFO " };
        out.push_str(&format!("2026-11-21T{:02}:{:02}:00.000Z {level} [svc-{:02}]", next(24), next(60), next(24)));
        for _ in 0..4 + next(10) {
            out.push(' ');
            out.push_str(WORDS[next(8) as usize]);
        }
        out.push_str(if is_mixed { " → größe 漢字 ✓\r\n" } else { "\r\n" });
    }
    out.into_bytes()
}

fn feed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("feed");
    group.sample_size(10);
    for (name, bytes) in [("plain", log(false, false)), ("coloured", log(true, false)), ("mixed", log(true, true))] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        for chunk in [4096, 65536, 1 << 20] {
            group.bench_with_input(BenchmarkId::new(name, chunk), &chunk, |bencher, &chunk| {
                bencher.iter(|| {
                    let mut screen = Screen::new(Size::new(60, 200), HISTORY);
                    bytes.chunks(chunk).for_each(|bytes| screen.feed(bytes));
                    screen.history_len()
                });
            });
        }
    }
    group.finish();
}

/// Prints megabytes a second for each kind, in pieces as a keeper feeds them. A kind is given up after a while.
fn print_kinds() {
    const PIECE: usize = 64 * 1024;
    const PATIENCE: Duration = Duration::from_millis(400);
    for kind in kinds::KINDS {
        let bytes = (kind.make)(1 << 20);
        let mut screen = Screen::new(Size::new(kind.size.0, kind.size.1), HISTORY);
        let (start, mut fed) = (Instant::now(), 0);
        for piece in bytes.chunks(PIECE) {
            screen.feed(piece);
            drop((screen.take_events(), screen.take_replies()));
            fed += piece.len();
            if start.elapsed() > PATIENCE {
                break;
            }
        }
        let (seconds, work) = (start.elapsed().as_secs_f64(), screen.work() as f64);
        let (speed, bytes) = (fed as f64 / 1e6 / seconds, fed as f64);
        println!(
            "{speed:8.2} MB/s {:8.1} work a byte {:5.1} ns a piece of work  {}",
            work / bytes,
            seconds * 1e9 / work,
            kind.name
        );
    }
}

criterion_group!(benches, feed);

fn main() {
    if !std::env::args().any(|arg| arg == "--kinds") {
        benches();
    }
    print_kinds();
}

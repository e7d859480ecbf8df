//! Parsing speed of the emulator with history: plain, coloured and mixed-script logs, in chunks of several sizes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
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

criterion_group!(benches, feed);
criterion_main!(benches);

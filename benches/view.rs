//! What a frame of the wall costs: an echo, and a page of flooding panes at 400x100.
#![allow(missing_docs)]

#[path = "../tests/tui/support.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use support::Wall;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("session-{n}")).collect()
}

fn echo(c: &mut Criterion) {
    let names = names(16);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut wall = Wall::open(400, 100, &[("web-1", &names)]).driving();
    wall.frame();
    c.bench_function("a key, its echo and their frame, 400x100, 16 panes", |b| {
        b.iter(|| {
            wall.keys("a");
            wall.output(0, "a");
            wall.effects();
            wall.frame()
        });
    });
}

fn flood(c: &mut Criterion) {
    for count in [16, 64] {
        let names = names(count);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut wall = Wall::open(400, 100, &[("web-1", &names)]);
        let mut line = 0;
        c.bench_function(&format!("4 lines in each of {count} panes and their frame, 400x100"), |b| {
            b.iter(|| {
                line += 1;
                for pane in 0..count {
                    wall.output(
                        pane,
                        &format!("{line} {line} GET /orders\r\n2 {line}\r\n3 {line}\r\n{line} 4 200 OK\r\n"),
                    );
                }
                wall.frame()
            });
        });
    }
}

criterion_group!(benches, echo, flood);
criterion_main!(benches);

//! The programs that the demo's sessions run: real programs on real PTYs, so that the demo needs nothing installed.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use color_eyre::eyre::Result;

use crate::cli::args::DemoApp;

pub(in crate::cli) fn run(app: DemoApp) -> Result<ExitCode> {
    let mut stage = Stage { out: io::stdout(), dice: Dice(u64::from(std::process::id()) << 8 | 1) };
    let outcome = match app {
        DemoApp::AccessLog => stage.access_log(),
        DemoApp::AppLog => stage.app_log(),
        DemoApp::Top => stage.top(),
        DemoApp::Build => stage.build(),
        DemoApp::Echo => echo(),
    };
    match outcome {
        // The terminal was hung up: the session ended.
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe || err.raw_os_error() == Some(5) => Ok(ExitCode::SUCCESS),
        outcome => outcome.map(|()| ExitCode::SUCCESS).map_err(Into::into),
    }
}

struct Stage {
    out: io::Stdout,
    dice: Dice,
}

/// A small xorshift generator: the demo needs variety, not randomness.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}

fn clock() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

fn wait(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

impl Stage {
    fn say(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn access_log(&mut self) -> io::Result<()> {
        const PATHS: [&str; 7] =
            ["/", "/login", "/api/v1/users", "/api/v1/orders", "/static/app.js", "/health", "/cart"];
        loop {
            let (status, colour) = match self.dice.below(30) {
                0 => (500, "31"),
                1..3 => (404, "33"),
                3..6 => (302, "36"),
                _ => (200, "32"),
            };
            let method = self.dice.pick(&["GET", "GET", "GET", "POST", "PUT"]);
            let path = self.dice.pick(&PATHS);
            let line = format!(
                "\x1b[2m{}\x1b[0m 10.0.{}.{} {method:4} \x1b[1m{path}\x1b[0m \x1b[{colour}m{status}\x1b[0m {}ms\r\n",
                clock(),
                self.dice.below(4),
                self.dice.below(250) + 2,
                self.dice.below(90) + 3,
            );
            self.say(&line)?;
            let pause = 80 + self.dice.below(400);
            wait(pause);
        }
    }

    fn app_log(&mut self) -> io::Result<()> {
        const GOOD: [&str; 5] =
            ["order accepted", "cache warmed", "session renewed", "checkpoint written", "worker 3 picked up job 8812"];
        const WARN: [&str; 3] = ["queue depth 118, limit 128", "slow query: 812 ms", "retrying upstream, attempt 2"];
        const BAD: [&str; 3] =
            ["upstream timed out after 5000 ms", "connection pool exhausted", "payment gateway said 503"];
        loop {
            let line = match self.dice.below(12) {
                0 => format!("\x1b[1;31mERROR\x1b[0m {}", self.dice.pick(&BAD)),
                1..3 => format!("\x1b[33mWARN \x1b[0m {}", self.dice.pick(&WARN)),
                _ => format!("\x1b[32mINFO \x1b[0m {}", self.dice.pick(&GOOD)),
            };
            self.say(&format!("\x1b[2m{}\x1b[0m {line}\r\n", clock()))?;
            let pause = 150 + self.dice.below(700);
            wait(pause);
        }
    }

    fn top(&mut self) -> io::Result<()> {
        const NAMES: [&str; 8] = [
            "postgres: writer",
            "postgres: checkpointer",
            "postgres: app orders",
            "postgres: app users",
            "pgbouncer",
            "node_exporter",
            "sshd",
            "cron",
        ];
        self.say("\x1b[?1049h\x1b[?25l")?;
        let started = SystemTime::now();
        loop {
            let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
            let (rows, cols) = size.map_or((24, 80), |size| (usize::from(size.ws_row), usize::from(size.ws_col)));
            let up = started.elapsed().map_or(0, |since| since.as_secs());
            let cpu = 20 + self.dice.below(60) as usize;
            let memory = 48 + self.dice.below(6) as usize;
            let bar = |percent: usize, colour: &str| {
                let width = cols.saturating_sub(14).min(40);
                let full = width * percent / 100;
                format!("[\x1b[{colour}m{}\x1b[0m{}] {percent:3}%", "|".repeat(full), " ".repeat(width - full))
            };
            let mut lines = vec![
                format!("\x1b[1mcpu\x1b[0m {}", bar(cpu, if cpu > 70 { "31" } else { "32" })),
                format!("\x1b[1mmem\x1b[0m {}", bar(memory, "34")),
                format!("up {} s, {} tasks", up, NAMES.len()),
                String::new(),
                format!("\x1b[7m{:<width$}\x1b[0m", "  PID  CPU% COMMAND", width = cols.saturating_sub(1)),
            ];
            let mut tasks: Vec<(u64, usize)> = (0..NAMES.len()).map(|index| (self.dice.below(400), index)).collect();
            tasks.sort_unstable_by(|a, b| b.cmp(a));
            for (share, index) in tasks {
                let name: String = NAMES[index].chars().take(cols.saturating_sub(13)).collect();
                lines.push(format!("{:5} {:5.1} {name}", 900 + index * 37, share as f64 / 10.0));
            }
            let text: String = lines.iter().take(rows).map(|line| format!("{line}\x1b[K\r\n")).collect();
            self.say(&format!("\x1b[H{}\x1b[J", text.trim_end_matches("\r\n")))?;
            wait(1000);
        }
    }

    fn build(&mut self) -> io::Result<()> {
        const PARTS: [&str; 9] = ["proto", "bytes", "codec", "store", "router", "auth", "agent", "client", "wall"];
        for run in 1.. {
            self.say(&format!("\x1b[1m$ make all\x1b[0m  \x1b[2m(run {run})\x1b[0m\r\n"))?;
            let fails_at = self.dice.below(PARTS.len() as u64 * 2) as usize;
            for (index, part) in PARTS.iter().enumerate() {
                let percent = (index + 1) * 100 / PARTS.len();
                self.say(&format!("\x1b[32m   Compiling\x1b[0m {part} \x1b[2m[{percent:3}%]\x1b[0m\r\n"))?;
                let pause = 200 + self.dice.below(600);
                wait(pause);
                if index == fails_at {
                    let line = 20 + self.dice.below(300);
                    self.say(&format!(
                        "\x1b[1;31merror\x1b[0m: mismatched types in \x1b[4m{part}/src/lib.rs:{line}\x1b[0m\r\n\x1b[31mmake: *** [{part}] Error 1\x1b[0m\r\n"
                    ))?;
                    break;
                }
            }
            if fails_at >= PARTS.len() {
                self.say("\x1b[1;32m    Finished\x1b[0m all targets\r\n")?;
            }
            self.say("\x1b[2mnext run in 3 s\x1b[0m\r\n")?;
            wait(3000);
        }
        Ok(())
    }
}

/// Raw echo, for measurements.
fn echo() -> io::Result<()> {
    let mut termios = rustix::termios::tcgetattr(rustix::stdio::stdin())?;
    termios.make_raw();
    rustix::termios::tcsetattr(rustix::stdio::stdin(), rustix::termios::OptionalActions::Now, &termios)?;
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut buffer = [0; 4096];
    loop {
        let count = stdin.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stdout.write_all(&buffer[..count])?;
        stdout.flush()?;
    }
}

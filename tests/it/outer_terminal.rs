//! A person's terminal in `connect`, with tmux as the judge: whatever came in between, it shows what a fresh client shows.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use fleetmux::client::Client;
use fleetmux::fleet::{Session, SessionSpec, Size};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Fleet, sh};

/// Size of the session while nobody drives it.
fn size() -> Size {
    Size::new(12, 40)
}

/// A tmux server of the test's own: a terminal for each client.
struct Tmux {
    socket: String,
}

impl Tmux {
    fn start(fleet: &Fleet) -> Tmux {
        let tmux = Tmux { socket: fleet.dir.path().join("tmux").display().to_string() };
        let config = fleet.dir.path().join("tmux.conf");
        let lines = ["set -s exit-empty off", "set -s escape-time 0", "set -g status off"];
        std::fs::write(&config, lines.join("\n")).unwrap();
        tmux.run(&["-f", config.to_str().unwrap(), "start-server"]);
        tmux
    }

    fn run(&self, args: &[&str]) -> String {
        let output = Command::new("tmux").args(["-S", &self.socket]).args(args).env("TERM", "xterm-256color").output();
        let output = output.expect("tmux is installed");
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn open(&self, name: &str, size: Size, command: &str) {
        let (rows, cols) = (size.rows().to_string(), size.cols().to_string());
        self.run(&["new-session", "-d", "-s", name, "-x", &cols, "-y", &rows, command]);
    }

    fn resize(&self, name: &str, size: Size) {
        let (rows, cols) = (size.rows().to_string(), size.cols().to_string());
        self.run(&["resize-window", "-t", name, "-x", &cols, "-y", &rows]);
    }

    /// Text and colours, the cursor, and whether the alternate screen is shown.
    fn shows(&self, name: &str) -> String {
        let state =
            "#{cursor_x},#{cursor_y} #{?cursor_flag,,hidden} #{?alternate_on,alternate,} #{?insert_flag,insert,}";
        let text = self.run(&["capture-pane", "-p", "-e", "-t", name]);
        let lines: Vec<String> = text.lines().map(|line| line.trim_end().to_string()).collect();
        lines.join("\n") + "\n" + &self.run(&["display-message", "-p", "-t", name, state])
    }

    fn pid(&self, name: &str) -> u32 {
        self.run(&["display-message", "-p", "-t", name, "#{pane_pid}"]).trim().parse().unwrap()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

/// What happens to a terminal between two pieces of output.
#[derive(Clone, Debug)]
enum Happening {
    Output(String),
    Resize(Size),
    /// SIGSTOP, output, SIGCONT.
    Stop(String),
    /// The agent is killed and another one comes: a line of ours says so, and the client attaches again.
    Reattach(String),
    /// Somebody comes to watch: a line of ours says so to a driver.
    Company,
}

fn piece() -> impl Strategy<Value = String> {
    let csi = (0u16..14, 0u16..42, proptest::sample::select(&b"@ABCDEFGHJKLMPSTX`d"[..])).prop_map(
        |(first, second, last)| match last {
            b'H' => format!("\x1b[{first};{second}H"),
            last => format!("\x1b[{}{}", first.min(4), char::from(last)),
        },
    );
    let others = [
        "\r",
        "\n",
        "\r\n",
        "\t",
        "\x08",
        "\x1b7",
        "\x1b8",
        "\x1bD",
        "\x1bE",
        "\x1bH",
        "\x1bM",
        "\x1b[3g",
        "\x1b[2;5r",
        "\x1b[r",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[4h",
        "\x1b[4l",
        "\x1b[31m",
        "\x1b[7;44m",
        "\x1b[1;4m",
        "\x1b[m",
        "\x1b(0",
        "\x1b(B",
        "\x1b[?25l",
        "\x1b[?25h",
    ];
    prop_oneof![
        6 => "[a-z ]{1,30}",
        1 => Just("\u{6f22}\u{5b57}".to_owned()),
        4 => csi,
        6 => proptest::sample::select(others.to_vec()).prop_map(str::to_owned),
    ]
}

fn stream() -> impl Strategy<Value = String> {
    vec(piece(), 1..25).prop_map(|pieces| pieces.concat())
}

fn happening() -> impl Strategy<Value = Happening> {
    let sizes = [(12, 40), (8, 30), (16, 50), (12, 24), (5, 40), (20, 30)].map(|(rows, cols)| Size::new(rows, cols));
    prop_oneof![
        4 => stream().prop_map(Happening::Output),
        3 => proptest::sample::select(sizes.to_vec()).prop_map(Happening::Resize),
        1 => stream().prop_map(Happening::Stop),
        1 => stream().prop_map(Happening::Reattach),
        1 => Just(Happening::Company),
    ]
}

struct Stage {
    fleet: Fleet,
    client: Client,
    tmux: Tmux,
    count: u32,
}

/// A session whose program prints what is written here.
struct Printer {
    session: Session,
    pipe: File,
    marks: u32,
}

impl Printer {
    async fn start(stage: &Stage) -> Printer {
        let path = stage.fleet.dir.path().join(format!("pipe{}", stage.count));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let spec = SessionSpec {
            size: size(),
            name: format!("p{}", stage.count),
            ..sh(&format!("stty raw -echo; exec cat {}", path.display()))
        };
        let session = stage.fleet.session(&stage.client, "web-1", spec).await;
        // Opens when the program has opened it.
        let pipe = tokio::task::spawn_blocking(move || File::options().write(true).open(path).unwrap()).await.unwrap();
        Printer { session, pipe, marks: 0 }
    }

    fn print(&mut self, text: &str) {
        self.pipe.write_all(text.as_bytes()).unwrap();
    }

    /// A title that says how far the output is.
    fn mark(&mut self) -> String {
        self.marks += 1;
        let mark = format!("mark{}", self.marks);
        self.print(&format!("\x1b]2;{mark}\x07"));
        mark
    }
}

impl Stage {
    fn connect(&self, printer: &Printer, more: &str) -> String {
        let (binary, relay) = (env!("CARGO_BIN_EXE_fleetmux"), self.fleet.endpoint());
        let name = &printer.session.spec.name;
        let dir = self.fleet.dir.path().display();
        format!(
            "FLEETMUX_RUNTIME_DIR={dir} FLEETMUX_STATE_DIR={dir}/state FLEETMUX_CONFIG_DIR={dir}/config exec {binary} --relay \
             {relay} connect web-1/{name} {more}"
        )
    }

    async fn has_title(&self, name: &str, title: &str) -> Result<(), String> {
        let begun = Instant::now();
        while self.tmux.run(&["display-message", "-p", "-t", name, "#{pane_title}"]).trim() != title {
            if begun.elapsed() > Duration::from_secs(6) {
                return Err(format!("{name} never heard of {title}:\n{}", self.tmux.shows(name)));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Both terminals after all of it: the one that was there all the time, and a fresh one.
    async fn play(&mut self, role: &str, size: Size, happenings: &[Happening]) -> Result<(), String> {
        self.count += 1;
        let (old, fresh) = (format!("old{}", self.count), format!("fresh{}", self.count));
        let mut printer = Printer::start(self).await;
        self.tmux.open(&old, size, &self.connect(&printer, role));
        let mark = printer.mark();
        self.has_title(&old, &mark).await?;
        let mut size = size;
        for happening in happenings {
            match happening {
                Happening::Output(text) => printer.print(text),
                Happening::Resize(wanted) => {
                    size = *wanted;
                    self.tmux.resize(&old, size);
                }
                Happening::Stop(text) => {
                    let pid = self.tmux.pid(&old);
                    crate::support::signal(pid, "STOP");
                    printer.print(text);
                    crate::support::signal(pid, "CONT");
                }
                Happening::Reattach(text) => {
                    self.fleet.kill_agent("web-1");
                    printer.print(text);
                    self.fleet.start_agent("web-1");
                }
                Happening::Company => {
                    let name = format!("company{}", self.count);
                    self.tmux.open(&name, size, &self.connect(&printer, "--observe"));
                    let mark = printer.mark();
                    self.has_title(&name, &mark).await?;
                    self.tmux.run(&["kill-session", "-t", &name]);
                }
            }
            let mark = printer.mark();
            self.has_title(&old, &mark).await?;
        }
        self.tmux.open(&fresh, size, &self.connect(&printer, "--observe"));
        let mark = printer.mark();
        self.has_title(&fresh, &mark).await?;
        self.has_title(&old, &mark).await?;
        let begun = Instant::now();
        // A line of ours may still be there, for its time.
        while self.tmux.shows(&old) != self.tmux.shows(&fresh) {
            if begun.elapsed() > Duration::from_secs(8) {
                let (old, fresh) = (self.tmux.shows(&old), self.tmux.shows(&fresh));
                return Err(format!("the old one shows\n{old}\nand a fresh one of {size}\n{fresh}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for name in [old, fresh] {
            self.tmux.run(&["kill-session", "-t", &name]);
        }
        Ok(())
    }
}

fn stage(runtime: &tokio::runtime::Runtime) -> Stage {
    let fleet = Fleet::start(&["web-1"]);
    let client = runtime.block_on(async { fleet.client() });
    runtime.block_on(fleet.machine(&client, "web-1"));
    let tmux = Tmux::start(&fleet);
    Stage { fleet, client, tmux, count: 0 }
}

fn judge(role: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stage = RefCell::new(stage(&runtime));
    let cases = std::env::var("FLEETMUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let sizes = [(12, 40), (8, 30), (16, 50)].map(|(rows, cols)| Size::new(rows, cols));
    let lives = (proptest::sample::select(sizes.to_vec()), vec(happening(), 1..6));
    let outcome = TestRunner::new(config).run(&lives, |(size, happenings)| {
        runtime.block_on(stage.borrow_mut().play(role, size, &happenings)).map_err(TestCaseError::fail)
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn who_watched_all_the_time_sees_what_a_fresh_watcher_sees() {
    judge("--observe");
}

#[test]
fn who_drove_all_the_time_sees_what_a_fresh_watcher_sees() {
    judge("");
}

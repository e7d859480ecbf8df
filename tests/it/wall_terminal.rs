//! The wall gives the person's terminal back on every way out.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::termios::{LocalModes, tcgetattr};

use crate::support::{Fleet, sh, signal};

/// A wall on a PTY.
struct Wall {
    terminal: pty_process::blocking::Pty,
    shown: Vec<u8>,
    child: Child,
    /// The terminal's other side, held open so that its modes can be read when the wall is gone.
    side: OwnedFd,
}

impl Wall {
    async fn open(panic_at: &str) -> (Fleet, Wall) {
        Wall::open_on("echo alive; exec sleep 1000", panic_at).await
    }

    async fn open_on(program: &str, panic_at: &str) -> (Fleet, Wall) {
        let fleet = Fleet::start(&["web-1"]);
        let client = fleet.client();
        fleet.session(&client, "web-1", sh(program)).await;
        let (terminal, pts) = pty_process::blocking::open().unwrap();
        terminal.resize(pty_process::Size::new(24, 80)).unwrap();
        let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap();
        let side = rustix::fs::open(name.as_c_str(), rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY, 0.into());
        let child = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"))
            .args(["--relay", &fleet.endpoint().to_string()])
            .env("TERM", "xterm-256color")
            .env("FLEETMUX_PANIC_AT", panic_at)
            .spawn(pts)
            .unwrap();
        (fleet, Wall { terminal, shown: Vec::new(), child, side: side.unwrap() })
    }

    /// Reads until the wall has shown a text.
    fn until(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&self.shown).contains(text) {
            let count = self.terminal.read(&mut buffer).unwrap();
            self.shown.extend_from_slice(&buffer[..count]);
        }
    }

    /// The end of it: the terminal is as it was, and the exit code.
    fn is_given_back(&mut self) -> Option<i32> {
        self.until("\x1b[?1049l");
        let code = self.child.wait().unwrap().code();
        let shown = String::from_utf8_lossy(&self.shown);
        for (on, off) in [("\x1b[?25l", "\x1b[?25h"), ("\x1b[?1002h", "\x1b[?1002l"), ("\x1b[?2004h", "\x1b[?2004l")] {
            assert!(shown.rfind(on) < shown.rfind(off), "{off:?} comes after {on:?}");
        }
        let modes = tcgetattr(&self.side).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
        code
    }
}

#[tokio::test]
async fn a_panic_in_the_wall_gives_the_terminal_back_and_says_what_happened() {
    let (_fleet, mut wall) = Wall::open("the first frame").await;
    wall.until("a test asked for a panic");
    assert!(wall.is_given_back().is_some_and(|code| code != 0));
    // What it says is readable: it comes behind the alternate screen.
    let shown = String::from_utf8_lossy(&wall.shown).into_owned();
    assert!(shown.find("\x1b[?1049l") < shown.find("a test asked for a panic"));
}

/// A panic in a pane's screen is caught there: the hook gave the terminal back all the same, and the wall drew on.
#[tokio::test]
async fn a_panic_in_a_panes_screen_leaves_the_wall_as_it_is() {
    let program = "echo alive; while :; do printf '\\033P+f!\\033\\\\\\033[Hand on'; sleep 1; done";
    let (_fleet, mut wall) = Wall::open_on(program, "the screen").await;
    wall.until("and on");
    let shown = String::from_utf8_lossy(&wall.shown).into_owned();
    assert!(!shown.contains("\x1b[?1049l") && !shown.contains("a test asked for a panic"), "{shown}");
    wall.terminal.write_all(b"\x07q").unwrap();
    assert_eq!(wall.is_given_back(), Some(0));
}

#[tokio::test]
async fn a_terminated_wall_gives_the_terminal_back() {
    let (_fleet, mut wall) = Wall::open("").await;
    wall.until("alive");
    signal(wall.child.id(), "TERM");
    wall.is_given_back();
}

#[tokio::test]
async fn a_wall_that_is_left_gives_the_terminal_back_and_succeeds() {
    let (_fleet, mut wall) = Wall::open("").await;
    wall.until("alive");
    // The leader and q.
    wall.terminal.write_all(b"\x07q").unwrap();
    assert_eq!(wall.is_given_back(), Some(0));
}

/// A wall that was stopped from outside left a raw terminal on the alternate screen.
#[tokio::test]
async fn a_stopped_wall_gives_the_terminal_back_and_draws_all_again_when_continued() {
    let (_fleet, mut wall) = Wall::open("").await;
    wall.until("alive");
    for name in ["TSTP", "STOP"] {
        wall.shown.clear();
        signal(wall.child.id(), name);
        if name == "TSTP" {
            wall.until("\x1b[?1049l");
        }
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", wall.child.id())).unwrap();
        crate::support::until("it is stopped", || stat().contains(") T ")).await;
        let is_cooked = tcgetattr(&wall.side).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON);
        assert_eq!(is_cooked, name == "TSTP");
        wall.shown.clear();
        signal(wall.child.id(), "CONT");
        wall.until("\x1b[?1049h");
        wall.until("alive");
    }
    wall.terminal.write_all(b"\x07q").unwrap();
    assert_eq!(wall.is_given_back(), Some(0));
}

#[tokio::test]
async fn the_wall_is_not_painted_on_a_dumb_terminal() {
    let fleet = Fleet::start(&["web-1"]);
    let mut terminal = crate::connect::Terminal::start_with(&fleet, &[], &[("TERM", "dumb")]);
    assert!(!terminal.ended().await.success());
    let raw = String::from_utf8_lossy(&terminal.raw).into_owned();
    assert!(raw.contains("TERM is dumb") && raw.contains("session list") && !raw.contains('\x1b'), "{raw:?}");
}

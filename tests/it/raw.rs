//! A session in the person's own terminal: `fleetmux connect` on a PTY.

use std::io::{Read, Write};

use fleetmux::fleet::Size;
use fleetmux::term::Screen;

use crate::connect::Terminal;
use crate::support::{Fleet, Pane, observer, sh, signal, until};

/// Keys that look like the beginning of a terminal's answer were held back until half a kilobyte of typing had followed.
#[tokio::test]
async fn keys_that_look_like_the_beginning_of_an_answer_reach_the_program() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh("stty raw -echo; cat -v")).await;
    let mut pane = Pane::attach(&client, &session, observer());
    let (mut terminal, pts) = pty_process::blocking::open().unwrap();
    let mut connect = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"))
        .args(["--relay", &fleet.endpoint().to_string(), "connect", "web-1", "--session", &session.id().to_string()])
        .spawn(pts)
        .unwrap();
    // Alt+] and a digit: so begin the colours a terminal tells.
    terminal.write_all(b"\x1b]1").unwrap();
    pane.until_text("^[]1").await;
    // The detach key; what the terminal was shown does not matter.
    terminal.write_all(b"\x04").unwrap();
    let shown = tokio::task::spawn_blocking(move || terminal.read_to_end(&mut Vec::new()));
    let ended = tokio::task::spawn_blocking(move || connect.wait().unwrap());
    assert!(ended.await.unwrap().success());
    // The end of a PTY is an error.
    let _ = shown.await.unwrap();
}

/// What programs ask, and what a terminal would answer.
const DIALOGUE: [(&str, &str); 30] = [
    ("\x1b[c", "\x1b[?65;4;22c"),
    ("\x1b[>c", "\x1b[>1;7000;0c"),
    ("\x1b[=c", "\x1bP!|00000001\x1b\\"),
    ("\x1b[5n", "\x1b[0n"),
    ("\x1b[6n", "\x1b[24;80R"),
    ("\x1b[?6n", "\x1b[?24;80;1R"),
    ("\x1b[?996n", "\x1b[?997;1n"),
    ("\x1b[?2026$p", "\x1b[?2026;2$y"),
    ("\x1b[4$p", "\x1b[4;2$y"),
    ("\x1b[>q", "\x1bP>|kitty(0.40)\x1b\\"),
    ("\x1b[?u", "\x1b[?0u"),
    ("\x1b[?4m", "\x1b[>4;0m"),
    ("\x1b[?2;1;0S", "\x1b[?2;0;800;600S"),
    ("\x1b[14t", "\x1b[4;600;800t"),
    ("\x1b[18t", "\x1b[8;24;80t"),
    ("\x1b[21t", "\x1b]ltitle\x1b\\"),
    ("\x1b[?2048h", "\x1b[48;24;80;600;800t"),
    ("\x1b[1;1;1;1;2;2*y", "\x1bP1!~0000\x1b\\"),
    ("\x1bP$qm\x1b\\", "\x1bP1$r0;1m\x1b\\"),
    ("\x1bP+q544e\x1b\\", "\x1bP1+r544e=6b6974\x1b\\"),
    ("\x1b]4;1;?\x07", "\x1b]4;1;rgb:0000/0000/0000\x07"),
    ("\x1b]10;?\x1b\\", "\x1b]10;rgb:ffff/ffff/ffff\x1b\\"),
    ("\x1b]11;?\x07", "\x1b]11;rgb:1111/1111/1111\x07"),
    ("\x1b]17;?\x07", "\x1b]17;rgb:2222/2222/2222\x07"),
    ("\x1b]21;foreground=?\x1b\\", "\x1b]21;foreground=rgb:33/33/33\x1b\\"),
    ("\x1b]52;c;?\x07", "\x1b]52;c;c2VjcmV0\x07"),
    ("\x1b]1337;ReportCellSize\x07", "\x1b]1337;ReportCellSize=16.0;8.0\x1b\\"),
    ("\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\", "\x1b_Gi=31;OK\x1b\\"),
    ("\x1b_Gi=32,s=1,v=1,a=T,t=d,f=24;AAAA\x1b\\", "\x1b_Gi=32;OK\x1b\\"),
    ("\x05", "answerback"),
];

/// With two drivers the terminals of both answered what the keeper had answered, and the program was told up to three times.
#[tokio::test]
async fn with_two_drivers_a_program_is_answered_once() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let (asked, told) = (fleet.dir.path().join("asked"), fleet.dir.path().join("told"));
    let questions: String = DIALOGUE.iter().map(|(question, _)| *question).collect();
    std::fs::write(&asked, format!("\x1b[5;7H{questions}asked")).unwrap();
    let script = format!(
        "stty raw -echo; printf ready; dd bs=1 count=1 of=/dev/null 2>/dev/null; cat '{}'; exec cat > '{}'",
        asked.display(),
        told.display()
    );
    let session = fleet.session(&client, "web-1", sh(&script)).await.id().to_string();
    let args = ["connect", "web-1", "--session", &session];
    let (mut first, mut second) = (Terminal::start(&fleet, &args), Terminal::start(&fleet, &args));
    first.until_text("ready").await;
    second.until_text("ready").await;
    first.send(b"g");
    let mut answered = Vec::new();
    for terminal in [&mut first, &mut second] {
        terminal.until_text("asked").await;
        let shown = String::from_utf8_lossy(&terminal.raw).into_owned();
        for (question, answer) in DIALOGUE {
            if shown.contains(question) {
                answered.push(question);
                terminal.send(answer.as_bytes());
            }
        }
    }
    assert!(answered.is_empty(), "the terminals were asked {answered:?}");
    // Answers to what was asked some other way.
    for (_, answer) in DIALOGUE.iter().filter(|(question, _)| *question != "\x05") {
        second.send(answer.as_bytes());
    }
    first.send(b"END1");
    second.send(b"END2");
    let heard = || std::fs::read_to_string(&told).unwrap_or_default();
    until("both have typed", || heard().contains("END1") && heard().contains("END2")).await;
    let mut keeper = Screen::new(Size::DEFAULT, 0);
    keeper.feed(format!("\x1b[5;7H{questions}").as_bytes());
    let expected = String::from_utf8(keeper.take_replies()).unwrap();
    assert!(expected.contains("\x1b[5;7R") && expected.contains("\x1b]11;"), "{expected:?}");
    assert_eq!(heard().replace("END1", "").replace("END2", ""), expected);
}

/// Whether a process is stopped.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// It left the terminal raw when it was stopped from outside, and cooked and blank when it was continued.
#[tokio::test]
async fn stopped_from_outside_it_gives_the_terminal_back_and_continued_it_paints_all_again() {
    let fleet = Fleet::start(&["web-1"]);
    let session = fleet.session(&fleet.client(), "web-1", sh("stty raw -echo; printf ready; exec cat")).await;
    let mut terminal = Terminal::start(&fleet, &["connect", "web-1", "--session", &session.id().to_string()]);
    terminal.until_text("ready").await;
    for name in ["TSTP", "STOP"] {
        signal(terminal.pid(), name);
        until("it is stopped", || is_stopped(terminal.pid())).await;
        assert_eq!(terminal.is_cooked(), name == "TSTP");
        // What the shell does meanwhile.
        terminal.screen = Screen::new(Size::DEFAULT, 0);
        signal(terminal.pid(), "CONT");
        terminal
            .until("all is painted again", |terminal| terminal.text().contains("ready") && !terminal.is_cooked())
            .await;
    }
    terminal.send(b"typed");
    terminal.until_text("readytyped").await;
}

/// A session shown in itself shrank with every frame, and the keys that leave it were typed into it.
#[tokio::test]
async fn a_session_is_not_shown_in_its_own_terminal_unless_forced() {
    let fleet = Fleet::start(&["web-1"]);
    let session = fleet.session(&fleet.client(), "web-1", sh("printf ready; exec cat")).await.id().to_string();
    let inside = [("FLEETMUX_SESSION", session.as_str())];
    for args in [&["connect", "web-1", "--session", &session][..], &["session", "attach", &session], &[]] {
        let mut terminal = Terminal::start_with(&fleet, args, &inside);
        assert!(!terminal.ended().await.success());
        assert!(terminal.text().contains("FLEETMUX_SESSION"), "{args:?}: {}", terminal.text());
    }
    let args = ["connect", "web-1", "--force", "--session", &session];
    Terminal::start_with(&fleet, &args, &inside).until_text("ready").await;
}

/// A session that is larger than the terminal came as raw bytes, all over the place.
#[tokio::test]
async fn in_a_smaller_terminal_the_part_around_the_cursor_is_shown() {
    let fleet = Fleet::start(&["web-1"]);
    let script = "stty raw -echo; printf '\\033[HFIRST\\033[24;60HEDGE'; dd bs=1 count=1 2>/dev/null; \
                  printf '\\033[2;1HSECOND'; exec cat";
    let client = fleet.client();
    let session = fleet.session(&client, "web-1", sh(script)).await;
    let mut driver = Pane::attach(&client, &session, crate::support::driver(Size::DEFAULT));
    driver.until_text("EDGE").await;
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"))
        .args(["--relay", &fleet.endpoint().to_string(), "connect", "--observe", "web-1", "--session"])
        .arg(session.id().to_string())
        .env("TERM", "xterm-256color");
    let mut small = Terminal::run(command, Size::new(10, 40));
    small.until("the end of the last row", |small| small.screen.row_text(9).ends_with("EDGE")).await;
    assert!(!small.text().contains("FIRST"), "{}", small.text());
    driver.attachment.handle().input("g".into()).unwrap();
    small
        .until("the first rows", |small| {
            (small.screen.row_text(0), small.screen.row_text(1)) == ("FIRST".into(), "SECOND".into())
        })
        .await;
}

/// A terminal that was closed made it panic: a log line could not be written.
#[tokio::test]
async fn a_closed_terminal_ends_it_without_a_panic() {
    let fleet = Fleet::start(&["web-1"]);
    let session = fleet.session(&fleet.client(), "web-1", sh("printf ready; exec cat")).await.id().to_string();
    for args in [&["connect", "web-1", "--session", &session][..], &[]] {
        let (mut terminal, pts) = pty_process::blocking::open().unwrap();
        terminal.resize(pty_process::Size::new(24, 80)).unwrap();
        let mut client = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"))
            .args(["--relay", &fleet.endpoint().to_string()])
            .args(args)
            .envs([("TERM", "xterm"), ("FLEETMUX_LOG", "trace")])
            .spawn(pts)
            .unwrap();
        let ended = tokio::task::spawn_blocking(move || {
            let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
            while !String::from_utf8_lossy(&shown).contains("ready") {
                let count = terminal.read(&mut buffer).unwrap();
                shown.extend_from_slice(&buffer[..count]);
            }
            drop(terminal);
            client.wait().unwrap()
        });
        let status = ended.await.unwrap();
        assert!(status.code().is_some_and(|code| code != 101), "{args:?}: {status:?}");
    }
}

#[tokio::test]
async fn a_dumb_terminal_gets_the_program_and_no_escape_of_ours() {
    let fleet = Fleet::start(&["web-1"]);
    let session = fleet.session(&fleet.client(), "web-1", sh("printf 'ready\\n'; exec cat")).await.id().to_string();
    let args = ["connect", "web-1", "--session", &session];
    let mut terminal = Terminal::start_with(&fleet, &args, &[("TERM", "dumb")]);
    terminal.until_text("ready").await;
    terminal.send(b"typed\r");
    terminal.until_text("typed").await;
    terminal.send(b"\x04");
    assert!(terminal.ended().await.success());
    assert!(!terminal.raw.contains(&0x1b), "{:?}", String::from_utf8_lossy(&terminal.raw));
}

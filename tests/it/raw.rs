//! A session in the person's own terminal: `fleetmux connect` on a PTY.

use std::io::{Read, Write};

use crate::support::{Fleet, Pane, observer, sh};

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

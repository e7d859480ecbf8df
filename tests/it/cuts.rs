//! The connection cut after each frame of a request: a command and typed bytes never run twice.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fleetmux::client::{Client, Error, Start, StreamOptions};
use fleetmux::fleet::{Role, SessionSpec};

use crate::support::{Fleet, PATIENCE, until};

/// Bytes before the first frame of a client's half of HTTP/2.
const PREFACE: usize = 24;

/// A way to the relay that is cut once, after so many frames of both directions together.
struct Way {
    path: PathBuf,
    frames: Arc<AtomicUsize>,
    was_cut: Arc<AtomicBool>,
}

impl Way {
    fn open(fleet: &Fleet, frames: usize) -> Way {
        let path = fleet.dir.path().join(format!("way-{frames}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        let relay = fleet.dir.path().join("relay.sock");
        let (left, was_cut) = (Arc::new(AtomicUsize::new(frames)), Arc::new(AtomicBool::new(false)));
        let (counted, cut) = (left.clone(), was_cut.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(relay)) = (client, UnixStream::connect(&relay)) else { return };
                for (from, to, preface) in [(&client, &relay, PREFACE), (&relay, &client, 0)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (counted, cut) = (counted.clone(), cut.clone());
                    std::thread::spawn(move || pass(from, to, preface, &counted, &cut));
                }
            }
        });
        Way { path, frames: left, was_cut }
    }

    async fn client(&self) -> Client {
        let client = Client::remote(format!("unix:{}", self.path.display()))
            .retry_delay(Duration::from_millis(1))
            .reconnect_delay(Duration::from_millis(1))
            .timeout(PATIENCE);
        client.connect().await.unwrap()
    }

    /// The request was over before so many frames had passed.
    fn was_long_enough(&self) -> bool {
        !self.was_cut.load(Ordering::SeqCst) && self.frames.load(Ordering::SeqCst) > 0
    }
}

/// Passes whole frames on until the last one that passes.
fn pass(mut from: UnixStream, mut to: UnixStream, preface: usize, left: &AtomicUsize, was_cut: &AtomicBool) {
    let mut head = vec![0; preface];
    let mut step = || -> std::io::Result<()> {
        if preface > 0 {
            from.read_exact(&mut head)?;
            to.write_all(&head)?;
        }
        loop {
            let mut frame = vec![0; 9];
            from.read_exact(&mut frame)?;
            let len = usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
            frame.resize(9 + len, 0);
            from.read_exact(&mut frame[9..])?;
            // Once cut, the next connection goes through.
            if !was_cut.load(Ordering::SeqCst) {
                let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1)));
                if before == Ok(0) {
                    was_cut.store(true, Ordering::SeqCst);
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
            }
            to.write_all(&frame)?;
        }
    };
    let _ = step();
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(String::from).collect()
}

#[tokio::test]
async fn a_command_never_runs_twice_wherever_the_connection_is_cut() {
    let fleet = Fleet::start(&["web-1"]);
    fleet.machine(&fleet.client(), "web-1").await;
    let (mut ran, mut failed) = (0, 0);
    for frames in 1.. {
        let way = Way::open(&fleet, frames);
        let client = way.client().await;
        let file = fleet.dir.path().join(format!("ran-{frames}"));
        let outcome = client.terminal().execute(&format!("echo ran >> {}; echo done", file.display())).await;
        match outcome {
            Ok((output, code)) => {
                ran += 1;
                assert_eq!((output.as_str(), code, lines(&file).len()), ("done\n", 0, 1), "cut after {frames} frames");
            }
            Err(Error::Unavailable(_) | Error::NoRelay(_)) => {
                failed += 1;
                assert!(lines(&file).len() <= 1, "cut after {frames} frames");
            }
            Err(err) => panic!("cut after {frames} frames: {err:?}"),
        }
        if way.was_long_enough() {
            break;
        }
        assert!(frames < 500, "it goes on for ever");
    }
    assert!(ran > 3 && failed > 3, "{ran} ran, {failed} did not");
}

#[tokio::test]
async fn typed_bytes_count_once_wherever_the_connection_is_cut() {
    let fleet = Fleet::start(&["web-1"]);
    let direct = fleet.client();
    fleet.machine(&direct, "web-1").await;
    for frames in 1.. {
        let file = fleet.dir.path().join(format!("typed-{frames}"));
        let script = format!("stty -echo; while read l; do echo $l >> {}; done", file.display());
        let spec = SessionSpec { until_pid: Some(std::process::id()), ..SessionSpec::command(["sh", "-c", &script]) };
        let way = Way::open(&fleet, frames);
        let client = way.client().await;
        let session = client.terminal().create_session("web-1", spec).await.unwrap();
        let options = StreamOptions { start: Start::Beginning, ..StreamOptions::default() };
        let stream = client.terminal().stream_with(Role::Driver, options);
        stream.attach(session.session_id).await.unwrap();
        for line in ["one\n", "two\n"] {
            stream.send_input(line).await.unwrap();
        }
        until("what was typed", || lines(&file).len() >= 2).await;
        stream.send_input("three\n").await.unwrap();
        until("the end", || lines(&file).last().is_some_and(|line| line == "three")).await;
        assert_eq!(lines(&file), ["one", "two", "three"], "cut after {frames} frames");
        direct.destroy_session(session.session_id).await.unwrap();
        if way.was_long_enough() {
            break;
        }
        assert!(frames < 500, "it goes on for ever");
    }
}

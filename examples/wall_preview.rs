//! The wall on local PTYs, without relay, agent or keeper: to look at while drawing it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fleetmux::client::AttachEvent;
use fleetmux::fleet::*;
use fleetmux::tui::effect::Effect;
use fleetmux::tui::input::Keymap;
use fleetmux::tui::model::{Model, Open, PaneId, Setup};
use fleetmux::tui::msg::{Connection, Msg};
use fleetmux::tui::{stage::Stage, terminal::Terminal, theme};

struct Live {
    master: std::fs::File,
    pane: PaneId,
    role: Role,
}

fn machine(name: &str, online: bool, labels: &str) -> Machine {
    let now = now_ms();
    Machine {
        facts: MachineFacts {
            id: MachineId::random(),
            name: name.into(),
            hostname: name.into(),
            os: "Debian GNU/Linux 12".into(),
            kernel: "6.1".into(),
            arch: "x86_64".into(),
            cpus: 4,
            memory_bytes: 8 << 30,
            labels: labels.split(',').filter_map(|l| l.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect(),
            version: "0.1.0".into(),
            boot_time_s: 0,
            workspace: String::new(),
        },
        is_online: online,
        last_seen_ms: if online { now } else { now - 250_000 },
        load: Load { averages: [0.42, 0.3, 0.2], memory_available_bytes: 4 << 30, uptime_s: 90_000 },
        latency_us: online.then_some(412),
        connected_ms: now,
    }
}

fn now_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

fn session(machine: MachineId, name: &str, command: &[&str]) -> Session {
    let mut spec = SessionSpec::command(command.iter().copied());
    spec.name = name.into();
    Session {
        machine,
        spec,
        pid: 4242,
        created_ms: now_ms() - 400_000,
        summary: Summary {
            offset: 0,
            title: String::new(),
            cwd: String::new(),
            size: Size::DEFAULT,
            drivers: 0,
            observers: 1,
            last_output_ms: Some(now_ms()),
            exit: None,
        },
    }
}

const LOG: &str = r#"i=0; while :; do i=$((i+1)); case $((i%9)) in 3) printf '\033[33mWARN \033[0m cache miss ratio %d%% on shard %d\n' $((i%40)) $((i%7));; 7) printf '\033[31;1mERROR\033[0m upstream timed out after 3000 ms, request %d\n' $i;; *) printf '\033[32mINFO \033[0m GET /api/v1/orders/%d 200 %d ms\n' $i $((i%90));; esac; sleep 0.3; done"#;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(7);
    let theme_name = std::env::var("WALL_THEME").unwrap_or_else(|_| "dark".into());
    let names = ["web-1", "web-2", "db-1", "cache-1", "build-1", "edge-1"];
    let machines: Vec<Machine> =
        names.iter().map(|n| machine(n, *n != "edge-1", &format!("role={},env=prod", n.split('-').next().unwrap()))).collect();
    let mut sessions = Vec::new();
    for i in 0..count {
        let m = machines[i % 5].facts.id;
        sessions.push(match i % 6 {
            0 | 5 => session(m, "", &["bash", "--norc", "-i"]),
            1 => session(m, "logs", &["sh", "-c", LOG]),
            2 => session(m, "top", &["top", "-d", "1"]),
            3 => session(m, "build", &["sh", "-c", "for i in 1 2 3; do echo compiling unit $i; sleep 0.2; done; printf '\\033[31merror\\033[0m: linker failed\\n'; exit 2"]),
            _ => session(m, "colours", &["sh", "-c", "for i in $(seq 16 231); do printf '\\033[48;5;%dm  ' $i; done; printf '\\033[0m\\n漢字 wide ⚠ é '; sleep 1000"]),
        });
    }
    let themes = theme::load(None).unwrap();
    let setup = Setup {
        keymap: Keymap::with_leader("").unwrap(),
        theme: themes.iter().position(|t| t.name == theme_name).unwrap_or(0),
        themes,
        open: Open::AllSessions,
        shell_on: None,
        history_bytes: 1 << 20,
    };
    let terminal = Terminal::enter().unwrap();
    let (cols, rows) = terminal.size();
    let mut stage = Stage::new(Model::new(setup, cols, rows), terminal);
    let (tx, mut rx) = tokio::sync::mpsc::channel::<(SessionId, Option<Bytes>)>(64);
    let mut live: HashMap<SessionId, Live> = HashMap::new();
    let mut offset: u64 = 0;
    stage.tell_time();
    let mut queue = stage.take(Msg::Connection(Connection::Connected { server: "local".into(), latency_us: Some(310) }));
    let known = sessions.clone();
    let by_id = |id: SessionId| known.iter().find(|s| s.id() == id).cloned();
    queue.extend(stage.take(Msg::Fleet { machines, sessions }));
    let mut winch = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()).unwrap();
    let mut buffer = vec![0u8; 4096];
    loop {
        while !queue.is_empty() {
            for effect in std::mem::take(&mut queue) {
                match effect {
                    Effect::Attach { pane, session, role, size } => {
                        let Some(info) = by_id(session) else { continue };
                        let entry = live.entry(session).or_insert_with(|| spawn(&info, &tx));
                        entry.pane = pane;
                        entry.role = role;
                        let viewers = vec![Viewer { number: 1, role, label: "ada@laptop".into(), size, owns_size: true }, Viewer { number: 2, role: Role::Observer, label: "bob@desk".into(), size, owns_size: false }];
                        for event in [
                            AttachEvent::Attached { role, offset: 0, skipped: 0, size: Size::DEFAULT, number: 1, is_resumed: false },
                            AttachEvent::Presence(viewers),
                        ] {
                            queue.extend(stage.take(Msg::Attach { pane, event }));
                        }
                    }
                    Effect::Input { pane, bytes } => {
                        if let Some(l) = live.values_mut().find(|l| l.pane == pane && l.role == Role::Driver) {
                            let _ = l.master.write_all(&bytes);
                        }
                    }
                    Effect::Resize { pane, size } => {
                        if let Some(l) = live.values_mut().find(|l| l.pane == pane) {
                            let ws = rustix::termios::Winsize { ws_row: size.rows(), ws_col: size.cols(), ws_xpixel: 0, ws_ypixel: 0 };
                            let _ = rustix::termios::tcsetwinsize(&l.master, ws);
                            queue.extend(stage.take(Msg::Attach { pane, event: AttachEvent::Resized(size) }));
                        }
                    }
                    Effect::SetRole { pane, role } => {
                        if let Some(l) = live.values_mut().find(|l| l.pane == pane) {
                            l.role = role;
                        }
                        queue.extend(stage.take(Msg::Attach { pane, event: AttachEvent::RoleChanged(role) }));
                    }
                    Effect::Quit => return,
                    _ => {}
                }
            }
        }
        stage.tell_time();
        stage.draw().unwrap();
        let frame = stage.next_frame();
        tokio::select! {
            biased;
            read = stage.terminal.read(&mut buffer) => {
                let n = read.unwrap();
                for input in stage.decode(&buffer[..n].to_vec()) {
                    queue.extend(stage.take(Msg::Input(input)));
                }
            }
            Some((id, data)) = rx.recv() => {
                if let Some(pane) = live.get(&id).map(|l| l.pane) {
                    let event = match data {
                        Some(data) => AttachEvent::Output { offset, data },
                        None => AttachEvent::Exited(Exit { code: 2, signal: None, offset }),
                    };
                    offset += 1;
                    queue.extend(stage.take(Msg::Attach { pane, event }));
                }
            }
            _ = winch.recv() => { let e = stage.resize(); queue.extend(e); }
            _ = tokio::time::sleep_until(frame.unwrap_or(Instant::now() + Duration::from_secs(1)).into()) => {}
        }
    }
}

fn spawn(info: &Session, tx: &tokio::sync::mpsc::Sender<(SessionId, Option<Bytes>)>) -> Live {
    let (master, pts) = pty_process::blocking::open().unwrap();
    master.resize(pty_process::Size::new(24, 80)).unwrap();
    let mut child = pty_process::blocking::Command::new(&info.spec.command[0])
        .args(&info.spec.command[1..])
        .env("TERM", "xterm-256color")
        .env("PS1", "\\[\\e[32m\\]ada@host\\[\\e[0m\\]:\\w$ ")
        .spawn(pts)
        .unwrap();
    let master = std::fs::File::from(std::os::fd::OwnedFd::from(master));
    let (mut reader, tx, id) = (master.try_clone().unwrap(), tx.clone(), info.id());
    std::thread::spawn(move || {
        let mut buffer = vec![0u8; 16384];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            if tx.blocking_send((id, Some(Bytes::copy_from_slice(&buffer[..n])))).is_err() {
                return;
            }
        }
        let _ = child.wait();
        let _ = tx.blocking_send((id, None));
    });
    Live { master, pane: PaneId(0), role: Role::Observer }
}

//! The bytes of every message on the wire: a change of this file is a change of the format, and tags are append-only.
//! `FLEETMUX_REGENERATE=1 cargo test --test wire` writes it anew.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use fleetmux::wire::{Message, v1};

fn hex(message: &impl Message) -> String {
    message.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(fill: u8) -> Bytes {
    Bytes::from(vec![fill; 16])
}

fn size() -> v1::Size {
    v1::Size { rows: 24, cols: 80 }
}

fn pair() -> HashMap<String, String> {
    HashMap::from([("role".to_string(), "web".to_string())])
}

fn spec() -> v1::SessionSpec {
    v1::SessionSpec {
        id: id(1),
        name: "shell".into(),
        command: vec!["bash".into(), "-l".into()],
        cwd: "/srv".into(),
        env: pair(),
        size: Some(size()),
        term: "xterm-256color".into(),
        log_bytes: 4096,
        history_bytes: 8192,
        until_pid: 77,
        workspace: "default".into(),
        shared: true,
        posix_shell: true,
        greeting: "web-1".into(),
    }
}

fn exec_start() -> v1::ExecStart {
    v1::ExecStart {
        machine: id(2),
        command: "uptime".into(),
        argv: vec!["ls".into(), "-l".into()],
        cwd: "/srv".into(),
        env: pair(),
        shell: "/bin/bash".into(),
        timeout_ms: 30_000,
        has_stdin: true,
        merge: true,
    }
}

fn exec_up(frame: v1::exec_up::Frame) -> v1::ExecUp {
    v1::ExecUp { frame: Some(frame) }
}

fn exec_down(frame: v1::exec_down::Frame) -> v1::ExecDown {
    v1::ExecDown { frame: Some(frame) }
}

fn exited() -> v1::Exited {
    v1::Exited { code: 137, signal: 9, offset: 1000 }
}

fn viewer() -> v1::Viewer {
    v1::Viewer {
        number: 1,
        role: 2,
        label: "ada@laptop".into(),
        size: Some(size()),
        owns_size: true,
        principal: "key:ada".into(),
    }
}

fn summary() -> v1::Summary {
    v1::Summary {
        offset: 1000,
        title: "vim".into(),
        cwd: "/srv".into(),
        size: Some(size()),
        drivers: 1,
        observers: 2,
        last_output_ms: 1_700_000_000_000,
        attached_ms: 1_700_000_000_000,
        exited: Some(exited()),
        viewers: vec![viewer()],
    }
}

fn info() -> v1::SessionInfo {
    v1::SessionInfo { spec: Some(spec()), pid: 4242, created_ms: 1_700_000_000_000, summary: Some(summary()) }
}

fn facts() -> v1::MachineFacts {
    v1::MachineFacts {
        id: id(2),
        name: "web-1".into(),
        hostname: "web-1.example".into(),
        os: "Debian".into(),
        kernel: "6.1".into(),
        arch: "x86_64".into(),
        cpus: 2,
        memory_bytes: 1 << 30,
        labels: pair(),
        version: "0.1.0".into(),
        boot_time_s: 1_700_000_000,
        workspace: "default".into(),
    }
}

fn load() -> v1::Load {
    v1::Load { one: 0.5, five: 0.25, fifteen: 0.125, memory_available_bytes: 1 << 20, uptime_s: 60 }
}

fn machine() -> v1::Machine {
    v1::Machine {
        facts: Some(facts()),
        online: true,
        last_seen_ms: 1_700_000_000_000,
        load: Some(load()),
        latency_us: 300,
        connected_ms: 1_700_000_000_000,
    }
}

fn attach() -> v1::Attach {
    v1::Attach {
        role: 2,
        delivery: 1,
        from_offset: Some(0),
        keyframe: 1,
        size: Some(size()),
        principal: "uid:1000".into(),
        label: "ada@laptop".into(),
        window: 65536,
        history_bytes: 4096,
        pace_ms: 16,
        sizeless: true,
        from_oldest: true,
    }
}

fn refused() -> v1::Refused {
    v1::Refused { code: 2, message: "no".into(), frame: "input".into() }
}

fn rename() -> v1::Rename {
    v1::Rename { name: "deploy".into() }
}

fn hello() -> v1::Hello {
    v1::Hello { version: 1, software: "fleetmux 0.1.0".into() }
}

fn all() -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, bytes: String| rows.push((name.into(), bytes));
    use v1::session_up::Frame as U;
    let ups = [
        ("up.hello", U::Hello(hello())),
        ("up.attach", U::Attach(attach())),
        ("up.input", U::Input(v1::Input { offset: 9, data: Bytes::from_static(b"ls\n") })),
        ("up.resize", U::Resize(v1::Resize { size: Some(size()) })),
        ("up.signal", U::Signal(v1::Signal { number: 2 })),
        ("up.set_role", U::SetRole(v1::SetRole { role: 1 })),
        ("up.consumed", U::Consumed(v1::Consumed { offset: 500 })),
        ("up.refresh", U::Refresh(v1::Refresh { from_offset: 5, keyframe: 2, history_bytes: 100 })),
        ("up.ping", U::Ping(v1::Ping { token: 7 })),
        ("up.detach", U::Detach(v1::Detach {})),
        ("up.close", U::Close(v1::Close {})),
        ("up.rename", U::Rename(rename())),
    ];
    for (name, frame) in ups {
        row(name, hex(&v1::SessionUp { client: id(3), frame: Some(frame) }));
    }
    use v1::session_down::Frame as D;
    let attached = v1::Attached { role: 2, offset: 10, input_next: 20, size: Some(size()), skipped: 30, number: 1 };
    let keyframe =
        v1::Keyframe { offset: 10, skipped: 3, size: Some(size()), kind: 1, data: Bytes::from_static(b"\x1b[H") };
    let downs = [
        ("down.hello", D::Hello(hello())),
        ("down.attached", D::Attached(attached)),
        ("down.output", D::Output(v1::Output { offset: 10, data: Bytes::from_static(b"hi") })),
        ("down.keyframe", D::Keyframe(keyframe)),
        ("down.resized", D::Resized(v1::Resized { offset: 10, size: Some(size()) })),
        ("down.presence", D::Presence(v1::Presence { viewers: vec![viewer()] })),
        ("down.input_ack", D::InputAck(v1::InputAck { next: 20, resend: true })),
        ("down.exited", D::Exited(exited())),
        ("down.refused", D::Refused(refused())),
        ("down.pong", D::Pong(v1::Pong { token: 7 })),
        ("down.summary", D::Summary(summary())),
        ("down.detached", D::Detached(v1::Detached { reason: "over".into() })),
        ("down.role_set", D::RoleSet(v1::RoleSet { role: 2 })),
        ("down.behind", D::Behind(v1::Behind {})),
        ("down.renamed", D::Renamed(rename())),
    ];
    for (name, frame) in downs {
        row(name, hex(&v1::SessionDown { client: id(3), frame: Some(frame) }));
    }
    use v1::keeper_down::Frame as K;
    row("keeper.hello", hex(&v1::KeeperDown { frame: Some(K::Hello(hello())) }));
    row("keeper.info", hex(&v1::KeeperDown { frame: Some(K::Info(info())) }));
    let pong = || v1::SessionDown { client: id(3), frame: Some(D::Pong(v1::Pong { token: 7 })) };
    row("keeper.down", hex(&v1::KeeperDown { frame: Some(K::Down(pong())) }));
    use v1::agent_up::Frame as A;
    let agent_ups = [
        ("agent_up.hello", A::Hello(hello())),
        ("agent_up.facts", A::Facts(facts())),
        ("agent_up.sessions", A::Sessions(v1::SessionList { sessions: vec![info()] })),
        ("agent_up.session_added", A::SessionAdded(info())),
        ("agent_up.session_removed", A::SessionRemoved(id(1))),
        ("agent_up.down", A::Down(v1::RoutedDown { session: id(1), down: Some(pong()) })),
        ("agent_up.heartbeat", A::Heartbeat(load())),
        ("agent_up.created", A::Reply(v1::Reply { number: 5, reply: Some(v1::reply::Reply::Created(info())) })),
        ("agent_up.destroyed", A::Reply(v1::Reply { number: 5, reply: Some(v1::reply::Reply::Destroyed(id(1))) })),
        ("agent_up.refused", A::Reply(v1::Reply { number: 5, reply: Some(v1::reply::Reply::Refused(refused())) })),
        ("agent_up.renamed", A::Reply(v1::Reply { number: 5, reply: Some(v1::reply::Reply::Renamed(info())) })),
        (
            "agent_up.admitted",
            A::Reply(v1::Reply {
                number: 5,
                reply: Some(v1::reply::Reply::Admitted(v1::Admitted { needs_password: true })),
            }),
        ),
        ("agent_up.pong", A::Pong(v1::Pong { token: 7 })),
        ("agent_up.session_silent", A::SessionSilent(id(1))),
        (
            "agent_up.exec",
            A::Exec(v1::RoutedExecDown { number: 5, down: Some(exec_down(v1::exec_down::Frame::StdinCredit(9))) }),
        ),
        (
            "agent_up.files",
            A::Files(v1::RoutedFileDown { number: 5, down: Some(file_down(v1::file_down::Frame::Credit(9))) }),
        ),
    ];
    for (name, frame) in agent_ups {
        row(name, hex(&v1::AgentUp { frame: Some(frame) }));
    }
    let ping = || v1::SessionUp { client: id(3), frame: Some(U::Ping(v1::Ping { token: 7 })) };
    let request = |request| v1::Request { number: 5, principal: "uid:1000".into(), request: Some(request), join: true };
    use v1::agent_down::Frame as G;
    let renaming = v1::RenameRequest { session: id(1), name: "deploy".into() };
    let admitting = v1::AdmitRequest { session: id(1), action: "drive".into(), password: "secret".into() };
    let agent_downs = [
        ("agent_down.hello", G::Hello(hello())),
        ("agent_down.up", G::Up(v1::RoutedUp { session: id(1), up: Some(ping()) })),
        ("agent_down.create", G::Request(request(v1::request::Request::Create(spec())))),
        ("agent_down.destroy", G::Request(request(v1::request::Request::Destroy(id(1))))),
        ("agent_down.admit", G::Request(request(v1::request::Request::Admit(admitting)))),
        ("agent_down.rename", G::Request(request(v1::request::Request::Rename(renaming)))),
        (
            "agent_down.revoked",
            G::Revoked(v1::RevokedKeys { keys: vec![v1::RevokedKey { principal: "key:ci".into(), ago_ms: 9 }] }),
        ),
        ("agent_down.ping", G::Ping(v1::Ping { token: 7 })),
        (
            "agent_down.exec",
            G::Exec(v1::RoutedExecUp {
                number: 5,
                principal: "uid:1000".into(),
                up: Some(exec_up(v1::exec_up::Frame::Credit(9))),
            }),
        ),
        (
            "agent_down.files",
            G::Files(v1::RoutedFileUp {
                number: 5,
                principal: "uid:1000".into(),
                up: Some(file_up(v1::file_up::Frame::Credit(9))),
            }),
        ),
    ];
    for (name, frame) in agent_downs {
        row(name, hex(&v1::AgentDown { frame: Some(frame) }));
    }
    use v1::client_up::Frame as C;
    let open = v1::OpenChannel { session: id(1), client: id(3), attach: Some(attach()) };
    let client_ups = [
        ("client_up.hello", C::Hello(hello())),
        ("client_up.open", C::Open(open)),
        ("client_up.up", C::Up(ping())),
        ("client_up.ping", C::Ping(v1::Ping { token: 7 })),
        ("client_up.broadcast", C::Broadcast(v1::Broadcast { sessions: vec![id(1), id(4)] })),
    ];
    for (name, frame) in client_ups {
        row(name, hex(&v1::ClientUp { channel: 4, frame: Some(frame) }));
    }
    use v1::client_down::Frame as L;
    let client_downs = [
        ("client_down.hello", L::Hello(hello())),
        ("client_down.down", L::Down(pong())),
        ("client_down.lost", L::Lost(v1::Lost { code: 4, message: "offline".into() })),
        ("client_down.ready", L::Ready(v1::Ready {})),
        ("client_down.pong", L::Pong(v1::Pong { token: 7 })),
    ];
    for (name, frame) in client_downs {
        row(name, hex(&v1::ClientDown { channel: 4, frame: Some(frame) }));
    }
    let session = || v1::Session { machine: id(2), info: Some(info()) };
    use v1::fleet_event::Event as E;
    let snapshot = v1::FleetSnapshot { machines: vec![machine()], sessions: vec![session()], more: false };
    let events = [
        ("event.snapshot", E::Snapshot(snapshot)),
        ("event.machine", E::Machine(machine())),
        ("event.machine_removed", E::MachineRemoved(id(2))),
        ("event.session", E::Session(session())),
        ("event.session_removed", E::SessionRemoved(v1::SessionRef { machine: id(2), session: id(1) })),
    ];
    for (name, event) in events {
        row(name, hex(&v1::FleetEvent { event: Some(event) }));
    }
    row("watch", hex(&v1::WatchRequest::default()));
    row("watch_once", hex(&v1::WatchRequest { machines: vec!["web-1".into()], once: true, pieces: true }));
    row("snapshot_piece", hex(&v1::FleetSnapshot { more: true, ..Default::default() }));
    row("create", hex(&v1::CreateSessionRequest { machine: id(2), spec: Some(spec()), join: true }));
    row("destroy", hex(&v1::DestroySessionRequest { session: id(1) }));
    row("rename", hex(&v1::RenameSessionRequest { session: id(1), name: "deploy".into() }));
    row("destroy_reply", hex(&v1::DestroySessionReply {}));
    use v1::exec_up::Frame as X;
    let exec_ups = [
        ("exec_up.start", X::Start(exec_start())),
        ("exec_up.stdin", X::Stdin(Bytes::from_static(b"in"))),
        ("exec_up.stdin_closed", X::StdinClosed(v1::ExecStdinClosed {})),
        ("exec_up.signal", X::Signal(2)),
        ("exec_up.cancel", X::Cancel(v1::ExecCancel { signal: 15 })),
        ("exec_up.credit", X::Credit(9)),
    ];
    for (name, frame) in exec_ups {
        row(name, hex(&exec_up(frame)));
    }
    use v1::exec_down::Frame as Y;
    let exit = v1::ExecExit { code: 137, signal: 9, timed_out: true, duration_ms: 1500 };
    let exec_downs = [
        ("exec_down.started", Y::Started(v1::ExecStarted { pid: 77 })),
        ("exec_down.stdout", Y::Stdout(Bytes::from_static(b"out"))),
        ("exec_down.stderr", Y::Stderr(Bytes::from_static(b"err"))),
        ("exec_down.stdin_credit", Y::StdinCredit(9)),
        ("exec_down.exit", Y::Exit(exit)),
        ("exec_down.refused", Y::Refused(refused())),
    ];
    for (name, frame) in exec_downs {
        row(name, hex(&exec_down(frame)));
    }
    rows.extend(files());
    let mut row = |name: &str, bytes: String| rows.push((name.to_string(), bytes));
    let key = v1::KeyInfo {
        id: id(5),
        name: "ci".into(),
        workspace: "default".into(),
        actions: vec![1, 2, 3, 4, 5],
        created_ms: 10,
        last_used_ms: 20,
        expires_ms: 30,
        hint: "fm_abcd".into(),
        machine: id(2),
        labels: pair(),
        hostname: "vps-a".into(),
    };
    let join = v1::JoinRequest {
        secret: "s".into(),
        machine: id(2),
        name: "web-1".into(),
        hostname: "vps-a".into(),
        labels: pair(),
        name_is_default: true,
        replace: true,
    };
    row("join", hex(&join));
    let joined = v1::JoinReply {
        machine_key: "fmm_k".into(),
        workspace: "default".into(),
        ca_pem: "pem".into(),
        labels: pair(),
        name: "web-1".into(),
        hostname: "vps-a".into(),
        replaced: true,
    };
    row("join_reply", hex(&joined));
    row("who_am_i", hex(&v1::WhoAmIRequest {}));
    let me = v1::WhoAmIReply {
        principal: "key:ci".into(),
        workspace: "default".into(),
        actions: vec![1, 5],
        ca_pem: "pem".into(),
    };
    row("who_am_i_reply", hex(&me));
    let token = v1::CreateTokenRequest {
        workspace: "default".into(),
        expires_s: 60,
        reusable: true,
        labels: pair(),
        address: "relay:7443".into(),
        name: "web-1".into(),
        allow_names: vec!["web-*".into()],
        allow_labels: vec!["env=dev*".into()],
        replace: true,
    };
    row("create_token", hex(&token));
    row("create_token_reply", hex(&v1::CreateTokenReply { token: "fmj_t".into(), expires_ms: 40 }));
    let create = v1::CreateKeyRequest {
        name: "ci".into(),
        workspace: "default".into(),
        actions: vec![1, 2],
        expires_s: 60,
        prefix: "fm_".into(),
    };
    row("create_key", hex(&create));
    row("create_key_reply", hex(&v1::CreateKeyReply { key: "fm_k".into(), info: Some(key.clone()) }));
    row("list_keys", hex(&v1::ListKeysRequest {}));
    row("list_keys_reply", hex(&v1::ListKeysReply { keys: vec![key.clone()] }));
    row("revoke_key", hex(&v1::RevokeKeyRequest { key: "ci".into() }));
    row("revoke_key_reply", hex(&v1::RevokeKeyReply { revoked: Some(key.clone()) }));
    row("revoke_machine", hex(&v1::RevokeMachineRequest { machine: "web-1".into() }));
    row("revoke_machine_reply", hex(&v1::RevokeMachineReply { revoked: Some(key.clone()) }));
    let set = v1::SetMachineRequest {
        machine: "web-1".into(),
        name: "web-2".into(),
        hostname: "vps-b".into(),
        labels: pair(),
        remove_labels: vec!["env".into()],
    };
    row("set_machine", hex(&set));
    row("set_machine_reply", hex(&v1::SetMachineReply { machine: Some(key) }));
    row("forget_machine", hex(&v1::ForgetMachineRequest { machine: "web-1".into() }));
    row("forget_machine_reply", hex(&v1::ForgetMachineReply { machine: id(2), name: "web-1".into(), had_key: true }));
    rows
}

fn file_up(frame: v1::file_up::Frame) -> v1::FileUp {
    v1::FileUp { frame: Some(frame) }
}

fn file_down(frame: v1::file_down::Frame) -> v1::FileDown {
    v1::FileDown { frame: Some(frame) }
}

/// Every frame about files, with every field set.
fn files() -> Vec<(String, String)> {
    use v1::file_start::Request as R;
    let path = |text: &'static str| Bytes::from_static(text.as_bytes());
    let requests = [
        ("list", R::List(v1::FileList { path: path("/srv"), hidden: true, after: path("a"), limit: 7 })),
        ("stat", R::Stat(v1::FileStat { path: path("/srv"), follow: true })),
        ("read", R::Read(v1::FileRead { path: path("/srv/f"), offset: 3, length: 4 })),
        ("write", R::Write(v1::FileWrite { path: path("/srv/f"), overwrite: true, parents: true, mode: 0o640 })),
        ("make_directory", R::MakeDirectory(v1::FileMakeDirectory { path: path("/srv/d"), parents: true })),
        ("remove", R::Remove(v1::FileRemove { path: path("/srv/d"), recursive: true })),
        ("rename", R::Rename(v1::FileRename { from: path("/a"), to: path("/b"), overwrite: true })),
        ("copy", R::Copy(v1::FileCopy { from: path("/a"), to: path("/b"), overwrite: true, recursive: true })),
        (
            "search",
            R::Search(v1::FileSearch {
                path: path("/srv"),
                name: "*.log".into(),
                content: "error".into(),
                case_sensitive: true,
                hidden: true,
                limit: 5,
                depth: 6,
                context: 2,
            }),
        ),
        ("rules", R::Rules(v1::MachineRulesRequest {})),
    ];
    let mut rows = Vec::new();
    for (name, request) in requests {
        let start = v1::FileStart { machine: id(2), request: Some(request) };
        rows.push((format!("file_up.{name}"), hex(&file_up(v1::file_up::Frame::Start(start)))));
    }
    use v1::file_up::Frame as U;
    for (name, frame) in
        [("data", U::Data(path("data"))), ("commit", U::Commit(v1::FileCommit {})), ("credit", U::Credit(9))]
    {
        rows.push((format!("file_up.{name}"), hex(&file_up(frame))));
    }
    let entry = v1::FileEntry {
        path: path("/srv/f"),
        kind: v1::FileKind::Link as i32,
        size: 11,
        mode: 0o640,
        owner: "root".into(),
        group: "adm".into(),
        modified_ms: 12,
        target: path("../t"),
        leads_to_directory: true,
        readable: true,
        writable: true,
    };
    let line = v1::FileLine {
        number: 3,
        text: path("an error"),
        start: 3,
        end: 8,
        before: vec![path("b")],
        after: vec![path("a")],
    };
    let found = v1::FileMatch { entry: Some(entry.clone()), lines: vec![line] };
    let done = v1::FileDone {
        entry: Some(entry.clone()),
        bytes: 1,
        files: 2,
        directories: 3,
        more: true,
        total: 4,
        duration_ms: 5,
    };
    use v1::file_down::Frame as D;
    let downs = [
        ("opened", D::Opened(entry.clone())),
        ("data", D::Data(path("data"))),
        ("entries", D::Entries(v1::FileEntries { entries: vec![entry] })),
        ("matches", D::Matches(v1::FileMatches { matches: vec![found] })),
        ("credit", D::Credit(9)),
        ("done", D::Done(done)),
        ("refused", D::Refused(refused())),
        (
            "rules",
            D::Rules(v1::MachineRules {
                file: "/etc/fleetmux/permissions.toml".into(),
                default_allow: true,
                broken: "gone".into(),
                rules: vec![v1::MachineRule { number: 2, text: "allow * observe".into() }],
                none: true,
            }),
        ),
    ];
    for (name, frame) in downs {
        rows.push((format!("file_down.{name}"), hex(&file_down(frame))));
    }
    rows
}

#[test]
fn every_message_has_its_golden_bytes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire.txt");
    let fresh: String = all().into_iter().map(|(name, bytes)| format!("{name} {bytes}\n")).collect();
    if std::env::var_os("FLEETMUX_REGENERATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    for (fresh, kept) in fresh.lines().zip(kept.lines()) {
        assert_eq!(fresh, kept, "the format of a message changed");
    }
    assert_eq!(fresh.lines().count(), kept.lines().count());
}

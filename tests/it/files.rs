//! Files of machines, end to end: every verb, long ones, broken ones, and those that nobody may touch.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use fleetmux::client::{Client, Error, Files, ListOptions, ReadOptions, SearchOptions, WriteOptions};
use fleetmux::fleet::FileKind;

use crate::cli::{fleetmux, ok};
use crate::identity::Realm;
use crate::support::machine;
use crate::support::{Fleet, PATIENCE, signal};

async fn in_time<T>(what: &str, step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.unwrap_or_else(|_| panic!("never: {what}"))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    in_time(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

struct Host {
    fleet: Fleet,
    client: Client,
    files: Files,
    /// A directory for the test's files, without links on the way to it.
    root: PathBuf,
}

impl Host {
    async fn start() -> Host {
        let fleet = Fleet::start(&["web-1"]);
        Host::of(fleet).await
    }

    async fn of(fleet: Fleet) -> Host {
        let client = fleet.client();
        let machine = fleet.machine(&client, "web-1").await.facts.id;
        let files = client.files().on(machine);
        let root = fleet.dir.path().canonicalize().unwrap().join("data");
        fs::create_dir_all(&root).unwrap();
        Host { fleet, client, files, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn permissions(&self, args: &[&str]) {
        let dir = self.fleet.dir.path().join("web-1");
        ok(fleetmux(&self.fleet).arg("permissions").args(args).arg("--dir").arg(dir));
    }

    fn cli(&self, args: &[&str]) -> Command {
        let mut command = fleetmux(&self.fleet);
        command.arg("files").args(args).current_dir(&self.root);
        command
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn every_verb_does_what_it_says() {
    let host = Host::start().await;
    let files = &host.files;
    let made = files.mkdir(host.path("a/b"), true).await.unwrap();
    assert_eq!((made.path.as_path(), made.kind), (host.path("a/b").as_path(), FileKind::Directory));
    let written = files.write(host.path("a/b/one"), "first\nsecond\n").await.unwrap();
    assert_eq!((written.size, written.mode & 0o777, written.kind), (13, 0o644, FileKind::File));
    assert_eq!(files.read(host.path("a/b/one")).await.unwrap(), "first\nsecond\n");
    let stat = files.stat(host.path("a/b/one")).await.unwrap();
    assert_eq!((stat.size, stat.is_readable, stat.is_writable), (13, true, true));
    assert_eq!(stat.modified_ms / 1000, fs::metadata(host.path("a/b/one")).unwrap().mtime());
    let part = ReadOptions { offset: 6, length: Some(3) };
    let mut reader = files.open(host.path("a/b/one"), part).await.unwrap();
    assert_eq!(reader.recv().await.unwrap().unwrap(), "sec");
    assert!(reader.recv().await.unwrap().is_none() && reader.is_truncated());
    let beyond = ReadOptions { offset: 100, length: None };
    let mut reader = files.open(host.path("a/b/one"), beyond).await.unwrap();
    assert!(reader.recv().await.unwrap().is_none() && !reader.is_truncated());
    files.copy(host.path("a"), host.path("c"), false, true).await.unwrap();
    assert_eq!(fs::read(host.path("c/b/one")).unwrap(), b"first\nsecond\n");
    let moved = files.move_to(host.path("c/b/one"), host.path("c/two"), false).await.unwrap();
    assert_eq!(moved.path, host.path("c/two"));
    fs::write(host.path("c/.hidden"), "").unwrap();
    let listed = files.list(host.path("c")).await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.name()).collect::<Vec<_>>(), ["b", "two"]);
    let gone = files.delete(host.path("c"), true).await.unwrap();
    assert_eq!((gone.files, gone.directories, host.path("c").exists()), (2, 2, false));
    let home = files.stat("").await.unwrap();
    assert_eq!((home.kind, home.path), (FileKind::Directory, files.stat("~").await.unwrap().path));
}

#[tokio::test]
async fn what_cannot_be_done_is_told_apart_and_names_the_file() {
    let host = Host::start().await;
    let files = &host.files;
    fs::write(host.path("file"), "kept").unwrap();
    fs::create_dir_all(host.path("full/x")).unwrap();
    let missing = files.read(host.path("nowhere")).await.unwrap_err();
    assert!(
        matches!(&missing, Error::FileNotFound(text) if text.contains("nowhere") && text.contains("web-1")),
        "{missing}"
    );
    let into_nothing = files.write(host.path("no/such/file"), "x").await.unwrap_err();
    assert!(matches!(into_nothing, Error::FileNotFound(_)), "{into_nothing}");
    let there = files.move_to(host.path("full"), host.path("file"), false).await.unwrap_err();
    assert!(matches!(there, Error::FileExists(_)), "{there}");
    let there = files.copy(host.path("file"), host.path("full/../file2"), false, false).await.unwrap();
    assert_eq!(there.path, host.path("file2"));
    let again = files.copy(host.path("file"), host.path("file2"), false, false).await.unwrap_err();
    assert!(matches!(again, Error::FileExists(_)), "{again}");
    let new = WriteOptions { overwrite: false, ..WriteOptions::default() };
    assert!(matches!(files.create(host.path("file"), new).await, Err(Error::FileExists(_))));
    assert!(matches!(files.mkdir(host.path("full"), false).await, Err(Error::FileExists(_))));
    for (what, outcome) in [
        ("a directory is not read", files.read(host.path("full")).await.map(drop)),
        ("nor written", files.write(host.path("full"), "x").await.map(drop)),
        ("nor removed while there is something in it", files.delete(host.path("full"), false).await.map(drop)),
        ("a file is not listed", files.list(host.path("file")).await.map(drop)),
        (
            "a directory goes not into itself",
            files.copy(host.path("full"), host.path("full/x/y"), false, true).await.map(drop),
        ),
        ("nor is it moved there", files.move_to(host.path("full"), host.path("full/x/y"), false).await.map(drop)),
        (
            "a file is not copied over itself",
            files.copy(host.path("file"), host.path("file"), true, false).await.map(drop),
        ),
        ("the root is nobody's to remove", files.delete("/", true).await.map(drop)),
        ("a device is not read", files.read("/dev/zero").await.map(drop)),
        ("nor replaced", files.write("/dev/null", "x").await.map(drop)),
        ("a path has no NUL", files.read(OsStr::from_bytes(b"/a\0b")).await.map(drop)),
        ("a pattern must be one", {
            let options = SearchOptions { content_pattern: "(".into(), ..SearchOptions::default() };
            files.search(&host.root, options).await.map(drop)
        }),
    ] {
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{what}: {outcome:?}");
    }
    assert_eq!(fs::read(host.path("file")).unwrap(), b"kept");
    assert!(Path::new("/dev/null").metadata().unwrap().len() == 0 && host.path("full/x").is_dir());
    let nobody = host.client.files().read("/etc/hostname").await.unwrap_err();
    assert!(matches!(nobody, Error::MachineNotFound(_)), "no machine is selected: {nobody}");
}

#[tokio::test]
async fn directories_come_in_pages_and_a_page_goes_on_behind_a_name() {
    let host = Host::start().await;
    for number in 0..250 {
        fs::write(host.path(&format!("f{number:03}")), "").unwrap();
    }
    fs::write(host.path(".hidden"), "").unwrap();
    let mut options = ListOptions::default();
    let mut seen = Vec::new();
    loop {
        let page = host.files.list_with(&host.root, options.clone()).await.unwrap();
        assert!(page.entries.len() <= 100 && page.total == 250 - u64::from(seen.len() >= 100), "{}", page.total);
        seen.extend(page.entries.iter().map(|entry| entry.name().to_string_lossy().into_owned()));
        if seen.len() == 100 {
            // What goes in between does not move the rest.
            fs::remove_file(host.path("f000")).unwrap();
        }
        match page.next_page_token {
            Some(token) => options.page_token = Some(token),
            None => break,
        }
    }
    assert_eq!(seen, (0..250).map(|number| format!("f{number:03}")).collect::<Vec<_>>());
    let all = ListOptions { include_hidden: true, page_size: 0, page_token: None };
    let page = host.files.list_with(&host.root, all).await.unwrap();
    assert_eq!((page.entries.len(), page.entries[0].name()), (250, OsStr::new(".hidden")));
}

#[tokio::test]
async fn a_search_finds_names_and_lines_with_what_is_around_them() {
    let host = Host::start().await;
    fs::create_dir_all(host.path("logs/old")).unwrap();
    fs::write(host.path("logs/app.log"), "start\nan ERROR here\nend\n").unwrap();
    fs::write(host.path("logs/old/app.log.1"), "no trouble\n").unwrap();
    fs::write(host.path("logs/binary"), b"\0error\n").unwrap();
    fs::write(host.path("logs/.hidden.log"), "error\n").unwrap();
    symlink("/etc", host.path("logs/etc")).unwrap();
    let named = SearchOptions { filename_pattern: "*.log*".into(), ..SearchOptions::default() };
    let found = host.files.search(host.path("logs"), named.clone()).await.unwrap();
    let paths: Vec<&Path> = found.matches.iter().map(|found| found.entry.path.as_path()).collect();
    assert_eq!(paths, [host.path("logs/app.log"), host.path("logs/old/app.log.1")]);
    assert!(!found.is_truncated && found.files == 4 && found.directories == 2, "{found:?}");
    let lines = SearchOptions { content_pattern: "error".into(), context_lines: 1, ..SearchOptions::default() };
    let found = host.files.search(host.path("logs"), lines.clone()).await.unwrap();
    assert_eq!(found.matches.len(), 1, "{found:?}");
    let line = &found.matches[0].lines[0];
    assert_eq!((line.number, &line.text[line.start..line.end]), (2, &b"ERROR"[..]));
    assert_eq!((&line.before[..], &line.after[..]), (&[Bytes::from("start")][..], &[Bytes::from("end")][..]));
    let strict = SearchOptions { case_sensitive: true, include_hidden: true, ..lines };
    let found = host.files.search(host.path("logs"), strict).await.unwrap();
    assert_eq!(found.matches[0].entry.name(), ".hidden.log");
    let first = SearchOptions { max_results: 1, ..named };
    let found = host.files.search(host.path("logs"), first.clone()).await.unwrap();
    assert!(found.is_truncated && found.matches.len() == 1);
    let shallow = SearchOptions { max_depth: 1, max_results: 0, ..first };
    let found = host.files.search(host.path("logs"), shallow).await.unwrap();
    assert_eq!((found.matches.len(), found.directories), (1, 1));
}

/// What a process holds in memory at most, bytes.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_hundred_megabytes_go_there_and_come_back_and_nobody_holds_them() {
    let host = Host::start().await;
    let (here, back, there) = (host.path("here"), host.path("back"), host.path("there"));
    fs::write(&here, random(100_000_000)).unwrap();
    fs::set_permissions(&here, fs::Permissions::from_mode(0o750)).unwrap();
    let before = peak_memory(host.fleet.agent_pid("web-1"));
    let remote = format!("web-1:{}", there.display());
    let put = host.cli(&["put", here.to_str().unwrap(), &remote]).stderr(Stdio::piped()).spawn().unwrap();
    let put = tokio::task::spawn_blocking(move || put.wait_with_output().unwrap()).await.unwrap();
    assert!(put.status.success() && put.stderr.is_empty(), "{}", String::from_utf8_lossy(&put.stderr));
    // Somebody else's request is answered while the file comes back.
    let mut get = host.cli(&["get", &remote, back.to_str().unwrap()]).spawn().unwrap();
    let mut answered = 0;
    let status = in_time("the file", async {
        loop {
            host.files.stat("/").await.unwrap();
            answered += 1;
            if let Some(status) = get.try_wait().unwrap() {
                return status;
            }
        }
    })
    .await;
    assert!(status.success() && answered > 0);
    assert!(fs::read(&here).unwrap() == fs::read(&there).unwrap(), "what is there is what was here");
    assert!(fs::read(&here).unwrap() == fs::read(&back).unwrap(), "and what came back");
    assert_eq!((mode(&there), mode(&back)), (0o750, 0o750));
    let grown = peak_memory(host.fleet.agent_pid("web-1")) - before;
    assert!(grown < 32_000_000, "the agent grew by {grown} bytes");
}

/// A put that has begun and waits for more of its standard input.
fn stalled_put(host: &Host, path: &Path) -> Child {
    let mut put = host.cli(&["put", "-", "web-1", path.to_str().unwrap()]).stdin(Stdio::piped()).spawn().unwrap();
    put.stdin.as_mut().unwrap().write_all(&random(3_000_000)).unwrap();
    put
}

#[tokio::test]
async fn whatever_is_killed_in_the_middle_leaves_the_old_file_and_nothing_else() {
    let mut host = Host::start().await;
    let path = host.path("precious");
    fs::write(&path, "old").unwrap();
    // The agent has the file open, without a name, as soon as bytes of it have come.
    let is_open = |pid: u32| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|to| to.to_string_lossy().contains("/data/#"))
    };
    for victim in ["client", "relay", "agent"] {
        let mut put = stalled_put(&host, &path);
        let agent = host.fleet.agent_pid("web-1");
        until("the file being written", || is_open(agent)).await;
        match victim {
            "client" => signal(put.id(), "KILL"),
            "relay" => host.fleet.kill_relay(),
            _ => host.fleet.kill_agent("web-1"),
        }
        if victim != "agent" {
            until("the file given up", || !is_open(agent)).await;
        }
        drop(put.stdin.take());
        assert!(!put.wait().unwrap().success(), "{victim}");
        assert_eq!(
            (fs::read(&path).unwrap(), names(&host.root)),
            (b"old".to_vec(), vec!["precious".into()]),
            "{victim}"
        );
        match victim {
            "relay" => host.fleet.start_relay(),
            "agent" => host.fleet.start_agent("web-1"),
            _ => {}
        }
        host.fleet.machine(&host.client, "web-1").await;
    }
    in_time("a put as ever", host.files.write(&path, "new")).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    let mut fleet = Fleet::start(&[]);
    let disk = fleet.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A file system of the agent's own, which ends with it.
    let ours = format!("mount -t tmpfs -o size=2m none {} || exit 1", disk.display());
    let flags = if rustix::process::getuid().is_root() { "-m" } else { "-Urm" };
    let within = format!("exec unshare {flags} /bin/sh -c '{ours}\nexec \"$0\" \"$@\"' \"$0\" \"$@\"");
    fleet.start_agent_within("web-1", &within);
    let host = Host::of(fleet).await;
    let path = disk.join("precious");
    host.files.write(&path, "old").await.unwrap();
    let full = host.files.write(&path, random(5_000_000)).await.unwrap_err();
    assert!(matches!(&full, Error::Exhausted(text) if text.contains("is full")), "{full}");
    assert_eq!(host.files.read(&path).await.unwrap(), "old");
    assert_eq!(host.files.list(&disk).await.unwrap().len(), 1);
    // And there is room again.
    host.files.write(&path, random(1_000_000)).await.unwrap();
}

/// Outgrowing the limit of file sizes kills a process that does not listen for it; the agent has other work.
#[tokio::test]
async fn a_file_beyond_the_agents_limit_is_an_error_and_not_its_end() {
    let mut fleet = Fleet::start(&[]);
    fleet.start_agent_within("web-1", "ulimit -f 2048");
    let host = Host::of(fleet).await;
    let refused = host.files.write(host.path("large"), random(4_000_000)).await.unwrap_err();
    assert!(matches!(&refused, Error::Exhausted(text) if text.contains("larger than it may be")), "{refused}");
    assert!(names(&host.root).is_empty());
    host.files.write(host.path("small"), "x").await.unwrap();
}

#[tokio::test]
async fn writers_at_once_leave_one_whole_file() {
    let host = Host::start().await;
    let path = host.path("contended");
    let mut writers = Vec::new();
    for number in 0..8u8 {
        let (files, path) = (host.files.clone(), path.clone());
        writers.push(tokio::spawn(async move { files.write(path, vec![number; 1_000_000]).await.map(drop) }));
    }
    for writer in writers {
        in_time("a writer", writer).await.unwrap().unwrap();
    }
    let contents = fs::read(&path).unwrap();
    assert!(contents.len() == 1_000_000 && contents.iter().all(|byte| *byte == contents[0]));
    assert_eq!(names(&host.root), ["contended"]);
}

#[tokio::test]
async fn a_replaced_file_keeps_its_mode_and_a_link_stays_a_link() {
    let host = Host::start().await;
    fs::write(host.path("script"), "old").unwrap();
    fs::set_permissions(host.path("script"), fs::Permissions::from_mode(0o710)).unwrap();
    symlink("script", host.path("link")).unwrap();
    let written = host.files.write(host.path("link"), "new").await.unwrap();
    assert_eq!(written.path, host.path("script"));
    assert_eq!((fs::read(host.path("script")).unwrap(), mode(&host.path("script"))), (b"new".to_vec(), 0o710));
    assert!(fs::symlink_metadata(host.path("link")).unwrap().is_symlink());
    let options = WriteOptions { mode: Some(0o700), create_parents: true, ..WriteOptions::default() };
    let writer = host.files.create(host.path("x/y/fresh"), options).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(mode(&host.path("x/y/fresh")), 0o700);
    let entry = host.files.stat_link(host.path("link")).await.unwrap();
    assert_eq!((entry.kind, entry.target.as_deref()), (FileKind::Link, Some(Path::new("script"))));
    symlink("nowhere", host.path("dangling")).unwrap();
    assert!(matches!(host.files.write(host.path("dangling"), "x").await, Err(Error::FileNotFound(_))));
}

/// An error says where the rules end, and nothing of what lies behind them.
#[tokio::test]
async fn nobody_gets_out_of_what_the_machines_rules_allow() {
    let host = Host::start().await;
    let (inside, outside) = (host.path("inside"), host.path("outside"));
    fs::create_dir_all(inside.join("deep")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::write(inside.join("file"), "mine").unwrap();
    symlink(&outside, inside.join("out")).unwrap();
    symlink(outside.join("secret"), inside.join("out-file")).unwrap();
    symlink(outside.join("new"), inside.join("out-new")).unwrap();
    host.permissions(&["default", "deny"]);
    host.permissions(&["deny", "*", "files", "--path", &format!("{}/inside/closed", host.root.display())]);
    host.permissions(&["allow", "*", "files", "--path", inside.to_str().unwrap()]);
    let files = &host.files;
    files.write(inside.join("deep/new"), "x").await.unwrap();
    assert_eq!(files.read(inside.join("deep/../file")).await.unwrap(), "mine");
    let (up, missing) = (inside.join("deep/../../outside/secret"), outside.join("missing"));
    for (what, outcome) in [
        ("an absolute path", files.read(outside.join("secret")).await.map(drop)),
        ("dots", files.read(&up).await.map(drop)),
        ("a link to a file", files.read(inside.join("out-file")).await.map(drop)),
        ("a link to a directory", files.read(inside.join("out/secret")).await.map(drop)),
        ("a list through a link", files.list(inside.join("out")).await.map(drop)),
        ("a search through a link", files.search(inside.join("out"), SearchOptions::default()).await.map(drop)),
        ("a write through a link", files.write(inside.join("out-file"), "x").await.map(drop)),
        ("a write into a linked directory", files.write(inside.join("out/new"), "x").await.map(drop)),
        ("a link to what is not there", files.write(inside.join("out-new"), "x").await.map(drop)),
        ("a directory", files.mkdir(inside.join("out/dir"), true).await.map(drop)),
        ("a removal", files.delete(inside.join("out/secret"), false).await.map(drop)),
        ("a move out", files.move_to(inside.join("file"), outside.join("file"), false).await.map(drop)),
        ("a move in", files.move_to(outside.join("secret"), inside.join("got"), false).await.map(drop)),
        ("a copy in", files.copy(outside.join("secret"), inside.join("got"), false, false).await.map(drop)),
        ("a copy out", files.copy(inside.join("file"), outside.join("got"), false, false).await.map(drop)),
        ("what is not there", files.read(&missing).await.map(drop)),
        ("the directory above", files.list(&host.root).await.map(drop)),
        ("the closed directory", files.mkdir(inside.join("closed"), false).await.map(drop)),
    ] {
        assert!(matches!(outcome, Err(Error::PermissionDenied(_))), "{what}: {outcome:?}");
    }
    assert_eq!(
        (names(&outside), fs::read(outside.join("secret")).unwrap()),
        (vec!["secret".into()], b"secret".to_vec())
    );
    // A link itself may go: it lies inside.
    files.delete(inside.join("out"), true).await.unwrap();
    assert!(outside.join("secret").exists());
    // A tree goes as a whole or not at all: what is closed keeps it.
    fs::create_dir(inside.join("closed")).unwrap();
    fs::write(inside.join("closed/x"), "").unwrap();
    for outcome in [
        files.delete(&inside, true).await.map(drop),
        files.move_to(&inside, inside.join("../elsewhere"), false).await.map(drop),
        files.copy(&inside, inside.join("copy"), false, true).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::PermissionDenied(_) | Error::Invalid(_))), "{outcome:?}");
    }
    assert!(inside.join("file").exists() && inside.join("closed/x").exists());
    let all = SearchOptions { filename_pattern: "*".into(), ..SearchOptions::default() };
    let found = files.search(&inside, all).await.unwrap();
    assert!(found.matches.iter().all(|found| !found.entry.path.starts_with(inside.join("closed"))), "{found:?}");
}

#[tokio::test]
async fn a_denial_names_the_rule_and_the_host_and_reading_is_not_writing() {
    let host = Host::start().await;
    fs::write(host.path("file"), "x").unwrap();
    let me = format!("uid:{}", rustix::process::getuid().as_raw());
    let root = host.root.display().to_string();
    host.permissions(&["deny", &me, "write", "--path", &root]);
    assert_eq!(host.files.read(host.path("file")).await.unwrap(), "x");
    let denied = host.files.write(host.path("file"), "y").await.unwrap_err();
    let says = format!(
        "rule 1 (`deny {me} write path={root:?}`) in permissions.toml on web-1 denies write of {:?} to {me}; see `fleetmux \
         permissions list` there",
        host.path("file").to_str().unwrap()
    );
    assert_eq!(denied, Error::PermissionDenied(says));
    // The rules themselves are not for those they are about.
    let rules = host.fleet.dir.path().join("web-1/permissions.toml");
    let denied = host.files.write(&rules, "default = \"allow\"\n").await.unwrap_err();
    assert!(matches!(&denied, Error::PermissionDenied(text) if text.contains("its own rules")), "{denied}");
    let denied = host.files.move_to(rules.parent().unwrap(), host.fleet.dir.path().join("x"), false).await;
    assert!(matches!(denied, Err(Error::PermissionDenied(_))));
}

#[tokio::test]
async fn a_reading_key_reads_a_key_of_another_workspace_sees_nothing_and_each_request_is_audited() {
    let mut realm = Realm::start();
    let token = realm.token(&["--workspace", "prod"]);
    realm.join("web-1", &token);
    realm.agent("web-1");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("file");
    fs::write(&path, "x").unwrap();
    let client = |name: &str, workspace: &str, actions: &str| {
        realm.client(&realm.key(name, &["--workspace", workspace, "--actions", actions]))
    };
    let full = client("full", "prod", "observe,files");
    let id = machine(&full, "web-1", true).await.facts.id;
    full.files().on(id).write(&path, "y").await.unwrap();
    let reader = client("reader", "prod", "observe,read");
    assert_eq!(reader.files().on(id).read(&path).await.unwrap(), "y");
    let denied = reader.files().on(id).write(&path, "z").await.unwrap_err();
    assert!(matches!(&denied, Error::PermissionDenied(text) if text.contains("may not files")), "{denied}");
    let watcher = client("watcher", "prod", "observe,drive,exec");
    assert!(matches!(watcher.files().on(id).read(&path).await, Err(Error::PermissionDenied(_))));
    let stranger = client("stranger", "test", "observe,files");
    let unseen = stranger.files().on(id).read(&path).await.unwrap_err();
    assert!(matches!(unseen, Error::MachineNotFound(_)), "{unseen}");
    assert_eq!(fs::read(&path).unwrap(), b"y");
    let missing = full.files().on(id).delete(path.with_file_name("none"), false).await.unwrap_err();
    realm.audited("files", &missing.to_string().replace('"', "\\\"")).await;
    let lines = realm.audit();
    let has = |principal: &str, verb: &str, outcome: &str| {
        lines.iter().any(|line| {
            line["event"] == "files"
                && line["principal"] == principal
                && line["verb"] == verb
                && line["path"] == path.to_str().unwrap()
                && line["outcome"].as_str().unwrap().contains(outcome)
        })
    };
    assert!(has("key:full", "write", "ok") && has("key:reader", "read", "ok"), "{lines:?}");
    assert!(has("key:stranger", "read", "there is no machine"), "{lines:?}");
    assert!(lines.iter().any(|line| line["event"] == "denied" && line["principal"] == "key:reader"), "{lines:?}");
}

#[tokio::test]
async fn the_command_line_lists_shows_and_moves_files() {
    let host = Host::start().await;
    let run = |args: &[&str]| ok(&mut host.cli(args));
    let fails = |args: &[&str]| {
        let output = host.cli(args).output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let root = host.root.display().to_string();
    let at = |name: &str| format!("web-1:{root}/{name}");
    run(&["mkdir", "-p", &at("dir/sub")]);
    fs::write(host.path("notes"), "hello\n").unwrap();
    fs::set_permissions(host.path("notes"), fs::Permissions::from_mode(0o640)).unwrap();
    run(&["put", "notes", &at("dir/")]);
    run(&["put", "notes", "web-1", &format!("{root}/dir/.hidden")]);
    assert_eq!(run(&["ls", &at("dir")]), "notes\nsub\n");
    assert_eq!(run(&["ls", "-a", "web-1", &format!("{root}/dir")]), ".hidden\nnotes\nsub\n");
    assert_eq!(run(&["cat", &at("dir/notes")]), "hello\n");
    assert_eq!(run(&["get", &at("dir/notes"), "-"]), "hello\n");
    assert_eq!(run(&["cat", "--offset", "1", "--length", "3", &at("dir/notes")]), "ell");
    run(&["get", &at("dir/notes"), "sub-copy"]);
    assert_eq!((fs::read(host.path("sub-copy")).unwrap(), mode(&host.path("sub-copy"))), (b"hello\n".to_vec(), 0o640));
    let long = run(&["ls", "-l", &at("dir")]);
    let lines: Vec<Vec<&str>> = long.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[1][0], lines[1][2], lines[1][5]), ("-rw-r-----", "6", "notes"), "{long}");
    let json: serde_json::Value = serde_json::from_str(&run(&["ls", "--json", &at("dir")])).unwrap();
    assert_eq!(
        (&json[0]["name"], &json[0]["size"], &json[1]["type"]),
        (&"notes".into(), &6.into(), &"directory".into())
    );
    run(&["cp", &at("dir/notes"), &format!("{root}/dir/copy")]);
    run(&["mv", &at("dir/copy"), &at("dir/sub")]);
    assert_eq!(run(&["ls", &at("dir/sub")]), "copy\n");
    assert_eq!(run(&["ls", &at("dir/sub/copy")]), "copy\n", "a file lists itself");
    run(&["cp", "-r", &at("dir/sub"), &format!("{root}/dir/twin")]);
    assert_eq!(run(&["search", "--name", "copy", &at("dir/twin")]), format!("{root}/dir/twin/copy\n"));
    assert_eq!(run(&["search", "--content", "HELL", &at("dir/twin")]), format!("{root}/dir/twin/copy:1:hello\n"));
    run(&["rm", "-r", &at("dir/twin")]);
    let stat: serde_json::Value = serde_json::from_str(&run(&["stat", "--json", &at("dir/notes")])).unwrap();
    assert_eq!((&stat["mode"], &stat["path"]), (&"0640".into(), &format!("{root}/dir/notes").into()));
    assert!(run(&["stat", &at("dir")]).contains("directory\n"));
    for (args, says) in [
        (vec!["rm", &at("dir")], "not empty"),
        (vec!["get", &at("dir")], "it is a directory"),
        (vec!["put", "notes", "web-1:/no/such/dir/x"], "no such file or directory"),
        (vec!["put", "nowhere", &at("x")], "cannot read nowhere"),
        (vec!["put", "dir", &at("x")], "dir is a directory"),
        (vec!["put", "-", &at("dir")], "is a directory; name the file"),
        (vec!["put", "-n", "notes", &at("dir/notes")], "there already"),
        (vec!["get", "-n", &at("dir/notes"), "notes"], "cannot write notes"),
        (vec!["get", "web-1"], "which file of web-1"),
        (vec!["ls", "web-9:/"], "web-9"),
    ] {
        let said = fails(&args);
        assert!(said.starts_with("fleetmux: ") && said.contains(says), "{args:?}: {said}");
    }
    fs::create_dir_all(host.path("dir/into/notes")).unwrap();
    assert!(fails(&["put", "notes", &at("dir/into")]).contains("it is a directory"));
    assert!(fails(&["get", &at("dir/notes"), "dir/into"]).contains("is a directory, and is not replaced"));
    assert!(host.path("dir/into/notes").is_dir());
}

#[tokio::test]
async fn standard_input_becomes_a_file_and_a_reader_that_leaves_is_no_failure() {
    let host = Host::start().await;
    let path = host.path("file").display().to_string();
    let mut put = host.cli(&["put", "-", "web-1", &path]).stdin(Stdio::piped()).spawn().unwrap();
    let contents = random(300_000);
    put.stdin.take().unwrap().write_all(&contents).unwrap();
    assert!(put.wait().unwrap().success());
    assert_eq!((fs::read(&path).unwrap() == contents, mode(Path::new(&path))), (true, 0o644));
    let mut cat = host.cli(&["cat", "web-1", &path]).stdout(Stdio::piped()).spawn().unwrap();
    let mut head = [0; 10];
    let mut stdout = cat.stdout.take().unwrap();
    stdout.read_exact(&mut head).unwrap();
    drop(stdout);
    assert!(head == contents[..10] && cat.wait().unwrap().success());
    // What is no regular file takes it as it comes, and stays what it is.
    ok(&mut host.cli(&["get", &format!("web-1:{path}"), "/dev/null"]));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

/// A name is what somebody on another machine chose: it must not write to this terminal.
#[tokio::test]
async fn names_of_any_bytes_are_moved_whole_and_shown_harmlessly() {
    let host = Host::start().await;
    let odd: [&[u8]; 4] =
        [b"new\nline", b"\x1b]0;owned\x07\x1b[2J", b"not \xff\xfe utf-8", "turn\u{202e}ed".as_bytes()];
    for name in odd {
        let path = host.root.join(OsStr::from_bytes(name));
        host.files.write(&path, name.to_vec()).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), name);
        assert_eq!(host.files.read(&path).await.unwrap(), name);
    }
    let listed = host.files.list(&host.root).await.unwrap();
    let mut seen: Vec<&[u8]> = listed.iter().map(|entry| entry.name().as_bytes()).collect();
    let mut wanted = odd.to_vec();
    seen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);
    let root = host.root.display().to_string();
    for args in
        [vec!["ls", "web-1", &root], vec!["ls", "-l", "web-1", &root], vec!["search", "--name", "*", "web-1", &root]]
    {
        let said = ok(&mut host.cli(&args));
        assert!(said.contains(r"new\nline") && said.contains(r"\u{1b}]0;owned\u{7}\u{1b}[2J"), "{said}");
        assert!(said.contains(r"not \xff\xfe utf-8") && said.contains(r"turn\u{202e}ed"), "{said}");
        assert!(!said.contains(['\x1b', '\x07', '\u{202e}']) && said.lines().count() <= 5, "{said:?}");
    }
    let json: serde_json::Value = serde_json::from_str(&ok(&mut host.cli(&["ls", "--json", "web-1", &root]))).unwrap();
    assert!(json.as_array().unwrap().iter().any(|entry| entry["path_base64"].is_string()));
    let mut get = host.cli(&["get", "web-1"]);
    get.arg(host.root.join(OsStr::from_bytes(odd[2]))).arg("got");
    ok(&mut get);
    assert_eq!(fs::read(host.path("got")).unwrap(), odd[2]);
    let missing = host.cli(&["cat", "web-1", "/\x1b[2Jnone"]).output().unwrap();
    assert!(!missing.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&missing.stderr));
}

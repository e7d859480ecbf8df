//! `fleetmux highlight`, or `ccat`: what it shows on a terminal, in a pipe, and of files that are not what they seem.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fleetmux::fleet::Size;
use tempfile::TempDir;

use crate::cli::{bare, fleetmux, ok, outcome};
use crate::connect::Terminal;
use crate::support::{Fleet, memory_kib};

/// A directory with files, and the program under its second name.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        let said = ok(bare(place.dir.path()).args(["install-alias", "--dir"]).arg(place.path("bin")));
        assert!(said.contains("bin/ccat is /"), "{said}");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), contents).unwrap();
        self.path(name)
    }

    fn ccat(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/ccat"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("NO_COLOR").env_remove("COLORTERM").env("TERM", "xterm-256color");
        command
    }

    fn terminal(&self, args: &[&str], env: &[(&str, &str)], size: Size) -> Terminal {
        let mut command = pty_process::blocking::Command::new(self.path("bin/ccat")).args(args);
        command = command.current_dir(self.dir.path()).env_remove("NO_COLOR").env_remove("PAGER");
        command = command.env("TERM", "xterm-256color").envs(env.iter().copied());
        Terminal::run(command, size)
    }
}

const PYTHON: &str = "def port(name):  # where it listens\n    return {\"web-1\": 7443}[name]\n";

fn bytes(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// What is left when colours are taken away; nothing else may begin with an escape.
fn uncoloured(painted: &[u8]) -> Vec<u8> {
    let colours = regex::bytes::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let text = colours.replace_all(painted, &b""[..]).into_owned();
    assert!(!text.contains(&0x1b), "nothing but colours");
    text
}

#[test]
fn into_a_pipe_everything_goes_as_it_is() {
    let place = Place::new();
    let mut noise = vec![0; 1 << 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    place.file("noise", &noise);
    place.file("main.py", PYTHON);
    assert!(bytes(&mut place.ccat(&["noise"])) == noise, "byte for byte");
    assert_eq!(bytes(&mut place.ccat(&["main.py", "main.py"])), [PYTHON, PYTHON].concat().as_bytes());
    assert_eq!(bytes(place.ccat(&["-"]).stdin(File::open(place.path("main.py")).unwrap())), PYTHON.as_bytes());
    let numbered = String::from_utf8(bytes(&mut place.ccat(&["-n", "--range", "2:", "main.py"]))).unwrap();
    assert_eq!(numbered, "     2      return {\"web-1\": 7443}[name]\n");
    let (code, out, err) = outcome(&mut place.ccat(&["none.py", "main.py"]));
    assert_eq!((code, out.as_str()), (255, PYTHON), "what is there is shown: {err}");
    assert!(err.contains("cannot read none.py: No such file"), "{err}");
    let (code, _, err) = outcome(&mut place.ccat(&["."]));
    assert!(code == 255 && err.contains(". is a directory"), "{err}");
}

/// What the seed types, and what it says that it does.
#[test]
fn seed_000_ccat_has_the_languages_themes_and_flags() {
    let place = Place::new();
    place.file("main.py", PYTHON);
    place.file("main.go", "package main\n\nfunc main() { println(\"web-1\", 7443) }\n");
    place.file("app.js", "const port = 7443; // web-1\n");
    place.file("config.yaml", "port: 7443 # web-1\nname: \"web-1\"\n");
    for name in ["main.py", "config.yaml", "main.go", "app.js"] {
        let painted = bytes(&mut place.ccat(&["--color=always", name]));
        assert!(painted.contains(&0x1b), "{name} has colours");
        assert_eq!(uncoloured(&painted), fs::read(place.path(name)).unwrap(), "{name} is whole");
    }
    let painted = |args: &[&str]| bytes(&mut place.ccat(&[&["--color=always"], args].concat()));
    assert!(String::from_utf8(uncoloured(&painted(&["-n", "main.go"]))).unwrap().starts_with("     1  package main\n"));
    assert_ne!(painted(&["-t", "dracula", "app.js"]), painted(&["app.js"]), "another theme");
    assert_eq!(painted(&["-t", "Monokai", "app.js"]), painted(&["app.js"]), "the theme unless said otherwise");
    place.file("plain", PYTHON);
    assert_eq!(painted(&["-l", "python", "plain"]), painted(&["main.py"]), "the language that was said");
    let languages = String::from_utf8(bytes(&mut place.ccat(&["--list-languages"]))).unwrap();
    assert!(languages.lines().count() >= 285 && languages.contains("\nPython  "), "{languages}");
    let themes = String::from_utf8(bytes(&mut place.ccat(&["--list-themes"]))).unwrap();
    assert!(themes.lines().count() >= 70 && themes.contains("\ndracula\n"), "{themes}");
    let sampled = painted(&["--list-themes"]);
    assert!(uncoloured(&sampled).windows(7).any(|window| window == b"fn port"), "each with a sample");
    for (flag, name) in [("-t", "no-such"), ("-l", "no-such")] {
        let (code, _, err) = outcome(&mut place.ccat(&[flag, name, "main.py"]));
        assert!(code == 255 && err.contains("\"no-such\"; see `fleetmux highlight --list-"), "{err}");
    }
}

fn has_colours(terminal: &Terminal) -> bool {
    terminal.raw.windows(5).any(|bytes| bytes == b"\x1b[38;")
}

#[tokio::test]
async fn on_a_terminal_there_are_colours_and_a_pager_when_it_does_not_fit() {
    let place = Place::new();
    place.file("main.py", PYTHON);
    let size = Size::new(10, 60);
    let mut fits = place.terminal(&["main.py"], &[], size);
    fits.until_text("return {\"web-1\": 7443}[name]").await;
    assert!(fits.ended().await.success(), "what fits needs no key");
    assert!(has_colours(&fits), "{:?}", fits.raw);
    place.file("long.py", (0..500).map(|n| format!("port_{n} = {n}\n")).collect::<String>());
    let mut paged = place.terminal(&["long.py"], &[], size);
    paged.until("a page", |terminal| terminal.text().contains("port_8 = 8") && terminal.text().contains(':')).await;
    paged.send(b"G");
    paged.until_text("port_499 = 499").await;
    let before = paged.raw.len();
    paged.send(b"\x03");
    paged.until("the pager has Ctrl+C", |terminal| terminal.raw.len() > before).await;
    paged.send(b"g");
    paged.until_text("port_0 = 0").await;
    paged.send(b"q");
    assert!(paged.ended().await.success());
    let mut plain = place.terminal(&["main.py"], &[("NO_COLOR", "1")], size);
    plain.until_text("7443}[name]").await;
    assert!(plain.ended().await.success());
    assert!(!has_colours(&plain), "NO_COLOR");
    place.file("noise", b"\0\x01\x02\x1b]0;owned\x07");
    let mut binary = place.terminal(&["noise"], &[], size);
    binary.until_text("noise is binary").await;
    assert!(!binary.ended().await.success() && binary.raw.iter().all(|byte| *byte != 0x1b));
}

/// Ctrl+C was taken from the beginning, and nothing could end a text that did not come.
#[tokio::test]
async fn interrupted_it_ends_unless_a_pager_has_the_keys() {
    let place = Place::new();
    let size = Size::new(10, 60);
    let script = format!("(echo first; exec sleep 1000) | {}", place.path("bin/ccat").display());
    // Whoever started this test in the background has it ignored.
    let mut command = pty_process::blocking::Command::new("env").args(["--default-signal=INT", "sh", "-c", &script]);
    command = command.env("TERM", "xterm-256color");
    let mut waiting = Terminal::run(command, size);
    waiting.until_text("first").await;
    waiting.send(b"\x03");
    assert!(!waiting.ended().await.success());
    // A pager that is left is not waited behind.
    let script = format!("{} <(seq 500; exec sleep 1000); echo le''ft", place.path("bin/ccat").display());
    let mut command = pty_process::blocking::Command::new("bash").args(["-c", &script]);
    command = command.env("TERM", "xterm-256color").env_remove("PAGER");
    let mut paged = Terminal::run(command, size);
    paged.until("a page", |terminal| terminal.text().contains("9\n") && terminal.text().contains(':')).await;
    paged.send(b"q");
    paged.until_text("left").await;
    place.file("long.py", (0..500).map(|n| format!("port_{n} = {n}\n")).collect::<String>());
    let mut failing = place.terminal(&["long.py"], &[("PAGER", "false")], size);
    failing.until_text("the pager failed").await;
    assert!(!failing.ended().await.success());
}

/// A file cannot reach further than its own text, whatever is in it.
#[test]
fn hostile_files_are_shown_and_do_nothing() {
    let place = Place::new();
    let hostile = "let a = \"\x1b]0;owned\x07\x1b[2J\"; // \u{202e}txet\u{9b}31m\r\nlet b = 1;\r\n";
    place.file("hostile.rs", hostile);
    let painted = uncoloured(&bytes(&mut place.ccat(&["--color=always", "hostile.rs"])));
    let text = String::from_utf8(painted).unwrap();
    assert_eq!(text, "let a = \"\u{fffd}]0;owned\u{fffd}\u{fffd}[2J\"; // <U+202E>txet\u{fffd}31m\nlet b = 1;\n");
    let long = [&b"x = \""[..], &vec![b'a'; 3 << 20], b"\"\nlet end = 1;\n"].concat();
    place.file("long.rs", &long);
    assert!(uncoloured(&bytes(&mut place.ccat(&["--color=always", "long.rs"]))) == long, "one line of 3 MB");
    let wide = [&b"x"[..], "é".repeat(200_000).as_bytes(), b"\r\nend\r\n"].concat();
    place.file("wide.txt", &wide);
    let shown = String::from_utf8(uncoloured(&bytes(&mut place.ccat(&["--color=always", "wide.txt"])))).unwrap();
    assert!(!shown.contains('\u{fffd}') && shown.ends_with("é\nend\n"), "characters stay whole");
    place.file("own.txt", "a\n\x1b[8mhidden\x1b[m\n");
    place.file("open.txt", "no end");
    let both =
        String::from_utf8(uncoloured(&bytes(&mut place.ccat(&["--color=always", "open.txt", "own.txt"])))).unwrap();
    assert_eq!(both, "==> open.txt <==\nno end\n==> own.txt <==\na\n\u{fffd}[8mhidden\u{fffd}[m\n");
    // Work that grows with the square of a line is given up, and the text is shown all the same.
    let dear = ("a::b,".repeat(1600) + "\n").repeat(300);
    place.file("dear.yaml", &dear);
    let output = place.ccat(&["--color=always", "dear.yaml"]).output().unwrap();
    assert!(uncoloured(&output.stdout) == dear.as_bytes());
    assert!(String::from_utf8(output.stderr).unwrap().contains("dear.yaml: no colours from line"));
    place.file("latin.txt", b"caf\xe9 \xff\xfe end\n");
    let shown = uncoloured(&bytes(&mut place.ccat(&["--color=always", "latin.txt"])));
    assert_eq!(shown, "caf\u{fffd} \u{fffd}\u{fffd} end\n".as_bytes());
    let mut noise = vec![0; 1 << 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    place.file("noise", &noise);
    for language in ["rust", "c++", "markdown", "perl"] {
        let painted = bytes(&mut place.ccat(&["--color=always", "-l", language, "noise"]));
        assert!(uncoloured(&painted).len() > noise.len() / 2, "{language} shows noise");
    }
}

/// A 1 GB log costs what is looked at, and no more memory than a small one.
#[test]
fn a_log_of_a_gigabyte_is_streamed() {
    let place = Place::new();
    let log = File::create(place.path("big.log")).unwrap();
    let line = "2026-11-29 12:00:00 web-1 ERROR [worker 17] GET /ports/7443 took 1234 ms: \"timed out\"\n";
    let block = line.repeat((1 << 20) / line.len());
    for n in 0..1024 {
        log.write_all_at(block.as_bytes(), (n * block.len()) as u64).unwrap();
    }
    let len = log.metadata().unwrap().len();
    let first = bytes(&mut place.ccat(&["--color=always", "--range", ":20", "big.log"]));
    assert_eq!(uncoloured(&first), line.repeat(20).as_bytes());
    // Whoever stops reading, or looks at it far behind its beginning, waits for nothing.
    let mut child = place.ccat(&["--color=always", "big.log"]).stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, mut read) = (child.stdout.take().unwrap(), vec![0; 1 << 20]);
    out.read_exact(&mut read).unwrap();
    let early = memory_kib(child.id());
    for _ in 0..15 {
        out.read_exact(&mut read).unwrap();
    }
    let late = memory_kib(child.id());
    assert!(late < early + 16 * 1024, "memory is flat: {early} KiB, then {late} KiB");
    drop(out);
    assert!(child.wait().unwrap().success(), "nobody reads any more");
    let lines = len / line.len() as u64;
    let range = format!("{lines}:");
    let last = bytes(&mut place.ccat(&["--color=always", "-n", "--range", &range, "big.log"]));
    assert_eq!(uncoloured(&last), format!("{lines:>6}  {line}").as_bytes());
    let mut child = place.ccat(&["big.log"]).stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, mut count) = (child.stdout.take().unwrap(), 0);
    while let Ok(read @ 1..) = out.read(&mut read) {
        count += read as u64;
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(count, len);
}

/// Bytes that a process has read so far, from wherever.
fn bytes_read(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

#[tokio::test]
async fn of_a_file_on_a_machine_only_what_is_shown_is_fetched() {
    let fleet = Fleet::start(&["web-1"]);
    fleet.machine(&fleet.client(), "web-1").await;
    let path = fleet.dir.path().canonicalize().unwrap().join("big.py");
    let mut file = File::create(&path).unwrap();
    for _ in 0..64 {
        file.write_all(PYTHON.repeat((1 << 20) / PYTHON.len()).as_bytes()).unwrap();
    }
    let place = format!("web-1:{}", path.display());
    let painted = |args: &[&str]| bytes(fleetmux(&fleet).arg("highlight").args(["--color=always"]).args(args));
    let before = bytes_read(fleet.agent_pid("web-1"));
    assert_eq!(uncoloured(&painted(&["--range", ":2", &place])), PYTHON.as_bytes());
    let read = bytes_read(fleet.agent_pid("web-1")) - before;
    assert!(read < 4 << 20, "{read} bytes of 64 MiB");
    let mut cat = Terminal::start_with(&fleet, &["files", "cat", "--highlight", &place], &[("NO_COLOR", "")]);
    cat.until_text("return {\"web-1\": 7443}[name]").await;
    cat.send(b"q");
    assert!(cat.ended().await.success() && has_colours(&cat));
    let (code, _, err) = outcome(fleetmux(&fleet).args(["highlight", "web-9:/etc/hosts"]));
    assert!(code == 255 && err.contains("web-9"), "{err}");
    assert_here_before_there(&fleet, &path);
}

/// A file whose name has a colon is that file.
fn assert_here_before_there(fleet: &Fleet, path: &Path) {
    let named = path.with_file_name("web-1:notes");
    fs::write(&named, "here\n").unwrap();
    let mut command = fleetmux(fleet);
    command.args(["highlight", "web-1:notes"]).current_dir(named.parent().unwrap());
    assert_eq!(ok(&mut command), "here\n");
}

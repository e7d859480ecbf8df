//! `fleetmux connect` in a real terminal: a PTY on one side, a fleet of real processes on the other.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, ExitStatus};

use fleetmux::fleet::{SessionSpec, Size};
use fleetmux::term::Screen;
use pty_process::blocking::Pty;
use rustix::termios::LocalModes;
use tokio::sync::mpsc;

use crate::support::{Fleet, PATIENCE, Pane, file_of, machine, observer, processes_naming, sh, signal};

/// A person's terminal with a program in it.
pub struct Terminal {
    pty: Pty,
    output_rx: mpsc::Receiver<Vec<u8>>,
    child: Option<Child>,
    pub screen: Screen,
    pub raw: Vec<u8>,
}

impl Terminal {
    /// Runs `fleetmux` with these arguments on the fleet.
    pub fn start(fleet: &Fleet, args: &[&str]) -> Terminal {
        Terminal::start_with(fleet, args, &[])
    }

    pub fn start_with(fleet: &Fleet, args: &[&str], env: &[(&str, &str)]) -> Terminal {
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_fleetmux"));
        let command = command
            .args(["--relay", &fleet.endpoint().to_string()])
            .args(args)
            .env("USER", "ada")
            .env("TERM", "xterm-256color");
        Terminal::run(command.envs(env.iter().copied()), Size::DEFAULT)
    }

    /// Runs any program in a terminal of this size.
    pub fn run(command: pty_process::blocking::Command, size: Size) -> Terminal {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(size.rows(), size.cols())).unwrap();
        let child = command.spawn(pts).unwrap();
        let mut reader = File::from(rustix::io::dup(&pty).unwrap());
        let (output_tx, output_rx) = mpsc::channel(64);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // The end of a PTY is an error.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if output_tx.blocking_send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = Screen::new(size, 1 << 24);
        Terminal { pty, output_rx, child: Some(child), screen, raw: Vec::new() }
    }

    pub fn send(&mut self, keys: &[u8]) {
        self.pty.write_all(keys).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Whether the terminal waits for lines and echoes, as a shell expects it.
    pub fn is_cooked(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.pty).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    pub fn text(&self) -> String {
        (0..self.screen.size().rows()).map(|row| self.screen.row_text(row) + "\n").collect()
    }

    /// Everything that was ever shown and not taken back, oldest first.
    fn lines(&self) -> Vec<String> {
        let history = (0..self.screen.history_len()).map(|line| self.screen.history_text(line));
        history.chain((0..self.screen.size().rows()).map(|row| self.screen.row_text(row))).collect()
    }

    pub async fn until(&mut self, what: &str, mut holds: impl FnMut(&Terminal) -> bool) {
        let wait = async {
            while !holds(self) {
                let Some(data) = self.output_rx.recv().await else {
                    panic!("ended before: {what}; the screen shows\n{}", self.text());
                };
                self.raw.extend_from_slice(&data);
                self.screen.feed(&data);
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("never: {what}; the screen shows\n{}", self.text());
        }
    }

    pub async fn until_text(&mut self, text: &str) {
        self.until(text, |terminal| terminal.text().contains(text)).await;
    }

    /// Takes the rest of the output and the exit status.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
        let rest = async {
            while let Some(data) = self.output_rx.recv().await {
                self.raw.extend_from_slice(&data);
                self.screen.feed(&data);
            }
            status.await.unwrap()
        };
        tokio::time::timeout(PATIENCE, rest).await.expect("the program ends")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        crate::support::kill(self.child.take());
    }
}

/// A session of this specification, and connect attached to it.
async fn connected(fleet: &Fleet, spec: SessionSpec, args: &[&str]) -> (Terminal, String) {
    let client = fleet.client();
    let id = fleet.session(&client, "web-1", spec).await.id().to_string();
    let args = [&["connect", "web-1", "--session", &id], args].concat();
    (Terminal::start(fleet, &args), id)
}

#[tokio::test]
async fn connect_makes_the_active_session_and_the_next_one_joins_it() {
    let fleet = Fleet::start(&["web-1"]);
    fleet.machine(&fleet.client(), "web-1").await;
    let mut first = Terminal::start(&fleet, &["connect", "web-1"]);
    assert!(first.is_cooked());
    first.until_text("fleetmux: Connected to web-1, session ").await;
    assert!(!first.is_cooked());
    let greeting = String::from_utf8_lossy(&first.raw).into_owned();
    assert!(greeting.starts_with("Connected to web-1\r\nSession: "), "{greeting:?}");
    let id = greeting.lines().nth(1).unwrap().strip_prefix("Session: ").unwrap().trim_end().to_string();
    first.send(b"echo from-the-\"first\"\r");
    first.until_text("from-the-first").await;
    // Another person, the same session.
    let mut second = Terminal::start(&fleet, &["connect", "web-1"]);
    second.until_text("from-the-first").await;
    assert!(String::from_utf8_lossy(&second.raw).starts_with(&format!("Connected to web-1\r\nSession: {id}\r\n")));
    second.send(b"echo from-the-\"second\"\r");
    first.until_text("from-the-second").await;
    for mut terminal in [first, second] {
        terminal.send(b"\x04");
        assert!(terminal.ended().await.success());
        assert!(terminal.is_cooked());
        let said = terminal.text();
        assert!(
            said.contains("Detached; the session lives on.") && said.contains("To return: fleetmux session attach"),
            "{said}"
        );
    }
    let (_, sessions) = fleet.client().fleet().await.unwrap();
    assert_eq!(sessions.iter().map(|session| session.id().short()).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn control_keys_reach_the_program_and_another_key_detaches() {
    let fleet = Fleet::start(&["web-1"]);
    let (mut terminal, _) =
        connected(&fleet, sh("stty raw -echo; echo ready; cat -v"), &["--detach-key", "ctrl-a"]).await;
    terminal.until_text("ready").await;
    terminal.send(b"\x03\x1a\x1c\x04");
    terminal.until_text("^C^Z^\\^D").await;
    terminal.send(b"\x01");
    assert!(terminal.ended().await.success());
}

#[tokio::test]
async fn the_window_s_size_is_the_session_s() {
    let fleet = Fleet::start(&["web-1"]);
    let script = "trap 'stty size' WINCH; stty size; while :; do read x; done";
    let (mut terminal, _) = connected(&fleet, sh(script), &[]).await;
    terminal.until_text("24 80").await;
    terminal.screen.resize(Size::new(30, 100));
    terminal.pty.resize(pty_process::Size::new(30, 100)).unwrap();
    terminal.until_text("30 100").await;
}

#[tokio::test]
async fn the_program_s_exit_code_is_connect_s() {
    let fleet = Fleet::start(&["web-1"]);
    let (mut terminal, _) = connected(&fleet, sh("echo ready; read x; exit 7"), &[]).await;
    terminal.until_text("ready").await;
    terminal.send(b"\r");
    assert_eq!(terminal.ended().await.code(), Some(7));
    assert!(terminal.text().contains("The session has ended (exited 7)."), "{}", terminal.text());
}

#[tokio::test]
async fn an_observer_types_nothing_and_the_driver_knows_of_it_without_a_trace() {
    let fleet = Fleet::start(&["web-1"]);
    let script = "i=0; while read x; do i=$((i+1)); echo line-$i; done";
    let (mut driver, id) = connected(&fleet, sh(script), &[]).await;
    driver.until_text("fleetmux: Connected").await;
    // The cursor is on the last row: what follows scrolls.
    for count in 1..=20 {
        driver.send(b"\r");
        driver.until_text(&format!("line-{count}")).await;
    }
    let mut watcher = Terminal::start(&fleet, &["connect", "web-1", "--session", &id, "--observe"]);
    watcher.until_text("line-20").await;
    driver.until_text("1 observer is watching this session: ada@").await;
    watcher.send(b"not sent\r");
    watcher.until_text("you observe this session; what you type is not sent").await;
    for count in 21..=60 {
        driver.send(b"\r");
        driver.until_text(&format!("line-{count}")).await;
    }
    watcher.until_text("line-60").await;
    // Leaving works for observers too.
    watcher.send(b"\x04");
    assert!(watcher.ended().await.success());
    driver.until_text("nobody observes this session any more").await;
    driver.until("the line goes by itself", |terminal| !terminal.text().contains("fleetmux:")).await;
    let lines = driver.lines();
    assert!(!lines.iter().any(|line| line.contains("fleetmux:")), "{lines:#?}");
    let numbered: Vec<&String> = lines.iter().filter(|line| line.starts_with("line-")).collect();
    let expected: Vec<String> = (1..=60).map(|count| format!("line-{count}")).collect();
    assert_eq!(numbered, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_agent_is_killed_twenty_times_and_the_stream_goes_on_byte_for_byte() {
    let mut fleet = Fleet::start(&["web-1"]);
    let script = "import os,time\ni=0\nwhile not os.path.exists('STOP'):\n i+=1\n print(f'n{i}',flush=True)\n time.sleep(0.005)\nprint('the-end')\ninput()";
    let stop = fleet.dir.path().join("stop");
    let script = script.replace("STOP", stop.to_str().unwrap());
    let (mut terminal, _) = connected(&fleet, SessionSpec::command(["python3", "-c", &script]), &[]).await;
    let newest = |terminal: &Terminal| {
        let numbers =
            |row| terminal.screen.row_text(row).strip_prefix('n').and_then(|number| number.parse::<u64>().ok());
        (0..24).filter_map(numbers).max().unwrap_or(0)
    };
    for _ in 0..20 {
        let before = newest(&terminal);
        terminal.until("the stream runs", |terminal| newest(terminal) > before + 10).await;
        fleet.kill_agent("web-1");
        terminal.until_text("connection lost, retrying… (Enter ~ . ends)").await;
        fleet.start_agent("web-1");
        let before = newest(&terminal);
        terminal.until("it continues", |terminal| newest(terminal) > before + 1).await;
    }
    File::create(&stop).unwrap();
    terminal
        .until("the end, and no line of ours", |terminal| {
            terminal.text().contains("the-end") && !terminal.text().contains("fleetmux:")
        })
        .await;
    let lines = terminal.lines();
    let numbers: Vec<u64> =
        lines.iter().filter_map(|line| line.strip_prefix('n').and_then(|number| number.parse().ok())).collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert!(numbers == expected, "every line once and in order: {numbers:?}");
    assert!(!lines.iter().any(|line| line.contains("fleetmux:")), "no line of ours stays");
    assert!(terminal.child.as_mut().unwrap().try_wait().unwrap().is_none(), "connect was attached all the time");
}

#[tokio::test]
async fn an_escape_leaves_a_hung_connection() {
    let fleet = Fleet::start(&["web-1"]);
    let (mut terminal, _) = connected(&fleet, sh("stty raw -echo; echo ready; cat -v"), &[]).await;
    terminal.until_text("ready").await;
    // Escapes are for us, after Enter only; everything else is the program's.
    terminal.send(b"a~.\r~~.");
    terminal.until_text("a~.^M~.").await;
    terminal.send(b"\r~?");
    terminal.until_text("after Enter: ~. ends, ~# says who is here, ~~ types ~, ~? this").await;
    let store = fleet.dir.path().join("relay.redb");
    let relay = processes_naming(store.to_str().unwrap())[0];
    signal(relay, "STOP");
    terminal.send(b"lost\r~.");
    let ended = terminal.ended().await;
    signal(relay, "CONT");
    assert!(ended.success());
    assert!(terminal.is_cooked());
    assert!(terminal.text().contains("Connection closed; the session lives on."), "{}", terminal.text());
}

/// A full-screen program has changed everything that can be changed.
const FULL_SCREEN: &str =
    "printf '\\033[?1049h\\033[?1000h\\033[?1006h\\033[?25l\\033[?2004h\\033[5;10r\\033[31mfull'; read x";

#[tokio::test]
async fn a_terminal_is_given_back_on_sigterm() {
    let fleet = Fleet::start(&["web-1"]);
    let (mut terminal, _) = connected(&fleet, sh(FULL_SCREEN), &[]).await;
    terminal.until_text("full").await;
    signal(terminal.pid(), "TERM");
    assert!(terminal.ended().await.success());
    given_back(&terminal);
}

#[tokio::test]
async fn a_terminal_is_given_back_on_a_panic() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let id = fleet.session(&client, "web-1", sh(FULL_SCREEN)).await.id().to_string();
    let args = ["connect", "web-1", "--session", &id];
    let mut terminal =
        Terminal::start_with(&fleet, &args, &[("FLEETMUX_PANIC_AT", "the first keystroke"), ("RUST_BACKTRACE", "0")]);
    terminal.until_text("full").await;
    terminal.send(b"x");
    assert!(!terminal.ended().await.success());
    given_back(&terminal);
    // Readable, on the screen that stays.
    assert!(terminal.text().contains("a test asked for a panic at the first keystroke"), "{}", terminal.text());
}

/// A panic that the screen's guard caught gave the terminal back all the same: in cooked mode, with a message across it, the
/// program went on.
#[tokio::test]
async fn a_panic_that_is_caught_leaves_the_terminal_as_it_is() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let program = "stty raw -echo; printf '\\033[?1049hready'; head -c 1 >/dev/null; printf '\\033P+f!\\033\\\\and on'; head -c 1";
    let id = fleet.session(&client, "web-1", sh(program)).await.id().to_string();
    let args = ["connect", "web-1", "--session", &id];
    let mut terminal = Terminal::start_with(&fleet, &args, &[("FLEETMUX_PANIC_AT", "the screen")]);
    terminal.until_text("ready").await;
    terminal.send(b"x");
    terminal.until_text("and on").await;
    assert!(!terminal.is_cooked() && terminal.screen.modes().alternate);
    assert!(!terminal.text().contains("panic"), "{}", terminal.text());
    terminal.send(b"x");
    assert!(terminal.ended().await.success());
}

fn given_back(terminal: &Terminal) {
    assert!(terminal.is_cooked());
    let modes = terminal.screen.modes();
    assert!(!modes.alternate && !modes.bracketed_paste && !modes.app_cursor);
    assert_eq!(modes.mouse, fleetmux::term::MouseMode::default());
    assert!(terminal.screen.cursor().visible);
}

#[tokio::test]
async fn what_cannot_be_connected_to_says_what_to_do() {
    let mut fleet = Fleet::start(&["web-1", "web-2"]);
    let client = fleet.client();
    let web = fleet.machine(&client, "web-1").await;
    fleet.machine(&client, "web-2").await;
    let refused = async |args: &[&str]| {
        let mut terminal = Terminal::start(&fleet, args);
        assert_eq!(terminal.ended().await.code(), Some(255));
        String::from_utf8_lossy(&terminal.raw).replace('\r', "")
    };
    assert_eq!(refused(&["connect", "db"]).await, "fleetmux: no machine is called \"db\"; there are: web-1, web-2\n");
    // Both machines of this test have the same host name.
    let ambiguous = refused(&["connect", &web.facts.hostname]).await;
    let start = format!("fleetmux: {:?} fits several machines; name one by its id:\n", web.facts.hostname);
    assert!(ambiguous.starts_with(&start) && ambiguous.contains(&web.facts.id.to_string()), "{ambiguous}");
    assert_eq!(
        refused(&["connect", "web-1", "--observe"]).await,
        "fleetmux: nobody has connected to web-1 yet, so there is nothing to observe; name a session with --session, see `fleetmux session list web-1`\n"
    );
    assert_eq!(
        refused(&["connect", "web-1", "--workspace", "acme"]).await,
        "fleetmux: no machine is in workspace \"acme\"; there are: default\n"
    );
    assert_eq!(
        refused(&["connect", "web-1", "--detach-key", "x"]).await,
        "fleetmux: \"x\" is no key; write ctrl-a to ctrl-z, ctrl-], ctrl-\\, ctrl-^, or none\n"
    );
    // The id's beginning names a machine as well; it takes more of it than the part that is the time.
    let id = web.facts.id.to_string();
    let mut pane = Terminal::start(&fleet, &["connect", &id[..23]]);
    pane.until_text("Connected to web-1").await;
    fleet.kill_agent("web-2");
    machine(&client, "web-2", false).await;
    let mut terminal = Terminal::start(&fleet, &["connect", "web-2"]);
    assert_eq!(terminal.ended().await.code(), Some(255));
    let offline = String::from_utf8_lossy(&terminal.raw).into_owned();
    assert!(offline.starts_with("fleetmux: web-2 is offline, last seen "), "{offline}");
    assert!(offline.contains("run `fleetmux agent start` on it, and see `fleetmux machines`"), "{offline}");
}

#[tokio::test]
async fn a_refused_keystroke_of_an_observer_is_not_even_sent() {
    let fleet = Fleet::start(&["web-1"]);
    let (mut watcher, id) =
        connected(&fleet, sh("echo ready; while read x; do echo got-$x; done"), &["--observe"]).await;
    watcher.until_text("ready").await;
    watcher.send(b"evil\r");
    watcher.until_text("you observe this session").await;
    let client = fleet.client();
    let session = client.fleet().await.unwrap().1.into_iter().find(|session| session.id().to_string() == id).unwrap();
    let mut pane = Pane::attach(&client, &session, crate::support::driver(Size::DEFAULT));
    pane.type_text("good\n");
    pane.until_text("got-good").await;
    assert!(!pane.text().contains("evil"), "{}", pane.text());
    let mut other = Pane::attach(&client, &session, observer());
    other.until_text("got-good").await;
}

/// Two people who connected to a fresh machine at one instant each made a session.
#[tokio::test]
async fn whoever_connects_at_the_same_instant_shares_one_session() {
    let fleet = Fleet::start(&["web-1"]);
    let client = fleet.client();
    let machine = fleet.machine(&client, "web-1").await.facts.id;
    let spec = || SessionSpec { until_pid: Some(std::process::id()), ..SessionSpec::shell() };
    let joins: Vec<_> = (0..16)
        .map(|_| {
            let client = fleet.client();
            let spec = spec();
            tokio::spawn(async move { client.join_session(machine, spec).await.unwrap().id() })
        })
        .collect();
    let mut ids = Vec::new();
    for join in joins {
        ids.push(join.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let (_, sessions) = client.fleet().await.unwrap();
    assert_eq!(sessions.iter().map(fleetmux::fleet::Session::id).collect::<Vec<_>>(), ids);
    // `connect` says the same, whoever comes; `--new` wants another one.
    let mut both = [Terminal::start(&fleet, &["connect", "web-1"]), Terminal::start(&fleet, &["connect", "web-1"])];
    for terminal in &mut both {
        terminal.until_text(&ids[0].short()).await;
    }
    let other = client.create_session(machine, SessionSpec { is_shared: true, ..spec() }).await.unwrap();
    assert_ne!(other.id(), ids[0]);
    // The newest is the active one from then on.
    assert_eq!(client.join_session(machine, spec()).await.unwrap().id(), other.id());
}

/// After a long cut the screen is the newest one; that there was more in between was not to be seen.
#[tokio::test]
async fn a_cut_that_output_was_lost_in_says_how_much() {
    let mut fleet = Fleet::start(&["web-1"]);
    let (go, done) = (fleet.dir.path().join("go"), fleet.dir.path().join("done"));
    let script = format!(
        "stty -echo -onlcr; echo ready; while [ ! -e {} ]; do read -t 1 x; done; seq 400000; echo flooded; echo x > {}; cat",
        go.display(),
        done.display()
    );
    let (mut terminal, _) = connected(&fleet, SessionSpec::command(["/bin/bash", "-c", &script]), &[]).await;
    terminal.until_text("ready").await;
    fleet.kill_agent("web-1");
    terminal.until_text("connection lost").await;
    File::create(&go).unwrap();
    file_of(done, 1).await;
    fleet.start_agent("web-1");
    terminal.until_text("KiB of output were skipped").await;
    let text = terminal.text();
    // All of it but for what the log still had behind the screen: 2,627 KiB at most.
    let said = text.split("reconnected; ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    assert!((1000..=2627).contains(&said.parse().unwrap_or(0)), "{text}");
    terminal.until("the line goes by itself", |terminal| !terminal.text().contains("fleetmux:")).await;
    assert!(terminal.text().contains("400000") && terminal.text().contains("flooded"), "{}", terminal.text());
}

/// Sessions are named MACHINE/NAME everywhere else.
#[tokio::test]
async fn a_session_is_named_with_its_machine_too() {
    let fleet = Fleet::start(&["web-1"]);
    let session =
        fleet.session(&fleet.client(), "web-1", SessionSpec { name: "build".into(), ..sh("echo ready; cat") }).await;
    let mut terminal = Terminal::start(&fleet, &["connect", "web-1/build"]);
    // The session's screen takes the place of what `connect` says first.
    terminal.until_text("ready").await;
    let said = String::from_utf8_lossy(&terminal.raw).into_owned();
    assert!(said.contains(&format!("Session: {}", session.id().short())), "{said}");
    terminal.send(b"\x04");
    assert!(terminal.ended().await.success());
    let mut terminal = Terminal::start(&fleet, &["connect", "web-1/nothing"]);
    terminal.until_text("nothing").await;
    assert!(!terminal.ended().await.success());
}

/// What a hostile program does to a terminal, before the word that it has done it.
const HOSTILE: &[u8] = b"\x1b[?1003h\x1b[?1004h\x1b[?2004h\x1b[?2031h\x1b[?2048h\x1b[?1h\x1b=\x1b[>1u\x1b[?3h\x1b[3g\x1b[1;5H\x1bH\
\x1b\x7f]52;c;cm0gLXJmIH4K\x07\x1b]4;1;rgb:11/22/33\x07\x1b]11;#200000\x07\x1b]7;file:///tmp/evil\x07\x1b[5i\x1b[#|\x9b6n\
\x1b[10;1Hthat-was-it";

/// A program that does so when a file is there, and what it takes to make it.
fn hostile_program(fleet: &Fleet) -> (SessionSpec, std::path::PathBuf) {
    let (go, what) = (fleet.dir.path().join("go"), fleet.dir.path().join("what"));
    std::fs::write(&what, HOSTILE).unwrap();
    let wait = format!("while [ ! -e '{}' ]; do sleep 0.02; done", go.display());
    (sh(&format!("stty raw -echo; printf ready; {wait}; cat '{}'; exec sleep 600", what.display())), go)
}

/// What was sent for an observer's line of ours to go brought everything that the shield had taken out.
#[tokio::test]
async fn an_observer_s_terminal_is_shown_text_and_nothing_else() {
    let fleet = Fleet::start(&["web-1"]);
    let (spec, go) = hostile_program(&fleet);
    let (mut watcher, id) = connected(&fleet, spec, &["--observe"]).await;
    watcher.until_text("ready").await;
    watcher.until_text("fleetmux: Connected").await;
    File::create(&go).unwrap();
    watcher.until_text("that-was-it").await;
    // A line of ours comes and goes: the screen is painted anew.
    watcher.send(b"x");
    watcher.until_text("you observe this session").await;
    watcher.until("the line goes by itself", |terminal| !terminal.text().contains("fleetmux:")).await;
    // And whoever comes later gets a keyframe.
    let mut late = Terminal::start(&fleet, &["connect", "web-1", "--session", &id, "--observe"]);
    late.until_text("that-was-it").await;
    for terminal in [&watcher, &late] {
        let shown = String::from_utf8_lossy(&terminal.raw).into_owned();
        for taken_out in [
            "?1003h", "?1004h", "?2004h", "?2031h", "?2048h", "?1h", "\x1b=", "[>1u", "[=1u", "?3h", "52;c", "]4;",
            "]11;", "]7;", "[5i", "#|", "\u{9b}",
        ] {
            assert!(!shown.contains(taken_out), "{taken_out:?} in {shown:?}");
        }
    }
    // The detach key is a plain one.
    watcher.send(b"\x04");
    assert!(watcher.ended().await.success());
}

/// Reports, tab stops, colours, keyboard flags and 132 columns stayed in a driver's terminal after the session was left.
#[tokio::test]
async fn what_a_driver_s_program_switched_on_is_off_once_connect_has_ended() {
    let fleet = Fleet::start(&["web-1"]);
    let (spec, go) = hostile_program(&fleet);
    let (mut terminal, _) = connected(&fleet, spec, &[]).await;
    terminal.until_text("ready").await;
    File::create(&go).unwrap();
    terminal.until_text("that-was-it").await;
    let before = terminal.raw.len();
    // The driver's program may do what it would in the person's own terminal, but make it type.
    let shown = String::from_utf8_lossy(&terminal.raw).into_owned();
    assert!(shown.contains("?1003h") && shown.contains("]11;#200000"), "{shown:?}");
    assert!(!shown.contains("?2048h") && !shown.contains("?2031h"), "{shown:?}");
    terminal.send(b"\x1b[100;5u");
    assert!(terminal.ended().await.success());
    let left = String::from_utf8_lossy(&terminal.raw[before..]).into_owned();
    for taken_back in [
        "?1003l",
        "?1004l",
        "?2004l",
        "?2031l",
        "?2048l",
        "?1l",
        "\x1b>",
        "[<2u",
        "?3l",
        "\x1b[3g\x1b[9G\x1bH",
        "]104",
        "]111",
        "[23;0t",
    ] {
        assert!(left.contains(taken_back), "{taken_back:?} in {left:?}");
    }
    given_back(&terminal);
}

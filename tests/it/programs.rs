//! W1: a program looks the same in a pane as in another terminal of that size. tmux is the judge: the same program runs
//! in it, gets the same keys, and both screens are compared cell by cell, styles included.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use fleetmux::fleet::{SessionSpec, Size};
use fleetmux::term::{Color, Screen, Style};

use crate::support::{Fleet, PATIENCE, Pane, driver};

const SIZE: (u16, u16) = (24, 80);

struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    fn start(fleet: &Fleet, command: &[&str]) -> Tmux {
        let tmux = Tmux { socket: fleet.dir.path().join("tmux") };
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "sleep 1000"]);
        for (name, value) in [("status", "off"), ("remain-on-exit", "on"), ("window-size", "manual")] {
            tmux.run(&["set", "-g", name, value]);
        }
        tmux.run(&["resize-window", "-x", "80", "-y", "24"]);
        // The environment a session has, and nothing of the multiplexer's.
        let mut respawn =
            vec!["respawn-window", "-k", "env", "-u", "TMUX", "TERM=xterm-256color", "COLORTERM=truecolor"];
        respawn.extend(command);
        tmux.run(&respawn);
        tmux
    }

    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(args).env("LC_ALL", "C.UTF-8").stderr(Stdio::inherit());
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {args:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its screen, as one of ours.
    fn screen(&self) -> Screen {
        let mut screen = Screen::new(Size::new(SIZE.0.into(), SIZE.1.into()), 0);
        screen.feed(
            self.run(&["capture-pane", "-e", "-p", "-N"]).trim_end_matches('\n').replace('\n', "\r\n").as_bytes(),
        );
        screen
    }

    async fn until_text(&self, text: &str) {
        let wait = async {
            while !self.run(&["capture-pane", "-p"]).contains(text) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let shown = tokio::time::timeout(PATIENCE, wait).await;
        assert!(shown.is_ok(), "tmux never showed {text:?}:\n{}", self.run(&["capture-pane", "-p"]));
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").stderr(Stdio::null()).status();
    }
}

type Cells = Vec<Vec<(String, Style)>>;

/// All cells; what cannot be seen is made equal: blanks differ by background and inverse only.
fn cells(screen: &Screen) -> Cells {
    (0..SIZE.0)
        .map(|row| {
            let mut cells = Vec::new();
            screen.visit_row(row, |_, cell| {
                let is_blank = cell.text.trim().is_empty() && cell.width == 1;
                let text = if is_blank { " ".to_string() } else { cell.text.to_string() };
                let mut style = cell.style;
                if is_blank && !style.inverse {
                    style = Style { bg: style.bg, ..Style::default() };
                }
                // Bold in a palette's lower half and the upper half itself are one colour to some terminals: kept apart here.
                style.underline_color = Color::Default;
                cells.push((text, style));
            });
            cells
        })
        .collect()
}

fn assert_same(pane: &Pane, tmux: &Tmux, what: &str) {
    let (ours, theirs) = (cells(&pane.screen), cells(&tmux.screen()));
    for (row, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        for (col, (a, b)) in our.iter().zip(their).enumerate() {
            assert!(a == b, "{what}: row {row}, column {col}: {a:?} here, {b:?} in tmux\n{}", pane.text());
        }
    }
}

struct Twins {
    _fleet: Fleet,
    pane: Pane,
    tmux: Tmux,
}

impl Twins {
    async fn start(files: &[(&str, &str)], command: &[&str]) -> Twins {
        let fleet = Fleet::start(&["web-1"]);
        for (name, text) in files {
            std::fs::write(fleet.dir.path().join(name), text).unwrap();
        }
        let dir = fleet.dir.path().to_string_lossy().into_owned();
        let command: Vec<String> = command.iter().map(|word| word.replace("{dir}", &dir)).collect();
        let client = fleet.client();
        let mut spec = SessionSpec::command(command.clone());
        spec.size = Size::new(SIZE.0.into(), SIZE.1.into());
        spec.env.insert("LC_ALL".into(), "C.UTF-8".into());
        let session = fleet.session(&client, "web-1", spec).await;
        let mut pane = Pane::attach(&client, &session, driver(Size::new(SIZE.0.into(), SIZE.1.into())));
        pane.until("attached", |pane| pane.keyframes == 1).await;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let tmux = Tmux::start(&fleet, &words);
        Twins { _fleet: fleet, pane, tmux }
    }

    async fn shows(&mut self, text: &str) {
        self.pane.until_text(text).await;
        self.tmux.until_text(text).await;
    }

    fn types(&self, keys: &str) {
        self.pane.type_text(keys);
        self.tmux.run(&["send-keys", "-l", keys]);
    }
}

fn source() -> String {
    let lines = (1..200).map(|n| format!("def f{n}(x):  # comment {n}\n    return \"text\" + str(x * {n})\n"));
    format!("import os\n{}", lines.collect::<String>())
}

#[tokio::test]
async fn vim_looks_the_same() {
    let command = [
        "vim",
        "-u",
        "NONE",
        "-N",
        "-i",
        "NONE",
        "-n",
        "--cmd",
        "syntax on",
        "--cmd",
        "set number ruler",
        "-c",
        // It asks the terminal, and only one of the two answers.
        "set background=dark",
        "{dir}/a.py",
    ];
    let mut twins = Twins::start(&[("a.py", &source())], &command).await;
    twins.shows("import os").await;
    twins.types("10jzzofresh line\x1b");
    twins.shows("fresh line").await;
    twins.types(":vsplit\r");
    twins.types("G:echo 'marker'.'-one'\r");
    twins.shows("marker-one").await;
    assert_same(&twins.pane, &twins.tmux, "vim");
}

#[tokio::test]
async fn less_looks_the_same() {
    let mut twins = Twins::start(&[("a.txt", &source())], &["less", "-N", "{dir}/a.txt"]).await;
    twins.shows("import os").await;
    twins.types("/f50\r");
    twins.shows("f50").await;
    twins.types("jj");
    twins.types("=");
    twins.shows("lines").await;
    assert_same(&twins.pane, &twins.tmux, "less");
}

#[tokio::test]
async fn the_python_prompt_looks_the_same() {
    let mut twins = Twins::start(&[], &["python3", "-q"]).await;
    twins.shows(">>>").await;
    twins.types("print('a' * 200 + '\\u4e16\\u754c e\\u0301')\r");
    twins.shows("e\u{301}").await;
    twins.types("for i in range(40): print(i, 'row')\r\r");
    twins.shows("39 row").await;
    twins.types("'end' + '-marker'\r");
    // The answer and the prompt behind it: the screen scrolls once more between the two.
    twins.shows("'end-marker'\n>>>").await;
    assert_same(&twins.pane, &twins.tmux, "python");
}

#[tokio::test]
async fn a_colour_chart_looks_the_same() {
    let mut script = String::new();
    for n in 0..256 {
        script += &format!("\\033[48;5;{n}m {:02x}\\033[0m", n);
        if n % 24 == 23 {
            script += "\\n";
        }
    }
    script += "\\n";
    for n in 0..72 {
        script += &format!("\\033[48;2;{};{};{}m\\033[38;2;255;255;{}mx", n * 3, 255 - n * 3, n, n * 3);
    }
    script += "\\033[0m\\n\\033[1mbold\\033[0m \\033[2mdim\\033[0m \\033[3mitalic\\033[0m \\033[4munder\\033[0m \\033[7minverse\\033[0m \\033[9mstrike\\033[0m";
    script += " \\033[1;31mred\\033[0m \\033[92mbright\\033[0m wide:\\344\\270\\226\\347\\225\\214|\\nchart-end";
    let command = format!("printf '{script}'; exec sleep 1000");
    let mut twins = Twins::start(&[("chart.sh", &command)], &["sh", "{dir}/chart.sh"]).await;
    twins.shows("chart-end").await;
    assert_same(&twins.pane, &twins.tmux, "chart");
}

#[tokio::test]
async fn htop_looks_the_same_where_it_stands_still() {
    let mut twins = Twins::start(&[], &["env", "HTOPRC=/dev/null", "htop", "-d", "100"]).await;
    twins.shows("F10").await;
    twins.shows("PID").await;
    let (ours, theirs) = (cells(&twins.pane.screen), cells(&twins.tmux.screen()));
    // The key bar and the column header do not depend on the moment.
    // tmux leaves the corner out of what it tells: it was erased, never written.
    let shown = usize::from(SIZE.1) - 1;
    assert!(ours[23][..shown] == theirs[23][..shown], "the key bar\n{}", twins.pane.text());
    let header = |cells: &Cells| {
        let text = |row: &Vec<(String, Style)>| row.iter().map(|cell| cell.0.as_str()).collect::<String>();
        let row = cells.iter().find(|row| text(row).contains("PID") && text(row).contains("Command"));
        // Columns are as wide as the largest number of the moment: compared are the words and their styles.
        row.map(|row| row.iter().filter(|cell| cell.0 != " ").cloned().collect::<Vec<_>>())
    };
    assert!(header(&ours).is_some(), "{}", twins.pane.text());
    assert_eq!(header(&ours), header(&theirs), "the header");
}

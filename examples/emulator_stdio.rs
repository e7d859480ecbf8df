//! Drives the emulator over stdin and stdout, one JSON object per line, so that any conformance runner can judge it.
//!
//! `{"op":"new","rows":25,"cols":80,"scrollback":1000}`, `feed` (hex), `resize`, `attach` (the keyframe), `load` (hex of a
//! keyframe, into a new screen of the same size), `snap`. What is fed first after `new` and begins as keyframes do is loaded.

use fleetmux::fleet::Size;
use fleetmux::term::{Cell, Color, CursorShape, KeyframeScope, MouseEncoding, MouseMode, Screen, Underline};
use serde_json::{Map, Value, json};
use std::io::{BufRead, Write};

/// History bytes per line of scrollback asked for: room for a full line of the widest common terminals.
const LINE_BYTES: u64 = 1024;

fn main() -> std::io::Result<()> {
    let mut screen = Judged { screen: Screen::new(Size::DEFAULT, 0), history: 0, is_new: true };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(request) => answer(&mut screen, &request),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// The screen on trial.
struct Judged {
    screen: Screen,
    history: usize,
    /// Nothing was fed yet.
    is_new: bool,
}

impl Judged {
    fn load(&mut self, keyframe: &[u8]) -> Value {
        self.screen = Screen::from_keyframe(self.screen.size(), self.history, keyframe);
        json!({})
    }
}

fn answer(judged: &mut Judged, request: &Value) -> Value {
    let number = |key: &str| request[key].as_u64().unwrap_or(0);
    let size = || Size::new(number("rows").min(9999) as u32, number("cols").min(9999) as u32);
    let is_new = std::mem::replace(&mut judged.is_new, false);
    let screen = &mut judged.screen;
    match request["op"].as_str() {
        Some("new") => {
            let history = (number("scrollback").min(1 << 24) * LINE_BYTES) as usize;
            *judged = Judged { screen: Screen::new(size(), history), history, is_new: true };
            json!({})
        }
        Some(op @ ("feed" | "load")) => match unhex(request["hex"].as_str().unwrap_or("")) {
            Some(bytes) if op == "load" => judged.load(&bytes),
            Some(bytes) if is_new && bytes.starts_with(b"\x1bc") => judged.load(&bytes),
            Some(bytes) => {
                screen.feed(&bytes);
                let _ = screen.take_events();
                json!({ "hex": hex(&screen.take_replies()) })
            }
            None => json!({ "error": "not hex" }),
        },
        Some("resize") => {
            screen.resize(size());
            json!({})
        }
        Some("attach") => json!({ "hex": hex(&screen.keyframe(KeyframeScope::Replica { history_bytes: usize::MAX })) }),
        Some("snap") => json!({ "snap": snap(screen) }),
        _ => json!({ "error": "unknown op" }),
    }
}

fn snap(screen: &Screen) -> Value {
    let size = screen.size();
    let cursor = screen.cursor();
    let mut lines = Vec::new();
    for row in 0..size.rows() {
        let mut cells = Vec::new();
        screen.visit_row(row, |_, found| cells.push(cell(found)));
        lines.push(Value::Array(cells));
    }
    let mut history = Vec::new();
    for index in 0..screen.history_len() {
        let mut cells = Vec::new();
        screen.visit_history(index, |_, found| cells.push(cell(found)));
        history.push(Value::Array(cells));
    }
    json!({
        "rows": size.rows(),
        "cols": size.cols(),
        "cursor": [cursor.row, cursor.col],
        "cursor_visible": cursor.visible,
        "alt": screen.modes().alternate,
        "lines": lines,
        "wrapped": (0..size.rows()).map(|row| screen.is_wrapped(row)).collect::<Vec<_>>(),
        "history": history,
        "modes": modes(screen),
    })
}

fn modes(screen: &Screen) -> Vec<String> {
    let (modes, cursor) = (screen.modes(), screen.cursor());
    let mut out: Vec<String> = [
        (modes.app_cursor, "app_cursor"),
        (modes.app_keypad, "app_keypad"),
        (modes.bracketed_paste, "paste"),
        (modes.focus_events, "focus"),
    ]
    .into_iter()
    .filter(|(is_set, _)| *is_set)
    .map(|(_, name)| name.to_owned())
    .collect();
    match modes.mouse {
        MouseMode::Off => {}
        MouseMode::Press => out.push("mouse=9".into()),
        MouseMode::PressRelease => out.push("mouse=1000".into()),
        MouseMode::ButtonMotion => out.push("mouse=1002".into()),
        MouseMode::AnyMotion => out.push("mouse=1003".into()),
    }
    match modes.mouse_encoding {
        MouseEncoding::Default => {}
        MouseEncoding::Utf8 => out.push("enc=1005".into()),
        MouseEncoding::Sgr => out.push("enc=1006".into()),
    }
    let steady = u8::from(!cursor.blink);
    match cursor.shape {
        CursorShape::Default => {}
        CursorShape::Block => out.push(format!("cursor_style={}", 1 + steady)),
        CursorShape::Underline => out.push(format!("cursor_style={}", 3 + steady)),
        CursorShape::Bar => out.push(format!("cursor_style={}", 5 + steady)),
    }
    if !screen.title().is_empty() {
        out.push(format!("title={}", screen.title()));
    }
    out
}

fn cell(cell: Cell<'_>) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, is_set: bool, value: Value| {
        if is_set {
            out.insert(key.into(), value);
        }
    };
    let style = cell.style;
    put("t", !cell.text.is_empty(), json!(cell.text));
    put("w", cell.width != 1, json!(cell.width));
    for (key, value) in [("fg", style.fg), ("bg", style.bg), ("uc", style.underline_color)] {
        match value {
            Color::Default => {}
            Color::Indexed(index) => put(key, true, json!(index)),
            Color::Rgb(r, g, b) => put(key, true, json!([r, g, b])),
        }
    }
    let underline = match style.underline {
        Underline::None => 0,
        Underline::Single => 1,
        Underline::Double => 2,
        Underline::Curly => 3,
        Underline::Dotted => 4,
        Underline::Dashed => 5,
    };
    put("ul", underline != 0, json!(underline));
    let flags = [
        ("bold", style.bold),
        ("dim", style.dim),
        ("italic", style.italic),
        ("blink", style.blink),
        ("inverse", style.inverse),
        ("hidden", style.hidden),
        ("strike", style.strike),
    ];
    for (key, is_set) in flags {
        put(key, is_set, json!(true));
    }
    put("link", cell.link.is_some(), json!(cell.link));
    Value::Object(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

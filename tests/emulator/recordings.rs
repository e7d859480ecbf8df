//! Recordings of real programs, made in a 24x80 terminal, and what tmux showed of the same bytes.
//!
//! `NAME.bytes` is the output; `NAME.screen` is a line `row column alternate` and tmux's `capture-pane -p`.

use crate::support::{look, replica, rows};
use fleetmux::fleet::Size;
use fleetmux::term::Screen;
use std::path::PathBuf;

fn read(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn screen() -> Screen {
    Screen::new(Size::new(24, 80), 1 << 20)
}

/// The screen is what tmux shows, in whatever pieces the bytes come; and a keyframe taken at many points of the
/// recording leads to the same end.
fn check(name: &str) {
    let bytes = read(&format!("{name}.bytes"));
    let expected = String::from_utf8(read(&format!("{name}.screen"))).unwrap();
    let (cursor, expected) = expected.split_once('\n').unwrap();
    let mut whole = screen();
    whole.feed(&bytes);
    let mut expected: Vec<&str> = expected.lines().map(|line| line.trim_end()).collect();
    expected.resize(24, "");
    assert_eq!(rows(&whole), expected, "{name}");
    let found = whole.cursor();
    let is_alternate = u8::from(whole.modes().alternate);
    assert_eq!(format!("{} {} {is_alternate}", found.row, found.col), cursor, "{name}");

    let end = look(&whole);
    let mut single = screen();
    bytes.iter().for_each(|byte| single.feed(&[*byte]));
    assert_eq!(look(&single), end, "{name}");

    let mut original = screen();
    for piece in bytes.chunks(bytes.len() / 40 + 1) {
        original.feed(piece);
        let mut copy = replica(&original);
        assert_eq!(look(&copy), look(&original), "{name}");
        let fed = original_length(&bytes, piece);
        copy.feed(&bytes[fed..]);
        assert_eq!(look(&copy), end, "{name} from {fed}");
    }
}

/// How many bytes of the recording are fed once this piece is.
fn original_length(bytes: &[u8], piece: &[u8]) -> usize {
    piece.as_ptr() as usize - bytes.as_ptr() as usize + piece.len()
}

#[test]
fn vim_looks_as_in_tmux_and_survives_keyframes() {
    check("vim");
}

#[test]
fn less_looks_as_in_tmux_and_survives_keyframes() {
    check("less");
}

#[test]
fn htop_looks_as_in_tmux_and_survives_keyframes() {
    check("htop");
}

#[test]
fn the_python_prompt_looks_as_in_tmux_and_survives_keyframes() {
    check("python");
}

#[test]
fn bash_with_readline_looks_as_in_tmux_and_survives_keyframes() {
    check("bash");
}

#[test]
fn a_colour_chart_looks_as_in_tmux_and_survives_keyframes() {
    check("chart");
}

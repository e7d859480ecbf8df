//! What an observer's terminal is shown of any output: text, and sequences that only paint.

/// Shields these bytes whole and in pieces; the first byte says how long the pieces are.
pub fn run(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = fleetmux::cli::observer_shield(&[stream]);
    let size = usize::from(size % 16) + 1;
    let pieces: Vec<&[u8]> = stream.chunks(size).collect();
    assert_eq!(whole, fleetmux::cli::observer_shield(&pieces), "whole and in pieces");
    // A few sequences are answered with a longer one that does less (RIS, DECCOLM).
    assert!(whole.len() <= 4 + stream.len() * 96, "{} bytes became {}", stream.len(), whole.len());
    check(&whole);
    // What passed once passes again, as it is: nothing in it is left for another look.
    assert_eq!(fleetmux::cli::observer_shield(&[&whole]), whole, "shielded twice");
}

/// Walks over what is shown as a terminal does.
fn check(shown: &[u8]) {
    let shown = std::str::from_utf8(shown).expect("only whole characters are shown");
    let mut rest = shown.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            assert!(!c.is_control() || matches!(c, '\u{7}'..='\u{f}'), "control {c:?}");
            continue;
        }
        match rest.next().expect("an escape sequence is whole") {
            '[' => {
                let mut body = String::new();
                loop {
                    let c = rest.next().expect("a control sequence is whole");
                    body.push(c);
                    assert!(matches!(c, '\u{20}'..='\u{7e}'), "{c:?} in a control sequence");
                    if c >= '\u{40}' {
                        break;
                    }
                }
                control_sequence(&body);
            }
            kind @ (']' | 'P') => {
                let mut body = String::new();
                loop {
                    match rest.next().expect("a string is whole") {
                        '\u{7}' if kind == ']' => break,
                        '\u{1b}' => {
                            assert_eq!(rest.next(), Some('\\'), "a string ends");
                            break;
                        }
                        c => {
                            assert!(!c.is_control(), "{c:?} in a string");
                            body.push(c);
                        }
                    }
                }
                let starts = |number: &str| body.starts_with(&format!("{number};"));
                let is_command = ["0", "1", "2", "8"].iter().any(|number| starts(number));
                let is_picture = body.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('q');
                assert!(if kind == ']' { is_command } else { is_picture }, "string {kind}{body:?}");
            }
            '(' | ')' | '*' | '+' => assert!(rest.next().is_some_and(|set| "B0A".contains(set)), "a charset"),
            '#' => assert_eq!(rest.next(), Some('8'), "alignment"),
            c => assert!("6789DEHMNOno|}~\\".contains(c), "escape {c:?}"),
        }
    }
}

fn control_sequence(body: &str) {
    let last = body.chars().last().unwrap_or(' ');
    let is_private = body.starts_with('?');
    let numbers = body.trim_start_matches('?').trim_end_matches(|c: char| !c.is_ascii_digit());
    match last {
        'h' | 'l' => {
            let allowed: &[u16] =
                if is_private { &[5, 6, 7, 12, 25, 45, 47, 69, 1047, 1048, 1049, 2026] } else { &[4, 20] };
            let mut modes = numbers.split(';').map(|mode| mode.parse().unwrap_or(0));
            assert!(modes.all(|mode| allowed.contains(&mode)), "modes {body}");
        }
        'J' | 'K' => assert!(numbers.parse().unwrap_or(0) <= 2, "erases {body}"),
        'W' => assert!(is_private && numbers.parse() == Ok(5), "{body}"),
        'p' => assert_eq!(body, "!p"),
        'q' => assert!(body.ends_with(" q") || body.ends_with("\"q"), "{body}"),
        _ => {
            assert!(!is_private, "private {body}");
            assert!("@ABCDEFGHILMPSTXZ`abdefgmrsu^}~".contains(last), "final of {body}");
        }
    }
}

//! Text for people: widths, ellipses, sizes, spans of time.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// The text, or as much of it as fits with an ellipsis behind.
pub(super) fn clip(text: &str, cols: u16) -> String {
    if width(text) <= cols {
        return text.to_string();
    }
    let mut clipped = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0) as u16;
        if used + wide + 1 > cols {
            break;
        }
        used += wide;
        clipped.push(c);
    }
    if cols > 0 {
        clipped.push('…');
    }
    clipped
}

/// The text, or its beginning and its end with an ellipsis between.
pub(super) fn clip_middle(text: &str, cols: u16) -> String {
    if width(text) <= cols {
        return text.to_string();
    }
    let room = cols.saturating_sub(1);
    let (mut end, mut used) = (Vec::new(), 0);
    for c in text.chars().rev() {
        let wide = c.width().unwrap_or(0) as u16;
        if used + wide > room / 2 {
            break;
        }
        used += wide;
        end.push(c);
    }
    // What `clip` cuts off ends with the ellipsis.
    clip(text, cols - used) + &end.into_iter().rev().collect::<String>()
}

/// `980 B`, `1.2 MB`.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `0.4 ms`, `12 ms`, `1.3 s`.
pub(super) fn latency(us: u32) -> String {
    match us {
        0..=9_949 => format!("{:.1} ms", f64::from(us) / 1000.0),
        9_950..=999_499 => format!("{:.0} ms", f64::from(us) / 1000.0),
        _ => format!("{:.1} s", f64::from(us) / 1e6),
    }
}

/// `just now`, `4 min ago`.
pub(super) fn ago(now_ms: u64, then_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..=4 => "just now".to_string(),
        5..=89 => format!("{seconds} s ago"),
        90..=5_399 => format!("{} min ago", (seconds + 30) / 60),
        5_400..=129_599 => format!("{} h ago", (seconds + 1_800) / 3_600),
        _ => format!("{} days ago", (seconds + 43_200) / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_a_person_would_say_them() {
        assert_eq!([bytes(12), bytes(1_234_567), bytes(999_999)], ["12 B", "1.2 MB", "1.0 MB"]);
        assert_eq!([latency(412), latency(12_300), latency(1_300_000)], ["0.4 ms", "12 ms", "1.3 s"]);
        assert_eq!([ago(1_000, 0), ago(240_000, 0), ago(7_200_000, 0)], ["just now", "4 min ago", "2 h ago"]);
    }

    #[test]
    fn a_clipped_text_never_exceeds_its_room() {
        for cols in 0..12 {
            for text in ["production-web-1", "漢字漢字漢字", "né"] {
                assert!(width(&clip(text, cols)) <= cols, "{text} in {cols}");
            }
        }
        assert_eq!(clip("production", 6), "produ…");
    }
}

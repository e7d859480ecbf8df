//! What a client of the attach stream asks for in the words of a status.

use super::io::size_of;
use crate::fleet::Size;

/// A change a client asks for in the words of a status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Resize(Size),
    Signal(u32),
    Detach,
}

impl Wish {
    /// `None` for what is unknown or absurd: the stream goes on without it.
    pub(super) fn of(reason: &str) -> Option<Wish> {
        let (kind, rest) = reason.split_once(':').unwrap_or((reason, ""));
        match kind {
            "detach" => Some(Wish::Detach),
            "resize" => {
                let (cols, rows) = rest.split_once('x')?;
                Some(Wish::Resize(size_of(cols.parse().ok()?, rows.parse().ok()?)?))
            }
            "signal" => rest.parse().ok().or_else(|| signal_named(rest)).map(Wish::Signal),
            _ => None,
        }
    }
}

fn signal_named(name: &str) -> Option<u32> {
    let name = name.to_ascii_uppercase();
    let names = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("KILL", 9),
        ("USR1", 10),
        ("USR2", 12),
        ("TERM", 15),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
    ];
    let bare = name.strip_prefix("SIG").unwrap_or(&name);
    names.into_iter().find(|(known, _)| *known == bare).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_asks_for_is_understood_and_nonsense_is_nothing() {
        assert_eq!(Wish::of("resize:133x44"), Some(Wish::Resize(Size::new(44, 133))));
        assert_eq!(Wish::of("signal:2"), Some(Wish::Signal(2)));
        assert_eq!(Wish::of("signal:SIGINT"), Some(Wish::Signal(2)));
        assert_eq!(Wish::of("detach"), Some(Wish::Detach));
        for nonsense in ["", "resize:0x0", "resize:999999x1", "resize:x", "signal:", "history:10:0", "dance", "resize"]
        {
            assert_eq!(Wish::of(nonsense), None, "{nonsense}");
        }
    }
}

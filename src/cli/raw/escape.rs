//! What a person types, with the keys that are for us taken out: the detach key, and after Enter `~.`, `~#`, `~?` and `~~`.

/// What a terminal puts around a paste.
const PASTE: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// What typing leads to, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// For the program.
    Send(Vec<u8>),
    /// The detach key: what was typed before still reaches the program.
    Detach,
    /// `~.`: leave at once, whatever hangs.
    End,
    /// `~?`
    Help,
    /// `~#`
    Info,
}

/// The keys that are for us.
pub(super) struct Keys {
    /// The control character that detaches.
    detach: Option<u8>,
    /// The last thing typed was Enter, or nothing was.
    is_line_start: bool,
    /// A `~` after Enter waits for what follows it.
    has_tilde: bool,
    /// What comes is pasted, and no key.
    is_pasting: bool,
}

impl Keys {
    pub(super) fn new(detach: Option<u8>) -> Keys {
        Keys { detach, is_line_start: true, has_tilde: false, is_pasting: false }
    }

    /// Takes the next bytes; nothing follows `Detach` or `End`.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        let mut send = Vec::with_capacity(bytes.len() + 1);
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if let Some(len) = self.paste_len(rest) {
                if std::mem::take(&mut self.has_tilde) {
                    send.push(b'~');
                }
                send.extend_from_slice(&rest[..len]);
                rest = &rest[len..];
                self.is_line_start = false;
                continue;
            }
            let detach = self.detach_len(rest);
            if std::mem::take(&mut self.has_tilde) {
                match byte {
                    b'.' => {
                        flush(&mut typed, &mut send);
                        typed.push(Typed::End);
                        return typed;
                    }
                    b'?' | b'#' => {
                        flush(&mut typed, &mut send);
                        typed.push(if byte == b'#' { Typed::Info } else { Typed::Help });
                        rest = after;
                        continue;
                    }
                    _ => {
                        send.push(b'~');
                        self.is_line_start = false;
                        if byte == b'~' {
                            rest = after;
                            continue;
                        }
                    }
                }
            }
            if detach.is_some() {
                flush(&mut typed, &mut send);
                typed.push(Typed::Detach);
                return typed;
            }
            rest = after;
            if self.is_line_start && byte == b'~' {
                self.has_tilde = true;
                continue;
            }
            self.is_line_start = matches!(byte, b'\r' | b'\n');
            send.push(byte);
        }
        flush(&mut typed, &mut send);
        typed
    }

    /// Length of what is to be passed on as it is: the marks around a paste that programs ask for, and what is between them.
    fn paste_len(&mut self, bytes: &[u8]) -> Option<usize> {
        if !self.is_pasting {
            self.is_pasting = bytes.starts_with(PASTE);
            return self.is_pasting.then_some(PASTE.len());
        }
        let end = bytes.windows(PASTE_END.len()).position(|window| window == PASTE_END);
        self.is_pasting = end.is_none();
        Some(end.map_or(bytes.len(), |at| at + PASTE_END.len()))
    }

    /// Length of the detach key at the front: the control character itself, or what terminals send for it when a program
    /// has switched on a keyboard protocol (`CSI 100;5u`, `CSI 27;5;100~`).
    fn detach_len(&self, bytes: &[u8]) -> Option<usize> {
        let key = self.detach?;
        if bytes.first() == Some(&key) {
            return Some(1);
        }
        let body = bytes.strip_prefix(b"\x1b[")?;
        let end = body.iter().position(|byte| !(0x30..=0x3f).contains(byte))?;
        let params = std::str::from_utf8(&body[..end]).ok()?;
        let mut numbers = params.split(';').map(|param| param.split(':').next().unwrap_or("").parse::<u32>().ok());
        let (code, modifiers) = match body[end] {
            b'u' => (numbers.next()??, numbers.next()??),
            b'~' if numbers.next()? == Some(27) => {
                let modifiers = numbers.next()??;
                (numbers.next()??, modifiers)
            }
            _ => return None,
        };
        // Caps lock and num lock do not make another key of it.
        let is_control = modifiers.wrapping_sub(1) & !(64 | 128) == 4;
        let is_key = u8::try_from(code).is_ok_and(|code| code.is_ascii_graphic() && code & 0x1f == key);
        (is_control && is_key).then_some(end + 3)
    }
}

fn flush(typed: &mut Vec<Typed>, send: &mut Vec<u8>) {
    if !send.is_empty() {
        typed.push(Typed::Send(std::mem::take(send)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(text: &str) -> Typed {
        Typed::Send(text.as_bytes().to_vec())
    }

    fn keys() -> Keys {
        Keys::new(Some(4))
    }

    #[test]
    fn the_detach_key_ends_it_and_what_came_before_is_sent() {
        assert_eq!(keys().take(b"ab\x04cd"), [send("ab"), Typed::Detach]);
        assert_eq!(Keys::new(None).take(b"ab\x04cd"), [send("ab\x04cd")]);
        assert_eq!(Keys::new(Some(1)).take(b"\x04\x01"), [send("\x04"), Typed::Detach]);
    }

    #[test]
    fn the_detach_key_is_known_in_every_keyboard_protocol() {
        for key in ["\x1b[100;5u", "\x1b[100;5:1u", "\x1b[100;133u", "\x1b[27;5;100~"] {
            assert_eq!(keys().take(format!("a{key}").as_bytes()), [send("a"), Typed::Detach], "{key:?}");
        }
        for other in ["\x1b[101;5u", "\x1b[100;6u", "\x1b[100u", "\x1b[15;5~", "\x1b[3~", "\x1b[1;5D"] {
            assert_eq!(keys().take(other.as_bytes()), [send(other)], "{other:?}");
        }
    }

    #[test]
    fn escapes_work_after_enter_only() {
        assert_eq!(keys().take(b"~."), [Typed::End]);
        assert_eq!(keys().take(b"ls\r~."), [send("ls\r"), Typed::End]);
        assert_eq!(keys().take(b"a~."), [send("a~.")]);
        assert_eq!(keys().take(b"~~."), [send("~.")]);
        assert_eq!(keys().take(b"~x"), [send("~x")]);
        assert_eq!(keys().take(b"~?~."), [Typed::Help, Typed::End]);
        assert_eq!(keys().take(b"~#ls"), [Typed::Info, send("ls")]);
        assert_eq!(keys().take(b"~\x04"), [send("~"), Typed::Detach]);
    }

    #[test]
    fn a_paste_is_no_key() {
        let paste = "\x1b[200~one\r~.\r~#x\x04\x1b[201~";
        assert_eq!(keys().take(paste.as_bytes()), [send(paste)]);
        let mut keys = keys();
        assert_eq!(keys.take(b"\x1b[200~one\r"), [send("\x1b[200~one\r")]);
        assert_eq!(keys.take(b"~.\x1b[201~\r~."), [send("~.\x1b[201~\r"), Typed::End]);
    }

    #[test]
    fn an_escape_in_several_reads_is_one() {
        let mut keys = keys();
        assert_eq!(keys.take(b"x\r"), [send("x\r")]);
        assert_eq!(keys.take(b"~"), []);
        assert_eq!(keys.take(b"."), [Typed::End]);
    }
}

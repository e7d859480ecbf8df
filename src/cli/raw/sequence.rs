//! Output cut into what a terminal takes as one: text, controls, sequences, strings. A judge says what becomes of each.
//!
//! What goes out is written anew from what was understood, whole and without what terminals pass over (DEL, NUL, controls
//! within a sequence), so that nothing that is left can be read another way, or together with what came before it.
//! Only a string that its judge lets pass early goes out in pieces; a line of ours ends it first.

/// Bytes of a sequence that are kept until its end says what it is; above, a judge decides with the beginning alone.
pub(super) const HELD_CAP: usize = 16 * 1024;
/// Ends a string.
pub(super) const ST: &[u8] = b"\x1b\\";

/// What becomes of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes out as it is.
    Pass,
    /// It does not go out.
    Drop,
    /// This goes out for what came of it so far; the rest follows.
    Replace(Vec<u8>),
    /// More of it must be known.
    Wait,
}

/// How much of a string a judge sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The final byte of a device control string's header, or all of an application's string before its `;`.
    Header,
    /// As much as is kept; waiting any longer drops it.
    Beginning,
    /// All of it.
    Whole,
}

/// Says what becomes of output, piece by piece. The bodies come without introducers and terminators.
pub(super) trait Judge: Send {
    /// Text in UTF-8 and whatever else has its eighth bit set; a character may be cut at either end.
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>);
    /// What comes next is no text, so half a character stays half.
    fn text_ends(&mut self, out: &mut Vec<u8>);
    /// A control by itself; never one that begins, ends or cancels a sequence.
    fn control(&mut self, control: u8, out: &mut Vec<u8>);
    /// What follows ESC: intermediates and a final byte.
    fn escape(&mut self, body: &[u8], out: &mut Vec<u8>);
    /// What follows the control sequence introducer.
    fn csi(&mut self, body: &[u8], out: &mut Vec<u8>);
    /// What follows ESC and the byte that says which string it is.
    fn string(&mut self, kind: u8, body: &[u8], seen: Seen) -> Verdict;
    /// Whether controls within a string that passes belong to it.
    fn keeps_controls(&self) -> bool;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC and perhaps intermediates.
    Escape,
    Csi,
    /// A string that is not judged yet.
    Held(u8),
    /// A string that goes out as it comes.
    Passing(u8),
    /// A string that goes nowhere.
    Dropping(u8),
}

/// Where in a sequence the output is.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    state: State,
    held: Vec<u8>,
    /// The last byte of a string was ESC, perhaps half of its end.
    is_escaped: bool,
}

impl Splitter {
    /// Judges these bytes; a sequence may come in any number of pieces.
    pub(super) fn take(&mut self, mut bytes: &[u8], judge: &mut dyn Judge, out: &mut Vec<u8>) {
        while let Some(&byte) = bytes.first() {
            let run = self.run(bytes, judge, out);
            if run > 0 {
                bytes = &bytes[run..];
                continue;
            }
            self.byte(byte, judge, out);
            bytes = &bytes[1..];
        }
    }

    /// Something of ours follows: a string that is going out ends here, and the rest of it is dropped.
    pub(super) fn interrupt(&mut self, judge: &mut dyn Judge, out: &mut Vec<u8>) {
        judge.text_ends(out);
        if let State::Passing(kind) = self.state {
            out.extend_from_slice(ST);
            self.state = State::Dropping(kind);
        }
    }

    /// Bytes that are kept.
    #[cfg(test)]
    pub(super) fn held_len(&self) -> usize {
        self.held.len()
    }

    /// Takes what needs no look at each byte; how much that was.
    fn run(&self, bytes: &[u8], judge: &mut dyn Judge, out: &mut Vec<u8>) -> usize {
        let is_plain = |byte: &u8| *byte >= 0x20 && *byte != 0x7f;
        let length = || bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(bytes.len());
        match self.state {
            State::Ground => {
                let run = length();
                if run > 0 {
                    judge.text(&bytes[..run], out);
                }
                run
            }
            State::Passing(_) if !self.is_escaped => {
                let run = length();
                if judge.keeps_controls() {
                    out.extend_from_slice(&bytes[..run]);
                } else {
                    out.extend(bytes[..run].iter().filter(|byte| byte.is_ascii()));
                }
                run
            }
            State::Dropping(_) if !self.is_escaped => length(),
            _ => 0,
        }
    }

    fn byte(&mut self, byte: u8, judge: &mut dyn Judge, out: &mut Vec<u8>) {
        match self.state {
            State::Ground => self.ground(byte, judge, out),
            State::Held(kind) | State::Passing(kind) | State::Dropping(kind) => self.string(kind, byte, judge, out),
            // These end it, and the last of them begins another one.
            State::Escape | State::Csi if matches!(byte, 0x18 | 0x1a | 0x1b) => self.begin(byte == 0x1b),
            // A control within a sequence acts before it; NUL and DEL are passed over.
            State::Escape | State::Csi if byte < 0x20 => judge_control(byte, judge, out),
            State::Escape | State::Csi if byte == 0x7f => {}
            // No terminal knows such a sequence.
            State::Escape | State::Csi if byte >= 0x80 => {
                self.begin(false);
                judge.text(&[byte], out);
            }
            State::Escape => self.escape(byte, judge, out),
            State::Csi => {
                self.hold(byte);
                if byte >= 0x40 {
                    if self.held.len() < HELD_CAP {
                        judge.csi(&self.held, out);
                    }
                    self.begin(false);
                }
            }
        }
    }

    fn ground(&mut self, byte: u8, judge: &mut dyn Judge, out: &mut Vec<u8>) {
        judge.text_ends(out);
        match byte {
            0x1b => self.begin(true),
            // They cancel what is not there.
            0x18 | 0x1a | 0x7f => {}
            _ => judge_control(byte, judge, out),
        }
    }

    fn escape(&mut self, byte: u8, judge: &mut dyn Judge, out: &mut Vec<u8>) {
        if self.held.is_empty() {
            match byte {
                b'[' => return self.state = State::Csi,
                b']' | b'P' | b'X' | b'^' | b'_' => return self.state = State::Held(byte),
                _ => {}
            }
        }
        self.hold(byte);
        if byte >= 0x30 {
            if self.held.len() < HELD_CAP {
                judge.escape(&self.held, out);
            }
            self.begin(false);
        }
    }

    fn string(&mut self, kind: u8, byte: u8, judge: &mut dyn Judge, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_escaped) {
            match byte {
                b'\\' => self.string_ends(kind, ST, judge, out),
                // ESC ends a string whatever follows, and begins what follows.
                _ => {
                    self.string_is_cut(out);
                    self.begin(true);
                    self.byte(byte, judge, out);
                }
            }
            return;
        }
        match byte {
            0x1b => self.is_escaped = true,
            0x18 | 0x1a => {
                self.string_is_cut(out);
                self.begin(false);
            }
            0x07 if kind == b']' => self.string_ends(kind, b"\x07", judge, out),
            0x00 | 0x7f => {}
            0x01..0x20 if !judge.keeps_controls() => {}
            _ => match self.state {
                State::Passing(_) => out.push(byte),
                State::Held(_) => {
                    let is_header = matches!((kind, byte), (b'P', 0x40..) | (b'_', b';'));
                    self.held.push(byte);
                    if is_header {
                        self.decide(kind, Seen::Header, judge, out);
                    } else if self.held.len() == HELD_CAP {
                        self.decide(kind, Seen::Beginning, judge, out);
                    }
                }
                _ => {}
            },
        }
    }

    fn decide(&mut self, kind: u8, seen: Seen, judge: &mut dyn Judge, out: &mut Vec<u8>) {
        let head = match judge.string(kind, &self.held, seen) {
            Verdict::Pass => std::mem::take(&mut self.held),
            Verdict::Replace(head) => head,
            Verdict::Wait if seen == Seen::Header && self.held.len() < HELD_CAP => return,
            Verdict::Wait | Verdict::Drop => {
                self.held.clear();
                self.state = State::Dropping(kind);
                return;
            }
        };
        self.held.clear();
        out.extend_from_slice(&[0x1b, kind]);
        out.extend_from_slice(&head);
        self.state = State::Passing(kind);
    }

    fn string_ends(&mut self, kind: u8, end: &[u8], judge: &mut dyn Judge, out: &mut Vec<u8>) {
        if matches!(self.state, State::Held(_)) {
            self.decide(kind, Seen::Whole, judge, out);
        }
        if matches!(self.state, State::Passing(_)) {
            out.extend_from_slice(end);
        }
        self.begin(false);
    }

    /// It ends without its end: what has gone out of it is ended.
    fn string_is_cut(&self, out: &mut Vec<u8>) {
        if matches!(self.state, State::Passing(_)) {
            out.extend_from_slice(ST);
        }
    }

    fn begin(&mut self, is_escape: bool) {
        self.held.clear();
        self.is_escaped = false;
        self.state = if is_escape { State::Escape } else { State::Ground };
    }

    /// Keeps a byte of a sequence; one that is too long keeps its state until its end, and nothing more.
    fn hold(&mut self, byte: u8) {
        if self.held.len() < HELD_CAP {
            self.held.push(byte);
        }
    }
}

fn judge_control(byte: u8, judge: &mut dyn Judge, out: &mut Vec<u8>) {
    if byte != 0 {
        judge.control(byte, out);
    }
}

/// A control sequence's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Csi<'a> {
    /// `<`, `=`, `>` or `?`; 0 for none.
    pub(super) marker: u8,
    /// Digits, `;` and `:`.
    pub(super) params: &'a str,
    pub(super) intermediates: &'a [u8],
    pub(super) last: u8,
}

impl<'a> Csi<'a> {
    /// The parts of a body in the order they must come in; `None` for anything else.
    pub(super) fn parse(body: &'a [u8]) -> Option<Csi<'a>> {
        let (&last, rest) = body.split_last()?;
        let (marker, rest) = match rest.split_first() {
            Some((&marker @ 0x3c..=0x3f, rest)) => (marker, rest),
            _ => (0, rest),
        };
        let between = rest.iter().position(|byte| !(0x30..=0x3b).contains(byte)).unwrap_or(rest.len());
        let (params, intermediates) = rest.split_at(between);
        let is_whole = intermediates.iter().all(|byte| (0x20..=0x2f).contains(byte));
        let params = std::str::from_utf8(params).ok().filter(|_| is_whole)?;
        Some(Csi { marker, params, intermediates, last })
    }

    /// The numbers, 0 where none is written; `None` when one is beyond what terminals count with or has parts.
    pub(super) fn numbers(&self) -> Option<Vec<u16>> {
        if self.params.is_empty() {
            return Some(Vec::new());
        }
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse().ok() };
        self.params.split(';').map(number).collect()
    }
}

//! What a session that is driven may not do to the driver's terminal: ask it anything.
//!
//! The keeper's emulator is the one replier. A terminal that answers too would type its answer to the program once for
//! each driver, so questions, and modes that make a terminal report by itself, are taken out; pictures are shown without
//! a receipt. Everything else passes, as for anybody who runs the program in their own terminal, and what has to be
//! taken back when the session is left is noted.

use super::mode::Traces;
use super::sequence::{Csi, Judge, Seen, Verdict};

/// Modes with which a terminal tells its size (2048), its colour scheme (2031) and what is pasted (5522) unasked.
const REPORTS: [u16; 3] = [2031, 2048, 5522];
/// Window operations that are questions.
const WINDOW_REPORTS: [u16; 9] = [11, 13, 14, 15, 16, 18, 19, 20, 21];
/// Operating system commands whose text may well be a `?`: titles, directories, links, notifications, marks.
const TEXTS: [&str; 10] = ["0", "1", "2", "6", "7", "8", "9", "133", "633", "777"];
/// Those that are always answered: what is allowed (xterm), file transfer and the clipboard's second protocol (kitty).
const ANSWERED: [&str; 4] = ["60", "61", "5113", "5522"];

/// The judge of a driver's output.
#[derive(Default)]
pub(super) struct Queries {
    pub(super) traces: Traces,
}

impl Judge for Queries {
    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(text);
    }

    fn text_ends(&mut self, _: &mut Vec<u8>) {}

    fn control(&mut self, control: u8, out: &mut Vec<u8>) {
        // ENQ asks for the answerback.
        if control != 0x05 {
            out.push(control);
        }
    }

    fn escape(&mut self, body: &[u8], out: &mut Vec<u8>) {
        match body {
            // DECID.
            b"Z" => return,
            b"H" => self.traces.has_tabs = true,
            b"c" => self.traces.forget(),
            _ => {}
        }
        out.push(0x1b);
        out.extend_from_slice(body);
    }

    fn csi(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let Some(csi) = Csi::parse(body) else { return };
        if is_query(&csi) {
            return;
        }
        let numbers = csi.numbers();
        let numbers = numbers.as_deref().unwrap_or(&[]);
        match (csi.marker, csi.intermediates, csi.last) {
            (b'?', b"", b'h' | b'l') => return self.modes(&csi, numbers, out),
            (marker @ (b'<' | b'>' | b'='), b"", b'u') => return self.keyboard(marker, body, numbers, out),
            (0, b"", b'g') | (b'?', b"", b'W') => self.traces.has_tabs = true,
            _ => {}
        }
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(body);
    }

    fn string(&mut self, kind: u8, body: &[u8], seen: Seen) -> Verdict {
        match kind {
            // DECRQSS, XTGETTCAP, and kitty's remote control, all of which are answered.
            b'P' => match body {
                [.., b'$' | b'+', b'q'] | [b'@'] => Verdict::Drop,
                _ => Verdict::Pass,
            },
            b']' => self.command(body, seen),
            b'_' if body.first() == Some(&b'G') => picture(body, seen),
            _ => Verdict::Pass,
        }
    }

    fn keeps_controls(&self) -> bool {
        true
    }
}

impl Queries {
    fn modes(&mut self, csi: &Csi, numbers: &[u16], out: &mut Vec<u8>) {
        let is_set = csi.last == b'h';
        let kept: Vec<u16> = numbers.iter().copied().filter(|mode| !(is_set && REPORTS.contains(mode))).collect();
        for mode in &kept {
            self.traces.mode(*mode, is_set);
        }
        if kept.len() == numbers.len() {
            out.extend_from_slice(format!("\x1b[?{}{}", csi.params, char::from(csi.last)).as_bytes());
        } else if !kept.is_empty() {
            let list: Vec<String> = kept.iter().map(u16::to_string).collect();
            out.extend_from_slice(format!("\x1b[?{}{}", list.join(";"), char::from(csi.last)).as_bytes());
        }
    }

    /// The keyboard's stack: a program takes back its own entries only, for those below are the person's.
    fn keyboard(&mut self, marker: u8, body: &[u8], numbers: &[u16], out: &mut Vec<u8>) {
        match marker {
            b'<' => {
                let asked = numbers.first().copied().unwrap_or(1).max(1);
                let own = self.traces.pop_keyboard(asked);
                if own > 0 && own < asked {
                    out.extend_from_slice(format!("\x1b[<{own}u").as_bytes());
                }
                if own < asked {
                    out.extend_from_slice(b"\x1b[=0u");
                    return;
                }
            }
            b'>' => self.traces.push_keyboard(),
            _ => {}
        }
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(body);
    }

    fn command(&mut self, body: &[u8], seen: Seen) -> Verdict {
        let end = body.iter().position(|byte| *byte == b';').unwrap_or(body.len());
        let number = std::str::from_utf8(&body[..end]).unwrap_or("");
        let rest = body.get(end + 1..).unwrap_or(&[]);
        if ANSWERED.contains(&number) {
            return Verdict::Drop;
        }
        if TEXTS.contains(&number) {
            return Verdict::Pass;
        }
        match number {
            // The clipboard: what is written may be long, what asks is a `?` in its place.
            "52" => {
                let data = rest.iter().position(|byte| *byte == b';').map_or(&[][..], |at| &rest[at + 1..]);
                if data.first() == Some(&b'?') { Verdict::Drop } else { Verdict::Pass }
            }
            "1337" if asks_iterm(rest) => Verdict::Drop,
            "99" if asks_notification(rest) => Verdict::Drop,
            "1337" | "99" => Verdict::Pass,
            // A list of colours that is longer than what is kept sets no colour.
            _ if seen != Seen::Whole => Verdict::Drop,
            _ => self.setting(number, rest),
        }
    }

    /// Colours, fonts, pointers and the like: what is set passes, what is asked does not.
    fn setting(&mut self, number: &str, rest: &[u8]) -> Verdict {
        let Ok(text) = std::str::from_utf8(rest) else { return Verdict::Pass };
        self.traces.command(number);
        let is_question = |value: &str| value.starts_with('?');
        let fields: Vec<&str> = text.split(';').collect();
        let has_question = fields
            .iter()
            .any(|field| is_question(field) || field.split_once('=').is_some_and(|(_, value)| value == "?"));
        if !has_question {
            return Verdict::Pass;
        }
        let code: u16 = number.parse().unwrap_or(0);
        let kept: Vec<String> = match code {
            4 | 5 => {
                let pairs = fields.chunks(2).filter(|pair| pair.len() == 2 && !is_question(pair[1]));
                pairs.map(|pair| format!("{number};{};{}", pair[0], pair[1])).collect()
            }
            10..=19 => {
                let colors = (code..=19).zip(&fields).filter(|(_, color)| !is_question(color));
                colors.map(|(code, color)| format!("{code};{color}")).collect()
            }
            21 => {
                let colors = fields.iter().filter(|field| !field.ends_with("=?"));
                colors.map(|color| format!("{number};{color}")).collect()
            }
            _ => Vec::new(),
        };
        if kept.is_empty() {
            return Verdict::Drop;
        }
        Verdict::Replace(kept.join("\x1b\\\x1b]").into_bytes())
    }
}

/// Whether a control sequence only asks.
fn is_query(csi: &Csi) -> bool {
    let first = csi.numbers().and_then(|numbers| numbers.first().copied()).unwrap_or(0);
    match (csi.marker, csi.intermediates, csi.last) {
        // Device attributes, status and position; terminal parameters.
        (0 | b'>' | b'=', b"", b'c') | (0 | b'?', b"", b'n') | (0, b"", b'x') => true,
        (0, b"", b't') => WINDOW_REPORTS.contains(&first),
        // The terminal's version, its keyboard's state and keys, its graphics.
        (b'>', b"", b'q') | (b'?', b"", b'u' | b'm' | b'g' | b'S') => true,
        // Modes, states, checksums, supplemental set.
        (_, b"$", b'p' | b'u' | b'w') | (0, b"*", b'y') | (0, b"&", b'u') => true,
        // Pen, colours, displayed extent, secure reset, locator, function keys.
        (0, b"#", b'|' | b'R') | (0, b"\"", b'v') | (0, b"+", b'p' | b'x') | (0, b"'", b'|') => true,
        // Several cursors: what there is, and where they are.
        (b'>', b" ", b'q') => matches!(first, 100 | 101) || csi.params.is_empty(),
        _ => false,
    }
}

/// Whether iTerm2 answers: cell size, variables, capabilities, uploads.
fn asks_iterm(rest: &[u8]) -> bool {
    [&b"Report"[..], b"Capabilities", b"RequestUpload"].iter().any(|question| rest.starts_with(question))
}

/// Whether a notification (kitty) is a question, or wants to hear what becomes of it.
fn asks_notification(rest: &[u8]) -> bool {
    let end = rest.iter().position(|byte| *byte == b';').unwrap_or(rest.len());
    rest[..end].split(|byte| *byte == b':').any(|pair| match pair.split_first() {
        Some((b'p', value)) => matches!(value, b"=?" | b"=alive"),
        Some((b'c', value)) => value == b"=1",
        Some((b'a', value)) => value.windows(6).any(|word| word == b"report"),
        _ => false,
    })
}

/// A command of kitty's pictures: a question (`a=q`) is taken out, and everything else is made quiet (`q=2`).
fn picture(body: &[u8], seen: Seen) -> Verdict {
    let (control, data) = match body.iter().position(|byte| *byte == b';') {
        Some(end) => (&body[1..end], &body[end..]),
        None if seen == Seen::Whole => (&body[1..], &[][..]),
        None => return Verdict::Wait,
    };
    let keys = || control.split(|byte| *byte == b',').filter(|key| !key.is_empty());
    if keys().any(|key| key == b"a=q") {
        return Verdict::Drop;
    }
    let mut quiet = b"G".to_vec();
    for key in keys().filter(|key| !key.starts_with(b"q=")) {
        quiet.extend_from_slice(key);
        quiet.push(b',');
    }
    quiet.extend_from_slice(b"q=2");
    quiet.extend_from_slice(data);
    Verdict::Replace(quiet)
}

#[cfg(test)]
mod tests {
    use super::super::sequence::Splitter;
    use super::*;

    fn passed_by(queries: &mut Queries, bytes: &[u8]) -> Vec<u8> {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        splitter.take(bytes, queries, &mut out);
        out
    }

    /// What passes, the same whole and byte by byte.
    fn passed(bytes: &[u8]) -> Vec<u8> {
        let whole = passed_by(&mut Queries::default(), bytes);
        let (mut splitter, mut queries, mut out) = (Splitter::default(), Queries::default(), Vec::new());
        for byte in bytes {
            splitter.take(&[*byte], &mut queries, &mut out);
        }
        assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&out), "whole and in pieces");
        whole
    }

    /// With two drivers, two terminals answered what the keeper had answered, and the program was told three times.
    #[test]
    fn what_only_asks_is_taken_out() {
        let questions: [&[u8]; 63] = [
            b"\x1b[c",
            b"\x1b[0c",
            b"\x1b[>c",
            b"\x1b[>0c",
            b"\x1b[=c",
            b"\x1b[5n",
            b"\x1b[6n",
            b"\x1b[?6n",
            b"\x1b[?15n",
            b"\x1b[?996n",
            b"\x1b[x",
            b"\x1b[1x",
            b"\x1b[?1$p",
            b"\x1b[4$p",
            b"\x1b[>q",
            b"\x1b[>0q",
            b"\x1b[?u",
            b"\x1b[?4m",
            b"\x1b[?4g",
            b"\x1b[?1;1;0S",
            b"\x1b[?2;1;0S",
            b"\x1b[1$u",
            b"\x1b[2;2$u",
            b"\x1b[1$w",
            b"\x1b[&u",
            b"\x1b[1;1;1;1;1;1*y",
            b"\x1b[\"v",
            b"\x1b[1+p",
            b"\x1b[#|",
            b"\x1b[#R",
            b"\x1b['|",
            b"\x1b[>100 q",
            b"\x1b[11t",
            b"\x1b[13;2t",
            b"\x1b[14t",
            b"\x1b[14;2t",
            b"\x1b[16t",
            b"\x1b[18t",
            b"\x1b[19t",
            b"\x1b[21t",
            b"\x1b[?2048h",
            b"\x1b[?2031h",
            b"\x1bZ",
            b"\x05",
            b"\x1bP$qm\x1b\\",
            b"\x1bP$q q\x1b\\",
            b"\x1bP+q544e;524742\x1b\\",
            b"\x1bP@kitty-cmd{\"cmd\":\"ls\"}\x1b\\",
            b"\x1b]4;1;?\x07",
            b"\x1b]4;1;?;2;?\x1b\\",
            b"\x1b]5;0;?\x07",
            b"\x1b]10;?\x1b\\",
            b"\x1b]10;?;?;?\x1b\\",
            b"\x1b]19;?\x07",
            b"\x1b]21;foreground=?;background=?\x1b\\",
            b"\x1b]22;?__current__\x1b\\",
            b"\x1b]50;?\x07",
            b"\x1b]52;c;?\x1b\\",
            b"\x1b]99;i=1:p=?;\x1b\\",
            b"\x1b]1337;ReportCellSize\x07",
            b"\x1b]1337;Capabilities\x1b\\",
            b"\x1b]5522;type=read\x1b\\",
            b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\",
        ];
        for question in questions {
            let around = [b"a".as_slice(), question, b"b"].concat();
            assert_eq!(
                String::from_utf8_lossy(&passed(&around)),
                "ab",
                "{}",
                String::from_utf8_lossy(question).escape_debug()
            );
        }
    }

    #[test]
    fn everything_else_passes_as_it_is() {
        let long = [b"\x1b]52;c;".as_slice(), &b"Zm9v".repeat(50_000), b"\x07"].concat();
        let image = [b"\x1b]1337;File=inline=1:".as_slice(), &b"Zm9v".repeat(50_000), b"\x1b\\"].concat();
        let commands: [&[u8]; 24] = [
            "text, \u{e9} \r\n\t".as_bytes(),
            b"\xff\x9b\xc2",
            b"\x1b[1;31;48:2::1:2:3m\x1b[?1049h\x1b[?1000;1006h\x1b[>4;2m\x1b[>1u\x1b[<u",
            b"\x1b[?2031l\x1b[?2048l\x1b[?69h\x1b[3J\x1b[i\x1b[8;24;80t\x1b[22;0t\x1b[23;0t\x1b[2 q\x1b[!p",
            b"\x1b[?3h\x1b[?5W\x1b[>2p\x1b[1$}\x1b[?1s\x1b[?1r\x1b[>4n\x1b[?1c",
            b"\x1b=\x1b>\x1bc\x1b7\x1b8\x1b%G\x1b(0",
            b"\x1b]0;?\x07\x1b]2;title\x1b\\\x1b]8;;http://a/?\x1b\\\x1b]7;file:///\x07",
            b"\x1b]4;1;rgb:11/22/33\x07\x1b]11;#200000\x1b\\\x1b]104\x07\x1b]110\x07",
            b"\x1b]52;c;eA==\x07",
            b"\x1b]52;c;!\x07",
            b"\x1b]9;are you there?\x07\x1b]777;notify;a;?\x1b\\\x1b]99;i=1;text?\x1b\\",
            b"\x1b]22;pointer\x1b\\\x1b]133;A\x07\x1b]633;A\x07\x1b]1337;SetMark\x07",
            b"\x1bPq#0~~\n#1??\x1b\\",
            b"\x1bP1000p%begin 1\r\n%end 1\r\n",
            b"\x1b\\",
            b"\x1bPtmux;\x1b\\",
            b"\x1b_tmux\x1b\\",
            b"\x1b^private\x1b\\\x1bXstart\x1b\\",
            b"\x1bP0;1|17/6c730d\x1b\\",
            b"\x1b[4:3m",
            b"\x1b[[A",
            b"\x1b]66;s=2;big\x1b\\",
            &long,
            &image,
        ];
        for command in commands {
            assert_eq!(
                String::from_utf8_lossy(&passed(command)),
                String::from_utf8_lossy(command),
                "{}",
                String::from_utf8_lossy(&command[..command.len().min(80)]).escape_debug()
            );
        }
    }

    #[test]
    fn of_a_mixture_the_questions_are_taken_out() {
        let mixtures: [(&[u8], &[u8]); 8] = [
            (b"\x1b[?25;2048;1h", b"\x1b[?25;1h"),
            (b"\x1b]4;1;?;2;red\x07", b"\x1b]4;2;red\x07"),
            (b"\x1b]10;?;#111;#222\x07", b"\x1b]11;#111\x1b\\\x1b]12;#222\x07"),
            (b"\x1b]21;foreground=?;background=red\x1b\\", b"\x1b]21;background=red\x1b\\"),
            (b"\x1b_Ga=T,f=24,s=1,v=1;AAAA\x1b\\", b"\x1b_Ga=T,f=24,s=1,v=1,q=2;AAAA\x1b\\"),
            (b"\x1b_Gq=1,m=1;AAAA\x1b\\", b"\x1b_Gm=1,q=2;AAAA\x1b\\"),
            (b"\x1b_Ga=d\x1b\\", b"\x1b_Ga=d,q=2\x1b\\"),
            (b"\x1b[<3u", b"\x1b[=0u"),
        ];
        for (mixture, expected) in mixtures {
            assert_eq!(String::from_utf8_lossy(&passed(mixture)), String::from_utf8_lossy(expected));
        }
        let mut queries = Queries::default();
        assert_eq!(passed_by(&mut queries, b"\x1b[>1u\x1b[>1u\x1b[<3u"), b"\x1b[>1u\x1b[>1u\x1b[<2u\x1b[=0u");
    }
}

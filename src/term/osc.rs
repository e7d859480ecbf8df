//! OSC and DCS strings: titles, directories, links, prompts, clipboard, notifications. Everything told onwards is
//! sanitised: no control characters, no direction overrides, bounded.

use super::translate::Term;
use super::types::Event;
use crate::fleet::is_deceptive;
use base64::Engine as _;
use std::sync::Arc;

/// Characters of a title, notification or directory that are told onwards.
pub(super) const TITLE_CAP: usize = 256;
const NOTIFICATION_CAP: usize = 1024;
pub(super) const PATH_CAP: usize = 4096;
/// Bytes of a link target; a longer one makes plain text, as in other terminals.
const LINK_CAP: usize = 2048;
/// Bytes of clipboard text told onwards.
const CLIPBOARD_CAP: usize = 512 * 1024;

impl Term {
    /// A complete string sequence by the byte that began it.
    pub(super) fn string(&mut self, kind: u8, data: &[u8]) {
        self.last_char = None;
        match kind {
            b']' => self.osc(data),
            b'P' => self.dcs(data),
            b'_' => self.pictures(data),
            _ => {}
        }
    }

    /// A question about kitty's pictures: we show none, and say so, for whoever asks waits for the first answer that comes.
    fn pictures(&mut self, data: &[u8]) {
        let Some(keys) = data.strip_prefix(b"G").and_then(|data| data.split(|byte| *byte == b';').next()) else {
            return;
        };
        let value = |name: &[u8]| keys.split(|byte| *byte == b',').find_map(|pair| pair.strip_prefix(name));
        let id = value(b"i=").and_then(|id| std::str::from_utf8(id).ok()?.parse::<u32>().ok());
        if let (Some(b"q"), Some(id)) = (value(b"a="), id) {
            self.reply(format!("\x1b_Gi={id};ENOTSUPPORTED:no pictures here\x1b\\"));
        }
    }

    fn dcs(&mut self, data: &[u8]) {
        if let Some(name) = data.strip_prefix(b"$q") {
            self.setting(name);
        } else if data.starts_with(b"+q") {
            // XTGETTCAP: nothing is told, so programs fall back to terminfo.
            self.reply(b"\x1bP0+r\x1b\\");
        } else if let Some(data) = data.strip_prefix(b"+f") {
            #[cfg(any(test, debug_assertions))]
            panic_if_asked(data);
            if self.is_loading {
                self.private(data);
            }
        }
    }

    fn osc(&mut self, data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        let (code, text) = text.split_once(';').unwrap_or((&text, ""));
        match code {
            "0" | "2" => self.set_title(sanitize(text, TITLE_CAP)),
            "4" => self.indexed_colors(text),
            "7" => {
                if let Some(path) = path_of(text) {
                    self.cwd = Some(path.clone());
                    self.event(Event::Cwd(path));
                }
            }
            "8" => self.link(text),
            // ConEmu's progress and the like share the number; their payload begins with a digit and a semicolon.
            "9" if !text.starts_with(|c: char| c.is_ascii_digit()) => {
                self.event(Event::Notification(sanitize(text, NOTIFICATION_CAP)));
            }
            "10" | "11" | "12" => self.dynamic_colors(code.parse().unwrap_or(10), text),
            "21" => self.named_colors(text),
            "52" => self.clipboard(text),
            "104" | "110" | "111" | "112" => self.reset_colors(code.parse().unwrap_or(104), text),
            "133" => self.prompt(text),
            "1337" => self.iterm(text),
            "777" => {
                if let Some(text) = text.strip_prefix("notify;") {
                    self.event(Event::Notification(sanitize(&text.replacen(';', ": ", 1), NOTIFICATION_CAP)));
                }
            }
            _ => {}
        }
    }

    pub(super) fn set_title(&mut self, title: String) {
        self.title.clone_from(&title);
        self.event(Event::Title(title));
    }

    fn link(&mut self, text: &str) {
        let target = text.split_once(';').map_or("", |(_, target)| target);
        let link: Option<Arc<str>> = (is_clean_link(target) && !target.is_empty()).then(|| target.into());
        if link != self.pen.link {
            self.set_link(link);
        }
    }

    fn clipboard(&mut self, text: &str) {
        let data = text.split_once(';').map_or("", |(_, data)| data);
        let decoder = base64::engine::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        );
        if data.is_empty() || data == "?" {
            return;
        }
        if let Ok(data) = decoder.decode(data)
            && data.len() <= CLIPBOARD_CAP
        {
            self.event(Event::Clipboard(data));
        }
    }

    fn prompt(&mut self, text: &str) {
        let mut parts = text.split(';');
        match parts.next() {
            Some("A" | "B") => self.event(Event::PromptStart),
            Some("C") => self.event(Event::CommandStart),
            Some("D") => {
                let code = parts.next().and_then(|code| code.parse().ok());
                self.event(Event::CommandEnd(code));
            }
            _ => {}
        }
    }
}

/// Panics at `DCS + f ! ST` in unit tests, and in debug builds that are asked to panic here: what must survive it is tested.
#[cfg(any(test, debug_assertions))]
fn panic_if_asked(data: &[u8]) {
    let is_asked = || cfg!(test) || std::env::var_os("FLEETMUX_PANIC_AT").is_some_and(|at| at == "the screen");
    assert!(data != b"!" || !is_asked(), "a test asked for a panic in the screen");
}

/// Whether a link may be kept: not endless, and nothing in it that deceives.
pub(super) fn is_clean_link(target: &str) -> bool {
    target.len() <= LINK_CAP && !target.chars().any(is_deceptive)
}

pub(super) fn sanitize(text: &str, cap: usize) -> String {
    text.chars().filter(|&c| !is_deceptive(c)).take(cap).collect()
}

/// The path of `file://host/path`, percent-decoded.
fn path_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("file://")?;
    let path = &rest[rest.find('/')?..];
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let [byte, rest @ ..] = left {
        left = rest;
        let decoded = match (byte, rest) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).map(|(high, low)| (high * 16 + low) as u8)
            }
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*byte));
        if decoded.is_some() {
            left = &left[2..];
        }
    }
    Some(sanitize(&String::from_utf8_lossy(&bytes), PATH_CAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_title_loses_controls_overrides_and_length() {
        assert_eq!(sanitize("a\u{1b}]b\u{202E}c\u{9b}\n", 256), "a]bc");
        assert_eq!(sanitize(&"x".repeat(1000), TITLE_CAP).len(), 256);
    }

    /// Two drivers' terminals answered it, then nobody did, and a program that asked waited for its whole patience.
    #[test]
    fn a_question_about_pictures_is_answered_once_and_with_no() {
        let mut screen = crate::term::Screen::new(crate::fleet::Size::DEFAULT, 0);
        screen.feed(b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b_Gi=1,a=T;AAAA\x1b\\\x1b_Ga=q;AAAA\x1b\\");
        assert_eq!(screen.take_replies(), b"\x1b_Gi=31;ENOTSUPPORTED:no pictures here\x1b\\");
    }

    #[test]
    fn a_path_is_decoded_and_its_host_dropped() {
        assert_eq!(path_of("file://web-3/home/j%C3%BCrgen%2").as_deref(), Some("/home/jürgen%2"));
        assert_eq!(path_of("http://x/y"), None);
        assert_eq!(path_of("file://nohost"), None);
    }
}

//! Signals by name.

use std::str::FromStr;

use crate::client::Error;

/// A signal for the programs in the foreground of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGHUP
    Hangup,
    /// SIGINT, what Ctrl+C sends.
    Interrupt,
    /// SIGQUIT, what Ctrl+\ sends.
    Quit,
    /// SIGKILL, which cannot be caught.
    Kill,
    /// SIGUSR1
    User1,
    /// SIGUSR2
    User2,
    /// SIGTERM
    Terminate,
    /// SIGCONT
    Continue,
    /// SIGSTOP, which cannot be caught.
    Stop,
    /// SIGTSTP, what Ctrl+Z sends.
    TerminalStop,
}

impl Signal {
    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Signal::Hangup => 1,
            Signal::Interrupt => 2,
            Signal::Quit => 3,
            Signal::Kill => 9,
            Signal::User1 => 10,
            Signal::User2 => 12,
            Signal::Terminate => 15,
            Signal::Continue => 18,
            Signal::Stop => 19,
            Signal::TerminalStop => 20,
        }
    }
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Signal, Error> {
        Ok(match text.strip_prefix("SIG").unwrap_or(text) {
            "HUP" => Signal::Hangup,
            "INT" => Signal::Interrupt,
            "QUIT" => Signal::Quit,
            "KILL" => Signal::Kill,
            "USR1" => Signal::User1,
            "USR2" => Signal::User2,
            "TERM" => Signal::Terminate,
            "CONT" => Signal::Continue,
            "STOP" => Signal::Stop,
            "TSTP" => Signal::TerminalStop,
            _ => {
                let known = "SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGUSR2, SIGTERM, SIGCONT, SIGSTOP, SIGTSTP";
                let text: String = text.chars().take(40).collect();
                return Err(Error::Invalid(format!("{text:?} is no signal that can be sent; known are {known}")));
            }
        })
    }
}

impl TryFrom<&str> for Signal {
    type Error = Error;

    fn try_from(text: &str) -> Result<Signal, Error> {
        text.parse()
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}

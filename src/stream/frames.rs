//! The session frames as values: what a client says to a keeper and what a keeper says to a client.
//!
//! Relay and agent route the wire's form of the same vocabulary without looking inside.

use bytes::Bytes;

use crate::fleet::{Exit, Refusal, Role, Size, Summary, Viewer};

/// How output reaches a client that cannot keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It gets a keyframe and a skipped count.
    #[default]
    Latest,
    /// It is served from the log at its own pace.
    Lossless,
}

/// What a keyframe is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyframeKind {
    /// A fresh emulator.
    #[default]
    Replica,
    /// A person's own terminal.
    Terminal,
}

/// A client's wish to take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Role asked for.
    pub role: Role,
    /// Delivery.
    pub delivery: Delivery,
    /// Next offset wanted; `None` starts with a keyframe.
    pub from_offset: Option<u64>,
    /// Kind of keyframes.
    pub keyframe: KeyframeKind,
    /// The client's own size.
    pub size: Size,
    /// Who it is, as the relay authenticated it.
    pub principal: String,
    /// Shown to others.
    pub label: String,
    /// Bytes under way unconsumed; `None` for the default.
    pub window: Option<u32>,
    /// History in replica keyframes, bytes.
    pub history_bytes: u32,
    /// Shortest time between two outputs of a busy program, milliseconds, up to 1000; `None` for the default, about 60 a
    /// second, which is also the fastest. Lossless delivery has no pace.
    pub pace_ms: Option<u32>,
    /// A driver that has no say in the size until it sends a resize.
    pub is_sizeless: bool,
    /// What has left the log before `from_offset` is skipped: output starts at the oldest byte there is.
    pub is_from_oldest: bool,
}

impl Attach {
    /// The wish of a client that leaves everything else to the keeper.
    pub fn new(role: Role) -> Attach {
        Attach {
            role,
            delivery: Delivery::Latest,
            from_offset: None,
            keyframe: KeyframeKind::Replica,
            size: Size::DEFAULT,
            principal: String::new(),
            label: String::new(),
            window: None,
            history_bytes: 0,
            pace_ms: None,
            is_sizeless: false,
            is_from_oldest: false,
        }
    }
}

/// From a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up {
    /// Take part.
    Attach(Attach),
    /// Numbered input.
    Input {
        /// Number of the first byte.
        offset: u64,
        /// The bytes; never logged.
        data: Bytes,
    },
    /// The client's size.
    Resize(Size),
    /// A POSIX signal for the foreground process group.
    Signal(u32),
    /// Another role.
    SetRole(Role),
    /// Everything before this offset is processed.
    Consumed(u64),
    /// Backlog was dropped after this offset: send a keyframe.
    Refresh {
        /// Next offset the client had wanted.
        from_offset: u64,
        /// Kind of the keyframe.
        keyframe: KeyframeKind,
        /// History in it, bytes.
        history_bytes: u32,
    },
    /// Answered by a pong at once.
    Ping(u64),
    /// No longer interested.
    Detach,
    /// End the session.
    Close,
    /// The session's name; from the machine itself.
    Rename(String),
}

impl Up {
    /// The frame's kind, for refusals.
    pub fn kind(&self) -> &'static str {
        match self {
            Up::Attach(_) => "attach",
            Up::Input { .. } => "input",
            Up::Resize(_) => "resize",
            Up::Signal(_) => "signal",
            Up::SetRole(_) => "set_role",
            Up::Consumed(_) => "consumed",
            Up::Refresh { .. } => "refresh",
            Up::Ping(_) => "ping",
            Up::Detach => "detach",
            Up::Close => "close",
            Up::Rename(_) => "rename",
        }
    }

    /// Whether only a driver may send it.
    pub fn needs_driver(&self) -> bool {
        matches!(self, Up::Input { .. } | Up::Resize(_) | Up::Signal(_) | Up::Close | Up::Rename(_))
    }
}

/// From a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// Taken in.
    Attached {
        /// Role granted.
        role: Role,
        /// Output starts here.
        offset: u64,
        /// Next input byte wanted.
        input_next: u64,
        /// Size of the session.
        size: Size,
        /// What the client will not get.
        skipped: u64,
        /// Number in the presence list.
        number: u32,
    },
    /// Output.
    Output {
        /// Offset of the first byte.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The screen at an offset.
    Keyframe {
        /// Output continues here.
        offset: u64,
        /// Bytes left out.
        skipped: u64,
        /// Size at this point.
        size: Size,
        /// What it is for.
        kind: KeyframeKind,
        /// Escape bytes.
        data: Bytes,
    },
    /// A new size from this offset on.
    Resized {
        /// In force from here.
        offset: u64,
        /// The size.
        size: Size,
    },
    /// Everybody attached.
    Presence(Vec<Viewer>),
    /// Input before this number is accepted.
    InputAck {
        /// The next byte wanted.
        next: u64,
        /// There is room again: send everything from there once more.
        is_resend: bool,
    },
    /// The program ended.
    Exited(Exit),
    /// A frame was refused.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The frame's kind.
        frame: String,
    },
    /// Answer to a ping.
    Pong(u64),
    /// State without watching.
    Summary(Summary),
    /// The keeper lets the client go.
    Detached(String),
    /// The role is granted.
    RoleSet(Role),
    /// Off the stream until a keyframe.
    Behind,
    /// The session has this name now.
    Renamed(String),
}

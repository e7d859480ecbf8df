//! Session frames; unknown kinds of a newer peer become `None` and are passed over.

use super::{exit, refusal, refusal_from, role, role_from, size, size_from, summary_from, viewer, viewer_from};
use crate::fleet::{ClientId, IdError, NAME_CAP, TITLE_CAP, cleaned, cleaned_message};
use crate::stream::{Attach, Delivery, Down, KeyframeKind, Up};
use crate::wire::v1;
use v1::session_down::Frame as D;
use v1::session_up::Frame as U;

fn kind(kind: KeyframeKind) -> i32 {
    match kind {
        KeyframeKind::Replica => v1::KeyframeKind::Replica as i32,
        KeyframeKind::Terminal => v1::KeyframeKind::Terminal as i32,
    }
}

fn kind_from(kind: i32) -> KeyframeKind {
    if kind == v1::KeyframeKind::Terminal as i32 { KeyframeKind::Terminal } else { KeyframeKind::Replica }
}

fn client_from(bytes: &[u8]) -> Result<Option<ClientId>, IdError> {
    if bytes.is_empty() { Ok(None) } else { ClientId::from_bytes(bytes).map(Some) }
}

fn client(id: Option<ClientId>) -> bytes::Bytes {
    id.map_or_else(bytes::Bytes::new, |id| bytes::Bytes::copy_from_slice(id.as_bytes()))
}

impl From<Attach> for v1::Attach {
    fn from(attach: Attach) -> Self {
        v1::Attach {
            role: role(attach.role),
            delivery: match attach.delivery {
                Delivery::Latest => v1::Delivery::Latest as i32,
                Delivery::Lossless => v1::Delivery::Lossless as i32,
            },
            from_offset: attach.from_offset,
            keyframe: kind(attach.keyframe),
            size: Some(size(attach.size)),
            principal: attach.principal,
            label: attach.label,
            window: attach.window.unwrap_or(0),
            history_bytes: attach.history_bytes,
            pace_ms: attach.pace_ms.unwrap_or(0),
            sizeless: attach.is_sizeless,
            from_oldest: attach.is_from_oldest,
        }
    }
}

impl From<v1::Attach> for Attach {
    fn from(attach: v1::Attach) -> Self {
        let is_lossless = attach.delivery() == v1::Delivery::Lossless;
        Attach {
            role: role_from(attach.role),
            delivery: if is_lossless { Delivery::Lossless } else { Delivery::Latest },
            from_offset: attach.from_offset,
            keyframe: kind_from(attach.keyframe),
            size: size_from(attach.size),
            principal: attach.principal,
            label: cleaned(attach.label, TITLE_CAP),
            window: (attach.window > 0).then_some(attach.window),
            history_bytes: attach.history_bytes,
            pace_ms: (attach.pace_ms > 0).then_some(attach.pace_ms),
            is_sizeless: attach.sizeless,
            is_from_oldest: attach.from_oldest,
        }
    }
}

/// A client's frame to the wire.
pub fn up(id: Option<ClientId>, up: Up) -> v1::SessionUp {
    let frame = match up {
        Up::Attach(attach) => U::Attach(attach.into()),
        Up::Input { offset, data } => U::Input(v1::Input { offset, data }),
        Up::Resize(to) => U::Resize(v1::Resize { size: Some(size(to)) }),
        Up::Signal(number) => U::Signal(v1::Signal { number }),
        Up::SetRole(to) => U::SetRole(v1::SetRole { role: role(to) }),
        Up::Consumed(offset) => U::Consumed(v1::Consumed { offset }),
        Up::Refresh { from_offset, keyframe, history_bytes } => {
            U::Refresh(v1::Refresh { from_offset, keyframe: kind(keyframe), history_bytes })
        }
        Up::Ping(token) => U::Ping(v1::Ping { token }),
        Up::Detach => U::Detach(v1::Detach {}),
        Up::Close => U::Close(v1::Close {}),
        Up::Rename(name) => U::Rename(v1::Rename { name }),
    };
    v1::SessionUp { client: client(id), frame: Some(frame) }
}

/// A client's frame from the wire.
pub fn up_from(up: v1::SessionUp) -> Result<(Option<ClientId>, Option<Up>), IdError> {
    let id = client_from(&up.client)?;
    let frame = up.frame.and_then(|frame| {
        Some(match frame {
            U::Hello(_) => return None,
            U::Attach(attach) => Up::Attach(attach.into()),
            U::Input(input) => Up::Input { offset: input.offset, data: input.data },
            U::Resize(resize) => Up::Resize(size_from(resize.size)),
            U::Signal(signal) => Up::Signal(signal.number),
            U::SetRole(set) => Up::SetRole(role_from(set.role)),
            U::Consumed(consumed) => Up::Consumed(consumed.offset),
            U::Refresh(refresh) => Up::Refresh {
                from_offset: refresh.from_offset,
                keyframe: kind_from(refresh.keyframe),
                history_bytes: refresh.history_bytes,
            },
            U::Ping(ping) => Up::Ping(ping.token),
            U::Detach(_) => Up::Detach,
            U::Close(_) => Up::Close,
            U::Rename(rename) => Up::Rename(rename.name),
        })
    });
    Ok((id, frame))
}

/// A keeper's frame to the wire.
pub fn down(id: Option<ClientId>, down: Down) -> v1::SessionDown {
    let frame = match down {
        Down::Attached { role: granted, offset, input_next, size: of, skipped, number } => {
            D::Attached(v1::Attached { role: role(granted), offset, input_next, size: Some(size(of)), skipped, number })
        }
        Down::Output { offset, data } => D::Output(v1::Output { offset, data }),
        Down::Keyframe { offset, skipped, size: of, kind: which, data } => {
            D::Keyframe(v1::Keyframe { offset, skipped, size: Some(size(of)), kind: kind(which), data })
        }
        Down::Resized { offset, size: to } => D::Resized(v1::Resized { offset, size: Some(size(to)) }),
        Down::Presence(viewers) => D::Presence(v1::Presence { viewers: viewers.iter().map(viewer).collect() }),
        Down::InputAck { next, is_resend } => D::InputAck(v1::InputAck { next, resend: is_resend }),
        Down::Exited(exit) => D::Exited(exit.into()),
        Down::Refused { refusal: why, frame } => D::Refused(refusal(&why, &frame)),
        Down::Pong(token) => D::Pong(v1::Pong { token }),
        Down::Summary(summary) => D::Summary((&summary).into()),
        Down::Detached(reason) => D::Detached(v1::Detached { reason }),
        Down::RoleSet(to) => D::RoleSet(v1::RoleSet { role: role(to) }),
        Down::Behind => D::Behind(v1::Behind {}),
        Down::Renamed(name) => D::Renamed(v1::Rename { name }),
    };
    v1::SessionDown { client: client(id), frame: Some(frame) }
}

/// A keeper's frame from the wire.
pub fn down_from(down: v1::SessionDown) -> Option<Down> {
    Some(match down.frame? {
        D::Hello(_) => return None,
        D::Attached(attached) => Down::Attached {
            role: role_from(attached.role),
            offset: attached.offset,
            input_next: attached.input_next,
            size: size_from(attached.size),
            skipped: attached.skipped,
            number: attached.number,
        },
        D::Output(output) => Down::Output { offset: output.offset, data: output.data },
        D::Keyframe(keyframe) => Down::Keyframe {
            offset: keyframe.offset,
            skipped: keyframe.skipped,
            size: size_from(keyframe.size),
            kind: kind_from(keyframe.kind),
            data: keyframe.data,
        },
        D::Resized(resized) => Down::Resized { offset: resized.offset, size: size_from(resized.size) },
        D::Presence(presence) => Down::Presence(presence.viewers.into_iter().map(viewer_from).collect()),
        D::InputAck(ack) => Down::InputAck { next: ack.next, is_resend: ack.resend },
        D::Exited(exited) => Down::Exited(exit(&exited)),
        D::Refused(refused) => Down::Refused { refusal: refusal_from(&refused), frame: refused.frame },
        D::Pong(pong) => Down::Pong(pong.token),
        D::Summary(summary) => Down::Summary(summary_from(summary)),
        D::Detached(detached) => Down::Detached(cleaned_message(detached.reason)),
        D::RoleSet(set) => Down::RoleSet(role_from(set.role)),
        D::Behind(_) => Down::Behind,
        D::Renamed(rename) => Down::Renamed(cleaned(rename.name, NAME_CAP)),
    })
}

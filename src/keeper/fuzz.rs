//! The door for fuzzing: what a peer may send to a keeper, in any order.

use bytes::Bytes;

use super::core::Core;
use crate::fleet::SessionSpec;
use crate::wire::{self, Message, v1};

/// Feeds pieces to a keeper's core, each with a number that says what it is.
pub fn frames(pieces: &[(u8, &[u8])]) {
    let spec = SessionSpec { log_bytes: Some(64 * 1024), history_bytes: Some(64 * 1024), ..SessionSpec::shell() };
    let mut core = Core::new(&spec, 0);
    let mut now = 0;
    for (kind, data) in pieces {
        let link = u32::from(kind >> 4) % 3;
        now += u64::from(*kind);
        match kind % 8 {
            0 => core.link_opened(link),
            1 => core.link_closed(link, now),
            2 => core.output(Bytes::copy_from_slice(data), now),
            3 => core.link_room(link, kind & 16 == 0),
            4 => core.input_written(data.len().min(core.pending_input().map_or(0, Bytes::len))),
            _ => {
                let Ok(up) = v1::SessionUp::decode(*data) else { continue };
                if let Ok((client, Some(up))) = wire::up_from(up) {
                    core.frame(link, client, up, now);
                }
            }
        }
        core.settle(now);
        core.tick(now);
        drop(core.take_effects());
    }
    core.exited(0, None, now);
    drop(core.take_effects());
}

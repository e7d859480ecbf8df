//! What a stranger, a key and a machine may cost a relay. `docs/limits.md` lists every one; a test compares.
//!
//! Whatever is bounded here is charged to who sent it: a stranger's address, a key, or a machine. At a bound the sender
//! is refused, slowed or let go of; nobody else notices.

use std::time::Duration;

// ── without a key ──

/// Connections of one address (IPv4, or a /64 of IPv6) that have shown no key: many people behind one gateway dial at
/// once, and each is a stranger for some milliseconds. At the bound the oldest silent one is let go of.
pub(super) const STRANGERS_PER_ADDRESS: usize = 64;
/// The same of all addresses: some 40 KiB each with TLS under way.
pub(super) const STRANGERS_CAP: usize = 1024;
/// How long a connection may take to show a key: handshake, preface and the first call. A slow link needs 3 round trips.
pub(super) const STRANGER_TIME: Duration = Duration::from_secs(10);
/// Calls that a connection without a key may have refused before it is let go of; a program that tries a wrong key has one.
pub(super) const STRIKES_CAP: u32 = 16;
/// Bytes of a call's header fields; a key, a session token and gRPC's own words take under 1 KiB.
pub(super) const HEADERS_CAP: u32 = 16 * 1024;
/// Bytes of a message of a call that carries no file.
pub(super) const CALL_CAP: usize = 64 * 1024;
/// How long a stream may take to say what it wants, and a call to send all of its message.
pub(super) const FIRST_FRAME: Duration = Duration::from_secs(10);

// ── with a key ──

/// Connections of one key: a thousand commands at once, each a process of its own. One more is refused.
pub(super) const CONNECTIONS_PER_KEY: usize = 1024;
/// Connections of a machine's key: its agent has one, and a second while the first is not known to be dead.
pub(super) const CONNECTIONS_PER_MACHINE: usize = 8;
/// Connections in all; the process's limit of open files may say less. Strangers are let go of first, then the connection
/// of whoever has most that was silent longest.
pub(super) const CONNECTIONS_CAP: usize = 16 * 1024;
/// Calls and streams of one key under way at once: a command on 3,000 machines, and a wall. One more is refused.
pub(super) const CALLS_PER_KEY: usize = 4096;
/// Calls of one key at once that carry a whole file in one message; more wait for their turn.
pub(super) const FILE_CALLS_PER_KEY: usize = 4;
/// Bytes of one frame of a client's stream: what may be typed before it is acknowledged, and some more.
pub(super) const CLIENT_FRAME_CAP: usize = 2 * 1024 * 1024;
/// Bytes of a message that carries a whole file: the SDKs send up to 50 MB.
pub(super) const FILE_MESSAGE_CAP: usize = 64 * 1024 * 1024;
/// Bytes that wait in this process for the readers of one key, all its connections and calls together: 64 panes that are
/// read by nobody for a moment. Beyond it the client that has most waiting is let go of, and resumes later.
pub(super) const WAITING_PER_KEY: usize = 128 * 1024 * 1024;
/// The same of this machine's own user.
pub(super) const WAITING_OF_OWNER: usize = 512 * 1024 * 1024;
/// Bytes of frames other than output that wait for one client: answers to pings, presence, refusals. A client that reads
/// has none waiting.
pub(super) const CONTROL_WAITING: usize = 4 * 1024 * 1024;
/// Streams of one key that follow the fleet: walls and watches. A command asks once and is none of them.
pub(super) const WATCHES_PER_KEY: usize = 128;
/// Changes of the fleet that wait for one of them; one that is not read starts anew with a snapshot.
pub(super) const WATCH_CAP: usize = 4096;
/// Bytes of one piece of a snapshot; a watcher puts them together.
pub(super) const SNAPSHOT_PIECE: usize = 256 * 1024;
/// Channels of one key to one session: each of its viewers is told of every other one.
pub(super) const VIEWERS_PER_KEY: usize = 64;
/// Requests about files of one key at one machine: an eighth of what a machine takes, so that no key holds all.
pub(super) const FILES_PER_KEY: usize = 32;
/// Commands of one key at one machine: a quarter of what a machine takes.
pub(super) const EXECS_PER_KEY: usize = 256;
/// How long a frame that was begun may take to come whole.
pub(super) const FRAME_TIME: Duration = Duration::from_secs(60);
/// The same of a message that carries a whole file: 64 MiB over 2 Mbit/s.
pub(super) const FILE_TIME: Duration = Duration::from_secs(280);

// ── by a machine ──

/// Sessions of one machine that the relay knows; its agent makes no more either.
pub(super) const SESSIONS_PER_MACHINE: usize = 4096;
/// Bytes of all that a machine says of itself and its sessions: 4,096 sessions with titles and directories of usual lengths.
pub(super) const REGISTRY_PER_MACHINE: usize = 8 * 1024 * 1024;
/// Bytes of a session's command that the fleet is shown: a few lines of a table.
pub(super) const COMMAND_SHOWN: usize = 4096;
/// Clients of a session that are named; of more there is the number.
pub(super) const VIEWERS_SHOWN: usize = 64;
/// Characters of who one of them is.
pub(super) const VIEWER_SHOWN: usize = 64;
/// Changes a second that a machine may make to what is known of it, each shown to everybody who watches; what a session
/// does is told once a second and passed over beyond this.
pub(super) const REGISTRY_RATE: f64 = 500.0;
/// Changes at once: a machine that comes back with all its sessions, and some more.
pub(super) const REGISTRY_BURST: f64 = 10_000.0;
/// Bytes of large frames on their way to the hub, all machines together; more wait on their own connection.
pub(super) const LARGE_FRAMES: usize = 128 * 1024 * 1024;
/// A frame of so many bytes counts as large.
pub(super) const LARGE_FRAME: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and value of each, as the page has it.
    fn all() -> Vec<(&'static str, String)> {
        macro_rules! bounds {
            (counts: $($count:ident)* ; bytes: $($bytes:ident)* ; times: $($time:ident)*) => {
                vec![
                    $((stringify!($count), format!("| {} |", $count)),)*
                    $((stringify!($bytes), format!("| {} bytes |", $bytes)),)*
                    $((stringify!($time), format!("| {} s |", $time.as_secs())),)*
                ]
            };
        }
        bounds! {
            counts: STRANGERS_PER_ADDRESS STRANGERS_CAP STRIKES_CAP CONNECTIONS_PER_KEY CONNECTIONS_PER_MACHINE CONNECTIONS_CAP
                CALLS_PER_KEY FILE_CALLS_PER_KEY WATCHES_PER_KEY WATCH_CAP VIEWERS_PER_KEY FILES_PER_KEY EXECS_PER_KEY SESSIONS_PER_MACHINE
                VIEWERS_SHOWN VIEWER_SHOWN REGISTRY_RATE REGISTRY_BURST ;
            bytes: HEADERS_CAP CALL_CAP CLIENT_FRAME_CAP FILE_MESSAGE_CAP WAITING_PER_KEY WAITING_OF_OWNER CONTROL_WAITING
                SNAPSHOT_PIECE REGISTRY_PER_MACHINE COMMAND_SHOWN LARGE_FRAMES LARGE_FRAME ;
            times: STRANGER_TIME FIRST_FRAME FRAME_TIME FILE_TIME
        }
    }

    #[test]
    fn the_page_of_limits_says_what_is_in_force() {
        let (page, source) = (include_str!("../../docs/limits.md"), include_str!("limits.rs"));
        let all = all();
        for (name, value) in &all {
            let row = page.lines().find(|line| line.contains(&format!("`{name}`")));
            let row = row.unwrap_or_else(|| panic!("docs/limits.md has no row for {name}"));
            assert!(row.contains(value.as_str()), "docs/limits.md says of {name}: {row}; it is {value}");
        }
        let named = |line: &str| line.strip_prefix("pub(super) const ")?.split(':').next().map(str::to_owned);
        for name in source.lines().filter_map(named) {
            assert!(all.iter().any(|(known, _)| *known == name), "{name} is not compared with docs/limits.md");
        }
    }
}

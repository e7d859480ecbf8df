//! Whose process is at the other end of a loopback connection: the system's table of sockets tells.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The user at `peer`, whose connection ends at `here`; `None` where the system does not tell, or tells of a connection that
/// is not open at both ends: what is left of a closed one has no owner, and its row says that it is root's.
///
/// Reads the whole table: not on a thread that serves others.
pub(super) fn user_of(peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    user_in(&tables.concat(), peer, here)
}

fn user_in(tables: &str, peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    let open = |from: SocketAddr, to: SocketAddr| tables.lines().filter_map(Row::read).find(|row| row.is(from, to));
    open(here, peer)?;
    // Seen from the other end, which is this machine too.
    open(peer, here).map(|row| row.uid)
}

/// An open connection as its own end has it.
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    uid: u32,
}

impl Row {
    fn read(line: &str) -> Option<Row> {
        const ESTABLISHED: &str = "01";
        // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, uid, _, inode, ..] = fields[..] else { return None };
        if state != ESTABLISHED || inode == "0" {
            return None;
        }
        Some(Row { local: address_from(local)?, remote: address_from(remote)?, uid: uid.parse().ok()? })
    }

    fn is(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let same =
            |one: SocketAddr, other: SocketAddr| one.ip() == other.ip().to_canonical() && one.port() == other.port();
        same(self.local, local) && same(self.remote, remote)
    }
}

/// `0100007F:1F90`: words of the machine's own byte order, then the port.
fn address_from(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(words.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match words.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn this_process_is_found_at_the_other_end_by_its_user() {
        for listen in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(listen) else { continue };
            let port = listener.local_addr().unwrap().port();
            let dial = if listen.starts_with("[::1]") { format!("[::1]:{port}") } else { format!("127.0.0.1:{port}") };
            let _client = TcpStream::connect(dial).unwrap();
            let (served, peer) = listener.accept().unwrap();
            let here = served.local_addr().unwrap();
            assert_eq!(user_of(peer, here), Some(rustix::process::getuid().as_raw()), "{listen}");
            let other = SocketAddr::new(here.ip(), here.port().wrapping_add(1));
            assert_eq!(user_of(peer, other), None);
        }
    }

    #[test]
    fn whoever_has_the_same_port_towards_somewhere_else_is_not_taken_for_the_peer() {
        let row = |local: &str, remote: &str, state: &str, uid: u32, inode: u32| {
            format!(
                "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {uid:5}        0 {inode} 1\n"
            )
        };
        let (relay, client) = ("0100007F:1F90", "0100007F:C350");
        let ours = row(relay, client, "01", 0, 7);
        let user = |rows: &[&str]| {
            let table = rows.concat() + "   2: rubbish\n";
            user_in(&table, "127.0.0.1:50000".parse().unwrap(), "127.0.0.1:8080".parse().unwrap())
        };
        let elsewhere = row(client, "0100007F:0050", "01", 0, 1);
        assert_eq!(user(&[&ours, &elsewhere, &row(client, relay, "01", 1001, 2)]), Some(1001));
        assert_eq!(user(&[&ours, &elsewhere]), None);
        // TIME_WAIT and orphans: nobody's, and told as root's. And another's connection of the same ports, once ours is over.
        assert_eq!(user(&[&ours, &row(client, relay, "06", 0, 0)]), None);
        assert_eq!(user(&[&ours, &row(client, relay, "04", 0, 0)]), None);
        assert_eq!(user(&[&row(relay, client, "08", 0, 7), &row(client, relay, "01", 0, 9)]), None);
    }

    /// Its row outlived it, as root's, and with it who asked was the relay's owner.
    #[test]
    fn who_has_hung_up_is_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, peer) = listener.accept().unwrap();
        let here = served.local_addr().unwrap();
        assert!(user_of(peer, here).is_some());
        drop(client);
        assert_eq!(user_of(peer, here), None);
        drop(served);
        assert_eq!(user_of(peer, here), None);
    }
}

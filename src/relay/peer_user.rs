//! Whose process is at the other end of a loopback connection: the system's table of sockets tells.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The user at `peer`, whose connection ends at `here`; `None` where the system does not tell.
pub(super) fn user_of(peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .find_map(|table| user_in(&std::fs::read_to_string(table).ok()?, peer, here))
}

fn user_in(table: &str, peer: SocketAddr, here: SocketAddr) -> Option<u32> {
    let same = |text: &str, address: SocketAddr| {
        let found = address_from(text);
        found.is_some_and(|found| found.ip() == address.ip().to_canonical() && found.port() == address.port())
    };
    table.lines().skip(1).find_map(|line| {
        // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote) = (fields.next()?, fields.next()?);
        // Seen from the other end, which is this machine too.
        (same(local, peer) && same(remote, here)).then(|| fields.nth(4)?.parse().ok())?
    })
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
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:C350 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 1 1\n   \
                     1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 2 1\n   \
                     2: rubbish\n";
        let user = |here: &str| user_in(table, "127.0.0.1:50000".parse().unwrap(), here.parse().unwrap());
        assert_eq!((user("127.0.0.1:8080"), user("127.0.0.1:80"), user("127.0.0.1:81")), (Some(1001), Some(0), None));
    }
}

//! Every connection of the relay by who is behind it: a stranger until it shows a key, then that key's.
//!
//! The table decides who is let go of when there are too many, and it is the only thing that does. It knows no clock: time
//! is brought along, in milliseconds. `socket` has the connections themselves.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::limits::{
    CONNECTIONS_CAP, CONNECTIONS_PER_KEY, CONNECTIONS_PER_MACHINE, STRANGERS_CAP, STRANGERS_PER_ADDRESS, STRIKES_CAP,
};
use crate::fleet::{Caller, Code, KeyId, Refusal};

/// Who is behind a connection that is no stranger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    /// A process of this machine's own user.
    Local,
    Key(KeyId),
}

#[derive(Debug)]
struct Entry {
    network: Option<IpAddr>,
    signals: Arc<Signals>,
}

#[derive(Debug, Default)]
struct Table {
    last_id: u64,
    /// In the order they came.
    strangers: BTreeMap<u64, Entry>,
    known: HashMap<u64, (Holder, Arc<Signals>)>,
    by_holder: HashMap<Holder, usize>,
}

/// What the table and the connection itself tell each other.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// When bytes came last; 0 before the first.
    heard_ms: AtomicU64,
    strikes: AtomicU32,
    is_known: AtomicBool,
    is_let_go: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// All connections; clones share the table.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    table: Arc<Mutex<Table>>,
    /// How many there may be, strangers included.
    cap: usize,
}

/// The place of one connection in the table; the connection's end gives it back.
#[derive(Debug)]
pub(super) struct Ticket {
    id: u64,
    connections: Connections,
    pub(super) signals: Arc<Signals>,
}

impl Connections {
    /// For a process that may have so many files open; a quarter of them is for other things.
    pub(super) fn new(open_files: u64) -> Connections {
        let cap = usize::try_from(open_files / 4 * 3).unwrap_or(usize::MAX).min(CONNECTIONS_CAP);
        Connections { table: Arc::default(), cap }
    }

    /// A stranger came; whoever has to make room for it is let go of.
    pub(super) fn stranger(&self, address: Option<IpAddr>) -> Ticket {
        let network = address.map(network);
        let mut table = self.table();
        let same = |entry: &&Entry| network.is_some() && entry.network == network;
        if table.strangers.values().filter(same).count() >= STRANGERS_PER_ADDRESS {
            table.shed_stranger(|entry| entry.network == network);
        }
        if table.strangers.len() >= STRANGERS_CAP {
            table.shed_stranger(|_| true);
        }
        if table.len() >= self.cap {
            table.shed();
        }
        table.last_id += 1;
        let (id, signals) = (table.last_id, Arc::new(Signals::default()));
        table.strangers.insert(id, Entry { network, signals: signals.clone() });
        Ticket { id, connections: self.clone(), signals }
    }

    /// The system has no descriptors left: makes room for one; false if there is nobody to let go of.
    pub(super) fn shed(&self) -> bool {
        self.table().shed()
    }

    /// A key is good no longer: its connections are strangers' again.
    pub(super) fn forget(&self, key: KeyId) {
        let mut table = self.table();
        let is_its = |(_, (holder, _)): &(&u64, &(Holder, _))| *holder == Holder::Key(key);
        let ids: Vec<u64> = table.known.iter().filter(is_its).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some((holder, signals)) = table.known.remove(&id) {
                table.less(holder);
                signals.is_known.store(false, Ordering::Relaxed);
                signals.wake();
                table.strangers.insert(id, Entry { network: None, signals });
            }
        }
    }

    /// Strangers and others.
    #[cfg(test)]
    fn count(&self) -> (usize, usize) {
        let table = self.table();
        (table.strangers.len(), table.known.len())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn len(&self) -> usize {
        self.strangers.len() + self.known.len()
    }

    /// Lets go of a stranger, and of somebody known if there is none.
    fn shed(&mut self) -> bool {
        self.shed_stranger(|_| true) || self.shed_known()
    }

    /// Lets go of the oldest of these strangers that has said nothing yet, or else of the oldest.
    fn shed_stranger(&mut self, fits: impl Fn(&Entry) -> bool) -> bool {
        let ids = || self.strangers.iter().filter(|(_, entry)| fits(entry));
        let silent = ids().find(|(_, entry)| entry.signals.heard_ms() == 0);
        let Some(id) = silent.or_else(|| ids().next()).map(|(id, _)| *id) else { return false };
        if let Some(entry) = self.strangers.remove(&id) {
            entry.signals.let_go();
        }
        true
    }

    /// Lets go of the connection that was silent longest, of whoever has most; the machine's own user comes last.
    fn shed_known(&mut self) -> bool {
        let most = self.by_holder.iter().max_by_key(|(holder, count)| (**holder != Holder::Local, **count));
        let Some(most) = most.map(|(holder, _)| *holder) else { return false };
        let theirs = self.known.iter().filter(|(_, (holder, _))| *holder == most);
        let Some(id) = theirs.min_by_key(|(_, (_, signals))| signals.heard_ms()).map(|(id, _)| *id) else {
            return false;
        };
        if let Some((holder, signals)) = self.known.remove(&id) {
            self.less(holder);
            signals.let_go();
        }
        true
    }

    fn less(&mut self, holder: Holder) {
        if let Some(count) = self.by_holder.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                self.by_holder.remove(&holder);
            }
        }
    }

    fn known(&mut self, id: u64, holder: Holder, cap: usize) -> Result<(), Refusal> {
        if self.known.contains_key(&id) {
            // A second key on one connection counts for the first.
            return Ok(());
        }
        let count = self.by_holder.get(&holder).copied().unwrap_or(0);
        if count >= cap {
            let message = format!("{count} connections are open with this key, as many as may; close one first");
            return Err(Refusal::new(Code::Exhausted, message));
        }
        // One that was let go of a moment ago.
        let Some(entry) = self.strangers.remove(&id) else { return Ok(()) };
        entry.signals.is_known.store(true, Ordering::Relaxed);
        self.known.insert(id, (holder, entry.signals));
        *self.by_holder.entry(holder).or_default() += 1;
        Ok(())
    }
}

impl Ticket {
    /// Whoever is behind the connection has shown who they are.
    pub(super) fn known(&self, caller: &Caller, is_machine: bool) -> Result<(), Refusal> {
        if self.signals.is_known() {
            return Ok(());
        }
        let (holder, cap) = match caller.key {
            None => (Holder::Local, usize::MAX),
            Some(key) => (Holder::Key(key), if is_machine { CONNECTIONS_PER_MACHINE } else { CONNECTIONS_PER_KEY }),
        };
        self.connections.table().known(self.id, holder, cap)
    }

    /// A call on the connection was refused for want of a key; too many of them end it.
    pub(super) fn strike(&self) {
        if self.signals.is_known() {
            return;
        }
        if self.signals.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES_CAP {
            self.signals.let_go();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.strangers.remove(&self.id);
        if let Some((holder, _)) = table.known.remove(&self.id) {
            table.less(holder);
        }
    }
}

impl Signals {
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    pub(super) fn is_let_go(&self) -> bool {
        self.is_let_go.load(Ordering::Relaxed)
    }

    /// Bytes came.
    pub(super) fn heard(&self, now_ms: u64) {
        self.heard_ms.store(now_ms.max(1), Ordering::Relaxed);
    }

    fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Relaxed)
    }

    fn let_go(&self) {
        self.is_let_go.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Who is woken when the table has something to tell.
    pub(super) fn register(&self, waker: &Waker) {
        let mut kept = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| !kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }
}

/// Whom an address is charged to: one host owns a whole /64 of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Actions, Principal};

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn holder_of(key: KeyId) -> Caller {
        Caller { principal: Principal::key("ci"), key: Some(key), workspace: None, actions: Actions::all() }
    }

    /// 1,500 connections that said nothing were all still there after 45 s; 256 of them were every descriptor a relay had,
    /// and nobody got in.
    #[test]
    fn one_address_has_so_many_strangers_and_its_oldest_silent_one_makes_room() {
        let connections = Connections::new(1 << 20);
        let here: Vec<Ticket> = (0..STRANGERS_PER_ADDRESS).map(|_| connections.stranger(address("10.0.0.1"))).collect();
        let elsewhere = connections.stranger(address("10.0.0.2"));
        here[0].signals.heard(1);
        let _new = connections.stranger(address("10.0.0.1"));
        assert!(
            !here[0].signals.is_let_go() && here[1].signals.is_let_go(),
            "it said something, its neighbour did not"
        );
        assert!(!elsewhere.signals.is_let_go());
        assert_eq!(connections.count(), (STRANGERS_PER_ADDRESS + 1, 0));
        drop(here);
        assert_eq!(connections.count(), (2, 0));
    }

    #[test]
    fn strangers_of_all_addresses_are_bounded_and_those_who_showed_a_key_are_none() {
        let connections = Connections::new(1 << 20);
        let key = KeyId::random();
        let known = connections.stranger(address("10.9.9.9"));
        known.known(&holder_of(key), false).unwrap();
        let tickets: Vec<Ticket> = (0..2 * STRANGERS_CAP)
            .map(|n| connections.stranger(address(&format!("10.1.{}.{}", n / 256, n % 256))))
            .collect();
        assert_eq!(connections.count(), (STRANGERS_CAP, 1));
        assert!(!known.signals.is_let_go() && tickets[0].signals.is_let_go());
        connections.forget(key);
        assert!(!known.signals.is_known(), "its key is over: it has to show another in time");
    }

    #[test]
    fn a_key_has_so_many_connections_and_its_neighbours_have_theirs() {
        let connections = Connections::new(1 << 20);
        let (one, other) = (holder_of(KeyId::random()), holder_of(KeyId::random()));
        let open = |caller: &Caller, is_machine| {
            let ticket = connections.stranger(None);
            ticket.known(caller, is_machine).map(|()| ticket)
        };
        let mut held: Vec<Ticket> = (0..CONNECTIONS_PER_KEY).map(|_| open(&one, false).unwrap()).collect();
        assert_eq!(open(&one, false).unwrap_err().code, Code::Exhausted);
        open(&other, false).unwrap();
        held.pop();
        open(&one, false).unwrap();
        let _links: Vec<Ticket> = (0..CONNECTIONS_PER_MACHINE).map(|_| open(&other, true).unwrap()).collect();
        assert!(open(&other, true).is_err());
    }

    #[test]
    fn when_the_process_can_hold_no_more_strangers_go_first_and_then_whoever_has_most() {
        let connections = Connections::new(16);
        assert_eq!(connections.cap, 12);
        let (many, few, own) =
            (holder_of(KeyId::random()), holder_of(KeyId::random()), Caller::local(Principal::loopback()));
        let open = |caller: &Caller, heard_ms| {
            let ticket = connections.stranger(None);
            ticket.signals.heard(heard_ms);
            ticket.known(caller, false).unwrap();
            ticket
        };
        let (_few, _own) = (open(&few, 1), (open(&own, 1), open(&own, 1), open(&own, 1), open(&own, 1)));
        let theirs: Vec<Ticket> = [9, 5, 7].into_iter().map(|heard_ms| open(&many, heard_ms)).collect();
        let strangers: Vec<Ticket> = (0..4).map(|_| connections.stranger(None)).collect();
        let _new = connections.stranger(None);
        assert!(strangers[0].signals.is_let_go() && theirs.iter().all(|ticket| !ticket.signals.is_let_go()));
        drop(strangers);
        drop(_new);
        assert!(connections.shed());
        assert!(theirs[1].signals.is_let_go(), "the one that was silent longest");
    }

    #[test]
    fn a_connection_that_shows_wrong_keys_again_and_again_is_let_go_of() {
        let connections = Connections::new(1 << 20);
        let ticket = connections.stranger(address("10.0.0.1"));
        (1..STRIKES_CAP).for_each(|_| ticket.strike());
        assert!(!ticket.signals.is_let_go());
        ticket.strike();
        assert!(ticket.signals.is_let_go());
    }
}

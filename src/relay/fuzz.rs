//! Doors for fuzzing: what agents, clients and SDKs may send to a relay, in any order.

/// Feeds pieces to a relay's hub, each with a number that says whose it is.
pub fn frames(pieces: &[(u8, &[u8])]) {
    super::hub::fuzz::frames(pieces);
}

/// Calls the SDKs' service with pieces as requests, each with a number that says of which call.
pub fn calls(pieces: &[(u8, &[u8])]) {
    super::cmdop::fuzz::calls(pieces);
}

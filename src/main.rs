//! The `fleetmux` binary.

fn main() {}

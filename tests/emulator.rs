//! The emulator judged from outside: behaviour, properties over random streams, recordings of real programs.

#[path = "emulator/behaviour.rs"]
mod behaviour;
#[path = "emulator/properties.rs"]
mod properties;
#[path = "emulator/recordings.rs"]
mod recordings;
#[path = "emulator/support.rs"]
mod support;

//! fleetmux: a terminal multiplexer for a fleet of machines.
//!
//! The modules form layers, and `tests/layering.rs` fails on an arrow that is not in its table:
//! vocabulary (`fleet`, `stream`), representations (`term`, `rules`, `wire`, `config`, `runtime`), roles
//! (`keeper`, `agent`, `relay`, `client`), surfaces (`tui`, `cli`).
//!
//! What always holds: output is addressed by its byte offset since the session's birth, input is
//! numbered per client and accepted exactly once, a role is enforced where the PTY is, and every
//! queue has a bound. The full list stands in `ARCHITECTURE.md`.

#![cfg_attr(not(feature = "app"), allow(dead_code, unused_imports, reason = "only the program uses it"))]

#[cfg(feature = "app")]
pub mod agent;
#[cfg(feature = "app")]
pub mod cli;
pub mod client;
pub mod config;
pub mod fleet;
#[cfg(feature = "app")]
pub mod highlight;
#[cfg(feature = "app")]
pub mod keeper;
#[cfg(feature = "app")]
pub mod relay;
pub mod rules;
pub mod runtime;
pub mod stream;
pub mod term;
#[cfg(feature = "app")]
pub mod tui;
pub mod wire;

//! The whole fleet, with real processes: relay, agents and keepers of the built binary, the SDK as client.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a line number")]

mod audit;
mod broadcast;
mod children;
mod cli;
mod connect;
mod cuts;
mod delivery;
mod disk;
mod examples;
mod exec;
mod exec_ends;
mod facts;
mod files;
mod guidance;
mod highlight;
mod hostile;
mod identity;
mod installing;
mod joining;
mod limits;
mod newcomer;
mod outer_terminal;
mod permissions;
mod programs;
mod raw;
mod realm;
mod revocation;
mod roles;
mod sdk;
mod seeds;
mod sessions;
mod strangers;
mod support;
mod survival;
mod wall_terminal;

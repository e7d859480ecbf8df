//! One file per command.

pub(super) mod agent;
mod agent_link;
pub(super) mod bench;
pub(super) mod completions;
pub(super) mod connect;
pub(super) mod demo;
pub(super) mod demo_app;
pub(super) mod doctor;
pub(super) mod exec;
pub(super) mod files;
pub(super) mod highlight;
pub(super) mod install;
pub(super) mod keeper;
pub(super) mod keys;
pub(super) mod login;
pub(super) mod logs;
pub(super) mod machines;
pub(super) mod permissions;
pub(super) mod relay;
pub(super) mod server;
pub(super) mod session;
pub(super) mod wall;

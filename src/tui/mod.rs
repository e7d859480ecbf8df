//! The wall: live terminals of many machines side by side.
//!
//! `update` changes the [`model::Model`] by [`msg::Msg`]s and says what it wants done as [`effect::Effect`]s, `view`
//! draws it, `stage` paces frames on the [`terminal`], `driver` connects it to the fleet. Everything but the last
//! two is synchronous and deterministic; only this module says ratatui.

pub mod effect;
pub mod input;
pub mod model;
pub mod msg;
pub mod presenter;
pub mod stage;
pub mod terminal;
pub mod theme;
mod update;
mod view;

pub use update::update;
pub use view::draw;

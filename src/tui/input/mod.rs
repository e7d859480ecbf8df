//! What a person does, as data: bytes of the outer terminal to keys, keys to actions.

pub mod action;
mod decode;
mod key;
mod keymap;

pub use action::{ACTIONS, Action, Context, Group};
pub use decode::{Decoder, Input, MouseInput};
pub use key::{KeyError, KeyPress};
pub use keymap::Keymap;

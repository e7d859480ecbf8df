//! Wire messages to the nouns of `fleet` and back, one file per noun.

mod access;
mod file;
mod frames;
mod machine;
mod session;

pub use access::{OF_MACHINE, actions, actions_from, refusal, refusal_from, role, role_from, size, size_from};
pub use file::{file_entry, file_entry_from, file_frame_len, path, path_from};
pub use frames::{down, down_from, up, up_from};
pub use machine::{load_from, machine};
pub use session::{destroyed_reply, exit, session_from, spec_from, summary_from};
use session::{viewer, viewer_from};

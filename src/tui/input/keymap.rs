//! From a key in a context to its action.

use std::collections::HashMap;

use super::action::{ACTIONS, Action, Context};
use super::{KeyError, KeyPress};

/// What every key means, and which key is the leader.
#[derive(Clone, Debug)]
pub struct Keymap {
    /// The key that starts a command in a driven pane.
    pub leader: KeyPress,
    bindings: HashMap<(Context, KeyPress), Action>,
}

impl Keymap {
    /// The default keys behind a leader.
    pub fn new(leader: KeyPress) -> Keymap {
        let mut bindings = HashMap::new();
        for info in ACTIONS {
            for (context, keys) in info.keys {
                for key in keys.iter().filter_map(|key| key.parse().ok()) {
                    bindings.insert((*context, key), info.action);
                }
            }
        }
        Keymap { leader, bindings }
    }

    /// The default keys behind a leader spelled like `Ctrl+g`; empty for the default.
    pub fn with_leader(leader: &str) -> Result<Keymap, KeyError> {
        Ok(Keymap::new(if leader.is_empty() { KeyPress::ctrl('g') } else { leader.parse()? }))
    }

    /// The meaning of a key.
    pub fn action(&self, context: Context, key: KeyPress) -> Option<Action> {
        self.bindings.get(&(context, key)).copied()
    }
}

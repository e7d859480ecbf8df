//! The one table of actions: name, sentence and default keys. Keymap, help, hints and README read it.

use super::KeyPress;

/// Something a person can ask of the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the table below says what each one does
pub enum Action {
    FocusLeft,
    FocusDown,
    FocusUp,
    FocusRight,
    FocusNext,
    FocusPrevious,
    FocusNumber(u8),
    Zoom,
    PageNext,
    PagePrevious,
    ToggleRole,
    TakeWheel,
    GiveWheel,
    Mark,
    MarkAll,
    Broadcast,
    ScrollMode,
    ScrollUp,
    ScrollDown,
    ScrollHalfUp,
    ScrollHalfDown,
    ScrollPageUp,
    ScrollPageDown,
    ScrollTop,
    ScrollBottom,
    Leave,
    NewSession,
    ClosePane,
    Restart,
    Kill,
    PaneInfo,
    Sidebar,
    ToggleSidebar,
    SidebarUp,
    SidebarDown,
    SidebarTop,
    SidebarBottom,
    SidebarOpen,
    SidebarNew,
    SidebarKill,
    SidebarFilter,
    SidebarLeave,
    Help,
    Theme,
    Redraw,
    Suspend,
    Quit,
}

/// Where a key has its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// After the leader, wherever one is.
    Leader,
    /// In a pane that is observed, scrolled back or ended: nothing typed is sent.
    Watching,
    /// In a pane whose program ended, before `Watching`.
    Ended,
    /// In the sidebar.
    Sidebar,
}

/// A heading of the help overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Moving between panes.
    Panes,
    /// Who types.
    Wheel,
    /// One input, many panes.
    Broadcast,
    /// Looking back.
    Scroll,
    /// Making and ending sessions.
    Sessions,
    /// Machines and their sessions.
    Sidebar,
    /// The wall itself.
    Wall,
}

impl Group {
    /// All, in the order of the help overlay.
    pub const ALL: [Group; 7] =
        [Group::Panes, Group::Wheel, Group::Broadcast, Group::Scroll, Group::Sessions, Group::Sidebar, Group::Wall];

    /// Heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Panes => "Panes",
            Group::Wheel => "Who types",
            Group::Broadcast => "Broadcast",
            Group::Scroll => "Looking back",
            Group::Sessions => "Sessions",
            Group::Sidebar => "Sidebar",
            Group::Wall => "The wall",
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Info {
    /// The action.
    pub action: Action,
    /// Its name in configuration files.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Two or three words for the key hints.
    pub hint: &'static str,
    /// Heading it stands under.
    pub group: Group,
    /// Default keys by context.
    pub keys: &'static [(Context, &'static [&'static str])],
}

use Context::{Ended as E, Leader as L, Sidebar as S, Watching as W};

macro_rules! table {
    ($($group:ident { $($action:expr, $name:literal, $hint:literal, $doc:literal, [$($ctx:ident: $($key:literal)+),*];)* })*) => {
        /// Every action with its default keys.
        pub const ACTIONS: &[Info] = &[$($(Info {
            action: $action, name: $name, doc: $doc, hint: $hint, group: Group::$group, keys: &[$(($ctx, &[$($key),+])),*],
        }),*),*];
    };
}

table! {
    Panes {
        Action::FocusLeft, "focus-left", "left", "Go to the pane on the left", [L: "h" "Left", W: "h" "Left"];
        Action::FocusDown, "focus-down", "down", "Go to the pane below", [L: "j" "Down"];
        Action::FocusUp, "focus-up", "up", "Go to the pane above", [L: "k" "Up"];
        Action::FocusRight, "focus-right", "right", "Go to the pane on the right", [L: "l" "Right", W: "l" "Right"];
        Action::FocusNext, "focus-next", "next", "Go to the next pane", [L: "Tab", W: "Tab"];
        Action::FocusPrevious, "focus-previous", "previous", "Go to the previous pane", [L: "Shift+Tab", W: "Shift+Tab"];
        Action::FocusNumber(1), "focus-1", "1-9", "Go to pane 1 (and so on up to 9)", [L: "1", W: "1"];
        Action::FocusNumber(2), "focus-2", "", "Go to pane 2", [L: "2", W: "2"];
        Action::FocusNumber(3), "focus-3", "", "Go to pane 3", [L: "3", W: "3"];
        Action::FocusNumber(4), "focus-4", "", "Go to pane 4", [L: "4", W: "4"];
        Action::FocusNumber(5), "focus-5", "", "Go to pane 5", [L: "5", W: "5"];
        Action::FocusNumber(6), "focus-6", "", "Go to pane 6", [L: "6", W: "6"];
        Action::FocusNumber(7), "focus-7", "", "Go to pane 7", [L: "7", W: "7"];
        Action::FocusNumber(8), "focus-8", "", "Go to pane 8", [L: "8", W: "8"];
        Action::FocusNumber(9), "focus-9", "", "Go to pane 9", [L: "9", W: "9"];
        Action::Zoom, "zoom", "zoom", "Show the pane alone, and back", [L: "z", W: "z" "Enter"];
        Action::PageNext, "page-next", "page", "Turn to the next page of panes", [L: ">" ".", W: ">"];
        Action::PagePrevious, "page-previous", "page back", "Turn to the previous page of panes", [L: "<" ",", W: "<"];
        Action::PaneInfo, "pane-info", "about", "Tell all about the pane", [L: "p", W: "p"];
    }
    Wheel {
        Action::ToggleRole, "toggle-role", "observe/drive", "Take the wheel, or give it back", [L: "i"];
        Action::TakeWheel, "take-wheel", "take the wheel", "Take the wheel: the program gets your keys", [W: "i"];
        Action::GiveWheel, "give-wheel", "give back", "Give the wheel back: only watch", [L: "o" "Esc", W: "o"];
    }
    Broadcast {
        Action::Mark, "mark", "mark", "Mark the pane for broadcast, or unmark it", [L: "m", W: "m"];
        Action::MarkAll, "mark-all", "mark all", "Mark all panes, or none", [L: "M", W: "M"];
        Action::Broadcast, "broadcast", "broadcast", "Type into all marked panes, on and off", [L: "b", W: "b"];
    }
    Scroll {
        Action::ScrollMode, "scroll-mode", "look back", "Look back through the output", [L: "[" "PageUp"];
        Action::ScrollUp, "scroll-up", "scroll up", "A line up", [W: "k" "Up"];
        Action::ScrollDown, "scroll-down", "scroll down", "A line down", [W: "j" "Down"];
        Action::ScrollHalfUp, "scroll-half-up", "half page up", "Half a page up", [W: "u" "Ctrl+u"];
        Action::ScrollHalfDown, "scroll-half-down", "half page down", "Half a page down", [W: "d" "Ctrl+d"];
        Action::ScrollPageUp, "scroll-page-up", "page up", "A page up", [W: "PageUp" "Ctrl+b"];
        Action::ScrollPageDown, "scroll-page-down", "page down", "A page down", [W: "PageDown" "Space" "Ctrl+f"];
        Action::ScrollTop, "scroll-top", "oldest", "To the oldest line kept", [W: "g" "Home"];
        Action::ScrollBottom, "scroll-bottom", "newest", "Back to the newest line", [W: "G" "End"];
        Action::Leave, "leave", "back", "Leave scrolling; else leave the wall", [W: "q" "Esc"];
    }
    Sessions {
        Action::NewSession, "new-session", "new", "Start a session on a machine you choose", [L: "c" "n", W: "c"];
        Action::Restart, "restart", "run again", "Run the ended program again, in place", [E: "Enter" "r"];
        Action::ClosePane, "close-pane", "close", "Close the pane; its session lives on", [L: "x", W: "x"];
        Action::Kill, "kill", "end session", "End the session and its program", [L: "X", W: "X"];
    }
    Sidebar {
        Action::Sidebar, "sidebar", "fleet", "Go to the sidebar", [L: "s", W: "s"];
        Action::ToggleSidebar, "toggle-sidebar", "hide/show", "Hide or show the sidebar", [L: "S", W: "S", S: "S"];
        Action::SidebarUp, "sidebar-up", "up", "Up", [S: "k" "Up"];
        Action::SidebarDown, "sidebar-down", "down", "Down", [S: "j" "Down"];
        Action::SidebarTop, "sidebar-top", "first", "First row", [S: "g" "Home"];
        Action::SidebarBottom, "sidebar-bottom", "last", "Last row", [S: "G" "End"];
        Action::SidebarOpen, "sidebar-open", "open", "Open the session, or go to its pane", [S: "Enter" "o" "l" "Right"];
        Action::SidebarNew, "sidebar-new", "new", "Start a session on this machine", [S: "n" "c"];
        Action::SidebarKill, "sidebar-kill", "end session", "End the session and its program", [S: "X"];
        Action::SidebarFilter, "sidebar-filter", "filter", "Show only what contains a text", [S: "/"];
        Action::SidebarLeave, "sidebar-leave", "to the panes", "Back to the panes", [S: "Esc" "Tab" "q" "s" "h" "Left"];
    }
    Wall {
        Action::Help, "help", "help", "Show these keys", [L: "?", W: "?" "F1", S: "?" "F1"];
        Action::Theme, "theme", "theme", "Change the colours", [L: "t"];
        Action::Redraw, "redraw", "redraw", "Draw everything anew", [L: "r" "Ctrl+l"];
        Action::Suspend, "suspend", "suspend", "Suspend the wall (fg brings it back)", [L: "Ctrl+z"];
        Action::Quit, "quit", "leave", "Leave the wall; all sessions live on", [L: "q" "d"];
    }
}

impl Action {
    /// The table's row.
    pub fn info(self) -> &'static Info {
        // `every_action_is_in_the_table` keeps the fallback unreachable.
        ACTIONS.iter().find(|info| info.action == self).unwrap_or(&ACTIONS[0])
    }
}

impl Info {
    /// The first default key in a context.
    pub fn key(&self, context: Context) -> Option<KeyPress> {
        let (_, keys) = self.keys.iter().find(|(c, _)| *c == context)?;
        keys.first().and_then(|key| key.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_means_two_things_and_every_key_parses() {
        let mut taken = HashSet::new();
        let mut names = HashSet::new();
        for info in ACTIONS {
            assert!(names.insert(info.name), "{} stands twice", info.name);
            assert!(!info.doc.is_empty() && info.doc.len() <= 44, "{}: the sentence must fit 80 columns", info.name);
            for (context, keys) in info.keys {
                for key in *keys {
                    let press: KeyPress = key.parse().unwrap();
                    assert!(taken.insert((*context, press)), "{key} means two things in {context:?}");
                }
            }
        }
    }
}

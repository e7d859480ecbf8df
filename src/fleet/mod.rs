//! The nouns of a fleet: plain values without I/O, shared by every other module.

mod access;
mod endpoint;
mod file;
mod find;
mod id;
mod identity;
mod machine;
mod secret;
mod selector;
mod session;
mod size;
mod status;
mod text;

pub use access::{Action, ActionError, Actions, Caller, Code, Principal, Refusal, Role};
pub use endpoint::{Endpoint, EndpointError};
pub use file::{FileEntry, FileKind};
pub use find::{active_session, find_machine, find_session, is_called, is_same_name};
pub use id::{ClientId, ExecId, IdError, KeyId, MachineId, SessionId};
pub use identity::{Bound, LABELS_CAP, check_hostname, check_labels, check_name, fits_glob, is_label_word, printable};
pub use machine::{Labels, Load, Machine, MachineFacts, labels_text};
pub use secret::{Credentials, Fingerprint, FingerprintError, JoinToken, JoinTokenError, Secret};
pub use selector::{Condition, Selector, SelectorError};
pub use session::{Exit, Session, SessionSpec, Summary, Viewer};
pub use size::Size;
pub use status::SessionStatus;
pub use text::{
    HOST_CAP, LABEL_CAP, MESSAGE_CAP, NAME_CAP, PATH_CAP, TITLE_CAP, cleaned, cleaned_message, is_deceptive,
    push_visible, visible,
};
pub(crate) use text::{ago, truncate_chars};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{IdError, Machine, MachineId, SessionId, is_deceptive};
    use crate::stream::{Attach, Down};
    use crate::wire::v1;

    const EVIL: &str = "x\n\u{1b}]52;c;eA==\u{7}\u{202e}\u{2028}forged | line\r";

    fn is_fine(text: &str, cap: usize) -> bool {
        !text.is_empty() && !text.chars().any(is_deceptive) && text.chars().count() <= cap
    }

    fn evil() -> String {
        EVIL.repeat(1000)
    }

    /// A machine's name with a line end and an escape in it reached the operator's terminal through all that was not a table.
    #[test]
    fn what_a_machine_says_of_itself_is_text() -> Result<(), IdError> {
        let facts = v1::MachineFacts {
            id: MachineId::random().as_bytes().to_vec().into(),
            name: evil(),
            hostname: evil(),
            os: evil(),
            kernel: evil(),
            arch: evil(),
            version: evil(),
            workspace: evil(),
            labels: [(evil(), evil())].into(),
            ..Default::default()
        };
        let machine: Machine = v1::Machine { facts: Some(facts), ..Default::default() }.try_into()?;
        let facts = machine.facts;
        for text in
            [&facts.name, &facts.hostname, &facts.os, &facts.kernel, &facts.arch, &facts.version, &facts.workspace]
                .into_iter()
                .chain(facts.labels.iter().flat_map(|(key, value)| [key, value]))
        {
            assert!(is_fine(text, crate::fleet::HOST_CAP), "{text:?}");
        }
        Ok(())
    }

    #[test]
    fn what_is_told_of_a_session_is_text_and_what_is_asked_for_is_as_it_is() -> Result<(), IdError> {
        let viewer = v1::Viewer { label: evil(), principal: evil(), ..Default::default() };
        let summary = v1::Summary { title: evil(), cwd: evil(), viewers: vec![viewer], ..Default::default() };
        let spec = v1::SessionSpec {
            id: SessionId::random().as_bytes().to_vec().into(),
            name: evil(),
            cwd: evil(),
            command: vec![evil(), evil()],
            ..Default::default()
        };
        let asked = spec_from(spec.clone())?;
        assert_eq!((asked.name, asked.cwd, &asked.command[0]), (evil(), evil(), &evil()));
        let info = v1::SessionInfo { spec: Some(spec), summary: Some(summary), ..Default::default() };
        let session = session_from(MachineId::random(), info)?;
        let client = &session.summary.clients[0];
        for text in [session.display_name(), &session.spec.cwd, &session.summary.title, &session.summary.cwd]
            .into_iter()
            .chain([client.label.as_str(), &client.principal, &session.spec.command[0]])
        {
            assert!(is_fine(text, crate::fleet::PATH_CAP), "{text:?}");
        }
        let attach: Attach = v1::Attach { label: evil(), ..Default::default() }.into();
        assert!(is_fine(&attach.label, crate::fleet::TITLE_CAP));
        Ok(())
    }

    #[test]
    fn a_refusal_is_one_line_of_text() {
        let refused = v1::Refused { message: evil(), ..Default::default() };
        assert!(is_fine(&refusal_from(&refused).message, crate::fleet::MESSAGE_CAP));
        let frame = v1::session_down::Frame::Detached(v1::Detached { reason: evil() });
        let down = down_from(v1::SessionDown { frame: Some(frame), ..Default::default() });
        assert!(matches!(down, Some(Down::Detached(reason)) if is_fine(&reason, crate::fleet::MESSAGE_CAP)));
        let frame = v1::session_down::Frame::Renamed(v1::Rename { name: evil() });
        let down = down_from(v1::SessionDown { frame: Some(frame), ..Default::default() });
        assert!(matches!(down, Some(Down::Renamed(name)) if is_fine(&name, crate::fleet::NAME_CAP)));
    }

    #[test]
    fn a_file_s_path_stays_exact_and_its_owner_is_text() {
        let path = b"a\n\x1b\xff".to_vec();
        let entry = v1::FileEntry { path: path.clone().into(), owner: evil(), group: evil(), ..Default::default() };
        let entry = file_entry_from(entry);
        assert_eq!(super::path(&entry.path), path);
        assert!(is_fine(&entry.owner, crate::fleet::NAME_CAP) && is_fine(&entry.group, crate::fleet::NAME_CAP));
    }
}

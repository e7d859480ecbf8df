//! Entries of directories as the SDKs have them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fleet::{FileEntry, FileKind};
use crate::wire::cmdop::*;
use crate::wire::{self, Timestamp, v1};

/// Endings, with what they say of contents and of how to show them.
const TYPES: &[(&[&str], &str, ViewerType)] = &[
    (&["txt", "log", "conf", "cfg", "ini", "csv"], "text/plain", ViewerType::ViewerText),
    (&["md"], "text/markdown", ViewerType::ViewerMarkdown),
    (&["json"], "application/json", ViewerType::ViewerJson),
    (&["yaml", "yml"], "application/yaml", ViewerType::ViewerYaml),
    (&["xml"], "application/xml", ViewerType::ViewerXml),
    (&["html", "htm"], "text/html", ViewerType::ViewerCode),
    (&["css"], "text/css", ViewerType::ViewerCode),
    (&["js", "mjs"], "text/javascript", ViewerType::ViewerCode),
    (&["py", "rs", "go", "c", "h", "ts", "sh", "toml", "java", "rb"], "text/plain", ViewerType::ViewerCode),
    (&["png"], "image/png", ViewerType::ViewerImage),
    (&["jpg", "jpeg"], "image/jpeg", ViewerType::ViewerImage),
    (&["gif"], "image/gif", ViewerType::ViewerImage),
    (&["svg"], "image/svg+xml", ViewerType::ViewerImage),
    (&["pdf"], "application/pdf", ViewerType::ViewerPdf),
    (&["zip"], "application/zip", ViewerType::ViewerArchive),
    (&["gz", "tgz"], "application/gzip", ViewerType::ViewerArchive),
    (&["tar"], "application/x-tar", ViewerType::ViewerArchive),
    (&["mp4"], "video/mp4", ViewerType::ViewerVideo),
    (&["mp3"], "audio/mpeg", ViewerType::ViewerAudio),
];

/// MIME type and viewer of a file, by its ending.
pub(super) fn type_of(path: &Path) -> (&'static str, ViewerType) {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let found = TYPES.iter().find(|(endings, _, _)| endings.contains(&ending.as_str()));
    found.map_or(("application/octet-stream", ViewerType::ViewerUnknown), |(_, mime, viewer)| (*mime, *viewer))
}

/// A path as text: the SDKs have no word for bytes that are none.
pub(super) fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn entry_of(entry: &FileEntry) -> StreamFileEntry {
    let (mime_type, viewer) = type_of(&entry.path);
    let is_file = entry.kind == FileKind::File;
    let kind = match entry.kind {
        FileKind::File | FileKind::Other => StreamFileType::StreamFile,
        FileKind::Directory => StreamFileType::StreamDirectory,
        FileKind::Link => StreamFileType::StreamSymlink,
    };
    StreamFileEntry {
        name: entry.name().to_string_lossy().into_owned(),
        path: text_of(&entry.path),
        r#type: kind.into(),
        size: i64::try_from(entry.size).unwrap_or(i64::MAX),
        permissions: entry.mode_text(),
        owner: entry.owner.clone(),
        modified_at: Some(Timestamp {
            seconds: entry.modified_ms.div_euclid(1000),
            nanos: entry.modified_ms.rem_euclid(1000) as i32 * 1_000_000,
        }),
        is_hidden: entry.name().as_bytes().starts_with(b"."),
        is_readable: entry.is_readable,
        is_writable: entry.is_writable,
        mime_type: match entry.kind {
            FileKind::File => mime_type.into(),
            FileKind::Directory => "inode/directory".into(),
            FileKind::Link | FileKind::Other => String::new(),
        },
        symlink_target: entry.target.as_deref().map(text_of).unwrap_or_default(),
        viewer_type: if is_file { viewer.into() } else { ViewerType::ViewerUnknown.into() },
        load_method: if is_file { LoadMethod::LoadRpc.into() } else { LoadMethod::LoadSkip.into() },
        ..StreamFileEntry::default()
    }
}

pub(super) fn match_of(found: v1::FileMatch) -> Option<FileSearchMatch> {
    let entry = wire::file_entry_from(found.entry?);
    let kind = if found.lines.is_empty() { SearchMatchType::MatchFilename } else { SearchMatchType::MatchContent };
    Some(FileSearchMatch {
        entry: Some(entry_of(&entry)),
        match_type: kind.into(),
        content_matches: found.lines.iter().map(line_of).collect(),
    })
}

fn line_of(line: &v1::FileLine) -> ContentMatch {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    // Columns are characters of the line as it is sent.
    let column = |at: u32| {
        let before = line.text.get(..at as usize).unwrap_or(&line.text);
        i32::try_from(String::from_utf8_lossy(before).chars().count()).unwrap_or(i32::MAX)
    };
    ContentMatch {
        line_number: i32::try_from(line.number).unwrap_or(i32::MAX),
        line: text(&line.text),
        column_start: column(line.start),
        column_end: column(line.end),
        context_before: line.before.iter().map(text).collect(),
        context_after: line.after.iter().map(text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_say_what_a_file_is_and_times_before_the_epoch_are_times() {
        assert_eq!(type_of(Path::new("/a/README.MD")), ("text/markdown", ViewerType::ViewerMarkdown));
        assert_eq!(type_of(Path::new("/a/noending")).1, ViewerType::ViewerUnknown);
        let entry = FileEntry {
            path: "/srv/.hidden".into(),
            kind: FileKind::Link,
            size: 3,
            mode: 0o777,
            owner: "root".into(),
            group: "root".into(),
            modified_ms: -1,
            target: Some("x".into()),
            leads_to_directory: false,
            is_readable: true,
            is_writable: false,
        };
        let shown = entry_of(&entry);
        assert_eq!((shown.name.as_str(), shown.r#type, shown.is_hidden), (".hidden", 3, true));
        assert_eq!(shown.modified_at, Some(Timestamp { seconds: -1, nanos: 999_000_000 }));
    }
}

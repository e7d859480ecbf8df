//! A file on a machine, as people write it: `web-1:/var/log`, or `web-1 /var/log`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use color_eyre::eyre::{Result, bail, eyre};

/// A path on a machine; empty for its home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::cmd) struct Place {
    pub(in crate::cli::cmd) machine: String,
    pub(in crate::cli::cmd) path: PathBuf,
}

impl Place {
    pub(in crate::cli::cmd) fn new(machine: &OsStr, path: Option<&OsStr>) -> Result<Place> {
        let rest: Vec<OsString> = path.map(OsStr::to_owned).into_iter().collect();
        match Place::with_rest(machine, &rest)? {
            (place, None) => Ok(place),
            (place, Some(stray)) => {
                bail!("{stray:?} is one path too many: {:?} has one already", place.machine)
            }
        }
    }

    /// The same, and what is said behind it.
    pub(super) fn with_rest<'a>(machine: &OsStr, rest: &'a [OsString]) -> Result<(Place, Option<&'a OsStr>)> {
        let text = |bytes: &[u8]| {
            let name = std::str::from_utf8(bytes).ok().filter(|name| !name.is_empty());
            name.map(str::to_string).ok_or_else(|| eyre!("{machine:?} names no machine; write web-1:/var/log"))
        };
        let bytes = machine.as_bytes();
        // No machine's name has a colon: the first one ends it.
        let (place, left) = match bytes.iter().position(|byte| *byte == b':') {
            Some(at) => {
                let path = PathBuf::from(OsStr::from_bytes(&bytes[at + 1..]));
                (Place { machine: text(&bytes[..at])?, path }, rest)
            }
            None => {
                let path = rest.first().map(PathBuf::from).unwrap_or_default();
                (Place { machine: text(bytes)?, path }, rest.get(1..).unwrap_or_default())
            }
        };
        if let Some(stray) = left.get(1) {
            bail!("{stray:?} is one argument too many");
        }
        Ok((place, left.first().map(OsString::as_os_str)))
    }

    /// Refused where home is no answer.
    pub(in crate::cli::cmd) fn named(self) -> Result<Place> {
        if self.path.as_os_str().is_empty() {
            bail!("which file of {0}? write {0}:/path, or {0} /path", self.machine);
        }
        Ok(self)
    }

    /// Another path on the same machine, which may be written with its name.
    pub(super) fn beside(&self, path: &OsStr) -> Result<PathBuf> {
        let own = format!("{}:", self.machine);
        let rest = path.as_bytes().strip_prefix(own.as_bytes()).unwrap_or(path.as_bytes());
        if rest.is_empty() {
            bail!("to where on {}? write {own}/path, or only /path", self.machine);
        }
        Ok(PathBuf::from(OsStr::from_bytes(rest)))
    }
}

/// A path that means a directory, whether that is there or not.
pub(super) fn ends_as_directory(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(machine: &str, path: &str) -> Place {
        Place { machine: machine.into(), path: path.into() }
    }

    #[test]
    fn both_ways_of_writing_name_the_same() {
        let new = |machine: &str, path: Option<&str>| Place::new(OsStr::new(machine), path.map(OsStr::new));
        assert_eq!(new("web-1:/var/log", None).unwrap(), place("web-1", "/var/log"));
        assert_eq!(new("web-1", Some("/var/a:b")).unwrap(), place("web-1", "/var/a:b"));
        assert_eq!(new("web-1:notes", None).unwrap(), place("web-1", "notes"));
        assert_eq!(new("web-1", None).unwrap(), place("web-1", ""));
        assert!(new("web-1:/a", Some("/b")).is_err() && new(":/a", None).is_err());
        assert!(place("web-1", "").named().is_err());
        let rest = ["/a".into(), "b".into()];
        let (there, local) = Place::with_rest(OsStr::new("web-1"), &rest).unwrap();
        assert_eq!((there, local), (place("web-1", "/a"), Some(OsStr::new("b"))));
        assert!(Place::with_rest(OsStr::new("web-1:/x"), &rest).is_err());
        assert_eq!(place("w", "/a").beside(OsStr::new("w:/b")).unwrap(), Path::new("/b"));
    }
}

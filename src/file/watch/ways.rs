//! The paths that a source needs watched.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::escape::Escaped;

/// A path to watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::file) enum Way {
    /// The file at this absolute path.
    File(PathBuf),
    /// The directory at this absolute path, of which every entry matters.
    Directory(PathBuf),
}

impl Way {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Directory(path) => path,
        }
    }
}

/// Shows the first path and the number of further ones.
pub(super) struct Paths<'a>(pub(super) &'a BTreeSet<Way>);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(way) = self.0.first() {
            fmt::Display::fmt(&Escaped(way.path().display()), f)?;
        }
        match self.0.len() {
            0 | 1 => Ok(()),
            all => write!(f, " and {} more", all - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_are_named_by_the_first() {
        let file = |path: &str| Way::File(path.into());
        let one = BTreeSet::from([file("/etc/a")]);
        assert_eq!(Paths(&one).to_string(), "/etc/a");
        let three = BTreeSet::from([file("/etc/a"), file("/etc/b"), file("/etc/c")]);
        assert_eq!(Paths(&three).to_string(), "/etc/a and 2 more");
    }
}

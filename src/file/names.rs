//! The names that a source reads: files, and patterns for the files of a directory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use super::error::Kind;

/// The most files that a pattern may match. More are a mistake, such as a pattern for a mail spool.
const MAX_ENTRIES: usize = 10_000;

/// As in a shell, names that begin with a dot are hidden. Editors and the kubelet rely on that.
const AS_IN_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A file, or a pattern for the files of one directory.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// As the app named it, and as errors show it.
    pub(super) shown: PathBuf,
    /// Absolute, so that a later `chdir` has no effect.
    pub(super) path: PathBuf,
    pub(super) pattern: Option<Pattern>,
    /// `true` if the file may be absent.
    pub(super) optional: bool,
}

impl Name {
    /// A file, whatever characters are in its name.
    pub(super) fn file(shown: &Path) -> Self {
        Self {
            shown: shown.to_owned(),
            path: std::path::absolute(shown).unwrap_or_else(|_| shown.to_owned()),
            pattern: None,
            optional: false,
        }
    }

    /// A pattern if the last part of the path is one, otherwise a file.
    pub(super) fn pattern(shown: &Path) -> Self {
        let is_wildcard = |c: char| matches!(c, '*' | '?' | '[');
        let pattern = shown
            .file_name()
            .and_then(OsStr::to_str)
            .filter(|name| name.contains(is_wildcard))
            // As in a shell, an invalid pattern stands for itself.
            .and_then(|name| Pattern::new(name).ok());
        Self {
            pattern,
            ..Self::file(shown)
        }
    }

    /// A file at this absolute path, for which errors show `shown`.
    pub(super) fn entry(shown: PathBuf, path: &Path) -> Self {
        Self {
            shown,
            path: path.to_owned(),
            pattern: None,
            optional: false,
        }
    }

    /// Like [`pattern`](Self::pattern), relative to the directory of this file.
    pub(super) fn beside(&self, given: &Path) -> Self {
        let beside = |path: &Path| path.parent().unwrap_or(path).join(given);
        Self {
            path: beside(&self.path),
            ..Self::pattern(&beside(&self.shown))
        }
    }

    /// The directory whose entries a pattern matches.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The files that match a pattern, ordered by name and without directories. None if the
    /// directory does not exist.
    pub(super) fn entries(&self, pattern: &Pattern) -> Result<Vec<PathBuf>, Kind> {
        let directory = self.directory();
        let listed = match fs::read_dir(directory) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Kind::Denied);
            }
            Err(error) => return Err(Kind::Io(error)),
        };
        let mut entries = Vec::new();
        for entry in listed {
            let name = entry.map_err(Kind::Io)?.file_name();
            let matches = |name: &str| pattern.matches_with(name, AS_IN_A_SHELL);
            // Invalid UTF-8 in a name counts as some character.
            if !matches(&name.to_string_lossy()) {
                continue;
            }
            let path = directory.join(name);
            if !path.is_dir() {
                entries.push(path);
            }
            if entries.len() > MAX_ENTRIES {
                return Err(Kind::TooMany { max: MAX_ENTRIES });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}

/// The path that an error shows if it concerns no single file.
pub(super) fn first(names: &[Name]) -> PathBuf {
    names
        .first()
        .map(|name| name.shown.clone())
        .unwrap_or_default()
}

/// The names to read next, after these were read and those asked for. `None` if they are the same
/// in any order: an app may keep them in a `HashMap`, whose order varies.
pub(super) fn next(read: &[Name], asked: &[Name]) -> Option<Arc<[Name]>> {
    // A closure that asks one by one has stopped at the first new name, so the names read are kept.
    let fewer = || (asked.len() < read.len()).then(|| asked.into());
    with_new(read, asked).or_else(fewer)
}

/// The known names, followed by the new ones of the others. `None` if none is new.
pub(super) fn with_new(known: &[Name], others: &[Name]) -> Option<Arc<[Name]>> {
    let paths: HashSet<_> = known.iter().map(|name| &name.path).collect();
    let new = others.iter().filter(|name| !paths.contains(&name.path));
    let new: Vec<_> = new.cloned().collect();
    (!new.is_empty()).then(|| known.iter().cloned().chain(new).collect())
}

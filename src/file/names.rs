//! What a source reads: files, and patterns that stand for the files of a directory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use super::error::Kind;

/// How many files one pattern may stand for. More are a mistake, such as a pattern for a mail spool.
const MAX_ENTRIES: usize = 10_000;

/// As in a shell: what begins with a dot is hidden. Editors and the kubelet rely on that.
const AS_IN_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A file, or a pattern for the files of one directory.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// As the app named it; what errors show.
    pub(super) shown: PathBuf,
    /// Absolute, so that a later `chdir` does not move it.
    pub(super) path: PathBuf,
    pub(super) pattern: Option<Pattern>,
    /// Whether the file may be absent.
    pub(super) optional: bool,
}

impl Name {
    /// One file, whatever characters are in its name.
    pub(super) fn file(shown: &Path) -> Self {
        Self {
            shown: shown.to_owned(),
            path: std::path::absolute(shown).unwrap_or_else(|_| shown.to_owned()),
            pattern: None,
            optional: false,
        }
    }

    /// A pattern, if the last part of the path is one.
    pub(super) fn pattern(shown: &Path) -> Self {
        let is_wildcard = |c: char| matches!(c, '*' | '?' | '[');
        let pattern = shown
            .file_name()
            .and_then(OsStr::to_str)
            .filter(|name| name.contains(is_wildcard))
            // As in a shell, what is no pattern stands for itself.
            .and_then(|name| Pattern::new(name).ok());
        Self {
            pattern,
            ..Self::file(shown)
        }
    }

    /// One of the files that a pattern stands for, at this absolute path.
    pub(super) fn entry(shown: PathBuf, path: &Path) -> Self {
        Self {
            shown,
            path: path.to_owned(),
            pattern: None,
            optional: false,
        }
    }

    /// As [`pattern`](Self::pattern), and relative to the directory of this file.
    pub(super) fn beside(&self, given: &Path) -> Self {
        let beside = |path: &Path| path.parent().unwrap_or(path).join(given);
        Self {
            path: beside(&self.path),
            ..Self::pattern(&beside(&self.shown))
        }
    }

    /// The directory whose entries a pattern is about.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The files that a pattern stands for, in the order of their names. None if there is no such
    /// directory. Directories do not count.
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
            // What is not UTF-8 in a name counts as some character.
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

/// What errors show where it is not one of them that is wrong.
pub(super) fn first(names: &[Name]) -> PathBuf {
    names
        .first()
        .map(|name| name.shown.clone())
        .unwrap_or_default()
}

/// What has to be read next, if these were read and those asked for. `None` if they are the same, in
/// whatever order: an app may have them in a `HashMap`, whose order is another one each time.
pub(super) fn next(read: &[Name], asked: &[Name]) -> Option<Arc<[Name]>> {
    // Whoever asks one by one has stopped at the first that is new, so what was read is kept.
    let fewer = || (asked.len() < read.len()).then(|| asked.into());
    with_new(read, asked).or_else(fewer)
}

/// Those that are known, and behind them those of the others that are not. `None` if all are.
pub(super) fn with_new(known: &[Name], others: &[Name]) -> Option<Arc<[Name]>> {
    let paths: HashSet<_> = known.iter().map(|name| &name.path).collect();
    let new = others.iter().filter(|name| !paths.contains(&name.path));
    let new: Vec<_> = new.cloned().collect();
    (!new.is_empty()).then(|| known.iter().cloned().chain(new).collect())
}

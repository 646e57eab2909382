//! What was read in one go, and how it is told from what was read before.

use std::collections::{BTreeMap, HashSet};
use std::mem::Discriminant;
use std::path::PathBuf;

use super::error::{Error, Kind};
use super::files::{Contents, Files};
use super::names::Name;
use crate::Stamp;

/// What each path led to, all at one moment.
pub(super) struct Loaded(pub(super) BTreeMap<PathBuf, Entry>);

pub(super) enum Entry {
    File(Contents),
    /// What a pattern stands for.
    Entries(Vec<PathBuf>),
    /// It cannot be read, for this reason.
    Refused(Error),
}

/// What is remembered of an entry: contents, or the reason why there were none.
pub(super) type Sight = Result<Stamp, Discriminant<Kind>>;

/// What was seen at each path.
pub(super) type Sights = BTreeMap<PathBuf, Sight>;

impl Loaded {
    pub(super) fn sights(&self) -> Sights {
        let sight = |entry: &Entry| match entry {
            Entry::File(contents) => Ok(contents.stamp()),
            Entry::Entries(entries) => Ok(Stamp::of_value(entries)),
            Entry::Refused(error) => Err(error.reason()),
        };
        let sights = self
            .0
            .iter()
            .map(|(path, entry)| (path.clone(), sight(entry)));
        sights.collect()
    }

    /// The files of these names, each once, in the order of the names. `None` if one of the names
    /// was not read.
    ///
    /// # Errors
    ///
    /// With what is wrong with the first of them that cannot be read.
    pub(super) fn files(&self, names: &[Name]) -> Option<Result<Files, Error>> {
        let mut files = Vec::new();
        let mut known = HashSet::new();
        for name in names {
            let one = std::slice::from_ref(&name.path);
            let paths = match self.0.get(&name.path)? {
                Entry::Entries(entries) => entries,
                Entry::File(_) | Entry::Refused(_) => one,
            };
            for path in paths {
                match self.0.get(path)? {
                    Entry::File(_) if !known.insert(path) => {}
                    Entry::File(contents) => files.push(contents.clone()),
                    Entry::Refused(error) => return Some(Err(error.clone())),
                    // The path of a pattern, taken for that of a file.
                    Entry::Entries(_) => return None,
                }
            }
        }
        Some(Ok(Files(files)))
    }

    /// The file of this name, if it is one and was read.
    pub(super) fn file(&self, name: &Name) -> Option<&Contents> {
        match self.0.get(&name.path) {
            Some(Entry::File(contents)) => Some(contents),
            _ => None,
        }
    }

    /// Returns `true` if something could not be read for a reason that may pass.
    pub(super) fn may_pass(&self) -> bool {
        let mut entries = self.0.values();
        entries.any(|entry| matches!(entry, Entry::Refused(error) if error.may_pass()))
    }

    /// Whether nothing at all is there.
    pub(super) fn is_absent(&self, names: &[Name]) -> bool {
        names.iter().all(|name| match self.0.get(&name.path) {
            Some(Entry::Refused(error)) => error.is_not_found(),
            Some(Entry::Entries(entries)) => entries.is_empty(),
            Some(Entry::File(_)) | None => false,
        })
    }
}

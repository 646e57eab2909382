//! The result of one read, and the digests that distinguish it from earlier ones.

use std::collections::{BTreeMap, HashSet};
use std::mem::Discriminant;
use std::path::PathBuf;

use super::error::{Error, Kind};
use super::files::{Contents, Files};
use super::names::Name;
use crate::Stamp;

/// The results for all paths, of one moment.
pub(super) struct Loaded(pub(super) BTreeMap<PathBuf, Entry>);

pub(super) enum Entry {
    File(Contents),
    /// The files that match a pattern.
    Entries(Vec<PathBuf>),
    /// The reason why it cannot be read.
    Refused(Error),
}

/// The digest of an entry, or the reason why it has no contents.
pub(super) type Sight = Result<Stamp, Discriminant<Kind>>;

/// The digests by path.
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

    /// The files of these names, in their order and each once. `None` if a name was not read.
    ///
    /// # Errors
    ///
    /// With the error of the first of them that cannot be read.
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
                    // The path of a pattern, named as a file.
                    Entry::Entries(_) => return None,
                }
            }
        }
        Some(Ok(Files(files)))
    }

    /// The file of this name, if it was read.
    pub(super) fn file(&self, name: &Name) -> Option<&Contents> {
        match self.0.get(&name.path) {
            Some(Entry::File(contents)) => Some(contents),
            _ => None,
        }
    }

    /// Returns `true` if an entry cannot be read for a reason that may pass.
    pub(super) fn may_pass(&self) -> bool {
        let mut entries = self.0.values();
        entries.any(|entry| matches!(entry, Entry::Refused(error) if error.may_pass()))
    }

    /// Returns `true` if none of these files exists and no pattern has a match.
    pub(super) fn is_absent(&self, names: &[Name]) -> bool {
        names.iter().all(|name| match self.0.get(&name.path) {
            Some(Entry::Refused(error)) => error.is_not_found(),
            Some(Entry::Entries(entries)) => entries.is_empty(),
            Some(Entry::File(_)) | None => false,
        })
    }
}

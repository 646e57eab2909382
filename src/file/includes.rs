//! Further files that a file asks for: [`Includes`].

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::error::{Error, Kind};
use super::files::{Contents, Files};
use super::loaded::Loaded;
use super::names::{self, Name};

/// The files that a configuration file includes: what the closure of
/// [`File::include`](super::File::include) reads them with.
pub struct Includes {
    roots: Arc<[Name]>,
    loaded: Loaded,
    /// The roots, and what was asked for beyond them, in the order of asking.
    asked: RefCell<Vec<Name>>,
}

impl Includes {
    pub(super) fn new(roots: Arc<[Name]>, loaded: Loaded) -> Self {
        Self {
            asked: RefCell::new(roots.to_vec()),
            roots,
            loaded,
        }
    }

    /// These files, read at the same moment as the file that includes them, and watched with it.
    ///
    /// The last part of a path may be a pattern, as for [`set`](super::set). A relative path is
    /// taken relative to the directory of the file that includes it (of the first one, for a set).
    ///
    /// # Errors
    ///
    /// If one of them cannot be read; a pattern that no file matches is no error. Also if they have
    /// not been read yet: then the closure is called again when they have, whatever it returns.
    /// That happens once for each level of includes, so ask for all files of a level together.
    pub fn set<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Files, Error> {
        let names = paths.into_iter();
        let name = |path: P| Name::beside(self.roots.first(), path.as_ref());
        let names: Vec<_> = names.map(name).collect();
        let mut asked = self.asked.borrow_mut();
        for name in &names {
            if !asked.iter().any(|known| known.path == name.path) {
                asked.push(name.clone());
            }
        }
        self.files(&names)
    }

    /// The files that the app named.
    pub(super) fn roots(&self) -> Result<Files, Error> {
        self.files(&self.roots)
    }

    /// The one file that the app named.
    pub(super) fn root(&self) -> Result<Contents, Error> {
        let root = self.roots()?.0.pop();
        Ok(root.expect("a file that is named, not by a pattern, is read or refused"))
    }

    fn files(&self, names: &[Name]) -> Result<Files, Error> {
        self.loaded
            .files(names)
            .unwrap_or_else(|| Err(Error::new(&names::first(names), Kind::Unread)))
    }

    /// Whether none of the files that the app named exists.
    pub(super) fn is_absent(&self) -> bool {
        self.loaded.is_absent(&self.roots)
    }

    pub(super) fn into_asked(self) -> Vec<Name> {
        self.asked.into_inner()
    }
}

impl fmt::Debug for Includes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Includes")
            .field("asked", &self.asked.borrow())
            .finish_non_exhaustive()
    }
}

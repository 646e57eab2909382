//! Further files that a file asks for: [`Includes`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, Kind};
use super::files::{Contents, Files};
use super::loaded::Loaded;
use super::names::{self, Name};
use super::rest::FileId;

/// The files that a configuration file includes, for the closure of
/// [`File::include`](super::File::include).
///
/// A reference to it can be passed to any function, so that included files can include others:
///
/// ```
/// # #[cfg(feature = "toml")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::file::{self, Contents, Includes};
/// use rekindle::{BoxError, Manager};
///
/// #[derive(Default, serde::Deserialize)]
/// #[serde(default)]
/// struct Fragment {
///     include: Vec<String>,
///     hosts: Vec<String>,
/// }
///
/// /// The hosts of these files and of all that they include.
/// fn hosts(files: &[Contents], includes: &Includes) -> Result<Vec<String>, BoxError> {
///     let mut all = Vec::new();
///     for file in files {
///         let fragment: Fragment = file.toml()?;
///         all.extend(fragment.hosts);
///         let included = includes.beside(file, fragment.include)?;
///         all.extend(hosts(&included, includes)?);
///     }
///     Ok(all)
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # std::fs::create_dir(dir.path().join("conf.d"))?;
/// # let path = |name: &str| dir.path().join(name);
/// std::fs::write(path("app.toml"), "include = ['conf.d/*.toml']")?;
/// std::fs::write(path("conf.d/a.toml"), "include = ['b.inc']")?;
/// std::fs::write(path("conf.d/b.inc"), "hosts = ['beta']")?;
/// let source = file::set([path("app.toml")]).include(|files, includes| hosts(&files, includes));
/// let mut reload = Manager::new();
/// let hosts = reload.source("hosts", source.watch()).await?;
/// assert_eq!(*hosts.load(), ["beta"]);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "toml"))]
/// # fn main() {}
/// ```
pub struct Includes {
    roots: Arc<[Name]>,
    loaded: Loaded,
    /// The roots, and the names asked for beyond them, in the order of asking.
    asked: RefCell<Vec<Name>>,
    /// The includes of each file that are known so far.
    included: RefCell<HashMap<FileId, HashSet<FileId>>>,
    /// The paths of `asked`.
    known: RefCell<HashSet<PathBuf>>,
    /// `true` if errors of the roots may contain values. Those of included files never do.
    shows_values: bool,
}

impl Includes {
    pub(super) fn new(roots: Arc<[Name]>, loaded: Loaded, shows_values: bool) -> Self {
        Self {
            asked: RefCell::new(roots.to_vec()),
            included: RefCell::default(),
            known: RefCell::new(roots.iter().map(|root| root.path.clone()).collect()),
            roots,
            loaded,
            shows_values,
        }
    }

    /// Returns these files, read at the same moment as the file that includes them and watched with
    /// it.
    ///
    /// The last part of a path may be a pattern, as for [`set`](super::set). A relative path is
    /// resolved against the directory of the file that the app named: the one given to
    /// [`toml`](fn@super::toml) and the like, the first one of a set.
    ///
    /// For the includes of an included file there is [`beside`](Self::beside). A function that
    /// calls `set` again for each included file overflows the stack when two files include each
    /// other, because `set` does not know which file includes which.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read; a pattern that no file matches is no error. Also if they have
    /// not been read yet: the closure is then called again when they have, whatever it returns.
    /// That happens once for each level of includes, so ask for all files of a level together.
    pub fn set<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Files, Error> {
        let root = self.roots.first();
        let name = |path: P| match root {
            Some(root) => root.beside(path.as_ref()),
            None => Name::pattern(path.as_ref()),
        };
        let files = self.ask(paths.into_iter().map(name))?;
        if let Some(root) = root.and_then(|root| self.loaded.file(root)) {
            self.note(root, &files);
        }
        Ok(files)
    }

    /// Like [`set`](Self::set), for files that `file` includes: a relative path is resolved against
    /// its directory.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set), and if one of the files is `file` itself or includes it, directly
    /// or indirectly. Otherwise a closure that calls itself for each included file would never end.
    pub fn beside<P: AsRef<Path>>(
        &self,
        file: &Contents,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Files, Error> {
        let name = |path: P| file.name().beside(path.as_ref());
        let files = self.ask(paths.into_iter().map(name))?;
        self.note(file, &files);
        match files.iter().find(|included| self.leads(included, file)) {
            Some(included) => {
                let included = included.path().to_owned();
                Err(Error::new(file.path(), Kind::Circular { included }))
            }
            None => Ok(files),
        }
    }

    fn ask(&self, names: impl Iterator<Item = Name>) -> Result<Files, Error> {
        let names: Vec<_> = names.collect();
        let mut known = self.known.borrow_mut();
        let new = names.iter().filter(|name| known.insert(name.path.clone()));
        self.asked.borrow_mut().extend(new.cloned());
        self.files(&names)
    }

    fn note(&self, including: &Contents, files: &Files) {
        let mut included = self.included.borrow_mut();
        let known = included.entry(including.id().clone()).or_default();
        known.extend(files.iter().map(|file| file.id().clone()));
    }

    /// Returns `true` if `from` is `to` or includes it, directly or indirectly.
    fn leads(&self, from: &Contents, to: &Contents) -> bool {
        let included = self.included.borrow();
        let mut known = HashSet::new();
        let mut next = vec![from.id()];
        while let Some(file) = next.pop() {
            if file == to.id() {
                return true;
            }
            if known.insert(file) {
                next.extend(included.get(file).into_iter().flatten());
            }
        }
        false
    }

    /// The files that the app named.
    pub(super) fn roots(&self) -> Result<Files, Error> {
        let roots = self.files(&self.roots)?.into_iter();
        let roots = roots.map(|root| root.showing_values(self.shows_values));
        Ok(Files(roots.collect()))
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

    /// Returns `true` if none of the files that the app named exists.
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

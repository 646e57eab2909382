//! Several files that are read as one value ([`Files`]), and each of them ([`Contents`]).

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::error::{Error, Kind};
use super::format::{self, Parse};
use super::names::Name;
use super::rest::FileId;
use crate::Stamp;

/// Several files that were read at one moment: the value of a [`set`](super::set).
///
/// A slice of [`Contents`] in the order in which the files were named. The files that match a
/// pattern are ordered by name. Cloning copies no contents.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = |name: &str| dir.path().join(name);
/// # std::fs::write(path("tls.crt"), "certificate")?;
/// # std::fs::write(path("tls.key"), "key")?;
/// let pair = file::set([path("tls.crt"), path("tls.key")]);
/// let mut reload = Manager::new();
/// let pair = reload.source("tls", pair).await?;
/// let [certificate, key] = &pair.load()[..] else { unreachable!("two were named") };
/// assert_eq!(certificate.text()?, "certificate");
/// assert_eq!(key.bytes(), b"key");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files(pub(super) Vec<Contents>);

impl Deref for Files {
    type Target = [Contents];

    fn deref(&self) -> &[Contents] {
        &self.0
    }
}

impl IntoIterator for Files {
    type Item = Contents;
    type IntoIter = std::vec::IntoIter<Contents>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Files {
    type Item = &'a Contents;
    type IntoIter = std::slice::Iter<'a, Contents>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A file that was read: an element of [`Files`].
///
/// Its `Debug` shows the path and the size, never the contents, which may be a key. Cloning copies
/// no contents. Two are equal if their paths and bytes are.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, Stamp, file};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = |name: &str| dir.path().join(name);
/// std::fs::write(path("motd.txt"), "hello")?;
/// let mut reload = Manager::new();
/// let files = reload.source("texts", file::set([path("*.txt")])).await?;
/// for file in &*files.load() {
///     assert_eq!(file.path(), path("motd.txt"));
///     assert_eq!(file.text()?, "hello");
///     assert_eq!(file.stamp(), Stamp::of(file.bytes()));
///     assert!(!format!("{file:?}").contains("hello"));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Contents {
    inner: Arc<Inner>,
    /// `true` if errors may contain values.
    shows_values: bool,
}

struct Inner {
    name: Name,
    id: FileId,
    bytes: Vec<u8>,
    stamp: Stamp,
}

impl Contents {
    pub(super) fn new(name: Name, id: FileId, bytes: Vec<u8>) -> Self {
        let stamp = Stamp::of(&bytes);
        Self {
            inner: Arc::new(Inner {
                name,
                id,
                bytes,
                stamp,
            }),
            shows_values: false,
        }
    }

    /// The same file, whose errors contain values if `shows_values` is `true`.
    pub(super) fn showing_values(mut self, shows_values: bool) -> Self {
        self.shows_values = shows_values;
        self
    }

    pub(super) fn id(&self) -> &FileId {
        &self.inner.id
    }

    pub(super) fn name(&self) -> &Name {
        &self.inner.name
    }

    /// The path, as the app named it. For a file that matches a pattern, its directory is as named.
    pub fn path(&self) -> &Path {
        self.name().shown.as_path()
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.inner.bytes
    }

    /// The digest of the bytes, of use within this process only.
    pub fn stamp(&self) -> Stamp {
        self.inner.stamp
    }

    /// The contents as UTF-8.
    ///
    /// # Errors
    ///
    /// If the contents are not UTF-8, with line and column.
    pub fn text(&self) -> Result<&str, Error> {
        format::utf8(self.bytes()).map_err(|problem| self.refused(problem))
    }

    /// Parses the contents as JSON.
    ///
    /// # Errors
    ///
    /// As for [`json`](super::json): with path, line, column and key, and without any value, unless
    /// the source of the file [shows values](super::File::show_values).
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        self.parse(format::json::parse)
    }

    /// Parses the contents as TOML.
    ///
    /// # Errors
    ///
    /// As for [`toml`](fn@super::toml): with path, line, column and key, and without any value,
    /// unless the source of the file [shows values](super::File::show_values).
    #[cfg(feature = "toml")]
    pub fn toml<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        self.parse(format::toml::parse)
    }

    /// Parses the contents as YAML.
    ///
    /// # Errors
    ///
    /// As for [`yaml`](super::yaml): with path, line, column and key, and without any value, unless
    /// the source of the file [shows values](super::File::show_values).
    #[cfg(feature = "yaml")]
    pub fn yaml<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        self.parse(format::yaml::parse)
    }

    pub(super) fn parse<T>(&self, parse: Parse<T>) -> Result<T, Error> {
        format::parse(parse, self.bytes()).map_err(|problem| self.refused(problem))
    }

    fn refused(&self, problem: format::Problem) -> Error {
        let problem = match self.shows_values {
            true => problem.in_full(),
            false => problem.sanitized(),
        };
        Error::new(self.path(), Kind::Contents(problem))
    }
}

impl PartialEq for Contents {
    fn eq(&self, other: &Self) -> bool {
        self.path() == other.path() && self.bytes() == other.bytes()
    }
}

impl Eq for Contents {}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("path", &self.path())
            .field("size", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

//! Configuration files: read as a whole, compared by contents, and watched.
//!
//! | | reads | feature |
//! |---|---|---|
//! | [`json`], [`toml`](fn@toml), [`yaml`] | a value of any type that serde deserializes | of the same name |
//! | [`text`] | a `String` | `file` |
//! | [`bytes`] | a `Vec<u8>` | `file` |
//! | [`set`] | several files, or all that match a pattern, as [`Files`] | `file` |
//!
//! Each returns a [`File`], which is a [`Source`]. With [`File::watch`] it also reports changes:
//!
//! ```
//! # #[cfg(feature = "json")]
//! # async fn example() -> Result<(), rekindle::BoxError> {
//! use rekindle::{Manager, file};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     port: u16,
//! }
//!
//! let mut reload = Manager::new();
//! let config = reload.source("config", file::json::<Config>("config.json").watch()).await?;
//! assert_ne!(config.load().port, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Reading
//!
//! One `File` is one value and one component: the file, or the files of a [`set`], and everything
//! they [include](File::include), at any depth. They are read, watched and rejected together. Only
//! regular files are read, each up to [`File::max_size`]. A named file that does not exist is an
//! error unless it is [optional](File::optional). A pattern may match no file.
//!
//! # Stability
//!
//! A file is read only after it has been left alone for [`File::quiet`]. The read counts only if
//! every path leads to the same file, of the same size and times, before the first file is read and
//! after the last; otherwise all are read again. A file that keeps changing is rejected. A
//! half-written file is therefore never loaded, unless its writer pauses for longer than `quiet`.
//! An empty file, an absent optional file and a pattern without a match must be stable for ten
//! times as long, because a writer can leave that behind between two steps.
//!
//! # Change detection
//!
//! A change is a difference in the contents, in the set of files, or in the reason why one cannot
//! be read. `touch`, a change of the permissions that leaves the file readable, and saving the same
//! bytes again are not changes. The digest of the current contents is kept with the value, so a
//! reload that finds the same files builds nothing.
//!
//! # Watching
//!
//! [`File::watch`] watches every directory on the path to each file: that of the file, that of
//! every symbolic link, and those above them, which report that a directory below was exchanged.
//! For a pattern it watches all entries of the pattern's directory. A file that has hard links or
//! is mounted over another one is watched itself, because it can be written through another path.
//! An included file is watched from its first read, for as long as it is included. Before each read
//! the paths are resolved and watched, and only then the files are read, so a later change has an
//! event.
//!
//! Events are hints; the contents decide. After an event and [`File::quiet`] the files are read,
//! and a change is reported if they differ from what was last reported. [`File::poll`] reads them
//! without an event. It covers file systems without events, and what has no event anywhere: a file
//! system that is mounted over a directory.
//!
//! # Blocking and cost
//!
//! Each read runs on a thread that is started for it. A source and its watcher together make one
//! call at a time. A call that hangs, as on a network mount, runs into the deadline of its
//! component. Until the call returns, the source is not read again, and reloads are rejected with
//! an error that says where it hangs. A call that still runs when a signal ends the process is
//! named. The contents are parsed on the runtime, by the task that reads the source.
//!
//! A read for which no thread can be started or no file can be opened, because a limit is reached,
//! fails with an error that says so. The watcher tries again with pauses that grow from half a
//! second to half a minute, so a change saved meanwhile is read when the shortage is over. The same
//! holds for every error of the operating system that is not about the file, such as one from a
//! network mount.
//!
//! Watching costs one task for each source, and one thread and one inotify instance for each file
//! system, shared by all sources with files there. While nothing happens, only the poll runs.
//!
//! # Formats
//!
//! JSON, TOML and YAML are parsed into the same tree, from which the value is deserialized. These
//! rules hold for all of them:
//!
//! - A duplicate key in a map is an error, at the position of the second.
//! - A struct is a map. A list in its place, which serde would take field by field, is an error,
//!   except inside of untagged and internally tagged enums, where serde's own buffer takes it.
//! - An enum is the name of a variant, or a map with that name as its only key. YAML's `!Name` is
//!   another spelling.
//! - Integers have up to 128 bits. Numeric keys are written like the number: `8080`.
//! - More than 128 nested lists and maps are an error. TOML's parser stops at about 80.
//!
//! YAML's merge keys (`<<: *defaults`) are applied: the keys of the map itself win, and of several
//! merged maps the earlier one. A key cannot be a list or a map. A YAML file holds one document, and
//! all its aliases together may repeat 16 MiB. TOML's dates and times become `toml::value::Datetime`
//! and its parts, not a `String`.
//!
//! The tree is made for configuration, so two kinds of types work with their own parser only:
//! `serde_json::value::RawValue`, and types that borrow from the text.
//!
//! # Error messages
//!
//! An error names the path, line, column, key, and what was expected. It never contains a value,
//! because a configuration file holds passwords and errors end up in logs: see [`Error`]. For a
//! file without secrets, [`File::show_values`] makes the messages complete.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::{BoxError, Reading, Source, Stamp, Trigger, Watch};

mod access;
mod error;
mod files;
mod format;
mod includes;
mod loaded;
mod names;
mod options;
mod place;
mod read;
mod rest;
mod seen;
mod setback;
mod survey;
mod watch;

pub use error::Error;
pub use files::{Contents, Files};
pub use includes::Includes;

use error::Kind;
use format::Parse;
use names::Name;
use place::{Arming, Place};
use read::Limits;
use watch::Watcher;

/// A JSON file.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     port: u16,
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.json");
/// std::fs::write(&path, r#"{"port": 8080}"#)?;
/// let mut reload = Manager::new();
/// let config = reload.source("config", file::json::<Config>(&path).watch()).await?;
/// assert_eq!(config.load().port, 8080);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "json")]
pub fn json<T>(path: impl AsRef<Path>) -> File<T>
where
    T: serde::de::DeserializeOwned + Send + Sync + 'static,
{
    File::one(path.as_ref(), format::json::parse)
}

/// A TOML file.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     port: u16,
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.toml");
/// std::fs::write(&path, "port = 8080")?;
/// let mut reload = Manager::new();
/// let config = reload.source("config", file::toml::<Config>(&path).watch()).await?;
/// assert_eq!(config.load().port, 8080);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "toml")]
pub fn toml<T>(path: impl AsRef<Path>) -> File<T>
where
    T: serde::de::DeserializeOwned + Send + Sync + 'static,
{
    File::one(path.as_ref(), format::toml::parse)
}

/// A YAML file that holds one document.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     port: u16,
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("config.yaml");
/// std::fs::write(&path, "port: 8080")?;
/// let mut reload = Manager::new();
/// let config = reload.source("config", file::yaml::<Config>(&path).watch()).await?;
/// assert_eq!(config.load().port, 8080);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "yaml")]
pub fn yaml<T>(path: impl AsRef<Path>) -> File<T>
where
    T: serde::de::DeserializeOwned + Send + Sync + 'static,
{
    File::one(path.as_ref(), format::yaml::parse)
}

/// A file of UTF-8 text: a template, a list, a token.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("hosts.txt");
/// std::fs::write(&path, "alpha\nbeta\n")?;
/// let mut reload = Manager::new();
/// let hosts = reload.source("hosts", file::text(&path).watch()).await?;
/// assert_eq!(hosts.load().lines().count(), 2);
/// # Ok(())
/// # }
/// ```
pub fn text(path: impl AsRef<Path>) -> File<String> {
    File::one(path.as_ref(), format::text)
}

/// A file of any bytes: a certificate, an image, a database.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("cert.der");
/// # std::fs::write(&path, [0x30, 0x82])?;
/// let mut reload = Manager::new();
/// let certificate = file::bytes(&path).max_size(64 * 1024);
/// let certificate = reload.source("certificate", certificate).await?;
/// assert_eq!(certificate.load()[0], 0x30); // A sequence, in DER.
/// # Ok(())
/// # }
/// ```
pub fn bytes(path: impl AsRef<Path>) -> File<Vec<u8>> {
    File::one(path.as_ref(), format::bytes)
}

/// Several files, read as one value: a certificate and its key, a directory of fragments.
///
/// The last part of each path may be a pattern: `*` matches any characters, `?` one, `[a-z]` one of
/// these, and `[[]` a bracket. As in a shell, a pattern matches a name that begins with a dot only
/// if the pattern does so itself, and an invalid pattern, such as `**.toml`, stands for itself.
/// Matching files are ordered by name, directories are left out, and a pattern may match no file. A
/// file named without a pattern must exist; for one that may be absent beside others, use a pattern
/// that matches nothing else: `local.tom[l]`. A file that is named twice is returned once.
///
/// # Consistency
///
/// All files are read at one moment. A directory that is swapped during the read, by rename or by a
/// symbolic link, never yields a mix of old and new files. Files that are *written* one after the
/// other are of one moment only if the pause between two writes is shorter than [`File::quiet`].
/// Rename a directory where you can, and check that the files fit together.
///
/// # Errors
///
/// A reload is rejected if one of the files cannot be read, or if a pattern matches more than
/// 10,000.
///
/// # Examples
///
/// Components are [derived](crate::Manager::derive) from the files like from any other value. A
/// slice pattern separates two files that belong together:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
/// # struct Acceptor;
/// # impl Acceptor {
/// #     fn new(_certificate: &[u8], key: &[u8]) -> Result<Self, rekindle::BoxError> {
/// #         assert_eq!(key, b"key");
/// #         Ok(Self)
/// #     }
/// # }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = |name: &str| dir.path().join(name);
/// # std::fs::write(path("tls.crt"), "certificate")?;
/// # std::fs::write(path("tls.key"), "key")?;
/// let mut reload = Manager::new();
/// let pair = file::set([path("tls.crt"), path("tls.key")]).watch();
/// let pair = reload.source("tls files", pair).await?;
/// let acceptor = reload.derive("acceptor", &pair, async |pair| {
///     let [certificate, key] = &pair[..] else { unreachable!("two files are named") };
///     // Rejects a certificate and a key that do not fit, and with it the reload.
///     Acceptor::new(certificate.bytes(), key.bytes())
/// });
/// let acceptor = acceptor.await?;
/// # drop(acceptor);
/// # Ok(())
/// # }
/// ```
///
/// A directory of fragments:
///
/// ```
/// # #[cfg(feature = "toml")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use std::collections::BTreeMap;
/// use rekindle::{Manager, file};
///
/// #[derive(serde::Deserialize)]
/// struct Site {
///     host: String,
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = |name: &str| dir.path().join(name);
/// std::fs::write(path("a.toml"), "host = 'alpha'")?;
/// std::fs::write(path("b.toml"), "host = 'beta'")?;
/// let mut reload = Manager::new();
/// let files = reload.source("site files", file::set([path("*.toml")]).watch()).await?;
/// let sites = reload.derive("sites", &files, async |files| {
///     let mut sites = BTreeMap::new();
///     for file in files.iter() {
///         let site: Site = file.toml()?;
///         sites.insert(site.host.clone(), site);
///     }
///     Ok(sites)
/// });
/// let sites = sites.await?;
/// assert!(sites.load().contains_key("beta"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "toml"))]
/// # fn main() {}
/// ```
pub fn set<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> File<Files> {
    let roots = paths.into_iter().map(|path| Name::pattern(path.as_ref()));
    File::new(roots, |includes| Ok(includes.roots()?))
}

/// One or several files as a [`Source`], made by [`json`], [`toml`](fn@toml), [`yaml`], [`text`],
/// [`bytes`] and [`set`].
///
/// A relative path is resolved against the working directory at the time when the `File` is made.
///
/// # Errors
///
/// [`read`](Source::read) fails with an [`Error`], or with the error that the closure of
/// [`include`](Self::include) returns. The first read then ends the start-up; a later one rejects
/// the reload, and the current value stays. A watched file that stays bad is reported once.
///
/// # Cancel safety
///
/// A dropped read leaves only the running file system call behind. The next read waits up to a
/// second for that call and then fails. A change that was reported, but not loaded because the read
/// was dropped, is reported again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use rekindle::{Manager, file};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("greeting.txt");
/// std::fs::write(&path, "hello")?;
/// let mut reload = Manager::new();
/// let greeting = reload.source("greeting", file::text(&path)).await?;
/// assert_eq!(*greeting.load(), "hello");
/// # Ok(())
/// # }
/// ```
#[must_use = "a file does nothing until it is given to `Manager::source`"]
pub struct File<T> {
    build: Build<T>,
    plan: Plan,
}

/// The function that builds a value from the files read.
type Build<T> = Box<dyn Fn(&Includes) -> Result<T, BoxError> + Send + Sync>;

/// The files to read, and the options for watching them.
struct Plan {
    roots: Arc<[Name]>,
    limits: Limits,
    watched: bool,
    events: bool,
    trigger: Trigger,
    poll: Option<Duration>,
    shows_values: bool,
    place: Arc<Place>,
}

/// The most rounds in which a read asks for further files.
const MAX_ROUNDS: usize = 256;

impl<T: Send + Sync + 'static> File<T> {
    fn new(
        roots: impl IntoIterator<Item = Name>,
        build: impl Fn(&Includes) -> Result<T, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            build: Box::new(build),
            plan: Plan {
                roots: roots.into_iter().collect(),
                limits: Limits::default(),
                watched: false,
                events: true,
                trigger: "file".into(),
                poll: Some(watch::SAFETY_POLL),
                shows_values: false,
                place: Arc::default(),
            },
        }
    }

    fn one(path: &Path, parse: Parse<T>) -> Self {
        Self::new([Name::file(path)], move |includes| {
            Ok(includes.root()?.parse(parse)?)
        })
    }
}

impl<T: Send + Sync + 'static> Source for File<T> {
    type Value = T;

    async fn read(&self, committed: Option<Stamp>) -> Result<Reading<T>, BoxError> {
        let Plan {
            roots,
            limits,
            place,
            shows_values,
            ..
        } = &self.plan;
        let mut names = Arc::clone(roots);
        for _ in 0..MAX_ROUNDS {
            let reading = place.seen.reading();
            let loaded = match read::stable(place, &names, *limits, Arming::AsNeeded).await {
                Ok(loaded) => loaded,
                Err(unread) => {
                    if let Some(sights) = unread.sights() {
                        reading.found(&sights);
                    }
                    return Err(unread.error.into());
                }
            };
            let may_pass = loaded.may_pass();
            let sights = loaded.sights();
            reading.found(&sights);
            let stamp = Stamp::of_value(&sights);
            if committed == Some(stamp) {
                place.setback.end_unless(may_pass);
                place.settle_on(names, &sights);
                return Ok(Reading::Unchanged);
            }
            let includes = Includes::new(Arc::clone(roots), loaded, *shows_values);
            // Deserializing the app's type can take any time. It runs in this future, not on the
            // reading thread, so that the supervisor notices if it blocks.
            let built = (self.build)(&includes);
            if let Some(wanted) = names::next(&names, &includes.into_asked()) {
                names = wanted;
                continue;
            }
            place.setback.end_unless(may_pass);
            match &built {
                Ok(_) => place.settle_on(names, &sights),
                // A failed build may not have asked for all of its includes, so the known names are
                // kept.
                Err(_) => place.watch_too(&names),
            }
            return built.map(|value| Reading::Stamped(value, stamp));
        }
        Err(Error::new(&names::first(roots), Kind::Endless).into())
    }

    fn watch(&mut self) -> Result<Option<Watch>, BoxError> {
        if !self.plan.watched {
            return Ok(None);
        }
        Ok(Some(Watch::new(Watcher::new(&self.plan))))
    }
}

impl<T> fmt::Debug for File<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("paths", &self.plan.roots)
            .field("watched", &self.plan.watched)
            .field("events", &self.plan.events)
            .field("max_size", &self.plan.limits.max_size)
            .field("quiet", &self.plan.limits.quiet)
            .field("poll", &self.plan.poll)
            .finish_non_exhaustive()
    }
}

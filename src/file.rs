//! Configuration files: read whole, told apart by their contents, and watched.
//!
//! | | reads | feature |
//! |---|---|---|
//! | [`json`], [`toml`](fn@toml), [`yaml`] | a value of any type that serde can deserialize | of the same name |
//! | [`text`] | a `String` | `file` |
//! | [`bytes`] | a `Vec<u8>` | `file` |
//! | [`set`] | several files, or all that match a pattern, as [`Files`] | `file` |
//!
//! Each gives a [`File`], which is a [`Source`]. With [`File::watch`] it reports changes too:
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
//! # What is read
//!
//! The file, or the files of a [`set`], and what they [include](File::include), however deep. All
//! of that is one value and one component: it is read together, watched together, and refused
//! together. Only regular files are read, each up to [`File::max_size`]. A file that does not exist
//! is an error, unless it is [optional](File::optional) or a pattern would stand for it.
//!
//! # What counts as read
//!
//! Only what has come to rest, and only as a whole. Each file has to have been left alone for
//! [`File::quiet`], and all of them have to be the same files, of the same sizes and times, at the
//! same paths, before the first one is read and after the last. Otherwise all are read again. What
//! does not come to rest is refused; so nothing that is half written is ever loaded, unless its
//! writer pauses for longer than that. Nothing at all is what is left between two steps of a
//! writer, so an empty file, an optional one that is absent, and a pattern that no file matches
//! have to rest ten times as long.
//!
//! # What counts as changed
//!
//! The contents, which files there are, and why one cannot be read; nothing else. `touch`, a change
//! of the permissions that leaves the file readable, or saving the same bytes again changes
//! nothing. The digest of what is live is kept with the value, so a reload that finds the same
//! files builds nothing.
//!
//! # What is watched
//!
//! With [`File::watch`], each directory on the way to each file: that of the file, that of every
//! symbolic link, and those above them, which tell that one below was exchanged; for a pattern, all
//! entries of its directory; and a file itself, if it has hard links or is mounted over another
//! one, so that it may be written by another path. What is included is watched from its first read
//! on, for as long as it is included. Before each read the ways are looked up and watched, and only
//! then the files are read: what changes afterwards has an event.
//!
//! Events are hints, and the contents are the truth: after an event and [`File::quiet`] the files
//! are read, and reported if they differ from what was reported last. [`File::poll`] reads them
//! without an event, for file systems that have none, and for what has none anywhere: a file system
//! that is mounted over a directory.
//!
//! # What blocks, and what it costs
//!
//! The files of a source are read on a thread that is started for each read, with one call at a time,
//! the watcher's included. A call that does not come back, because a network mount hangs, runs into
//! the deadline of its component; until it has come back the source is not read again, and reloads
//! are refused with an error that says where it hangs. If it is still running when a signal ends the
//! process, it is named. The contents are parsed by whoever reads, on the runtime.
//!
//! A read for which no thread can be started or no file be opened, because there are too many, is an
//! error that says so. The watcher tries again with pauses that grow from half a second to half a
//! minute, so what was saved meanwhile is read when there are fewer. So it is with every error of the
//! operating system that is not about the file, such as those of a network mount.
//!
//! Watching costs a task for each source, and one thread and one inotify instance for each file
//! system, however many sources have files there. While nothing happens, nothing runs but the poll.
//!
//! # What a format means
//!
//! JSON, TOML and YAML become the same tree first, and the value is deserialized from that. So these
//! hold for all of them:
//!
//! - A key that is twice in a map is an error, with the place of the second.
//! - A struct is a map. A list in its place, which serde would take field by field, is an error.
//! - An enum is the name of a variant, or a map with that as its only key. YAML's `!Name` is another
//!   way to write it.
//! - Integers have up to 128 bits. Keys that are numbers are written as numbers are: `8080`.
//! - More than 128 lists and maps inside each other are an error.
//!
//! YAML's merge keys (`<<: *defaults`) are merged: the keys of the map itself win, and of several maps
//! the earlier one. A file has one document. What all aliases together repeat is limited to 16 MiB.
//! TOML's dates and times are for `toml::value::Datetime` and its parts; a `String` does not take them.
//!
//! The tree is made for configuration, so two types work with their own parser only:
//! `serde_json::value::RawValue`, and those that borrow from the text.
//!
//! # What an error says
//!
//! Path, line, column, key, and what was expected; never a value, because a configuration file
//! holds passwords and errors end in logs: see [`Error`]. For a file that holds no secrets,
//! [`File::show_values`] lets the messages be complete.

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

/// Several files, read as one: a certificate and its key, a directory of fragments.
///
/// The last part of each path may be a pattern: `*` stands for any characters, `?` for one, `[a-z]`
/// for one of these. As in a shell, a pattern does not match names that begin with a dot, unless it
/// does so itself; `[[]` stands for a bracket; and what is no valid pattern stands for itself, such
/// as `**.toml`. The files that match count in the order of their names; directories are left out;
/// that no file matches is no error. A file named without a pattern has to exist; one that may be
/// absent beside others has a pattern that matches nothing else: `local.tom[l]`. A file that is
/// named twice is there once.
///
/// # Consistency
///
/// The files are of one moment: a directory that is swapped while they are read, by rename or by a
/// symbolic link, never gives some from before and some from after. Files that are *written* one
/// after the other are of one moment only if the pause between two writes is shorter than
/// [`File::quiet`]; whoever can, renames a directory, and whoever uses them checks that they fit.
///
/// # Errors
///
/// A reload is refused if one of the files cannot be read, or a pattern matches more than 10,000.
///
/// # Examples
///
/// Components are [derived](crate::Manager::derive) from the files like from any value. Two that
/// belong together are taken apart by a pattern of Rust's:
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
///     // Refuses a certificate and a key that do not fit, and with it the reload.
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

/// A file as a [`Source`], or several: made by [`json`], [`toml`](fn@toml), [`yaml`], [`text`],
/// [`bytes`] and [`set`].
///
/// A relative path is taken relative to the working directory of the moment in which the `File` is
/// made.
///
/// # Errors
///
/// [`read`](Source::read) fails with an [`Error`], or with what the closure of
/// [`include`](Self::include) returns: at the start that ends the start-up, later it refuses the
/// reload, and what is live stays. A watched file that stays bad is reported once.
///
/// # Cancel safety
///
/// A read that is dropped leaves nothing behind but the call into the file system that is under
/// way: the next read waits until that is over, or is refused after a second. A change that was
/// reported and not loaded for that reason is reported again.
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

/// How what was read becomes a value.
type Build<T> = Box<dyn Fn(&Includes) -> Result<T, BoxError> + Send + Sync>;

/// What is read, and how it is watched.
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

/// How often files are read again because more of them were asked for.
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
            if !loaded.may_pass() {
                place.setback.end();
            }
            let sights = loaded.sights();
            reading.found(&sights);
            let stamp = Stamp::of_value(&sights);
            if committed == Some(stamp) {
                place.settle_on(names, &sights);
                return Ok(Reading::Unchanged);
            }
            let includes = Includes::new(Arc::clone(roots), loaded, *shows_values);
            // The type is the app's, so this may take any time: it happens here, where whoever polls
            // sees that it does.
            let built = (self.build)(&includes);
            if let Some(wanted) = names::next(&names, &includes.into_asked()) {
                names = wanted;
                continue;
            }
            match &built {
                Ok(_) => place.settle_on(names, &sights),
                // Nobody knows what it would have asked for.
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

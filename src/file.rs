//! Configuration files: read whole, told apart by their contents, and watched.
//!
//! | | reads | feature |
//! |---|---|---|
//! | [`json`], [`toml`](fn@toml), [`yaml`] | a value of any type that serde can deserialize | of the same name |
//! | [`text`] | a `String` | `file` |
//! | [`bytes`] | a `Vec<u8>` | `file` |
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
//! # What counts as read
//!
//! Only a regular file, only up to [`File::max_size`], and only as a whole: the file has to have
//! rested for [`File::quiet`] and has to be the same file, of the same size and times, before and
//! after the read. Otherwise it is read again. A file that does not come to rest is
//! refused; so nothing that is half written is ever loaded, unless its writer pauses for longer
//! than that. An empty file is what is left between truncating and writing, so it has to rest ten
//! times as long.
//!
//! # What blocks
//!
//! The file is read on a thread of the runtime's blocking pool, one for each file. A read that does
//! not come back, because a network mount hangs, runs into the deadline of its component; until it
//! has come back the file is not read again, and reloads are refused with an error that says so. If
//! it keeps the process from ending after a signal, it is named. The contents are parsed by
//! whoever reads, on the runtime.
//!
//! # What counts as changed
//!
//! The contents, nothing else. `touch`, a change of the permissions, or saving the same bytes again
//! changes nothing.
//!
//! # What an error says
//!
//! Path, line, column, key, and what was expected; never a value, because a configuration file
//! holds passwords and errors end in logs: see [`Error`].

use std::fmt;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::{BoxError, Reading, Source, Stamp, Trigger, Watch};

mod access;
mod error;
mod format;
mod read;
mod rest;
mod seen;
mod watch;

pub use error::Error;

use access::Access;
use error::Kind;
use format::Parse;
use read::Limits;
use rest::Rest;
use seen::Seen;
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
    File::new(path.as_ref(), format::json::parse)
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
    File::new(path.as_ref(), format::toml::parse)
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
    File::new(path.as_ref(), format::yaml::parse)
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
    File::new(path.as_ref(), format::text)
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
    File::new(path.as_ref(), format::bytes)
}

/// A file as a [`Source`]: made by [`json`], [`toml`](fn@toml), [`yaml`], [`text`] and
/// [`bytes`].
///
/// A relative path is taken relative to the working directory of the moment in which the `File` is
/// made.
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
    /// As the app named it; what errors and log lines show.
    path: PathBuf,
    place: Arc<Place>,
    parse: Parse<T>,
    limits: Limits,
    watched: bool,
    trigger: Trigger,
    poll: Option<Duration>,
}

/// Where the file is, and what is known about it: what the source and its watcher share.
struct Place {
    /// Absolute, so that a later `chdir` does not move it.
    path: Arc<Path>,
    access: Access,
    rest: Rest,
    seen: Seen,
}

impl<T: Send + Sync + 'static> File<T> {
    fn new(path: &Path, parse: Parse<T>) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let absolute: Arc<Path> = absolute.into();
        Self {
            path: path.to_owned(),
            place: Arc::new(Place {
                access: Access::new(Arc::clone(&absolute)),
                path: absolute,
                rest: Rest::default(),
                seen: Seen::default(),
            }),
            parse,
            limits: Limits::default(),
            watched: false,
            trigger: "file".into(),
            poll: Some(watch::SAFETY_POLL),
        }
    }

    /// Reports changes, with the trigger `file`.
    ///
    /// Saving in place, saving by rename, a symbolic link that is pointed elsewhere, a Kubernetes
    /// `..data` swap, and removing the file and creating it again are all seen, each time: what is
    /// watched is the directory of every link on the way to the file, and after each event the way
    /// is looked up again. Events are hints. What counts is the contents: a change is reported when
    /// the contents differ from those reported last, so a file that stays bad is reported once.
    /// A slow [poll](Self::poll) finds what no event told: a directory further up that was swapped
    /// for another, a write on the other side of a network mount.
    ///
    /// If the kernel refuses to watch (there is a limit on inotify watches and instances), a
    /// warning is logged once, and the file is read once a second instead.
    ///
    /// Watching starts before the first read, so an edit during start-up is not missed.
    ///
    /// Each watched file costs a thread and, on Linux, an inotify instance with three file
    /// descriptors. A user usually may have 128 instances; the files beyond that are polled.
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
    /// let greeting = reload.source("greeting", file::text(&path).watch()).await?;
    /// let mut reports = reload.handle().subscribe();
    /// reload
    ///     .run(async move |_stop| {
    ///         std::fs::write(&path, "good evening")?;
    ///         let report = reports.next().await.expect("the manager runs");
    ///         assert!(report.triggers().contains("file"));
    ///         assert_eq!(*greeting.load(), "good evening");
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(mut self) -> Self {
        self.watched = true;
        self
    }

    /// The largest size in bytes that is read. The default is 8 MiB; a larger file is refused.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{Source, file};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("token");
    /// std::fs::write(&path, "hello")?;
    /// assert!(file::text(&path).max_size(5).read(None).await.is_ok());
    /// assert!(file::text(&path).max_size(4).read(None).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.limits.max_size = bytes;
        self
    }

    /// How long the file has to be left alone before it is read. The default is 50 ms.
    ///
    /// A change is reported when the events have ceased for that long; if they do not cease, after
    /// ten times as long. An empty file has to rest ten times as long, too. A file that does not
    /// come to rest for twenty times as long is refused as still being written.
    ///
    /// The time is measured here, not taken from the file: a file that is read for the first time is
    /// looked at twice, unless its times are more than 3 s old. A modification time in the future,
    /// or one in whole seconds, does no harm.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::time::Duration;
    /// use rekindle::{Manager, file};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("greeting.txt");
    /// std::fs::write(&path, "hello")?;
    /// // Whoever writes it renames a complete file over it, so there is nothing to wait for.
    /// let greeting = file::text(&path).quiet(Duration::from_millis(1));
    /// let mut reload = Manager::new();
    /// assert_eq!(*reload.source("greeting", greeting).await?.load(), "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.limits.quiet = quiet;
        self
    }

    /// The name of the trigger with which changes are reported. The default is `file`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{Manager, file};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("hosts.txt");
    /// std::fs::write(&path, "alpha")?;
    /// let mut reload = Manager::new();
    /// reload.source("hosts", file::text(&path).watch().trigger("hosts.txt")).await?;
    /// let mut reports = reload.handle().subscribe();
    /// reload
    ///     .run(async move |_stop| {
    ///         std::fs::write(&path, "alpha beta")?;
    ///         let report = reports.next().await.expect("the manager runs");
    ///         assert!(report.triggers().contains("hosts.txt"));
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trigger(mut self, trigger: impl Into<Trigger>) -> Self {
        self.trigger = trigger.into();
        self
    }

    /// How often a watched file is read even though no event came, for file systems that have none
    /// (network mounts). The default is 30 s; `None` turns it off. Below 10 ms counts as 10 ms.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::file;
    ///
    /// let list = file::text("/mnt/nfs/list.txt").watch().poll(Duration::from_secs(5));
    /// let local = file::text("/etc/app/list.txt").watch().poll(None);
    /// ```
    pub fn poll(mut self, every: impl Into<Option<Duration>>) -> Self {
        self.poll = every
            .into()
            .map(|every| every.max(Duration::from_millis(10)));
        self
    }
}

impl<T: Send + Sync + 'static> Source for File<T> {
    type Value = T;

    async fn read(&self, committed: Option<Stamp>) -> Result<Reading<T>, BoxError> {
        let reading = self.place.seen.reading();
        let read = read::stable(&self.place, self.limits).await;
        reading.found(
            read.as_ref()
                .map(|read| read.stamp)
                .map_err(mem::discriminant),
        );
        let refused = |kind| Error::new(&self.path, kind);
        let contents = read.map_err(refused)?;
        if committed == Some(contents.stamp) {
            return Ok(Reading::Unchanged);
        }
        // The type is the app's, so this may take any time: it happens here, where whoever polls
        // sees that it does.
        let parsed = format::parse(self.parse, contents.bytes);
        let value = parsed.map_err(Kind::Contents).map_err(refused)?;
        Ok(Reading::Stamped(value, contents.stamp))
    }

    fn watch(&mut self) -> Result<Option<Watch>, BoxError> {
        if !self.watched {
            return Ok(None);
        }
        Ok(Some(Watch::new(Watcher::new(self))))
    }
}

impl<T> fmt::Debug for File<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("watched", &self.watched)
            .field("max_size", &self.limits.max_size)
            .field("quiet", &self.limits.quiet)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

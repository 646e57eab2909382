//! The options of a [`File`].

use std::time::Duration;

use super::names::Name;
use super::{File, Includes};
use crate::{BoxError, Trigger};

impl<T: Send + Sync + 'static> File<T> {
    /// Reports changes, with the [trigger](Self::trigger) `file`. Without this, the file is read
    /// when something else asks for a reload.
    ///
    /// Saving in place, saving by rename, a symbolic link that is pointed elsewhere, a Kubernetes
    /// `..data` swap, and removing the file and creating it again are all seen, each time: what is
    /// watched is every directory on the way to the file, and after each event the way is
    /// looked up again. Events are hints. What counts is the contents: a change is reported when
    /// the contents differ from those reported last, so a file that stays bad is reported once.
    /// A slow [poll](Self::poll) finds what no event told: a write on the other side of a network
    /// mount, a file system that was mounted over a directory, a file that is mounted over another
    /// one of the same file system.
    ///
    /// If the kernel refuses to watch (there is a limit on inotify watches and instances), a
    /// warning is logged once, and the file is read at least once a second instead, until it can be
    /// watched again.
    ///
    /// Watching starts before the first read, so an edit during start-up is not missed.
    ///
    /// All watched files of a file system share a thread and, on Linux, an inotify instance with
    /// three file descriptors, of which a user usually may have 128; the file systems beyond that are
    /// polled. Each directory on the way to a file costs one inotify watch (but for the root and
    /// those right in it, such as `/etc`, unless the file is there), however many files lead through
    /// it, and so does a file that has hard links or is mounted over another. A directory that may be
    /// searched but not read cannot be watched; that matters only where the file or a link to it is
    /// right in it, and then the file is polled.
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
        self.plan.watched = true;
        self
    }

    /// Whether the kernel is asked to tell of changes to a watched file. The default is `true`;
    /// with `false` only the [poll](Self::poll) finds them, every 30 s if that is turned off.
    ///
    /// For file systems whose events are known to be wrong, or where watches are scarce.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::file;
    ///
    /// let list = file::text("/mnt/9p/list.txt").watch().events(false).poll(Duration::from_secs(2));
    /// ```
    pub fn events(mut self, events: bool) -> Self {
        self.plan.events = events;
        self
    }

    /// The file may be absent: the value is `None` then. Of a [`set`](super::set), if nothing of it
    /// is there; a part of it is an error still. What is [included](Self::include) is not meant.
    ///
    /// Without this, a file that is absent ends the start-up, and refuses a reload. With it, a
    /// watched file that is created or removed is a change like any other. Because a file is absent
    /// for a moment when it is replaced by other means than rename, absence has to rest like an
    /// empty file: for ten times as long as contents. A symbolic link that leads nowhere is an
    /// error still.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{Manager, file};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("motd");
    /// let mut reload = Manager::new();
    /// let message = reload.source("motd", file::text(&path).optional().watch()).await?;
    /// assert_eq!(*message.load(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn optional(self) -> File<Option<T>> {
        let Self { build, mut plan } = self;
        let optional = |root: &Name| Name {
            optional: true,
            ..root.clone()
        };
        plan.roots = plan.roots.iter().map(optional).collect();
        let build = move |includes: &Includes| match includes.is_absent() {
            true => Ok(None),
            false => build(includes).map(Some),
        };
        File {
            build: Box::new(build),
            plan,
        }
    }

    /// Reads further files that this one asks for, and makes one value of all.
    ///
    /// They are read at the same moment as the file that includes them, and watched with it, as
    /// long as it asks for them. `build` gets the value and reads the others through [`Includes`],
    /// where included files that include others are shown, too. It is a closure or a function
    /// `fn(T, &Includes) -> Result<U, BoxError>`.
    ///
    /// It is called several times in a reload, on the runtime, until it has asked for nothing new,
    /// so it should do nothing but read and combine. Each time all files are read again, at most
    /// 256 times; if nothing has changed since the last reload, it may be called with a part of the
    /// files and its result is not used.
    ///
    /// # Errors
    ///
    /// An error of `build` refuses the reload (or ends the start-up), unless it asked for files
    /// that are not read yet: then its result does not count. So `?` is right, and the error need
    /// not be told apart from others.
    ///
    /// ```
    /// # #[cfg(feature = "toml")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{Manager, file};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Config {
    ///     include: Vec<String>,
    ///     #[serde(default)]
    ///     hosts: Vec<String>,
    /// }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Fragment {
    ///     hosts: Vec<String>,
    /// }
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("app.toml");
    /// # std::fs::create_dir(dir.path().join("conf.d"))?;
    /// std::fs::write(&path, "include = ['conf.d/*.toml']")?;
    /// # std::fs::write(dir.path().join("conf.d/a.toml"), "hosts = ['alpha']")?;
    /// let config = file::toml::<Config>(&path).include(|mut config, includes| {
    ///     for file in includes.set(&config.include)? {
    ///         config.hosts.extend(file.toml::<Fragment>()?.hosts);
    ///     }
    ///     Ok(config)
    /// });
    /// let mut reload = Manager::new();
    /// let config = reload.source("config", config.watch()).await?;
    /// assert_eq!(config.load().hosts, ["alpha"]);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "toml"))]
    /// # fn main() {}
    /// ```
    pub fn include<U: Send + Sync + 'static>(
        self,
        build: impl Fn(T, &Includes) -> Result<U, BoxError> + Send + Sync + 'static,
    ) -> File<U> {
        let Self { build: first, plan } = self;
        File {
            build: Box::new(move |includes| build(first(includes)?, includes)),
            plan,
        }
    }

    /// Lets errors about the contents have the values in them, as the parsers and the types word them.
    ///
    /// **Errors end in logs, in reports, and in the answers of the admin endpoints.** So this is for
    /// files that hold no secrets and never will: routes, feature flags, limits. In any other file the
    /// error about a password that is longer than allowed is the password, in the log.
    ///
    /// It concerns the files that the source names. What they [include](Self::include) stays without
    /// values, and so do other sources.
    ///
    /// ```
    /// # #[cfg(feature = "json")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use rekindle::{Source, file};
    ///
    /// #[derive(serde::Deserialize)]
    /// enum Level {
    ///     Info,
    ///     Debug,
    /// }
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("level.json");
    /// std::fs::write(&path, r#""Debgu""#)?;
    /// let error = file::json::<Level>(&path).read(None).await.err().unwrap();
    /// assert!(error.to_string().ends_with("unknown variant, expected `Info` or `Debug`"));
    /// let error = file::json::<Level>(&path).show_values().read(None).await.err().unwrap();
    /// assert!(error.to_string().ends_with("unknown variant `Debgu`, expected `Info` or `Debug`"));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "json"))]
    /// # fn main() {}
    /// ```
    pub fn show_values(mut self) -> Self {
        self.plan.shows_values = true;
        self
    }

    /// The largest size in bytes that is read, of each file. The default is 8 MiB; a larger file is
    /// refused.
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
        self.plan.limits.max_size = bytes;
        self
    }

    /// How long the file has to be left alone before it is read. The default is 50 ms.
    ///
    /// A change is reported when the events have ceased for that long; if they do not cease, after
    /// ten times as long. An empty file has to rest ten times as long, too, and so does the absence
    /// of one that is [optional](Self::optional), or of any that a pattern would match. What does
    /// not come to rest for twenty times as long is refused as still being written. Of several
    /// files, each has to rest.
    ///
    /// The time is measured here, not taken from the file: a file that is read for the first time
    /// is looked at twice, unless its times are more than 3 s old. A modification time in the
    /// future, or one in whole seconds, does no harm. Below some 10 ms, the tick of the clock with
    /// which a file system stamps what is written, a write during the read that leaves the size as it
    /// was may go unnoticed until its event.
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
        self.plan.limits.quiet = quiet;
        self
    }

    /// The name of the trigger with which changes are reported, in logs and reports. The default is
    /// `file`.
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
        self.plan.trigger = trigger.into();
        self
    }

    /// How often a watched file is read even though no event came, for file systems that have none
    /// (network mounts). The default is 30 s; `None` turns it off. Below 10 ms counts as 10 ms.
    ///
    /// Each pause is up to a tenth longer or shorter, by chance, so that the machines of a fleet do
    /// not ask their file server all at once. A read that finds nothing new causes no reload.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::file;
    ///
    /// let list = file::text("/mnt/nfs/list.txt").watch().poll(Duration::from_secs(5));
    /// let local = file::text("/etc/app/list.txt").watch().poll(None);
    /// ```
    pub fn poll(mut self, every: impl Into<Option<Duration>>) -> Self {
        self.plan.poll = every
            .into()
            .map(|every| every.max(Duration::from_millis(10)));
        self
    }
}

//! The options of a [`File`].

use std::time::Duration;

use super::names::Name;
use super::{File, Includes};
use crate::{BoxError, Trigger};

impl<T: Send + Sync + 'static> File<T> {
    /// Reloads when the file changes, with the [trigger](Self::trigger) `file`. Without this, the
    /// file is read when something else asks for a reload.
    ///
    /// These are all seen, each time: saving in place, saving by rename, a redirected symbolic
    /// link, a Kubernetes `..data` swap, and removing the file and creating it again. Every
    /// directory on the path to the file is watched, and after each event the path is resolved
    /// again. Events are hints; the contents decide. A change is reported when the contents differ
    /// from those last reported, so a file that stays bad is reported once. A slow
    /// [poll](Self::poll) finds changes without an event: a write on the other side of a network
    /// mount, a file system that was mounted over a directory, a file that is mounted over another
    /// one of the same file system.
    ///
    /// If the kernel rejects a watch (there is a limit on inotify watches and instances), a warning
    /// is logged once, and the file is read at least once a second until it can be watched again.
    ///
    /// Watching starts before the first read, so an edit during start-up is reported.
    ///
    /// All watched files of a file system share a thread and, on Linux, an inotify instance with
    /// three file descriptors. A user is usually limited to 128 instances; the file systems beyond
    /// that are polled. Each directory on the path to a file costs one inotify watch, however many
    /// files lead through it, and so does a file that has hard links or is mounted over another
    /// one. The root and the directories directly in it, such as `/etc`, cost a watch only if the
    /// file is there. A directory that may be searched but not read cannot be watched. That matters
    /// only if the file or a link to it is directly in it, and then the file is polled.
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

    /// Turns the kernel's events for a watched file on or off. The default is `true`; with `false`
    /// only the [poll](Self::poll) finds changes, every 30 s if the poll is turned off.
    ///
    /// Use `false` for file systems whose events are known to be wrong, or where watches are
    /// scarce.
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

    /// Makes the file optional: the value is `None` while it is absent. A [`set`](super::set) is
    /// `None` if all of it is absent; a missing part is still an error. [Included](Self::include)
    /// files are not optional.
    ///
    /// Without this, an absent file ends the start-up or rejects the reload. With it, creating or
    /// removing a watched file is a change like any other. A file that is replaced by other means
    /// than rename is absent for a moment, so absence, like an empty file, must be stable for ten
    /// times as long as contents. A symbolic link that leads nowhere is still an error.
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

    /// Reads further files that this one includes, and makes one value of all.
    ///
    /// They are read at the same moment as the file that includes them, and watched with it, as
    /// long as it includes them. `build` gets the value and reads the others through [`Includes`],
    /// which also shows how included files include others. It is a closure, or a function
    /// `fn(T, &Includes) -> Result<U, BoxError>`.
    ///
    /// A reload calls it several times, on the runtime, until it asks for no new file, so it should
    /// only read and combine. Each time all files are read again, at most 256 times. If nothing has
    /// changed since the last reload, it may be called with a part of the files, and its result is
    /// not used.
    ///
    /// # Errors
    ///
    /// An error of `build` rejects the reload (or ends the start-up), unless `build` asked for
    /// files that are not read yet: then its result is ignored. So `?` is right for every error.
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

    /// Shows values in errors about the contents, as the parsers and the types word them.
    ///
    /// **Errors end up in logs, in reports, and in the answers of the admin endpoints.** Use this
    /// for files that hold no secrets and never will: routes, feature flags, limits. In any other
    /// file, an error about a password that is longer than allowed puts the password into the log.
    ///
    /// It affects the files that the source names. Errors of [included](Self::include) files and of
    /// other sources stay without values.
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

    /// Limits the size of each file, in bytes. The default is 8 MiB; a larger file is rejected.
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

    /// Sets the time for which a file must be left alone before it is read. The default is 50 ms.
    ///
    /// A change is reported when the events have ceased for that long, or after ten times as long
    /// if they do not cease. An empty file must be stable for ten times as long, too, and so must
    /// the absence of one that is [optional](Self::optional), or of any that a pattern would match.
    /// A file that keeps changing for twenty times as long is rejected as still being written. Each
    /// of several files must be stable.
    ///
    /// The time is measured by this process, not taken from the file: a file that is read for the
    /// first time is looked at twice, unless its times are more than 3 s old. A modification time
    /// in the future, or one in whole seconds, does no harm. Below some 10 ms, the tick of a file
    /// system's clock, a write during the read that keeps the size can go unnoticed until its
    /// event.
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
    /// // The writer renames a complete file over it, so there is nothing to wait for.
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

    /// Names the trigger that reports changes, in logs and reports. The default is `file`.
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

    /// Sets how often a watched file is read although no event came, for file systems without
    /// events (network mounts). The default is 30 s; `None` turns it off. An interval below 10 ms
    /// counts as 10 ms.
    ///
    /// Each pause is up to a tenth longer or shorter, at random, so that the machines of a fleet do
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

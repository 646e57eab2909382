//! What a manager manages: components, effects, reloaders and notifiers.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::core::Hook;
use super::{Added, Manager};
use crate::crew::Kind;
use crate::panic::Quiet;
use crate::{Apply, Built, Component, Done, Each, Inputs, Notifier, Reloader, Selection, Source};

impl Manager {
    /// Adds a component that is read from outside: a file, or an `async || Ok(value)` closure.
    ///
    /// `.await` reads the first value. Every reload reads it again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::Error> {
    /// # let mut reload = rekindle::Manager::new();
    /// let home = reload.source("home", async || Ok(std::env::var("HOME")?)).await?;
    /// # drop(home);
    /// # Ok(())
    /// # }
    /// ```
    pub fn source<S: Source>(
        &mut self,
        name: impl Into<String>,
        source: S,
    ) -> Component<'_, S::Value> {
        Component::from_source(self, &name.into().into(), source)
    }

    /// Adds a component that is computed from others.
    ///
    /// `.await` builds the first value. A reload builds it again when its [`Inputs`] changed, with
    /// their new values. Components that do not depend on each other are built concurrently, and on
    /// all cores if they compute. A build that blocks its thread cannot be stopped: move blocking
    /// work to `spawn_blocking`.
    ///
    /// The closure is cloned for each call, so it may move its captures into the future.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::Error> {
    /// # let mut reload = rekindle::Manager::new();
    /// let width = reload.source("width", async || Ok(3)).await?;
    /// let height = reload.source("height", async || Ok(4)).await?;
    /// let area = reload.derive("area", (&width, &height), async |(w, h)| Ok(*w * *h)).await?;
    /// assert_eq!(*area.load(), 12);
    /// # Ok(())
    /// # }
    /// ```
    pub fn derive<I, F, Fut>(
        &mut self,
        name: impl Into<String>,
        inputs: I,
        build: F,
    ) -> Component<'_, <Fut::Output as Built>::Value>
    where
        I: Inputs,
        F: FnOnce(I::Values) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Built> + Send + 'static,
    {
        Component::derived(self, &name.into().into(), &inputs, build)
    }

    /// Adds a collection: a component with one value per key. See [`Each`].
    ///
    /// `settings` tells from the inputs which keys there are, and the setting of each; `build` makes
    /// the value of one key. A reload builds the keys that are new and those whose setting is another
    /// (`PartialEq`), concurrently; all others keep the value that they have, the same instance. One
    /// that cannot be built refuses the reload, and is named by its key, which is therefore no secret.
    /// Both functions are cloned for each call.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::collections::BTreeMap;
    ///
    /// #[derive(Clone, PartialEq)]
    /// struct Upstream {
    ///     address: String,
    /// }
    /// struct Config {
    ///     upstreams: BTreeMap<String, Upstream>,
    /// }
    /// struct Pool(String);
    ///
    /// # let mut reload = rekindle::Manager::new();
    /// # let upstream = Upstream { address: "[::1]:80".into() };
    /// # let upstreams = BTreeMap::from([("web".to_owned(), upstream)]);
    /// # let read = async || Ok(Config { upstreams });
    /// let config = reload.source("config", read).await?;
    /// let pools = reload
    ///     .each(
    ///         "pools",
    ///         config.select(|config| &config.upstreams),
    ///         |upstreams| upstreams,
    ///         async |_name, upstream| Ok(Pool(upstream.address)),
    ///     )
    ///     .retire(async |old: Pool| println!("closes the connections to {}", old.0))
    ///     .await?;
    /// assert_eq!(pools.load().get("web").expect("it is there").0, "[::1]:80");
    /// # Ok(())
    /// # }
    /// ```
    pub fn each<I, K, S, F, G, Fut>(
        &mut self,
        name: impl Into<String>,
        inputs: I,
        settings: F,
        build: G,
    ) -> Each<'_, K, <Fut::Output as Built>::Value>
    where
        I: Inputs,
        K: Ord + Clone + fmt::Display + Send + Sync + 'static,
        S: PartialEq + Clone + Send + Sync + 'static,
        F: FnOnce(I::Values) -> BTreeMap<K, S> + Clone + Send + Sync + 'static,
        G: FnOnce(K, S) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Built> + Send + 'static,
    {
        Each::new(self, &name.into().into(), &inputs, settings, build)
    }

    /// Adds a component for a setting that only a restart changes: it keeps the value that it had at
    /// the start.
    ///
    /// When the selection is another after a reload, the report and the status list the name as
    /// [pending](crate::Report::pending_restart), until it is the old one again. The reload is applied
    /// as any other. What is derived from the handle is therefore never rebuilt because of it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
    ///
    /// static WORKERS: AtomicU16 = AtomicU16::new(4);
    ///
    /// # let mut reload = rekindle::Manager::new();
    /// let config = reload.source("config", async || Ok(WORKERS.load(Relaxed))).await?;
    /// let workers = reload.pin("workers", config.map(|config| *config)).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         WORKERS.store(8, Relaxed);
    ///         let report = handle.reload("example").await?;
    ///         assert_eq!(report.pending_restart().collect::<Vec<_>>(), ["workers"]);
    ///         assert_eq!((*config.load(), *workers.load()), (8, 4));
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn pin<T, U>(
        &mut self,
        name: impl Into<String>,
        selection: Selection<T, U>,
    ) -> Component<'_, U>
    where
        T: Send + Sync + 'static,
        U: Clone + PartialEq + Send + Sync + 'static,
    {
        Component::pinned(self, &name.into().into(), selection)
    }

    /// Adds an effect that pushes values into something that is not ours, such as a log filter.
    ///
    /// `.await` runs it for the first time. After that it runs, after the commit, whenever its
    /// [`Inputs`] are others than when it last ran well: so one that failed is tried again by the
    /// next reload.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::Error> {
    /// # let mut reload = rekindle::Manager::new();
    /// let level = reload.source("level", async || Ok("info".to_owned())).await?;
    /// reload.apply("log level", &level, async |level| println!("level {level}")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply<I, F, Fut>(&mut self, name: impl Into<String>, inputs: I, effect: F) -> Apply<'_>
    where
        I: Inputs,
        F: FnOnce(I::Values) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        Apply::new(self, name.into().into(), inputs, effect)
    }

    /// Adds a reloader: an effect that runs in every reload, after the commit.
    ///
    /// Lower priorities run first, those of one priority concurrently, and a group that fails stops
    /// the later ones. See [`Reloader`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut reload = rekindle::Manager::new();
    /// reload.add(100, "audit", async |triggers| println!("reloaded because of {triggers}"));
    /// reload.add(-1, "cache", async |_| Ok(())).timeout(Duration::from_secs(5));
    /// ```
    pub fn add(
        &mut self,
        priority: i32,
        name: impl Into<String>,
        reloader: impl Reloader,
    ) -> Added<'_> {
        let name = name.into().into();
        let entry = self.ledger.add(Kind::Reloader, &name, self.timeout);
        let hook = Hook {
            entry: Arc::clone(&entry),
            reloader: Quiet::new(&name, Arc::new(reloader)),
        };
        self.reloaders.entry(priority).or_default().push(hook);
        Added {
            entry,
            manager: PhantomData,
        }
    }

    /// Adds a notifier: what it yields triggers a reload. See [`Notifier`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let (sender, receiver) = tokio::sync::mpsc::channel(1);
    /// reload.on(receiver);
    ///
    /// let mut reports = reload.handle().subscribe();
    /// reload
    ///     .run(async move |_stop| {
    ///         sender.send("etcd").await?;
    ///         let report = reports.next().await.expect("the manager runs");
    ///         assert!(report.triggers().contains("etcd"));
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn on(&mut self, notifier: impl Notifier) {
        self.attend(Box::new(notifier));
    }
}

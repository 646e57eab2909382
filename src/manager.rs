//! The manager, which owns the components and is the scope in which the app runs.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod added;
mod apply;
mod attend;
mod backoff;
mod core;
mod drain;
mod handle;
mod options;
mod policy;
mod probation;
mod queue;
mod reap;
mod reload;
mod run;
mod serve;
mod shared;
mod status;
mod supervise;
mod task;
mod tasks;
mod transaction;
mod under_way;
mod worker;

pub use added::Added;
pub use drain::Draining;
pub use handle::{Handle, Reports};
pub use policy::OnError;
pub use reap::Retiring;
pub use status::{NotifierStatus, Status, TaskStatus};

use self::core::Hook;
use crate::component::Graph;
use crate::crew::{Kind, Ledger};
use crate::escape::{Escaped, is_printable};
use crate::live::{Arrival, Home, Publication, Reaper, Retire};
use crate::notify::DynNotifier;
use crate::panic::{Quiet, catch};
use crate::{
    Apply, BoxError, Built, Component, Done, Each, Error, Inputs, Notifier, Probe, Reloader,
    Selection, Source,
};
use attend::Attended;
use probation::Probation;
use serve::CloseOnDrop;
use shared::Shared;

/// Owns the components, and is the scope in which the app runs.
///
/// First the app adds its parts: [`source`](Self::source), [`derive`](Self::derive),
/// [`each`](Self::each) and [`pin`](Self::pin) build components, [`apply`](Self::apply) and
/// [`add`](Self::add) add effects, and [`on`](Self::on) adds a notifier, which triggers reloads. Then
/// [`run`](Self::run) runs the app and reloads meanwhile.
///
/// ```
/// use rekindle::{BoxError, Manager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let mut reload = Manager::new();
/// let name = reload.source("name", async || Ok("Ada".to_owned())).await?;
/// let greeting = reload.derive("greeting", &name, async |n| Ok(format!("Hello {}", *n))).await?;
/// reload.add(0, "audit", async |triggers| println!("reloaded because of {triggers}"));
///
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         assert_eq!(*greeting.load(), "Hello Ada");
///         handle.reload("test").await?;
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[must_use = "a manager does nothing until it runs"]
pub struct Manager {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    graph: Graph,
    names: HashSet<Arc<str>>,
    reloaders: BTreeMap<i32, Vec<Hook>>,
    notifiers: Vec<Attended>,
    reaper: Arc<Reaper>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    retires: Vec<Arc<Retire>>,
    policy: OnError,
    timeout: Duration,
    probation: Option<Probation>,
    closer: CloseOnDrop,
}

impl Default for Manager {
    /// Does the same as [`new`](Self::new).
    ///
    /// ```
    /// let reload = rekindle::Manager::default();
    /// assert_eq!(reload.handle().status().components(), 0);
    /// ```
    fn default() -> Self {
        Self::new()
    }
}

impl Manager {
    /// Creates a manager without components, with the default options.
    pub fn new() -> Self {
        let (reaper, arrivals) = Reaper::new();
        let ledger = Ledger::new(&reaper);
        let shared = Shared::new(&ledger);
        Self {
            closer: CloseOnDrop(Arc::clone(&shared)),
            shared,
            ledger,
            graph: Graph::default(),
            names: HashSet::new(),
            reloaders: BTreeMap::new(),
            notifiers: Vec::new(),
            reaper,
            arrivals,
            retires: Vec::new(),
            policy: OnError::default(),
            timeout: Duration::from_secs(30),
            probation: None,
        }
    }

    /// Puts each new generation on probation, and goes back to the previous one if it fails.
    ///
    /// After the commit and the [effects](Self::apply), the [probe](Probe) is called: at once, then every
    /// second (ten times, if `duration` is less than ten seconds), and a last time when `duration` is
    /// over. The probation fails if the probe fails, panics or takes longer than the
    /// [timeout](Self::timeout), or if an effect failed. The manager then publishes the values of the
    /// previous generation, which it has kept, as a new generation: their tasks are started again, effects
    /// whose inputs changed back run again, and the values that failed are retired. The report gives
    /// [`RolledBack`](crate::Outcome::RolledBack) and the reason. Reloaders ([`add`](Self::add)) cannot be
    /// undone, so they run after the probation has been passed.
    ///
    /// A generation that failed is held back from *automatic* triggers, such as those of a file or the clock:
    /// while all sources that changed in it keep their [stamps](crate::Stamp), these reloads are rejected
    /// before anything is built. Without that, every tick would go forward and back again. An
    /// [explicit](crate::Trigger::explicit) trigger, such as a request through a handle or a signal, always
    /// tries, for example after a database was repaired, and so does a [check](crate::Handle::check). Any edit
    /// of one of these sources counts, even one that restores its content. A source without a stamp is ignored,
    /// because it does not show that it has been edited. Effects that could not run at the rollback are tried
    /// again all the same.
    ///
    /// A [task](crate::Component::runs) that began with the new generation and would end the run
    /// ([`OnExit::Stop`](crate::OnExit::Stop)) fails the probation instead.
    ///
    /// The caller of the reload waits for the verdict. A reload requested during the probation forces the
    /// verdict: the probe is called a last time, at once, and then that reload runs. A
    /// [check](crate::Handle::check) requested meanwhile waits for the end of the probation. At a stop the
    /// new generation stays.
    ///
    /// [`Status::is_on_probation`](crate::Status::is_on_probation) returns `true` meanwhile. In reports a
    /// verdict is a step named `probation`. The previous generation is kept whole: its values begin to
    /// [drain](Self::drain) when the probation has been passed.
    ///
    /// By default there is no probation, and effects that fail make the reload
    /// [partial](crate::Outcome::Partial). Routers know the same idea as *commit confirm*.
    ///
    /// # Panics
    ///
    /// If a component is named `probation`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use std::time::Duration;
    /// use rekindle::{Manager, Outcome};
    ///
    /// static FILE: AtomicU32 = AtomicU32::new(10);
    /// static LOAD: AtomicU32 = AtomicU32::new(5);
    ///
    /// let mut reload = Manager::new().probation(Duration::from_millis(20), async || {
    ///     match LOAD.load(Relaxed) {
    ///         0..10 => Ok(()),
    ///         _ => Err("too much load".into()),
    ///     }
    /// });
    /// let limit = reload.source("limit", async || Ok(FILE.load(Relaxed))).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         FILE.store(1_000, Relaxed);
    ///         LOAD.store(900, Relaxed);
    ///         let error = handle.reload("example").await.unwrap_err();
    ///         let report = error.report().expect("it was made");
    ///         assert_eq!(report.outcome(), Outcome::RolledBack);
    ///         assert_eq!((*limit.load(), report.generation()), (10, 3));
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn probation(mut self, duration: Duration, probe: impl Probe) -> Self {
        let name = probation::NAME.into();
        let entry = self.ledger.add(Kind::Probe, &name, self.timeout);
        // Reports list the probation under this name, beside the components.
        assert!(
            self.probation.is_some() || self.check_name(&name).is_ok(),
            "a component has the name under which reports list the probation",
        );
        self.claim_name(&name);
        self.probation = Some(Probation {
            duration,
            entry,
            probe: Quiet::new(&name, probation::erased(probe)),
        });
        self
    }

    /// Returns a handle, which requests reloads and reads the status.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.source("limit", async || Ok(10)).await?;
    /// let handle = reload.handle();
    /// let asked = tokio::spawn(async move { handle.reload("example").await });
    /// reload
    ///     .run(async move |_stop| {
    ///         assert_eq!(asked.await??.generation(), 2);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Adds a component that is read from outside, by a file or an `async || Ok(value)` closure.
    ///
    /// `.await` reads the first value. Every reload reads it again. A closure cannot keep state in its
    /// captures (see [`Source`]).
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
    pub fn source<T>(
        &mut self,
        name: impl Into<String>,
        source: impl Source<Value = T>,
    ) -> Component<'_, T>
    where
        T: Send + Sync + 'static,
    {
        Component::from_source(self, &name.into().into(), source)
    }

    /// Adds a component that is computed from others.
    ///
    /// `.await` builds the first value. When its [`Inputs`] changed, a reload builds the component again
    /// from their new values. Components that do not depend on each other are built concurrently, and on
    /// all cores if they compute. A build that blocks its thread cannot be stopped, so blocking work belongs
    /// in `spawn_blocking`.
    ///
    /// Each call gets a fresh copy of the closure. It may move its captures into the future, and changes to
    /// them are lost with the call.
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
    /// `settings` derives the keys and the setting of each from the inputs; `build` makes the value of one
    /// key. A reload concurrently builds the keys that are new and those whose setting changed
    /// (`PartialEq`). All others keep their value, the same instance.
    ///
    /// A key that cannot be built rejects the reload. The report names the key, so a key must not be a
    /// secret.
    ///
    /// Each call of either function gets a fresh copy of it, and changes to its captures are lost with the
    /// call.
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
    /// # let read = async move || Ok(Config { upstreams: upstreams.clone() });
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

    /// Adds a component for a setting that only a restart changes.
    ///
    /// The component keeps its first value. When a reload finds another, the report and the status list the
    /// name as [pending](crate::Report::pending_restart), until the setting has its first value again. The
    /// reload is applied like any other, and components derived from the handle are never rebuilt because of
    /// the setting.
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

    /// Adds an effect that pushes values into an object outside the manager, such as a log filter.
    ///
    /// `.await` runs it for the first time. From then on it runs after the commit of each reload in which
    /// its [`Inputs`] differ from those of its last successful run. So the next reload tries a failed effect
    /// again.
    ///
    /// Each run gets a fresh copy of the closure. It may move its captures into the future, and changes to
    /// them are lost with the run.
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

    /// Adds a reloader, an effect that runs in every reload after the commit.
    ///
    /// Lower priorities run first, and reloaders of one priority run concurrently. If one fails, the later
    /// priorities are skipped. A closure cannot keep state in its captures (see [`Reloader`]).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut reload = rekindle::Manager::new();
    /// reload.add(100, "audit", async |triggers| println!("reloaded because of {triggers}"));
    /// reload.add(-1, "cache", async |_| Ok(())).timeout(Duration::from_secs(5));
    /// ```
    ///
    /// # Panics
    ///
    /// If the name has control characters, which would break the log lines that name it.
    #[track_caller]
    pub fn add(
        &mut self,
        priority: i32,
        name: impl Into<String>,
        reloader: impl Reloader,
    ) -> Added<'_> {
        let name: Arc<str> = name.into().into();
        assert!(is_printable(&name), "{}", Error::unprintable_name(&name));
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

    /// Adds a [`Notifier`], whose triggers lead to reloads.
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

    /// Runs the app, reloads meanwhile, and returns after the app has returned.
    ///
    /// The app is a function that receives the *stop token*. The token works both ways: the manager cancels
    /// it when the app must end ([`OnError::Stop`]), and a cancellation from elsewhere begins the stop. From
    /// then on no reload starts, a reload that has not committed is abandoned, and every waiting caller gets
    /// an answer. So the app should cancel the token as soon as it begins to shut down, as
    /// [`run::Group::run_until`](crate::run::Group::run_until) does. Values stay readable for requests that
    /// are still being answered.
    ///
    /// When the app has returned, the manager stops the [tasks](crate::Component::runs). It then closes
    /// components that are [retired](crate::Component::retire) or run, with everything that was built from
    /// them, dependants first. The [shutdown timeout](Self::shutdown_timeout) limits all of it; an app that
    /// has not returned at the end of its share is dropped.
    ///
    /// # Errors
    ///
    /// The first of these that exists:
    ///
    /// * the error of the reload or notifier ([`OnError::Stop`]) or of the task
    ///   ([`OnExit::Stop`](crate::OnExit::Stop)) that ended the run;
    /// * the app's own error, unchanged;
    /// * an [`Error`] that names everything that did not end within the shutdown timeout, the app included,
    ///   and the values that cannot be retired because they are still held.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the app, the tasks, the notifiers and a running reload, and answers all
    /// waiting callers. Values that wait to be retired are dropped instead, which is logged.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled. A panic of the app is caught and returned as the error.
    ///
    /// ```
    /// use rekindle::BoxError;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let limit = reload.source("limit", async || Ok(10)).await?;
    /// let values = limit.clone();
    /// let ended = reload
    ///     .run(async move |stop| {
    ///         // The app begins to shut down, and the run returns its error.
    ///         stop.cancel();
    ///         Err::<(), BoxError>(format!("ended with limit {}", values.load()).into())
    ///     })
    ///     .await;
    /// assert_eq!(ended.unwrap_err().to_string(), "ended with limit 10");
    /// assert_eq!(*limit.load(), 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<A, Fut>(self, app: A) -> impl Future<Output = Result<(), BoxError>>
    where
        A: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output: crate::AppOutput>,
    {
        run::run(self, app)
    }

    /// Retires the components without running an app, for a start-up that fails half-way.
    ///
    /// Values with a [`retire`](crate::Component::retire) function are retired, dependants before their
    /// inputs, and reading their components after that panics. A manager that is merely dropped would drop
    /// these values instead. Tasks never start, and requested reloads return
    /// [stopped](Error::is_stopped) errors.
    ///
    /// # Errors
    ///
    /// An [`Error`] that names what did not end within the [shutdown timeout](Self::shutdown_timeout), and
    /// the values that the caller still holds.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the values that are not retired yet.
    ///
    /// ```
    /// use rekindle::{BoxError, Manager};
    ///
    /// async fn start(reload: &mut Manager) -> Result<(), BoxError> {
    ///     let pool = reload.source("pool", async || Ok("a pool"));
    ///     let pool = pool.retire(async |_| println!("closed")).await?;
    ///     reload.derive("users", &pool, async |_| Err::<(), _>("no such table".into())).await?;
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// let mut reload = Manager::new();
    /// if let Err(error) = start(&mut reload).await {
    ///     reload.abandon().await?;
    ///     assert_eq!(error.to_string(), "component `users` could not be built");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn abandon(mut self) -> Result<(), BoxError> {
        self.notifiers.clear();
        // Answers the reloads that were requested before, and rejects later ones.
        self.shared.close();
        self.run(async |_| ()).await
    }

    pub(crate) fn attend(&mut self, notifier: Box<dyn DynNotifier>) {
        let name = catch(|| notifier.name()).unwrap_or_else(|_| "a notifier".to_owned());
        // Escaped instead of rejected: the name of a file's notifier is its path, which comes from outside.
        let name: Arc<str> = Escaped(name).to_string().into();
        let entry = self.ledger.add(Kind::Notifier, &name, Duration::MAX);
        let mut history = self.shared.history();
        let index = history.notifiers.len();
        history.notifiers.push(NotifierStatus::new(&name));
        self.notifiers.push(Attended {
            notifier: Quiet::new(&name, notifier),
            entry,
            index,
        });
    }

    pub(crate) fn id(&self) -> u64 {
        self.shared.id
    }

    pub(crate) fn publication(&self) -> &Arc<Publication> {
        &self.shared.publication
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    pub(crate) fn graph(&mut self) -> &mut Graph {
        &mut self.graph
    }

    /// Keeps a retire function alive for as long as the reaper may need it.
    pub(crate) fn keep(&mut self, retire: Arc<Retire>) {
        self.retires.push(retire);
    }

    /// Returns the home of the slots of the next component.
    pub(crate) fn home(&self, name: &Arc<str>) -> Home {
        Home {
            name: Arc::clone(name),
            index: self.graph.nodes.len(),
            publication: Arc::downgrade(self.publication()),
            reaper: Arc::clone(&self.reaper),
            retire: OnceLock::new(),
            part: None,
        }
    }

    pub(crate) fn default_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn check_name(&self, name: &Arc<str>) -> Result<(), Error> {
        if !is_printable(name) {
            return Err(Error::unprintable_name(name));
        }
        match self.names.contains(name) {
            true => Err(Error::duplicate_name(name)),
            false => Ok(()),
        }
    }

    pub(crate) fn claim_name(&mut self, name: &Arc<str>) {
        self.names.insert(Arc::clone(name));
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("components", &self.graph.nodes.len())
            .finish_non_exhaustive()
    }
}

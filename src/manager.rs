//! The manager: owns the components, and is the scope in which the app runs.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::future::Future;
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
mod parts;
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
use crate::live::{Arrival, Home, Publication, Reaper, Retire};
use crate::notify::DynNotifier;
use crate::panic::{Quiet, catch};
use crate::{BoxError, Error};
use attend::Attended;
use probation::Probation;
use serve::CloseOnDrop;
use shared::Shared;

/// How long what runs may take to end after the stop, unless [`Manager::grace`] says otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// Owns the components, and is the scope in which the app runs.
///
/// First the parts are added: [`source`](Self::source), [`derive`](Self::derive),
/// [`each`](Self::each) and [`pin`](Self::pin) build components, [`apply`](Self::apply) and
/// [`add`](Self::add) add effects, [`on`](Self::on) adds what triggers reloads. Then
/// [`run`](Self::run) reloads while the app runs.
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
    /// As [`new`](Self::new).
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
    /// A manager without components, with the default options.
    pub fn new() -> Self {
        let (reaper, arrivals) = Reaper::new();
        let ledger = Ledger::new(GRACE, &reaper);
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

    /// The way to ask for reloads and for the status.
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

    /// Reloads while the app runs, and returns when the app has returned.
    ///
    /// The app is a function that is given the *stop token*. The token works both ways. The manager
    /// cancels it when the app has to end ([`OnError::Stop`]). Whoever else cancels it tells the
    /// manager that the end has begun: no reload starts any more, one that can be called off is, and
    /// all who wait for one are told. So the app should cancel it as soon as it begins to shut down;
    /// [`run::Group::run_until`](crate::run::Group::run_until) does. Values stay readable, for
    /// requests that are still being answered.
    ///
    /// When the app has returned, [tasks](crate::Component::runs) are told to stop, and then components
    /// that are [retired](crate::Component::retire) or run are closed, with what was built from them,
    /// dependants first. The [grace period](Self::grace) limits both.
    ///
    /// # Errors
    ///
    /// The error of the reload or notifier that ended the run ([`OnError::Stop`]), or of the task
    /// ([`OnExit::Stop`](crate::OnExit::Stop)); else exactly the app's own error; else an [`Error`]
    /// that names what did not end within the grace period, and what is still held and so cannot be
    /// retired.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the app, the tasks, the notifiers and a running reload, and answers
    /// all who wait. Values that have to be retired are dropped instead, which is logged.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled. A panic of the app is caught, and becomes the
    /// error.
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
    ///         // The app. Its end begins here, and its error is that of the run.
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

    /// Ends what was built, without running an app: for a start-up that fails half-way.
    ///
    /// Values with a [`retire`](crate::Component::retire) are retired, dependants before what they were
    /// built from, and reading their components after that panics. Without this they would be dropped
    /// with the manager. Tasks never start, and reloads that were asked for are answered as
    /// [stopped](Error::is_stopped).
    ///
    /// # Errors
    ///
    /// An [`Error`] that names what did not end within the [grace period](Self::grace), or is still
    /// held by the caller.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops what is not retired yet.
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
        // Nothing is reloaded any more, also not what was asked for before.
        self.shared.close();
        self.run(async |_| ()).await
    }

    pub(crate) fn attend(&mut self, notifier: Box<dyn DynNotifier>) {
        let name = catch(|| notifier.name()).unwrap_or_else(|_| "a notifier".to_owned());
        let name: Arc<str> = name.into();
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

    /// Keeps how values are retired for as long as there may be some.
    pub(crate) fn keep(&mut self, retire: Arc<Retire>) {
        self.retires.push(retire);
    }

    /// Where the slots of the next component will belong.
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

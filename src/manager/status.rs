//! How a manager is doing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::drain::Draining;
use super::reap::Retiring;
use crate::{Outcome, Report, StepError};

/// How many reports are kept.
const KEPT: usize = 16;

/// How a manager is doing: what [`Handle::status`](crate::Handle::status) gives.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// reload.source("limit", async || Ok(10)).await?;
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
///         handle.reload("example").await?;
///
///         let status = handle.status();
///         assert_eq!(status.generation(), 2);
///         assert_eq!(status.components(), 1);
///         assert!(!status.is_stopping());
///         assert_eq!(status.consecutive_failures(), 0);
///         assert!(status.last_success().is_some());
///         assert!(status.last_failure().is_none());
///         assert_eq!(status.reports().len(), 1);
///         assert!(status.notifiers().is_empty());
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Status {
    pub(super) generation: u64,
    pub(super) components: usize,
    pub(super) stopping: bool,
    pub(super) history: History,
    pub(super) draining: Vec<Draining>,
    pub(super) retiring: Vec<Retiring>,
}

impl Status {
    /// The number of the current generation. The start-up makes generation 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many components there are.
    pub fn components(&self) -> usize {
        self.components
    }

    /// Whether the end has begun: no more reloads.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// How many reloads have failed since the last one that did not.
    pub fn consecutive_failures(&self) -> u64 {
        self.history.consecutive_failures
    }

    /// When the last good reload ended.
    pub fn last_success(&self) -> Option<SystemTime> {
        self.history.last_success
    }

    /// When the last reload ended that was refused, partial or rolled back.
    pub fn last_failure(&self) -> Option<SystemTime> {
        self.history.last_failure
    }

    /// The reports of the last reloads, at most 16, newest first. Checks are not among them.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = &Arc<Report>> {
        self.history.reports.iter()
    }

    /// The values that were replaced, have to be [retired](crate::Component::retire) (or may keep
    /// one that has to be), and are still held; the one that was replaced first comes first.
    pub fn draining(&self) -> &[Draining] {
        &self.draining
    }

    /// The old values that nobody holds any more, and whose [retirement](crate::Component::retire) has
    /// not ended.
    pub fn retiring(&self) -> &[Retiring] {
        &self.retiring
    }

    /// Whether the current generation is on [probation](crate::Manager::probation).
    pub fn is_on_probation(&self) -> bool {
        self.history.on_probation
    }

    /// The names of the [pinned](crate::Manager::pin) settings that have another value now, which only
    /// a restart brings into effect.
    pub fn pending_restart(&self) -> impl ExactSizeIterator<Item = &str> {
        self.history.pending_restart.iter().map(|name| &**name)
    }

    /// How the [tasks](crate::Component::runs) are doing, those that were told to stop and have not yet
    /// among them, in the order in which they were started.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &TaskStatus> {
        self.history.tasks.values()
    }

    /// How the notifiers are doing, in the order in which they were added.
    pub fn notifiers(&self) -> &[NotifierStatus] {
        &self.history.notifiers
    }
}

/// How a notifier is doing.
///
/// ```
/// use rekindle::{BoxError, Notifier, Trigger};
///
/// struct Etcd;
///
/// impl Notifier for Etcd {
///     async fn notify(&mut self) -> Result<Trigger, BoxError> {
///         Err("no connection".into())
///     }
///
///     fn name(&self) -> String {
///         "etcd".to_owned()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// reload.on(Etcd);
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
/// #       while handle.status().notifiers()[0].failures() == 0 {
/// #           tokio::task::yield_now().await;
/// #       }
///         let status = handle.status();
///         let etcd = &status.notifiers()[0];
///         assert_eq!(etcd.name(), "etcd");
///         assert!(etcd.failures() > 0);
///         assert_eq!(etcd.error().map(|error| error.to_string()), Some("no connection".into()));
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct NotifierStatus {
    pub(super) name: Arc<str>,
    pub(super) failures: u64,
    pub(super) error: Option<StepError>,
}

impl NotifierStatus {
    pub(super) fn new(name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            failures: 0,
            error: None,
        }
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often it has failed since its last trigger.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Why it failed last, if it did since its last trigger.
    pub fn error(&self) -> Option<&StepError> {
        self.error.as_ref()
    }
}

/// How a [task](crate::Component::runs) is doing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let feed = reload.source("feed", async || Ok("a feed"));
/// feed.runs(async |_, _| Err("no connection".into())).await?;
/// let handle = reload.handle();
/// reload
///     .run(async move |_stop| {
/// #       while handle.status().tasks().all(|task| task.failures() == 0) {
/// #           tokio::task::yield_now().await;
/// #       }
///         let status = handle.status();
///         let feed = status.tasks().next().expect("it is started again");
///         assert_eq!(feed.component(), "feed");
///         assert!(feed.failures() > 0);
///         assert_eq!(feed.error().map(|error| error.to_string()), Some("no connection".into()));
///         assert!(!feed.has_ended());
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TaskStatus {
    component: Arc<str>,
    failures: u64,
    ended: bool,
    error: Option<StepError>,
}

impl TaskStatus {
    pub(super) fn new(component: &Arc<str>) -> Self {
        Self {
            component: Arc::clone(component),
            failures: 0,
            ended: false,
            error: None,
        }
    }

    /// Takes note that it ended by itself. Gives the error of the last time.
    pub(super) fn ended(&mut self, error: Option<&StepError>, restarts: bool) -> Option<StepError> {
        self.failures += 1;
        self.ended = !restarts;
        std::mem::replace(&mut self.error, error.cloned())
    }

    /// The component that it belongs to; of a collection, with the key: `listeners[127.0.0.1:80]`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// How often it has ended by itself, well or not, since it was started at a commit.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Whether it has ended, and is not started again.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Why it ended by itself last, if that was an error or a panic.
    pub fn error(&self) -> Option<&StepError> {
        self.error.as_ref()
    }
}

/// What is remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Newest first.
    reports: VecDeque<Arc<Report>>,
    last_success: Option<SystemTime>,
    last_failure: Option<SystemTime>,
    consecutive_failures: u64,
    pub(super) notifiers: Vec<NotifierStatus>,
    pub(super) pending_restart: Arc<[Arc<str>]>,
    pub(super) on_probation: bool,
    /// In the order in which they were started.
    pub(super) tasks: BTreeMap<u64, TaskStatus>,
}

impl History {
    /// Takes note of a reload, and gives the one that is forgotten for it. Checks leave no trace: they
    /// changed nothing.
    pub(super) fn record(&mut self, report: &Arc<Report>) -> Option<Arc<Report>> {
        if report.is_check() {
            return None;
        }
        let ended = Some(report.started() + report.took());
        match report.outcome() {
            Outcome::Applied | Outcome::Unchanged => {
                self.last_success = ended;
                self.consecutive_failures = 0;
            }
            // A stop is nobody's failure.
            Outcome::Interrupted { .. } => {}
            _ => {
                self.last_failure = ended;
                self.consecutive_failures += 1;
            }
        }
        self.reports.push_front(Arc::clone(report));
        match self.reports.len() > KEPT {
            true => self.reports.pop_back(),
            false => None,
        }
    }
}

//! The status of a manager.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::drain::Draining;
use super::reap::Retiring;
use crate::{Outcome, Report, StepError};

/// The number of reports that are kept.
const KEPT: usize = 16;

/// The state of a manager, as [`Handle::status`](crate::Handle::status) returns it.
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

    /// The number of components.
    pub fn components(&self) -> usize {
        self.components
    }

    /// Returns `true` if the stop has begun, after which no reload starts.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// The number of reloads that have failed since the last successful one.
    pub fn consecutive_failures(&self) -> u64 {
        self.history.consecutive_failures
    }

    /// The time at which the last successful reload ended.
    pub fn last_success(&self) -> Option<SystemTime> {
        self.history.last_success
    }

    /// The time at which the last reload ended that was rejected, partial or rolled back.
    pub fn last_failure(&self) -> Option<SystemTime> {
        self.history.last_failure
    }

    /// The reports of the last reloads, at most 16, newest first. Checks are not included.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = &Arc<Report>> {
        self.history.reports.iter()
    }

    /// The replaced values that are still held and wait to be [retired](crate::Component::retire), or may
    /// keep such a value alive. The one that was replaced first comes first.
    pub fn draining(&self) -> &[Draining] {
        &self.draining
    }

    /// The old values whose last holder has let go and whose [retirement](crate::Component::retire) has not
    /// ended.
    pub fn retiring(&self) -> &[Retiring] {
        &self.retiring
    }

    /// Returns `true` if the current generation is on [probation](crate::Manager::probation).
    pub fn is_on_probation(&self) -> bool {
        self.history.on_probation
    }

    /// The names of the [pinned](crate::Manager::pin) settings whose new value takes effect only with a
    /// restart.
    pub fn pending_restart(&self) -> impl ExactSizeIterator<Item = &str> {
        self.history.pending_restart.iter().map(|name| &**name)
    }

    /// The state of each [task](crate::Component::runs), in the order in which they were started, including
    /// those that were stopped and have not ended yet.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &TaskStatus> {
        self.history.tasks.values()
    }

    /// The state of each notifier, in the order in which they were added.
    pub fn notifiers(&self) -> &[NotifierStatus] {
        &self.history.notifiers
    }
}

/// The state of a notifier.
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

    /// The name that the notifier gives itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of failures since its last trigger.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// The last error, if it has failed since its last trigger.
    pub fn error(&self) -> Option<&StepError> {
        self.error.as_ref()
    }
}

/// The state of a [task](crate::Component::runs).
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

    /// Records that the task ended by itself, and returns the error of the time before.
    pub(super) fn ended(&mut self, error: Option<&StepError>, restarts: bool) -> Option<StepError> {
        self.failures += 1;
        self.ended = !restarts;
        std::mem::replace(&mut self.error, error.cloned())
    }

    /// The component that the task belongs to, with the key in a collection: `listeners[127.0.0.1:80]`.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The number of times it has ended by itself, with or without an error, since a commit started it.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Returns `true` if it has ended and is not started again.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The error or panic with which it last ended by itself, if it was one.
    pub fn error(&self) -> Option<&StepError> {
        self.error.as_ref()
    }
}

/// The outcomes of past reloads, and the state of notifiers, tasks and pinned settings.
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
    /// Records a reload, and returns the report that it displaces. A check changes nothing and is not
    /// recorded.
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
            // A stop counts neither as a success nor as a failure.
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

//! The handle, through which the app requests reloads, checks, reports and the status.

use std::fmt;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::queue::Wanted;
use super::shared::Shared;
use super::status::Status;
use crate::panic::wait_quietly;
use crate::{Error, Report, Snapshot, Trigger, inside};

/// Requests reloads and checks of a manager, and reads its status and reports.
///
/// Cloning is cheap, and any thread or task may use it.
///
/// ```
/// use rekindle::{BoxError, Manager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let mut reload = Manager::new();
/// let time = reload.source("time", async || Ok(std::time::Instant::now())).await?;
/// let handle = reload.handle();
///
/// reload
///     .run(async move |_stop| {
///         let before = *time.load();
///         let report = handle.reload("test").await?;
///         assert_eq!(report.generation(), 2);
///         assert!(*time.load() > before);
///         Ok(())
///     })
///     .await
/// # }
/// ```
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Shared>);

impl Handle {
    /// Requests a reload, and waits for the report of one that began after this call.
    ///
    /// Any number of callers share one reload. Called before [`Manager::run`](crate::Manager::run), it
    /// waits for the run to begin. The trigger counts as [explicit](Trigger::explicit), so the reload also
    /// tries what failed its probation.
    ///
    /// # Errors
    ///
    /// * The reload was rejected, partial, rolled back or interrupted: [`Error::report`] has the report.
    /// * The manager has stopped: [`Error::is_stopped`].
    /// * The call comes from inside a reload of the same manager, and waiting would never end:
    ///   [`Error::is_reentrant`]. A task that a build spawned is not recognised, so a build that waits for it
    ///   runs into its deadline.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing. Once it has been polled, the reload runs all the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.source("limit", async || Ok(10)).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let report = handle.reload("admin").await?;
    ///         assert!(report.triggers().contains("admin"));
    ///         assert_eq!(report.generation(), 2);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn reload(&self, trigger: impl Into<Trigger>) -> Result<Arc<Report>, Error> {
        self.ask(Wanted::Reload, trigger.into().explicit()).await
    }

    /// Requests a reload without waiting for it. Does nothing once the manager has stopped. The trigger
    /// counts as [explicit](Trigger::explicit).
    ///
    /// It may be called from inside a reload, and leads to one more.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let handle = reload.handle();
    /// // The manager need not run yet, and both lead to one reload.
    /// handle.trigger("etcd");
    /// handle.trigger("admin");
    ///
    /// let mut reports = handle.subscribe();
    /// reload
    ///     .run(async move |_stop| {
    ///         let report = reports.next().await.expect("the manager runs");
    ///         assert_eq!(report.triggers().to_string(), "etcd, admin");
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn trigger(&self, trigger: impl Into<Trigger>) {
        let trigger = trigger.into().explicit();
        self.0.queue.push(Wanted::Reload, trigger);
    }

    /// Requests a dry run: prepares a reload, reports, and drops what was built.
    ///
    /// Nothing is published and no effect runs. Everything is really built, though: a component that binds
    /// a port does bind it for a moment.
    ///
    /// # Errors
    ///
    /// As for [`reload`](Self::reload), where rejected means that a reload would be rejected.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing.
    ///
    /// ```
    /// use rekindle::Outcome;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.source("limit", async || Ok(10)).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let report = handle.check().await?;
    ///         assert_eq!(report.outcome(), Outcome::Valid);
    ///         // Nothing was published.
    ///         assert_eq!(handle.status().generation(), 1);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn check(&self) -> Result<Arc<Report>, Error> {
        self.ask(Wanted::Check, Trigger::from("check")).await
    }

    /// Returns the current state of the manager.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let limit = reload.source("limit", async || Ok(10)).await?;
    /// let status = reload.handle().status();
    /// assert_eq!((status.components(), status.generation()), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// Returns a receiver for the reports of all reloads and checks from now on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.source("limit", async || Ok(10)).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let mut reports = handle.subscribe();
    ///         handle.trigger("etcd");
    ///         let report = reports.next().await.expect("the manager runs");
    ///         assert!(report.is_success());
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn subscribe(&self) -> Reports {
        Reports(self.0.subscribe())
    }

    /// Returns the current generation, to read several values that belong together.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let width = reload.source("width", async || Ok(3)).await?;
    /// let area = reload.derive("area", &width, async |width| Ok(*width * *width)).await?;
    /// let now = reload.handle().snapshot();
    /// assert_eq!(now.get(&width) * 3, *now.get(&area));
    /// # Ok(())
    /// # }
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.0.publication)
    }

    async fn ask(&self, wanted: Wanted, trigger: Trigger) -> Result<Arc<Report>, Error> {
        if inside::manager() == Some(self.0.id) {
            return Err(Error::reentrant());
        }
        match self.0.queue.ask(wanted, trigger).await {
            Ok(report) if report.is_success() => Ok(report),
            Ok(report) => Err(Error::reload(report)),
            Err(_) => Err(Error::stopped()),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("generation", &self.0.publication.current().number)
            .finish()
    }
}

/// A receiver of reports, as [`Handle::subscribe`] returns it.
///
/// A receiver that is more than 64 reports behind misses the oldest ones.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let handle = reload.handle();
/// let mut reports = handle.subscribe();
/// let log = tokio::spawn(async move {
///     let mut lines = Vec::new();
///     while let Some(report) = reports.next().await {
///         lines.push(format!("{} because of {}", report.outcome(), report.triggers()));
///     }
///     lines
/// });
///
/// reload
///     .run(async move |_stop| {
///         handle.reload("etcd").await?;
///         Ok(())
///     })
///     .await?;
/// assert_eq!(log.await?, ["unchanged because of etcd"]);
/// # Ok(())
/// # }
/// ```
pub struct Reports(broadcast::Receiver<Arc<Report>>);

impl Reports {
    /// The number of reports that are kept for a slow receiver.
    pub(super) const KEPT: usize = 64;

    /// Returns the next report, or `None` once the manager has stopped and every report has been returned.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no report.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// reload.source("limit", async || Ok(10)).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let mut reports = handle.subscribe();
    ///         handle.reload("etcd").await?;
    ///         handle.reload("admin").await?;
    ///         // Reports are kept for a receiver that comes late.
    ///         let report = reports.next().await.expect("the manager runs");
    ///         assert!(report.triggers().contains("etcd"));
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub async fn next(&mut self) -> Option<Arc<Report>> {
        loop {
            match wait_quietly(self.0.recv()).await {
                Ok(report) => return Some(report),
                Err(broadcast::error::RecvError::Closed) => return None,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
            }
        }
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").finish_non_exhaustive()
    }
}

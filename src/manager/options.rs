//! How a manager is set up: what is chained to [`Manager::new`].

use std::time::Duration;

use super::{Manager, OnError};

impl Manager {
    /// What a failed reload or notifier means for the run (default: [`OnError::Keep`]).
    ///
    /// ```
    /// use rekindle::{Manager, OnError};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// let mut reload = Manager::new().on_error(OnError::Stop);
    /// reload.add(0, "cache", async |_| Err("the cache is gone".into()));
    /// reload.handle().trigger("example");
    ///
    /// let ended = reload.run(async |stop| stop.cancelled().await).await;
    /// assert_eq!(ended.unwrap_err().to_string(), "the reload was partial: `cache` failed");
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_error(mut self, policy: OnError) -> Self {
        self.policy = policy;
        self
    }

    /// How long a build, an effect or a reloader that is added from now on may take, unless it has a
    /// timeout of its own (default: 30 s); and each call of the probe of a
    /// [probation](Self::probation).
    ///
    /// ```
    /// use std::future::pending;
    /// use std::time::Duration;
    /// use rekindle::{BoxError, Manager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// let mut reload = Manager::new().timeout(Duration::from_millis(10));
    /// let late = reload.source("late", async || pending::<Result<u16, BoxError>>().await).await;
    /// assert!(late.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        if let Some(probation) = &self.probation {
            probation.entry.set_timeout(timeout);
        }
        self
    }

    /// How long, after the stop, effects and reloaders that run may take to end (default: 10 s). When
    /// the app has returned, [tasks](crate::Component::runs) have as long again, and then the
    /// [retirement](crate::Component::retire) of the last values.
    ///
    /// A reload that can still be called off is, at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::{Manager, Outcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// let mut reload = Manager::new().grace(Duration::from_millis(10));
    /// # let (began, begins) = tokio::sync::mpsc::channel(1);
    /// reload.add(0, "flush", async move |_| {
    /// #     began.send(()).await?;
    ///     // Longer than the grace period.
    ///     tokio::time::sleep(Duration::from_secs(3600)).await;
    ///     Ok(())
    /// });
    /// let handle = reload.handle();
    /// let mut reports = handle.subscribe();
    /// reload
    ///     .run(async move |_stop| {
    ///         handle.trigger("example");
    /// #         let mut begins = begins;
    /// #         begins.recv().await;
    ///         Ok(())
    ///     })
    ///     .await?;
    /// let report = reports.next().await.expect("a reload that is interrupted is reported");
    /// assert_eq!(report.outcome(), Outcome::Interrupted { committed: false });
    /// # Ok(())
    /// # }
    /// ```
    pub fn grace(self, grace: Duration) -> Self {
        self.ledger.set_grace(grace);
        self
    }

    /// The drain deadline: how long what was replaced may take to end (default: 30 s).
    ///
    /// A value that has to be [retired](crate::Component::retire) and is held for longer is logged, and
    /// named in [reports](crate::Report::overdue) and in [`Status::draining`](crate::Status::draining);
    /// it is waited for all the same. So is a retirement that takes longer, which
    /// [`Status::retiring`](crate::Status::retiring) lists. A [task](crate::Component::runs) that was
    /// told to stop and has not after this time is dropped, and named in the log. At the end of the
    /// run, nothing is waited for longer than the [grace period](Self::grace).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// use std::time::Duration;
    ///
    /// let mut reload = rekindle::Manager::new().drain(Duration::ZERO);
    /// let pool = reload.source("pool", async || Ok("a pool")).retire(async |_| ()).await?;
    /// let handle = reload.handle();
    /// reload
    ///     .run(async move |_stop| {
    ///         let held = pool.lease();
    ///         let report = handle.reload("example").await?;
    ///         assert_eq!(report.overdue()[0].component(), "pool");
    ///         assert_eq!((*held, *pool.load()), ("a pool", "a pool"));
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn drain(self, deadline: Duration) -> Self {
        self.shared.drains.set_deadline(deadline);
        self
    }
}

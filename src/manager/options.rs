//! The options of a manager, chained to [`Manager::new`].

use std::time::Duration;

use super::{Manager, OnError};

impl Manager {
    /// Sets the consequence of a failed reload or notifier for the run (default: [`OnError::Keep`]).
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

    /// Sets the timeout of each build, effect and reloader (default: 30 s).
    ///
    /// It applies to those that are added from now on and have no timeout of their own, and to each call of
    /// the probe of a [probation](Self::probation).
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

    /// Sets the time for the whole stop (default: 25 s).
    ///
    /// It begins with the first of: a signal, the stop, and the end of the app. The app, and effects and
    /// reloaders that run, have 60 % of it. [Tasks](crate::Component::runs) have until 80 %, and the
    /// [retirement](crate::Component::retire) of the last values has until the end. Time that one leaves
    /// over goes to the next. The [`run`](crate::run#shutting-down) module has the table, and says what
    /// happens to each that is late.
    ///
    /// The timeout of the outermost manager or [group](crate::run::Group::shutdown_timeout) counts. One that
    /// runs inside another has the share of its place there.
    ///
    /// A reload that has not committed yet is abandoned at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::{Manager, Outcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// let mut reload = Manager::new().shutdown_timeout(Duration::from_millis(20));
    /// # let (began, begins) = tokio::sync::mpsc::channel(1);
    /// reload.add(0, "flush", async move |_| {
    /// #     began.send(()).await?;
    ///     // Longer than the share of effects.
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
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        self.ledger.budget().set_timeout(timeout);
        self
    }

    /// Sets the drain deadline, in which replaced values and tasks should end (default: 30 s).
    ///
    /// * A value that waits to be [retired](crate::Component::retire) and is held for longer is logged, and
    ///   named in [reports](crate::Report::overdue) and in [`Status::draining`](crate::Status::draining). Its
    ///   retirement still waits for the last holder.
    /// * A retirement that takes longer is logged and goes on.
    ///   [`Status::retiring`](crate::Status::retiring) lists it.
    /// * A [task](crate::Component::runs) that was stopped and has not ended after this time is dropped, and
    ///   named in the log.
    ///
    /// At the end of the run the [shutdown timeout](Self::shutdown_timeout) limits every wait.
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

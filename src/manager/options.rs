//! How a manager is set up: what is chained to [`Manager::new`].

use std::future::Future;
use std::time::Duration;

use super::probation::{self, Probation, Probe};
use super::{Manager, OnError};
use crate::Done;
use crate::crew::Kind;
use crate::panic::Quiet;

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

    /// Puts each new generation on probation, and goes back to the previous one if it fails.
    ///
    /// After the commit, and after the [effects](Self::apply), `probe` is called: at once, then every
    /// second (ten times, if `duration` is less than ten seconds), and a last time when `duration` is
    /// over. If it fails, panics, or takes longer than the [timeout](Self::timeout), or if an effect
    /// failed, the values of the previous generation, which were kept, are published again as a new
    /// generation: their tasks are started again, effects whose inputs changed back run again, and what
    /// failed is retired. The report says [`RolledBack`](crate::Outcome::RolledBack), and why.
    /// Reloaders ([`add`](Self::add)) cannot be undone, so they run when the probation has been passed.
    ///
    /// What has failed is held back: as long as all the sources that changed in it have the
    /// [stamps](crate::Stamp) that they had, reloads are refused before anything is built from them,
    /// instead of going forward and back at every trigger. Any edit of one of them counts, also if it
    /// is edited back. Effects that could not be run when it was rolled back are tried again all the
    /// same.
    ///
    /// A [task](crate::Component::runs) that ends the run ([`OnExit::Stop`](crate::OnExit::Stop)) and
    /// began with the new generation ends the probation instead: it has failed.
    ///
    /// Whoever asked for the reload waits for the verdict. A reload that is asked for during the
    /// probation forces it: the probe is called a last time, at once, and then that reload runs. At a
    /// stop the new generation stays.
    ///
    /// [`Status::is_on_probation`](crate::Status::is_on_probation) tells that one is under way.
    ///
    /// In reports a verdict is a step named `probation`. By default there is no probation: effects that
    /// fail make the reload [partial](crate::Outcome::Partial).
    ///
    /// What it keeps it keeps whole: the previous values begin to [drain](Self::drain) when the
    /// probation has been passed. A [check](crate::Handle::check) that is asked for during the
    /// probation waits for its end. Sources without a stamp do not count in what is held back, because
    /// nobody can tell whether they have been edited.
    ///
    /// Known as *commit confirm* from the configuration of routers.
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
    pub fn probation<F, Fut>(mut self, duration: Duration, probe: F) -> Self
    where
        F: FnOnce() -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        let name = probation::NAME.into();
        let entry = self.ledger.add(Kind::Probe, &name, self.timeout);
        // Reports list it beside the components.
        assert!(
            self.probation.is_some() || self.check_name(&name).is_ok(),
            "a component has the name under which reports list the probation",
        );
        self.claim_name(&name);
        let probe: Probe = Box::new(move || {
            let future = probe.clone()();
            Box::pin(async move { future.await.into_result() })
        });
        self.probation = Some(Probation {
            duration,
            entry,
            probe: Quiet::new(&name, probe),
        });
        self
    }
}

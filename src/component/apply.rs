//! The builder of effects.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::builder::{Boxed, Wiring};
use super::graph::{Applied, Effect, Run};
use super::inputs::Inputs;
use crate::crew::{Kind, run_alone};
use crate::live::{Draft, DraftCell};
use crate::manager::Manager;
use crate::panic::Quiet;
use crate::{Done, Error, inside};

/// An effect in the making, as [`Manager::apply`] returns it.
///
/// `.await` runs it for the first time.
///
/// # Errors
///
/// As for [`Component`](crate::Component).
///
/// # Cancel safety
///
/// Dropping the future drops the first run, and the effect is not added.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// static VERBOSITY: AtomicU32 = AtomicU32::new(0);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// # let mut reload = rekindle::Manager::new();
/// let level = reload.source("level", async || Ok(3)).await?;
/// reload.apply("verbosity", &level, async |level| VERBOSITY.store(*level, Relaxed)).await?;
/// assert_eq!(VERBOSITY.load(Relaxed), 3);
/// # Ok(())
/// # }
/// ```
#[must_use = "an effect runs for the first time when it is awaited: add `.await?`"]
pub struct Apply<'m> {
    manager: &'m mut Manager,
    name: Arc<str>,
    timeout: Duration,
    wiring: Wiring,
    run: Box<dyn Run>,
}

impl<'m> Apply<'m> {
    pub(crate) fn new<I, F, Fut>(
        manager: &'m mut Manager,
        name: Arc<str>,
        inputs: I,
        effect: F,
    ) -> Self
    where
        I: Inputs,
        F: FnOnce(I::Values) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output: Done> + Send + 'static,
    {
        let inputs = inputs.bind();
        let wiring = Wiring::of(manager, &inputs);
        let timeout = manager.default_timeout();
        let run = Box::new(Applied {
            inputs,
            effect: Quiet::new(&name, effect),
            pushed: Mutex::default(),
        });
        Self {
            manager,
            name,
            timeout,
            wiring,
            run,
        }
    }

    /// Sets the time limit of one run (default: [`Manager::timeout`]). A run that exceeds it is
    /// dropped, and the reload is partial.
    ///
    /// ```
    /// use std::future::pending;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), rekindle::BoxError> {
    /// # let mut reload = rekindle::Manager::new();
    /// let level = reload.source("level", async || Ok(3)).await?;
    /// let late = reload
    ///     .apply("verbosity", &level, async |_| pending::<()>().await)
    ///     .timeout(Duration::from_millis(10))
    ///     .await;
    /// assert_eq!(late.unwrap_err().to_string(), "effect `verbosity` could not be run");
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn build(self) -> Result<(), Error> {
        let Self {
            manager,
            name,
            timeout,
            wiring,
            run,
        } = self;
        let inputs = wiring.check(&name)?;
        manager.check_name(&name)?;
        let entry = manager.ledger().add(Kind::Effect, &name, timeout);
        let draft = DraftCell::new(Draft::on(manager.publication()));
        let first = run_alone(&entry, || run.start(&draft));
        let first = inside::scope(manager.id(), first).await;
        first.map_err(|error| Error::start("effect", &name, error))?;
        run.ran_well();
        manager.graph().add_effect(Effect::new(&entry, inputs, run));
        manager.claim_name(&name);
        Ok(())
    }
}

impl<'m> IntoFuture for Apply<'m> {
    type Output = Result<(), Error>;
    type IntoFuture = Boxed<'m, ()>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.build())
    }
}

impl fmt::Debug for Apply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Apply").field(&self.name).finish()
    }
}

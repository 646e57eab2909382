//! The clock as a notifier.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{BoxError, Notifier, Trigger};

/// Requests a reload once in every `period`, with the trigger `interval`.
///
/// The first tick comes one period after the manager has begun to listen. Missed ticks, for example
/// while the process was suspended, are skipped.
///
/// # Panics
///
/// If `period` is zero.
///
/// ```
/// use std::time::Duration;
/// use rekindle::{Notifier, notify};
///
/// let every_minute = notify::interval(Duration::from_secs(60));
/// assert_eq!(every_minute.name(), "interval 60s");
/// ```
pub fn interval(period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "the period of an interval must not be zero"
    );
    Interval {
        period,
        trigger: "interval".into(),
        next: None,
    }
}

/// The notifier that [`interval`] returns.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rekindle::BoxError> {
/// use std::time::Duration;
/// use rekindle::{Notifier, notify};
///
/// let mut ticks: notify::Interval = notify::interval(Duration::from_millis(10));
/// assert_eq!(ticks.notify().await?.as_str(), "interval");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a notifier does nothing until a manager listens to it"]
pub struct Interval {
    period: Duration,
    trigger: Trigger,
    /// Kept here and not in the future, so that dropping a pending future moves no tick.
    next: Option<Instant>,
}

impl Interval {
    /// Sets the name of the trigger (default: `interval`).
    ///
    /// ```
    /// use std::time::Duration;
    /// use rekindle::{Manager, notify};
    ///
    /// let mut reload = Manager::new();
    /// reload.on(notify::interval(Duration::from_secs(60)).trigger("every minute"));
    /// reload.on(notify::interval(Duration::from_secs(3600)).trigger("every hour"));
    /// ```
    pub fn trigger(mut self, trigger: impl Into<Trigger>) -> Self {
        self.trigger = trigger.into();
        self
    }

    /// One period from now; `None` if the clock cannot represent that.
    fn one_period_from_now(&self) -> Option<Instant> {
        Instant::now().checked_add(self.period)
    }
}

impl Notifier for Interval {
    async fn notify(&mut self) -> Result<Trigger, BoxError> {
        let Some(at) = self.next.or_else(|| self.one_period_from_now()) else {
            return pending().await;
        };
        self.next = Some(at);
        sleep_until(at).await;
        // The next tick counts from the previous one, so ticks do not drift, unless a whole period
        // was missed.
        self.next = at
            .checked_add(self.period)
            .filter(|next| *next > Instant::now())
            .or_else(|| self.one_period_from_now());
        Ok(self.trigger.clone())
    }

    fn name(&self) -> String {
        format!("interval {:?}", self.period)
    }
}

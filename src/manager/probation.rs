//! Probation: a new generation has to prove itself, or the previous one is published again.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::shared::Shared;
use crate::crew::{BoxFuture, CENTURY, Entry, run_alone};
use crate::race::{Either, race};
use crate::{Stamp, StepError};
use std::sync::Arc;

/// The name under which it is reported.
pub(super) const NAME: &str = "probation";

/// How often the probe is called, unless the probation is short.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Probation {
    pub(super) duration: Duration,
    pub(super) entry: Arc<Entry>,
    pub(super) probe: Probe,
}

pub(super) type Probe = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The sources that changed in a generation that failed, with the stamps that they have as long as
/// nobody has edited them.
pub(super) type HeldBack = Vec<(usize, Stamp)>;

impl Probation {
    /// Calls the probe until the time is over, a reload is wanted, or the manager stops.
    ///
    /// # Errors
    ///
    /// That of the first probe that fails.
    pub(super) async fn pass(&self, shared: &Shared) -> Result<(), StepError> {
        let end = Instant::now() + self.duration.min(CENTURY);
        let every = EVERY.min(self.duration / 10).max(Duration::from_millis(1));
        let mut is_last = false;
        loop {
            let probed = run_alone(&self.entry, || (self.probe)());
            match race(shared.stop.cancelled(), probed).await {
                // What is current stays: what fails in a shutdown may fail because of it.
                Either::First(()) => return Ok(()),
                Either::Second(result) => result?,
            }
            if is_last {
                return Ok(());
            }
            let next = (Instant::now() + every).min(end);
            let wanted = race(shared.queue.reload_is_wanted(), sleep_until(next));
            match race(shared.stop.cancelled(), wanted).await {
                Either::First(()) => return Ok(()),
                Either::Second(Either::First(())) => is_last = true,
                Either::Second(Either::Second(())) => is_last = next == end,
            }
        }
    }
}

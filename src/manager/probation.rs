//! Probation: a new generation has to prove itself, or the previous one is published again.
//!
//! The transaction commits, and leaves behind how to go back. It takes that away again when the
//! probation is passed. If it is still there when the transaction has ended, or was given up because a
//! step blocks its thread, the supervisor makes it be gone back to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::drain::Drain;
use super::shared::Shared;
use crate::crew::{BoxFuture, CENTURY, Entry, Gate, run_alone};
use crate::live::Generation;
use crate::race::{Either, race};
use crate::{Stamp, StepError};

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

/// How to go back to the generation before one that is on probation.
pub(super) struct Previous {
    pub(super) generation: Generation,
    /// The components that changed since.
    pub(super) changed: Vec<usize>,
    /// What is held back if it failed.
    pub(super) stamps: HeldBack,
    /// What is to drain if it passed.
    pub(super) replaced: Vec<Drain>,
}

/// Between the commit and the verdict, how to go back. Whoever takes it has the last word.
#[derive(Default)]
pub(super) struct Trial(Mutex<Option<Previous>>);

impl Trial {
    pub(super) fn begin(&self, previous: Previous) {
        *self.lock() = Some(previous);
    }

    /// Ends it for the reload itself, unless that was given up.
    pub(super) fn pass(&self, gate: &Gate) -> Option<Previous> {
        // Under the lock: once the gate is given up, the supervisor finds it still there.
        let mut previous = self.lock();
        match gate.is_given_up() {
            true => None,
            false => previous.take(),
        }
    }

    /// Ends it for the supervisor.
    pub(super) fn take(&self) -> Option<Previous> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Previous>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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

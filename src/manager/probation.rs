//! Probation: a new generation has to prove itself, or the previous one is published again.
//!
//! The transaction commits, and leaves behind how to go back. It takes that away again when the
//! probation is passed. If it is still there when the transaction has ended, or was given up because a
//! step blocks its thread, the supervisor makes it be gone back to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::shared::Shared;
use crate::component::HeldBack;
use crate::crew::{BoxFuture, CENTURY, Entry, Gate, run_alone};
use crate::live::Generation;
use crate::panic::Quiet;
use crate::race::{Either, race};
use crate::{Error, StepError};

/// The name under which it is reported.
pub(super) const NAME: &str = "probation";

/// How often the probe is called, unless the probation is short.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Probation {
    pub(super) duration: Duration,
    pub(super) entry: Arc<Entry>,
    pub(super) probe: Quiet<Probe>,
}

pub(super) type Probe = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// How to go back to the generation before one that is on probation.
pub(super) struct Previous {
    pub(super) generation: Generation,
    /// The components that changed since.
    pub(super) changed: Vec<usize>,
    /// What is held back if it failed.
    pub(super) stamps: HeldBack,
}

/// Between the commit and the verdict, how to go back. Whoever takes it has the last word.
#[derive(Default)]
pub(super) struct Trial {
    previous: Mutex<Option<Previous>>,
    /// Why the verdict need not be waited for.
    failure: Mutex<Option<StepError>>,
    failed: Notify,
}

impl Trial {
    pub(super) fn begin(&self, previous: Previous) {
        *self.lock() = Some(previous);
    }

    /// Ends it for the reload itself, unless that was given up.
    ///
    /// # Errors
    ///
    /// If it has failed after all.
    pub(super) fn pass(&self, gate: &Gate) -> Result<Option<Previous>, StepError> {
        // Under the lock: once the gate is given up, the supervisor finds it still there.
        let mut previous = self.lock();
        match self.failure() {
            Some(error) => Err(error),
            None if gate.is_given_up() => Ok(None),
            None => Ok(previous.take()),
        }
    }

    /// Ends it for whoever has the last word on the reload.
    pub(super) fn take(&self) -> Option<Previous> {
        self.lock().take()
    }

    /// Lets the generation fail because of something that began with this generation; the error is
    /// given back if that one is not on probation.
    pub(super) fn fail(&self, generation: u64, error: Error) -> Result<(), Error> {
        let previous = self.lock();
        let is_new = |previous: &Previous| previous.generation.number < generation;
        if !previous.as_ref().is_some_and(is_new) {
            return Err(error);
        }
        // Under the lock, so that it is seen before the probation is passed.
        let error = StepError::error(error.into());
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        drop((failure, previous));
        self.failed.notify_one();
        Ok(())
    }

    /// Waits until it has failed.
    async fn failed(&self) -> StepError {
        loop {
            if let Some(error) = self.failure() {
                return error;
            }
            // A permit that was stored since that look ends this wait at once.
            self.failed.notified().await;
        }
    }

    fn failure(&self) -> Option<StepError> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Previous>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a probation ended.
pub(super) enum Verdict {
    Passed,
    Failed(StepError),
    /// There is none: what is current stays, because what fails in a shutdown may fail because of it.
    Stopped,
}

impl Probation {
    pub(super) async fn judge(&self, trial: &Trial, shared: &Shared) -> Verdict {
        let judged = race(trial.failed(), self.probe(shared));
        match race(shared.stop.cancelled(), judged).await {
            Either::First(()) => Verdict::Stopped,
            Either::Second(Either::First(error)) => Verdict::Failed(error),
            Either::Second(Either::Second(Err(error))) => Verdict::Failed(error),
            Either::Second(Either::Second(Ok(()))) => Verdict::Passed,
        }
    }

    /// Calls the probe until the time is over or a reload is wanted.
    ///
    /// # Errors
    ///
    /// That of the first probe that fails.
    async fn probe(&self, shared: &Shared) -> Result<(), StepError> {
        let end = Instant::now() + self.duration.min(CENTURY);
        let every = EVERY.min(self.duration / 10).max(Duration::from_millis(1));
        let mut is_last = false;
        loop {
            run_alone(&self.entry, || (self.probe)()).await?;
            if is_last {
                return Ok(());
            }
            let next = (Instant::now() + every).min(end);
            let wanted = shared.queue.reload_is_wanted();
            is_last = match race(wanted, sleep_until(next)).await {
                Either::First(()) => true,
                Either::Second(()) => next == end,
            };
        }
    }
}

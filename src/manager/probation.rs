//! Probation: a new generation must prove itself, or the previous one is published again.
//!
//! The transaction commits, and stores the previous generation in the [`Trial`]. It takes that out again
//! when the probation is passed. If the previous generation is still there when the reload is concluded,
//! because the transaction has failed or was abandoned, it is published again.

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
use crate::{Error, Probe, StepError};

/// The name of the probation in reports.
pub(super) const NAME: &str = "probation";

/// The interval between calls of the probe, unless the probation is short.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Probation {
    pub(super) duration: Duration,
    pub(super) entry: Arc<Entry>,
    pub(super) probe: Quiet<Ask>,
}

/// The app's [`Probe`], without its type.
pub(super) type Ask = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

pub(super) fn erased(probe: impl Probe) -> Ask {
    let probe = Arc::new(probe);
    Box::new(move || {
        let probe = Arc::clone(&probe);
        Box::pin(async move { probe.probe().await })
    })
}

/// The generation before the one on probation, kept for a rollback.
pub(super) struct Previous {
    pub(super) generation: Generation,
    /// The components that have changed since.
    pub(super) changed: Vec<usize>,
    /// The stamps that are held back after a rollback.
    pub(super) stamps: HeldBack,
}

/// One probation. The reload can pass it, the tasks that began with the generation can fail it, and the
/// worker or supervisor that concludes the reload ends it.
#[derive(Default)]
pub(super) struct Trial {
    standing: Mutex<Standing>,
    failed: Notify,
}

/// The state of the new generation.
#[derive(Default)]
enum Standing {
    /// The generation has passed, or has not been committed yet.
    #[default]
    Stays,
    OnTrial {
        previous: Previous,
        /// The failure of a task, which is the verdict.
        failure: Option<Error>,
    },
    RolledBack,
}

impl Standing {
    fn failure(&self) -> Option<Error> {
        match self {
            Self::OnTrial { failure, .. } => failure.clone(),
            Self::Stays | Self::RolledBack => None,
        }
    }

    /// Ends the trial with the state `after`, and returns its parts. Does nothing if there is no trial.
    fn end(&mut self, after: Self) -> Option<(Previous, Option<Error>)> {
        match std::mem::replace(self, after) {
            Self::OnTrial { previous, failure } => Some((previous, failure)),
            over => {
                *self = over;
                None
            }
        }
    }
}

impl Trial {
    pub(super) fn begin(&self, previous: Previous) {
        let failure = None;
        *self.lock() = Standing::OnTrial { previous, failure };
    }

    /// Passes the probation, and returns the previous generation. Returns `None` if there is no trial, or
    /// the reload was abandoned.
    ///
    /// # Errors
    ///
    /// If a task has failed the probation.
    pub(super) fn pass(&self, gate: &Gate) -> Result<Option<Previous>, StepError> {
        let mut passed = Ok(None);
        gate.unless_given_up(|| {
            let mut standing = self.lock();
            passed = match standing.failure() {
                Some(error) => Err(error),
                None => Ok(standing.end(Standing::Stays).map(|(previous, _)| previous)),
            };
        });
        passed.map_err(|error| StepError::error(error.into()))
    }

    /// Ends the probation when the reload is concluded. If it has not passed, returns the previous
    /// generation, and the failure of a task, if there is one.
    pub(super) fn end(&self, goes_back: bool) -> Option<(Previous, Option<Error>)> {
        let after = match goes_back {
            true => Standing::RolledBack,
            false => Standing::Stays,
        };
        self.lock().end(after)
    }

    /// Fails the generation because a task that began with it has failed.
    ///
    /// # Errors
    ///
    /// The given error, if the generation has passed. If it has failed already, the error is dropped.
    pub(super) fn fail(&self, error: Error) -> Result<(), Error> {
        let mut standing = self.lock();
        let one_more = match &mut *standing {
            Standing::Stays => return Err(error),
            Standing::OnTrial { failure, .. } if failure.is_none() => {
                *failure = Some(error);
                None
            }
            Standing::OnTrial { .. } | Standing::RolledBack => Some(error),
        };
        drop(standing);
        // Dropped after the lock is released, because it contains an error of the app's.
        drop(one_more);
        self.failed.notify_one();
        Ok(())
    }

    /// Waits until a task has failed the probation.
    async fn failed(&self) -> StepError {
        loop {
            let failure = self.lock().failure();
            if let Some(error) = failure {
                return StepError::error(error.into());
            }
            // A permit that was stored since `failure` ends this wait at once.
            self.failed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a probation.
pub(super) enum Verdict {
    Passed,
    Failed(StepError),
    /// No verdict, because the reload was abandoned or the manager stops. At a stop the current generation
    /// stays, because the stop itself may cause a failure.
    Stopped,
}

impl Probation {
    pub(super) async fn judge(&self, trial: &Trial, gate: &Gate, shared: &Shared) -> Verdict {
        let judged = race(trial.failed(), self.probe(gate, shared));
        match race(shared.stop.cancelled(), judged).await {
            Either::First(()) => Verdict::Stopped,
            Either::Second(Either::First(error)) => Verdict::Failed(error),
            Either::Second(Either::Second(verdict)) => verdict,
        }
    }

    /// Calls the probe until the time is over or a reload is requested.
    async fn probe(&self, gate: &Gate, shared: &Shared) -> Verdict {
        let end = Instant::now() + self.duration.min(CENTURY);
        let every = EVERY.min(self.duration / 10).max(Duration::from_millis(1));
        let mut is_last = false;
        while !gate.is_given_up() {
            if let Err(error) = run_alone(&self.entry, || (self.probe)()).await {
                return Verdict::Failed(error);
            }
            if is_last {
                return Verdict::Passed;
            }
            let next = (Instant::now() + every).min(end);
            let wanted = shared.queue.reload_is_wanted();
            is_last = match race(wanted, sleep_until(next)).await {
                Either::First(()) => true,
                Either::Second(()) => next == end,
            };
        }
        Verdict::Stopped
    }
}

//! Probation: a new generation has to prove itself, or the previous one is published again.
//!
//! The transaction commits, and leaves behind how to go back. It takes that away again when the
//! probation is passed. If it is still there when the reload is concluded, because the transaction has
//! ended or was given up, it is gone back to.

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

/// The name under which it is reported.
pub(super) const NAME: &str = "probation";

/// How often the probe is called, unless the probation is short.
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

/// How to go back to the generation before one that is on probation.
pub(super) struct Previous {
    pub(super) generation: Generation,
    /// The components that changed since.
    pub(super) changed: Vec<usize>,
    /// What is held back if it failed.
    pub(super) stamps: HeldBack,
}

/// One probation, for the reload, which can pass it, whoever has the last word on the reload, and the
/// tasks that began with the generation, which can fail it.
#[derive(Default)]
pub(super) struct Trial {
    standing: Mutex<Standing>,
    failed: Notify,
}

/// How the generation stands.
#[derive(Default)]
enum Standing {
    /// It stays: it has passed, or has not been committed yet.
    #[default]
    Stays,
    OnTrial {
        previous: Previous,
        /// Why the verdict need not be waited for.
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

    /// What there was of it, if it was on trial.
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

    /// Ends it for the reload itself, unless that was given up.
    ///
    /// # Errors
    ///
    /// If it has failed after all.
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

    /// Ends it for whoever has the last word on the reload. How to go back, if it has not passed, and
    /// why it would not have.
    pub(super) fn end(&self, goes_back: bool) -> Option<(Previous, Option<Error>)> {
        let after = match goes_back {
            true => Standing::RolledBack,
            false => Standing::Stays,
        };
        self.lock().end(after)
    }

    /// Lets the generation fail because of something that began with it.
    ///
    /// # Errors
    ///
    /// The same, if the generation has passed. If it has failed, nobody cares for one more reason.
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
        // Not under the lock: there is one of the app's in it.
        drop(one_more);
        self.failed.notify_one();
        Ok(())
    }

    /// Waits until it has failed.
    async fn failed(&self) -> StepError {
        loop {
            let failure = self.lock().failure();
            if let Some(error) = failure {
                return StepError::error(error.into());
            }
            // A permit that was stored since that look ends this wait at once.
            self.failed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a probation ended.
pub(super) enum Verdict {
    Passed,
    Failed(StepError),
    /// There is none: the reload was given up; or there is a stop, and what is current stays, because
    /// what fails in a shutdown may fail because of it.
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

    /// Calls the probe until the time is over or a reload is wanted.
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

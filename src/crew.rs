//! Runs many steps of the app's code concurrently. A step that one quick poll completes runs in place,
//! any other in a task.
//!
//! Most steps complete with their first poll, and a task for each would cost several times the step
//! itself. So steps are polled in place, one after the other. One that is pending continues in a task.
//! Once a poll has taken longer than [`SLOW`], and the runtime has other threads, all further steps of
//! this crew start in tasks.

mod clock;
mod entry;
mod gate;
mod job;
mod ledger;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{unconstrained, yield_now};
use tokio::time::sleep;

pub(crate) use clock::{CENTURY, Clock, Moment};
pub(crate) use entry::{Entry, Kind};
pub(crate) use gate::Gate;
use job::FirstPoll;
pub(crate) use job::{BoxFuture, Job, Made};
pub(crate) use ledger::{Abort, Failed, Ledger, not_retired};
use waiting::Waiting;

use crate::race::{Either, race};
use crate::{StepError, woken};

/// A poll that takes longer than this computes or blocks, and belongs on another core.
const SLOW: Duration = Duration::from_micros(250);

/// The time for which steps are polled in place, or old values dropped, before other tasks get their
/// turn.
pub(crate) const TURN: Duration = Duration::from_millis(1);

/// The time that abandoned steps get to end. A step that blocks its thread does not end within it.
pub(crate) const LETTING_GO: Duration = Duration::from_millis(50);

/// The result of one step, and the time that it took.
pub(crate) struct Finished<T> {
    pub(crate) id: usize,
    pub(crate) result: Result<T, StepError>,
    pub(crate) took: Duration,
}

/// Steps that run concurrently. Dropping the crew drops them all.
pub(crate) struct Crew<T> {
    /// Created for the first step that its first poll does not complete.
    waiting: Option<Box<Waiting<T>>>,
    /// `true` once a poll was slow: no further step is polled in place.
    slow: bool,
    /// The last reading of the clock, taken when the last poll ended. The next poll counts from there,
    /// so that each poll costs one reading. Work in between calls [`look`](Self::look).
    now: Moment,
    turn_began: Moment,
    clock: Clock,
}

impl<T: Send + 'static> Crew<T> {
    pub(crate) fn new(clock: Clock) -> Self {
        let now = clock.now();
        Self {
            waiting: None,
            slow: false,
            now,
            turn_began: now,
            clock,
        }
    }

    /// Starts a step. Returns its result if the first poll completes it.
    pub(crate) fn push(
        &mut self,
        id: usize,
        entry: &Arc<Entry>,
        make: impl FnOnce() -> Made<'static, T>,
    ) -> Option<Finished<T>> {
        let (started, in_place) = (self.now, !self.slow);
        let first = Job::start_and_poll(entry, started, in_place, make);
        self.look();
        let took = self.now.after(started);
        if took > SLOW {
            self.slow = self.slow || has_other_threads();
        }
        let result = match first {
            Ok(FirstPoll::Ready(value)) => Ok(value),
            Ok(FirstPoll::Pending(job)) => {
                let waiting = self
                    .waiting
                    .get_or_insert_with(|| Waiting::new(entry.ledger()));
                waiting.spawn(id, job, in_place.then_some(started));
                self.look();
                return None;
            }
            Err(error) => Err(error),
        };
        Some(Finished { id, result, took })
    }

    /// Returns the next step that has ended or is overdue; `None` if there is none left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Finished<T>> {
        self.breathe().await;
        let finished = self.waiting.as_mut()?.next().await;
        self.look();
        finished
    }

    /// Lets other tasks run if steps were pushed for longer than [`TURN`], or if tasks were woken on
    /// this thread. Callers await it before each push, and before other code of the app.
    #[inline]
    pub(crate) async fn breathe(&mut self) {
        if woken::is_noted() || self.now.after(self.turn_began) > TURN {
            self.pause().await;
        }
    }

    async fn pause(&mut self) {
        if woken::is_noted() {
            woken::step_back().await;
            self.look();
        }
        if self.now.after(self.turn_began) > TURN {
            yield_now().await;
            self.look();
            self.turn_began = self.now;
        }
    }

    /// Reads the clock after work that belongs to no step, which would otherwise count towards the next
    /// step.
    pub(crate) fn look(&mut self) {
        self.now = self.clock.now();
    }

    /// The steps that have not ended, and the time for which each has run.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.waiting.iter().flat_map(|waiting| waiting.unfinished())
    }
}

/// Returns `true` if the runtime has other threads, on which slow steps should run.
fn has_other_threads() -> bool {
    Handle::current().metrics().num_workers() > 1
}

/// Runs one step, with its deadline, in place.
pub(crate) async fn run_alone<T>(
    entry: &Arc<Entry>,
    make: impl FnOnce() -> BoxFuture<'static, T>,
) -> Result<T, StepError> {
    woken::go_first().await;
    let job = Job::start(entry, make)?;
    // `unconstrained`, because the step can use up tokio's coop budget of this task. The timer is
    // created lazily, so a step that is ready at once costs none.
    let time_is_up = unconstrained(async { sleep(entry.timeout()).await });
    match race(job, time_is_up).await {
        Either::First(result) => result,
        Either::Second(()) => Err(entry.overdue()),
    }
}

//! Runs many steps of the app's code concurrently: in place those that are over with one quick poll,
//! in tasks all others.
//!
//! Most steps are done with their first poll; for those, a task each would cost several times the
//! step itself. So steps are polled in place, one after the other. One that has to wait goes on in a
//! task; and once a poll has taken longer than [`SLOW`], and there are other threads, all steps of
//! this crew begin in one.

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

/// A poll that takes longer than this is computing, or blocking, and belongs on another core.
const SLOW: Duration = Duration::from_micros(250);

/// For how long steps are polled in place, or old values dropped, before other tasks get their turn.
pub(crate) const TURN: Duration = Duration::from_millis(1);

/// How long steps that were told to end are waited for, which those that block their thread do not.
pub(crate) const LETTING_GO: Duration = Duration::from_millis(50);

/// What one step came to, and how long it took.
pub(crate) struct Finished<T> {
    pub(crate) id: usize,
    pub(crate) result: Result<T, StepError>,
    pub(crate) took: Duration,
}

/// Steps that run concurrently. Dropping the crew drops them all.
pub(crate) struct Crew<T> {
    /// Made for the first step that is not over with its first poll.
    waiting: Option<Box<Waiting<T>>>,
    /// Whether a poll was slow, so that no step is polled in place any more.
    slow: bool,
    /// When the clock was looked at last, which is when the last poll ended. What is polled next
    /// begins then, so that each poll costs one look; work in between asks for one of its own.
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

    /// Starts a step. If its first poll completes it, here is the result.
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

    /// The next step that has ended, or whose time is up; `None` when there are none.
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

    /// Lets other tasks have their turn, if steps were pushed for long enough, or if tasks were woken on
    /// this thread. To be called before each push, and before other code of the app's.
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

    /// Looks at the clock, after work that is no step's: the next one would pay for it.
    pub(crate) fn look(&mut self) {
        self.now = self.clock.now();
    }

    /// The steps that have not ended, and for how long their time has run.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.waiting.iter().flat_map(|waiting| waiting.unfinished())
    }
}

/// Whether steps that are slow had better run elsewhere.
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
    // Not on the budget that tokio gives a task, which the step may use up; and without a timer for one
    // that is ready at once.
    let time_is_up = unconstrained(async { sleep(entry.timeout()).await });
    match race(job, time_is_up).await {
        Either::First(result) => result,
        Either::Second(()) => Err(entry.overdue()),
    }
}

//! Runs many steps of the app's code concurrently: in place while they are quick, on all cores once
//! one of them proves slow.
//!
//! Most steps are done with their first poll; for those, a task each would cost several times the
//! step itself. So steps are polled in place, one after the other, until a poll takes longer than
//! [`SLOW`]; from then on all steps of this crew are spawned.

mod clock;
mod entry;
mod gate;
mod job;
mod ledger;
mod waiting;
mod woken;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::yield_now;

pub(crate) use clock::{CENTURY, Clock, Moment};
pub(crate) use entry::{Entry, Kind};
pub(crate) use gate::Gate;
use job::FirstPoll;
pub(crate) use job::{BoxFuture, Job, Made};
pub(crate) use ledger::Ledger;
use waiting::Waiting;

use crate::StepError;

/// A poll that takes longer than this is computing, or blocking, and belongs on another core.
const SLOW: Duration = Duration::from_micros(250);

/// For how long steps are polled in place, or old values dropped, before other tasks get their turn.
pub(crate) const TURN: Duration = Duration::from_millis(1);

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
        let started = self.now;
        // Most are ready at once and need no waker. Those that are not are polled a second time
        // with one.
        let mut cx = Context::from_waker(Waker::noop());
        let result = match self.slow {
            true => Job::start(entry, || make().into_future()).map(FirstPoll::Pending),
            false => Job::start_and_poll(entry, started, make, &mut cx),
        };
        self.now = self.clock.now();
        let took = self.now.after(started);
        let finished = match result {
            Ok(FirstPoll::Pending(job)) => {
                let waiting = self.waiting.get_or_insert_with(Box::default);
                match self.slow {
                    true => waiting.spawn(id, job),
                    false => waiting.poll_here(id, job, started),
                }
                None
            }
            Ok(FirstPoll::Ready(value)) => Some(Ok(value)),
            Err(error) => Some(Err(error)),
        };
        self.look_at(took);
        finished.map(|result| Finished { id, result, took })
    }

    /// The next step that has ended, or whose time is up; `None` when there are none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Finished<T>> {
        self.breathe().await;
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Lets other tasks have their turn, if steps were pushed for long enough.
    pub(crate) async fn breathe(&mut self) {
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

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<T>>> {
        let Some(waiting) = &self.waiting else {
            return Poll::Ready(None);
        };
        waiting.woken.register(cx.waker());
        let woken = waiting.woken.len();
        let turn = self.clock.now();
        self.now = turn;
        // No more than were woken by now: those that wake themselves are polled again after the alarm
        // was looked at. Whoever is woken wakes this task too, so nobody is forgotten.
        for _ in 0..woken {
            let Some(poll) = self.poll_woken() else {
                continue;
            };
            let began = std::mem::replace(&mut self.now, self.clock.now());
            self.look_at(self.now.after(began));
            if poll.is_ready() {
                return poll.map(Some);
            }
            if self.now.after(turn) > TURN {
                // The rest comes after the others had their turn.
                cx.waker().wake_by_ref();
                break;
            }
        }
        match &mut self.waiting {
            Some(waiting) => waiting.poll_others(cx),
            None => Poll::Ready(None),
        }
    }

    fn poll_woken(&mut self) -> Option<Poll<Finished<T>>> {
        let waiting = self.waiting.as_mut()?;
        let id = waiting.woken.pop()?;
        waiting.poll(id)
    }

    /// After a poll that took so long: from a slow one on, all steps are spread over the cores, if
    /// there are several.
    fn look_at(&mut self, took: Duration) {
        if took <= SLOW || self.slow {
            return;
        }
        self.slow = Handle::current().metrics().num_workers() > 1;
        if let Some(waiting) = self.waiting.as_mut().filter(|_| self.slow) {
            waiting.spread();
        }
    }
}

/// Runs one step, with its deadline.
pub(crate) async fn run_alone<T: Send + 'static>(
    entry: &Arc<Entry>,
    make: impl FnOnce() -> BoxFuture<'static, T>,
) -> Result<T, StepError> {
    let mut crew = Crew::new(entry.clock());
    if let Some(finished) = crew.push(0, entry, || Made::Future(make())) {
        return finished.result;
    }
    crew.next()
        .await
        .expect("a crew of one has a result")
        .result
}

//! Runs many steps of the app's code concurrently: in place while they are quick, on all cores once
//! one of them proves slow.
//!
//! Most steps are done with their first poll; for those, a task each would cost several times the
//! step itself. So steps are polled in place, one after the other, until a poll takes longer than
//! [`SLOW`]; from then on all steps of this crew are spawned.

mod entry;
mod gate;
mod job;
mod ledger;
mod woken;

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet, unconstrained, yield_now};
use tokio::time::{Instant, Sleep};

pub(crate) use entry::{Entry, Kind};
pub(crate) use gate::Gate;
pub(crate) use job::{BoxFuture, Job};
pub(crate) use ledger::{CENTURY, Ledger};

use crate::{StepError, inside};
use woken::{WakeOne, Woken};

/// A poll that takes longer than this is computing, or blocking, and belongs on another core.
const SLOW: Duration = Duration::from_micros(250);

/// For how long steps are polled in place before other tasks get their turn.
const TURN: Duration = Duration::from_millis(1);

/// What one step came to, and how long it took.
pub(crate) struct Finished<T> {
    pub(crate) id: usize,
    pub(crate) result: Result<T, StepError>,
    pub(crate) took: Duration,
}

/// Steps that run concurrently. Dropping the crew drops them all.
pub(crate) struct Crew<T> {
    members: BTreeMap<usize, Member<T>>,
    /// For each member, when to look whether its time is up.
    deadlines: BTreeSet<(Instant, usize)>,
    /// Sleeps until the first of `deadlines`.
    alarm: Option<Pin<Box<Sleep>>>,
    woken: Arc<Woken>,
    spawned: JoinSet<Finished<T>>,
    slow: bool,
    turn_began: Instant,
}

struct Member<T> {
    entry: Arc<Entry>,
    /// When to look whether its time is up.
    deadline: Instant,
    place: Place<T>,
}

enum Place<T> {
    Here {
        job: Job<'static, T>,
        waker: Arc<WakeOne>,
        started: Instant,
    },
    Spawned(AbortHandle),
}

impl<T: Send + 'static> Crew<T> {
    pub(crate) fn new() -> Self {
        Self {
            members: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            alarm: None,
            woken: Arc::default(),
            spawned: JoinSet::new(),
            slow: false,
            turn_began: Instant::now(),
        }
    }

    /// Starts a step. If its first poll completes it, here is the result.
    pub(crate) fn push(&mut self, id: usize, mut job: Job<'static, T>) -> Option<Finished<T>> {
        let started = Instant::now();
        let entry = Arc::clone(job.entry());
        if self.slow {
            // It waits for a core, and that is not its fault.
            entry.queue();
            let place = self.spawn(id, job, None);
            self.join(id, entry, place, started);
            return None;
        }
        // Most are ready at once and need no waker. Those that are not are polled a second time
        // with one.
        let mut cx = Context::from_waker(Waker::noop());
        let poll = Pin::new(&mut job).poll(&mut cx);
        let took = started.elapsed();
        if let Poll::Ready(result) = poll {
            drop(job);
            if took > SLOW {
                self.spread();
            }
            return Some(Finished { id, result, took });
        }
        let waker = WakeOne::new(id, &self.woken);
        self.join(
            id,
            entry,
            Place::Here {
                job,
                waker,
                started,
            },
            started,
        );
        if took > SLOW {
            self.spread();
        }
        None
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
        if self.turn_began.elapsed() > TURN {
            yield_now().await;
            self.turn_began = Instant::now();
        }
    }

    /// The steps that have not ended, and for how long their time has run.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.members.iter().map(|(id, member)| (*id, member.took()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<T>>> {
        self.woken.register(cx.waker());
        let turn = Instant::now();
        // No more than were woken by now: those that wake themselves are polled again after the alarm
        // was looked at. Whoever is woken wakes this task too, so nobody is forgotten.
        for _ in 0..self.woken.len() {
            let Some(id) = self.woken.pop() else { break };
            let Some(Member {
                place: Place::Here { job, waker, .. },
                ..
            }) = self.members.get_mut(&id)
            else {
                continue;
            };
            let began = Instant::now();
            let poll = waker.poll(Pin::new(job));
            let slow = began.elapsed() > SLOW;
            let finished = poll.map(|result| self.finish(id, result));
            if slow {
                self.spread();
            }
            if let Poll::Ready(finished) = finished {
                return Poll::Ready(Some(finished));
            }
            if turn.elapsed() > TURN {
                // The rest comes after the others had their turn.
                cx.waker().wake_by_ref();
                break;
            }
        }
        while let Poll::Ready(Some(joined)) = self.spawned.poll_join_next(cx) {
            // A task that was aborted, because its time was up, has been answered for already.
            if let Ok(finished) = joined
                && let Some(member) = self.members.remove(&finished.id)
            {
                self.deadlines.remove(&(member.deadline, finished.id));
                return Poll::Ready(Some(finished));
            }
        }
        if let Some(id) = self.poll_alarm(cx) {
            let overdue = self.members[&id].entry.overdue();
            return Poll::Ready(Some(self.finish(id, Err(overdue))));
        }
        match self.members.is_empty() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }

    /// A step whose time is up.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        loop {
            let &(deadline, id) = self.deadlines.first()?;
            let sleep = || Box::pin(tokio::time::sleep_until(deadline));
            let alarm = self.alarm.get_or_insert_with(sleep);
            if alarm.deadline() != deadline {
                alarm.as_mut().reset(deadline);
            }
            // Not on the budget that tokio gives a task, which the steps may have used up.
            if pin!(unconstrained(alarm.as_mut())).poll(cx).is_pending() {
                return None;
            }
            // The time of a step that was queued has begun later than it was pushed, or not at all.
            let member = self
                .members
                .get_mut(&id)
                .expect("each deadline has its member");
            let began = member.entry.since().unwrap_or_else(Instant::now);
            let deadline_now = began + member.entry.timeout();
            if deadline_now <= deadline {
                return Some(id);
            }
            member.deadline = deadline_now;
            self.deadlines.remove(&(deadline, id));
            self.deadlines.insert((deadline_now, id));
        }
    }

    fn join(&mut self, id: usize, entry: Arc<Entry>, place: Place<T>, started: Instant) {
        let deadline = started + entry.timeout();
        self.deadlines.insert((deadline, id));
        self.members.insert(
            id,
            Member {
                entry,
                deadline,
                place,
            },
        );
    }

    fn finish(&mut self, id: usize, result: Result<T, StepError>) -> Finished<T> {
        let member = self.members.remove(&id).expect("only a member finishes");
        self.deadlines.remove(&(member.deadline, id));
        let took = member.took();
        if let Place::Spawned(task) = &member.place {
            task.abort();
        }
        Finished { id, result, took }
    }

    /// From now on on all cores, if there are several.
    fn spread(&mut self) {
        self.slow = Handle::current().metrics().num_workers() > 1;
        if !self.slow {
            return;
        }
        for (id, member) in std::mem::take(&mut self.members) {
            let place = match member.place {
                Place::Here { job, started, .. } => self.spawn(id, job, Some(started)),
                spawned @ Place::Spawned(_) => spawned,
            };
            self.members.insert(id, Member { place, ..member });
        }
    }

    /// `started` is when its time began; `None` if that is when it gets a core.
    fn spawn(&mut self, id: usize, job: Job<'static, T>, started: Option<Instant>) -> Place<T> {
        let entry = Arc::clone(job.entry());
        let ledger = entry.ledger();
        let job = async move {
            let started = started.unwrap_or_else(|| {
                entry.begin();
                Instant::now()
            });
            let result = job.await;
            drop(ledger);
            Finished {
                id,
                result,
                took: started.elapsed(),
            }
        };
        Place::Spawned(self.spawned.spawn(inside::same(inside::manager(), job)))
    }
}

impl<T> Member<T> {
    fn took(&self) -> Duration {
        match &self.place {
            Place::Here { started, .. } => started.elapsed(),
            Place::Spawned(_) => self
                .entry
                .since()
                .map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }
}

/// Runs one step, with its deadline.
pub(crate) async fn run_alone<T: Send + 'static>(
    entry: &Arc<Entry>,
    make: impl FnOnce() -> BoxFuture<'static, T>,
) -> Result<T, StepError> {
    let mut crew = Crew::new();
    if let Some(finished) = crew.push(0, Job::start(entry, make)?) {
        return finished.result;
    }
    crew.next()
        .await
        .expect("a crew of one has a result")
        .result
}

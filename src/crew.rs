//! Runs many steps of the app's code concurrently: in place while they are quick, on all cores once
//! one of them proves slow.
//!
//! Most steps are done with their first poll; for those, a task each would cost several times the
//! step itself. So steps are polled in place, one after the other, until a poll takes longer than
//! [`SLOW`]; from then on all steps of this crew are spawned.

mod gate;
mod job;
mod ledger;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Sleep};

pub(crate) use gate::Gate;
pub(crate) use job::{BoxFuture, Job};
pub(crate) use ledger::{CENTURY, Entry, Kind, Ledger};

use crate::{StepError, inside};

/// A poll that takes longer than this is computing, or blocking, and belongs on another core.
const SLOW: Duration = Duration::from_micros(250);

/// What one step came to, and how long it took.
pub(crate) struct Finished<T> {
    pub(crate) id: usize,
    pub(crate) result: Result<T, StepError>,
    pub(crate) took: Duration,
}

/// Steps that run concurrently. Dropping the crew drops them all.
pub(crate) struct Crew<T> {
    members: BTreeMap<usize, Member<T>>,
    deadlines: BTreeSet<(Instant, usize)>,
    /// Sleeps until the first of `deadlines`.
    alarm: Option<Pin<Box<Sleep>>>,
    woken: Arc<Woken>,
    spawned: JoinSet<(usize, Result<T, StepError>)>,
    slow: bool,
}

struct Member<T> {
    entry: Arc<Entry>,
    started: Instant,
    place: Place<T>,
}

impl<T> Member<T> {
    fn deadline(&self) -> Instant {
        self.started + self.entry.timeout()
    }
}

enum Place<T> {
    Here(Job<'static, T>, Waker),
    Spawned(AbortHandle),
}

/// The ids of those that were woken, and who polls them.
#[derive(Default)]
struct Woken(Mutex<(VecDeque<usize>, Option<Waker>)>);

struct WakeOne {
    id: usize,
    woken: Arc<Woken>,
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
        }
    }

    /// Starts a step. If its first poll completes it, here is the result.
    pub(crate) fn push(&mut self, id: usize, mut job: Job<'static, T>) -> Option<Finished<T>> {
        let started = Instant::now();
        let entry = Arc::clone(job.entry());
        if self.slow {
            let place = self.spawn(id, job);
            self.join(
                id,
                Member {
                    entry,
                    started,
                    place,
                },
            );
            return None;
        }
        // Most are ready at once and need no waker. Those that are not are polled a second time
        // with one.
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = Pin::new(&mut job).poll(&mut cx) {
            drop(job);
            let took = started.elapsed();
            if took > SLOW {
                self.spread();
            }
            return Some(Finished { id, result, took });
        }
        let waker = Waker::from(Arc::new(WakeOne {
            id,
            woken: Arc::clone(&self.woken),
        }));
        waker.wake_by_ref();
        self.join(
            id,
            Member {
                entry,
                started,
                place: Place::Here(job, waker),
            },
        );
        if started.elapsed() > SLOW {
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
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The steps that have not ended.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.members
            .iter()
            .map(|(id, member)| (*id, member.started.elapsed()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<T>>> {
        self.woken.register(cx.waker());
        // No more than were woken by now: those that wake themselves are polled again after the alarm
        // was looked at. Whoever is woken wakes this task too, so nobody is forgotten.
        for _ in 0..self.woken.len() {
            let Some(id) = self.woken.pop() else { break };
            let Some(Member {
                place: Place::Here(job, waker),
                ..
            }) = self.members.get_mut(&id)
            else {
                continue;
            };
            let began = Instant::now();
            let poll = Pin::new(job).poll(&mut Context::from_waker(waker));
            if began.elapsed() > SLOW {
                self.slow = true;
            }
            if let Poll::Ready(result) = poll {
                return Poll::Ready(Some(self.finish(id, result)));
            }
            if self.slow {
                self.spread();
            }
        }
        while let Poll::Ready(Some(joined)) = self.spawned.poll_join_next(cx) {
            // A task that was aborted, because its time was up, has been answered for already.
            if let Ok((id, result)) = joined
                && self.members.contains_key(&id)
            {
                return Poll::Ready(Some(self.finish(id, result)));
            }
        }
        if let Some(id) = self.poll_alarm(cx) {
            let entry = &self.members[&id].entry;
            let error = match entry.is_polling() {
                true => StepError::blocked(entry.timeout()),
                false => StepError::timed_out(entry.timeout()),
            };
            return Poll::Ready(Some(self.finish(id, Err(error))));
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
            let alarm = self
                .alarm
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if alarm.deadline() != deadline {
                alarm.as_mut().reset(deadline);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return None;
            }
            if self.members.contains_key(&id) {
                return Some(id);
            }
            self.deadlines.pop_first();
        }
    }

    fn join(&mut self, id: usize, member: Member<T>) {
        self.deadlines.insert((member.deadline(), id));
        self.members.insert(id, member);
    }

    fn finish(&mut self, id: usize, result: Result<T, StepError>) -> Finished<T> {
        let member = self.members.remove(&id).expect("only a member finishes");
        self.deadlines.remove(&(member.deadline(), id));
        if let Place::Spawned(task) = &member.place {
            task.abort();
        }
        Finished {
            id,
            result,
            took: member.started.elapsed(),
        }
    }

    /// From now on on all cores.
    fn spread(&mut self) {
        self.slow = true;
        for (id, member) in std::mem::take(&mut self.members) {
            let place = match member.place {
                Place::Here(job, _) => self.spawn(id, job),
                spawned @ Place::Spawned(_) => spawned,
            };
            self.members.insert(id, Member { place, ..member });
        }
    }

    fn spawn(&mut self, id: usize, job: Job<'static, T>) -> Place<T> {
        let ledger = job.entry().ledger();
        let job = async move {
            let result = job.await;
            drop(ledger);
            (id, result)
        };
        Place::Spawned(self.spawned.spawn(inside::same(inside::manager(), job)))
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

impl Woken {
    fn lock(&self) -> std::sync::MutexGuard<'_, (VecDeque<usize>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, waker: &Waker) {
        self.lock()
            .1
            .get_or_insert_with(|| waker.clone())
            .clone_from(waker);
    }

    fn len(&self) -> usize {
        self.lock().0.len()
    }

    fn pop(&self) -> Option<usize> {
        self.lock().0.pop_front()
    }
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut woken = self.woken.lock();
            woken.0.push_back(self.id);
            woken.1.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

//! The steps of a crew that were not over with their first poll.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet, unconstrained};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Finished;
use super::clock::Moment;
use super::entry::Entry;
use super::job::Job;
use super::woken::{WakeOne, Woken};
use crate::{StepError, inside};

/// Steps that are polled here, or were spawned. Dropping it drops them all.
pub(super) struct Waiting<T> {
    members: BTreeMap<usize, Member<T>>,
    /// For each member, when to look whether its time is up.
    deadlines: BTreeSet<(Instant, usize)>,
    /// Sleeps until the first of `deadlines`.
    alarm: Option<Pin<Box<Sleep>>>,
    pub(super) woken: Arc<Woken>,
    spawned: JoinSet<Finished<T>>,
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

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            alarm: None,
            woken: Arc::default(),
            spawned: JoinSet::new(),
        }
    }
}

impl<T: Send + 'static> Waiting<T> {
    /// Takes on a step that was polled once, without a waker.
    pub(super) fn poll_here(&mut self, id: usize, job: Job<'static, T>, started: Moment) {
        let waker = WakeOne::new(id, &self.woken);
        let entry = Arc::clone(job.entry());
        let started = entry.clock().instant(started);
        let place = Place::Here {
            job,
            waker,
            started,
        };
        self.add(id, entry, place, started);
    }

    /// Takes on a step that is to wait for a core; its time begins then.
    pub(super) fn spawn(&mut self, id: usize, job: Job<'static, T>) {
        let entry = Arc::clone(job.entry());
        entry.queue();
        let place = self.spawned(id, job, None);
        self.add(id, entry, place, Instant::now());
    }

    /// From now on all wait for a core.
    pub(super) fn spread(&mut self) {
        for (id, member) in std::mem::take(&mut self.members) {
            let place = match member.place {
                Place::Here { job, started, .. } => self.spawned(id, job, Some(started)),
                spawned @ Place::Spawned(_) => spawned,
            };
            self.members.insert(id, Member { place, ..member });
        }
    }

    /// The steps that have not ended, and for how long their time has run.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.members.iter().map(|(id, member)| (*id, member.took()))
    }

    /// Polls one that was woken, if it still waits here.
    pub(super) fn poll(&mut self, id: usize) -> Option<Poll<Finished<T>>> {
        let member = self.members.get_mut(&id)?;
        let Place::Here { job, waker, .. } = &mut member.place else {
            return None;
        };
        let poll = waker.poll(Pin::new(job));
        Some(poll.map(|result| self.finish(id, result)))
    }

    /// One that has ended elsewhere, or whose time is up; `None` when there are none.
    pub(super) fn poll_others(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<T>>> {
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
            let sleep = || Box::pin(sleep_until(deadline));
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

    fn add(&mut self, id: usize, entry: Arc<Entry>, place: Place<T>, started: Instant) {
        let deadline = started + entry.timeout();
        self.deadlines.insert((deadline, id));
        let member = Member {
            entry,
            deadline,
            place,
        };
        self.members.insert(id, member);
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

    /// `started` is when its time began; `None` if that is when it gets a core.
    fn spawned(&mut self, id: usize, job: Job<'static, T>, started: Option<Instant>) -> Place<T> {
        let entry = Arc::clone(job.entry());
        let job = async move {
            let started = started.unwrap_or_else(|| {
                entry.begin();
                Instant::now()
            });
            let result = job.await;
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

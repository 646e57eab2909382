//! The steps of a crew that their first poll did not complete, each in a task.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet, unconstrained};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Finished;
use super::clock::Moment;
use super::entry::Entry;
use super::job::Job;
use super::ledger::{Abort, Failed, Ledger};
use crate::{inside, woken};

/// The steps of a crew that were spawned. Dropping it drops them all.
pub(super) struct Waiting<T> {
    members: BTreeMap<usize, Member>,
    /// The time at which to check the deadline of each member.
    deadlines: BTreeSet<(Instant, usize)>,
    /// Sleeps until the first of `deadlines`.
    alarm: Option<Pin<Box<Sleep>>>,
    tasks: Arc<Tasks<T>>,
}

/// Shared with the supervisor, which must be able to abort these tasks while a blocking step holds the
/// crew.
struct Tasks<T> {
    set: Mutex<JoinSet<Finished<T>>>,
    failed: Arc<Mutex<Vec<Failed>>>,
}

struct Member {
    entry: Arc<Entry>,
    /// The time at which to check whether the step is overdue.
    deadline: Instant,
    task: AbortHandle,
}

impl<T> Tasks<T> {
    fn set(&self) -> MutexGuard<'_, JoinSet<Finished<T>>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Abort for Tasks<T> {
    fn abort(&self) -> Vec<Failed> {
        // Includes the results that the crew has not looked at, which can contain values.
        let set = std::mem::take(&mut *self.set());
        drop(set);
        let failed = self.failed.lock();
        failed.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T: Send + 'static> Waiting<T> {
    pub(super) fn new(ledger: &Ledger) -> Box<Self> {
        let tasks = Arc::new(Tasks {
            set: Mutex::default(),
            failed: Arc::default(),
        });
        let waiting: Weak<Tasks<T>> = Arc::downgrade(&tasks);
        ledger.note_waiting(waiting);
        Box::new(Self {
            members: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            alarm: None,
            tasks,
        })
    }

    /// Spawns a step. `started` is the moment at which its time began; `None` if that is when it gets a
    /// core.
    pub(super) fn spawn(&mut self, id: usize, job: Job<'static, T>, started: Option<Moment>) {
        let entry = Arc::clone(job.entry());
        let started = started.map(|started| entry.clock().instant(started));
        if started.is_none() {
            entry.queue();
        }
        let deadline = started.unwrap_or_else(Instant::now) + entry.timeout();
        self.deadlines.insert((deadline, id));
        let (it, failed) = (Arc::clone(&entry), Arc::clone(&self.tasks.failed));
        let job = async move {
            let started = started.unwrap_or_else(|| {
                it.begin();
                Instant::now()
            });
            let result = job.await;
            let took = started.elapsed();
            if let Err(error) = &result {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.push((it, error.clone(), took));
            }
            Finished { id, result, took }
        };
        let job = inside::same(inside::current(), job);
        let task = self.tasks.set().spawn(job);
        woken::note();
        let member = Member {
            entry,
            deadline,
            task,
        };
        self.members.insert(id, member);
    }

    /// The steps that have not ended, and the time for which each has run.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.members.iter().map(|(id, member)| (*id, member.took()))
    }

    /// Returns the next step that has ended or is overdue; `None` if there is none left.
    pub(super) async fn next(&mut self) -> Option<Finished<T>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Finished<T>>> {
        loop {
            let joined = self.tasks.set().poll_join_next(cx);
            let Poll::Ready(Some(joined)) = joined else {
                break;
            };
            // A task that was aborted was overdue, and its result has been returned already.
            if let Ok(finished) = joined
                && let Some(member) = self.members.remove(&finished.id)
            {
                self.deadlines.remove(&(member.deadline, finished.id));
                return Poll::Ready(Some(finished));
            }
        }
        if let Some(id) = self.poll_alarm(cx) {
            return Poll::Ready(Some(self.time_is_up(id)));
        }
        match self.members.is_empty() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }

    /// Returns a step that is overdue.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        loop {
            let &(deadline, id) = self.deadlines.first()?;
            let sleep = || Box::pin(sleep_until(deadline));
            let alarm = self.alarm.get_or_insert_with(sleep);
            if alarm.deadline() != deadline {
                alarm.as_mut().reset(deadline);
            }
            // `unconstrained`, because the steps can have used up tokio's coop budget of this task.
            if pin!(unconstrained(alarm.as_mut())).poll(cx).is_pending() {
                return None;
            }
            // The time of a queued step begins after its push, or has not begun yet.
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

    fn time_is_up(&mut self, id: usize) -> Finished<T> {
        let member = self
            .members
            .remove(&id)
            .expect("only a member has a deadline");
        self.deadlines.remove(&(member.deadline, id));
        member.task.abort();
        // An aborted task is woken, so that the runtime drops it.
        woken::note();
        Finished {
            id,
            result: Err(member.entry.overdue()),
            took: member.took(),
        }
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if !self.members.is_empty() {
            // Dropping the set aborts the tasks.
            woken::note();
        }
    }
}

impl Member {
    fn took(&self) -> Duration {
        self.entry
            .since()
            .map_or(Duration::ZERO, |since| since.elapsed())
    }
}

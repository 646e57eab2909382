//! The queue of requests: at most one pending reload and one pending check, for any number of callers.
//!
//! # Invariants
//!
//! 1. A request made at time t is answered by a reload that starts after t: a batch leaves the queue
//!    *before* its reload starts, and later requests find a new one.
//! 2. Any number of requests during one reload make one more.
//! 3. Each waiting caller is answered exactly once: with a report, or, when the batch is dropped, by the
//!    end of its channel. A closed queue stays closed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::panic::wake_quietly;
use crate::{Report, Trigger, Triggers, woken};

/// The kind of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Reload,
    Check,
}

pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

/// A batch that has left the queue.
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    pub(super) batch: Batch,
    /// `true` if the queue was empty at first.
    pub(super) waited: bool,
}

struct Closed;

#[derive(Default)]
struct State {
    closed: bool,
    reload: Option<Batch>,
    check: Option<Batch>,
    /// `true` if a check goes before a reload. They alternate, so that neither starves the other.
    check_is_next: bool,
}

/// All requests that one reload, or one check, answers.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) triggers: Triggers,
    /// `true` if one of the triggers is explicit.
    pub(super) explicit: bool,
    /// The first caller. Most reloads have only one, which then needs no `Vec`.
    first: Option<oneshot::Sender<Arc<Report>>>,
    others: Vec<oneshot::Sender<Arc<Report>>>,
}

impl Batch {
    /// Adds a caller. Removes callers that have gone away before the `Vec` grows.
    fn add(&mut self, caller: oneshot::Sender<Arc<Report>>) {
        if self.first.as_ref().is_none_or(oneshot::Sender::is_closed) {
            self.first = Some(caller);
            return;
        }
        if self.others.len() == self.others.capacity() {
            self.others.retain(|caller| !caller.is_closed());
        }
        self.others.push(caller);
    }

    pub(super) fn answer(self, report: &Arc<Report>) {
        for caller in self.first.into_iter().chain(self.others) {
            // A send error means that the caller has gone away.
            wake_quietly(|| drop(caller.send(Arc::clone(report))));
            woken::note();
        }
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Adds a request without a caller that waits. Does nothing once the queue is closed.
    pub(super) fn push(&self, wanted: Wanted, trigger: Trigger) {
        self.push_with(wanted, trigger, |_| ());
    }

    /// Adds a request, and returns the channel on which its report will come.
    pub(super) fn ask(&self, wanted: Wanted, trigger: Trigger) -> oneshot::Receiver<Arc<Report>> {
        let (caller, answer) = oneshot::channel();
        self.push_with(wanted, trigger, |batch| batch.add(caller));
        answer
    }

    fn push_with(&self, wanted: Wanted, trigger: Trigger, add: impl FnOnce(&mut Batch)) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let batch = match wanted {
            Wanted::Reload => &mut state.reload,
            Wanted::Check => &mut state.check,
        };
        let batch = batch.get_or_insert_default();
        // Reports name triggers of both kinds alike.
        let (trigger, explicit) = trigger.split();
        batch.triggers.push(trigger);
        batch.explicit |= explicit;
        add(batch);
        drop(state);
        self.arrived.notify_one();
    }

    /// Returns the next batch, or `None` once the queue is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing out of the queue.
    pub(super) async fn next(&self) -> Option<Asked> {
        let mut waited = false;
        loop {
            match self.take() {
                Ok(Some((wanted, batch))) => {
                    return Some(Asked {
                        wanted,
                        batch,
                        waited,
                    });
                }
                // A permit that was stored since `take` ends this wait at once.
                Ok(None) => self.arrived.notified().await,
                Err(Closed) => return None,
            }
            waited = true;
        }
    }

    /// Waits until a reload is requested, and leaves it in the queue.
    pub(super) async fn reload_is_wanted(&self) {
        while self.lock().reload.is_none() {
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Result<Option<(Wanted, Batch)>, Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        let order = match state.check_is_next {
            true => [Wanted::Check, Wanted::Reload],
            false => [Wanted::Reload, Wanted::Check],
        };
        for wanted in order {
            let batch = match wanted {
                Wanted::Reload => state.reload.take(),
                Wanted::Check => state.check.take(),
            };
            if let Some(batch) = batch {
                state.check_is_next = wanted == Wanted::Reload;
                return Ok(Some((wanted, batch)));
            }
        }
        Ok(None)
    }

    /// Ends the channels of all waiting callers without a report, and those of later callers at once.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = (state.reload.take(), state.check.take());
        drop(state);
        wake_quietly(|| drop(dropped));
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The tasks of components that run. The commit starts the new task and stops the old one, and both
//! overlap for as long as the old one needs.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::probation::Trial;
use super::shared::Shared;
use super::status::TaskStatus;
use crate::component::{Graph, Runnable, Runs};
use crate::crew::{CENTURY, Entry, Job, Kind, Ledger};
use crate::live::AnySlot;
use crate::log::event;
use crate::panic::wake_quietly;
use crate::race::{Either, race};
use crate::shutdown::{self, Phase, Place};
use crate::{Error, OnExit, StepError, woken};

/// All tasks of one manager.
pub(super) struct Tasks {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    fatal: mpsc::UnboundedSender<Error>,
    /// `true` once the tasks are stopped because the run ends.
    ending: Arc<AtomicBool>,
    state: Mutex<State>,
}

/// The stop tokens of the running tasks, by component, and in it by the serial number of the value.
type Running = BTreeMap<usize, BTreeMap<u64, CancellationToken>>;

#[derive(Default)]
struct State {
    running: Running,
    attended: JoinSet<()>,
    /// `true` once no task may be started any more.
    ended: bool,
    /// The number of tasks that have been started.
    started: u64,
}

impl Tasks {
    pub(super) fn new(
        shared: &Arc<Shared>,
        ledger: &Arc<Ledger>,
        fatal: mpsc::UnboundedSender<Error>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            ledger: Arc::clone(ledger),
            fatal,
            ending: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// Starts the tasks of the first generation.
    pub(super) fn start(&self, graph: &Graph) {
        let current = self.shared.publication.current();
        for (index, node) in graph.nodes.iter().enumerate() {
            if let Some(runs) = &node.runs {
                self.switch(index, runs, current.slot(index), None);
            }
        }
    }

    /// Starts the tasks that are new in this slot, which is now current, and stops those that are not in it.
    /// With a `trial` the generation is on probation.
    pub(super) fn switch(
        &self,
        index: usize,
        runs: &Runs,
        slot: &AnySlot,
        trial: Option<&Arc<Trial>>,
    ) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        // Removes the tasks that have ended.
        while state.attended.try_join_next().is_some() {}
        let mut before = state.running.remove(&index).unwrap_or_default();
        let mut now = BTreeMap::new();
        for runnable in runs.runner.tasks(slot) {
            let serial = runnable.serial;
            let stop = before.remove(&serial).unwrap_or_else(|| {
                let stop = CancellationToken::new();
                state.started += 1;
                let status = TaskStatus::new(&runnable.name);
                let mut history = self.shared.history();
                history.tasks.insert(state.started, status);
                drop(history);
                let attended = Attended {
                    id: state.started,
                    runnable,
                    trial: trial.cloned(),
                    stop: stop.clone(),
                    ending: Arc::clone(&self.ending),
                    on_exit: runs.on_exit,
                    shared: Arc::clone(&self.shared),
                    ledger: Arc::clone(&self.ledger),
                    fatal: self.fatal.clone(),
                };
                let place = Place::phase(self.ledger.budget(), Phase::Tasks);
                state
                    .attended
                    .spawn(shutdown::inside(place, attended.run()));
                woken::note();
                stop
            });
            now.insert(serial, stop);
        }
        state.running.insert(index, now);
        drop(state);
        // Cancelled after the lock is released, because it wakes tasks.
        for stop in before.values() {
            stop.cancel();
            woken::note();
        }
    }

    /// Stops all tasks and waits for them. Drops those that have not ended at the deadline, and returns
    /// them, each with the phrase that names it.
    pub(super) async fn end(&self, deadline: Instant) -> Vec<(Arc<Entry>, String)> {
        let (running, mut attended) = self.take();
        // Release pairs with the Acquire in `overdue`: tasks stopped after this have until `deadline`.
        self.ending.store(true, Ordering::Release);
        let tokens = running.values().flat_map(BTreeMap::values);
        tokens.for_each(CancellationToken::cancel);
        let all = async { while attended.join_next().await.is_some() {} };
        if timeout_at(deadline, all).await.is_ok() {
            return Vec::new();
        }
        let late = self.ledger.tasks().into_iter();
        let late = late.map(|task| (Arc::clone(&task), task.to_string()));
        late.collect()
    }

    /// Drops all tasks. The run may be gone while a reload that blocks its thread still holds `self`.
    pub(super) fn abandon(&self) {
        drop(self.take());
    }

    fn take(&self) -> (Running, JoinSet<()>) {
        let mut state = self.lock();
        state.ended = true;
        (take(&mut state.running), take(&mut state.attended))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task with its restarts, until it is stopped.
struct Attended {
    /// The key in the status. A value may have two tasks: one that was stopped, and one that was started
    /// again.
    id: u64,
    runnable: Runnable,
    /// The probation of the generation with which it began.
    trial: Option<Arc<Trial>>,
    stop: CancellationToken,
    ending: Arc<AtomicBool>,
    on_exit: OnExit,
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    fatal: mpsc::UnboundedSender<Error>,
}

impl Attended {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let began = Instant::now();
            let Some(result) = self.once().await else {
                return;
            };
            match self.on_exit {
                OnExit::Restart => {
                    let pause = backoff.next(began.elapsed());
                    self.report(&result, format_args!("is started again in {pause:?}"));
                    if let Either::First(()) = race(self.stop.cancelled(), sleep(pause)).await {
                        return;
                    }
                }
                OnExit::Leave => {
                    self.report(&result, format_args!("stays ended"));
                    return self.stop.cancelled().await;
                }
                OnExit::Stop => {
                    self.ends_all(&result);
                    return self.stop.cancelled().await;
                }
            }
        }
    }

    /// Ends the run, or fails the probation of the generation with which the task began.
    fn ends_all(&self, result: &Result<(), StepError>) {
        let error = Error::task(&self.runnable.name, result.as_ref().err().cloned());
        let fatal = match &self.trial {
            Some(trial) => trial.fail(error),
            None => Err(error),
        };
        match fatal {
            Ok(()) => self.report(result, format_args!("fails the probation")),
            Err(error) => {
                self.report(result, format_args!("ends the run"));
                // A send error means that the run is over.
                drop(self.fatal.send(error));
            }
        }
    }

    /// Runs the task. Returns its result, or `None` if it was stopped.
    async fn once(&mut self) -> Option<Result<(), StepError>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let entry = self.ledger.add(Kind::Task, &self.runnable.name, CENTURY);
        // A token of the task's own, which it may cancel, or wait for with a waker that panics.
        let told = CancellationToken::new();
        let start = || match &self.runnable.start {
            Some(start) => start(told.clone()),
            None => unreachable!("what was told to stop is not started again"),
        };
        let mut job = match Job::start(&entry, start) {
            Ok(job) => job,
            Err(error) => return Some(Err(error)),
        };
        if let Either::First(result) = race(&mut job, self.stop.cancelled()).await {
            if !self.stop.is_cancelled() {
                return Some(result);
            }
            self.stopped(result);
            return None;
        }
        wake_quietly(|| told.cancel());
        // From here on only the task holds the value, and may let go of it before it ends.
        self.runnable.start = None;
        // The tasks of the app's that the token has woken go first, because this one may block its thread.
        woken::step_back().await;
        let deadline = self.shared.drains.deadline();
        match race(&mut job, self.overdue(deadline)).await {
            Either::First(result) => self.stopped(result),
            Either::Second(()) => self.late(&entry, deadline),
        }
        None
    }

    /// Resolves when a stopped task has had its time. At the end of the run [`Tasks::end`] has the limit.
    async fn overdue(&self, deadline: Duration) {
        sleep(deadline).await;
        if self.ending.load(Ordering::Acquire) {
            pending::<()>().await;
        }
    }

    fn report(&self, result: &Result<(), StepError>, then: fmt::Arguments<'_>) {
        let name = &self.runnable.name;
        match result {
            Ok(()) => event!(
                WARN,
                "the task of component `{name}` ended by itself and {then}",
            ),
            Err(error) => event!(
                ERROR,
                "the task of component `{name}` failed and {then}: {}",
                error.chain(),
            ),
        }
        let restarts = self.on_exit == OnExit::Restart;
        let mut history = self.shared.history();
        let status = history.tasks.get_mut(&self.id);
        let before = status.and_then(|status| status.ended(result.as_ref().err(), restarts));
        drop(history);
        // Dropped after the lock is released, because the error is the app's.
        drop(before);
    }

    fn stopped(&self, result: Result<(), StepError>) {
        if let Err(error) = result {
            event!(
                ERROR,
                "the task of component `{}` failed when it was told to stop: {}",
                self.runnable.name,
                error.chain(),
            );
        }
    }

    fn late(&self, entry: &Entry, deadline: Duration) {
        event!(
            WARN,
            "{entry}, did not end within {deadline:?} after it was told to, and is dropped",
        );
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        let status = self.shared.history().tasks.remove(&self.id);
        // Dropped after the lock is released, because its error is the app's.
        drop(status);
    }
}

//! The tasks of components that run: the new one is started at the commit, the old one told to stop,
//! and both overlap for as long as the old one needs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::status::TaskStatus;
use crate::component::{Graph, Runnable, Runs};
use crate::crew::{CENTURY, Entry, Job, Kind, Ledger};
use crate::live::AnySlot;
use crate::race::{Either, race};
use crate::{Error, OnExit, StepError};

/// The pause before a task that ended is started again. It doubles with each further time, up to
/// [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// A task that ran for this long before it ended is not ending in a row.
const STEADY: Duration = Duration::from_secs(60);

/// All tasks of one manager.
pub(super) struct Tasks {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    fatal: mpsc::UnboundedSender<Error>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The stop tokens of what runs: by component, and in it by the serial number of the value.
    running: BTreeMap<usize, BTreeMap<u64, CancellationToken>>,
    attended: JoinSet<()>,
    /// How many were started by now.
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
            state: Mutex::default(),
        }
    }

    /// Starts what runs from the beginning.
    pub(super) fn start(&self, graph: &Graph) {
        let current = self.shared.publication.current();
        for (index, node) in graph.nodes.iter().enumerate() {
            if let Some(runs) = &node.runs {
                self.switch(index, runs, current.slot(index));
            }
        }
    }

    /// This slot is current now: starts what is new, and tells what is not any more to stop.
    pub(super) fn switch(&self, index: usize, runs: &Runs, slot: &AnySlot) {
        let mut state = self.lock();
        // Those that have ended are forgotten.
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
                    stop: stop.clone(),
                    on_exit: runs.on_exit,
                    shared: Arc::clone(&self.shared),
                    ledger: Arc::clone(&self.ledger),
                    fatal: self.fatal.clone(),
                };
                state.attended.spawn(attended.run());
                stop
            });
            now.insert(serial, stop);
        }
        state.running.insert(index, now);
        drop(state);
        // Wakes tasks, so not under the lock.
        before.values().for_each(CancellationToken::cancel);
    }

    /// Tells all to stop, and waits for them. Those that have not ended by then are dropped; their
    /// names.
    pub(super) async fn end(&self, grace: Duration) -> Vec<String> {
        let (running, mut attended) = {
            let mut state = self.lock();
            let running = std::mem::take(&mut state.running);
            (running, std::mem::take(&mut state.attended))
        };
        let tokens = running.values().flat_map(BTreeMap::values);
        tokens.for_each(CancellationToken::cancel);
        let all = async { while attended.join_next().await.is_some() {} };
        if timeout(grace, all).await.is_ok() {
            return Vec::new();
        }
        let late = self.ledger.tasks();
        late.iter().map(ToString::to_string).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task, started again and again until it is told to stop.
struct Attended {
    /// Its key in the status. A value may have two tasks: one that was told to stop, and one that was
    /// started again.
    id: u64,
    runnable: Runnable,
    stop: CancellationToken,
    on_exit: OnExit,
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    fatal: mpsc::UnboundedSender<Error>,
}

impl Attended {
    async fn run(mut self) {
        let mut pause = SHORTEST;
        loop {
            let began = Instant::now();
            let Some(result) = self.once().await else {
                return;
            };
            if began.elapsed() >= STEADY {
                pause = SHORTEST;
            }
            self.report(&result, pause);
            match self.on_exit {
                OnExit::Restart => {
                    if let Either::First(()) = race(self.stop.cancelled(), sleep(pause)).await {
                        return;
                    }
                    pause = (pause * 2).min(LONGEST);
                }
                OnExit::Leave => return self.stop.cancelled().await,
                OnExit::Stop => {
                    // Without a receiver the run is over, and nobody needs to be told.
                    drop(
                        self.fatal
                            .send(Error::task(&self.runnable.name, result.err())),
                    );
                    return self.stop.cancelled().await;
                }
            }
        }
    }

    /// Runs the task. What it came to, unless it was told to stop.
    async fn once(&mut self) -> Option<Result<(), StepError>> {
        let entry = self.ledger.add(Kind::Task, &self.runnable.name, CENTURY);
        let start = || match &self.runnable.start {
            Some(start) => start(self.stop.clone()),
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
        // From here on the value is the task's alone, which may let go of it before it ends.
        self.runnable.start = None;
        let deadline = self.shared.drains.deadline();
        match timeout(deadline, &mut job).await {
            Ok(result) => self.stopped(result),
            Err(_) => self.late(&entry, deadline),
        }
        None
    }

    fn report(&self, result: &Result<(), StepError>, pause: Duration) {
        let name = &self.runnable.name;
        let then = match self.on_exit {
            OnExit::Restart => format!("is started again in {pause:?}"),
            OnExit::Leave => "stays ended".to_owned(),
            OnExit::Stop => "ends the run".to_owned(),
        };
        match result {
            Ok(()) => tracing::warn!(
                target: "rekindle",
                "the task of component `{name}` ended by itself and {then}",
            ),
            Err(error) => tracing::error!(
                target: "rekindle",
                "the task of component `{name}` failed and {then}: {}",
                error.chain(),
            ),
        }
        let mut history = self.shared.history();
        if let Some(status) = history.tasks.get_mut(&self.id) {
            status.ended(result.as_ref().err(), self.on_exit == OnExit::Restart);
        }
    }

    fn stopped(&self, result: Result<(), StepError>) {
        if let Err(error) = result {
            tracing::error!(
                target: "rekindle",
                "the task of component `{}` failed when it was told to stop: {}",
                self.runnable.name,
                error.chain(),
            );
        }
    }

    fn late(&self, entry: &Entry, deadline: Duration) {
        tracing::warn!(
            target: "rekindle",
            "{entry}, did not end within {deadline:?} after it was told to, and is dropped",
        );
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.shared.history().tasks.remove(&self.id);
    }
}

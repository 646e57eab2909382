//! The app's code that is running right now, with its start and its time limit.
//!
//! The supervisor of a reload looks here for a step that blocks its thread, the next reload for an
//! abandoned step that still runs, and the signal thread for the names of what runs when time is up.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{CENTURY, Clock, Moment, nanos};
use super::entry::{Entry, Kind};
use crate::StepError;
use crate::live::Reaper;
use crate::shutdown::{self, Budget, Roster};

/// All steps of one manager.
pub(crate) struct Ledger {
    clock: Clock,
    /// The shutdown budget of the manager.
    budget: Arc<Budget>,
    /// The shortest timeout that a step of a reload has had, in nanoseconds.
    shortest: AtomicU64,
    /// Entries that are gone are removed before the list would grow.
    steps: Mutex<Vec<Weak<Entry>>>,
    /// Tasks and values that are dropped when a reload is abandoned, with the moment of their creation.
    waiting: Mutex<Vec<(Moment, Weak<dyn Abort>)>>,
    /// Values and errors that are being dropped. They have no entries, because they are many and most
    /// drops are quick.
    drops: Mutex<Drops>,
    /// Drops the errors of steps.
    reaper: Arc<Reaper>,
}

/// Something that a step that blocks its thread must not keep when its reload is abandoned: waiting
/// steps of its crew, and values.
pub(crate) trait Abort: Send + Sync {
    /// Aborts what waits, and drops what has ended. Returns the steps that have failed by themselves.
    fn abort(&self) -> Vec<Failed>;
}

/// A failed step, its error, and the time that it took.
pub(crate) type Failed = (Arc<Entry>, StepError, Duration);

/// A value or an error that is being dropped.
pub(crate) struct Dropping {
    pub(crate) name: Arc<str>,
    since: Instant,
}

impl fmt::Display for Dropping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, since } = self;
        let since = since.elapsed();
        write!(
            f,
            "the drop of an old value or error of `{name}`, running for {since:.1?} and blocking \
             its thread"
        )
    }
}

#[derive(Default)]
struct Drops {
    running: Vec<(u64, Arc<str>, Moment)>,
    /// The number of drops that have begun so far.
    begun: u64,
}

impl Ledger {
    pub(crate) fn new(reaper: &Arc<Reaper>) -> Arc<Self> {
        let ledger = Arc::new(Self {
            clock: Clock::new(),
            budget: Budget::new(shutdown::Kind::Manager, shutdown::DEFAULT),
            shortest: AtomicU64::new(nanos(CENTURY)),
            steps: Mutex::default(),
            waiting: Mutex::default(),
            drops: Mutex::default(),
            reaper: Arc::clone(reaper),
        });
        shutdown::register(&ledger);
        ledger
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The shortest timeout of a step: no step of a reload can be overdue sooner.
    pub(crate) fn shortest(&self) -> Duration {
        Duration::from_nanos(self.shortest.load(Ordering::Relaxed))
    }

    pub(super) fn note_timeout(&self, kind: Kind, timeout: Duration) {
        if kind.is_step() {
            self.shortest.fetch_min(nanos(timeout), Ordering::Relaxed);
        }
    }

    pub(crate) fn add(
        self: &Arc<Self>,
        kind: Kind,
        name: &Arc<str>,
        timeout: Duration,
    ) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(self, kind, name, timeout));
        self.note_timeout(kind, timeout);
        let mut steps = lock(&self.steps);
        if steps.len() == steps.capacity() {
            steps.retain(|step| step.strong_count() > 0);
        }
        steps.push(Arc::downgrade(&entry));
        entry
    }

    /// Calls `drop`, which drops a value or error of this component or step and catches its panics.
    /// `now` need not be exact.
    pub(crate) fn dropping(&self, name: &Arc<str>, now: Moment, drop: impl FnOnce()) {
        let id = {
            let mut drops = lock(&self.drops);
            drops.begun += 1;
            let id = drops.begun;
            drops.running.push((id, Arc::clone(name), now));
            id
        };
        drop();
        let mut drops = lock(&self.drops);
        drops.running.retain(|(other, ..)| *other != id);
    }

    /// The steps that run and must end. A notifier or a task may run without a limit, so it is among
    /// them only while it blocks its thread.
    pub(crate) fn running(&self) -> Vec<Arc<Entry>> {
        let mut steps = self.steps();
        let must_end = |entry: &Arc<Entry>| !entry.kind.is_endless() || entry.is_polling();
        steps.retain(|entry| entry.is_running() && must_end(entry));
        steps
    }

    /// The values and errors that are being dropped.
    pub(crate) fn drops(&self) -> Vec<Dropping> {
        let drops = lock(&self.drops);
        let drops = drops.running.iter();
        let dropping = drops.map(|(_, name, since)| Dropping {
            name: Arc::clone(name),
            since: self.clock.instant(*since),
        });
        dropping.collect()
    }

    pub(crate) fn note_waiting(&self, tasks: Weak<dyn Abort>) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() == waiting.capacity() {
            waiting.retain(|(_, tasks)| tasks.strong_count() > 0);
        }
        waiting.push((self.clock.now(), tasks));
    }

    /// Aborts the waiting steps of all crews created since `then`. Steps that block their thread go on.
    /// Returns the steps that have failed, of which their crews may not know.
    pub(crate) fn abort_waiting(&self, then: Instant) -> Vec<Failed> {
        let then = self.clock.moment(then);
        let waiting = lock(&self.waiting).clone();
        let waiting = waiting.iter().filter(|(made, _)| *made >= then);
        let waiting = waiting.filter_map(|(_, tasks)| tasks.upgrade());
        waiting.flat_map(|tasks| tasks.abort()).collect()
    }

    /// The tasks of components that run.
    pub(crate) fn tasks(&self) -> Vec<Arc<Entry>> {
        let mut tasks = self.steps();
        tasks.retain(|entry| entry.kind == Kind::Task && entry.is_running());
        tasks
    }

    fn steps(&self) -> Vec<Arc<Entry>> {
        lock(&self.steps).iter().filter_map(Weak::upgrade).collect()
    }

    /// The entries whose last job was started after `then`, whether it has ended or not.
    pub(crate) fn made_since(&self, then: Instant) -> Vec<Arc<Entry>> {
        let mut steps = self.steps();
        steps.retain(|entry| entry.made_since(then));
        steps
    }

    pub(super) fn reaper(&self) -> &Arc<Reaper> {
        &self.reaper
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }
}

impl Roster for Ledger {
    fn budget(&self) -> Option<&Arc<Budget>> {
        Some(&self.budget)
    }

    fn running(&self) -> Vec<String> {
        let running = Self::running(self);
        let running = running.iter().map(ToString::to_string);
        let drops = self.drops().into_iter().map(|drop| drop.to_string());
        running.chain(drops).collect()
    }

    fn owed(&self) -> Vec<String> {
        let mut left = self.reaper.to_retire().left();
        for entry in Self::running(self) {
            left.remove(&entry.name);
        }
        left.keys().map(|name| not_retired(name)).collect()
    }
}

/// The phrase for values of a component that should have been retired and were not.
pub(crate) fn not_retired(component: &str) -> String {
    format!("a value of component `{component}`, not retired")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

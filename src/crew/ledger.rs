//! What of the app's code is running right now, since when, and for how long it may.
//!
//! The supervisor of a reload looks here for a step that blocks its thread, the next reload for one
//! that was given up and still runs, and the signal thread for what to name when time is up.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::stragglers::{self, Scope};

/// All steps of one manager.
pub(crate) struct Ledger {
    epoch: Instant,
    /// How long it may take to end after a stop, in nanoseconds. Set while the app starts.
    grace: AtomicU64,
    steps: Mutex<Vec<Arc<Entry>>>,
}

/// One step: a component, an effect, a reloader or a notifier.
///
/// Its atomics are read by those who look on. They only ever say a little too early or too late
/// that something runs, so `Relaxed` would do; `Release` and `Acquire` make a step that is seen to
/// have ended really over, its drops included.
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    kind: Kind,
    /// How long it may take, in nanoseconds. Set while the app starts, read when it runs.
    timeout: AtomicU64,
    ledger: Weak<Ledger>,
    epoch: Instant,
    /// Nanoseconds from the epoch to its start, plus one; zero while it does not run.
    since: AtomicU64,
    /// Whether it is being polled right now, so that its thread is in code of the app's.
    polling: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Component,
    Effect,
    Reloader,
    Notifier,
}

impl Ledger {
    pub(crate) fn new(grace: Duration) -> Arc<Self> {
        let ledger = Arc::new(Self {
            epoch: Instant::now(),
            grace: AtomicU64::new(nanos(grace)),
            steps: Mutex::default(),
        });
        stragglers::register(&ledger);
        ledger
    }

    pub(crate) fn set_grace(&self, grace: Duration) {
        self.grace.store(nanos(grace), Ordering::Relaxed);
    }

    pub(crate) fn add(
        self: &Arc<Self>,
        kind: Kind,
        name: &Arc<str>,
        timeout: Duration,
    ) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            name: Arc::clone(name),
            kind,
            timeout: AtomicU64::new(nanos(timeout)),
            ledger: Arc::downgrade(self),
            epoch: self.epoch,
            since: AtomicU64::new(0),
            polling: AtomicBool::new(false),
        });
        self.steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&entry));
        entry
    }

    /// The steps that run and have to come to an end. A notifier waits for as long as it likes; it
    /// is among them only while it blocks its thread.
    pub(crate) fn running(&self) -> Vec<Arc<Entry>> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let must_end = |entry: &&Arc<Entry>| {
            entry.is_running() && (entry.kind != Kind::Notifier || entry.is_polling())
        };
        steps.iter().filter(must_end).cloned().collect()
    }
}

impl Scope for Ledger {
    fn grace(&self) -> Duration {
        Duration::from_nanos(self.grace.load(Ordering::Relaxed))
    }

    fn running(&self) -> Vec<String> {
        let running = Self::running(self);
        running.iter().map(ToString::to_string).collect()
    }
}

impl Entry {
    /// Keeps the ledger alive, and with it the names of what runs. For whoever may outlive the
    /// manager because it blocks its thread.
    pub(crate) fn ledger(&self) -> Option<Arc<Ledger>> {
        self.ledger.upgrade()
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout.load(Ordering::Relaxed))
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(nanos(timeout), Ordering::Relaxed);
    }

    pub(crate) fn is_component(&self) -> bool {
        self.kind == Kind::Component
    }

    pub(crate) fn start(&self) {
        let since = nanos(Instant::now().duration_since(self.epoch));
        self.since.store(since + 1, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.since.store(0, Ordering::Release);
    }

    pub(crate) fn set_polling(&self, polling: bool) {
        self.polling.store(polling, Ordering::Release);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.since.load(Ordering::Acquire) != 0
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.polling.load(Ordering::Acquire)
    }

    /// When it began, if it runs.
    pub(crate) fn since(&self) -> Option<Instant> {
        let nanos = self.since.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.epoch + Duration::from_nanos(nanos))
    }
}

/// Longer than anybody waits, and short enough to be added to the time of every clock.
pub(crate) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.min(CENTURY).as_nanos()).expect("a century has less than 2^64 ns")
}

/// "component `pool`, running for 12.3s", for a list of what did not end.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Component => "component",
            Kind::Effect => "effect",
            Kind::Reloader => "reloader",
            Kind::Notifier => "notifier",
        };
        write!(f, "{kind} `{}`", self.name)?;
        match self.since() {
            Some(since) if self.kind != Kind::Notifier => {
                write!(f, ", running for {:.1?}", since.elapsed())?;
            }
            _ => {}
        }
        match self.is_polling() {
            true => f.write_str(" and blocking its thread"),
            false => Ok(()),
        }
    }
}

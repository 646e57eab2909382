//! One step in the ledger.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{Clock, Moment, nanos};
use super::ledger::Ledger;
use crate::panic::catch;
use crate::{BoxError, StepError};

/// `since` while nothing runs.
const IDLE: u64 = 0;
/// `since` while a step that was started waits for a core, so that its time has not begun.
const QUEUED: u64 = u64::MAX;

/// One step: a component, an effect, a reloader or a notifier.
///
/// Its atomics are read by those who look on. They only ever say a little too early or too late
/// that something runs, so `Relaxed` would do; `Release` and `Acquire` make a step that is seen to
/// have ended really over, its drops included.
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    /// How long it may take, in nanoseconds. Set while the app starts, read when it runs.
    timeout: AtomicU64,
    /// Kept alive, and with it the names of what runs, also by what outlives the manager because it
    /// blocks its thread.
    ledger: Arc<Ledger>,
    /// Nanoseconds from the epoch to its start, plus one; or `IDLE`, or `QUEUED`.
    since: AtomicU64,
    /// When its last job was made, also when that has ended; like `since`.
    made: AtomicU64,
    /// Whether a thread is in code of the app's for it right now.
    polling: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Component,
    /// One value of a collection, whose build is part of that of the component.
    Member,
    Effect,
    Reloader,
    /// The probe of a probation.
    Probe,
    Notifier,
    Task,
    Retire,
}

impl Kind {
    /// Whether it may run for as long as it likes, so that only blocking its thread is worth a word.
    pub(super) fn is_endless(self) -> bool {
        matches!(self, Self::Notifier | Self::Task)
    }

    /// Whether it is part of a reload.
    pub(crate) fn is_step(self) -> bool {
        matches!(
            self,
            Self::Component | Self::Member | Self::Effect | Self::Reloader | Self::Probe
        )
    }
}

impl Entry {
    pub(super) fn new(
        ledger: &Arc<Ledger>,
        kind: Kind,
        name: &Arc<str>,
        timeout: Duration,
    ) -> Self {
        Self {
            name: Arc::clone(name),
            kind,
            timeout: AtomicU64::new(nanos(timeout)),
            ledger: Arc::clone(ledger),
            since: AtomicU64::new(IDLE),
            made: AtomicU64::new(IDLE),
            polling: AtomicBool::new(false),
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn clock(&self) -> Clock {
        self.ledger.clock()
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout.load(Ordering::Relaxed))
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(nanos(timeout), Ordering::Relaxed);
        self.ledger.note_timeout(self.kind, timeout);
    }

    /// Calls code of the app's that does not wait.
    ///
    /// # Errors
    ///
    /// If it panics, or an earlier step of this entry has not ended.
    pub(crate) fn watch<R>(&self, f: impl FnOnce() -> R) -> Result<R, StepError> {
        let _entered = self.enter()?;
        catch(f)
    }

    /// Says, until the guard is dropped, that a thread is in code of the app's that does not wait.
    ///
    /// # Errors
    ///
    /// If an earlier step of this entry has not ended.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, StepError> {
        self.start(self.clock().now())?;
        self.polling.store(true, Ordering::Release);
        Ok(Entered(self))
    }

    /// The start of a job, at that moment.
    #[inline]
    pub(super) fn start_job(&self, now: Moment) -> Result<(), StepError> {
        self.start(now)?;
        self.made.store(at(now), Ordering::Release);
        Ok(())
    }

    #[inline]
    fn start(&self, now: Moment) -> Result<(), StepError> {
        let (order, fails) = (Ordering::AcqRel, Ordering::Acquire);
        let started = self.since.compare_exchange(IDLE, at(now), order, fails);
        started.map(drop).map_err(|_| StepError::busy())
    }

    /// Whether its last job was made since then.
    pub(crate) fn made_since(&self, then: Instant) -> bool {
        self.made.load(Ordering::Acquire) > self.clock().moment(then).0
    }

    /// The step waits for a core; its time begins with the next call of [`begin`](Self::begin).
    pub(super) fn queue(&self) {
        self.since.store(QUEUED, Ordering::Release);
    }

    /// The time of a step that was queued begins.
    pub(super) fn begin(&self) {
        self.since.store(at(self.clock().now()), Ordering::Release);
    }

    #[inline]
    pub(super) fn end(&self) {
        self.since.store(IDLE, Ordering::Release);
    }

    /// Runs `f` with the ledger saying that a thread is in code of the app's.
    pub(super) fn polling<R>(&self, f: impl FnOnce() -> R) -> Result<R, StepError> {
        let _polling = self.begin_polling();
        catch(f)
    }

    /// Says that a thread is in code of the app's, until it is dropped.
    #[inline]
    pub(super) fn begin_polling(&self) -> Polling<'_> {
        self.polling.store(true, Ordering::Release);
        Polling(self)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.since.load(Ordering::Acquire) != IDLE
    }

    pub(crate) fn is_polling(&self) -> bool {
        self.polling.load(Ordering::Acquire)
    }

    /// When its time began, if it runs and is not queued.
    pub(crate) fn since(&self) -> Option<Instant> {
        match self.since.load(Ordering::Acquire) {
            IDLE | QUEUED => None,
            since => Some(self.clock().instant(Moment(since - 1))),
        }
    }

    /// Why it failed: what its function has returned.
    pub(crate) fn failed(&self, error: BoxError) -> StepError {
        StepError::returned(error, &self.name, self.ledger.reaper())
    }

    /// Why it is given up when its time is over.
    pub(crate) fn overdue(&self) -> StepError {
        match self.is_polling() {
            true => StepError::blocked(self.timeout()),
            false => StepError::timed_out(self.timeout()),
        }
    }
}

/// See [`Entry::begin_polling`].
pub(super) struct Polling<'a>(&'a Entry);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.0.polling.store(false, Ordering::Release);
    }
}

/// See [`Entry::enter`].
pub(crate) struct Entered<'a>(&'a Entry);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.polling.store(false, Ordering::Release);
        self.0.end();
    }
}

/// A moment in the form of [`Entry::since`].
fn at(Moment(nanos): Moment) -> u64 {
    nanos + 1
}

/// "component `pool`, running for 12.3s", for a list of what did not end.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Component | Kind::Member => "component",
            Kind::Effect => "effect",
            Kind::Reloader => "reloader",
            Kind::Notifier => "notifier",
            Kind::Probe => "the probe of the",
            Kind::Task => "the task of component",
            Kind::Retire => "the retirement of an old value of",
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

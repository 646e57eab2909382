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

/// The value of `since` while nothing runs.
const IDLE: u64 = 0;
/// The value of `since` while a step that was started waits for a core, so that its time has not begun.
const QUEUED: u64 = u64::MAX;

/// One step: a component, an effect, a reloader or a notifier.
///
/// Supervisors and other observers read its atomics. They only ever see a start or an end a little too
/// early or too late, so `Relaxed` would do for that. `Release` and `Acquire` ensure that a step that
/// is seen to have ended is over, its drops included.
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    /// The time limit in nanoseconds. Set while the app starts, read when it runs.
    timeout: AtomicU64,
    /// Keeps the names of running steps alive, also for a step that outlives the manager because it
    /// blocks its thread.
    ledger: Arc<Ledger>,
    /// Nanoseconds from the epoch to the start of the step, plus one; or `IDLE`, or `QUEUED`.
    since: AtomicU64,
    /// The start of the last job, also after that has ended, in the form of `since`.
    made: AtomicU64,
    /// `true` while a thread is in code of the app for this step.
    polling: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Component,
    /// One value of a collection, whose build is part of the build of the component.
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
    /// Returns `true` if it may run without a limit, so that it is reported only if it blocks its
    /// thread.
    pub(super) fn is_endless(self) -> bool {
        matches!(self, Self::Notifier | Self::Task)
    }

    /// Returns `true` if it is part of a reload.
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

    /// Calls synchronous code of the app.
    ///
    /// # Errors
    ///
    /// Fails if `f` panics, or if an earlier step of this entry has not ended.
    pub(crate) fn watch<R>(&self, f: impl FnOnce() -> R) -> Result<R, StepError> {
        let _entered = self.enter()?;
        catch(f)
    }

    /// Marks a thread as being in synchronous code of the app, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// Fails if an earlier step of this entry has not ended.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, StepError> {
        self.start(self.clock().now())?;
        self.polling.store(true, Ordering::Release);
        Ok(Entered(self))
    }

    /// Records the start of a job at the moment `now`.
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

    /// Returns `true` if its last job was started after `then`.
    pub(crate) fn made_since(&self, then: Instant) -> bool {
        self.made.load(Ordering::Acquire) > self.clock().moment(then).0
    }

    /// Marks the step as waiting for a core. Its time begins with the next call of
    /// [`begin`](Self::begin).
    pub(super) fn queue(&self) {
        self.since.store(QUEUED, Ordering::Release);
    }

    /// Begins the time of a step that was queued.
    pub(super) fn begin(&self) {
        self.since.store(at(self.clock().now()), Ordering::Release);
    }

    #[inline]
    pub(super) fn end(&self) {
        self.since.store(IDLE, Ordering::Release);
    }

    /// Runs `f` while the entry shows that a thread is in code of the app.
    pub(super) fn polling<R>(&self, f: impl FnOnce() -> R) -> Result<R, StepError> {
        let _polling = self.begin_polling();
        catch(f)
    }

    /// Marks a thread as being in code of the app, until the guard is dropped.
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

    /// The moment at which its time began, if it runs and is not queued.
    pub(crate) fn since(&self) -> Option<Instant> {
        match self.since.load(Ordering::Acquire) {
            IDLE | QUEUED => None,
            since => Some(self.clock().instant(Moment(since - 1))),
        }
    }

    /// The error of a step whose function returned `error`.
    pub(crate) fn failed(&self, error: BoxError) -> StepError {
        StepError::returned(error, &self.name, self.ledger.reaper())
    }

    /// The error of a step that is abandoned because its time is over.
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

/// A moment in the form of the field `since`.
fn at(Moment(nanos): Moment) -> u64 {
    nanos + 1
}

/// Such as "component `pool`, running for 12.3s", for a list of what did not end.
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

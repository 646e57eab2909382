//! The shutdown budget: one number for the whole stop, and its shares.
//!
//! Managers and run groups form a tree. Only the number of the outermost one counts: a manager or
//! group inside another has the window that its [`Place`] there leaves.
//!
//! # Invariants
//!
//! 1. The window of a budget ends before the share of its place in the outer one, so that an inner stop
//!    can name what hung in it before the outer one drops it. (Of a share below a second the outer one may
//!    come first; then it names what it can see.)
//! 2. All deadlines count from the first of: the signal, the stop of an outer budget, its own stop.

use std::future::Future;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::time;

use super::roster::has_news;

/// Kubernetes kills a pod 30 s after SIGTERM, unless it is configured otherwise.
pub(crate) const DEFAULT: Duration = Duration::from_secs(25);

/// The time by which an inner budget ends before the share that contains it.
const NAMING: Duration = Duration::from_millis(250);

/// Practically for ever, and within the range of every clock.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The phases of a stop, in order. Each has its share of the window, and the time that the previous
/// one left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The app, and effects that run.
    App,
    /// The tasks of components.
    Tasks,
    /// The retirement of the last values.
    Retire,
    /// Everything has ended.
    Over,
}

impl Phase {
    /// The end of the phase's share, in percent of the window.
    fn percent(self) -> u64 {
        match self {
            Self::App => 60,
            Self::Tasks => 80,
            Self::Retire | Self::Over => 100,
        }
    }

    fn of(number: u8) -> Self {
        let all = [Self::App, Self::Tasks, Self::Retire, Self::Over];
        all[usize::from(number)]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Manager,
    Group,
}

/// The time in which a manager or a group must end.
pub(crate) struct Budget {
    kind: Kind,
    made: Instant,
    /// Set when it runs.
    started: OnceLock<Instant>,
    /// In nanoseconds. Unused if there is an outer budget.
    timeout: AtomicU64,
    /// Set when the run starts.
    place: OnceLock<Option<Place>>,
    /// Set when the stop begins.
    began: OnceLock<Began>,
    /// The phase that ends now, or that will end first.
    phase: AtomicU8,
}

/// The place of a manager or group in an outer budget.
#[derive(Clone)]
pub(crate) struct Place {
    budget: Arc<Budget>,
    /// The phase in whose share it must end.
    phase: Phase,
    /// In a group, the index of the actor; in a manager, the phase.
    part: usize,
}

/// One moment on two clocks, because tests may pause tokio's.
#[derive(Clone, Copy)]
struct Began {
    wall: Instant,
    clock: time::Instant,
}

impl Place {
    /// The place of an actor in a group, which has one phase only.
    pub(crate) fn actor(budget: &Arc<Budget>, index: usize) -> Self {
        let budget = Arc::clone(budget);
        let (phase, part) = (Phase::Retire, index);
        Self {
            budget,
            phase,
            part,
        }
    }

    /// The place of what runs in this phase of a manager.
    pub(crate) fn phase(budget: &Arc<Budget>, phase: Phase) -> Self {
        let budget = Arc::clone(budget);
        let part = phase as usize;
        Self {
            budget,
            phase,
            part,
        }
    }
}

tokio::task_local! {
    static PLACE: Place;
}

/// Runs `future` at this place: a manager or group that starts in it takes part in that budget.
pub(crate) fn inside<F: Future>(place: Place, future: F) -> impl Future<Output = F::Output> {
    PLACE.scope(place, future)
}

impl Budget {
    pub(crate) fn new(kind: Kind, timeout: Duration) -> Arc<Self> {
        let budget = Self {
            kind,
            made: Instant::now(),
            started: OnceLock::new(),
            timeout: AtomicU64::default(),
            place: OnceLock::new(),
            began: OnceLock::new(),
            phase: AtomicU8::new(Phase::App as u8),
        };
        budget.set_timeout(timeout);
        Arc::new(budget)
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) {
        let nanos = u64::try_from(timeout.min(CENTURY).as_nanos());
        let nanos = nanos.expect("a century has less than 2^64 ns");
        self.timeout.store(nanos, Ordering::Relaxed);
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes the place at which the caller runs. Dropping the guard sets the phase to
    /// [`Phase::Over`].
    pub(crate) fn run(self: &Arc<Self>) -> Running {
        self.place.get_or_init(|| PLACE.try_with(Place::clone).ok());
        self.started.get_or_init(Instant::now);
        Running(Arc::clone(self))
    }

    /// Returns `true` from the start of its run until that has returned.
    pub(crate) fn runs(&self) -> bool {
        self.started.get().is_some() && self.phase() != Phase::Over
    }

    /// The place in an outer budget, if there is one.
    fn place(&self) -> Option<&Place> {
        self.place.get().and_then(Option::as_ref)
    }

    /// This budget, the outer one, the next outer one, and so on.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |budget| {
            budget.place().map(|place| &*place.budget)
        })
    }

    /// The part of `outer` that this one runs in.
    pub(super) fn part_of(&self, outer: &Self) -> Option<usize> {
        let mut places = self.chain().filter_map(Self::place);
        let place = places.find(|place| std::ptr::eq(&*place.budget, outer))?;
        Some(place.part)
    }

    fn root(&self) -> &Self {
        self.chain().last().expect("a chain begins with its budget")
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Relaxed))
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Begins the stop. Has no further effect if it has begun.
    pub(crate) fn begin(&self) {
        self.began.get_or_init(|| {
            let (wall, clock) = (Instant::now(), time::Instant::now());
            let passed = self
                .signalled()
                .map_or(Duration::ZERO, |came| came.elapsed());
            Began {
                wall: wall.checked_sub(passed).unwrap_or(wall),
                clock: clock.checked_sub(passed).unwrap_or(clock),
            }
        });
        has_news();
    }

    /// The end of this phase's share, after [`begin`](Self::begin).
    pub(crate) fn deadline(&self, phase: Phase) -> time::Instant {
        self.began() + self.share(phase)
    }

    /// The end of the time for managers and groups that run inside this phase, after
    /// [`begin`](Self::begin).
    pub(crate) fn deadline_inside(&self, phase: Phase) -> time::Instant {
        self.began() + self.share_inside(phase)
    }

    fn began(&self) -> time::Instant {
        let began = self.chain().filter_map(|budget| budget.began.get());
        let began = began.map(|began| began.clock).min();
        began.expect("the stop has begun")
    }

    /// The time from the beginning of the stop to the end of everything that runs inside this
    /// phase.
    fn share_inside(&self, phase: Phase) -> Duration {
        let share = self.share(phase);
        share - (share / 10).min(NAMING)
    }

    /// The time from the beginning of the stop to the end of this phase.
    pub(crate) fn share(&self, phase: Phase) -> Duration {
        percent(self.window(), phase)
    }

    /// The time from the beginning of the stop to its end.
    pub(crate) fn window(&self) -> Duration {
        match self.place() {
            Some(place) => place.budget.share_inside(place.phase),
            None => Duration::from_nanos(self.timeout.load(Ordering::Relaxed)),
        }
    }

    /// The time at which the stop began, and the duration of the outermost budget.
    pub(super) fn limit(&self) -> Option<(Instant, Duration)> {
        let root = self.root();
        // While the outermost runs, what ended earlier inside of it has ended too early to count.
        let counts = |budget: &&Self| !root.runs() || std::ptr::eq(*budget, root);
        let began = self.chain().filter(counts);
        let began = began.filter_map(|budget| budget.began.get());
        let began = began.map(|began| began.wall).chain(self.signalled()).min();
        Some((began?, root.window()))
    }

    /// The time at which the signal arrived, if it applies to this budget.
    fn signalled(&self) -> Option<Instant> {
        let root = self.root();
        let started = root.started.get().copied().unwrap_or(root.made);
        let order = order().filter(|order| order.means(started));
        order.map(|order| order.came.max(root.made))
    }
}

fn percent(window: Duration, phase: Phase) -> Duration {
    let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
    let percent = phase.percent();
    // Divided first, because a century of nanoseconds nearly fills 64 bits.
    Duration::from_nanos(nanos / 100 * percent + nanos % 100 * percent / 100)
}

/// The guard of a run. See [`Budget::run`].
pub(crate) struct Running(Arc<Budget>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set_phase(Phase::Over);
    }
}

/// A signal that must be obeyed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) came: Instant,
    /// The time at which the last actor that had received the signal was dropped. Until then the app
    /// is still taking the signal in, so the signal also applies to runs that start.
    pub(crate) taken: Option<Instant>,
}

impl Order {
    /// Returns `true` if the signal applies to a budget whose run started at `started`.
    fn means(self, started: Instant) -> bool {
        self.taken.is_none_or(|taken| started <= taken)
    }
}

static ORDER: Mutex<Option<Order>> = Mutex::new(None);

/// The first SIGINT or SIGTERM.
pub(crate) fn order() -> Option<Order> {
    *ORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn set_order(order: Option<Order>) {
    *ORDER.lock().unwrap_or_else(PoisonError::into_inner) = order;
}

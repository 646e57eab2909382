//! Who is still running, for whoever has to name it when time is up.
//!
//! Managers and run groups register what they supervise. The signal thread looks here when a grace
//! period has run out or a second signal has come: it may be the only thread that still runs, so
//! nothing here waits for a runtime.

// Without signals everything is registered all the same, and nobody asks.
#![cfg_attr(not(all(unix, feature = "signal")), allow(dead_code))]

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Something that has to come to an end before the process does.
///
/// The signal thread calls this, and nobody stands in for it: an implementation must not wait for a
/// lock that anyone holds while user code runs.
pub(crate) trait Scope: Send + Sync {
    /// How long it may take to end after a signal.
    fn grace(&self) -> Duration;

    /// A phrase for each thing that has not ended: "actor `http`", "component `curler` (building
    /// for 12.3 s)". Empty when all has ended.
    fn running(&self) -> Vec<String>;

    /// Since when it has been told to end, if it says so. Whoever says so calls [`has_news`].
    fn ending(&self) -> Option<Instant> {
        None
    }
}

struct Registered<S: ?Sized> {
    since: Instant,
    /// The groups that it runs inside of.
    within: Vec<GroupId>,
    scope: S,
}

static SCOPES: Mutex<Vec<Registered<Weak<dyn Scope>>>> = Mutex::new(Vec::new());

static NEWS: Notify = Notify::const_new();

/// Tells one run group from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupId(u64);

impl GroupId {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

tokio::task_local! {
    /// The groups whose actor this task is: one, and those that this one is inside of.
    static WITHIN: Vec<GroupId>;
}

/// Runs an actor of this group: what comes to run in there runs inside of the group.
pub(crate) fn within<F: Future>(group: GroupId, actor: F) -> impl Future<Output = F::Output> {
    let mut groups = groups();
    groups.push(group);
    WITHIN.scope(groups, actor)
}

fn groups() -> Vec<GroupId> {
    WITHIN.try_with(Clone::clone).unwrap_or_default()
}

fn lock() -> MutexGuard<'static, Vec<Registered<Weak<dyn Scope>>>> {
    SCOPES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts `scope` among those that have to end, for as long as it is alive.
///
/// What runs has to keep it alive: a task that blocks its thread is then still named after
/// whoever started it has given up.
pub(crate) fn register<S: Scope + 'static>(scope: &Arc<S>) {
    let scope: Weak<S> = Arc::downgrade(scope);
    let mut scopes = lock();
    scopes.retain(|registered| registered.scope.strong_count() > 0);
    scopes.push(Registered {
        since: Instant::now(),
        within: groups(),
        scope,
    });
    drop(scopes);
    has_news();
}

/// Says that `scope`, which may have been registered elsewhere, runs in this task.
pub(crate) fn runs_here<S: Scope>(scope: &Arc<S>) {
    let this: *const () = Arc::as_ptr(scope).cast();
    let mut scopes = lock();
    for registered in &mut *scopes {
        if registered.scope.as_ptr().cast::<()>() == this {
            registered.within = groups();
        }
    }
}

/// Strong references, so that the scopes are asked without the lock.
fn scopes() -> Vec<Registered<Arc<dyn Scope>>> {
    let alive = |registered: &Registered<Weak<dyn Scope>>| {
        let scope = registered.scope.upgrade()?;
        Some(Registered {
            since: registered.since,
            within: registered.within.clone(),
            scope,
        })
    };
    lock().iter().filter_map(alive).collect()
}

/// All that has not ended.
pub(crate) fn running() -> Vec<String> {
    let scopes = scopes();
    scopes.iter().flat_map(|it| it.scope.running()).collect()
}

/// All that has not ended inside of this group, in groups and managers of their own.
pub(crate) fn running_within(group: GroupId) -> Vec<String> {
    let mut scopes = scopes();
    scopes.retain(|it| it.within.contains(&group));
    scopes.iter().flat_map(|it| it.scope.running()).collect()
}

/// A signal that has to be obeyed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// When it came.
    pub(crate) came: Instant,
    /// When the last actor that it was for was gone, because it had been told. Until then the app
    /// does not know all of it, so whatever begins is meant by the signal, too.
    pub(crate) taken: Option<Instant>,
}

/// What there is to enforce.
pub(crate) enum Overdue {
    /// Nothing is left that has to end. There may be again when [`news`] come.
    Nothing,
    NotYet,
    /// All that runs is over its time; this is the longest grace period.
    All(Duration),
}

/// Whether all scopes that have something running, and have to end, are over their time: `slack`
/// more than the grace period has passed.
///
/// The time runs from the signal for a scope that the signal meant, and for any other one from when
/// it was told to end: before that it may run for as long as it likes.
pub(crate) fn overdue(order: Order, slack: Duration) -> Overdue {
    let mut longest = None;
    let mut nothing = true;
    for Registered { since, scope, .. } in scopes() {
        let meant = order.taken.is_none_or(|taken| since <= taken);
        let begin = match meant {
            true => Some(since.max(order.came)),
            false => scope.ending(),
        };
        let Some(begin) = begin else { continue };
        nothing = false;
        if scope.running().is_empty() {
            continue;
        }
        if begin.elapsed() < scope.grace().saturating_add(slack) {
            return Overdue::NotYet;
        }
        longest = longest.max(Some(scope.grace()));
    }
    match longest {
        Some(grace) => Overdue::All(grace),
        None if nothing => Overdue::Nothing,
        None => Overdue::NotYet,
    }
}

/// Resolves when, from this call on, there is a new scope, or one has been told to end.
pub(crate) fn news() -> Notified<'static> {
    NEWS.notified()
}

/// Wakes whoever waits for [`news`].
pub(crate) fn has_news() {
    NEWS.notify_waiters();
}

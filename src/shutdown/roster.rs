//! The roster of everything that has not ended, for the message at the end of the budget.
//!
//! Managers and run groups register what they supervise. The signal thread reads the roster when
//! the budget has run out or a second signal has arrived. It may be the only thread that still
//! runs, so nothing here waits for a runtime.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::budget::{Budget, Kind, Phase};

/// A list of things that must end before the process does.
///
/// The signal thread calls the methods, and no other thread can replace it. So an implementation
/// must not wait for a lock that is held while user code runs.
pub(crate) trait Roster: Send + Sync {
    /// The shutdown budget, if this belongs to a manager or a group.
    fn budget(&self) -> Option<&Arc<Budget>>;

    /// A phrase for each thing that has not ended: "actor `http`", "component `curler` (building
    /// for 12.3 s)". Empty when all has ended.
    fn running(&self) -> Vec<String>;

    /// A phrase for each thing that is not running and is left undone if the process ends now.
    fn owed(&self) -> Vec<String> {
        Vec::new()
    }
}

static ROSTERS: Mutex<Vec<Weak<dyn Roster>>> = Mutex::new(Vec::new());

static NEWS: Notify = Notify::const_new();

fn lock() -> MutexGuard<'static, Vec<Weak<dyn Roster>>> {
    ROSTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds `roster` to the rosters that must end, for as long as it is alive.
///
/// Running tasks must keep it alive, so that one that blocks its thread is still named after its
/// run has returned.
pub(crate) fn register<R: Roster + 'static>(roster: &Arc<R>) {
    let roster: Weak<R> = Arc::downgrade(roster);
    let mut rosters = lock();
    rosters.retain(|roster| roster.strong_count() > 0);
    rosters.push(roster);
    drop(rosters);
    has_news();
}

/// Strong references to all rosters, so that they are called outside the lock.
fn rosters() -> Vec<Arc<dyn Roster>> {
    lock().iter().filter_map(Weak::upgrade).collect()
}

/// All that has not ended. An app is among it where nothing in it says more.
pub(crate) fn running() -> Vec<String> {
    let rosters = rosters();
    let mut running: Vec<_> = rosters.iter().flat_map(|roster| roster.running()).collect();
    for budget in rosters.iter().filter_map(|roster| roster.budget()) {
        let is_app = budget.kind() == Kind::Manager && budget.phase() == Phase::App;
        if is_app && budget.runs() && running_inside(budget, Phase::App as usize).is_empty() {
            running.push("the app".to_owned());
        }
    }
    running
}

/// Returns `true` if no code of the app's runs that a manager or a group has started.
pub(crate) fn is_idle() -> bool {
    rosters().iter().all(|roster| roster.running().is_empty())
}

/// A phrase for each thing that is not running and is left undone if the process ends now.
pub(crate) fn owed() -> Vec<String> {
    let rosters = rosters();
    rosters.iter().flat_map(|roster| roster.owed()).collect()
}

/// The current phase of the stop: the latest of all budgets that are not over.
pub(crate) fn phase() -> Option<Phase> {
    let rosters = rosters();
    let budgets = rosters.iter().filter_map(|roster| roster.budget());
    let running = budgets.filter(|budget| budget.runs());
    running.map(|budget| budget.phase()).max()
}

/// A phrase for each thing that has not ended in the groups and managers inside this part of
/// `budget`.
pub(crate) fn running_inside(budget: &Budget, part: usize) -> Vec<String> {
    let mut rosters = rosters();
    let part_of = |inner: &Arc<Budget>| inner.part_of(budget);
    rosters.retain(|roster| roster.budget().and_then(part_of) == Some(part));
    rosters.iter().flat_map(|roster| roster.running()).collect()
}

/// The parts of this one in which managers run.
pub(crate) fn managers_inside(budget: &Budget) -> Vec<usize> {
    let parts = rosters().into_iter().filter_map(|roster| {
        let inner = roster.budget()?;
        let part = inner.part_of(budget)?;
        (inner.kind() == Kind::Manager && inner.runs()).then_some(part)
    });
    parts.collect()
}

/// The state of the enforcement.
pub(crate) enum Overdue {
    /// Nothing that must end is left. [`news`] resolves when that may have changed.
    Nothing,
    NotYet,
    /// Everything that runs has used up its budget. Holds the longest one.
    All(Duration),
}

/// Checks if everything that runs and must end has had `slack` more than its budget.
///
/// A blocking read belongs to no budget: it is named, and not waited for.
pub(crate) fn overdue(slack: Duration) -> Overdue {
    let mut longest = None;
    let mut nothing = true;
    for roster in rosters() {
        let Some(budget) = roster.budget() else {
            continue;
        };
        let Some((began, timeout)) = budget.limit() else {
            continue;
        };
        nothing = false;
        if roster.running().is_empty() && !budget.runs() {
            continue;
        }
        if began.elapsed() < timeout.saturating_add(slack) {
            return Overdue::NotYet;
        }
        longest = longest.max(Some(timeout));
    }
    match longest {
        Some(timeout) => Overdue::All(timeout),
        None if nothing => Overdue::Nothing,
        None => Overdue::NotYet,
    }
}

/// Resolves when a roster is added or a stop begins after this call.
pub(crate) fn news() -> Notified<'static> {
    NEWS.notified()
}

/// Wakes the tasks that wait for [`news`].
pub(super) fn has_news() {
    NEWS.notify_waiters();
}

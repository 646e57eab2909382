//! Who is still running, for whoever has to name it when time is up.
//!
//! Managers and run groups register what they supervise. The signal thread looks here when a grace
//! period has run out or a second signal has come: it may be the only thread that still runs, so
//! nothing here waits for a runtime.

// Without signals everything is registered all the same, and nobody asks.
#![cfg_attr(not(all(unix, feature = "signal")), allow(dead_code))]

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

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
}

struct Registered<S: ?Sized> {
    since: Instant,
    scope: S,
}

static SCOPES: Mutex<Vec<Registered<Weak<dyn Scope>>>> = Mutex::new(Vec::new());

/// Counts `scope` among those that have to end, for as long as it is alive.
///
/// What runs has to keep it alive: a task that blocks its thread is then still named after
/// whoever started it has given up.
pub(crate) fn register<S: Scope + 'static>(scope: &Arc<S>) {
    let scope: Weak<S> = Arc::downgrade(scope);
    let mut scopes = SCOPES.lock().unwrap_or_else(PoisonError::into_inner);
    scopes.retain(|registered| registered.scope.strong_count() > 0);
    scopes.push(Registered {
        since: Instant::now(),
        scope,
    });
}

/// Strong references, so that the scopes are asked without the lock.
fn scopes() -> Vec<Registered<Arc<dyn Scope>>> {
    let scopes = SCOPES.lock().unwrap_or_else(PoisonError::into_inner);
    let alive = |registered: &Registered<Weak<dyn Scope>>| {
        let scope = registered.scope.upgrade()?;
        Some(Registered {
            since: registered.since,
            scope,
        })
    };
    scopes.iter().filter_map(alive).collect()
}

/// The longest grace period among the scopes that have something running, if it is over for all of
/// them: `slack` more than that has passed since the signal, or since the scope came into being.
pub(crate) fn overdue(signal: Instant, slack: Duration) -> Option<Duration> {
    let mut longest = None;
    for Registered { since, scope } in scopes() {
        if scope.running().is_empty() {
            continue;
        }
        if signal.max(since).elapsed() < scope.grace().saturating_add(slack) {
            return None;
        }
        longest = longest.max(Some(scope.grace()));
    }
    longest
}

/// All that has not ended.
pub(crate) fn running() -> Vec<String> {
    scopes()
        .iter()
        .flat_map(|registered| registered.scope.running())
        .collect()
}

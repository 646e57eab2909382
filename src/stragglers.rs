//! Who is still running, for whoever has to name it when time is up.
//!
//! Managers and run groups register what they supervise. The signal thread looks here when a grace
//! period has run out or a second signal has come: it may be the only thread that still runs, so
//! nothing here waits for a runtime.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Something that has to come to an end before the process does.
pub(crate) trait Scope: Send + Sync {
    /// How long it may take to end after a signal.
    fn grace(&self) -> Duration;

    /// A phrase for each thing that has not ended: "actor `http`", "component `curler` (building
    /// for 12.3 s)". Empty when all has ended.
    fn running(&self) -> Vec<String>;
}

static SCOPES: Mutex<Vec<Weak<dyn Scope>>> = Mutex::new(Vec::new());

/// Counts `scope` among those that have to end, for as long as it is alive.
pub(crate) fn register<S: Scope + 'static>(scope: &Arc<S>) {
    let scope: Weak<S> = Arc::downgrade(scope);
    let mut scopes = SCOPES.lock().unwrap_or_else(PoisonError::into_inner);
    scopes.retain(|scope| scope.strong_count() > 0);
    scopes.push(scope);
}

fn scopes() -> Vec<Arc<dyn Scope>> {
    let scopes = SCOPES.lock().unwrap_or_else(PoisonError::into_inner);
    scopes.iter().filter_map(Weak::upgrade).collect()
}

/// The longest grace period of all scopes that still have something running.
#[cfg_attr(not(all(unix, feature = "signal")), allow(dead_code))]
pub(crate) fn grace() -> Duration {
    let scopes = scopes();
    scopes
        .iter()
        .map(|scope| scope.grace())
        .max()
        .unwrap_or_default()
}

/// All that has not ended.
#[cfg_attr(not(all(unix, feature = "signal")), allow(dead_code))]
pub(crate) fn running() -> Vec<String> {
    scopes().iter().flat_map(|scope| scope.running()).collect()
}

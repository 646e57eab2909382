//! The watches of a source, shared by the source, which adds what it reads, and its watcher.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Way;
use super::armed::Armed;

/// The watches of a source. Dropping it ends them.
pub(in crate::file) struct Watching {
    /// One permit at most, so any number of events before the next wait causes one wake-up.
    event: Arc<Notify>,
    /// `None` if the app turned events off. Locked only where a thread may block.
    armed: Option<Mutex<(Armed, BTreeSet<Way>)>>,
    /// `true` if there will be events.
    has_events: AtomicBool,
}

impl Watching {
    pub(super) fn new(events: bool) -> Self {
        let event = Arc::new(Notify::new());
        let armed = || Mutex::new((Armed::new(Arc::clone(&event)), BTreeSet::new()));
        Self {
            armed: events.then(armed),
            event,
            has_events: AtomicBool::new(true),
        }
    }

    /// Wakes the watcher like an event.
    pub(in crate::file) fn wake(&self) {
        self.event.notify_one();
    }

    /// Waits for an event.
    pub(super) async fn event(&self) {
        self.event.notified().await;
    }

    /// Returns `true` if there will be events; `None` if the app turned them off.
    pub(super) fn has_events(&self) -> Option<bool> {
        let armed = self.armed.as_ref();
        armed.map(|_| self.has_events.load(Ordering::Relaxed))
    }

    /// Watches exactly these ways, as they are now. Blocks the thread.
    pub(in crate::file) fn arm(&self, ways: BTreeSet<Way>) {
        self.change(|watched| {
            *watched = ways;
            true
        });
    }

    /// Watches these ways in addition, if they are new. Blocks the thread.
    pub(in crate::file) fn add(&self, ways: BTreeSet<Way>) {
        self.change(|watched| {
            let known = watched.len();
            watched.extend(ways);
            watched.len() > known
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<Way>) -> bool) {
        let Some(armed) = &self.armed else { return };
        let (armed, ways) = &mut *armed.lock().unwrap_or_else(PoisonError::into_inner);
        if change(ways) {
            self.has_events.store(armed.arm(ways), Ordering::Relaxed);
        }
    }
}

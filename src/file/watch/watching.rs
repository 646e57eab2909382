//! What of a source is watched, shared by the source, which adds what it reads, and its watcher.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Way;
use super::armed::Armed;

/// Dropped, it ends the watching.
pub(in crate::file) struct Watching {
    /// One permit at most, so any number of events before the next wait is one wake-up.
    event: Arc<Notify>,
    /// `None` if the app wants no events. Locked only where one may block.
    armed: Option<Mutex<(Armed, BTreeSet<Way>)>>,
    /// Whether events will come.
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

    /// As if there had been an event.
    pub(in crate::file) fn wake(&self) {
        self.event.notify_one();
    }

    /// Waits for an event.
    pub(super) async fn event(&self) {
        self.event.notified().await;
    }

    /// Whether events will come; `None` if the app wants none.
    pub(super) fn has_events(&self) -> Option<bool> {
        let armed = self.armed.as_ref();
        armed.map(|_| self.has_events.load(Ordering::Relaxed))
    }

    /// Watches these ways and no others, as they are now. Blocks.
    pub(in crate::file) fn arm(&self, ways: BTreeSet<Way>) {
        self.change(|watched| {
            *watched = ways;
            true
        });
    }

    /// Watches these ways, too, if they are not watched yet. Blocks.
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

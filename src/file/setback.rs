//! A read that failed for want of something that comes back without an event: a thread, an open file,
//! memory, the server of a network mount.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// It lasts until a reload has read all files. That the watcher can is not enough, because the reload
/// that it asks for may need more.
#[derive(Default)]
pub(super) struct Setback {
    lasts: AtomicBool,
    began: Notify,
}

impl Setback {
    pub(super) fn begin(&self) {
        if !self.lasts.swap(true, Ordering::Relaxed) {
            self.began.notify_one();
        }
    }

    pub(super) fn end(&self) {
        self.lasts.store(false, Ordering::Relaxed);
    }

    pub(super) fn lasts(&self) -> bool {
        self.lasts.load(Ordering::Relaxed)
    }

    /// Waits until one begins.
    pub(super) async fn began(&self) {
        self.began.notified().await;
    }
}

//! Shortages: a read fails for want of a thread, a file descriptor, memory or the server of a
//! network mount, none of which raises an event when it comes back.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A shortage, which lasts until a reload has read all files. A successful read by the watcher does
/// not end it, because the reload that follows may need more.
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

    /// Ends it, unless a file could not be read for a reason that may pass.
    pub(super) fn end_unless(&self, may_pass: bool) {
        if !may_pass {
            self.lasts.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn lasts(&self) -> bool {
        self.lasts.load(Ordering::Relaxed)
    }

    /// Waits until a shortage begins.
    pub(super) async fn began(&self) {
        self.began.notified().await;
    }
}

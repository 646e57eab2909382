//! The current reload, for the supervisor, which looks at it only when a step may be overdue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::core::Core;
use super::reload::Reload;
use crate::woken;

/// The current reload, if there is one.
///
/// Most reloads are over in microseconds, so not each of them wakes the supervisor. The first one does.
/// The supervisor then looks again whenever a step may have become overdue, until a look finds no reload.
#[derive(Default)]
pub(super) struct UnderWay {
    reload: Mutex<Option<Arc<Reload>>>,
    /// `true` if the supervisor will look.
    watched: AtomicBool,
    begun: Notify,
}

impl UnderWay {
    pub(super) fn current(&self) -> Option<Arc<Reload>> {
        self.lock().clone()
    }

    /// Makes this the current reload. It must be called before the reload runs code of the app's.
    pub(super) fn begin(&self, reload: &Arc<Reload>) {
        self.replace(reload);
        // AcqRel, here and in `look_away`: the second of two swaps sees every write before the first. So
        // either this one wakes the supervisor, or `look_away` sees this reload.
        if !self.watched.swap(true, Ordering::AcqRel) {
            self.begun.notify_one();
            woken::note();
        }
    }

    /// Makes this the current reload, in place of the one before.
    pub(super) fn replace(&self, reload: &Arc<Reload>) {
        let before = self.lock().replace(Arc::clone(reload));
        drop(before);
    }

    pub(super) fn end(&self) -> Option<Arc<Reload>> {
        self.lock().take()
    }

    /// Abandons the current reload, and ends its callers' channels without a report.
    pub(super) fn abandon(&self, core: &Core) {
        if let Some(reload) = self.end() {
            _ = reload.gate.give_up();
            reload.abandon(core);
        }
    }

    /// Waits until the supervisor must look.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Returns `true` if the supervisor, which has found no reload, may wait until it is woken.
    pub(super) fn look_away(&self) -> bool {
        self.watched.swap(false, Ordering::AcqRel);
        let nothing = self.lock().is_none();
        nothing || self.watched.swap(true, Ordering::AcqRel)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Reload>>> {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

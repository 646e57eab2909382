//! What is under way, for the supervisor, who looks at it only when something may be overdue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::core::Core;
use super::reload::Reload;
use crate::woken;

/// The reload that is under way, if there is one.
///
/// Most are over in microseconds, so the supervisor is not told of each. It is woken by the first,
/// and then looks again and again as often as something may become overdue, until a look finds
/// nothing under way.
#[derive(Default)]
pub(super) struct UnderWay {
    reload: Mutex<Option<Arc<Reload>>>,
    /// Whether the supervisor will look.
    watched: AtomicBool,
    begun: Notify,
}

impl UnderWay {
    pub(super) fn current(&self) -> Option<Arc<Reload>> {
        self.lock().clone()
    }

    /// To be called before a reload runs code of the app's.
    pub(super) fn begin(&self, reload: &Arc<Reload>) {
        self.replace(reload);
        // AcqRel, here and in `look_away`: whichever comes second sees what the other one has done
        // before. So either the supervisor is woken, or it sees this reload.
        if !self.watched.swap(true, Ordering::AcqRel) {
            self.begun.notify_one();
            woken::note();
        }
    }

    /// One that is under way goes over into this one.
    pub(super) fn replace(&self, reload: &Arc<Reload>) {
        let before = self.lock().replace(Arc::clone(reload));
        drop(before);
    }

    pub(super) fn end(&self) -> Option<Arc<Reload>> {
        self.lock().take()
    }

    /// Gives up what is under way, and tells those who wait for it that there is no report.
    pub(super) fn abandon(&self, core: &Core) {
        if let Some(reload) = self.end() {
            _ = reload.gate.give_up();
            reload.abandon(core);
        }
    }

    /// For the supervisor: waits until it has to look.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// For the supervisor, who has found nothing: tells whether it may wait until it is woken.
    pub(super) fn look_away(&self) -> bool {
        self.watched.swap(false, Ordering::AcqRel);
        let nothing = self.lock().is_none();
        nothing || self.watched.swap(true, Ordering::AcqRel)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Reload>>> {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

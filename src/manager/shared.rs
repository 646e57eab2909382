//! The state that handles, the manager's loop and its transactions share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::drain::Drains;
use super::handle::Reports;
use super::queue::Queue;
use super::reap::Retiring;
use super::status::{History, Status};
use crate::crew::Ledger;
use crate::live::Publication;
use crate::log::event;
use crate::panic::wake_quietly;
use crate::{Outcome, Report};

pub(super) struct Shared {
    /// The number of the manager, unique in the process.
    pub(super) id: u64,
    pub(super) publication: Arc<Publication>,
    pub(super) drains: Arc<Drains>,
    pub(super) queue: Queue,
    /// Cancelled by the manager or the app when the stop begins.
    pub(super) stop: CancellationToken,
    history: Mutex<History>,
    /// Weak, because the manager and its run own the ledger.
    ledger: Weak<Ledger>,
    /// The channel of reports, or `None` once it has ended.
    reports: Mutex<Option<broadcast::Sender<Arc<Report>>>>,
}

impl Shared {
    pub(super) fn new(ledger: &Arc<Ledger>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let publication = Publication::new(id);
        Arc::new(Self {
            id,
            drains: Drains::new(Arc::clone(publication.pinned())),
            publication,
            queue: Queue::new(),
            stop: CancellationToken::new(),
            history: Mutex::default(),
            ledger: Arc::downgrade(ledger),
            reports: Mutex::new(Some(broadcast::Sender::new(Reports::KEPT))),
        })
    }

    pub(super) fn status(&self) -> Status {
        let history = self.history().clone();
        let current = self.publication.current();
        Status {
            generation: current.number,
            components: current.len(),
            stopping: self.stop.is_cancelled(),
            history,
            draining: self.drains.draining(),
            retiring: self
                .ledger
                .upgrade()
                .map_or(Vec::new(), |ledger| Retiring::of(&ledger)),
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Report>> {
        match &*self.reports() {
            Some(reports) => reports.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// Records a report, logs it, and sends it to all subscribers.
    pub(super) fn publish(&self, report: &Arc<Report>) {
        let forgotten = self.history().record(report);
        // Dropped after the lock is released, because its errors are the app's.
        drop(forgotten);
        match report.outcome() {
            // A rejected check, and a stop, are what the caller requested, so they are no errors.
            Outcome::Rejected if report.is_check() => {
                event!(WARN, "{report}");
            }
            Outcome::Interrupted { .. } => event!(WARN, "{report}"),
            Outcome::Rejected | Outcome::Partial | Outcome::RolledBack => {
                event!(ERROR, "{report}");
            }
            // These may come every minute, and change nothing.
            Outcome::Unchanged | Outcome::Valid => event!(DEBUG, "{report}"),
            Outcome::Applied => event!(INFO, "{report}"),
        }
        // Sent after the lock is released, because a receiver that is woken may subscribe.
        let reports = {
            let reports = self.reports();
            let heard = reports.as_ref();
            heard
                .filter(|reports| reports.receiver_count() > 0)
                .cloned()
        };
        if let Some(reports) = reports {
            // A send error means that the last receiver is gone.
            wake_quietly(|| drop(reports.send(Arc::clone(report))));
        }
    }

    /// Begins the stop, and answers all callers in the queue.
    pub(super) fn close(&self) {
        wake_quietly(|| self.stop.cancel());
        self.queue.close();
    }

    /// Ends the channel of reports.
    pub(super) fn end_reports(&self) {
        let reports = self.reports().take();
        wake_quietly(|| drop(reports));
    }

    fn reports(&self) -> MutexGuard<'_, Option<broadcast::Sender<Arc<Report>>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

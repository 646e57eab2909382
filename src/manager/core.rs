//! The parts of a manager that a reload needs, fixed once the app runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::OnError;
use super::probation::{Previous, Probation};
use super::shared::Shared;
use super::tasks::Tasks;
use super::under_way::UnderWay;
use crate::Error;
use crate::component::{Graph, HeldBack};
use crate::crew::{Entry, Ledger};
use crate::live::Generation;
use crate::panic::Quiet;
use crate::reloader::DynReloader;

/// The parts of a manager that a reload needs, fixed once the app runs.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) graph: Graph,
    pub(super) reloaders: BTreeMap<i32, Vec<Hook>>,
    /// The number of reloaders.
    pub(super) hooks: usize,
    pub(super) ledger: Arc<Ledger>,
    pub(super) tasks: Tasks,
    /// Sends the failure that ends the run to the loop.
    pub(super) fatal: mpsc::UnboundedSender<Error>,
    pub(super) policy: OnError,
    pub(super) under_way: UnderWay,
    /// The effects that have not succeeded since their inputs changed.
    pub(super) due: Mutex<BTreeSet<usize>>,
    pub(super) probation: Option<Probation>,
    /// The stamps of the generation that failed its probation last.
    pub(super) failed_probation: Mutex<Option<HeldBack>>,
}

/// A reloader.
pub(super) struct Hook {
    pub(super) entry: Arc<Entry>,
    pub(super) reloader: Quiet<Arc<dyn DynReloader>>,
}

impl Core {
    /// Starts the drain of these components of the old generation, once they have been replaced for good.
    pub(super) fn replaced(&self, old: &Generation, changed: &[usize]) {
        let Shared {
            drains,
            publication,
            ..
        } = &*self.shared;
        drains.add(&self.graph, old, &publication.current(), changed);
    }

    /// Ends the probation of a generation that stays, and starts the drain of the previous one.
    pub(super) fn confirm(&self, previous: &Previous) {
        self.shared.history().on_probation = false;
        self.shared.publication.confirm();
        self.shared.publication.wake();
        self.replaced(&previous.generation, &previous.changed);
    }

    /// The effects that are due.
    pub(super) fn due_effects(&self) -> impl Iterator<Item = Arc<Entry>> {
        let due = self.due().clone().into_iter();
        due.map(|index| Arc::clone(&self.graph.effects[index].entry))
    }

    pub(super) fn held_back(&self) -> MutexGuard<'_, Option<HeldBack>> {
        let held_back = self.failed_probation.lock();
        held_back.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn due(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

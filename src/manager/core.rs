//! Everything that a reload needs, fixed once the app runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::OnError;
use super::probation::{HeldBack, Probation};
use super::shared::Shared;
use super::tasks::Tasks;
use super::under_way::UnderWay;
use crate::Error;
use crate::component::Graph;
use crate::crew::{Entry, Ledger};
use crate::panic::Quiet;
use crate::reloader::DynReloader;

/// Everything that a reload needs, fixed once the app runs.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) graph: Graph,
    pub(super) reloaders: BTreeMap<i32, Vec<Hook>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) tasks: Tasks,
    /// To the loop: what ends the run.
    pub(super) fatal: mpsc::UnboundedSender<Error>,
    pub(super) policy: OnError,
    pub(super) under_way: UnderWay,
    /// Effects that failed or were skipped, and are tried again by the next reload.
    pub(super) due_effects: Mutex<BTreeSet<usize>>,
    pub(super) probation: Option<Probation>,
    /// What failed probation last.
    pub(super) failed_probation: Mutex<Option<HeldBack>>,
    /// The shortest timeout of all steps.
    pub(super) shortest: Duration,
}

/// A reloader.
pub(super) struct Hook {
    pub(super) entry: Arc<Entry>,
    pub(super) reloader: Quiet<Arc<dyn DynReloader>>,
}

impl Core {
    /// What the apply phase of this moment has not run: effects that are due, and all reloaders.
    pub(super) fn effects_to_come(&self) -> impl Iterator<Item = Arc<Entry>> {
        let due = self.due().clone().into_iter();
        let effects = due.map(|index| Arc::clone(&self.graph.effects[index].entry));
        let hooks = self.reloaders.values().flatten();
        effects.chain(hooks.map(|hook| Arc::clone(&hook.entry)))
    }

    pub(super) fn held_back(&self) -> MutexGuard<'_, Option<HeldBack>> {
        let held_back = self.failed_probation.lock();
        held_back.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn due(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.due_effects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

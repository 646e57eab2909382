//! The roll: which actors of a group have not ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::shutdown::{self, Budget, Kind, Roster};

/// Kept alive by the group and by every actor that runs, so that one that is stuck can be named
/// after its group is gone.
pub(super) struct Roll {
    /// A group has one phase, to the end of its window.
    pub(super) budget: Arc<Budget>,
    /// By the order of adding; names may repeat.
    present: Mutex<BTreeMap<usize, Arc<str>>>,
}

impl Roll {
    pub(super) fn new(timeout: Duration) -> Arc<Self> {
        let roll = Arc::new(Self {
            budget: Budget::new(Kind::Group, timeout),
            present: Mutex::default(),
        });
        shutdown::register(&roll);
        roll
    }

    /// Marks an actor as running until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>, index: usize, name: &Arc<str>) -> Present {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.insert(index, Arc::clone(name));
        Present {
            roll: Arc::clone(self),
            index,
        }
    }

    /// Those that have not ended.
    pub(super) fn present(&self) -> BTreeMap<usize, Arc<str>> {
        self.present
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Roster for Roll {
    fn budget(&self) -> Option<&Arc<Budget>> {
        Some(&self.budget)
    }

    fn running(&self) -> Vec<String> {
        self.present()
            .values()
            .map(|name| format!("actor `{name}`"))
            .collect()
    }
}

/// Held by an actor, and let go after everything else that it holds.
pub(super) struct Present {
    roll: Arc<Roll>,
    index: usize,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut present = self
            .roll
            .present
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        present.remove(&self.index);
    }
}

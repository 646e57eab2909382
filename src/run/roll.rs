//! The roll: the actors of a group that have not ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::shutdown::{self, Budget, Kind, Roster};

/// The roll of a group. The group and every running actor keep it alive, so that a stuck actor can
/// be named after its group is gone.
pub(super) struct Roll {
    /// A group has one phase, to the end of its window.
    pub(super) budget: Arc<Budget>,
    /// The names by the order of adding, because names may repeat.
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

    /// Marks an actor as running until the returned [`Present`] is dropped.
    pub(super) fn enter(self: &Arc<Self>, index: usize, name: &Arc<str>) -> Present {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.insert(index, Arc::clone(name));
        Present {
            roll: Arc::clone(self),
            index,
        }
    }

    /// The actors that have not ended.
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

/// The presence of an actor, which the actor drops after everything else that it holds.
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

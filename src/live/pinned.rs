//! Who still holds what was replaced.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::generation::Generation;
use super::slot::ErasedSlot;

/// The generations that were replaced while guards or snapshots held them, as long as they do.
#[derive(Default)]
pub(crate) struct Pinned(Mutex<Vec<Weak<Generation>>>);

/// By how many a value is held. Counted while they come and go, so a moment later it may be others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holders {
    /// Guards and snapshots, which hold whole generations.
    pub(crate) guards: usize,
    /// Leases, readers, and values that were built from it.
    pub(crate) leases: usize,
}

impl Pinned {
    /// Lets go of a generation that was replaced, and remembers it if somebody else holds it.
    pub(super) fn let_go(&self, stale: Option<Arc<Generation>>) {
        let Some(stale) = stale else { return };
        if Arc::strong_count(&stale) > 1 {
            let mut pinned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            pinned.retain(|generation| generation.strong_count() > 0);
            pinned.push(Arc::downgrade(&stale));
        }
        // Not under the lock: the last one to let go sends values to the reaper.
        drop(stale);
    }

    /// Those that are held now. To be dropped under no lock: it may be the last that holds them.
    pub(crate) fn generations(&self) -> Generations {
        let pinned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = pinned.clone();
        Generations(pinned.iter().filter_map(Weak::upgrade).collect())
    }
}

/// Generations that were replaced and are held.
pub(crate) struct Generations(Vec<Arc<Generation>>);

impl Generations {
    pub(crate) fn holders(&self, index: usize, slot: &Weak<dyn ErasedSlot>) -> Holders {
        let holds = |generation: &&Arc<Generation>| {
            generation.len() > index && is(slot, generation.slot(index))
        };
        let mut chunks = BTreeSet::new();
        let mut guards = 0;
        for generation in self.0.iter().filter(holds) {
            chunks.insert(Arc::as_ptr(generation.chunk(index)).cast::<()>());
            // One of them is ours.
            guards += Arc::strong_count(generation) - 1;
        }
        Holders {
            guards,
            leases: slot.strong_count().saturating_sub(chunks.len()),
        }
    }
}

fn is(slot: &Weak<dyn ErasedSlot>, other: &Arc<dyn ErasedSlot>) -> bool {
    std::ptr::addr_eq(slot.as_ptr(), Arc::as_ptr(other))
}
